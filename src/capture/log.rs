//! The lines of a capture's message log and of its expected events, in the form of fixtures/README.md.
//!
//! Promises: the peer's names for the call and its stream, the numbers of the parties and the keys that were pressed are in no line; parameters are those that
//! passed the gate.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    event::{CallStarted, Direction},
    media::{Chunk, SessionId, Track},
    replay::expect,
};

/// What stands for every key.
const KEY: &str = "0";

/// Numbers the messages of one call.
pub(super) struct Log {
    session: String,
    sequence: u64,
    chunks: BTreeMap<Track, u64>,
}

impl Log {
    pub(super) fn new(session: &SessionId) -> Self {
        Self { session: session.to_string(), sequence: 0, chunks: BTreeMap::new() }
    }

    /// The greeting and the start.
    pub(super) fn started(&mut self, started: &CallStarted) -> String {
        let mut parameters: Map<String, Value> =
            started.custom_parameters.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        if started.direction == Direction::Outbound {
            parameters.insert("direction".to_owned(), started.direction.as_str().into());
        }
        for track in &started.tracks {
            parameters.insert(format!("role_{}", track.track), track.role.as_str().into());
        }
        let tracks: Vec<&str> = started.tracks.iter().map(|track| track.track.as_str()).collect();
        let session = &self.session;
        let start = json!({
            "accountSid": "", "callSid": session, "streamSid": session, "tracks": tracks, "customParameters": parameters,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        });
        let greeting = line(&json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}));
        greeting + &self.numbered("start", true, "start", &start)
    }

    /// A piece of audio.
    pub(super) fn media(&mut self, track: Track, chunk: &Chunk) -> String {
        let number = self.chunks.entry(track).or_default();
        *number += 1;
        let (at, bytes) = (chunk.at_ms.to_string(), chunk.audio.len());
        let media = json!({"track": track, "chunk": number.to_string(), "timestamp": at, "bytes": bytes});
        self.numbered("media", false, "media", &media)
    }

    /// A key, whichever it was.
    pub(super) fn key(&mut self, track: Track) -> String {
        self.numbered("dtmf", true, "dtmf", &json!({"track": format!("{track}_track"), "digit": KEY}))
    }

    /// The regular end.
    pub(super) fn stopped(&mut self) -> String {
        let stop = json!({"accountSid": "", "callSid": self.session});
        self.numbered("stop", true, "stop", &stop)
    }

    fn numbered(&mut self, event: &str, is_named: bool, section: &str, inside: &Value) -> String {
        self.sequence += 1;
        let mut message = json!({"event": event, "sequenceNumber": self.sequence.to_string(), section: inside});
        if is_named {
            message["streamSid"] = self.session.as_str().into();
        }
        line(&message)
    }
}

/// An event that was posted, as other fixtures keep it; `None` where the bytes are no event.
pub(super) fn expected(body: &[u8]) -> Option<String> {
    let mut event: Value = serde_json::from_slice(body).ok()?;
    for (name, hidden) in [("from", Value::Null), ("to", Value::Null), ("digit", Value::Null), ("masked", true.into())] {
        if let Some(value) = event["data"].get_mut(name) {
            *value = hidden;
        }
    }
    Some(expect::lines(&expect::neutral(vec![event])))
}

fn line(message: &Value) -> String {
    format!("{message}\n")
}
