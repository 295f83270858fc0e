//! Audio that finals have already told, kept for each voice: a new connection hears it first, so that its speaker numbers can be matched to the
//! voices of the link by the words that both heard.
//!
//! Promises: at most [`REACH`] for each of at most [`MAX_VOICES`] voices, the latest of each; the pieces go out in order, each byte once, with
//! a little of what is around the words.

use std::collections::VecDeque;

use super::backlog::part;
use crate::media::{Chunk, Offset, ms_to_bytes};

/// Already final speech that is kept of a voice, in bytes: 3 s, which is some eight words.
pub(super) const REACH: u64 = ms_to_bytes(3_000);
/// Voices of which speech is kept: a call has two parties and seldom more than two people on a side.
const MAX_VOICES: usize = 4;
/// What is kept before and behind the words, in bytes: a recogniser wants to hear them begin.
const AROUND: u64 = ms_to_bytes(150);

/// Some words of one voice.
#[derive(Debug)]
struct Piece {
    voice: u32,
    audio: VecDeque<Chunk>,
}

impl Piece {
    fn bytes(&self) -> u64 {
        self.audio.iter().map(|chunk| chunk.audio.len() as u64).sum()
    }
}

/// What is kept of one link's voices.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// In the order in which finals told them.
    pieces: VecDeque<Piece>,
}

impl Reach {
    /// A voice said something in this stretch; `audio` gives what is held between two offsets.
    pub(super) fn keep(&mut self, voice: u32, (from, to): (Offset, Offset), audio: impl Fn(Offset, Offset) -> Vec<Chunk>) {
        // A final may come twice.
        if self.pieces.iter().any(|piece| piece.voice == voice && piece.audio.back().is_some_and(|last| last.end() >= to)) {
            return;
        }
        let from = Offset(from.0.saturating_sub(AROUND)).max(Offset(to.0.saturating_sub(REACH)));
        let audio = audio(from, to.plus(AROUND));
        if audio.is_empty() {
            return;
        }
        self.pieces.push_back(Piece { voice, audio: audio.into() });
        self.trim(voice);
        while let Some(oldest) = self.one_too_many() {
            self.pieces.retain(|piece| piece.voice != oldest);
        }
    }

    /// Whether this point lies in what is kept.
    pub(super) fn has(&self, at: Offset) -> bool {
        let holds = |chunk: &Chunk| chunk.offset <= at && at < chunk.end();
        self.pieces.iter().any(|piece| piece.audio.iter().any(holds))
    }

    /// What a connection is to hear before it is sent the audio from `before` on.
    pub(super) fn prelude(&self, before: Offset) -> VecDeque<Chunk> {
        let mut kept: Vec<&Chunk> = self.pieces.iter().flat_map(|piece| &piece.audio).collect();
        kept.sort_by_key(|chunk| chunk.offset);
        let mut behind = Offset(0);
        let once = |chunk: &Chunk| {
            let rest = part(chunk, behind.max(chunk.offset), before)?;
            behind = rest.end();
            Some(rest)
        };
        kept.into_iter().filter_map(once).collect()
    }

    /// Whether all between two offsets would be heard before the audio from `to` on.
    pub(super) fn leads(&self, from: Offset, to: Offset) -> bool {
        let in_one_piece = |at: Offset, chunk: &Chunk| if chunk.end() == at { chunk.offset } else { at };
        self.prelude(to).iter().rev().fold(to, in_one_piece) <= from
    }

    /// Lets go of what of a voice is older than its latest [`REACH`].
    fn trim(&mut self, voice: u32) {
        let of_voice = self.pieces.iter().filter(|piece| piece.voice == voice);
        let mut more = of_voice.map(Piece::bytes).sum::<u64>().saturating_sub(REACH + 2 * AROUND);
        for piece in self.pieces.iter_mut().filter(|piece| piece.voice == voice) {
            while more > 0
                && let Some(chunk) = piece.audio.pop_front()
            {
                more = more.saturating_sub(chunk.audio.len() as u64);
            }
        }
        self.pieces.retain(|piece| !piece.audio.is_empty());
    }

    /// The voice that has been silent for longest, if there are too many.
    fn one_too_many(&self) -> Option<u32> {
        let mut latest: Vec<u32> = Vec::new();
        for piece in self.pieces.iter().rev() {
            if !latest.contains(&piece.voice) {
                latest.push(piece.voice);
            }
        }
        latest.get(MAX_VOICES).copied()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// Audio of chunks of 60 ms on a track that is held as a whole.
    fn held(from: Offset, to: Offset) -> Vec<Chunk> {
        let received = crate::clock::now();
        let chunk = |n: u64| Chunk { offset: Offset(n * 480), at_ms: n * 60, audio: Bytes::from_static(&[1; 480]), received };
        (from.0 / 480..to.0.div_ceil(480)).filter_map(|n| part(&chunk(n), from, to)).collect()
    }

    fn keep(reach: &mut Reach, voice: u32, from_ms: u64, to_ms: u64) {
        reach.keep(voice, (Offset(from_ms * 8), Offset(to_ms * 8)), held);
    }

    /// Stretches of the prelude in milliseconds.
    fn stretches(reach: &Reach, before_ms: u64) -> Vec<(u64, u64)> {
        let mut out: Vec<(u64, u64)> = Vec::new();
        for chunk in reach.prelude(Offset(before_ms * 8)) {
            let (from, to) = (chunk.offset.0 / 8, chunk.end().0 / 8);
            match out.last_mut() {
                Some(last) if last.1 == from => last.1 = to,
                _ => out.push((from, to)),
            }
        }
        out
    }

    #[test]
    fn the_latest_three_seconds_of_each_voice_come_in_order_and_once() {
        let mut reach = Reach::default();
        keep(&mut reach, 0, 10_000, 12_000);
        keep(&mut reach, 1, 12_000, 12_600);
        keep(&mut reach, 0, 20_000, 22_400);
        assert_eq!(stretches(&reach, 60_000), [(11_580, 12_750), (19_850, 22_550)], "the pieces lie over each other around 12 s");
        assert!(reach.has(Offset(12_000 * 8)) && !reach.has(Offset(15_000 * 8)));
        let leads = |from_ms: u64, to_ms: u64| reach.leads(Offset(from_ms * 8), Offset(to_ms * 8));
        assert!(leads(19_850, 22_550) && leads(21_000, 22_000) && !leads(19_840, 22_550) && !leads(22_000, 22_560));
    }

    #[test]
    fn what_is_sent_anyway_is_no_part_of_it() {
        let mut reach = Reach::default();
        keep(&mut reach, 0, 1_000, 2_000);
        assert_eq!(stretches(&reach, 1_500), [(850, 1_500)]);
        assert_eq!(stretches(&reach, 800), []);
    }

    #[test]
    fn a_long_speech_is_kept_by_its_end() {
        let mut reach = Reach::default();
        keep(&mut reach, 0, 0, 60_000);
        assert_eq!(stretches(&reach, 90_000), [(57_000, 60_150)]);
    }

    #[test]
    fn four_voices_are_kept_and_no_more_than_three_seconds_of_each() {
        let mut reach = Reach::default();
        for n in 0..10_000 {
            keep(&mut reach, u32::try_from(n % 7).unwrap(), n * 500, n * 500 + 400);
        }
        let voices: std::collections::BTreeSet<u32> = reach.pieces.iter().map(|piece| piece.voice).collect();
        assert_eq!(voices.len(), MAX_VOICES);
        let bytes: u64 = reach.pieces.iter().map(Piece::bytes).sum();
        assert!(bytes <= 4 * (REACH + 2 * AROUND), "{bytes}");
    }
}
