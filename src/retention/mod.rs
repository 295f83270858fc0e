//! ★ Sweep: what has been kept long enough goes, kind by kind, a little at a time.
//!
//! Promises: pure; nothing of a session that is live or has an event still to be delivered is asked for; each step is small, so that
//! the events of live calls never wait for it; a sweep that is broken off is taken up by the next one. The caller drains
//! [`Sweep::poll_output`], does what it says and answers with [`Sweep::handle_removed`] or [`Sweep::handle_failed`].

pub mod driver;

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::config::Retention;

/// How often a sweep begins; the first one begins at the start.
pub const EVERY: Duration = Duration::from_hours(1);
/// The most rows that one step takes: a few milliseconds of the writer's time.
pub const STEP_ROWS: u32 = 500;
/// The writer's rest between two steps, so that what live calls store goes first.
pub const STEP_REST: Duration = Duration::from_millis(20);
/// How long a sweep rests when the store cannot be read or written.
pub const FAILED_REST: Duration = Duration::from_mins(1);

/// What is removed, in this order: a parked delivery may be all that keeps a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Parked deliveries.
    Parked,
    /// Ended calls with all that belongs to them.
    Calls,
    /// The record of attempts.
    Attempts,
    /// Spooled audio of sessions that are no more.
    Audio,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Parked, Self::Calls, Self::Attempts, Self::Audio];

    /// The word in the counter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Calls => "calls",
            Self::Attempts => "attempts",
            Self::Audio => "audio",
        }
    }

    /// How long it is kept.
    fn kept(self, retention: &Retention) -> Duration {
        match self {
            Self::Parked => retention.parked,
            Self::Calls => retention.calls,
            Self::Attempts => retention.attempts,
            Self::Audio => Duration::ZERO,
        }
    }
}

/// A step to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Remove at most [`STEP_ROWS`] of this kind that are from before `before_wall_ms` (milliseconds since 1970-01-01 UTC).
    Remove {
        /// What.
        kind: Kind,
        /// See above.
        before_wall_ms: u64,
    },
    /// A sweep is over and removed this; one that removed nothing is not told.
    Tell(Removed),
}

/// How many of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed([u64; 4]);

impl Removed {
    /// Of one kind.
    #[must_use]
    pub const fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [parked, calls, attempts, audio] = self.0;
        write!(f, "{calls} calls, {parked} parked deliveries, {attempts} attempts, the audio of {audio} sessions")
    }
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// So many of its kind went.
    pub removed: u64,
    /// Whether there may be more of it.
    pub more: bool,
}

#[derive(Clone, Copy)]
enum State {
    /// Until the next sweep.
    Waiting(Instant),
    /// Between two steps.
    Resting { kind: usize, until: Instant },
    /// A step is to be done, or being done.
    Stepping { kind: usize, is_asked: bool },
}

/// See the module's page.
pub struct Sweep {
    retention: Retention,
    state: State,
    removed: Removed,
    told: Option<Removed>,
    began: Instant,
    /// The wall clock when the sweep began: what is old enough is fixed then, so that a sweep has an end.
    wall_ms: u64,
}

impl Sweep {
    /// The first sweep begins at once.
    #[must_use]
    pub fn new(retention: Retention, now: Instant) -> Self {
        Self { retention, state: State::Waiting(now), removed: Removed::default(), told: None, began: now, wall_ms: 0 }
    }

    /// Time has passed; `wall_ms` is the wall clock's.
    pub fn handle_timeout(&mut self, now: Instant, wall_ms: u64) {
        match self.state {
            State::Waiting(at) if at <= now => {
                (self.began, self.wall_ms, self.removed) = (now, wall_ms, Removed::default());
                self.state = State::Stepping { kind: 0, is_asked: false };
            }
            State::Resting { kind, until } if until <= now => self.state = State::Stepping { kind, is_asked: false },
            _ => {}
        }
    }

    /// The step is done.
    pub fn handle_removed(&mut self, step: Step, now: Instant) {
        let State::Stepping { kind, is_asked: true } = self.state else { return };
        self.removed.0[kind] += step.removed;
        let kind = if step.more { kind } else { kind + 1 };
        if kind < Kind::ALL.len() {
            self.state = State::Resting { kind, until: now + STEP_REST };
            return;
        }
        self.told = Some(self.removed).filter(|removed| *removed != Removed::default());
        self.state = State::Waiting((self.began + EVERY).max(now + STEP_REST));
    }

    /// The step could not be done: the same again, later.
    pub fn handle_failed(&mut self, now: Instant) {
        let State::Stepping { kind, .. } = self.state else { return };
        self.state = State::Resting { kind, until: now + FAILED_REST };
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(removed) = self.told.take() {
            return Some(Output::Tell(removed));
        }
        let State::Stepping { kind, is_asked: is_asked @ false } = &mut self.state else { return None };
        *is_asked = true;
        let kind = Kind::ALL[*kind];
        let kept_ms = u64::try_from(kind.kept(&self.retention).as_millis()).unwrap_or(u64::MAX);
        Some(Output::Remove { kind, before_wall_ms: self.wall_ms.saturating_sub(kept_ms) })
    }

    /// When [`Sweep::handle_timeout`] wants to be called; `None` while a step is being done.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting(at) | State::Resting { until: at, .. } => Some(at),
            State::Stepping { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
