//! Audio that is still held, for whoever wants to keep it for longer.

use super::{Backlog, is_quiet};
use crate::{
    media::{Chunk, Offset, bytes_to_ms, ms_to_bytes},
    spool::KEPT_MS,
};

/// Longest word, in bytes: one that is being said began at the earliest so much before.
const LONGEST_WORD: u64 = ms_to_bytes(2_000);
const _: () = assert!(LONGEST_WORD < ms_to_bytes(KEPT_MS), "what a replay reaches back to is still there");

impl Backlog {
    /// What is held of the audio between two offsets, in order; shared, not copied.
    #[must_use]
    pub fn copy(&self, from: Offset, to: Offset) -> Vec<Chunk> {
        let first = self.held.partition_point(|held| held.chunk.end() <= from);
        let held = self.held.range(first..).map(|held| &held.chunk);
        held.take_while(|chunk| chunk.offset < to).filter_map(|chunk| part(chunk, from, to)).collect()
    }

    /// How much of the audio between two offsets may be a voice, in milliseconds; what was forgotten with a voice in it counts whole.
    #[must_use]
    pub fn voice_between_ms(&self, from: Offset, to: Offset) -> u64 {
        let held = self.copy(from, to);
        let voice = held.iter().filter(|chunk| !is_quiet(chunk)).map(|chunk| chunk.audio.len() as u64).sum::<u64>();
        let forgotten = self.unheard.map_or(0, |(start, end)| end.min(to).since(start.max(from)));
        bytes_to_ms(voice + forgotten)
    }

    /// The last place at or before `at` in which nobody was in the middle of a word; not before the track's beginning.
    #[must_use]
    pub fn quiet_before(&self, at: Offset) -> Offset {
        let earliest = Offset(at.0.saturating_sub(LONGEST_WORD)).max(self.first);
        let quiet = self.copy(earliest, at).into_iter().rev().find(is_quiet);
        quiet.map_or(earliest, |chunk| chunk.end())
    }
}

/// The part of a chunk between two offsets, if there is any.
pub(in crate::upstream) fn part(chunk: &Chunk, from: Offset, to: Offset) -> Option<Chunk> {
    let length = chunk.audio.len();
    let within = |at: Offset| usize::try_from(at.since(chunk.offset)).unwrap_or(usize::MAX).min(length);
    let (start, end) = (within(from), within(to));
    (start < end).then(|| Chunk {
        offset: chunk.offset.plus(start as u64),
        at_ms: chunk.at_ms + bytes_to_ms(start as u64),
        audio: chunk.audio.slice(start..end),
        received: chunk.received,
    })
}
