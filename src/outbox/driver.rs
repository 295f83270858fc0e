//! Feeds the ledger from the store and performs what it says.
//!
//! Promises: whatever is pending in the store is tried, whether it was committed just now or before a restart, because both
//! come by the same way; an attempt's outcome is on stable storage before its lane goes on; on shutdown everything that is
//! due is tried once, within [`FLUSH_DEADLINE`], and the rest stays pending in the store.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use hyper_util::client::legacy::connect::Connect;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{AT_ONCE, Begin, Due, Ledger, Next, Settled, schedule};
use crate::{
    clock,
    event::Event,
    media::EndpointName,
    store::{Outgoing, PendingDelivery, Standing, Store, StoreError, Write},
    webhook::{DeliveryId, Endpoints, driver::Poster, verdict},
};

/// How many deliveries are read at once.
const LOAD: usize = 1000;
/// How long the outbox rests when the store cannot be read.
const UNREADABLE_REST: Duration = Duration::from_secs(1);
/// How long a shutdown waits for the attempts that are due: one attempt's 15 s and a little.
pub const FLUSH_DEADLINE: Duration = Duration::from_secs(20);

/// An event that is told once and never stored, with those who asked for it.
#[derive(Debug, Clone)]
pub struct Passing {
    /// An event without `seq`.
    pub event: Event,
    /// Who gets it.
    pub endpoints: Vec<EndpointName>,
}

/// One attempt for the metrics.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// To whom.
    pub endpoint: &'a EndpointName,
    /// `delivered`, `retry`, `retry_after`, `pause` or `parked`; `dropped` for a passing event that found no room or its endpoint paused.
    pub verdict: &'static str,
    /// How long the POST took.
    pub took: Duration,
    /// From the event's making to the end of this attempt.
    pub since_event: Duration,
}

/// Told of each attempt; must not wait.
pub type Observer = Arc<dyn Fn(&Observed<'_>) + Send + Sync>;

/// What attempts need.
pub struct Outbox<C> {
    /// Where deliveries are kept.
    pub store: Store,
    /// To whom they go. Deliveries to others stay pending in the store.
    pub endpoints: Endpoints,
    /// How they go.
    pub poster: Poster<C>,
    /// For the metrics.
    pub observer: Observer,
}

/// Who may be told now of what is told once: [`AT_ONCE`] at a time to one endpoint, none to one that is paused.
struct Once(HashMap<EndpointName, Arc<Semaphore>>);

/// How far an endpoint's deliveries have been read from the store.
struct Feed {
    endpoint: EndpointName,
    place: u64,
    more: bool,
}

impl<C: Connect + Clone + Send + Sync + 'static> Outbox<C> {
    /// Delivers until `shutdown`, then flushes once and returns with every attempt ended.
    pub async fn run(self, mut passing: mpsc::Receiver<Passing>, shutdown: CancellationToken) {
        let outbox = Arc::new(self);
        outbox.tell_of_strangers().await;
        let mut ledger = Ledger::new(outbox.endpoints.iter().map(|endpoint| (endpoint.name().clone(), endpoint.is_ordered())));
        let mut feeds: Vec<Feed> = outbox.endpoints.iter().map(|endpoint| Feed::of(endpoint.name())).collect();
        let (attempts, hurry) = (TaskTracker::new(), CancellationToken::new());
        let (end, mut ended) = mpsc::channel(4 * AT_ONCE);
        let once = Once::of(&outbox.endpoints);
        let mut places = outbox.store.places();
        let (mut is_open, mut listening, mut rest, mut deadline) = (true, true, None, None);
        loop {
            if rest.is_none_or(|until| until <= clock::now()) {
                rest = load(&outbox.store, &mut feeds, &mut ledger).await.err();
            }
            while let Some(begin) = ledger.poll_output() {
                attempts.spawn(hurry.clone().run_until_cancelled_owned(outbox.clone().attempt(begin, end.clone())));
            }
            if deadline.is_some_and(|deadline| ledger.is_idle() || deadline <= clock::now()) {
                break;
            }
            // In this order, so that an attempt that ended is known before a retry of it that came later.
            tokio::select! {
                biased;
                () = shutdown.cancelled(), if deadline.is_none() => deadline = Some(clock::now() + FLUSH_DEADLINE),
                Some((id, settled)) = ended.recv() => ledger.handle_settled(id, settled, clock::now()),
                changed = places.changed(), if is_open => match changed {
                    Ok(()) => feeds.iter_mut().for_each(|feed| feed.more = true),
                    Err(_) => is_open = false,
                },
                told = passing.recv(), if listening => match told {
                    Some(passing) => outbox.tell_once(passing, |name| once.permit(name, &ledger), &attempts, &hurry),
                    None => listening = false,
                },
                () = clock::sleep_until(ledger.poll_timeout()) => ledger.handle_timeout(clock::now()),
                () = clock::sleep_until(rest) => {}
                () = clock::sleep_until(deadline) => {}
            }
        }
        hurry.cancel();
        attempts.close();
        attempts.wait().await;
    }

    /// Says once what waits for endpoints that are not in the settings any more.
    async fn tell_of_strangers(&self) {
        for waiting in self.store.backlogs().await.unwrap_or_default() {
            let name = EndpointName::new(&waiting.endpoint).ok();
            if waiting.pending > 0 && name.is_none_or(|name| self.endpoints.get(&name).is_none()) {
                let (endpoint, pending) = (waiting.endpoint, waiting.pending);
                tracing::warn!(endpoint, pending, "events wait for an endpoint that the settings do not name");
            }
        }
    }

    async fn attempt(self: Arc<Self>, begin: Begin, end: mpsc::Sender<(DeliveryId, Settled)>) {
        let settled = self.deliver(&begin).await.unwrap_or_else(|error| {
            tracing::warn!(delivery = %begin.id, endpoint = %begin.endpoint, %error, "failed to keep an attempt's outcome, sending it again");
            Settled::Unstored
        });
        // Nobody listens after a shutdown's deadline; the outcome is stored all the same.
        let _ = end.send((begin.id, settled)).await;
    }

    async fn deliver(&self, begin: &Begin) -> Result<Settled, StoreError> {
        let Some(endpoint) = self.endpoints.get(&begin.endpoint) else { return Ok(Settled::Gone) };
        let outgoing = match self.store.outgoing(begin.id).await {
            Err(why) if why.is_unreadable() => return self.park(begin, &why).await,
            found => found?,
        };
        let Some(outgoing) = outgoing else { return Ok(Settled::Gone) };
        let Outgoing { event_id, event_wall_ms, body } = outgoing;
        crate::failpoint!("outbox.before_send");
        let attempt = self.poster.post(endpoint, &event_id, body).await;
        crate::failpoint!("outbox.after_send");
        let wall_ms = clock::wall_ms();
        let verdict = verdict::judge(&attempt.outcome, wall_ms);
        let next = schedule::next(begin.used, verdict, clock::chance());
        let word = if next == Next::Parked { "parked" } else { verdict.as_str() };
        let reason = verdict::reason(&attempt.outcome);
        let observed = Observed { took: attempt.took, ..Self::observed(&begin.endpoint, word, event_wall_ms) };
        let standing = standing(next, begin.used, wall_ms, reason.clone());
        crate::failpoint!("outbox.before_verdict");
        match self.store.commit(vec![Write::Verdict { delivery: begin.id, attempt, standing }]).await {
            Ok(_) => {
                crate::failpoint!("outbox.after_verdict");
                tell(begin, word, &reason);
                (self.observer)(&observed);
                Ok(Settled::Stored(next))
            }
            Err(StoreError::Misfit) => Ok(Settled::Gone),
            Err(error) => Err(error),
        }
    }

    /// Sets aside what cannot be sent because its bytes cannot be read.
    async fn park(&self, begin: &Begin, why: &StoreError) -> Result<Settled, StoreError> {
        let reason = why.to_string();
        tracing::error!(delivery = %begin.id, endpoint = %begin.endpoint, reason, "parked: the event cannot be read");
        match self.store.commit(vec![Write::Park { delivery: begin.id, reason }]).await {
            Ok(_) => Ok(Settled::Stored(Next::Parked)),
            Err(StoreError::Misfit) => Ok(Settled::Gone),
            Err(error) => Err(error),
        }
    }

    /// One attempt for each endpoint that gets a permit, none for the others: text that is about to be replaced never waits.
    fn tell_once(
        self: &Arc<Self>,
        passing: Passing,
        permit: impl Fn(&EndpointName) -> Option<OwnedSemaphorePermit>,
        attempts: &TaskTracker,
        hurry: &CancellationToken,
    ) {
        for name in passing.endpoints {
            let Some(permit) = permit(&name) else {
                (self.observer)(&Self::observed(&name, "dropped", passing.event.wall_ms));
                continue;
            };
            let (outbox, event) = (self.clone(), passing.event.clone());
            attempts.spawn(hurry.clone().run_until_cancelled_owned(async move {
                let Some(endpoint) = outbox.endpoints.get(&name) else { return };
                let attempt = outbox.poster.post(endpoint, &event.id.to_string(), event.body).await;
                let verdict = verdict::judge(&attempt.outcome, clock::wall_ms());
                let observed = Self::observed(&name, verdict.as_str(), event.wall_ms);
                (outbox.observer)(&Observed { took: attempt.took, ..observed });
                drop(permit);
            }));
        }
    }

    fn observed<'a>(endpoint: &'a EndpointName, verdict: &'static str, event_wall_ms: u64) -> Observed<'a> {
        let since_event = Duration::from_millis(clock::wall_ms().saturating_sub(event_wall_ms));
        Observed { endpoint, verdict, took: Duration::ZERO, since_event }
    }
}

impl Once {
    fn of(endpoints: &Endpoints) -> Self {
        Self(endpoints.iter().map(|endpoint| (endpoint.name().clone(), Arc::new(Semaphore::new(AT_ONCE)))).collect())
    }

    fn permit(&self, endpoint: &EndpointName, ledger: &Ledger) -> Option<OwnedSemaphorePermit> {
        let room = self.0.get(endpoint).filter(|_| !ledger.is_paused(endpoint))?;
        room.clone().try_acquire_owned().ok()
    }
}

impl Feed {
    fn of(endpoint: &EndpointName) -> Self {
        Self { endpoint: endpoint.clone(), place: 0, more: true }
    }
}

/// Reads what is new for each endpoint that has room; an error is the time until which to rest.
async fn load(store: &Store, feeds: &mut [Feed], ledger: &mut Ledger) -> Result<(), Instant> {
    for feed in feeds {
        while feed.more && ledger.room(&feed.endpoint) >= LOAD {
            let pending = store.pending(&feed.endpoint, feed.place, LOAD).await.map_err(|error| {
                tracing::error!(endpoint = %feed.endpoint, %error, "failed to read the outbox, trying again");
                clock::now() + UNREADABLE_REST
            })?;
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

fn due(delivery: PendingDelivery, now: Instant, wall_ms: u64) -> Due {
    let PendingDelivery { id, session, seq, attempts, next_wall_ms, .. } = delivery;
    // A wall clock that was set back must not hold a delivery for longer than the schedule would.
    let wait = Duration::from_millis(next_wall_ms.saturating_sub(wall_ms)).min(schedule::DELAYS[schedule::DELAYS.len() - 1]);
    let wait = if attempts == 0 { Duration::ZERO } else { wait };
    Due { id, session, seq, used: attempts, at: now + wait }
}

fn standing(next: Next, used: u32, wall_ms: u64, reason: String) -> Standing {
    match next {
        Next::Delivered => Standing::Delivered,
        Next::Again { delay, used } => {
            let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            Standing::Pending { attempts: used, next_wall_ms: wall_ms.saturating_add(delay_ms), reason }
        }
        Next::Parked => Standing::Parked { reason: format!("gave up after {} attempts, the last: {reason}", used + 1) },
        Next::Paused => Standing::Pending { attempts: used, next_wall_ms: wall_ms, reason: format!("endpoint paused: {reason}") },
    }
}

fn tell(begin: &Begin, verdict: &'static str, reason: &str) {
    let Begin { endpoint, id, used } = begin;
    match verdict {
        "delivered" => tracing::debug!(delivery = %id, %endpoint, "delivered"),
        "parked" => tracing::warn!(delivery = %id, %endpoint, reason, "parked: the event stays in /v1/calls/{{sid}}/events"),
        "pause" => tracing::warn!(%endpoint, "the receiver answered 410: its events wait until the bridge is started again"),
        _ => tracing::info!(delivery = %id, %endpoint, reason, used, "failed, will try again"),
    }
}

#[cfg(test)]
mod tests;
