//! One session's socket, from the upgrade to its end.
//!
//! Promises: what the session says goes out in its order; a client that does not read holds it up for [`WRITE_DEADLINE`] at most.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{FromRequestParts, WebSocketUpgrade},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::AsyncWriteExt,
    sync::mpsc,
    time::{MissedTickBehavior, Sleep, interval, sleep, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;

use super::quiet::Quiet;
use crate::{
    clock, draw,
    emulate::{
        faults::{Manner, Wait},
        log::{HeardLog, OpenConnection},
        session::{Output, Session},
    },
    engine::driver::Pool,
};

/// The largest message taken; clients are known to send bursts of 32 KiB.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Audio of one message that is listened to in one go, in bytes: 4 s of a telephone's.
const AT_ONCE: usize = 32_000;
/// How long a client that does not read may hold a session up.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// How long the other side may take to answer a close frame.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);
/// How often a client that wants to know hears that its words are being worked on.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// A frame with every reserved bit set, of a kind that does not exist.
const BAD_FRAME: [u8; 4] = [0x7F, 0x7F, 0x7F, 0x7F];
/// The close code that stands for none (RFC 6455 section 7.4.1).
const NO_CODE: u16 = 1005;

type Socket = WebSocketStream<Quiet<TokioIo<Upgraded>>>;

/// Checks a handshake; gives the socket to come and the answer that lets it come.
///
/// # Errors
/// The answer to what is no handshake.
pub(super) async fn handshake(parts: &mut Parts) -> Result<(OnUpgrade, Response), Response> {
    let socket = parts.extensions.get::<OnUpgrade>().cloned();
    // Axum checks; its own socket would answer every ping, so that it is not taken.
    let checked = WebSocketUpgrade::from_request_parts(parts, &()).await;
    checked.map(drop).map_err(IntoResponse::into_response)?;
    let key = parts.headers.get(header::SEC_WEBSOCKET_KEY);
    let (Some(socket), Some(key)) = (socket, key) else { return Err(StatusCode::UPGRADE_REQUIRED.into_response()) };
    let accepted = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).expect("base64 is a header's value");
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accepted),
    ];
    Ok((socket, (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()))
}

/// A session's connection.
pub(super) struct Conversation<'a> {
    pub(super) session: Session,
    /// What recognises its audio, if that is really recognised.
    pub(super) engine: Option<&'a Pool>,
    pub(super) manner: Manner,
    /// The connection's number in the log.
    pub(super) number: u32,
    pub(super) log: &'a HeardLog,
    /// Its place in the plan, unless it is open only to be told that there is none.
    pub(super) open: Option<OpenConnection>,
    pub(super) shutdown: &'a CancellationToken,
}

impl Conversation<'_> {
    /// Holds the socket to its end; says how it ended, in the log's words.
    pub(super) async fn hold(mut self, upgrade: OnUpgrade) -> &'static str {
        let Ok(upgraded) = upgrade.await else { return "lost" };
        let io = Quiet::new(TokioIo::new(upgraded), self.manner.answers_no_pings);
        let bounds = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE_BYTES)).max_frame_size(Some(MAX_MESSAGE_BYTES));
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(bounds)).await;
        if self.open.is_none() {
            close(&mut socket, 1008).await;
            return "fault";
        }
        let shutdown = self.shutdown;
        let end = self.manner.drops_after.map(sleep);
        let how = tokio::select! {
            how = self.talk(&mut socket) => how,
            () = until(end) => "fault",
            () = shutdown.cancelled() => {
                close(&mut socket, 1001).await;
                "shutdown"
            }
        };
        // Before the socket, so that whoever sees its end finds the place free.
        self.open = None;
        how
    }

    async fn talk(&mut self, socket: &mut Socket) -> &'static str {
        let mut waiting = Waiting::new(self.manner);
        let mut silent_since = clock::now();
        let (results, mut outcomes) = mpsc::unbounded_channel();
        let (mut beat, mut steps) = (interval(PROGRESS_EVERY), 0);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while let (Some(pool), Some(job)) = (self.engine, self.session.poll_job()) {
                pool.submit(job, &results);
            }
            while let Some(output) = self.session.poll_output() {
                waiting.push(output);
            }
            tokio::select! {
                biased;
                output = waiting.next() => if let Some(how) = self.perform(socket, output).await {
                    return how;
                },
                Some((job, outcome)) = outcomes.recv() => {
                    if self.session.is_full() {
                        // Nothing was read meanwhile, whatever came.
                        silent_since = clock::now();
                    }
                    self.session.handle_recognised(job, outcome);
                }
                message = socket.next(), if !self.session.is_full() => {
                    if matches!(&message, Some(Ok(Message::Binary(_)))) {
                        silent_since = clock::now();
                    }
                    if let Some(how) = self.take(socket, message).await {
                        return how;
                    }
                }
                () = until(self.session.longest_silence().filter(|_| !self.session.is_full()).map(|limit| sleep_until((silent_since + limit).into()))) => {
                    self.session.handle_silence();
                }
                _ = beat.tick(), if self.session.is_behind() => {
                    let before = std::mem::replace(&mut steps, self.engine.map_or(0, Pool::steps));
                    if steps > before {
                        self.session.handle_progress();
                    }
                }
            }
        }
    }

    /// Takes what came; says how the connection ended, if that ended it.
    async fn take(&mut self, socket: &mut Socket, message: Option<Result<Message, Error>>) -> Option<&'static str> {
        match message {
            Some(Ok(Message::Binary(audio))) if audio.is_empty() => {
                self.log.note_control(self.number, "");
                self.session.handle_audio(&audio);
            }
            Some(Ok(Message::Binary(audio))) => {
                self.log.note_audio(self.number, &audio);
                for piece in audio.chunks(AT_ONCE) {
                    self.session.handle_audio(piece);
                    if audio.len() > AT_ONCE {
                        // Others have their turn: to listen to two minutes takes a while.
                        tokio::task::yield_now().await;
                    }
                }
                if let Some(rest) = self.session.rest_after(audio.len()) {
                    wait(rest).await;
                }
            }
            Some(Ok(Message::Text(text))) => {
                self.log.note_control(self.number, &text);
                self.session.handle_text(&text);
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_))) => {
                // One more read sends our half of the handshake.
                let _ = timeout(CLOSE_DEADLINE, socket.next()).await;
                return Some("client");
            }
            Some(Err(_)) | None => return Some("lost"),
        }
        None
    }

    /// Does what the session wants; says how the connection ended, if that ended it.
    async fn perform(&self, socket: &mut Socket, output: Output) -> Option<&'static str> {
        let message = match output {
            Output::Message(message) => Message::text(message),
            Output::Binary(bytes) => Message::binary(bytes),
            Output::Final { message, text } => {
                self.log.note_final(self.number, text);
                Message::text(message)
            }
            Output::BadFrame => {
                let raw = socket.get_mut();
                let _ = timeout(WRITE_DEADLINE, async { raw.write_all(&BAD_FRAME).await.and(raw.flush().await) }).await;
                // The client says what it thinks of that, and goes.
                let _ = timeout(CLOSE_DEADLINE, async { while let Some(Ok(_)) = socket.next().await {} }).await;
                return Some("fault");
            }
            Output::Close(code) => {
                close(socket, code).await;
                return Some(if code == 1000 { "server" } else { "fault" });
            }
            Output::Drop => return Some("fault"),
        };
        let sent = timeout(WRITE_DEADLINE, socket.send(message)).await;
        (!matches!(sent, Ok(Ok(())))).then_some("lost")
    }
}

/// What the session has said and the jitter still holds back, in its order.
struct Waiting {
    outputs: VecDeque<(Instant, Output)>,
    jitter: Option<(Duration, u64)>,
    said: u64,
}

impl Waiting {
    const fn new(manner: Manner) -> Self {
        Self { outputs: VecDeque::new(), jitter: manner.jitter, said: 0 }
    }

    fn push(&mut self, output: Output) {
        let delay = self.jitter.map_or(Duration::ZERO, |(longest, seed)| longest.mul_f64(draw::share(seed, self.said)));
        self.said += 1;
        let due = clock::now() + delay;
        let due = self.outputs.back().map_or(due, |(before, _)| due.max(*before));
        self.outputs.push_back((due, output));
    }

    /// The next one when it is due; never where nothing waits. Safe to drop and ask again.
    async fn next(&mut self) -> Output {
        match self.outputs.front() {
            Some((due, _)) if *due > clock::now() => sleep_until((*due).into()).await,
            Some(_) => {}
            None => std::future::pending().await,
        }
        self.outputs.pop_front().expect("one waits").1
    }
}

/// Sends a close frame and waits, boundedly, for the other side's.
async fn close(socket: &mut Socket, code: u16) {
    let reason = if code == 1008 { "concurrency limit reached" } else { "" };
    let frame = (code != NO_CODE).then(|| CloseFrame { code: CloseCode::from(code), reason: reason.into() });
    if timeout(CLOSE_DEADLINE, socket.send(Message::Close(frame))).await.is_ok_and(|sent| sent.is_ok()) {
        let _ = timeout(CLOSE_DEADLINE, async { while let Some(Ok(_)) = socket.next().await {} }).await;
    }
}

/// Lets so much time pass.
pub(super) async fn wait(wait: Wait) {
    match wait {
        Wait::For(time) => sleep(time).await,
        Wait::ForEver => std::future::pending().await,
    }
}

/// Until then, or for ever.
async fn until(end: Option<Sleep>) {
    match end {
        Some(end) => end.await,
        None => std::future::pending().await,
    }
}
