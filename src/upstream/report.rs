//! What a link asks of its driver and tells its session.

use std::time::Instant;

use bytes::Bytes;

use super::Refusal;
use crate::{
    media::{Gap, GapReason, Offset},
    segment::Heard,
};

/// What the driver is asked to do, in order.
pub enum Output {
    /// Open a connection; drop the one before, if any.
    Dial,
    /// One binary frame.
    Audio {
        /// Exactly these bytes.
        audio: Bytes,
        /// When the last of them came; none for audio that is sent again.
        received: Option<Instant>,
    },
    /// One text frame.
    Control(&'static str),
    /// A WebSocket ping.
    Ping,
    /// Drop the connection, or the attempt to get one.
    Hangup,
    /// Read some seconds of the track's audio behind `from` back from the spool; answered once by [`super::Link::handle_fetched`].
    Fetch {
        /// Its first byte.
        from: Offset,
    },
    /// What streaming could not do, by offset; told once at most, right before [`Report::Done`].
    Leftover(Vec<Stretch>),
    /// For the session.
    Report(Box<Report>),
}

/// What the session is told.
pub enum Report {
    /// Where the link stands.
    State(LinkState),
    /// What is being said; replaced by the next one.
    Interim(Heard),
    /// What was said; stays.
    Final(Heard),
    /// Nothing was said up to here.
    Covered(Offset),
    /// Audio waits for its turn, and what was sent ends here on the call's clock. Told every 100 ms of audio while that is so.
    Behind {
        /// On the call's clock.
        sent_ms: u64,
    },
    /// Audio goes as it comes.
    CaughtUp,
    /// The service's voice activity.
    SpeechStarted {
        /// On the call's clock.
        at_ms: u64,
    },
    /// As above.
    SpeechEnded {
        /// On the call's clock.
        at_ms: u64,
    },
    /// Audio given up.
    Gap {
        /// Which, and why.
        gap: Gap,
        /// Once this is stored, the audio up to here needs no transcript.
        covers: Offset,
    },
    /// Exactly once, last.
    Done(Totals),
    /// In place of that, where the bridge stops before: the next start does the rest.
    Left,
}

/// A run of audio without a final: in one piece on the track and on the call's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Its first byte.
    pub from: Offset,
    /// Behind its last byte.
    pub to: Offset,
    /// The same on the call's clock, in milliseconds.
    pub from_ms: u64,
    /// As above.
    pub to_ms: u64,
    /// Why streaming could not do it.
    pub reason: GapReason,
}

impl Stretch {
    /// The same as audio given up, where everything before it is accounted for.
    #[must_use]
    pub const fn given_up(&self) -> Report {
        let gap = Gap { from_ms: self.from_ms, to_ms: self.to_ms, reason: self.reason };
        Report::Gap { gap, covers: self.to }
    }
}

/// Where a link stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// The first connection is being opened.
    Connecting,
    /// Audio flows.
    Live,
    /// There is no connection; another one is tried.
    Reconnecting {
        /// Failures in a row.
        tries: u32,
        /// The last of them.
        cause: Refusal,
    },
    /// Trying again is no use; audio is taken until the end, and then given up.
    Refused(Refusal),
    /// The audio has ended, its last words are awaited.
    Draining,
    /// All over.
    Closed,
}

impl LinkState {
    /// The word for `/readyz` and logs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Reconnecting { .. } => "reconnecting",
            Self::Refused(_) => "refused",
            Self::Draining => "draining",
            Self::Closed => "closed",
        }
    }
}

/// What became of a track's audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Distinct audio handed to the service.
    pub sent_ms: u64,
    /// Of it, covered by finals (empty and provisional ones included).
    pub finalized_ms: u64,
    /// Audio handed to it again after a reconnect.
    pub replayed_ms: u64,
    /// Connections opened after the first.
    pub reconnects: u32,
    /// Messages of the service that could not be read.
    pub malformed: u64,
    /// No audio was given up or left over.
    pub complete: bool,
}
