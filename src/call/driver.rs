//! One session's task: stores what the machine gives out, then tells everybody who waits for it.
//!
//! Promises: a unit is stored before anything that depends on it is said; while the store cannot write, the session waits
//! and keeps its place, what its links say meanwhile is held within a bound, and nothing is dropped.

mod held;
mod storing;

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use held::Held;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Call, Output, Unit};
use crate::{
    admission::{Health, Line, Opened, Refused, Tracks},
    capture::driver::Tap,
    clock,
    event::{Data, Event},
    media::{EndReason, Gap, Received, StreamSid, Track},
    metrics::Metrics,
    outbox::driver::Passing,
    redact::Note,
    registry::{Seat, SessionState},
    segment::TrackKey,
    spool::{SpoolTrack, seal::WrappedKey},
    store::Store,
    upstream::{Command, LinkState, Parameters, Report, Tuned},
    webhook::Endpoints,
};

/// Inputs and reports that may wait for a session's task.
pub const INPUTS: usize = 1024;

/// What comes to a session from its streams and from outside.
pub enum Input {
    /// A stream of the same call asks to join.
    Join {
        /// The peer's name for the stream.
        stream_sid: StreamSid,
        /// The tracks that it announced.
        tracks: Vec<Track>,
        /// Answers with the stream's place, or with why it must not join; `None`: it must open a session of its own.
        answer: oneshot::Sender<Result<Option<Opened>, Refused>>,
    },
    /// A track was opened.
    TrackOpened {
        /// Which.
        key: TrackKey,
        /// The way to its link.
        commands: mpsc::WeakSender<Command>,
        /// The way to its spool.
        spool: SpoolTrack,
    },
    /// A key was pressed.
    Digit {
        /// On which track.
        track: Track,
        /// When, on the call's clock.
        at_ms: u64,
        /// Which; `None` for one that was pressed in a pause.
        digit: Option<char>,
    },
    /// A track's audio is silence from here on, whatever came.
    Paused {
        /// Which.
        key: TrackKey,
        /// Where, on the call's clock.
        at_ms: u64,
    },
    /// A track's audio is what came again.
    Resumed {
        /// Which.
        key: TrackKey,
        /// Where, on the call's clock.
        at_ms: u64,
    },
    /// Audio was lost on its way to the bridge.
    Lost {
        /// On which track.
        track: Track,
        /// Which, on the call's clock.
        gap: Gap,
    },
    /// A stream is over.
    StreamEnded {
        /// Which.
        stream: u32,
        /// Why.
        reason: EndReason,
        /// What its tracks received.
        received: Vec<(Track, Received)>,
        /// When its last audio came.
        last_audio: Instant,
    },
    /// Every link is to ask for a final now.
    Finalize {
        /// Hears how many there are.
        answer: oneshot::Sender<usize>,
    },
    /// Every link is to go on with other parameters.
    Retune {
        /// These.
        parameters: Arc<Parameters>,
        /// Links that know.
        but: Vec<TrackKey>,
        /// Hears from which links an answer will come.
        answer: oneshot::Sender<Vec<(TrackKey, oneshot::Receiver<Tuned>)>>,
    },
    /// The reaper found nobody at home.
    Reap,
}

/// What links say.
type Reports = mpsc::Receiver<(TrackKey, Report)>;

/// What comes to a session's task.
pub struct Mail {
    /// From streams and from outside.
    pub inputs: mpsc::Receiver<Input>,
    /// From links.
    pub reports: mpsc::Receiver<(TrackKey, Report)>,
    /// Hears whether the session could be stored at all.
    pub first: Option<oneshot::Sender<Result<(), Refused>>>,
}

/// What a session's task works with.
pub struct Desk {
    /// Where everything is kept.
    pub store: Store,
    /// The session's links and spool.
    pub tracks: Tracks,
    /// Who may get events.
    pub endpoints: Endpoints,
    /// Whoever watches: stored events and unstored ones alike.
    pub live: broadcast::Sender<Arc<Event>>,
    /// The way to the receivers for what is not stored.
    pub passing: mpsc::Sender<Passing>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// How all links fare.
    pub health: Arc<Health>,
    /// Where the merged transcript can be fetched when it is too long for `call.completed`.
    pub transcript_url: String,
    /// Where the call is recorded, if it is.
    pub capture: Option<Tap>,
    /// The key of a session that is to be made; none for one that is stored already.
    pub new_key: Option<WrappedKey>,
}

/// The store has not taken all that the session has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStored {
    /// The session itself was refused, and whoever asked for it has been told.
    AtTheDoor,
    /// An event of a stored session was refused.
    Later,
    /// Its links were left for the next start, and the session with them.
    Left,
}

/// Runs the session to its terminal event.
///
/// # Errors
/// If the bridge stops before the session has ended, or the store refuses it or one of its events for good; whoever waits for [`Mail::first`] has been told.
pub async fn run(
    mut call: Call,
    desk: Desk,
    seat: Option<Seat<Line>>,
    mut mail: Mail,
    shutdown: CancellationToken,
) -> Result<(), NotStored> {
    let mut session =
        Session { desk, seat, first: mail.first.take(), on_line: None, backfilling: BTreeSet::new(), held: Held::default() };
    let mut told_to_stop = false;
    loop {
        while let Some(output) = call.poll_output() {
            session.perform(&mut call, output, &mut mail.reports).await?;
        }
        session.show_state(call.state());
        if call.is_over() {
            tracing::info!("the call is complete");
            return Ok(());
        }
        tokio::select! {
            // What came while the store could not write comes before the deadlines that passed meanwhile, and a track before
            // what its link says.
            biased;
            Some(input) = mail.inputs.recv() => {
                session.take(&mut call, input).await;
                if told_to_stop {
                    call.handle_no_join(clock::now());
                }
            }
            () = std::future::ready(()), if !session.held.is_empty() => session.hear_held(&mut call)?,
            Some((key, report)) = mail.reports.recv() => session.hear(&mut call, key, report)?,
            () = clock::sleep_until(call.poll_timeout()) => call.handle_timeout(clock::now()),
            () = shutdown.cancelled(), if !told_to_stop => {
                told_to_stop = true;
                call.handle_no_join(clock::now());
            }
        }
    }
}

struct Session {
    desk: Desk,
    seat: Option<Seat<Line>>,
    first: Option<oneshot::Sender<Result<(), Refused>>>,
    on_line: Option<OnLine>,
    /// Tracks whose links are over and whose rest goes to the batch endpoint.
    backfilling: BTreeSet<TrackKey>,
    /// What came while the store could not write.
    held: Held,
}

/// A call that is counted as on the line, until this is dropped.
struct OnLine(Arc<Metrics>);

impl OnLine {
    fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.call_began();
        Self(Arc::clone(metrics))
    }
}

impl Drop for OnLine {
    fn drop(&mut self) {
        self.0.call_left();
    }
}

impl Session {
    async fn take(&mut self, call: &mut Call, input: Input) {
        let now = clock::now();
        self.touch();
        match input {
            Input::Join { stream_sid, tracks, answer } => {
                let joined = self.join(call, stream_sid, &tracks).await;
                let _ = answer.send(joined);
            }
            Input::TrackOpened { key, commands, spool } => {
                self.desk.tracks.add(key, commands, spool);
                call.handle_track_opened(key, now);
            }
            Input::Digit { track, at_ms, digit } => call.handle_digit(track, at_ms, digit, now),
            Input::Paused { key, at_ms } => call.handle_paused(key, at_ms, now),
            Input::Resumed { key, at_ms } => call.handle_resumed(key, at_ms, now),
            Input::Lost { track, gap } => call.handle_lost(track, gap, now),
            Input::StreamEnded { stream, reason, received, last_audio } => {
                tracing::info!(stream, reason = reason.as_str(), "a stream ended");
                call.handle_stream_ended(stream, reason, &received, last_audio, now);
            }
            // Whoever asked may have given up waiting.
            Input::Finalize { answer } => drop(answer.send(self.desk.tracks.finalize())),
            Input::Retune { parameters, but, answer } => drop(answer.send(self.desk.tracks.retune(&parameters, &but))),
            Input::Reap => call.handle_no_more_streams(EndReason::Timeout, now),
        }
    }

    async fn join(&mut self, call: &mut Call, stream_sid: StreamSid, tracks: &[Track]) -> Result<Option<Opened>, Refused> {
        match self.desk.store.has_stream(call.facts().dialect, &stream_sid).await {
            Ok(false) => {}
            Ok(true) => return Err(Refused::SeenBefore),
            Err(_) => return Err(Refused::NotReady),
        }
        let joined = call.handle_join(stream_sid, tracks, clock::now());
        self.show_state(call.state());
        Ok(joined.map(|(stream, base_ms)| Opened { stream, base_ms }))
    }

    fn hear_held(&mut self, call: &mut Call) -> Result<(), NotStored> {
        self.held.pop().map_or(Ok(()), |(key, report)| self.hear(call, key, report))
    }

    fn hear(&mut self, call: &mut Call, key: TrackKey, report: Report) -> Result<(), NotStored> {
        if let Report::Left = report {
            return Err(NotStored::Left);
        }
        self.report(call, key, report);
        Ok(())
    }

    fn report(&mut self, call: &mut Call, key: TrackKey, report: Report) {
        self.touch();
        match &report {
            Report::State(state) => {
                self.link_changed(key.track, state);
                if *state == LinkState::Backfilling {
                    self.backfilling.insert(key);
                }
            }
            // Whoever speaks is well again; a connection that came back behind the end of the audio is never said to be live.
            // What batch answers says nothing of the stream.
            Report::Interim(_) | Report::Covered(_) | Report::Final(_) if self.backfilling.contains(&key) => {}
            Report::Interim(_) | Report::Covered(_) => self.desk.health.note(&LinkState::Live),
            Report::Final(heard) if !heard.provisional => self.desk.health.note(&LinkState::Live),
            Report::Done(totals) => self.desk.metrics.replayed(totals.replayed_ms),
            _ => {}
        }
        call.handle_report(key, report, clock::now());
    }

    /// Why a link is not there is the one thing an operator must find in the log.
    fn link_changed(&self, track: Track, state: &LinkState) {
        let word = state.as_str();
        match state {
            LinkState::Reconnecting { tries, cause } => {
                self.desk.metrics.reconnect(cause.code());
                tracing::warn!(%track, state = word, tries, cause = cause.code(), "{cause}");
            }
            LinkState::Refused(cause) => tracing::error!(%track, state = word, cause = cause.code(), "{cause}"),
            // Told again and again.
            LinkState::Backfilling => {
                tracing::debug!(%track, state = word, "what streaming could not do goes to the batch endpoint");
            }
            LinkState::Connecting
            | LinkState::Queued
            | LinkState::Unstreamed
            | LinkState::Live
            | LinkState::Idle
            | LinkState::Draining
            | LinkState::Closed => {
                tracing::info!(%track, state = word, "the link to the speech service changed");
            }
        }
        self.desk.health.note(state);
    }

    async fn perform(&mut self, call: &mut Call, output: Output, reports: &mut Reports) -> Result<(), NotStored> {
        match output {
            Output::Store(unit) => {
                self.store(call, &unit, reports).await?;
                call.handle_stored(clock::now());
            }
            Output::Covered(key, mark) => {
                self.desk.tracks.covered(key, mark);
                self.desk.capture.iter().for_each(|tap| tap.covered(key, mark));
            }
            Output::Show(data) => self.show(call, &data),
            Output::Note(Note::Failed) => {
                self.desk.metrics.redaction_failed();
                tracing::error!(
                    "the search for personal data broke or would have taken too long; the text was withheld: please report it"
                );
            }
            Output::Note(Note::Forced(why)) => tracing::debug!(?why, "a final went out before its tail was closed"),
            Output::Conclude => self.conclude(call).await,
        }
        Ok(())
    }

    /// Tells what is not stored to whoever watches and asked for it; nobody waits for it.
    fn show(&self, call: &Call, data: &Data) {
        let facts = call.facts();
        let event = Event::passing(clock::ulid(), clock::wall_ms(), &facts.session, &facts.call_sid, data);
        let endpoints = self.desk.endpoints.wanting(event.kind, facts.webhook.as_ref());
        if !endpoints.is_empty() && self.desk.passing.try_send(Passing { event: event.clone(), endpoints }).is_err() {
            self.desk.metrics.ignored("passing_queue_full", 1);
        }
        let _ = self.desk.live.send(Arc::new(event));
    }

    fn answer(&mut self, result: Result<(), Refused>) {
        if let Some(first) = self.first.take() {
            let _ = first.send(result);
        }
    }

    fn touch(&self) {
        if let Some(seat) = &self.seat {
            seat.entry().pulse.touch(clock::now());
        }
    }

    fn show_state(&self, state: SessionState) {
        if let Some(seat) = &self.seat {
            seat.entry().pulse.set_state(state);
        }
    }
}
