//! Says the same thing so often, then counts: whoever is refused ten thousand times must not fill the log.
//!
//! Promises: the first [`LINES`] of a reason in [`INTERVAL`] are said each; what is left unsaid is told with the next one that is said.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Lines of one reason in [`INTERVAL`].
pub(super) const LINES: u32 = 20;
/// How long they are counted together.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// What was said lately, by reason.
#[derive(Debug, Default)]
pub(super) struct Sparing(Mutex<HashMap<&'static str, Said>>);

#[derive(Debug, Clone, Copy)]
struct Said {
    since: Instant,
    lines: u32,
    unsaid: u64,
}

impl Sparing {
    /// Whether this is to be said, with how many of its reason were left unsaid since the last that was.
    pub(super) fn say(&self, reason: &'static str, now: Instant) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said = all.entry(reason).or_insert(Said { since: now, lines: 0, unsaid: 0 });
        if now.saturating_duration_since(said.since) >= INTERVAL {
            (said.since, said.lines) = (now, 0);
        }
        if said.lines >= LINES {
            said.unsaid += 1;
            return None;
        }
        said.lines += 1;
        Some(std::mem::take(&mut said.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_said_so_often_in_an_interval_and_then_counted() {
        let (sparing, now) = (Sparing::default(), crate::clock::now());
        assert!((0..LINES).all(|_| sparing.say("one", now) == Some(0)));
        let just_before = now + INTERVAL.checked_sub(Duration::from_millis(1)).unwrap();
        assert!((0..500).all(|_| sparing.say("one", just_before).is_none()));
        assert_eq!(sparing.say("another", just_before), Some(0), "each reason for itself");
        assert_eq!(sparing.say("one", now + INTERVAL), Some(500));
        assert_eq!(sparing.say("one", now + INTERVAL), Some(0));
    }
}
