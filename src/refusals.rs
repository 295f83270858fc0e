//! Every way in which somebody is refused, in one list: a word for the counter, what the peer gets, a line for people.
//!
//! Promises: complete. What turns a peer away anywhere is in one of the sets that are put together here; from this list the counters
//! begin at 0, and a test holds `docs/limits.md` to it.

use crate::{accept::Turned, admission::Refused, api::ingress::Denied, stream::Closing};

/// Where a refusal is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `connections_refused_total`: below the routes, or by those of the operator.
    Connection,
    /// `streams_refused_total`: a media stream or a webhook of Twilio's that is not let in.
    Stream,
    /// `streams_closed_total`: a media socket that is closed, for whatever reason of ours.
    Close,
}

impl Kind {
    /// The counter, without the prefix.
    #[must_use]
    pub const fn counter(self) -> &'static str {
        match self {
            Self::Connection => "connections_refused_total",
            Self::Stream => "streams_refused_total",
            Self::Close => "streams_closed_total",
        }
    }
}

/// One way to be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Where it is counted.
    pub kind: Kind,
    /// The label `reason`.
    pub word: &'static str,
    /// The HTTP status or the close code that the peer gets; `None` where the connection is closed without a word.
    pub code: Option<u16>,
}

/// All of them. A word may come more than once, with other codes.
#[must_use]
pub fn all() -> Vec<Refusal> {
    let of = |kind| move |(word, code)| Refusal { kind, word, code };
    let turned = Turned::ALL.into_iter().map(|turned| (turned.code(), turned.status().map(|status| status.as_u16())));
    let denied = Denied::ALL.into_iter().map(|denied| (denied.code(), Some(403)));
    let refused = Refused::ALL.into_iter().map(|refused| (refused.code(), Some(refused.closing().code)));
    let unstarted = (Refused::NEVER_STARTED, None);
    let of_refused = Refused::ALL.into_iter().map(Refused::closing);
    let closings = Closing::ALL.into_iter().chain(of_refused).map(|closing| (closing.word, Some(closing.code)));
    let connections = turned.map(of(Kind::Connection));
    let streams = denied.chain(refused).chain([unstarted]).map(of(Kind::Stream));
    connections.chain(streams).chain(closings.map(of(Kind::Close))).collect()
}
