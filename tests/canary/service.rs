//! The speech service: says its script by the audio that came, keeps everything that it said, and answers batch with the caller's words.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{
        Query, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use tokio::net::TcpListener;

use crate::script::{Frame, Line};

/// Bytes of audio in a millisecond.
const BYTES_IN_MS: u64 = 8;
/// The end of every connection.
const LAST: &str =
    r#"{"type":"transcription","status":"success","session_id":"s","transcript":"","is_final":true,"is_last":true}"#;
/// The answer to a wish for what was heard so far.
const NOTHING_MORE: &str = r#"{"type":"transcription","status":"success","session_id":"s","transcript":"","is_final":true,"is_last":false,"from_finalize":true}"#;

/// A running service. Cheap to clone; clones share.
#[derive(Clone)]
pub(crate) struct Service(Arc<Shared>);

struct Shared {
    /// By call: what is said on its first connections, its second ones and so on.
    scripts: HashMap<String, Vec<Vec<Line>>>,
    /// The body of every refused batch request.
    objection: String,
    attempts: Mutex<HashMap<String, usize>>,
    /// By call: the line that comes next, of both tracks. The phone is faster than speech, and without turns one track's answer could
    /// be told before the other's question.
    turns: Mutex<HashMap<String, usize>>,
    said: Mutex<Vec<u8>>,
}

impl Service {
    /// Where it streams, and itself.
    pub(crate) async fn start(scripts: HashMap<String, Vec<Vec<Line>>>, objection: String) -> (String, Self) {
        let service = Self(Arc::new(Shared {
            scripts,
            objection,
            attempts: Mutex::default(),
            turns: Mutex::default(),
            said: Mutex::default(),
        }));
        let router = Router::new().route("/waves/v1/stt/live", get(stream)).fallback(any(batch)).with_state(service.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/waves/v1/stt/live", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (url, service)
    }

    /// Every byte that it has said.
    pub(crate) fn said(&self) -> Vec<u8> {
        self.0.said.lock().unwrap().clone()
    }

    fn note(&self, text: &str) {
        let mut said = self.0.said.lock().unwrap();
        said.extend_from_slice(text.as_bytes());
        said.push(b'\n');
    }

    /// What a new connection of this session is to say.
    fn next(&self, session: &str) -> Lines {
        let mut attempts = self.0.attempts.lock().unwrap();
        let attempt = attempts.entry(session.to_owned()).or_default();
        *attempt += 1;
        let (call, track) = session.rsplit_once('.').expect("a session is a call and a track");
        let mut lines = self.0.scripts.get(call).and_then(|scripts| scripts.get(*attempt - 1)).cloned().unwrap_or_default();
        lines.retain(|line| line.track == track);
        Lines { call: call.to_owned(), takes_turns: *attempt == 1, left: lines.into() }
    }

    /// The next line of a connection that has heard so much, if it is its turn.
    fn due(&self, lines: &mut Lines, heard: u64) -> Option<Line> {
        let turn = self.0.turns.lock().unwrap().get(&lines.call).copied().unwrap_or_default();
        let line = lines.left.front()?;
        let is_due = line.at_ms * BYTES_IN_MS <= heard && (!lines.takes_turns || line.number == turn);
        is_due.then(|| lines.left.pop_front()).flatten()
    }
}

/// What is left to be said on a connection.
struct Lines {
    call: String,
    /// Both tracks are on their first connection.
    takes_turns: bool,
    left: VecDeque<Line>,
}

async fn batch(State(service): State<Service>) -> Response {
    service.note(&service.0.objection);
    (StatusCode::BAD_REQUEST, [("x-request-id", "r")], service.0.objection.clone()).into_response()
}

async fn stream(
    State(service): State<Service>,
    Query(query): Query<HashMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let session = query.get("external_session_id").cloned().unwrap_or_default();
    upgrade.on_upgrade(move |socket| async move { talk(&service, socket, &session).await.unwrap_or_default() })
}

/// Until either side ends it. Behind each line comes a ping: with its answer the bridge has read the line, and the next one's turn has come.
async fn talk(service: &Service, mut socket: WebSocket, session: &str) -> Result<(), axum::Error> {
    let (mut lines, mut heard) = (service.next(session), 0);
    while let Some(message) = socket.recv().await {
        match message? {
            Message::Binary(audio) => heard += audio.len() as u64,
            Message::Text(control) if control.contains("finalize") => socket.send(Message::text(NOTHING_MORE)).await?,
            Message::Text(control) if control.contains("close_stream") => {
                for line in std::mem::take(&mut lines.left) {
                    say(service, &mut socket, line).await?;
                }
                socket.send(Message::text(LAST)).await?;
                return socket.send(Message::Close(None)).await;
            }
            Message::Pong(number) => {
                let number = u64::from_be_bytes(number.as_ref().try_into().expect("a pong has the ping's bytes"));
                service.0.turns.lock().unwrap().insert(lines.call.clone(), usize::try_from(number).unwrap() + 1);
            }
            Message::Close(_) => return Ok(()),
            Message::Text(_) | Message::Ping(_) => {}
        }
        while let Some(line) = service.due(&mut lines, heard) {
            let number = line.number as u64;
            if !say(service, &mut socket, line).await? {
                service.0.turns.lock().unwrap().insert(lines.call.clone(), usize::MAX);
                return Ok(());
            }
            socket.send(Message::Ping(number.to_be_bytes().to_vec().into())).await?;
        }
    }
    Ok(())
}

/// Says a line; whether the connection is still there.
async fn say(service: &Service, socket: &mut WebSocket, line: Line) -> Result<bool, axum::Error> {
    for frame in line.frames {
        match frame {
            Frame::Text(text) => {
                service.note(&text);
                socket.send(Message::text(text)).await?;
            }
            Frame::Close(code, reason) => {
                service.note(reason);
                socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await?;
                return Ok(false);
            }
        }
    }
    Ok(true)
}
