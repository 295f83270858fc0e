//! The older ASR's messages as they stand on the wire.

use serde_json::{Value, json};

use super::{mask::mask, parameters::Asked};
use crate::emulate::wire::TICKS;

/// Where the milliseconds of voice activity begin: at a time of day, which the page's example looks like.
const DAY: u64 = 1_234_567_890_000;

/// How a final came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::emulate) enum Final {
    /// By silence, by `Finalize`, or by the end: each of them ends the turn.
    Turn,
    /// In the middle of a turn.
    Piece,
}

/// What is being said.
pub(in crate::emulate) fn interim(text: &str, asked: &Asked) -> String {
    result(text, asked, None)
}

/// What was said. One of the service's own page that is not the end of a turn could not be told from an interim.
pub(in crate::emulate) fn final_of(text: &str, asked: &Asked, how: Final) -> String {
    let closes = asked.punctuation && how == Final::Turn && !text.ends_with(['.', '?', '!']);
    let text = if closes { format!("{text}.") } else { text.to_owned() };
    result(&text, asked, Some(how))
}

fn result(text: &str, asked: &Asked, is_final: Option<Final>) -> String {
    let text = mask(text.trim(), &asked.redact);
    let is_end_of_turn = is_final == Some(Final::Turn) || asked.bare && is_final.is_some();
    let message = if asked.bare {
        json!({"text": text, "isEndOfTurn": is_end_of_turn})
    } else {
        json!({"type": "transcription", "text": text, "isEndOfTurn": is_end_of_turn, "isFinal": is_final.is_some()})
    };
    message.to_string()
}

/// Voice activity at this tick, in milliseconds of a day: the page does not say what it counts.
pub(in crate::emulate) fn voice(speaking: bool, at: u64) -> String {
    json!({"event": "voice_activity", "speaking": speaking, "timestamp": DAY + at * 1000 / TICKS}).to_string()
}

/// What ends the stream before it begins; several errors are a list.
pub(in crate::emulate) fn objection(message: &str, errors: &[String]) -> String {
    let error = match errors {
        [one] => Value::from(one.as_str()),
        several => Value::from(several),
    };
    json!({"message": message, "error": error}).to_string()
}

/// An error frame in the middle of a stream.
pub(in crate::emulate) fn error(message: &str) -> String {
    json!({"type": "error", "message": message, "error": message}).to_string()
}

/// No audio came for too long.
pub(in crate::emulate) fn timeout() -> String {
    json!({"message": "socket timeout"}).to_string()
}
