//! Messages that mean nothing, for clients that must not stumble over them.
//!
//! Promises: pure; none is a transcript, an error or a voice event by protocols/pulse.md section 6, so a client that ignores what it does
//! not understand hears the same words as without them.

use super::session::Output;

/// The longest, in bytes: more than any real message has, and less than [`Fault::Huge`](super::Fault::Huge) is for.
const LONG: u64 = 100_000;
/// Deeper than parsers follow.
const DEEP: usize = 2_000;

/// Every text, written out; the last two are made.
const TEXTS: [&str; 16] = [
    "hello",
    "",
    "{",
    "null",
    "[]",
    "7",
    "{}",
    r#"["transcription","success","x",true]"#,
    r#"{"type":"weather","transcript":null}"#,
    r#"{"type":7,"transcript":{"text":"x"},"is_final":"yes","is_last":[]}"#,
    r#"{"type":"transcription","status":"success","transcript":5,"is_final":true,"is_last":1}"#,
    r#"{"type":"transcription","transcript":["x"],"words":{"word":"x"},"is_final":null}"#,
    r#"{"type":"transcription","is_final":true}"#,
    r#"{"type":"pong","timestamp":1e400}"#,
    "{\"type\":\"pong\",\"text\":\"\\ud800\"}",
    r#"{"type":"pong"} {"type":"pong"}"#,
];

/// The message of this number, counted from 0; they come again in a circle.
pub(super) fn message(number: u64) -> Output {
    let number = usize::try_from(number % (TEXTS.len() as u64 + 3)).unwrap_or(0);
    match TEXTS.get(number) {
        Some(text) => Output::Message((*text).to_owned()),
        None if number == TEXTS.len() => Output::Binary(vec![0xFF; 160]),
        None if number == TEXTS.len() + 1 => Output::Message("[".repeat(DEEP)),
        None => huge(LONG),
    }
}

/// A message of about so many bytes.
pub(super) fn huge(bytes: u64) -> Output {
    Output::Message(format!(r#"{{"type":"pong","text":"{}"}}"#, "x".repeat(usize::try_from(bytes).unwrap_or(usize::MAX))))
}
