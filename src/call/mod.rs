//! One session of a call, from its stream's start to its one terminal event.
//!
//! Promises: events are numbered from 1 without gaps; nothing is announced and no audio is given up before the final that
//! covers it is stored, with its event, in one transaction; whatever happens to streams, links or limits, exactly one
//! `call.completed` ends the session, and it is its last event.
//!
//! The driver stores each [`Output::Store`] and says so by [`Call::handle_stored`] before it takes the next output.

mod announce;
mod coverage;
pub mod driver;
mod facts;
mod flow;
mod in_order;
mod pauses;
mod phase;
mod resume;
#[cfg(test)]
mod tests;
mod tracks;
mod unit;

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use coverage::Word;
pub use facts::{Facts, Remembered, direction_named};
use in_order::{InOrder, Item};
pub use pauses::Pause;
use pauses::Pauses;
use phase::Phase;
pub use phase::{DRAIN_LIMIT, JOIN_WINDOW, LONGEST_DRAIN};
pub use resume::{Resumed, ResumedTrack};
pub use tracks::Sums;
use tracks::Tracks;
pub use unit::{Closing, Ending, Opening, Unit, context};

use crate::{
    event::{Data, Line},
    media::{EndReason, Gap, GapReason, Offset, Received, StreamSid, Track},
    pii::Redacted,
    redact::{Gate, Note},
    registry::SessionState,
    segment::TrackKey,
    transcript::Transcript,
    upstream::Report,
};

/// How long a mark moved by silence alone may wait for a final to be stored with.
const SILENT_MARK_EVERY: Duration = Duration::from_secs(5);

/// What the driver is to do.
#[derive(Debug)]
pub enum Output {
    /// Store this, then say so.
    Store(Box<Unit>),
    /// Audio of the track up to here is covered by stored finals.
    Covered(TrackKey, Offset),
    /// Show this to whoever watches; it is not stored.
    Show(Box<Data>),
    /// What the gate has to say beside text.
    Note(Note),
    /// Read the stored segments back and call [`Call::handle_transcript`].
    Conclude,
}

/// The session machine.
pub struct Call {
    facts: Facts,
    phase: Phase,
    transcript: Transcript,
    in_order: InOrder,
    gate: Gate,
    tracks: Tracks,
    pauses: Pauses,
    next_seq: u64,
    streams: u32,
    last_audio: Instant,
    storing: Option<Stored>,
    outputs: VecDeque<Output>,
    silent_since: Option<Instant>,
    /// Gaps for which marks waited.
    gaps: u64,
}

/// What becomes true once the unit that is being stored is.
struct Stored {
    word: Option<(TrackKey, Word)>,
}

impl Call {
    /// A session whose first stream starts now; its first output stores the session with `call.started`.
    pub fn started(facts: Facts, gate: Gate, now: Instant) -> Self {
        let mut call = Self::bare(facts, gate, Phase::Live, now);
        for track in call.facts.tracks.clone() {
            call.open(TrackKey { stream: 0, track }, 0, now);
        }
        let parameters = call.clean_parameters();
        let data = announce::call_started(&call.facts, parameters);
        let opens =
            Opening { stream: 0, stream_sid: Some(call.facts.stream_sid.clone()), tracks: call.facts.tracks.clone(), base_ms: 0 };
        call.store(Unit { opens: Some(opens), ..Unit::event(data) });
        call.streams = 1;
        call
    }

    fn bare(facts: Facts, gate: Gate, phase: Phase, now: Instant) -> Self {
        let transcript = Transcript::new(&facts.session);
        Self {
            facts,
            phase,
            transcript,
            in_order: InOrder::default(),
            gate,
            tracks: Tracks::default(),
            pauses: Pauses::default(),
            next_seq: 1,
            streams: 0,
            last_audio: now,
            storing: None,
            outputs: VecDeque::new(),
            silent_since: None,
            gaps: 0,
        }
    }

    fn clean_parameters(&mut self) -> BTreeMap<String, Redacted> {
        let given = std::mem::take(&mut self.facts.parameters);
        given.iter().map(|(name, value)| (name.clone(), self.gate.parameter(name, value))).collect()
    }

    /// What is known of the call.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What the session is doing, as one word.
    pub fn state(&self) -> SessionState {
        match self.phase {
            Phase::Live => SessionState::Live,
            Phase::Waiting { .. } => SessionState::Waiting,
            Phase::Draining { .. } | Phase::Concluding { .. } => SessionState::Draining,
            Phase::Ended => SessionState::Ended,
        }
    }

    fn is_concluding(&self) -> bool {
        matches!(self.phase, Phase::Concluding { .. } | Phase::Ended)
    }

    /// Whether the terminal event is stored.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended) && self.storing.is_none() && self.outputs.is_empty()
    }

    /// Another stream of the same call asks to join: its number and its place on the call's clock, or `None` where it must open a session of its own.
    pub fn handle_join(&mut self, stream_sid: StreamSid, tracks: &[Track], now: Instant) -> Option<(u32, u64)> {
        let Phase::Waiting { .. } = self.phase else { return None };
        self.phase = Phase::Live;
        let (stream, ended_ms) = (self.streams, self.tracks.end_ms());
        let away = now.saturating_duration_since(self.last_audio).as_millis();
        let base_ms = ended_ms.saturating_add(u64::try_from(away).unwrap_or(u64::MAX));
        self.streams += 1;
        for track in tracks {
            self.open(TrackKey { stream, track: *track }, base_ms, now);
        }
        let opens = Opening { stream, stream_sid: Some(stream_sid), tracks: tracks.to_vec(), base_ms };
        self.store(Unit { opens: Some(opens), ..Unit::default() });
        for track in self.tracks.heard_before(stream) {
            self.gap(track, Gap { from_ms: ended_ms, to_ms: base_ms, reason: GapReason::Disconnected }, None);
        }
        Some((stream, base_ms))
    }

    /// A track that nobody announced has audio.
    pub fn handle_track_opened(&mut self, key: TrackKey, now: Instant) {
        if self.open(key, self.tracks.end_ms(), now) {
            let opens = Opening { stream: key.stream, stream_sid: None, tracks: vec![key.track], base_ms: 0 };
            self.store(Unit { opens: Some(opens), ..Unit::default() });
        }
    }

    /// A key was pressed; `None` for one that was pressed in a pause.
    pub fn handle_digit(&mut self, track: Track, at_ms: u64, digit: Option<char>, now: Instant) {
        if self.is_concluding() {
            return;
        }
        self.in_order.push_other(Item::Digit { track, at_ms, digit }, at_ms, now);
        self.proceed(now);
    }

    /// A stream is over; its last audio came at `last_audio`. That is stored, so that a restart ends the call as this stream ended.
    pub fn handle_stream_ended(
        &mut self,
        stream: u32,
        reason: EndReason,
        received: &[(Track, Received)],
        last_audio: Instant,
        now: Instant,
    ) {
        self.last_audio = self.last_audio.max(last_audio);
        for (track, received) in received {
            self.tracks.received(TrackKey { stream, track: *track }, *received);
        }
        if !self.is_concluding() {
            self.end_pauses(stream, received, now);
            let closes = Some(Closing { stream, reason, received: received.to_vec() });
            self.store(Unit { closes, ..Unit::default() });
        }
        if let Phase::Live = self.phase {
            self.phase = match reason {
                EndReason::Disconnect => Phase::Waiting { until: now + JOIN_WINDOW, reason },
                _ => Phase::draining(reason, now),
            };
        }
        self.proceed(now);
    }

    /// The bridge takes no more streams: what waits for one to join need not wait.
    pub fn handle_no_join(&mut self, now: Instant) {
        if let Phase::Waiting { reason, .. } = self.phase {
            self.phase = Phase::draining(reason, now);
        }
        self.proceed(now);
    }

    /// The reaper found nobody at home: no stream will join any more, whatever the session believes.
    pub fn handle_no_more_streams(&mut self, reason: EndReason, now: Instant) {
        match self.phase {
            Phase::Waiting { reason, .. } => self.phase = Phase::draining(reason, now),
            Phase::Live => self.phase = Phase::draining(reason, now),
            Phase::Draining { .. } | Phase::Concluding { .. } | Phase::Ended => {}
        }
        self.proceed(now);
    }

    /// A link says something.
    pub fn handle_report(&mut self, key: TrackKey, report: Report, now: Instant) {
        if self.is_concluding() {
            return;
        }
        if let Phase::Draining { heard, .. } = &mut self.phase {
            *heard = now;
        }
        // A link may be faster than the word that its track was opened.
        self.handle_track_opened(key, now);
        self.in_order.handle_report(key, &report, now);
        let role = self.facts.role(key.track).clone();
        match report {
            Report::Interim(heard) => self.transcript.handle_interim(key, &role, heard),
            Report::Final(heard) => self.transcript.handle_final(key, &role, heard),
            Report::Covered(to) => self.silence(key, to, now),
            Report::SpeechStarted { at_ms } => self.show(announce::speech(key.track, at_ms, true)),
            Report::SpeechEnded { at_ms } => self.show(announce::speech(key.track, at_ms, false)),
            Report::Gap { gap, covers } => self.link_gap(key, gap, covers, now),
            Report::State(_) | Report::Behind { .. } | Report::CaughtUp | Report::Left => {}
            Report::Done(totals) => self.tracks.done(key, totals),
        }
        self.proceed(now);
    }

    /// The unit given out last is stored.
    pub fn handle_stored(&mut self, now: Instant) {
        let Some(stored) = self.storing.take() else { return };
        if let Some((key, word)) = stored.word {
            let moved = self.tracks.coverage(key).stored(Some(&word));
            self.outputs.extend(moved.map(|mark| Output::Covered(key, mark)));
        }
        for key in self.tracks.keys() {
            let moved = self.tracks.coverage(key).stored(None);
            self.outputs.extend(moved.map(|mark| Output::Covered(key, mark)));
        }
        self.proceed(now);
    }

    /// The stored segments, merged, in answer to [`Output::Conclude`], and whether all that is stored could be read; `wall_ms` is the time
    /// now, in milliseconds since 1970.
    pub fn handle_transcript(&mut self, (transcript, are_all): (Vec<Line>, bool), wall_ms: u64, transcript_url: String) {
        let Phase::Concluding { reason } = self.phase else { return };
        let sums = self.tracks.sums(|track| self.facts.role(track).clone());
        let mut end = announce::call_completed(reason, sums, self.next_seq, wall_ms, transcript, transcript_url);
        // A transcript without finals that were told is not complete, whatever became of the audio.
        end.complete &= are_all;
        let ends = Some(Ending { reason, duration_ms: end.duration_ms, complete: end.complete });
        self.phase = Phase::Ended;
        self.store(Unit { ends, ..Unit::event(Data::CallCompleted(Box::new(end))) });
    }

    /// A deadline of [`Call::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.gate.handle_timeout(now);
        match self.phase {
            Phase::Waiting { until, reason } if until <= now => {
                self.phase = Phase::draining(reason, now);
            }
            _ if self.phase.drained_at().is_some_and(|until| until <= now) => self.give_up(),
            _ => {}
        }
        if self.silent_since.is_some_and(|since| since + SILENT_MARK_EVERY <= now) {
            self.store_silent_marks();
        }
        self.proceed(now);
    }

    /// Says whether the track is new.
    fn open(&mut self, key: TrackKey, base_ms: u64, now: Instant) -> bool {
        self.in_order.open(key, base_ms, now);
        self.tracks.open(key)
    }

    fn give_up(&mut self) {
        self.in_order.handle_end();
        for (track, gap) in self.tracks.give_up() {
            self.gap(track, gap, None);
        }
    }

    /// When [`Call::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Waiting { until, .. } => Some(until),
            Phase::Live | Phase::Draining { .. } | Phase::Concluding { .. } | Phase::Ended => self.phase.drained_at(),
        };
        let silent = self.silent_since.map(|since| since + SILENT_MARK_EVERY);
        [phase, self.gate.poll_timeout(), self.in_order.poll_timeout(), silent].into_iter().flatten().min()
    }

    /// The next thing to do; nothing more while a unit is being stored.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.storing.is_some() {
            return None;
        }
        let mut output = self.outputs.pop_front()?;
        if let Output::Store(unit) = &mut output {
            self.seal(unit);
        }
        Some(output)
    }

    /// Gives the unit its number and its marks, which may have grown since it was queued.
    fn seal(&mut self, unit: &mut Unit) {
        if let Some((seq, _)) = &mut unit.event {
            *seq = self.next_seq;
            self.next_seq += 1;
        }
        let segment = unit.segment.as_ref().map(|release| (release.segment.key, Word::Final(release.segment.id.clone())));
        let word = segment.or_else(|| unit.gap.map(|(key, number)| (key, Word::Gap(number))));
        unit.marks = self.tracks.marks_with(word.as_ref());
        self.silent_since = None;
        self.storing = Some(Stored { word });
    }

    fn store(&mut self, unit: Unit) {
        self.outputs.push_back(Output::Store(Box::new(unit)));
    }

    fn store_silent_marks(&mut self) {
        self.silent_since = None;
        self.store(Unit::default());
    }

    fn show(&mut self, data: Data) {
        self.outputs.push_back(Output::Show(Box::new(data)));
    }
}
