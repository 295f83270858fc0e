//! Why a connection or a request is turned away before any route of ours has looked at what it wants, or by the routes that want a token.

use hyper::StatusCode;

/// Why somebody was turned away; the words of `connections_refused_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// Others wait to show who they are, and this one has waited longest.
    GaveWay,
    /// The header of its first request did not come in time.
    HeaderTimeout,
    /// The header is too large.
    HeaderTooLarge,
    /// What came is no request of HTTP/1.1: noise, a TLS greeting, HTTP/2, a header that can be read in two ways.
    NotHttp,
    /// Open for a minute, or asked a hundred times, and neither a stream nor the operator's.
    OpenTooLong,
    /// Does not read what it is sent.
    NotRead,
    /// The body did not come in time.
    BodyTimeout,
    /// The body is too large.
    BodyTooLarge,
    /// The operator's routes want the API token.
    ApiToken,
    /// No API token is set, and it is not this machine that asks.
    NotLocal,
    /// The system has no file left for another socket.
    NoFiles,
}

impl Turned {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::GaveWay,
        Self::HeaderTimeout,
        Self::HeaderTooLarge,
        Self::NotHttp,
        Self::OpenTooLong,
        Self::NotRead,
        Self::BodyTimeout,
        Self::BodyTooLarge,
        Self::ApiToken,
        Self::NotLocal,
        Self::NoFiles,
    ];

    /// The word in the counter.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::GaveWay => "gave_way",
            Self::HeaderTimeout => "header_timeout",
            Self::HeaderTooLarge => "header_too_large",
            Self::NotHttp => "not_http",
            Self::OpenTooLong => "open_too_long",
            Self::NotRead => "not_read",
            Self::BodyTimeout => "body_timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::ApiToken => "api_token",
            Self::NotLocal => "not_local",
            Self::NoFiles => "no_files",
        }
    }

    /// One line for the log and the manual.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::GaveWay => "too many connections wait to show who they are; the oldest gave way",
            Self::HeaderTimeout => "no whole header came in time",
            Self::HeaderTooLarge => "the header is too large",
            Self::NotHttp => "what came is no request of HTTP/1.1; TLS ends at the proxy in front",
            Self::OpenTooLong => "it was open for a minute or asked 100 times, and is neither a stream nor the operator's",
            Self::NotRead => "it does not read what it is sent",
            Self::BodyTimeout => "the body did not come in time",
            Self::BodyTooLarge => "the body is too large",
            Self::ApiToken => "the api_token is missing or wrong",
            Self::NotLocal => "no api_token is set, so only this machine may ask",
            Self::NoFiles => "the system has no file left for another socket; raise its limit (ulimit -Hn, LimitNOFILE=)",
        }
    }

    /// What the peer is answered; `None` where its connection is closed without a word.
    #[must_use]
    pub const fn status(self) -> Option<StatusCode> {
        match self {
            Self::HeaderTooLarge => Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Self::NotHttp => Some(StatusCode::BAD_REQUEST),
            Self::BodyTimeout => Some(StatusCode::REQUEST_TIMEOUT),
            Self::BodyTooLarge => Some(StatusCode::PAYLOAD_TOO_LARGE),
            Self::ApiToken => Some(StatusCode::UNAUTHORIZED),
            Self::NotLocal => Some(StatusCode::FORBIDDEN),
            Self::GaveWay | Self::HeaderTimeout | Self::OpenTooLong | Self::NotRead | Self::NoFiles => None,
        }
    }

    /// What ended a connection; `None` where the peer just left.
    pub(super) fn of(why: &hyper::Error) -> Option<Self> {
        match () {
            () if why.is_timeout() => Some(Self::HeaderTimeout),
            () if why.is_parse_too_large() => Some(Self::HeaderTooLarge),
            () if why.is_parse() => Some(Self::NotHttp),
            () if is_timed_out(why) => Some(Self::NotRead),
            () => None,
        }
    }
}

/// Whether the socket gave up on a peer that takes nothing, see [`Wire`](super::wire::Wire).
fn is_timed_out(why: &hyper::Error) -> bool {
    let source = std::error::Error::source(why).and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|source| source.kind() == std::io::ErrorKind::TimedOut)
}
