//! What a link asks of its driver and tells its session.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

use super::{Control, Parameters, Refusal, link::rotate::Tuned};
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
    /// Open connections with these parameters from now on; with none named, with those that were proven last.
    Tune(Option<Arc<Parameters>>),
    /// The service has spoken under the parameters in use, which it had not since they were changed: there is no way back behind them.
    Proven,
    /// For whoever wished for other parameters.
    Tuned(Tuned),
    /// Read some seconds of the track's audio behind `from` back from the spool; answered once by [`super::Link::handle_fetched`].
    Fetch {
        /// Its first byte.
        from: Offset,
    },
    /// What was being said where the leftover begins, as a provisional final: for the case that nothing hears the leftover. Before it, and only
    /// where there is a batch endpoint ([`super::LinkSettings::has_batch`]).
    Open(Box<Heard>),
    /// What streaming could not do, by offset; told once at most, right before [`Report::Done`].
    Leftover(Vec<Stretch>),
    /// For the session.
    Report(Box<Report>),
}

impl Output {
    /// Whether it is still to be done when the connection is lost that it was asked for on.
    pub(super) const fn survives_the_connection(&self) -> bool {
        match self {
            Self::Dial | Self::Audio { .. } | Self::Control(_) | Self::Ping => false,
            Self::Report(_)
            | Self::Hangup
            | Self::Fetch { .. }
            | Self::Open(_)
            | Self::Leftover(_)
            | Self::DialNext(_)
            | Self::DropNext
            | Self::Swap
            | Self::Tune(_)
            | Self::Proven
            | Self::Tuned(_) => true,
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
    /// Every session of the plan is taken; audio is kept until there is one.
    Queued,
    /// There is no session for this track; its audio is left for after the call.
    Unstreamed,
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
    /// The link is over; what it could not bring through goes to the batch endpoint. Told again and again while that is so.
    Backfilling,
    /// All over.
    Closed,
}

impl LinkState {
    /// The word for `/readyz` and logs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Queued => "queued",
            Self::Unstreamed => "unstreamed",
            Self::Live => "live",
            Self::Idle => "idle",
            Self::Reconnecting { .. } => "reconnecting",
            Self::Refused(_) => "refused",
            Self::Draining => "draining",
            Self::Backfilling => "backfilling",
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

impl Totals {
    /// The batch endpoint transcribed so much of what the link left over.
    pub(super) fn add_backfilled(&mut self, ms: u64) {
        self.finalized_ms += ms;
        self.sent_ms = self.sent_ms.max(self.finalized_ms);
    }
}
