//! Why a stream is not let in, in one word for the counter and one line for people.

use crate::stream::Closing;

/// Why a stream was not admitted; told to the log, and to the peer with close code 1008, or 1013 where another try makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A stream of this name was there already: a replayed start.
    SeenBefore,
    /// All places are taken.
    TooManyCalls,
    /// Every session of the speech service is taken, and `upstream.when_full` says that no call waits for one.
    NoSession,
    /// The one-time token is missing, used, or was minted for another call.
    BadToken,
    /// Less is left on the disk than `disk.min_free`.
    NearlyFull,
    /// The store cannot be written.
    NotReady,
    /// The bridge is stopping.
    ShuttingDown,
}

impl Refused {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::SeenBefore,
        Self::TooManyCalls,
        Self::NoSession,
        Self::BadToken,
        Self::NearlyFull,
        Self::NotReady,
        Self::ShuttingDown,
    ];
    /// The word for a socket that was upgraded and is over before any stream began on it; why it was closed is counted beside it.
    pub const NEVER_STARTED: &'static str = "never_started";

    /// The word in the counter.
    pub const fn code(self) -> &'static str {
        match self {
            Self::SeenBefore => "seen_before",
            Self::TooManyCalls => "too_many_calls",
            Self::NoSession => "no_session",
            Self::BadToken => "bad_token",
            Self::NearlyFull => "disk_nearly_full",
            Self::NotReady => "not_ready",
            Self::ShuttingDown => "shutting_down",
        }
    }

    /// Whether there is no room for one more call, though for another stream of one that is there.
    pub const fn is_lack_of_room(self) -> bool {
        matches!(self, Self::TooManyCalls | Self::NoSession | Self::NearlyFull)
    }

    /// One line for the peer and the log.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::SeenBefore => "this stream was there before; a stream starts once",
            Self::TooManyCalls => "all places are taken; raise ingest.max_calls or wait",
            Self::NoSession => {
                "every session of the speech service is taken; raise upstream.max_sessions, or let calls wait (upstream.when_full)"
            }
            Self::BadToken => "the one-time token is missing, used, or was made for another call",
            Self::NearlyFull => "the disk is nearly full (disk.min_free); make room, see /readyz",
            Self::NotReady => "the bridge cannot store events now; see /readyz",
            Self::ShuttingDown => "the bridge is stopping and takes no new calls",
        }
    }
}

impl Refused {
    /// How the peer's socket is closed: policy violation, or try again later.
    pub const fn closing(self) -> Closing {
        let code = match self {
            Self::SeenBefore | Self::BadToken => 1008,
            Self::TooManyCalls | Self::NoSession | Self::NearlyFull | Self::NotReady | Self::ShuttingDown => 1013,
        };
        Closing { word: self.code(), code, reason: self.reason() }
    }
}
