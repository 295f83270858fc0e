//! The `data` of each event type, field for field as the contract names them (its section Events).

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::{CallCompleted, rfc3339};
use crate::{
    media::{Gap, GapReason, StreamSid, Track},
    pii::Redacted,
    redact::{Beep, beeps},
    segment::{Latency, Redaction, Release, Role, Segment, Utterance, Word},
};

/// What one event tells, by type.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Data {
    /// `call.started`.
    CallStarted(CallStarted),
    /// `transcript.final`.
    TranscriptFinal(Box<TranscriptText>),
    /// `transcript.partial`: opt-in, unstored, without `segment_id`.
    TranscriptPartial(Box<TranscriptText>),
    /// `speech.started`: opt-in, unstored.
    SpeechStarted(SpeechActivity),
    /// `speech.ended`: opt-in, unstored.
    SpeechEnded(SpeechActivity),
    /// `transcript.gap`.
    TranscriptGap(TranscriptGap),
    /// `call.dtmf`.
    CallDtmf(CallDtmf),
    /// `call.completed`.
    CallCompleted(Box<CallCompleted>),
}

impl Data {
    /// The type's word.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::CallStarted(_) => "call.started",
            Self::TranscriptFinal(_) => "transcript.final",
            Self::TranscriptPartial(_) => "transcript.partial",
            Self::SpeechStarted(_) => "speech.started",
            Self::SpeechEnded(_) => "speech.ended",
            Self::TranscriptGap(_) => "transcript.gap",
            Self::CallDtmf(_) => "call.dtmf",
            Self::CallCompleted(_) => "call.completed",
        }
    }
}

/// Which way the call was placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The customer called.
    #[default]
    Inbound,
    /// The customer was called.
    Outbound,
}

impl Direction {
    /// The word used in events and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// Who turns speech into text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Speech {
    /// The Pulse streaming service.
    #[serde(rename = "pulse")]
    Pulse,
    /// The older Waves ASR.
    #[serde(rename = "asr")]
    Asr,
    /// The engine on this machine.
    #[serde(rename = "built-in")]
    BuiltIn,
}

/// The stream's `start`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallStarted {
    /// The peer's name for the media socket.
    pub stream_sid: StreamSid,
    /// The peer's account, where it says one.
    pub account_sid: Option<String>,
    /// E.g. `twilio`.
    pub dialect: &'static str,
    /// Which way the call was placed.
    pub direction: Direction,
    /// The calling party's last four digits (see [`crate::pii::last_four`]).
    pub from: Option<String>,
    /// The called party's last four digits.
    pub to: Option<String>,
    /// Who turns speech into text.
    pub speech: Speech,
    /// Each track that was announced.
    pub tracks: Vec<StartedTrack>,
    /// The start message's own parameters, past the gate.
    pub custom_parameters: BTreeMap<String, Redacted>,
    /// Milliseconds since 1970-01-01 UTC; written as RFC 3339.
    #[serde(serialize_with = "wall")]
    pub started_at: u64,
}

/// One announced track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StartedTrack {
    /// Which party.
    pub track: Track,
    /// What that party is to the operator.
    pub role: Role,
}

/// A segment's text: final with its `segment_id`, partial without.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TranscriptText {
    /// `seg_…`; finals only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_id: Option<String>,
    /// Which party.
    pub track: Track,
    /// What that party is to the operator.
    pub role: Role,
    /// Stable within the call.
    pub speaker: String,
    /// Its beginning on the call's clock.
    pub start_ms: u64,
    /// Its end.
    pub end_ms: u64,
    /// What was said.
    pub text: Redacted,
    /// Word for word.
    pub words: Vec<Word<Redacted>>,
    /// Sentence for sentence, in the shape of words; the service gives no confidence for a sentence.
    pub utterances: Vec<Word<Redacted>>,
    /// As the service gives it.
    pub language: Option<String>,
    /// As the service gives them.
    pub languages: Vec<String>,
    /// As the service gives it.
    pub emotion: Option<serde_json::Value>,
    /// As the service gives it.
    pub gender: Option<serde_json::Value>,
    /// What was taken out.
    pub redactions: Vec<Redaction>,
    /// Where the segment's own audio says it; finals only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beeps: Option<Vec<Beep>>,
    /// An interim promoted because the call ended without a final.
    pub provisional: bool,
    /// Came by replay or batch.
    pub recovered: bool,
    /// Where the time went.
    pub latency: Latency,
}

impl TranscriptText {
    /// A released final.
    #[must_use]
    pub fn of_final(release: &Release) -> Self {
        let (segment_id, beeps) = (Some(release.segment.id.clone()), Some(beeps(release)));
        Self { segment_id, redactions: release.redactions.clone(), beeps, ..Self::of_interim(&release.segment) }
    }

    /// An interim that the gate let through; `redactions` stays empty, `segment_id` and `beeps` are absent.
    #[must_use]
    pub fn of_interim(segment: &Segment<Redacted>) -> Self {
        let segment = segment.clone();
        let sentence = |it: Utterance<Redacted>| Word {
            text: it.text,
            start_ms: it.start_ms,
            end_ms: it.end_ms,
            confidence: None,
            speaker: it.speaker,
            speaker_confidence: None,
            redacted: false,
        };
        Self {
            segment_id: None,
            track: segment.key.track,
            role: segment.role,
            speaker: segment.speaker,
            start_ms: segment.start_ms,
            end_ms: segment.end_ms,
            text: segment.text,
            words: segment.words,
            utterances: segment.utterances.into_iter().map(sentence).collect(),
            language: segment.language,
            languages: segment.languages,
            emotion: segment.emotion,
            gender: segment.gender,
            redactions: Vec::new(),
            beeps: None,
            provisional: segment.provisional,
            recovered: segment.recovered,
            latency: segment.latency,
        }
    }
}

/// The service's voice activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SpeechActivity {
    /// Which party.
    pub track: Track,
    /// On the call's clock.
    pub at_ms: u64,
}

/// Audio that will never be transcribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TranscriptGap {
    /// Which party.
    pub track: Track,
    /// First missing millisecond.
    pub from_ms: u64,
    /// First millisecond that is there again.
    pub to_ms: u64,
    /// Why.
    pub reason: GapReason,
}

impl TranscriptGap {
    /// A gap of one track.
    #[must_use]
    pub const fn new(track: Track, gap: Gap) -> Self {
        Self { track, from_ms: gap.from_ms, to_ms: gap.to_ms, reason: gap.reason }
    }
}

/// A key was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CallDtmf {
    /// Which party.
    pub track: Track,
    /// On the call's clock.
    pub at_ms: u64,
    /// `None` unless configured.
    pub digit: Option<char>,
    /// Whether it was withheld.
    pub masked: bool,
}

/// An item of `transcript[]`: one segment of the merged transcript.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// `seg_…`.
    pub segment_id: String,
    /// Which party.
    pub track: Track,
    /// What that party is to the operator.
    pub role: Role,
    /// Stable within the call.
    pub speaker: String,
    /// Its beginning on the call's clock.
    pub start_ms: u64,
    /// Its end.
    pub end_ms: u64,
    /// What was said.
    pub text: Redacted,
}

impl Line {
    /// A released final as the merged transcript shows it.
    #[must_use]
    pub fn of_final(release: &Release) -> Self {
        let segment = &release.segment;
        Self {
            segment_id: segment.id.clone(),
            track: segment.key.track,
            role: segment.role.clone(),
            speaker: segment.speaker.clone(),
            start_ms: segment.start_ms,
            end_ms: segment.end_ms,
            text: segment.text.clone(),
        }
    }
}

/// How often each type was redacted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// Counts one more of a type, e.g. `CREDIT_CARD`.
    pub fn add(&mut self, kind: &str) {
        match self.0.get_mut(kind) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(kind.to_owned(), 1)),
        }
    }

    /// How often one type was counted.
    #[must_use]
    pub fn count(&self, kind: &str) -> u64 {
        self.0.get(kind).copied().unwrap_or(0)
    }
}

/// Writes milliseconds since 1970-01-01 UTC as RFC 3339.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
pub(super) fn wall<S: Serializer>(wall_ms: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*wall_ms))
}
