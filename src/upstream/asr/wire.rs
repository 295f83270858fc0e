//! What the older ASR says (protocols/pulse.md section 9), as the messages that a link knows.
//!
//! Promises: any text is an answer, never a panic. A text is a final at the end of a turn, which is all that the page knows, and where
//! `isFinal` says so: a turn may hold several finals, and whatever else a message says, nothing comes behind the end of a turn. Nothing
//! has times, words or speakers. What a caller said goes straight into [`Unredacted`](crate::pii::Unredacted).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Cause, TABLE};
use crate::upstream::{
    Reason,
    wire::{ErrorFrame, ErrorKind, Message, Raw, Transcript, boolean, list, number, object, plain, reason, string},
};

/// Most complaints about parameters that are repeated.
const MAX_COMPLAINTS: usize = 4;

/// Reads one text frame.
pub(in crate::upstream) fn parse(text: &str) -> Message {
    let Some(frame) = object::<Frame<'_>>(text) else { return Message::Malformed };
    let (kind, event) = (plain(frame.kind).unwrap_or_default(), plain(frame.event));
    let spoken = string(frame.text);
    match (event.as_deref(), kind.as_str(), spoken) {
        (Some("voice_activity"), ..) => frame.voice(),
        (None, "" | "transcription", Some(text)) => {
            let is_final = boolean(frame.is_final) || boolean(frame.is_end_of_turn);
            Message::Transcript(Box::new(Transcript { text, is_final, ..Transcript::default() }))
        }
        (None, "" | "error", None) if frame.message.is_some() || frame.error.is_some() => Message::Error(frame.error()),
        (None, "error", _) => Message::Error(frame.error()),
        _ => Message::Unknown,
    }
}

/// Every member by its text: what it holds is looked at one by one.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    event: Raw<'a>,
    #[serde(borrow)]
    text: Raw<'a>,
    #[serde(borrow, rename = "isFinal")]
    is_final: Raw<'a>,
    #[serde(borrow, rename = "isEndOfTurn")]
    is_end_of_turn: Raw<'a>,
    #[serde(borrow)]
    speaking: Raw<'a>,
    #[serde(borrow)]
    timestamp: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow)]
    error: Raw<'a>,
}

impl Frame<'_> {
    /// Voice activity. No page says what its timestamp counts. Seconds of the connection are taken as such; a time of day, and none at
    /// all, are later than everything that was sent, and so become the end of that.
    fn voice(&self) -> Message {
        let at = number(self.timestamp).or(Some(f64::MAX));
        match self.speaking.map(RawValue::get) {
            Some("true") => Message::SpeechStarted(at),
            Some("false") => Message::SpeechEnded(at),
            _ => Message::Unknown,
        }
    }

    fn error(&self) -> ErrorFrame {
        let message = self.message.and_then(|raw| reason(raw, 0)).unwrap_or_default();
        let cause = Cause::of_message(&message);
        let kind = cause.map_or(ErrorKind::Unnamed, ErrorKind::Named);
        if cause == Some(Cause::Parameters) {
            let complaints: Vec<String> = texts(self.error).iter().take(MAX_COMPLAINTS).map(|text| complaint(text)).collect();
            return ErrorFrame { reason: Reason::before_a_call(&complaints.join("; ")), kind };
        }
        let detail = self.error.and_then(|raw| reason(raw, 0)).unwrap_or_default();
        let told = [message, detail].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
        // A colon between the two is lost with everything else that is no word of a failure.
        ErrorFrame { reason: Reason::in_a_call(&told), kind }
    }
}

/// One text, or a list of them.
fn texts(raw: Raw<'_>) -> Vec<String> {
    let one = raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).map(|text: String| vec![text]);
    one.unwrap_or_else(|| list(raw).into_iter().filter_map(|raw| reason(raw, 0)).collect())
}

/// What the service says about a parameter, as far as it is made of the names and values that we know: its words might echo anything.
fn complaint(text: &str) -> String {
    let words = || text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| !word.is_empty());
    let Some(row) = TABLE.iter().find(|row| words().any(|word| word == row.wire)) else {
        return Reason::in_a_call(text).to_string();
    };
    let number = || words().find(|word| word.len() <= 5 && word.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or_default();
    let rule = match text {
        _ if text.contains("required") => "is required".to_owned(),
        _ if text.contains("at least") => format!("must be at least {}", number()),
        _ if text.contains("at most") || text.contains("greater than") => format!("must be at most {}", number()),
        _ if text.contains("one of") => {
            let known = words().filter(|word| row.takes(word)).collect::<Vec<_>>().join(", ");
            format!("must be one of the following values: {known}")
        }
        _ => "has a value that it does not take".to_owned(),
    };
    format!("{} {rule}", row.wire)
}

#[cfg(test)]
mod tests;
