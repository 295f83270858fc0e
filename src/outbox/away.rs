//! Lanes that wait for long, put away so that what is due sooner has room.
//!
//! Promises: pure; of a lane that is away nothing is held but its name, and nothing of it is handed in beside it, so that its order is
//! the store's; it is asked for again when its head is due, or when anything new comes for it; at most [`AWAY_MAX`] are away.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{Due, Ledger};
use crate::{
    media::{EndpointName, SessionId},
    webhook::DeliveryId,
};

/// A lane that is due within this is not put away.
pub(super) const NEAR: Duration = Duration::from_mins(1);
/// The most lanes of one endpoint that are away (some 150 bytes each); then what is full stays full.
pub(super) const AWAY_MAX: usize = 100_000;

/// What stays in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LaneKey {
    /// A session's events.
    Session(SessionId),
    /// A delivery by itself.
    Single(DeliveryId),
}

/// One endpoint's lanes that are away.
#[derive(Default)]
pub(super) struct Away {
    /// Until when; `None`: asked for.
    lanes: BTreeMap<LaneKey, Option<Instant>>,
    timers: BTreeSet<(Instant, LaneKey)>,
    asked: BTreeSet<LaneKey>,
}

impl Away {
    pub(super) fn has(&self, lane: &LaneKey) -> bool {
        self.lanes.contains_key(lane)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.lanes.len() >= AWAY_MAX
    }

    pub(super) fn put(&mut self, lane: LaneKey, until: Instant) {
        self.timers.insert((until, lane.clone()));
        self.lanes.insert(lane, Some(until));
    }

    /// Something new came for it.
    pub(super) fn ask(&mut self, lane: &LaneKey) {
        if let Some(until) = self.lanes.get_mut(lane).and_then(Option::take) {
            self.timers.remove(&(until, lane.clone()));
            self.asked.insert(lane.clone());
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while self.poll_timeout().is_some_and(|until| until <= now)
            && let Some((_, lane)) = self.timers.pop_first()
        {
            self.lanes.insert(lane.clone(), None);
            self.asked.insert(lane);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(until, _)| *until)
    }

    /// One that is to be read again.
    pub(super) fn asked(&self) -> Option<&LaneKey> {
        self.asked.first()
    }

    /// It was read.
    pub(super) fn is_back(&mut self, lane: &LaneKey) {
        self.asked.remove(lane);
        self.lanes.remove(lane);
    }
}

impl Ledger {
    /// Whether this delivery was handed in and has not come to its end since, be its lane here or away.
    #[must_use]
    pub fn knows(&self, endpoint: &EndpointName, id: DeliveryId, session: &SessionId) -> bool {
        let is_away = |row: usize| self.endpoints[row].away.has(&self.endpoints[row].key(id, session));
        self.lane_of.contains_key(&id) || self.row(endpoint).is_some_and(is_away)
    }

    /// Puts lanes away that wait for longer than a minute, the longest first, until there is room for so many deliveries or there is no such
    /// lane. The store has them still.
    pub fn make_room(&mut self, endpoint: &EndpointName, wanted: usize, now: Instant) {
        let Some(row) = self.row(endpoint) else { return };
        let row = &mut self.endpoints[row];
        while self.held_max.saturating_sub(row.held) < wanted
            && !row.away.is_full()
            && row.timers.last().is_some_and(|(until, _)| *until > now + NEAR)
            && let Some((until, id)) = row.timers.pop_last()
            && let Some(lane) = self.lanes.remove(&id)
        {
            row.held -= lane.queue.len();
            row.lanes.remove(&lane.key);
            row.away.put(lane.key, until);
            for due in lane.queue.values() {
                self.lane_of.remove(&due.id);
            }
        }
    }

    /// A lane that was put away and is to be handed in again.
    #[must_use]
    pub fn poll_back(&self, endpoint: &EndpointName) -> Option<&LaneKey> {
        self.endpoints[self.row(endpoint)?].away.asked()
    }

    /// All that is pending of such a lane.
    pub fn handle_back(&mut self, endpoint: &EndpointName, lane: &LaneKey, pending: Vec<Due>, now: Instant) {
        let Some(row) = self.row(endpoint) else { return };
        self.endpoints[row].away.is_back(lane);
        pending.into_iter().for_each(|due| self.handle_pending(endpoint, due, now));
    }
}
