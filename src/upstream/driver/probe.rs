//! A stream opened and closed again with no audio: what would a call meet now?
//!
//! Promises: sends the handshake of a real stream and a close, nothing else; ends at the deadline.

use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::Message;

use super::{Event, FirstWritten, Upstream, Way, dial};
use crate::{
    clock,
    net::DialError,
    upstream::{Protocol, Refusal, wire},
};

/// How long a stream that opened is listened to: a plan that is full is told by a close right behind the upgrade; the older ASR says
/// there what it has against key, plan and parameters as well.
pub(super) const fn listening(protocol: Protocol) -> Duration {
    match protocol {
        Protocol::Pulse => Duration::from_millis(300),
        Protocol::Asr => Duration::from_secs(1),
    }
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// A connection, but no answer to the handshake at the deadline.
    #[error("no answer in time")]
    Timeout,
    /// The service would not.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// What came of a probe.
#[derive(Debug)]
pub struct Probe {
    /// How long opening took, or why nothing opened.
    pub outcome: Result<Duration, Unopened>,
    /// The `Date` of the service's answer, if one came.
    pub date: Option<String>,
    /// Between which two times of this machine's clock it was written: milliseconds since 1970-01-01 UTC.
    pub between_ms: (u64, u64),
}

/// Opens a stream under that session id, listens for a moment, and closes it.
pub async fn probe(upstream: &Upstream, external_session_id: &str, deadline: Instant) -> Probe {
    let began = clock::now();
    let (asked_ms, asking) = (clock::wall_ms(), ask(upstream, external_session_id, deadline));
    let (opened, date) = tokio::time::timeout_at(deadline.into(), asking).await.unwrap_or((Err(Unopened::Timeout), None));
    let (took, between_ms) = (clock::now().saturating_duration_since(began), (asked_ms, clock::wall_ms()));
    let outcome = match opened {
        Ok(mut way) => {
            let protocol = upstream.settings.protocol;
            let heard = objected(&mut way, protocol, deadline.min(clock::now() + listening(protocol))).await;
            let _ = tokio::time::timeout_at(deadline.into(), way.farewell()).await;
            heard.map_or(Ok(took), |refusal| Err(refusal.into()))
        }
        Err(why) => Err(why),
    };
    Probe { outcome, date, between_ms }
}

async fn ask(upstream: &Upstream, external_session_id: &str, deadline: Instant) -> (Result<Way, Unopened>, Option<String>) {
    let request = match dial::request(upstream, external_session_id) {
        Ok(request) => request,
        Err(refusal) => return (Err(refusal.into()), None),
    };
    let stream = match upstream.dialler.connect(&upstream.url, deadline).await {
        Ok(stream) => stream,
        Err(why) => return (Err(why.into()), None),
    };
    let (opened, date) = dial::upgrade(upstream, request, stream).await;
    (opened.map(|socket| Way::Open(Box::new(socket), FirstWritten::NotYet, None)).map_err(Unopened::from), date)
}

/// What the service has against a stream that it has just opened; silence is none.
pub(super) async fn objected(way: &mut Way, protocol: Protocol, until: Instant) -> Option<Refusal> {
    objection(tokio::time::timeout_at(until.into(), way.next()).await.ok()?, protocol)
}

/// What the service has against a stream on which nothing was sent, if this is such a word.
pub(super) fn objection(event: Event, protocol: Protocol) -> Option<Refusal> {
    match event {
        Event::Lost(lost) => Some(Refusal::from_lost(lost, false)),
        Event::Message(Message::Text(text)) => match protocol.parse(text.as_str()) {
            wire::Message::Error(frame) => Some(frame.refusal()),
            _ => None,
        },
        Event::Message(_) | Event::Dialled(_) | Event::Granted => None,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use tokio::net::TcpListener;
    use tokio_tungstenite::{
        accept_async,
        tungstenite::protocol::{CloseFrame, frame::coding::CloseCode},
    };

    use super::*;
    use crate::upstream::Reason;

    /// What a probe meets where the service says this behind the upgrade, and everything that the service got.
    async fn met(first: Option<Message>) -> (Result<Duration, Unopened>, Vec<Message>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Upstream::at(&format!("ws://{}/live", listener.local_addr().unwrap()));
        let service = async {
            let mut socket = accept_async(listener.accept().await.unwrap().0).await.unwrap();
            if let Some(first) = first {
                socket.send(first).await.unwrap();
            }
            let mut got = Vec::new();
            while let Some(Ok(message)) = socket.next().await {
                got.push(message);
            }
            got
        };
        let deadline = clock::now() + Duration::from_secs(20);
        let (probe, got) = tokio::join!(probe(&upstream, "doctor.1", deadline), service);
        (probe.outcome, got)
    }

    #[tokio::test]
    async fn a_stream_that_opens_is_closed_again_with_nothing_sent() {
        let (outcome, got) = met(None).await;
        assert!(outcome.is_ok(), "{outcome:?}");
        assert!(matches!(got.as_slice(), [Message::Close(_)]), "{got:?}");
    }

    #[tokio::test]
    async fn what_the_service_has_against_an_open_stream_is_told() {
        let full = CloseFrame { code: CloseCode::Policy, reason: "concurrency limit reached".into() };
        let (outcome, _) = met(Some(Message::Close(Some(full)))).await;
        let reason = Reason::in_a_call("concurrency limit reached");
        assert!(matches!(&outcome, Err(Unopened::Refused(refusal)) if *refusal == Refusal::Policy { reason }), "{outcome:?}");
        let (outcome, _) = met(Some(Message::text(r#"{"type":"error","message":"Invalid audio"}"#))).await;
        assert!(matches!(outcome, Err(Unopened::Refused(Refusal::ErrorFrame { .. }))), "{outcome:?}");
        let (outcome, _) = met(Some(Message::text(r#"{"type":"welcome"}"#))).await;
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}
