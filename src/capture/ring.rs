//! One track's audio, held until it is known what of it may be kept.
//!
//! Promises: bytes come out in the order in which they went in, as many as went in; nothing of a range that was to be silent comes out but silence; what
//! no stored final covers comes out as silence, and so does what had to go because more than [`HELD_MS`] waited.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::Late;
use crate::media::{Chunk, MULAW_SILENCE, Offset, bytes_to_ms, ms_to_bytes};

/// Most audio of a track that waits in memory, in milliseconds. Finals come within seconds; behind an outage they do not, and what was said in it is silence here.
pub const HELD_MS: u64 = 60_000;
/// Audio is kept back for so long behind the mark, in milliseconds: the first words of the next final may begin a little before it, and a range
/// has its margins.
pub const BEHIND_MS: u64 = 1_000;
/// As many bytes of silence as are given out in one piece.
static SILENCE: [u8; 8_192] = [MULAW_SILENCE; 8_192];

/// See the module's promises.
#[derive(Default)]
pub(super) struct Ring {
    held: VecDeque<Held>,
    held_bytes: u64,
    /// Audio before these is covered by stored finals; by the session's streams.
    marks: BTreeMap<u32, Offset>,
    /// Where the furthest of them lies on the call's clock.
    marked_ms: u64,
    /// What is to be silent, in order, no two of them touching; in milliseconds.
    silent: Vec<(u64, u64)>,
    /// The end of the last audio that came out as it was.
    raw_ms: u64,
    ready: VecDeque<Bytes>,
}

struct Held {
    stream: u32,
    chunk: Chunk,
}

impl Held {
    fn end_ms(&self) -> u64 {
        self.chunk.at_ms + bytes_to_ms(self.chunk.audio.len() as u64)
    }
}

impl Ring {
    /// The next audio of a stream.
    pub(super) fn push(&mut self, stream: u32, chunk: Chunk) {
        self.held_bytes += chunk.audio.len() as u64;
        self.held.push_back(Held { stream, chunk });
        while self.held_bytes > ms_to_bytes(HELD_MS) {
            self.pop_silent();
        }
    }

    /// Audio of a stream before `mark` is covered by finals, all of which have said what of it is to be silent.
    pub(super) fn covered(&mut self, stream: u32, mark: Offset) {
        let known = self.marks.entry(stream).or_default();
        *known = mark.max(*known);
        let last = self.held.iter().rev().find(|held| held.stream == stream && held.chunk.offset < mark);
        if let Some(Held { chunk, .. }) = last {
            let within = mark.since(chunk.offset).min(chunk.audio.len() as u64);
            self.marked_ms = self.marked_ms.max(chunk.at_ms + bytes_to_ms(within));
        }
        while self.held.front().is_some_and(|held| self.is_covered(held) && held.end_ms() + BEHIND_MS <= self.marked_ms) {
            self.pop_clean();
        }
    }

    /// This is to be silent, by the call's clock.
    ///
    /// # Errors
    /// If some of it has come out already.
    pub(super) fn silence(&mut self, mut from_ms: u64, mut to_ms: u64) -> Result<(), Late> {
        if from_ms < self.raw_ms && from_ms < to_ms {
            return Err(Late);
        }
        let first = self.silent.partition_point(|range| range.1 < from_ms);
        while let Some(range) = self.silent.get(first).copied().filter(|range| range.0 <= to_ms) {
            (from_ms, to_ms) = (from_ms.min(range.0), to_ms.max(range.1));
            self.silent.remove(first);
        }
        self.silent.insert(first, (from_ms, to_ms));
        Ok(())
    }

    /// No more will come.
    pub(super) fn end(&mut self) {
        while let Some(held) = self.held.front() {
            if self.is_covered(held) { self.pop_clean() } else { self.pop_silent() }
        }
    }

    /// What may be kept, in order.
    pub(super) fn poll_output(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }

    fn is_covered(&self, held: &Held) -> bool {
        self.marks.get(&held.stream).is_some_and(|mark| held.chunk.end() <= *mark)
    }

    fn pop(&mut self) -> Option<Held> {
        let held = self.held.pop_front()?;
        self.held_bytes -= held.chunk.audio.len() as u64;
        self.silent.retain(|range| range.1 > held.chunk.at_ms);
        Some(held)
    }

    /// The oldest chunk, but for what is to be silent of it.
    fn pop_clean(&mut self) {
        let Some(held) = self.pop() else { return };
        let (at_ms, end_ms) = (held.chunk.at_ms, held.end_ms());
        let mut ranges = self.silent.iter().take_while(|range| range.0 <= end_ms).peekable();
        if ranges.peek().is_none() {
            self.raw_ms = self.raw_ms.max(end_ms);
            return self.ready.push_back(held.chunk.audio);
        }
        let mut audio = held.chunk.audio.to_vec();
        let place = |ms: u64| usize::try_from(ms_to_bytes(ms.saturating_sub(at_ms))).unwrap_or(usize::MAX).min(audio.len());
        let places: Vec<(usize, usize)> = ranges.map(|range| (place(range.0), place(range.1))).collect();
        for (from, to) in places {
            audio[from..to].fill(MULAW_SILENCE);
        }
        if audio.iter().any(|byte| *byte != MULAW_SILENCE) {
            self.raw_ms = self.raw_ms.max(end_ms);
        }
        self.ready.push_back(audio.into());
    }

    /// As much silence as the oldest chunk is long.
    fn pop_silent(&mut self) {
        let mut left = self.pop().map_or(0, |held| held.chunk.audio.len());
        while left > 0 {
            let piece = left.min(SILENCE.len());
            self.ready.push_back(Bytes::from_static(&SILENCE[..piece]));
            left -= piece;
        }
    }
}
