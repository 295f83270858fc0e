//! What a power cut leaves.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{Change, Disk, Image, Node};
use crate::chance::Chance;

/// What a disk writes whole, in bytes.
const SECTOR: u64 = 512;

impl Disk {
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

/// Which changes are on stable storage: those before the beginning of a later sync of their file or folder that went well.
fn safe(changes: &[Change]) -> Vec<bool> {
    let (mut files, mut folders) = (HashMap::<usize, usize>::new(), HashMap::<&str, usize>::new());
    let mut safe = vec![false; changes.len()];
    for (at, (change, is_safe)) in changes.iter().zip(&mut safe).enumerate().rev() {
        match change {
            Change::Synced { file, since } => raise(files.entry(*file).or_default(), *since),
            Change::SyncFailed { file } => drop(files.insert(*file, 0)),
            Change::NamesSynced { folder, since } => raise(folders.entry(folder).or_default(), *since),
            Change::Wrote { file, .. } | Change::Cut { file, .. } => *is_safe = files.get(file).is_some_and(|since| at < *since),
            Change::Named { name, .. } | Change::Unnamed { name } => {
                *is_safe = folders.get(folder_of(name)).is_some_and(|since| at < *since);
            }
            Change::Noted(_) => {}
        }
    }
    safe
}

fn raise(bound: &mut usize, to: usize) {
    *bound = to.max(*bound);
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
