//! What a call costs in memory while the speech service is away: a bridge in a process of its own, phones and service in this one.
//!
//!     cargo bench --bench outage                              # 20 calls, half a minute away
//!     CALLS=100 AWAY_S=600 cargo bench --bench outage         # the figures of docs/performance.md
//!
//! Without `--bench` it runs one call for two seconds, so that it cannot rot.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use pulse_bridge::{
    clock,
    emulate::{self, Emulator},
    fixture::{Media, Message, Start},
    media::Track,
    replay::{self, Progress, Recording},
};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;
use url::Url;

const FRAME: usize = 160;
const FRAME_MS: u64 = 20;
/// Until all calls have begun and the first buffers are filled.
const SETTLING: Duration = Duration::from_secs(5);
/// How long the catching up is watched.
const CATCHING_UP: Duration = Duration::from_secs(20);
/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let given = |name: &str, bench: u64, test: u64| {
        std::env::var(name).map_or(if is_bench { bench } else { test }, |value| value.parse().expect("a whole number"))
    };
    let (calls, away) = (given("CALLS", 20, 1), Duration::from_secs(given("AWAY_S", 30, 2)));
    let watched = if is_bench { CATCHING_UP } else { LOOK_EVERY };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be made");
    runtime.block_on(outage(calls, away, watched));
}

async fn outage(calls: u64, away: Duration, watched: Duration) {
    // Taken and left again: nobody answers at this port until the service comes back to it.
    let service = TcpListener::bind("127.0.0.1:0").await.expect("a port is free").local_addr().expect("it has an address");
    let data_dir = std::env::temp_dir().join(format!("pulse-bridge-outage-{}", clock::ulid()));
    let mut bridge = Bridge::start(&data_dir, &format!("ws://{service}/waves/v1/stt/live"), calls);
    let idle = bridge.memory_kib();
    let recording = noise(away + watched + SETTLING);
    let phone = replay::Settings::new(bridge.media());
    let progress = Progress::default();
    let calling = join_all((0..calls).map(|_| replay::play(&recording, &phone, &progress)));
    let watching = async {
        sleep(SETTLING.min(away)).await;
        let begun = bridge.memory_kib();
        let most = bridge.most_within(away.saturating_sub(SETTLING)).await;
        let shutdown = CancellationToken::new();
        let listener = TcpListener::bind(service).await.expect("nobody took the port");
        let speaking = tokio::spawn(emulate::serve(listener, Emulator::default(), shutdown.clone()));
        let catching_up = bridge.most_within(watched).await;
        shutdown.cancel();
        let _ = speaking.await;
        let a_call = |kib: u64| kib.saturating_sub(idle) / calls;
        println!("{calls} calls of two tracks, the service away for {} s", away.as_secs());
        println!("idle                  {idle} KiB");
        println!("calls begun           {begun} KiB, {} KiB a call", a_call(begun));
        println!("most while away       {most} KiB, {} KiB a call", a_call(most));
        println!("most while catching up {catching_up} KiB, {} KiB a call", a_call(catching_up));
    };
    tokio::select! {
        () = watching => {}
        played = calling => panic!("the calls ended before their time: {:?}", played.first()),
    }
    drop(bridge);
    let _ = std::fs::remove_dir_all(data_dir);
}

/// Two tracks of noise as long as this; loud enough to pass for voices.
fn noise(length: Duration) -> Recording {
    let start = Start {
        sequence: 1,
        account_sid: "AC1".to_owned(),
        call_sid: "CA1".to_owned(),
        stream_sid: "MZ1".to_owned(),
        tracks: vec![Track::Inbound, Track::Outbound],
        parameters: std::collections::BTreeMap::new(),
    };
    let mut messages = vec![Message::Connected, Message::Start(start)];
    let (mut state, mut sequence) = (1_u32, 1);
    let frames = u64::try_from(length.as_millis()).expect("it is not as long as that") / FRAME_MS;
    for chunk in 0..frames {
        for track in [Track::Inbound, Track::Outbound] {
            let byte = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            let audio: Bytes = std::iter::repeat_with(byte).take(FRAME).collect::<Vec<u8>>().into();
            sequence += 1;
            messages.push(Message::Media(Media { sequence, track, chunk: chunk + 1, timestamp_ms: chunk * FRAME_MS, audio }));
        }
    }
    Recording { name: "noise".to_owned(), messages, notes: Vec::new() }
}

/// The real program; ended when this is dropped.
struct Bridge {
    child: Child,
    address: String,
}

impl Bridge {
    fn start(data_dir: &std::path::Path, speech: &str, calls: u64) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pulse-bridge"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env_clear()
            .env("PULSE_BRIDGE_DATA_DIR", data_dir)
            .env("PULSE_BRIDGE_UPSTREAM_URL", speech)
            .env("PULSE_BRIDGE_UPSTREAM_MAX_SESSIONS", (2 * calls + 20).to_string())
            .env("PULSE_BRIDGE_TWILIO_ALLOW_UNSIGNED", "true")
            .env("SMALLEST_API_KEY", "sk_bench")
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it was asked for")).read_line(&mut line).expect("it says where it listens");
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://")).expect("the line names the address");
        Self { address: address.to_owned(), child }
    }

    fn media(&self) -> Url {
        Url::parse(&format!("ws://{}/media/twilio", self.address)).expect("an address makes a URL")
    }

    /// What it holds of the machine's memory now.
    fn memory_kib(&mut self) -> u64 {
        let ended = self.child.try_wait().expect("a child can be asked");
        assert!(ended.is_none(), "the bridge has ended: {ended:?}");
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a running process has a status");
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        kib.expect("the status tells of memory")
    }

    async fn most_within(&mut self, time: Duration) -> u64 {
        let (mut most, until) = (self.memory_kib(), clock::now() + time);
        while clock::now() < until {
            sleep(LOOK_EVERY).await;
            most = most.max(self.memory_kib());
        }
        most
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
