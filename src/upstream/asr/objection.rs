//! What an error frame of the older ASR means, and what to do about it (protocols/pulse.md section 9).
//!
//! Promises: prints as one line with the cause and the remedy; [`Cause::is_fatal`] alone decides whether another try makes sense.

use std::fmt;

use crate::upstream::Reason;

/// What the service has against the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The key.
    Key,
    /// The plan, or the credits on it.
    Plan,
    /// The parameters.
    Parameters,
    /// Too many streams at once.
    Quota,
    /// No audio came for too long: thirty seconds.
    Idle,
}

/// An error frame whose cause is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// What it is about.
    pub cause: Cause,
    /// What the service said.
    pub reason: Reason,
}

impl Cause {
    /// By the frame's `message`; `None` for any other.
    pub(super) fn of_message(message: &str) -> Option<Self> {
        let known = [
            ("unauthorized", Self::Key),
            ("no subscription", Self::Plan),
            ("insufficient credits", Self::Plan),
            ("invalid input data", Self::Parameters),
            ("rate limit exceeded", Self::Quota),
            ("socket timeout", Self::Idle),
        ];
        let message = message.trim().to_ascii_lowercase();
        known.into_iter().find(|(beginning, _)| message.starts_with(beginning)).map(|(_, cause)| cause)
    }

    /// Whether another try would end the same way until somebody changes something.
    #[must_use]
    pub const fn is_fatal(self) -> bool {
        matches!(self, Self::Key | Self::Plan | Self::Parameters)
    }

    /// The word for metrics and `/readyz`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Key => "bad_key",
            Self::Plan => "plan",
            Self::Parameters => "bad_request",
            Self::Quota => "rate_limited",
            Self::Idle => "idle",
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, remedy) = match self.cause {
            Cause::Key => ("did not accept the API key", "set SMALLEST_API_KEY to a valid key"),
            Cause::Plan => ("has no plan or no credits for this key", "change the plan or add credits"),
            Cause::Parameters => ("did not accept the parameters", "check upstream.asr and upstream.language in the settings"),
            Cause::Quota => (
                "has too many streams of this account",
                "it is tried again; set upstream.max_sessions to what the plan has, or raise the plan",
            ),
            Cause::Idle => ("ended a stream without audio", "it is opened again with the next audio"),
        };
        write!(f, "the speech service {what} ({}); {remedy}", self.reason)
    }
}
