//! What the older ASR says (protocols/pulse.md section 9), as the messages that a link knows.
//!
//! Promises: any text is an answer, never a panic. A text is a final where `isFinal` says so, and where it is not said, at the end
//! of a turn: `isFinal` alone tells whether a text may still change, while a turn may hold several finals. Nothing has times, words or
//! speakers. What a caller said goes straight into [`Unredacted`](crate::pii::Unredacted).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Cause;
use crate::upstream::{
    Reason,
    wire::{ErrorFrame, ErrorKind, Message, Raw, Transcript, boolean, number, object, plain, reason, string},
};

/// Reads one text frame.
pub(in crate::upstream) fn parse(text: &str) -> Message {
    let Some(frame) = object::<Frame<'_>>(text) else { return Message::Malformed };
    let (kind, event) = (plain(frame.kind).unwrap_or_default(), plain(frame.event));
    let spoken = string(frame.text);
    match (event.as_deref(), kind.as_str(), spoken) {
        (Some("voice_activity"), ..) => frame.voice(),
        (None, "" | "transcription", Some(text)) => {
            let is_final = boolean(frame.is_final.or(frame.is_end_of_turn));
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
        let detail = self.error.and_then(|raw| reason(raw, 0)).unwrap_or_default();
        let kind = Cause::of_message(&message).map_or(ErrorKind::Unnamed, ErrorKind::Named);
        let told = if detail.is_empty() { message } else { format!("{message}: {detail}") };
        ErrorFrame { reason: Reason::in_a_call(&told), kind }
    }
}
