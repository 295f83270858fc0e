//! Where a session stands between its first stream and its end, and how long each of it may take.

use std::time::{Duration, Instant};

use crate::media::EndReason;

/// How long a session waits for another stream after one ended without a `stop` (contract, Events, details).
pub const JOIN_WINDOW: Duration = Duration::from_secs(10);
/// Longest time in which a session that waits for its last words hears nothing of any link, then they are taken for dead; above the longest
/// wait of a live one, which is for a turn at the speech service.
pub const DRAIN_LIMIT: Duration = Duration::from_mins(40);
/// The same for the whole wait, whatever they say; above what the largest spool takes at the speed of speech.
pub const LONGEST_DRAIN: Duration = Duration::from_hours(24);

/// Where a session stands.
pub(super) enum Phase {
    /// At least one stream is there.
    Live,
    /// The last stream went away without a `stop`.
    Waiting { until: Instant, reason: EndReason },
    /// No stream will come; links finish.
    Draining { since: Instant, heard: Instant, reason: EndReason },
    /// The gate is empty and the stored segments are being read.
    Concluding { reason: EndReason },
    /// The terminal event is stored or on its way.
    Ended,
}

impl Phase {
    pub(super) const fn draining(reason: EndReason, now: Instant) -> Self {
        Self::Draining { since: now, heard: now, reason }
    }

    /// When links that say nothing more are given up.
    pub(super) fn drained_at(&self) -> Option<Instant> {
        match self {
            Self::Draining { since, heard, .. } => Some((*heard + DRAIN_LIMIT).min(*since + LONGEST_DRAIN)),
            Self::Live | Self::Waiting { .. } | Self::Concluding { .. } | Self::Ended => None,
        }
    }
}
