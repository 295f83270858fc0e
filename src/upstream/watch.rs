//! Whether the service hears what it is sent.
//!
//! Promises: only words, empty finals and voice activity prove it; a pong does not. A line without a voice on it proves nothing either way.

use std::time::{Duration, Instant};

use super::backlog::is_quiet;
use crate::media::{Chunk, Offset, bytes_to_ms};

/// Voice that no service that hears leaves without a word, in milliseconds: its decoder and its end of speech take about two
/// seconds together (protocols/pulse.md section 7).
const SPOKEN_MS: u64 = 3_000;
/// Quiet at the end of what was sent in which nobody is cut off, in milliseconds: longer than the service's end of utterance.
const PAUSE_MS: u64 = 1_500;
/// Less voice than this is a click, in milliseconds.
const CLICK_MS: u64 = 300;
/// A service that answers `finalize` has answered by then.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// An interim that has not changed for so long, with a pause behind it, waits for a final that will not come by itself.
const STUCK: Duration = Duration::from_secs(5);
/// Audio behind the last final after which a final is asked for in a pause, in milliseconds.
const PROBE_AFTER_MS: u64 = 10_000;
/// The same without any pause.
const PROBE_AT_LAST_MS: u64 = 60_000;

/// What a connection was sent since it last said something.
#[derive(Debug)]
pub(super) struct Watch {
    heard_at: Instant,
    /// Bytes that may be a voice, and when the first of them were sent.
    voice: u64,
    since: Option<Instant>,
    /// Bytes of quiet at the end of what was sent.
    quiet: u64,
    /// When a final was last asked for, as long as nothing was said since.
    asked: Option<Instant>,
    /// What had been sent then.
    asked_until: Offset,
}

/// Where the link stands with its words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// Finals cover the audio up to here.
    pub(super) finalized: Offset,
    /// Audio was sent up to here.
    pub(super) sent: Offset,
    /// Something is being said that has no final.
    pub(super) is_open: bool,
    /// Audio waits for its turn.
    pub(super) is_behind: bool,
    /// The service is known to answer `finalize`.
    pub(super) answers: bool,
    /// How long it may say nothing although it was sent a voice.
    pub(super) patience: Duration,
}

impl Watch {
    pub(super) const fn new(now: Instant) -> Self {
        Self { heard_at: now, voice: 0, since: None, quiet: 0, asked: None, asked_until: Offset(0) }
    }

    /// This was sent.
    pub(super) fn handle_sent(&mut self, chunk: &Chunk, now: Instant) {
        let length = chunk.audio.len() as u64;
        if is_quiet(chunk) {
            self.quiet += length;
        } else {
            self.quiet = 0;
            self.voice += length;
            self.since.get_or_insert(now);
        }
    }

    /// The service said something about what it hears.
    pub(super) const fn handle_heard(&mut self, now: Instant) {
        (self.heard_at, self.voice, self.since, self.asked) = (now, 0, None, None);
    }

    /// The service says that it works on what it was sent: it has not ignored it.
    pub(super) fn handle_progress(&mut self, now: Instant) {
        self.excuse(now);
        self.asked = self.asked.map(|_| now);
    }

    /// What was sent until now is no sign of deafness if nothing is said about it.
    pub(super) const fn excuse(&mut self, now: Instant) {
        if self.since.is_some() {
            self.since = Some(now);
        }
    }

    /// A final was asked for.
    pub(super) const fn handle_asked(&mut self, sent: Offset, now: Instant) {
        (self.asked, self.asked_until) = (Some(now), sent);
    }

    /// Whether a final was asked for and nothing was said since.
    pub(super) const fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether the service takes audio and hears nothing.
    pub(super) fn is_deaf(&self, standing: &Standing, now: Instant) -> bool {
        let silent = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let unanswered = self.asked.map_or(Duration::ZERO, |asked| now.saturating_duration_since(asked));
        let voice_ms = bytes_to_ms(self.voice);
        (voice_ms >= SPOKEN_MS && silent >= standing.patience)
            || (standing.answers && voice_ms >= CLICK_MS && unanswered >= ANSWER.max(standing.patience / 2))
    }

    /// Whether a final should be asked for now: its answer, even an empty one, covers audio in which nothing was said, and proves that
    /// the service hears.
    pub(super) fn should_ask(&self, standing: &Standing, now: Instant) -> bool {
        if self.asked.is_some_and(|asked| now.saturating_duration_since(asked) < 2 * ANSWER) {
            return false;
        }
        let silent = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let behind_ms = bytes_to_ms(standing.sent.since(standing.finalized.max(self.asked_until)));
        let is_pause = bytes_to_ms(self.quiet) >= PAUSE_MS;
        let is_long = !standing.is_open
            && !standing.is_behind
            && (behind_ms >= PROBE_AFTER_MS && is_pause || behind_ms >= PROBE_AT_LAST_MS);
        let is_stuck = standing.is_open && is_pause && behind_ms > 0 && now.saturating_duration_since(self.heard_at) >= STUCK;
        let is_unheard = bytes_to_ms(self.voice) >= SPOKEN_MS && self.asked.is_none() && silent >= standing.patience / 2;
        is_long || is_stuck || is_unheard
    }

    /// Whether a final was asked for so long ago that its answer will not come; forgets that it was.
    pub(super) fn is_ignored(&mut self, now: Instant) -> bool {
        let is_ignored = self.asked.is_some_and(|asked| now.saturating_duration_since(asked) >= 2 * ANSWER);
        if is_ignored {
            self.asked = None;
        }
        is_ignored
    }
}
