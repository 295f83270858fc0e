//! What happened on a stream, for metrics, logs and the call's last event.

use super::OrderCounters;
use crate::media::Track;

/// What happened on a stream beside its tracks' audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamCounters {
    /// Text messages.
    pub messages: u64,
    /// Media messages by track, in the order of [`Track::ALL`].
    pub frames: [u64; 3],
    /// Messages that were not understood, or belong to another stream.
    pub malformed: u64,
    /// Events we do not know.
    pub ignored: u64,
    /// Binary messages.
    pub binary: u64,
    /// Bytes of audio before the start message beyond [`EARLY_BYTES`](super::EARLY_BYTES) or [`EARLY_FRAMES`](super::EARLY_FRAMES).
    pub early_dropped_bytes: u64,
    /// Further start messages with the same ids.
    pub repeated_starts: u64,
    /// Messages behind the end.
    pub after_end: u64,
}

/// The counters of a stream and of its tracks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamTotals {
    /// Of the stream.
    pub stream: StreamCounters,
    /// Of each track that sent anything.
    pub tracks: Vec<(Track, OrderCounters)>,
}
