//! The service's messages as they stand on the wire, and the query that asks for them (protocols/pulse.md sections 4 to 6).
//!
//! Promises: pure; unknown query names are ignored, as the service does; only the exact word `true` switches something on.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{
    asr::{self, Asked},
    recognition::Unheard,
    script::Spoken,
};

/// Ticks of 125 us in a second.
pub(super) const TICKS: u64 = 8000;

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a parameter of the wire")]
pub(super) struct Parameters {
    pub(super) encoding: String,
    pub(super) sample_rate: u64,
    pub(super) language: String,
    pub(super) words: bool,
    pub(super) utterances: bool,
    pub(super) diarize: bool,
    pub(super) redact: bool,
    pub(super) full_transcript: bool,
    pub(super) vad_events: bool,
    pub(super) emotion: bool,
    pub(super) gender: bool,
    pub(super) eou_timeout_ms: u64,
    /// How many words make a final; `None` for no such cut.
    pub(super) max_words: Option<usize>,
    pub(super) external_session_id: String,
    /// Numbers in figures, in one form.
    pub(super) numbers: bool,
    pub(super) punctuate: bool,
    pub(super) capitalize: bool,
    /// Wants to hear that what it said is being worked on; the built-in engine's own, the service has no such thing.
    pub(super) progress: bool,
    /// What the older ASR was asked for; `None` where Pulse is spoken.
    pub(super) asr: Option<Asked>,
}

impl Parameters {
    /// Reads a decoded query string; where a name stands twice the first counts.
    pub(super) fn of_query(query: &[(String, String)]) -> Self {
        let given = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let number = |name: &str, default: u64| given(name).and_then(|value| value.parse().ok()).unwrap_or(default);
        let is_on = |name: &str| given(name) == Some("true");
        let is_formatted = given("format") != Some("false");
        let cut_by_words = given("finalize_on_words") != Some("false");
        Self {
            encoding: given("encoding").unwrap_or("linear16").to_owned(),
            sample_rate: number("sample_rate", 16_000).clamp(1, 192_000),
            language: given("language").unwrap_or("en").to_owned(),
            words: is_on("word_timestamps") || is_on("diarize"),
            utterances: is_on("sentence_timestamps"),
            diarize: is_on("diarize"),
            redact: is_on("redact_pii") || is_on("redact_pci"),
            full_transcript: is_on("full_transcript"),
            vad_events: given("vad_events").or_else(|| given("vad")) == Some("true"),
            emotion: is_on("emotion_detection"),
            gender: is_on("gender_detection"),
            eou_timeout_ms: number("eou_timeout_ms", 800),
            max_words: cut_by_words.then(|| usize::try_from(number("max_words", 10)).unwrap_or(10).max(1)),
            numbers: is_on("itn_normalize") || is_on("numerals"),
            punctuate: is_formatted && given("punctuate") != Some("false"),
            capitalize: is_formatted && given("capitalize") != Some("false"),
            progress: is_on("progress"),
            external_session_id: given("external_session_id").unwrap_or_default().to_owned(),
            asr: None,
        }
    }

    /// Bytes of audio in a second, as declared.
    pub(super) fn bytes_per_second(&self) -> u64 {
        match self.encoding.as_str() {
            "mulaw" | "alaw" => self.sample_rate,
            "linear32" => 4 * self.sample_rate,
            // Compressed sound has no fixed rate; about 24 kbit/s is what speech takes.
            "opus" | "ogg_opus" => 3000,
            _ => 2 * self.sample_rate,
        }
    }
}

/// A text message of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    Finalize,
    CloseStream,
    Keepalive,
    /// Nothing that the service knows: ignored.
    Unknown,
}

impl Control {
    pub(super) fn parse(text: &str, asked: &Parameters) -> Self {
        let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        match (value["type"].as_str(), asked.asr.is_some()) {
            (Some("finalize"), false) | (Some("Finalize"), true) => Self::Finalize,
            (Some("close_stream" | "end"), false) => Self::CloseStream,
            (Some("keepalive"), false) => Self::Keepalive,
            _ => Self::Unknown,
        }
    }
}

/// A transcript; what was not asked for is left out.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are the wire's")]
pub(super) struct Transcript<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    status: &'static str,
    session_id: &'a str,
    transcript: &'a str,
    transcription: &'a str,
    is_final: bool,
    is_last: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_finalize: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_transcript: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    languages: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<Vec<Word<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    utterances: Option<Vec<Utterance<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacted_entities: Option<[&'a str; 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    emotion: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gender: Option<Value>,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are the wire's")]
struct Word<'a> {
    word: &'a str,
    start: f64,
    end: f64,
    confidence: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<Speaker>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker_confidence: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Utterance<'a> {
    text: &'a str,
    start: f64,
    end: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<Speaker>,
}

/// Live an integer; a string where the fault says so.
#[derive(Debug, Clone, Copy)]
struct Speaker {
    number: u32,
    as_string: bool,
}

impl Serialize for Speaker {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.as_string {
            serializer.collect_str(&format_args!("speaker_{}", self.number))
        } else {
            serializer.serialize_u32(self.number)
        }
    }
}

/// What a final carries beside its text.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of the wire or a fault of its own")]
pub(super) struct Marks<'a> {
    pub(super) is_last: bool,
    pub(super) from_finalize: bool,
    pub(super) string_speaker: bool,
    pub(super) speaker: u32,
    /// The turn goes on behind it.
    pub(super) is_piece: bool,
    /// Every number is written as a string.
    pub(super) string_numbers: bool,
    pub(super) full_transcript: &'a str,
}

/// An interim: the whole segment so far, without words or language.
pub(super) fn interim(session_id: &str, text: &str, asked: &Parameters) -> String {
    asked.asr.as_ref().map_or_else(|| json(&text_of(session_id, text)), |asked| asr::interim(text, asked))
}

fn text_of<'a>(session_id: &'a str, text: &'a str) -> Transcript<'a> {
    Transcript {
        kind: "transcription",
        status: "success",
        session_id,
        transcript: text,
        transcription: text,
        is_final: false,
        is_last: false,
        from_finalize: None,
        full_transcript: None,
        language: None,
        languages: None,
        words: None,
        utterances: None,
        redacted_entities: None,
        emotion: None,
        gender: None,
    }
}

/// A final with everything that was asked for.
pub(super) fn final_of(session_id: &str, text: &str, spoken: &[Spoken], asked: &Parameters, marks: Marks<'_>) -> String {
    if let Some(asked) = &asked.asr {
        return asr::final_of(text, asked, if marks.is_piece { asr::Final::Piece } else { asr::Final::Turn });
    }
    let speaker = asked.diarize.then_some(Speaker { number: marks.speaker, as_string: marks.string_speaker });
    let word = |word| word_of(word, speaker);
    let utterance = spoken.first().zip(spoken.last()).map(|(first, last)| Utterance {
        text: text.trim(),
        start: seconds(first.start),
        end: seconds(last.end),
        speaker,
    });
    let message = Transcript {
        is_final: true,
        is_last: marks.is_last,
        from_finalize: Some(marks.from_finalize),
        full_transcript: asked.full_transcript.then_some(marks.full_transcript),
        language: Some(&asked.language),
        languages: Some([&asked.language]),
        words: asked.words.then(|| spoken.iter().map(word).collect()),
        utterances: asked.utterances.then(|| utterance.into_iter().collect()),
        redacted_entities: asked.redact.then_some([]),
        emotion: asked.emotion.then(|| serde_json::json!({"neutral": 0.9, "happiness": 0.1})),
        gender: asked.gender.then(|| serde_json::json!({"female": 0.8, "male": 0.2})),
        ..text_of(session_id, text)
    };
    if marks.string_numbers {
        json(&strings_for_numbers(serde_json::to_value(&message).unwrap_or_default()))
    } else {
        json(&message)
    }
}

/// The same with every number as a string.
fn strings_for_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::String(number.to_string()),
        Value::Array(values) => values.into_iter().map(strings_for_numbers).collect(),
        Value::Object(members) => members.into_iter().map(|(key, value)| (key, strings_for_numbers(value))).collect(),
        other => other,
    }
}

fn word_of(word: &Spoken, speaker: Option<Speaker>) -> Word<'_> {
    Word {
        word: &word.text,
        start: seconds(word.start),
        end: seconds(word.end),
        confidence: f64::from(word.confidence) / 100.0,
        speaker,
        speaker_confidence: speaker.map(|_| 0.9),
    }
}

/// Voice activity: whether somebody speaks from here on.
pub(super) fn voice(session_id: &str, speaking: bool, at: u64, asked: &Parameters) -> String {
    if asked.asr.is_some() {
        return asr::voice(speaking, at);
    }
    let kind = if speaking { "speech_started" } else { "speech_ended" };
    json(&serde_json::json!({"type": kind, "session_id": session_id, "timestamp": seconds(at)}))
}

/// Why nobody would be heard.
pub(super) fn unheard(why: &Unheard, asked: &Parameters) -> String {
    match why {
        Unheard::Language(_) if asked.asr.is_none() => no_such_language(&why.to_string()),
        _ => error(&why.to_string(), asked),
    }
}

/// What was said is being worked on; all up to there has its final.
pub(super) fn progress(session_id: &str, done: u64) -> String {
    json(&serde_json::json!({"type": "progress", "session_id": session_id, "done": seconds(done)}))
}

/// The answer to `keepalive`.
pub(super) fn pong() -> String {
    r#"{"type":"pong"}"#.to_owned()
}

/// An error frame.
pub(super) fn error(message: &str, asked: &Parameters) -> String {
    if asked.asr.is_some() {
        return asr::error(message);
    }
    json(&serde_json::json!({"type": "error", "status": "error", "message": message}))
}

/// The error frame for a language that is not served.
pub(super) fn no_such_language(message: &str) -> String {
    json(&serde_json::json!({"type": "error", "error_code": "LANGUAGE_NOT_ENABLED_IN_REGION", "message": message}))
}

/// Seconds with whole milliseconds, as the service gives them.
#[expect(clippy::cast_precision_loss, reason = "a connection's milliseconds stay far below 2^52")]
fn seconds(ticks: u64) -> f64 {
    (ticks * 1000 / TICKS) as f64 / 1000.0
}

fn json(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("a message of strings and numbers serializes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
    }

    #[test]
    fn only_the_exact_word_true_switches_on_and_unknown_names_are_ignored() {
        let asked =
            Parameters::of_query(&query("diarise=true&diarize=True&word_timestamps=true&encoding=mulaw&sample_rate=8000"));
        assert!(asked.words && !asked.diarize && !asked.vad_events);
        assert_eq!((asked.bytes_per_second(), asked.eou_timeout_ms, asked.max_words), (8000, 800, Some(10)));
        assert_eq!(Parameters::of_query(&query("finalize_on_words=false&max_words=20")).max_words, None);
        assert_eq!(Parameters::of_query(&[]).bytes_per_second(), 32_000);
    }

    #[test]
    fn a_final_has_the_fields_and_types_of_the_page() {
        let asked = Parameters::of_query(&query("diarize=true&sentence_timestamps=true&redact_pii=true&full_transcript=true"));
        let spoken = [Spoken { text: "hi".into(), start: 8960, end: 9600, confidence: 98 }];
        let marks = Marks { from_finalize: true, full_transcript: "hi", ..Marks::default() };
        insta::assert_snapshot!(final_of("s", " hi", &spoken, &asked, marks), @r#"{"type":"transcription","status":"success","session_id":"s","transcript":" hi","transcription":" hi","is_final":true,"is_last":false,"from_finalize":true,"full_transcript":"hi","language":"en","languages":["en"],"words":[{"word":"hi","start":1.12,"end":1.2,"confidence":0.98,"speaker":0,"speaker_confidence":0.9}],"utterances":[{"text":"hi","start":1.12,"end":1.2,"speaker":0}],"redacted_entities":[]}"#);
    }

    #[test]
    fn an_interim_has_text_and_both_booleans_only() {
        insta::assert_snapshot!(interim("s", "hi", &Parameters::of_query(&[])), @r#"{"type":"transcription","status":"success","session_id":"s","transcript":"hi","transcription":"hi","is_final":false,"is_last":false}"#);
    }

    #[test]
    fn controls_are_told_apart_and_anything_else_is_unknown() {
        for (text, expected) in [
            (r#"{"type":"finalize"}"#, Control::Finalize),
            (r#"{"type":"close_stream"}"#, Control::CloseStream),
            (r#"{"type":"end"}"#, Control::CloseStream),
            (r#"{"type":"keepalive"}"#, Control::Keepalive),
            (r#"{"type":"Finalize"}"#, Control::Unknown),
            ("hello", Control::Unknown),
            ("[1]", Control::Unknown),
        ] {
            assert_eq!(Control::parse(text, &Parameters::of_query(&[])), expected, "{text}");
        }
    }
}
