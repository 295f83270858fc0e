//! A phone that speaks the recording at a phone's pace, and says how far it got when the bridge went away.

use std::{
    net::SocketAddr,
    sync::OnceLock,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, stream::SplitSink};
use pulse_bridge::{clock, dialect::signature};
use secrecy::SecretString;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::{
    bridge::AUTH_TOKEN,
    script::{self, FRAME, FRAME_MS},
};

/// Silence before a phone hangs up. At the end of a call the service says what it has heard so far, and none of that may be so new that a
/// kill can still cost it.
const QUIET_END_MS: u64 = 600;
/// A frame of it.
const SILENCE: [u8; FRAME] = [0xFF; FRAME];

/// How a phone hangs up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// With `stop`, and waits for the answer.
    Stop,
    /// Without a word.
    Vanish,
}

/// What became of a call.
#[derive(Debug, Clone)]
pub(crate) struct Spoken {
    pub(crate) call: String,
    /// Audio of each track that was handed to the socket, in milliseconds.
    pub(crate) sent_ms: u64,
    /// How much of that was of the recording; behind it comes silence.
    pub(crate) said_ms: u64,
    /// How much later than it should the phone itself once was: how busy the machine was.
    pub(crate) late_ms: u64,
    /// It said all that it wanted, and its `stop` was answered.
    pub(crate) is_whole: bool,
}

type Sink = SplitSink<WebSocketStream<TcpStream>, Message>;

/// Plays the recording's first `length_ms`; returns at its end, or when the bridge is gone.
pub(crate) async fn play(address: SocketAddr, call: &str, length_ms: u64, farewell: Farewell) -> Spoken {
    let mut spoken = Spoken { call: call.to_owned(), sent_ms: 0, said_ms: 0, late_ms: 0, is_whole: false };
    let Some(socket) = dial(address).await else { return spoken };
    let (mut sink, mut stream) = socket.split();
    // A media socket says nothing before its end. A bridge that was killed does not say that it closes.
    let gone = async {
        let mut is_answered = false;
        while let Some(Ok(message)) = stream.next().await {
            is_answered |= message.is_close();
        }
        is_answered
    };
    tokio::pin!(gone);
    let talking = async {
        start(&mut sink, call).await?;
        speak(&mut sink, length_ms, &mut spoken).await?;
        match farewell {
            Farewell::Vanish => Ok(false),
            Farewell::Stop => {
                let stop = json!({"event": "stop", "sequenceNumber": "9999", "streamSid": format!("MZ-{call}"),
                    "stop": {"accountSid": "AC1", "callSid": call}});
                sink.send(Message::text(stop.to_string())).await.map(|()| true)
            }
        }
    };
    let said: Result<bool, _> = tokio::select! {
        said = talking => said,
        _ = &mut gone => Ok(false),
    };
    if said.unwrap_or(false) {
        spoken.is_whole = tokio::time::timeout(crate::child::PATIENCE, gone).await.unwrap_or(false);
    }
    spoken
}

async fn dial(address: SocketAddr) -> Option<WebSocketStream<TcpStream>> {
    let url = format!("ws://{address}/media/twilio");
    let mut request = url.as_str().into_client_request().unwrap();
    let signature = signature::sign(&SecretString::from(AUTH_TOKEN), &url, &[]);
    request.headers_mut().insert(signature::HEADER, HeaderValue::from_str(&signature).unwrap());
    let stream = TcpStream::connect(address).await.ok()?;
    stream.set_nodelay(true).ok()?;
    client_async(request, stream).await.ok().map(|(socket, _)| socket)
}

async fn start(sink: &mut Sink, call: &str) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let stream = format!("MZ-{call}");
    let start = json!({"event": "start", "sequenceNumber": "1", "streamSid": stream, "start": {
        "accountSid": "AC1", "callSid": call, "streamSid": stream, "tracks": ["inbound", "outbound"], "customParameters": {},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}}});
    sink.send(Message::text(start.to_string())).await
}

async fn speak(sink: &mut Sink, length_ms: u64, spoken: &mut Spoken) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let began = clock::now();
    let mut sequence = 1;
    for number in 0..(length_ms + QUIET_END_MS) / FRAME_MS {
        let due = began + Duration::from_millis(number * FRAME_MS);
        clock::sleep_until(Some(due)).await;
        spoken.late_ms = spoken.late_ms.max(late(due));
        for track in ["inbound", "outbound"] {
            sequence += 1;
            let at = usize::try_from(number).unwrap() * FRAME;
            let is_quiet = number * FRAME_MS >= length_ms;
            let payload = BASE64_STANDARD.encode(if is_quiet { &SILENCE } else { &recording(track)[at..at + FRAME] });
            let media = json!({"event": "media", "sequenceNumber": sequence.to_string(), "streamSid": format!("MZ-{}", spoken.call),
                "media": {"track": track, "chunk": (number + 1).to_string(), "timestamp": (number * FRAME_MS).to_string(),
                    "payload": payload}});
            sink.send(Message::text(media.to_string())).await?;
        }
        spoken.sent_ms = (number + 1) * FRAME_MS;
        spoken.said_ms = spoken.sent_ms.min(length_ms);
    }
    Ok(())
}

fn late(due: Instant) -> u64 {
    u64::try_from(clock::now().saturating_duration_since(due).as_millis()).unwrap_or(u64::MAX)
}

fn recording(track: &str) -> &'static Bytes {
    static INBOUND: OnceLock<Bytes> = OnceLock::new();
    static OUTBOUND: OnceLock<Bytes> = OnceLock::new();
    let cell = if track == "inbound" { &INBOUND } else { &OUTBOUND };
    cell.get_or_init(|| script::audio(track))
}
