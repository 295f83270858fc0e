//! The connection's replacement while the call goes on: before the service's limit is reached, and when other parameters are wanted.
//!
//! Promises: the next connection is opened beside the one in use and takes over at a silence, when all that was sent is asked for and
//! answered, and where the plan has no session for two it is opened only then; what is not answered within [`PARTING`], or was cut in mid-speech at the latest moment, is sent again, so no word is
//! lost or cut in two; a next connection that does not come about costs the one in use nothing; one that is there when the
//! other is lost takes its place at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Backoff, Chunk, Control, Link, LinkState, Offset, Output, Refusal, Report, State, Timer};
use crate::{
    media::bytes_to_ms,
    upstream::{Parameters, backlog::is_quiet},
};

/// The share of the session limit, as a fraction, after which the next connection is opened.
const BEGIN_AT: (u32, u32) = (90, 100);
/// The share of it after which the next connection takes over in mid-speech.
const LATEST_AT: (u32, u32) = (98, 100);
/// Other parameters wait so long for a silence before they cut into speech.
const RETUNE_LATEST: Duration = Duration::from_secs(3);
/// So much audio without a voice is a silence, as is so long without audio.
const SILENCE: Duration = Duration::from_millis(600);
/// So much sound in what an empty answer covers may be a word that it says nothing of, in milliseconds.
const DOUBTED_MS: u64 = 300;
/// Wait for the answer to the `finalize` that ends a connection's part.
const PARTING: Duration = Duration::from_secs(2);
/// Longest wait between two tries to open the next connection.
const RETRY_CAP: Duration = Duration::from_secs(30);
/// So many failures in a row, and the connection in use stays: two and a half minutes of trying.
const MOST_TRIES: u32 = 10;

/// What became of a wish for other parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tuned {
    /// A connection with them is open; it takes over at the next silence.
    Ready,
    /// The next connection has them: there is none now, or the plan has no session for two at once.
    Later,
    /// The service would not; everything stays as it was.
    Refused(Refusal),
}

/// How far the replacement has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// None is under way; its time may be set.
    Serving,
    /// The next connection is being opened.
    Dialling,
    /// That failed; it is tried again.
    Waiting,
    /// It is open and waits for a silence; `quiet_bytes` of those sent last had no voice in them.
    Ready { quiet_bytes: u64, latest: Instant },
    /// Nothing is sent any more until what was sent is answered; `asked`: `finalize` is sent for it.
    Parting { asked: bool },
}

/// The replacement's state within a [`Link`].
#[derive(Debug)]
pub(super) struct Rotation {
    step: Step,
    backoff: Backoff,
    /// The plan has no session for the next connection: it is opened when the one in use was hung up.
    alone: bool,
    /// Parameters that the next connection is to have.
    wanted: Option<Arc<Parameters>>,
    /// The parameters in use are new, and the service has not said a word under them.
    unproven: bool,
    /// Connections that took over from a living one.
    swaps: u32,
}

impl Rotation {
    pub(super) const fn new(first: Duration) -> Self {
        Self {
            step: Step::Serving,
            backoff: Backoff::new(first, RETRY_CAP),
            alone: false,
            wanted: None,
            unproven: false,
            swaps: 0,
        }
    }

    /// Connections that took over from a living one.
    pub(super) const fn swaps(&self) -> u32 {
        self.swaps
    }

    /// Whether no replacement is under way.
    pub(super) fn is_serving(&self) -> bool {
        self.step == Step::Serving
    }

    /// Whether audio has to wait for the next connection.
    pub(super) const fn holds_back(&self) -> bool {
        matches!(self.step, Step::Parting { .. })
    }

    /// The service has said something that is no error; whether that proves parameters.
    pub(super) const fn prove(&mut self) -> bool {
        std::mem::replace(&mut self.unproven, false)
    }

    /// This is being sent.
    pub(super) fn listen(&mut self, chunk: &Chunk) {
        if let Step::Ready { quiet_bytes, .. } = &mut self.step {
            *quiet_bytes = if is_quiet(chunk) { *quiet_bytes + chunk.audio.len() as u64 } else { 0 };
        }
    }
}

impl Link {
    /// Other parameters are wanted from now on: at the next silence, or within seconds. [`Output::Tuned`] says what comes of it, unless another
    /// such wish or the end of the audio comes first.
    pub fn handle_retune(&mut self, parameters: Arc<Parameters>, now: Instant) {
        if self.ended || self.is_closed() {
            return;
        }
        self.rotation.backoff.reset();
        match self.state {
            State::Open(_) => {
                self.rotation.wanted = Some(parameters);
                self.dial_next();
                self.flush(now);
            }
            State::Refused if self.unstreamed => self.tune(parameters),
            State::Connecting | State::Refused => {
                self.tune(parameters);
                self.state = State::Connecting;
                self.outputs.push_back(Output::Dial);
            }
            State::Losing(_) | State::Queued | State::Waiting | State::Resting | State::Closed => self.tune(parameters),
        }
    }

    /// The next connection is open.
    pub fn handle_next_ready(&mut self, now: Instant) {
        if self.rotation.step != Step::Dialling {
            return;
        }
        if let State::Losing(_) = self.state {
            // The one in use is given up, and this one takes its place as soon as that is acted upon.
            self.rotation.step = Step::Ready { quiet_bytes: 0, latest: now };
        } else if !self.await_silence(now) {
            return;
        }
        if self.rotation.wanted.is_some() {
            self.outputs.push_back(Output::Tuned(Tuned::Ready));
        }
    }

    /// The connection in use can be replaced; whether there is one.
    fn await_silence(&mut self, now: Instant) -> bool {
        let State::Open(connection) = &self.state else { return false };
        let by_limit = connection.since + share(self.settings.session_limit, LATEST_AT);
        let latest = if self.rotation.wanted.is_some() { now + RETUNE_LATEST } else { by_limit };
        self.rotation.step = Step::Ready { quiet_bytes: 0, latest };
        self.timers.set(Timer::Rotate, latest.min(now + SILENCE));
        true
    }

    /// The next connection was refused, or is gone before it was used.
    pub fn handle_next_refused(&mut self, refusal: Refusal, chance: u32, now: Instant) {
        if matches!(self.rotation.step, Step::Serving | Step::Waiting) {
            return;
        }
        let is_urgent = self.rotation.wanted.is_some() || self.rotation.backoff.failures() >= MOST_TRIES;
        if refusal == Refusal::NoSession && is_urgent && self.await_silence(now) {
            self.rotation.alone = true;
            if self.rotation.wanted.is_some() {
                self.outputs.push_back(Output::Tuned(Tuned::Later));
            }
            return;
        }
        // One that was idle for long may be closed for that alone.
        let at_once = self.rotation.wanted.is_some() && self.rotation.step == Step::Dialling;
        let pointless = refusal.is_fatal() || at_once && is_pointless(&refusal) || self.rotation.backoff.failures() >= MOST_TRIES;
        if let (true, State::Open(connection)) = (pointless, &self.state) {
            self.rotation.step = Step::Serving;
            // Without other parameters it is the same refusal again; with the old ones it may go well when the time has come.
            if self.rotation.wanted.take().is_some() {
                self.timers.set(Timer::Rotate, now.max(connection.since + share(self.settings.session_limit, BEGIN_AT)));
                self.outputs.push_back(Output::Tuned(Tuned::Refused(refusal)));
            }
        } else {
            let delay = self.rotation.backoff.fail(chance).max(refusal.retry_after().unwrap_or_default());
            self.rotation.step = Step::Waiting;
            self.timers.set(Timer::Rotate, now + delay);
        }
        self.flush(now);
    }

    /// A connection was opened at this time: when its replacement begins.
    pub(super) fn serve_from(&mut self, since: Instant) {
        self.rotation.step = Step::Serving;
        // How the replacement of another one fared says nothing about this one's.
        self.rotation.backoff.reset();
        self.timers.set(Timer::Rotate, since + share(self.settings.session_limit, BEGIN_AT));
    }

    /// The replacement's time has come: its beginning, its next try, a look at the silence, or the end of its patience.
    pub(super) fn rotate(&mut self, now: Instant) {
        let State::Open(connection) = &self.state else { return };
        match self.rotation.step {
            Step::Serving | Step::Waiting => self.dial_next(),
            Step::Dialling => {}
            Step::Ready { latest, .. } => {
                if self.interim.is_none() && now >= connection.last_audio + SILENCE {
                    return self.begin_parting(now);
                }
                // A word that is cut in two is heard by neither: what no final covers goes to the next connection whole.
                if now >= latest {
                    return self.swap(false, now);
                }
                let look = if self.interim.is_some() { now + SILENCE } else { connection.last_audio + SILENCE };
                self.timers.set(Timer::Rotate, latest.min(look));
            }
            Step::Parting { .. } => self.swap(false, now),
        }
    }

    /// Audio was sent: whether a silence has come.
    pub(super) fn look_for_silence(&mut self, now: Instant) {
        if let Step::Ready { quiet_bytes, .. } = self.rotation.step
            && self.interim.is_none()
            && u128::from(bytes_to_ms(quiet_bytes)) >= SILENCE.as_millis()
        {
            self.begin_parting(now);
        }
    }

    /// A final was heard: whether it was what the connection had left to say.
    pub(super) fn look_for_answer(&mut self, now: Instant) {
        let (State::Open(connection), Step::Parting { asked }) = (&self.state, self.rotation.step) else { return };
        let has_all = self.finalized >= connection.sent_end();
        match (asked, connection.finalize_at) {
            _ if has_all => self.swap(true, now),
            // The answer leaves open what was being said when it was asked for.
            (true, None) => self.swap(false, now),
            (false, None) => self.ask(),
            _ => {}
        }
    }

    /// A final without words was heard. Where it does not say that it is the answer to `finalize`, it may be about something before, and tell nothing
    /// of the voice that was sent: the next connection is sent that again. Says whether it is.
    pub(super) fn doubts_the_answer(&mut self, covers: Offset, now: Instant) -> bool {
        let doubts = self.rotation.holds_back() && self.backlog.voice_between_ms(self.finalized, covers) >= DOUBTED_MS;
        if doubts {
            self.swap(false, now);
        }
        doubts
    }

    /// The next connection is of no use any more.
    pub(super) fn stop_rotating(&mut self) {
        self.timers.clear(Timer::Rotate);
        self.rotation.wanted = None;
        let alone = std::mem::take(&mut self.rotation.alone);
        if std::mem::replace(&mut self.rotation.step, Step::Serving) != Step::Serving && !alone {
            self.outputs.push_back(Output::DropNext);
        }
    }

    /// Whether what comes of a connection is of the one that was parted with: the next one is not in its place yet.
    pub(super) fn is_of_the_parted(&self) -> bool {
        self.outputs.iter().any(|output| matches!(output, Output::Swap))
    }

    /// The connection in use is lost; whether the next one, open or still being opened, takes its place.
    pub(super) fn take_next(&mut self, cause: &Refusal, chance: u32, now: Instant) -> bool {
        let step = std::mem::replace(&mut self.rotation.step, Step::Serving);
        if matches!(step, Step::Serving | Step::Waiting) || std::mem::take(&mut self.rotation.alone) {
            if let Some(parameters) = self.rotation.wanted.take() {
                self.tune(parameters);
            }
            return false;
        }
        let _ = self.backoff.fail(chance);
        self.report(Report::State(LinkState::Reconnecting { tries: self.backoff.failures(), cause: cause.clone() }));
        self.outputs.push_back(Output::Swap);
        if self.rotation.wanted.take().is_some() {
            self.rotation.unproven = true;
            // One that was open was told of already.
            if step == Step::Dialling {
                self.outputs.push_back(Output::Tuned(Tuned::Later));
            }
        }
        self.state = State::Connecting;
        if step == Step::Dialling {
            self.be_patient(now);
        } else {
            self.handle_connected(now);
        }
        true
    }

    /// Goes back to the parameters of before, if the service never spoke under the new ones and this is why.
    pub(super) fn untune(&mut self, cause: &Refusal) -> bool {
        let blamed = self.rotation.unproven && is_pointless(cause);
        if blamed {
            self.rotation.unproven = false;
            self.outputs.push_back(Output::Tune(None));
            self.outputs.push_back(Output::Tuned(Tuned::Refused(cause.clone())));
        }
        blamed
    }

    fn tune(&mut self, parameters: Arc<Parameters>) {
        self.rotation.unproven = true;
        self.outputs.push_back(Output::Tune(Some(parameters)));
        self.outputs.push_back(Output::Tuned(Tuned::Later));
    }

    fn dial_next(&mut self) {
        self.rotation.step = Step::Dialling;
        self.rotation.alone = false;
        self.timers.clear(Timer::Rotate);
        self.outputs.push_back(Output::DialNext(self.rotation.wanted.clone()));
    }

    /// Stops sending on the connection in use and asks for what it has not said yet.
    fn begin_parting(&mut self, now: Instant) {
        let State::Open(connection) = &self.state else { return };
        if self.finalized >= connection.sent_end() {
            return self.swap(true, now);
        }
        // While one `finalize` is unanswered, nothing tells its answer from that of a second one.
        let unanswered = connection.finalize_at.is_some();
        self.rotation.step = Step::Parting { asked: false };
        self.timers.set(Timer::Rotate, now + PARTING);
        if !unanswered {
            self.ask();
        }
    }

    fn ask(&mut self) {
        let State::Open(connection) = &mut self.state else { return };
        connection.finalize_at = Some(connection.sent_end());
        self.rotation.step = Step::Parting { asked: true };
        self.outputs.push_back(Output::Control(Control::Finalize));
    }

    /// The next connection takes over. `answered`: the one before has said all about what it was sent.
    fn swap(&mut self, answered: bool, now: Instant) {
        let State::Open(connection) = &self.state else { return };
        // What it was sent last may be from before what is final, for the words to be known by.
        let from = if answered { connection.sent_end().max(self.finalized) } else { self.replay_from() };
        self.rotation.swaps += 1;
        self.timers.clear_connection();
        if std::mem::take(&mut self.rotation.alone) {
            return self.dial_in_its_place(now);
        }
        self.rotation.unproven |= self.rotation.wanted.take().is_some();
        self.outputs.push_back(Output::Swap);
        self.open(from, now);
        self.flush(now);
    }

    /// Hangs up and dials again with the session that is held: what has no stored final is sent again, as behind any loss.
    fn dial_in_its_place(&mut self, now: Instant) {
        self.rotation.step = Step::Serving;
        if let Some(parameters) = self.rotation.wanted.take() {
            self.rotation.unproven = true;
            self.outputs.push_back(Output::Tune(Some(parameters)));
        }
        self.outputs.extend([Output::Control(Control::CloseStream), Output::Hangup, Output::Dial]);
        self.state = State::Connecting;
        self.be_patient(now);
    }
}

fn share(limit: Duration, (part, whole): (u32, u32)) -> Duration {
    limit * part / whole
}

/// Whether a connection that was never used would be refused like this again.
const fn is_pointless(refusal: &Refusal) -> bool {
    refusal.is_fatal() || matches!(refusal, Refusal::ClosedBeforeMessage { .. })
}
