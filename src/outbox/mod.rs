//! ★ The Ledger: which delivery is due, and what an attempt's end leads to.
//!
//! A lane is what must stay in order: to an ordered endpoint, the events of one session by their `seq`; to any other, each
//! delivery by itself. Only the head of a lane is tried; while it waits for its next attempt the lane waits with it. A
//! parked head lets the lane go on: the receiver sees the jump in `seq` and fetches what it lacks.
//!
//! An endpoint that is ill ([`Breaker`]) gets probes only, so that its deliveries keep their steps. One that has a single lane
//! needs no breaker: the lane's own schedule is slow enough, and is kept to the second.
//!
//! Promises: at most [`AT_ONCE`] attempts at a time to one endpoint and one to a lane; one endpoint never waits for another;
//! at most [`HELD_MAX`] deliveries of an endpoint are held, as names without bodies; where they are more, lanes that wait for long make
//! room for those that do not, and come back when they are due ([`Ledger::make_room`]). The caller drains
//! [`Ledger::poll_output`] after each `handle_*`, leases what begins, stores what an attempt came to, and only then calls
//! [`Ledger::handle_settled`].

mod away;
pub mod breaker;
pub mod driver;
pub mod schedule;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::{Duration, Instant},
};

pub use away::LaneKey;
pub use breaker::{Breaker, Sign};
pub use schedule::Next;

use self::away::Away;
use crate::{
    media::{EndpointName, SessionId},
    webhook::DeliveryId,
};

/// The most attempts under way to one endpoint: enough for 1,000 events a second at 60 ms each, few enough for a small receiver.
pub const AT_ONCE: usize = 64;
/// The most deliveries of one endpoint in memory (about 200 bytes each); the rest waits in the store.
pub const HELD_MAX: usize = 20_000;
/// How long nothing begins after the store refused a lease or a verdict: a delivery may have arrived and is sent again, but not in a rush.
pub const UNSTORED_REST: Duration = Duration::from_secs(1);

/// A pending delivery as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its name.
    pub id: DeliveryId,
    /// Whose event.
    pub session: SessionId,
    /// The event's number.
    pub seq: u64,
    /// Its place in the store; a retry by hand gives it a new one.
    pub place: u64,
    /// Steps of the schedule used up.
    pub used: u32,
    /// Not before.
    pub at: Instant,
}

/// An attempt to begin now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// To whom.
    pub endpoint: EndpointName,
    /// What.
    pub id: DeliveryId,
    /// Steps of the schedule used up before it.
    pub used: u32,
    /// Whether it is a probe of an ill endpoint, which uses up none ([`schedule::after_probe`]); since when that is ill.
    pub probe: Option<Instant>,
}

/// How an endpoint's deliveries go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// As they are due.
    Open,
    /// One probe at a time, because it is ill.
    Probing,
    /// Not at all, because it said 410.
    Paused,
}

/// How an attempt ended for the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Its outcome is stored.
    Stored {
        /// What follows for it.
        next: Next,
        /// What follows for its endpoint.
        sign: Sign,
    },
    /// The store refused its lease, so nothing was sent; or its outcome.
    Unstored,
    /// It was no longer pending (delivered meanwhile, or erased), so nothing was sent.
    Gone,
}

/// Counts lanes from 0; never used again.
type LaneId = u64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum LaneState {
    Waiting(Instant),
    Ready,
    Trying(DeliveryId),
}

struct Lane {
    key: LaneKey,
    endpoint: usize,
    /// By `seq`; the first is the head.
    queue: BTreeMap<u64, Due>,
    state: LaneState,
    /// What is being tried was asked for again meanwhile: whether that came before its outcome or after, only the store knows.
    again: Option<Due>,
}

struct Row {
    name: EndpointName,
    ordered: bool,
    paused: bool,
    held: usize,
    trying: usize,
    breaker: Breaker,
    lanes: HashMap<LaneKey, LaneId>,
    /// Lanes whose head is due; one that changed its mind is passed over when its turn comes.
    ready: VecDeque<LaneId>,
    /// When waiting lanes are due.
    timers: BTreeSet<(Instant, LaneId)>,
    away: Away,
}

impl Row {
    /// Whether only probes may begin.
    fn is_guarded(&self) -> bool {
        self.breaker.is_open() && (self.lanes.len() > 1 || !self.away.is_empty())
    }

    /// The lane that this delivery belongs to.
    fn key(&self, id: DeliveryId, session: &SessionId) -> LaneKey {
        if self.ordered { LaneKey::Session(session.clone()) } else { LaneKey::Single(id) }
    }

    fn may_begin(&self) -> bool {
        !self.paused && self.trying < AT_ONCE && (!self.is_guarded() || self.breaker.may_probe())
    }
}

/// See the module's page.
pub struct Ledger {
    endpoints: Vec<Row>,
    lanes: HashMap<LaneId, Lane>,
    lane_of: HashMap<DeliveryId, LaneId>,
    next_lane: LaneId,
    /// The store refused something: nothing begins before this.
    rest: Option<Instant>,
    held_max: usize,
}

impl Ledger {
    /// For these endpoints: name, and whether a session's events stay in order.
    #[must_use]
    pub fn new(endpoints: impl IntoIterator<Item = (EndpointName, bool)>) -> Self {
        let row = |(name, ordered)| Row {
            name,
            ordered,
            paused: false,
            held: 0,
            trying: 0,
            breaker: Breaker::default(),
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            timers: BTreeSet::new(),
            away: Away::default(),
        };
        Self {
            endpoints: endpoints.into_iter().map(row).collect(),
            lanes: HashMap::new(),
            lane_of: HashMap::new(),
            next_lane: 0,
            rest: None,
            held_max: HELD_MAX,
        }
    }

    /// How many more deliveries of this endpoint may be handed in.
    #[must_use]
    pub fn room(&self, endpoint: &EndpointName) -> usize {
        self.row(endpoint).map_or(0, |row| self.held_max.saturating_sub(self.endpoints[row].held))
    }

    /// How the endpoint's deliveries go.
    #[must_use]
    pub fn flow(&self, endpoint: &EndpointName) -> Flow {
        match self.row(endpoint).map(|row| &self.endpoints[row]) {
            Some(row) if row.paused => Flow::Paused,
            Some(row) if row.breaker.is_open() => Flow::Probing,
            _ => Flow::Open,
        }
    }

    /// Whether any endpoint is paused.
    #[must_use]
    pub fn is_any_paused(&self) -> bool {
        self.endpoints.iter().any(|row| row.paused)
    }

    /// Whether nothing is under way and nothing could begin now.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.endpoints.iter().all(|row| row.trying == 0 && (self.rest.is_some() || !row.may_begin() || row.ready.is_empty()))
    }

    /// Who is paused, as it is stored: all others go on.
    pub fn handle_paused(&mut self, is_paused: impl Fn(&EndpointName) -> bool) {
        self.endpoints.iter_mut().for_each(|row| row.paused = is_paused(&row.name));
    }

    /// A delivery is pending. One that is here already, at another place, was asked for again by hand: it is due anew.
    ///
    /// # Panics
    /// If the ledger contradicts itself, which would be a bug in it.
    pub fn handle_pending(&mut self, endpoint: &EndpointName, due: Due, now: Instant) {
        let Some(row) = self.row(endpoint) else { return };
        if let Some(&lane) = self.lane_of.get(&due.id) {
            return self.renew(lane, due, now);
        }
        let key = self.endpoints[row].key(due.id, &due.session);
        if self.endpoints[row].away.has(&key) {
            // It comes with the rest of its lane.
            return self.endpoints[row].away.ask(&key);
        }
        let lane = self.lane(row, key, now);
        self.lane_of.insert(due.id, lane);
        self.endpoints[row].held += 1;
        self.lanes.get_mut(&lane).expect("a lane was just found or made").queue.insert(due.seq, due);
        self.place(lane, now);
    }

    /// An attempt ended and its outcome is stored, or is known to be not.
    ///
    /// # Panics
    /// If the ledger contradicts itself, which would be a bug in it.
    pub fn handle_settled(&mut self, id: DeliveryId, settled: Settled, now: Instant) {
        let Some(&lane_id) = self.lane_of.get(&id) else { return };
        let lane = self.lanes.get_mut(&lane_id).expect("a held delivery has a lane");
        if lane.state != LaneState::Trying(id) {
            return;
        }
        let row = &mut self.endpoints[lane.endpoint];
        row.trying -= 1;
        lane.state = LaneState::Waiting(now);
        match settled {
            Settled::Stored { next, sign } => {
                row.breaker.handle_sign(id, sign, now);
                row.paused |= next == Next::Paused;
            }
            Settled::Unstored => self.rest = Some(now + UNSTORED_REST),
            Settled::Gone => {}
        }
        row.breaker.handle_nothing(id);
        let due = lane.queue.values_mut().find(|due| due.id == id).expect("what is tried is held");
        match (lane.again.take(), settled) {
            (again, Settled::Unstored) => {
                due.used = again.map_or(due.used, |again| again.used);
                due.at = now + UNSTORED_REST;
            }
            (Some(again), _) => *due = again,
            (None, Settled::Stored { next: Next::Again { delay, used }, .. }) => (due.at, due.used) = (now + delay, used),
            (None, Settled::Stored { next: Next::Held { delay }, .. }) => due.at = now + delay,
            (None, Settled::Stored { next: Next::Paused, .. }) => {}
            (None, Settled::Stored { next: Next::Delivered | Next::Parked, .. } | Settled::Gone) => {
                let seq = due.seq;
                lane.queue.remove(&seq);
                self.lane_of.remove(&id);
                row.held -= 1;
            }
        }
        self.place(lane_id, now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.rest = self.rest.filter(|rest| *rest > now);
        for row in 0..self.endpoints.len() {
            self.endpoints[row].breaker.handle_timeout(now);
            self.endpoints[row].away.handle_timeout(now);
            while let Some(&(at, lane)) = self.endpoints[row].timers.first().filter(|(at, _)| *at <= now) {
                self.endpoints[row].timers.remove(&(at, lane));
                self.place(lane, now);
            }
        }
    }

    /// The next attempt to begin; it is under way until [`Ledger::handle_settled`].
    ///
    /// # Panics
    /// If the ledger contradicts itself, which would be a bug in it.
    pub fn poll_output(&mut self) -> Option<Begin> {
        if self.rest.is_some() {
            return None;
        }
        self.endpoints.iter_mut().find_map(|row| {
            while row.may_begin() {
                let lane = self.lanes.get_mut(&row.ready.pop_front()?);
                let Some(lane) = lane.filter(|lane| lane.state == LaneState::Ready) else { continue };
                let head = lane.queue.values().next().expect("a ready lane has a head");
                lane.state = LaneState::Trying(head.id);
                row.trying += 1;
                let probe = row.is_guarded().then(|| row.breaker.handle_probe(head.id)).flatten();
                return Some(Begin { endpoint: row.name.clone(), id: head.id, used: head.used, probe });
            }
            None
        })
    }

    /// When [`Ledger::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let of_row = |row: &Row| {
            let lane = row.timers.first().map(|(at, _)| *at);
            [lane, row.breaker.poll_timeout(), row.away.poll_timeout()]
        };
        self.endpoints.iter().flat_map(of_row).flatten().chain(self.rest).min()
    }

    fn row(&self, endpoint: &EndpointName) -> Option<usize> {
        self.endpoints.iter().position(|row| row.name == *endpoint)
    }

    fn lane(&mut self, row: usize, key: LaneKey, now: Instant) -> LaneId {
        if let Some(&lane) = self.endpoints[row].lanes.get(&key) {
            return lane;
        }
        let id = self.next_lane;
        self.next_lane += 1;
        self.endpoints[row].lanes.insert(key.clone(), id);
        self.lanes.insert(id, Lane { key, endpoint: row, queue: BTreeMap::new(), state: LaneState::Waiting(now), again: None });
        id
    }

    fn renew(&mut self, lane_id: LaneId, due: Due, now: Instant) {
        let lane = self.lanes.get_mut(&lane_id).expect("a held delivery has a lane");
        if lane.queue.get(&due.seq).is_some_and(|held| held.place == due.place) {
            return;
        }
        match lane.state {
            LaneState::Trying(id) if id == due.id => lane.again = Some(due),
            _ => drop(lane.queue.insert(due.seq, due)),
        }
        self.place(lane_id, now);
    }

    /// Puts a lane where its head belongs: among the ready, behind a timer, or away if it has none.
    fn place(&mut self, id: LaneId, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let row = &mut self.endpoints[lane.endpoint];
        match lane.state {
            LaneState::Trying(_) => return,
            LaneState::Waiting(at) => drop(row.timers.remove(&(at, id))),
            LaneState::Ready => {}
        }
        match lane.queue.values().next().map(|head| head.at) {
            None => {
                row.lanes.remove(&lane.key);
                self.lanes.remove(&id);
            }
            Some(at) if at > now => {
                lane.state = LaneState::Waiting(at);
                row.timers.insert((at, id));
            }
            Some(_) if lane.state == LaneState::Ready => {}
            Some(_) => {
                lane.state = LaneState::Ready;
                row.ready.push_back(id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
