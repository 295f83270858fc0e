//! Twilio's messages as users record them, made into calls.
//!
//! Promises: pure; a message is taken whatever it is wrapped in (see [`scan`]); each stream of the log becomes a recording, in the
//! order in which they begin; what a bridge sends back is left out; nothing is made up in silence. What is wrong is said with its line.
//! Source of the messages: protocols/ingress.md section 3.2.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value};

use super::{
    Recording,
    scan::{BadLog, scan},
};
use crate::{
    fixture::{Media, Message, Start},
    media::{Track, bytes_to_ms},
};

/// The longest log, in bytes: four hours of both tracks and the wrappers around them.
pub(super) const MAX_LOG_BYTES: u64 = 1 << 30;
/// Clones leave the padding away.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads a log; recordings are called `name`, or where they are several `name-1`, `name-2` and so on. None if no message of a phone is in it.
/// What of it is not as it was sent is in their notes, behind `path`.
///
/// # Errors
/// The first message that is broken, with its line.
pub(super) fn read(path: &str, name: &str, file: &[u8]) -> Result<Vec<Recording>, BadLog> {
    let text = decoded(file);
    let mut streams = Streams::default();
    let mut any = false;
    let cut_off = scan(&text, &mut |_, message| {
        any = true;
        streams.take(message)
    })?;
    if !any && printed_otherwise(&text) {
        let problem = "holds messages as a program prints its objects, not as JSON; log the text that came over the socket";
        return Err(BadLog { line: 1, problem: problem.to_owned() });
    }
    let mut recordings = streams.into_recordings(path, name);
    if let (Some(line), Some(last)) = (cut_off, recordings.last_mut()) {
        last.notes.push(format!("{path}:{line}: the last message is cut off and was left out"));
    }
    Ok(recordings)
}

/// UTF-8 with or without its mark, or UTF-16 as some shells redirect.
fn decoded(file: &[u8]) -> Cow<'_, str> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        Cow::Owned(String::from_utf16_lossy(&units))
    };
    match file {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] | rest => String::from_utf8_lossy(rest),
    }
}

/// Python's and Node's way of printing an object.
fn printed_otherwise(text: &str) -> bool {
    ["'event': 'media'", "event: 'media'", "'event' => 'media'", "\"event\"=>\"media\""].iter().any(|form| text.contains(form))
}

type Fields = Map<String, Value>;

#[derive(Default)]
struct Streams {
    streams: Vec<Stream>,
    /// Where messages without a stream's id go.
    current: Option<usize>,
}

#[derive(Default)]
struct Stream {
    sid: Option<String>,
    messages: Vec<Message>,
    has_start: bool,
    has_stop: bool,
    call_sid: String,
    account_sid: String,
    sequence: u64,
    tracks: BTreeMap<Track, Tail>,
    after_stop: usize,
    unstamped: usize,
}

/// Where a track has got to.
#[derive(Default)]
struct Tail {
    chunk: u64,
    end_ms: u64,
}

impl Streams {
    fn take(&mut self, message: &Fields) -> Result<(), String> {
        let event = message.get("event").and_then(Value::as_str).unwrap_or_default();
        if event == "connected" || is_outgoing(event, message) {
            return Ok(());
        }
        let stream = self.stream_of(event, message);
        if stream.has_stop {
            stream.after_stop += 1;
            return Ok(());
        }
        let sequence = number(message, "sequenceNumber")?.unwrap_or(stream.sequence.saturating_add(1));
        stream.sequence = sequence;
        match event {
            "start" => stream.take_start(sequence, message),
            "media" => stream.take_media(sequence, message),
            "stop" => {
                stream.has_stop = true;
                let inside = message.get("stop");
                let text = |key: &str| inside.and_then(|stop| stop[key].as_str()).map(str::to_owned);
                stream.account_sid = text("accountSid").unwrap_or_default();
                stream.call_sid = text("callSid").unwrap_or_default();
                stream.messages.push(Message::Stop { sequence });
                Ok(())
            }
            _ => {
                let text = Value::Object(message.clone()).to_string();
                stream.messages.push(Message::Other(text));
                Ok(())
            }
        }
    }

    /// The stream that a message names; without a name the last one, but for a start, which begins one.
    fn stream_of(&mut self, event: &str, message: &Fields) -> &mut Stream {
        let named = message.get("streamSid").or_else(|| message.get("start").and_then(|start| start.get("streamSid")));
        let sid = named.and_then(Value::as_str).map(str::to_owned);
        let known = match &sid {
            Some(sid) => self.streams.iter().rposition(|stream| stream.sid.as_ref() == Some(sid)),
            None => self.current,
        };
        let begins = |stream: &Stream| event == "start" && (stream.has_start || stream.has_stop);
        let index = known.filter(|index| !begins(&self.streams[*index])).unwrap_or_else(|| {
            self.streams.push(Stream { sid, ..Stream::default() });
            self.streams.len() - 1
        });
        self.current = Some(index);
        &mut self.streams[index]
    }

    fn into_recordings(self, path: &str, name: &str) -> Vec<Recording> {
        let several = self.streams.len() > 1;
        let named = |number: usize| if several { format!("{name}-{}", number + 1) } else { name.to_owned() };
        self.streams.into_iter().enumerate().map(|(number, stream)| stream.into_recording(path, named(number))).collect()
    }
}

/// Whether a bridge or an application said this to the phone. What the phone says is numbered.
fn is_outgoing(event: &str, message: &Fields) -> bool {
    let is_numbered = message.contains_key("sequenceNumber");
    let media = message.get("media");
    let is_placed = media.is_some_and(|media| ["track", "chunk", "timestamp"].iter().any(|key| media.get(key).is_some()));
    match event {
        "clear" => true,
        "mark" => !is_numbered,
        "media" => !is_numbered && !is_placed,
        _ => false,
    }
}

impl Stream {
    fn take_start(&mut self, sequence: u64, message: &Fields) -> Result<(), String> {
        let start = message.get("start").cloned().unwrap_or_default();
        let encoding = start["mediaFormat"]["encoding"].as_str().unwrap_or("audio/x-mulaw");
        if !["mulaw", "ulaw", "pcmu"].iter().any(|name| encoding.to_ascii_lowercase().contains(name)) {
            return Err(format!("\"start.mediaFormat.encoding\" is {encoding}; only audio/x-mulaw is played"));
        }
        let text = |key: &str| start[key].as_str().unwrap_or_default().to_owned();
        let announced = start["tracks"].as_array().into_iter().flatten().filter_map(|given| track(Some(given)).ok());
        let parameters = start["customParameters"].as_object().into_iter().flatten();
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.has_start = true;
        self.messages.push(Message::Start(Start {
            sequence,
            account_sid: text("accountSid"),
            call_sid: text("callSid"),
            stream_sid: self.sid.clone().unwrap_or_default(),
            tracks: announced.collect(),
            parameters: parameters.map(|(name, value)| (name.clone(), plain(value))).collect(),
        }));
        Ok(())
    }

    fn take_media(&mut self, sequence: u64, message: &Fields) -> Result<(), String> {
        let empty = Map::new();
        let media = message.get("media").and_then(Value::as_object).unwrap_or(&empty);
        let payload = media.get("payload").and_then(Value::as_str);
        let payload = payload.ok_or("\"media.payload\" is missing; log the whole message")?;
        let audio =
            BASE64.decode(payload).map_err(|error| format!("\"media.payload\" is not base64, so perhaps cut: {error}"))?;
        let track = track(media.get("track"))?;
        let tail = self.tracks.entry(track).or_default();
        tail.chunk = number(media, "chunk")?.unwrap_or(tail.chunk.saturating_add(1));
        let given_ms = number(media, "timestamp")?;
        self.unstamped += usize::from(given_ms.is_none());
        let timestamp_ms = given_ms.unwrap_or(tail.end_ms);
        tail.end_ms = timestamp_ms.saturating_add(bytes_to_ms(audio.len() as u64));
        let chunk = tail.chunk;
        self.messages.push(Message::Media(Media { sequence, track, chunk, timestamp_ms, audio: audio.into() }));
        Ok(())
    }

    fn into_recording(mut self, path: &str, name: String) -> Recording {
        let mut notes = Vec::new();
        let of = self.sid.as_ref().map(|sid| format!(" of stream {sid}")).unwrap_or_default();
        if !self.has_start {
            let tracks: Vec<Track> = self.tracks.keys().copied().collect();
            let words: Vec<&str> = tracks.iter().map(|track| track.as_str()).collect();
            notes.push(format!(
                "{path}: there is no start message{of}; one was made up for the tracks seen: {}",
                words.join(", ")
            ));
            let start = Start {
                sequence: 1,
                account_sid: self.account_sid,
                call_sid: self.call_sid,
                stream_sid: self.sid.unwrap_or_default(),
                tracks,
                parameters: BTreeMap::new(),
            };
            self.messages.insert(0, Message::Start(start));
        }
        if self.unstamped > 0 {
            notes.push(format!(
                "{path}: {} media messages{of} have no timestamp; theirs follow from the audio's length",
                self.unstamped
            ));
        }
        if self.after_stop > 0 {
            notes.push(format!("{path}: {} messages{of} come after its stop and were left out", self.after_stop));
        }
        self.messages.insert(0, Message::Connected);
        Recording { name, messages: self.messages, notes }
    }
}

fn track(given: Option<&Value>) -> Result<Track, String> {
    match given.map(|track| track.as_str().unwrap_or("?")) {
        None | Some("" | "inbound" | "inbound_track") => Ok(Track::Inbound),
        Some("outbound" | "outbound_track") => Ok(Track::Outbound),
        Some(_) => Err("a track is neither inbound nor outbound".to_owned()),
    }
}

/// A counter, as a number or as digits in a string.
fn number(fields: &Fields, key: &str) -> Result<Option<u64>, String> {
    let Some(given) = fields.get(key).filter(|given| !given.is_null()) else { return Ok(None) };
    let read = given.as_u64().or_else(|| given.as_str()?.trim().parse().ok());
    read.map(Some).ok_or_else(|| format!("\"{key}\" is not a whole number"))
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
