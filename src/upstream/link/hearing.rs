//! What the service says: finals, interims, voice activity, errors.

use std::time::{Duration, Instant};

use super::{Link, Offset, Refusal, Report, State, Timer};
use crate::{
    media::ms_to_bytes,
    pii::Unredacted,
    upstream::{
        Cause,
        hear::{self, Ear, LastWord, Memory},
        open::{Closing, Run, Runs},
        wire,
    },
};

/// How often a stretch whose final is missing is sent again before what interims showed of it is taken for it.
const MISSING_TRIES: u8 = 2;
/// Words that were told before a connection come again at the latest so much behind their audio, in bytes.
const LATEST_AGAIN: u64 = ms_to_bytes(10_000);

/// What a link knows of what it heard, over all of its connections.
#[derive(Default)]
pub(super) struct Hearing {
    pub(super) memory: Memory,
    pub(super) runs: Runs,
    /// The last final of this connection: its text and its times.
    last: Option<(Unredacted, Option<(Offset, Offset)>)>,
    /// Where a final was missing, and how often the audio behind was sent again for it.
    missing: Option<(Offset, u8)>,
    /// The service has answered `finalize`.
    pub(super) answers: bool,
    /// So often it has not.
    pub(super) ignored: u8,
    /// How long a service may say nothing although it is sent a voice; the usual time where there is none.
    pub(super) patience: Option<Duration>,
    /// What was sent of preludes, in bytes.
    pub(super) resent: u64,
}

impl Hearing {
    /// A new connection has said nothing yet.
    pub(super) fn handle_connected(&mut self) {
        self.last = None;
        self.runs.handle_connected();
    }
}

impl Link {
    pub(super) fn hear_final(&mut self, transcript: wire::Transcript, now: Instant) {
        let State::Open(connection) = &mut self.state else { return };
        connection.watch.handle_heard(now);
        let (is_last, has_text, asked) = (transcript.is_last, !transcript.text.is_blank(), connection.closing);
        if !has_text && !is_last && connection.finalize_at.is_none() && !self.hearing.runs.is_empty() {
            // Silence that nobody asked about lies before what is open, or it came late: nothing says where it ends.
            return;
        }
        let timed = !transcript.words.is_empty() || !transcript.utterances.is_empty();
        let (text, from_finalize) = (transcript.text.clone(), transcript.from_finalize);
        let (finalized, recovered, memory) = (self.finalized, self.recovered, &mut self.hearing.memory);
        let mut ear = Ear { connection, backlog: &self.backlog, finalized, recovered, memory, now };
        let LastWord { heard, span, extent, told } = ear.last_word(transcript);
        let is_answer =
            connection.finalize_at.is_some_and(|asked| from_finalize || heard.covers >= self.backlog.quiet_before(asked));
        let number = connection.number;
        let closing = Closing { text: &text, connection: number, span, is_new: !heard.text.is_blank() };
        let misses = !has_text || span.is_some() && !heard.text.is_blank();
        let from = if has_text { extent.0 } else { heard.covers };
        if misses && !self.accept_missing(&closing, from, now) {
            return;
        }
        if is_answer && !has_text && !from_finalize && self.doubts_the_answer(heard.covers, now) {
            return;
        }
        let State::Open(connection) = &mut self.state else { return };
        if is_answer {
            connection.finalize_at = None;
            self.hearing.answers |= from_finalize || !has_text;
        }
        if has_text {
            self.timed = timed;
        }
        self.hearing.memory.tell(&told, number, &self.backlog);
        self.close_runs(&closing, has_text);
        let covers = heard.covers;
        if covers > self.finalized || !heard.text.is_blank() {
            self.hearing.patience = None;
        }
        match span {
            Some((_, end)) => self.hearing.memory.pass(end),
            // New words are said behind all that came again.
            None if !heard.text.is_blank() => self.hearing.memory.pass(extent.1),
            None => {}
        }
        if !heard.text.is_blank() {
            self.report(Report::Final(heard));
        } else if covers > self.finalized {
            self.report(Report::Covered(covers));
        }
        self.cover(covers);
        match (is_last, asked) {
            (true, true) => self.finish(true),
            (true, false) => self.give_up_connection(Refusal::Ended, now),
            (false, _) => self.look_for_answer(now),
        }
    }

    /// What interims showed before `from` and no final says. Its audio is sent again; where that was no use, it is told as it was shown.
    /// Says whether the final that showed it may be told.
    fn accept_missing(&mut self, closing: &Closing<'_>, from: Offset, now: Instant) -> bool {
        let voice_ms = |from, to| self.backlog.voice_between_ms(from, to);
        let missed = self.hearing.runs.take_missed(closing, (self.finalized, from), voice_ms);
        if missed.is_empty() {
            return true;
        }
        let tries = self.hearing.missing.filter(|(at, _)| *at == self.finalized).map_or(0, |(_, tries)| tries);
        if tries < MISSING_TRIES {
            self.hearing.missing = Some((self.finalized, tries + 1));
            self.hearing.runs.put_back(missed);
            self.give_up_connection(Refusal::MissingFinal, now);
            return false;
        }
        let end = self.backlog.start_ms(from);
        missed.into_iter().for_each(|run| self.promote(run, from, end));
        true
    }

    /// Tells an interim as a final, because none will come.
    pub(super) fn promote(&mut self, run: Run, until: Offset, end_ms: u64) {
        let mut heard = run.last;
        let begin = self.finalized.max(self.hearing.memory.until());
        heard.start_ms = heard.start_ms.max(self.backlog.start_ms(begin)).min(end_ms);
        heard.end_ms = heard.end_ms.min(end_ms).max(heard.start_ms);
        (heard.covers, heard.provisional) = (run.upto.min(until).max(self.finalized), true);
        let covers = heard.covers;
        self.hearing.memory.promote(&heard.text, (begin.min(covers), covers), heard.connection);
        self.report(Report::Final(heard));
        self.cover(covers);
    }

    /// What a final says is not open any more.
    fn close_runs(&mut self, closing: &Closing<'_>, has_text: bool) {
        // Words heard on a connection before this one stay open if this final only repeats what was known.
        if self.interim.as_ref().is_some_and(|(open, _)| open.connection != closing.connection && !closing.is_new) {
            self.hearing.runs.handle_told(closing.text);
            return;
        }
        let last = (closing.text.clone(), closing.span);
        let is_double = has_text && closing.span.is_some() && self.hearing.last.as_ref() == Some(&last);
        if has_text {
            self.hearing.last = Some(last);
            if is_double {
                return;
            }
            self.hearing.runs.close(closing, |from, to| self.backlog.voice_between_ms(from, to));
            self.hearing.runs.handle_told(closing.text);
        } else {
            self.hearing.runs.clear();
        }
        self.let_go_of_interim();
    }

    /// Where no segment is open any more, nothing is being said.
    fn let_go_of_interim(&mut self) {
        if self.hearing.runs.is_empty() {
            self.interim = None;
            self.timers.clear(Timer::Stall);
        }
    }

    pub(super) fn hear_interim(&mut self, mut transcript: wire::Transcript, now: Instant) {
        let State::Open(connection) = &mut self.state else { return };
        connection.watch.handle_heard(now);
        // Words of replayed audio that a final has covered are being said again only to us.
        if connection.sent_end() <= connection.known_until && self.connections > 1 {
            return;
        }
        if connection.sent_end() > connection.replayed_until.plus(LATEST_AGAIN) {
            self.hearing.memory.pass(connection.sent_end());
        }
        let said = transcript.text.clone();
        if connection.number > 0 {
            transcript.text = self.hearing.memory.behind_interim(&transcript.text, hear::is_replaying(connection));
        }
        if transcript.text.is_blank() {
            // Nothing new on this connection is no word against what was open on the one before.
            if self.interim.as_ref().is_none_or(|(open, _)| open.connection != connection.number) {
                return;
            }
            match said.is_blank() {
                true => self.hearing.runs.clear(),
                false => self.hearing.runs.withdraw(&said),
            }
            self.let_go_of_interim();
            return;
        }
        let (finalized, recovered, memory) = (self.finalized, self.recovered, &mut self.hearing.memory);
        let ear = Ear { connection, backlog: &self.backlog, finalized, recovered, memory, now };
        let heard = ear.interim(transcript);
        if connection.finalize_at != Some(connection.sent_end()) && !self.timers.is_set(Timer::Stall) {
            self.timers.set(Timer::Stall, now + self.settings.stall);
        }
        self.hearing.patience = None;
        self.hearing.runs.handle_interim(said, &heard, connection.sent_end());
        self.interim = Some((heard.clone(), connection.sent_end()));
        self.report(Report::Interim(heard));
    }

    pub(super) fn hear_activity(&mut self, at: Option<f64>, now: Instant, report: impl Fn(u64) -> Report) {
        let State::Open(connection) = &mut self.state else { return };
        connection.watch.handle_heard(now);
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
        if connection.watch.is_asked() && !self.hearing.answers && error.kind == wire::ErrorKind::Unnamed {
            // A service that does not know `finalize` is not asked for one any more.
            (self.hearing.ignored, connection.finalize_at) = (u8::MAX, None);
            connection.watch.handle_heard(now);
            return;
        }
        if error.kind == wire::ErrorKind::Named(Cause::Idle) && self.rest(now) {
            return;
        }
        self.give_up_connection(error.refusal(), now);
    }
}
