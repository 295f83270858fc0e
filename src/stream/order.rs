//! Places one track's frames on its media clock and gives out chunks.
//!
//! Promises: bytes come out in the order of their timestamps, each once; missing media time is mu-law silence up to
//! [`FILL_CAP_MS`] a gap and a jump of the clock beyond it; what was placed before is dropped; a frame that may be out
//! of order waits for the missing ones at most [`REORDER_WINDOW`] or [`REORDER_FRAMES`] frames; one bad timestamp never costs later
//! audio, nor moves the clock by hours. Offsets and times count from the track's first byte.
//! Source: protocols/ingress.md sections 3.2 and 14.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

pub use super::line::{AHEAD_CAP_MS, BEHIND_CAP_MS, FILL_CAP_MS};

use super::{
    holes::Holes,
    line::{Line, Place, signed, stamp, tolerance},
    sequence::Step,
};
use crate::media::{Chunk, bytes_to_ms, ms_to_bytes};

/// How long a frame waits for missing ones before it.
pub const REORDER_WINDOW: Duration = Duration::from_millis(100);
/// How many frames wait for missing ones before them.
pub const REORDER_FRAMES: usize = 5;
/// Frames with absurd timestamps that must agree on a new clock before it is believed.
pub const AGREEING_FRAMES: u8 = 3;
/// Frames in a row that come in sequence and yet repeat old time before the sender's clock counts as set back.
pub const REPEATING_FRAMES: u8 = 5;

/// A frame as it came.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The sender's media time of the first byte.
    pub timestamp_ms: Option<u64>,
    /// What its message number proves.
    pub step: Step,
    /// The bytes.
    pub audio: &'a [u8],
}

/// What happened to a track's audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OrderCounters {
    /// Audio placed, in milliseconds.
    pub received_ms: u64,
    /// Silence put in for what did not come.
    pub filled_ms: u64,
    /// Media time that neither came nor was filled.
    pub skipped_ms: u64,
    /// Frames dropped because their time was there already.
    pub duplicates: u64,
    /// Frames dropped because they came after the window, when silence stood in their place.
    pub late: u64,
    /// Frames put before one that came earlier.
    pub reordered: u64,
    /// Frames with an absurd timestamp, placed behind the one before them.
    pub bad_timestamps: u64,
}

/// One track's frames in order.
#[derive(Debug)]
pub struct Order {
    line: Line,
    chunk: Duration,
    /// Frames behind a gap, earliest media time first.
    held: VecDeque<Held>,
    /// A frame so far ahead that the next one must confirm it.
    doubt: Option<Held>,
    /// Where the next frame must lie to agree with those before that did not fit, and how many agree.
    suspect: Option<(i64, u8)>,
    /// The time of the last frame that fitted.
    fitted: Option<i64>,
    /// Frames in sequence whose times stood still, since the last one that went on from the one before it.
    still: u8,
    /// The run of the last frame that was neither dropped nor absurd.
    run: Option<u64>,
    last_received: Option<Instant>,
    /// When to let go of a partial chunk. Set while frames come, chunk or not, so that the deadline only ever moves on.
    quiet_at: Option<Instant>,
    reordered: u64,
    bad_timestamps: u64,
    /// Messages of the stream known to be missing, and how many of them when this track last had no hole.
    missing: (u64, u64),
    holes: Holes,
    /// Length of the last frame.
    last_bytes: usize,
}

#[derive(Debug)]
struct Held {
    stamp: i64,
    audio: Vec<u8>,
    received: Instant,
    /// Messages known to be missing when it came.
    missing: u64,
}

impl Order {
    /// A track without audio yet; chunks will be of `chunk_ms` milliseconds.
    #[must_use]
    pub fn new(chunk_ms: u64) -> Self {
        Self {
            line: Line::new(chunk_ms),
            chunk: Duration::from_millis(chunk_ms),
            held: VecDeque::new(),
            doubt: None,
            suspect: None,
            fitted: None,
            still: 0,
            run: None,
            last_received: None,
            quiet_at: None,
            reordered: 0,
            bad_timestamps: 0,
            missing: (0, 0),
            holes: Holes::default(),
            last_bytes: 0,
        }
    }

    /// Takes a frame; one without bytes changes nothing.
    pub fn handle_frame(&mut self, frame: Arrival<'_>, now: Instant) {
        if frame.audio.is_empty() {
            return;
        }
        self.quiet_at = Some(now + self.chunk);
        self.last_bytes = frame.audio.len();
        if frame.step.run.is_some() {
            self.missing = (frame.step.missing, self.missing.1.min(frame.step.missing));
        }
        match frame.timestamp_ms {
            None => self.line.put(None, frame.audio, now),
            Some(timestamp_ms) => self.handle_stamped(stamp(timestamp_ms), frame, now),
        }
        self.last_received = Some(now);
        self.holes.settle(self.line.position());
    }

    /// Gives up waiting where the time has come, and lets go of a partial chunk when no more frames come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |held: &Held| held.received + REORDER_WINDOW <= now;
        while self.held.iter().any(due) {
            self.release();
        }
        if self.doubt.as_ref().is_some_and(due) {
            self.settle_doubt(true);
        }
        if self.quiet_at.is_none_or(|at| at <= now) {
            self.quiet_at = None;
            self.line.flush();
        }
    }

    /// No more frames will come: places what waits and gives out the rest.
    pub fn handle_end(&mut self) {
        self.settle_doubt(true);
        self.release_all();
        self.quiet_at = None;
        self.line.flush();
    }

    /// What waits, waits no longer: it is placed and given out, and what was lost before it is told. More frames may come.
    pub fn let_go(&mut self) {
        self.release_all();
        self.settle_doubt(false);
        self.quiet_at = None;
        self.line.flush();
        self.holes.end();
    }

    /// The stream is over, so many of its messages are missing, and another track has got as far as `until_ms` from this one's first byte:
    /// what is missing behind this one's end was lost. To be called behind [`Order::handle_end`].
    pub fn handle_missing_end(&mut self, missing: u64, until_ms: u64) {
        self.missing.0 = self.missing.0.max(missing);
        self.note_hole(self.line.position(), ms_to_bytes(until_ms), missing, self.last_bytes);
        self.holes.end();
    }

    /// The next stretch that was lost on the way, as the numbers of the messages prove; in milliseconds from the track's first byte.
    pub fn poll_lost(&mut self) -> Option<(u64, u64)> {
        self.holes.pop()
    }

    /// The next chunk; its time counts from the track's first byte.
    pub fn poll_chunk(&mut self) -> Option<Chunk> {
        self.line.pop()
    }

    /// When to call [`Order::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.held.iter().chain(&self.doubt).map(|held| held.received + REORDER_WINDOW).min();
        [waiting, self.quiet_at].into_iter().flatten().min()
    }

    /// Whether any byte has been placed.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !self.line.is_empty()
    }

    /// The sender's media time of the track's first byte, in milliseconds; `None` before that, and while the sender gives no times.
    #[must_use]
    pub fn first_ms(&self) -> Option<u64> {
        self.line.base_ms()
    }

    /// Milliseconds from the track's first byte to its last one so far.
    #[must_use]
    pub fn length_ms(&self) -> u64 {
        self.line.length_ms()
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> OrderCounters {
        OrderCounters {
            received_ms: bytes_to_ms(self.line.received_bytes),
            filled_ms: bytes_to_ms(self.line.filled_bytes),
            skipped_ms: bytes_to_ms(self.line.skipped_bytes),
            duplicates: self.line.duplicates,
            late: self.line.late,
            reordered: self.reordered,
            bad_timestamps: self.bad_timestamps,
        }
    }

    fn handle_stamped(&mut self, stamp: i64, frame: Arrival<'_>, now: Instant) {
        let Arrival { step, audio, .. } = frame;
        if !self.line.is_anchored() {
            if !step.settled {
                return self.hold(stamp, frame, now);
            }
            self.release_all();
        }
        if self.doubt.is_some() {
            let is_back = self.line.ahead(stamp) < signed(ms_to_bytes(FILL_CAP_MS));
            self.settle_doubt(!is_back);
        }
        let waited = self.last_received.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        let in_sequence = step.run.is_some() && step.run == self.run;
        let longest = (REORDER_FRAMES * audio.len()) as u64;
        match self.line.place(stamp, audio.len(), waited) {
            Place::Fits => self.accept(stamp, frame, now),
            Place::Gap(bytes) if bytes > ms_to_bytes(FILL_CAP_MS) => {
                self.doubt = Some(Held { stamp, audio: audio.to_vec(), received: now, missing: self.missing.0 });
            }
            // Numbers tell what was lost on the way, not what the sender put in another order: a short gap may still be filled by it.
            Place::Gap(bytes) if in_sequence && self.held.is_empty() && (bytes > longest || self.still >= REPEATING_FRAMES) => {
                self.fill_up_to(stamp, now, (self.missing.0, audio.len()));
                self.accept(stamp, frame, now);
            }
            Place::Gap(_) => self.hold(stamp, frame, now),
            Place::Old if in_sequence && self.agrees(stamp, audio.len()) >= REPEATING_FRAMES => self.follow(stamp, audio, now),
            Place::Old if in_sequence && self.stands_still() => {
                self.bad_timestamps += 1;
                self.line.put(None, audio, now);
            }
            Place::Old => {
                let ahead = self.line.ahead(stamp);
                self.line.drop_old(ahead, audio.len());
            }
            Place::Absurd => {
                self.bad_timestamps += 1;
                if self.agrees(stamp, audio.len()) >= AGREEING_FRAMES {
                    self.follow(stamp, audio, now);
                } else {
                    self.line.put(None, audio, now);
                }
            }
        }
    }

    /// Places a frame that fits, and those that waited for it.
    fn accept(&mut self, stamp: i64, frame: Arrival<'_>, now: Instant) {
        self.suspect = None;
        let length = signed(frame.audio.len() as u64);
        if self
            .fitted
            .is_some_and(|last| stamp.saturating_sub(last).saturating_sub(length).saturating_abs() < tolerance(frame.audio.len()))
        {
            self.still = 0;
        }
        self.fitted = Some(stamp);
        self.run = frame.step.run;
        if self.held.is_empty() {
            self.missing.1 = self.missing.0;
        }
        self.reordered += u64::from(!self.held.is_empty());
        self.line.put(Some(stamp), frame.audio, now);
        self.drain();
    }

    fn hold(&mut self, stamp: i64, frame: Arrival<'_>, now: Instant) {
        self.run = frame.step.run;
        if self.held.iter().any(|other| other.stamp == stamp && other.audio.len() >= frame.audio.len()) {
            self.line.duplicates += 1;
            return;
        }
        let at = self.held.partition_point(|other| other.stamp <= stamp);
        self.reordered += u64::from(at < self.held.len());
        self.held.insert(at, Held { stamp, audio: frame.audio.to_vec(), received: now, missing: self.missing.0 });
        if self.held.len() > REORDER_FRAMES {
            self.release();
        }
    }

    /// Gives up waiting for what is missing before the earliest frame that waits.
    fn release(&mut self) {
        let Some(first) = self.held.pop_front() else { return };
        if self.line.ahead(first.stamp) >= tolerance(first.audio.len()) {
            self.fill_up_to(first.stamp, first.received, (first.missing, first.audio.len()));
        }
        self.put_held(&first);
        self.drain();
    }

    fn release_all(&mut self) {
        while !self.held.is_empty() {
            self.release();
        }
    }

    /// Puts silence where nothing came before a frame; that it was lost, rather than not sent, is told only where a message is missing
    /// that had not come before it, and has not come since; and no more of it than those messages can have held.
    fn fill_up_to(&mut self, stamp: i64, received: Instant, (missing, bytes): (u64, usize)) {
        let (from, to) = self.line.fill_up_to(stamp, received);
        self.note_hole(from, to, missing, bytes);
    }

    fn note_hole(&mut self, from: u64, to: u64, missing: u64, bytes: usize) {
        let missing = missing.min(self.missing.0);
        if missing > self.missing.1 && from < to {
            let most = (missing - self.missing.1).saturating_mul(bytes as u64);
            self.holes.add(from, to.min(from.saturating_add(most)));
            self.missing.1 = missing;
        }
    }

    /// Places the waiting frames that fit now.
    fn drain(&mut self) {
        while let Some(first) = self.held.pop_front() {
            if self.line.ahead(first.stamp) >= tolerance(first.audio.len()) {
                return self.held.push_front(first);
            }
            self.put_held(&first);
        }
    }

    fn put_held(&mut self, held: &Held) {
        self.line.put(Some(held.stamp), &held.audio, held.received);
        self.missing.1 = self.missing.1.max(held.missing.min(self.missing.0));
    }

    /// Decides on a frame that was far ahead: believed, it lies behind a gap; else its timestamp was bad.
    fn settle_doubt(&mut self, believed: bool) {
        let Some(doubt) = self.doubt.take() else { return };
        if believed {
            self.release_all();
            self.fill_up_to(doubt.stamp, doubt.received, (doubt.missing, doubt.audio.len()));
        } else {
            self.bad_timestamps += 1;
        }
        self.line.put(None, &doubt.audio, doubt.received);
    }

    /// Whether the sender's clock does not run with its audio (always zero, whole seconds), though by its numbers nothing came twice.
    fn stands_still(&mut self) -> bool {
        self.still = self.still.saturating_add(1);
        self.still >= REPEATING_FRAMES
    }

    /// Counts how many frames in a row, this one included, agree on a clock other than ours.
    fn agrees(&mut self, stamp: i64, bytes: usize) -> u8 {
        let agreeing = match self.suspect {
            Some((next, count)) if stamp.saturating_sub(next).saturating_abs() < tolerance(bytes) => count.saturating_add(1),
            _ => 1,
        };
        self.suspect = Some((stamp.saturating_add(signed(bytes as u64)), agreeing));
        agreeing
    }

    /// Follows the sender's new clock from this frame on, without moving ours.
    fn follow(&mut self, stamp: i64, audio: &[u8], now: Instant) {
        for waiting in std::mem::take(&mut self.held) {
            self.line.put(None, &waiting.audio, waiting.received);
        }
        self.suspect = None;
        self.line.rebase(stamp);
        self.line.put(None, audio, now);
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
