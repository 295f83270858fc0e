//! A stream that the service ended because no audio came: nothing is wrong, and the next audio opens another one.

use std::time::{Duration, Instant};

use super::{Link, LinkState, Output, Report, State};

/// A service that finds no audio although some was sent so shortly before has failed.
const LEAST_SILENCE: Duration = Duration::from_millis(500);

impl Link {
    /// Takes the end of a silent stream for what it is; says whether it was one. A service that has been silent itself ever since has
    /// heard all that was sent. Where words are still open they are not given up, and where another connection is under way it takes
    /// over: then it is a lost connection like any other.
    pub(super) fn rest(&mut self, now: Instant) -> bool {
        let State::Open(connection) = &self.state else { return false };
        let is_silent = now.saturating_duration_since(connection.last_audio) >= LEAST_SILENCE;
        let is_waiting = self.interim.is_some() || self.backlog.next_unsent().is_some();
        if !is_silent || is_waiting || self.ended || !self.rotation.is_serving() {
            return false;
        }
        let heard = connection.sent_end();
        if now.saturating_duration_since(connection.since) >= self.settings.healthy_after {
            self.backoff.reset();
        }
        self.outputs.push_back(Output::Hangup);
        self.timers.clear_connection();
        self.state = State::Resting;
        if heard > self.finalized {
            self.report(Report::Covered(heard));
            self.cover(heard);
        }
        self.report(Report::State(LinkState::Idle));
        true
    }

    /// Audio comes again.
    pub(super) fn wake(&mut self) {
        if matches!(self.state, State::Resting) {
            self.state = State::Connecting;
            self.outputs.push_back(Output::Dial);
        }
    }
}
