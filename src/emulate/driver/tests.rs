mod asr;

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message as Frame, client::IntoClientRequest, protocol::frame::coding::CloseCode},
};

use super::*;
use crate::media::Track;

const ASKED: &str =
    "model=pulse&encoding=mulaw&sample_rate=8000&word_timestamps=true&finalize_on_words=false&external_session_id=CA1.inbound";
const CLOSE: &str = r#"{"type":"close_stream"}"#;

/// A served emulator; ends with the test.
struct Rig {
    address: SocketAddr,
    log: HeardLog,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<io::Result<()>>,
    fixture: Fixture,
}

type Client = WebSocketStream<TcpStream>;

impl Rig {
    async fn new(auth: Auth, faults: Faults) -> Self {
        let fixture = Fixture::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pay-by-card")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, log, shutdown) = (listener.local_addr().unwrap(), HeardLog::default(), CancellationToken::new());
        let emulator = Emulator { speech: Script::of_fixtures([&fixture]).into(), faults, auth, log: log.clone() };
        let task = tokio::spawn(serve(listener, emulator, shutdown.clone()));
        Self { address, log, shutdown, task, fixture }
    }

    async fn dial(&self, path: &str, key: Option<&str>) -> Result<Client, Error> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        if let Some(key) = key {
            request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        request.headers_mut().insert("sec-websocket-extensions", "permessage-deflate; client_max_window_bits".parse().unwrap());
        let socket = TcpStream::connect(self.address).await.unwrap();
        client_async(request, socket).await.map(|(client, _)| client)
    }

    async fn live(&self) -> Client {
        self.dial(&format!("/waves/v1/stt/live?{ASKED}"), Some("sk_test_key_1234")).await.unwrap()
    }

    fn audio(&self) -> Vec<u8> {
        self.fixture.tracks[&Track::Inbound].to_vec()
    }

    async fn request(&self, head: &str, body: &[u8]) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(format!("{head}\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        socket.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }
}

async fn send(client: &mut Client, audio: &[u8]) {
    for frame in audio.chunks(480) {
        client.feed(Frame::Binary(frame.to_vec().into())).await.unwrap();
    }
    client.flush().await.unwrap();
}

/// Reads to the end: the messages, and how it ended.
async fn rest(client: &mut Client) -> (Vec<Value>, Result<Option<CloseCode>, Error>) {
    let mut messages = Vec::new();
    loop {
        match client.next().await {
            Some(Ok(Frame::Text(text))) => messages.push(serde_json::from_str(&text).unwrap()),
            Some(Ok(Frame::Close(frame))) => return (messages, Ok(frame.map(|frame| frame.code))),
            Some(Ok(_)) => {}
            Some(Err(error)) => return (messages, Err(error)),
            None => return (messages, Ok(None)),
        }
    }
}

fn finals(messages: &[Value]) -> Vec<&str> {
    messages.iter().filter(|message| message["is_final"] == true).map(|message| message["transcript"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_call_is_heard_from_interims_to_is_last_and_noted() {
    let rig = Rig::new(Auth::AnyKey, Faults::default()).await;
    let mut client = rig.live().await;
    send(&mut client, &rig.audio()[..5000 * 8]).await;
    client.send(Frame::Text(CLOSE.into())).await.unwrap();
    let (messages, end) = rest(&mut client).await;
    assert_eq!(finals(&messages), [" hi I'd like to pay my bill", ""]);
    assert!(messages.iter().filter(|message| message["is_final"] == false).count() >= 3);
    assert_eq!(messages.last().unwrap()["is_last"], true);
    assert_eq!(end.unwrap(), Some(CloseCode::Normal));
    let noted = rig.log.connections().remove(0);
    assert_eq!((noted.route, noted.bytes, noted.key.as_deref()), ('A', 40_000, Some("…1234")));
    assert_eq!(noted.finals, ["hi I'd like to pay my bill", ""]);
    assert!(noted.query.contains(&("external_session_id".into(), "CA1.inbound".into())));
}

#[tokio::test]
async fn audio_not_sent_again_after_a_cut_is_lost_and_audio_sent_again_is_heard_again() {
    let faults = Faults::default().and_on_attempts(&[0], Fault::Drop { after_bytes: 2650 * 8 });
    let rig = Rig::new(Auth::AnyKey, faults).await;
    let audio = rig.audio();
    let mut client = rig.live().await;
    send(&mut client, &audio[..2650 * 8]).await;
    let (messages, end) = rest(&mut client).await;
    assert_eq!(finals(&messages), Vec::<&str>::new());
    assert!(!matches!(end, Ok(Some(_))), "no close frame: {end:?}");
    for (from_ms, expected) in [(2650, " pay my bill"), (0, " hi I'd like to pay my bill")] {
        let mut client = rig.live().await;
        send(&mut client, &audio[from_ms * 8..5000 * 8]).await;
        client.send(Frame::Text(CLOSE.into())).await.unwrap();
        assert_eq!(finals(&rest(&mut client).await.0)[0], expected);
    }
    assert_eq!(rig.log.connections().iter().map(|noted| noted.attempt).collect::<Vec<_>>(), [0, 1, 2]);
}

#[tokio::test]
async fn finalize_pings_and_keepalive_are_answered_on_every_route() {
    let rig = Rig::new(Auth::Open, Faults::default()).await;
    let routes = ["/waves/v1/stt/live", "/waves/v1/pulse/get_text", "/api/v1/pulse/get_text", "/api/v1/lightning/get_text"];
    for path in routes {
        let mut client = rig.dial(&format!("{path}?{ASKED}&unheard_of=1"), None).await.unwrap();
        client.send(Frame::Ping(vec![7].into())).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), Frame::Pong(vec![7].into()), "{path}");
        client.send(Frame::Text(r#"{"type":"keepalive"}"#.into())).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), Frame::Text(r#"{"type":"pong"}"#.into()));
        client.send(Frame::Text(r#"{"type":"finalize"}"#.into())).await.unwrap();
        let answer: Value = serde_json::from_str(client.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
        assert_eq!((&answer["from_finalize"], &answer["transcript"]), (&true.into(), &"".into()));
    }
}

#[tokio::test]
async fn refusals_come_before_the_upgrade_with_the_service_s_bodies() {
    let limited = Faults::default().and_on_attempts(&[3], Fault::Refuse { status: 429, retry_after: Some(2) });
    let rig = Rig::new(Auth::Key("sk_right".into()), limited).await;
    let rows = [
        (ASKED, None, 401, r#"{"message":"Unauthorized: No tokens provided"}"#),
        (ASKED, Some("sk_wrong"), 401, r#"{"error":"unauthorized"}"#),
        ("external_session_id=CA1.inbound", Some("sk_right"), 400, "model is required"),
        (ASKED, Some("sk_right"), 429, "Rate limit exceeded"),
    ];
    for (query, key, status, body) in rows {
        let refused = rig.dial(&format!("/waves/v1/stt/live?{query}"), key).await.err().unwrap();
        let Error::Http(response) = refused else { panic!("{refused:?}") };
        assert_eq!(response.status().as_u16(), status);
        let found = String::from_utf8(response.body().clone().unwrap_or_default()).unwrap();
        assert!(found.contains(body), "{found}");
        assert_eq!(response.headers().get("retry-after").is_some(), status == 429);
    }
    assert_eq!(rig.log.connections().iter().map(|noted| noted.refused).collect::<Vec<_>>(), [401, 401, 400, 429].map(Some));
}

#[tokio::test]
async fn a_policy_close_and_an_error_frame_end_the_connection_with_their_codes() {
    let faults = Faults::default()
        .and_on_attempts(&[0], Fault::Close { after_bytes: 800, code: 1008 })
        .and_on_attempts(&[1], Fault::Error { after_bytes: 800, message: "Invalid audio".into() });
    let rig = Rig::new(Auth::AnyKey, faults).await;
    for (code, errors) in [(CloseCode::Policy, 0), (CloseCode::Error, 1)] {
        let mut client = rig.live().await;
        send(&mut client, &rig.audio()[..960]).await;
        let (messages, end) = rest(&mut client).await;
        assert_eq!(end.unwrap(), Some(code));
        assert_eq!(messages.iter().filter(|message| message["type"] == "error").count(), errors);
    }
}

#[tokio::test]
async fn batch_hears_a_file_and_refuses_one_that_is_too_big() {
    let rig = Rig::new(Auth::Open, Faults::default()).await;
    let file = crate::audio::test_file(7, 8, 8000, 1, &rig.audio()[..4000 * 8]);
    for path in ["/waves/v1/stt/?model=pulse", "/waves/v1/stt?model=pulse", "/waves/v1/pulse/get_text", "/api/v1/pulse/get_text"]
    {
        let head = format!("POST {path} HTTP/1.1\r\ncontent-type: audio/wav\r\ncontent-length: {}", file.len());
        let answer = rig.request(&head, &file).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("hi I'd like to pay my bill"), "{path}: {answer}");
    }
    let head = |path: &str| format!("POST {path} HTTP/1.1\r\ncontent-length: {}", batch::LIMIT + 1);
    assert!(rig.request(&head("/waves/v1/stt/?model=pulse"), b"").await.starts_with("HTTP/1.1 413"));
    assert!(rig.request(&head("/api/v1/pulse/get_text"), b"").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn the_log_is_served_and_shutdown_ends_every_session() {
    let rig = Rig::new(Auth::AnyKey, Faults::default()).await;
    let mut client = rig.live().await;
    let answer = rig.request("GET /emulate/log HTTP/1.1", b"").await;
    let log: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(log["connections"][0]["key"], "…1234");
    rig.shutdown.cancel();
    assert_eq!(rest(&mut client).await.1.unwrap(), Some(CloseCode::Away));
    drop(client);
    rig.task.await.unwrap().unwrap();
    assert_eq!(rig.log.connections()[0].ended, Some("shutdown"));
}

#[test]
fn a_script_is_a_fixture_a_folder_of_them_or_a_file_of_times() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    assert!(load_script(&fixtures).is_ok() && load_script(&fixtures.join("mid-word")).is_ok());
    let missing = load_script(&fixtures.join("nowhere.json")).err().unwrap();
    assert!(format!("{missing:#}").contains("cannot read"), "{missing:#}");
    let readme = load_script(&fixtures.join("README.md")).err().unwrap();
    assert!(format!("{readme:#}").contains("neither a fixture folder nor"), "{readme:#}");
}

#[tokio::test]
async fn a_handshake_may_be_answered_late_or_never() {
    let late = Duration::from_millis(80);
    let faults = Faults::default()
        .and_on_attempts(&[0], Fault::LateAccept { ms: Some(80) })
        .and_on_attempts(&[1], Fault::LateAccept { ms: None });
    let rig = Rig::new(Auth::AnyKey, faults).await;
    let began = clock::now();
    drop(rig.live().await);
    assert!(clock::now() - began >= late);
    assert!(tokio::time::timeout(late, rig.live()).await.is_err(), "it is never answered");
    rig.shutdown.cancel();
    rig.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_may_drop_by_the_clock_whatever_is_said() {
    let rig = Rig::new(Auth::AnyKey, Faults::always(Fault::Flap { after_ms: 80 })).await;
    let began = clock::now();
    let mut client = rig.live().await;
    let (_, end) = rest(&mut client).await;
    assert!(!matches!(end, Ok(Some(_))) && clock::now() - began >= Duration::from_millis(80), "no close frame: {end:?}");
    rig.shutdown.cancel();
    rig.task.await.unwrap().unwrap();
    assert_eq!(rig.log.connections()[0].ended, Some("fault"));
}

#[tokio::test]
async fn pings_may_stay_without_an_answer_while_everything_else_goes_on() {
    let rig = Rig::new(Auth::AnyKey, Faults::always(Fault::PingSilence)).await;
    let mut client = rig.live().await;
    client.send(Frame::Ping(vec![7].into())).await.unwrap();
    client.send(Frame::Text(r#"{"type":"keepalive"}"#.into())).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Frame::Text(r#"{"type":"pong"}"#.into()), "and no pong before it");
    send(&mut client, &rig.audio()[..5000 * 8]).await;
    client.send(Frame::Text(CLOSE.into())).await.unwrap();
    let (messages, end) = rest(&mut client).await;
    assert_eq!((finals(&messages), end.unwrap()), (vec![" hi I'd like to pay my bill", ""], Some(CloseCode::Normal)));
}

#[tokio::test]
async fn messages_may_be_late_and_keep_their_order() {
    let rig = Rig::new(Auth::AnyKey, Faults::always(Fault::Jitter { ms: 20, seed: 1 })).await;
    let mut client = rig.live().await;
    send(&mut client, &rig.audio()[..5000 * 8]).await;
    client.send(Frame::Text(CLOSE.into())).await.unwrap();
    let (messages, end) = rest(&mut client).await;
    assert_eq!((finals(&messages), end.unwrap()), (vec![" hi I'd like to pay my bill", ""], Some(CloseCode::Normal)));
}

#[tokio::test]
async fn bytes_that_are_no_frame_and_a_close_without_a_code_are_seen_as_such() {
    let faults = Faults::default()
        .and_on_attempts(&[0], Fault::BadFrame { after_bytes: 800 })
        .and_on_attempts(&[1], Fault::Close { after_bytes: 800, code: 1005 });
    let rig = Rig::new(Auth::AnyKey, faults).await;
    let mut client = rig.live().await;
    send(&mut client, &rig.audio()[..960]).await;
    let end = rest(&mut client).await.1;
    assert!(matches!(end, Err(Error::Protocol(_))), "{end:?}");
    let mut client = rig.live().await;
    send(&mut client, &rig.audio()[..960]).await;
    assert_eq!(rest(&mut client).await.1.unwrap(), None);
}

#[tokio::test]
async fn a_reader_that_stops_leaves_the_writer_with_full_buffers() {
    let rig = Rig::new(Auth::AnyKey, Faults::always(Fault::Slow { after_bytes: 800, bytes_per_second: 0 })).await;
    let mut client = rig.live().await;
    // More than any system keeps for a socket.
    let mut room: usize = 64 << 20;
    let piece = vec![0xFF; 1 << 16];
    while tokio::time::timeout(Duration::from_millis(500), client.send(Frame::Binary(piece.clone().into()))).await.is_ok() {
        room = room.checked_sub(1 << 16).expect("the writer is held up");
    }
    rig.shutdown.cancel();
    rig.task.await.unwrap().unwrap();
    assert!(rig.log.connections()[0].bytes <= 2 << 16, "nothing more is read");
}
