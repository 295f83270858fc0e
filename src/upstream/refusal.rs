//! Why the speech service would not serve us, and what the operator can do about it.
//!
//! Promises: every cause prints as one line that names the cause and the remedy, without keys and without a caller's words;
//! [`Refusal::is_fatal`] alone decides whether another try makes sense (protocols/pulse.md sections 3 and 6.4).

mod flags;

use std::{fmt, time::Duration};

pub use flags::Flags;
use serde_json::value::RawValue;

use super::{
    Parameters,
    asr::{Cause, Objection},
    wire,
};

/// Most characters of the service's own words that are repeated.
const MAX_REASON: usize = 200;
/// Longest run of digits repeated: longer ones could be somebody's number.
const MAX_DIGITS: usize = 4;
/// Longest `Retry-After` honoured: a call does not wait longer for its transcript to go on.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// What the service said about it: one line of at most 200 printable characters, long numbers masked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reason(String);

impl Reason {
    /// From an answer given before any audio was sent.
    #[must_use]
    pub fn before_a_call(text: &str) -> Self {
        let printable = text.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' });
        let mut kept = String::new();
        let mut digits = 0;
        for c in printable.take(2 * MAX_REASON) {
            digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
            match c {
                ' ' if kept.is_empty() || kept.ends_with(' ') => {}
                _ if digits > MAX_DIGITS => kept.push('#'),
                c => kept.push(c),
            }
        }
        kept.truncate(MAX_REASON);
        kept.truncate(kept.trim_end().len());
        Self(kept)
    }

    /// From an answer given while audio flows: it may echo what the caller said, in any form, so only words that name a failure are
    /// repeated.
    #[must_use]
    pub fn in_a_call(text: &str) -> Self {
        let mut kept = String::new();
        for word in text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()) {
            if names_a_failure(word) {
                kept.extend([" ", word]);
            } else if !kept.ends_with("(...)") {
                kept.push_str(" (...)");
            }
        }
        Self::before_a_call(if kept == " (...)" { "(withheld)" } else { &kept })
    }
}

/// A word of [`FAILURE_WORDS`], or a code that is made of them, such as `LANGUAGE_NOT_ENABLED`.
fn names_a_failure(word: &str) -> bool {
    word.split('_').all(|part| FAILURE_WORDS.split_ascii_whitespace().any(|known| known.eq_ignore_ascii_case(part)))
}

/// Words of which the errors of speech services are made (protocols/pulse.md sections 3, 5 and 9), of which no few
/// together give away a name, an address or a number.
const FAILURE_WORDS: &str = "\
    a account active after all allowed already an and api are at audio auth authentication authorization available backend bad balance bytes \
    channel channels chunk client close closed closing concurrency concurrent config configuration connect connection connections could \
    credits data decode decoder decoding denied did disabled does duration empty enabled encoding enterprise error exceeded expired failed \
    failure for format found frame frames from gateway handler has header here idle in inactivity input insufficient internal invalid is it json key language \
    large limit limited limits long low malformed many maximum message minute missing model mulaw must no not of on only open or out parameter \
    parameters params parse parsing permitted plan policy process processing provided query quota rate reached received region rejected \
    request requests required requires restarting sample samples schema seconds served server service session sessions shutting size socket speech status \
    stopped stream streaming streams subscription supported text the time timed timeout to token tokens too transcription unable unauthorized \
    unavailable unexpected unknown unsupported upgrade upstream usage valid value violation was websocket with within";

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "no reason given" } else { &self.0 })
    }
}

/// How an open connection ended against our will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// The service closed it; the code is absent where its close frame had none.
    Closed {
        /// WebSocket close code.
        code: Option<u16>,
        /// What it said.
        reason: Reason,
    },
    /// Reset, end of file, or bytes that are no WebSocket.
    Broken,
    /// It did not take our bytes within the bounded time.
    Stalled,
}

impl Lost {
    /// Whether the service closed it as one does at the end.
    pub(super) const fn is_normal(&self) -> bool {
        matches!(self, Self::Closed { code: Some(1000), .. })
    }
}

/// A cause for having no connection. `Display` is one line: the cause, then what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 401.
    #[error("the speech service did not accept the API key (401: {reason}); set SMALLEST_API_KEY to a valid key")]
    BadKey {
        /// What the service said.
        reason: Reason,
    },
    /// 403.
    #[error("the speech service's plan lacks what was asked for (403: {reason}); {flags} or change the plan")]
    Forbidden {
        /// What the service said.
        reason: Reason,
        /// What it may have meant.
        flags: Flags,
    },
    /// 400.
    #[error("the speech service did not accept the parameters (400: {reason}); check [upstream] in the settings")]
    BadRequest {
        /// What the service said.
        reason: Reason,
    },
    /// The language is not served here.
    #[error(
        "the speech service's region does not serve the language ({reason}); set upstream.language, or upstream.url to another region"
    )]
    Language {
        /// What the service said.
        reason: Reason,
    },
    /// 429.
    #[error(
        "the speech service has too many sessions or requests of this account (429: {reason}); it is tried again; set upstream.max_sessions to what the plan has, or raise the plan"
    )]
    RateLimited {
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
        /// What the service said.
        reason: Reason,
    },
    /// Close code 1008: the plan's concurrency limit.
    #[error(
        "the speech service closed the session by its policy (1008: {reason}); it is tried again; set upstream.max_sessions to what the plan has, or raise the plan"
    )]
    Policy {
        /// What the service said.
        reason: Reason,
    },
    /// 5xx, and any other status that is not an upgrade.
    #[error(
        "the speech service answered {status} instead of opening a stream ({reason}); it is tried again; if it stays, check upstream.url"
    )]
    Unavailable {
        /// HTTP status.
        status: u16,
        /// What the service said.
        reason: Reason,
    },
    /// An error message within the stream.
    #[error("the speech service reported an error ({reason}); the stream is opened again")]
    ErrorFrame {
        /// What the service said.
        reason: Reason,
    },
    /// The older ASR says what it has against the stream.
    #[error("{0}")]
    Objection(Objection),
    /// The stream was closed before it said anything.
    #[error(
        "the speech service closed the stream before its first message (code {}); if it stays, check upstream.language against the region and the plan",
        code_word(*.code)
    )]
    ClosedBeforeMessage {
        /// WebSocket close code, if one was sent.
        code: Option<u16>,
    },
    /// The connection dropped.
    #[error("the connection to the speech service dropped (code {}); it is opened again", code_word(*.code))]
    Dropped {
        /// WebSocket close code, if one was sent.
        code: Option<u16>,
    },
    /// The service ended the stream with `is_last` although it was not asked to.
    #[error("the speech service ended the stream by itself; it is opened again")]
    Ended,
    /// Our own plan has no session for one more connection of a call that has one.
    #[error("no session of the plan is free for the connection that is to take over; raise upstream.max_sessions or the plan")]
    NoSession,
    /// Our bytes were not taken in time.
    #[error("the speech service stopped reading; the stream is opened again")]
    Stalled,
    /// Pings went unanswered.
    #[error("the speech service does not answer pings; the stream is opened again")]
    Silent,
    /// A voice was sent and nothing was heard, pongs or not.
    #[error("the speech service takes audio but says nothing; the stream is opened again")]
    Deaf,
    /// A final has not come for words that were shown.
    #[error("the speech service left out words that it had shown; the stream is opened again and they are sent again")]
    MissingFinal,
    /// No TLS session came about.
    #[error("no secure connection to the speech service ({reason}); check upstream.url, the system's certificates and its clock")]
    Tls {
        /// What went wrong.
        reason: Reason,
    },
    /// No connection came about.
    #[error("the speech service cannot be reached ({reason}); check upstream.url, DNS and the firewall")]
    Unreachable {
        /// What went wrong.
        reason: Reason,
    },
}

fn code_word(code: Option<u16>) -> String {
    code.map_or_else(|| "none".to_owned(), |code| code.to_string())
}

impl Refusal {
    /// From a refused upgrade: status, the wait of `Retry-After` if there, and the beginning of the body in either of its shapes, which
    /// may echo the `key` that was sent.
    #[must_use]
    pub fn from_status(status: u16, retry_after: Option<Duration>, body: &[u8], key: &str) -> Self {
        let body = String::from_utf8_lossy(body);
        let told = serde_json::from_str::<&RawValue>(&body).ok().and_then(|raw| wire::reason(raw, 0)).unwrap_or_default();
        // Before anything is cut or masked: half a key is not found any more.
        let reason = Reason::before_a_call(&if key.is_empty() { told } else { told.replace(key, "(key)") });
        match status {
            401 => Self::BadKey { reason },
            403 => Self::Forbidden { reason, flags: Flags::default() },
            400 if body.contains("LANGUAGE_NOT_ENABLED") => Self::Language { reason },
            400 => Self::BadRequest { reason },
            429 => Self::RateLimited { retry_after, reason },
            status => Self::Unavailable { status, reason },
        }
    }

    /// The same with the parameters that the answer's `body` refuses, out of those that were `asked` for.
    #[must_use]
    pub fn naming(self, body: &[u8], asked: &Parameters) -> Self {
        match self {
            Self::Forbidden { reason, .. } => {
                Self::Forbidden { reason, flags: Flags::named_by(&String::from_utf8_lossy(body), asked) }
            }
            other => other,
        }
    }

    /// From the end of an open connection; `heard` is whether it ever said anything.
    #[must_use]
    pub fn from_lost(lost: Lost, heard: bool) -> Self {
        match lost {
            Lost::Closed { code: Some(1008), reason } => Self::Policy { reason },
            Lost::Closed { code, .. } if !heard => Self::ClosedBeforeMessage { code },
            Lost::Closed { code, .. } => Self::Dropped { code },
            Lost::Broken => Self::Dropped { code: None },
            Lost::Stalled => Self::Stalled,
        }
    }

    /// Whether another try would end the same way until somebody changes something.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        match self {
            Self::BadKey { .. } | Self::Forbidden { .. } | Self::BadRequest { .. } | Self::Language { .. } => true,
            Self::Objection(objection) => objection.cause.is_fatal(),
            _ => false,
        }
    }

    /// Whether the service would not have one more session now: waiting for one is no outage.
    #[must_use]
    pub const fn is_quota(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Policy { .. } => true,
            Self::Objection(objection) => matches!(objection.cause, Cause::Quota),
            _ => false,
        }
    }

    /// How long the service asked us to wait.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The word for metrics and `/readyz`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadKey { .. } => "bad_key",
            Self::Forbidden { .. } => "forbidden",
            Self::BadRequest { .. } => "bad_request",
            Self::Language { .. } => "language",
            Self::RateLimited { .. } => "rate_limited",
            Self::Policy { .. } => "policy",
            Self::Unavailable { .. } => "unavailable",
            Self::ErrorFrame { .. } => "error_frame",
            Self::Objection(objection) => objection.cause.code(),
            Self::ClosedBeforeMessage { .. } => "closed_before_message",
            Self::Dropped { .. } => "dropped",
            Self::Ended => "ended",
            Self::NoSession => "no_session",
            Self::Stalled => "stalled",
            Self::Silent => "silent",
            Self::Deaf => "deaf",
            Self::MissingFinal => "missing_final",
            Self::Tls { .. } => "tls",
            Self::Unreachable { .. } => "unreachable",
        }
    }
}

/// The wait that a `Retry-After` header asks for, in seconds or as a date, at most five minutes; `wall_ms` is the time of day.
#[must_use]
pub(super) fn retry_after(value: &str, wall_ms: u64) -> Option<Duration> {
    let value = value.trim();
    let wait = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = httpdate::parse_http_date(value).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        date.saturating_sub(Duration::from_millis(wall_ms))
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests;
