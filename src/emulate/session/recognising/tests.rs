use serde_json::Value;

use super::*;
use crate::{
    emulate::{speech::Speech, wire::Parameters},
    engine::{RecognisedWord, Urgency, driver::Pool},
    fixture::Fixture,
    media::Track,
};

const CALL: &str =
    "encoding=mulaw&sample_rate=8000&word_timestamps=true&finalize_on_words=false&eou_timeout_ms=600&vad_events=true";

struct Rig(Session);

impl Rig {
    /// No thread recognises: the tests do.
    fn new(query: &str) -> Self {
        let query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let speech = Speech::Recognised(Pool::start(Vec::new()));
        Self(Session::new("s".into(), Parameters::of_query(&query), Vec::new(), &speech))
    }

    /// Plays so many milliseconds of the caller of pay-by-card; the jobs that came.
    fn play(&mut self, from_ms: usize, to_ms: usize) -> Vec<Job> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pay-by-card");
        let audio = Fixture::load(&folder).unwrap().tracks[&Track::Inbound][from_ms * 8..to_ms * 8].to_vec();
        audio.chunks(160).for_each(|frame| self.0.handle_audio(frame));
        std::iter::from_fn(|| self.0.poll_job()).collect()
    }

    fn answer(&mut self, job: &Job, text: &str) {
        let word = |text: &str| RecognisedWord { text: text.to_owned(), confidence: 0.9 };
        self.0.handle_recognised(job.id, Outcome::Recognised(text.split_whitespace().map(word).collect()));
    }

    /// What was said, in short.
    fn said(&mut self) -> Vec<String> {
        let short = |output| match output {
            Output::Message(text) | Output::Final { message: text, .. } => {
                let message: Value = serde_json::from_str(&text).unwrap();
                match message["type"].as_str().unwrap() {
                    "transcription" => {
                        let marks = ["is_final", "from_finalize", "is_last"].into_iter().filter(|mark| message[mark] == true);
                        format!("{}: {}", marks.collect::<Vec<_>>().join(" "), message["transcript"].as_str().unwrap().trim())
                    }
                    "error" => message["message"].as_str().unwrap().to_owned(),
                    kind => kind.to_owned(),
                }
            }
            Output::Close(code) => format!("close {code}"),
            other => format!("{other:?}"),
        };
        std::iter::from_fn(|| self.0.poll_output()).map(short).collect()
    }
}

#[test]
fn speech_is_interims_and_finals_and_the_end_is_an_empty_last_one() {
    let mut rig = Rig::new(CALL);
    let jobs = rig.play(0, 5_000);
    let (looks, pauses): (Vec<_>, Vec<_>) = jobs.iter().partition(|job| job.urgency == Urgency::Interim);
    // The segment is over by now: what a look showed comes too late to be shown.
    looks.iter().for_each(|job| rig.answer(job, "hi I'd like"));
    rig.answer(pauses[0], "Hi, I'd like to pay my bill.");
    rig.0.handle_text(r#"{"type":"close_stream"}"#);
    let expected =
        ["speech_started", "speech_ended", "is_final: Hi, I'd like to pay my bill.", "is_final is_last:", "close 1000"];
    assert_eq!(rig.said().iter().map(|said| said.trim_end()).collect::<Vec<_>>(), expected);
}

#[test]
fn a_close_is_answered_behind_the_words_that_are_still_recognised_and_nothing_is_taken_meanwhile() {
    let mut rig = Rig::new(CALL);
    let jobs = rig.play(0, 5_000);
    rig.0.handle_text(r#"{"type":"close_stream"}"#);
    rig.0.handle_text(r#"{"type":"finalize"}"#);
    assert!(rig.play(5_000, 12_000).is_empty(), "the audio has ended");
    assert_eq!(rig.said(), ["speech_started", "speech_ended"]);
    let job = jobs.iter().rfind(|job| job.urgency != Urgency::Interim).unwrap();
    rig.answer(job, "Hi, I'd like to pay my bill.");
    assert_eq!(rig.said(), ["is_final: Hi, I'd like to pay my bill.", "is_final is_last: ", "close 1000"]);
}

#[test]
fn every_finalize_is_answered_once_with_the_words_before_it_or_none() {
    let mut rig = Rig::new(CALL);
    rig.0.handle_text(r#"{"type":"finalize"}"#);
    assert_eq!(rig.said(), ["is_final from_finalize: "]);
    let jobs = rig.play(0, 3_000);
    rig.0.handle_text(r#"{"type":"finalize"}"#);
    rig.0.handle_text(r#"{"type":"finalize"}"#);
    assert_eq!(rig.said(), ["speech_started", "speech_ended"], "it is to end here, in the middle of a word");
    jobs.iter().for_each(|job| rig.0.handle_recognised(job.id, Outcome::Shed));
    let job = rig.0.poll_job().expect("what ends the segment is a final");
    rig.answer(&job, "hi I'd like");
    assert_eq!(rig.said(), ["is_final from_finalize: hi I'd like", "is_final from_finalize: "]);
}

#[test]
fn a_final_is_cut_by_words_where_the_client_leaves_that_on() {
    let mut rig = Rig::new("encoding=mulaw&sample_rate=8000&max_words=3");
    let jobs = rig.play(0, 5_000);
    rig.answer(jobs.last().unwrap(), "hi I'd like to pay my bill");
    assert_eq!(rig.said(), ["is_final: hi I'd like", "is_final: to pay my", "is_final: bill"]);
}

#[test]
fn what_the_engine_does_not_hear_is_told_and_the_stream_closed() {
    let said = |query: &str| Rig::new(query).said();
    assert_eq!(said("language=hi"), ["hi is not served here: the built-in engine hears English alone", "close 1011"]);
    assert!(said("encoding=opus")[0].starts_with("encoding opus is not heard"));
}

#[test]
fn progress_is_told_only_to_who_asked_for_it_and_while_somebody_speaks_or_waits() {
    let mut rig = Rig::new(CALL);
    rig.play(0, 3_000);
    rig.0.handle_progress();
    assert!(!rig.0.is_behind());
    assert_eq!(rig.said(), ["speech_started"]);
    let mut rig = Rig::new(&format!("{CALL}&progress=true"));
    assert!(!rig.0.is_behind());
    let jobs = rig.play(0, 5_000);
    assert!(rig.0.is_behind());
    rig.0.handle_progress();
    assert_eq!(rig.said().last().map(String::as_str), Some("progress"));
    jobs.iter().for_each(|job| rig.answer(job, "Hi, I'd like to pay my bill."));
    assert!(!rig.0.is_behind());
}

#[test]
fn words_have_the_times_of_the_stream_and_their_own_confidence_and_no_feeling_is_made_up() {
    let mut rig = Rig::new(&format!("{CALL}&emotion_detection=true&gender_detection=true&diarize=true&redact_pii=true"));
    let jobs = rig.play(0, 5_000);
    rig.answer(jobs.last().unwrap(), "Hi, I'd like to pay my bill.");
    let text = std::iter::from_fn(|| rig.0.poll_output()).find_map(|output| match output {
        Output::Final { message, .. } => Some(message),
        _ => None,
    });
    let message: Value = serde_json::from_str(&text.unwrap()).unwrap();
    let word = &message["words"][0];
    assert_eq!((&word["word"], &word["confidence"]), (&"Hi,".into(), &0.9.into()));
    assert!((1.8..2.1).contains(&word["start"].as_f64().unwrap()), "{word}");
    assert!(message.get("redacted_entities").is_none(), "nothing was redacted");
    assert!(message.get("emotion").is_none() && message.get("gender").is_none() && word.get("speaker").is_none());
}
