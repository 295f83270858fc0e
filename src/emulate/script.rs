//! What the emulator is able to hear: recordings with their words, or words at fixed times of any audio.
//!
//! Promises: pure; times in the files are milliseconds, in here ticks of 125 us, which is one byte of 8 kHz mu-law.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use super::align::Index;
use crate::{fixture::Fixture, media::ms_to_bytes};

/// How sure the service is of a word that a script says, in hundredths.
pub(super) const SURE: u8 = 98;
/// What is heard where no script is given, once at the beginning of any audio.
const DEFAULT_SENTENCE: &str = "hello this is the emulator and it heard your audio";
/// Where the default sentence begins and how long it takes.
const DEFAULT_TIMES_MS: (u64, u64) = (300, 3300);

/// Why a script was not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadScript {
    /// Not JSON, or not the two shapes a script has.
    #[error("is neither a fixture folder nor {{\"say\":[{{\"start_ms\",\"end_ms\",\"text\"}}]}}: {0}")]
    Shape(String),
    /// An item that ends before it begins, or begins before the one before it ends.
    #[error("item {0} of \"say\" overlaps the one before it or ends before it begins")]
    Times(usize),
}

/// A word with its place, in ticks of 125 us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// The word.
    pub text: String,
    /// Its first tick.
    pub start: u64,
    /// The tick after its last; always later than `start`.
    pub end: u64,
    /// How sure it is, in hundredths.
    pub confidence: u8,
}

/// One recorded track and what is said on it.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    /// Mu-law, 8 kHz.
    pub(super) audio: Bytes,
    /// In order, not overlapping.
    pub(super) words: Vec<Spoken>,
}

/// What the emulator is able to hear. Cheap to clone.
#[derive(Clone)]
pub struct Script(pub(super) Content);

/// The two kinds of script.
#[derive(Clone)]
pub(super) enum Content {
    /// Recordings, recognised by their bytes.
    Recordings(Arc<Index>),
    /// Words at fixed times after a connection's first byte, whatever the audio.
    Times(Arc<[Spoken]>),
}

impl Default for Script {
    /// A built-in sentence, so that any client gets a transcript for any audio.
    fn default() -> Self {
        let (start, end) = DEFAULT_TIMES_MS;
        Self(Content::Times(spread(DEFAULT_SENTENCE, ms_to_bytes(start), ms_to_bytes(end)).into()))
    }
}

impl Script {
    /// One by which nothing is ever heard.
    pub(super) fn silent() -> Self {
        Self(Content::Times(Arc::default()))
    }

    /// The truth of recorded calls: their words are heard where their audio comes in.
    #[must_use]
    pub fn of_fixtures<'a>(fixtures: impl IntoIterator<Item = &'a Fixture>) -> Self {
        let references = fixtures.into_iter().flat_map(|fixture| {
            fixture.tracks.iter().map(|(track, audio)| {
                let words = fixture.sent_words(*track).into_iter();
                let words = words.map(|word| Spoken { text: word.text, start: word.from, end: word.to, confidence: SURE });
                Reference { audio: audio.clone(), words: words.collect() }
            })
        });
        Self(Content::Recordings(Arc::new(Index::new(references.collect()))))
    }

    /// A plain time script: `{"say":[{"start_ms","end_ms","text"}]}`, a text of several words being spread over its time by letters.
    ///
    /// # Errors
    /// If it is not that, or its items overlap.
    pub fn of_times(json: &str) -> Result<Self, BadScript> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            say: Vec<Item>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Item {
            start_ms: u64,
            end_ms: u64,
            text: String,
        }
        let file: File = serde_json::from_str(json).map_err(|error| BadScript::Shape(error.to_string()))?;
        let mut words: Vec<Spoken> = Vec::new();
        for (index, item) in file.say.iter().enumerate() {
            let (start, end) = (ms_to_bytes(item.start_ms), ms_to_bytes(item.end_ms));
            if start >= end || words.last().is_some_and(|last| start < last.end) {
                return Err(BadScript::Times(index + 1));
            }
            words.extend(spread(&item.text, start, end));
        }
        Ok(Self(Content::Times(words.into())))
    }
}

/// The words of `text` over the ticks from `start` to `end`, each as long as its share of the letters.
fn spread(text: &str, start: u64, end: u64) -> Vec<Spoken> {
    let letters: u64 = text.split_whitespace().map(|word| word.chars().count() as u64).sum();
    let mut before = 0;
    let place = |letters_before: u64| start + (end - start) * letters_before / letters.max(1);
    let word_at = |text: &str| {
        let from = before;
        before += text.chars().count() as u64;
        Spoken { text: text.to_owned(), start: place(from), end: place(before), confidence: SURE }
    };
    text.split_whitespace().map(word_at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(script: &Script) -> &[Spoken] {
        match &script.0 {
            Content::Times(words) => words,
            Content::Recordings(_) => panic!("the script is one of times"),
        }
    }

    #[test]
    fn a_text_is_spread_over_its_time_by_letters() {
        let script =
            Script::of_times(r#"{"say":[{"start_ms":0,"end_ms":100,"text":"a bbb"},{"start_ms":100,"end_ms":200,"text":"c"}]}"#)
                .unwrap();
        let found: Vec<(&str, u64, u64)> = times(&script).iter().map(|word| (word.text.as_str(), word.start, word.end)).collect();
        assert_eq!(found, [("a", 0, 200), ("bbb", 200, 800), ("c", 800, 1600)]);
    }

    #[test]
    fn a_script_that_is_no_script_is_refused_by_what_is_wrong() {
        assert!(matches!(Script::of_times(r#"{"sya":[]}"#), Err(BadScript::Shape(_))));
        let overlap = r#"{"say":[{"start_ms":0,"end_ms":100,"text":"a"},{"start_ms":50,"end_ms":200,"text":"c"}]}"#;
        assert_eq!(Script::of_times(overlap).err(), Some(BadScript::Times(2)));
    }

    #[test]
    fn without_a_script_there_is_a_sentence() {
        let script = Script::default();
        assert_eq!(times(&script).len(), DEFAULT_SENTENCE.split(' ').count());
    }
}
