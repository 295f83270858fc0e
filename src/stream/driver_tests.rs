use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{Router, extract::State, routing::any};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message as Sent};

use super::*;
use crate::accept::crowd::Crowd;
use crate::media::Offset;

#[path = "driver_door_tests.rs"]
mod door_tests;
#[path = "driver_paused_tests.rs"]
mod paused;

const START: &str = r#"{"event":"start","sequenceNumber":"1","streamSid":"MZ1","start":{"callSid":"CA1","streamSid":"MZ1","tracks":["inbound"]}}"#;
const STOP: &str = r#"{"event":"stop","streamSid":"MZ1","stop":{"callSid":"CA1"}}"#;
const PATIENCE: Duration = Duration::from_secs(20);

fn media(number: u64, audio: &[u8]) -> String {
    let (sequence, timestamp, payload) = (number + 2, number * 20, STANDARD.encode(audio));
    format!(
        r#"{{"event":"media","sequenceNumber":"{sequence}","streamSid":"MZ1","media":{{"track":"inbound","timestamp":"{timestamp}","payload":"{payload}"}}}}"#
    )
}

#[derive(Debug, PartialEq)]
enum Noted {
    Asked(String),
    Audio(u64, Vec<u8>),
    Digit(u64, Option<char>),
    Paused(u64),
    Resumed(u64),
    Ended(EndReason, u64),
    NeverStarted,
}

/// Lets in who gets one of its permits, after a first stream of one second.
#[derive(Clone)]
struct Desk {
    notes: mpsc::UnboundedSender<Noted>,
    permits: Arc<Semaphore>,
    refuses: Option<Closing>,
    session: CancellationToken,
    paused: Arc<AtomicBool>,
    was_paused: Arc<AtomicBool>,
}

/// Where notes go, whether the session is over, whether it is paused, and whether it was.
struct Seat(mpsc::UnboundedSender<Noted>, CancellationToken, Arc<AtomicBool>, Arc<AtomicBool>);

impl Calls for Desk {
    type Admission = Seat;

    async fn admit(&self, start: StreamStart) -> Result<Seat, Closing> {
        self.notes.send(Noted::Asked(start.start.call().to_string())).unwrap();
        self.permits.acquire().await.unwrap().forget();
        self.refuses
            .map_or_else(|| Ok(Seat(self.notes.clone(), self.session.clone(), self.paused.clone(), self.was_paused.clone())), Err)
    }

    fn closed(&self, _: Closing) {}

    fn never_started(&self, _: &PeerInfo, _: &str, _: &StreamTotals) {
        let _ = self.notes.send(Noted::NeverStarted);
    }
}

impl Admission for Seat {
    fn base_ms(&self) -> u64 {
        1000
    }

    fn audio(&mut self, _: Track, chunk: Chunk) {
        self.0.send(Noted::Audio(chunk.at_ms, chunk.audio.to_vec())).unwrap();
    }

    fn digit(&mut self, _: Track, at_ms: u64, digit: Option<char>) {
        self.0.send(Noted::Digit(at_ms, digit)).unwrap();
    }

    fn lost(&mut self, _: Track, _: u64, _: u64) {}

    fn is_paused(&self) -> bool {
        self.2.load(Ordering::SeqCst)
    }

    fn was_paused_since(&self, _: Instant) -> bool {
        self.2.load(Ordering::SeqCst) || self.3.load(Ordering::SeqCst)
    }

    fn paused(&mut self, _: Track, at_ms: u64) {
        self.0.send(Noted::Paused(at_ms)).unwrap();
    }

    fn resumed(&mut self, _: Track, at_ms: u64) {
        self.0.send(Noted::Resumed(at_ms)).unwrap();
    }

    async fn make_room(&mut self) {}

    fn is_over(&self) -> bool {
        self.1.is_cancelled()
    }

    async fn ended(self, reason: EndReason, totals: StreamTotals) {
        let received_ms = totals.tracks.iter().map(|(_, counters)| counters.received_ms).sum();
        self.0.send(Noted::Ended(reason, received_ms)).unwrap();
    }
}

/// A server with one route, a phone connected to it, and what the desk notes.
struct Line {
    phone: WebSocketStream<TcpStream>,
    notes: mpsc::UnboundedReceiver<Noted>,
    permits: Arc<Semaphore>,
    session: CancellationToken,
    paused: Arc<AtomicBool>,
    was_paused: Arc<AtomicBool>,
    shutdown: CancellationToken,
    crowd: Crowd,
}

#[derive(Clone)]
struct Server(Desk, StreamLimits, CancellationToken, Crowd);

async fn answer(
    State(Server(desk, limits, shutdown, crowd)): State<Server>,
    upgrade: WebSocketUpgrade,
) -> axum::response::Response {
    let addr = SocketAddr::from(([127, 0, 0, 1], 9));
    let peer = PeerInfo { addr, place: Arc::new(crowd.enter(addr.ip())) };
    bounded(upgrade).on_upgrade(move |socket| run(socket, Dialect::Twilio, peer, desk, limits, shutdown))
}

impl Line {
    async fn new() -> Self {
        Self::with(StreamLimits::default(), 1, None).await
    }

    async fn with(limits: StreamLimits, permits: usize, refuses: Option<Closing>) -> Self {
        let (sender, notes) = mpsc::unbounded_channel();
        let (permits, shutdown) = (Arc::new(Semaphore::new(permits)), CancellationToken::new());
        let (session, paused, was_paused) =
            (CancellationToken::new(), Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let desk = Desk {
            notes: sender,
            permits: permits.clone(),
            refuses,
            session: session.clone(),
            paused: paused.clone(),
            was_paused: was_paused.clone(),
        };
        let crowd = Crowd::new(2, 2);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/media", any(answer)).with_state(Server(desk, limits, shutdown.clone(), crowd.clone()));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let socket = TcpStream::connect(address).await.unwrap();
        let (phone, _) = client_async(format!("ws://{address}/media"), socket).await.unwrap();
        Self { phone, notes, permits, session, paused, was_paused, shutdown, crowd }
    }

    async fn say(&mut self, text: impl Into<String>) {
        self.phone.send(Sent::text(text.into())).await.unwrap();
    }

    async fn note(&mut self) -> Option<Noted> {
        timeout(PATIENCE, self.notes.recv()).await.unwrap()
    }

    /// Reads up to the close and gives its code and reason; any text on the way is an error.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            match timeout(PATIENCE, self.phone.next()).await.unwrap() {
                Some(Ok(Sent::Close(Some(frame)))) => return (frame.code.into(), frame.reason.to_string()),
                Some(Ok(Sent::Ping(_) | Sent::Pong(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The audio up to the end of the stream, and that end.
    async fn heard(&mut self) -> (Vec<u8>, Option<Noted>) {
        let mut heard = Vec::new();
        loop {
            match self.note().await {
                Some(Noted::Audio(_, audio)) => heard.extend(audio),
                other => return (heard, other),
            }
        }
    }
}

fn asked() -> Noted {
    Noted::Asked("CA1".to_owned())
}

#[tokio::test]
async fn a_call_from_start_to_stop_is_passed_on_byte_for_byte() {
    let mut line = Line::new().await;
    line.say(START).await;
    for number in 0..4_u8 {
        line.say(media(number.into(), &[number; 160])).await;
    }
    line.say(r#"{"event":"dtmf","streamSid":"MZ1","dtmf":{"digit":"5"}}"#).await;
    line.say(STOP).await;
    assert_eq!(line.closed().await, (1000, "the stream was stopped".to_owned()));
    assert_eq!(line.note().await, Some(asked()));
    assert_eq!(line.note().await, Some(Noted::Audio(1000, [[0; 160], [1; 160], [2; 160]].concat())));
    assert_eq!(line.note().await, Some(Noted::Digit(1080, Some('5'))));
    assert_eq!(line.note().await, Some(Noted::Audio(1060, vec![3; 160])));
    assert_eq!(line.note().await, Some(Noted::Ended(EndReason::Stop, 80)));
    assert_eq!(line.phone.next().await.map(|rest| rest.is_ok()), None);
}

#[tokio::test]
async fn a_stream_that_is_let_in_behind_its_end_was_read_all_the_while_and_has_begun() {
    let mut line = Line::with(StreamLimits::default(), 0, None).await;
    line.say(START).await;
    for number in 0..450 {
        line.say(media(number, &[7; 160])).await;
    }
    line.say(STOP).await;
    assert_eq!(line.closed().await.0, 1000);
    assert_eq!(line.note().await, Some(asked()));
    assert!(line.notes.try_recv().is_err());
    line.permits.add_permits(1);
    let (heard, end) = line.heard().await;
    assert_eq!((heard.len(), end), (450 * 160, Some(Noted::Ended(EndReason::Stop, 9000))));
}

#[tokio::test]
async fn a_sender_faster_than_speech_that_is_never_let_in_is_told_to_come_again() {
    let mut line = Line::with(StreamLimits::default(), 0, None).await;
    let began = clock::now();
    line.say(START).await;
    for number in 0..1100 {
        line.say(media(number, &[7; 160])).await;
    }
    assert_eq!(line.note().await, Some(asked()));
    let (code, why) = line.closed().await;
    assert_eq!((code, why.contains("try again later")), (1013, true), "{why}");
    assert!(clock::now() >= began + QUEUED_TIME, "it had its time");
}

#[tokio::test]
async fn a_refusal_tells_the_peer_why_and_nothing_is_passed_on() {
    let refused = Closing { word: "seen_before", code: 1008, reason: "this stream was seen before" };
    let mut line = Line::with(StreamLimits::default(), 1, Some(refused)).await;
    line.say(START).await;
    line.say(media(0, &[1; 480])).await;
    assert_eq!(line.closed().await, (1008, refused.reason.to_owned()));
    assert_eq!([line.note().await, line.note().await], [Some(asked()), Some(Noted::NeverStarted)]);
}

#[tokio::test]
async fn a_message_that_is_too_long_closes_with_1009_and_keeps_what_came_before() {
    for length in [65_537, 1_000_000] {
        let mut line = Line::new().await;
        line.say(START).await;
        line.say(media(0, &[1; 160])).await;
        line.say("x".repeat(length)).await;
        assert_eq!(line.closed().await, (1009, "a message is longer than 64 KiB".to_owned()));
        assert_eq!(line.note().await, Some(asked()));
        assert_eq!(line.heard().await, (vec![1; 160], Some(Noted::Ended(EndReason::Disconnect, 20))));
    }
}

#[tokio::test]
async fn a_close_or_a_loss_without_stop_is_a_disconnect() {
    for close in [true, false] {
        let mut line = Line::new().await;
        line.say(START).await;
        line.say(media(0, &[1; 160])).await;
        assert_eq!(line.note().await, Some(asked()));
        if close {
            line.phone.close(None).await.unwrap();
        } else {
            drop(std::mem::replace(&mut line.phone, Line::new().await.phone));
        }
        assert_eq!(line.heard().await, (vec![1; 160], Some(Noted::Ended(EndReason::Disconnect, 20))), "close: {close}");
    }
}

#[tokio::test]
async fn a_shutdown_closes_with_1001_and_ends_the_stream() {
    let mut line = Line::new().await;
    line.say(START).await;
    assert_eq!(line.note().await, Some(asked()));
    line.shutdown.cancel();
    assert_eq!(line.closed().await.0, 1001);
    assert_eq!(line.note().await, Some(Noted::Ended(EndReason::Shutdown, 0)));
}

#[tokio::test]
async fn a_call_without_a_name_is_given_one() {
    let mut line = Line::new().await;
    line.say(r#"{"event":"start","streamSid":"MZ1","start":{"callSid":null}}"#).await;
    let Some(Noted::Asked(call)) = line.note().await else { panic!("it asks to be let in") };
    assert!(call.strip_prefix("twilio-").is_some_and(|ulid| ulid.len() == 26), "{call}");
}

#[tokio::test]
async fn a_stream_whose_session_is_over_is_closed_though_it_says_nothing_more() {
    let limits = StreamLimits { ping: Duration::from_millis(300), ..StreamLimits::default() };
    let mut line = Line::with(limits, 1, None).await;
    line.say(START).await;
    line.say(media(0, &[1; 160])).await;
    assert_eq!(line.note().await, Some(asked()));
    assert_eq!(line.note().await, Some(Noted::Audio(1000, vec![1; 160])));
    line.session.cancel();
    let (code, why) = line.closed().await;
    assert_eq!((code, why.contains("over")), (1011, true), "{why}");
    assert_eq!(line.note().await, Some(Noted::Ended(EndReason::Disconnect, 20)));
}

#[tokio::test]
async fn a_peer_that_never_starts_is_closed_in_time_however_much_it_says() {
    let limits = StreamLimits { start: Duration::from_millis(50), ..StreamLimits::default() };
    let mut line = Line::with(limits, 1, None).await;
    let (mut sending, mut reading) = line.phone.split();
    tokio::spawn(async move { while sending.send(Sent::text(r#"{"event":"mark"}"#)).await.is_ok() {} });
    let closed = timeout(PATIENCE, async {
        loop {
            if let Sent::Close(frame) = reading.next().await.unwrap().unwrap() {
                return frame.map(|frame| (u16::from(frame.code), frame.reason.to_string()));
            }
        }
    });
    assert_eq!(closed.await.unwrap(), Some((1008, "no start message came in time".to_owned())));
    assert_eq!(timeout(PATIENCE, line.notes.recv()).await.unwrap(), Some(Noted::NeverStarted));
}

#[tokio::test]
async fn pings_go_out_and_a_peer_that_answers_them_stays() {
    let limits = StreamLimits { ping: Duration::from_millis(20), ..StreamLimits::default() };
    let mut line = Line::with(limits, 1, None).await;
    line.say(START).await;
    for _ in 0..5 {
        assert!(matches!(timeout(PATIENCE, line.phone.next()).await.unwrap(), Some(Ok(Sent::Ping(_)))));
    }
    line.say(STOP).await;
    assert_eq!(line.closed().await.0, 1000);
}

#[tokio::test]
async fn a_socket_without_a_call_gives_way_and_one_with_a_call_stays() {
    let here = [127, 0, 0, 1].into();
    let mut waiting = Line::new().await;
    waiting.say("{}").await;
    let others: Vec<_> = (0..2).map(|_| waiting.crowd.enter(here)).collect();
    assert_eq!(waiting.closed().await.0, 1013);
    assert!(others.iter().all(|other| !other.gives_way().is_cancelled()), "it was the oldest");

    let mut live = Line::new().await;
    live.say(START).await;
    assert_eq!(live.note().await, Some(asked()));
    live.say(media(0, &[1; 480])).await;
    assert_eq!(live.note().await, Some(Noted::Audio(1000, vec![1; 480])));
    assert!(live.crowd.is_empty());
    let _others: Vec<_> = (0..3).map(|_| live.crowd.enter(here)).collect();
    live.say(media(3, &[2; 480])).await;
    assert_eq!(live.note().await, Some(Noted::Audio(1060, vec![2; 480])));
}

#[tokio::test]
async fn a_peer_that_only_pings_is_closed() {
    let mut line = Line::new().await;
    for _ in 0..crate::stream::NOTHING_IN_A_ROW {
        let _ = line.phone.feed(Sent::Ping(bytes::Bytes::new())).await;
    }
    let _ = line.phone.flush().await;
    assert_eq!(line.closed().await, (1008, "100 pings, pongs or binary messages in 10 s, and no text".to_owned()));
}
