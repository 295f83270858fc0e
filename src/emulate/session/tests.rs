use serde_json::Value;

use super::*;
use crate::{emulate::script::Script, fixture::Fixture, media::Track};

const EVERYTHING: &str =
    "encoding=mulaw&sample_rate=8000&word_timestamps=true&sentence_timestamps=true&diarize=true&finalize_on_words=false";

struct Rig(Session);

impl Rig {
    fn new(query: &str, script: &Script, faults: Vec<Fault>) -> Self {
        let query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Self(Session::new(
            "s".into(),
            Parameters::of_query(&query),
            faults.into_iter().map(Suffered::from).collect(),
            &script.clone().into(),
        ))
    }

    fn on_card_call(query: &str, faults: Vec<Fault>) -> (Self, Vec<u8>) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pay-by-card");
        let fixture = Fixture::load(&path).unwrap();
        (Self::new(query, &Script::of_fixtures([&fixture]), faults), fixture.tracks[&Track::Inbound].to_vec())
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.0.poll_output()).collect()
    }

    fn messages(&mut self) -> Vec<Value> {
        let text = |output| match output {
            Output::Message(text) | Output::Final { message: text, .. } => Some(serde_json::from_str(&text).unwrap()),
            Output::Binary(_) | Output::BadFrame | Output::Close(_) | Output::Drop => None,
        };
        self.outputs().into_iter().filter_map(text).collect()
    }

    fn finals(&mut self) -> Vec<String> {
        self.messages().iter().filter(|message| message["is_final"] == true).map(text).collect()
    }
}

fn text(message: &Value) -> String {
    message["transcript"].as_str().unwrap().to_owned()
}

fn says(text: &str) -> Script {
    Script::of_times(&format!(r#"{{"say":[{{"start_ms":100,"end_ms":1100,"text":"{text}"}}]}}"#)).unwrap()
}

#[test]
fn it_says_nothing_until_audio_comes_and_only_answers_what_is_asked() {
    let mut rig = Rig::new(EVERYTHING, &Script::default(), vec![]);
    for message in ["hello", "{}", r#"{"type":"keepalive"}"#] {
        rig.0.handle_text(message);
    }
    assert_eq!(rig.outputs(), [Output::Message(wire::pong())]);
}

#[test]
fn interims_grow_and_a_final_with_a_leading_space_replaces_them() {
    let (mut rig, audio) = Rig::on_card_call(EVERYTHING, vec![]);
    rig.0.handle_audio(&audio[..5000 * 8]);
    let messages = rig.messages();
    let (last, interims) = messages.split_last().unwrap();
    assert!(interims.len() >= 3);
    for pair in interims.windows(2) {
        assert!(text(&pair[1]).starts_with(&text(&pair[0])) && pair[1]["words"].is_null(), "{pair:?}");
    }
    assert_eq!(text(last), " hi I'd like to pay my bill");
    assert_eq!(
        (&last["is_final"], &last["from_finalize"], &last["words"][0]["start"]),
        (&true.into(), &false.into(), &1.958.into())
    );
    assert_eq!(last["utterances"][0]["end"], 3.375);
}

#[test]
fn silence_cuts_the_card_call_into_its_twelve_turns() {
    let fixture = Fixture::load(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pay-by-card")).unwrap();
    let script = Script::of_fixtures([&fixture]);
    let heard = |track: Track| {
        let mut rig = Rig::new(EVERYTHING, &script, vec![]);
        rig.0.handle_audio(&fixture.tracks[&track]);
        rig.0.handle_text(r#"{"type":"close_stream"}"#);
        rig.finals().into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(
        heard(Track::Inbound),
        [
            " hi I'd like to pay my bill",
            " it's four five three nine one four eight eight zero three four three six four six seven expiring zero nine twenty seven",
            " nine two seven",
            " okay",
            " perfect thank you so much",
            " bye",
        ]
    );
    assert_eq!(
        heard(Track::Outbound),
        [
            " sure what is the card number",
            " mm-hmm",
            " thank you and the security code on the back",
            " great one moment please",
            " the payment went through and your receipt is on its way",
            " you're welcome have a nice day",
        ]
    );
}

#[test]
fn ten_words_make_a_final_unless_that_is_switched_off() {
    let sentence = "a b c d e f g h i j k l";
    for (query, expected) in
        [("", vec![" a b c d e f g h i j", " k l"]), ("&finalize_on_words=false", vec![" a b c d e f g h i j k l"])]
    {
        let mut rig = Rig::new(&format!("encoding=mulaw&sample_rate=8000{query}"), &says(sentence), vec![]);
        rig.0.handle_audio(&vec![0; 2000 * 8]);
        assert_eq!(rig.finals(), expected);
    }
}

#[test]
fn silence_is_counted_in_audio_not_in_frames() {
    for (query, bytes) in [("encoding=mulaw&sample_rate=8000", 8), ("encoding=linear16&sample_rate=16000", 32)] {
        let mut rig = Rig::new(&format!("{query}&eou_timeout_ms=500"), &says("yes"), vec![]);
        rig.0.handle_audio(&vec![0; 1599 * bytes]);
        assert_eq!(rig.finals(), Vec::<String>::new(), "{query}");
        rig.0.handle_audio(&vec![0; 21 * bytes]);
        assert_eq!(rig.finals(), [" yes"], "{query}");
    }
}

#[test]
fn finalize_brings_exactly_one_final_even_an_empty_one() {
    let (mut rig, audio) = Rig::on_card_call(EVERYTHING, vec![]);
    rig.0.handle_audio(&audio[..2600 * 8]);
    rig.outputs();
    for expected in [" hi I'd like", ""] {
        rig.0.handle_text(r#"{"type":"finalize"}"#);
        let messages = rig.messages();
        assert_eq!((messages.len(), text(&messages[0]).as_str()), (1, expected));
        assert_eq!(messages[0]["from_finalize"], true);
    }
    rig.0.handle_audio(&audio[2600 * 8..5000 * 8]);
    assert_eq!(rig.finals(), [" to pay my bill"]);
}

#[test]
fn close_stream_and_end_bring_the_rest_then_is_last_then_1000() {
    for control in [r#"{"type":"close_stream"}"#, r#"{"type":"end"}"#] {
        let (mut rig, audio) = Rig::on_card_call(EVERYTHING, vec![]);
        rig.0.handle_audio(&audio[..2600 * 8]);
        rig.outputs();
        rig.0.handle_text(control);
        let outputs = rig.outputs();
        let [Output::Final { text, .. }, Output::Final { message, .. }, Output::Close(1000)] = &outputs[..] else {
            panic!("{outputs:?}")
        };
        assert_eq!(text, "hi I'd like");
        assert!(message.contains(r#""is_last":true"#));
        rig.0.handle_audio(&audio[2600 * 8..5000 * 8]);
        assert_eq!(rig.outputs(), []);
    }
}

#[test]
fn pcm_of_a_recording_is_recognised_too_even_split_inside_a_sample() {
    let (mut rig, audio) = Rig::on_card_call("encoding=linear16&sample_rate=8000", vec![]);
    let pcm: Vec<u8> =
        audio[..5000 * 8].iter().flat_map(|byte| audio_codec_algorithms::decode_ulaw(*byte).to_le_bytes()).collect();
    for part in pcm.chunks(333) {
        rig.0.handle_audio(part);
    }
    assert_eq!(rig.finals(), [" hi I'd like to pay my bill"]);
}

#[test]
fn voice_activity_is_told_if_asked_for() {
    let mut rig = Rig::new("encoding=mulaw&sample_rate=8000&vad=true", &says("yes"), vec![]);
    rig.0.handle_audio(&vec![0; 2200 * 8]);
    let kinds: Vec<(Value, Value)> = rig
        .messages()
        .into_iter()
        .filter(|message| message["type"] != "transcription")
        .map(|message| (message["type"].clone(), message["timestamp"].clone()))
        .collect();
    assert_eq!(kinds, [("speech_started".into(), 0.1.into()), ("speech_ended".into(), 1.1.into())]);
}

#[test]
fn a_connection_breaks_after_the_byte_that_the_fault_names() {
    let rows = [
        (Fault::Drop { after_bytes: 801 }, vec![Output::Drop]),
        (Fault::Close { after_bytes: 801, code: 1008 }, vec![Output::Close(1008)]),
        (
            Fault::Error { after_bytes: 801, message: "no".into() },
            vec![Output::Message(wire::error("no", &Parameters::of_query(&[]))), Output::Close(1011)],
        ),
        (Fault::Stall { after_bytes: 801 }, vec![]),
    ];
    for (fault, expected) in rows {
        let mut rig = Rig::new(EVERYTHING, &says("yes"), vec![fault.clone()]);
        rig.0.handle_audio(&vec![0; 800]);
        assert_eq!(rig.outputs(), [], "{fault:?}");
        rig.0.handle_audio(&vec![0; 40_000]);
        rig.0.handle_text(r#"{"type":"close_stream"}"#);
        assert_eq!(rig.outputs(), expected, "{fault:?}");
    }
}

#[test]
fn an_entity_is_split_over_finals_by_the_fault() {
    let (mut rig, audio) = Rig::on_card_call(EVERYTHING, vec![Fault::SplitEntity]);
    rig.0.handle_audio(&audio[5000 * 8..17_000 * 8]);
    assert_eq!(
        rig.finals(),
        [
            " it's four five three nine one four",
            " eight eight zero three four three",
            " six four six seven expiring zero nine twenty seven"
        ]
    );
}

#[test]
fn a_final_in_mid_word_is_continued_without_a_space() {
    let mut rig = Rig::new(EVERYTHING, &says("change the reservation please"), vec![Fault::MidWordFinal]);
    rig.0.handle_audio(&vec![0; 3000 * 8]);
    assert_eq!(rig.finals(), [" change the reser", "vation ple", "ase"]);
}

#[test]
fn finals_suffer_the_smaller_faults() {
    let close = r#"{"type":"close_stream"}"#;
    let run = |fault: Fault| {
        let mut rig = Rig::new(EVERYTHING, &says("yes"), vec![fault]);
        rig.0.handle_audio(&vec![0; 1200 * 8]);
        rig.0.handle_text(r#"{"type":"keepalive"}"#);
        rig.0.handle_text(close);
        let outputs = rig.outputs();
        let finals: Vec<Value> = outputs
            .iter()
            .filter_map(|output| match output {
                Output::Final { message, .. } => Some(serde_json::from_str(message).unwrap()),
                _ => None,
            })
            .collect();
        let ponged = outputs.contains(&Output::Message(wire::pong()));
        (finals, ponged, outputs.contains(&Output::Close(1000)))
    };
    let texts = |finals: &[Value]| finals.iter().map(text).collect::<Vec<_>>();
    assert_eq!(texts(&run(Fault::DuplicateFinal).0), [" yes", " yes", ""]);
    let (finals, ponged, closed) = run(Fault::NeverLast);
    assert_eq!((texts(&finals), ponged, closed), (vec![" yes".to_owned()], true, false));
    assert_eq!(texts(&run(Fault::TextOnLast).0), [" yes"]);
    assert_eq!(run(Fault::StringSpeaker).0[0]["words"][0]["speaker"], "speaker_0");
    assert!(!run(Fault::PongSilence).1);
}

/// The finals of ten words of 200 ms each, two seconds apart from the end, under these faults.
fn run(faults: Vec<Suffered>, query: &str) -> (Rig, Vec<Output>) {
    let script = says("alpha bravo charlie delta echo foxtrot golf hotel india juliet");
    let mut rig = Rig::new(&format!("{EVERYTHING}&{query}"), &script, vec![]);
    rig.0.faults = faults;
    rig.0.handle_audio(&vec![0; 3000 * 8]);
    rig.0.handle_text(r#"{"type":"close_stream"}"#);
    let outputs = rig.outputs();
    (rig, outputs)
}

fn finals_of(outputs: &[Output]) -> Vec<Value> {
    let read = |output: &Output| match output {
        Output::Final { message, .. } => Some(serde_json::from_str(message).unwrap()),
        _ => None,
    };
    outputs.iter().filter_map(read).collect()
}

#[test]
fn a_fault_may_wait_for_finals() {
    let five = "finalize_on_words=true&max_words=2";
    let query = format!("encoding=mulaw&sample_rate=8000&{five}");
    let script = says("a b c d e f g h i j");
    let mut rig = Rig::new(&query, &script, vec![]);
    rig.0.faults = vec![Suffered { fault: Fault::Drop { after_bytes: 0 }, after_finals: 2 }];
    rig.0.handle_audio(&vec![0; 3000 * 8]);
    let outputs = rig.outputs();
    assert_eq!(finals_of(&outputs).iter().map(text).collect::<Vec<_>>(), [" a b", " c d"]);
    assert_eq!(outputs.last(), Some(&Output::Drop));

    let mut rig = Rig::new(&query, &script, vec![]);
    rig.0.faults = vec![Suffered { fault: Fault::DuplicateFinal, after_finals: 4 }];
    rig.0.handle_audio(&vec![0; 3000 * 8]);
    assert_eq!(rig.finals(), [" a b", " c d", " e f", " g h", " i j", " i j"]);
}

#[test]
fn the_clock_counts_from_zero_again_where_the_fault_says_so() {
    let (_, plain) = run(vec![], "");
    let (_, reset) = run(vec![Fault::ResetClock { after_bytes: 2000 * 8 }.into()], "");
    let start = |outputs: &[Output]| finals_of(outputs)[0]["words"][9]["start"].as_f64().unwrap();
    assert!(start(&plain) < 2.0, "spoken before");
    assert!((start(&reset) - start(&plain)).abs() < 0.001, "what was said before the fault keeps its times");
    let (_, reset) = run(vec![Fault::ResetClock { after_bytes: 800 }.into()], "");
    assert!((start(&plain) - start(&reset) - 0.1).abs() < 0.001, "{} {}", start(&plain), start(&reset));
}

#[test]
fn speakers_get_other_numbers_and_numbers_become_strings() {
    let word = |faults: Vec<Fault>| {
        let (_, outputs) = run(faults.into_iter().map(Suffered::from).collect(), "");
        finals_of(&outputs)[0]["words"][0].clone()
    };
    assert_eq!(word(vec![])["speaker"], 0);
    assert_eq!(word(vec![Fault::Relabel { speaker: 3 }])["speaker"], 3);
    assert_eq!(word(vec![Fault::Relabel { speaker: 3 }, Fault::StringSpeaker])["speaker"], "speaker_3");
    let strings = word(vec![Fault::StringNumbers]);
    assert_eq!((&strings["speaker"], &strings["start"], &strings["confidence"]), (&"0".into(), &"0.1".into(), &"0.98".into()));
}

#[test]
fn garbage_comes_in_between_and_changes_no_word() {
    let (_, plain) = run(vec![], "");
    let (_, with) = run(vec![Fault::Garbage { every_bytes: 400 }.into()], "");
    assert_eq!(finals_of(&with), finals_of(&plain));
    assert_eq!(with.len() - plain.len(), 3000 * 8 / 400);
    assert!(with.iter().any(|output| matches!(output, Output::Binary(_))));
    assert!(with.iter().any(|output| matches!(output, Output::Message(text) if text.len() > 100_000)));
}

#[test]
fn a_final_may_be_missing_or_come_behind_the_next_interim() {
    let told = |faults: Vec<Fault>| {
        let (mut rig, audio) = Rig::on_card_call(EVERYTHING, faults);
        rig.0.handle_audio(&audio);
        rig.0.handle_text(r#"{"type":"close_stream"}"#);
        rig.messages().iter().map(|message| (message["is_final"] == true, text(message))).collect::<Vec<_>>()
    };
    let finals =
        |told: &[(bool, String)]| told.iter().filter(|(last, _)| *last).map(|(_, text)| text.clone()).collect::<Vec<_>>();
    let plain = told(vec![]);
    let missing = told(vec![Fault::MissingFinal { every: 2 }]);
    let every_other: Vec<String> = finals(&plain).into_iter().filter(|text| !text.is_empty()).step_by(2).collect();
    assert!(every_other.len() > 1);
    assert_eq!(finals(&missing)[..every_other.len()], every_other);
    assert_eq!(plain.len() - missing.len(), finals(&plain).len() - finals(&missing).len(), "interims are the same");
    let late = told(vec![Fault::LateFinal]);
    assert_eq!(finals(&late), finals(&plain));
    let first = |told: &[(bool, String)]| told.iter().position(|(last, _)| *last);
    assert_eq!(first(&late), first(&plain).map(|at| at + 1), "the next interim comes first");
}

#[test]
fn a_slow_reader_says_how_long_it_rests_once_it_is_struck() {
    let mut rig = Rig::new(EVERYTHING, &says("yes"), vec![Fault::Slow { after_bytes: 800, bytes_per_second: 1600 }]);
    assert_eq!(rig.0.rest_after(480), None);
    rig.0.handle_audio(&[0; 800]);
    assert_eq!(rig.0.rest_after(480), Some(Wait::For(Duration::from_millis(300))));
    let mut rig = Rig::new(EVERYTHING, &says("yes"), vec![Fault::Slow { after_bytes: 800, bytes_per_second: 0 }]);
    rig.0.handle_audio(&[0; 800]);
    assert_eq!(rig.0.rest_after(480), Some(Wait::ForEver), "it reads no more");
}

#[test]
fn bytes_that_are_no_frame_end_the_session() {
    let mut rig =
        Rig::new(EVERYTHING, &says("yes"), vec![Fault::BadFrame { after_bytes: 800 }, Fault::Stall { after_bytes: 800 }]);
    rig.0.handle_audio(&[0; 1600]);
    rig.0.handle_text(r#"{"type":"keepalive"}"#);
    assert_eq!(rig.outputs(), [Output::BadFrame]);
}

#[test]
fn one_message_may_be_huge_and_the_session_goes_on() {
    let (_, outputs) = run(vec![Fault::Huge { after_bytes: 8000, bytes: 1 << 20 }.into()], "");
    let huge = |output: &&Output| matches!(output, Output::Message(text) if text.len() > 1 << 20);
    assert_eq!((outputs.iter().filter(huge).count(), outputs.last()), (1, Some(&Output::Close(1000))));
}
