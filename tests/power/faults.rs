//! The real program on files that fail under it: Debian's libfiu lets its syncs, writes and cuts fail by chance, now and then.
//!
//! Only calls that a file can get and a socket cannot are let fail: `fsync`, `fdatasync`, `pwrite` (also short ones), `ftruncate`.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use pulse_bridge::{
    clock,
    emulate::{self, Auth, Emulator, Faults, HeardLog, Script},
    fixture::Fixture,
    receive::{self, Received},
    replay::{self, Ids, Pace, Progress, Recording},
};
use secrecy::SecretString;
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::{chance::Chance, life::Folder};

const AUTH_TOKEN: &str = "0123456789abcdef0123456789abcdef";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Longest wait for anything; far above every deadline of the bridge.
const PATIENCE: Duration = Duration::from_mins(2);
/// What fails, and with which error: EIO, ENOSPC, or a write that takes less than it was given.
const FAILING: [(&str, i32); 5] = [
    ("posix/io/sync/fsync", 5),
    ("posix/io/sync/fdatasync", 5),
    ("posix/io/rw/pwrite", 28),
    ("posix/io/rw/pwrite/reduce", 0),
    ("posix/io/rw/ftruncate", 5),
];
/// How often the disk is changed while calls are on the line.
const MOODS: u64 = 10;
const CALLS: u64 = 6;
const SPEED: f64 = 4.0;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_on_a_failing_disk_is_all_there_and_nothing_else() {
    if Command::new("fiu-run").arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        // Past the test's own capture: who reads the run must see it.
        let _ = std::io::stderr().write_all(b"\n!! SKIPPED: no fiu-run here: apt-get install fiu-utils libfiu0\n");
        return;
    }
    let mut stage = Stage::new().await;
    let mut bridge = Program::start(&stage, true).await;
    let calls: Vec<_> = (0..CALLS).map(|n| tokio::spawn(call(bridge.media(), n))).collect();
    let mut bodies = BTreeMap::new();
    stage.take(&mut bodies).await;
    let seed = std::env::var("POWER_SEED").map_or(1, |seed| seed.parse().expect("POWER_SEED is a number"));
    let mut chance = Chance::new(seed, 9);
    for _ in 0..MOODS {
        for (name, error) in FAILING {
            if chance.percent(60) {
                let probability = chance.pick(&["0.02", "0.1", "0.4"]);
                bridge.tell(&format!("enable_random name={name},probability={probability},failinfo={error}")).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(chance.of(200..900))).await;
        bridge.mend().await;
        tokio::time::sleep(Duration::from_millis(chance.of(100..500))).await;
    }
    // A disk that was full takes no calls until its reserve is back, and without a call nothing would be written that could fail.
    bridge.until_ready(true).await;
    bridge.tell("enable name=posix/io/sync/fdatasync,failinfo=5").await;
    bridge.tell("enable name=posix/io/sync/fsync,failinfo=5").await;
    bridge.tell("enable name=posix/io/rw/pwrite,failinfo=28").await;
    let late = tokio::spawn(call(bridge.media(), CALLS));
    bridge.until_ready(false).await;
    bridge.mend().await;
    bridge.until_ready(true).await;
    bridge.tell("enable_random name=posix/io/sync/fdatasync,probability=0.4,failinfo=5").await;
    let last = tokio::spawn(call(bridge.media(), CALLS + 1));
    for call in calls.into_iter().chain([late]) {
        call.await.unwrap();
    }
    bridge.kill();
    last.await.unwrap();
    let log = std::fs::read_to_string(&bridge.log).unwrap();
    for told in ["the database cannot be written", "the database can be written again", "failed to spool audio"] {
        assert!(log.contains(told), "nothing failed that should have: {told:?} is not in the log");
    }

    let again = Program::start(&stage, false).await;
    let told = again.until_all_is_over(&mut stage, &mut bodies).await;
    assert!(told.len() > 2, "too few calls were taken to prove anything: {}", told.len());
    for (session, events) in &told {
        let mut received = bodies.iter().filter(|((of, _), _)| of == session).map(|(_, body)| body);
        for (seq, event) in (1..).zip(events) {
            let parsed: Value = serde_json::from_slice(event).unwrap();
            assert_eq!(parsed["data"]["seq"], seq, "numbers have no gap");
            assert_eq!(parsed["type"] == "call.completed", seq == events.len() as u64, "one end, and it is the last");
            assert_eq!(received.next(), Some(event), "what was acknowledged is what is stored");
        }
        assert_eq!(received.next(), None, "{session}: an event was acknowledged and is not stored");
    }
    let known = bodies.keys().filter(|(session, _)| !told.contains_key(session)).count();
    assert_eq!(known, 0, "events of a call that is not stored");
    stage.stopped.cancel();
}

/// One call; the bridge may refuse it, and be killed under it.
async fn call(to: url::Url, number: u64) {
    let ids = Ids { call_sid: format!("CAfault{number}"), stream_sid: format!("MZfault{number}") };
    let settings = replay::Settings {
        pace: Pace::Times(SPEED),
        sign_with: Some(SecretString::from(AUTH_TOKEN)),
        ids: Some(ids),
        ..replay::Settings::new(to)
    };
    replay::play(&Recording::of_fixture(fixture()), &settings, &Progress::default()).await;
}

fn fixture() -> Fixture {
    Fixture::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pay-by-card")).unwrap()
}

/// A speech service and a receiver, and where the bridge's data lies.
struct Stage {
    folder: Folder,
    settings: Vec<(&'static str, String)>,
    deliveries: mpsc::Receiver<Received>,
    stopped: CancellationToken,
}

impl Stage {
    async fn new() -> Self {
        let (speech, receiver) = (free_port().await, free_port().await);
        let (folder, stopped) = (Folder::new(), CancellationToken::new());
        let settings = vec![
            ("PULSE_BRIDGE_LISTEN", "127.0.0.1:0".to_owned()),
            ("PULSE_BRIDGE_DATA_DIR", folder.0.join("data").display().to_string()),
            ("PULSE_BRIDGE_UPSTREAM_URL", format!("ws://{}/waves/v1/stt/live", speech.local_addr().unwrap())),
            ("PULSE_BRIDGE_UPSTREAM_REPLAY_SPEED", "8".to_owned()),
            ("SMALLEST_API_KEY", "sk_test".to_owned()),
            ("PULSE_BRIDGE_WEBHOOK_URL", format!("http://{}/hook", receiver.local_addr().unwrap())),
            ("PULSE_BRIDGE_WEBHOOK_SECRET", SECRET.to_owned()),
            ("TWILIO_AUTH_TOKEN", AUTH_TOKEN.to_owned()),
        ];
        let script = spawn_blocking(|| Script::of_fixtures(&[fixture()])).await.unwrap();
        let emulator =
            Emulator { speech: script.into(), faults: Faults::default(), auth: Auth::AnyKey, log: HeardLog::default() };
        tokio::spawn(emulate::serve(speech, emulator, stopped.clone()));
        let (sender, deliveries) = mpsc::channel(4096);
        let checks = receive::Settings { secrets: vec![SecretString::from(SECRET)], fail: receive::Fail::default() };
        tokio::spawn(receive::serve(receiver, checks, sender, stopped.clone()));
        Self { folder, settings, deliveries, stopped }
    }

    /// Takes one delivery; one that comes again must be the same bytes.
    async fn take(&mut self, bodies: &mut BTreeMap<(String, u64), Bytes>) {
        let delivery = tokio::time::timeout(PATIENCE, self.deliveries.recv()).await.expect("a delivery comes in time").unwrap();
        if delivery.status >= 300 {
            return;
        }
        let of = (delivery.session_id.clone().unwrap(), delivery.seq.unwrap());
        let before = bodies.insert(of, delivery.body.clone());
        assert!(before.is_none_or(|before| before == delivery.body), "one number with other bytes: {delivery}");
    }
}

/// The real program; killed when it is dropped.
struct Program {
    child: Child,
    address: String,
    control: PathBuf,
    log: PathBuf,
}

impl Program {
    async fn start(stage: &Stage, fails: bool) -> Self {
        let control = stage.folder.0.join("fiu");
        let program = env!("CARGO_BIN_EXE_pulse-bridge");
        let mut command = if fails { Command::new("fiu-run") } else { Command::new(program) };
        if fails {
            command.arg("-x").arg("-f").arg(&control).arg(program);
        }
        let log = stage.folder.0.join(format!("log-{}", clock::ulid()));
        let mut child = command
            .arg("serve")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(stage.settings.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let line = spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let line = tokio::time::timeout(PATIENCE, line).await.expect("a start line comes in time").unwrap().unwrap();
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://")).expect("the line names the address");
        Self { child, address: address.to_owned(), control, log }
    }

    fn media(&self) -> url::Url {
        format!("ws://{}/media/twilio", self.address).parse().unwrap()
    }

    /// Has libfiu do something in the program.
    async fn tell(&self, command: &str) {
        let mut told = Command::new("fiu-ctrl");
        told.arg("-f").arg(&self.control).arg("-c").arg(command).arg(self.child.id().to_string());
        let output = spawn_blocking(move || told.output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }

    async fn mend(&self) {
        for (name, _) in FAILING {
            self.tell(&format!("disable name={name}")).await;
        }
    }

    async fn get(&self, path: &str) -> (u16, Bytes) {
        let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(HttpConnector::new());
        let answer = client.get(format!("http://{}{path}", self.address).parse().unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.into_body().collect().await.unwrap().to_bytes())
    }

    /// Waits until the program says that calls can, or cannot, be stored.
    async fn until_ready(&self, ready: bool) {
        let mut last = Value::Null;
        let asking = async {
            loop {
                let (status, body) = self.get("/readyz").await;
                let body: Value = serde_json::from_slice(&body).unwrap();
                last.clone_from(&body);
                let is_writable = body["store"]["state"] == "ready";
                assert!(is_writable || status == 503, "{body}");
                // The spool and the reserve of space come back each in its own time.
                let is_as_wanted = if ready { status == 200 } else { !is_writable };
                if is_as_wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let told = tokio::time::timeout(PATIENCE, asking).await;
        assert!(told.is_ok(), "the program does not say that it is {}ready: {last}", if ready { "" } else { "not " });
    }

    /// Waits until every call is over and all of its events were taken; gives the events as they are stored, by session.
    async fn until_all_is_over(
        &self,
        stage: &mut Stage,
        bodies: &mut BTreeMap<(String, u64), Bytes>,
    ) -> BTreeMap<String, Vec<Bytes>> {
        loop {
            let (_, calls) = self.get("/v1/calls?limit=500").await;
            let calls: Value = serde_json::from_slice(&calls).unwrap();
            let mut told = BTreeMap::new();
            let mut is_over = true;
            for call in calls["items"].as_array().unwrap() {
                let session = call["session_id"].as_str().unwrap().to_owned();
                let (_, events) = self.get(&format!("/v1/calls/{session}/events?after_seq=0")).await;
                let events: Vec<Bytes> = events.split(|byte| *byte == b'\n').map(Bytes::copy_from_slice).collect();
                let events: Vec<Bytes> = events.into_iter().filter(|event| !event.is_empty()).collect();
                let is_taken = (1..=events.len() as u64).all(|seq| bodies.contains_key(&(session.clone(), seq)));
                is_over &= call["ended_at"].is_string() && is_taken;
                told.insert(session, events);
            }
            if is_over {
                return told;
            }
            stage.take(bodies).await;
        }
    }

    /// As `kill -9` does: no chance to write anything.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn free_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}
