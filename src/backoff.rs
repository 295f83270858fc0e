//! Growing, capped delays for trying again.
//!
//! Promises: the delay never exceeds its cap, and never falls under three quarters of what it would be without jitter; chance is an argument.

use std::time::Duration;

/// Doubling delays from `first` up to `cap`, each spread by up to a quarter either way.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// Starts with `first`; doubles with each failure up to `cap`.
    #[must_use]
    pub const fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, failures: 0 }
    }

    /// How many times in a row it has failed.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Notes one more failure and says how long to wait; `chance` is any random number.
    #[must_use]
    pub fn fail(&mut self, chance: u32) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.failures.min(16)).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        let spread = 0.75 + 0.5 * f64::from(chance) / f64::from(u32::MAX);
        doubled.mul_f64(spread).min(self.cap)
    }

    /// Starts over after a success.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_start_over_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(4));
        let middle = u32::MAX / 2;
        let delays: Vec<u128> = (0..5).map(|_| backoff.fail(middle).as_millis().div_ceil(10) * 10).collect();
        assert_eq!(delays, [500, 1000, 2000, 4000, 4000]);
        backoff.reset();
        assert!(backoff.fail(0) >= Duration::from_millis(375));
    }
}
