//! The threads that recognise, for all streams together.
//!
//! Promises: finals are done in the order in which they came and none is left out; of one stream the newest interim waits and no other; where a final
//! waits, interims are not begun and one that is under way is given up. What waits is bounded by each stream's own bound ([`super::ear::MOST_WAITING`]).

pub mod install;
pub mod moonshine;
mod net;
mod runtime;
pub mod start;

use std::{
    collections::VecDeque,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{Job, Outcome, Recognise, Urgency};
use crate::clock;

/// An interim that had to wait for so long shows what is known anyway.
const STALE: Duration = Duration::from_millis(1_500);

/// Where a stream's results go. Unbounded: a stream has no more jobs than its own bound allows, and each has one result.
pub type Results = mpsc::UnboundedSender<(u64, Outcome)>;

/// The door to the threads; a clone is the same door. They end when the last one is dropped.
#[derive(Clone)]
pub struct Pool(Arc<Door>);

struct Door(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// A thread has ended.
    ended: Condvar,
    is_closed: AtomicBool,
    /// Finals and pauses that wait: read by who is in the middle of an interim.
    finals: AtomicUsize,
    shed: AtomicU64,
    failed: AtomicU64,
    /// Grows with each step of a recogniser's work.
    steps: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    finals: VecDeque<Entry>,
    interims: VecDeque<Entry>,
    /// Since when each thread has had the final that it works on, by the final's own age.
    under_way: Vec<Option<Instant>>,
    /// Threads that have not ended.
    threads: usize,
    closed: bool,
}

struct Entry {
    job: Job,
    since: Instant,
    results: Results,
}

impl Pool {
    /// Starts a thread for each of these.
    #[must_use]
    pub fn start(recognisers: Vec<Box<dyn Recognise>>) -> Self {
        let threads = recognisers.len();
        let waiting = Waiting { under_way: vec![None; threads], threads, ..Waiting::default() };
        let shared = Arc::new(Shared {
            waiting: Mutex::new(waiting),
            wake: Condvar::new(),
            ended: Condvar::new(),
            is_closed: AtomicBool::new(false),
            finals: AtomicUsize::new(0),
            shed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            steps: AtomicU64::new(0),
        });
        for (number, recogniser) in recognisers.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new().name(format!("engine-{number}"));
            thread.spawn(move || shared.work(number, recogniser)).expect("the system gives a thread at start");
        }
        Self(Arc::new(Door(shared)))
    }

    /// Hands in a job; its outcome comes to `results` with its id, exactly once.
    pub fn submit(&self, job: Job, results: &Results) {
        let shared = &self.0.0;
        let entry = Entry { job, since: clock::now(), results: results.clone() };
        let mut waiting = shared.waiting();
        match entry.job.urgency {
            Urgency::Pause if !waiting.finals.is_empty() => return shared.leave_out(&entry),
            Urgency::Pause | Urgency::Final => {
                // A stream that is gone leaves no audio behind.
                waiting.finals.retain(|entry| !entry.results.is_closed());
                waiting.finals.push_back(entry);
                shared.finals.store(waiting.finals.len(), Ordering::Relaxed);
            }
            Urgency::Interim => {
                let same = |other: &Entry| other.results.same_channel(&entry.results);
                if let Some(older) = waiting.interims.iter().position(same).and_then(|at| waiting.interims.remove(at)) {
                    shared.leave_out(&older);
                }
                waiting.interims.retain(|entry| !entry.results.is_closed());
                waiting.interims.push_back(entry);
            }
        }
        drop(waiting);
        shared.wake.notify_one();
    }

    /// Gives up all that is not done and waits, at most so long, until the threads have ended; whether they have. For whoever is about to leave the
    /// process: the models' library must not be taken down under a thread that works with it. Blocks.
    pub fn close(&self, limit: Duration) -> bool {
        let shared = &self.0.0;
        shared.close();
        let waited = shared.ended.wait_timeout_while(shared.waiting(), limit, |waiting| waiting.threads > 0);
        waited.is_ok_and(|(_, timeout)| !timeout.timed_out())
    }

    /// How long the oldest final that is not done has been waiting; zero where none is.
    #[must_use]
    pub fn lag(&self) -> Duration {
        let waiting = self.0.0.waiting();
        let oldest = waiting.finals.front().map(|entry| entry.since).into_iter();
        let oldest = oldest.chain(waiting.under_way.iter().flatten().copied()).min();
        oldest.map_or(Duration::ZERO, |since| clock::now().saturating_duration_since(since))
    }

    /// Interims left out so far.
    #[must_use]
    pub fn shed(&self) -> u64 {
        self.0.0.shed.load(Ordering::Relaxed)
    }

    /// Times that a recogniser has failed so far.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.0.0.failed.load(Ordering::Relaxed)
    }

    /// Steps of work done so far, several for each job: a sign of life.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.0.0.steps.load(Ordering::Relaxed)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing is left half done under this lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        let mut waiting = self.waiting();
        waiting.closed = true;
        (waiting.finals, waiting.interims) = Default::default();
        self.wake.notify_all();
    }

    fn work(&self, number: usize, recogniser: Box<dyn Recognise>) {
        self.recognise(number, recogniser);
        self.waiting().threads -= 1;
        self.ended.notify_all();
    }

    fn recognise(&self, number: usize, mut recogniser: Box<dyn Recognise>) {
        while let Some(entry) = self.next(number) {
            let is_interim = entry.job.urgency == Urgency::Interim;
            let is_given_up = || {
                self.steps.fetch_add(1, Ordering::Relaxed);
                self.is_closed.load(Ordering::Relaxed) || is_interim && self.finals.load(Ordering::Relaxed) > 0
            };
            // A bug on one piece is that piece's alone: the thread goes on.
            let recognised = AssertUnwindSafe(|| recogniser.recognise(&entry.job.samples, &is_given_up));
            let outcome = panic::catch_unwind(recognised).unwrap_or(Outcome::Failed);
            self.waiting().under_way[number] = None;
            self.steps.fetch_add(1, Ordering::Relaxed);
            match outcome {
                Outcome::Recognised(_) => {}
                Outcome::Shed => drop(self.shed.fetch_add(1, Ordering::Relaxed)),
                Outcome::Failed => drop(self.failed.fetch_add(1, Ordering::Relaxed)),
            }
            // A stream that is gone needs no result.
            let _ = entry.results.send((entry.job.id, outcome));
        }
    }

    /// The next job; `None` when there will be none.
    fn next(&self, number: usize) -> Option<Entry> {
        let mut waiting = self.waiting();
        loop {
            if waiting.closed {
                return None;
            }
            while let Some(entry) = waiting.finals.pop_front() {
                self.finals.store(waiting.finals.len(), Ordering::Relaxed);
                if !entry.results.is_closed() {
                    waiting.under_way[number] = Some(entry.since);
                    return Some(entry);
                }
            }
            while let Some(entry) = waiting.interims.pop_front() {
                if entry.results.is_closed() {
                    continue;
                }
                if clock::now().saturating_duration_since(entry.since) < STALE {
                    return Some(entry);
                }
                self.leave_out(&entry);
            }
            waiting = self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn leave_out(&self, entry: &Entry) {
        self.shed.fetch_add(1, Ordering::Relaxed);
        let _ = entry.results.send((entry.job.id, Outcome::Shed));
    }
}

#[cfg(test)]
mod tests;
