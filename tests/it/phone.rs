//! A phone that says exactly what a test wants, well-formed or not.

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::SocketAddr,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use pulse_bridge::{
    dialect::signature,
    media::{CallSid, Track},
    registry::SessionState,
};
use secrecy::SecretString;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::stage::{AUTH_TOKEN, PATIENCE, Stage, assert_unbroken, load, text_of, until};

/// Bytes in a frame of 20 ms.
pub(crate) const FRAME: usize = 160;

/// A call's ids and its message counter.
pub(crate) struct Phone {
    socket: WebSocketStream<TcpStream>,
    pub call: String,
    pub stream: String,
    sequence: u64,
}

impl Phone {
    /// Dials the media route, signed, and says nothing yet.
    pub(crate) async fn dial(stage: &Stage, call: &str) -> Self {
        Self::dial_to(stage, call, "/media/twilio").await.expect("a signed handshake is taken")
    }

    /// Dials this path, signed; the HTTP status where it is refused.
    pub(crate) async fn dial_to(stage: &Stage, call: &str, path: &str) -> Result<Self, u16> {
        Self::dial_at(stage.bridge.address, call, path).await
    }

    /// As [`Phone::dial_to`], to any bridge that has the stage's auth token.
    pub(crate) async fn dial_at(address: SocketAddr, call: &str, path: &str) -> Result<Self, u16> {
        let url = format!("ws://{address}{path}");
        let mut request = url.as_str().into_client_request().unwrap();
        let signature = signature::sign(&SecretString::from(AUTH_TOKEN), &url, &[]);
        request.headers_mut().insert(signature::HEADER, HeaderValue::from_str(&signature).unwrap());
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self { socket, call: call.to_owned(), stream: format!("MZ-{call}"), sequence: 0 }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    /// Another stream of the same call.
    pub(crate) fn named(mut self, stream: &str) -> Self {
        stream.clone_into(&mut self.stream);
        self
    }

    /// A text frame as it is. What the bridge has closed takes none; the test sees that by the close.
    pub(crate) async fn say(&mut self, text: impl Into<String>) {
        self.send(Message::text(text.into())).await;
    }

    /// A frame of any kind.
    pub(crate) async fn send(&mut self, frame: Message) {
        let _ = self.socket.send(frame).await;
    }

    /// Bytes in place of a frame.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        let _ = self.socket.get_mut().write_all(bytes).await;
    }

    /// `start` of these tracks with these parameters.
    pub(crate) async fn start_with(&mut self, tracks: &[&str], parameters: &Value) {
        self.sequence += 1;
        let (sequence, stream, call) = (self.sequence.to_string(), &self.stream, &self.call);
        let start = serde_json::json!({
            "event": "start", "sequenceNumber": sequence, "streamSid": stream,
            "start": {
                "accountSid": "AC1", "callSid": call, "streamSid": stream, "tracks": tracks, "customParameters": parameters,
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            },
        });
        self.say(start.to_string()).await;
    }

    /// `start` of one inbound track.
    pub(crate) async fn start(&mut self) {
        self.start_with(&["inbound"], &Value::Object(serde_json::Map::new())).await;
    }

    /// A `media` message of this track and time.
    pub(crate) fn media(&mut self, track: &str, at_ms: u64, audio: &[u8]) -> String {
        self.sequence += 1;
        let payload = BASE64_STANDARD.encode(audio);
        format!(
            r#"{{"event":"media","sequenceNumber":"{}","streamSid":"{}","media":{{"track":"{track}","chunk":"{}","timestamp":"{at_ms}","payload":"{payload}"}}}}"#,
            self.sequence, self.stream, self.sequence
        )
    }

    /// Sends this part of a recording's inbound track, its frames at their own times.
    pub(crate) async fn speak(&mut self, audio: &Bytes, frames: std::ops::Range<usize>) {
        for number in frames {
            let at = (number * FRAME).min(audio.len())..((number + 1) * FRAME).min(audio.len());
            let media = self.media("inbound", number as u64 * 20, &audio[at]);
            self.say(media).await;
        }
    }

    /// `stop`.
    pub(crate) async fn stop(&mut self) {
        self.sequence += 1;
        let text = format!(
            r#"{{"event":"stop","sequenceNumber":"{}","streamSid":"{}","stop":{{"accountSid":"AC1","callSid":"{}"}}}}"#,
            self.sequence, self.stream, self.call
        );
        self.say(text).await;
    }

    /// `stop`, and the answer to it.
    pub(crate) async fn end(mut self) {
        self.stop().await;
        let call = self.call.clone();
        let closed = self.closed().await;
        assert_eq!(closed.0, 1000, "{call}: {closed:?}");
    }

    /// Reads until the bridge closes; its code and reason.
    pub(crate) async fn closed(mut self) -> (u16, String) {
        let reading = async {
            while let Some(frame) = self.socket.next().await {
                match frame {
                    Ok(Message::Close(Some(frame))) => return (u16::from(frame.code), frame.reason.to_string()),
                    Ok(Message::Close(None)) | Err(_) => break,
                    Ok(_) => {}
                }
            }
            (1006, String::new())
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("the bridge closes in time")
    }

    /// Is gone without a `stop`, until the session knows it and waits for another stream; nothing tells of that by itself.
    pub(crate) async fn hang_up(self, stage: &Stage) {
        let call = CallSid::new(&self.call).unwrap();
        self.vanish();
        let now = || stage.bridge.calls.registry().newest(&call).map(|entry| entry.pulse.state());
        until(|| now() == Some(SessionState::Waiting)).await;
    }

    /// Is gone without a word.
    pub(crate) fn vanish(self) {
        drop(self.socket);
    }
}

/// The recorded caller's side of a fixture.
pub(crate) fn recording(fixture: &str) -> Bytes {
    load(fixture).tracks[&Track::Inbound].clone()
}

/// How many frames a recording has.
pub(crate) fn frames(audio: &Bytes) -> usize {
    audio.len().div_ceil(FRAME)
}

/// Panics of the bridge's own tasks and threads in this process; a test's own thread bears the test's name.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts the bridge's panics from here on.
pub(crate) fn watch_panics() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !std::thread::current().name().is_some_and(|name| name.contains("::")) {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            usual(panic);
        }));
    });
}

/// No task of any bridge has panicked.
pub(crate) fn assert_no_panic() {
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "a task of the bridge panicked");
}

/// A whole good call of one track, from dialling to the answer to its `stop`.
pub(crate) async fn good_call(stage: &Stage, call: &str) {
    let audio = recording("mid-word");
    let mut phone = Phone::dial(stage, call).await;
    phone.start().await;
    phone.speak(&audio, 0..frames(&audio)).await;
    phone.end().await;
}

/// A whole good call and its events.
pub(crate) async fn one_call(stage: &mut Stage, call: &str) -> Vec<Value> {
    good_call(stage, call).await;
    stage.events_of(call).await
}

/// Events by call, until each of these calls has its `call.completed`.
pub(crate) async fn until_completed(stage: &mut Stage, calls: &[&str]) -> BTreeMap<String, Vec<Value>> {
    let mut events: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let is_over = |events: &[Value]| events.last().is_some_and(|event| event["type"] == "call.completed");
    while !calls.iter().all(|call| events.get(*call).is_some_and(|events| is_over(events))) {
        let event = stage.next_event().await;
        let call = event["data"]["call_sid"].as_str().unwrap().to_owned();
        let events = events.entry(call).or_default();
        assert!(!is_over(events), "nothing comes behind call.completed: {event}");
        events.push(event);
    }
    for call in calls {
        assert_unbroken(&events[*call]);
    }
    events
}

/// Nothing of a good call was lost.
pub(crate) fn assert_whole(events: &[Value]) {
    let (text, expected) = (text_of(events, "inbound"), spoken("mid-word"));
    assert_eq!(plain(&text), plain(&expected));
    let completed = &events.last().unwrap()["data"];
    assert_eq!((&completed["complete"], &completed["end_reason"]), (&Value::Bool(true), &Value::from("stop")), "{completed:#}");
}

/// What the truth says was said on the inbound track, as far as whole words go.
pub(crate) fn spoken(fixture: &str) -> String {
    let truth = &load(fixture).truth[&Track::Inbound];
    truth.words.iter().filter(|word| !word.cut).fold(String::new(), |mut text, word| {
        write!(text, "{} ", word.text).unwrap();
        text
    })
}

/// Letters and digits of each word in lower case, so that punctuation and joints do not count.
pub(crate) fn plain(text: &str) -> String {
    let bare = |word: &str| word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    text.split_whitespace().map(bare).collect::<Vec<_>>().join(" ")
}
