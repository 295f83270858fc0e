//! A receiver that is ill beside one that is well: the well one's events come as ever, and the ill one gets all of its own, in
//! order, when it is back.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use pulse_bridge::{
    clock,
    store::{DeliveryFilter, DeliveryState},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

use crate::{
    http,
    phone::good_call,
    stage::{PATIENCE, Plan, SECRET, Stage, assert_unbroken},
};

/// What a huge answer would come to if anybody read it.
const HUGE: u64 = 256 << 20;
/// Calls of one measurement.
const CALLS: usize = 100;
/// Phones at a time: few enough that the figure is the outbox's and not a full machine's.
const PHONES: usize = 2;

/// How it treats whoever posts.
#[derive(Clone)]
enum Manner {
    Well,
    /// Never answers.
    Silent,
    /// Breaks off with RST.
    Resets,
    /// Answers 200 with [`HUGE`] bytes.
    Huge,
    /// Points at this address.
    Redirects(String),
    /// Says something that is no HTTP.
    Garbage,
}

/// A receiver over a bare socket.
struct Receiver {
    address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    /// What it took, and when: milliseconds since 1970-01-01 UTC.
    taken: mpsc::UnboundedReceiver<(u64, Value)>,
    /// Posts that it treated badly.
    spoiled: mpsc::UnboundedReceiver<()>,
    /// Bytes of a huge answer that went out before it was cut off.
    sent: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Receiver {
    async fn start(manner: Manner) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), manner)
    }

    fn on(listener: TcpListener, manner: Manner) -> Self {
        let (address, manner) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(manner)));
        let ((take, taken), (spoil, spoiled), sent) = (mpsc::unbounded_channel(), mpsc::unbounded_channel(), Arc::default());
        let of_each = (Arc::clone(&manner), Arc::clone(&sent));
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (manner, sent) = of_each.clone();
                tokio::spawn(answer(socket, manner, take.clone(), spoil.clone(), sent));
            }
        });
        Self { address, manner, taken, spoiled, sent, task }
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    async fn spoiled(&mut self) {
        tokio::time::timeout(PATIENCE, self.spoiled.recv()).await.expect("a post comes").unwrap();
    }

    /// Everything that it took, up to and with a `call.completed`.
    async fn call(&mut self) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        while events.last().is_none_or(|event| event["type"] != "call.completed") {
            events.push(self.next().await.1);
        }
        events
    }

    async fn next(&mut self) -> (u64, Value) {
        tokio::time::timeout(PATIENCE, self.taken.recv()).await.expect("an event comes").unwrap()
    }
}

async fn answer(
    mut socket: TcpStream,
    manner: Arc<Mutex<Manner>>,
    take: mpsc::UnboundedSender<(u64, Value)>,
    spoil: mpsc::UnboundedSender<()>,
    sent: Arc<AtomicU64>,
) {
    let Some(body) = request(&mut socket).await else { return };
    let manner = manner.lock().unwrap().clone();
    let word = match &manner {
        Manner::Well => {
            let _ = take.send((clock::wall_ms(), serde_json::from_slice(&body).unwrap()));
            "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned()
        }
        Manner::Redirects(to) => format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"),
        Manner::Garbage => "220 mail.example ESMTP\r\n\r\n".to_owned(),
        Manner::Huge => format!("HTTP/1.1 200 OK\r\ncontent-length: {HUGE}\r\n\r\n"),
        Manner::Silent | Manner::Resets => String::new(),
    };
    let _ = socket.write_all(word.as_bytes()).await;
    match manner {
        Manner::Well => return,
        Manner::Huge => {
            let piece = vec![b'x'; 16 << 10];
            while sent.load(Ordering::Relaxed) < HUGE && socket.write_all(&piece).await.is_ok() {
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        }
        Manner::Resets => drop(socket.set_zero_linger()),
        Manner::Silent => drop(socket.read(&mut [0; 1]).await),
        Manner::Redirects(_) | Manner::Garbage => {}
    }
    drop(socket);
    let _ = spoil.send(());
}

/// A request's body, by its content-length.
async fn request(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let head = all.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&all[..head]).to_lowercase();
            let length: usize = text.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
            if all.len() >= head + length {
                return Some(all[head..head + length].to_vec());
            }
        }
        if socket.read_buf(&mut all).await.ok()? == 0 {
            return None;
        }
    }
}

/// A bridge with the endpoint `ill` at this address and the stage's own receiver as `well`.
async fn stage(ill: String) -> Stage {
    stage_of(ill, None).await
}

/// The same with another receiver as `well`.
async fn stage_of(ill: String, other: Option<String>) -> Stage {
    let endpoints = move |own: &str| {
        let of = |name: &str, url: &str| {
            format!("[[webhook.endpoints]]\nname = \"{name}\"\nurl = \"{url}\"\nsecrets = [\"{SECRET}\"]\n")
        };
        format!("{}{}", of("ill", &ill), of("well", other.as_deref().unwrap_or(own)))
    };
    Stage::with(Plan { endpoints: Some(Box::new(endpoints)), ..Plan::default() }).await
}

async fn of_ill(stage: &Stage) -> Vec<(DeliveryState, Option<String>)> {
    let filter = DeliveryFilter { endpoint: Some("ill".into()), limit: 500, ..DeliveryFilter::default() };
    let listed = stage.bridge.store.deliveries(filter).await.unwrap().items;
    listed.into_iter().rev().map(|delivery| (delivery.state, delivery.reason)).collect()
}

/// Sends again what waits, as somebody would who knows that the receiver is back.
async fn retry(stage: &Stage) {
    for state in [DeliveryState::Leased, DeliveryState::Pending, DeliveryState::Parked] {
        let filter = DeliveryFilter { endpoint: Some("ill".into()), state: Some(state), ..DeliveryFilter::default() };
        stage.bridge.store.retry_all(filter).await.unwrap();
    }
}

/// A call while the receiver is ill, and its recovery; gives the reason of the first delivery in between.
async fn overcome(call: &str, mut ill: Receiver) -> (String, Receiver) {
    let mut stage = stage(ill.url()).await;
    good_call(&stage, call).await;
    let well = stage.events_of(call).await;
    ill.spoiled().await;
    let reason = loop {
        let listed = of_ill(&stage).await;
        assert!(listed.iter().all(|(state, _)| state.waits()), "{call}: {listed:?}");
        assert!(listed[1..].iter().all(|(_, reason)| reason.is_none()), "{call}: only the head is tried: {listed:?}");
        if let Some(reason) = listed[0].1.clone() {
            break reason;
        }
        tokio::task::yield_now().await;
    };
    *ill.manner.lock().unwrap() = Manner::Well;
    retry(&stage).await;
    let late = ill.call().await;
    assert_unbroken(&late);
    assert_eq!(late, well, "{call}: the same events in the same order");
    stage.end().await;
    (reason, ill)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resetting_or_babbling_receiver_costs_nobody_anything() {
    let rows = [("CAresets", Manner::Resets, "reset"), ("CAgarbage", Manner::Garbage, "not_http")];
    for (call, manner, expected) in rows {
        assert_eq!(overcome(call, Receiver::start(manner).await).await.0, expected, "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed_and_its_target_sees_nothing() {
    let mut target = Receiver::start(Manner::Well).await;
    let ill = Receiver::start(Manner::Redirects(target.url())).await;
    assert_eq!(overcome("CAredirects", ill).await.0, "status 307: a redirect is not followed");
    assert!(target.taken.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_is_left_at_the_deadline() {
    let began = clock::now();
    assert_eq!(overcome("CAsilent", Receiver::start(Manner::Silent).await).await.0, "timeout");
    assert!(clock::now() - began >= Duration::from_secs(15));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_answer_is_taken_by_its_status_and_cut_off() {
    let mut ill = Receiver::start(Manner::Huge).await;
    let mut stage = stage(ill.url()).await;
    good_call(&stage, "CAhuge").await;
    let events = stage.events_of("CAhuge").await.len() as u64;
    for _ in 0..events {
        ill.spoiled().await;
    }
    // What is beyond the 16 KiB that were read lay in the sockets' buffers.
    let sent = ill.sent.load(Ordering::Relaxed);
    assert!(sent < events * (16 << 20), "{sent} bytes of {events} answers");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_whose_port_is_closed_gets_all_when_it_opens() {
    let closed = TcpListener::bind("127.77.0.1:0").await.unwrap().local_addr().unwrap();
    let mut stage = stage(format!("http://{closed}/hook")).await;
    for call in ["CAone", "CAtwo"] {
        good_call(&stage, call).await;
    }
    let well = stage.events_of_all(2).await;
    let mut ill = Receiver::on(TcpListener::bind(closed).await.unwrap(), Manner::Well);
    retry(&stage).await;
    let mut late = ill.call().await;
    late.extend(ill.call().await);
    for (call, events) in &well {
        let late: Vec<&Value> = late.iter().filter(|event| event["data"]["call_sid"] == call.as_str()).collect();
        assert_eq!(late, events.iter().collect::<Vec<_>>(), "{call}");
    }
    let metrics = http::get(&stage, "/metrics").await;
    for endpoint in ["ill", "well"] {
        let up = format!("pulse_bridge_webhook_endpoint_up{{endpoint=\"{endpoint}\"}} 1");
        assert!(metrics.text().contains(&up), "{up} in {}", metrics.text());
    }
    ill.task.abort();
    stage.end().await;
}

/// From an event's making to its arrival at the well receiver, with another endpoint that is well, silent, resetting or closed:
/// `cargo test --release --test it -- --ignored --nocapture what_an_ill_receiver_costs`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures; docs/performance.md has its figures"]
async fn what_an_ill_receiver_costs_the_one_beside_it() {
    let manners = [
        // The first run is the one that starts everything.
        ("well, to warm up", Some(Manner::Well)),
        ("well", Some(Manner::Well)),
        ("silent", Some(Manner::Silent)),
        ("resetting", Some(Manner::Resets)),
        ("closed", None),
    ];
    for (name, manner) in manners {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", port.local_addr().unwrap());
        let beside = manner.map(|manner| Receiver::on(port, manner));
        let mut well = Receiver::start(Manner::Well).await;
        let stage = stage_of(url, Some(well.url())).await;
        let calls: Vec<String> = (0..CALLS).map(|call| format!("CA{call}")).collect();
        // Each phone has one call after the other.
        join_all(calls.chunks(CALLS / PHONES).map(async |calls| {
            for call in calls {
                good_call(&stage, call).await;
            }
        }))
        .await;
        let (mut waits, mut completed) = (Vec::new(), 0);
        while completed < CALLS {
            let (at_ms, event) = well.next().await;
            completed += usize::from(event["type"] == "call.completed");
            let made: jiff::Timestamp = event["timestamp"].as_str().unwrap().parse().unwrap();
            waits.push(at_ms.saturating_sub(made.as_millisecond().unsigned_abs()));
        }
        waits.sort_unstable();
        let at = |share: usize| waits[(waits.len() - 1) * share / 100];
        println!("beside one that is {name}: {} events, p50 {} ms, p99 {} ms, worst {} ms", waits.len(), at(50), at(99), at(100));
        drop(beside);
        stage.end().await;
    }
}
