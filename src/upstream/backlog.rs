//! The audio of one track for which no stored final exists yet, by absolute offset.
//!
//! Promises: bytes leave in the order and the pieces in which they came, never copied; nothing before the acknowledged mark
//! is kept, and nothing behind it is forgotten unless the memory is full. What was forgotten unsent, or sent and needed
//! again, is handed out as a range: no audio disappears silently. A reconnect is [`Backlog::rewind`], nothing else.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::ruler::Ruler;
use crate::{
    media::{BYTES_PER_MS, Chunk, Offset, bytes_to_ms, ms_to_bytes},
    segment::Latency,
};

/// Mu-law codes of at most this magnitude (of 127) are under −48 dBFS: a line without a voice on it.
const QUIET_CODE: u8 = 15;

/// Most stretches told one by one; further ones are told as one with what lies between.
const MAX_LOST: usize = 64;

#[derive(Debug)]
struct Held {
    chunk: Chunk,
    /// When it was last handed to a connection.
    sent: Option<Instant>,
}

/// See the module's promises.
#[derive(Debug)]
pub struct Backlog {
    held: VecDeque<Held>,
    /// Index in `held` of the first chunk that the current connection has not had.
    unsent: usize,
    bytes: u64,
    limit: u64,
    mark: Offset,
    end: Offset,
    begun: bool,
    clock: Ruler,
    /// Sent and then forgotten for want of room: lost only if the connection is.
    risky: Option<(Offset, Offset)>,
    /// Forgotten, and no connection has it; oldest first.
    lost: VecDeque<(Offset, Offset)>,
    first_sent: Offset,
    sent_bytes: u64,
    replayed_bytes: u64,
}

impl Backlog {
    /// Holds at most `memory_ms` of audio.
    #[must_use]
    pub fn new(memory_ms: u64) -> Self {
        Self {
            held: VecDeque::new(),
            unsent: 0,
            bytes: 0,
            limit: ms_to_bytes(memory_ms),
            mark: Offset(0),
            end: Offset(0),
            begun: false,
            clock: Ruler::new(BYTES_PER_MS),
            risky: None,
            lost: VecDeque::new(),
            first_sent: Offset(0),
            sent_bytes: 0,
            replayed_bytes: 0,
        }
    }

    /// Takes the next chunk. Bytes that came before are cut off; a jump forward in the offsets is a stretch that nobody will send: it is lost.
    pub fn push(&mut self, mut chunk: Chunk) {
        if !self.begun {
            self.begun = true;
            (self.mark, self.end, self.first_sent) = (chunk.offset, chunk.offset, chunk.offset);
        }
        let known = usize::try_from(self.end.since(chunk.offset)).unwrap_or(usize::MAX);
        if known >= chunk.audio.len() {
            return;
        }
        if known > 0 {
            chunk = Chunk {
                offset: self.end,
                at_ms: chunk.at_ms + bytes_to_ms(known as u64),
                audio: chunk.audio.slice(known..),
                ..chunk
            };
        }
        if chunk.offset > self.end {
            self.note_lost((self.end, chunk.offset));
        }
        self.clock.note(chunk.offset.0, chunk.at_ms * BYTES_PER_MS);
        self.end = chunk.end();
        self.bytes += chunk.audio.len() as u64;
        self.held.push_back(Held { chunk, sent: None });
        while self.bytes > self.limit && self.held.len() > 1 {
            self.forget_oldest();
        }
    }

    /// The next chunk for the current connection.
    #[must_use]
    pub fn next_unsent(&self) -> Option<&Chunk> {
        self.held.get(self.unsent).map(|held| &held.chunk)
    }

    /// The chunk of [`Backlog::next_unsent`] was handed to the connection.
    pub fn sent(&mut self, now: Instant) {
        let Some(held) = self.held.get_mut(self.unsent) else { return };
        held.sent = Some(now);
        self.unsent += 1;
        let (end, length) = (held.chunk.end(), held.chunk.audio.len() as u64);
        let new = end.since(self.first_sent).min(length);
        self.sent_bytes += new;
        self.replayed_bytes += length - new;
        self.first_sent = self.first_sent.max(end);
        self.trim();
    }

    /// Audio before this was sent at least once.
    #[must_use]
    pub const fn first_sent(&self) -> Offset {
        self.first_sent
    }

    /// A stored final covers the audio up to `to`. What of it a connection is still being sent again stays until it was: the
    /// service must not hear a splice.
    pub fn covered(&mut self, to: Offset) {
        let to = to.min(self.end);
        if to <= self.mark {
            return;
        }
        self.mark = to;
        self.trim();
        self.risky = self.risky.and_then(|range| after(range, to));
        self.clock.forget_before(to.0);
    }

    /// A new connection: everything from `from` on (or from the oldest that is left) is unsent again.
    pub fn rewind(&mut self, from: Offset) {
        let first = self.held.partition_point(|held| held.chunk.end() <= from);
        if let Some(cut) = self.held.get(first).map(|held| from.since(held.chunk.offset)).filter(|cut| *cut > 0) {
            self.split(first, cut);
            self.unsent = first + 1;
        } else {
            self.unsent = first;
        }
        self.trim();
        if let Some(risky) = self.risky.take().and_then(|range| after(range, from)) {
            self.note_lost(risky);
        }
    }

    /// The next stretch that was forgotten although it is needed, behind `from`; each is told once.
    pub fn take_lost(&mut self, from: Offset) -> Option<(Offset, Offset)> {
        std::iter::from_fn(|| self.lost.pop_front()).find_map(|range| after(range, from))
    }

    /// How much of the audio behind `from` may be a voice, in milliseconds; what was forgotten with a voice in it counts whole.
    #[must_use]
    pub fn voice_behind_ms(&self, from: Offset) -> u64 {
        let held = self.held.iter().filter(|held| held.chunk.end() > from && !is_quiet(&held.chunk));
        let forgotten = self.risky.and_then(|range| after(range, from)).map_or(0, |(start, end)| end.since(start));
        bytes_to_ms(held.map(|held| held.chunk.audio.len() as u64).sum::<u64>() + forgotten)
    }

    /// The acknowledged mark.
    #[must_use]
    pub const fn mark(&self) -> Offset {
        self.mark
    }

    /// Behind the last byte that came.
    #[must_use]
    pub const fn end(&self) -> Offset {
        self.end
    }

    /// Whether any audio ever came.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.begun
    }

    /// Bytes that wait for the current connection.
    #[must_use]
    pub fn unsent_bytes(&self) -> u64 {
        self.next_unsent().map_or(0, |chunk| self.end.since(chunk.offset))
    }

    /// Whether half of the memory is taken by audio that still has to be sent.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.unsent_bytes() * 2 >= self.limit
    }

    /// Whether what is held came a quarter faster than it was spoken, or more: whoever sends it can wait, a phone cannot. Not at twice the
    /// speed only, as a fast sender that is made to wait comes at just the speed at which the link sends.
    #[must_use]
    pub fn is_rushed(&self) -> bool {
        let (Some(first), Some(last)) = (self.held.front(), self.held.back()) else { return false };
        let took = last.chunk.received.saturating_duration_since(first.chunk.received);
        took.as_millis() * 5 < u128::from(bytes_to_ms(self.bytes)) * 4
    }

    /// Behind the last audio that had been handed to the current connection by then, as far as that is still held.
    #[must_use]
    pub fn sent_until(&self, at: Instant) -> Offset {
        let sent = self.held.range(..self.unsent.min(self.held.len())).rev();
        sent.into_iter().find(|held| held.sent.is_some_and(|sent| sent <= at)).map_or(self.mark, |held| held.chunk.end())
    }

    /// Milliseconds of distinct audio handed to a connection at least once.
    #[must_use]
    pub const fn sent_ms(&self) -> u64 {
        bytes_to_ms(self.sent_bytes)
    }

    /// Milliseconds of audio handed to a connection again.
    #[must_use]
    pub const fn replayed_ms(&self) -> u64 {
        bytes_to_ms(self.replayed_bytes)
    }

    /// Where something that begins at `offset` begins on the call's clock.
    #[must_use]
    pub fn start_ms(&self, offset: Offset) -> u64 {
        (self.clock.map(offset.0) + BYTES_PER_MS / 2) / BYTES_PER_MS
    }

    /// Where something that ends at `offset` ends on the call's clock.
    #[must_use]
    pub fn end_ms(&self, offset: Offset) -> u64 {
        (self.clock.map_end(offset.0) + BYTES_PER_MS / 2) / BYTES_PER_MS
    }

    /// How long the audio that ends at `end` took to leave, and how long ago it came; unknown once it is forgotten.
    #[must_use]
    pub fn latency(&self, end: Offset, now: Instant) -> Latency {
        let holding = self.held.partition_point(|held| held.chunk.end() < end);
        let Some(held) = self.held.get(holding).filter(|held| held.chunk.offset < end) else { return Latency::default() };
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Latency {
            ingress_ms: held.sent.map(|sent| millis(sent.saturating_duration_since(held.chunk.received))),
            upstream_ms: Some(millis(now.saturating_duration_since(held.chunk.received))),
            gate_ms: None,
        }
    }

    fn forget_oldest(&mut self) {
        let was_sent = self.unsent > 0;
        let Some(held) = self.drop_oldest() else { return };
        let range = (held.chunk.offset.max(self.mark), held.chunk.end());
        match was_sent {
            _ if range.0 >= range.1 => {}
            false => self.note_lost(range),
            // A connection has had it, and there is no voice in it: nobody will miss it.
            true if is_quiet(&held.chunk) => {}
            true => self.risky = Some(hull(self.risky, range)),
        }
    }

    fn trim(&mut self) {
        while self.unsent > 0 && self.held.front().is_some_and(|held| held.chunk.end() <= self.mark) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) -> Option<Held> {
        let held = self.held.pop_front()?;
        self.bytes -= held.chunk.audio.len() as u64;
        self.unsent = self.unsent.saturating_sub(1);
        Some(held)
    }

    fn note_lost(&mut self, range: (Offset, Offset)) {
        let full = self.lost.len() >= MAX_LOST;
        match self.lost.back_mut() {
            Some(last) if full || (range.0 <= last.1 && last.0 <= range.1) => *last = hull(Some(*last), range),
            _ => self.lost.push_back(range),
        }
    }

    /// Makes two chunks of one, so that a connection can begin in its middle.
    fn split(&mut self, index: usize, cut: u64) {
        let Some(held) = self.held.get_mut(index) else { return };
        let at = usize::try_from(cut).unwrap_or(usize::MAX).min(held.chunk.audio.len());
        let rest = held.chunk.audio.split_off(at);
        let second = Chunk {
            offset: held.chunk.offset.plus(cut),
            at_ms: held.chunk.at_ms + bytes_to_ms(cut),
            audio: rest,
            received: held.chunk.received,
        };
        let sent = held.sent;
        self.held.insert(index + 1, Held { chunk: second, sent });
    }
}

/// Whether there is no voice in a chunk.
pub(super) fn is_quiet(chunk: &Chunk) -> bool {
    chunk.audio.iter().all(|byte| !byte & 0x7F <= QUIET_CODE)
}

/// The part of a range behind `from`.
fn after((start, end): (Offset, Offset), from: Offset) -> Option<(Offset, Offset)> {
    (end > from).then(|| (start.max(from), end))
}

fn hull(range: Option<(Offset, Offset)>, more: (Offset, Offset)) -> (Offset, Offset) {
    range.map_or(more, |range| (range.0.min(more.0), range.1.max(more.1)))
}

mod copy;
#[cfg(test)]
mod tests;

pub(super) use copy::part;
