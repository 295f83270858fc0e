//! What memory keeps, what it forgets, and what of that would be missed.
//!
//! Promises: what was sent goes first; what a connection has had and is forgotten is worth sending again only if there was a voice in it.

use super::{
    Backlog,
    fetch::{AHEAD_BYTES, FETCH_BYTES},
};
use crate::media::{Chunk, Offset, bytes_to_ms, ms_to_bytes};

/// Mu-law codes of at most this magnitude (of 127) are under −48 dBFS: a line without a voice on it.
const QUIET_CODE: u8 = 15;
/// A line without a voice is told as heard in steps of this.
const QUIET_STEP_BYTES: u64 = ms_to_bytes(20_000);

impl Backlog {
    /// Where a new connection begins that has to hear everything from `from` on, the mark or behind it: what a lost one has had and is
    /// forgotten without a voice in it nobody will miss.
    #[must_use]
    pub fn worth_sending(&self, from: Offset) -> Offset {
        let unsent = Some(self.first_sent).filter(|first| *first < self.end);
        let held = self.held.get(self.held.partition_point(|held| held.chunk.end() <= from)).map(|held| held.chunk.offset);
        let unheard = self.unheard.and_then(|range| after(range, from)).map(|range| range.0);
        [unsent, held, unheard].into_iter().flatten().min().unwrap_or(self.end).max(from)
    }

    /// How far behind `from` the line was without a voice and is forgotten, once that is worth telling: nothing will be said about it.
    #[must_use]
    pub fn quiet_until(&self, from: Offset) -> Option<Offset> {
        let quiet = self.worth_sending(from).min(self.cursor);
        (quiet.since(from) >= QUIET_STEP_BYTES).then_some(quiet)
    }

    /// How much of the audio behind `from` may be a voice, in milliseconds; what was forgotten with a voice in it counts whole.
    #[must_use]
    pub fn voice_behind_ms(&self, from: Offset) -> u64 {
        let held = self.held.iter().filter(|held| held.chunk.end() > from && !is_quiet(&held.chunk));
        let forgotten = self.unheard.and_then(|range| after(range, from)).map_or(0, |(start, end)| end.since(start));
        bytes_to_ms(held.map(|held| held.chunk.audio.len() as u64).sum::<u64>() + forgotten)
    }

    /// Keeps to the limit: what was sent goes first, then what is furthest from being sent.
    pub(super) fn forget_most(&mut self) {
        while self.bytes > self.limit && self.held.len() > 1 {
            if self.unsent > 0 {
                self.forget(0);
                self.unsent -= 1;
                continue;
            }
            // Behind the audio that is ready the oldest goes: it would be the first to be fetched in any case. Where all is ready, there is no
            // connection, or hardly one.
            let behind_ready = self.ready < self.held.len();
            let just_fetched = self.held.front().is_some_and(|held| held.fetched);
            if !behind_ready && just_fetched && self.bytes <= self.limit + AHEAD_BYTES + FETCH_BYTES {
                return;
            }
            self.forget(if behind_ready { self.ready } else { 0 });
            if !behind_ready {
                self.settle();
            }
        }
    }

    pub(super) fn forget(&mut self, index: usize) {
        let Some(held) = self.held.remove(index) else { return };
        self.bytes -= held.chunk.audio.len() as u64;
        let range = (held.chunk.offset.max(self.mark), held.chunk.end());
        if range.0 < range.1 && range.1 <= self.first_sent && !is_quiet(&held.chunk) {
            self.unheard = Some(self.unheard.map_or(range, |known| (known.0.min(range.0), known.1.max(range.1))));
        }
    }
}

/// Whether there is no voice in a chunk.
pub(in crate::upstream) fn is_quiet(chunk: &Chunk) -> bool {
    // Blocks of this size are compared at once, not byte by byte.
    let (blocks, rest) = chunk.audio.as_chunks::<32>();
    let loudest = |codes: &[u8]| codes.iter().map(|byte| !byte & 0x7F).fold(0, u8::max);
    blocks.iter().all(|block| loudest(block) <= QUIET_CODE) && loudest(rest) <= QUIET_CODE
}

/// The part of a range behind `from`.
pub(super) fn after((start, end): (Offset, Offset), from: Offset) -> Option<(Offset, Offset)> {
    (end > from).then(|| (start.max(from), end))
}
