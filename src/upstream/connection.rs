//! One connection to the service: what went out on it, at which pace, and which place in the call its times mean.
//!
//! Promises: the service counts seconds from the first byte of this connection (protocols/pulse.md section 7, Time); here
//! they become offsets on the track, never outside of what was really sent, however absurd the number.

use std::{collections::VecDeque, time::Instant};

use super::{pace::Pace, ruler::Ruler, watch::Watch};
use crate::media::{BYTES_PER_MS, Chunk, Offset};

/// How often a session is told where a link is that is behind, in bytes of audio.
const TOLD_EVERY: u64 = 100 * BYTES_PER_MS;

/// The state of an open connection.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Connection {
    /// Counts the link's connections from 0.
    pub(super) number: u32,
    /// When it was opened.
    pub(super) since: Instant,
    /// Finals covered the audio up to here when it was opened: its words before that have been heard.
    pub(super) known_until: Offset,
    /// Words were told up to here when it was opened: not before `known_until`, and behind it where a final's times were unknown.
    pub(super) told_until: Offset,
    /// Audio that it is still to hear before what is unsent.
    pub(super) prelude: VecDeque<Chunk>,
    /// Whether it hears what it is sent.
    pub(super) watch: Watch,
    /// Audio before this was sent on a connection before.
    pub(super) replayed_until: Offset,
    /// Whether the service ever said anything on it.
    pub(super) heard: bool,
    /// Whether a final has come since it was asked to close.
    pub(super) answered: bool,
    pub(super) unanswered_pings: u8,
    /// `close_stream` was sent.
    pub(super) closing: bool,
    /// Behind it, as long as the service gets on with what it has: until when its last word is awaited at most.
    pub(super) close_by: Option<Instant>,
    /// Behind it, until when at most a service is waited for that says that it works on what it was sent.
    pub(super) working_until: Option<Instant>,
    /// What had been sent when `finalize` was, until its answer is history.
    pub(super) finalize_at: Option<Offset>,
    /// When another `finalize` waits no longer for the answer to the one that was sent at that point.
    pub(super) finalize_expiry: Option<(Offset, Instant)>,
    /// A keepalive is the last thing that was said to the service.
    pub(super) kept_alive: bool,
    /// When something was last sent, keepalives included.
    pub(super) last_sent: Instant,
    /// When audio was last sent.
    pub(super) last_audio: Instant,
    route: Ruler,
    sent_bytes: u64,
    sent_end: Option<Offset>,
    /// What had been sent when the session was last told.
    told_bytes: u64,
    pub(super) pace: Pace,
}

impl Connection {
    pub(super) fn new(number: u32, known_until: Offset, replayed_until: Offset, now: Instant) -> Self {
        Self {
            number,
            since: now,
            known_until,
            told_until: known_until,
            prelude: VecDeque::new(),
            watch: Watch::new(now),
            replayed_until,
            heard: false,
            answered: false,
            unanswered_pings: 0,
            closing: false,
            close_by: None,
            working_until: None,
            finalize_at: None,
            finalize_expiry: None,
            kept_alive: false,
            last_sent: now,
            last_audio: now,
            route: Ruler::new(0),
            sent_bytes: 0,
            sent_end: None,
            told_bytes: 0,
            pace: Pace::new(now),
        }
    }

    pub(super) fn send(&mut self, chunk: &Chunk, now: Instant) {
        let length = chunk.audio.len() as u64;
        self.route.note(self.sent_bytes, chunk.offset.0);
        self.sent_bytes += length;
        self.sent_end = Some(chunk.end());
        self.last_sent = now;
        self.last_audio = now;
        self.kept_alive = false;
        self.watch.handle_sent(chunk, now);
        self.pace.sent(length, now);
    }

    /// Whether the session should hear where this connection is: it is behind, and has got on since it last heard.
    pub(super) fn is_news(&mut self) -> bool {
        let news = self.pace.is_behind() && self.sent_bytes - self.told_bytes >= TOLD_EVERY;
        if news {
            self.told_bytes = self.sent_bytes;
        }
        news
    }

    /// Behind the last byte sent; where nothing was sent, where that would begin.
    pub(super) fn sent_end(&self) -> Offset {
        self.sent_end.unwrap_or(self.known_until)
    }

    /// Where so many seconds of this connection lie on the track; `None` where the service gave no usable number.
    pub(super) fn place(&self, seconds: Option<f64>) -> Option<u64> {
        seconds.map(|seconds| {
            let millis = (seconds.clamp(0.0, 1e9) * 1_000.0).round();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=1e12 just above")]
            let bytes = millis as u64 * BYTES_PER_MS;
            bytes.min(self.sent_bytes)
        })
    }

    /// The offset of something that begins after so many bytes of this connection.
    pub(super) fn begin(&self, bytes: u64) -> Offset {
        Offset(self.route.map(bytes))
    }

    /// From where to where something is that was said between so many bytes of this connection: nobody says a word over a splice in the audio, and
    /// a service may be a little wrong.
    pub(super) fn span(&self, bytes: (u64, u64)) -> (Offset, Offset) {
        let (start, end) = self.route.map_within(bytes);
        (Offset(start), Offset(end))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn chunk(offset: u64, length: usize) -> Chunk {
        Chunk { offset: Offset(offset), at_ms: offset / 8, audio: Bytes::from(vec![1; length]), received: crate::clock::now() }
    }

    #[test]
    fn seconds_become_offsets_across_a_jump_and_never_leave_what_was_sent() {
        let now = crate::clock::now();
        let mut connection = Connection::new(1, Offset(8_000), Offset(8_000), now);
        connection.send(&chunk(8_000, 8_000), now);
        connection.send(&chunk(80_000, 8_000), now);
        let begin = |seconds| connection.place(Some(seconds)).map(|bytes| connection.begin(bytes).0);
        assert_eq!(begin(0.5), Some(12_000));
        assert_eq!(begin(1.0), Some(80_000));
        assert_eq!(connection.span((7_000, 8_100)), (Offset(15_000), Offset(16_000)));
        assert_eq!(connection.span((7_900, 8_400)), (Offset(80_000), Offset(80_400)), "of another side by its beginning only");
        assert_eq!(begin(-3.0), Some(8_000));
        assert_eq!(begin(1e300), Some(88_000));
        assert_eq!(connection.place(None), None);
    }
}
