//! The way to the service: waiting for a slot, dialling, open.
//!
//! Promises: one write takes the named bound at the longest, and a farewell [`FAREWELL`]; what happens next can be asked for again at any time.

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use super::{dial, turn};
use crate::{
    clock,
    metrics::Metrics,
    upstream::{Control, Link, LinkSettings, Lost, Protocol, Reason, Refusal, Report, protocol::Frame},
};

/// A farewell is a courtesy and does not take longer.
const FAREWELL: Duration = Duration::from_millis(500);

/// A control as this service takes it, if it does.
pub(super) fn said(control: Control, protocol: Protocol) -> Option<Message> {
    Some(match protocol.frame(control)? {
        Frame::Text(text) => Message::text(text),
        Frame::Empty => Message::Binary(bytes::Bytes::new()),
    })
}

pub(super) type Socket = WebSocketStream<dial::Lent>;

/// The way to the service.
pub(super) enum Way {
    Idle,
    /// There is no session slot yet.
    Queued(Pin<Box<dyn Future<Output = ()> + Send>>),
    Dialling(Pin<Box<dyn Future<Output = Result<Socket, Refusal>> + Send>>),
    /// With the time of the first chunk that was written, until something is heard.
    Open(Box<Socket>, FirstWritten, Option<turn::Open>),
}

/// When a connection's first chunk was written, as long as nothing was heard on it.
#[derive(Clone, Copy)]
pub(super) enum FirstWritten {
    NotYet,
    At(Instant),
    Answered,
}

pub(super) enum Event {
    Granted,
    Dialled(Result<Box<Socket>, Refusal>),
    Message(Message),
    Lost(Lost),
}

impl Way {
    /// What happens next. Safe to drop and ask again.
    pub(super) async fn next(&mut self) -> Event {
        match self {
            Self::Idle => std::future::pending().await,
            Self::Queued(granted) => {
                granted.await;
                Event::Granted
            }
            Self::Dialling(dial) => Event::Dialled(dial.await.map(Box::new)),
            Self::Open(socket, ..) => match socket.next().await {
                Some(Ok(Message::Close(frame))) => Event::Lost(Lost::Closed {
                    code: frame.as_ref().map(|frame| u16::from(frame.code)),
                    reason: frame.map(|frame| Reason::in_a_call(frame.reason.as_str())).unwrap_or_default(),
                }),
                Some(Ok(message)) => Event::Message(message),
                Some(Err(_)) | None => Event::Lost(Lost::Broken),
            },
        }
    }

    pub(super) async fn say(&mut self, control: Control, link: &mut Link, settings: &LinkSettings) {
        if let Some(message) = said(control, settings.protocol) {
            self.write(message, link, settings).await;
        }
    }

    pub(super) async fn write(&mut self, message: Message, link: &mut Link, settings: &LinkSettings) {
        let Self::Open(socket, ..) = self else { return };
        let lost = match tokio::time::timeout(settings.write_deadline, socket.send(message)).await {
            Ok(Ok(())) => return,
            Ok(Err(_)) => self.last_words(link).await,
            Err(_) => Lost::Stalled,
        };
        *self = Self::Idle;
        link.handle_lost(lost, clock::chance(), clock::now());
    }

    /// A chunk has left, if the connection is still there; `received` is when its last byte came, the first time that it is sent.
    pub(super) fn wrote(&mut self, received: Option<Instant>, metrics: &Metrics) {
        let Self::Open(_, first, _) = self else { return };
        let now = clock::now();
        if let FirstWritten::NotYet = first {
            *first = FirstWritten::At(now);
        }
        if let Some(received) = received {
            metrics.chunk_written(now.saturating_duration_since(received));
        }
    }

    /// Something is reported; maybe it was heard.
    pub(super) fn heard(&mut self, report: &Report, metrics: &Metrics) {
        if let Report::Interim(_) | Report::Final(_) = report
            && let Self::Open(_, first, _) = self
            && let FirstWritten::At(written) = std::mem::replace(first, FirstWritten::Answered)
        {
            metrics.first_transcript(clock::now().saturating_duration_since(written));
        }
    }

    /// A write failed: what the service said before that, and why it closed, may still be read.
    async fn last_words(&mut self, link: &mut Link) -> Lost {
        let closing = async {
            loop {
                match self.next().await {
                    Event::Lost(lost) => return lost,
                    Event::Message(Message::Text(text)) => link.handle_message(text.as_str(), clock::now()),
                    Event::Message(_) | Event::Dialled(_) | Event::Granted => {}
                }
            }
        };
        tokio::time::timeout(FAREWELL, closing).await.unwrap_or(Lost::Broken)
    }

    /// Lets the answer to a close frame out, which tungstenite has made but not sent.
    pub(super) async fn answer_close(&mut self) {
        if let Self::Open(socket, ..) = self {
            let _ = tokio::time::timeout(FAREWELL, socket.flush()).await;
        }
    }

    /// Closes politely, if the service will have it.
    pub(super) async fn farewell(self) {
        if let Self::Open(mut socket, _, mut open) = self {
            open.iter_mut().for_each(turn::Open::ends_well);
            let parting = async {
                let _ = WebSocketStream::close(&mut socket, None).await;
                while let Some(Ok(_)) = socket.next().await {}
            };
            let _ = tokio::time::timeout(FAREWELL, parting).await;
        }
    }
}
