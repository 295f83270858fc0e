//! The threads of the store: one that writes, two that read for the API, two for what cannot wait.
//!
//! Promises: [`Store::commit`] answers only after the unit is on stable storage; whatever is queued up meanwhile goes into
//! one COMMIT, so many calls share one sync; a full queue makes callers wait and never loses a write; reading never waits for
//! writing, and the outbox, the admission of streams and recovery never wait for what the API reads; a disk that works again is noticed within `PROBE_EVERY`, whether or not anybody writes.

mod again;
mod retention;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rusqlite::Connection;
use tokio::{
    runtime::{self, Runtime},
    sync::{mpsc, oneshot, watch},
};

mod upkeep;

use self::upkeep::Fold;
use super::{
    Backlog, CallFilter, Committed, Delivery, DeliveryFilter, LiveSession, Outgoing, Page, PausedEndpoint, PendingDelivery,
    Session, StoreError, StoredAttempt, StoredEvent, StoredSegment, Write, listing, queue, read, schema, sealed::Keyring, write,
};
use crate::{
    clock,
    keys::MasterKeys,
    media::{EndpointName, SessionId, StreamSid},
    outbox::LaneKey,
    webhook::DeliveryId,
};

/// The most units that share one COMMIT: bounds how long the first of them waits for the others' work.
const GROUP_MAX: usize = 256;
/// The most units that wait to be written; then callers wait.
const WRITES_MAX: usize = 4096;
/// The most questions of each kind that wait for a reader; then callers wait.
const READS_MAX: usize = 512;
/// How often a database that failed is tried again while nobody writes.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// A check of the whole file that takes longer is told of, so that a slow start has its reason in the log.
const SLOW_CHECK: Duration = Duration::from_secs(2);
/// One long listing must not hold up every other, so the API has two, and whichever is free takes the next question.
const READERS: usize = 2;
/// Beside those, for deliveries, streams that come, and the ending of an earlier run's calls: these questions are short but for a long call that is to be ended.
const PROMPT_READERS: usize = 2;

type Question = Box<dyn FnOnce(&Connection) + Send>;
type Work = Box<dyn FnOnce(&mut Connection) + Send>;

enum Request {
    Unit(Vec<Write>, oneshot::Sender<Result<Committed, StoreError>>),
    /// Upkeep that commits by itself; whether what it replaces must be gone from the log too.
    Work(Work, bool),
    Close(oneshot::Sender<()>),
}

/// The store; clones share it.
#[derive(Clone)]
pub struct Store {
    writer: mpsc::Sender<Request>,
    readers: mpsc::Sender<Question>,
    /// The way to those of [`PROMPT_READERS`].
    prompt: mpsc::Sender<Question>,
    places: watch::Receiver<u64>,
    writable: watch::Receiver<bool>,
    keys: Arc<Keyring>,
}

impl Store {
    /// Opens or makes the database at `path` (its folder must be there) and starts the threads, which end when the last clone is gone.
    /// Reads the whole file once to see that it is sound.
    ///
    /// # Errors
    /// If `SQLite` is too old, the file is damaged or was written by a later version, or the disk refuses.
    pub fn open(path: &Path, masters: Arc<MasterKeys>) -> Result<Self, StoreError> {
        make_private(path)?;
        let keys = Arc::new(Keyring::new(masters, clock::random));
        let mut connection = Connection::open(path)?;
        let began = clock::now();
        schema::prepare_whole(&connection, path)?;
        let took = clock::now().duration_since(began);
        if took > SLOW_CHECK {
            tracing::info!(seconds = took.as_secs(), "the database was checked and is sound; a large one takes its time");
        }
        schema::migrate(&mut connection, &keys)?;
        // What was erased right before a crash goes with the log that the crash left.
        let fold = Fold::due_unless(schema::fold(&connection)?);
        queue::void_leases(&connection)?;
        let place = write::last_place(&connection)?;
        let (announce, places) = watch::channel(place);
        let (writer, requests) = mpsc::channel(WRITES_MAX);
        let (readers, prompt) = (start_readers(path, READERS)?, start_readers(path, PROMPT_READERS)?);
        let (tell, writable) = watch::channel(true);
        let numbers = write::Numbers::behind(place);
        let waiting = waiting()?;
        let ring = Arc::clone(&keys);
        let writer_thread = Writer { connection, requests, numbers, places: announce, writable: tell, waiting, keys: ring, fold };
        start("store-writer", move || writer_thread.run())?;
        Ok(Self { writer, readers, prompt, places, writable, keys })
    }

    /// Stores a unit: all of it, or nothing and an error.
    pub async fn commit(&self, writes: Vec<Write>) -> Result<Committed, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.writer.send(Request::Unit(writes, answer)).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Whether the last write went well; `false` from a failing disk until a commit or the writer's own probe goes through again.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        *self.writable.borrow()
    }

    /// Changes when [`Store::is_writable`] does.
    #[must_use]
    pub fn writable(&self) -> watch::Receiver<bool> {
        self.writable.clone()
    }

    /// Whether a stream of this name was ever there.
    pub async fn has_stream(&self, dialect: &'static str, stream_sid: &StreamSid) -> Result<bool, StoreError> {
        let stream_sid = stream_sid.clone();
        self.ask_prompt(move |connection| read::has_stream(connection, dialect, stream_sid.as_str())).await
    }

    /// The last place in the outbox that is on stable storage: changes when there is something new to deliver.
    #[must_use]
    pub fn places(&self) -> watch::Receiver<u64> {
        self.places.clone()
    }

    /// Writes what is queued, folds the log into the database and stops writing; later writes answer [`StoreError::Closed`].
    pub async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        if self.writer.send(Request::Close(answer)).await.is_ok() {
            let _ = answered.await;
        }
    }

    /// Sessions without an end, oldest first.
    pub async fn unfinished(&self) -> Result<Vec<SessionId>, StoreError> {
        self.ask_prompt(read::unfinished).await
    }

    /// A session that has no end yet, with all that its end needs; `None` where there is none of this name.
    pub async fn live(&self, session: &SessionId) -> Result<Option<LiveSession>, StoreError> {
        let (session, keys) = (session.clone(), Arc::clone(&self.keys));
        self.ask_prompt(move |connection| read::live(connection, &keys, session.as_str())).await
    }

    /// Sessions, newest first.
    pub async fn calls(&self, filter: CallFilter) -> Result<Page<Session>, StoreError> {
        self.ask(move |connection| read::calls(connection, &filter)).await
    }

    /// A session by its id, or a call's newest one by its `CallSid`.
    pub async fn call(&self, sid: &str) -> Result<Option<Session>, StoreError> {
        let sid = sid.to_owned();
        self.ask(move |connection| read::call(connection, &sid)).await
    }

    /// At most `limit` events of a session behind `after_seq`, in order.
    pub async fn events(&self, session: &SessionId, after_seq: u64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        let (keys, session) = (Arc::clone(&self.keys), session.clone());
        self.ask(move |connection| read::events(connection, &keys, &session, after_seq, limit)).await
    }

    /// A session's finals in the order of the merged transcript.
    pub async fn segments(&self, session: &SessionId) -> Result<Vec<StoredSegment>, StoreError> {
        let (keys, session) = (Arc::clone(&self.keys), session.clone());
        self.ask(move |connection| read::segments(connection, &keys, &session)).await
    }

    /// The same without those that cannot be opened, and whether every final and gap of it can be; the log says how many cannot.
    pub async fn segments_that_open(&self, session: &SessionId) -> Result<(Vec<StoredSegment>, bool), StoreError> {
        let (keys, session) = (Arc::clone(&self.keys), session.clone());
        self.ask(move |connection| read::segments_that_open(connection, &keys, &session)).await
    }

    /// Deliveries, newest first.
    pub async fn deliveries(&self, filter: DeliveryFilter) -> Result<Page<Delivery>, StoreError> {
        self.ask(move |connection| listing::deliveries(connection, &filter)).await
    }

    /// One delivery with its attempts.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<(Delivery, Vec<StoredAttempt>)>, StoreError> {
        let keys = Arc::clone(&self.keys);
        self.ask(move |connection| read::delivery(connection, &keys, id)).await
    }

    /// At most `limit` pending deliveries to an endpoint behind a place, in the order of places.
    pub async fn pending(&self, endpoint: &EndpointName, after: u64, limit: usize) -> Result<Vec<PendingDelivery>, StoreError> {
        let endpoint = endpoint.clone();
        self.ask_prompt(move |connection| queue::pending(connection, &endpoint, after, limit)).await
    }

    /// Everything pending of one lane to an endpoint, in order.
    pub async fn pending_of(&self, endpoint: &EndpointName, lane: LaneKey) -> Result<Vec<PendingDelivery>, StoreError> {
        let endpoint = endpoint.clone();
        self.ask_prompt(move |connection| queue::pending_of(connection, &endpoint, &lane)).await
    }

    /// Endpoints that want nothing until somebody asks for a retry.
    pub async fn paused(&self) -> Result<Vec<PausedEndpoint>, StoreError> {
        self.ask_prompt(queue::paused).await
    }

    /// What a delivery posts; `None` if it is not to be sent any more.
    pub async fn outgoing(&self, id: DeliveryId) -> Result<Option<Outgoing>, StoreError> {
        let keys = Arc::clone(&self.keys);
        self.ask_prompt(move |connection| read::outgoing(connection, &keys, id)).await
    }

    /// What waits for each endpoint that anything waits for.
    pub async fn backlogs(&self) -> Result<Vec<Backlog>, StoreError> {
        self.ask(listing::backlogs).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        ask(&self.readers, question).await
    }

    /// As [`Store::ask`], of what must not wait for the API.
    async fn ask_prompt<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        ask(&self.prompt, question).await
    }
}

async fn ask<T: Send + 'static>(
    readers: &mpsc::Sender<Question>,
    question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let (answer, answered) = oneshot::channel();
    let asked: Question = Box::new(move |connection| drop(answer.send(question(connection))));
    readers.send(asked).await.map_err(|_| StoreError::Closed)?;
    Ok(answered.await.map_err(|_| StoreError::Closed)??)
}

/// The writing thread.
struct Writer {
    connection: Connection,
    requests: mpsc::Receiver<Request>,
    numbers: write::Numbers,
    places: watch::Sender<u64>,
    writable: watch::Sender<bool>,
    /// Runs nothing; the thread waits for a request or for the next probe on it.
    waiting: Runtime,
    keys: Arc<Keyring>,
    fold: Fold,
}

impl Writer {
    fn run(mut self) {
        while let Some(first) = self.next() {
            let (mut units, mut answers, mut close) = (Vec::new(), Vec::new(), None);
            let mut next = Some(first);
            while let Some(request) = next {
                match request {
                    Request::Unit(unit, answer) => {
                        units.push(unit);
                        answers.push(answer);
                    }
                    Request::Work(work, then_fold) => {
                        work(&mut self.connection);
                        if then_fold {
                            self.fold.due();
                        }
                    }
                    Request::Close(answer) => close = Some(answer),
                }
                next = if close.is_some() || units.len() >= GROUP_MAX { None } else { self.requests.try_recv().ok() };
            }
            let outcomes = self.commit(&units);
            // Before the answer, so that who is told that a session is erased can rely on it, unless a reader was in the way.
            self.fold.try_if_due(&self.connection);
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                // A caller that went away meanwhile misses the answer, not the write.
                let _ = answer.send(outcome);
            }
            if let Some(answer) = close {
                if let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
                    tracing::warn!(%error, "failed to fold the write-ahead log into the database; the next start will");
                }
                let _ = answer.send(());
                return;
            }
        }
    }

    /// The next request. Where no call is taken because the last commit failed, none may ever come: then it is tried by itself.
    fn next(&mut self) -> Option<Request> {
        loop {
            let writable = *self.writable.borrow();
            if writable && !self.fold.is_due() {
                return self.requests.blocking_recv();
            }
            let pause = if self.fold.is_due() { Fold::EVERY } else { PROBE_EVERY };
            let requests = &mut self.requests;
            let waited = self.waiting.block_on(async { tokio::time::timeout(pause, requests.recv()).await });
            if let Ok(request) = waited {
                return request;
            }
            if !writable {
                let outcome = write::probe(&mut self.connection);
                self.found(outcome);
            }
            self.fold.try_if_due(&self.connection);
        }
    }

    fn commit(&mut self, units: &[Vec<Write>]) -> Vec<Result<Committed, StoreError>> {
        self.numbers.fresh(clock::ulid());
        let outcomes = write::commit(&mut self.connection, &self.keys, units, &mut self.numbers);
        if units.iter().flatten().any(|write| matches!(write, Write::Erase(_))) {
            self.fold.due();
        }
        let failed = |outcome: &Result<Committed, StoreError>| match outcome {
            Err(error @ StoreError::Database(_)) => Err(error.clone()),
            _ => Ok(()),
        };
        if let Some(best) = outcomes.iter().map(failed).reduce(Result::or) {
            self.found(best);
        }
        self.places.send_if_modified(|place| std::mem::replace(place, self.numbers.place) != self.numbers.place);
        outcomes
    }

    fn found(&self, outcome: Result<(), StoreError>) {
        let changed = self.writable.send_if_modified(|writable| std::mem::replace(writable, outcome.is_ok()) != outcome.is_ok());
        match outcome {
            Err(error) if changed => tracing::error!(%error, "the database cannot be written: no call is taken until it can"),
            Ok(()) if changed => tracing::info!("the database can be written again"),
            _ => {}
        }
    }
}

/// Starts so many with one queue.
fn start_readers(path: &Path, count: usize) -> Result<mpsc::Sender<Question>, StoreError> {
    let (readers, questions) = mpsc::channel(READS_MAX);
    let questions = Arc::new(Mutex::new(questions));
    (0..count).try_for_each(|_| start_reader(path, Arc::clone(&questions)))?;
    Ok(readers)
}

fn start_reader(path: &Path, questions: Arc<Mutex<mpsc::Receiver<Question>>>) -> Result<(), StoreError> {
    let connection = Connection::open(path)?;
    schema::prepare(&connection)?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    // Who waits for a question holds the lock, who answers one does not.
    let next = move || questions.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
    start("store-reader", move || {
        while let Some(question) = next() {
            question(&connection);
        }
    })
}

fn waiting() -> Result<Runtime, StoreError> {
    let built = runtime::Builder::new_current_thread().enable_time().build();
    built.map_err(|error| StoreError::Database(format!("failed to make a timer: {error}")))
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(|error| StoreError::Database(format!("failed to start a thread: {error}")))
}

/// Transcripts are for the bridge's own user alone; `SQLite` gives its log files the mode of the database.
fn make_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    let made = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    made.map(drop).map_err(|error| StoreError::Database(format!("failed to open {}: {error}", path.display())))
}

#[cfg(test)]
pub(crate) mod tests;
