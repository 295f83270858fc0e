//! What is really said on a track, and the audio that says where it belongs.
//!
//! Each millisecond of audio carries its own number, so whoever receives a frame knows which audio it is; a frame with nobody
//! speaking is quiet for the bridge as well.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicI64, Ordering},
};

use bytes::Bytes;

use crate::chance::Chance;

/// Bytes of one millisecond.
pub(crate) const MS: u64 = 8;
/// Longest track that can be made, in milliseconds.
pub(crate) const LONGEST_MS: u64 = 8 * 60_000;

/// Words that no search for personal data takes for anything else.
const VOCABULARY: [&str; 40] = [
    "yes", "okay", "right", "maybe", "sure", "green", "table", "window", "garden", "music", "paper", "water", "summer", "winter",
    "bridge", "train", "station", "ticket", "kitchen", "morning", "evening", "coffee", "sugar", "bread", "market", "river",
    "stone", "apple", "lemon", "chair", "carpet", "yellow", "purple", "mountain", "island", "forest", "candle", "blanket",
    "basket", "bottle",
];

/// One word, in milliseconds of the track's audio.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    pub(crate) text: &'static str,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) person: u32,
}

/// One track.
#[derive(Debug, Clone, Default)]
pub(crate) struct Truth {
    /// In the order of their beginnings.
    pub(crate) words: Vec<Word>,
    /// Milliseconds of audio.
    pub(crate) length: u64,
    /// Where (in audio) the phone sends nothing, and for how long the call's clock runs on meanwhile.
    pub(crate) pauses: Vec<(u64, u64)>,
}

impl Truth {
    /// A track of about `length` milliseconds.
    pub(crate) fn new(chance: &mut Chance, length: u64) -> Self {
        let people = chance.pick(&[1, 1, 2, 2, 3]);
        let (talkative, overlaps, pauses) = (chance.of(20..95), chance.percent(25), chance.percent(15));
        let mut truth = Self { length, ..Self::default() };
        let (mut at, mut person) = (chance.of(100..3_000), 0);
        while at + 700 < length {
            at = truth.speak(chance, at, person, length);
            let last_end = at;
            let before = person;
            if chance.percent(50) {
                person = u32::try_from(chance.of(0..people)).expect("a few");
            }
            let gap = match chance.of(0..100) {
                n if n < 6 && talkative < 60 => chance.of(8_000..40_000),
                n if n < talkative => chance.of(200..1_500),
                _ => chance.of(1_000..5_000),
            };
            at = if overlaps && person != before && chance.percent(50) { at - chance.of(20..110) } else { at + gap };
            if pauses && at > last_end + 600 && at + 700 < length && chance.percent(10) {
                truth.pauses.push((u64::midpoint(last_end, at), chance.of(500..25_000)));
            }
        }
        truth
    }

    /// A few words of one person; gives the end of the last.
    fn speak(&mut self, chance: &mut Chance, mut at: u64, person: u32, length: u64) -> u64 {
        let mut end = at;
        for _ in 0..chance.of(1..16) {
            let word_end = at + chance.of(120..480);
            if word_end >= length {
                break;
            }
            let again = self.words.last().map(|word| word.text).filter(|_| chance.percent(12));
            let text = again.unwrap_or_else(|| chance.pick(&VOCABULARY));
            self.words.push(Word { text, start: at, end: word_end, person });
            end = word_end;
            at = word_end + chance.of(10..160);
        }
        end.max(at.min(end + 200))
    }

    /// Where audio that begins here lies on the call's clock, in milliseconds.
    pub(crate) fn clock(&self, audio_ms: u64) -> u64 {
        audio_ms + self.pauses.iter().filter(|(at, _)| *at <= audio_ms).map(|(_, long)| long).sum::<u64>()
    }

    /// As [`Truth::clock`], for audio that ends here.
    pub(crate) fn clock_end(&self, audio_ms: u64) -> u64 {
        audio_ms + self.pauses.iter().filter(|(at, _)| *at < audio_ms).map(|(_, long)| long).sum::<u64>()
    }

    /// The end of the next piece of `step` milliseconds; none lies across a pause.
    pub(crate) fn piece_end(&self, from: u64, step: u64) -> u64 {
        let end = (from + step).min(self.length);
        self.pauses.iter().map(|(at, _)| *at).filter(|at| *at > from && *at < end).min().unwrap_or(end)
    }

    /// The audio from one millisecond to another, counted in `held` as long as anybody holds any of it.
    pub(crate) fn audio(&self, from: u64, to: u64, held: &Arc<AtomicI64>) -> Bytes {
        let before = self.words.partition_point(|word| word.start < to);
        let voiced = self.words[..before].iter().rev().take(4).any(|word| word.end > from);
        let (tape, range) = (tape(voiced), usize_of(from * MS)..usize_of(to * MS));
        let bytes = (to - from) * MS;
        held.fetch_add(bytes.cast_signed(), Ordering::Relaxed);
        Bytes::from_owner(Counted { audio: &tape[range], held: Arc::clone(held) })
    }
}

/// Which byte of its track a frame begins with; `expected` is tried where the frame is too short to say.
pub(crate) fn place(frame: &[u8], expected: u64) -> Option<u64> {
    let lead = frame.iter().position(|byte| byte & 0x80 != 0).unwrap_or(0);
    let at = match frame.get(lead..lead + 8) {
        Some(unit) => unit[1..].iter().fold(0, |ms, byte| ms << 4 | u64::from(byte & 0xF)) * MS - lead as u64,
        None => expected,
    };
    let range = usize_of(at)..usize_of(at) + frame.len();
    [true, false].into_iter().any(|voiced| tape(voiced).get(range.clone()) == Some(frame)).then_some(at)
}

struct Counted {
    audio: &'static [u8],
    held: Arc<AtomicI64>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        self.audio
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.held.fetch_sub((self.audio.len() as u64).cast_signed(), Ordering::Relaxed);
    }
}

/// All the audio that there is, spoken or quiet: the first byte of each millisecond is marked, the other seven hold its number.
fn tape(voiced: bool) -> &'static [u8] {
    static TAPES: [OnceLock<Vec<u8>>; 2] = [const { OnceLock::new() }; 2];
    TAPES[usize::from(voiced)].get_or_init(|| {
        let level = if voiced { 0x2020_2020_2020_2020 } else { 0x7070_7070_7070_7070 };
        let unit = |ms: u64| {
            let nibbles = (0..7).fold(0, |spread, nibble| spread | (ms >> (4 * nibble) & 0xF) << (8 * nibble));
            (0x8000_0000_0000_0000_u64 | level | nibbles).to_be_bytes()
        };
        (0..LONGEST_MS).flat_map(unit).collect()
    })
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).expect("an offset fits")
}
