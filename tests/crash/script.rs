//! A recording that says each word once on a track, so that a word's name is its place, as a fixture that the emulator reads.

use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::chance::Chance;

/// Bytes of one frame of 20 ms, mu-law at 8 kHz.
pub(crate) const FRAME: usize = 160;
/// Milliseconds of a frame.
pub(crate) const FRAME_MS: u64 = 20;
/// Length of the recording; no phone of these tests talks for longer.
pub(crate) const LENGTH_MS: u64 = 60_000;
/// The tracks, and where the first phrase of each begins.
const TRACKS: [(&str, &str, u64); 2] = [("inbound", "caller", 300), ("outbound", "agent", 1100)];
/// A phrase and the pause behind it; the pause is a little longer than what ends an utterance, 800 ms.
const PHRASE_MS: u64 = 1650;
const WORDS_IN_A_PHRASE: u64 = 4;
/// From one word's beginning to the next one's, and how long it lasts.
const WORD_EVERY_MS: u64 = 200;
const WORD_MS: u64 = 150;
/// Mu-law values of sound and of a room without any; each block of 4 ms is another, so that the emulator knows the place.
const LOUD: [u8; 8] = [0x00, 0x08, 0x12, 0x1B, 0x80, 0x89, 0x93, 0x9A];
const QUIET: [u8; 8] = [0xFF, 0xFE, 0xFD, 0xFC, 0x7E, 0x7D, 0x7C, 0x7B];

/// A word and where it lies, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) track: &'static str,
    pub(crate) text: String,
    pub(crate) start_ms: u64,
    pub(crate) end_ms: u64,
}

/// Every word of the recording, track by track in their order.
pub(crate) fn words() -> Vec<Word> {
    let of_track = |(number, (track, _, first)): (usize, &(&'static str, &str, u64))| {
        let (number, track, first) = (number as u64, *track, *first);
        let phrases = (LENGTH_MS - first) / PHRASE_MS;
        (0..phrases * WORDS_IN_A_PHRASE).map(move |at| {
            let start_ms = first + at / WORDS_IN_A_PHRASE * PHRASE_MS + at % WORDS_IN_A_PHRASE * WORD_EVERY_MS;
            Word { track, text: name(number * 1000 + at), start_ms, end_ms: start_ms + WORD_MS }
        })
    };
    TRACKS.iter().enumerate().flat_map(of_track).collect()
}

/// A word for a number: three syllables that make no word of any language's numbers.
fn name(number: u64) -> String {
    const SYLLABLES: [&str; 16] =
        ["bal", "dor", "fim", "gul", "kas", "lup", "mog", "nir", "pem", "rud", "sab", "tol", "vug", "wam", "zib", "jop"];
    [number / 256, number / 16, number].map(|digit| SYLLABLES[(digit % 16) as usize]).concat()
}

/// A track's audio.
pub(crate) fn audio(track: &str) -> Bytes {
    let mut chance = Chance::new(if track == "inbound" { 1 } else { 2 });
    let words: Vec<Word> = words().into_iter().filter(|word| word.track == track).collect();
    let is_loud = |ms: u64| words.iter().any(|word| (word.start_ms..word.end_ms).contains(&ms));
    let of_ms = |ms: u64| if is_loud(ms) { LOUD } else { QUIET };
    (0..LENGTH_MS).flat_map(|ms| [of_ms(ms); 8]).map(|values| chance.pick(&values)).collect()
}

/// Writes the recording as a fixture's folder.
pub(crate) fn write(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let mut tracks = serde_json::Map::new();
    for (track, role, _) in TRACKS {
        std::fs::write(folder.join(format!("{track}.ulaw")), audio(track)).unwrap();
        let of_track = |word: &Word| json!({"text": word.text, "start_ms": word.start_ms, "end_ms": word.end_ms});
        let words: Vec<Value> = words().iter().filter(|word| word.track == track).map(of_track).collect();
        tracks.insert(track.to_owned(), json!({"role": role, "words": words}));
    }
    std::fs::write(folder.join("truth.json"), json!({"tracks": tracks}).to_string()).unwrap();
    let names = TRACKS.map(|(track, ..)| track);
    let format = json!({"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1});
    let start = json!({"accountSid": "AC1", "callSid": "CA1", "streamSid": "MZ1", "tracks": names, "mediaFormat": format,
        "customParameters": {}});
    let media = json!({"tracks": names, "chunk": "1", "timestamp": "0", "bytes": FRAME, "times": LENGTH_MS / FRAME_MS});
    let messages = [
        json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}),
        json!({"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": start}),
        json!({"event": "media", "sequenceNumber": "2", "media": media}),
    ];
    let lines: Vec<String> = messages.iter().map(Value::to_string).collect();
    std::fs::write(folder.join("messages.jsonl"), lines.join("\n")).unwrap();
}

#[test]
fn no_word_is_said_twice_on_a_track_and_the_emulator_can_read_it() {
    let folder = crate::child::folder("script");
    write(&folder);
    let fixture = pulse_bridge::fixture::Fixture::load(&folder).unwrap();
    for track in fixture.tracks.keys() {
        let words: Vec<String> = fixture.sent_words(*track).into_iter().map(|word| word.text).collect();
        let distinct: std::collections::BTreeSet<&String> = words.iter().collect();
        assert!(words.len() > 100 && distinct.len() == words.len(), "{track}: {words:?}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}
