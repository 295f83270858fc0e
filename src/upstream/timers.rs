//! The deadlines of a link: one row for each reason to wake up.
//!
//! Promises: setting a timer replaces it; of several that are due, the earliest comes first.

use std::time::Instant;

/// Why a link wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// The backoff is over (or a loss has to be acted upon).
    Retry,
    /// The next replayed chunk may go.
    Pace,
    /// Nothing was sent for a while.
    Keepalive,
    /// Time to ask whether the peer is still there.
    Ping,
    /// Time to look whether the service still hears.
    Look,
    /// Audio has stopped under an open interim.
    Stall,
    /// The answer to `finalize` is overdue, and another one waits for it.
    Finalize,
    /// The answer to `close_stream` is overdue.
    Close,
    /// No slot came about soon enough after the end of the audio.
    SlotWait,
    /// The spool may have by now what it did not have.
    Fetch,
    /// No connection came about soon enough after the end of the audio.
    Drain,
    /// There has been no connection for so long that a sender is not kept waiting for one.
    Patience,
    /// The next step towards another connection in place of this one.
    Rotate,
}

impl Timer {
    const ALL: [Self; 13] = [
        Self::Retry,
        Self::Pace,
        Self::Keepalive,
        Self::Ping,
        Self::Look,
        Self::Stall,
        Self::Finalize,
        Self::Close,
        Self::SlotWait,
        Self::Fetch,
        Self::Drain,
        Self::Patience,
        Self::Rotate,
    ];

    /// Whether it means something only while a connection is open.
    const fn is_of_a_connection(self) -> bool {
        !matches!(self, Self::Retry | Self::SlotWait | Self::Drain | Self::Patience)
    }
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    pub(super) const fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }

    pub(super) const fn clear(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub(super) const fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize].is_some()
    }

    pub(super) const fn at(&self, timer: Timer) -> Option<Instant> {
        self.0[timer as usize]
    }

    /// The connection is gone, and its deadlines with it.
    pub(super) fn clear_connection(&mut self) {
        for timer in Timer::ALL.into_iter().filter(|timer| timer.is_of_a_connection()) {
            self.clear(timer);
        }
    }

    pub(super) fn clear_all(&mut self) {
        *self = Self::default();
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes the earliest timer that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let due = Timer::ALL
            .into_iter()
            .filter(|timer| self.at(*timer).is_some_and(|at| at <= now))
            .min_by_key(|timer| self.at(*timer))?;
        self.clear(due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_earliest_due_timer_comes_first_and_only_once() {
        let start = crate::clock::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set(Timer::Ping, at(20));
        timers.set(Timer::Close, at(10));
        timers.set(Timer::Drain, at(30));
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.take_due(at(9)), None);
        assert_eq!(timers.take_due(at(25)), Some(Timer::Close));
        assert_eq!(timers.take_due(at(25)), Some(Timer::Ping));
        assert_eq!(timers.take_due(at(25)), None);
        assert_eq!(timers.next(), Some(at(30)));
    }

    #[test]
    fn a_lost_connection_leaves_only_the_deadlines_of_the_link() {
        let now = crate::clock::now();
        let mut timers = Timers::default();
        for timer in Timer::ALL {
            timers.set(timer, now);
        }
        timers.clear_connection();
        let left: Vec<Timer> = Timer::ALL.into_iter().filter(|timer| timers.is_set(*timer)).collect();
        assert_eq!(left, [Timer::Retry, Timer::SlotWait, Timer::Drain, Timer::Patience]);
    }
}
