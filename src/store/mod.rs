//! What is kept: sessions, streams, tracks, events, segments, deliveries, attempts; as requests and answers.
//!
//! Promises: one `Vec<Write>` is one atomic unit: all of it is on stable storage when [`driver::Store::commit`] answers, or
//! none of it ever is. A session's events are numbered from 1 without gaps and have exactly one `call.completed`; both are
//! held by the tables, not by the caller's care. Only redacted text gets in, and whatever anybody said or typed lies on the disk sealed.

pub mod driver;
mod inspect;
mod listing;
mod queue;
mod read;
mod retention;
mod rewrap;
mod rows;
mod saved;
mod schema;
mod sealed;
mod write;

pub use driver::Store;
pub use inspect::{Inspection, inspect};
pub use retention::OldCall;
pub use rows::*;

use crate::{
    event::{Direction, Event, TranscriptText},
    media::{CallSid, EndReason, EndpointName, Offset, Received, SessionId, StreamSid, Track},
    segment::{Role, TrackKey},
    spool::seal::WrappedKey,
    webhook::{Attempt, DeliveryId},
};

/// One change; several of them make a unit.
#[derive(Clone)]
pub enum Write {
    /// A session begins.
    Session(Box<NewSession>),
    /// A media socket of it; refused with [`StoreError::SeenBefore`] if its SID was ever there.
    Stream {
        /// Whose.
        session: SessionId,
        /// Counts the session's streams from 0.
        stream: u32,
        /// E.g. `twilio`; SIDs are unique within one.
        dialect: &'static str,
        /// The peer's name for it.
        stream_sid: StreamSid,
        /// Call clock of its first audio.
        at_ms: u64,
    },
    /// A track of a stream, its mark at the beginning.
    Track {
        /// Whose.
        session: SessionId,
        /// Which.
        key: TrackKey,
        /// What the party is to the operator.
        role: Role,
    },
    /// A media socket is over.
    StreamEnded {
        /// Whose.
        session: SessionId,
        /// Which; its number in the session.
        stream: u32,
        /// Why.
        reason: EndReason,
        /// What came of each of its tracks.
        received: Vec<(Track, Received)>,
    },
    /// An event with a delivery for each endpoint named; its `seq` must be the session's next.
    Event {
        /// A stored event (it has a `seq`).
        event: Event,
        /// Who gets it.
        endpoints: Vec<EndpointName>,
    },
    /// A released final; its event must be in the same unit or an earlier one.
    Segment {
        /// Whose.
        session: SessionId,
        /// Which stream it was heard on.
        stream: u32,
        /// Its event's number.
        seq: u64,
        /// The data of its event.
        text: Box<TranscriptText>,
    },
    /// Audio of the track before `offset` is covered; a mark never moves back.
    Mark {
        /// Whose.
        session: SessionId,
        /// Which track.
        key: TrackKey,
        /// Covered up to here.
        offset: Offset,
    },
    /// What the call needs to go on after a restart has changed.
    Context {
        /// Whose.
        session: SessionId,
        /// Members that take the place of those of the same name in [`NewSession::context`]; the others stay.
        context: serde_json::Value,
    },
    /// The session is over.
    Ended {
        /// Which.
        session: SessionId,
        /// How.
        end: Ended,
    },
    /// What an attempt came to.
    Verdict {
        /// Whose.
        delivery: DeliveryId,
        /// The POST.
        attempt: Attempt,
        /// What follows.
        standing: Standing,
    },
    /// Not to be tried until somebody asks for it: there is nothing that could be sent.
    Park {
        /// Which.
        delivery: DeliveryId,
        /// Why, in our words.
        reason: String,
    },
    /// Attempts of these begin; what is not there to be sent any more is passed over. Their [`Write::Verdict`] or a restart ends the lease.
    Lease {
        /// Which.
        deliveries: Vec<DeliveryId>,
        /// By then every one of them has ended; milliseconds since 1970-01-01 UTC.
        until_wall_ms: u64,
    },
    /// Send it again from the schedule's start, whatever state it is in; its endpoint goes on if it was paused.
    Retry(DeliveryId),
    /// The same for each of these that is in `state`, if one is given; [`Store::retry_all`] makes them.
    RetryThese {
        /// Which, a session's in the order of `seq`.
        deliveries: Vec<DeliveryId>,
        /// What is not in it any more stays as it is.
        state: Option<DeliveryState>,
    },
    /// The endpoint wants nothing until [`Write::Resume`] or a retry: it stays paused over a restart.
    Pause {
        /// Its name in the settings.
        endpoint: EndpointName,
        /// Since when; milliseconds since 1970-01-01 UTC.
        wall_ms: u64,
        /// Why, in our words.
        reason: String,
    },
    /// The endpoint goes on.
    Resume(EndpointName),
    /// Everything about a session is deleted, its key with it.
    Erase(SessionId),
    /// Ends the unit with [`StoreError::Misfit`] unless the session has ended and all its deliveries are delivered.
    OnlyIfOver(SessionId),
    /// At most so many of a session's delivered deliveries go, with their attempts, before the rest of it.
    Trim {
        /// Whose.
        session: SessionId,
        /// How many.
        rows: u32,
    },
    /// These deliveries go if they are parked still.
    ForgetParked(Vec<DeliveryId>),
    /// These attempts go, each by its delivery and its number.
    ForgetAttempts(Vec<(DeliveryId, u32)>),
}

/// A session's beginning.
#[derive(Clone)]
pub struct NewSession {
    /// Our name for it.
    pub id: SessionId,
    /// The peer's name for the call.
    pub call_sid: CallSid,
    /// E.g. `twilio`.
    pub dialect: String,
    /// The peer's account.
    pub account_sid: Option<String>,
    /// Which way the call was placed.
    pub direction: Direction,
    /// Last four digits.
    pub from: Option<String>,
    /// Last four digits.
    pub to: Option<String>,
    /// The only endpoint to tell, where the stream named one.
    pub webhook: Option<EndpointName>,
    /// Milliseconds since 1970-01-01 UTC.
    pub started_wall_ms: u64,
    /// Its data key under the master key.
    pub key: WrappedKey,
    /// What the call needs to go on after a restart: what the operator wants listened for, nothing that was said.
    pub context: serde_json::Value,
}

/// A session's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Milliseconds since 1970-01-01 UTC.
    pub wall_ms: u64,
    /// Why.
    pub reason: EndReason,
    /// By the media clock.
    pub duration_ms: u64,
    /// See [`crate::event::CallCompleted::complete`].
    pub complete: bool,
}

/// Where a delivery stands after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Done.
    Delivered,
    /// To be tried again.
    Pending {
        /// Steps of the schedule used up.
        attempts: u32,
        /// Not before; milliseconds since 1970-01-01 UTC.
        next_wall_ms: u64,
        /// Why the last attempt failed, in our words.
        reason: String,
    },
    /// Given up until somebody asks for it again.
    Parked {
        /// Why.
        reason: String,
    },
}

/// What a committed unit brought about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// How many deliveries [`Write::Retry`] and [`Write::RetryThese`] set to pending.
    pub retried: u64,
    /// How many rows [`Write::Trim`], [`Write::ForgetParked`] and [`Write::ForgetAttempts`] took.
    pub removed: u64,
}

/// Why something was not stored or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A stream of this dialect had this SID before.
    #[error("this stream was seen before")]
    SeenBefore,
    /// The event's number is not the session's next, or the session has its `call.completed` already.
    #[error("the event is not the session's next")]
    OutOfOrder,
    /// An unstored event was to be stored, or a write names something that is not there.
    #[error("the write does not fit what is stored")]
    Misfit,
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
    /// The bundled or system `SQLite` is too old to be trusted with a WAL.
    #[error("SQLite {0} is too old: 3.51.3 or later is needed")]
    TooOld(&'static str),
    /// The file was written by a later version of this program.
    #[error("the database has version {0}, later than this program knows: use the program that wrote it")]
    TooNew(i64),
    /// The file is not what was written.
    #[error(
        "{0} is damaged ({1}): keep a copy of its folder, then bring it back from a backup or rebuild it with sqlite3's .recover; \
         moved away, a new one is made and what was not delivered is lost"
    )]
    Damaged(String, String),
    /// A text is sealed under a master key of this name that the settings do not have.
    #[error("this is sealed under the master key {0}, which is not set: add it to `key` (PULSE_BRIDGE_KEY) again")]
    NoKey(String),
    /// A sealed text, of the kind named, is not what was sealed there.
    #[error("a stored {0} does not open: it or its key was changed on the disk")]
    Unopened(&'static str),
    /// The disk or the file.
    #[error("the database failed: {0}")]
    Database(String),
}

impl StoreError {
    /// Whether it is about one sealed text that does not open, now or on another try; everything else can be read.
    #[must_use]
    pub const fn is_unreadable(&self) -> bool {
        matches!(self, Self::NoKey(_) | Self::Unopened(_))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            // What is found out while a row is read comes out of rusqlite in this wrapping.
            rusqlite::Error::FromSqlConversionFailure(_, _, why) if why.is::<Self>() => {
                why.downcast().map_or_else(|_| Self::Unopened("row"), |why| *why)
            }
            error => Self::Database(error.to_string()),
        }
    }
}
