//! What leaves the house: every event type of the contract as typed data, and the exact bytes that are posted.
//!
//! Promises: a body is made once, when the event is made, and never again, so every attempt and every later reading carries
//! the same bytes; `data.event_id` equals the `webhook-id`; only [`Redacted`](crate::pii::Redacted) text can get in. A stored
//! event has a `seq`, counted from 1 without gaps within its session; an unstored one (`transcript.partial`, `speech.*`) has none.

mod completed;
mod data;
mod schema;

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use ulid::Ulid;

pub use completed::{CallCompleted, Completion, TRANSCRIPT_MAX_BYTES, TrackTotals};
pub use data::{
    CallDtmf, CallStarted, Data, Direction, Line, Speech, SpeechActivity, StartedTrack, Tally, TranscriptGap, TranscriptText,
};
pub use schema::{KINDS, schema};

use crate::media::{CallSid, SessionId};

/// The name of an event: `evt_` and a ULID; also its `webhook-id`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Ulid);

impl EventId {
    /// Names an event by a fresh ULID (from [`crate::clock::ulid`]).
    #[must_use]
    pub const fn new(id: Ulid) -> Self {
        Self(id)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evt_{}", self.0)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An event as it is stored and posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name on every attempt.
    pub id: EventId,
    /// The session it tells of.
    pub session: SessionId,
    /// The peer's name for the call.
    pub call_sid: CallSid,
    /// Its number within the session, from 1; `None` for what is never stored.
    pub seq: Option<u64>,
    /// The type's word, e.g. `transcript.final`.
    pub kind: &'static str,
    /// When it was made: milliseconds since 1970-01-01 UTC.
    pub wall_ms: u64,
    /// The exact bytes to post.
    pub body: Bytes,
}

impl Event {
    /// Makes a stored event: `wall_ms` are milliseconds since 1970-01-01 UTC, `seq` is the session's next number.
    #[must_use]
    pub fn new(id: Ulid, wall_ms: u64, session: &SessionId, call_sid: &CallSid, seq: u64, data: &Data) -> Self {
        Self::made(EventId(id), wall_ms, session, call_sid, Some(seq), data)
    }

    /// Makes an event that is told once and never stored, so it has no `seq`.
    #[must_use]
    pub fn passing(id: Ulid, wall_ms: u64, session: &SessionId, call_sid: &CallSid, data: &Data) -> Self {
        Self::made(EventId(id), wall_ms, session, call_sid, None, data)
    }

    fn made(id: EventId, wall_ms: u64, session: &SessionId, call_sid: &CallSid, seq: Option<u64>, data: &Data) -> Self {
        let (kind, session, call_sid) = (data.kind(), session.clone(), call_sid.clone());
        let named = Named { call_sid: &call_sid, session_id: &session, event_id: id, seq, rest: data };
        let body = Body { kind, timestamp: rfc3339(wall_ms), data: named };
        let body = serde_json::to_vec(&body).expect("event data has string keys and finite numbers only").into();
        Self { id, session, call_sid, seq, kind, wall_ms, body }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: Named<'a>,
}

#[derive(Serialize)]
struct Named<'a> {
    call_sid: &'a CallSid,
    session_id: &'a SessionId,
    event_id: EventId,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(flatten)]
    rest: &'a Data,
}

/// Wall time as events show it: RFC 3339 in UTC with milliseconds; `wall_ms` are milliseconds since 1970-01-01 UTC.
#[must_use]
pub fn rfc3339(wall_ms: u64) -> String {
    let time = i64::try_from(wall_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", time.unwrap_or(jiff::Timestamp::MAX))
}

#[cfg(test)]
mod tests;
