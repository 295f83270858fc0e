//! Session slots and connects as things that links hold and wait for.
//!
//! Promises: a slot is freed on every path, because dropping its [`Turn`] frees it; so is a place in a queue; a wait may be dropped
//! and begun again without losing its place. One lock, held for arithmetic only.

mod guards;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

pub(super) use guards::Open;
pub use guards::Overlap;
use guards::Waiting;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    metrics::Metrics,
    upstream::{
        Link, LinkSettings, LinkState, Remains, Report,
        budget::{BURST, Budget, Life, Place},
        quota::{Class, Fill, Quota, Ticket},
    },
};

/// A connection that was refused before it was so old, and on which nothing was heard, was never live.
const LIVE_AFTER: Duration = Duration::from_secs(5);

/// The slots and the connects of one process. Clones share.
#[derive(Clone)]
pub struct Turns(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// A deadline may have changed.
    changed: Notify,
    metrics: Arc<Metrics>,
}

struct State {
    quota: Quota,
    budget: Budget,
    parties: HashMap<Ticket, watch::Sender<bool>>,
    connects: HashMap<Place, oneshot::Sender<()>>,
    /// Somebody waits for a slot, and it was said.
    is_full: bool,
}

impl Turns {
    /// `sessions` slots and `per_second` connects, both at least 1; a connection that lives `healthy_after` costs nothing.
    #[must_use]
    pub fn new(sessions: usize, per_second: u32, healthy_after: Duration, metrics: Arc<Metrics>) -> Self {
        let state = State {
            quota: Quota::new(sessions),
            budget: Budget::new(per_second, BURST, healthy_after, clock::now()),
            parties: HashMap::new(),
            connects: HashMap::new(),
            is_full: false,
        };
        let turns = Self(Arc::new(Shared { state: Mutex::new(state), changed: Notify::new(), metrics }));
        turns.change(|_, _| ());
        turns
    }

    /// Tells the time to both machines, until stopped; without it nobody who waits is ever served by time alone.
    pub async fn keep_time(self, stopped: CancellationToken) {
        loop {
            let due = self.serve(|state, now| {
                state.quota.handle_timeout(now);
                state.budget.handle_timeout(now);
                state.quota.poll_timeout().into_iter().chain(state.budget.poll_timeout()).min()
            });
            tokio::select! {
                () = clock::sleep_until(due) => {}
                () = self.0.changed.notified() => {}
                () = stopped.cancelled() => return,
            }
        }
    }

    /// How full the plan is.
    #[must_use]
    pub fn fill(&self) -> Fill {
        self.state().quota.fill()
    }

    /// Whether so many slots would be granted at once.
    #[must_use]
    pub fn has_room(&self, slots: usize, class: Class) -> bool {
        self.state().quota.has_room(slots, class, clock::now())
    }

    /// A slot for each of so many tracks of one call, all at once or none, as soon as there are as many. A plan with fewer slots than that
    /// gives each as it has one.
    #[must_use]
    pub fn ask(&self, tracks: usize, class: Class) -> Vec<Turn> {
        self.change(|state, now| self.request(state, tracks, class, now))
    }

    /// As [`Turns::ask`], but now or not at all.
    #[must_use]
    pub fn take(&self, tracks: usize, class: Class) -> Option<Vec<Turn>> {
        self.change(|state, now| {
            let has_room = state.quota.has_room(tracks.min(state.quota.limit()), class, now);
            has_room.then(|| self.request(state, tracks, class, now))
        })
    }

    /// For a track that is not to be streamed.
    #[must_use]
    pub fn none(&self) -> Turn {
        Turn::new(self.clone(), None, Class::New, clock::now())
    }

    fn request(&self, state: &mut State, tracks: usize, class: Class, now: Instant) -> Vec<Turn> {
        let together = if tracks > state.quota.limit() { 1 } else { tracks };
        let party = |state: &mut State| {
            let seat = Seat::ask(state, together, class, now);
            (0..together).map(move |_| Turn::new(self.clone(), Some(seat.clone()), class, now))
        };
        (0..tracks / together.max(1)).flat_map(|_| party(state)).collect()
    }

    /// Changes something, and tells whom it concerns and whoever keeps the time.
    fn change<T>(&self, change: impl FnOnce(&mut State, Instant) -> T) -> T {
        let result = self.serve(change);
        self.0.changed.notify_one();
        result
    }

    /// As [`Turns::change`], for whoever keeps the time.
    fn serve<T>(&self, change: impl FnOnce(&mut State, Instant) -> T) -> T {
        let now = clock::now();
        let mut state = self.state();
        let result = change(&mut state, now);
        while let Some(ticket) = state.quota.poll_output() {
            if let Some(party) = state.parties.remove(&ticket) {
                party.send_replace(true);
            }
        }
        while let Some(place) = state.budget.poll_output() {
            // Whoever has gone between being served and being told has spent its token.
            state.connects.remove(&place).map(|told| told.send(()));
        }
        let fill = state.quota.fill();
        let turned = (fill.waiting > 0) != state.is_full;
        state.is_full = fill.waiting > 0;
        drop(state);
        self.0.metrics.sessions(fill.in_use, fill.limit, fill.waiting);
        if turned {
            self.say(fill, now);
        }
        result
    }

    fn say(&self, fill: Fill, now: Instant) {
        let Fill { in_use, limit, waiting } = fill;
        let Some(unsaid) = self.0.metrics.plan_turned(now) else { return };
        if waiting > 0 {
            tracing::warn!(in_use, limit, waiting, unsaid, "the speech service's plan is full: calls wait for a session");
        } else {
            tracing::info!(in_use, limit, unsaid, "the speech service's plan has room again: no call waits for a session");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The arithmetic is whole between any two statements of a holder.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a track has of a request: the request is its whole call's.
#[derive(Clone)]
struct Seat {
    ticket: Ticket,
    granted: watch::Receiver<bool>,
    /// Whether the wait of the call was told.
    told: Arc<AtomicBool>,
}

impl Seat {
    fn ask(state: &mut State, slots: usize, class: Class, now: Instant) -> Self {
        let ticket = state.quota.handle_request(slots, class, now);
        Self::of(state, ticket)
    }

    fn ask_again(state: &mut State, class: Class, now: Instant) -> Self {
        let ticket = state.quota.handle_requested_again(class, now);
        Self::of(state, ticket)
    }

    fn of(state: &mut State, ticket: Ticket) -> Self {
        let (sender, granted) = watch::channel(false);
        state.parties.insert(ticket, sender);
        Self { ticket, granted, told: Arc::default() }
    }
}

/// One link's right to a session: its slot, or its place among those who wait for one.
pub struct Turn {
    turns: Turns,
    /// None where the track is not to be streamed, or needs no slot any more.
    seat: Option<Seat>,
    is_streamed: bool,
    /// As what it asks while it has not been live.
    class: Class,
    asked: Instant,
    /// Its first connection that was not refused at once.
    opened: Option<Instant>,
    is_heard: bool,
}

impl Turn {
    const fn new(turns: Turns, seat: Option<Seat>, class: Class, asked: Instant) -> Self {
        Self { turns, is_streamed: seat.is_some(), seat, class, asked, opened: None, is_heard: false }
    }

    /// Those that have been live come before those that have not.
    fn class(&self) -> Class {
        self.opened.map_or(self.class, |_| Class::Reconnect)
    }

    /// Asks for a slot where the one that it had was given back.
    pub(super) fn want(&mut self) {
        if self.is_streamed && self.seat.is_none() {
            let class = self.class();
            self.seat = Some(self.turns.change(|state, now| Seat::ask(state, 1, class, now)));
            self.asked = clock::now();
        }
    }

    /// Whether it has its slot.
    #[must_use]
    pub fn is_granted(&self) -> bool {
        self.seat.as_ref().is_some_and(|seat| *seat.granted.borrow())
    }

    /// The link of this turn. What is never streamed is not kept in memory.
    pub(super) fn link(&self, settings: &Arc<LinkSettings>, remains: Option<&Remains>) -> Link {
        if self.seat.is_some() {
            return Link::new(Arc::clone(settings), remains, clock::now());
        }
        let settings = LinkSettings { memory_ms: 0, ..LinkSettings::clone(settings) };
        let mut link = Link::new(Arc::new(settings), remains, clock::now());
        link.handle_unstreamed();
        link
    }

    /// Waits for the slot; never comes where there is none to come.
    pub(super) fn granted(&self) -> impl Future<Output = ()> + Send + 'static {
        let granted = self.seat.as_ref().map(|seat| seat.granted.clone());
        async move {
            let Some(mut granted) = granted else { return std::future::pending().await };
            if granted.wait_for(|granted| *granted).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// What a link says of itself and its slot.
    pub(super) fn note(&mut self, report: &Report) {
        match report {
            Report::State(LinkState::Queued) => self.say_queued(),
            Report::State(LinkState::Reconnecting { cause, .. }) if cause.is_quota() => self.refused(cause.retry_after()),
            Report::State(LinkState::Refused(_)) => self.give_back(),
            Report::Interim(_) | Report::Final(_) => self.is_heard = true,
            _ => {}
        }
    }

    /// Tells once a call that it waits.
    fn say_queued(&self) {
        self.turns.0.metrics.queued();
        if self.seat.as_ref().is_none_or(|seat| seat.told.swap(true, Ordering::Relaxed)) {
            return;
        }
        let Fill { in_use, limit, waiting } = self.turns.fill();
        tracing::info!(in_use, limit, waiting, "the call waits for a session of the speech service; its audio is kept");
    }

    /// Tells once a call that it waits no more.
    pub(super) fn say_granted(&self) {
        if !self.seat.as_ref().is_some_and(|seat| seat.told.swap(false, Ordering::Relaxed)) {
            return;
        }
        let waited_ms = clock::now().saturating_duration_since(self.asked).as_millis();
        tracing::info!(waited_ms, "the call has a session of the speech service");
    }

    /// Waits until the process may connect once more.
    pub(super) fn may_connect(&self) -> impl Future<Output = ()> + Send + 'static {
        let (turns, class) = (self.turns.clone(), self.class());
        async move {
            let (told, mut hears) = oneshot::channel();
            let place = turns.change(|state, now| {
                let place = state.budget.handle_request(class, now);
                state.connects.insert(place, told);
                place
            });
            if hears.try_recv().is_ok() {
                return;
            }
            turns.0.metrics.connect_waited();
            let _place = Waiting { turns, place };
            let _ = hears.await;
        }
    }

    /// The link has a connection; it is open until the guard is dropped.
    pub(super) fn opened(&mut self) -> Open {
        self.opened.get_or_insert_with(clock::now);
        let life = self.turns.change(|state, now| {
            state.quota.handle_opened(now);
            state.budget.handle_opened(now)
        });
        Open { turns: self.turns.clone(), life, well: false }
    }

    /// The service would not have this session: its slot is given back, and asked for again before any other of its class.
    fn refused(&mut self, retry_after: Option<Duration>) {
        self.next_refused(retry_after);
        let lived = |at: &Instant| self.is_heard || clock::now().saturating_duration_since(*at) >= LIVE_AFTER;
        self.opened = self.opened.filter(lived);
        let (class, seat) = (self.class(), self.seat.take());
        self.seat = self.turns.change(|state, now| {
            seat.map(|seat| {
                // Before its slot is free for others.
                let again = Seat::ask_again(state, class, now);
                give_back(state, seat.ticket, now);
                again
            })
        });
        self.asked = clock::now();
    }

    /// The service would not have one more session beside this link's own.
    pub(super) fn next_refused(&self, retry_after: Option<Duration>) {
        self.turns.0.metrics.quota_shrank();
        self.turns.change(|state, now| state.quota.handle_refused(retry_after, now));
    }

    /// No session is wanted any more.
    fn give_back(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.turns.change(|state, now| give_back(state, seat.ticket, now));
        }
    }

    /// One more slot for as long as the next connection takes over from this link's: now, out of the reserve, or not at all.
    #[must_use]
    pub fn overlap(&self) -> Option<Overlap> {
        self.turns.change(|state, now| state.quota.take_overlap(now)).then(|| Overlap(self.turns.clone()))
    }
}

fn give_back(state: &mut State, ticket: Ticket, now: Instant) {
    if state.quota.is_waiting(ticket) {
        if state.quota.handle_withdrawn(ticket, now) {
            state.parties.remove(&ticket);
        }
    } else {
        state.quota.handle_freed(now);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests;
