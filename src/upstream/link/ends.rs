//! How a connection, a stretch of audio and the whole link come to their ends.

use std::time::Duration;

use super::{Gap, Heard, Instant, Link, LinkState, Offset, Output, Refusal, Report, State, Timer, Totals, bytes_to_ms};
use crate::upstream::{Stretch, hear::UNDECODED_MS};

/// A service that hears says something of a voice at the latest so much of it later, in milliseconds: its decoder and its end of speech
/// take about two seconds together (protocols/pulse.md section 7).
const LONGEST_SILENCE_MS: u64 = 3_000;
/// The same in the middle of an utterance, where every piece that is decoded (about 1.1 s) brings another interim.
const LONGEST_STEP_MS: u64 = 2_000;
/// What was sent so shortly before an interim came is not in it: the way there, and its way back.
const ON_THE_WAY: Duration = Duration::from_millis(500);
/// So often in a row what was sent is sent again because a service that was asked to close has not said its last words, nor any final
/// that got on.
const FAREWELLS: u8 = 3;
/// A service that says that it works on the last words is waited for at most so long behind the end of the audio.
const LONGEST_WORK: Duration = Duration::from_mins(30);
/// Less sound than this is a click, not a voice, in milliseconds.
const LEAST_VOICE_MS: u64 = 120;

impl Link {
    /// The connection (or the attempt) is gone; whatever was meant for it goes with it.
    pub(super) fn lose(&mut self, cause: Refusal, chance: u32, now: Instant) {
        self.outputs.retain(Output::survives_the_connection);
        self.timers.clear_connection();
        if self.is_healthy(now) {
            self.backoff.reset();
            self.impatient = false;
            // A connection that is sent new audio and dies at once has not got on.
            self.until.take_if(|_| self.backlog.first_sent() > self.got.1);
        }
        if self.take_next(&cause, chance, now) {
            return;
        }
        if self.untune(&cause) {
            self.wait(cause, chance, now);
        } else if cause.is_fatal() {
            self.state = State::Refused;
            self.complete = false;
            self.report(Report::State(LinkState::Refused(cause)));
            if self.ended {
                self.finish(false);
            }
        } else if self.ended && self.has_everything() {
            self.finish(true);
        } else {
            self.wait(cause, chance, now);
        }
    }

    /// As [`Link::lose`], where no chance is at hand: the next timeout, which is now, brings it.
    pub(super) fn give_up_connection(&mut self, cause: Refusal, now: Instant) {
        self.outputs.push_back(Output::Hangup);
        if cause.is_fatal() {
            return self.lose(cause, 0, now);
        }
        self.timers.clear_connection();
        self.timers.set(Timer::Retry, now);
        self.state = State::Losing(cause);
    }

    pub(super) fn retry(&mut self, chance: u32, now: Instant) {
        match std::mem::replace(&mut self.state, State::Connecting) {
            State::Losing(cause) => self.lose(cause, chance, now),
            State::Waiting => self.outputs.push_back(Output::Dial),
            State::Queued => self.dial_with_slot(now),
            other => self.state = other,
        }
    }

    fn wait(&mut self, cause: Refusal, chance: u32, now: Instant) {
        let delay = self.backoff.fail(chance).max(cause.retry_after().unwrap_or_default());
        self.state = State::Waiting;
        self.timers.set(Timer::Retry, now + delay);
        self.be_patient(now);
        let for_slot = cause.is_quota();
        self.report(Report::State(LinkState::Reconnecting { tries: self.backoff.failures(), cause }));
        if for_slot {
            self.state = State::Queued;
            self.await_slot(now);
        } else if self.ended {
            self.put_off_the_end(now);
            if self.is_too_late(Some(now + delay)) {
                self.finish(false);
            }
        }
    }

    /// There is no connection behind the end of the audio: one is tried for until a time that only progress puts off.
    pub(super) fn put_off_the_end(&mut self, now: Instant) {
        if self.until.is_none() || self.finalized > self.got.0 {
            self.until = Some(now + self.settings.catch_up);
            self.got = (self.finalized, self.backlog.first_sent());
        }
        if let Some(until) = self.until {
            self.timers.set(Timer::Drain, until);
        }
    }

    /// A sender is kept waiting for a connection for so long.
    pub(super) fn be_patient(&mut self, now: Instant) {
        if !self.impatient && !self.timers.is_set(Timer::Patience) {
            self.timers.set(Timer::Patience, now + self.settings.patience);
        }
    }

    /// Whether a try at that time would come after the end of all trying.
    pub(super) fn is_too_late(&self, retry: Option<Instant>) -> bool {
        retry.is_some_and(|retry| self.until.is_some_and(|until| retry >= until))
    }

    /// The service speaks behind `close_stream`, when finals had covered the audio up to `before`: its last word is awaited on, for so long
    /// as after any loss where no final gets on.
    pub(super) fn put_off_the_close(&mut self, before: Offset, now: Instant) {
        let State::Open(connection) = &mut self.state else { return };
        if !connection.closing {
            return;
        }
        if self.finalized > before {
            connection.close_by = None;
        }
        // Nothing is said to it behind `close_stream`, however long that takes.
        self.timers.clear(Timer::Keepalive);
        let by = *connection.close_by.get_or_insert(now + self.settings.catch_up.max(self.settings.close_deadline));
        self.timers.set(Timer::Close, by.min(now + self.settings.close_deadline));
    }

    /// The service works on what it was sent: it hears, and its words will come. Behind `close_stream` they are waited for as long as it says so.
    pub(super) fn hear_progress(&mut self, now: Instant) {
        let State::Open(connection) = &mut self.state else { return };
        connection.watch.handle_progress(now);
        if connection.closing {
            let until = *connection.working_until.get_or_insert(now + LONGEST_WORK);
            connection.close_by = Some(until);
            self.put_off_the_close(self.finalized, now);
        }
    }

    /// The service was asked to close, and has closed or had its time: where that was not the last word on all that was said, it is asked again on another
    /// connection, a few times. `heard_out` is whether it is taken to have heard everything then.
    pub(super) fn part(&mut self, heard_out: bool, cause: Refusal, chance: u32, now: Instant) {
        // A final without times leaves off what may not have been decoded yet.
        let unheard_ms = LEAST_VOICE_MS + if self.timed { 0 } else { UNDECODED_MS };
        let has_all = self.interim.is_none() && self.backlog.voice_behind_ms(self.finalized) < unheard_ms;
        let farewells = if self.farewells.0 == self.finalized { self.farewells.1 } else { 0 };
        if has_all || farewells >= FAREWELLS {
            return self.finish(heard_out);
        }
        self.farewells = (self.finalized, farewells + 1);
        self.outputs.push_back(Output::Hangup);
        self.lose(cause, chance, now);
    }

    /// Audio has stopped under an open interim: its last words are asked for.
    pub(super) fn flush_stalled(&mut self, now: Instant) {
        let State::Open(connection) = &mut self.state else { return };
        let due = connection.last_audio + self.settings.stall;
        if self.interim.is_none() || connection.closing || self.backlog.next_unsent().is_some() {
            return;
        }
        if due > now {
            self.timers.set(Timer::Stall, due);
            return;
        }
        self.finalize_wanted = true;
        self.flush(now);
    }

    /// Whether finals cover everything that came.
    pub(super) fn has_everything(&self) -> bool {
        self.backlog.behind_gone(self.finalized) >= self.backlog.end() && self.interim.is_none()
    }

    /// Whether a service that has not said `is_last` in its time may be taken to have heard everything: there was too little voice behind its
    /// last word to say more of, or behind the final with which it answered.
    pub(super) fn is_heard_out(&self) -> bool {
        let State::Open(connection) = &self.state else { return false };
        let (heard, silent_for_ms) = match &self.interim {
            Some((interim, upto)) => (self.heard_for_sure(interim, *upto), LONGEST_STEP_MS),
            None if connection.heard => (self.finalized, LONGEST_SILENCE_MS),
            None => (self.finalized, LEAST_VOICE_MS),
        };
        // One that is behind with its work says finals too, each of what it has got to.
        let is_answered = connection.answered && self.backlog.voice_behind_ms(self.finalized) < LONGEST_SILENCE_MS;
        is_answered || self.backlog.voice_behind_ms(heard) < silent_for_ms
    }

    /// How much of the audio sent by then is in an interim, which has no times of its own.
    fn heard_for_sure(&self, interim: &Heard, upto: Offset) -> Offset {
        let sent = interim.heard_at.checked_sub(ON_THE_WAY).map_or(Offset(0), |at| self.backlog.sent_until(at));
        self.finalized.max(sent.min(upto))
    }

    /// Finals cover the audio up to `to`.
    pub(super) fn cover(&mut self, to: Offset) {
        let new = to.since(self.finalized);
        self.finalized_bytes += new - self.backlog.gone_between(self.finalized, self.finalized.plus(new));
        self.finalized = self.finalized.max(to);
    }

    /// A line without a voice needs no final, and no room on the spool.
    pub(super) fn pass_quiet(&mut self) {
        if matches!(self.state, State::Open(_))
            && let Some(to) = self.backlog.quiet_until(self.finalized)
        {
            self.report(Report::Covered(to));
            self.cover(to);
        }
    }

    /// Tells what is gone although it is needed. Where finals have come for all before it, the mark may pass it.
    pub(super) fn give_up_lost(&mut self) {
        while let Some((from, to, reason)) = self.backlog.take_lost(self.finalized) {
            self.complete = false;
            let gap = Gap { from_ms: self.backlog.start_ms(from), to_ms: self.backlog.end_ms(to), reason };
            if self.backlog.behind_gone(self.finalized) >= to {
                self.cover(to);
            }
            self.report(Report::Gap { gap, covers: self.finalized });
        }
    }

    /// The end. `heard_out`: the service has had everything and had its time to answer.
    pub(super) fn finish(&mut self, heard_out: bool) {
        self.outputs.retain(|output| matches!(output, Output::Report(_) | Output::Hangup));
        self.stop_rotating();
        self.timers.clear_all();
        for run in self.hearing.runs.take_earlier() {
            let end_ms = run.last.end_ms;
            self.promote(run, self.finalized, end_ms);
        }
        let left = if heard_out { Vec::new() } else { self.left_over() };
        let for_batch = self.settings.has_batch && !left.is_empty();
        if let Some((mut interim, _)) = self.interim.take() {
            // What an interim says has no times: where it was not heard out, nothing says how much of the audio it is.
            interim.covers = if heard_out { self.backlog.end().max(self.finalized) } else { self.finalized };
            let begin = self.backlog.start_ms(self.hearing.memory.until());
            interim.start_ms = interim.start_ms.max(begin).min(interim.end_ms);
            interim.flushed = true;
            interim.provisional = true;
            if for_batch {
                self.outputs.push_back(Output::Open(Box::new(interim)));
            } else {
                let covers = interim.covers;
                self.report(Report::Final(interim));
                self.cover(covers);
            }
        }
        self.state = State::Closed;
        self.report(Report::State(LinkState::Closed));
        if !left.is_empty() {
            self.complete = false;
            self.outputs.push_back(Output::Leftover(left));
        }
        self.report(Report::Done(Totals {
            sent_ms: self.backlog.sent_ms(),
            finalized_ms: bytes_to_ms(self.finalized_bytes),
            replayed_ms: self.backlog.replayed_ms() + bytes_to_ms(self.hearing.resent),
            reconnects: self.connections.saturating_sub(1 + u32::from(self.recovered) + self.rotation.swaps()),
            malformed: self.malformed,
            complete: self.complete,
        }));
    }

    /// What came and has no final.
    fn left_over(&self) -> Vec<Stretch> {
        let stretch = |(from, to)| Stretch {
            from,
            to,
            from_ms: self.backlog.start_ms(from),
            to_ms: self.backlog.end_ms(to),
            reason: self.left_for,
        };
        self.backlog.stretches(self.finalized, self.backlog.end()).into_iter().map(stretch).collect()
    }

    pub(super) fn report(&mut self, report: Report) {
        self.outputs.push_back(Output::Report(Box::new(report)));
    }
}
