//! A stream's deadlines, by what they are for.

use std::time::Instant;

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// The start message must have come.
    Start,
    /// Any message must have come.
    Silence,
    /// The call must be over.
    Call,
    /// Our next ping is due.
    Ping,
}

impl Timer {
    const ALL: [Self; 4] = [Self::Start, Self::Silence, Self::Call, Self::Ping];
}

/// At most one deadline for each purpose.
#[derive(Debug, Default)]
pub(super) struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.into_iter().flatten().min()
    }

    /// Takes out one deadline that has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let due = Timer::ALL.into_iter().find(|timer| self.0[*timer as usize].is_some_and(|at| at <= now))?;
        self.clear(due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_deadline_comes_once_and_can_be_moved_or_cleared() {
        let now = crate::clock::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        timers.set(Timer::Ping, at(2));
        timers.set(Timer::Call, at(3));
        timers.set(Timer::Silence, at(1));
        timers.set(Timer::Silence, at(4));
        timers.set(Timer::Start, at(1));
        timers.clear(Timer::Start);
        assert_eq!((timers.next(), timers.pop_due(at(1))), (Some(at(2)), None));
        assert_eq!(
            [timers.pop_due(at(3)), timers.pop_due(at(3)), timers.pop_due(at(3))],
            [Some(Timer::Call), Some(Timer::Ping), None]
        );
        assert_eq!(timers.next(), Some(at(4)));
    }
}
