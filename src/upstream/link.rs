//! ★ The machine of one track's link: connecting, open, waiting, refused, closed; what it promises is on the folder's page.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use hearing::Hearing;
use rotate::Rotation;

use super::{
    Backlog, Control, LinkSettings, LinkState, Lost, Output, Refusal, Remains, Report, Totals,
    connection::Connection,
    timers::{Timer, Timers},
    wire,
};
use crate::{
    backoff::Backoff,
    media::{Chunk, Gap, GapReason, Offset, bytes_to_ms, ms_to_bytes},
    segment::Heard,
};

/// A word may have begun so much before the end of the one before it as a final gives that, in bytes: twice as wrong as the times of words are taken to be.
const LEAD: u64 = ms_to_bytes(160);

enum State {
    /// A dial is under way.
    Connecting,
    Open(Box<Connection>),
    /// The connection was given up in the middle of something; acted upon at the next timeout, which brings chance.
    Losing(Refusal),
    /// Backoff.
    Waiting,
    /// A session slot is waited for; behind the service's own refusal for its quota with a backoff first.
    Queued,
    /// The service ended a stream on which nothing came; the next audio opens another one.
    Resting,
    /// Another try is no use, or none is wanted; audio is taken until its end.
    Refused,
    Closed,
}

/// See the folder's promises.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own that holds in every state")]
pub struct Link {
    settings: Arc<LinkSettings>,
    recovered: bool,
    state: State,
    /// It never has a connection.
    unstreamed: bool,
    /// No more audio will come.
    ended: bool,
    backlog: Backlog,
    timers: Timers,
    /// How far it had got when the end of all trying was last put off: finals, and audio sent.
    got: (Offset, Offset),
    /// Behind the end of the audio: no connection is opened after this.
    until: Option<Instant>,
    backoff: Backoff,
    connections: u32,
    /// Finals cover the audio up to here.
    finalized: Offset,
    finalized_bytes: u64,
    /// Whether finals say when their words were; if not, nothing that they cover may be sent twice.
    timed: bool,
    hearing: Hearing,
    /// What is being said, and the end of the audio in which it was heard.
    interim: Option<(Heard, Offset)>,
    /// The service answers `keepalive` with an error: it gets none any more.
    keepalive_refused: bool,
    /// There has been no connection for too long to keep a sender waiting for one.
    impatient: bool,
    /// `finalize` is to be sent when the rest is.
    finalize_wanted: bool,
    /// Up to where finals covered the audio when the last words did not come, and how often they did not.
    farewells: (Offset, u8),
    malformed: u64,
    complete: bool,
    /// Why audio is left that no final covers.
    left_for: GapReason,
    /// When waiting for a slot is over, once the audio has ended and one was waited for.
    slot_until: Option<Instant>,
    rotation: Rotation,
    outputs: VecDeque<Output>,
}

impl Link {
    /// A link that asks for its first connection at once: for audio that comes, or for what an earlier life left.
    #[must_use]
    pub fn new(settings: Arc<LinkSettings>, remains: Option<&Remains>, now: Instant) -> Self {
        let mut timers = Timers::default();
        timers.set(Timer::Patience, now + settings.patience);
        let backlog =
            remains.map_or_else(|| Backlog::new(settings.memory_ms), |remains| Backlog::of(remains, settings.memory_ms));
        let outputs = VecDeque::from([Output::Report(Box::new(Report::State(LinkState::Connecting))), Output::Dial]);
        let mut link = Self {
            finalized: backlog.mark(),
            backlog,
            backoff: Backoff::new(settings.backoff_first, settings.backoff_cap),
            rotation: Rotation::new(settings.backoff_first),
            settings,
            recovered: remains.is_some(),
            state: State::Connecting,
            unstreamed: false,
            ended: false,
            timers,
            got: (Offset(0), Offset(0)),
            until: None,
            connections: 0,
            finalized_bytes: 0,
            timed: true,
            hearing: Hearing::default(),
            interim: None,
            keepalive_refused: false,
            impatient: false,
            finalize_wanted: false,
            farewells: (Offset(0), 0),
            malformed: 0,
            complete: true,
            left_for: GapReason::UpstreamLost,
            slot_until: None,
            outputs,
        };
        if let Some(remains) = remains {
            link.ended = true;
            link.resume(remains);
            link.put_off_the_end(now);
        }
        link
    }

    /// Where the link stands, in a word.
    #[cfg(test)]
    pub(super) const fn state(&self) -> &'static str {
        match self.state {
            State::Closed => "closed",
            State::Refused => "refused",
            _ if self.ended => "draining",
            State::Connecting if self.connections == 0 => "connecting",
            State::Connecting | State::Losing(_) | State::Waiting => "reconnecting",
            State::Queued => "queued",
            State::Open(_) => "live",
            State::Resting => "idle",
        }
    }

    /// Whether `Done` was put out.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whether there is a connection.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether there is a connection that did not die young: one after the other that does is as good as none.
    fn is_healthy(&self, now: Instant) -> bool {
        matches!(&self.state, State::Open(connection)
            if now.saturating_duration_since(connection.since) >= self.settings.healthy_after)
    }

    /// Whether more audio may be handed in. A phone's may always; what comes faster than speech, or from the disk, can wait, but
    /// not for a connection that never comes: its end would not be heard of either.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        match self.state {
            State::Closed => false,
            State::Refused => true,
            _ => !self.backlog.is_pressed() || self.impatient || !self.backlog.is_rushed(),
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Link::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next chunk of the track.
    pub fn handle_audio(&mut self, chunk: Chunk, now: Instant) {
        if self.ended || self.is_closed() {
            return;
        }
        self.backlog.push(chunk);
        self.finalized = self.finalized.max(self.backlog.mark());
        self.wake();
        self.backlog.shed(self.finalized, self.settings.spool_bytes);
        self.give_up_lost();
        self.pass_quiet();
        self.flush(now);
    }

    /// The spool was handed audio up to `end`, before the audio's end is told: what the link's queue had no room for is fetched from there.
    pub fn handle_spooled(&mut self, end: Offset, now: Instant) {
        if !self.ended && !self.is_closed() && self.backlog.extend(end) {
            self.wake();
            self.flush(now);
        }
    }

    /// No more audio will come: the rest is sent, then `close_stream`, then `is_last` awaited.
    pub fn handle_audio_ended(&mut self, now: Instant) {
        if self.ended || self.is_closed() {
            return;
        }
        self.ended = true;
        self.stop_rotating();
        if !matches!(self.state, State::Open(_) | State::Queued) {
            self.put_off_the_end(now);
        }
        match self.state {
            State::Refused => self.finish(false),
            State::Resting => self.finish(true),
            _ if !self.backlog.has_begun() => self.finish(true),
            State::Open(_) => {
                self.report(Report::State(LinkState::Draining));
                self.flush(now);
            }
            State::Connecting | State::Losing(_) | State::Waiting | State::Queued if self.has_everything() => self.finish(true),
            State::Queued => self.await_slot(now),
            State::Waiting if self.is_too_late(self.timers.at(Timer::Retry)) => self.finish(false),
            State::Connecting | State::Losing(_) | State::Waiting => self.report(Report::State(LinkState::Draining)),
            State::Closed => {}
        }
    }

    /// A stored final covers the audio up to `to`: it need not be sent again.
    pub fn handle_covered(&mut self, to: Offset, _now: Instant) {
        self.backlog.covered(to);
    }

    /// Asks for a final of what was said so far; without a connection, as soon as there is one and the rest is sent.
    pub fn handle_finalize(&mut self, now: Instant) {
        self.finalize_wanted = true;
        self.flush(now);
    }

    /// The dial succeeded.
    pub fn handle_connected(&mut self, now: Instant) {
        if !matches!(self.state, State::Connecting) {
            return;
        }
        self.open(self.replay_from(), now);
        self.report(Report::State(if self.ended { LinkState::Draining } else { LinkState::Live }));
        self.flush(now);
    }

    /// From where on a connection that was lost has to be made up for. The times of words may be a little late, so the first that no final has told may
    /// have begun before the mark: it is to be heard whole, and so is what is known before it, to be known again.
    fn replay_from(&self) -> Offset {
        if !self.timed {
            return self.backlog.worth_sending(self.finalized);
        }
        let from = self.backlog.worth_sending(self.backlog.mark());
        let doubtful = Offset(self.finalized.0.saturating_sub(LEAD));
        let is_heard = from <= doubtful || from > self.finalized || self.hearing.memory.leads(doubtful, from);
        if is_heard { from } else { self.backlog.quiet_before(doubtful) }
    }

    /// A new connection is there, which gets the audio from `from` on.
    fn open(&mut self, from: Offset, now: Instant) {
        self.backlog.rewind(from);
        let mut connection = Connection::new(self.connections, self.finalized, self.backlog.first_sent(), now);
        self.hearing.handle_connected();
        self.remind(&mut connection, from);
        self.state = State::Open(Box::new(connection));
        self.connections += 1;
        self.timers.clear(Timer::Drain);
        if let Some(keepalive) = self.settings.keepalive.filter(|_| !self.keepalive_refused) {
            self.timers.set(Timer::Keepalive, now + keepalive);
        }
        self.timers.set(Timer::Ping, now + self.settings.ping);
        self.look_out(0, now);
        if !self.ended {
            self.serve_from(now);
        }
    }

    /// The dial failed.
    pub fn handle_refused(&mut self, refusal: Refusal, chance: u32, now: Instant) {
        if matches!(self.state, State::Connecting) {
            self.lose(refusal, chance, now);
        }
    }

    /// The connection is gone.
    pub fn handle_lost(&mut self, lost: Lost, chance: u32, now: Instant) {
        if self.is_of_the_parted() {
            return;
        }
        let State::Open(connection) = &self.state else { return };
        let polite = matches!(lost, Lost::Closed { code: None | Some(1000 | 1001), .. });
        let is_last = !self.settings.protocol.says_last() && lost.is_normal();
        let cause = Refusal::from_lost(lost, connection.heard);
        match connection.closing && polite {
            true if is_last => self.finish(true),
            true if connection.heard => self.part(true, cause, chance, now),
            _ => self.lose(cause, chance, now),
        }
    }

    /// A pong came.
    pub fn handle_pong(&mut self, _now: Instant) {
        if let State::Open(connection) = &mut self.state {
            connection.unanswered_pings = 0;
        }
    }

    /// A text frame came.
    pub fn handle_message(&mut self, text: &str, now: Instant) {
        if self.is_of_the_parted() {
            return;
        }
        let State::Open(connection) = &mut self.state else { return };
        connection.unanswered_pings = 0;
        let message = self.settings.protocol.parse(text);
        let (finalized, is_transcript) = (self.finalized, matches!(message, wire::Message::Transcript(_)));
        if !matches!(message, wire::Message::Error(_) | wire::Message::Malformed) {
            connection.heard = true;
            connection.answered |= connection.closing && message.is_final();
            connection.kept_alive = false;
            self.backoff.reset();
            self.impatient = false;
            self.timers.clear(Timer::Patience);
            if self.rotation.prove() {
                self.outputs.push_back(Output::Proven);
            }
        }
        match message {
            wire::Message::Transcript(transcript) if transcript.is_final => self.hear_final(*transcript, now),
            wire::Message::Transcript(transcript) => self.hear_interim(*transcript, now),
            wire::Message::SpeechStarted(at) => self.hear_activity(at, now, |at_ms| Report::SpeechStarted { at_ms }),
            wire::Message::SpeechEnded(at) => self.hear_activity(at, now, |at_ms| Report::SpeechEnded { at_ms }),
            wire::Message::Error(error) => self.hear_error(error, now),
            wire::Message::Progress => self.hear_progress(now),
            wire::Message::Unknown => {}
            wire::Message::Malformed => self.malformed += 1,
        }
        if is_transcript {
            self.put_off_the_close(finalized, now);
        }
        if self.finalize_wanted {
            self.flush(now);
        }
    }

    /// A deadline of [`Link::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant, chance: u32) {
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                Timer::Retry => self.retry(chance, now),
                Timer::Pace | Timer::Fetch | Timer::Finalize => self.flush(now),
                Timer::Keepalive => self.keep_alive(now),
                Timer::Ping => self.ping(chance, now),
                Timer::Look => self.look_out(chance, now),
                Timer::Stall => self.flush_stalled(now),
                Timer::Close => self.part(self.is_heard_out(), Refusal::Deaf, chance, now),
                Timer::SlotWait => self.give_up_slot(),
                Timer::Patience => self.impatient = !self.is_healthy(now),
                Timer::Rotate => self.rotate(now),
                Timer::Drain => {
                    self.outputs.push_back(Output::Hangup);
                    self.finish(false);
                }
            }
        }
    }
}

mod ends;
mod hearing;
mod idle;
mod probe;
mod queue;
mod reach;
pub(super) mod rotate;
mod sending;
