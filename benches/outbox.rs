//! How long a final waits until it is on stable storage, and how long until its receiver has it, at a steady number of events a second:
//! the real store on a real disk, the real outbox, real HTTP.
//!
//!     cargo bench --bench outbox                                     # 1,000 events a second for 20 s
//!     RATE=1500 SECONDS=60 CALLS=500 cargo bench --bench outbox
//!
//! The load does not wait for the bridge: an event's time begins when it was to be stored, however late the bridge comes to it. Without
//! `--bench` it runs a second of 50 events, so that it cannot rot.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use pulse_bridge::{
    clock,
    event::{Data, Direction, Event, TranscriptText},
    keys::MasterKeys,
    media::{CallSid, EndpointName, Offset, SessionId, StreamSid, Track},
    net::{Connector, Dialler, Reach},
    outbox::driver::{Outbox, Passing},
    pii::Unredacted,
    redact::{Gate, GateSettings, Out},
    segment::{Latency, Release, Role, Segment, TrackKey, Word},
    store::{NewSession, Store, Write},
    webhook::{
        Endpoint, Endpoints,
        driver::{ATTEMPT_DEADLINE, Poster},
    },
};
use tokio::{
    net::TcpListener,
    sync::mpsc,
    time::{sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// The example of the Standard Webhooks specification.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const KEY: TrackKey = TrackKey { stream: 0, track: Track::Inbound };
/// What is said in each final.
const TEXT: &str = "hello I would like to talk about my last bill";
/// How long the last deliveries may take.
const FLUSH: Duration = Duration::from_mins(1);

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let given = |name: &str, bench: u64, test: u64| {
        std::env::var(name).map_or(if is_bench { bench } else { test }, |value| value.parse().expect("a whole number"))
    };
    let load = Load { rate: given("RATE", 1_000, 50), seconds: given("SECONDS", 20, 1), calls: given("CALLS", 200, 5) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be made");
    runtime.block_on(load.run());
}

#[derive(Clone, Copy)]
struct Load {
    rate: u64,
    seconds: u64,
    calls: u64,
}

/// When an event was to be stored and when the receiver had it, by `webhook-id`.
type Times = Arc<Mutex<HashMap<String, Instant>>>;

impl Load {
    async fn run(self) {
        let data_dir = data_dir();
        let keys = Arc::new(MasterKeys::open_or_make(&data_dir).expect("a key can be made"));
        let store = open(&data_dir, &keys);
        let (due, received) = (Times::default(), Times::default());
        let url = receive(Arc::clone(&received)).await;
        let (shutdown, told) = (CancellationToken::new(), mpsc::channel::<Passing>(1));
        let outbox = Outbox {
            gate: GateSettings::default(),
            store: store.clone(),
            endpoints: endpoints(&url),
            poster: poster(),
            observer: Arc::new(|_| ()),
            flow_observer: Arc::new(|_, _| ()),
        };
        let delivering = tokio::spawn(outbox.run(told.1, shutdown.clone()));

        let began = clock::now() + Duration::from_millis(200);
        let cpu = cpu_time();
        let calls: Vec<_> = (0..self.calls)
            .map(|call| tokio::spawn(Call::begin(call, store.clone(), &keys, Arc::clone(&due)).speak(self, began)))
            .collect();
        let mut accepted = Vec::new();
        for call in calls {
            accepted.extend(call.await.expect("a call is not lost"));
        }
        let (events, lasted) = (accepted.len(), began.elapsed());
        let waiting = events - count(&received);
        let deadline = clock::now() + FLUSH;
        while count(&received) < events && clock::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
        let cpu = cpu_time().saturating_sub(cpu);
        shutdown.cancel();
        delivering.await.expect("the outbox ends");
        assert_eq!(count(&received), events, "every event arrives");

        let due = due.lock().expect("nobody panicked");
        let received = received.lock().expect("nobody panicked");
        let delivered = received.iter().map(|(id, at)| at.saturating_duration_since(due[id])).collect();
        println!("{events} events of {} calls in {:.1} s, {waiting} on their way at the last", self.calls, lasted.as_secs_f64());
        print("accepted (on stable storage)", accepted);
        print("delivered (receiver has it)", delivered);
        let each_us = cpu.as_micros() / u128::try_from(events.max(1)).expect("a count fits");
        println!("CPU of bridge, load and receiver together: {each_us} µs an event");
        let _ = std::fs::remove_dir_all(data_dir);
    }
}

/// One call with a final each `calls / rate` seconds.
struct Call {
    id: SessionId,
    call_sid: CallSid,
    store: Store,
    due: Times,
    start: Vec<Write>,
    number: u64,
}

impl Call {
    fn begin(number: u64, store: Store, keys: &MasterKeys, due: Times) -> Self {
        let id = SessionId::new(&format!("ses_{}", clock::ulid())).expect("a good id");
        let call_sid = CallSid::new(&format!("CA{number:032}")).expect("a good id");
        let session = NewSession {
            id: id.clone(),
            call_sid: call_sid.clone(),
            dialect: "twilio".to_owned(),
            account_sid: Some("AC1".to_owned()),
            direction: Direction::Inbound,
            from: Some("0100".to_owned()),
            to: Some("0199".to_owned()),
            webhook: None,
            started_wall_ms: clock::wall_ms(),
            key: keys.new_data_key(&id).1,
            context: serde_json::json!({}),
        };
        let stream_sid = StreamSid::new(&format!("MZ{number:032}")).expect("a good id");
        let stream = Write::Stream { session: id.clone(), stream: 0, dialect: "twilio", stream_sid, at_ms: 0 };
        let track = Write::Track { session: id.clone(), key: KEY, role: Role::caller() };
        Self { id, call_sid, store, due, start: vec![Write::Session(Box::new(session)), stream, track], number }
    }

    /// Stores its finals at their times; how long each took to be accepted.
    async fn speak(mut self, load: Load, began: Instant) -> Vec<Duration> {
        self.store.commit(std::mem::take(&mut self.start)).await.expect("a call begins");
        let count = load.rate * load.seconds / load.calls;
        let mut accepted = Vec::new();
        for seq in 1..=count {
            let place = (seq - 1) * load.calls + self.number;
            let at = began + Duration::from_nanos(place * 1_000_000_000 / load.rate);
            sleep_until(at.into()).await;
            self.store.commit(self.final_with(seq, at)).await.expect("a final is stored");
            accepted.push(at.elapsed());
        }
        accepted
    }

    /// What a call stores for a final: the event with its delivery, the segment, the track's mark.
    fn final_with(&self, seq: u64, at: Instant) -> Vec<Write> {
        let text = TranscriptText::of_final(&released(&self.id, seq));
        let data = Data::TranscriptFinal(Box::new(text.clone()));
        let event = Event::new(clock::ulid(), clock::wall_ms(), &self.id, &self.call_sid, seq, &data);
        self.due.lock().expect("nobody panicked").insert(event.id.to_string(), at);
        let session = || self.id.clone();
        vec![
            Write::Event { event, endpoints: vec![endpoint_name()] },
            Write::Segment { session: session(), stream: 0, seq, text: Box::new(text) },
            Write::Mark { session: session(), key: KEY, offset: Offset(seq * 24_000) },
        ]
    }
}

/// A final of ten words, through the redaction gate.
fn released(session: &SessionId, seq: u64) -> Release {
    let start_ms = seq * 3_000;
    let word = |(index, text): (usize, &str)| Word {
        text: Unredacted::new(text),
        start_ms: start_ms + 250 * index as u64,
        end_ms: start_ms + 250 * index as u64 + 240,
        confidence: Some(0.98),
        speaker: "inbound:0".to_owned(),
        speaker_confidence: Some(0.9),
        redacted: false,
    };
    let now = clock::now();
    let segment = Segment {
        id: format!("seg_{}_{seq}", session.as_str()),
        key: KEY,
        role: Role::caller(),
        speaker: "inbound:0".to_owned(),
        start_ms,
        end_ms: start_ms + 2_490,
        text: Unredacted::new(TEXT),
        words: TEXT.split(' ').enumerate().map(word).collect(),
        utterances: Vec::new(),
        language: Some("en".to_owned()),
        languages: Vec::new(),
        emotion: None,
        gender: None,
        provisional: false,
        recovered: false,
        covers: Offset(seq * 24_000),
        heard_at: now,
        latency: Latency::default(),
    };
    let mut gate = Gate::new(GateSettings::default(), [7; 32]);
    gate.handle_final(segment, now);
    gate.handle_end(now);
    let releases = std::iter::from_fn(|| gate.poll_output()).filter_map(|out| match out {
        Out::Release(release) => Some(release),
        _ => None,
    });
    releases.into_iter().next().expect("a final comes out of the gate at the end")
}

fn open(data_dir: &Path, keys: &Arc<MasterKeys>) -> Store {
    Store::open(&data_dir.join("bridge.sqlite"), Arc::clone(keys)).expect("the database opens")
}

fn data_dir() -> PathBuf {
    let path = std::env::temp_dir().join(format!("pulse-bridge-outbox-{}", clock::ulid()));
    std::fs::create_dir(&path).expect("a folder can be made");
    path
}

fn endpoint_name() -> EndpointName {
    EndpointName::new("crm").expect("a good name")
}

fn endpoints(url: &str) -> Endpoints {
    let url = url.parse().expect("a good address");
    Endpoints::new(vec![Endpoint::new(endpoint_name(), url, &[SECRET.into()], Vec::new(), true).expect("a good endpoint")])
}

fn poster() -> Poster<Connector> {
    Poster::new(Connector::new(Arc::new(Dialler::new(Reach::Anywhere)), ATTEMPT_DEADLINE))
}

/// A receiver that takes everything; its address.
async fn receive(received: Times) -> String {
    let take = async |State(received): State<Times>, headers: HeaderMap| {
        let id = headers["webhook-id"].to_str().expect("an id is text").to_owned();
        received.lock().expect("nobody panicked").insert(id, clock::now());
        StatusCode::NO_CONTENT
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/hook", listener.local_addr().expect("it has an address"));
    let app = Router::new().route("/hook", post(take)).with_state(received);
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn count(times: &Times) -> usize {
    times.lock().expect("nobody panicked").len()
}

/// User and system time of this process so far, in steps of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a running process has a status");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<u64>().expect("a count");
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |permille: usize| times.get((times.len() * permille / 1_000).min(times.len().saturating_sub(1))).copied();
    let ms = |permille: usize| at(permille).unwrap_or_default().as_secs_f64() * 1_000.0;
    println!("{what:30} p50 {:.1} ms, p99 {:.1} ms, worst {:.1} ms", ms(500), ms(990), ms(1_000));
}
