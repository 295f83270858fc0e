//! ★ What streaming could not do, over the service's batch endpoint (protocols/pulse.md section 8): one track's leftover audio, piece by piece.
//!
//! [`Batch`] promises:
//! - Every stretch that it is given ends covered by finals, as silence, or as an [`Output::GivenUp`], in the order of the call's clock, and it
//!   then is closed.
//! - A failed request is never tried again at once, and one that would fail the same way is never tried again at all; every other is
//!   tried again at least once. From the first failure in a row it takes at most the deadline, or the wait that the service asks for last,
//!   and one request more. Waiting for its turn does not count: that is for the plan.
//! - Words that streaming showed are told, if only as they were shown, where batch hears nothing in their place.
//! - Audio is asked for only when its turn has come, and kept nowhere: what many calls wait with costs no memory.
//! - It says where it stands at least every [`TOLD_EVERY`], so that nobody takes it for dead.
//!
//! The caller drains [`Batch::poll_output`] to `None` after every `handle_*`, answers each question once, and calls
//! `handle_timeout` at `poll_timeout`.

mod address;
mod plan;
mod rate;
mod segments;
mod verdict;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

pub use address::batch_address;
pub(super) use address::request_url;
pub(super) use rate::Rate;
pub(super) use verdict::{Answer, Trouble};

use self::{
    plan::{Cut, Manner, Piece},
    segments::{Hearing, is_timed},
    verdict::{Verdict, verdict},
};
use super::{LinkState, Report, Stretch, wire};
use crate::{
    audio::PhoneForm,
    backoff::Backoff,
    media::{Offset, bytes_to_ms, ms_to_bytes},
    segment::Heard,
    spool::Frame,
};

/// Wait before the first new try; doubles with each failure in a row.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The session hears that batch is at it so often; far less than its patience.
pub(super) const TOLD_EVERY: Duration = Duration::from_secs(20);
/// An answer without a word for more sound than this is counted: a click is no voice, in milliseconds.
const LEAST_VOICE_MS: u64 = 300;

/// What the driver is asked to do, in order.
pub(super) enum Output {
    /// Wait for a turn, then [`Batch::handle_turn`].
    Turn,
    /// Read this audio from the spool, then [`Batch::handle_audio`] or [`Batch::handle_unreadable`].
    Read { from: Offset, to: Offset },
    /// Post these pieces of audio as one file of this form, then [`Batch::handle_answer`]; the turn is over then.
    Post(Vec<Bytes>, PhoneForm),
    /// The service heard no word where so many milliseconds may be a voice; it is asked once more in another form, or believed.
    Wordless { voice_ms: u64, again: bool },
    /// For the session.
    Report(Box<Report>),
    /// This stretch stays untranscribed.
    GivenUp(Stretch),
    /// A request ended in this verdict; the stretches it was for have so many milliseconds.
    Counted { verdict: &'static str, transcribed_ms: u64 },
    /// A request failed; it is tried again after so long, or never.
    Failed { trouble: Trouble, again: Option<Duration> },
}

enum State {
    /// Its turn has not come since.
    Queued(Instant),
    Reading,
    Posting(Piece),
    /// Backoff.
    Waiting(Instant),
    Closed,
}

/// See the folder's promises.
pub(super) struct Batch {
    wanted: VecDeque<Stretch>,
    /// Said where nothing better comes.
    open: Option<Heard>,
    manner: Manner,
    form: PhoneForm,
    /// The next piece is one that the service heard nothing in: it goes in the form that every decoder knows.
    plainly: bool,
    state: State,
    backoff: Backoff,
    /// How long it goes on after a failure, and when that is over.
    patience: Duration,
    deadline: Option<Instant>,
    tell: Instant,
    requests: u32,
    /// In bytes.
    transcribed: u64,
    outputs: VecDeque<Output>,
}

impl Batch {
    /// Transcribes these stretches, oldest first. `open` is what was being said where they begin, as far as streaming heard it.
    pub(super) fn new(wanted: Vec<Stretch>, open: Option<Heard>, (form, patience): (PhoneForm, Duration), now: Instant) -> Self {
        let mut batch = Self {
            wanted: wanted.into_iter().filter(|stretch| stretch.from < stretch.to).collect(),
            open,
            manner: Manner { limit: ms_to_bytes(plan::WANTED_MS), bare: false },
            form,
            plainly: false,
            state: State::Queued(now),
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            patience,
            deadline: None,
            tell: now + TOLD_EVERY,
            requests: 0,
            transcribed: 0,
            outputs: VecDeque::new(),
        };
        batch.tell();
        batch.go_on(now);
        batch
    }

    /// Whether all is said.
    pub(super) const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Audio that it brought through so far, in milliseconds.
    pub(super) const fn transcribed_ms(&self) -> u64 {
        bytes_to_ms(self.transcribed)
    }

    /// The next thing to do.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Batch::handle_timeout`].
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Closed => None,
            State::Waiting(until) => Some(until.min(self.tell)),
            State::Queued(_) | State::Reading | State::Posting(_) => Some(self.tell),
        }
    }

    /// A request may be made now.
    pub(super) fn handle_turn(&mut self, now: Instant) {
        let State::Queued(since) = self.state else { return };
        self.deadline = self.deadline.map(|deadline| deadline + now.saturating_duration_since(since));
        self.read(now);
    }

    /// The audio is here: frames in order, holes and all.
    pub(super) fn handle_audio(&mut self, frames: &[Frame], now: Instant) {
        let State::Reading = self.state else { return };
        match plan::cut(self.wanted.make_contiguous(), frames, self.manner) {
            Some(Cut::Piece(piece, audio)) => {
                self.state = State::Posting(piece);
                let form = if self.plainly { PhoneForm::Pcm16 } else { self.form };
                self.outputs.push_back(Output::Post(audio, form));
            }
            Some(Cut::Missing(to)) => {
                self.give_up(to);
                // Nothing was asked of the service: the turn still stands.
                self.read(now);
            }
            None => self.go_on(now),
        }
    }

    /// The spool cannot be read.
    pub(super) fn handle_unreadable(&mut self, chance: u32, now: Instant) {
        if let State::Reading = self.state {
            self.fail(Trouble::Spool, None, chance, now);
        }
    }

    /// The request's answer.
    pub(super) fn handle_answer(&mut self, answer: Answer, chance: u32, now: Instant) {
        if !matches!(self.state, State::Posting(_)) {
            return;
        }
        let State::Posting(piece) = std::mem::replace(&mut self.state, State::Queued(now)) else { return };
        match verdict(answer) {
            Verdict::Heard(answer) => self.hear(&piece, *answer, now),
            Verdict::Nothing if piece.voice_ms < LEAST_VOICE_MS => self.done(&piece, "empty", Vec::new(), now),
            Verdict::Nothing if self.asks_plainly(&piece) => self.go_on(now),
            Verdict::Nothing => {
                self.count(&Trouble::NoAudio);
                self.outputs.push_back(Output::Failed { trouble: Trouble::NoAudio, again: None });
                self.give_up(piece.upto());
                self.go_on(now);
            }
            Verdict::Again { after, trouble } => self.fail(trouble, after, chance, now),
            Verdict::Halve(trouble) if piece.wanted_bytes() / 2 >= ms_to_bytes(plan::LEAST_MS) => {
                self.count(&trouble);
                self.outputs.push_back(Output::Failed { trouble, again: Some(Duration::ZERO) });
                self.manner.limit = piece.wanted_bytes() / 2;
                self.go_on(now);
            }
            Verdict::Halve(trouble) | Verdict::Never(trouble) => self.end(trouble, now),
        }
    }

    /// A deadline of [`Batch::poll_timeout`] has come.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.tell <= now && !self.is_closed() {
            self.tell = now + TOLD_EVERY;
            self.tell();
        }
        if let State::Waiting(until) = self.state
            && until <= now
        {
            self.go_on(now);
        }
    }

    fn hear(&mut self, piece: &Piece, answer: wire::Transcript, now: Instant) {
        let says_something = !answer.text.is_blank() || !answer.words.is_empty();
        if says_something && !is_timed(&answer) && !self.manner.bare {
            // Nothing in it can be told from what lies around the stretch: only what is wanted is sent from here on.
            self.manner.bare = true;
            self.outputs.push_back(Output::Counted { verdict: "untimed", transcribed_ms: 0 });
            return self.go_on(now);
        }
        let request = self.requests;
        self.requests += 1;
        let segments = Hearing { piece, request, now }.segments(answer);
        let is_wordless = !says_something && segments.is_empty() && piece.voice_ms >= LEAST_VOICE_MS;
        if is_wordless {
            if self.asks_plainly(piece) {
                return self.go_on(now);
            }
            self.outputs.push_back(Output::Wordless { voice_ms: piece.voice_ms, again: false });
        }
        let verdict = match segments.len() {
            0 if is_wordless => "empty_with_voice",
            0 => "empty",
            _ => "heard",
        };
        self.done(piece, verdict, segments, now);
    }

    /// Whether this piece, a voice in which the service heard nothing, is to go once more in the form that every decoder knows.
    fn asks_plainly(&mut self, piece: &Piece) -> bool {
        if self.form == PhoneForm::Pcm16 || self.plainly {
            return false;
        }
        self.plainly = true;
        self.outputs.push_back(Output::Wordless { voice_ms: piece.voice_ms, again: true });
        self.outputs.push_back(Output::Counted { verdict: "empty_with_voice", transcribed_ms: 0 });
        true
    }

    /// The piece is transcribed.
    fn done(&mut self, piece: &Piece, verdict: &'static str, segments: Vec<Heard>, now: Instant) {
        if std::mem::take(&mut self.plainly) && !segments.is_empty() {
            // The other form is none that this service hears.
            self.form = PhoneForm::Pcm16;
        }
        let mut covered = Offset(0);
        if self.open.as_ref().is_some_and(|open| segments.iter().any(|segment| segment.start_ms < open.end_ms)) {
            self.open = None;
        } else if let Some(open) = self.open.take_if(|open| open.covers <= piece.upto()) {
            covered = open.covers;
            self.report(Report::Final(open));
        }
        for mut segment in segments {
            covered = covered.max(segment.covers);
            segment.covers = covered;
            self.report(Report::Final(segment));
        }
        self.report(Report::Covered(piece.upto()));
        self.outputs.push_back(Output::Counted { verdict, transcribed_ms: bytes_to_ms(piece.wanted_bytes()) });
        self.transcribed += piece.wanted_bytes();
        self.pass(piece.upto(), |_| {});
        (self.deadline, self.tell) = (None, now + TOLD_EVERY);
        self.backoff.reset();
        self.go_on(now);
    }

    fn fail(&mut self, trouble: Trouble, after: Option<Duration>, chance: u32, now: Instant) {
        let deadline = *self.deadline.get_or_insert(now + self.patience);
        let left = deadline.saturating_duration_since(now);
        if left.is_zero() {
            return self.end(trouble, now);
        }
        // One more try always follows: at the deadline at the latest, or when the service says that it makes sense.
        let wait = self.backoff.fail(chance).min(left.max(FIRST_WAIT)).max(after.unwrap_or_default());
        self.deadline = Some(deadline.max(now + wait));
        self.count(&trouble);
        self.outputs.push_back(Output::Failed { trouble, again: Some(wait) });
        self.state = State::Waiting(now + wait);
    }

    /// Nothing more is tried.
    fn end(&mut self, trouble: Trouble, now: Instant) {
        self.count(&trouble);
        self.outputs.push_back(Output::Failed { trouble, again: None });
        self.give_up(Offset(u64::MAX));
        self.go_on(now);
    }

    /// The audio of the next piece, on the turn that it has.
    fn read(&mut self, now: Instant) {
        let Some((from, to)) = plan::to_read(self.wanted.make_contiguous(), self.manner) else { return self.go_on(now) };
        self.state = State::Reading;
        self.outputs.push_back(Output::Read { from, to });
    }

    /// The next piece, or the end.
    fn go_on(&mut self, now: Instant) {
        if self.wanted.is_empty() {
            self.state = State::Closed;
            return;
        }
        self.state = State::Queued(now);
        self.outputs.push_back(Output::Turn);
    }

    /// What is wanted up to here stays untranscribed, but for what streaming heard of it.
    fn give_up(&mut self, to: Offset) {
        self.plainly = false;
        if let Some(open) = self.open.take() {
            self.pass(open.covers, |_| {});
            self.report(Report::Final(open));
        }
        let mut lost = Vec::new();
        self.pass(to, |stretch| lost.push(stretch));
        self.outputs.extend(lost.into_iter().map(Output::GivenUp));
    }

    /// Takes off what is wanted before `to`.
    fn pass(&mut self, to: Offset, mut taken: impl FnMut(Stretch)) {
        while let Some(first) = self.wanted.front_mut().filter(|first| first.from < to) {
            if first.to <= to {
                taken(*first);
                self.wanted.pop_front();
                continue;
            }
            let cut_ms = first.from_ms + bytes_to_ms(to.since(first.from));
            taken(Stretch { to, to_ms: cut_ms, ..*first });
            (first.from, first.from_ms) = (to, cut_ms);
        }
    }

    fn count(&mut self, trouble: &Trouble) {
        self.outputs.push_back(Output::Counted { verdict: trouble.code(), transcribed_ms: 0 });
    }

    fn tell(&mut self) {
        self.report(Report::State(LinkState::Backfilling));
    }

    fn report(&mut self, report: Report) {
        self.outputs.push_back(Output::Report(Box::new(report)));
    }
}

#[cfg(test)]
mod tests;
