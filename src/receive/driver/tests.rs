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
use crate::receive::Order;

/// `whsec_` and the base64 of this.
const KEY: &[u8] = b"a test's own key, 24 bytes or more";

struct Rig {
    address: SocketAddr,
    reports: mpsc::Receiver<Received>,
    shutdown: CancellationToken,
    task: JoinHandle<io::Result<Counts>>,
}

impl Rig {
    async fn new(fail: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let settings = Settings { secrets: vec![secret()], fail: fail.parse().unwrap() };
        let (sender, reports) = mpsc::channel(100);
        let task = tokio::spawn(serve(listener, settings, sender, shutdown.clone()));
        Self { address, reports, shutdown, task }
    }

    /// Posts an event, signed with `key`; gives the answer's head and what the receiver reports.
    async fn post(&mut self, id: &str, seq: u64, kind: &str, key: &[u8]) -> (String, Received) {
        let body = format!(r#"{{"type":"{kind}","data":{{"session_id":"ses_1","seq":{seq}}}}}"#);
        let answer = post(self.address, id, &body, key).await;
        (answer, self.reports.recv().await.unwrap())
    }

    async fn counts(self) -> Counts {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap()
    }
}

fn secret() -> secrecy::SecretString {
    format!("whsec_{}", BASE64_STANDARD.encode(KEY)).into()
}

async fn post(address: SocketAddr, id: &str, body: &str, key: &[u8]) -> String {
    let at = clock::wall_ms() / 1000;
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    let signed = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let head = format!(
        "POST /hooks HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\nwebhook-id: {id}\r\nwebhook-timestamp: {at}\r\nwebhook-signature: v1,{signed}\r\n\r\n",
        body.len()
    );
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_signed_event_is_verified_and_one_that_comes_again_is_a_duplicate() {
    let mut rig = Rig::new("").await;
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
    let mut rig = Rig::new("").await;
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
    let mut rig = Rig::new("status=503,count=2,retry_after=7,type=call.completed").await;
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
        assert_eq!(counts.unwrap().accepted, 1);
        let line = String::from_utf8(out).unwrap();
        if json {
            let object: Value = serde_json::from_str(&line).unwrap();
            assert_eq!((&object["type"], &object["signature"]), (&"ping".into(), &"unchecked".into()));
        } else {
            assert_eq!(line, "  - ping                   204  signature not checked\n");
        }
    }
}
