//! Finding a phone's messages in a text: whatever log lines, wrappers and arrays they lie in.
//!
//! Promises: pure; each message comes with the line it begins in; what looks like a message and is broken is an error with its
//! line, but for a last one that was cut off; the time taken is in proportion to the text.

use serde_json::{Map, Value};

/// The longest message with all that is wrapped around it, in bytes; a bridge takes 64 KiB.
pub(super) const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// How deep a message may lie in other JSON and in strings of it.
const MAX_WRAPS: usize = 8;
/// How far the first keys of a message are looked for, in bytes.
const HEAD_BYTES: usize = 400;
/// The message types that a stream has, in either direction.
const EVENTS: [&str; 7] = ["connected", "start", "media", "stop", "dtmf", "mark", "clear"];

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadLog {
    /// Counted from 1.
    pub(super) line: usize,
    /// What, and what is expected.
    pub(super) problem: String,
}

/// Told of each message with its line, from 1; says what is wrong with it.
pub(super) type Told<'a> = &'a mut dyn FnMut(usize, &Map<String, Value>) -> Result<(), String>;

/// Tells of every message in a text, in its order; gives the line of a last message that is not whole.
///
/// # Errors
/// The first message that is broken.
pub(super) fn scan(text: &str, tell: Told<'_>) -> Result<Option<usize>, BadLog> {
    let mut scan = Scan { tell, cut_off: None, string_at: None };
    scan.text(text, 0)?;
    Ok(scan.cut_off)
}

struct Scan<'a> {
    tell: Told<'a>,
    cut_off: Option<usize>,
    /// The line of the string that is looked into; all of it lies in that line.
    string_at: Option<usize>,
}

impl Scan<'_> {
    fn text(&mut self, text: &str, depth: usize) -> Result<(), BadLog> {
        let (mut at, mut counted, mut lines) = (0, 0, 1);
        while let Some(next) = text[at..].find(['{', '"']).map(|found| at + found) {
            lines += text[counted..next].bytes().filter(|byte| *byte == b'\n').count();
            counted = next;
            let line = self.string_at.unwrap_or(lines);
            let slice = within_bound(&text[next..]);
            // A quote counts where a message in a string may begin; log lines have many others.
            if slice.starts_with('"') && !slice.starts_with("\"{\\") {
                at = next + 1;
                continue;
            }
            let mut values = serde_json::Deserializer::from_str(slice).into_iter::<Value>();
            at = match values.next() {
                Some(Ok(value)) => {
                    self.value(&value, line, depth)?;
                    next + values.byte_offset()
                }
                Some(Err(error)) if begins_message(slice) => {
                    if is_last(&text[next..], slice, &error) {
                        self.cut_off = Some(line);
                        return Ok(());
                    }
                    return Err(broken(line, &error, slice.len() < text.len() - next));
                }
                Some(Err(_)) | None => next + 1,
            };
        }
        Ok(())
    }

    /// Takes a value that is a message, or what is wrapped in it.
    fn value(&mut self, value: &Value, line: usize, depth: usize) -> Result<(), BadLog> {
        let bad = |problem: String| BadLog { line, problem };
        match value {
            _ if depth > MAX_WRAPS => Ok(()),
            Value::Object(fields) if is_message(fields) => (self.tell)(line, fields).map_err(bad),
            Value::Object(fields) if is_torn_media(fields) => {
                Err(bad("a media message lacks what stands around its \"media\"; log the whole message".to_owned()))
            }
            Value::Object(fields) => fields.values().try_for_each(|value| self.value(value, line, depth + 1)),
            Value::Array(items) => items.iter().try_for_each(|value| self.value(value, line, depth + 1)),
            Value::String(text) if text.contains("event") && text.contains('{') => {
                let outside = self.string_at.replace(line);
                self.text(text, depth + 1)?;
                self.string_at = outside;
                let is_cut = self.cut_off.take().is_some();
                if is_cut { Err(bad("a message in a string is cut off; log the whole message".to_owned())) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

fn within_bound(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_MESSAGE_BYTES)]
}

/// Whether a message begins here, by its first keys; in a string, quotes are escaped.
fn begins_message(slice: &str) -> bool {
    let head = slice[..slice.floor_char_boundary(HEAD_BYTES)].trim_start_matches('"').replace("\\\"", "\"");
    let head = head[1..].split(['{', '[', '}']).next().unwrap_or_default();
    let Some((_, rest)) = head.split_once("\"event\"") else { return false };
    let word = rest.trim_start().strip_prefix(':').and_then(|rest| rest.trim_start().strip_prefix('"')).unwrap_or_default();
    EVENTS.iter().any(|event| word.starts_with(event))
}

/// Whether nothing comes behind a broken message, so that it was only not written to its end.
fn is_last(rest: &str, slice: &str, error: &serde_json::Error) -> bool {
    let behind = rest.split_once('\n').map_or("", |(_, behind)| behind);
    slice.len() == rest.len() && (error.is_eof() || behind.trim().is_empty())
}

fn broken(line: usize, error: &serde_json::Error, is_bounded: bool) -> BadLog {
    let problem = if error.is_eof() && is_bounded {
        format!("a message is longer than {} KiB", MAX_MESSAGE_BYTES / 1024)
    } else {
        let why = error.to_string();
        format!("a message is not JSON: {}", why.split(" at line ").next().unwrap_or_default())
    };
    BadLog { line, problem }
}

/// Other programs' log lines may have an `event` too.
fn is_message(fields: &Map<String, Value>) -> bool {
    let has = |name: &str| fields.contains_key(name);
    match fields.get("event").and_then(Value::as_str) {
        Some("connected") => has("protocol") || fields.len() == 1,
        Some(event @ ("start" | "media")) => fields.get(event).is_some_and(Value::is_object) || has("streamSid"),
        Some(event @ ("stop" | "dtmf" | "mark" | "clear")) => has("streamSid") || has("sequenceNumber") || has(event),
        Some(_) => has("streamSid") && has("sequenceNumber"),
        None => false,
    }
}

fn is_torn_media(fields: &Map<String, Value>) -> bool {
    fields.get("payload").is_some_and(Value::is_string) && fields.contains_key("chunk") && fields.contains_key("timestamp")
}
