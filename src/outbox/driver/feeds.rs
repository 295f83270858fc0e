//! What the outbox reads from the store for its ledger.
//!
//! Promises: deliveries are read in the order of their places, and no more of them than the ledger has room for; where it is full, what
//! waits for long gives way and is read again when it is due; a retry by hand of what the ledger knows reaches it however full it is; who is paused is read again whenever that may have changed; a store that cannot be
//! read is asked again after [`UNREADABLE_REST`].

use std::time::{Duration, Instant};

use crate::{
    clock,
    media::EndpointName,
    outbox::{Due, Ledger, Next, Settled, schedule},
    store::{PendingDelivery, Store, StoreError},
    webhook::Endpoints,
};

/// How many deliveries are read at once.
const LOAD: usize = 1000;
/// How long the outbox rests when the store cannot be read.
const UNREADABLE_REST: Duration = Duration::from_secs(1);

/// What has been read from the store.
pub(super) struct Feeds {
    of: Vec<Feed>,
    /// Who is paused may have changed.
    look: bool,
    /// The store could not be read: not before this.
    rest: Option<Instant>,
}

/// How far an endpoint's deliveries have been read.
struct Feed {
    endpoint: EndpointName,
    place: u64,
    more: bool,
    /// How far what lies behind `place` was searched for what the ledger holds.
    searched: u64,
    search: bool,
}

impl Feeds {
    /// Of a store whose last place is this; what was there at the start is held by nobody yet.
    pub(super) fn of(endpoints: &Endpoints, last_place: u64) -> Self {
        let feed =
            |name: &EndpointName| Feed { endpoint: name.clone(), place: 0, more: true, searched: last_place, search: false };
        Self { of: endpoints.iter().map(|endpoint| feed(endpoint.name())).collect(), look: true, rest: None }
    }

    /// Something was stored: an event, a retry, a resumed endpoint.
    pub(super) fn handle_news(&mut self, is_any_paused: bool) {
        self.of.iter_mut().for_each(|feed| (feed.more, feed.search) = (true, true));
        self.look |= is_any_paused;
    }

    /// An attempt ended. Somebody may have resumed a paused endpoint between the commit of its outcome and now.
    pub(super) fn handle_settled(&mut self, settled: Settled) {
        self.look |= matches!(settled, Settled::Stored { next: Next::Paused, .. });
    }

    /// Somebody was paused.
    pub(super) fn handle_paused(&mut self) {
        self.look = true;
    }

    /// When [`Feeds::read`] wants to be called by itself.
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.rest
    }

    /// Hands what is new to the ledger, as far as it has room.
    pub(super) async fn read(&mut self, store: &Store, ledger: &mut Ledger) {
        if self.rest.is_some_and(|rest| clock::now() < rest) {
            return;
        }
        self.rest = match self.try_read(store, ledger).await {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(%error, "failed to read the outbox, trying again");
                Some(clock::now() + UNREADABLE_REST)
            }
        };
    }

    async fn try_read(&mut self, store: &Store, ledger: &mut Ledger) -> Result<(), StoreError> {
        if self.look {
            let paused = store.paused().await?;
            ledger.handle_paused(|name| paused.iter().any(|paused| paused.endpoint == name.as_str()));
            self.look = false;
        }
        for feed in &mut self.of {
            feed.read_back(store, ledger).await?;
            if feed.more {
                ledger.make_room(&feed.endpoint, LOAD, clock::now());
            }
            while feed.more && ledger.room(&feed.endpoint) >= LOAD {
                let pending = store.pending(&feed.endpoint, feed.place, LOAD).await?;
                feed.more = pending.len() == LOAD;
                feed.place = hand_over(&feed.endpoint, pending, ledger, |_, _| true).unwrap_or(feed.place);
                ledger.make_room(&feed.endpoint, if feed.more { LOAD } else { 0 }, clock::now());
            }
            feed.searched = feed.searched.max(feed.place);
            let knows = |ledger: &Ledger, it: &PendingDelivery| ledger.knows(&feed.endpoint, it.id, &it.session);
            while feed.more && feed.search {
                let pending = store.pending(&feed.endpoint, feed.searched, LOAD).await?;
                feed.search = pending.len() == LOAD;
                feed.searched = hand_over(&feed.endpoint, pending, ledger, knows).unwrap_or(feed.searched);
            }
            // Among what was read may have been something for a lane that is away.
            feed.read_back(store, ledger).await?;
        }
        Ok(())
    }
}

impl Feed {
    /// Hands in lanes again that were put away, whole, as far as there is room for one more.
    async fn read_back(&self, store: &Store, ledger: &mut Ledger) -> Result<(), StoreError> {
        while let Some(lane) = ledger.poll_back(&self.endpoint).cloned() {
            ledger.make_room(&self.endpoint, LOAD, clock::now());
            if ledger.room(&self.endpoint) < LOAD {
                return Ok(());
            }
            let pending = store.pending_of(&self.endpoint, lane.clone()).await?;
            let (now, wall_ms) = (clock::now(), clock::wall_ms());
            let pending = pending.into_iter().map(|delivery| due(delivery, now, wall_ms)).collect();
            ledger.handle_back(&self.endpoint, &lane, pending, now);
        }
        Ok(())
    }
}

/// Gives the ledger those that it may have; answers the last one's place.
fn hand_over(
    endpoint: &EndpointName,
    pending: Vec<PendingDelivery>,
    ledger: &mut Ledger,
    may_have: impl Fn(&Ledger, &PendingDelivery) -> bool,
) -> Option<u64> {
    let (now, wall_ms) = (clock::now(), clock::wall_ms());
    let last = pending.last().map(|delivery| delivery.place);
    for delivery in pending {
        if may_have(ledger, &delivery) {
            ledger.handle_pending(endpoint, due(delivery, now, wall_ms), now);
        }
    }
    last
}

fn due(delivery: PendingDelivery, now: Instant, wall_ms: u64) -> Due {
    let PendingDelivery { id, session, seq, place, attempts, next_wall_ms } = delivery;
    // A wall clock that was set back must not hold a delivery for longer than the schedule would.
    let wait = Duration::from_millis(next_wall_ms.saturating_sub(wall_ms)).min(schedule::DELAYS[schedule::DELAYS.len() - 1]);
    let wait = if attempts == 0 { Duration::ZERO } else { wait };
    Due { id, session, seq, place, used: attempts, at: now + wait }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::{
            Write,
            driver::tests::{begin, gap_event, name, open},
        },
        webhook::Endpoint,
    };

    #[tokio::test]
    async fn what_waits_for_long_gives_way_and_comes_back_whole_when_it_is_asked_for() {
        let (store, _folder) = open();
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into();
        let endpoint = Endpoint::new(name("crm"), "http://127.0.0.1:1/".parse().unwrap(), &[secret], vec![], true).unwrap();
        let endpoints = Endpoints::new(vec![endpoint]);
        let mut ledger = Ledger::new([(name("crm"), true)]);
        ledger.held_max = 2 * LOAD;
        let mut feeds = Feeds::of(&endpoints, *store.places().borrow());
        let events = |session, count: usize| (1..=count as u64).map(move |seq| gap_event(session, seq, &["crm"])).collect();
        let (full, later) = (begin(&store, "CA1", "MZ1").await, begin(&store, "CA2", "MZ2").await);
        store.commit(events(&full, 2 * LOAD)).await.unwrap();
        feeds.read(&store, &mut ledger).await;
        let first = ledger.poll_output().unwrap();
        let again =
            Settled::Stored { next: Next::Again { delay: Duration::from_hours(1), used: 5 }, sign: crate::outbox::Sign::Well };
        ledger.handle_settled(first.id, again, clock::now());

        store.commit(events(&later, LOAD - 1)).await.unwrap();
        feeds.handle_news(false);
        feeds.read(&store, &mut ledger).await;
        let of_later = store.pending(&name("crm"), 0, 9 * LOAD).await.unwrap().iter().rfind(|it| it.seq == 1).unwrap().id;
        assert_eq!(ledger.poll_output().map(|begin| begin.id), Some(of_later), "who waits for an hour holds nobody up");
        assert_eq!(ledger.poll_output(), None);
        store.commit(vec![Write::Retry(first.id)]).await.unwrap();
        feeds.handle_news(false);
        feeds.read(&store, &mut ledger).await;
        let renewed = ledger.poll_output().unwrap();
        assert_eq!((renewed.id, renewed.used, ledger.poll_output()), (first.id, 0, None));
    }
}
