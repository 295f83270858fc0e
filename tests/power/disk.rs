//! A disk that remembers every change in its order, so that one can say what a power cut would have left of it.
//!
//! Promises: what was synced before the cut is there; of the rest any part may be: a write whole, in sectors or not at all, a later one
//! without an earlier one, a file without what was cut off it or with it, a name that was made or taken away and whose folder was not
//! synced since. The changes themselves are made on real files by whoever records them here.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};

use crate::chance::Chance;

/// What a disk writes whole.
const SECTOR: u64 = 512;
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
    NamesSynced {
        folder: String,
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
    Synced {
        file: usize,
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

    pub(crate) fn sync(&self, file: usize) {
        if self.lie != Lie::Files {
            self.state().changes.push(Change::Synced { file });
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
        if self.lie != Lie::Names {
            self.state().changes.push(Change::NamesSynced { folder: folder.to_owned() });
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

    /// How many changes of the database were tried since [`Disk::fail`].
    pub(crate) fn tried(&self) -> u64 {
        self.state().tried
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

    /// What is left when the power goes before the change number `cut`.
    pub(crate) fn survivors(&self, cut: usize, chance: &mut Chance) -> Image {
        let state = self.state();
        let changes = &state.changes[..cut];
        let is_safe = safe(changes);
        let base_files =
            self.base.iter().filter_map(|(_, node)| if let Node::File(bytes) = node { Some(&**bytes) } else { None });
        let mut files: Vec<Vec<u8>> = base_files.cloned().collect();
        files.resize_with(state.lengths.len(), Vec::new);
        let mut fates: HashMap<usize, Fate> = HashMap::new();
        let mut numbers = 0..;
        let mut names: BTreeMap<String, Option<usize>> = self
            .base
            .iter()
            .map(|(name, node)| (name.clone(), if matches!(node, Node::File(_)) { numbers.next() } else { None }))
            .collect();
        let names_survive = Fate::drawn(chance);
        for (change, is_safe) in changes.iter().zip(is_safe) {
            match change {
                Change::Wrote { file, .. } | Change::Cut { file, .. } if is_safe => apply(&mut files[*file], change),
                Change::Wrote { file, .. } | Change::Cut { file, .. } => {
                    let fate = fates.entry(*file).or_insert_with(|| Fate::drawn(chance));
                    fate.apply(&mut files[*file], change, chance);
                }
                Change::Named { name, file } if is_safe || names_survive.keeps(chance) => drop(names.insert(name.clone(), *file)),
                Change::Unnamed { name } if is_safe || names_survive.keeps(chance) => drop(names.remove(name)),
                _ => {}
            }
        }
        let is_there = |name: &str| folder_of(name).is_empty() || names.contains_key(folder_of(name));
        let mut node =
            |file: Option<usize>| file.map_or(Node::Folder, |file| Node::File(Arc::new(std::mem::take(&mut files[file]))));
        let there: Vec<(String, Option<usize>)> =
            names.iter().filter(|(name, _)| is_there(name)).map(|(name, file)| (name.clone(), *file)).collect();
        there.into_iter().map(|(name, file)| (name, node(file))).collect()
    }
}

/// Which changes are on stable storage: those whose file's or folder's next sync went well.
fn safe(changes: &[Change]) -> Vec<bool> {
    let (mut files, mut folders) = (HashMap::new(), HashMap::new());
    let mut safe = vec![false; changes.len()];
    for (change, is_safe) in changes.iter().zip(&mut safe).rev() {
        match change {
            Change::Synced { file } => drop(files.insert(*file, true)),
            Change::SyncFailed { file } => drop(files.insert(*file, false)),
            Change::NamesSynced { folder } => drop(folders.insert(&**folder, true)),
            Change::Wrote { file, .. } | Change::Cut { file, .. } => *is_safe = files.get(file) == Some(&true),
            Change::Named { name, .. } | Change::Unnamed { name } => *is_safe = folders.contains_key(folder_of(name)),
            Change::Noted(_) => {}
        }
    }
    safe
}

/// What becomes of what was not synced.
#[derive(Clone, Copy)]
enum Fate {
    /// All of it is gone.
    Gone,
    /// All of it is there.
    There,
    /// Each change by itself, writes in sectors.
    Torn,
}

impl Fate {
    fn drawn(chance: &mut Chance) -> Self {
        chance.pick(&[Self::Gone, Self::There, Self::Torn, Self::Torn])
    }

    fn keeps(self, chance: &mut Chance) -> bool {
        match self {
            Self::Gone => false,
            Self::There => true,
            Self::Torn => chance.percent(50),
        }
    }

    fn apply(self, file: &mut Vec<u8>, change: &Change, chance: &mut Chance) {
        let Change::Wrote { at, bytes, .. } = change else {
            if self.keeps(chance) {
                apply(file, change);
            }
            return;
        };
        let is_whole = !matches!(self, Self::Torn) || chance.percent(30);
        if is_whole {
            if self.keeps(chance) {
                apply(file, change);
            }
            return;
        }
        let end = at + bytes.len() as u64;
        // The length may be there without the bytes; what stands in their place is nobody's promise.
        if chance.percent(30) && (file.len() as u64) < end {
            file.resize(size(end), chance.pick(&[0, 0xA5]));
        }
        let mut from = *at;
        while from < end {
            let to = end.min((from / SECTOR + 1) * SECTOR);
            if chance.percent(50) {
                put(file, from, &bytes[size(from - at)..size(to - at)]);
            }
            from = to;
        }
    }
}

fn apply(file: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Wrote { at, bytes, .. } => put(file, *at, bytes),
        Change::Cut { length, .. } => file.resize(size(*length), 0),
        _ => {}
    }
}

fn put(file: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let end = size(at) + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[size(at)..end].copy_from_slice(bytes);
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap()
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
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
