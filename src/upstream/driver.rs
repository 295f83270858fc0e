//! Speech WebSocket ↔ [`Link`]: one task owns the socket and the machine.
//!
//! Promises: audio is taken into the backlog while a dial is under way; no write takes longer than its named bound; a slow
//! session holds up neither the audio nor the pongs; reports come in order and [`Report::Done`] last. The task ends when its
//! link has, or when nobody listens to its reports any more.

mod batch;
mod dial;
mod fetch;
mod next;
mod probe;
mod turn;
mod way;

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Instant};

use secrecy::SecretString;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite;
use tokio_util::sync::CancellationToken;
use tungstenite::Message;
use url::Url;

pub use batch::BatchEndpoint;
use next::Next;
pub use probe::{Probe, Unopened, probe};
pub use turn::{Overlap, Turn, Turns};

use self::{
    fetch::Fetch,
    way::{Event, FirstWritten, Socket, Way, said},
};
use super::{Link, LinkSettings, Output, Parameters, Remains, Report, Stretch, Totals, Tuned};
use crate::{
    clock,
    media::{Chunk, Offset},
    metrics::Metrics,
    net::Dialler,
    segment::{Heard, TrackKey},
    spool::SpoolTrack,
};

/// Audio that may wait in the channel of commands, in milliseconds: more than a write or a farewell can hold up. Behind it audio is on the
/// spool only.
pub const QUEUE_MS: u64 = 15_000;
/// Reports that may wait for the session before the socket is not read any further.
const MAX_WAITING_REPORTS: usize = 256;

/// Where the speech service is and how to speak to it.
#[derive(Clone)]
pub struct Upstream {
    /// Base URL, `ws` or `wss`; its own query is kept where [`Parameters`] says nothing about it.
    pub url: Url,
    /// Sent as a Bearer header, never in the URL.
    pub api_key: Option<SecretString>,
    /// The query.
    pub parameters: Parameters,
    /// Named bounds.
    pub settings: Arc<LinkSettings>,
    /// Connects.
    pub dialler: Arc<Dialler>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where goes what streaming could not do; absent: it is a gap.
    pub batch: Option<Arc<BatchEndpoint>>,
    /// The bridge stops, and waits no longer.
    pub leaving: Leaving,
}

/// Tells links that what they have not done is left for the next start. Their audio is on disk.
#[derive(Debug, Clone, Default)]
pub struct Leaving {
    /// Those that have no connection.
    pub unconnected: CancellationToken,
    /// Every one.
    pub all: CancellationToken,
}

impl Leaving {
    /// The same for one link: waiting for it takes no lock which another link takes.
    fn for_one(&self) -> Self {
        Self { unconnected: self.unconnected.child_token(), all: self.all.child_token() }
    }

    fn takes(&self, link: &Link) -> bool {
        !link.is_closed() && (self.all.is_cancelled() || self.unconnected.is_cancelled() && !link.is_connected())
    }
}

/// What a link is for.
pub struct LinkTrack {
    /// Which track of the session.
    pub key: TrackKey,
    /// How the service may name it.
    pub external_session_id: String,
    /// Where its audio is kept.
    pub spool: SpoolTrack,
    /// What an earlier life left of it: the link then does that, and takes no audio.
    pub remains: Option<Remains>,
}

/// What a link is told. Dropping the sender says that no more audio will come.
pub enum Command {
    /// The next chunk of the track.
    Audio(Chunk),
    /// A stored final covers the audio up to here.
    Covered(Offset),
    /// Ask for a final now.
    Finalize,
    /// Go on with these parameters, and say what comes of it; a wish that a later one replaces gets no answer.
    Retune(Arc<Parameters>, oneshot::Sender<Tuned>),
}

impl Command {
    fn give(self, link: &mut Link, next: &mut Next) {
        match self {
            Self::Audio(chunk) => link.handle_audio(chunk, clock::now()),
            Self::Covered(to) => link.handle_covered(to, clock::now()),
            Self::Finalize => link.handle_finalize(clock::now()),
            Self::Retune(parameters, answer) => {
                next.asked_by(answer);
                link.handle_retune(parameters, clock::now());
            }
        }
    }
}

/// Runs one track's link to its end, and then what it left over to the end of that, or until it is left for the next start.
pub async fn run(
    mut upstream: Arc<Upstream>,
    turn: Turn,
    track: LinkTrack,
    commands: mpsc::Receiver<Command>,
    reports: mpsc::Sender<(TrackKey, Report)>,
) {
    let (key, spool) = (track.key, track.spool.clone());
    let Some((left, open, mut totals)) = stream(&mut upstream, turn, track, commands, &reports).await else { return };
    if let Some(endpoint) = upstream.batch.as_ref().filter(|_| !left.is_empty()) {
        // The audio's last moments may still be on their way to the disk.
        spool.flush().await;
        let Some(ms) = batch::run(&upstream, endpoint, key, (left, open), spool.reader(), &reports).await else { return };
        totals.add_backfilled(ms);
    }
    let _ = reports.send((key, Report::Done(totals))).await;
}

/// Runs the link; gives what it left over for the batch endpoint, if there is one, and the link's last word, which is not said yet. `None` if
/// nobody listens any more, or it is left for the next start.
async fn stream(
    upstream: &mut Arc<Upstream>,
    mut turn: Turn,
    track: LinkTrack,
    mut commands: mpsc::Receiver<Command>,
    reports: &mpsc::Sender<(TrackKey, Report)>,
) -> Option<(Vec<Stretch>, Option<Heard>, Totals)> {
    let LinkTrack { key, external_session_id, spool, remains } = track;
    let leaving = upstream.leaving.for_one();
    let mut link = turn.link(&upstream.settings, remains.as_ref());
    let mut fetch = Fetch::new(spool.reader());
    let mut way = Way::Idle;
    let mut next = Next::new(external_session_id.clone(), upstream.settings.protocol);
    let mut waiting = VecDeque::new();
    let mut end = End::default();
    let mut more_audio = true;
    let mut alarm = Box::pin(tokio::time::sleep_until(clock::now().into()));
    loop {
        while let Some(output) = link.poll_output() {
            let Some(output) = end.keep(output, upstream.batch.is_some()) else { continue };
            match output {
                Output::Report(report) => {
                    way.heard(&report, &upstream.metrics);
                    turn.note(&report);
                    wait(&mut waiting, *report);
                }
                Output::Hangup => way = Way::Idle,
                Output::Dial => way = set_out(upstream, &external_session_id, &mut turn, &mut link),
                Output::Audio { audio, received } => {
                    way.write(Message::Binary(audio), &mut link, &upstream.settings).await;
                    way.wrote(received, &upstream.metrics);
                }
                Output::Control(control) => way.say(control, &mut link, &upstream.settings).await,
                Output::Fetch { from } => fetch.ask(from),
                Output::Leftover(stretches) => waiting.extend(stretches.iter().map(Stretch::given_up)),
                Output::Ping => way.write(Message::Ping(bytes::Bytes::new()), &mut link, &upstream.settings).await,
                of_the_next => next.perform(of_the_next, &mut way, &turn, upstream),
            }
        }
        if leaving.takes(&link) {
            leave(key, waiting, reports).await;
            return None;
        }
        if let Some(totals) = end.totals.filter(|_| waiting.is_empty()) {
            tokio::join!(way.farewell(), next.farewell());
            return Some((end.left, end.open, totals));
        }
        let deadline = link.poll_timeout();
        wind(&mut alarm, deadline);
        tokio::select! {
            command = commands.recv(), if more_audio && link.is_listening() => {
                more_audio = command.is_some();
                hand_in(command, &spool, &mut link, &mut next);
            }
            () = leaving.unconnected.cancelled(), if !leaving.unconnected.is_cancelled() => {}
            () = leaving.all.cancelled(), if !link.is_closed() => {}
            chunks = fetch.next() => link.handle_fetched(chunks, clock::now()),
            event = way.next(), if waiting.len() < MAX_WAITING_REPORTS => {
                // Behind the end of the audio nobody tells the link; a connection that begins anew has to know.
                link.handle_covered(spool.mark(), clock::now());
                take(event, &mut way, &mut turn, &mut link).await;
            }
            event = next.next() => next.take(event, &mut turn, &mut link),
            permit = reports.reserve(), if !waiting.is_empty() => match (permit, waiting.pop_front()) {
                (Ok(permit), Some(report)) => permit.send((key, report)),
                _ => return None,
            },
            () = alarm.as_mut(), if deadline.is_some() => {
                // What came while this task was not run came before its deadlines: silence is told by what did not come.
                take_waiting(&mut commands, &mut link, &mut next);
                wake(&mut link, waiting.len() < MAX_WAITING_REPORTS);
            }
        }
    }
}

/// What a link says last, for when everything before is told.
#[derive(Default)]
struct End {
    left: Vec<Stretch>,
    open: Option<Heard>,
    totals: Option<Totals>,
}

impl End {
    /// Keeps what is for the end, and gives back the rest. Without a batch endpoint nothing is left for it.
    fn keep(&mut self, output: Output, has_batch: bool) -> Option<Output> {
        match output {
            Output::Report(report) if let Report::Done(totals) = *report => self.totals = Some(totals),
            Output::Open(heard) => self.open = Some(*heard),
            Output::Leftover(stretches) if has_batch => self.left = stretches,
            other => return Some(other),
        }
        None
    }
}

fn wind(alarm: &mut Pin<Box<tokio::time::Sleep>>, deadline: Option<Instant>) {
    if let Some(deadline) = deadline.filter(|deadline| alarm.deadline() != (*deadline).into()) {
        alarm.as_mut().reset(deadline.into());
    }
}

/// The next command, or the end of the audio.
fn hand_in(command: Option<Command>, spool: &SpoolTrack, link: &mut Link, next: &mut Next) {
    let Some(command) = command else {
        link.handle_spooled(spool.end(), clock::now());
        return link.handle_audio_ended(clock::now());
    };
    command.give(link, next);
}

/// A deadline has come. `is_read` is whether the service's words are.
fn wake(link: &mut Link, is_read: bool) {
    if !is_read {
        link.handle_unread(clock::now());
    }
    link.handle_timeout(clock::now(), clock::chance());
}

/// Dials where there is a session slot, else waits for one.
fn set_out(upstream: &Arc<Upstream>, external_session_id: &str, turn: &mut Turn, link: &mut Link) -> Way {
    turn.want();
    if !turn.is_granted() {
        link.handle_queued(clock::now());
        return Way::Queued(Box::pin(turn.granted()));
    }
    let (may_connect, dial) = (turn.may_connect(), dial::dial(Arc::clone(upstream), external_session_id.to_owned()));
    Way::Dialling(Box::pin(async move {
        may_connect.await;
        dial.await
    }))
}

/// Tells what is still to be told, and that there will be no end.
async fn leave(key: TrackKey, waiting: VecDeque<Report>, reports: &mpsc::Sender<(TrackKey, Report)>) {
    for report in waiting.into_iter().chain([Report::Left]) {
        if reports.send((key, report)).await.is_err() {
            return;
        }
    }
}

/// Puts a report behind those that wait for the session. Where a link is that is behind is told by the last of such reports in a row.
fn wait(waiting: &mut VecDeque<Report>, report: Report) {
    match (waiting.back_mut(), report) {
        (Some(Report::Behind { sent_ms }), Report::Behind { sent_ms: newer }) => *sent_ms = newer,
        (_, report) => waiting.push_back(report),
    }
}

/// Hands in the audio that waits, as far as the link will have it.
fn take_waiting(commands: &mut mpsc::Receiver<Command>, link: &mut Link, next: &mut Next) {
    while link.is_listening()
        && let Ok(command) = commands.try_recv()
    {
        command.give(link, next);
    }
}

async fn take(event: Event, way: &mut Way, turn: &mut Turn, link: &mut Link) {
    let now = clock::now();
    match event {
        Event::Granted => {
            *way = Way::Idle;
            turn.say_granted();
            link.handle_granted(now);
        }
        Event::Dialled(Ok(socket)) => {
            *way = Way::Open(socket, FirstWritten::NotYet, Some(turn.opened()));
            link.handle_connected(now);
        }
        Event::Dialled(Err(refusal)) => {
            *way = Way::Idle;
            link.handle_refused(refusal, clock::chance(), now);
        }
        Event::Message(Message::Text(text)) => link.handle_message(text.as_str(), now),
        Event::Message(Message::Pong(_)) => link.handle_pong(now),
        // tungstenite answers pings itself; the service has no reason to send binary frames.
        Event::Message(Message::Ping(_) | Message::Binary(_) | Message::Frame(_) | Message::Close(_)) => {}
        Event::Lost(lost) => {
            way.answer_close().await;
            *way = Way::Idle;
            link.handle_lost(lost, clock::chance(), now);
        }
    }
}

#[cfg(test)]
mod tests;
