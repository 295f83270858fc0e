//! A disk that remembers every change in its order, so that one can say what a power cut would have left of it.
//!
//! Promises: what was synced before the cut is there; of the rest any part may be: a write whole, in sectors or not at all, a later one
//! without an earlier one, a file without what was cut off it or with it, a name that was made or taken away and whose folder was not
//! synced since. The changes themselves are made on real files by whoever records them here.

mod cut;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};

/// Longest wait for something that another thread does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The files and folders below the data folder, by their names in it.
pub(crate) type Image = BTreeMap<String, Node>;

#[derive(Clone)]
pub(crate) enum Node {
    Folder,
    File(Arc<Vec<u8>>),
}

/// What a test wants to find again between the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    /// The unit of this number was answered for the session of this number.
    Stored { session: usize, unit: usize },
    /// Audio up to `end` was said on the only track there is.
    Heard { end: u64 },
    /// Audio up to `end` was synced on the track of this number of the session.
    Spooled { session: usize, track: usize, end: u64 },
}

enum Change {
    Named {
        name: String,
        file: Option<usize>,
    },
    Unnamed {
        name: String,
    },
    /// The changes before `since` are safe.
    NamesSynced {
        folder: String,
        since: usize,
    },
    Wrote {
        file: usize,
        at: u64,
        bytes: Arc<[u8]>,
    },
    Cut {
        file: usize,
        length: u64,
    },
    /// The changes before `since` are safe: what is written while a sync runs may not be.
    Synced {
        file: usize,
        since: usize,
    },
    /// What was written before may be gone for good, whatever a later sync says.
    SyncFailed {
        file: usize,
    },
    Noted(Note),
}

/// What the disk does not do although it says so: the check has to see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    /// Files are never synced.
    Files,
    /// Names are never synced.
    Names,
}

#[derive(Default)]
struct State {
    changes: Vec<Change>,
    names: HashMap<String, Option<usize>>,
    lengths: Vec<u64>,
    /// How many changes there were when the sync of a name began.
    begun: HashMap<String, usize>,
    /// Whether the next sync of the write-ahead log waits.
    holds: bool,
    /// Whether one waits.
    waits: bool,
    /// Bytes that were appended to the spool.
    spooled: u64,
    /// Changes that fail: from this one, counted from the beginning, up to that one.
    failing: std::ops::Range<u64>,
    tried: u64,
}

pub(crate) struct Disk {
    base: Vec<(String, Node)>,
    lie: Lie,
    state: Mutex<State>,
    moved: Condvar,
}

impl Disk {
    /// A disk on which `base` is, all of it safe.
    pub(crate) fn new(base: &Image, lie: Lie) -> Arc<Self> {
        let base: Vec<(String, Node)> = base.iter().map(|(name, node)| (name.clone(), node.clone())).collect();
        let mut state = State::default();
        for (name, node) in &base {
            let file = match node {
                Node::Folder => None,
                Node::File(bytes) => {
                    state.lengths.push(bytes.len() as u64);
                    Some(state.lengths.len() - 1)
                }
            };
            state.names.insert(name.clone(), file);
        }
        Arc::new(Self { base, lie, state: Mutex::new(state), moved: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The file's number; it is made where it is not there.
    pub(crate) fn file(&self, name: &str) -> usize {
        let mut state = self.state();
        if let Some(Some(file)) = state.names.get(name) {
            return *file;
        }
        state.lengths.push(0);
        let file = state.lengths.len() - 1;
        state.names.insert(name.to_owned(), Some(file));
        state.changes.push(Change::Named { name: name.to_owned(), file: Some(file) });
        file
    }

    pub(crate) fn make_folder(&self, name: &str) {
        let mut state = self.state();
        if state.names.insert(name.to_owned(), None).is_none() {
            state.changes.push(Change::Named { name: name.to_owned(), file: None });
        }
    }

    pub(crate) fn write(&self, file: usize, at: u64, bytes: &[u8]) {
        let mut state = self.state();
        state.lengths[file] = state.lengths[file].max(at + bytes.len() as u64);
        state.changes.push(Change::Wrote { file, at, bytes: bytes.into() });
    }

    /// Writes at the end.
    pub(crate) fn append(&self, file: usize, bytes: &[u8]) {
        let at = self.state().lengths[file];
        self.write(file, at, bytes);
        self.state().spooled += bytes.len() as u64;
        self.moved.notify_all();
    }

    pub(crate) fn cut(&self, file: usize, length: u64) {
        let mut state = self.state();
        state.lengths[file] = length;
        state.changes.push(Change::Cut { file, length });
    }

    /// The sync of a file or of a folder's names begins.
    pub(crate) fn begin_sync(&self, name: &str) {
        let mut state = self.state();
        let changes = state.changes.len();
        state.begun.insert(name.to_owned(), changes);
    }

    /// Ends the sync of a file that began, unless the file is gone.
    pub(crate) fn end_sync(&self, name: &str) {
        let mut state = self.state();
        let (since, file) = (state.begun.remove(name).unwrap(), state.names.get(name).copied().flatten());
        if let Some(file) = file.filter(|_| self.lie != Lie::Files) {
            state.changes.push(Change::Synced { file, since });
        }
    }

    /// A sync that nothing was written beside.
    pub(crate) fn sync(&self, file: usize) {
        let mut state = self.state();
        let since = state.changes.len();
        if self.lie != Lie::Files {
            state.changes.push(Change::Synced { file, since });
        }
    }

    pub(crate) fn fail_to_sync(&self, file: usize) {
        self.state().changes.push(Change::SyncFailed { file });
    }

    pub(crate) fn remove(&self, name: &str) {
        let mut state = self.state();
        if state.names.remove(name).is_some() {
            state.changes.push(Change::Unnamed { name: name.to_owned() });
        }
    }

    /// The names in a folder are safe; the data folder is the one without a name.
    pub(crate) fn sync_names(&self, folder: &str) {
        let mut state = self.state();
        let since = state.begun.remove(folder).unwrap_or(state.changes.len());
        if self.lie != Lie::Names {
            state.changes.push(Change::NamesSynced { folder: folder.to_owned(), since });
        }
    }

    pub(crate) fn note(&self, note: Note) {
        self.state().changes.push(Change::Noted(note));
    }

    /// How many changes there were so far.
    pub(crate) fn changes(&self) -> usize {
        self.state().changes.len()
    }

    /// The notes before a cut.
    pub(crate) fn notes(&self, cut: usize) -> Vec<Note> {
        let noted = |change: &Change| if let Change::Noted(note) = change { Some(*note) } else { None };
        self.state().changes[..cut].iter().filter_map(noted).collect()
    }

    /// Whether the next change of the database fails, as [`Disk::fail`] has set it.
    pub(crate) fn refuses(&self) -> bool {
        let mut state = self.state();
        state.tried += 1;
        let tried = state.tried;
        state.failing.contains(&tried)
    }

    /// Lets these changes of the database fail, counted from 1.
    pub(crate) fn fail(&self, changes: std::ops::Range<u64>) {
        let mut state = self.state();
        (state.failing, state.tried) = (changes, 0);
    }

    /// Lets the next sync of the write-ahead log wait, so that all that is asked for meanwhile goes into one commit.
    pub(crate) fn hold(&self) {
        self.state().holds = true;
    }

    /// Waits until a sync waits.
    pub(crate) fn until_held(&self) {
        self.until("a sync of the log", |state| state.waits);
    }

    pub(crate) fn release(&self) {
        self.state().holds = false;
        self.moved.notify_all();
    }

    /// A sync of the write-ahead log begins.
    pub(crate) fn log_syncs(&self) {
        self.state().waits = true;
        self.moved.notify_all();
        self.until("a held sync", |state| !state.holds);
        self.state().waits = false;
    }

    /// Bytes that were appended to the spool so far.
    pub(crate) fn spooled(&self) -> u64 {
        self.state().spooled
    }

    /// Waits until so many bytes were appended to the spool.
    pub(crate) fn until_spooled(&self, bytes: u64) {
        self.until("the spool's writer", |state| state.spooled >= bytes);
    }

    fn until(&self, what: &str, is_so: impl Fn(&State) -> bool) {
        let waited = self.moved.wait_timeout_while(self.state(), PATIENCE, |state| !is_so(state)).unwrap();
        assert!(!waited.1.timed_out(), "{what} was waited for in vain");
    }

    /// The longest that the write-ahead log has been, in bytes.
    pub(crate) fn longest_log(&self) -> u64 {
        let state = self.state();
        let is_log = |change: &&Change| matches!(change, Change::Named { name, .. } if name.ends_with("-wal"));
        let logs = state.changes.iter().filter(is_log).filter_map(|change| match change {
            Change::Named { file: Some(file), .. } => Some(state.lengths[*file]),
            _ => None,
        });
        logs.max().unwrap_or(0)
    }

    /// How much of the audio that was [`Note::Heard`] no cut leaves for certain, at worst; `of_audio` says what a file's bytes hold.
    pub(crate) fn worst_loss(&self, of_audio: impl Fn(u64) -> u64) -> u64 {
        let (mut heard, mut written, mut synced, mut named, mut worst) = (0, 0, 0, 0, 0);
        let mut written_before = Vec::new();
        for change in &self.state().changes {
            written_before.push(written);
            match change {
                Change::Noted(Note::Heard { end }) => heard = *end,
                Change::Wrote { bytes, .. } => written += bytes.len() as u64,
                Change::Synced { since, .. } => synced = written_before[*since],
                Change::NamesSynced { .. } => named = synced,
                _ => {}
            }
            let safe = if named == 0 { 0 } else { synced };
            worst = worst.max(heard - of_audio(safe));
        }
        worst
    }
}

/// Lays the files of an image into a folder.
pub(crate) fn lay(image: &Image, folder: &Path) {
    for (name, node) in image {
        match node {
            Node::Folder => std::fs::create_dir(folder.join(name)).unwrap(),
            Node::File(bytes) => std::fs::write(folder.join(name), &**bytes).unwrap(),
        }
    }
}
