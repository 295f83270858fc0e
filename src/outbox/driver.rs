//! Feeds the ledger from the store and performs what it says.
//!
//! Promises: whatever is pending in the store is tried, whether it was committed just now or before a restart, because both
//! come by the same way; a POST begins only when its lease is on stable storage, and its lane goes on only when its outcome is; a
//! store that refuses either is asked again every [`super::UNSTORED_REST`], and meanwhile nothing is sent; on shutdown everything that
//! is due to an endpoint that is not ill is tried once, within [`FLUSH_DEADLINE`], and the rest stays pending in the store.

mod feeds;

use std::{collections::HashMap, sync::Arc, time::Duration};

use hyper_util::client::legacy::connect::Connect;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::feeds::Feeds;
use super::{AT_ONCE, Begin, Flow, Ledger, Next, Settled, Sign, schedule};
use crate::{
    clock,
    event::Event,
    media::EndpointName,
    redact::GateSettings,
    store::{Outgoing, Standing, Store, StoreError, Write},
    webhook::{
        Attempt, DeliveryId, Endpoints, Verdict,
        driver::{ATTEMPT_DEADLINE, Poster},
        verdict,
    },
};

/// How long a shutdown waits for the attempts that are due: one attempt's 15 s and a little.
pub const FLUSH_DEADLINE: Duration = Duration::from_secs(20);
/// How long a lease lasts: one attempt and the time to store what it came to.
pub const LEASE: Duration = Duration::from_secs(30);
const _: () = assert!(LEASE.as_secs() > ATTEMPT_DEADLINE.as_secs(), "an attempt ends within its lease");

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
    /// `delivered`, `retry`, `retry_after`, `pause`, `parked` or a word of [`crate::net::TlsTrouble`]; `dropped` for a passing event
    /// that found no room or its endpoint paused or ill.
    pub verdict: &'static str,
    /// How long the POST took.
    pub took: Duration,
    /// From the event's making to the end of this attempt.
    pub since_event: Duration,
}

/// Told of each attempt; must not wait.
pub type Observer = Arc<dyn Fn(&Observed<'_>) + Send + Sync>;

/// Told how an endpoint's deliveries go, at the start and at each change; must not wait.
pub type FlowObserver = Arc<dyn Fn(&EndpointName, Flow) + Send + Sync>;

/// What attempts need.
pub struct Outbox<C> {
    /// Where deliveries are kept.
    pub store: Store,
    /// To whom they go. Deliveries to others stay pending in the store.
    pub endpoints: Endpoints,
    /// How they go.
    pub poster: Poster<C>,
    /// What receivers answer passes a gate of these settings before it is kept.
    pub gate: GateSettings,
    /// For the metrics.
    pub observer: Observer,
    /// For the metrics too.
    pub flow_observer: FlowObserver,
}

/// Who may be told now of what is told once: [`AT_ONCE`] at a time to one endpoint, none to one that is paused or ill.
struct Once(HashMap<EndpointName, Arc<Semaphore>>);

/// What the ledger hears of.
enum Ended {
    /// An attempt.
    Attempt(DeliveryId, Settled),
    /// Somebody said 410 to what is told once; it is stored.
    Paused,
}

/// What runs attempts and hears of their ends.
#[derive(Clone)]
struct Hands {
    attempts: TaskTracker,
    hurry: CancellationToken,
    end: mpsc::Sender<Ended>,
}

impl<C: Connect + Clone + Send + Sync + 'static> Outbox<C> {
    /// Delivers until `shutdown`, then flushes once and returns with every attempt ended.
    pub async fn run(self, mut passing: mpsc::Receiver<Passing>, shutdown: CancellationToken) {
        let outbox = Arc::new(self);
        outbox.tell_of_strangers().await;
        let mut ledger = Ledger::new(outbox.endpoints.iter().map(|endpoint| (endpoint.name().clone(), endpoint.is_ordered())));
        let (end, mut ended) = mpsc::channel(4 * AT_ONCE);
        let hands = Hands { attempts: TaskTracker::new(), hurry: CancellationToken::new(), end };
        let once = Once::of(&outbox.endpoints);
        let mut places = outbox.store.places();
        let (mut feeds, mut flows) = (Feeds::of(&outbox.endpoints, *places.borrow_and_update()), HashMap::new());
        let (mut is_open, mut listening, mut deadline) = (true, true, None);
        loop {
            feeds.read(&outbox.store, &mut ledger).await;
            outbox.tell_flows(&ledger, &mut flows);
            let begins: Vec<Begin> = std::iter::from_fn(|| ledger.poll_output()).collect();
            if !begins.is_empty() {
                hands.spawn(outbox.clone().begin(begins, hands.clone()));
            }
            if deadline.is_some_and(|deadline| ledger.is_idle() || deadline <= clock::now()) {
                break;
            }
            // In this order, so that no load keeps a deadline waiting, and an attempt that ended is known before a retry of it that came later.
            tokio::select! {
                biased;
                () = shutdown.cancelled(), if deadline.is_none() => deadline = Some(clock::now() + FLUSH_DEADLINE),
                () = clock::sleep_until(ledger.poll_timeout()) => ledger.handle_timeout(clock::now()),
                () = clock::sleep_until(feeds.poll_timeout()) => {}
                () = clock::sleep_until(deadline) => {}
                Some(ended) = ended.recv() => match ended {
                    Ended::Attempt(id, settled) => {
                        ledger.handle_settled(id, settled, clock::now());
                        feeds.handle_settled(settled);
                    }
                    Ended::Paused => feeds.handle_paused(),
                },
                changed = places.changed(), if is_open => match changed {
                    Ok(()) => feeds.handle_news(ledger.is_any_paused()),
                    Err(_) => is_open = false,
                },
                told = passing.recv(), if listening => match told {
                    Some(passing) => outbox.tell_once(passing, |name| once.permit(name, &ledger), &hands),
                    None => listening = false,
                },
            }
        }
        hands.hurry.cancel();
        hands.attempts.close();
        hands.attempts.wait().await;
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

    fn tell_flows(&self, ledger: &Ledger, flows: &mut HashMap<EndpointName, Flow>) {
        for endpoint in self.endpoints.iter().map(|endpoint| endpoint.name()) {
            let flow = ledger.flow(endpoint);
            let before = flows.insert(endpoint.clone(), flow);
            if before == Some(flow) {
                continue;
            }
            (self.flow_observer)(endpoint, flow);
            match (before, flow) {
                (_, Flow::Probing) => {
                    tracing::warn!(%endpoint, "the endpoint is ill: its events wait, one attempt at a time looks after it");
                }
                (_, Flow::Paused) => {
                    tracing::warn!(%endpoint, "the endpoint is paused: its events wait until a retry is asked for");
                }
                (Some(_), Flow::Open) => tracing::info!(%endpoint, "the endpoint is well again: its events go out"),
                (None, Flow::Open) => {}
            }
        }
    }

    /// One lease for all that begin together; without it nothing is sent.
    async fn begin(self: Arc<Self>, begins: Vec<Begin>, hands: Hands) {
        let deliveries = begins.iter().map(|begin| begin.id).collect();
        let until_wall_ms = clock::wall_ms().saturating_add(u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX));
        let leased = self.store.commit(vec![Write::Lease { deliveries, until_wall_ms }]).await;
        if let Err(error) = &leased {
            tracing::debug!(%error, deliveries = begins.len(), "failed to store a lease, sending nothing for now");
        }
        for begin in begins {
            let (outbox, end, is_leased) = (self.clone(), hands.end.clone(), leased.is_ok());
            hands.spawn(async move {
                let settled = if is_leased { outbox.attempt(&begin).await } else { Settled::Unstored };
                // Nobody listens after a shutdown's deadline; the outcome is stored all the same.
                let _ = end.send(Ended::Attempt(begin.id, settled)).await;
            });
        }
    }

    async fn attempt(&self, begin: &Begin) -> Settled {
        self.deliver(begin).await.unwrap_or_else(|error| {
            tracing::warn!(delivery = %begin.id, endpoint = %begin.endpoint, %error, "failed to keep an attempt's outcome, sending it again");
            Settled::Unstored
        })
    }

    async fn deliver(&self, begin: &Begin) -> Result<Settled, StoreError> {
        let Some(endpoint) = self.endpoints.get(&begin.endpoint) else { return Ok(Settled::Gone) };
        let outgoing = match self.store.outgoing(begin.id).await {
            Err(why) if why.is_unreadable() => return self.park(begin, &why).await,
            found => found?,
        };
        let Some(outgoing) = outgoing else { return Ok(Settled::Gone) };
        let Outgoing { event_id, event_wall_ms, body, next_wall_ms: due_wall_ms } = outgoing;
        crate::failpoint!("outbox.before_send");
        let attempt = self.poster.post(endpoint, &event_id, body).await.redacted(&self.gate, clock::random());
        crate::failpoint!("outbox.after_send");
        let wall_ms = clock::wall_ms();
        let verdict = verdict::judge(&attempt.outcome, wall_ms);
        // A probe that was refused for what it carried found its endpoint well, and is an attempt like any other.
        let next = if let Some(since) = begin.probe.filter(|_| verdict::is_ill(&attempt.outcome)) {
            // What it waited for before was something else: its turn, a bridge that was off, a pause.
            let ill_for = clock::now().saturating_duration_since(since);
            let overdue = Duration::from_millis(attempt.wall_ms.saturating_sub(due_wall_ms)).min(ill_for);
            schedule::after_probe(begin.used, verdict, overdue, clock::chance())
        } else {
            schedule::next(begin.used, verdict, clock::chance())
        };
        let sign = sign(&attempt, verdict);
        let word = if next == Next::Parked { "parked" } else { verdict::word(verdict, &attempt.outcome) };
        let reason = verdict::reason(&attempt.outcome);
        let observed = Observed { took: attempt.took, ..Self::observed(&begin.endpoint, word, event_wall_ms) };
        let standing = standing(next, begin, wall_ms, due_wall_ms, &reason);
        let mut unit = vec![Write::Verdict { delivery: begin.id, attempt, standing }];
        if next == Next::Paused {
            unit.push(Write::Pause { endpoint: begin.endpoint.clone(), wall_ms, reason: reason.clone() });
        }
        crate::failpoint!("outbox.before_verdict");
        match self.store.commit(unit).await {
            Ok(_) => {
                crate::failpoint!("outbox.after_verdict");
                tell(begin, word, &reason);
                (self.observer)(&observed);
                Ok(Settled::Stored { next, sign })
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
            // Nothing was sent, so nothing is known of the endpoint.
            Ok(_) | Err(StoreError::Misfit) => Ok(Settled::Gone),
            Err(error) => Err(error),
        }
    }

    /// One attempt for each endpoint that gets a permit, none for the others: text that is about to be replaced never waits.
    fn tell_once(
        self: &Arc<Self>,
        passing: Passing,
        permit: impl Fn(&EndpointName) -> Option<OwnedSemaphorePermit>,
        hands: &Hands,
    ) {
        for name in passing.endpoints {
            let Some(permit) = permit(&name) else {
                (self.observer)(&Self::observed(&name, "dropped", passing.event.wall_ms));
                continue;
            };
            let (outbox, event, end) = (self.clone(), passing.event.clone(), hands.end.clone());
            hands.spawn(async move {
                let Some(endpoint) = outbox.endpoints.get(&name) else { return };
                let attempt = outbox.poster.post(endpoint, &event.id.to_string(), event.body).await;
                let verdict = verdict::judge(&attempt.outcome, clock::wall_ms());
                if verdict == Verdict::Pause {
                    outbox.pause(&name, &attempt).await;
                    let _ = end.send(Ended::Paused).await;
                }
                let observed = Self::observed(&name, verdict::word(verdict, &attempt.outcome), event.wall_ms);
                (outbox.observer)(&Observed { took: attempt.took, ..observed });
                drop(permit);
            });
        }
    }

    /// An endpoint wants nothing more, whatever it was that it said so to.
    async fn pause(&self, endpoint: &EndpointName, attempt: &Attempt) {
        let (wall_ms, reason) = (clock::wall_ms(), verdict::reason(&attempt.outcome));
        let pause = Write::Pause { endpoint: endpoint.clone(), wall_ms, reason };
        if let Err(error) = self.store.commit(vec![pause]).await {
            tracing::warn!(%endpoint, %error, "failed to pause an endpoint that answered 410; it will say so again");
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
        let room = self.0.get(endpoint).filter(|_| ledger.flow(endpoint) == Flow::Open)?;
        room.clone().try_acquire_owned().ok()
    }
}

impl Hands {
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.attempts.spawn(self.hurry.clone().run_until_cancelled_owned(work));
    }
}

/// What an attempt says of its endpoint.
fn sign(attempt: &Attempt, verdict: Verdict) -> Sign {
    let asked = if let Verdict::RetryAfter(asked) = verdict { asked } else { Duration::ZERO };
    if verdict::is_ill(&attempt.outcome) { Sign::Ill { asked, chance: clock::chance() } } else { Sign::Well }
}

fn standing(next: Next, begin: &Begin, wall_ms: u64, due_wall_ms: u64, reason: &str) -> Standing {
    let again = |attempts, next_wall_ms, reason: String| Standing::Pending { attempts, next_wall_ms, reason };
    match next {
        Next::Delivered => Standing::Delivered,
        Next::Again { delay, used } => {
            let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            again(used, wall_ms.saturating_add(delay_ms), reason.to_owned())
        }
        Next::Held { .. } => again(begin.used, due_wall_ms, format!("{reason}; the endpoint is ill")),
        Next::Paused => again(begin.used, wall_ms, format!("endpoint paused: {reason}")),
        // Steps are left, so it was its endpoint's illness that took too long.
        Next::Parked if (begin.used as usize) + 1 < schedule::DELAYS.len() => Standing::Parked {
            reason: format!("gave up: the endpoint was ill for {} h, the last: {reason}", schedule::WHOLE.as_secs() / 3600),
        },
        Next::Parked => Standing::Parked { reason: format!("gave up after {} attempts, the last: {reason}", begin.used + 1) },
    }
}

fn tell(begin: &Begin, verdict: &'static str, reason: &str) {
    let Begin { endpoint, id, used, .. } = begin;
    match verdict {
        "delivered" => tracing::debug!(delivery = %id, %endpoint, "delivered"),
        "parked" => tracing::warn!(delivery = %id, %endpoint, reason, "parked: the event stays in /v1/calls/{{sid}}/events"),
        "pause" => tracing::warn!(delivery = %id, %endpoint, "the receiver answered 410"),
        _ => tracing::info!(delivery = %id, %endpoint, reason, used, "failed, will try again"),
    }
}

#[cfg(test)]
mod tests;
