//! The way of the words through a session: transcript, gate, store.

use std::time::Instant;

use super::{Call, Output, Phase, Unit, announce};
use crate::{redact::Out, segment::Release, transcript::Said};

impl Call {
    /// Moves words from the transcript through the gate, and the session on to its end.
    pub(super) fn proceed(&mut self, now: Instant) {
        while let Some(said) = self.transcript.poll_output() {
            match said {
                Said::Interim(segment) => self.gate.handle_interim(segment, now),
                Said::Final(segment) => {
                    self.tracks.coverage(segment.key).expect(&segment.id, segment.covers);
                    self.gate.handle_final(segment, now);
                }
                Said::Covered(key, to) => self.silence(key, to, now),
            }
        }
        self.release();
        if let Phase::Draining { reason, .. } = self.phase
            && self.tracks.all_done()
        {
            self.gate.handle_end(now);
            self.release();
            self.phase = Phase::Concluding { reason };
            self.outputs.push_back(Output::Conclude);
        }
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
}
