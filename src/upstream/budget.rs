//! How often the whole process may connect to the speech service: a token bucket that healthy connections fill again.
//!
//! Promises: never more than the burst at once and `rate` a second beside what healthy connections gave back; who waits is served in order,
//! links that have been live before new ones; new ones leave a quarter of the bucket to them.
//!
//! The caller drains [`Budget::poll_output`] after every `handle_*`.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::quota::Class;

/// Connects that a bucket which was full allows at once: as many as the standard plan has sessions (protocols/pulse.md section 7).
pub const BURST: u32 = 100;
/// This part of the bucket is for links that have been live before.
const KEPT: u32 = 4;

/// A connect that waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place(u64);

/// A connection that came of a connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life(u64);

/// See the file's promises.
#[derive(Debug)]
pub struct Budget {
    /// Time for one more token.
    every: Duration,
    burst: u32,
    tokens: u32,
    /// Up to here time was turned into tokens; moot while the bucket is full.
    filled: Instant,
    healthy_after: Duration,
    reconnects: VecDeque<Place>,
    new: VecDeque<Place>,
    /// Connections too young to have given back their token, oldest first, with when they will.
    young: VecDeque<(Instant, Life)>,
    ready: VecDeque<Place>,
    count: u64,
}

impl Budget {
    /// A full bucket. `per_second` and `burst` are at least 1; a connection that lives `healthy_after` gives back its token.
    #[must_use]
    pub fn new(per_second: u32, burst: u32, healthy_after: Duration, now: Instant) -> Self {
        Self {
            every: Duration::from_secs(1) / per_second.max(1),
            burst: burst.max(1),
            tokens: burst.max(1),
            filled: now,
            healthy_after,
            reconnects: VecDeque::new(),
            new: VecDeque::new(),
            young: VecDeque::new(),
            ready: VecDeque::new(),
            count: 0,
        }
    }

    /// Somebody wants to connect.
    pub fn handle_request(&mut self, class: Class, now: Instant) -> Place {
        self.count += 1;
        let place = Place(self.count);
        match class {
            Class::New => self.new.push_back(place),
            Class::Reconnect => self.reconnects.push_back(place),
        }
        self.handle_timeout(now);
        place
    }

    /// Who waited does not want to any more.
    pub fn handle_withdrawn(&mut self, place: Place) {
        self.reconnects.retain(|other| *other != place);
        self.new.retain(|other| *other != place);
    }

    /// A connect led to a connection.
    pub fn handle_opened(&mut self, now: Instant) -> Life {
        self.count += 1;
        let life = Life(self.count);
        self.young.push_back((now + self.healthy_after, life));
        life
    }

    /// The connection is gone; one that ended `well`, because we were done with it, was healthy at any age.
    pub fn handle_closed(&mut self, life: Life, well: bool, now: Instant) {
        let before = self.young.len();
        self.young.retain(|(_, other)| *other != life);
        if well && self.young.len() < before {
            self.give_back();
        }
        self.handle_timeout(now);
    }

    /// A deadline of [`Budget::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.young.front().is_some_and(|(due, _)| *due <= now) {
            self.young.pop_front();
            self.give_back();
        }
        self.fill(now);
        while let Some(place) = self.next() {
            self.tokens -= 1;
            self.ready.push_back(place);
        }
    }

    /// When to call [`Budget::handle_timeout`]; none while nobody waits.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let is_waited_for = !self.new.is_empty() || !self.reconnects.is_empty();
        let filled = self.filled + self.every;
        is_waited_for.then(|| self.young.front().map_or(filled, |(due, _)| filled.min(*due)))
    }

    /// Whose turn has come.
    pub fn poll_output(&mut self) -> Option<Place> {
        self.ready.pop_front()
    }

    fn next(&mut self) -> Option<Place> {
        match self.tokens {
            0 => None,
            _ if !self.reconnects.is_empty() => self.reconnects.pop_front(),
            tokens if tokens > self.burst / KEPT => self.new.pop_front(),
            _ => None,
        }
    }

    fn give_back(&mut self) {
        self.tokens = self.burst.min(self.tokens + 1);
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_nanos() / self.every.as_nanos();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        if passed >= self.burst - self.tokens {
            (self.tokens, self.filled) = (self.burst, now);
        } else {
            self.tokens += passed;
            self.filled += self.every * passed;
        }
    }
}

#[cfg(test)]
mod tests;
