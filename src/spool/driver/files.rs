//! The writer thread's files: each track's newest is written to, older ones wait until they are covered.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use super::{
    Counters, KEPT_MS, Shared, Spool, SpoolFile, SpoolTrack, cost,
    disk::Disk,
    names,
    sync::{Outcome, Round, Unsynced},
};
use crate::{
    clock,
    media::{Chunk, Offset, SessionId, ms_to_bytes},
    spool::{FileName, Frame, write_frame},
};

/// Audio in one file: a minute, so that what is covered frees its space soon and files stay few.
const FILE_BYTES: u64 = ms_to_bytes(60_000);
pub(super) struct Files {
    disk: Disk,
    folder: PathBuf,
    counters: Arc<Counters>,
    tracks: HashMap<u64, Open>,
    /// Tracks with sealed frames that are not written yet.
    touched: HashSet<u64>,
    /// Files that are full and not synced yet.
    full: Vec<Unsynced>,
    /// Whether a file was made whose name is not synced yet.
    has_new_names: bool,
    /// Whether anything failed since the last round.
    has_failed: bool,
}

/// A track's files, the newest last and open.
struct Open {
    shared: Arc<Shared>,
    file: Option<Arc<File>>,
    names: VecDeque<Covering>,
    /// Sealed frames for the newest file.
    buffer: Vec<u8>,
    /// Cost of the chunks in `buffer`.
    buffered: usize,
    written_bytes: u64,
    is_dirty: bool,
}

struct Covering {
    path: PathBuf,
    first: Offset,
    end: Offset,
}

impl Files {
    pub(super) fn new(disk: Disk, folder: PathBuf, counters: Arc<Counters>) -> Self {
        let (tracks, touched, full) = (HashMap::new(), HashSet::new(), Vec::new());
        Self { disk, folder, counters, tracks, touched, full, has_new_names: false, has_failed: false }
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether a round would do nothing.
    pub(super) fn is_idle(&self) -> bool {
        self.tracks.is_empty() && self.full.is_empty() && self.counters.failing().is_none()
    }

    /// Seals a chunk for its track's newest file.
    pub(super) fn append(&mut self, track: &Arc<Shared>, chunk: Chunk) {
        let cost = cost(&chunk);
        if let Err(error) = self.try_append(track, chunk) {
            self.failed("open", &error);
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            self.counters.waiting_bytes.fetch_sub(cost, Ordering::Relaxed);
        }
    }

    fn try_append(&mut self, track: &Arc<Shared>, chunk: Chunk) -> io::Result<()> {
        let open = self.tracks.entry(track.id).or_insert_with(|| Open::new(track.clone()));
        let begins_anew = open.names.back().is_none_or(|newest| chunk.offset.since(newest.first) >= FILE_BYTES);
        if begins_anew || open.file.is_none() {
            open.write(&self.disk, &self.counters)?;
            self.full.extend(open.unsynced(None));
            open.begin(&self.disk, &self.folder, chunk.offset)?;
            self.has_new_names = true;
        }
        open.buffered += cost(&chunk);
        open.names.back_mut().expect("a file was begun").end = chunk.end();
        let frame = Frame { offset: chunk.offset, at_ms: chunk.at_ms, audio: chunk.audio };
        write_frame(&mut open.buffer, &track.data_key, &track.session, track.key, &frame, &clock::random());
        self.touched.insert(track.id);
        Ok(())
    }

    /// Hands what is sealed to the system.
    pub(super) fn write(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let Some(open) = self.tracks.get_mut(&id) else { continue };
            if let Err(error) = open.write(&self.disk, &self.counters) {
                self.failed("write", &error);
            }
        }
    }

    /// What was written since the last round.
    pub(super) fn unsynced(&mut self) -> Round {
        let mut files = std::mem::take(&mut self.full);
        files.extend(self.tracks.iter_mut().filter_map(|(id, open)| open.unsynced(Some(*id))));
        let probe = self.counters.failing().is_some();
        Round { files, names: std::mem::take(&mut self.has_new_names), probe, folder: self.folder.clone() }
    }

    /// Takes note of what was synced, deletes what is covered, forgets who is gone. What failed is tried again, except a full file: its
    /// failure is told, and a second try would say nothing of the first one's bytes.
    pub(super) fn synced(&mut self, outcome: Outcome) {
        for track in outcome.unsynced {
            if let Some(open) = self.tracks.get_mut(&track) {
                open.is_dirty = true;
            }
        }
        self.has_new_names |= outcome.names_failed;
        if let Some(error) = outcome.error {
            self.failed("sync", &error);
        }
        self.look_again(outcome.probed);
        self.tracks.retain(|_, open| open.tidy(&self.disk));
    }

    /// Ends a failure once a whole round went well and a file could be written and synced, so that silence is no proof.
    fn look_again(&mut self, probed: bool) {
        if std::mem::take(&mut self.has_failed) || self.counters.failing().is_none() || !probed {
            return;
        }
        *self.counters.failing() = None;
        self.counters.is_full.store(false, Ordering::Relaxed);
        tracing::info!("audio can be spooled again");
    }

    /// Deletes a session's files, also those of an earlier run.
    pub(super) fn remove(&mut self, session: &SessionId) {
        self.tracks.retain(|_, open| open.shared.session != *session);
        let found = names(&self.folder).unwrap_or_default();
        for name in found.into_iter().filter(|name| name.session == *session).filter_map(|name| name.render()) {
            delete(&self.disk, &self.folder.join(name));
        }
    }

    fn failed(&mut self, what: &'static str, error: &io::Error) {
        self.has_failed = true;
        let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        self.counters.is_full.store(is_full, Ordering::Relaxed);
        if self.counters.failing().replace(format!("{what}: {error}")).is_none() {
            tracing::error!(what, %error, "failed to spool audio: it is not safe from a crash until this works again");
        }
    }
}

impl SpoolTrack {
    /// There is no room for audio before `to`: it is deleted although no stored final covers it. Whoever reads it back finds a hole. Says
    /// whether this is the first of it.
    pub fn give_up_before(&self, to: Offset) -> bool {
        self.shared.given_up.fetch_max(to.0, Ordering::Relaxed) == 0
    }
}

impl Spool {
    /// Whether [`Spool::trouble`] is that the disk, or this user's share of it, is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.counters.is_full.load(Ordering::Relaxed)
    }
}

impl Open {
    fn new(shared: Arc<Shared>) -> Self {
        let (names, buffer) = (VecDeque::new(), Vec::new());
        Self { shared, file: None, names, buffer, buffered: 0, written_bytes: 0, is_dirty: false }
    }

    fn begin(&mut self, disk: &Disk, folder: &Path, first: Offset) -> io::Result<()> {
        let name = FileName { session: self.shared.session.clone(), track: self.shared.key, first };
        let name = name.render().ok_or_else(|| io::Error::other("the session's id makes no file name"))?;
        let path = folder.join(name);
        let file = disk.append_to(&path)?;
        (self.written_bytes, self.is_dirty) = (file.metadata()?.len(), false);
        self.file = Some(Arc::new(file));
        self.shared.files().push_back(SpoolFile { first, path: path.clone() });
        self.names.push_back(Covering { path, first, end: first });
        Ok(())
    }

    /// A write that fails is undone, so that a torn frame never hides the whole ones after it; a file where that fails too is ended.
    fn write(&mut self, disk: &Disk, counters: &Counters) -> io::Result<()> {
        counters.waiting_bytes.fetch_sub(std::mem::take(&mut self.buffered), Ordering::Relaxed);
        let buffer = std::mem::take(&mut self.buffer);
        let (Some(file), Some(newest)) = (self.file.as_ref().filter(|_| !buffer.is_empty()), self.names.back()) else {
            return Ok(());
        };
        self.is_dirty = true;
        crate::failpoint!("spool.before_write");
        let outcome = disk.append(&newest.path, file, self.written_bytes, &buffer);
        crate::failpoint!("spool.after_write");
        if outcome.is_ok() {
            self.written_bytes += buffer.len() as u64;
        } else {
            counters.refused.fetch_add(1, Ordering::Relaxed);
            if disk.cut(&newest.path, file, self.written_bytes).is_err() {
                self.file = None;
            }
        }
        self.buffer = buffer;
        self.buffer.clear();
        outcome
    }

    /// Its newest file, if that has bytes that no round has been asked to sync.
    fn unsynced(&mut self, track: Option<u64>) -> Option<Unsynced> {
        let (file, newest) = (self.file.as_ref()?, self.names.back()?);
        let is_dirty = std::mem::take(&mut self.is_dirty);
        is_dirty.then(|| Unsynced { track, file: Arc::clone(file), path: newest.path.clone() })
    }

    /// Deletes covered files; says whether the track is still of interest.
    fn tidy(&mut self, disk: &Disk) -> bool {
        let covered = Offset(self.shared.covered.load(Ordering::Relaxed));
        let given_up = Offset(self.shared.given_up.load(Ordering::Relaxed));
        let is_done = |oldest: &Covering| oldest.end.plus(ms_to_bytes(KEPT_MS)) <= covered || oldest.end <= given_up;
        let is_alone = Arc::strong_count(&self.shared) == 1;
        let keep = usize::from(!is_alone);
        while self.names.len() > keep
            && let Some(oldest) = self.names.pop_front_if(|oldest| is_done(oldest))
        {
            self.shared.files().retain(|file| file.path != oldest.path);
            delete(disk, &oldest.path);
        }
        if self.names.is_empty() {
            self.file = None;
        }
        !is_alone || self.is_dirty
    }
}

fn delete(disk: &Disk, path: &Path) {
    if let Err(error) = disk.remove(path) {
        // The name holds ids only.
        tracing::warn!(path = %path.display(), %error, "failed to delete spooled audio");
    }
}
