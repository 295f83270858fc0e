//! Stretches of which nothing was passed on, because an operator paused the call.
//!
//! Promises: each stretch of a track becomes one gap with reason `paused`, whatever ends it: a resume, the end of its stream, or a kill of the
//! bridge; until that gap is stored the session's row says that the stretch has begun.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Call, Unit, in_order::Item};
use crate::{
    media::{Gap, GapReason, Received, Track},
    segment::TrackKey,
};

/// Where [`Pauses`] stand in a session's context.
const NAME: &str = "paused";

/// A stretch that has begun and whose gap is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Its stream's number in the session.
    pub stream: u32,
    /// Its track.
    pub track: Track,
    /// Where it begins on the call's clock, in milliseconds.
    pub from_ms: u64,
    /// Its gap is on its way.
    #[serde(skip)]
    ended: bool,
}

impl Pause {
    /// Those that a session's context tells of.
    pub fn of_context(context: &Value) -> Vec<Self> {
        Deserialize::deserialize(&context[NAME]).unwrap_or_default()
    }

    pub(super) fn is_of(&self, key: TrackKey) -> bool {
        (self.stream, self.track) == (key.stream, key.track)
    }

    /// The gap that it becomes.
    pub fn gap(&self, to_ms: u64) -> Gap {
        Gap { from_ms: self.from_ms, to_ms, reason: GapReason::Paused }
    }
}

/// All such stretches of a session.
#[derive(Debug, Default)]
pub(super) struct Pauses(Vec<Pause>);

impl Pauses {
    /// As an earlier life left them, all of which have ended with it.
    pub(super) fn of(pauses: &[Pause]) -> Self {
        Self(pauses.iter().map(|pause| Pause { ended: true, ..*pause }).collect())
    }

    /// Whether nobody was to hear this.
    fn hide(&self, track: Track, gap: &Gap) -> bool {
        self.0.iter().any(|pause| pause.track == track && !pause.ended && pause.from_ms <= gap.from_ms)
    }

    /// The gap of one is told: what the session's row says of the others. `None` where there was no such one.
    pub(super) fn told(&mut self, track: Track, gap: &Gap) -> Option<Value> {
        let is_it = |pause: &Pause| gap.reason == GapReason::Paused && (pause.track, pause.from_ms) == (track, gap.from_ms);
        let at = self.0.iter().position(is_it)?;
        self.0.remove(at);
        Some(self.context())
    }

    fn context(&self) -> Value {
        json!({ NAME: self.0 })
    }

    /// Ends those that go on, of one track or of all tracks of a stream.
    fn end(&mut self, is_of: impl Fn(&Pause) -> bool) -> Vec<Pause> {
        let ended = self.0.iter_mut().filter(|pause| !pause.ended && is_of(pause));
        ended.map(|pause| std::mem::replace(pause, Pause { ended: true, ..*pause })).collect()
    }
}

impl Call {
    /// A track's audio is silence from here on; telling it again changes nothing.
    pub fn handle_paused(&mut self, key: TrackKey, at_ms: u64, now: Instant) {
        if self.is_concluding() || self.pauses.0.iter().any(|pause| pause.is_of(key) && !pause.ended) {
            return;
        }
        self.pauses.0.push(Pause { stream: key.stream, track: key.track, from_ms: at_ms, ended: false });
        self.store(Unit { context: Some(self.pauses.context()), ..Unit::default() });
        self.proceed(now);
    }

    /// A track's audio is what came again.
    pub fn handle_resumed(&mut self, key: TrackKey, at_ms: u64, now: Instant) {
        for pause in self.pauses.end(|pause| pause.is_of(key)) {
            self.end_pause(&pause, at_ms, now);
        }
        self.proceed(now);
    }

    /// A stream is over, and its pauses with it.
    pub(super) fn end_pauses(&mut self, stream: u32, received: &[(Track, Received)], now: Instant) {
        for pause in self.pauses.end(|pause| pause.stream == stream) {
            let ended = received.iter().find(|(track, _)| *track == pause.track);
            let to_ms = ended.map_or(pause.from_ms, |(_, received)| received.end_ms);
            self.end_pause(&pause, to_ms, now);
        }
    }

    /// Audio was lost on its way to the bridge. In a pause nobody was to hear it.
    pub fn handle_lost(&mut self, track: Track, gap: Gap, now: Instant) {
        if self.is_concluding() || self.pauses.hide(track, &gap) {
            return;
        }
        self.in_order.push_other(Item::Gap(track, gap, None), gap.to_ms, now);
        self.proceed(now);
    }

    fn end_pause(&mut self, pause: &Pause, to_ms: u64, now: Instant) {
        self.in_order.push_other(Item::Gap(pause.track, pause.gap(to_ms), None), to_ms, now);
    }
}
