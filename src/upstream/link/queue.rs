//! Waiting for a session slot, which is no outage: its own, longer deadline runs.

use super::{GapReason, Instant, Link, LinkState, Output, Report, State, Timer};

impl Link {
    /// There is no session slot for the dial that was asked for; [`Link::handle_granted`] follows when there is.
    pub fn handle_queued(&mut self, now: Instant) {
        if matches!(self.state, State::Connecting) {
            self.state = State::Queued;
            self.report(Report::State(LinkState::Queued));
            self.await_slot(now);
        }
    }

    /// The slot is there: asks for the dial again.
    pub fn handle_granted(&mut self, now: Instant) {
        if matches!(self.state, State::Queued) && !self.timers.is_set(Timer::Retry) {
            self.dial_with_slot(now);
        }
    }

    /// There will be no slot for this track: its audio is told of to its end, and left for after it.
    pub fn handle_unstreamed(&mut self) {
        if !matches!(self.state, State::Connecting) {
            return;
        }
        self.timers.clear_all();
        self.left_for = GapReason::Quota;
        self.complete = false;
        self.state = State::Refused;
        self.unstreamed = true;
        self.report(Report::State(LinkState::Unstreamed));
        if self.ended {
            self.finish(false);
        }
    }

    /// A connection may be tried for as long after the end as if it had been lost just now.
    pub(super) fn dial_with_slot(&mut self, now: Instant) {
        self.state = State::Connecting;
        self.timers.clear(Timer::SlotWait);
        if self.ended {
            self.until = None;
            self.put_off_the_end(now);
        }
        self.outputs.push_back(Output::Dial);
    }

    /// Once the audio has ended, all waits for slots together are bounded.
    pub(super) fn await_slot(&mut self, now: Instant) {
        if self.ended {
            self.timers.clear(Timer::Drain);
            let until = *self.slot_until.get_or_insert(now + self.settings.slot_wait);
            self.timers.set(Timer::SlotWait, until);
        }
    }

    pub(super) fn give_up_slot(&mut self) {
        self.left_for = GapReason::Quota;
        self.outputs.push_back(Output::Hangup);
        self.finish(false);
    }
}
