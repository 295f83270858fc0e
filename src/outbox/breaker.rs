//! Whether an endpoint is ill, and when the next attempt may look whether it still is.
//!
//! Promises: after [`OPENS_AFTER`] failures in a row that say "ill" the breaker is open; while open it lets one probe at a time
//! through, [`PROBE_MIN`] after the failure before and then twice as long up to [`PROBE_MAX`], each spread by a fifth; any answer
//! that does not say "ill" closes it at once. Attempts that began before it opened change nothing by failing.

use std::time::{Duration, Instant};

use super::schedule::spread;
use crate::webhook::DeliveryId;

/// Failures in a row until an endpoint counts as ill: one bad event or one lost connection is not enough.
pub const OPENS_AFTER: u32 = 5;
/// The first pause before a probe.
pub const PROBE_MIN: Duration = Duration::from_secs(1);
/// The longest pause before a probe: how late a recovery is noticed.
pub const PROBE_MAX: Duration = Duration::from_mins(1);

/// What an attempt's outcome says of its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It answers: with success, or with a refusal of this event.
    Well,
    /// No answer, 5xx or 429.
    Ill {
        /// What it asked to be left alone for; a probe heeds it up to [`PROBE_MAX`].
        asked: Duration,
        /// Any random number, for the spread.
        chance: u32,
    },
}

enum Turn {
    /// No probe before this.
    Resting(Instant),
    /// The next head that is due is a probe.
    Ready,
    /// This one is under way.
    Probing(DeliveryId),
}

enum State {
    Closed { failures: u32 },
    Open { since: Instant, pause: Duration, turn: Turn },
}

/// One endpoint's breaker; closed at first.
pub struct Breaker(State);

impl Default for Breaker {
    fn default() -> Self {
        Self(State::Closed { failures: 0 })
    }
}

impl Breaker {
    /// Whether the endpoint counts as ill.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.0, State::Open { .. })
    }

    /// Whether it is open and a probe may begin.
    #[must_use]
    pub const fn may_probe(&self) -> bool {
        matches!(self.0, State::Open { turn: Turn::Ready, .. })
    }

    /// A probe begins; since when it has been open.
    pub fn handle_probe(&mut self, id: DeliveryId) -> Option<Instant> {
        let State::Open { since, turn, .. } = &mut self.0 else { return None };
        *turn = Turn::Probing(id);
        Some(*since)
    }

    /// An attempt came to an outcome.
    pub fn handle_sign(&mut self, id: DeliveryId, sign: Sign, now: Instant) {
        let Sign::Ill { asked, chance } = sign else {
            *self = Self::default();
            return;
        };
        let (since, pause) = match &mut self.0 {
            State::Closed { failures } if *failures + 1 < OPENS_AFTER => {
                *failures += 1;
                return;
            }
            State::Closed { .. } => (now, PROBE_MIN),
            State::Open { since, pause, turn: Turn::Probing(probe) } if *probe == id => (*since, PROBE_MAX.min(*pause * 2)),
            State::Open { .. } => return,
        };
        let rest = spread(pause, chance).max(asked.min(PROBE_MAX));
        self.0 = State::Open { since, pause, turn: Turn::Resting(now + rest) };
    }

    /// An attempt ended without telling anything of the endpoint: another may take the probe's turn.
    pub fn handle_nothing(&mut self, id: DeliveryId) {
        if let State::Open { turn, .. } = &mut self.0
            && matches!(turn, Turn::Probing(probe) if *probe == id)
        {
            *turn = Turn::Ready;
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let State::Open { turn, .. } = &mut self.0
            && matches!(turn, Turn::Resting(at) if *at <= now)
        {
            *turn = Turn::Ready;
        }
    }

    /// When [`Breaker::handle_timeout`] wants to be called.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.0 {
            State::Open { turn: Turn::Resting(at), .. } => Some(at),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;

    const MIDDLE: u32 = u32::MAX / 2 + 1;

    fn id(n: u64) -> DeliveryId {
        DeliveryId::new(Ulid::from_parts(n, 0))
    }

    fn ill(chance: u32) -> Sign {
        Sign::Ill { asked: Duration::ZERO, chance }
    }

    fn open(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        (0..5).for_each(|n| breaker.handle_sign(id(n), ill(MIDDLE), now));
        breaker
    }

    #[test]
    fn five_in_a_row_open_it_and_anything_between_begins_anew() {
        let now = crate::clock::now();
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            (0..4).for_each(|n| breaker.handle_sign(id(n), ill(MIDDLE), now));
            breaker.handle_sign(id(4), Sign::Well, now);
        }
        (0..4).for_each(|n| breaker.handle_sign(id(n), ill(MIDDLE), now));
        assert!(!breaker.is_open());
        breaker.handle_sign(id(4), ill(MIDDLE), now);
        assert!(breaker.is_open() && !breaker.may_probe());
    }

    #[test]
    fn probes_come_one_at_a_time_after_one_second_doubling_to_sixty() {
        let mut now = crate::clock::now();
        let mut breaker = open(now);
        let mut pauses = Vec::new();
        for n in 5..14 {
            let at = breaker.poll_timeout().unwrap();
            pauses.push((at - now).as_secs_f64().round());
            now = at;
            breaker.handle_timeout(now);
            assert!(breaker.may_probe());
            breaker.handle_probe(id(n));
            assert!(!breaker.may_probe() && breaker.poll_timeout().is_none());
            breaker.handle_sign(id(0), ill(MIDDLE), now);
            assert!(breaker.poll_timeout().is_none(), "one from before it opened changes nothing");
            breaker.handle_sign(id(n), ill(MIDDLE), now);
        }
        assert_eq!(pauses, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
        breaker.handle_sign(id(0), Sign::Well, now);
        assert!(!breaker.is_open(), "whoever succeeds closes it");
    }

    #[test]
    fn pauses_are_spread_by_a_fifth_and_heed_what_was_asked_for_up_to_a_minute() {
        let now = crate::clock::now();
        let first = |asked, chance| {
            let mut breaker = Breaker::default();
            (0..5).for_each(|n| breaker.handle_sign(id(n), Sign::Ill { asked: Duration::from_secs(asked), chance }, now));
            (breaker.poll_timeout().unwrap() - now).as_secs_f64()
        };
        assert!((first(0, 0) - 0.8).abs() < 0.001 && (first(0, u32::MAX) - 1.2).abs() < 0.001);
        assert!((first(7, 0) - 7.0).abs() < 0.001 && (first(86_400, 0) - 60.0).abs() < 0.001);
    }

    #[test]
    fn a_probe_that_tells_nothing_leaves_its_turn_to_another() {
        let now = crate::clock::now();
        let mut breaker = open(now);
        breaker.handle_timeout(now + PROBE_MAX);
        breaker.handle_probe(id(9));
        breaker.handle_nothing(id(8));
        assert!(!breaker.may_probe());
        breaker.handle_nothing(id(9));
        assert!(breaker.may_probe());
    }
}
