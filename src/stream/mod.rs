//! One media stream from its first message to its end: the machine behind a caller's socket.
//!
//! Promises: exactly one [`Output::Ended`], and it is the last output; before it all audio that came; [`Output::Start`] at most once and before any
//! audio or digit; what a peer does wrong is counted and ignored, or closes the socket with a code and a reason; every wait and every store has a named
//! bound. It never asks for a text message to be sent: a phone that only streams takes any as an error (protocols/ingress.md section 2).
//!
//! The driver hands in what the socket gives and the time, drains [`Stream::poll_output`] to `None` after each input, and calls
//! [`Stream::handle_timeout`] when [`Stream::poll_timeout`] has come.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    dialect::{Buffer, Dialect, Incoming, Malformed, Message, Start},
    media::{EndReason, Track},
};

mod closing;
mod counters;
pub mod driver;
mod gather;
pub mod holes;
mod line;
mod live;
#[cfg(test)]
mod lost_tests;
pub mod order;
mod output;
#[cfg(test)]
mod paused_tests;
pub mod sequence;
mod timers;
mod waiting;

pub use closing::{Broken, Closing};
pub use counters::{StreamCounters, StreamTotals};
pub use order::OrderCounters;
pub use output::Output;

use closing::{
    FORMAT, NO_PONG, NO_START, NOT_UNDERSTOOD, SAYS_NOTHING, SECOND_START, SHUTDOWN, SILENCE, STOPPED, TOO_LONG_A_CALL, of_start,
};
use live::Live;
use order::Arrival;
use sequence::{Sequence, Step};
use timers::{Timer, Timers};
use waiting::Waiting;

/// Longest message taken, in bytes. Source: protocols/ingress.md section 14.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Most audio kept for each track before the start message, in bytes: one second. Source: protocols/ingress.md section 14.
pub const EARLY_BYTES: usize = 8_000;
/// Most frames kept before the start message, all tracks together: a second of two tracks in frames of 20 ms. Each may stand behind
/// a gap that is filled with up to [`FILL_CAP_MS`](line::FILL_CAP_MS) of silence, so bytes alone would not bound what they become.
pub const EARLY_FRAMES: usize = 100;
/// Malformed messages in a row after which the peer is not understood at all.
pub const MALFORMED_IN_A_ROW: u32 = 100;
/// Pings, pongs and binary messages in a row, with no text between them, that a peer may send in [`NOTHING_TIME`]: each ping costs an
/// answer, and a phone sends one in some seconds.
pub const NOTHING_IN_A_ROW: u32 = 100;
/// See [`NOTHING_IN_A_ROW`].
pub const NOTHING_TIME: Duration = Duration::from_secs(10);
/// Pings without any sign of life after which the peer is gone.
pub const UNANSWERED_PINGS: u32 = 2;

/// What the operator may set about streams.
#[derive(Debug, Clone, Copy)]
pub struct StreamLimits {
    /// From the upgrade to the start message.
    pub start: Duration,
    /// Without any text message.
    pub silence: Duration,
    /// From the start message to the end.
    pub max_call: Duration,
    /// Length of a chunk, in milliseconds.
    pub chunk_ms: u64,
    /// Between two pings of ours.
    pub ping: Duration,
}

impl Default for StreamLimits {
    /// The contract's settings.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { start: seconds(10), silence: seconds(60), max_call: seconds(4 * 3600), chunk_ms: 60, ping: seconds(20) }
    }
}

/// One media stream.
#[derive(Debug)]
pub struct Stream {
    dialect: Dialect,
    limits: StreamLimits,
    buffer: Buffer,
    sequence: Sequence,
    state: State,
    timers: Timers,
    outputs: VecDeque<Output>,
    /// What was wrong with the last start that could not be read; a better one may still come.
    bad_start: Option<Closing>,
    malformed_in_a_row: u32,
    /// Since when, and how many.
    nothing_in_a_row: (Instant, u32),
    unanswered_pings: u32,
    counters: StreamCounters,
}

#[derive(Debug)]
enum State {
    Waiting(Waiting),
    Live(Box<Live>),
    Ended(Vec<(Track, OrderCounters)>),
}

impl Stream {
    /// A socket that was upgraded `now`.
    #[must_use]
    pub fn new(dialect: Dialect, limits: StreamLimits, now: Instant) -> Self {
        let mut timers = Timers::default();
        timers.set(Timer::Start, now + limits.start);
        timers.set(Timer::Ping, now + limits.ping);
        Self {
            dialect,
            limits,
            buffer: Buffer::new(),
            sequence: Sequence::default(),
            state: State::Waiting(Waiting::default()),
            timers,
            outputs: VecDeque::new(),
            bad_start: None,
            malformed_in_a_row: 0,
            nothing_in_a_row: (now, 0),
            unanswered_pings: 0,
            counters: StreamCounters::default(),
        }
    }

    /// Takes a text message.
    pub fn handle_text(&mut self, text: &str, now: Instant) {
        self.counters.messages += 1;
        self.unanswered_pings = 0;
        self.nothing_in_a_row.1 = 0;
        if text.len() > MAX_MESSAGE_BYTES {
            return self.handle_broken(Broken::TooLong, now);
        }
        match &self.state {
            State::Ended(_) => return self.counters.after_end += 1,
            State::Live(_) => self.timers.set(Timer::Silence, now + self.limits.silence),
            State::Waiting(_) => {}
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        match self.dialect.decode(text, &mut buffer) {
            Ok(message) => self.handle_message(message, now),
            Err(Malformed::Format) if matches!(self.state, State::Waiting(_)) => {
                self.end(EndReason::Disconnect, Some(FORMAT), now);
            }
            Err(malformed) => {
                self.bad_start = of_start(malformed).or(self.bad_start);
                self.count_malformed(now);
            }
        }
        self.buffer = buffer;
        self.collect();
    }

    /// Takes note of a binary message: this kind of peer sends none.
    pub fn handle_binary(&mut self, now: Instant) {
        self.counters.binary += 1;
        self.count_nothing(now);
    }

    /// Takes note of a ping or pong of the peer.
    pub fn handle_sign_of_life(&mut self, now: Instant) {
        self.unanswered_pings = 0;
        self.count_nothing(now);
    }

    /// The socket gave bytes that are no message.
    pub fn handle_broken(&mut self, broken: Broken, now: Instant) {
        self.end(EndReason::Disconnect, Some(broken.closing()), now);
    }

    /// The peer closed the socket, or it broke.
    pub fn handle_closed(&mut self, now: Instant) {
        self.end(EndReason::Disconnect, None, now);
    }

    /// The stream is not let in, or what lies behind cannot take it any longer.
    pub fn handle_refused(&mut self, why: Closing, now: Instant) {
        self.end(EndReason::Disconnect, Some(why), now);
    }

    /// The stream is let in; all that has come so far came in a pause, if it did.
    pub fn handle_let_in(&mut self, paused: bool, now: Instant) {
        if let State::Live(live) = &mut self.state
            && paused
        {
            live.handle_paused(true, now);
            live.handle_begun_paused();
            self.collect();
        }
    }

    /// From now on what comes is silence to everybody behind, or is so no more; telling it again changes nothing.
    pub fn handle_paused(&mut self, paused: bool, now: Instant) {
        if let State::Live(live) = &mut self.state
            && live.is_paused() != paused
        {
            live.handle_paused(paused, now);
            self.collect();
        }
    }

    /// The bridge is told to stop.
    pub fn handle_shutdown(&mut self, now: Instant) {
        self.end(EndReason::Shutdown, Some(SHUTDOWN), now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let State::Live(live) = &mut self.state {
            live.handle_timeout(now);
            self.collect();
        }
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Start => self.end(EndReason::Timeout, Some(self.bad_start.unwrap_or(NO_START)), now),
                Timer::Silence => self.end(EndReason::Timeout, Some(SILENCE), now),
                Timer::Call => self.end(EndReason::Timeout, Some(TOO_LONG_A_CALL), now),
                Timer::Ping if self.unanswered_pings >= UNANSWERED_PINGS => self.end(EndReason::Disconnect, Some(NO_PONG), now),
                Timer::Ping => {
                    self.unanswered_pings += 1;
                    self.outputs.push_back(Output::Ping);
                    self.timers.set(Timer::Ping, now + self.limits.ping);
                }
            }
        }
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Stream::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let live = if let State::Live(live) = &self.state { live.poll_timeout() } else { None };
        [self.timers.next(), live].into_iter().flatten().min()
    }

    /// Whether the end was reached; outputs may still wait.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// The counters so far.
    #[must_use]
    pub fn totals(&self) -> StreamTotals {
        let tracks = match &self.state {
            State::Waiting(_) => Vec::new(),
            State::Live(live) => live.counters(),
            State::Ended(tracks) => tracks.clone(),
        };
        StreamTotals { stream: self.counters, tracks }
    }

    fn handle_message(&mut self, message: Message<'_>, now: Instant) {
        let step = match &message.incoming {
            Incoming::Hello => None,
            _ => Some(self.sequence.note(message.sequence)),
        };
        let is_known = match &self.state {
            _ if matches!(message.incoming, Incoming::Started(_)) => true,
            State::Waiting(waiting) => waiting.may_hold(message.stream.as_deref()),
            State::Live(live) => message.stream.as_deref().is_none_or(|stream| stream == live.stream_sid.as_str()),
            State::Ended(_) => true,
        };
        if !is_known {
            return self.count_malformed(now);
        }
        self.malformed_in_a_row = 0;
        match message.incoming {
            Incoming::Audio(frame) => {
                self.counters.frames[frame.track as usize] += 1;
                let arrival =
                    Arrival { timestamp_ms: frame.timestamp_ms, step: step.unwrap_or(Step::UNKNOWN), audio: frame.audio };
                match &mut self.state {
                    State::Waiting(waiting) => {
                        self.counters.early_dropped_bytes += waiting.hold(frame.track, arrival, message.stream.as_deref(), now);
                    }
                    State::Live(live) => live.handle_frame(frame.track, arrival, now),
                    State::Ended(_) => {}
                }
            }
            Incoming::Started(start) => self.handle_start(start, now),
            Incoming::Digit { track, digit } => match &self.state {
                State::Live(live) => {
                    let (at_ms, digit) = (live.clock_ms(track), Some(digit).filter(|_| !live.is_paused()));
                    self.outputs.push_back(Output::Digit { track, at_ms, digit });
                }
                State::Waiting(_) | State::Ended(_) => self.counters.ignored += 1,
            },
            Incoming::Stopped => self.end(EndReason::Stop, Some(STOPPED), now),
            Incoming::Ignored(_) => self.counters.ignored += 1,
            Incoming::Hello | Incoming::Mark => {}
        }
    }

    fn handle_start(&mut self, start: Box<Start>, now: Instant) {
        match &mut self.state {
            State::Waiting(waiting) => {
                let mut live = Box::new(Live::new(start.call_sid.clone(), start.stream_sid.clone(), self.limits.chunk_ms));
                if waiting.is_of(&start.stream_sid) {
                    waiting.release(&mut live);
                } else {
                    self.counters.malformed += waiting.frames();
                }
                self.state = State::Live(live);
                self.timers.clear(Timer::Start);
                self.timers.set(Timer::Silence, now + self.limits.silence);
                self.timers.set(Timer::Call, now + self.limits.max_call);
                self.outputs.push_back(Output::Start(start));
            }
            State::Live(live) if live.call_sid == start.call_sid && live.stream_sid == start.stream_sid => {
                self.counters.repeated_starts += 1;
            }
            State::Live(_) => self.end(EndReason::Disconnect, Some(SECOND_START), now),
            State::Ended(_) => {}
        }
    }

    fn count_malformed(&mut self, now: Instant) {
        self.counters.malformed += 1;
        self.malformed_in_a_row += 1;
        if self.malformed_in_a_row >= MALFORMED_IN_A_ROW {
            self.end(EndReason::Disconnect, Some(NOT_UNDERSTOOD), now);
        }
    }

    fn count_nothing(&mut self, now: Instant) {
        let (since, count) = &mut self.nothing_in_a_row;
        if *count == 0 || now.saturating_duration_since(*since) >= NOTHING_TIME {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count >= NOTHING_IN_A_ROW {
            self.end(EndReason::Disconnect, Some(SAYS_NOTHING), now);
        }
    }

    /// Gives out what there is and ends, once.
    fn end(&mut self, reason: EndReason, closing: Option<Closing>, now: Instant) {
        let tracks = match &mut self.state {
            State::Ended(_) => return,
            State::Waiting(_) => Vec::new(),
            State::Live(live) => {
                live.handle_end(self.sequence.missing(), now);
                live.counters()
            }
        };
        self.collect();
        self.state = State::Ended(tracks);
        self.timers = Timers::default();
        self.outputs.extend(closing.map(Output::Close));
        self.outputs.push_back(Output::Ended(reason));
    }

    fn collect(&mut self) {
        if let State::Live(live) = &mut self.state {
            while let Some((track, chunk)) = live.poll_chunk() {
                self.outputs.push_back(Output::Audio { track, chunk });
            }
            while let Some((track, from_ms, to_ms)) = live.poll_lost() {
                self.outputs.push_back(Output::Lost { track, from_ms, to_ms });
            }
            while let Some((track, at_ms, paused)) = live.poll_turn() {
                self.outputs.push_back(if paused { Output::Paused { track, at_ms } } else { Output::Resumed { track, at_ms } });
            }
        }
    }
}

#[cfg(test)]
mod tests;
