//! The whole job on this machine: bridge, speech service, receiver and a phone, in one process on free ports.
//!
//! Promises: nothing leaves the machine; what is shown is what the receiver was sent; success means that every event which the
//! bridge has stored arrived, once, in order, with a signature that fits.

mod screen;
mod speech;
mod tally;

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tally::Tally;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;
use url::Url;

use self::{
    screen::{Delivered, Screen, stamp},
    speech::Speech,
};
use crate::{
    cli::Failure,
    clock,
    config::{Config, Sources},
    fixture::{Fixture, FixtureError},
    media::{CallSid, bytes_to_ms},
    receive::{self, Received, Signature},
    replay::{self, Ids, Progress, Recording},
    serve::{self, Running},
    tools::StopSignals,
};

/// Columns where there is no terminal.
const PLAIN_COLUMNS: usize = 100;
/// How long after the call's own length its last event may come: every deadline behind the call, and a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Reports of the receiver that may wait to be shown.
const REPORTS: usize = 256;
/// Where fixtures lie.
const FIXTURES: &str = "fixtures";

/// What the `demo` command was given.
pub struct Arguments {
    /// Which fixture call.
    pub fixture: String,
    /// The fixture's own words in place of the built-in engine.
    pub scripted: bool,
    /// Leave the bridge running afterwards.
    pub keep: bool,
    /// One JSON object a line.
    pub json: bool,
}

/// Everything that runs.
struct Stage {
    bridge: Running,
    /// What recognises, in words.
    speech: &'static str,
    secret: SecretString,
    auth_token: SecretString,
    receiver_address: String,
    reports: mpsc::Receiver<Received>,
    others: CancellationToken,
    data_dir: PathBuf,
}

/// Runs the demo until it is over or the first signal; whether every promised event arrived and verified.
///
/// # Errors
/// A fixture that cannot be read; what could not be started.
pub async fn run(arguments: Arguments, out: &mut (impl Write + Send)) -> Result<bool, Failure> {
    let fixture = load(&arguments.fixture).map_err(Failure::usage)?;
    let mut signals = StopSignals::new()?;
    let speech = tokio::select! {
        speech = Speech::ready(&fixture, (arguments.scripted, arguments.json)) => speech?,
        () = signals.next() => return Err(anyhow!("stopped before the speech engine was there; the next start fetches the rest").into()),
    };
    let mut stage = Stage::build(speech).await?;
    let outcome = tokio::select! {
        outcome = stage.show(&fixture, &arguments, out) => outcome,
        () = signals.next() => Err(anyhow!("stopped before the call was over")),
    };
    let outcome = match outcome {
        Ok(passed) if arguments.keep => stage.keep(arguments.json, &mut signals, out).await.map(|()| passed),
        other => other,
    };
    stage.take_down(&mut signals).await;
    Ok(outcome?)
}

fn load(name: &str) -> Result<Fixture> {
    let path = Path::new(FIXTURES).join(name);
    ensure!(
        path.is_dir(),
        "there is no fixture {name} here: {} is not a folder; run the demo from the project's own folder",
        path.display()
    );
    Fixture::load(&path).map_err(|why: FixtureError| why.into())
}

impl Stage {
    async fn build(speech: Speech) -> Result<Self> {
        let others = CancellationToken::new();
        let (receiver, bridge) = (free_port().await?, free_port().await?);
        let secret = SecretString::from(format!("whsec_{}", BASE64_STANDARD.encode(clock::random::<32>())));
        let auth_token = SecretString::from(crate::hex::hex(&clock::random::<16>()));
        let receiver_address = format!("http://{}", receiver.local_addr()?);
        let (sender, reports) = mpsc::channel(REPORTS);
        let settings = receive::Settings { secrets: vec![secret.clone()], ..receive::Settings::default() };
        tokio::spawn(receive::serve(receiver, settings, sender, others.clone()));

        let data_dir = std::env::temp_dir().join(format!("pulse-bridge-demo-{}", clock::ulid()));
        let (folder, name) = (data_dir.to_string_lossy(), speech.name());
        let (engine, address) = speech.serve(others.clone()).await?;
        let variables = [
            ("PULSE_BRIDGE_DATA_DIR", &*folder),
            ("PULSE_BRIDGE_UPSTREAM_URL", &address),
            ("PULSE_BRIDGE_WEBHOOK_URL", &receiver_address),
            ("PULSE_BRIDGE_WEBHOOK_SECRET", secret.expose_secret()),
            ("TWILIO_AUTH_TOKEN", auth_token.expose_secret()),
        ];
        let bridge = serve::start_with(bridge, settings_for(None, &variables)?, engine).await?;
        Ok(Self { bridge, speech: name, secret, auth_token, receiver_address, reports, others, data_dir })
    }

    async fn show(&mut self, fixture: &Fixture, arguments: &Arguments, out: &mut (impl Write + Send)) -> Result<bool> {
        let columns = if std::io::stdout().is_terminal() { terminal_columns() } else { PLAIN_COLUMNS };
        let (screen, length_ms) = (Screen::new(columns), length_ms(fixture));
        let ids = Ids {
            call_sid: format!("CA{}0001", crate::hex::hex(&clock::random::<14>())),
            stream_sid: format!("MZ{}", crate::hex::hex(&clock::random::<16>())),
        };
        let roles = roles(fixture);
        if !arguments.json {
            self.introduce(&ids, &fixture.name, &roles, length_ms, out)?;
            if let [left, right] = roles.as_slice() {
                screen.heads(left, right).map_or(Ok(()), |heads| writeln!(out, "{heads}"))?;
            }
        }
        let left = roles.first().cloned().unwrap_or_default();
        let phone = tokio::spawn(phone(self.bridge.address.to_string(), self.auth_token.clone(), ids.clone(), fixture.clone()));
        let until = clock::now() + Duration::from_millis(length_ms) + PATIENCE;
        let mut tally = Tally::default();
        while !tally.is_over()
            && let Ok(Some(received)) = tokio::time::timeout_at(until.into(), self.reports.recv()).await
        {
            let body: Value = serde_json::from_slice(&received.body).unwrap_or_default();
            let took = tally.add(&received, &body, clock::wall_ms());
            if arguments.json {
                writeln!(out, "{body}")?;
            } else {
                let verified = received.signature == Signature::Verified;
                let delivered = Delivered { body: &body, status: received.status, took, verified };
                for line in screen.event(&delivered, &left) {
                    writeln!(out, "{line}")?;
                }
            }
            out.flush()?;
        }
        let played = phone.await.context("the phone of the demo died")??;
        let promised = self.promised(&ids.call_sid).await?;
        tally.finish(&promised, played.error.as_deref());
        conclude(&tally, arguments, out)?;
        Ok(tally.passed())
    }

    fn introduce(&self, ids: &Ids, name: &str, roles: &[String], length_ms: u64, out: &mut impl Write) -> Result<()> {
        let bridge = &self.bridge.address;
        let secret = self.secret.expose_secret();
        let length = stamp(length_ms);
        writeln!(out, "pulse-bridge {} · demo · nothing leaves this machine", env!("CARGO_PKG_VERSION"))?;
        writeln!(out, "bridge    ready     http://{bridge}    speech: {}", self.speech)?;
        writeln!(
            out,
            "receiver  ready     {}    secret whsec_…{}, made for this run",
            self.receiver_address,
            &secret[secret.len() - 4..]
        )?;
        let (roles, length) = (roles.join(" + "), length.trim());
        writeln!(
            out,
            "call      live      CA…{}  \"{name}\", {roles}, {length}, sent as Twilio sends it",
            &ids.call_sid[ids.call_sid.len() - 4..]
        )?;
        Ok(())
    }

    /// What the bridge has stored for the call: everything that it owes.
    async fn promised(&self, call_sid: &str) -> Result<Vec<String>> {
        let call_sid = CallSid::new(call_sid)?;
        let Some(session) = self.bridge.store.call(call_sid.as_str()).await? else { return Ok(Vec::new()) };
        let events = self.bridge.store.events(&session.start.id, 0, u32::MAX).await?;
        Ok(events.into_iter().map(|event| format!("{} ({})", event.seq, event.kind)).collect())
    }

    /// Leaves everything running until the next signal.
    async fn keep(&self, json: bool, signals: &mut StopSignals, out: &mut (impl Write + Send)) -> Result<()> {
        let address = format!("http://{}", self.bridge.address);
        let line = if json { json!({ "kept": address }).to_string() } else { format!("kept    {address}    stop with Ctrl-C") };
        writeln!(out, "{line}").and_then(|()| out.flush())?;
        signals.next().await;
        Ok(())
    }

    /// Ends everything, in order unless a signal comes; the data goes in any case.
    async fn take_down(self, signals: &mut StopSignals) {
        tokio::select! {
            () = self.bridge.close() => {}
            () = signals.next() => {}
        }
        self.others.cancel();
        if let Err(why) = std::fs::remove_dir_all(&self.data_dir) {
            tracing::warn!(%why, "failed to remove the demo's data folder");
        }
    }
}

fn conclude(tally: &Tally, arguments: &Arguments, out: &mut impl Write) -> Result<()> {
    if arguments.json {
        writeln!(out, "{}", tally.json())?;
        return Ok(());
    }
    writeln!(out, "\n{tally}")?;
    if std::io::stdout().is_terminal() && !arguments.keep {
        writeln!(out, "next    pulse-bridge demo --keep      leave the bridge running and look at its API")?;
        writeln!(out, "        pulse-bridge doctor           check your own settings")?;
    }
    Ok(())
}

async fn phone(address: String, auth_token: SecretString, ids: Ids, fixture: Fixture) -> Result<replay::Played> {
    let to = Url::parse(&format!("ws://{address}/media/twilio")).context("failed to make the bridge's media address")?;
    let settings = replay::Settings { sign_with: Some(auth_token), ids: Some(ids), ..replay::Settings::new(to) };
    Ok(replay::play(&Recording::of_fixture(fixture), &settings, &Progress::default()).await)
}

/// Settings from this text of a file and these variables and nothing else: no file and no environment of whoever runs this.
///
/// # Errors
/// What is wrong with them.
pub fn settings_for(file: Option<&str>, variables: &[(&str, &str)]) -> Result<Config> {
    let names: Vec<String> = variables.iter().map(|(name, _)| (*name).to_owned()).collect();
    let value = |name: &str| variables.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned());
    let nothing = |_: &str| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    let file = file.map(|text| ("settings", text));
    Ok(Config::load(&Sources { file, env: &value, env_names: &names, read_file: &nothing })?)
}

async fn free_port() -> Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await.context("failed to find a free port on this machine")
}

fn length_ms(fixture: &Fixture) -> u64 {
    fixture.tracks.values().map(|audio| bytes_to_ms(audio.len() as u64)).max().unwrap_or(0)
}

fn roles(fixture: &Fixture) -> Vec<String> {
    fixture.truth.values().map(|truth| truth.role.clone()).collect()
}

fn terminal_columns() -> usize {
    terminal_size::terminal_size().map_or(PLAIN_COLUMNS, |(columns, _)| usize::from(columns.0))
}
