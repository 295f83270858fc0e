//! Each way to fail as the bridge's own HTTP client sees it, and that what failed is taken when it comes again.

use hyper_util::client::legacy::connect::HttpConnector;

use super::*;
use crate::{
    media::EndpointName,
    webhook::{
        Answer as Answered, Endpoint, Failure, Verdict,
        driver::{ANSWER_READ_BYTES, Poster},
        verdict::judge,
    },
};

/// Stands for the deadline of an attempt, which is 15 s.
const SHORT: Duration = Duration::from_millis(300);

struct Bridge {
    poster: Poster<HttpConnector>,
    endpoint: Endpoint,
}

impl Bridge {
    fn new(rig: &Rig) -> Self {
        let url = format!("http://{}/hooks", rig.address).parse().unwrap();
        let endpoint = Endpoint::new(EndpointName::new("crm").unwrap(), url, &[secret()], vec![], true).unwrap();
        Self { poster: Poster::new(HttpConnector::new()), endpoint }
    }

    async fn post(&self, seq: u64) -> Result<Answered, Failure> {
        let body = Bytes::from(body("transcript.final", seq));
        self.poster.post(&self.endpoint, &format!("evt_{seq}"), body).await.outcome
    }

    /// As if the deadline were [`SHORT`]: what a sender does at the end of it is to let the connection go.
    async fn post_hastily(&self, seq: u64) -> Result<Answered, Failure> {
        tokio::time::timeout(SHORT, self.post(seq)).await.unwrap_or(Err(Failure::Timeout))
    }
}

fn verdict(outcome: &Result<Answered, Failure>) -> Verdict {
    judge(outcome, clock::wall_ms())
}

#[tokio::test]
async fn each_way_has_its_verdict_and_what_failed_is_taken_the_next_time() {
    let status = |status: u16| Ok(status);
    let rows = [
        ("status=503", status(503), Verdict::Retry, Some(503), "status"),
        ("status=429,retry_after=7", status(429), Verdict::RetryAfter(Duration::from_secs(7)), Some(429), "status"),
        ("status=410", status(410), Verdict::Pause, Some(410), "status"),
        ("redirect=/elsewhere", status(302), Verdict::Retry, Some(302), "redirect"),
        ("status=308,redirect=http://127.0.0.1:9/", status(308), Verdict::Retry, Some(308), "redirect"),
        ("huge=3,status=500", status(500), Verdict::Retry, Some(500), "huge"),
        ("reset", Err(Failure::Reset), Verdict::Retry, None, "reset"),
        ("garbage", Err(Failure::NotHttp), Verdict::Retry, None, "garbage"),
        ("reset=midway", Err(Failure::Reset), Verdict::Retry, Some(200), "reset"),
    ];
    for (spec, outcome, expected, answered, word) in rows {
        let mut rig = Rig::new(&[&format!("{spec},count=1")]).await;
        let bridge = Bridge::new(&rig);
        let first = bridge.post(1).await;
        assert_eq!(first.as_ref().map(|answer| answer.status), outcome.as_ref().copied(), "{spec}");
        assert_eq!(verdict(&first), expected, "{spec}");
        let report = rig.reports.recv().await.unwrap();
        assert_eq!((report.status, report.failed, report.order), (answered.unwrap_or(0), Some(word), None), "{spec}");
        assert!(report.to_string().ends_with(&format!("signature verified  on purpose: {word}")), "{report}");
        let second = bridge.post(1).await;
        assert_eq!(verdict(&second), Verdict::Delivered, "{spec}");
        assert_eq!(rig.reports.recv().await.unwrap().order, Some(Order::Next), "{spec}: it is no duplicate");
        let counts = rig.counts().await;
        assert_eq!((counts.deliveries, counts.failed, counts.accepted, counts.duplicates), (2, 1, 1, 0), "{spec}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_even_to_the_receiver_itself() {
    let rig = Rig::new(&[]).await;
    let elsewhere = format!("redirect=http://{}/elsewhere", rig.address);
    let redirecting = Rig::new(&[&elsewhere]).await;
    assert_eq!(verdict(&Bridge::new(&redirecting).post(1).await), Verdict::Retry);
    assert_eq!(rig.counts().await.deliveries, 0);
}

#[tokio::test]
async fn a_huge_answer_that_says_yes_is_yes_and_is_read_only_in_part() {
    let mut rig = Rig::new(&["huge=64,count=1"]).await;
    let bridge = Bridge::new(&rig);
    let answer = bridge.post(1).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.kept.len() < ANSWER_READ_BYTES);
    assert_eq!(rig.reports.recv().await.unwrap().order, Some(Order::Next));
    assert_eq!(verdict(&bridge.post(1).await), Verdict::Delivered);
    assert_eq!(rig.reports.recv().await.unwrap().order, Some(Order::Duplicate), "it was delivered before");
    assert_eq!(rig.counts().await.accepted, 2);
}

#[tokio::test]
async fn a_huge_answer_is_as_long_as_it_says_for_who_reads_it_all() {
    let rig = Rig::new(&["huge=2"]).await;
    let answer = post(rig.address, "evt_1", &body("ping", 1), KEY).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("transfer-encoding: chunked") && !head.contains("content-length"), "{head}");
    assert_eq!(body.bytes().filter(|byte| *byte == b'x').count(), 2 << 20);
}

#[tokio::test]
async fn an_answer_later_than_the_deadline_is_no_acceptance_and_the_delivery_comes_again() {
    for spec in ["delay_ms=60000,count=1", "delay_ms=60000,status=204,count=1"] {
        let mut rig = Rig::new(&[spec]).await;
        let bridge = Bridge::new(&rig);
        assert_eq!(verdict(&bridge.post_hastily(1).await), Verdict::Retry);
        let report = rig.reports.recv().await.unwrap();
        assert_eq!((report.status, report.failed, report.order), (0, Some("left"), None));
        assert_eq!(report.to_string(), "  1 transcript.final       ---  signature verified  the sender left before the answer");
        assert_eq!(verdict(&bridge.post_hastily(1).await), Verdict::Delivered);
        assert_eq!(rig.reports.recv().await.unwrap().order, Some(Order::Next));
        let counts = rig.counts().await;
        assert_eq!((counts.deliveries, counts.abandoned, counts.accepted, counts.duplicates), (2, 1, 1, 0));
    }
}

#[tokio::test]
async fn an_answer_that_is_late_but_in_time_is_an_ordinary_one() {
    let mut rig = Rig::new(&["delay_ms=80"]).await;
    let began = clock::now();
    assert_eq!(verdict(&Bridge::new(&rig).post(1).await), Verdict::Delivered);
    assert!(clock::now() - began >= Duration::from_millis(80));
    let report = rig.reports.recv().await.unwrap();
    assert_eq!((report.status, report.failed, report.order), (204, Some("delay"), Some(Order::Next)));
}

#[tokio::test]
async fn a_dripping_answer_is_never_read_to_its_end_and_the_receiver_still_stops() {
    let mut rig = Rig::new(&["drip=20,count=1"]).await;
    let bridge = Bridge::new(&rig);
    assert_eq!(bridge.post_hastily(1).await, Err(Failure::Timeout));
    assert_eq!((rig.reports.recv().await.unwrap().status, 1), (200, 1));
    assert_eq!(verdict(&bridge.post(1).await), Verdict::Delivered);
    let counts = rig.counts().await;
    assert_eq!((counts.failed, counts.accepted, counts.duplicates), (1, 1, 0));

    let dripping = Rig::new(&["drip=20"]).await;
    let mut socket = TcpStream::connect(dripping.address).await.unwrap();
    socket.write_all(request("evt_1", &body("ping", 1), KEY, "").as_bytes()).await.unwrap();
    let mut head = [0; 12];
    socket.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    assert_eq!(dripping.counts().await.failed, 1, "who is still being answered does not hold it up for ever");
}

#[tokio::test]
async fn an_answer_that_hangs_never_comes_and_the_delivery_comes_again() {
    let mut rig = Rig::new(&["hang,count=1"]).await;
    let bridge = Bridge::new(&rig);
    assert_eq!(bridge.post_hastily(1).await, Err(Failure::Timeout));
    let report = rig.reports.recv().await.unwrap();
    assert_eq!((report.status, report.failed, report.order), (0, Some("hang"), None));
    assert_eq!(verdict(&bridge.post(1).await), Verdict::Delivered);
    assert_eq!(rig.reports.recv().await.unwrap().order, Some(Order::Next));
}

#[tokio::test]
async fn a_reset_is_one_on_the_wire() {
    let rig = Rig::new(&["reset"]).await;
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    socket.write_all(request("evt_1", &body("ping", 1), KEY, "").as_bytes()).await.unwrap();
    let why = socket.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(why.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn half_an_answer_comes_before_the_reset_in_the_middle_of_it() {
    let rig = Rig::new(&["reset=midway"]).await;
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    socket.write_all(request("evt_1", &body("ping", 1), KEY, "").as_bytes()).await.unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 1024]);
    let why = loop {
        match socket.read(&mut piece).await {
            Ok(0) => panic!("an orderly end"),
            Ok(length) => answer.extend_from_slice(&piece[..length]),
            Err(why) => break why,
        }
    };
    assert_eq!(why.kind(), io::ErrorKind::ConnectionReset);
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("half an answ"), "{answer}");
}

#[tokio::test]
async fn what_is_forged_is_refused_and_uses_up_no_failure() {
    let mut rig = Rig::new(&["status=503,count=1"]).await;
    let (answer, received) = rig.post("evt_1", 1, "call.started", b"somebody else's key").await;
    assert!(answer.starts_with("HTTP/1.1 401") && received.failed.is_none(), "{answer}");
    assert!(rig.post("evt_1", 1, "call.started", KEY).await.0.starts_with("HTTP/1.1 503"));
    let summary = rig.summary().await;
    assert!(!summary.passed && summary.to_string().starts_with("failed  2 deliveries"), "{summary}");
}
