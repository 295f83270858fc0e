use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::*;
use crate::{
    event::{Direction, Event, Speech, StartedTrack, TranscriptGap},
    media::{CallSid, Gap, MULAW_SILENCE, StreamSid, ms_to_bytes},
    pii::Redacted,
    segment::{Latency, Role},
};

const IN: TrackKey = TrackKey { stream: 0, track: Track::Inbound };
/// Length of a chunk, in milliseconds.
const STEP_MS: u64 = 60;

/// A capture and what it has written.
struct Desk {
    capture: Capture,
    files: BTreeMap<File, Vec<u8>>,
    ends: Vec<Output>,
}

impl Desk {
    fn new() -> Self {
        let session = SessionId::new("ses_1").unwrap();
        let mut desk = Self { capture: Capture::new(&session, &started()), files: BTreeMap::new(), ends: Vec::new() };
        desk.drain();
        desk
    }

    fn drain(&mut self) {
        while let Some(output) = self.capture.poll_output() {
            assert!(self.ends.is_empty(), "nothing comes behind the end");
            match output {
                Output::Write(file, bytes) => self.files.entry(file).or_default().extend_from_slice(&bytes),
                end => self.ends.push(end),
            }
        }
    }

    /// So many chunks of a stream from here on, all of this byte.
    fn say(&mut self, key: TrackKey, from_ms: u64, chunks: u64, byte: u8) {
        for number in 0..chunks {
            let at_ms = from_ms + number * STEP_MS;
            self.capture.handle_audio(key, chunk(ms_to_bytes(number * STEP_MS), at_ms, byte));
            self.drain();
        }
    }

    fn tell(&mut self, data: &Data) {
        let (session, call) = (SessionId::new("ses_1").unwrap(), CallSid::new("CA-secret-0199").unwrap());
        let event = Event::new(ulid::Ulid::nil(), 0, &session, &call, 1, data);
        self.capture.handle_event(data, &event.body);
        self.drain();
    }

    fn covered(&mut self, ms: u64) {
        self.capture.handle_covered(IN, Offset(ms_to_bytes(ms)));
        self.drain();
    }

    fn end(&mut self) {
        self.capture.handle_end(true);
        self.drain();
    }

    fn inbound(&self) -> &[u8] {
        self.files.get(&File::Audio(Track::Inbound)).map_or(&[], Vec::as_slice)
    }

    fn lines(&self, file: File) -> Vec<Value> {
        let text = std::str::from_utf8(&self.files[&file]).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn chunk(offset: u64, at_ms: u64, byte: u8) -> Chunk {
    let audio = vec![byte; usize::try_from(ms_to_bytes(STEP_MS)).unwrap()].into();
    Chunk { offset: Offset(offset), at_ms, audio, received: crate::clock::now() }
}

fn started() -> CallStarted {
    CallStarted {
        stream_sid: StreamSid::new("MZ-peer").unwrap(),
        account_sid: Some("AC-peer".into()),
        dialect: "twilio",
        direction: Direction::Outbound,
        from: Some("0100".into()),
        to: Some("0199".into()),
        speech: Speech::Pulse,
        tracks: vec![StartedTrack { track: Track::Inbound, role: Role::agent() }],
        custom_parameters: BTreeMap::from([("queue".into(), Redacted::certified("[PHONE_1]"))]),
        started_at: 12,
    }
}

/// A final of the inbound track of which this is not to be heard.
fn said(beeps: &[(u64, u64)]) -> Data {
    let beeps = beeps.iter().map(|(start_ms, end_ms)| crate::redact::Beep { start_ms: *start_ms, end_ms: *end_ms });
    Data::TranscriptFinal(Box::new(crate::event::TranscriptText {
        segment_id: Some("seg_1".into()),
        track: Track::Inbound,
        role: Role::agent(),
        speaker: "inbound:0".into(),
        start_ms: 0,
        end_ms: 0,
        text: Redacted::certified("so"),
        words: vec![],
        utterances: vec![],
        language: None,
        languages: vec![],
        emotion: None,
        gender: None,
        redactions: vec![],
        beeps: Some(beeps.collect()),
        provisional: false,
        recovered: false,
        latency: Latency::default(),
    }))
}

fn place(ms: u64) -> usize {
    usize::try_from(ms_to_bytes(ms)).unwrap()
}

#[test]
fn audio_comes_out_once_finals_cover_it_and_not_the_last_second_before_the_mark() {
    let mut desk = Desk::new();
    desk.say(IN, 0, 100, 7);
    assert!(desk.inbound().is_empty(), "nothing is known of it");
    desk.tell(&said(&[]));
    desk.covered(3_000);
    assert_eq!(desk.inbound().len(), place(1_980), "whole chunks, a second behind the mark");
    desk.covered(6_000);
    desk.end();
    assert_eq!(desk.inbound(), vec![7; place(6_000)]);
    assert_eq!(desk.ends, [Output::Done]);
}

#[test]
fn what_was_taken_out_is_silent_and_the_file_is_as_long_as_ever() {
    let mut desk = Desk::new();
    desk.say(IN, 0, 100, 7);
    desk.tell(&said(&[(1_000, 2_001), (2_500, 2_600)]));
    desk.covered(6_000);
    desk.end();
    let mut expected = vec![7; place(6_000)];
    expected[place(1_000)..place(2_001)].fill(MULAW_SILENCE);
    expected[place(2_500)..place(2_600)].fill(MULAW_SILENCE);
    assert_eq!(desk.inbound(), expected);
}

#[test]
fn what_no_final_covers_is_silent_at_the_end_and_where_too_much_waits() {
    let mut desk = Desk::new();
    desk.say(IN, 0, 50, 7);
    desk.covered(1_500);
    desk.end();
    assert_eq!(desk.inbound(), [vec![7; place(1_500)], vec![MULAW_SILENCE; place(1_500)]].concat());
    let mut desk = Desk::new();
    let chunks = HELD_MS / STEP_MS + 10;
    desk.say(IN, 0, chunks, 7);
    assert_eq!(desk.inbound(), vec![MULAW_SILENCE; place(10 * STEP_MS)]);
    desk.tell(&said(&[(0, 1_000)]));
    assert!(desk.ends.is_empty(), "what came out silent is as it should be");
    desk.covered(chunks * STEP_MS);
    desk.end();
    assert_eq!(desk.inbound().len(), place(chunks * STEP_MS));
    assert!(desk.inbound()[place(1_000)..].iter().all(|byte| *byte == 7), "the rest was covered in time");
}

#[test]
fn a_redaction_behind_its_audio_costs_the_capture() {
    let mut desk = Desk::new();
    desk.say(IN, 0, 100, 7);
    desk.covered(6_000);
    desk.tell(&said(&[(4_000, 4_100)]));
    assert_eq!(desk.ends, [Output::Abandoned]);
    desk.say(IN, 6_000, 10, 7);
    desk.end();
}

#[test]
fn audio_that_nobody_heard_is_silent_and_a_gap_without_audio_changes_nothing() {
    let mut desk = Desk::new();
    desk.say(IN, 0, 100, 7);
    let gap = |from_ms, to_ms, reason| Data::TranscriptGap(TranscriptGap::new(Track::Inbound, Gap { from_ms, to_ms, reason }));
    desk.tell(&gap(1_000, 2_000, GapReason::UpstreamLost));
    desk.covered(6_000);
    desk.tell(&gap(500, 1_000, GapReason::Disconnected));
    desk.tell(&gap(2_000, 3_000, GapReason::Paused));
    desk.end();
    let mut expected = vec![7; place(6_000)];
    expected[place(1_000)..place(2_000)].fill(MULAW_SILENCE);
    assert_eq!((desk.inbound(), desk.ends.as_slice()), (&expected[..], &[Output::Done][..]));
}

#[test]
fn a_key_is_known_to_nobody_and_its_tone_is_not_to_be_heard() {
    let mut desk = Desk::new();
    desk.say(IN, 0, 50, 7);
    desk.capture.handle_key(Track::Inbound, 3_000);
    desk.say(IN, 3_000, 0, 7);
    for number in 50..100 {
        desk.capture.handle_audio(IN, chunk(ms_to_bytes(number * STEP_MS), number * STEP_MS, 7));
    }
    desk.drain();
    desk.covered(6_000);
    desk.end();
    let silent = desk.inbound().iter().filter(|byte| **byte == MULAW_SILENCE).collect::<Vec<_>>().len();
    assert_eq!(silent, place(1_500));
    assert!(desk.inbound()[place(2_000)..place(3_500)].iter().all(|byte| *byte == MULAW_SILENCE));
    let keys: Vec<Value> = desk.lines(File::Messages).into_iter().filter(|line| line["event"] == "dtmf").collect();
    assert_eq!(keys[0]["dtmf"], json!({"track": "inbound_track", "digit": "0"}));
    let shown = Data::CallDtmf(crate::event::CallDtmf { track: Track::Inbound, at_ms: 1, digit: Some('5'), masked: false });
    let mut desk = Desk::new();
    desk.tell(&shown);
    assert_eq!(desk.lines(File::Expected)[0]["data"], json!({"track": "inbound", "at_ms": 1, "digit": null, "masked": true}));
}

#[test]
fn a_stream_that_joined_goes_on_in_the_same_file_and_does_not_wait_for_the_last_second_before_it() {
    let mut desk = Desk::new();
    desk.say(IN, 0, 50, 7);
    desk.covered(3_000);
    let second = TrackKey { stream: 1, ..IN };
    desk.say(second, 9_000, 50, 9);
    desk.capture.handle_covered(second, Offset(ms_to_bytes(3_000)));
    desk.drain();
    assert_eq!(desk.inbound().len(), place(3_000) + place(1_980));
    desk.tell(&said(&[(11_500, 12_000)]));
    desk.end();
    let expected = [vec![7; place(3_000)], vec![9; place(2_500)], vec![MULAW_SILENCE; place(500)]].concat();
    assert_eq!(desk.inbound(), expected);
}

#[test]
fn the_log_is_a_fixture_s_and_names_nobody() {
    let mut desk = Desk::new();
    desk.tell(&Data::CallStarted(started()));
    desk.say(IN, 0, 2, 7);
    desk.end();
    let lines = desk.lines(File::Messages);
    assert_eq!(
        lines.iter().map(|line| line["event"].as_str().unwrap()).collect::<Vec<_>>(),
        ["connected", "start", "media", "media", "stop"]
    );
    let start = json!({
        "accountSid": "", "callSid": "ses_1", "streamSid": "ses_1", "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"queue": "[PHONE_1]", "direction": "outbound", "role_inbound": "agent"},
    });
    assert_eq!(lines[1], json!({"event": "start", "sequenceNumber": "1", "streamSid": "ses_1", "start": start}));
    let media = json!({"track": "inbound", "chunk": "2", "timestamp": "60", "bytes": 480});
    assert_eq!(lines[3], json!({"event": "media", "sequenceNumber": "3", "media": media}));
    for file in [File::Messages, File::Expected] {
        let text = std::str::from_utf8(&desk.files[&file]).unwrap();
        for name in ["peer", "secret", "0100", "0199"] {
            assert!(!text.contains(name), "{name} in {text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Audio of a byte of its own each millisecond, ranges and marks in any order that can be, each range before the mark passes it.
    #[test]
    fn no_byte_in_a_range_is_heard_and_a_file_is_as_long_as_its_audio(
        steps in vec((0_u8..4, 0_u64..5_000, 1_u64..2_000), 1..200)
    ) {
        let mut desk = Desk::new();
        let (mut length_ms, mut mark_ms, mut ranges) = (0_u64, 0_u64, Vec::new());
        for (kind, back, length) in steps {
            match kind {
                0 | 1 => {
                    for _ in 0..length / STEP_MS {
                        let byte = u8::try_from(length_ms / STEP_MS % 100).unwrap();
                        desk.capture.handle_audio(IN, chunk(ms_to_bytes(length_ms), length_ms, byte));
                        length_ms += STEP_MS;
                    }
                }
                2 => {
                    // A range may begin a second before the mark, and end behind the audio.
                    let from_ms = (mark_ms + back).saturating_sub(BEHIND_MS);
                    desk.tell(&said(&[(from_ms, from_ms + length)]));
                    ranges.push((from_ms, from_ms + length));
                }
                _ => {
                    mark_ms = (mark_ms + length).min(length_ms);
                    desk.covered(mark_ms);
                }
            }
            desk.drain();
        }
        desk.end();
        prop_assert_eq!(&desk.ends, &[Output::Done]);
        prop_assert_eq!(desk.inbound().len(), place(length_ms));
        for (at, byte) in desk.inbound().iter().enumerate() {
            let at_ms = at as u64 / 8;
            let is_hidden = at_ms >= mark_ms || ranges.iter().any(|(from, to)| (*from..*to).contains(&at_ms));
            let own = u8::try_from(at_ms / STEP_MS % 100).unwrap();
            prop_assert!(*byte == MULAW_SILENCE || !is_hidden && *byte == own, "{} at {} ms", byte, at_ms);
        }
    }
}
