//! One track's audio on disk: it can be read back some time after it came, and is forgotten once a stored final covers it.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicI64},
};

use pulse_bridge::media::{Chunk, Offset};

use crate::{
    clock::Clock,
    plan::{self, MILLI},
    truth::{MS, Truth},
};

/// What is read at once, in milliseconds of audio: as much as the driver asks for.
const READ_MS: u64 = 4_000;

struct Piece {
    from: u64,
    to: u64,
    /// From when on it can be read.
    written: u64,
    came: u64,
}

/// See the module's page.
pub(crate) struct Spool {
    habits: plan::Spool,
    pieces: VecDeque<Piece>,
}

impl Spool {
    pub(crate) const fn new(habits: plan::Spool) -> Self {
        Self { habits, pieces: VecDeque::new() }
    }

    /// Audio came, from one millisecond of the track to another.
    pub(crate) fn append(&mut self, from: u64, to: u64, after: u64, clock: &Clock) {
        let written = self.pieces.back().map_or(0, |piece| piece.written).max(clock.now + after);
        self.pieces.push_back(Piece { from, to, written, came: clock.now });
    }

    /// Behind the last byte that came.
    pub(crate) fn end(&self) -> Offset {
        Offset(self.pieces.back().map_or(0, |piece| piece.to * MS))
    }

    pub(crate) fn covered(&mut self, mark: Offset) {
        let kept = mark.0.saturating_sub(self.habits.keeps_ms * MS);
        while self.pieces.front().is_some_and(|piece| piece.to * MS <= kept) {
            self.pieces.pop_front();
        }
    }

    /// What lies behind `from` and can be read by now.
    pub(crate) fn read(&self, from: Offset, truth: &Truth, held: &Arc<AtomicI64>, clock: &Clock) -> Vec<Chunk> {
        let first = self.pieces.partition_point(|piece| piece.to * MS <= from.0);
        let mut read_ms = 0;
        let mut chunks = Vec::new();
        for piece in self.pieces.range(first..).take_while(|piece| piece.written <= clock.now) {
            let begin = piece.from.max(from.0.div_ceil(MS));
            if read_ms >= READ_MS || begin >= piece.to {
                break;
            }
            read_ms += piece.to - begin;
            chunks.push(Chunk {
                offset: Offset(begin * MS),
                at_ms: truth.clock(begin),
                audio: truth.audio(begin, piece.to, held),
                received: clock.instant_at(piece.came),
            });
        }
        chunks
    }

    /// How long a question takes at most.
    pub(crate) fn read_after(&self) -> u64 {
        self.habits.read_after.max(MILLI)
    }
}
