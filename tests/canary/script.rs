//! What the calls say: lines one after the other, with the planted values as a real service sends them, raw in partials.

use serde_json::{Value, json};

/// From a line's begin to the next one's, in milliseconds.
const STEP_MS: u64 = 1_500;
/// How long a line is spoken.
const SPOKEN_MS: u64 = 1_200;

pub(crate) const CALLER: &str = "inbound";
pub(crate) const AGENT: &str = "outbound";

/// What one connection of one track is sent, once so much audio has come on it.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Its place among the lines of both tracks.
    pub(crate) number: usize,
    pub(crate) track: &'static str,
    /// Milliseconds of the connection's audio.
    pub(crate) at_ms: u64,
    pub(crate) frames: Vec<Frame>,
}

/// What is sent.
#[derive(Debug, Clone)]
pub(crate) enum Frame {
    Text(String),
    /// A close frame with this code and reason; then the connection is over.
    Close(u16, &'static str),
}

/// A conversation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Talk {
    pub(crate) lines: Vec<Line>,
    /// Keys and when they are pressed, in milliseconds of the call.
    pub(crate) keys: Vec<(u64, char)>,
    at_ms: u64,
}

impl Talk {
    /// How long it takes, with a quiet end.
    pub(crate) const fn length_ms(&self) -> u64 {
        self.at_ms + STEP_MS
    }

    /// A line that the service leaves as it was said.
    pub(crate) fn says(self, track: &'static str, text: &str) -> Self {
        self.shown(track, text, text)
    }

    /// A line of which the service shows another text; partials and utterances have what was said.
    pub(crate) fn shown(mut self, track: &'static str, shown: &str, said: &str) -> Self {
        let (from, to) = (self.at_ms, self.at_ms + SPOKEN_MS);
        let half = &said[..said.char_indices().nth(said.chars().count() / 2).map_or(0, |(at, _)| at)];
        let begin = [json!({"type": "speech_started", "timestamp": seconds(from)}), partial(half)];
        let end = [partial(said), last(shown, said, from, to), json!({"type": "speech_ended", "timestamp": seconds(to)})];
        self.line(track, from + SPOKEN_MS / 2, begin.iter().map(|frame| Frame::Text(frame.to_string())).collect());
        self.line(track, to + 100, end.iter().map(|frame| Frame::Text(frame.to_string())).collect());
        self.at_ms += STEP_MS;
        self
    }

    /// Frames as they are.
    pub(crate) fn sends(mut self, track: &'static str, frames: impl IntoIterator<Item = Frame>) -> Self {
        self.line(track, self.at_ms + 100, frames.into_iter().collect());
        self.at_ms += STEP_MS;
        self
    }

    fn line(&mut self, track: &'static str, at_ms: u64, frames: Vec<Frame>) {
        self.lines.push(Line { number: self.lines.len(), track, at_ms, frames });
    }

    /// The caller presses these keys, five a second.
    pub(crate) fn types(mut self, keys: &str) -> Self {
        for key in keys.chars() {
            self.keys.push((self.at_ms, key));
            self.at_ms += 200;
        }
        self.at_ms += STEP_MS;
        self
    }

    /// Nobody says anything.
    pub(crate) fn waits(mut self, ms: u64) -> Self {
        self.at_ms += ms;
        self
    }
}

#[expect(clippy::cast_precision_loss, reason = "a call's milliseconds stay far below 2^52")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

fn partial(text: &str) -> Value {
    json!({"type": "transcription", "status": "success", "session_id": "s", "transcript": text, "transcription": text,
        "is_final": false, "is_last": false})
}

/// A final as Pulse sends it: words as the text is, utterances and further members as it was said.
fn last(shown: &str, said: &str, from: u64, to: u64) -> Value {
    let words: Vec<&str> = shown.split(' ').collect();
    let step = (to - from) / words.len() as u64;
    let timed = words.iter().zip(0..).map(|(word, number)| {
        let start = from + number * step;
        json!({"word": word, "start": seconds(start), "end": seconds(start + step), "confidence": 0.98, "speaker": 0,
            "speaker_confidence": 0.9})
    });
    json!({"type": "transcription", "status": "success", "session_id": "s", "transcript": shown, "transcription": shown,
        "is_final": true, "is_last": false, "from_finalize": false, "full_transcript": said, "language": "en", "languages": ["en"],
        "words": timed.collect::<Vec<_>>(), "raw_words": [{"word": said, "start": said}],
        "utterances": [{"text": said, "start": seconds(from), "end": seconds(to), "speaker": 0}],
        "redacted_entities": [said], "emotion": {"note": said}, "gender": said, "debug": {"heard": said}})
}
