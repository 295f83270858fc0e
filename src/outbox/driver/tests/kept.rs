//! What the store keeps of attempts under way and of paused endpoints.

use tokio::sync::oneshot;

use super::*;

/// A receiver that says when a POST has come and answers when it is told to.
struct Held {
    url: String,
    come: mpsc::UnboundedReceiver<oneshot::Sender<u16>>,
}

impl Held {
    async fn start() -> Self {
        let (sender, come) = mpsc::unbounded_channel();
        let take = async |State(sender): State<mpsc::UnboundedSender<oneshot::Sender<u16>>>| {
            let (answer, answered) = oneshot::channel();
            let _ = sender.send(answer);
            answered.await.map_or_else(|_| status(500), status)
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(take)).with_state(sender)).await });
        Self { url, come }
    }

    async fn next(&mut self) -> oneshot::Sender<u16> {
        tokio::time::timeout(Duration::from_secs(20), self.come.recv()).await.expect("a post comes").unwrap()
    }
}

/// A call, the first of its events on its way to a receiver that holds its answer back.
struct UnderWay {
    store: Store,
    folder: Folder,
    receiver: Held,
    running: Running,
    session: SessionId,
    first: oneshot::Sender<u16>,
}

impl UnderWay {
    async fn of(events: u64) -> Self {
        let (store, folder) = open();
        let mut receiver = Held::start().await;
        let running = Running::with(&store, &[("crm", &receiver.url)]);
        let session = begin(&store, "CA1", "MZ1").await;
        commit(&store, &session, 1..=events).await;
        let first = receiver.next().await;
        Self { store, folder, receiver, running, session, first }
    }
}

async fn states(store: &Store) -> Vec<DeliveryState> {
    let mut listed = store.deliveries(DeliveryFilter::default()).await.unwrap().items;
    listed.reverse();
    listed.iter().map(|delivery| delivery.state).collect()
}

#[tokio::test]
async fn a_delivery_is_leased_while_its_post_is_under_way_and_no_longer() {
    let UnderWay { store, folder: _folder, mut receiver, running, first, .. } = UnderWay::of(2).await;
    assert_eq!(states(&store).await, [DeliveryState::Leased, DeliveryState::Pending]);
    let backlog = store.backlogs().await.unwrap().pop().unwrap();
    assert_eq!((backlog.pending, backlog.oldest_wall_ms.is_some()), (2, true), "what is under way is told of too");
    first.send(204).unwrap();
    let second = receiver.next().await;
    assert_eq!(states(&store).await, [DeliveryState::Delivered, DeliveryState::Leased]);
    second.send(204).unwrap();
    running.stop().await;
    assert_eq!(states(&store).await, [DeliveryState::Delivered; 2]);
}

#[tokio::test]
async fn what_was_leased_when_the_program_ended_is_sent_again_after_the_start() {
    let UnderWay { store, folder, mut receiver, running, first: unanswered, .. } = UnderWay::of(1).await;
    running.task.abort();
    let _ = running.task.await;
    store.close().await;
    drop((store, unanswered));

    let store = Store::open(&folder.0.join("bridge.db"), masters("k1")).unwrap();
    assert_eq!(states(&store).await, [DeliveryState::Pending]);
    let running = Running::with(&store, &[("crm", &receiver.url)]);
    receiver.next().await.send(204).unwrap();
    running.stop().await;
    assert_eq!(states(&store).await, [DeliveryState::Delivered]);
}

#[tokio::test]
async fn a_delivery_that_is_erased_while_it_is_under_way_is_gone_and_stops_nobody() {
    let UnderWay { store, folder: _folder, mut receiver, running, session, first } = UnderWay::of(2).await;
    store.commit(vec![Write::Erase(session)]).await.unwrap();
    first.send(204).unwrap();
    let other = begin(&store, "CA2", "MZ2").await;
    commit(&store, &other, 1..=1).await;
    receiver.next().await.send(204).unwrap();
    running.stop().await;
    assert_eq!(states(&store).await, [DeliveryState::Delivered], "nothing of the erased call came again or stands anywhere");
}

#[tokio::test]
async fn nothing_is_sent_that_could_not_be_leased_and_it_is_sent_when_it_can() {
    let (store, folder) = open();
    let mut receiver = Receiver::start(vec![]).await;
    let other = rusqlite::Connection::open(folder.0.join("bridge.db")).unwrap();
    let refuse =
        "CREATE TRIGGER refuse BEFORE UPDATE ON deliveries WHEN NEW.state = 'leased' BEGIN SELECT RAISE(ABORT, 'refused'); END";
    other.execute_batch(refuse).unwrap();
    let session = begin(&store, "CA1", "MZ1").await;
    let bodies = commit(&store, &session, 1..=1).await;
    let running = Running::start(&store, &receiver, "crm");
    // Told once and never leased: it arrives although the stored event has been due for longer.
    let told = running.tell(&["crm"]).await;
    assert_eq!(receiver.next().await.id, told);
    assert_eq!(states(&store).await, [DeliveryState::Pending]);
    other.execute_batch("DROP TRIGGER refuse").unwrap();
    assert_eq!(receiver.next().await.body, bodies[0]);
    running.stop().await;
}

#[tokio::test]
async fn a_paused_endpoint_stays_so_over_a_restart_and_queues_until_a_retry_by_hand() {
    let (store, folder) = open();
    let mut receiver = Receiver::start(vec![status(410)]).await;
    let session = begin(&store, "CA1", "MZ1").await;
    commit(&store, &session, 1..=1).await;
    let running = Running::start(&store, &receiver, "crm");
    receiver.next().await;
    running.flows(Flow::Paused).await;
    running.stop().await;
    store.close().await;
    drop(store);

    let store = Store::open(&folder.0.join("bridge.db"), masters("k1")).unwrap();
    let paused = store.paused().await.unwrap();
    assert_eq!((paused[0].endpoint.as_str(), paused[0].reason.as_str()), ("crm", "status 410"));
    let running = Running::start(&store, &receiver, "crm");
    running.flows(Flow::Paused).await;
    commit(&store, &session, 2..=3).await;
    assert_eq!(store.backlogs().await.unwrap()[0].pending, 3);
    // A filter that matches nothing but names the endpoint is enough.
    let filter = DeliveryFilter { endpoint: Some("crm".into()), state: Some(DeliveryState::Parked), ..DeliveryFilter::default() };
    assert_eq!(store.retry_all(filter).await.unwrap(), 0);
    for seq in 1..=3 {
        let post = receiver.next().await;
        assert!(String::from_utf8_lossy(&post.body).contains(&format!("\"seq\":{seq},")));
    }
    running.flows(Flow::Open).await;
    running.stop().await;
    assert!(store.paused().await.unwrap().is_empty());
}

#[tokio::test]
async fn any_retry_resumes_the_endpoints_that_it_touches_and_no_other() {
    let (store, _folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    store.commit(vec![gap_event(&session, 1, &["crm", "audit", "third"])]).await.unwrap();
    let pause = |endpoint: &str| Write::Pause { endpoint: name(endpoint), wall_ms: 5, reason: "status 410".into() };
    store.commit(vec![pause("crm"), pause("audit"), pause("third"), pause("crm")]).await.unwrap();
    let paused = || async { store.paused().await.unwrap().into_iter().map(|paused| paused.endpoint).collect::<Vec<_>>() };
    assert_eq!(paused().await, ["audit", "crm", "third"]);
    let single = store.pending(&name("crm"), 0, 9).await.unwrap()[0].id;
    store.commit(vec![Write::Retry(single)]).await.unwrap();
    assert_eq!(paused().await, ["audit", "third"]);
    store.commit(vec![Write::Resume(name("third"))]).await.unwrap();
    assert_eq!(paused().await, ["audit"]);
    store.retry_all(DeliveryFilter { state: Some(DeliveryState::Parked), ..DeliveryFilter::default() }).await.unwrap();
    assert_eq!(paused().await, ["audit"]);
    store.retry_all(DeliveryFilter::default()).await.unwrap();
    assert!(paused().await.is_empty());
}

#[tokio::test]
async fn a_retry_that_is_asked_for_while_the_last_attempt_is_under_way_is_not_undone_by_its_failure() {
    let gave_up = Standing::Parked { reason: "gave up".to_owned() };
    let again = Standing::Pending { attempts: 5, next_wall_ms: 1 << 50, reason: "timeout".to_owned() };
    for (standing, expected) in
        [(gave_up, DeliveryState::Pending), (again, DeliveryState::Pending), (Standing::Delivered, DeliveryState::Delivered)]
    {
        let (store, _folder) = open();
        let session = begin(&store, "CA1", "MZ1").await;
        commit(&store, &session, 1..=1).await;
        let id = store.pending(&name("crm"), 0, 9).await.unwrap()[0].id;
        store.commit(vec![Write::Lease { deliveries: vec![id], until_wall_ms: 9 }]).await.unwrap();
        store.commit(vec![Write::Retry(id)]).await.unwrap();
        let attempt = Attempt { wall_ms: 0, took: Duration::ZERO, outcome: Err(crate::webhook::Failure::Timeout) };
        store.commit(vec![Write::Verdict { delivery: id, attempt, standing }]).await.unwrap();
        assert_eq!(states(&store).await, [expected]);
        let waiting: Vec<u32> = store.pending(&name("crm"), 0, 9).await.unwrap().iter().map(|it| it.attempts).collect();
        assert_eq!(waiting, if expected == DeliveryState::Pending { vec![0] } else { vec![] }, "from the schedule's start");
        assert_eq!(store.delivery(id).await.unwrap().unwrap().1.len(), 1, "the attempt is in its history");
    }
}

#[tokio::test]
async fn five_failures_in_a_row_make_an_endpoint_ill_and_the_first_success_makes_it_well() {
    let (store, _folder) = open();
    let mut receiver = Receiver::start((0..8).map(|_| status(503)).collect()).await;
    for n in 0..8 {
        let session = begin(&store, "CA1", &format!("MZ{n}")).await;
        commit(&store, &session, 1..=1).await;
    }
    let running = Running::start(&store, &receiver, "crm");
    running.flows(Flow::Probing).await;
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    while seen.values().sum::<u32>() < 16 {
        *seen.entry(receiver.next().await.id).or_default() += 1;
    }
    assert_eq!(seen.len(), 8);
    running.flows(Flow::Open).await;
    running.stop().await;
    assert_eq!(states(&store).await, [DeliveryState::Delivered; 8]);
}

#[tokio::test]
async fn a_probe_that_is_refused_for_what_it_carries_waits_for_its_step_like_any_other_attempt() {
    let (store, _folder) = open();
    let mut receiver = Receiver::start((0..5).map(|_| status(503)).chain([status(400)]).collect()).await;
    for n in 0..5 {
        let session = begin(&store, "CA1", &format!("MZ{n}")).await;
        commit(&store, &session, 1..=1).await;
    }
    let running = Running::start(&store, &receiver, "crm");
    running.flows(Flow::Probing).await;
    for _ in 0..5 {
        receiver.next().await;
    }
    let probe = receiver.next().await;
    running.flows(Flow::Open).await;
    let again = loop {
        let post = receiver.next().await;
        if post.id == probe.id {
            break post;
        }
    };
    assert!(again.at - probe.at >= Duration::from_millis(800), "{:?}", again.at - probe.at);
    running.stop().await;
    let mut listed = store.deliveries(DeliveryFilter::default()).await.unwrap().items.into_iter();
    assert!(listed.any(|delivery| delivery.attempts == 3 && delivery.reason.is_none()), "a 503, a 400, a 204");
}

#[tokio::test]
async fn places_follow_seq_behind_a_retry_so_that_reading_never_turns_a_call_round() {
    let (store, _folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    commit(&store, &session, 1..=5).await;
    let ids: Vec<DeliveryId> = store.pending(&name("crm"), 0, 9).await.unwrap().iter().map(|delivery| delivery.id).collect();
    store.commit(vec![Write::Lease { deliveries: vec![ids[3]], until_wall_ms: 9 }]).await.unwrap();
    assert_eq!(store.commit(vec![Write::Retry(ids[1])]).await.unwrap().retried, 1);
    let seqs = |pending: Vec<crate::store::PendingDelivery>| pending.iter().map(|delivery| delivery.seq).collect::<Vec<_>>();
    let pending = store.pending(&name("crm"), 0, 9).await.unwrap();
    let places: Vec<u64> = pending.iter().map(|delivery| delivery.place).collect();
    assert!(places.is_sorted());
    assert_eq!(seqs(pending), [1, 2, 3, 5], "what is leased is under way");
    let reread = store.pending(&name("crm"), 5, 9).await.unwrap();
    assert_eq!(seqs(reread), [2, 3, 5]);
    let standing = Standing::Pending { attempts: 1, next_wall_ms: 0, reason: "timeout".to_owned() };
    let attempt = Attempt { wall_ms: 0, took: Duration::ZERO, outcome: Err(crate::webhook::Failure::Timeout) };
    store.commit(vec![Write::Verdict { delivery: ids[3], attempt, standing }]).await.unwrap();
    let later = store.pending(&name("crm"), 0, 9).await.unwrap();
    assert_eq!(seqs(later), [1, 2, 3, 4, 5], "nor is it turned round when it is under way no more");
}

#[tokio::test]
async fn gone_pauses_an_endpoint_though_it_was_told_of_something_that_is_told_once() {
    let (store, _folder) = open();
    let receiver = Receiver::start(vec![status(410)]).await;
    let running = Running::start(&store, &receiver, "crm");
    running.tell(&["crm"]).await;
    running.flows(Flow::Paused).await;
    running.tell(&["crm"]).await;
    running.verdicts("dropped").await;
    assert_eq!(store.paused().await.unwrap().len(), 1, "over a restart too");
    running.stop().await;
}
