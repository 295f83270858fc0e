use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::{
    media::{EndReason, Gap, GapReason, Offset, StreamSid, Track},
    pii::Redacted,
    segment::{Latency, Redaction, Release, Role, Segment, TrackKey, Utterance, Word},
};

#[test]
fn every_type_has_a_schema_and_its_sample_fits() {
    let samples = samples();
    for kind in KINDS {
        assert!(samples.iter().any(|sample| sample["type"] == *kind), "no sample of {kind}");
    }
    for sample in &samples {
        let kind = sample["type"].as_str().unwrap();
        let errors: Vec<String> = validator(kind).iter_errors(sample).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{kind}: {errors:?}");
    }
    assert_eq!(schema("call.unheard"), None);
}

#[test]
fn a_schema_refuses_what_is_missing_unknown_or_of_the_wrong_type() {
    for sample in samples() {
        let validator = validator(sample["type"].as_str().unwrap());
        let names: Vec<String> = sample["data"].as_object().unwrap().keys().cloned().collect();
        for name in names {
            let mut less = sample.clone();
            less["data"].as_object_mut().unwrap().remove(&name);
            assert!(!validator.is_valid(&less), "{}: passes without {name}", sample["type"]);
            let mut other = sample.clone();
            other["data"][&name] = json!([[["no field is this"]]]);
            assert!(!validator.is_valid(&other), "{}: {name} may be anything", sample["type"]);
        }
        let mut more = sample.clone();
        more["data"]["surprise"] = json!(1);
        assert!(!validator.is_valid(&more), "{}: lets unknown fields pass", sample["type"]);
    }
}

#[test]
fn schemas_are_of_the_draft_we_name_and_closed() {
    for kind in KINDS {
        let schema: Value = serde_json::from_str(schema(kind).unwrap()).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(jsonschema::meta::is_valid(&schema), "{kind}");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["data"]["additionalProperties"], false);
    }
}

#[test]
fn a_body_names_its_event_and_its_time() {
    let gap = Data::TranscriptGap(TranscriptGap::new(Track::Inbound, Gap { from_ms: 1, to_ms: 2, reason: GapReason::Quota }));
    let event = Event::new(Ulid::from_parts(7, 7), 1_700_000_000_001, &session(), &call(), 3, &gap);
    let text = std::str::from_utf8(&event.body).unwrap();
    assert_eq!(
        text,
        format!(
            r#"{{"type":"transcript.gap","timestamp":"2023-11-14T22:13:20.001Z","data":{{"call_sid":"CA1","session_id":"{}","event_id":"{}","seq":3,"track":"inbound","from_ms":1,"to_ms":2,"reason":"quota"}}}}"#,
            session(),
            event.id
        )
    );
}

#[test]
fn what_is_not_stored_has_no_number() {
    let data = Data::SpeechEnded(SpeechActivity { track: Track::Outbound, at_ms: 5 });
    let event = Event::passing(Ulid::nil(), 0, &session(), &call(), &data);
    let body: Value = serde_json::from_slice(&event.body).unwrap();
    assert_eq!((event.seq, body["data"].get("seq")), (None, None));
}

#[test]
fn only_a_pause_leaves_a_call_complete() {
    let complete = |reasons: &[GapReason]| {
        let gaps = reasons.iter().map(|&reason| Gap { from_ms: 0, to_ms: 20, reason }).collect();
        CallCompleted::new(Completion { tracks: vec![TrackTotals { gaps, ..totals() }], ..completion(vec![]) }).complete
    };
    assert!(complete(&[]) && complete(&[GapReason::Paused, GapReason::Paused]));
    for lost in [GapReason::UpstreamLost, GapReason::Quota, GapReason::SpoolFull, GapReason::Disconnected, GapReason::Crash] {
        assert!(!complete(&[GapReason::Paused, lost]), "{lost:?}");
    }
}

#[test]
fn a_long_transcript_is_named_by_its_address_and_hashed_all_the_same() {
    let lines: Vec<Line> = (0..5000).map(|n| line(&format!("word number {n} é"))).collect();
    let mut hash = Sha256::new();
    for line in &lines {
        hash.update(format!("{}\n", line.text.as_str()));
    }
    let long = serde_json::to_value(CallCompleted::new(completion(lines))).unwrap();
    assert_eq!(long.get("transcript"), None);
    assert_eq!(long["transcript_url"], "https://bridge.example.com/t");
    let hex = long["transcript_sha256"].as_str().unwrap();
    let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
    assert_eq!(bytes, hash.finalize().as_slice());
    let none = serde_json::to_value(CallCompleted::new(completion(vec![]))).unwrap();
    assert_eq!(none["transcript"], json!([]));
    assert_eq!(none["transcript_sha256"], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[test]
fn the_boundary_of_the_transcript_is_its_size_as_json() {
    let fits = |text: usize| {
        let line = line(&"x".repeat(text));
        let value = serde_json::to_value(CallCompleted::new(completion(vec![line]))).unwrap();
        value.get("transcript").is_some()
    };
    let frame = serde_json::to_vec(&[line("")]).unwrap().len();
    assert!(fits(TRANSCRIPT_MAX_BYTES - frame));
    assert!(!fits(TRANSCRIPT_MAX_BYTES - frame + 1));
}

#[test]
fn wall_times_have_milliseconds_even_when_they_are_zero() {
    assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(rfc3339(1_614_265_330_120), "2021-02-25T15:02:10.120Z");
    assert!(rfc3339(u64::MAX).starts_with("9999-"));
}

fn samples() -> Vec<Value> {
    let text = TranscriptText::of_final(&release());
    let long = CallCompleted::new(completion((0..4000).map(|_| line("a sentence of some length to fill the bytes")).collect()));
    let data = [
        Data::CallStarted(started()),
        Data::CallStarted(CallStarted { account_sid: None, from: None, to: None, ..started() }),
        Data::TranscriptFinal(Box::new(text)),
        Data::TranscriptGap(TranscriptGap::new(Track::Mixed, Gap { from_ms: 0, to_ms: 9, reason: GapReason::SpoolFull })),
        Data::CallDtmf(CallDtmf { track: Track::Inbound, at_ms: 4, digit: None, masked: true }),
        Data::CallDtmf(CallDtmf { track: Track::Inbound, at_ms: 4, digit: Some('#'), masked: false }),
        Data::CallCompleted(Box::new(CallCompleted::new(completion(vec![line("hello")])))),
        Data::CallCompleted(Box::new(long)),
    ];
    let passing = [
        Data::TranscriptPartial(Box::new(TranscriptText::of_interim(&release().segment))),
        Data::SpeechStarted(SpeechActivity { track: Track::Inbound, at_ms: 0 }),
        Data::SpeechEnded(SpeechActivity { track: Track::Inbound, at_ms: 3 }),
    ];
    let stored = data.iter().map(|data| Event::new(Ulid::from_parts(1, 2), 1, &session(), &call(), 1, data));
    let passed = passing.iter().map(|data| Event::passing(Ulid::from_parts(1, 3), 1, &session(), &call(), data));
    stored.chain(passed).map(|event| serde_json::from_slice(&event.body).unwrap()).collect()
}

fn validator(kind: &str) -> jsonschema::Validator {
    jsonschema::validator_for(&serde_json::from_str(schema(kind).unwrap()).unwrap()).unwrap()
}

fn session() -> SessionId {
    SessionId::new(&format!("ses_{}", Ulid::from_parts(1, 1))).unwrap()
}

fn call() -> CallSid {
    CallSid::new("CA1").unwrap()
}

fn started() -> CallStarted {
    CallStarted {
        stream_sid: StreamSid::new("MZ1").unwrap(),
        account_sid: Some("AC1".into()),
        dialect: "twilio",
        direction: Direction::Inbound,
        from: Some("0100".into()),
        to: Some("0199".into()),
        speech: Speech::BuiltIn,
        tracks: vec![StartedTrack { track: Track::Inbound, role: Role::caller() }],
        custom_parameters: BTreeMap::from([("queue".into(), Redacted::certified("[PHONE_1]"))]),
        started_at: 12,
    }
}

fn release() -> Release {
    let word = Word {
        text: Redacted::certified("[CREDIT_CARD_1]"),
        start_ms: 0,
        end_ms: 400,
        confidence: None,
        speaker: "inbound:0".into(),
        speaker_confidence: Some(0.5),
        redacted: true,
    };
    let sentence =
        Utterance { text: Redacted::certified("[CREDIT_CARD_1]"), start_ms: 0, end_ms: 400, speaker: "inbound:0".into() };
    let segment = Segment {
        id: "seg_01_1".into(),
        key: TrackKey { stream: 0, track: Track::Inbound },
        role: Role::caller(),
        speaker: "inbound:0".into(),
        start_ms: 0,
        end_ms: 400,
        text: Redacted::certified("[CREDIT_CARD_1]"),
        words: vec![word],
        utterances: vec![sentence],
        language: None,
        languages: vec!["en".into()],
        emotion: Some(json!({"happiness": 0.5})),
        gender: None,
        provisional: false,
        recovered: true,
        covers: Offset(3200),
        heard_at: crate::clock::now(),
        latency: Latency { ingress_ms: Some(3), upstream_ms: None, gate_ms: Some(0) },
    };
    let redaction = Redaction {
        kind: "CREDIT_CARD".into(),
        label: "[CREDIT_CARD_1]".into(),
        start_ms: 0,
        end_ms: 400,
        source: "bridge",
        why: crate::redact::Why { reason: crate::redact::Reason::Shape, start: 0, end: 1 },
    };
    Release { segment, redactions: vec![redaction] }
}

fn line(text: &str) -> Line {
    Line { text: Redacted::certified(text), ..Line::of_final(&release()) }
}

fn totals() -> TrackTotals {
    TrackTotals {
        track: Track::Inbound,
        role: Role::agent(),
        received_ms: 10,
        filled_ms: 0,
        sent_ms: 10,
        finalized_ms: 10,
        gaps: vec![Gap { from_ms: 1, to_ms: 2, reason: GapReason::Paused }],
        segments: 1,
        reconnects: 0,
    }
}

fn completion(transcript: Vec<Line>) -> Completion {
    let mut redactions = Tally::default();
    redactions.add("SSN");
    Completion {
        last_seq: 9,
        ended_at: 99,
        duration_ms: 1000,
        end_reason: EndReason::Stop,
        tracks: vec![totals()],
        redactions,
        transcript,
        transcript_url: "https://bridge.example.com/t".into(),
    }
}
