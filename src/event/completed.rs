//! `call.completed`: the session's last event and its whole balance.
//!
//! Promises: `transcript_sha256` is over every line of the merged transcript whether or not the lines fit into the event;
//! `complete` is true only if no track has a gap other than `paused`.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::data::{Line, Tally, wall};
use crate::{
    media::{EndReason, Gap, GapReason, Track},
    segment::Role,
};

/// The longest `transcript[]` (as JSON) that goes into the event; above it `transcript_url` stands in its place. Contract, section Events.
pub const TRANSCRIPT_MAX_BYTES: usize = 256 * 1024;

/// One track's balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrackTotals {
    /// Which party.
    pub track: Track,
    /// What that party is to the operator.
    pub role: Role,
    /// Audio that came from the phone, in milliseconds.
    pub received_ms: u64,
    /// Silence put in where the phone sent nothing.
    pub filled_ms: u64,
    /// Audio written to the speech service, each millisecond counted once.
    pub sent_ms: u64,
    /// Audio covered by stored finals.
    pub finalized_ms: u64,
    /// What will never be transcribed.
    pub gaps: Vec<Gap>,
    /// Stored finals.
    pub segments: u64,
    /// Connections to the speech service after the first.
    pub reconnects: u64,
}

/// What is known when a session ends; [`CallCompleted::new`] derives the rest.
#[derive(Debug, Clone)]
pub struct Completion {
    /// The event's own `seq`.
    pub last_seq: u64,
    /// Milliseconds since 1970-01-01 UTC.
    pub ended_at: u64,
    /// Length of the call by its media clock.
    pub duration_ms: u64,
    /// Why it ended.
    pub end_reason: EndReason,
    /// Each track's balance.
    pub tracks: Vec<TrackTotals>,
    /// Count of redactions by type.
    pub redactions: Tally,
    /// The merged transcript in order.
    pub transcript: Vec<Line>,
    /// Where the transcript can be fetched if it is too long for the event.
    pub transcript_url: String,
}

/// The session's last event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallCompleted {
    /// The event's own `seq`.
    pub last_seq: u64,
    /// Milliseconds since 1970-01-01 UTC; written as RFC 3339.
    #[serde(serialize_with = "wall")]
    pub ended_at: u64,
    /// Length of the call by its media clock.
    pub duration_ms: u64,
    /// Why it ended.
    pub end_reason: EndReason,
    /// Whether all audio was transcribed but for what was paused.
    pub complete: bool,
    /// Each track's balance.
    pub tracks: Vec<TrackTotals>,
    /// Count of redactions by type.
    pub redactions: Tally,
    #[serde(flatten)]
    transcript: Transcript,
    /// SHA-256, in lower-case hex, of the text of each line followed by `\n`.
    pub transcript_sha256: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Transcript {
    Transcript(Vec<Line>),
    TranscriptUrl(String),
}

impl CallCompleted {
    /// Derives `complete`, `transcript_sha256` and whether the transcript fits.
    #[must_use]
    pub fn new(end: Completion) -> Self {
        let transcript_sha256 = sha256(&end.transcript);
        let lost = |gap: &Gap| gap.reason != GapReason::Paused;
        Self {
            last_seq: end.last_seq,
            ended_at: end.ended_at,
            duration_ms: end.duration_ms,
            end_reason: end.end_reason,
            complete: !end.tracks.iter().flat_map(|track| &track.gaps).any(lost),
            tracks: end.tracks,
            redactions: end.redactions,
            transcript: fitting(end.transcript, end.transcript_url),
            transcript_sha256,
        }
    }
}

fn fitting(lines: Vec<Line>, url: String) -> Transcript {
    let bytes = serde_json::to_vec(&lines).map_or(usize::MAX, |json| json.len());
    if bytes > TRANSCRIPT_MAX_BYTES { Transcript::TranscriptUrl(url) } else { Transcript::Transcript(lines) }
}

fn sha256(lines: &[Line]) -> String {
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line.text.as_str());
        hash.update(b"\n");
    }
    hash.finalize().iter().fold(String::with_capacity(64), |hex, byte| hex + &format!("{byte:02x}"))
}
