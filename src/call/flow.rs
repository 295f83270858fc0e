//! The way of the words through a session: transcript, gate, store.

use std::time::Instant;

use super::{
    Call, Output, Phase, Unit, announce,
    coverage::{GapNumber, Word},
    in_order::Item,
};
use crate::{
    media::{Gap, Offset, Track},
    redact::Out,
    segment::{Release, TrackKey},
    transcript::Said,
};

impl Call {
    /// Moves words from the transcript through the gate, and the session on to its end.
    pub(super) fn proceed(&mut self, now: Instant) {
        while let Some(said) = self.transcript.poll_output() {
            match said {
                Said::Interim(segment) => self.gate.handle_interim(segment, now),
                Said::Final(segment) => {
                    self.tracks.coverage(segment.key).expect(Word::Final(segment.id.clone()), segment.covers);
                    self.in_order.push_final(segment, now);
                }
                Said::Covered(key, to) => self.silence(key, to, now),
            }
        }
        if let Phase::Draining { .. } = self.phase {
            self.in_order.handle_ending();
        }
        self.pass(now);
        if let Phase::Draining { reason, .. } = self.phase
            && self.tracks.all_done()
        {
            self.in_order.handle_end();
            self.pass(now);
            self.gate.handle_end(now);
            self.release();
            self.phase = Phase::Concluding { reason };
            self.outputs.push_back(Output::Conclude);
        }
    }

    /// Hands on to the gate, and from there, what has its turn.
    fn pass(&mut self, now: Instant) {
        while let Some((item, unasked)) = self.in_order.pop(now) {
            match item {
                Item::Final(segment) if unasked => self.gate.handle_final_unasked(*segment, now),
                Item::Final(segment) => self.gate.handle_final(*segment, now),
                Item::Digit { track, at_ms, digit } => {
                    let role = self.facts.role(track).clone();
                    self.gate.handle_digit(track, &role, at_ms, digit, now);
                }
                Item::Gap(track, gap, number) => self.gap(track, gap, number),
            }
            self.release();
        }
        self.release();
    }

    fn release(&mut self) {
        while let Some(out) = self.gate.poll_output() {
            match out {
                Out::Release(release) => self.release_final(release),
                Out::Interim(segment) => self.show(announce::transcript_partial(&segment)),
                Out::Digit { track, at_ms, masked, digit } => {
                    let data = announce::call_dtmf(track, at_ms, masked, digit);
                    self.store(Unit::event(data));
                }
                Out::Note(note) => self.outputs.push_back(Output::Note(note)),
            }
        }
    }

    fn release_final(&mut self, release: Release) {
        self.tracks.released(&release);
        let data = announce::transcript_final(&release);
        self.store(Unit { segment: Some(release), ..Unit::event(data) });
    }

    /// A link gives audio up: once that is stored, everything up to `covers` is done with.
    pub(super) fn link_gap(&mut self, key: TrackKey, gap: Gap, covers: Offset, now: Instant) {
        if gap.to_ms <= gap.from_ms {
            return self.silence(key, covers, now);
        }
        self.gaps += 1;
        self.tracks.coverage(key).expect(Word::Gap(self.gaps), covers);
        self.in_order.push_other(Item::Gap(key.track, gap, Some((key, self.gaps))), gap.to_ms, now);
    }

    pub(super) fn gap(&mut self, track: Track, gap: Gap, number: Option<GapNumber>) {
        let context = self.pauses.told(track, &gap);
        if gap.to_ms <= gap.from_ms {
            if context.is_some() {
                self.store(Unit { context, ..Unit::default() });
            }
            return;
        }
        self.tracks.gap(track, gap);
        let data = announce::transcript_gap(track, gap);
        self.store(Unit { gap: number, context, ..Unit::event(data) });
    }

    pub(super) fn silence(&mut self, key: TrackKey, to: Offset, now: Instant) {
        self.tracks.coverage(key).silent(to);
        self.silent_since.get_or_insert(now);
    }
}
