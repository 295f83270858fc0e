//! One track's media time as bytes on a line: how a frame lies to what is there, and putting it there.
//!
//! Promises: the line only grows; what is put on it once is never put on it again; silence put in for a gap is bounded by [`FILL_CAP_MS`],
//! the rest of the gap only moves the clock.

use std::time::{Duration, Instant};

use super::gather::Gather;
use crate::media::{BYTES_PER_MS, Chunk, bytes_to_ms, ms_to_bytes};

/// Most silence put in for one gap, in milliseconds: a wrong timestamp must not create hours of it.
pub const FILL_CAP_MS: u64 = 5_000;
/// A timestamp that is further ahead than this and the time that really passed is absurd, in milliseconds.
pub const AHEAD_CAP_MS: u64 = 600_000;
/// A frame that ends further back than this is no late or doubled one, in milliseconds: the sender's clock has changed.
pub const BEHIND_CAP_MS: u64 = 1_000;
/// Jitter of more than this is never taken as none, in milliseconds.
const JITTER_CAP_MS: u64 = 20;

/// The line and what became of the frames on it.
#[derive(Debug)]
pub(super) struct Line {
    gather: Gather,
    /// The sender's media time of the line's first byte, in bytes; moves when the sender's clock does.
    base: Option<i64>,
    last_fill: (i64, i64),
    pub(super) received_bytes: u64,
    pub(super) filled_bytes: u64,
    pub(super) skipped_bytes: u64,
    pub(super) duplicates: u64,
    pub(super) late: u64,
}

/// How a frame lies to the line's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Next to it, or nearly, or over it with its first bytes.
    Fits,
    /// All of it is there already.
    Old,
    /// Behind a gap of so many bytes.
    Gap(u64),
    /// Beyond belief.
    Absurd,
}

impl Line {
    pub(super) fn new(chunk_ms: u64) -> Self {
        Self {
            gather: Gather::new(usize::try_from(ms_to_bytes(chunk_ms)).unwrap_or(usize::MAX)),
            base: None,
            last_fill: (0, 0),
            received_bytes: 0,
            filled_bytes: 0,
            skipped_bytes: 0,
            duplicates: 0,
            late: 0,
        }
    }

    /// Whether it is known where the sender's media times lie on the line.
    pub(super) fn is_anchored(&self) -> bool {
        self.base.is_some()
    }

    /// The sender's media time of the line's first byte, in milliseconds.
    pub(super) fn base_ms(&self) -> Option<u64> {
        self.base.map(|base| bytes_to_ms(u64::try_from(base).unwrap_or(0)))
    }

    pub(super) fn length_ms(&self) -> u64 {
        bytes_to_ms(self.gather.position())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.gather.position() == 0
    }

    pub(super) fn flush(&mut self) {
        self.gather.flush();
    }

    pub(super) fn pop(&mut self) -> Option<Chunk> {
        self.gather.pop()
    }

    /// How a frame lies to the line's end, `waited` after the one before it.
    pub(super) fn place(&mut self, stamp: i64, bytes: usize, waited: Duration) -> Place {
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let highest = signed(ms_to_bytes(AHEAD_CAP_MS.saturating_add(waited_ms).min(MOST_MS)));
        let lowest = -signed(ms_to_bytes(BEHIND_CAP_MS));
        let (begin, end) = (self.ahead(stamp), self.ahead(stamp.saturating_add(signed(bytes as u64))));
        match begin {
            _ if begin.saturating_abs() < tolerance(bytes) => Place::Fits,
            _ if begin > highest || end < lowest => Place::Absurd,
            0.. => Place::Gap(begin.unsigned_abs()),
            _ if end > 0 => Place::Fits,
            _ => Place::Old,
        }
    }

    /// Bytes from the line's end to a media time; the first time that is asked for becomes the end.
    pub(super) fn ahead(&mut self, stamp: i64) -> i64 {
        let position = signed(self.gather.position());
        let base = *self.base.get_or_insert(stamp.saturating_sub(position));
        stamp.saturating_sub(base).saturating_sub(position)
    }

    /// Puts down what of a frame is not there yet; all of it if its time is unknown.
    pub(super) fn put(&mut self, stamp: Option<i64>, audio: &[u8], received: Instant) {
        let ahead = stamp.map_or(0, |stamp| self.ahead(stamp));
        let known = if ahead.saturating_abs() < tolerance(audio.len()) { 0 } else { usize::try_from(-ahead).unwrap_or(0) };
        match audio.get(known..) {
            Some(rest) if !rest.is_empty() => {
                self.received_bytes += rest.len() as u64;
                self.gather.push(rest, received);
            }
            _ => self.drop_old(ahead, audio.len()),
        }
    }

    /// Counts a frame all of which is there already, beginning so many bytes from the line's end.
    pub(super) fn drop_old(&mut self, ahead: i64, bytes: usize) {
        let from = signed(self.gather.position()).saturating_add(ahead);
        let was_filled = from < self.last_fill.1 && self.last_fill.0 < from.saturating_add(signed(bytes as u64));
        *(if was_filled { &mut self.late } else { &mut self.duplicates }) += 1;
    }

    /// Puts silence into the gap before a media time, and beyond the cap lets the clock jump. Says from where to where.
    pub(super) fn fill_up_to(&mut self, stamp: i64, received: Instant) -> (u64, u64) {
        let begin = self.gather.position();
        let gap = u64::try_from(self.ahead(stamp)).unwrap_or(0);
        let silence = gap.min(ms_to_bytes(FILL_CAP_MS));
        let from = signed(self.gather.position());
        self.gather.push_silence(silence, received);
        self.last_fill = (from, signed(self.gather.position()));
        self.filled_bytes += silence;
        if gap > silence {
            self.gather.skip(gap - silence);
            self.skipped_bytes += gap - silence;
        }
        (begin, self.gather.position())
    }

    /// Bytes from the line's first one to its end.
    pub(super) fn position(&self) -> u64 {
        self.gather.position()
    }

    /// Follows the sender to another clock, on which the line's end is `stamp`.
    pub(super) fn rebase(&mut self, stamp: i64) {
        self.base = Some(stamp.saturating_sub(signed(self.gather.position())));
    }
}

/// A cap on media times that keeps sums of them far from the type's end.
const MOST_MS: u64 = u64::MAX / 64;

/// A media time in bytes.
pub(super) fn stamp(timestamp_ms: u64) -> i64 {
    signed(ms_to_bytes(timestamp_ms.min(MOST_MS)))
}

/// Jitter up to here (not included) counts as none: half the frame, but at least what rounding to milliseconds explains.
pub(super) fn tolerance(bytes: usize) -> i64 {
    signed((bytes as u64 / 2).clamp(BYTES_PER_MS, ms_to_bytes(JITTER_CAP_MS)))
}

pub(super) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_placed_by_how_it_lies_to_the_lines_end() {
        let now = crate::clock::now();
        let mut line = Line::new(60);
        line.put(Some(stamp(1000)), &[1; 1600], now);
        let mut place =
            |timestamp_ms: u64, waited_ms: u64| line.place(stamp(timestamp_ms), 160, Duration::from_millis(waited_ms));
        for (timestamp_ms, expected) in [
            (1200, Place::Fits),
            (1209, Place::Fits),
            (1191, Place::Fits),
            (1190, Place::Fits),
            (1181, Place::Fits),
            (1180, Place::Old),
            (1000, Place::Old),
            (180, Place::Old),
            (179, Place::Absurd),
            (0, Place::Absurd),
            (1210, Place::Gap(80)),
            (601_200, Place::Gap(4_800_000)),
            (601_201, Place::Absurd),
            (u64::MAX, Place::Absurd),
        ] {
            assert_eq!(place(timestamp_ms, 0), expected, "{timestamp_ms}");
        }
        assert_eq!(place(661_200, 60_000), Place::Gap(5_280_000));
        assert_eq!(place(u64::MAX, u64::MAX), Place::Gap(u64::try_from(stamp(u64::MAX) - stamp(1200)).unwrap()));
    }
}
