//! When a failed delivery is tried again, and when it is given up.
//!
//! Promises: the delays are the contract's, each spread by a fifth either way; after the last of them comes parking, never dropping.
//! A probe of an ill endpoint costs its delivery no step, but not for longer than the whole schedule takes.

use std::time::Duration;

use super::breaker::PROBE_MAX;
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

/// All of the schedule, a little over three days: how long an ill endpoint may keep a delivery from its steps.
pub const WHOLE: Duration = {
    let (mut sum, mut step) = (Duration::ZERO, 0);
    while step < DELAYS.len() {
        sum = sum.saturating_add(DELAYS[step]);
        step += 1;
    }
    sum
};

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
    /// A probe failed: still due, no step used up; the breaker says when.
    Held {
        /// What the receiver asked for, if it did.
        delay: Duration,
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

/// The same for a probe, which had been due for `overdue` before it began.
#[must_use]
pub fn after_probe(used: u32, verdict: Verdict, overdue: Duration, chance: u32) -> Next {
    match verdict {
        Verdict::Delivered => Next::Delivered,
        Verdict::Pause => Next::Paused,
        Verdict::Retry | Verdict::RetryAfter(_) if overdue >= WHOLE => Next::Parked,
        Verdict::Retry => Next::Held { delay: Duration::ZERO },
        Verdict::RetryAfter(delay) if delay <= PROBE_MAX => Next::Held { delay },
        Verdict::RetryAfter(_) => next(used, verdict, chance),
    }
}

/// A duration moved by up to a fifth either way; `chance` is any random number.
pub(super) fn spread(step: Duration, chance: u32) -> Duration {
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

    #[test]
    fn a_probe_costs_no_step_for_three_days_and_then_gives_up() {
        let hour = Duration::from_hours(1);
        assert_eq!(after_probe(3, Verdict::Retry, WHOLE.saturating_sub(hour), 0), Next::Held { delay: Duration::ZERO });
        assert_eq!(after_probe(3, Verdict::Retry, WHOLE, 0), Next::Parked);
        assert_eq!(after_probe(3, Verdict::Delivered, WHOLE, 0), Next::Delivered);
        assert_eq!(after_probe(3, Verdict::Pause, WHOLE, 0), Next::Paused);
        assert_eq!(after_probe(3, Verdict::RetryAfter(PROBE_MAX), hour, 0), Next::Held { delay: PROBE_MAX });
        assert_eq!(after_probe(3, Verdict::RetryAfter(hour), hour, 0), Next::Again { delay: hour, used: 4 });
        assert_eq!(WHOLE.as_secs() / 3600, 75);
    }
}
