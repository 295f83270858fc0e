//! What transcribes the calls: the service of the settings, or the built-in engine as a service of its own on this machine.
//!
//! Promises: with the built-in engine nothing of a call goes to another machine, whatever else is set; nobody else on this one can use it, for its key is
//! made anew each time and told to nobody.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use secrecy::SecretString;
use tokio::{net::TcpListener, time::interval};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    clock,
    config::{self, Config},
    emulate::{self, Auth, Emulator, HeardLog, Speech as Recogniser},
    engine::driver::{
        Pool,
        install::{Progress, Say},
        start,
    },
    event::Speech,
    hex::hex,
    media::{BYTES_PER_MS, ms_to_bytes},
    metrics::Metrics,
    net::Dialler,
    upstream::{BatchEndpoint, Leaving, LinkSettings, Parameters, Protocol, Turns, Upstream},
};

/// How often it is looked how far behind the engine is.
const LOOK: Duration = Duration::from_secs(1);

/// The service to use, its name in events, and the built-in engine where that is it; starts the built-in engine where that is the one and none runs.
///
/// # Errors
/// An engine that is not there and cannot be fetched, in one line.
pub(super) async fn service(
    config: &Config,
    engine: Option<Pool>,
    (metrics, services, stopping): (&Arc<Metrics>, &TaskTracker, &CancellationToken),
) -> Result<(config::Upstream, Speech, Option<Pool>)> {
    if !config.upstream.is_built_in() {
        let speech = match config.upstream.protocol {
            Protocol::Pulse => Speech::Pulse,
            Protocol::Asr => Speech::Asr,
        };
        return Ok((config.upstream.clone(), speech, None));
    }
    let pool = match engine {
        Some(running) => running,
        None => start::start(&config.data_dir, config.engine.model, logged()).await?,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.context("failed to find a free port for the speech engine")?;
    let address = listener.local_addr().context("failed to read the speech engine's own address")?;
    let key = SecretString::from(hex(&clock::random::<32>()));
    let url = Url::parse(&format!("ws://{address}/waves/v1/stt/live")).context("failed to make the speech engine's address")?;
    let emulator = Emulator {
        speech: Recogniser::Recognised(pool.clone()),
        auth: Auth::Key(key.clone()),
        log: HeardLog::unkept(),
        ..Emulator::default()
    };
    let stop = stopping.clone();
    services.spawn(async move {
        if let Err(why) = emulate::serve(listener, emulator, stop).await {
            tracing::error!(%why, "the speech engine's port broke; calls keep their audio, and a restart goes on with them");
        }
    });
    services.spawn(stopping.clone().run_until_cancelled_owned(watch(pool.clone(), Arc::clone(metrics))));
    Ok((config.upstream.with_engine(url, key, &config.engine), Speech::BuiltIn, Some(pool)))
}

/// Tells the log how the engine's files come here.
fn logged() -> Say {
    Arc::new(|progress| {
        if let Progress::Says(line) = progress {
            tracing::info!("{line}");
        }
    })
}

/// Tells the metrics how far behind the engine is.
async fn watch(pool: Pool, metrics: Arc<Metrics>) {
    let mut look = interval(LOOK);
    loop {
        look.tick().await;
        metrics.engine(pool.lag(), pool.shed(), pool.failed());
    }
}

/// Where speech goes, with what is asked of it.
///
/// # Errors
/// A parameter that is none; no address.
pub(crate) fn upstream(
    config: &Config,
    set: &config::Upstream,
    dialler: Arc<Dialler>,
    metrics: Arc<Metrics>,
) -> Result<Upstream> {
    let mut parameters = Parameters::of(set.protocol);
    for (name, value) in &set.parameters {
        parameters.set(name, value).with_context(|| format!("upstream.{name}"))?;
    }
    for (name, value) in &set.extra {
        parameters.set_extra(name, value).with_context(|| format!("upstream.extra.{name}"))?;
    }
    let bounds = LinkSettings {
        close_deadline: set.close_deadline,
        replay_speed: set.replay_speed,
        session_limit: set.session_limit,
        catch_up: set.catch_up,
        slot_wait: set.slot_wait,
        has_batch: set.batch_address().is_some(),
        spool_bytes: ms_to_bytes(u64::try_from(config.spool.per_track.as_millis()).unwrap_or(u64::MAX / BYTES_PER_MS)),
        ..LinkSettings::default()
    };
    let batch = set.batch_address().map(|url| {
        let dialler = Arc::clone(&dialler);
        Arc::new(BatchEndpoint::new(url, set.batch_format, set.batch_deadline, set.batch_per_minute, dialler))
    });
    let settings = bounds.speaking(set.protocol);
    Ok(Upstream {
        batch,
        url: set.speech_url().context("there is no address of a speech service")?,
        api_key: set.api_key.clone(),
        parameters,
        settings: Arc::new(settings),
        dialler,
        metrics,
        leaving: Leaving::default(),
    })
}

pub(super) fn turns(set: &config::Upstream, upstream: &Upstream) -> Turns {
    let healthy_after = upstream.settings.healthy_after;
    Turns::new(set.max_sessions, set.connects_per_second, healthy_after, Arc::clone(&upstream.metrics))
}
