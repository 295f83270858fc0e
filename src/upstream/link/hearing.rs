//! What the service says: finals, interims, voice activity, errors.

use std::time::Instant;

use super::{Link, Refusal, Report, State, Timer};
use crate::upstream::{
    Cause,
    hear::{self, Ear},
    wire,
};

/// Finals that wait to be stored and whose words are known when they come again.
const MAX_TOLD: usize = 32;

impl Link {
    pub(super) fn hear_final(&mut self, transcript: wire::Transcript, now: Instant) {
        let State::Open(connection) = &mut self.state else { return };
        let (is_last, has_text, asked) = (transcript.is_last, !transcript.text.is_blank(), connection.closing);
        let timed = !transcript.words.is_empty() || !transcript.utterances.is_empty();
        let ear = Ear { connection, backlog: &self.backlog, finalized: self.finalized, recovered: self.recovered, now };
        let heard = ear.last_word(transcript);
        if connection.finalize_at.is_some_and(|asked| heard.covers >= asked) {
            connection.finalize_at = None;
        }
        if has_text {
            self.timed = timed;
        }
        // Words heard on a connection before this one stay open if this final only repeats what was known.
        let number = connection.number;
        if self.interim.as_ref().is_some_and(|(open, _)| open.connection == number || !heard.text.is_blank()) {
            self.interim = None;
            self.timers.clear(Timer::Stall);
        }
        let covers = heard.covers;
        if !heard.text.is_blank() {
            self.told.push_back((covers, heard.text.clone()));
            self.told.drain(..self.told.len().saturating_sub(MAX_TOLD));
            self.report(Report::Final(heard));
        } else if covers > self.finalized {
            self.report(Report::Covered(covers));
        }
        self.cover(covers);
        match (is_last, asked) {
            (true, true) => self.finish(true),
            (true, false) => self.give_up_connection(Refusal::Ended, now),
            (false, _) => {}
        }
    }

    pub(super) fn hear_interim(&mut self, mut transcript: wire::Transcript, now: Instant) {
        let State::Open(connection) = &mut self.state else { return };
        // Words of replayed audio that a final has covered are being said again only to us.
        if connection.sent_end() <= connection.known_until && self.connections > 1 {
            return;
        }
        if connection.number > 0 && self.finalized <= connection.known_until {
            let told = self.told.iter().map(|(_, text)| text);
            transcript.text = hear::behind(told, &transcript.text, hear::is_replaying(connection));
        }
        if transcript.text.is_blank() {
            // Nothing new on this connection is no word against what was open on the one before.
            if self.interim.as_ref().is_some_and(|(open, _)| open.connection == connection.number) {
                self.interim = None;
                self.timers.clear(Timer::Stall);
            }
            return;
        }
        let ear = Ear { connection, backlog: &self.backlog, finalized: self.finalized, recovered: self.recovered, now };
        let heard = ear.interim(transcript);
        if connection.finalize_at != Some(connection.sent_end()) && !self.timers.is_set(Timer::Stall) {
            self.timers.set(Timer::Stall, now + self.settings.stall);
        }
        self.interim = Some((heard.clone(), connection.sent_end()));
        self.report(Report::Interim(heard));
    }

    pub(super) fn hear_activity(&mut self, at: Option<f64>, report: impl Fn(u64) -> Report) {
        let State::Open(connection) = &self.state else { return };
        let Some(at) = connection.place(at).map(|bytes| connection.begin(bytes)) else { return };
        if at >= connection.known_until {
            self.report(report(self.backlog.start_ms(at)));
        }
    }

    pub(super) fn hear_error(&mut self, error: wire::ErrorFrame, now: Instant) {
        let State::Open(connection) = &mut self.state else { return };
        if connection.kept_alive && error.kind == wire::ErrorKind::Unnamed {
            connection.kept_alive = false;
            self.keepalive_refused = true;
            self.timers.clear(Timer::Keepalive);
            return;
        }
        if error.kind == wire::ErrorKind::Named(Cause::Idle) && self.rest(now) {
            return;
        }
        self.give_up_connection(error.refusal(), now);
    }
}
