//! What belongs into one transaction, as the store's writes.

use super::Facts;
use crate::{
    event::{Data, Event},
    media::{EndReason, EndpointName, Offset, Received, StreamSid, Track},
    segment::{Release, TrackKey},
    spool::seal::WrappedKey,
    store::{Ended, NewSession, Write},
};

/// What is to be stored in one transaction.
#[derive(Debug, Default)]
pub struct Unit {
    /// The event and its number, where there is one.
    pub event: Option<(u64, Data)>,
    /// The released final that the event carries.
    pub segment: Option<Release>,
    /// The gap that the event tells, where a mark waits for it.
    pub gap: Option<(TrackKey, u64)>,
    /// Marks that move with it.
    pub marks: Vec<(TrackKey, Offset)>,
    /// A stream that begins, or tracks that nobody announced.
    pub opens: Option<Opening>,
    /// A stream that is over.
    pub closes: Option<Closing>,
    /// What changes of what the call needs to go on after a restart.
    pub context: Option<serde_json::Value>,
    /// How the session ends, where this ends it.
    pub ends: Option<Ending>,
}

/// Rows of a stream that begins.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Counts the session's streams from 0.
    pub stream: u32,
    /// The peer's name for it; `None` where only a track is new.
    pub stream_sid: Option<StreamSid>,
    /// Its tracks.
    pub tracks: Vec<Track>,
    /// Its first audio on the call's clock.
    pub base_ms: u64,
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// Counts the session's streams from 0.
    pub stream: u32,
    /// Why.
    pub reason: EndReason,
    /// What came of each of its tracks.
    pub received: Vec<(Track, Received)>,
}

/// How a session ends.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// Why.
    pub reason: EndReason,
    /// By the media clock.
    pub duration_ms: u64,
    /// Whether nothing was lost.
    pub complete: bool,
}

impl Unit {
    /// An event and nothing else.
    pub fn event(data: Data) -> Self {
        Self { event: Some((0, data)), ..Self::default() }
    }

    /// The store's writes; `event` is the unit's own, made; `wall_ms` is now, in milliseconds since 1970; `key` seals a new session.
    pub fn writes(
        &self,
        facts: &Facts,
        event: Option<&Event>,
        endpoints: Vec<EndpointName>,
        wall_ms: u64,
        key: Option<&WrappedKey>,
    ) -> Vec<Write> {
        let session = &facts.session;
        let mut writes = Vec::with_capacity(6);
        if let Some(opening) = &self.opens {
            if let Some(key) = key.filter(|_| opening.stream == 0 && opening.stream_sid.is_some()) {
                writes.push(Write::Session(Box::new(new_session(facts, key))));
            }
            if let Some(stream_sid) = opening.stream_sid.clone() {
                let (stream, at_ms) = (opening.stream, opening.base_ms);
                writes.push(Write::Stream { session: session.clone(), stream, dialect: facts.dialect, stream_sid, at_ms });
            }
            writes.extend(opening.tracks.iter().map(|track| Write::Track {
                session: session.clone(),
                key: TrackKey { stream: opening.stream, track: *track },
                role: facts.role(*track).clone(),
            }));
        }
        writes.extend(event.map(|event| Write::Event { event: event.clone(), endpoints }));
        if let (Some(release), Some((seq, Data::TranscriptFinal(text)))) = (&self.segment, &self.event) {
            let stream = release.segment.key.stream;
            writes.push(Write::Segment { session: session.clone(), stream, seq: *seq, text: text.clone() });
        }
        writes.extend(self.marks.iter().map(|(key, offset)| Write::Mark {
            session: session.clone(),
            key: *key,
            offset: *offset,
        }));
        writes.extend(self.closes.as_ref().map(|closing| Write::StreamEnded {
            session: session.clone(),
            stream: closing.stream,
            reason: closing.reason,
            received: closing.received.clone(),
        }));
        writes.extend(self.context.clone().map(|context| Write::Context { session: session.clone(), context }));
        writes.extend(self.ends.map(|end| Write::Ended {
            session: session.clone(),
            end: Ended { wall_ms, reason: end.reason, duration_ms: end.duration_ms, complete: end.complete },
        }));
        writes
    }
}

fn new_session(facts: &Facts, key: &WrappedKey) -> NewSession {
    NewSession {
        id: facts.session.clone(),
        call_sid: facts.call_sid.clone(),
        dialect: facts.dialect.to_owned(),
        account_sid: facts.account_sid.clone(),
        direction: facts.direction,
        from: facts.from.clone(),
        to: facts.to.clone(),
        webhook: facts.webhook.clone(),
        started_wall_ms: facts.started_ms,
        key: key.clone(),
        context: context(facts.language.as_deref(), facts.keywords.as_deref()),
    }
}

/// What a call needs to go on after a restart: what it listens for, where that is not the setting. An empty list of keywords is none,
/// whatever the setting says.
pub fn context(language: Option<&str>, keywords: Option<&str>) -> serde_json::Value {
    serde_json::json!({ "language": language, "keywords": keywords })
}
