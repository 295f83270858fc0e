//! The built-in engine under load, behind the whole program: calls of two tracks at once, at the pace of speech.
//!
//!     cargo bench --bench engine                                  # 4 calls: time from the end of speech to its final, memory, cost
//!     CALLS=20 cargo bench --bench engine                         # more than two cores do in time: nothing may be lost
//!     MODEL=accurate CALLS=1 FIXTURE=pay-by-card cargo bench --bench engine
//!
//! The bridge is a process of its own, phones and receiver are in this one. Needs the engine in ./data (`pulse-bridge engine install`).

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures_util::future::join_all;
use pulse_bridge::{
    clock,
    fixture::Fixture,
    media::bytes_to_ms,
    receive,
    replay::{self, Progress, Recording},
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// How often memory and the engine's lag are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long after the calls' end the last event is waited for.
const PATIENCE: Duration = Duration::from_mins(5);
/// Ticks of processor time a second, as Linux shows them to programs.
const TICKS: f64 = 100.0;

fn main() {
    let given = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let calls: u32 = given("CALLS", "4").parse().expect("CALLS is a whole number");
    let (fixture, model) = (given("FIXTURE", "dialogue"), given("MODEL", "fast"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be made");
    runtime.block_on(load(calls, &fixture, &model));
}

async fn load(calls: u32, fixture: &str, model: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixture = Fixture::load(&root.join("fixtures").join(fixture)).expect("the fixture is there");
    let audio_ms: u64 = fixture.tracks.values().map(|audio| bytes_to_ms(audio.len() as u64)).sum();
    let seconds = Duration::from_millis(audio_ms).as_secs_f64() * f64::from(calls);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let hook = format!("http://{}/", listener.local_addr().expect("it has an address"));
    let (sender, received) = mpsc::channel(1 << 16);
    let settings = receive::Settings { secrets: vec![SECRET.into()], ..receive::Settings::default() };
    tokio::spawn(receive::serve(listener, settings, sender, CancellationToken::new()));
    let data_dir = std::env::temp_dir().join(format!("pulse-bridge-engine-{}", clock::ulid()));
    std::fs::create_dir_all(&data_dir).expect("a folder can be made");
    std::os::unix::fs::symlink(root.join("data/engine"), data_dir.join("engine")).expect("a link can be made");
    let bridge = Bridge::start(&data_dir, &hook, model);
    let (idle, before) = (bridge.memory_kib("VmRSS:"), bridge.cpu_seconds());

    let (recording, phone, progress) =
        (Recording::of_fixture(fixture), replay::Settings::new(bridge.media()), Progress::default());
    let playing = join_all((0..calls).map(|_| replay::play(&recording, &phone, &progress)));
    let gathering = tokio::spawn(gather(received, calls));
    let metrics = format!("http://{}/metrics", bridge.address);
    let looking = CancellationToken::new();
    let lags = tokio::spawn(watch(metrics, looking.clone()));
    let played = playing.await;
    let ended = clock::now();
    let events = timeout(PATIENCE, gathering).await.expect("every call is completed").expect("nobody panics");
    let cpu = bridge.cpu_seconds() - before;
    looking.cancel();
    let lag = lags.await.expect("nobody panics");

    let failed = played.iter().filter(|played| played.error.is_some()).count();
    let latencies = latencies(&events);
    let completed: Vec<&Value> =
        events.iter().filter(|(_, event)| event["type"] == "call.completed").map(|(_, event)| event).collect();
    let complete = completed.iter().filter(|event| event["data"]["complete"] == true).count();
    let gaps = events.iter().filter(|(_, event)| event["type"] == "transcript.gap").count();
    let last = events.iter().map(|(at, _)| at.saturating_duration_since(ended)).max().unwrap_or_default();
    println!("{calls} calls of two tracks, model {model}, {seconds:.0} s of audio in all");
    println!("calls complete             {complete} of {calls}; {gaps} gaps; {failed} phones failed");
    println!("finals                     {}", latencies.len());
    println!("different transcripts      {}", different(&events));
    let at = |share: usize| latencies.get(latencies.len().saturating_sub(1) * share / 100).copied().unwrap_or(0);
    println!("speech end to final        {} ms median, {} ms at 95 %, {} ms worst", at(50), at(95), at(100));
    println!("last event                 {:.1} s behind the calls' end", last.as_secs_f64());
    println!("furthest behind            {lag:.1} s (engine_lag_seconds)");
    println!("processor                  {:.3} of a core for a live track, the bridge with it", cpu / seconds);
    println!(
        "memory                     {} MB with the model loaded, {} MB at most",
        idle / 1024,
        bridge.memory_kib("VmHWM:") / 1024
    );
    drop(bridge);
    let _ = std::fs::remove_dir_all(data_dir);
}

/// Every event until so many calls are completed, with when it came.
async fn gather(mut received: mpsc::Receiver<receive::Received>, calls: u32) -> Vec<(std::time::Instant, Value)> {
    let (mut events, mut completed) = (Vec::new(), 0);
    while completed < calls
        && let Some(delivery) = received.recv().await
    {
        let event: Value = serde_json::from_slice(&delivery.body).expect("an event is JSON");
        completed += u32::from(event["type"] == "call.completed");
        events.push((clock::now(), event));
    }
    events
}

/// From the end of speech to its final, in milliseconds, shortest first.
fn latencies(events: &[(std::time::Instant, Value)]) -> Vec<u64> {
    let finals = events.iter().filter(|(_, event)| event["type"] == "transcript.final");
    let mut found: Vec<u64> = finals.filter_map(|(_, event)| event["data"]["latency"]["upstream_ms"].as_u64()).collect();
    found.sort_unstable();
    found
}

/// How many different transcripts the calls have, which all are the same call.
fn different(events: &[(std::time::Instant, Value)]) -> usize {
    let mut calls: BTreeMap<&str, Vec<(u64, &str, &str)>> = BTreeMap::new();
    for (_, event) in events.iter().filter(|(_, event)| event["type"] == "transcript.final") {
        let data = &event["data"];
        let (call, track, text) = (data["call_sid"].as_str(), data["track"].as_str(), data["text"].as_str());
        let line = (data["start_ms"].as_u64().unwrap_or(0), track.unwrap_or_default(), text.unwrap_or_default());
        calls.entry(call.unwrap_or_default()).or_default().push(line);
    }
    let mut texts: Vec<Vec<(u64, &str, &str)>> = calls.into_values().collect();
    texts.iter_mut().for_each(|lines| lines.sort_unstable());
    texts.sort_unstable();
    texts.dedup();
    texts.len()
}

/// The furthest that the engine was behind, in seconds.
async fn watch(metrics: String, until: CancellationToken) -> f64 {
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http::<http_body_util::Empty<bytes::Bytes>>();
    let mut most = 0.0;
    while timeout(LOOK_EVERY, until.cancelled()).await.is_err() {
        let Ok(answer) = client.get(metrics.parse().expect("an address")).await else { continue };
        let Ok(body) = http_body_util::BodyExt::collect(answer.into_body()).await else { continue };
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        let lag = text.lines().find_map(|line| line.strip_prefix("pulse_bridge_engine_lag_seconds ")?.parse().ok());
        most = f64::max(most, lag.unwrap_or(0.0));
    }
    most
}

/// The real program; ended when this is dropped.
struct Bridge {
    child: Child,
    address: String,
}

impl Bridge {
    fn start(data_dir: &Path, hook: &str, model: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pulse-bridge"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env_clear()
            .env("PULSE_BRIDGE_DATA_DIR", data_dir)
            .env("PULSE_BRIDGE_ENGINE_MODEL", model)
            .env("PULSE_BRIDGE_TWILIO_ALLOW_UNSIGNED", "true")
            .env("PULSE_BRIDGE_WEBHOOK_URL", hook)
            .env("PULSE_BRIDGE_WEBHOOK_SECRET", SECRET)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it was asked for")).read_line(&mut line).expect("it says where it listens");
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://")).expect("the engine is in ./data");
        Self { address: address.to_owned(), child }
    }

    fn media(&self) -> Url {
        Url::parse(&format!("ws://{}/media/twilio", self.address)).expect("an address makes a URL")
    }

    fn memory_kib(&self, which: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let kib = status.lines().find_map(|line| line.strip_prefix(which)?.trim().strip_suffix(" kB")?.parse().ok());
        kib.expect("the status tells of memory")
    }

    fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        // The 14th and 15th field of the page proc(5), the first two being gone.
        (ticks(11) + ticks(12)) / TICKS
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
