//! Who may come in: admits streams, opens their sessions and links, and brings back what a killed bridge left.
//!
//! Promises: an admitted stream's audio goes to the spool and to its link without ever waiting; a stream that was seen before,
//! brings a used token, or comes when all places are taken is refused with a reason; a session whose task dies is ended from what is stored.

mod health;
mod line;
mod off_line;
mod quota;
mod recovery;
mod refused;
mod resume;
mod session;
mod steer;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
    time::{Duration, Instant},
};

pub use health::Health;
pub use line::{Admission, Door, Tracks};
pub use off_line::{InHand, Unended};
pub use refused::Refused;
use secrecy::{ExposeSecret, SecretString};
use steer::Tuning;
pub use steer::{Change, Unchanged};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    call::{Remembered, driver::Input},
    capture::driver::{Recorder, Tap},
    clock,
    config::WhenFull,
    dialect::{
        Dialect, Start,
        token::{self, Tokens, Verdict},
    },
    disk::{Space, Standing},
    event::{Event, Speech},
    keys::MasterKeys,
    media::{CallSid, SessionId, Track},
    metrics::Metrics,
    outbox::driver::Passing,
    redact::GateSettings,
    registry::{Entry, Registry, SessionState},
    segment::TrackKey,
    spool::{Spool, seal::DataKey},
    store::Store,
    upstream::{Class, Fill, Report, Turns, Upstream},
    webhook::Endpoints,
};

/// How often the reaper looks.
const REAP_EVERY: Duration = Duration::from_secs(30);
/// A session without a stream that has heard nothing for this long beyond the stream's own silence limit has nobody at home.
const REAP_AFTER: Duration = Duration::from_mins(2);
/// Most calls that the voice webhook announced within a token's lifetime; what is beyond loses its `from` and `to`.
const MAX_EXPECTED: usize = 10_000;

/// Where a joined stream lies in its session.
#[derive(Debug, Clone, Copy)]
pub struct Opened {
    /// Counts the session's streams from 0.
    pub stream: u32,
    /// Its first audio on the call's clock.
    pub base_ms: u64,
}

/// A session as its streams see it.
#[derive(Clone)]
pub struct Line {
    session: SessionId,
    call_sid: CallSid,
    inputs: mpsc::Sender<Input>,
    reports: mpsc::Sender<(TrackKey, Report)>,
    /// What the next track is opened with.
    upstream: Arc<Mutex<Arc<Upstream>>>,
    tuning: Arc<Tuning>,
    key: DataKey,
    /// Where the call is recorded, if it is.
    capture: Option<Tap>,
    /// The track of the caller, which comes first where only one can be streamed.
    caller: Track,
}

impl Line {
    fn upstream(&self) -> Arc<Upstream> {
        Arc::clone(&locked(&self.upstream))
    }
}

/// What admission works with.
pub struct Parts {
    /// Where everything is kept.
    pub store: Store,
    /// Where audio waits for its finals.
    pub spool: Spool,
    /// Whether there is space for another call.
    pub space: Space,
    /// The keys of data at rest.
    pub keys: Arc<MasterKeys>,
    /// The speech service.
    pub upstream: Arc<Upstream>,
    /// Its session slots.
    pub turns: Turns,
    /// What a call gets that finds them taken.
    pub when_full: WhenFull,
    /// Who gets events.
    pub endpoints: Endpoints,
    /// The way to the receivers for what is not stored.
    pub passing: mpsc::Sender<Passing>,
    /// Whoever watches.
    pub live: broadcast::Sender<Arc<Event>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// How text is redacted.
    pub gate: GateSettings,
    /// Most calls at once.
    pub max_calls: usize,
    /// Whether every stream must bring a one-time token.
    pub require_token: bool,
    /// What transcribes.
    pub speech: Speech,
    /// Our address as others see it, for links to transcripts.
    pub origin: String,
    /// The stream's own silence limit.
    pub silence: Duration,
    /// Chunks that may wait for a link's task, out of [`crate::upstream::QUEUE_MS`].
    pub link_queue: usize,
    /// Every session and link runs on it.
    pub tasks: TaskTracker,
    /// Where calls are recorded, if they are.
    pub recorder: Option<Recorder>,
    /// The bridge takes no more calls.
    pub shutdown: CancellationToken,
}

struct Inner {
    parts: Parts,
    registry: Arc<Registry<Line>>,
    health: Arc<Health>,
    tokens: Mutex<Tokens>,
    expected: Mutex<HashMap<CallSid, (Instant, Remembered)>>,
    /// Sessions of an earlier run that have no end yet.
    left: Arc<AtomicUsize>,
    off_line: Arc<off_line::OffLine>,
}

/// The door to all sessions.
#[derive(Clone)]
pub struct Calls(Arc<Inner>);

impl Calls {
    /// Opens the door.
    pub fn new(parts: Parts) -> Self {
        let registry = Registry::new(parts.max_calls);
        let (tokens, expected) = (Mutex::default(), Mutex::default());
        let (left, off_line) = (Arc::default(), Arc::default());
        Self(Arc::new(Inner { parts, registry, health: Arc::default(), tokens, expected, left, off_line }))
    }

    /// Who is on the line now.
    pub fn registry(&self) -> &Registry<Line> {
        &self.0.registry
    }

    /// What transcribes.
    pub fn speech(&self) -> Speech {
        self.0.parts.speech
    }

    /// How the links to the speech service fare.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// How the disk stands.
    pub fn space(&self) -> Standing {
        self.0.parts.space.standing()
    }

    /// Why audio is not safe from a crash now; `None` where it is. Calls are taken all the same.
    pub fn spool_trouble(&self) -> Option<String> {
        self.0.parts.spool.trouble()
    }

    /// Why no call at all would be taken now; `None` where one would.
    pub fn refuses_now(&self) -> Option<Refused> {
        match () {
            () if self.0.parts.shutdown.is_cancelled() => Some(Refused::ShuttingDown),
            () if !self.0.parts.store.is_writable() => Some(Refused::NotReady),
            () if self.space().is_nearly_full() => Some(Refused::NearlyFull),
            () if self.0.registry.is_full() => Some(Refused::TooManyCalls),
            () if self.lacks_slots() => Some(Refused::NoSession),
            () => None,
        }
    }

    /// As [`Calls::refuses_now`], for a stream that has not said yet whose it is: it may be one that joins its session.
    pub fn refuses_all_streams(&self) -> Option<Refused> {
        let may_join = || self.0.registry.all().iter().any(|entry| entry.pulse.state() == SessionState::Waiting);
        self.refuses_now().filter(|refused| !refused.is_lack_of_room() || !may_join())
    }

    /// Whether this is an unused one-time token.
    pub fn is_fresh_token(&self, token: &str) -> bool {
        locked(&self.0.tokens).is_fresh(token, clock::now())
    }

    /// The voice webhook announces a call: remembers who called whom and makes its one-time token.
    pub fn expect_stream(&self, call_sid: CallSid, remembered: Remembered) -> SecretString {
        let now = clock::now();
        let mut expected = locked(&self.0.expected);
        expected.retain(|_, (at, _)| now.saturating_duration_since(*at) < token::LIFETIME);
        if expected.len() < MAX_EXPECTED {
            expected.insert(call_sid.clone(), (now, remembered));
        }
        locked(&self.0.tokens).mint(call_sid, clock::random(), now)
    }

    /// Who called whom, for every session of the call: another stream of it may come, and this one may still be refused.
    fn remembered(&self, call_sid: &CallSid) -> Remembered {
        locked(&self.0.expected).get(call_sid).map(|(_, remembered)| remembered.clone()).unwrap_or_default()
    }

    /// The way in for one socket; with the one-time token that stood in its path.
    pub fn door(&self, path_token: Option<&str>) -> Door {
        Door { calls: self.clone(), path_token: path_token.map(SecretString::from) }
    }

    async fn admit(&self, start: Start, dialect: Dialect, path_token: Option<&SecretString>) -> Result<Admission, Refused> {
        // A stream that joins its session needs no place of its own; opening a session looks for one.
        if let Some(refused) = self.refuses_now().filter(|refused| !refused.is_lack_of_room()) {
            return Err(refused);
        }
        self.check_token(&start, path_token)?;
        match self.join(&start, dialect).await? {
            Some(admission) => Ok(admission),
            None if self.space().is_nearly_full() => Err(Refused::NearlyFull),
            None => self.open_session(start, dialect).await,
        }
    }

    fn check_token(&self, start: &Start, path_token: Option<&SecretString>) -> Result<(), Refused> {
        let given = path_token.map(ExposeSecret::expose_secret).or_else(|| start.param("token"));
        // A token in the path may be all that let this socket in, so one that has expired since then is no use.
        let required = self.0.parts.require_token || path_token.is_some();
        let verdict = given.map(|token| locked(&self.0.tokens).consume(token, start.call(), clock::now()));
        match verdict {
            Some(Verdict::Good) => Ok(()),
            // A token from before a restart is unknown: the signature alone decides then, unless a token is required.
            Some(Verdict::Unknown) | None if !required => Ok(()),
            Some(Verdict::Used | Verdict::OtherCall | Verdict::Unknown) | None => Err(Refused::BadToken),
        }
    }

    /// Lets a stream join the session of its call, if that waits for one.
    async fn join(&self, start: &Start, dialect: Dialect) -> Result<Option<Admission>, Refused> {
        // A live one is asked as well: that its stream has just gone away may be on its way to it.
        let may_join = |entry: &Entry<Line>| matches!(entry.pulse.state(), SessionState::Live | SessionState::Waiting);
        let Some(entry) = self.0.registry.newest(start.call()).filter(may_join) else { return Ok(None) };
        let (answer, opened) = oneshot::channel();
        let join = Input::Join { stream_sid: start.stream_sid.clone(), tracks: start.tracks.clone(), answer };
        if entry.line.inputs.send(join).await.is_err() {
            return Ok(None);
        }
        let Some(opened) = opened.await.unwrap_or(Ok(None))? else { return Ok(None) };
        tracing::info!(session = %entry.session, call = %start.call(), stream = opened.stream, "a stream joined its session");
        entry.pulse.add_stream();
        let mut admission = Admission::new(self.clone(), dialect, entry, opened);
        admission.open_all(self.turns_of_joined(&start.tracks, admission.caller()));
        Ok(Some(admission))
    }

    /// Looks twice a minute for sessions with nobody at home.
    pub async fn reap(self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(REAP_EVERY) => {}
                () = self.0.parts.shutdown.cancelled() => return,
            }
            let (now, limit) = (clock::now(), self.0.parts.silence + REAP_AFTER);
            for entry in self.0.registry.all() {
                if entry.pulse.is_deserted(now, limit) {
                    tracing::warn!(session = %entry.session, "reaping a session that has heard nothing for too long");
                    let _ = entry.line.inputs.try_send(Input::Reap);
                }
            }
        }
    }
}

/// A poisoned lock guards counters and tokens that are whole between any two statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
