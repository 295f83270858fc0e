//! How fast a connection is sent its audio.
//!
//! Promises: what waited, and what a sender brings more than [`LEAD_MS`] ahead of real time, goes at a bounded multiple of real time;
//! a phone's own audio, jitter and short stalls included, goes as it comes.

use std::time::{Duration, Instant};

use crate::media::BYTES_PER_MS;

/// How far live audio may run ahead of real time before it is held back, in milliseconds: a stall of the network that is over comes at once.
const LEAD_MS: u64 = 1_000;
/// Bytes of 8 kHz mu-law in a second.
const BYTES_PER_SECOND: u64 = 1_000 * BYTES_PER_MS;

/// One connection's pace.
#[derive(Debug)]
pub(super) struct Pace {
    /// Audio waits for its turn.
    catching_up: bool,
    since: Instant,
    /// Sent since then.
    bytes: u64,
}

impl Pace {
    /// What came before the connection waits at first.
    pub(super) const fn new(now: Instant) -> Self {
        Self { catching_up: true, since: now, bytes: 0 }
    }

    /// When the next chunk may go, if that is not now: what waited goes at `speed` times real time.
    pub(super) fn due(&self, speed: u32, now: Instant) -> Option<Instant> {
        let due = self.since + Duration::from_micros(self.bytes * 1_000_000 / (BYTES_PER_SECOND * u64::from(speed.max(1))));
        (self.catching_up && due > now).then_some(due)
    }

    /// A chunk of so many bytes goes.
    pub(super) fn sent(&mut self, bytes: u64, now: Instant) {
        if !self.catching_up {
            let elapsed = u64::try_from(now.saturating_duration_since(self.since).as_millis()).unwrap_or(u64::MAX);
            let real = elapsed.saturating_mul(BYTES_PER_MS);
            if self.bytes <= real {
                (self.since, self.bytes) = (now, 0);
            } else if self.bytes - real > LEAD_MS * BYTES_PER_MS {
                (self.catching_up, self.since, self.bytes) = (true, now, 0);
            }
        }
        self.bytes += bytes;
    }

    /// Nothing waits any more: from here on audio goes as it comes. Says whether anything did.
    pub(super) fn caught_up(&mut self, now: Instant) -> bool {
        let waited = std::mem::take(&mut self.catching_up);
        if waited {
            (self.since, self.bytes) = (now, 0);
        }
        waited
    }

    /// Whether audio waits for its turn.
    pub(super) const fn is_behind(&self) -> bool {
        self.catching_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends chunks of 60 ms at these times, and says how many waited for their turn.
    fn held(pace: &mut Pace, start: Instant, times_ms: impl Iterator<Item = u64>) -> usize {
        let at = |ms| start + Duration::from_millis(ms);
        times_ms
            .filter(|ms| {
                let waits = pace.due(2, at(*ms)).is_some();
                pace.sent(480, at(*ms));
                waits
            })
            .count()
    }

    #[test]
    fn what_waited_goes_at_the_given_speed_and_then_as_it_comes() {
        let start = crate::clock::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.due(2, start), None);
        pace.sent(480, start);
        assert_eq!(pace.due(2, start), Some(start + Duration::from_millis(30)));
        assert_eq!(pace.due(2, start + Duration::from_millis(30)), None);
        assert!(pace.caught_up(start) && !pace.caught_up(start));
        pace.sent(480, start);
        assert_eq!(pace.due(2, start), None);
    }

    #[test]
    fn a_phone_is_never_held_back_not_even_after_a_stall() {
        let start = crate::clock::now();
        let mut pace = Pace::new(start);
        pace.caught_up(start);
        assert_eq!(held(&mut pace, start, (0..1_000).map(|n| n * 60)), 0);
        // Nothing for 900 ms, then all of it.
        let stalled = std::iter::repeat_n(60_840, 15).chain((0..1_000).map(|n| 60_900 + n * 60));
        assert_eq!(held(&mut pace, start, stalled), 0);
        // Hours of silence are no credit.
        assert_eq!(held(&mut pace, start, std::iter::repeat_n(9_000_000, 17)), 0);
    }

    #[test]
    fn a_sender_ahead_of_real_time_is_held_back() {
        let start = crate::clock::now();
        let mut pace = Pace::new(start);
        pace.caught_up(start);
        assert_eq!(held(&mut pace, start, std::iter::repeat_n(0, 18)), 0);
        assert!(pace.is_behind() && pace.due(2, start).is_some());
    }
}
