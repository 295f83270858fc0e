mod failing;

use std::net::SocketAddr;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

use super::*;
use crate::receive::{Counts, Order, Spec};

/// `whsec_` and the base64 of this.
const KEY: &[u8] = b"a test's own key, 24 bytes or more";

struct Rig {
    address: SocketAddr,
    reports: mpsc::Receiver<Received>,
    shutdown: CancellationToken,
    task: JoinHandle<Summary>,
}

impl Rig {
    async fn new(fail: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let fail = fail.iter().map(|spec| spec.parse::<Spec>().unwrap()).collect();
        let settings = Settings { secrets: vec![secret()], fail };
        let (sender, reports) = mpsc::channel(100);
        let task = tokio::spawn(serve(listener, settings, sender, shutdown.clone()));
        Self { address, reports, shutdown, task }
    }

    /// Posts an event, signed with `key`; gives the answer's head and what the receiver reports.
    async fn post(&mut self, id: &str, seq: u64, kind: &str, key: &[u8]) -> (String, Received) {
        let answer = post(self.address, id, &body(kind, seq), key).await;
        (answer, self.reports.recv().await.unwrap())
    }

    async fn summary(self) -> Summary {
        self.shutdown.cancel();
        self.task.await.unwrap()
    }

    async fn counts(self) -> Counts {
        self.summary().await.counts
    }
}

fn secret() -> secrecy::SecretString {
    format!("whsec_{}", BASE64_STANDARD.encode(KEY)).into()
}

/// A signed request.
fn request(id: &str, body: &str, key: &[u8], more: &str) -> String {
    let at = clock::wall_ms() / 1000;
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    let signed = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    format!(
        "POST /hooks HTTP/1.1\r\nhost: x\r\n{more}content-length: {}\r\nwebhook-id: {id}\r\nwebhook-timestamp: {at}\r\nwebhook-signature: v1,{signed}\r\n\r\n{body}",
        body.len()
    )
}

fn body(kind: &str, seq: u64) -> String {
    format!(r#"{{"type":"{kind}","data":{{"session_id":"ses_1","seq":{seq}}}}}"#)
}

async fn post(address: SocketAddr, id: &str, body: &str, key: &[u8]) -> String {
    say(address, &request(id, body, key, "connection: close\r\n")).await
}

/// Sends this and reads to the end.
async fn say(address: SocketAddr, text: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_signed_event_is_verified_and_one_that_comes_again_is_a_duplicate() {
    let mut rig = Rig::new(&[]).await;
    for (id, seq, order) in [("evt_1", 1, Order::Next), ("evt_1", 1, Order::Duplicate), ("evt_3", 3, Order::Gap { expected: 2 })]
    {
        let (answer, received) = rig.post(id, seq, "transcript.final", KEY).await;
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        assert_eq!((received.signature, received.order, received.seq), (Signature::Verified, Some(order), Some(seq)));
        assert_eq!(received.webhook_id.as_deref(), Some(id));
    }
    let counts = rig.counts().await;
    assert_eq!((counts.deliveries, counts.accepted, counts.duplicates, counts.out_of_order), (3, 3, 1, 1));
}

#[tokio::test]
async fn a_forged_event_is_refused_and_counts_for_nothing() {
    let mut rig = Rig::new(&[]).await;
    let (answer, received) = rig.post("evt_1", 1, "call.started", b"somebody else's key").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert_eq!((&received.signature, received.order), (&Signature::Refused(BadSignature::NoMatch), None));
    assert_eq!(received.to_string(), "  1 call.started           401  signature refused: no signature fits");
    let (_, received) = rig.post("evt_1", 1, "call.started", KEY).await;
    assert_eq!(received.order, Some(Order::Next));
    assert_eq!(received.to_string(), "  1 call.started           204  signature verified");
    let counts = rig.counts().await;
    assert_eq!((counts.forged, counts.accepted, counts.duplicates), (1, 1, 0));
}

#[tokio::test]
async fn what_fails_on_demand_has_to_come_again() {
    let mut rig = Rig::new(&["status=503,count=2,retry_after=7,type=call.completed"]).await;
    rig.post("evt_1", 1, "call.started", KEY).await;
    for (status, order) in [(503, None), (503, None), (204, Some(Order::Next))] {
        let (answer, received) = rig.post("evt_2", 2, "call.completed", KEY).await;
        assert_eq!((received.status, received.order), (status, order));
        assert_eq!(answer.contains("retry-after: 7"), status == 503, "{answer}");
    }
    let counts = rig.counts().await;
    assert_eq!((counts.failed, counts.accepted, counts.complete_sessions), (2, 2, 1));
}

#[tokio::test]
async fn the_command_prints_a_line_or_an_object_for_each_delivery() {
    for json in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let arguments = Arguments { settings: Settings::default(), json };
        let stop = shutdown.clone();
        let mut out = Vec::new();
        let posting = async {
            post(address, "evt_1", r#"{"type":"ping"}"#, KEY).await;
            stop.cancel();
        };
        let (counts, ()) = tokio::join!(command(listener, arguments, shutdown, &mut out), posting);
        assert_eq!(counts.unwrap().counts.accepted, 1);
        let lines = String::from_utf8(out).unwrap();
        if json {
            let objects: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!((&objects[0]["type"], &objects[0]["signature"]), (&"ping".into(), &"unchecked".into()));
            let summary = &objects[1]["summary"];
            assert_eq!((&summary["passed"], &summary["accepted"], objects.len()), (&true.into(), &1.into(), 2), "{summary}");
        } else {
            assert_eq!(lines, "  - ping                   204  signature not checked\n");
        }
    }
}

#[tokio::test]
async fn the_last_lines_say_the_verdict_then_what_is_missing_of_which_session() {
    let mut rig = Rig::new(&[]).await;
    for (id, seq, kind) in [("a", 1, "call.started"), ("b", 3, "transcript.final"), ("c", 7, "call.completed")] {
        rig.post(id, seq, kind, KEY).await;
    }
    let summary = rig.summary().await;
    assert!(!summary.passed);
    assert_eq!(
        summary.to_string(),
        "failed  3 deliveries · 3 accepted · 0 duplicates · 2 out of order · 0 forged · 0 failed on purpose · 0 left by their sender · \
         0 of 1 sessions complete\n        ses_1 (ended) misses seq 2, 4-6"
    );
}

#[tokio::test]
async fn requests_in_a_row_on_one_connection_are_answered_in_a_row() {
    let mut rig = Rig::new(&["status=503,seq=2,count=1"]).await;
    let close = |seq| if seq == 4 { "connection: close\r\n" } else { "" };
    let requests: String =
        (1..=4).map(|seq| request(&format!("evt_{seq}"), &body("transcript.final", seq), KEY, close(seq))).collect();
    let answers = say(rig.address, &requests).await;
    let statuses: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["204", "503", "204", "204"]);
    for seq in 1..=4 {
        assert_eq!(rig.reports.recv().await.unwrap().seq, Some(seq));
    }
    assert_eq!(rig.counts().await.accepted, 3);
}

#[tokio::test]
async fn what_is_too_large_or_no_post_is_no_delivery() {
    let rig = Rig::new(&["reset"]).await;
    let huge = request("evt_1", &"x".repeat(MAX_BODY_BYTES + 1), KEY, "connection: close\r\n");
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    // The receiver may stop reading before all of it is written.
    let _ = socket.write_all(huge.as_bytes()).await;
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    assert!(say(rig.address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.starts_with("HTTP/1.1 405"));
    drop(socket);
    assert_eq!(rig.counts().await, Counts::default());
}

#[tokio::test]
async fn five_hundred_connections_at_once_are_each_answered() {
    let rig = Rig::new(&[]).await;
    let mut reports = rig.reports;
    let reading = tokio::spawn(async move {
        let mut numbers = Vec::new();
        while let Some(received) = reports.recv().await {
            numbers.push(received.number);
        }
        numbers
    });
    let posts = (1..=500).map(|seq| {
        let address = rig.address;
        async move { post(address, &format!("evt_{seq}"), &body("transcript.final", seq), KEY).await }
    });
    let answers = futures_util::future::join_all(posts).await;
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 204")));
    rig.shutdown.cancel();
    let summary = rig.task.await.unwrap();
    assert_eq!((summary.counts.accepted, summary.missing), (500, vec![]));
    let mut numbers = reading.await.unwrap();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=500).collect::<Vec<_>>());
}
