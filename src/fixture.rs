//! A recorded call on disk: the message log, the audio of each track, and the truth of what was said.
//!
//! Promises: a [`Fixture`] that loaded is whole: every media message has its bytes, every byte of a track has its message, and
//! the truth names only tracks that are there. A line that stands for many messages is many messages here, and takes no more memory
//! than the tracks' bytes allow. What is wrong is said with file and line. The format is in fixtures/README.md.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::{log::MOST_TIMES, place::SentWord};
use crate::media::Track;

mod log;
mod place;

/// Name of the message log in a fixture's folder.
pub const MESSAGES: &str = "messages.jsonl";
/// Name of the truth in a fixture's folder.
pub const TRUTH: &str = "truth.json";

/// Why a fixture could not be loaded; one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// A file could not be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A file is not what the format wants.
    #[error("{}:{line}: {problem}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Counted from 1; 0 for the file as a whole.
        line: usize,
        /// What is wrong and what is expected.
        problem: String,
    },
}

/// One recorded call.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// The folder's name.
    pub name: String,
    /// What the phone sent, in sending order.
    pub messages: Vec<Message>,
    /// Each track's mu-law bytes, 8 kHz.
    pub tracks: BTreeMap<Track, Bytes>,
    /// What was said on each track; empty where the fixture has no truth.
    pub truth: BTreeMap<Track, Truth>,
}

/// One message of the log. Counters are what the log said, as numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The greeting before anything else.
    Connected,
    /// The stream's beginning.
    Start(Start),
    /// A piece of audio.
    Media(Media),
    /// The stream's regular end.
    Stop {
        /// `sequenceNumber`.
        sequence: u64,
    },
    /// Anything else (`dtmf`, `mark`), as its line in the log.
    Other(String),
}

/// What the `start` message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// `sequenceNumber`.
    pub sequence: u64,
    /// `AC…`.
    pub account_sid: String,
    /// `CA…` as recorded; a replayed call gets one of its own.
    pub call_sid: String,
    /// `MZ…` as recorded.
    pub stream_sid: String,
    /// The tracks that were announced.
    pub tracks: Vec<Track>,
    /// `customParameters`, by name.
    pub parameters: BTreeMap<String, String>,
}

/// What a `media` message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// `sequenceNumber`.
    pub sequence: u64,
    /// Whose audio.
    pub track: Track,
    /// `chunk`, counted per track from 1.
    pub chunk: u64,
    /// `timestamp`, milliseconds since the stream began.
    pub timestamp_ms: u64,
    /// The payload's bytes.
    pub audio: Bytes,
}

/// What was said on a track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// `caller` or `agent`.
    pub role: String,
    /// In the order in which they were said; never overlapping.
    pub words: Vec<TruthWord>,
}

/// A word that was really said; times in milliseconds on the sender's media clock, which is that of the log's timestamps. Where audio
/// never came this is not where the word lies in the track's bytes: see [`Fixture::sent_words`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruthWord {
    /// As spoken, without punctuation.
    pub text: String,
    /// Where it begins.
    pub start_ms: u64,
    /// Where it ends, also if the recording stops before.
    pub end_ms: u64,
    /// The recording stops inside this word.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

impl Fixture {
    /// Loads the folder at `path`.
    ///
    /// # Errors
    /// Names the file and line that is missing or wrong.
    pub fn load(path: &Path) -> Result<Self, FixtureError> {
        let name = path.canonicalize().ok().and_then(|full| Some(full.file_name()?.to_string_lossy().into_owned()));
        let tracks = load_tracks(path)?;
        let log = path.join(MESSAGES);
        let messages = log::parse(&log, &read_text(&log)?, &tracks)?;
        let truth = load_truth(path, &tracks)?;
        Ok(Self { name: name.unwrap_or_else(|| path.display().to_string()), messages, tracks, truth })
    }

    /// The stream's `start`, if the log has one.
    #[must_use]
    pub fn start(&self) -> Option<&Start> {
        self.messages.iter().find_map(|message| match message {
            Message::Start(start) => Some(start),
            _ => None,
        })
    }

    /// The words of a track that can be heard in what was sent, with the bytes that they take in the track's file.
    #[must_use]
    pub fn sent_words(&self, track: Track) -> Vec<SentWord> {
        let words = self.truth.get(&track).map_or(&[][..], |truth| &truth.words);
        place::sent_words(words, &place::stretches(&self.messages, track))
    }

    /// Whether the call ends with `stop` rather than by a broken socket.
    #[must_use]
    pub fn has_stop(&self) -> bool {
        self.messages.iter().any(|message| matches!(message, Message::Stop { .. }))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, FixtureError> {
    fs::read(path).map_err(|cause| FixtureError::Unreadable { path: path.to_owned(), cause })
}

fn read_text(path: &Path) -> Result<String, FixtureError> {
    fs::read_to_string(path).map_err(|cause| FixtureError::Unreadable { path: path.to_owned(), cause })
}

fn malformed(path: &Path, line: usize, problem: impl Into<String>) -> FixtureError {
    FixtureError::Malformed { path: path.to_owned(), line, problem: problem.into() }
}

fn load_tracks(folder: &Path) -> Result<BTreeMap<Track, Bytes>, FixtureError> {
    let mut tracks = BTreeMap::new();
    for track in Track::ALL {
        let path = folder.join(format!("{track}.ulaw"));
        if path.exists() {
            tracks.insert(track, read(&path)?.into());
        }
    }
    Ok(tracks)
}

fn load_truth(folder: &Path, tracks: &BTreeMap<Track, Bytes>) -> Result<BTreeMap<Track, Truth>, FixtureError> {
    #[derive(Deserialize)]
    struct File {
        tracks: BTreeMap<Track, Truth>,
    }
    let path = folder.join(TRUTH);
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let file: File =
        serde_json::from_str(&read_text(&path)?).map_err(|error| malformed(&path, error.line(), error.to_string()))?;
    for (track, truth) in &file.tracks {
        if !tracks.contains_key(track) {
            return Err(malformed(&path, 0, format!("has words for {track}, but there is no {track}.ulaw beside it")));
        }
        let ordered = truth.words.windows(2).all(|pair| pair[0].end_ms <= pair[1].start_ms);
        if !ordered || truth.words.iter().any(|word| word.start_ms >= word.end_ms) {
            return Err(malformed(&path, 0, format!("the words of {track} overlap, or one ends before it begins")));
        }
    }
    Ok(file.tracks)
}

#[cfg(test)]
mod tests;
