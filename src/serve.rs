//! Wires the drivers: a listener and the settings in, everything joined out.
//!
//! Promises: no globals, so several bridges fit in one process; what an earlier run left is taken up from the start on, beside new
//! calls; when told to stop, live calls go on until they end or the drain deadline is over, and nothing stored is lost.

mod speech;

use std::{
    fs::{File, TryLockError},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    net::TcpListener,
    sync::{broadcast, mpsc},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

pub(crate) use self::speech::upstream;
use crate::{
    accept::{self, Entrance, room::Room},
    admission::{Calls, Parts},
    api,
    call::DRAIN_LIMIT,
    capture::driver::Recorder,
    config::{
        Config,
        table::{LONGEST_CLOSE, LONGEST_SLOT_WAIT},
    },
    disk::driver::Watcher,
    engine::driver::{Pool, start},
    event::{Event, Speech},
    keys::MasterKeys,
    metrics::Metrics,
    net::{Connector, Dialler, Reach},
    outbox::{
        Flow,
        driver::{FlowObserver, Observed, Outbox},
    },
    redact::{self, GateSettings},
    refusals,
    retention::driver::Keeper,
    spool::Spool,
    store::Store,
    upstream::{Leaving, QUEUE_MS, Upstream},
    webhook::{
        Endpoint, Endpoints,
        driver::{ATTEMPT_DEADLINE, Poster},
    },
};

/// Locked in the data folder by the bridge that uses it.
const LOCK_FILE: &str = "lock";
/// Events that may wait for whoever watches; one that falls behind misses the oldest.
const LIVE_EVENTS: usize = 1024;
/// How often it is looked whether the last call has ended.
const DRAIN_STEP: Duration = Duration::from_millis(50);
/// How long links have to get a connection once their streams are closed; one that has none by then is left for the next start.
const AWAY_LIMIT: Duration = Duration::from_secs(10);
/// Longest time for sessions to end once their streams are closed. A link that still sends its backlog by then is left for the next start too:
/// its audio is on disk.
const CLOSING_LIMIT: Duration = Duration::from_secs(150);
const _: () =
    assert!(DRAIN_LIMIT.as_secs() > LONGEST_SLOT_WAIT.as_secs(), "a call that may still wait for a session is not given up");
const _: () = assert!(
    CLOSING_LIMIT.as_secs() > AWAY_LIMIT.as_secs() + LONGEST_CLOSE.as_secs(),
    "a link that is connected hears its last words"
);
/// Time for what is left to let go.
const LEAVING_LIMIT: Duration = Duration::from_secs(5);
/// Longest time for the outbox and the rest to stop; above the outbox's own flush deadline.
const STOPPING_LIMIT: Duration = Duration::from_secs(30);
/// Unstored events that may wait for the outbox; what is beyond is counted and left out.
const PASSING_EVENTS: usize = 1024;

/// A bridge that runs.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The door to its sessions.
    pub calls: Calls,
    /// Where everything is kept.
    pub store: Store,
    /// Every event, stored or not, as it is made.
    pub live: broadcast::Sender<Arc<Event>>,
    /// How many sessions of an earlier run are being ended.
    pub recovered: usize,
    /// What transcribes.
    pub speech: Speech,
    signals: Signals,
    sessions: TaskTracker,
    services: TaskTracker,
    /// The built-in engine, where that transcribes.
    engine: Option<Pool>,
    drain: Duration,
    /// Let go when all has stopped.
    _lock: File,
}

/// The steps to the end.
#[derive(Clone, Default)]
struct Signals {
    /// No new calls.
    draining: CancellationToken,
    /// Live streams are closed.
    closing: CancellationToken,
    /// What cannot end in time is left for the next start.
    leaving: Leaving,
    /// Everything else stops.
    stopping: CancellationToken,
}

/// Makes a folder with all above it that is missing, each name on stable storage: one that a power cut takes is gone with all in it.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    let missing = folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).count();
    std::fs::create_dir_all(folder)?;
    for above in folder.ancestors().skip(1).take(missing) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

/// Takes the data folder for this process alone, until it ends: a second bridge on it would end the calls of the first as if they were left
/// from an earlier run.
///
/// # Errors
/// Names the folder and what to do.
fn lock(data_dir: &Path) -> Result<File> {
    let path = data_dir.join(LOCK_FILE);
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.with_context(|| format!("failed to open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => anyhow::bail!(
            "another pulse-bridge uses {}; stop it first, or give this one a folder of its own as data_dir (PULSE_BRIDGE_DATA_DIR)",
            data_dir.display()
        ),
        Err(TryLockError::Error(why)) => {
            tracing::warn!(%why, "this file system has no locks: see to it that one bridge alone uses data_dir");
        }
    }
    Ok(file)
}

/// How many sockets there is room for; says so if that is fewer than the calls need.
fn room(max_calls: usize) -> Room {
    let room = Room::of_this_process(max_calls);
    if let Some(warning) = room.warning(max_calls) {
        tracing::warn!("{warning}");
    }
    room
}

/// Starts a bridge on a bound listener.
///
/// # Errors
/// What could not be opened or is set wrongly, in one line.
pub async fn start(listener: TcpListener, config: Config) -> Result<Running> {
    start_with(listener, config, None).await
}

/// The same with a built-in engine that runs already, for where the settings ask for one.
///
/// # Errors
/// As [`start()`].
pub async fn start_with(listener: TcpListener, config: Config, engine: Option<Pool>) -> Result<Running> {
    let address = listener.local_addr().context("failed to read the listener's own address")?;
    let origins = origins(&config, address)?;
    make_folder(&config.data_dir).with_context(|| format!("failed to make the data folder {}", config.data_dir.display()))?;
    let lock = lock(&config.data_dir)?;
    let keys = Arc::new(master_keys(&config).context("failed to load the master key")?);
    let store = Store::open(&config.data_dir.join("bridge.sqlite"), Arc::clone(&keys)).context("failed to open the database")?;
    let spool = Spool::open(&config.data_dir.join("spool")).context("failed to open the spool")?;
    let (disk, space) = Watcher::start(config.data_dir.clone(), config.disk, store.clone(), spool.clone()).await;
    let endpoints = endpoints(&config)?;
    let (metrics, signals) = (Arc::<Metrics>::default(), Signals::default());
    let (sessions, services) = (TaskTracker::new(), TaskTracker::new());
    let ((live, _), (passing, passing_in)) = (broadcast::channel(LIVE_EVENTS), mpsc::channel(PASSING_EVENTS));
    let dialler = Arc::new(Dialler::new(Reach::Anywhere));
    let (service, speech, engine) = speech::service(&config, engine, (&metrics, &services, &signals.stopping)).await?;
    let upstream =
        Upstream { leaving: signals.leaving.clone(), ..upstream(&config, &service, Arc::clone(&dialler), Arc::clone(&metrics))? };
    let turns = speech::turns(&service, &upstream);
    services.spawn(disk.run(signals.stopping.clone()));
    services.spawn(turns.clone().keep_time(signals.stopping.clone()));
    let calls = Calls::new(Parts {
        store: store.clone(),
        spool: spool.clone(),
        space,
        keys,
        upstream: Arc::new(upstream),
        turns,
        when_full: config.upstream.when_full,
        endpoints: endpoints.clone(),
        passing,
        live: live.clone(),
        metrics: Arc::clone(&metrics),
        gate: gate(&config)?,
        max_calls: config.ingest.max_calls,
        require_token: config.twilio.require_token,
        speech,
        origin: origins[0].to_string(),
        silence: config.ingest.silence,
        link_queue: usize::try_from(QUEUE_MS / config.upstream.chunk_ms).context("upstream.chunk_ms is too small")?,
        tasks: sessions.clone(),
        recorder: recorder(&config, &sessions, &metrics)?,
        shutdown: signals.draining.clone(),
    });
    let recovered = calls.recover().await.context("failed to take up what an earlier run left")?;
    services.spawn(calls.clone().reap());
    services.spawn(signals.stopping.clone().run_until_cancelled_owned(rewrap(store.clone())));
    let keeper = Keeper { store: store.clone(), spool, metrics: Arc::clone(&metrics) };
    services.spawn(keeper.run(config.retention, signals.stopping.clone()));
    let poster = Poster::new(Connector::new(dialler, ATTEMPT_DEADLINE));
    let (observer, flow_observer) = (observer(&metrics), flow_observer(&metrics));
    let outbox = Outbox { store: store.clone(), endpoints, poster, gate: config.redaction.gate(), observer, flow_observer };
    services.spawn(outbox.run(passing_in, signals.stopping.clone()));
    let drain = config.drain.deadline;
    let room = room(config.ingest.max_calls);
    metrics.expect_reasons(&refusals::all());
    let entrance = Entrance::new(room, Arc::clone(&metrics));
    let bridge = api::Bridge::new(api::Parts {
        config,
        calls: calls.clone(),
        store: store.clone(),
        metrics,
        entrance: entrance.clone(),
        origins,
        tasks: sessions.clone(),
        shutdown: signals.closing.clone(),
    });
    let (router, tasks, stopping) = (api::router(bridge), services.clone(), signals.stopping.clone());
    services.spawn(async move { accept::accept(entrance, listener, router, &tasks, stopping).await });
    Ok(Running { address, calls, store, live, recovered, speech, signals, sessions, services, engine, drain, _lock: lock })
}

impl Running {
    /// Takes no more calls, lets live ones end until the drain deadline, closes the rest, and stores and sends what is left.
    pub async fn stop(self) {
        self.signals.draining.cancel();
        crate::failpoint!("drain.begin");
        if tokio::time::timeout(self.drain, self.until_empty()).await.is_err() {
            let calls = self.calls.registry().len();
            tracing::warn!(calls, "drain.deadline is over: the calls that are still on the line are closed");
        }
        self.close().await;
    }

    /// Closes live calls at once, and stores and sends what is left.
    pub async fn close(self) {
        self.signals.draining.cancel();
        self.signals.closing.cancel();
        self.sessions.close();
        let leaving = &self.signals.leaving;
        let limits = [(AWAY_LIMIT, &leaving.unconnected), (CLOSING_LIMIT.saturating_sub(AWAY_LIMIT), &leaving.all)];
        for (limit, leave) in limits {
            if tokio::time::timeout(limit, self.sessions.wait()).await.is_err() {
                leave.cancel();
            }
        }
        if tokio::time::timeout(LEAVING_LIMIT, self.sessions.wait()).await.is_err() {
            tracing::error!("some calls did not end in time; the next start will end them");
        }
        crate::failpoint!("drain.closed");
        self.signals.stopping.cancel();
        self.services.close();
        if tokio::time::timeout(STOPPING_LIMIT, self.services.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        if let Some(engine) = self.engine {
            start::close(engine).await;
        }
        self.store.close().await;
    }

    async fn until_empty(&self) {
        while !self.calls.registry().is_empty() {
            tokio::time::sleep(DRAIN_STEP).await;
        }
    }
}

/// The addresses under which Twilio may know us: the one set, else the listener's own.
fn origins(config: &Config, address: SocketAddr) -> Result<Vec<Url>> {
    if let Some(public) = &config.public_url {
        return Ok(vec![public.clone()]);
    }
    let mut hosts = vec![format!("http://{address}")];
    if address.ip().is_loopback() {
        hosts.push(format!("http://localhost:{}", address.port()));
    }
    hosts.iter().map(|host| Url::parse(host).context("failed to make an address of the listener's")).collect()
}

/// Every endpoint of the settings.
///
/// # Errors
/// Names the endpoint that is set wrongly.
pub(crate) fn endpoints(config: &Config) -> Result<Endpoints> {
    let one = |endpoint: &crate::config::EndpointConfig| {
        let (name, url, events) = (endpoint.name.clone(), endpoint.url.clone(), endpoint.events.clone());
        Endpoint::new(name, url, &endpoint.secrets, events, endpoint.ordered)
            .with_context(|| format!("webhook endpoint {}", endpoint.name))
    };
    config.webhook.endpoints.iter().map(one).collect::<Result<Vec<_>>>().map(Endpoints::new)
}

/// Where calls are recorded, if they are to be.
fn recorder(config: &Config, tasks: &TaskTracker, metrics: &Arc<Metrics>) -> Result<Option<Recorder>> {
    let Some(folder) = &config.capture else { return Ok(None) };
    let recorder = Recorder::open(folder, tasks.clone(), Arc::clone(metrics));
    let recorder =
        recorder.with_context(|| format!("failed to open capture.dir {} (PULSE_BRIDGE_CAPTURE_DIR)", folder.display()))?;
    tracing::info!(folder = %folder.display(), "calls are recorded, with what is taken out of their text silent");
    Ok(Some(recorder))
}

/// How calls are redacted, with the name model where there is one.
fn gate(config: &Config) -> Result<GateSettings> {
    redact::prepare();
    let names = config.redaction.name_model.as_deref().map(redact::driver::load).transpose()?;
    Ok(GateSettings { names, ..config.redaction.gate() })
}

fn master_keys(config: &Config) -> Result<MasterKeys> {
    Ok(match config.key_list() {
        Some(list) => MasterKeys::parse(&list)?.with_made(&config.data_dir)?,
        None => MasterKeys::open_or_make(&config.data_dir)?,
    })
}

/// Brings every call's data key under the first master key, so that the others can be taken out of the settings.
async fn rewrap(store: Store) {
    match store.rewrap().await {
        Ok(0) => {}
        Ok(keys) => {
            tracing::info!(keys, "earlier calls are under the first master key now: the others can be taken out of `key`");
        }
        Err(why) => {
            tracing::warn!(%why, "failed to bring earlier calls under the first master key; the next start will try again");
        }
    }
    for (key_id, keys) in store.keyless().await.unwrap_or_default() {
        tracing::warn!(
            key_id,
            keys,
            "what is stored of some calls is sealed under a master key that is not set, and cannot be read"
        );
    }
}

fn observer(metrics: &Arc<Metrics>) -> crate::outbox::driver::Observer {
    let metrics = Arc::clone(metrics);
    Arc::new(move |observed: &Observed<'_>| {
        metrics.attempt(observed.endpoint.as_str(), observed.verdict, observed.since_event);
    })
}

fn flow_observer(metrics: &Arc<Metrics>) -> FlowObserver {
    let metrics = Arc::clone(metrics);
    Arc::new(move |endpoint, flow| metrics.endpoint_up(endpoint.as_str(), flow == Flow::Open))
}
