//! The phone: a stream with both tracks, keys at their times, and whatever else a test wants to say.

use std::net::SocketAddr;

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{SinkExt, StreamExt};
use pulse_bridge::dialect::signature;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::{bridge::AUTH_TOKEN, receiver::PATIENCE, script::Talk};

/// Milliseconds and bytes of a frame.
const FRAME_MS: u64 = 20;
const FRAME: usize = 160;

/// A phone that is on the line.
pub(crate) struct Phone {
    socket: WebSocketStream<TcpStream>,
    call: String,
    sequence: u64,
    at_ms: u64,
}

impl Phone {
    /// Dials, and starts both tracks with these parameters.
    pub(crate) async fn dial(address: SocketAddr, call: &str, parameters: &Value) -> Self {
        let url = format!("ws://{address}/media/twilio");
        let mut request = url.as_str().into_client_request().unwrap();
        let signature = signature::sign(&SecretString::from(AUTH_TOKEN), &url, &[]);
        request.headers_mut().insert(signature::HEADER, HeaderValue::from_str(&signature).unwrap());
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, _) = client_async(request, stream).await.unwrap();
        let mut phone = Self { socket, call: call.to_owned(), sequence: 0, at_ms: 0 };
        let start = json!({"accountSid": "AC1", "callSid": call, "streamSid": format!("MZ-{call}"), "tracks": ["inbound", "outbound"],
            "customParameters": parameters, "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}});
        phone.event("start", &start).await;
        phone
    }

    /// An event with its section.
    async fn event(&mut self, event: &str, section: &Value) {
        self.sequence += 1;
        let text = json!({"event": event, "sequenceNumber": self.sequence.to_string(), "streamSid": format!("MZ-{}", self.call),
            event: section});
        self.says(text.to_string()).await;
    }

    /// A text frame as it is. What the bridge has closed takes none.
    pub(crate) async fn says(&mut self, text: String) {
        let _ = self.socket.send(Message::text(text)).await;
    }

    /// A key.
    pub(crate) async fn presses(&mut self, key: char) {
        self.event("dtmf", &json!({"track": "inbound_track", "digit": key.to_string()})).await;
    }

    /// Goes on to this time of the call, in milliseconds, with the keys of the talk on the way.
    pub(crate) async fn speaks_to(&mut self, talk: &Talk, to_ms: u64) {
        while self.at_ms < to_ms {
            let now = self.at_ms..self.at_ms + FRAME_MS;
            for (_, key) in talk.keys.iter().filter(|(at_ms, _)| now.contains(at_ms)) {
                self.presses(*key).await;
            }
            for track in ["inbound", "outbound"] {
                let payload = BASE64_STANDARD.encode(sound(self.at_ms));
                let media = json!({"track": track, "chunk": (self.at_ms / FRAME_MS + 1).to_string(),
                    "timestamp": self.at_ms.to_string(), "payload": payload});
                self.event("media", &media).await;
            }
            self.at_ms += FRAME_MS;
        }
    }

    /// Says that it is over, and waits until the bridge has taken that.
    pub(crate) async fn ends(mut self) {
        self.event("stop", &json!({"accountSid": "AC1", "callSid": self.call.clone()})).await;
        let closed = async { while let Some(Ok(_)) = self.socket.next().await {} };
        tokio::time::timeout(PATIENCE, closed).await.expect("a stop is answered");
    }
}

/// A soft buzz: a frame of mu-law that is not silence.
fn sound(at_ms: u64) -> [u8; FRAME] {
    let phase = u8::try_from(at_ms / FRAME_MS % 7).unwrap();
    std::array::from_fn(|at| if (at / 20) % 2 == 0 { 0x9A + phase } else { 0x1A + phase })
}
