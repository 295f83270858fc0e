//! What the outbox reads from the store for its ledger.
//!
//! Promises: deliveries are read in the order of their places, each place once, and no more of them than the ledger has room for;
//! who is paused is read again whenever that may have changed; a store that cannot be read is asked again after [`UNREADABLE_REST`].

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
}

impl Feeds {
    pub(super) fn of(endpoints: &Endpoints) -> Self {
        let feed = |name: &EndpointName| Feed { endpoint: name.clone(), place: 0, more: true };
        Self { of: endpoints.iter().map(|endpoint| feed(endpoint.name())).collect(), look: true, rest: None }
    }

    /// Something was stored: an event, a retry, a resumed endpoint.
    pub(super) fn handle_news(&mut self, is_any_paused: bool) {
        self.of.iter_mut().for_each(|feed| feed.more = true);
        self.look |= is_any_paused;
    }

    /// An attempt ended. Somebody may have resumed a paused endpoint between the commit of its outcome and now.
    pub(super) fn handle_settled(&mut self, settled: Settled) {
        self.look |= matches!(settled, Settled::Stored { next: Next::Paused, .. });
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
            while feed.more && ledger.room(&feed.endpoint) >= LOAD {
                let pending = store.pending(&feed.endpoint, feed.place, LOAD).await?;
                feed.more = pending.len() == LOAD;
                let (now, wall_ms) = (clock::now(), clock::wall_ms());
                for delivery in pending {
                    feed.place = delivery.place;
                    ledger.handle_pending(&feed.endpoint, due(delivery, now, wall_ms), now);
                }
            }
        }
        Ok(())
    }
}

fn due(delivery: PendingDelivery, now: Instant, wall_ms: u64) -> Due {
    let PendingDelivery { id, session, seq, attempts, next_wall_ms, .. } = delivery;
    // A wall clock that was set back must not hold a delivery for longer than the schedule would.
    let wait = Duration::from_millis(next_wall_ms.saturating_sub(wall_ms)).min(schedule::DELAYS[schedule::DELAYS.len() - 1]);
    let wait = if attempts == 0 { Duration::ZERO } else { wait };
    Due { id, session, seq, used: attempts, at: now + wait }
}
