//! Audio that comes before the start message, kept for it up to a bound. Source: protocols/ingress.md section 14.

use std::time::Instant;

use super::{EARLY_BYTES, EARLY_FRAMES, live::Live, order::Arrival, sequence::Step};
use crate::media::{StreamSid, Track};

/// What is kept until the stream has introduced itself.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The stream the audio says it belongs to.
    stream: Option<String>,
    held: Vec<Held>,
    /// By track.
    held_bytes: [usize; Track::ALL.len()],
}

#[derive(Debug)]
struct Held {
    track: Track,
    timestamp_ms: Option<u64>,
    step: Step,
    audio: Vec<u8>,
    received: Instant,
}

impl Waiting {
    /// Whether a message of this stream goes with what is held.
    pub(super) fn may_hold(&self, stream: Option<&str>) -> bool {
        self.stream.as_deref().is_none_or(|known| stream.is_none_or(|stream| stream == known))
    }

    /// Whether what is held belongs to the stream that starts now.
    pub(super) fn is_of(&self, stream: &StreamSid) -> bool {
        self.stream.as_deref().is_none_or(|known| known == stream.as_str())
    }

    /// How many frames are held.
    pub(super) fn frames(&self) -> u64 {
        self.held.len() as u64
    }

    /// Holds a frame; says how many bytes were dropped because there is too much.
    pub(super) fn hold(&mut self, track: Track, frame: Arrival<'_>, stream: Option<&str>, now: Instant) -> u64 {
        if self.stream.is_none() {
            self.stream = stream.map(str::to_owned);
        }
        let held_bytes = &mut self.held_bytes[track as usize];
        let is_full = self.held.len() >= EARLY_FRAMES || *held_bytes + frame.audio.len() > EARLY_BYTES;
        if frame.audio.is_empty() || is_full {
            return frame.audio.len() as u64;
        }
        *held_bytes += frame.audio.len();
        let audio = frame.audio.to_vec();
        self.held.push(Held { track, timestamp_ms: frame.timestamp_ms, step: frame.step, audio, received: now });
        0
    }

    /// Hands everything on in the order in which it came.
    pub(super) fn release(&mut self, live: &mut Live) {
        for held in self.held.drain(..) {
            let frame = Arrival { timestamp_ms: held.timestamp_ms, step: held.step, audio: &held.audio };
            live.handle_frame(held.track, frame, held.received);
        }
    }
}
