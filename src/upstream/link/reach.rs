//! What a new connection hears before the audio that it is to transcribe.

use super::{Connection, Instant, Link, Offset, Output, Remains, State, Timer};

impl Link {
    /// What an earlier life told is known, as if a connection before the first had heard it.
    pub(super) fn resume(&mut self, remains: &Remains) {
        self.hearing.memory.resume(&remains.known);
        self.timed = !remains.untimed;
        self.connections = 1;
    }

    /// A new connection is sent the audio from `from` on, and before that what is kept of each voice.
    pub(super) fn remind(&mut self, connection: &mut Connection, from: Offset) {
        connection.told_until = connection.known_until.max(self.hearing.memory.until());
        connection.prelude = self.hearing.memory.handle_connected(from);
    }

    /// Sends what of it may be sent now; says whether that is all of it.
    pub(super) fn flush_prelude(&mut self, now: Instant) -> bool {
        let State::Open(connection) = &mut self.state else { return false };
        while !connection.prelude.is_empty() {
            if let Some(due) = connection.pace.due(self.settings.replay_speed, now) {
                self.timers.set(Timer::Pace, due);
                return false;
            }
            let Some(chunk) = connection.prelude.pop_front() else { break };
            connection.send(&chunk, now);
            self.hearing.resent += chunk.audio.len() as u64;
            self.outputs.push_back(Output::Audio { audio: chunk.audio, received: None });
        }
        true
    }
}
