//! Spool and batch endpoint ↔ [`Batch`]: what a link left over, behind its end.
//!
//! Promises: at most [`AT_ONCE`] requests of the whole process are read, posted and awaited at a time, and no more begin in a minute than
//! the plan allows; each ends within [`REQUEST_DEADLINE`], whatever the service does; at most [`ANSWER_BYTES`] of an answer are taken.

use std::{
    error::Error,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Request,
    header::{self, HeaderValue},
};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use secrecy::ExposeSecret;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use url::Url;

use super::Upstream;
use crate::{
    audio::{PhoneForm, phone_file},
    clock,
    media::Offset,
    net::{Connector, DialError, Dialler},
    segment::{Heard, TrackKey},
    spool::{Frame, Reader},
    upstream::{
        Parameters, Reason, Report, Stretch,
        batch::{Answer, Batch, Output, Rate, Trouble, request_url},
        refusal::retry_after,
    },
};

/// Requests at once: each holds up to 5 MB of audio.
const AT_ONCE: usize = 2;
/// For connecting, sending five minutes of audio and its recognition together.
const REQUEST_DEADLINE: Duration = Duration::from_mins(3);
/// Of it, for connecting.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// The longest answer taken: five minutes of speech are under 1,500 words of about 150 bytes, sentences beside them.
const ANSWER_BYTES: usize = 8 << 20;
const USER_AGENT: &str = concat!("pulse-bridge/", env!("CARGO_PKG_VERSION"));

/// The service's batch endpoint, with what the whole process may ask of it. Shared by all calls.
pub struct BatchEndpoint {
    url: Url,
    form: PhoneForm,
    patience: Duration,
    client: Client<Connector, Full<Bytes>>,
    permits: Arc<Semaphore>,
    rate: Mutex<Rate>,
}

impl BatchEndpoint {
    /// At `url`, with files of this form; `patience` is how long a call's requests go on from their first failure, and `per_minute` how
    /// many requests begin in a minute.
    #[must_use]
    pub fn new(url: Url, form: PhoneForm, patience: Duration, per_minute: usize, dialler: Arc<Dialler>) -> Self {
        let connector = Connector::new(dialler, CONNECT_DEADLINE);
        // A request every few seconds at most: no connection is worth keeping.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        let (permits, rate) = (Arc::new(Semaphore::new(AT_ONCE)), Mutex::new(Rate::new(per_minute)));
        Self { url, form, patience, client, permits, rate }
    }

    /// Waits until one more request may begin; it is over when the answer is dropped.
    async fn turn(self: Arc<Self>) -> Turn {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("nobody closes it");
        loop {
            let now = clock::now();
            let begun = self.rate().begin(now);
            let Err(room) = begun else { return Turn { endpoint: self, unspent: Some(now), _permit: permit } };
            clock::sleep_until(Some(room)).await;
        }
    }

    fn rate(&self) -> MutexGuard<'_, Rate> {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn post(self: Arc<Self>, upstream: Arc<Upstream>, audio: Vec<Bytes>, form: PhoneForm) -> (Answer, Option<String>) {
        let request = match self.request(&upstream, audio, form).await {
            Ok(request) => request,
            Err(trouble) => return (Answer::Failed(trouble), None),
        };
        let exchange = self.exchange(request);
        tokio::time::timeout(REQUEST_DEADLINE, exchange).await.unwrap_or((Answer::Failed(Trouble::Late), None))
    }

    async fn request(&self, upstream: &Upstream, audio: Vec<Bytes>, form: PhoneForm) -> Result<Request<Full<Bytes>>, Trouble> {
        let bad = |what: &str| Trouble::Unreachable(Reason::before_a_call(what));
        // Five minutes of audio take a moment to decode.
        let body = tokio::task::spawn_blocking(move || phone_file(form, &audio)).await.map_err(|_| bad("internal"))?;
        let url = address(&self.url, &upstream.parameters).ok_or_else(|| bad("upstream.batch_url is no HTTP address"))?;
        let mut request = Request::post(url.as_str())
            .header(header::CONTENT_TYPE, "audio/wav")
            .header(header::USER_AGENT, USER_AGENT)
            .header("x-source", "pulse-bridge")
            .body(Full::new(body))
            .map_err(|_| bad("upstream.batch_url is no HTTP address"))?;
        if let Some(key) = &upstream.api_key {
            let bearer = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()));
            let mut bearer =
                bearer.map_err(|_| Trouble::BadKey(Reason::before_a_call("it has characters that no header can carry")))?;
            bearer.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, bearer);
        }
        Ok(request)
    }

    /// The answer, and the service's name for the request, which helps its support.
    async fn exchange(&self, request: Request<Full<Bytes>>) -> (Answer, Option<String>) {
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) if error.is_connect() => {
                let dial = error.source().and_then(|source| source.downcast_ref::<DialError>());
                let reason = dial.map_or_else(|| "no connection".to_owned(), ToString::to_string);
                return (Answer::Failed(Trouble::Unreachable(Reason::before_a_call(&reason))), None);
            }
            Err(_) => return (Answer::Failed(Trouble::Broken), None),
        };
        let (head, body) = response.into_parts();
        let id = text_of(&head.headers, "x-request-id").map(|id| Reason::before_a_call(id).to_string());
        let wait = text_of(&head.headers, "retry-after").and_then(|value| retry_after(value, clock::wall_ms()));
        let answer = match Limited::new(body, ANSWER_BYTES).collect().await {
            Ok(body) => Answer::Http { status: head.status.as_u16(), retry_after: wait, body: body.to_bytes() },
            Err(error) if error.is::<LengthLimitError>() => Answer::Failed(Trouble::Unreadable),
            Err(_) => Answer::Failed(Trouble::Broken),
        };
        (answer, id)
    }
}

/// The request's address without what an operator may have written in front of the host: a key in the URL would be logged on the way.
fn address(base: &Url, parameters: &Parameters) -> Option<Url> {
    let mut url = request_url(base, parameters);
    url.set_username("").and_then(|()| url.set_password(None)).ok()?;
    Some(url)
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Leave for one request. Without a request it does not count for the minute.
struct Turn {
    endpoint: Arc<BatchEndpoint>,
    /// When the minute counted it.
    unspent: Option<Instant>,
    _permit: OwnedSemaphorePermit,
}

impl Turn {
    /// The request goes out.
    const fn spend(&mut self) {
        self.unspent = None;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(at) = self.unspent {
            self.endpoint.rate().undo(at);
        }
    }
}

/// What happens to the one thing that is under way.
enum Event {
    Turn(Turn),
    Read(Reader, std::io::Result<Vec<Frame>>),
    Answer(Answer, Option<String>),
}

type Task = Pin<Box<dyn Future<Output = Event> + Send>>;

/// Transcribes what is left of a track; gives the milliseconds that it brought through, or `None` where nobody listens any more or the bridge
/// stops: the audio is on disk, and the next start goes on.
pub(super) async fn run(
    upstream: &Arc<Upstream>,
    endpoint: &Arc<BatchEndpoint>,
    key: TrackKey,
    (left, open): (Vec<Stretch>, Option<Heard>),
    reader: Reader,
    reports: &mpsc::Sender<(TrackKey, Report)>,
) -> Option<u64> {
    let mut batch = Batch::new(left, open, (endpoint.form, endpoint.patience), clock::now());
    let mut work = Work { upstream, endpoint, reader: Some(reader), turn: None, task: None, is_posting: false };
    loop {
        while let Some(output) = batch.poll_output() {
            if let Some(report) = work.perform(output) {
                reports.send((key, report)).await.ok()?;
            }
        }
        if batch.is_closed() {
            return Some(batch.transcribed_ms());
        }
        let leaving = &upstream.leaving;
        if leaving.all.is_cancelled() || leaving.unconnected.is_cancelled() && !work.is_posting {
            let _ = reports.send((key, Report::Left)).await;
            return None;
        }
        tokio::select! {
            event = work.next() => work.take(event, &mut batch),
            () = clock::sleep_until(batch.poll_timeout()) => batch.handle_timeout(clock::now()),
            () = leaving.unconnected.cancelled(), if !leaving.unconnected.is_cancelled() => {}
            () = leaving.all.cancelled() => {}
            () = reports.closed() => return None,
        }
    }
}

/// What is done for one track, one thing at a time.
struct Work<'a> {
    upstream: &'a Arc<Upstream>,
    endpoint: &'a Arc<BatchEndpoint>,
    /// Away while it reads.
    reader: Option<Reader>,
    /// Held from its grant to its answer.
    turn: Option<Turn>,
    task: Option<Task>,
    /// An answer is awaited.
    is_posting: bool,
}

impl Work<'_> {
    /// Does what is asked; gives what the session is to be told.
    fn perform(&mut self, output: Output) -> Option<Report> {
        match output {
            Output::Turn => {
                // What the last request held is gone.
                drop(self.turn.take());
                let endpoint = Arc::clone(self.endpoint);
                self.task = Some(Box::pin(async move { Event::Turn(endpoint.turn().await) }));
            }
            Output::Read { from, to } => {
                let mut reader = self.reader.take().expect("it reads once at a time");
                self.task = Some(Box::pin(async move {
                    let read = read(&mut reader, from, to).await;
                    Event::Read(reader, read)
                }));
            }
            Output::Post(audio, form) => {
                self.is_posting = true;
                if let Some(turn) = &mut self.turn {
                    turn.spend();
                }
                let posting = Arc::clone(self.endpoint).post(Arc::clone(self.upstream), audio, form);
                self.task = Some(Box::pin(async move {
                    let (answer, id) = posting.await;
                    Event::Answer(answer, id)
                }));
            }
            Output::Report(report) => return Some(*report),
            Output::GivenUp(stretch) => return Some(stretch.given_up()),
            Output::Counted { verdict, transcribed_ms } => self.upstream.metrics.batch(verdict, transcribed_ms),
            Output::Wordless { voice_ms, again } => {
                let then = if again { "it is asked once more with PCM" } else { "this is taken for silence" };
                tracing::warn!(voice_ms, "the speech service's batch endpoint heard no word where there may be a voice; {then}");
            }
            Output::Failed { trouble, again } => log(&trouble, again),
        }
        None
    }

    /// What happens next; never, where nothing is under way. Safe to drop and ask again.
    async fn next(&mut self) -> Event {
        match &mut self.task {
            Some(task) => {
                let event = task.await;
                self.task = None;
                event
            }
            None => std::future::pending().await,
        }
    }

    fn take(&mut self, event: Event, batch: &mut Batch) {
        let now = clock::now();
        match event {
            Event::Turn(permit) => {
                self.turn = Some(permit);
                batch.handle_turn(now);
            }
            Event::Read(reader, read) => {
                self.reader = Some(reader);
                match read {
                    Ok(frames) => batch.handle_audio(&frames, now),
                    Err(why) => {
                        tracing::error!(%why, "failed to read the spooled audio for the batch endpoint");
                        drop(self.turn.take());
                        batch.handle_unreadable(clock::chance(), now);
                    }
                }
            }
            Event::Answer(answer, id) => {
                tracing::debug!(request = id, "the batch endpoint answered");
                drop(self.turn.take());
                self.is_posting = false;
                batch.handle_answer(answer, clock::chance(), now);
            }
        }
    }
}

/// Everything between two places that the spool has. One read may end early.
async fn read(reader: &mut Reader, from: Offset, to: Offset) -> std::io::Result<Vec<Frame>> {
    let mut frames: Vec<Frame> = Vec::new();
    loop {
        let at = frames.last().map_or(from, |last| last.offset.plus(last.audio.len() as u64));
        let more = if at < to { reader.read(at, to.since(at)).await? } else { Vec::new() };
        if more.is_empty() {
            return Ok(frames);
        }
        frames.extend(more);
    }
}

fn log(trouble: &Trouble, again: Option<Duration>) {
    let cause = trouble.code();
    let Some(wait) = again else {
        tracing::error!(cause, "the speech service's batch endpoint {trouble}; what it was asked for is a gap");
        return;
    };
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    tracing::warn!(cause, wait_ms, "the speech service's batch endpoint {trouble}; it is tried again");
}

#[cfg(test)]
mod tests;
