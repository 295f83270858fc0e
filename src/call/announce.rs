//! From what the machine knows to the typed data of each event.

use std::collections::BTreeMap;

use super::{Facts, Sums};
use crate::{
    event::{
        CallCompleted, CallDtmf, CallStarted, Completion, Data, Line, SpeechActivity, StartedTrack, TranscriptGap, TranscriptText,
    },
    media::{EndReason, Gap, Track},
    pii::Redacted,
    segment::{Release, Segment},
};

/// The stream's `start`.
pub(super) fn call_started(facts: &Facts, parameters: BTreeMap<String, Redacted>) -> Data {
    let tracks = facts.tracks.iter().map(|track| StartedTrack { track: *track, role: facts.role(*track).clone() });
    Data::CallStarted(CallStarted {
        stream_sid: facts.stream_sid.clone(),
        account_sid: facts.account_sid.clone(),
        dialect: facts.dialect,
        direction: facts.direction,
        from: facts.from.clone(),
        to: facts.to.clone(),
        speech: facts.speech,
        tracks: tracks.collect(),
        custom_parameters: parameters,
        started_at: facts.started_ms,
    })
}

/// A released final.
pub(super) fn transcript_final(release: &Release) -> Data {
    Data::TranscriptFinal(Box::new(TranscriptText::of_final(release)))
}

/// An interim that the gate let through.
pub(super) fn transcript_partial(segment: &Segment<Redacted>) -> Data {
    Data::TranscriptPartial(Box::new(TranscriptText::of_interim(segment)))
}

/// The service's voice activity.
pub(super) fn speech(track: Track, at_ms: u64, started: bool) -> Data {
    let activity = SpeechActivity { track, at_ms };
    if started { Data::SpeechStarted(activity) } else { Data::SpeechEnded(activity) }
}

/// Audio that will never be transcribed.
pub(super) fn transcript_gap(track: Track, gap: Gap) -> Data {
    Data::TranscriptGap(TranscriptGap::new(track, gap))
}

/// A key was pressed.
pub(super) fn call_dtmf(track: Track, at_ms: u64, masked: bool, digit: Option<char>) -> Data {
    Data::CallDtmf(CallDtmf { track, at_ms, digit, masked })
}

/// The one terminal event; `transcript` is what is stored, in order.
pub(super) fn call_completed(
    end_reason: EndReason,
    sums: Sums,
    last_seq: u64,
    ended_at: u64,
    transcript: Vec<Line>,
    transcript_url: String,
) -> CallCompleted {
    let Sums { tracks, redactions, duration_ms } = sums;
    let end = Completion { last_seq, ended_at, duration_ms, end_reason, tracks, redactions, transcript, transcript_url };
    CallCompleted::new(end)
}
