//! The spool's writer thread, the one that syncs beside it, and looking through its files after a restart.
//!
//! Promises: [`SpoolTrack::append`] never waits, and says when it could not take the audio; what was taken is handed to the
//! system at once, whatever is read of earlier sessions meanwhile, and synced every [`SYNC_EVERY`]; a file is deleted when all of it is
//! covered; reading back cuts torn tails.

mod disk;
mod files;
mod reader;
mod recover;
mod sync;

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use tokio::sync::{Semaphore, oneshot};

use self::{
    disk::Disk,
    files::Files,
    recover::{look, names},
    sync::Rounds,
};
pub use self::{
    disk::{Change, Witness},
    reader::Reader,
    recover::Recovered,
};
use super::{FRAME_MAX_BYTES, seal::DataKey};
use crate::{
    media::{Chunk, Offset, SessionId},
    segment::TrackKey,
};

/// How often written audio is synced. A power cut may take at most 200 ms of it (docs/promise.md): this, and what comes while a sync runs.
pub const SYNC_EVERY: Duration = Duration::from_millis(150);
/// The most audio that waits for the writer, its bookkeeping counted: two seconds of 1,000 calls.
pub const WAITING_MAX_BYTES: usize = 40 << 20;
/// Covered audio that is kept behind the mark, in milliseconds: a connection that is opened again, also by the next start, may reach back
/// so far.
pub const KEPT_MS: u64 = 3_000;
/// What a waiting chunk costs beside its audio.
const CHUNK_COST_BYTES: usize = 128;
/// The most chunks that are sealed before they are written, so that a burst is on its way to the disk early.
const BATCH: usize = 256;

/// The audio was not taken: the disk does not keep up, or the chunk is longer than a frame may be. Counted in [`Spool::refused`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the spool is full")]
pub struct SpoolFull;

enum Command {
    Append(Arc<Shared>, Chunk),
    Wake,
}

enum Control {
    Flush(oneshot::Sender<()>),
    Recover(SessionId, DataKey, oneshot::Sender<io::Result<Vec<Recovered>>>),
    Remove(SessionId, oneshot::Sender<()>),
}

/// What a track's handle and the writer both see.
struct Shared {
    id: u64,
    session: SessionId,
    key: TrackKey,
    data_key: DataKey,
    covered: AtomicU64,
    /// Audio before this is given up although nothing covers it.
    given_up: AtomicU64,
    /// Behind the last audio that was taken.
    end: AtomicU64,
    /// Its files on disk, by offset; written by the writer, so that a read need not list the folder.
    files: Mutex<VecDeque<SpoolFile>>,
}

/// One file of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolFile {
    /// Where its first frame lies.
    pub first: Offset,
    /// Its name, folder and all.
    pub path: PathBuf,
}

impl Shared {
    fn files(&self) -> MutexGuard<'_, VecDeque<SpoolFile>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Inner {
    folder: PathBuf,
    commands: mpsc::Sender<Command>,
    controls: Mutex<Vec<Control>>,
    counters: Arc<Counters>,
    next_track: AtomicU64,
    disk: Disk,
    /// Every track of this run that anybody has still: a handle, a chunk on its way, the writer.
    tracks: Mutex<Vec<(SessionId, Weak<Shared>)>>,
    /// See [`recover::AT_ONCE`].
    looking: Arc<Semaphore>,
}

#[derive(Default)]
struct Counters {
    waiting_bytes: AtomicUsize,
    refused: AtomicU64,
    /// What failed last, until it works again.
    failing: Mutex<Option<String>>,
    /// Whether that was for want of space.
    is_full: AtomicBool,
}

/// The spool; clones share it. The thread ends when the last clone and track are gone.
#[derive(Clone)]
pub struct Spool(Arc<Inner>);

/// One track's way into the spool; clones share it.
#[derive(Clone)]
pub struct SpoolTrack {
    spool: Spool,
    shared: Arc<Shared>,
}

impl Spool {
    /// Opens or makes the folder and starts the writer.
    ///
    /// # Errors
    /// If the folder cannot be made or the thread not started.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Self::open_on(folder, Disk::default())
    }

    /// As [`Spool::open`]; `witness` is told of every change to a file or folder.
    ///
    /// # Errors
    /// As [`Spool::open`].
    #[doc(hidden)]
    pub fn open_watched(folder: &Path, witness: Witness) -> io::Result<Self> {
        Self::open_on(folder, Disk::new(Some(witness)))
    }

    fn open_on(folder: &Path, disk: Disk) -> io::Result<Self> {
        disk.make_folder(folder)?;
        let (commands, received) = mpsc::channel();
        let counters = Arc::new(Counters::default());
        let folder = folder.to_owned();
        let spool = Arc::new(Inner {
            folder: folder.clone(),
            commands,
            controls: Mutex::default(),
            counters: counters.clone(),
            next_track: AtomicU64::new(0),
            disk: disk.clone(),
            tracks: Mutex::default(),
            looking: Arc::new(Semaphore::new(recover::AT_ONCE)),
        });
        let (weak, awake) = (Arc::downgrade(&spool), Arc::downgrade(&spool));
        let take_controls = move || weak.upgrade().map(|inner| std::mem::take(&mut *inner.controls())).unwrap_or_default();
        let rounds = Rounds::start(disk.clone(), move || {
            let _ = awake.upgrade().map(|inner| inner.commands.send(Command::Wake));
        })?;
        thread::Builder::new()
            .name("spool-writer".into())
            .spawn(move || write_all(&received, &take_controls, rounds, Files::new(disk, folder, counters)))?;
        Ok(Self(spool))
    }

    /// A track's way in; its audio is sealed under the session's `data_key`.
    #[must_use]
    pub fn track(&self, session: &SessionId, key: TrackKey, data_key: &DataKey) -> SpoolTrack {
        self.track_with(session, key, data_key, VecDeque::new())
    }

    /// As [`Spool::track`], where an earlier life of the session left audio that is to be read.
    #[must_use]
    pub fn resume(&self, session: &SessionId, left: &Recovered, data_key: &DataKey) -> SpoolTrack {
        self.track_with(session, left.key, data_key, left.files.iter().cloned().collect())
    }

    fn track_with(&self, session: &SessionId, key: TrackKey, data_key: &DataKey, files: VecDeque<SpoolFile>) -> SpoolTrack {
        let shared = Shared {
            id: self.0.next_track.fetch_add(1, Ordering::Relaxed),
            session: session.clone(),
            key,
            data_key: data_key.clone(),
            covered: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            end: AtomicU64::new(0),
            files: Mutex::new(files),
        };
        let shared = Arc::new(shared);
        let mut tracks = self.0.tracks();
        tracks.retain(|(_, track)| track.strong_count() > 0);
        tracks.push((session.clone(), Arc::downgrade(&shared)));
        drop(tracks);
        SpoolTrack { spool: self.clone(), shared }
    }

    /// Chunks that could not be taken, since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.counters.refused.load(Ordering::Relaxed)
    }

    /// What cannot be done and why, from the first write or sync that failed until writing works again; never names a call.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.0.counters.failing().clone()
    }

    /// Waits until all that was appended before is synced.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        let _ = self.control(Control::Flush(done), wait).await;
    }

    /// Deletes all audio of a session; its tracks must not be appended to any more.
    pub async fn remove(&self, session: &SessionId) {
        let (done, wait) = oneshot::channel();
        let _ = self.control(Control::Remove(session.clone(), done), wait).await;
    }

    async fn control<T>(&self, control: Control, wait: oneshot::Receiver<T>) -> Option<T> {
        self.0.controls().push(control);
        let _ = self.0.commands.send(Command::Wake);
        wait.await.ok()
    }

    /// The sessions that have audio on disk.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub async fn sessions(&self) -> io::Result<BTreeSet<SessionId>> {
        let folder = self.0.folder.clone();
        blocking(move || Ok(names(&folder)?.into_iter().map(|name| name.session).collect())).await
    }
}

impl Inner {
    fn controls(&self) -> MutexGuard<'_, Vec<Control>> {
        self.controls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tracks(&self) -> MutexGuard<'_, Vec<(SessionId, Weak<Shared>)>> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    fn failing(&self) -> MutexGuard<'_, Option<String>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpoolTrack {
    /// Hands a chunk to the writer without waiting.
    ///
    /// # Errors
    /// If more than [`WAITING_MAX_BYTES`] wait already; the audio is then not on disk.
    pub fn append(&self, chunk: &Chunk) -> Result<(), SpoolFull> {
        let counters = &self.spool.0.counters;
        let cost = cost(chunk);
        let fits = counters.waiting_bytes.fetch_add(cost, Ordering::Relaxed) + cost <= WAITING_MAX_BYTES;
        let command = Command::Append(self.shared.clone(), chunk.clone());
        if fits && chunk.audio.len() <= FRAME_MAX_BYTES && self.spool.0.commands.send(command).is_ok() {
            self.shared.end.fetch_max(chunk.end().0, Ordering::Release);
            return Ok(());
        }
        counters.waiting_bytes.fetch_sub(cost, Ordering::Relaxed);
        counters.refused.fetch_add(1, Ordering::Relaxed);
        Err(SpoolFull)
    }

    /// A stored final covers the audio before `to`; it is deleted when convenient.
    pub fn covered(&self, to: Offset) {
        self.shared.covered.fetch_max(to.0, Ordering::Relaxed);
    }

    /// Stored finals cover the audio before this.
    #[must_use]
    pub fn mark(&self) -> Offset {
        Offset(self.shared.covered.load(Ordering::Relaxed))
    }

    /// Behind the last audio that was taken in this life of the session; it may still be on its way to the disk.
    #[must_use]
    pub fn end(&self) -> Offset {
        Offset(self.shared.end.load(Ordering::Acquire))
    }

    /// As [`Spool::flush`].
    pub async fn flush(&self) {
        self.spool.flush().await;
    }

    /// Reads back what was appended, in this life of the session or in an earlier one.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }
}

fn cost(chunk: &Chunk) -> usize {
    chunk.audio.len() + CHUNK_COST_BYTES
}

fn write_all(
    commands: &mpsc::Receiver<Command>,
    take_controls: &impl Fn() -> Vec<Control>,
    mut rounds: Rounds,
    mut files: Files,
) {
    let mut woken = false;
    loop {
        let patience = if std::mem::take(&mut woken) { Duration::ZERO } else { rounds.patience(&files) };
        let first = match commands.recv_timeout(patience) {
            Ok(command) => Some(command),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => break rounds.finish(&mut files),
        };
        for command in first.into_iter().chain(commands.try_iter()).take(BATCH) {
            if let Command::Append(track, chunk) = command {
                files.append(&track, chunk);
            }
        }
        files.write();
        let controls = take_controls();
        if !controls.is_empty() {
            // What was appended before somebody asked is still in the queue or already written.
            for command in commands.try_iter() {
                match command {
                    Command::Append(track, chunk) => files.append(&track, chunk),
                    // It may be for somebody who asked just now, or of a round that ended.
                    Command::Wake => woken = true,
                }
            }
            files.write();
        }
        for control in controls {
            answer(control, &mut rounds, &mut files);
        }
        rounds.go_on(&mut files);
    }
}

/// Whoever asked may have gone away meanwhile.
fn answer(control: Control, rounds: &mut Rounds, files: &mut Files) {
    match control {
        Control::Flush(done) => rounds.ask(done),
        // Read by the one who writes, so that no frame of a stream that is still open is half there.
        Control::Recover(session, data_key, done) => drop(done.send(look(files.disk(), files.folder(), &session, &data_key))),
        Control::Remove(session, done) => {
            files.remove(&session);
            let _ = done.send(());
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests;
