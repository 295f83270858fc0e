//! What memory has not is read back from the spool.
//!
//! Promises: one read is asked for at a time, and only for audio that is soon to be sent; what it brings goes where it belongs; what it does not
//! bring is asked for a bounded number of times, and is gone then.

use std::time::Duration;

use super::{Backlog, Held, behind, part};
use crate::media::{BYTES_PER_MS, Chunk, GapReason, Offset, ms_to_bytes};

/// Audio that one read of the spool is to bring: a second at four times the speed of speech, some 40 KiB.
pub const FETCH_BYTES: u64 = ms_to_bytes(4_000);
/// The next read is asked for while less than this waits to be sent, so that the way to the disk is never waited for.
pub(super) const AHEAD_BYTES: u64 = ms_to_bytes(4_000);
/// Reads that found nothing, one [`FETCH_AGAIN`] after the other, until the first part of what they looked for is lost. What the writer has not yet written
/// takes milliseconds; a disk that stalls, seconds.
const FETCH_TRIES: u32 = 20;
/// So many of them are enough for the next part, until something is found again: a bound on how long a link goes on without its spool.
const FURTHER_TRIES: u32 = 3;
/// Wait before a read that found nothing is asked for again.
pub(in crate::upstream) const FETCH_AGAIN: Duration = Duration::from_millis(500);
/// What is given up at once where the spool is full: as much as one of its files holds.
const SHED_BYTES: u64 = ms_to_bytes(60_000);

impl Backlog {
    /// What the spool is to be asked for now, if anything: what is missing behind the audio that is ready. Each is answered once by [`Backlog::fetched`].
    pub fn poll_fetch(&mut self) -> Option<Offset> {
        if self.asked.is_some() || self.ready_end.since(self.cursor) >= AHEAD_BYTES {
            return None;
        }
        self.asked = self.hole().map(|(from, _)| from);
        self.asked
    }

    /// What the spool had behind the point that it was asked for, in order. Says whether that helped; if not, it is to be asked again after
    /// `FETCH_AGAIN`.
    pub fn fetched(&mut self, chunks: impl IntoIterator<Item = Chunk>) -> bool {
        let asked = self.asked.take();
        // A new connection may have begun elsewhere meanwhile.
        let Some((from, to)) = self.hole().filter(|(from, _)| Some(*from) == asked) else { return true };
        let mut at = from;
        for chunk in chunks {
            let Some(chunk) = behind(chunk, at) else { continue };
            // Audio is written in order: what is not there before something that is never comes.
            if chunk.offset > at {
                self.gone.lose(at, chunk.offset.min(to), GapReason::UpstreamLost);
                at = chunk.offset.min(to);
            }
            let Some(chunk) = part(&chunk, at, to) else { break };
            at = chunk.end();
            self.insert(chunk);
        }
        let found = at > from;
        self.tries = if found { 0 } else { self.tries + 1 };
        let gives_up = self.tries >= FETCH_TRIES;
        if gives_up {
            // What lies further behind may be there by the time that it is asked for, and in another file.
            self.tries = FETCH_TRIES - FURTHER_TRIES;
            self.gone.lose(from, to.min(from.plus(FETCH_BYTES)), GapReason::UpstreamLost);
        }
        self.settle();
        self.forget_most();
        found || gives_up
    }

    /// Gives up the oldest audio behind `from` where more than `bound` bytes lie there; to be told by [`Backlog::take_lost`].
    pub fn shed(&mut self, from: Offset, bound: u64) {
        let from = self.gone.behind(from.max(self.mark));
        if self.end.since(from) > bound {
            self.gone.lose(from, from.plus(SHED_BYTES.min(bound / 2)), GapReason::SpoolFull);
            self.settle();
        }
    }

    /// What is missing behind the audio that is ready.
    fn hole(&self) -> Option<(Offset, Offset)> {
        let from = self.gone.behind(self.ready_end);
        let next = self.held.get(self.unsent + self.ready).map_or(self.end, |held| held.chunk.offset);
        (from < next).then_some((from, next))
    }

    fn insert(&mut self, chunk: Chunk) {
        self.clock.note_between(chunk.offset.0, chunk.at_ms * BYTES_PER_MS);
        self.bytes += chunk.audio.len() as u64;
        let at = self.held.partition_point(|held| held.chunk.offset < chunk.offset);
        self.held.insert(at, Held { chunk, sent: None, fetched: true });
    }
}
