//! The audio of one track for which no stored final exists yet, by absolute offset.
//!
//! Promises: bytes leave in the order and the pieces in which they came, never copied; memory is only the fast copy and never holds more than
//! its limit and two reads; what it forgot or never had is asked for by [`Backlog::poll_fetch`] and handed in by
//! [`Backlog::fetched`]; only what is not there either is lost, and handed out as a stretch: no audio disappears silently. A
//! reconnect is [`Backlog::rewind`], nothing else.

mod copy;
mod fetch;
mod gone;
mod memory;
mod remains;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

pub(super) use copy::part;
pub(super) use fetch::FETCH_AGAIN;
pub use fetch::FETCH_BYTES;
use gone::Gone;
use memory::after;
pub(super) use memory::is_quiet;
pub use remains::{KnownWord, Remains};

use super::ruler::Ruler;
use crate::{
    media::{BYTES_PER_MS, Chunk, GapReason, Offset, bytes_to_ms, ms_to_bytes},
    segment::Latency,
    spool::KEPT_MS,
};

/// So much audio shows how fast it comes, in milliseconds: of less, a phone's may come at once.
const TELLING_MS: u64 = 1_000;

#[derive(Debug)]
struct Held {
    chunk: Chunk,
    /// When it was last handed to a connection.
    sent: Option<Instant>,
    /// It was read back, and nobody knows when it came.
    fetched: bool,
}

/// See the module's promises.
#[derive(Debug)]
pub struct Backlog {
    /// By offset. What lies between two of them is on the spool only, or gone.
    held: VecDeque<Held>,
    /// Index in `held` of the first chunk that the current connection has not had.
    unsent: usize,
    /// So many chunks from there on follow the cursor without a hole.
    ready: usize,
    /// Where those end.
    ready_end: Offset,
    /// The current connection has had everything before.
    cursor: Offset,
    bytes: u64,
    limit: u64,
    /// Nothing of the track lies before it.
    first: Offset,
    mark: Offset,
    end: Offset,
    begun: bool,
    clock: Ruler,
    /// Sent and then forgotten with a voice in it: worth sending again if the connection is lost.
    unheard: Option<(Offset, Offset)>,
    gone: Gone,
    /// What the spool is being asked for.
    asked: Option<Offset>,
    /// How often it had nothing.
    tries: u32,
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
            ready: 0,
            ready_end: Offset(0),
            cursor: Offset(0),
            bytes: 0,
            limit: ms_to_bytes(memory_ms),
            first: Offset(0),
            mark: Offset(0),
            end: Offset(0),
            begun: false,
            clock: Ruler::new(BYTES_PER_MS),
            unheard: None,
            gone: Gone::default(),
            asked: None,
            tries: 0,
            first_sent: Offset(0),
            sent_bytes: 0,
            replayed_bytes: 0,
        }
    }

    /// What an earlier life left; all of it is on the spool.
    #[must_use]
    pub fn of(remains: &Remains, memory_ms: u64) -> Self {
        let mut backlog = Self::new(memory_ms);
        backlog.begin(remains.from);
        backlog.first = remains.first.min(remains.from);
        backlog.end = remains.end.max(remains.from);
        for (offset, at_ms) in &remains.clock {
            backlog.clock.note(offset.0, at_ms * BYTES_PER_MS);
        }
        backlog
    }

    fn begin(&mut self, at: Offset) {
        self.begun = true;
        (self.first, self.mark, self.end) = (at, at, at);
        (self.first_sent, self.cursor, self.ready_end) = (at, at, at);
    }

    /// Takes the next chunk. Bytes that came before are cut off; a jump forward in the offsets is a stretch that is on the spool only.
    pub fn push(&mut self, chunk: Chunk) {
        if !self.begun {
            self.begin(chunk.offset);
        }
        let Some(chunk) = behind(chunk, self.end) else { return };
        let at = chunk.at_ms * BYTES_PER_MS;
        if chunk.offset > self.end {
            self.clock.note_apart(chunk.offset.0, at);
        } else {
            self.clock.note(chunk.offset.0, at);
        }
        self.end = chunk.end();
        self.bytes += chunk.audio.len() as u64;
        if self.unsent + self.ready == self.held.len() && chunk.offset == self.ready_end {
            (self.ready, self.ready_end) = (self.ready + 1, chunk.end());
        }
        self.held.push_back(Held { chunk, sent: None, fetched: false });
        self.forget_most();
    }

    /// Audio up to `end` is on the spool only. Says whether that is news.
    pub fn extend(&mut self, end: Offset) -> bool {
        let is_news = self.begun && end > self.end;
        if is_news {
            self.end = end;
        }
        is_news
    }

    /// The next chunk for the current connection; none where it has to be fetched first, or there is nothing more.
    #[must_use]
    pub fn next_unsent(&self) -> Option<&Chunk> {
        self.held.get(self.unsent).filter(|_| self.ready > 0).map(|held| &held.chunk)
    }

    /// Whether the chunk of [`Backlog::next_unsent`] was read back, so that nobody knows when it came.
    #[must_use]
    pub fn is_next_fetched(&self) -> bool {
        self.held.get(self.unsent).is_some_and(|held| held.fetched)
    }

    /// Whether the current connection has had everything.
    #[must_use]
    pub fn is_all_sent(&self) -> bool {
        self.gone.behind(self.cursor) >= self.end
    }

    /// The chunk of [`Backlog::next_unsent`] was handed to the connection.
    pub fn sent(&mut self, now: Instant) {
        let Some(held) = self.held.get_mut(self.unsent).filter(|_| self.ready > 0) else { return };
        held.sent = Some(now);
        let (end, length) = (held.chunk.end(), held.chunk.audio.len() as u64);
        self.unsent += 1;
        self.ready -= 1;
        self.cursor = end;
        let new = end.since(self.first_sent).min(length);
        self.sent_bytes += new;
        self.replayed_bytes += length - new;
        self.first_sent = self.first_sent.max(end);
        self.trim();
        if self.ready == 0 {
            self.settle();
        }
    }

    /// Audio before this was sent at least once.
    #[must_use]
    pub const fn first_sent(&self) -> Offset {
        self.first_sent
    }

    /// A stored final covers the audio up to `to`. What of it a connection is still being sent again stays until it was: the
    /// service must not hear a splice. [`KEPT_MS`] before it stay as well, for a connection that begins a little earlier.
    pub fn covered(&mut self, to: Offset) {
        let to = to.min(self.end);
        if to <= self.mark {
            return;
        }
        self.mark = to;
        self.trim();
        self.unheard = self.unheard.and_then(|range| after(range, to));
        let kept = Offset(to.0.saturating_sub(ms_to_bytes(KEPT_MS)));
        self.gone.forget_before(kept);
        self.clock.forget_before(kept.0);
    }

    /// A new connection: it is sent everything from `from` on.
    pub fn rewind(&mut self, from: Offset) {
        self.cursor = from.min(self.end);
        self.unsent = self.held.partition_point(|held| held.chunk.end() <= self.cursor);
        self.tries = 0;
        self.settle();
        self.trim();
    }

    /// The next stretch that is gone although it is needed behind `from`, and why; each is told once.
    pub fn take_lost(&mut self, from: Offset) -> Option<(Offset, Offset, GapReason)> {
        let mut lost = std::iter::from_fn(|| self.gone.take_untold());
        lost.find_map(|(start, end, reason)| after((start, end), from).map(|(start, end)| (start, end, reason)))
    }

    /// This point, or behind what is gone there.
    #[must_use]
    pub fn behind_gone(&self, at: Offset) -> Offset {
        self.gone.behind(at)
    }

    /// Bytes between these points that are gone.
    #[must_use]
    pub fn gone_between(&self, from: Offset, to: Offset) -> u64 {
        self.gone.bytes_between(from, to)
    }

    /// The audio between these points that is not gone, each in one piece on the call's clock.
    #[must_use]
    pub fn stretches(&self, from: Offset, to: Offset) -> Vec<(Offset, Offset)> {
        let mut pieces = Vec::new();
        for (mut from, to) in self.gone.rest_between(from, to) {
            for jump in self.clock.jumps(from.0, to.0) {
                pieces.push((from, Offset(jump)));
                from = Offset(jump);
            }
            pieces.push((from, to));
        }
        pieces
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
        self.end.since(self.cursor)
    }

    /// Whether half of the memory is taken by audio that still has to be sent.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.unsent_bytes() * 2 >= self.limit
    }

    /// Whether what is held came a quarter faster than it was spoken, or more: whoever sends it can wait, a phone cannot. Not at twice the
    /// speed only, as a fast sender that is made to wait comes at just the speed at which the link sends. A second of it has to say so.
    #[must_use]
    pub fn is_rushed(&self) -> bool {
        let first = self.held.iter().find(|held| !held.fetched);
        let (Some(first), Some(last)) = (first, self.held.back()) else { return false };
        let took = last.chunk.received.saturating_duration_since(first.chunk.received);
        let came = bytes_to_ms(last.chunk.end().since(first.chunk.end()));
        came >= TELLING_MS && took.as_millis() * 5 < u128::from(came) * 4
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
        let Some(held) = self.held.get(holding).filter(|held| held.chunk.offset < end && !held.fetched) else {
            return Latency::default();
        };
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Latency {
            ingress_ms: held.sent.map(|sent| millis(sent.saturating_duration_since(held.chunk.received))),
            upstream_ms: Some(millis(now.saturating_duration_since(held.chunk.received))),
            gate_ms: None,
        }
    }

    /// Looks what of `held` follows the cursor, behind what is gone.
    fn settle(&mut self) {
        self.cursor = self.gone.behind(self.cursor);
        while self.held.get(self.unsent).is_some_and(|held| held.chunk.end() <= self.cursor) {
            self.unsent += 1;
        }
        if let Some(cut) = self.held.get(self.unsent).map(|held| self.cursor.since(held.chunk.offset)).filter(|cut| *cut > 0) {
            self.split(self.unsent, cut);
            self.unsent += 1;
        }
        (self.ready, self.ready_end) = (0, self.cursor);
        while let Some(held) = self.held.get(self.unsent + self.ready).filter(|held| held.chunk.offset == self.ready_end) {
            (self.ready, self.ready_end) = (self.ready + 1, held.chunk.end());
        }
    }

    fn trim(&mut self) {
        let kept = |held: &Held| held.chunk.end().plus(ms_to_bytes(KEPT_MS));
        while self.unsent > 0 && self.held.front().is_some_and(|held| kept(held) <= self.mark) {
            self.forget(0);
            self.unsent -= 1;
        }
    }

    /// Makes two chunks of one, so that a connection can begin in its middle.
    fn split(&mut self, index: usize, cut: u64) {
        let Some(held) = self.held.get_mut(index) else { return };
        let Some(second) = part(&held.chunk, held.chunk.offset.plus(cut), held.chunk.end()) else { return };
        held.chunk.audio.truncate(held.chunk.audio.len() - second.audio.len());
        let (sent, fetched) = (held.sent, held.fetched);
        self.held.insert(index + 1, Held { chunk: second, sent, fetched });
    }
}

/// The part of a chunk behind `from`.
pub(super) fn behind(chunk: Chunk, from: Offset) -> Option<Chunk> {
    let is_whole = from <= chunk.offset && !chunk.audio.is_empty();
    if is_whole { Some(chunk) } else { part(&chunk, from, chunk.end()) }
}

#[cfg(test)]
mod tests;
