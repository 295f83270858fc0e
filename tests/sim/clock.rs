//! Virtual time: what happens next.

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

/// What is going to happen.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Happening {
    /// The phone's next piece of a track.
    Phone(usize),
    HangUp,
    /// A track's dial has an answer.
    Dialled(usize, u32),
    /// Something arrives at the service.
    Up(usize),
    /// The service sends what it has to say.
    Send(usize),
    /// Something arrives at the link.
    Down,
    /// A connection comes to harm.
    Harm(usize),
    /// The service is gone.
    Away,
    /// A track's write has taken too long.
    WriteDeadline(usize, u64),
    /// The spool answers a track.
    Fetched(usize),
    Stored,
}

struct Entry {
    at: u64,
    order: u64,
    what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// The clock and everything that is to come.
pub(crate) struct Clock {
    start: Instant,
    /// Microseconds since the call began.
    pub(crate) now: u64,
    heap: BinaryHeap<Entry>,
    order: u64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        // Some way into the clock's own life, as machines may look back.
        let start = pulse_bridge::clock::now() + Duration::from_hours(1);
        Self { start, now: 0, heap: BinaryHeap::new(), order: 0 }
    }

    pub(crate) fn instant(&self) -> Instant {
        self.start + Duration::from_micros(self.now)
    }

    pub(crate) fn instant_at(&self, at: u64) -> Instant {
        self.start + Duration::from_micros(at)
    }

    /// A machine's deadline in our time, never earlier than it.
    pub(crate) fn since_start(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX)
    }

    pub(crate) fn at(&mut self, at: u64, what: Happening) {
        self.order += 1;
        self.heap.push(Entry { at: at.max(self.now), order: self.order, what });
    }

    pub(crate) fn after(&mut self, after: u64, what: Happening) {
        self.at(self.now.saturating_add(after), what);
    }

    pub(crate) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// What happens next, and its time.
    pub(crate) fn pop(&mut self) -> Option<Happening> {
        let entry = self.heap.pop()?;
        self.now = self.now.max(entry.at);
        Some(entry.what)
    }
}
