//! The shared nouns of a call's text, on its way from the speech service to the events.
//!
//! Promises: what the service said is a [`Heard`]; with its place in the call it is a [`Segment<Unredacted>`]; behind the
//! redaction gate it is a [`Segment<Redacted>`], and only that one can be written out. All times are milliseconds on the
//! call's media clock, counted from the call's first audio.

use std::{fmt, sync::Arc, time::Instant};

use serde::Serialize;

use crate::{
    media::{Offset, Track},
    pii::{Redacted, Unredacted},
    redact::Why,
};

/// What a party is to the operator: `caller`, `agent`, or a name from the stream's parameters (at most 64 visible ASCII characters).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Role(Arc<str>);

impl Role {
    /// The customer's side.
    #[must_use]
    pub fn caller() -> Self {
        Self("caller".into())
    }

    /// The platform's side.
    #[must_use]
    pub fn agent() -> Self {
        Self("agent".into())
    }

    /// A name from a `role_…` parameter; `None` unless it is 1 to 64 of `A–Z a–z 0–9 _ . -`, so that no personal data hides in it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let fits = (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
            && name.bytes().filter(u8::is_ascii_digit).count() < 4;
        fits.then(|| Self(name.into()))
    }

    /// The role as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One stream's track within a session: a call whose stream was restarted has several of the same [`Track`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackKey {
    /// Counts the session's streams from 0.
    pub stream: u32,
    /// Which party.
    pub track: Track,
}

/// A word as the service heard it.
#[derive(Clone)]
pub struct HeardWord {
    /// The word.
    pub text: Unredacted,
    /// Its beginning on the call's clock.
    pub start_ms: u64,
    /// Its end, not before its beginning.
    pub end_ms: u64,
    /// 0 to 1, where given.
    pub confidence: Option<f64>,
    /// Which voice of the track's link, counted from 0 and the same over all of its connections, where the service tells speakers apart.
    pub speaker: Option<u32>,
    /// 0 to 1, where given.
    pub speaker_confidence: Option<f64>,
}

/// A sentence as the service heard it.
#[derive(Clone)]
pub struct HeardUtterance {
    /// The sentence.
    pub text: Unredacted,
    /// Its beginning on the call's clock.
    pub start_ms: u64,
    /// Its end, not before its beginning.
    pub end_ms: u64,
    /// As in [`HeardWord::speaker`].
    pub speaker: Option<u32>,
}

/// One transcript of the service for the current segment of one track: an interim, or a final that replaces it.
#[derive(Clone)]
pub struct Heard {
    /// The whole segment so far, trimmed.
    pub text: Unredacted,
    /// Where it begins on the call's clock: its first word, else the end of the segment before.
    pub start_ms: u64,
    /// Where it ends: its last word, else the end of the audio sent so far.
    pub end_ms: u64,
    /// Finals only, where asked for.
    pub words: Vec<HeardWord>,
    /// Finals only, where asked for; only those that lie within this segment.
    pub utterances: Vec<HeardUtterance>,
    /// As the service gives it.
    pub language: Option<String>,
    /// As the service gives them.
    pub languages: Vec<String>,
    /// A flat object of names and numbers, as the service gives it.
    pub emotion: Option<serde_json::Value>,
    /// As [`Heard::emotion`].
    pub gender: Option<serde_json::Value>,
    /// Counts the track's connections to the service from 0; a final that comes twice on one of them is one.
    pub connection: u32,
    /// The audio of the track up to here needs no further transcript once this final is stored.
    pub covers: Offset,
    /// The final came by `finalize` or at the end, so it may repeat the one before (protocols/pulse.md section 7, Duplicates).
    pub flushed: bool,
    /// An interim promoted because the stream ended without a final.
    pub provisional: bool,
    /// Came by replay after a restart, or by batch.
    pub recovered: bool,
    /// When the message came.
    pub heard_at: Instant,
    /// Where the audio sent by then ended, on the call's clock.
    pub sent_ms: u64,
    /// Where the time went so far.
    pub latency: Latency,
}

/// Where the time between the caller's mouth and the event went, in milliseconds; unknown parts are absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Latency {
    /// Last byte of the segment's last chunk received to chunk written upstream.
    pub ingress_ms: Option<u64>,
    /// Audio of the segment's end received to its final received.
    pub upstream_ms: Option<u64>,
    /// Final received to released by the redaction gate.
    pub gate_ms: Option<u64>,
}

/// A word with its place in the call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Word<T> {
    /// The word, or a placeholder for several.
    pub text: T,
    /// Its beginning on the call's clock.
    pub start_ms: u64,
    /// Its end.
    pub end_ms: u64,
    /// 0 to 1; absent for a placeholder.
    pub confidence: Option<f64>,
    /// Stable within the call, e.g. `inbound:0`.
    pub speaker: String,
    /// 0 to 1, where given.
    pub speaker_confidence: Option<f64>,
    /// Whether it stands for something taken out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
}

/// A sentence with its place in the call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Utterance<T> {
    /// The sentence.
    pub text: T,
    /// Its beginning on the call's clock.
    pub start_ms: u64,
    /// Its end.
    pub end_ms: u64,
    /// Stable within the call.
    pub speaker: String,
}

/// A piece of one party's speech with its place in the call.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment<T> {
    /// `seg_…`, unique everywhere.
    pub id: String,
    /// Which stream's track it was heard on.
    pub key: TrackKey,
    /// What that party is to the operator.
    pub role: Role,
    /// Who speaks most of it; stable within the call, e.g. `inbound:0`; never stands for two people.
    pub speaker: String,
    /// Its beginning on the call's clock.
    pub start_ms: u64,
    /// Its end.
    pub end_ms: u64,
    /// What was said.
    pub text: T,
    /// Word for word, where the service gives words.
    pub words: Vec<Word<T>>,
    /// Sentence for sentence, where the service gives sentences.
    pub utterances: Vec<Utterance<T>>,
    /// As the service gives it.
    pub language: Option<String>,
    /// As the service gives them.
    pub languages: Vec<String>,
    /// As the service gives it.
    pub emotion: Option<serde_json::Value>,
    /// As the service gives it.
    pub gender: Option<serde_json::Value>,
    /// See [`Heard::provisional`].
    pub provisional: bool,
    /// See [`Heard::recovered`].
    pub recovered: bool,
    /// See [`Heard::covers`].
    pub covers: Offset,
    /// See [`Heard::heard_at`].
    pub heard_at: Instant,
    /// Where the time went so far.
    pub latency: Latency,
}

impl<T> Segment<T> {
    /// A segment of which nothing more is known than who said what, and from when to when on the call's clock.
    #[must_use]
    pub fn bare(key: TrackKey, role: Role, text: T, (start_ms, end_ms): (u64, u64), heard_at: Instant) -> Self {
        Self {
            id: String::new(),
            key,
            role,
            speaker: String::new(),
            start_ms,
            end_ms,
            text,
            words: Vec::new(),
            utterances: Vec::new(),
            language: None,
            languages: Vec::new(),
            emotion: None,
            gender: None,
            provisional: false,
            recovered: false,
            covers: Offset(0),
            heard_at,
            latency: Latency::default(),
        }
    }
}

/// One thing taken out of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Redaction {
    /// What it was, e.g. `CREDIT_CARD`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What stands in its place, e.g. `[CREDIT_CARD_1]`.
    pub label: String,
    /// Its beginning on the call's clock.
    pub start_ms: u64,
    /// Its end.
    pub end_ms: u64,
    /// Who took it out: `bridge` or `service`.
    pub source: &'static str,
    /// By which rule, and where in the text.
    #[serde(skip)]
    pub why: Why,
}

/// A released final: clean, with what was taken out.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The clean segment.
    pub segment: Segment<Redacted>,
    /// What was taken out, in the order of the text.
    pub redactions: Vec<Redaction>,
}
