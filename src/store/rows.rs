//! What the store answers, and which of it one may ask for.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Ended, NewSession};
use crate::{
    event::Line,
    media::{CallSid, EndReason, EndpointName, Gap, Offset, Received, SessionId, StreamSid, Track},
    segment::{Role, TrackKey},
    webhook::DeliveryId,
};

/// A session as it stands.
#[derive(Clone)]
pub struct Session {
    /// How it began; its context is read with a [`LiveSession`] alone and null elsewhere.
    pub start: NewSession,
    /// How it ended; `None` while live.
    pub ended: Option<Ended>,
    /// Its streams' tracks.
    pub tracks: Vec<StoredTrack>,
}

/// A track as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTrack {
    /// Which.
    pub key: TrackKey,
    /// What the party is to the operator.
    pub role: Role,
    /// Audio before this is covered by stored finals.
    pub mark: Offset,
    /// The same on the call's clock, in milliseconds, had the track begun with its stream and left nothing out: never too late.
    pub mark_at_ms: u64,
    /// What came in all; `None` while its stream is open.
    pub received: Option<Received>,
}

/// A session that has no end yet, with all that its `call.completed` needs.
#[derive(Clone)]
pub struct LiveSession {
    /// As it stands.
    pub session: Session,
    /// Its streams: number, SID, call clock of the first audio.
    pub streams: Vec<(u32, StreamSid, u64)>,
    /// Those of them that ended, by number.
    pub ends: Vec<StreamEnd>,
    /// The number its next event gets.
    pub next_seq: u64,
    /// Its finals in order.
    pub segments: Vec<StoredSegment>,
    /// The gaps it has told of.
    pub gaps: Vec<(Track, Gap)>,
    /// Every placeholder in its events, e.g. `[PHONE_1]`.
    pub placeholders: BTreeSet<String>,
}

/// How a media socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamEnd {
    /// Its number in the session.
    pub stream: u32,
    /// Why.
    pub reason: EndReason,
}

/// A stored final.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSegment {
    /// Its event's number.
    pub seq: u64,
    /// The stream's track it was heard on.
    pub key: TrackKey,
    /// As the merged transcript shows it.
    pub line: Line,
    /// Each label in it, of its words and sentences too.
    pub speakers: Vec<String>,
    /// The types of what was taken out of it.
    pub redactions: Vec<String>,
    /// All of its event's data as JSON.
    pub json: Bytes,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number.
    pub seq: u64,
    /// The type's word.
    pub kind: String,
    /// The bytes as posted.
    pub body: Bytes,
}

/// Which sessions to list.
#[derive(Debug, Clone, Default)]
pub struct CallFilter {
    /// Only live (`true`) or only ended (`false`) ones.
    pub live: Option<bool>,
    /// At most so many, capped at [`PAGE_MAX`]; 0 means [`PAGE_DEFAULT`].
    pub limit: u32,
    /// From the answer before.
    pub cursor: Option<String>,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// Waits for its next attempt.
    Pending,
    /// An attempt is under way, or was when the program ended.
    Leased,
    /// Answered with 2xx.
    Delivered,
    /// Given up until somebody asks for it again.
    Parked,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Leased, Self::Delivered, Self::Parked];

    /// The word in tables, lists and filters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Leased => "leased",
            Self::Delivered => "delivered",
            Self::Parked => "parked",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether it is still to be sent.
    #[must_use]
    pub const fn waits(self) -> bool {
        matches!(self, Self::Pending | Self::Leased)
    }
}

impl std::fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq<&str> for DeliveryState {
    fn eq(&self, word: &&str) -> bool {
        self.as_str() == *word
    }
}

/// Which deliveries to list or retry.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// That stand so.
    pub state: Option<DeliveryState>,
    /// To this endpoint.
    pub endpoint: Option<String>,
    /// Of this call or session.
    pub call_sid: Option<String>,
    /// Of events made at or after this; milliseconds since 1970-01-01 UTC.
    pub since_wall_ms: Option<u64>,
    /// Of events made before this.
    pub until_wall_ms: Option<u64>,
    /// As in [`CallFilter::limit`]; does not bound a retry.
    pub limit: u32,
    /// From the answer before; does not bound a retry.
    pub cursor: Option<String>,
}

/// The most that one page lists.
pub const PAGE_MAX: u32 = 500;
/// What a page lists if nobody says.
pub const PAGE_DEFAULT: u32 = 50;

/// A piece of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// What to ask for the next piece with; `None` at the end.
    pub next_cursor: Option<String>,
}

/// A delivery as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its name.
    pub id: DeliveryId,
    /// Whose event.
    pub session: SessionId,
    /// The peer's name for the call.
    pub call_sid: CallSid,
    /// The event's name.
    pub event_id: String,
    /// The event's number.
    pub seq: u64,
    /// The event's type.
    pub kind: String,
    /// When the event was made; milliseconds since 1970-01-01 UTC.
    pub event_wall_ms: u64,
    /// To whom.
    pub endpoint: EndpointName,
    /// Where it stands.
    pub state: DeliveryState,
    /// POSTs made, over all rounds.
    pub attempts: u32,
    /// Not tried before this, and of a parked one since when it is; milliseconds since 1970-01-01 UTC.
    pub next_wall_ms: u64,
    /// Why the last attempt failed, or why it is parked.
    pub reason: Option<String>,
}

/// A POST as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAttempt {
    /// From 1.
    pub n: u32,
    /// When it began; milliseconds since 1970-01-01 UTC.
    pub wall_ms: u64,
    /// How long it took.
    pub took_ms: u64,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Why there was none.
    pub failure: Option<String>,
    /// The answer's first KiB; the receiver's words, so never for a log. `None` too where it cannot be opened any more.
    pub answer: Option<Bytes>,
}

/// A delivery that the outbox has to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingDelivery {
    /// Its name.
    pub id: DeliveryId,
    /// Whose event.
    pub session: SessionId,
    /// The event's number.
    pub seq: u64,
    /// Order of notice; ask for more behind the last one.
    pub place: u64,
    /// Steps of the schedule used up.
    pub attempts: u32,
    /// Not before; milliseconds since 1970-01-01 UTC.
    pub next_wall_ms: u64,
}

/// What a pending delivery posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The `webhook-id`.
    pub event_id: String,
    /// When the event was made; milliseconds since 1970-01-01 UTC.
    pub event_wall_ms: u64,
    /// The exact bytes.
    pub body: Bytes,
    /// Since when it is due; milliseconds since 1970-01-01 UTC.
    pub next_wall_ms: u64,
}

/// An endpoint that wants nothing until somebody asks for a retry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PausedEndpoint {
    /// Its name in the settings.
    pub endpoint: String,
    /// Since when; milliseconds since 1970-01-01 UTC.
    pub since_wall_ms: u64,
    /// Why, in our words.
    pub reason: String,
}

/// One endpoint's part of the outbox, for the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// Whose.
    pub endpoint: String,
    /// To be sent, or being sent.
    pub pending: u64,
    /// Given up.
    pub parked: u64,
    /// When the oldest pending event was made; milliseconds since 1970-01-01 UTC.
    pub oldest_wall_ms: Option<u64>,
}
