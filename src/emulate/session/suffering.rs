//! The faults of a session: which ones hold now, and what happens when one strikes.
//!
//! Promises: a fault that strikes at a byte strikes once, and not before the finals that it waits for.

use super::{Fault, MAX_HUGE, Output, Session, State, Suffered, garbage, wire};

impl Session {
    pub(super) fn talk_nonsense(&mut self) {
        let every = self.suffered(|fault| if let Fault::Garbage { every_bytes } = fault { Some(*every_bytes) } else { None });
        while every.is_some_and(|every| self.received / every.max(1) > self.garbage) {
            self.say(garbage::message(self.garbage));
            self.garbage += 1;
        }
    }

    pub(super) fn next_strike(&self) -> Option<u64> {
        self.faults.iter().filter_map(|suffered| suffered.fault.strikes_at()).filter(|at| *at > self.received).min()
    }

    /// Lets happen what is due after the bytes received and the finals said so far.
    pub(super) fn strike(&mut self) {
        let (received, finals) = (self.received, self.finals);
        let is_due =
            |suffered: &Suffered| suffered.fault.strikes_at().is_some_and(|at| received >= at) && finals >= suffered.after_finals;
        while self.state != State::Over
            && let Some(index) = self.faults.iter().position(is_due)
        {
            match self.faults.remove(index).fault {
                Fault::Drop { .. } => self.end(Output::Drop),
                Fault::Close { code, .. } => self.end(Output::Close(code)),
                Fault::Error { message, .. } => {
                    self.say(Output::Message(wire::error(&message, &self.asked)));
                    self.end(Output::Close(1011));
                }
                Fault::Huge { bytes, .. } => self.say(garbage::huge(bytes.min(MAX_HUGE))),
                Fault::BadFrame { .. } => self.end(Output::BadFrame),
                Fault::Stall { .. } => self.state = State::Stalled,
                Fault::Slow { bytes_per_second, .. } => self.reads = Some(bytes_per_second),
                Fault::ResetClock { .. } => self.zero = self.position,
                other => unreachable!("{other:?} strikes at no byte"),
            }
        }
    }

    pub(super) fn has(&self, fault: &Fault) -> bool {
        self.suffered(|suffered| (suffered == fault).then_some(())).is_some()
    }

    /// The first of the faults that hold now of which this can be said.
    pub(super) fn suffered<T>(&self, said: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        let holding = self.faults.iter().filter(|suffered| self.finals >= suffered.after_finals);
        holding.map(|suffered| &suffered.fault).find_map(said)
    }
}
