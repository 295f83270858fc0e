//! What the speech service says, read leniently (protocols/pulse.md sections 6.1 to 6.3). Private to this folder.
//!
//! Promises: any text is an answer, never a panic; one odd member costs that member, not the message. A caller's words go
//! straight into [`Unredacted`]; everything else that is let through is too short and too plain to carry any.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    asr::{Cause, Objection},
    refusal::{Reason, Refusal},
};
use crate::pii::Unredacted;

/// Longest name or word kept of what the service adds to a final, and of a language code.
const MAX_PLAIN: usize = 32;
/// Most members kept of such an object, most languages of a final.
const MAX_MEMBERS: usize = 32;
/// The error code for a language that the region does not serve (protocols/pulse.md section 2.4).
const LANGUAGE_CODE: &str = "LANGUAGE_NOT_ENABLED_IN_REGION";

/// One message.
pub(super) enum Message {
    Transcript(Box<Transcript>),
    /// Seconds from the connection's first audio.
    SpeechStarted(Option<f64>),
    SpeechEnded(Option<f64>),
    Error(ErrorFrame),
    /// What was said is being worked on; the built-in engine's own message, where it was asked for.
    Progress,
    /// A type that means nothing to us.
    Unknown,
    /// Not a JSON object.
    Malformed,
}

impl Message {
    /// Whether it is a text that will not change any more.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Transcript(transcript) if transcript.is_final)
    }
}

/// A partial or a final.
#[derive(Default)]
pub(super) struct Transcript {
    pub(super) text: Unredacted,
    pub(super) is_final: bool,
    pub(super) is_last: bool,
    pub(super) from_finalize: bool,
    pub(super) words: Vec<Word>,
    pub(super) utterances: Vec<Word>,
    pub(super) language: Option<String>,
    pub(super) languages: Vec<String>,
    pub(super) emotion: Option<serde_json::Value>,
    pub(super) gender: Option<serde_json::Value>,
}

/// A word, or an utterance. Times are seconds as the service gave them.
pub(super) struct Word {
    pub(super) text: Unredacted,
    pub(super) start: Option<f64>,
    pub(super) end: Option<f64>,
    pub(super) confidence: Option<f64>,
    pub(super) speaker: Option<u32>,
    pub(super) speaker_confidence: Option<f64>,
}

/// An error in any of its forms.
#[derive(Debug, PartialEq)]
pub(super) struct ErrorFrame {
    pub(super) reason: Reason,
    pub(super) kind: ErrorKind,
}

/// What an error is about, as far as that decides what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorKind {
    /// Nothing that is known.
    Unnamed,
    /// The region does not serve the language: trying again is no use.
    Language,
    /// A cause that the older ASR names.
    Named(Cause),
}

impl ErrorFrame {
    /// The cause for having no connection any more.
    pub(super) fn refusal(self) -> Refusal {
        let reason = self.reason;
        match self.kind {
            ErrorKind::Unnamed => Refusal::ErrorFrame { reason },
            ErrorKind::Language => Refusal::Language { reason },
            ErrorKind::Named(cause) => Refusal::Objection(Objection { cause, reason }),
        }
    }
}

/// Reads one text frame.
pub(super) fn parse(text: &str) -> Message {
    let Some(frame) = object::<Frame<'_>>(text) else { return Message::Malformed };
    let kind = plain(frame.kind).unwrap_or_default();
    let spoken = string(frame.transcript).or_else(|| string(frame.transcription));
    let errs = kind == "error" || plain(frame.status).as_deref() == Some("error") || (frame.error.is_some() && spoken.is_none());
    match (kind.as_str(), spoken) {
        _ if errs => Message::Error(frame.error()),
        ("progress", None) => Message::Progress,
        ("speech_started", _) => Message::SpeechStarted(number(frame.timestamp)),
        ("speech_ended", _) => Message::SpeechEnded(number(frame.timestamp)),
        ("transcription" | "transcript" | "", Some(text)) => Message::Transcript(Box::new(frame.transcript(text))),
        _ => Message::Unknown,
    }
}

pub(super) type Raw<'a> = Option<&'a RawValue>;

/// Every member by its text: what it holds is looked at one by one.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    transcript: Raw<'a>,
    #[serde(borrow)]
    transcription: Raw<'a>,
    #[serde(borrow)]
    is_final: Raw<'a>,
    #[serde(borrow)]
    is_last: Raw<'a>,
    #[serde(borrow)]
    from_finalize: Raw<'a>,
    #[serde(borrow)]
    language: Raw<'a>,
    #[serde(borrow)]
    languages: Raw<'a>,
    #[serde(borrow)]
    words: Raw<'a>,
    #[serde(borrow)]
    utterances: Raw<'a>,
    /// `emotions` is batch's name for it (protocols/pulse.md section 8.2).
    #[serde(borrow, alias = "emotions")]
    emotion: Raw<'a>,
    #[serde(borrow)]
    gender: Raw<'a>,
    #[serde(borrow)]
    timestamp: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow)]
    error: Raw<'a>,
    #[serde(borrow)]
    errors: Raw<'a>,
    #[serde(borrow)]
    error_code: Raw<'a>,
}

impl Frame<'_> {
    fn transcript(&self, text: Unredacted) -> Transcript {
        Transcript {
            text,
            is_final: boolean(self.is_final) || boolean(self.is_last),
            is_last: boolean(self.is_last),
            from_finalize: boolean(self.from_finalize),
            words: words(self.words),
            utterances: words(self.utterances),
            language: plain(self.language),
            languages: list(self.languages).into_iter().filter_map(|raw| plain(Some(raw))).take(MAX_MEMBERS).collect(),
            emotion: flat(self.emotion),
            gender: flat(self.gender),
        }
    }

    fn error(&self) -> ErrorFrame {
        let reason = [self.message, self.error, self.errors, self.error_code].into_iter().find_map(|raw| reason(raw?, 0));
        let language = plain(self.error_code).as_deref() == Some(LANGUAGE_CODE)
            || reason.as_deref().is_some_and(|it| it.contains(LANGUAGE_CODE));
        let kind = if language { ErrorKind::Language } else { ErrorKind::Unnamed };
        ErrorFrame { reason: Reason::in_a_call(&reason.unwrap_or_default()), kind }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WordFrame<'a> {
    #[serde(borrow)]
    word: Raw<'a>,
    #[serde(borrow)]
    text: Raw<'a>,
    #[serde(borrow)]
    transcript: Raw<'a>,
    #[serde(borrow)]
    start: Raw<'a>,
    #[serde(borrow)]
    end: Raw<'a>,
    #[serde(borrow)]
    confidence: Raw<'a>,
    #[serde(borrow)]
    speaker: Raw<'a>,
    #[serde(borrow)]
    speaker_confidence: Raw<'a>,
}

fn words(raw: Raw<'_>) -> Vec<Word> {
    let frames = list(raw).into_iter().filter_map(|raw| object::<WordFrame<'_>>(raw.get()));
    frames
        .filter_map(|frame| {
            let text = [frame.word, frame.text, frame.transcript].into_iter().find_map(string).filter(|text| !text.is_blank())?;
            Some(Word {
                text: Unredacted::new(text.expose().trim()),
                start: number(frame.start),
                end: number(frame.end),
                confidence: share(frame.confidence),
                speaker: speaker(frame.speaker),
                speaker_confidence: share(frame.speaker_confidence),
            })
        })
        .collect()
}

/// An object; serde would take a list for one as well.
pub(super) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
}

pub(super) fn list(raw: Raw<'_>) -> Vec<&RawValue> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

pub(super) fn string(raw: Raw<'_>) -> Option<Unredacted> {
    serde_json::from_str::<String>(raw?.get()).ok().map(Unredacted::new)
}

pub(super) fn boolean(raw: Raw<'_>) -> bool {
    raw.is_some_and(|raw| matches!(raw.get(), "true" | "\"true\"" | "1"))
}

/// A number, or digits in a string; never NaN or infinite.
pub(super) fn number(raw: Raw<'_>) -> Option<f64> {
    raw?.get().trim_matches('"').parse().ok().filter(|number: &f64| number.is_finite())
}

/// A confidence.
fn share(raw: Raw<'_>) -> Option<f64> {
    number(raw).filter(|share| (0.0..=1.0).contains(share))
}

/// An integer, a digit string or `speaker_N` (protocols/pulse.md section 6.1).
fn speaker(raw: Raw<'_>) -> Option<u32> {
    let text = raw?.get().trim_matches('"');
    let text = text.strip_prefix("speaker_").unwrap_or(text);
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

/// A short plain name: too little to carry a caller's words.
pub(super) fn plain(raw: Raw<'_>) -> Option<String> {
    let fits = |text: &String| is_name(text, |byte| byte.is_ascii_alphanumeric());
    serde_json::from_str::<String>(raw?.get()).ok().filter(fits)
}

fn is_name(text: &str, letter: impl Fn(u8) -> bool) -> bool {
    (1..=MAX_PLAIN).contains(&text.len()) && text.bytes().all(|byte| letter(byte) || byte == b'_' || byte == b'-')
}

/// What `pulse-2` adds to a final: kept if it is a flat object of short alphabetic names with numbers, switches or such names.
fn flat(raw: Raw<'_>) -> Option<serde_json::Value> {
    use serde_json::Value;
    let members: serde_json::Map<String, Value> = serde_json::from_str(raw?.get()).ok()?;
    let alphabetic = |text: &str| is_name(text, |byte| byte.is_ascii_alphabetic());
    let fits = |value: &Value| match value {
        Value::Number(_) | Value::Bool(_) => true,
        Value::String(text) => alphabetic(text),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    };
    let kept = (1..=MAX_MEMBERS).contains(&members.len()) && members.iter().all(|(name, value)| alphabetic(name) && fits(value));
    kept.then_some(Value::Object(members))
}

/// The text of an error: a string, the message of an object, or the first of a list that has one.
pub(super) fn reason(raw: &RawValue, depth: u8) -> Option<String> {
    #[derive(Deserialize)]
    struct Nested<'a> {
        #[serde(borrow, default)]
        message: Raw<'a>,
        #[serde(borrow, default)]
        error: Raw<'a>,
        #[serde(borrow, default)]
        code: Raw<'a>,
    }
    if depth > 3 {
        return None;
    }
    if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
        return (!text.trim().is_empty()).then_some(text);
    }
    if let Some(nested) = object::<Nested<'_>>(raw.get()) {
        return [nested.message, nested.error, nested.code].into_iter().find_map(|raw| reason(raw?, depth + 1));
    }
    list(Some(raw)).into_iter().find_map(|raw| reason(raw, depth + 1))
}

#[cfg(test)]
mod tests;
