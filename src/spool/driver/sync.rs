//! The thread that syncs what the writer wrote.
//!
//! Promises: while it waits for the disk the writer goes on, so what is appended meanwhile is safe from the end of this process; one
//! round at a time; what was written before a round began is on stable storage when it ends, or the round says what is not.

use std::{
    fs::File,
    io,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{SYNC_EVERY, disk::Disk, files::Files};
use crate::clock;

/// From so many files on, the whole file system is synced at once: a file each takes its time, and a thousand calls have two thousand.
const EACH_MAX: usize = 16;

/// A round that takes longer is told, once until one takes less than a tenth of it.
const SLOW_ROUND: Duration = Duration::from_secs(1);

/// A file with bytes that are not synced.
pub(super) struct Unsynced {
    /// Whose newest it is; `None` for one that is written no more.
    pub(super) track: Option<u64>,
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
}

/// What is to be synced.
pub(super) struct Round {
    pub(super) files: Vec<Unsynced>,
    /// Whether the folder has new names.
    pub(super) names: bool,
    /// Whether it is to be tried if writing works again.
    pub(super) probe: bool,
    pub(super) folder: PathBuf,
}

/// What became of it.
#[derive(Default)]
pub(super) struct Outcome {
    /// Tracks whose newest file is not synced.
    pub(super) unsynced: Vec<u64>,
    /// Whether new names are not.
    pub(super) names_failed: bool,
    /// Whether writing works again, where that was tried.
    pub(super) probed: bool,
    pub(super) error: Option<io::Error>,
    pub(super) took: Duration,
}

/// When rounds begin and who waits for their ends.
pub(super) struct Rounds {
    rounds: mpsc::Sender<Round>,
    ended: mpsc::Receiver<Outcome>,
    is_under_way: bool,
    /// Whether a slow round was told of.
    is_slow: bool,
    next: Instant,
    /// Those whom the round under way satisfies.
    waiting: Vec<oneshot::Sender<()>>,
    /// Those who asked for another one.
    asking: Vec<oneshot::Sender<()>>,
}

impl Rounds {
    /// Starts the thread; `wake` is called at each round's end.
    pub(super) fn start(disk: Disk, wake: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (rounds, received) = mpsc::channel::<Round>();
        let (end, ended) = mpsc::channel();
        let sync_all = move || {
            for round in received {
                if end.send(round.sync(&disk)).is_err() {
                    break;
                }
                wake();
            }
        };
        thread::Builder::new().name("spool-syncer".into()).spawn(sync_all)?;
        let next = clock::now() + SYNC_EVERY;
        Ok(Self { rounds, ended, is_under_way: false, is_slow: false, next, waiting: Vec::new(), asking: Vec::new() })
    }

    /// All that was written before is to be synced soon.
    pub(super) fn ask(&mut self, done: oneshot::Sender<()>) {
        self.asking.push(done);
    }

    /// How long nothing is to be done if nobody asks.
    pub(super) fn patience(&self, files: &Files) -> Duration {
        if self.is_under_way || files.is_idle() { Duration::MAX } else { self.next.saturating_duration_since(clock::now()) }
    }

    /// Takes note of a round that ended and begins the next one that is due.
    pub(super) fn go_on(&mut self, files: &mut Files) {
        if let Ok(outcome) = self.ended.try_recv() {
            self.end(files, outcome);
        }
        let is_due = !self.asking.is_empty() || (clock::now() >= self.next && !files.is_idle());
        if is_due && !self.is_under_way {
            self.begin(files);
        }
    }

    /// Ends the round under way and makes a last one.
    pub(super) fn finish(mut self, files: &mut Files) {
        for is_last in [false, true] {
            if is_last {
                self.begin(files);
            }
            if self.is_under_way
                && let Ok(outcome) = self.ended.recv()
            {
                self.end(files, outcome);
            }
        }
    }

    fn begin(&mut self, files: &mut Files) {
        self.next = clock::now() + SYNC_EVERY;
        self.waiting.append(&mut self.asking);
        self.is_under_way = self.rounds.send(files.unsynced()).is_ok();
        if !self.is_under_way {
            // The thread is gone, which is a bug; nobody waits for it.
            self.waiting.clear();
        }
    }

    fn tell_slow(&mut self, took: Duration) {
        if took > SLOW_ROUND && !self.is_slow {
            let took_ms = took.as_millis();
            tracing::warn!(took_ms, "the disk is slow to sync audio: a power cut now would cost more of it than 200 ms");
        }
        self.is_slow = took > if self.is_slow { SLOW_ROUND / 10 } else { SLOW_ROUND };
    }

    /// Whoever asked may have gone away meanwhile.
    fn end(&mut self, files: &mut Files, outcome: Outcome) {
        self.is_under_way = false;
        self.tell_slow(outcome.took);
        files.synced(outcome);
        for done in self.waiting.drain(..) {
            let _ = done.send(());
        }
    }
}

impl Round {
    fn sync(self, disk: &Disk) -> Outcome {
        let (mut outcome, began) = (Outcome::default(), clock::now());
        if self.files.len() > EACH_MAX {
            if let Err(error) = disk.sync_everything(&self.folder, self.files.iter().map(|it| &*it.path)) {
                outcome.unsynced = self.files.iter().filter_map(|it| it.track).collect();
                (outcome.names_failed, outcome.error) = (self.names, Some(error));
            }
        } else {
            for it in &self.files {
                if let Err(error) = disk.sync(&it.path, &it.file) {
                    outcome.unsynced.extend(it.track);
                    outcome.error = Some(error);
                }
            }
        }
        crate::failpoint!("spool.after_sync");
        if self.names
            && let Err(error) = disk.sync_names(&self.folder)
        {
            (outcome.names_failed, outcome.error) = (true, Some(error));
        }
        outcome.took = clock::now().duration_since(began);
        outcome.probed = self.probe && disk.probe(&self.folder).is_ok();
        outcome
    }
}
