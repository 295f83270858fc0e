//! Incoming calls kept as fixtures that `replay` plays, without what was taken out of their text.
//!
//! Promises: nothing that the redaction gate has not released comes out, be it audio, key, name or number; a track's file is as long as its audio; a redaction
//! that comes when its audio has come out already costs the whole capture ([`Output::Abandoned`]), never the call.
//!
//! ★ The machine [`Capture`] takes what the call's streams and its task tell, and gives writes. After each `handle_*`, drain [`Capture::poll_output`] to `None`.

pub mod driver;
mod log;
mod ring;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

pub use self::ring::{BEHIND_MS, HELD_MS};
use self::{log::Log, ring::Ring};
use crate::{
    event::{CallStarted, Data},
    fixture,
    media::{Chunk, GapReason, Offset, SessionId, Track},
    segment::TrackKey,
};

/// So much of a track is silent before a key was told, in milliseconds: its tone may be in the audio.
const KEY_BEFORE_MS: u64 = ring::BEHIND_MS;
/// So much of it is silent behind, in milliseconds.
const KEY_BEHIND_MS: u64 = 500;

/// A file of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum File {
    /// The message log.
    Messages,
    /// The events.
    Expected,
    /// A track's mu-law bytes.
    Audio(Track),
}

impl File {
    /// Its name in the capture's folder.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Messages => fixture::MESSAGES.to_owned(),
            Self::Expected => "expected.jsonl".to_owned(),
            Self::Audio(track) => format!("{track}.ulaw"),
        }
    }
}

/// A redaction came behind its audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late;

/// What the driver is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Append this.
    Write(File, Bytes),
    /// Remove everything: a redaction came too late. Nothing more comes.
    Abandoned,
    /// The capture is whole. Nothing more comes.
    Done,
}

/// One call's capture.
pub struct Capture {
    log: Log,
    rings: BTreeMap<Track, Ring>,
    outputs: VecDeque<Output>,
    is_over: bool,
}

impl Capture {
    /// A call that has begun so.
    #[must_use]
    pub fn new(session: &SessionId, started: &CallStarted) -> Self {
        let mut log = Log::new(session);
        let outputs = VecDeque::from([Output::Write(File::Messages, log.started(started).into())]);
        Self { log, rings: BTreeMap::new(), outputs, is_over: false }
    }

    /// Audio, as it goes to the speech service.
    pub fn handle_audio(&mut self, key: TrackKey, chunk: Chunk) {
        if self.is_over {
            return;
        }
        let line = self.log.media(key.track, &chunk);
        self.outputs.push_back(Output::Write(File::Messages, line.into()));
        self.rings.entry(key.track).or_default().push(key.stream, chunk);
        self.collect();
    }

    /// A key was pressed.
    pub fn handle_key(&mut self, track: Track, at_ms: u64) {
        if self.is_over {
            return;
        }
        let line = self.log.key(track);
        self.outputs.push_back(Output::Write(File::Messages, line.into()));
        self.silence(track, at_ms.saturating_sub(KEY_BEFORE_MS), at_ms.saturating_add(KEY_BEHIND_MS));
    }

    /// An event was stored, with these bytes; before the audio that it covers is told as covered.
    pub fn handle_event(&mut self, data: &Data, body: &[u8]) {
        if self.is_over {
            return;
        }
        match data {
            Data::TranscriptFinal(text) => {
                for beep in text.beeps.iter().flatten() {
                    self.silence(text.track, beep.start_ms, beep.end_ms);
                }
            }
            // Nobody knows what was said there. Of other gaps there is no audio.
            Data::TranscriptGap(gap) => match gap.reason {
                GapReason::UpstreamLost | GapReason::Quota | GapReason::SpoolFull => {
                    self.silence(gap.track, gap.from_ms, gap.to_ms);
                }
                GapReason::Paused | GapReason::Disconnected | GapReason::Crash => {}
            },
            _ => {}
        }
        if let Some(line) = log::expected(body).filter(|_| !self.is_over) {
            self.outputs.push_back(Output::Write(File::Expected, line.into()));
        }
    }

    /// Audio of a track before `mark` is covered by stored finals.
    pub fn handle_covered(&mut self, key: TrackKey, mark: Offset) {
        if let Some(ring) = self.rings.get_mut(&key.track).filter(|_| !self.is_over) {
            ring.covered(key.stream, mark);
            self.collect();
        }
    }

    /// The call is over, with a `stop` or without.
    pub fn handle_end(&mut self, stopped: bool) {
        if self.is_over {
            return;
        }
        self.rings.values_mut().for_each(Ring::end);
        self.collect();
        if stopped {
            let line = self.log.stopped();
            self.outputs.push_back(Output::Write(File::Messages, line.into()));
        }
        self.outputs.push_back(Output::Done);
        self.is_over = true;
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn silence(&mut self, track: Track, from_ms: u64, to_ms: u64) {
        if let Err(Late) = self.rings.entry(track).or_default().silence(from_ms, to_ms) {
            self.outputs.clear();
            self.outputs.push_back(Output::Abandoned);
            self.is_over = true;
        }
    }

    fn collect(&mut self) {
        for (track, ring) in &mut self.rings {
            while let Some(audio) = ring.poll_output() {
                self.outputs.push_back(Output::Write(File::Audio(*track), audio));
            }
        }
    }
}
