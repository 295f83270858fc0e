//! What a link asks of its driver and tells its session.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

use super::{Control, Parameters, Refusal, link::rotate::Tuned};
use crate::{
    media::{Gap, Offset},
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
    /// What the protocol makes of it.
    Control(Control),
    /// A WebSocket ping.
    Ping,
    /// Drop the connection, or the attempt to get one.
    Hangup,
    /// Open another connection beside the one that is there, with these parameters if any are named; drop such a one of before.
    DialNext(Option<Arc<Parameters>>),
    /// Drop that one, or the attempt to get it.
    DropNext,
    /// Put it, or the attempt, in the place of the connection that is there, which is parted with in its own time. Its parameters stay.
    Swap,
    /// Open connections with these parameters from now on; with none named, with those before the last change.
    Tune(Option<Arc<Parameters>>),
    /// For whoever wished for other parameters.
    Tuned(Tuned),
    /// For the session.
    Report(Box<Report>),
}

impl Output {
    /// Whether it is still to be done when the connection is lost that it was asked for on.
    pub(super) const fn survives_the_connection(&self) -> bool {
        match self {
            Self::Dial | Self::Audio { .. } | Self::Control(_) | Self::Ping => false,
            Self::Report(_) | Self::Hangup => true,
            Self::DialNext(_) | Self::DropNext | Self::Swap | Self::Tune(_) | Self::Tuned(_) => true,
        }
    }
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
    Gap(Gap),
    /// Exactly once, last.
    Done(Totals),
}

/// Where a link stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// The first connection is being opened.
    Connecting,
    /// Audio flows.
    Live,
    /// No audio came for so long that the service ended the stream; the next audio opens another one.
    Idle,
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
            Self::Idle => "idle",
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
    /// No audio was given up.
    pub complete: bool,
}
