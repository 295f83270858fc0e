//! The driver against a service on a real socket.

mod at;
mod refused;
mod retuned;
mod spooled;
mod stalled;
mod turns;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use tokio_util::sync::CancellationToken;
use tungstenite::{
    handshake::server::{ErrorResponse, Request, Response},
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::*;
use crate::{
    media::{GapReason, SessionId, Track},
    net::Reach,
    spool::{Spool, seal::DataKey},
    store::driver::tests::Folder,
    upstream::{LinkState, Refusal},
};

const KEY: TrackKey = TrackKey { stream: 0, track: Track::Inbound };
/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A link running against a listener that the test plays the service on.
struct Rig {
    listener: TcpListener,
    commands: mpsc::Sender<Command>,
    reports: mpsc::Receiver<(TrackKey, Report)>,
    task: JoinHandle<()>,
    offset: u64,
    spool: SpoolTrack,
    leaving: Leaving,
    turns: Turns,
    _folder: Folder,
}

impl Rig {
    fn new(settings: LinkSettings) -> Self {
        Self::with_room(settings, 256, 1_024)
    }

    fn with_room(settings: LinkSettings, commands: usize, reports: usize) -> Self {
        Self::with_turn(settings, commands, reports, |turns| turns.ask(1, crate::upstream::Class::New).pop().unwrap())
    }

    fn with_turn(settings: LinkSettings, commands: usize, reports: usize, turn: impl FnOnce(&Turns) -> Turn) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Small, so that a service that does not read is noticed soon.
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(8).unwrap();
        let url = format!("ws://{}/waves/v1/stt/live?region=us", listener.local_addr().unwrap());
        let leaving = Leaving::default();
        let upstream = Upstream {
            api_key: Some(SecretString::from("sk_test")),
            settings: Arc::new(settings),
            leaving: leaving.clone(),
            ..Upstream::at(&url)
        };
        let turns = Turns::new(2, 20, Duration::from_secs(5), Arc::default());
        tokio::spawn(turns.clone().keep_time(CancellationToken::new()));
        let turn = turn(&turns);
        let (commands, orders) = mpsc::channel(commands);
        let (told, reports) = mpsc::channel(reports);
        let folder = Folder::new();
        let session = SessionId::new(&format!("ses_{}", crate::clock::ulid())).unwrap();
        let spool = Spool::open(&folder.0).unwrap().track(&session, KEY, &DataKey::new([1; 32]));
        let track = LinkTrack { key: KEY, external_session_id: "CA1.inbound".to_owned(), spool: spool.clone(), remains: None };
        let task = tokio::spawn(run(Arc::new(upstream), turn, track, orders, told));
        Self { listener, commands, reports, task, offset: 0, spool, leaving, turns, _folder: folder }
    }

    async fn tcp(&self) -> TcpStream {
        within(self.listener.accept()).await.unwrap().0
    }

    async fn accept(&self) -> Service {
        let mut asked = String::new();
        #[expect(clippy::result_large_err, reason = "tungstenite's callback has this shape")]
        let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
            asked = format!("{} {} {}", request.uri(), header("authorization"), header("sec-websocket-extensions"));
            Ok(response)
        };
        let socket = within(accept_hdr_async(self.tcp().await, note)).await.unwrap();
        Service { socket, asked, audio: Vec::new(), frames: 0 }
    }

    /// Hands in so many chunks of 480 bytes.
    async fn talk(&mut self, chunks: u64) {
        for _ in 0..chunks {
            self.chunk(480).await;
        }
    }

    async fn chunk(&mut self, length: u64) {
        let audio: Bytes = (self.offset..self.offset + length).map(sample).collect();
        let chunk = Chunk { offset: Offset(self.offset), at_ms: self.offset / 8, audio, received: crate::clock::now() };
        self.offset += length;
        // Longer ones than a frame takes are of tests that need no spool.
        let _ = self.spool.append(&chunk);
        within(self.commands.send(Command::Audio(chunk))).await.unwrap();
    }

    async fn report(&mut self) -> Report {
        let (key, report) = within(self.reports.recv()).await.expect("a report");
        assert_eq!(key, KEY);
        report
    }

    async fn until<T>(&mut self, mut wanted: impl FnMut(&Report) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(&self.report().await) {
                return found;
            }
        }
    }

    async fn totals(&mut self) -> Totals {
        let totals = self.until(|report| if let Report::Done(totals) = report { Some(*totals) } else { None }).await;
        assert!(within(self.reports.recv()).await.is_none(), "Done is the last report");
        totals
    }

    async fn cause(&mut self) -> Refusal {
        self.until(|report| match report {
            Report::State(LinkState::Reconnecting { cause, .. } | LinkState::Refused(cause)) => Some(cause.clone()),
            _ => None,
        })
        .await
    }

    fn hang_up(&mut self) {
        let (closed, _) = mpsc::channel(1);
        self.commands = closed;
    }
}

/// The service's end of one connection.
struct Service {
    socket: WebSocketStream<TcpStream>,
    asked: String,
    audio: Vec<u8>,
    frames: usize,
}

impl Service {
    /// Reads until so many bytes of audio have come.
    async fn hear(&mut self, bytes: usize) {
        while self.audio.len() < bytes {
            // A service that says nothing for long is asked whether it hears, and whether it is there.
            let said = self.next().await;
            let is_usual = matches!(said.as_deref(), None | Some(r#"{"type":"finalize"}"# | "ping"));
            assert!(is_usual, "in the middle of the audio: {said:?}");
        }
    }

    /// A control message, or `None` after a frame of audio.
    async fn next(&mut self) -> Option<String> {
        loop {
            match within(self.socket.next()).await.expect("the link goes on").expect("the link speaks WebSocket") {
                Message::Binary(audio) => {
                    self.audio.extend_from_slice(&audio);
                    self.frames += 1;
                    return None;
                }
                Message::Text(text) => return Some(text.as_str().to_owned()),
                Message::Ping(_) => return Some("ping".to_owned()),
                _ => {}
            }
        }
    }

    async fn control(&mut self) -> String {
        loop {
            if let Some(text) = self.next().await {
                return text;
            }
        }
    }

    async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    async fn close(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        self.socket.close(Some(frame)).await.unwrap();
    }

    /// Answers `close_stream` as the documents say.
    async fn end(mut self) {
        let mut said = self.control().await;
        // A service that says nothing for long is asked whether it hears.
        while said == r#"{"type":"finalize"}"# {
            said = self.control().await;
        }
        assert_eq!(said, r#"{"type":"close_stream"}"#);
        self.say(r#"{"transcript":"","is_final":true,"is_last":true}"#).await;
        self.close(1000, "").await;
        while let Some(Ok(_)) = within(self.socket.next()).await {}
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it took too long")
}

fn sample(offset: u64) -> u8 {
    u8::try_from(offset % 251).expect("under 251")
}

fn samples(range: std::ops::Range<u64>) -> Vec<u8> {
    range.map(sample).collect()
}

fn fast() -> LinkSettings {
    LinkSettings { backoff_first: Duration::from_millis(20), replay_speed: 1_000, ..LinkSettings::default() }
}

#[tokio::test]
async fn a_call_goes_through_byte_for_byte_and_ends_with_its_last_words() {
    let mut rig = Rig::new(LinkSettings::default());
    let mut service = rig.accept().await;
    assert!(
        service.asked.starts_with("/waves/v1/stt/live?model=pulse&language=en&encoding=mulaw&sample_rate=8000&"),
        "{}",
        service.asked
    );
    assert!(service.asked.ends_with("external_session_id=CA1.inbound&region=us Bearer sk_test -"), "{}", service.asked);
    assert!(matches!(
        rig.until(|report| if let Report::State(state) = report { (*state == LinkState::Live).then_some(()) } else { None })
            .await,
        ()
    ));
    rig.talk(10).await;
    service.hear(4_800).await;
    assert_eq!((&service.audio, service.frames), (&samples(0..4_800), 10));
    service.say(r#"{"transcript":"hel","is_final":false}"#).await;
    service.say(r#"{"transcript":" Hello.","is_final":true,"words":[{"word":"Hello.","start":0.1,"end":0.5}]}"#).await;
    rig.hang_up();
    service.end().await;
    let interim =
        rig.until(|report| if let Report::Interim(heard) = report { Some(heard.text.expose().to_owned()) } else { None }).await;
    let (said, start, end) = rig
        .until(|report| {
            if let Report::Final(heard) = report {
                Some((heard.text.expose().to_owned(), heard.start_ms, heard.end_ms))
            } else {
                None
            }
        })
        .await;
    assert_eq!((interim.as_str(), said.as_str(), start, end), ("hel", "Hello.", 100, 500));
    assert_eq!(rig.totals().await, Totals { sent_ms: 600, finalized_ms: 600, complete: true, ..Totals::default() });
    within(rig.task).await.unwrap();
}

#[tokio::test]
async fn a_dropped_connection_is_opened_again_and_its_audio_sent_again() {
    let mut rig = Rig::new(fast());
    let mut first = rig.accept().await;
    rig.talk(5).await;
    first.hear(2_400).await;
    first.say(r#"{"transcript":"One.","is_final":true,"words":[{"word":"One.","start":0.0,"end":0.1}]}"#).await;
    rig.until(|report| matches!(report, Report::Final(_)).then_some(())).await;
    within(rig.commands.send(Command::Covered(Offset(800)))).await.unwrap();
    drop(first);
    let mut second = rig.accept().await;
    rig.talk(5).await;
    rig.hang_up();
    second.hear(4_800).await;
    assert_eq!(second.audio, samples(0..4_800), "the word before the mark too, so that what follows is heard whole");
    second.end().await;
    let totals = rig.totals().await;
    assert_eq!((totals.reconnects, totals.complete, totals.sent_ms, totals.replayed_ms), (1, true, 600, 300));
}

#[tokio::test]
async fn audio_is_taken_while_the_dial_hangs() {
    let mut rig = Rig::with_room(fast(), 1, 16);
    let tcp = rig.tcp().await;
    rig.talk(100).await;
    let socket = within(tokio_tungstenite::accept_async(tcp)).await.unwrap();
    let mut service = Service { socket, asked: String::new(), audio: Vec::new(), frames: 0 };
    service.hear(48_000).await;
    assert_eq!(service.audio, samples(0..48_000));
}

#[tokio::test]
async fn a_dial_that_is_never_answered_is_given_up_and_tried_again() {
    let mut rig = Rig::new(LinkSettings { connect_timeout: Duration::from_millis(50), ..fast() });
    let _silent = rig.tcp().await;
    let cause = rig.cause().await;
    assert!(matches!(cause, Refusal::Unreachable { .. }) && cause.to_string().contains("50 ms"), "{cause}");
    rig.accept().await;
}

#[tokio::test]
async fn a_service_that_stops_reading_is_lost_within_the_bounded_time() {
    let mut rig = Rig::new(LinkSettings { write_deadline: Duration::from_millis(100), memory_ms: 10_000_000, ..fast() });
    let _deaf = rig.accept().await;
    for _ in 0..200 {
        rig.chunk(100_000).await;
    }
    assert_eq!(rig.cause().await, Refusal::Stalled);
}

#[tokio::test]
async fn a_policy_close_is_named() {
    let mut rig = Rig::new(fast());
    let mut service = rig.accept().await;
    service.close(1008, "too many sessions").await;
    let cause = rig.cause().await;
    assert!(matches!(cause, Refusal::Policy { .. }) && cause.to_string().contains("1008: too many sessions"), "{cause}");
    let answer = within(service.socket.next()).await.expect("an answer").expect("a frame");
    assert!(matches!(answer, Message::Close(Some(frame)) if u16::from(frame.code) == 1008), "the close is answered");
    rig.accept().await;
}

#[tokio::test]
async fn a_close_before_any_message_is_named() {
    let mut rig = Rig::new(fast());
    let mut service = rig.accept().await;
    service.close(1000, "").await;
    assert_eq!(rig.cause().await, Refusal::ClosedBeforeMessage { code: Some(1000) });
}

#[tokio::test]
async fn an_oversized_message_costs_the_connection_and_nothing_else() {
    let mut rig = Rig::new(fast());
    let mut service = rig.accept().await;
    service.say(&format!(r#"{{"transcript":"{}"}}"#, "x".repeat(300 * 1024))).await;
    assert_eq!(rig.cause().await, Refusal::Dropped { code: None });
    rig.accept().await;
}

#[tokio::test]
async fn pings_go_out_and_binary_frames_are_ignored() {
    let mut rig = Rig::new(LinkSettings { ping: Duration::from_millis(50), ..fast() });
    let mut service = rig.accept().await;
    service.socket.send(Message::Binary(Bytes::from_static(b"noise"))).await.unwrap();
    for _ in 0..6 {
        assert_eq!(service.control().await, "ping");
    }
    rig.talk(1).await;
    service.hear(480).await;
}

#[tokio::test]
async fn a_session_that_does_not_listen_holds_up_neither_audio_nor_the_order_of_reports() {
    let mut rig = Rig::with_room(fast(), 256, 1);
    let mut service = rig.accept().await;
    for number in 0..100 {
        service.say(&format!(r#"{{"transcript":"{number}","is_final":false}}"#)).await;
        rig.talk(1).await;
    }
    service.hear(48_000).await;
    for number in 0..100 {
        let text = rig
            .until(|report| if let Report::Interim(heard) = report { Some(heard.text.expose().to_owned()) } else { None })
            .await;
        assert_eq!(text, number.to_string());
    }
}

#[tokio::test]
async fn finalize_is_passed_on() {
    let rig = Rig::new(fast());
    let mut service = rig.accept().await;
    rig.commands.send(Command::Finalize).await.unwrap();
    assert_eq!(service.control().await, r#"{"type":"finalize"}"#);
}

#[tokio::test]
async fn a_link_whose_session_is_gone_ends() {
    let rig = Rig::new(fast());
    let Rig { listener: _listener, commands: _commands, reports, task, .. } = rig;
    drop(reports);
    within(task).await.unwrap();
}
