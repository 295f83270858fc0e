//! The commands that run until they are told to stop: a listener, a start line on stdout, a signal.
//!
//! Promises: the start line names the real address, so port 0 can be asked for; the first signal ends a command cleanly, the
//! second at once.

use std::{io::Write, net::SocketAddr, path::Path};

use anyhow::{Context, anyhow};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    accept::room,
    cli::{self, Failure},
    clock,
    config::{self, Config},
    doctor::{self, Report},
    emulate::{self, Emulator, HeardLog, Speech},
    engine::driver::start,
    receive,
    replay::{self, Expect, Expectations, faults::Faults},
    serve::{self, Running},
    webhook::sign::SigningKey,
};

/// Connections that may wait in the kernel; it takes no more than `net.core.somaxconn`. When many dial at once a short queue forgets some,
/// and a good call may be among them.
const BACKLOG: u32 = 4_096;

/// `serve`.
///
/// # Errors
/// What could not be started; a second signal, behind which nothing more is done: the next start goes on from what is stored.
pub async fn serve(config: Config) -> Result<(), Failure> {
    room::raise_file_limit();
    let listener = bind(config.listen)?;
    let public = config.public_url.as_ref().map(ToString::to_string);
    // Before anything is begun, so that a signal that comes meanwhile is no kill.
    let mut signals = StopSignals::new()?;
    let (running, is_told) = started(listener, config, &mut signals).await?;
    let speech = serde_json::to_value(running.speech).context("failed to name the speech service")?;
    let speech = speech.as_str().unwrap_or_default();
    print(format!("pulse-bridge {} ready on http://{} speech: {speech}", env!("CARGO_PKG_VERSION"), running.address).as_bytes())?;
    tracing::info!(address = %running.address, public, speech, recovered = running.recovered, "ready");
    if !is_told {
        signals.next().await;
    }
    tracing::info!(
        calls = running.calls.registry().len(),
        "told to stop: live calls may end, new ones are refused; a second signal stops at once"
    );
    tokio::select! {
        () = running.stop() => Ok(()),
        () = signals.next() => Err(stopped_at_once().into()),
    }
}

/// The bridge, and whether it was told to stop before it was there. It starts in a task of its own: a large database that is checked takes
/// all of its thread's time, and signals must be heard meanwhile.
async fn started(listener: TcpListener, config: Config, signals: &mut StopSignals) -> anyhow::Result<(Running, bool)> {
    let mut starting = tokio::spawn(serve::start(listener, config));
    let (started, is_told) = tokio::select! {
        started = &mut starting => (started, false),
        () = signals.next() => {
            tracing::info!("told to stop before the start was over: it stops when it is; a second signal stops at once");
            tokio::select! {
                started = starting => (started, true),
                () = signals.next() => return Err(stopped_at_once()),
            }
        }
    };
    Ok((started.context("the start broke off")??, is_told))
}

fn stopped_at_once() -> anyhow::Error {
    anyhow!(
        "stopped at once by a second signal; calls and events that were under way are stored, and the next start goes on with them"
    )
}

/// `emulate`.
///
/// # Errors
/// A script or plan that cannot be read; what could not be started.
pub async fn emulate(arguments: cli::Emulate) -> Result<(), Failure> {
    let given = emulate::Arguments { script: arguments.script, faults: arguments.faults };
    let mut emulator = Emulator::of_arguments(&given).map_err(Failure::usage)?;
    if arguments.engine.is_some() {
        // What real people say is kept nowhere.
        emulator.log = HeardLog::unkept();
        let config = config::driver::read(None)?;
        emulator.speech =
            Speech::Recognised(start::start(&config.data_dir, config.engine.model, cli::engine::say(arguments.json)).await?);
    }
    let listener = bind(arguments.listen)?;
    let address = listener.local_addr().context("failed to read the listener's address")?;
    let signals = StopSignals::new()?;
    let url = format!("ws://{address}/waves/v1/stt/live");
    let ready =
        if arguments.json { serde_json::json!({ "ready": url }).to_string() } else { format!("speech service ready on {url}") };
    print(ready.as_bytes())?;
    let shutdown = CancellationToken::new();
    let engine = emulator.speech.engine().cloned();
    let serving = emulate::serve(listener, emulator, shutdown.clone());
    let ended = until_told(async { serving.await.context("the speech service broke") }, shutdown, signals).await;
    if let Some(engine) = engine {
        start::close(engine).await;
    }
    ended
}

/// `receive`.
///
/// Gives whether every event that should have come did, and nothing forged.
///
/// # Errors
/// A secret that is none; what could not be started.
pub async fn receive(arguments: cli::Receive) -> Result<bool, Failure> {
    if let Some(secret) = &arguments.secret {
        SigningKey::parse(secret).context("--secret").map_err(Failure::usage)?;
    }
    let listener = bind(arguments.listen)?;
    let address = listener.local_addr().context("failed to read the listener's address")?;
    let signals = StopSignals::new()?;
    let made = || SecretString::from(format!("whsec_{}", BASE64_STANDARD.encode(clock::random::<32>())));
    let (secret, is_made) = arguments.secret.map_or_else(|| (made(), true), |secret| (secret, false));
    if is_made {
        // Shown once, on purpose: whoever started the receiver has to give it to the bridge.
        eprintln!("secret  {}  made for this run; give it to the bridge as PULSE_BRIDGE_WEBHOOK_SECRET", secret.expose_secret());
    }
    eprintln!("receiver ready on http://{address}");
    let settings = receive::Settings { secrets: vec![secret], fail: arguments.fail.into_iter().collect() };
    let given = receive::Arguments { settings, json: arguments.json };
    let shutdown = CancellationToken::new();
    let mut stdout = std::io::stdout();
    let summary = until_told(receive::command(listener, given, shutdown.clone(), &mut stdout), shutdown, signals).await?;
    eprintln!("{summary}");
    Ok(summary.passed)
}

/// Runs a service to its end: the first signal asks it to end, the second does not wait for it.
async fn until_told<T>(
    running: impl Future<Output = anyhow::Result<T>>,
    shutdown: CancellationToken,
    mut signals: StopSignals,
) -> Result<T, Failure> {
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return Ok(ended?),
        () = signals.next() => shutdown.cancel(),
    }
    tokio::select! {
        ended = running => Ok(ended?),
        () = signals.next() => Err(anyhow!("stopped at once; a client still held its connection").into()),
    }
}

/// `doctor` without `--ready`: its report is its data, so a fault is told there and nowhere else.
///
/// # Errors
/// Exit code 2 for settings that cannot be read, 1 for everything else that fails.
pub fn doctor(arguments: &cli::Doctor, runtime: Runtime) -> Result<(), Failure> {
    let (report, code) = match config::driver::read(arguments.settings.config.as_deref()) {
        Ok(config) => (runtime.block_on(doctor::driver::examine(&config)), 1),
        Err(why) => (Report::unreadable(&why), 2),
    };
    // A name that still resolves or a disk that hangs has had its time.
    runtime.shutdown_background();
    print(if arguments.json { report.to_json() } else { report.to_text() }.as_bytes())?;
    if report.is_well() { Ok(()) } else { Err(Failure::told(code)) }
}

/// What `replay` was given, as the phone takes it.
///
/// # Errors
/// A URL that is none; a recording, a plan or an expectation that cannot be read; settings that are wrong, where the API token is looked for there.
pub fn replay(arguments: cli::Replay) -> Result<replay::Arguments, Failure> {
    let to = Url::parse(&arguments.to).with_context(|| format!("--to {} is not a URL", arguments.to)).map_err(Failure::usage)?;
    let recordings = arguments.paths.iter().map(|path| replay::load(path)).collect::<Result<Vec<_>, _>>();
    let recordings = recordings.map_err(Failure::usage)?.concat();
    let faults = arguments.faults.as_deref().map(read_faults).transpose().map_err(Failure::usage)?;
    let expect = match &arguments.expect {
        Some(folder) => {
            let files = Expectations::find(folder, &recordings, arguments.write_expected).map_err(Failure::usage)?;
            let token = match arguments.token {
                Some(token) => Some(token),
                None => config::driver::read(arguments.settings.config.as_deref())?.api_token,
            };
            let (write, tolerance_ms) = (arguments.write_expected, arguments.tolerance_ms);
            Some(Expect { write, tolerance_ms, token, ..Expect::new(files) })
        }
        None => None,
    };
    Ok(replay::Arguments {
        pace: arguments.speed,
        calls: usize::try_from(arguments.calls).unwrap_or(usize::MAX),
        sign_with: arguments.sign_with,
        faults: faults.unwrap_or_default(),
        expect,
        json: arguments.json,
        ..replay::Arguments::new(recordings, to)
    })
}

fn read_faults(path: &Path) -> anyhow::Result<Faults> {
    let plan = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Faults::of_json(&plan).map_err(|what| anyhow!("{} {what}", path.display()))
}

/// Takes the address, or says who may be in the way.
///
/// # Errors
/// One line that says what to do.
pub fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    listener(listen).map_err(|why| match why.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!(
            "cannot listen on {listen}: the address is in use; stop the other program or pass --listen 127.0.0.1:0 for any free port"
        ),
        _ => anyhow!("cannot listen on {listen}: {why}"),
    })
}

fn listener(listen: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As `TcpListener::bind` does: a restart must not wait for connections of the run before.
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)
}

/// Writes to stdout, a whole line; stdout is data, so a reader that went away is no failure of ours.
///
/// # Errors
/// What else keeps it from being written.
pub fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| if bytes.ends_with(b"\n") { Ok(()) } else { out.write_all(b"\n") });
    match written.and_then(|()| out.flush()) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => Err(anyhow!(why).context("cannot write to stdout")),
        _ => Ok(()),
    }
}

/// SIGTERM and SIGINT, both heard from the moment this is made.
pub(crate) struct StopSignals {
    term: Signal,
    int: Signal,
}

impl StopSignals {
    /// Takes both over from the system, which would end the program.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let term = signal(SignalKind::terminate()).context("failed to wait for SIGTERM")?;
        let int = signal(SignalKind::interrupt()).context("failed to wait for SIGINT")?;
        Ok(Self { term, int })
    }

    /// Waits for the next of either.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
