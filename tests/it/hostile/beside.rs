//! The long form: thousands of hostile peers in a process of their own, kept up throughout, beside calls at a phone's pace into a bridge in
//! another. The same calls alone, and beside the same peers at another bridge, show what is the machine's share.

use std::{
    collections::BTreeMap,
    fs::File,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use pulse_bridge::{accept::room, clock};
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    captured_at,
    gauge::{Spread, figures},
    peers::{Kind, keep_up},
    tap::{Sent, Tap},
};
use crate::{
    binary::address_of,
    phone::{FRAME, Phone, assert_whole, frames, plain, until_completed},
    stage::{Stage, load, of_type, text_of},
};
use pulse_bridge::media::Track;

/// The length of a frame.
const FRAME_TIME: Duration = Duration::from_millis(20);
/// Until as many peers as asked for are there.
const RAMP: Duration = Duration::from_secs(15);
/// The first of these is said by every other call, the second by the rest.
const FIXTURES: [&str; 2] = ["mid-word", "pay-by-card"];

fn asked(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

/// Started by the test below in a process of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of the next one"]
async fn only_the_hostile_peers() {
    let Ok(target) = std::env::var("HOSTILE_TARGET") else { return };
    room::raise_file_limit();
    let target: SocketAddr = target.parse().unwrap();
    keep_up(target, captured_at(target), asked("HOSTILE", 10_000), Duration::from_millis(asked("REDIAL_MS", 1_000) as u64)).await;
}

/// `HOSTILE=10000 CALLS=50 cargo test --test it -- --ignored --nocapture thousands_of_hostile_peers`; `BRIDGE=PATH` takes another binary.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes two minutes and the machine to itself"]
async fn thousands_of_hostile_peers_move_no_call_s_latency() {
    room::raise_file_limit();
    let (calls, rounds) = (asked("CALLS", 50), asked("ROUNDS", 1));
    let mut stage = Stage::new().await;
    let sent = Arc::<Sent>::default();
    let tap = Tap::start(&stage.settings_for_a_binary(), Arc::clone(&sent)).await;
    let bridge = Bridge::start(&stage, &tap, "measured").await;
    let other = Bridge::start(&stage, &tap, "other").await;
    println!(
        "{:<10} {:>22} {:>32} {:>10} {:>8}",
        "phase", "in the bridge p50 p99", "phone to service p50 p99 worst", "CPU s", "RSS MB"
    );
    for round in 0..rounds {
        for (phase, target) in [("alone", None), ("elsewhere", Some(&other)), ("beside", Some(&bridge))] {
            let peers = target.map(|target| Peers::against(target.address));
            tokio::time::sleep(if peers.is_some() { RAMP } else { Duration::from_secs(1) }).await;
            let (before, cpu) = (bridge.latency().await, bridge.cpu_seconds());
            play(&mut stage, bridge.address, &sent, &format!("CA{phase}{round}x"), calls).await;
            let inside = bridge.latency().await - before;
            let outside = sent.take_latencies();
            println!("{}", figures(phase, &inside, &outside, bridge.cpu_seconds() - cpu, bridge.resident_mb()));
            drop(peers);
        }
    }
    println!("{}", bridge.refusals().await);
    stage.end().await;
}

/// So many calls at once at a phone's pace; all must come out whole.
async fn play(stage: &mut Stage, address: SocketAddr, sent: &Arc<Sent>, prefix: &str, calls: usize) {
    let names: Vec<String> = (0..calls).map(|number| format!("{prefix}{number}")).collect();
    let mut playing = JoinSet::new();
    for (number, name) in names.iter().enumerate() {
        let fixture = FIXTURES[number % FIXTURES.len()];
        let phone = Phone::dial_at(address, name, "/media/twilio").await.expect("a good handshake is taken");
        playing.spawn(speak(phone, fixture, Arc::clone(sent)));
        tokio::time::sleep(FRAME_TIME).await;
    }
    for code in playing.join_all().await {
        assert_eq!(code, 1000);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let events = until_completed(stage, &names).await;
    let whole = |number: usize| &events[names[number]];
    for number in 0..calls {
        let end = &whole(number).last().unwrap()["data"];
        assert_eq!((&end["complete"], &end["end_reason"]), (&Value::Bool(true), &Value::from("stop")), "{end:#}");
        assert!(of_type(whole(number), "transcript.gap").is_empty());
        let fixture = FIXTURES[number % FIXTURES.len()];
        if fixture == "mid-word" {
            assert_whole(whole(number));
        } else {
            for track in ["inbound", "outbound"] {
                let (text, first) = (text_of(whole(number), track), text_of(whole(1), track));
                assert!(!text.is_empty() && plain(&text) == plain(&first), "each call says the same words");
            }
        }
    }
}

/// Says a fixture's tracks, a frame of each every 20 ms, and notes when; the code of the answer to its `stop`.
async fn speak(mut phone: Phone, fixture: &str, sent: Arc<Sent>) -> u16 {
    let tracks: Vec<(Track, bytes::Bytes)> = load(fixture).tracks.into_iter().collect();
    let names: Vec<String> = tracks.iter().map(|(track, _)| track.to_string()).collect();
    let lines: Vec<String> = names.iter().map(|track| format!("{}.{track}", phone.call)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    phone.start_with(&names, &Value::Object(serde_json::Map::new())).await;
    let since = clock::now();
    let longest = tracks.iter().map(|(_, audio)| frames(audio)).max().unwrap_or(0);
    for number in 0..longest {
        clock::sleep_until(Some(since + FRAME_TIME * u32::try_from(number).unwrap())).await;
        for ((_, audio), (name, line)) in tracks.iter().zip(names.iter().zip(&lines)) {
            let at = (number * FRAME).min(audio.len())..((number + 1) * FRAME).min(audio.len());
            if !at.is_empty() {
                let media = phone.media(name, number as u64 * 20, &audio[at]);
                sent.note(line);
                phone.say(media).await;
            }
        }
    }
    phone.stop().await;
    phone.closed().await.0
}

/// A bridge in a process of its own.
struct Bridge {
    child: Child,
    address: SocketAddr,
}

impl Bridge {
    async fn start(stage: &Stage, tap: &Tap, name: &str) -> Self {
        Self::start_with(stage, tap, name, "unlimited").await
    }

    /// With no more files than this, as `ulimit` takes it; "unlimited" leaves the limit as it is.
    async fn start_with(stage: &Stage, tap: &Tap, name: &str, files: &str) -> Self {
        let binary = std::env::var("BRIDGE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_pulse-bridge").to_owned());
        let data_dir = stage.data_dir.join(name);
        let log = File::create(std::env::temp_dir().join(format!("pulse-bridge-{name}.log"))).unwrap();
        let limit = if files == "unlimited" { String::new() } else { format!("ulimit -n {files} && ") };
        let mut child = Command::new("sh")
            .args(["-c", &format!("{limit}exec \"$0\" serve"), &binary])
            .env_clear()
            .envs(stage.settings_for_a_binary())
            .env("PULSE_BRIDGE_DATA_DIR", data_dir)
            .env("PULSE_BRIDGE_UPSTREAM_URL", tap.url())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let address = address_of(&mut child).await.parse().unwrap();
        Self { child, address }
    }

    async fn metrics(&self) -> String {
        crate::http::ask_at(&format!("http://{}/metrics", self.address)).await
    }

    async fn latency(&self) -> Spread {
        Spread::of_metrics(&self.metrics().await, "pulse_bridge_bridge_latency_seconds")
    }

    /// What was refused, and how many stand in the entrance now.
    async fn refusals(&self) -> String {
        let text = self.metrics().await;
        let told = |line: &&str| {
            !line.starts_with('#')
                && ["refused_total", "closed_total", "connections", "unstarted"].iter().any(|word| line.contains(word))
        };
        text.lines().filter(told).filter(|line| !line.ends_with(" 0")).collect::<Vec<_>>().join("\n")
    }

    fn status(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    /// User and system together, by the kernel's hundred ticks a second.
    fn cpu_seconds(&self) -> f64 {
        let stat = self.status("stat");
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        (ticks(11) + ticks(12)) / 100.0
    }

    fn resident_mb(&self) -> u64 {
        let status = self.status("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The hostile peers, in a process of their own that gives way to everybody's: nobody else's machine would do their work.
struct Peers(Child);

impl Peers {
    fn against(target: SocketAddr) -> Self {
        let this = std::env::current_exe().unwrap();
        let child = Command::new("nice")
            .args(["-n", "19"])
            .arg(this)
            .args(["--ignored", "--exact", "hostile::beside::only_the_hostile_peers"])
            .env("HOSTILE_TARGET", target.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_with_few_files_takes_a_call_beside_more_silent_peers_than_it_has_files() {
    let mut stage = Stage::new().await;
    let sent = Arc::<Sent>::default();
    let tap = Tap::start(&stage.settings_for_a_binary(), Arc::clone(&sent)).await;
    let bridge = Bridge::start_with(&stage, &tap, "few-files", "128").await;
    let mut silent = Vec::new();
    for number in 0..300 {
        silent.push(tokio::net::TcpStream::connect(bridge.address).await.unwrap());
        if number == 200 {
            play(&mut stage, bridge.address, &sent, "CAfew", 1).await;
        }
    }
    let gave_way = "pulse_bridge_connections_refused_total{reason=\"gave_way\"} ";
    let metrics = bridge.metrics().await;
    let count: u32 = metrics.lines().find_map(|line| line.strip_prefix(gave_way)).unwrap().parse().unwrap();
    assert!(count > 200, "{count} gave way");
    assert!(metrics.contains("connections_refused_total{reason=\"no_files\"} 0\n"), "it never came to that");
    drop((silent, bridge));
    stage.end().await;
}

#[test]
fn every_kind_of_peer_has_a_counter_of_its_reason() {
    let all: BTreeMap<(&str, &str), usize> = Kind::ALL.iter().fold(BTreeMap::new(), |mut all, kind| {
        *all.entry(kind.counter()).or_default() += 1;
        all
    });
    let known = pulse_bridge::refusals::all();
    for (name, word) in all.keys() {
        assert!(known.iter().any(|refusal| refusal.kind.counter() == *name && refusal.word == *word), "{name} {word}");
    }
}
