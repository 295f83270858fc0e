use std::{collections::VecDeque, sync::Mutex, time::Instant};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::{net::TcpListener, task::JoinHandle};

use super::*;
use crate::{
    event::{Data, SpeechActivity},
    media::{CallSid, SessionId, Track},
    redact::GateSettings,
    store::{
        DeliveryFilter, DeliveryState,
        driver::tests::{Folder, begin, gap_event, masters, name, open, reopen},
    },
    webhook::{Endpoint, SigningKey, sign},
};

mod kept;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test]
async fn an_event_that_cannot_be_opened_is_parked_with_the_reason_and_the_rest_goes_on() {
    let (store, folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    commit(&store, &session, 1..=1).await;
    store.close().await;
    let store = reopen(&folder, "k2");
    let later = commit(&store, &session, 2..=2).await;
    let mut receiver = Receiver::start(vec![]).await;
    let running = Running::start(&store, &receiver, "crm");
    assert_eq!(receiver.next().await.body, later[0], "what is stored since then is sent");
    running.stop().await;
    let parked = DeliveryFilter { state: Some(DeliveryState::Parked), ..DeliveryFilter::default() };
    let parked = store.deliveries(parked).await.unwrap().items.remove(0);
    assert_eq!(parked.reason.unwrap(), StoreError::NoKey("k1".into()).to_string());
    assert_eq!((parked.seq, parked.attempts), (1, 0));
}

#[tokio::test]
async fn events_arrive_signed_and_in_order_byte_for_byte() {
    let (store, _folder) = open();
    let mut receiver = Receiver::start(vec![]).await;
    let running = Running::start(&store, &receiver, "crm");
    let session = begin(&store, "CA1", "MZ1").await;
    let bodies = commit(&store, &session, 1..=20).await;
    for body in bodies {
        let post = receiver.next().await;
        assert_eq!(post.body, body);
        let key = [SigningKey::parse(&SECRET.into()).unwrap()];
        let now = clock::wall_ms() / 1000;
        assert_eq!(sign::verify(&key, &post.id, &post.timestamp, &post.signature, &body, now), Ok(()));
        assert!(String::from_utf8_lossy(&body).contains(&post.id));
    }
    running.stop().await;
    assert!(store.pending(&name("crm"), 0, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_failed_event_holds_the_next_and_is_sent_again_the_same() {
    let (store, _folder) = open();
    let mut receiver = Receiver::start(vec![status(500)]).await;
    let session = begin(&store, "CA1", "MZ1").await;
    let bodies = commit(&store, &session, 1..=2).await;
    let running = Running::start(&store, &receiver, "crm");
    let (first, again, second) = (receiver.next().await, receiver.next().await, receiver.next().await);
    assert_eq!((&first.body, &again.body, &second.body), (&bodies[0], &bodies[0], &bodies[1]));
    assert_eq!(first.id, again.id);
    assert!(again.at - first.at >= Duration::from_millis(800), "{:?}", again.at - first.at);
    running.stop().await;
}

#[tokio::test]
async fn a_receiver_that_names_a_time_gets_it() {
    let (store, _folder) = open();
    let later = (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "2")]).into_response();
    let mut receiver = Receiver::start(vec![later]).await;
    let session = begin(&store, "CA1", "MZ1").await;
    commit(&store, &session, 1..=1).await;
    let running = Running::start(&store, &receiver, "crm");
    let (first, again) = (receiver.next().await, receiver.next().await);
    assert!(again.at - first.at >= Duration::from_secs(2));
    running.stop().await;
}

#[tokio::test]
async fn a_redirect_is_a_failure_that_stays_pending_with_its_history() {
    let (store, _folder) = open();
    let away = (StatusCode::PERMANENT_REDIRECT, [("location", "/elsewhere")]).into_response();
    let mut receiver = Receiver::start(vec![away]).await;
    let session = begin(&store, "CA1", "MZ1").await;
    commit(&store, &session, 1..=1).await;
    let running = Running::start(&store, &receiver, "crm");
    receiver.next().await;
    running.stop().await;
    let pending = store.pending(&name("crm"), 0, 9).await.unwrap();
    let (delivery, attempts) = store.delivery(pending[0].id).await.unwrap().unwrap();
    assert_eq!((delivery.attempts, delivery.reason.as_deref()), (1, Some("status 308: a redirect is not followed")));
    assert_eq!(attempts[0].status, Some(308));
}

#[tokio::test]
async fn a_huge_answer_counts_by_its_status_and_is_kept_in_part() {
    let (store, _folder) = open();
    let mut receiver = Receiver::start(vec!["x".repeat(8 << 20).into_response()]).await;
    let session = begin(&store, "CA1", "MZ1").await;
    commit(&store, &session, 1..=2).await;
    let running = Running::start(&store, &receiver, "crm");
    receiver.next().await;
    receiver.next().await;
    running.stop().await;
    let listed = store.deliveries(crate::store::DeliveryFilter::default()).await.unwrap();
    assert!(listed.items.iter().all(|delivery| delivery.state == "delivered"));
    let (_, attempts) = store.delivery(listed.items[1].id).await.unwrap().unwrap();
    assert_eq!(attempts[0].answer.as_ref().map(Bytes::len), Some(1024));
}

#[tokio::test]
async fn a_restart_sends_what_was_pending_with_the_same_name_and_bytes() {
    let (store, folder) = open();
    let mut receiver = Receiver::start(vec![status(500)]).await;
    let session = begin(&store, "CA1", "MZ1").await;
    let bodies = commit(&store, &session, 1..=2).await;
    let running = Running::start(&store, &receiver, "crm");
    let first = receiver.next().await;
    running.stop().await;
    store.close().await;
    drop(store);

    let store = Store::open(&folder.0.join("bridge.db"), masters("k1")).unwrap();
    let running = Running::start(&store, &receiver, "crm");
    let (again, second) = (receiver.next().await, receiver.next().await);
    assert_eq!((again.id, &again.body, &second.body), (first.id, &bodies[0], &bodies[1]));
    running.stop().await;
}

#[tokio::test]
async fn gone_stops_an_endpoint_and_a_retry_by_hand_starts_it_again() {
    let (store, _folder) = open();
    let mut receiver = Receiver::start(vec![status(410)]).await;
    let session = begin(&store, "CA1", "MZ1").await;
    let running = Running::start(&store, &receiver, "crm");
    commit(&store, &session, 1..=1).await;
    receiver.next().await;
    running.flows(Flow::Paused).await;
    let pending = store.pending(&name("crm"), 0, 9).await.unwrap().pop().unwrap();
    let (delivery, _) = store.delivery(pending.id).await.unwrap().unwrap();
    assert_eq!((delivery.reason.as_deref(), delivery.attempts), (Some("endpoint paused: status 410"), 1));
    assert_eq!(pending.attempts, 0, "no step of the schedule is used up");
    commit(&store, &session, 2..=2).await;
    store.commit(vec![Write::Retry(pending.id)]).await.unwrap();
    assert!(String::from_utf8_lossy(&receiver.next().await.body).contains("\"seq\":1,"));
    assert!(String::from_utf8_lossy(&receiver.next().await.body).contains("\"seq\":2,"));
    running.stop().await;
}

#[tokio::test]
async fn what_is_not_stored_is_told_once_to_those_who_asked() {
    let (store, _folder) = open();
    let mut receiver = Receiver::start(vec![status(500)]).await;
    let running = Running::start(&store, &receiver, "crm");
    for _ in 0..2 {
        let expected = running.tell(&["crm"]).await;
        assert_eq!(receiver.next().await.id, expected);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_paused_endpoint_is_not_told_of_what_is_not_stored() {
    let (store, _folder) = open();
    let mut receiver = Receiver::start(vec![status(410)]).await;
    let running = Running::start(&store, &receiver, "crm");
    let session = begin(&store, "CA1", "MZ1").await;
    commit(&store, &session, 1..=1).await;
    receiver.next().await;
    running.verdicts("pause").await;
    // One thread runs both: the attempt that told the observer has told the ledger too before this goes on.
    running.tell(&["crm"]).await;
    running.verdicts("dropped").await;
    running.stop().await;
    assert!(receiver.posts.try_recv().is_err());
}

#[tokio::test]
async fn an_endpoint_that_hangs_takes_no_room_from_another() {
    let (store, _folder) = open();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut receiver = Receiver::start(vec![]).await;
    let hanging = format!("http://{}/hook", silent.local_addr().unwrap());
    let running = Running::with(&store, &[("hangs", &hanging), ("crm", &receiver.url)]);
    for _ in 0..=AT_ONCE {
        running.tell(&["hangs"]).await;
    }
    running.verdicts("dropped").await;
    let expected = running.tell(&["crm"]).await;
    assert_eq!(receiver.next().await.id, expected);
    running.task.abort();
}

#[tokio::test]
async fn deliveries_to_an_endpoint_that_is_no_more_stay_pending() {
    let (store, _folder) = open();
    let mut receiver = Receiver::start(vec![]).await;
    let session = begin(&store, "CA1", "MZ1").await;
    store.commit(vec![gap_event(&session, 1, &["old", "crm"])]).await.unwrap();
    let running = Running::start(&store, &receiver, "crm");
    receiver.next().await;
    running.stop().await;
    assert_eq!(store.pending(&name("old"), 0, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_thousand_events_of_many_calls_all_arrive_once_and_in_order() {
    let (store, _folder) = open();
    let mut receiver = Receiver::start(vec![]).await;
    let running = Running::start(&store, &receiver, "crm");
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..50 {
        let store = store.clone();
        calls.spawn(async move {
            let session = begin(&store, "CA1", &format!("MZ{n}")).await;
            for seq in 1..=20 {
                commit(&store, &session, seq..=seq).await;
            }
        });
    }
    calls.join_all().await;
    let mut last = std::collections::HashMap::<String, u64>::new();
    for _ in 0..1000 {
        let body: serde_json::Value = serde_json::from_slice(&receiver.next().await.body).unwrap();
        let seen = last.entry(body["data"]["session_id"].as_str().unwrap().to_owned()).or_default();
        *seen += 1;
        assert_eq!(body["data"]["seq"], *seen);
    }
    running.stop().await;
}

struct Post {
    id: String,
    timestamp: String,
    signature: String,
    body: Bytes,
    at: Instant,
}

type Desk = (mpsc::UnboundedSender<Post>, Arc<Mutex<VecDeque<Response>>>);

/// Answers the first posts as told, then 204.
struct Receiver {
    url: String,
    posts: mpsc::UnboundedReceiver<Post>,
}

impl Receiver {
    async fn start(answers: Vec<Response>) -> Self {
        let (sender, posts) = mpsc::unbounded_channel();
        let take = async |State((sender, answers)): State<Desk>, headers: HeaderMap, body: Bytes| {
            let text = |name| headers[name].to_str().unwrap().to_owned();
            let (id, timestamp, signature) = (text(sign::ID_HEADER), text(sign::TIMESTAMP_HEADER), text(sign::SIGNATURE_HEADER));
            let _ = sender.send(Post { id, timestamp, signature, body, at: clock::now() });
            let told = answers.lock().unwrap().pop_front();
            told.unwrap_or_else(|| status(204))
        };
        let state: Desk = (sender, Arc::new(Mutex::new(answers.into())));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = Router::new().route("/hook", post(take)).with_state(state);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, posts }
    }

    async fn next(&mut self) -> Post {
        tokio::time::timeout(Duration::from_secs(10), self.posts.recv()).await.expect("a post comes").unwrap()
    }
}

struct Running {
    passing: mpsc::Sender<Passing>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    verdicts: tokio::sync::watch::Receiver<&'static str>,
    flows: tokio::sync::watch::Receiver<Option<Flow>>,
}

impl Running {
    fn start(store: &Store, receiver: &Receiver, endpoint: &str) -> Self {
        Self::with(store, &[(endpoint, &receiver.url)])
    }

    fn with(store: &Store, endpoints: &[(&str, &str)]) -> Self {
        let endpoint =
            |(of, url): &(&str, &str)| Endpoint::new(name(of), url.parse().unwrap(), &[SECRET.into()], vec![], true).unwrap();
        let endpoints = endpoints.iter().map(endpoint).collect();
        let (seen, verdicts) = tokio::sync::watch::channel("");
        let (tell_flow, flows) = tokio::sync::watch::channel(None);
        let outbox = Outbox {
            gate: GateSettings::default(),
            store: store.clone(),
            endpoints: Endpoints::new(endpoints),
            poster: Poster::new(HttpConnector::new()),
            observer: Arc::new(move |observed| {
                seen.send_replace(observed.verdict);
            }),
            flow_observer: Arc::new(move |_, flow| {
                tell_flow.send_replace(Some(flow));
            }),
        };
        let (passing, told) = mpsc::channel(16);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(outbox.run(told, shutdown.clone()));
        Self { passing, shutdown, task, verdicts, flows }
    }

    /// Hands in an event that is not stored; gives its id.
    async fn tell(&self, endpoints: &[&str]) -> String {
        let session = SessionId::new("ses_1").unwrap();
        let data = Data::SpeechStarted(SpeechActivity { track: Track::Inbound, at_ms: 3 });
        let event = Event::passing(clock::ulid(), clock::wall_ms(), &session, &CallSid::new("CA1").unwrap(), &data);
        let id = event.id.to_string();
        let endpoints = endpoints.iter().map(|endpoint| name(endpoint)).collect();
        self.passing.send(Passing { event, endpoints }).await.unwrap();
        id
    }

    async fn verdicts(&self, word: &str) {
        self.verdicts.clone().wait_for(|seen| *seen == word).await.unwrap();
    }

    async fn flows(&self, flow: Flow) {
        self.flows.clone().wait_for(|seen| *seen == Some(flow)).await.unwrap();
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

async fn commit(store: &Store, session: &SessionId, seqs: std::ops::RangeInclusive<u64>) -> Vec<Bytes> {
    let writes: Vec<Write> = seqs.map(|seq| gap_event(session, seq, &["crm"])).collect();
    let body = |write: &Write| match write {
        Write::Event { event, .. } => event.body.clone(),
        _ => unreachable!("only events are made here"),
    };
    let bodies = writes.iter().map(body).collect();
    store.commit(writes).await.unwrap();
    bodies
}

fn status(code: u16) -> Response {
    StatusCode::from_u16(code).unwrap().into_response()
}
