use axum::{
    extract::{Extension, WebSocketUpgrade},
    routing::any,
};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tokio_tungstenite::client_async;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const ASK: &[u8] = b"GET /ask HTTP/1.1\r\nhost: a\r\n\r\n";

async fn greet(upgrade: WebSocketUpgrade, Extension(stranger): Extension<Arc<Place>>) -> Response {
    stranger.leave();
    upgrade.on_upgrade(async |mut socket| {
        let _ = socket.send("welcome".into()).await;
        while socket.recv().await.is_some() {}
    })
}

/// A door with a few routes, and who stands in it.
struct House {
    address: SocketAddr,
    entrance: Entrance,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl House {
    async fn with(room: Room) -> Self {
        let (metrics, tasks, shutdown) = (Arc::<Metrics>::default(), TaskTracker::new(), CancellationToken::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", any(greet))
            .route("/ask", any(async || "answer"))
            .route("/huge", any(async || vec![7_u8; 64 * 1024 * 1024]))
            .route("/closed", any(async || StatusCode::FORBIDDEN));
        let entrance = Entrance::new(room, Arc::clone(&metrics));
        let (door, on, stop) = (entrance.clone(), tasks.clone(), shutdown.clone());
        tasks.spawn(async move { accept(door, listener, router, &on, stop).await });
        Self { address, entrance, metrics, tasks, shutdown }
    }

    async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Entrance) -> bool) {
        let waiting = async {
            while !holds(&self.entrance) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}"));
    }

    fn counts(&self, reason: Turned, count: u64) {
        let line = format!("connections_refused_total{{reason=\"{}\"}} {count}\n", reason.code());
        assert!(self.metrics.render().contains(&line), "{line}{}", self.metrics.render());
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.tasks.close();
        timeout(PATIENCE, self.tasks.wait()).await.expect("every connection ends");
        self.until("all places are given back", |entrance| entrance.strangers().is_empty() && entrance.connections() == 0).await;
    }
}

fn room(connections: usize, strangers: usize) -> Room {
    Room { connections, strangers: (strangers, strangers), ..Room::of(1_000, 10) }
}

/// What comes until the connection is closed.
async fn rest(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let _ = timeout(PATIENCE, socket.read_to_end(&mut text)).await.expect("the connection is closed");
    String::from_utf8_lossy(&text).into_owned()
}

/// Asks, and reads the answer; the connection stays.
async fn ask(socket: &mut TcpStream) -> String {
    socket.write_all(ASK).await.unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"answer") {
        assert_ne!(timeout(PATIENCE, socket.read_buf(&mut text)).await.unwrap().unwrap(), 0, "closed");
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_web_socket_keeps_its_place_until_it_is_closed() {
    let house = House::with(room(2, 2)).await;
    let dial = async || {
        let (mut phone, _) = client_async(format!("ws://{}/", house.address), house.dial().await).await.unwrap();
        assert_eq!(timeout(PATIENCE, phone.next()).await.unwrap().unwrap().unwrap().into_text().unwrap(), "welcome");
        phone
    };
    let mut first = dial().await;
    assert_eq!(house.entrance.places.available_permits(), 1);
    let second = dial().await;
    first.close(None).await.unwrap();
    while first.next().await.is_some() {}
    let third = dial().await;
    drop((second, third));
    house.end().await;
}

#[tokio::test]
async fn where_all_places_are_taken_a_stranger_gives_way_and_a_web_socket_does_not() {
    let house = House::with(room(2, 9)).await;
    let (mut phone, _) = client_async(format!("ws://{}/", house.address), house.dial().await).await.unwrap();
    let mut silent = house.dial().await;
    house.until("it is let in", |entrance| entrance.strangers().len() == 1).await;
    let mut late = house.dial().await;
    assert!(ask(&mut late).await.starts_with("HTTP/1.1 200"));
    assert_eq!(rest(&mut silent).await, "");
    phone.close(None).await.unwrap();
    drop(late);
    house.end().await;
}

#[tokio::test]
async fn the_oldest_that_says_nothing_gives_way_to_who_comes_next() {
    let house = House::with(room(20, 3)).await;
    let mut silent = Vec::new();
    for count in 1..=3 {
        silent.push(house.dial().await);
        house.until("they are let in", |entrance| entrance.strangers().len() == count).await;
    }
    let mut late = house.dial().await;
    assert!(ask(&mut late).await.starts_with("HTTP/1.1 200"));
    assert_eq!(rest(&mut silent[0]).await, "");
    house.counts(Turned::GaveWay, 1);
    let (mut phone, _) = client_async(format!("ws://{}/", house.address), house.dial().await).await.unwrap();
    house.until("who shows who it is leaves", |entrance| entrance.strangers().len() == 2).await;
    let _more = [house.dial().await, house.dial().await, house.dial().await, house.dial().await];
    assert_eq!(rest(&mut late).await, "", "one that rests behind its answer gives way as well");
    assert_eq!(timeout(PATIENCE, phone.next()).await.unwrap().unwrap().unwrap().into_text().unwrap(), "welcome");
    phone.send(tokio_tungstenite::tungstenite::Message::text("still here")).await.unwrap();
    drop((silent, phone));
    house.end().await;
}

#[tokio::test]
async fn what_is_no_request_is_answered_once_and_counted() {
    let house = House::with(room(20, 20)).await;
    let mut huge = b"GET /ask HTTP/1.1\r\nhost: ".to_vec();
    huge.resize(3 * MAX_HEADER_BYTES, b'a');
    let two_lengths = b"POST /ask HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nGET /ask HTTP/1.1\r\n\r\n";
    let folded = b"GET /ask HTTP/1.1\r\nhost: a\r\n folded: b\r\n\r\n";
    let coded =
        b"POST /ask HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\nGET /ask HTTP/1.1\r\n\r\n";
    let spaced = b"GET /ask HTTP/1.1\r\nhost : a\r\n\r\n";
    for (bytes, answers) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], "HTTP/1.1 400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
        (b"\x00\x01\x02\x03 noise\r\n\r\n", "HTTP/1.1 400"),
        (two_lengths, "HTTP/1.1 400"),
        (folded, "HTTP/1.1 400"),
        (coded, "HTTP/1.1 400"),
        (spaced, "HTTP/1.1 400"),
        (&huge, "HTTP/1.1 431"),
    ] {
        let mut socket = house.dial().await;
        let _ = socket.write_all(bytes).await;
        let said = rest(&mut socket).await;
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        assert!(said.starts_with(answers) && said.matches("HTTP/1.1").count() <= 1, "{shown:?}: {said:?}");
    }
    house.until("all are gone", |entrance| entrance.strangers().is_empty()).await;
    house.counts(Turned::NotHttp, 7);
    house.counts(Turned::HeaderTooLarge, 1);
    house.end().await;
}

#[tokio::test]
async fn behind_a_refusal_the_connection_is_closed() {
    let house = House::with(room(20, 20)).await;
    let mut socket = house.dial().await;
    socket.write_all(b"GET /closed HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    socket.write_all(ASK).await.unwrap();
    let said = rest(&mut socket).await;
    assert!(said.starts_with("HTTP/1.1 403") && said.contains("connection: close") && !said.contains("answer"), "{said}");
    house.end().await;
}

#[tokio::test]
async fn without_a_file_for_another_socket_the_oldest_gives_way_and_readiness_says_so() {
    let house = House::with(room(20, 20)).await;
    let mut silent = house.dial().await;
    house.until("it is let in", |entrance| entrance.strangers().len() == 1).await;
    assert_eq!(house.entrance.state().0, "ready");
    tokio::time::sleep(Duration::from_millis(2)).await;
    let too_many_files = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
    assert!(house.entrance.refused_by_the_system(&too_many_files));
    assert_eq!(rest(&mut silent).await, "");
    house.counts(Turned::NoFiles, 1);
    let (word, line) = house.entrance.state();
    assert!(word == "crowded" && line.contains("LimitNOFILE"), "{word}: {line}");
    assert!(!house.entrance.refused_by_the_system(&io::Error::from(io::ErrorKind::PermissionDenied)));
    house.end().await;
}

#[tokio::test]
async fn a_stranger_that_asks_without_end_is_closed_behind_an_answer() {
    let house = House::with(room(20, 20)).await;
    let mut socket = house.dial().await;
    for _ in 1..STRANGER_REQUESTS {
        assert!(!ask(&mut socket).await.contains("connection: close"));
    }
    assert!(ask(&mut socket).await.contains("connection: close"));
    assert_eq!(rest(&mut socket).await, "");
    house.counts(Turned::OpenTooLong, 1);
    house.end().await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_answer_is_closed_and_counted() {
    let house = House::with(room(20, 20)).await;
    let mut socket = house.dial().await;
    socket.write_all(b"GET /huge HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    house.until("it asks", |entrance| entrance.strangers().len() == 1).await;
    house.until("it is given up", |entrance| entrance.strangers().is_empty()).await;
    house.counts(Turned::NotRead, 1);
    house.end().await;
    drop(socket);
}
