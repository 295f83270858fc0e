//! The commands that run until they are told to stop: a listener, a start line on stdout, a signal.
//!
//! Promises: the start line names the real address, so port 0 can be asked for; the first signal ends a command cleanly, the
//! second at once.

use std::net::SocketAddr;

use anyhow::{Context, anyhow};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    cli::{self, Failure},
    clock,
    config::Config,
    emulate::{self, Emulator},
    receive, replay, serve,
};

/// `serve`.
///
/// # Errors
/// What could not be started.
pub async fn serve(config: Config) -> Result<(), Failure> {
    let listener = bind(config.listen).await?;
    let public = config.public_url.as_ref().map(ToString::to_string);
    let running = serve::start(listener, config).await?;
    let speech = serde_json::to_value(running.speech).context("failed to name the speech service")?;
    let speech = speech.as_str().unwrap_or_default();
    println!("pulse-bridge {} ready on http://{} speech: {speech}", env!("CARGO_PKG_VERSION"), running.address);
    tracing::info!(address = %running.address, public, speech, recovered = running.recovered, "ready");
    signalled().await?;
    tracing::info!("told to stop: live calls may end, new ones are refused; a second signal stops at once");
    tokio::select! {
        () = running.stop() => Ok(()),
        second = signalled() => {
            second?;
            Err(anyhow!("stopped at once; what was not delivered is stored").into())
        }
    }
}

/// `emulate`.
///
/// # Errors
/// What could not be started.
pub async fn emulate(arguments: cli::Emulate) -> Result<(), Failure> {
    let listener = bind(arguments.listen).await?;
    let given = emulate::Arguments { script: arguments.script, faults: arguments.faults };
    let emulator = Emulator::of_arguments(&given)?;
    let address = listener.local_addr().context("failed to read the listener's address")?;
    println!("speech service ready on ws://{address}/waves/v1/stt/live");
    let shutdown = CancellationToken::new();
    let serving = emulate::serve(listener, emulator, shutdown.clone());
    tokio::pin!(serving);
    tokio::select! {
        served = &mut serving => served.context("the speech service broke")?,
        told = signalled() => {
            told?;
            shutdown.cancel();
            serving.await.context("the speech service broke")?;
        }
    }
    Ok(())
}

/// `receive`.
///
/// # Errors
/// What could not be started.
pub async fn receive(arguments: cli::Receive) -> Result<(), Failure> {
    let fail = arguments.fail.map(|spec| spec.parse()).transpose().map_err(|why: receive::BadSpec| Failure::usage(why))?;
    let listener = bind(arguments.listen).await?;
    let address = listener.local_addr().context("failed to read the listener's address")?;
    let made = || SecretString::from(format!("whsec_{}", BASE64_STANDARD.encode(clock::random::<32>())));
    let (secret, is_made) = arguments.secret.map_or_else(|| (made(), true), |secret| (secret, false));
    if is_made {
        // Shown once, on purpose: whoever started the receiver has to give it to the bridge.
        eprintln!("secret  {}  made for this run; give it to the bridge as PULSE_BRIDGE_WEBHOOK_SECRET", secret.expose_secret());
    }
    eprintln!("receiver ready on http://{address}");
    let settings = receive::Settings { secrets: vec![secret], fail: fail.unwrap_or_default() };
    let shutdown = CancellationToken::new();
    let told = tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            let told = signalled().await;
            shutdown.cancel();
            told
        }
    });
    let given = receive::Arguments { settings, json: arguments.json };
    let counts = receive::command(listener, given, shutdown, &mut std::io::stdout()).await?;
    told.abort();
    eprintln!(
        "{} deliveries, {} accepted, {} duplicates, {} forged",
        counts.deliveries, counts.accepted, counts.duplicates, counts.forged
    );
    Ok(())
}

/// What `replay` was given, as the phone takes it.
///
/// # Errors
/// A URL that is none.
pub fn replay(arguments: cli::Replay) -> Result<replay::Arguments, Failure> {
    let to = Url::parse(&arguments.to).with_context(|| format!("--to {} is not a URL", arguments.to)).map_err(Failure::usage)?;
    let calls = usize::try_from(arguments.calls).unwrap_or(usize::MAX);
    Ok(replay::Arguments {
        paths: arguments.paths,
        to,
        pace: arguments.speed,
        calls,
        sign_with: arguments.sign_with,
        json: arguments.json,
    })
}

/// Takes the address, or says who may be in the way.
///
/// # Errors
/// One line that says what to do.
pub async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|why| match why.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!(
            "cannot listen on {listen}: the address is in use; stop the other program or pass --listen 127.0.0.1:0 for any free port"
        ),
        _ => anyhow!("cannot listen on {listen}: {why}"),
    })
}

/// Waits for SIGTERM or SIGINT.
async fn signalled() -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate()).context("failed to wait for SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("failed to wait for SIGINT")?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}
