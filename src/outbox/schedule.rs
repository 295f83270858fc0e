//! When a failed delivery is tried again, and when it is given up.
//!
//! Promises: the delays are the contract's, each spread by a fifth either way; after the last of them comes parking, never dropping.

use std::time::Duration;

use crate::webhook::Verdict;

/// The delay before each attempt, counted from the end of the one before. Contract, section Events.
pub const DELAYS: [Duration; 12] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];
/// How far a delay may lie from its step, as a part of it.
const JITTER: f64 = 0.2;

/// What follows from a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Done; the lane goes on.
    Delivered,
    /// Once more after `delay`, `used` steps of the schedule used up by then.
    Again {
        /// From the end of the attempt.
        delay: Duration,
        /// Attempts that failed so far, at most as many as [`DELAYS`].
        used: u32,
    },
    /// Given up until somebody asks; the lane goes on.
    Parked,
    /// The endpoint wants nothing; it waits with all its events, and this attempt used up no step.
    Paused,
}

/// Decides what follows when an attempt that had `used` failed ones before it got a verdict; `chance` is any random number.
#[must_use]
pub fn next(used: u32, verdict: Verdict, chance: u32) -> Next {
    let used = used.saturating_add(1);
    let step = DELAYS.get(used as usize);
    match (verdict, step) {
        (Verdict::Delivered, _) => Next::Delivered,
        (Verdict::Pause, _) => Next::Paused,
        (Verdict::Retry | Verdict::RetryAfter(_), None) => Next::Parked,
        (Verdict::RetryAfter(delay), Some(_)) => Next::Again { delay, used },
        (Verdict::Retry, Some(step)) => Next::Again { delay: spread(*step, chance), used },
    }
}

fn spread(step: Duration, chance: u32) -> Duration {
    let part = f64::from(chance) / f64::from(u32::MAX);
    step.mul_f64(1.0 - JITTER + 2.0 * JITTER * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u32 = u32::MAX / 2 + 1;

    #[test]
    fn a_delivery_that_never_succeeds_takes_every_step_and_is_parked() {
        let mut delays = Vec::new();
        let mut used = 0;
        while let Next::Again { delay, used: now } = next(used, Verdict::Retry, MIDDLE) {
            delays.push(delay.as_secs_f64().round());
            used = now;
        }
        let hours = |hours: f64| hours * 3600.0;
        let expected =
            [1.0, 5.0, 30.0, 300.0, 1800.0, hours(2.0), hours(5.0), hours(10.0), hours(14.0), hours(20.0), hours(24.0)];
        assert_eq!(delays, expected);
        assert_eq!(next(used, Verdict::Retry, MIDDLE), Next::Parked);
        assert_eq!(next(u32::MAX, Verdict::Retry, MIDDLE), Next::Parked);
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        let delay = |chance| match next(3, Verdict::Retry, chance) {
            Next::Again { delay, .. } => delay.as_secs_f64(),
            other => panic!("{other:?}"),
        };
        assert!((delay(0) - 240.0).abs() < 0.001 && (delay(u32::MAX) - 360.0).abs() < 0.001);
    }

    #[test]
    fn what_the_receiver_asks_for_replaces_the_step_exactly_and_uses_it_up() {
        let asked = Duration::from_secs(7);
        assert_eq!(next(0, Verdict::RetryAfter(asked), 0), Next::Again { delay: asked, used: 1 });
        assert_eq!(next(11, Verdict::RetryAfter(asked), 0), Next::Parked);
    }

    #[test]
    fn success_and_pause_end_it_at_any_step() {
        for used in 0..14 {
            assert_eq!(next(used, Verdict::Delivered, 0), Next::Delivered);
            assert_eq!(next(used, Verdict::Pause, 0), Next::Paused);
        }
    }
}
