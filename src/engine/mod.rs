//! The built-in speech engine: telephone audio in, recognised English words out, on this machine's processors alone.
//!
//! Promises: nothing of a call leaves the process; every stretch of speech is recognised to its end, whatever the load, and only interims are
//! left out; a word that an interim has shown is never taken back to nothing; silence, noise and tones are guarded against being made into words.
//!
//! The pieces, in the data's order: `ear` ★ one stream's way from bytes to words (`sound` decodes and resamples, `voice` says where speech is,
//! `segments` ★ cuts it, `times` says when each word was, `numbers` writes them in one form), `driver` the threads that recognise for all streams,
//! with the models (`moonshine`) and how they get here (`install`).

pub mod driver;
pub mod ear;
pub mod files;
mod graph;
mod guard;
mod numbers;
mod segments;
mod sound;
mod times;
mod voice;
pub mod wheels;

use std::sync::Arc;

/// A stretch of one stream's speech that is to be recognised.
pub struct Job {
    /// Which one it is, within its stream; grows with each.
    pub id: u64,
    /// How it stands against the others that wait.
    pub urgency: Urgency,
    /// 16 kHz, one channel, -1 to 1; at most [`MOST_SAMPLES`].
    pub samples: Arc<[f32]>,
}

/// Most samples of a [`Job`]: what the models take in one piece with the padding round it.
pub const MOST_SAMPLES: usize = 16 * SAMPLES_PER_SECOND;
/// Samples a second, as the models want them.
pub const SAMPLES_PER_SECOND: usize = 16_000;

/// How a job stands against others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Text that will be replaced: the newest of a stream is enough, and under load none at all.
    Interim,
    /// In a pause: likely to become the final, and left out where finals wait already.
    Pause,
    /// Has to be done, in the order in which they came.
    Final,
}

/// What became of a [`Job`].
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The words, with the probability that the model gave each, 0 to 1; none where it heard nothing that it trusts.
    Recognised(Vec<RecognisedWord>),
    /// Left out because of load; never a final.
    Shed,
    /// The recogniser failed on it, by a fault of its own.
    Failed,
}

/// A word as the model wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecognisedWord {
    /// Without spaces round it; punctuation sticks to its word.
    pub text: String,
    /// 0 to 1.
    pub confidence: f32,
}

/// A word with its times.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// As it is written; punctuation sticks to its word.
    pub text: String,
    /// Where it began, in milliseconds of this stream's audio; derived, so only about right (see `times`).
    pub start_ms: u64,
    /// Where it ended.
    pub end_ms: u64,
    /// 0 to 1.
    pub confidence: f32,
}

/// What was heard, in the order of the audio.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Somebody began to speak there.
    VoiceStarted {
        /// In milliseconds of this stream's audio.
        at_ms: u64,
    },
    /// Nobody has spoken since.
    VoiceEnded {
        /// In milliseconds of this stream's audio.
        at_ms: u64,
    },
    /// All words of the segment that is being spoken, so far.
    Interim(Vec<Word>),
    /// A segment is over; replaces its interims. Never empty.
    Final(Vec<Word>),
    /// The answer to a flush: the last words before it, perhaps none.
    Flushed(Vec<Word>),
}

/// What recognises; one thread has one. The models do, and in tests what a test wants to be heard.
pub trait Recognise: Send {
    /// The words of these samples. Asks `is_given_up` between its steps, and may stop with [`Outcome::Shed`] when that says so.
    fn recognise(&mut self, samples: &[f32], is_given_up: &dyn Fn() -> bool) -> Outcome;
}
