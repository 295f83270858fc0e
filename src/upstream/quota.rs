//! ★ The session slots of the plan, shared by all links of the process: who gets one, who waits, and what a refusal means.
//!
//! Promises:
//! - A request is granted whole or not at all, in the order of its class; reconnects come before new calls.
//! - New calls leave [`reserve`] free, so that they cannot starve those that are live.
//! - No more is granted than the service let us have lately: a refusal shrinks the view to what is really open. What opens all the same
//!   is in the view at once; besides it grows each [`GROW_EVERY`], by one slot first and faster while all of it is really open.
//! - Where every slot that is granted is freed at some time, every request is granted at some time.
//!
//! The caller drains [`Quota::poll_output`] after every `handle_*`, and tells of every slot that is freed exactly once.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Share of the slots that new calls leave to live ones, in percent.
const RESERVE_PERCENT: usize = 5;
/// Under so many slots each is needed more than a reserve.
const RESERVE_FROM: usize = 20;
/// How often the view grows after the service refused one: a plan that other programs share is not asked for more all the time.
pub const GROW_EVERY: Duration = Duration::from_secs(5);
/// A step of growth is twice the one before where all of the view was open, so had room, up to this share of the limit in percent.
const GROW_PERCENT: usize = 10;
/// Where nothing of ours is open and still we are refused, the next try waits at least so long.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// The slots that new calls leave free, out of so many.
#[must_use]
pub const fn reserve(slots: usize) -> usize {
    if slots < RESERVE_FROM { 0 } else { slots * RESERVE_PERCENT / 100 }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A call that has had no slot yet.
    New,
    /// A call that has been live, and lost its slot or moved to another stream.
    Reconnect,
}

/// A request that waits, or waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

#[derive(Debug)]
struct Request {
    ticket: Ticket,
    slots: usize,
}

/// How full the plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fill {
    /// Slots in use.
    pub in_use: usize,
    /// Slots that may be in use now.
    pub limit: usize,
    /// Slots waited for.
    pub waiting: usize,
}

/// See the file's promises.
#[derive(Debug)]
pub struct Quota {
    limit: usize,
    /// What the service is taken to let us have, 1 to `limit`.
    view: usize,
    in_use: usize,
    /// Connections that are open.
    open: usize,
    reconnects: VecDeque<Request>,
    new: VecDeque<Request>,
    /// The service asked for quiet until then.
    quiet_until: Option<Instant>,
    /// The view grows then; `None` where it is whole.
    grows_at: Option<Instant>,
    /// By so many slots.
    grows_by: usize,
    granted: VecDeque<Ticket>,
    tickets: u64,
}

impl Quota {
    /// So many slots, at least one.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = limit.max(1);
        Self {
            limit,
            view: limit,
            in_use: 0,
            open: 0,
            reconnects: VecDeque::new(),
            new: VecDeque::new(),
            quiet_until: None,
            grows_at: None,
            grows_by: 1,
            granted: VecDeque::new(),
            tickets: 0,
        }
    }

    /// The slots that are set.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// How full the plan is.
    #[must_use]
    pub fn fill(&self) -> Fill {
        let waiting = self.reconnects.iter().chain(&self.new).map(|request| request.slots).sum();
        Fill { in_use: self.in_use, limit: self.view, waiting }
    }

    /// Whether so many slots would be granted at once.
    #[must_use]
    pub fn has_room(&self, slots: usize, class: Class, now: Instant) -> bool {
        let nobody_before = self.reconnects.is_empty() && (class == Class::Reconnect || self.new.is_empty());
        nobody_before && !self.is_quiet(now) && self.fits(slots, class)
    }

    /// Whether a request still waits.
    #[must_use]
    pub fn is_waiting(&self, ticket: Ticket) -> bool {
        self.reconnects.iter().chain(&self.new).any(|request| request.ticket == ticket)
    }

    /// Asks for so many slots, 1 to the limit, all or none.
    pub fn handle_request(&mut self, slots: usize, class: Class, now: Instant) -> Ticket {
        let request = self.request(slots);
        let ticket = request.ticket;
        self.queue(class).push_back(request);
        self.grant(now);
        ticket
    }

    /// Asks for one slot again that the service refused: it has waited its turn, and comes before all others of its class.
    pub fn handle_requested_again(&mut self, class: Class, now: Instant) -> Ticket {
        let request = self.request(1);
        let ticket = request.ticket;
        self.queue(class).push_front(request);
        self.grant(now);
        ticket
    }

    fn request(&mut self, slots: usize) -> Request {
        self.tickets += 1;
        Request { ticket: Ticket(self.tickets), slots: slots.clamp(1, self.limit) }
    }

    const fn queue(&mut self, class: Class) -> &mut VecDeque<Request> {
        match class {
            Class::New => &mut self.new,
            Class::Reconnect => &mut self.reconnects,
        }
    }

    /// One slot less is wanted by a request that waits; without a slot it is none. Says whether that ended it: what is left of it may be granted
    /// here and now.
    pub fn handle_withdrawn(&mut self, ticket: Ticket, now: Instant) -> bool {
        let mut is_ended = false;
        for queue in [&mut self.reconnects, &mut self.new] {
            queue.iter_mut().filter(|request| request.ticket == ticket).for_each(|request| request.slots -= 1);
            let before = queue.len();
            queue.retain(|request| request.slots > 0);
            is_ended |= queue.len() < before;
        }
        self.grant(now);
        is_ended
    }

    /// A granted slot is free again.
    pub fn handle_freed(&mut self, now: Instant) {
        self.in_use = self.in_use.saturating_sub(1);
        self.grant(now);
    }

    /// The connection of a slot is open: whatever was refused before, the service lets us have so many.
    pub fn handle_opened(&mut self, now: Instant) {
        self.open += 1;
        self.view = self.view.max(self.open.min(self.limit));
        if self.view == self.limit {
            self.grows_at = None;
        }
        self.grant(now);
    }

    /// An open connection is gone.
    pub const fn handle_closed(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// The service would not have one more. The slot of whoever was refused is freed besides.
    pub fn handle_refused(&mut self, retry_after: Option<Duration>, now: Instant) {
        self.view = self.open.clamp(1, self.limit);
        let pause = if self.open == 0 { REFUSED_PAUSE } else { Duration::ZERO };
        let quiet = now + retry_after.unwrap_or_default().max(pause);
        self.quiet_until = self.quiet_until.max(Some(quiet));
        self.grows_at = (self.view < self.limit).then_some(quiet + GROW_EVERY);
        self.grows_by = 1;
    }

    /// One more slot for a moment, for the connection that takes over from one of ours: now or not at all.
    pub fn take_overlap(&mut self, now: Instant) -> bool {
        let has_room = self.has_room(1, Class::Reconnect, now);
        self.in_use += usize::from(has_room);
        has_room
    }

    /// A deadline of [`Quota::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(at) = self.grows_at.filter(|at| *at <= now) {
            let is_proven = self.open >= self.view;
            self.view = self.limit.min(self.view + self.grows_by);
            self.grows_by = if is_proven { (2 * self.grows_by).min(self.limit * GROW_PERCENT / 100).max(1) } else { 1 };
            self.grows_at = (self.view < self.limit).then(|| at + GROW_EVERY);
        }
        self.grant(now);
    }

    /// When to call [`Quota::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.quiet_until.into_iter().chain(self.grows_at).min()
    }

    /// A request that has been granted.
    pub fn poll_output(&mut self) -> Option<Ticket> {
        self.granted.pop_front()
    }

    fn is_quiet(&self, now: Instant) -> bool {
        self.quiet_until.is_some_and(|until| until > now)
    }

    fn fits(&self, slots: usize, class: Class) -> bool {
        let kept = if class == Class::New { reserve(self.view) } else { 0 };
        // A call with more tracks than the plan has room for beside the reserve would wait for ever.
        let is_alone = self.in_use == 0 && slots <= self.view;
        is_alone || self.in_use + slots + kept <= self.view
    }

    fn grant(&mut self, now: Instant) {
        if self.is_quiet(now) {
            return;
        }
        self.quiet_until = None;
        loop {
            let class = if self.reconnects.is_empty() { Class::New } else { Class::Reconnect };
            let queue = if class == Class::New { &self.new } else { &self.reconnects };
            let Some(slots) = queue.front().map(|request| request.slots).filter(|slots| self.fits(*slots, class)) else { return };
            let request = self.queue(class).pop_front();
            self.granted.extend(request.map(|request| request.ticket));
            self.in_use += slots;
        }
    }
}

#[cfg(test)]
mod tests;
