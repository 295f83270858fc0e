//! The bridge's store and spool between two power cuts.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use pulse_bridge::{
    clock,
    keys::MasterKeys,
    spool::{
        Spool,
        driver::{Change, Witness},
    },
    store::Store,
};

use crate::{
    disk::{Disk, Image, Lie, lay},
    model::{MASTER, MASTER_ID},
    vfs,
};

/// The database's name in the data folder.
pub(crate) const DATABASE: &str = "bridge.sqlite";
/// The spool's.
pub(crate) const SPOOL: &str = "spool";

pub(crate) struct Life {
    pub disk: Arc<Disk>,
    pub store: Store,
    pub spool: Spool,
    pub folder: Folder,
}

impl Life {
    /// Starts on what is there, as the program starts.
    pub(crate) fn begin(image: &Image, lie: Lie) -> Result<Self, String> {
        let folder = Folder::new();
        lay(image, &folder.0);
        let disk = Disk::new(image, lie);
        vfs::watch(&folder.0, &disk);
        let store = open_store(&folder.0).map_err(|why| format!("the database is lost: {why}"))?;
        let spool = Spool::open_watched(&folder.0.join(SPOOL), witness(&folder.0, &disk)).map_err(|why| why.to_string())?;
        Ok(Self { disk, store, spool, folder })
    }
}

/// The one place that opens the store.
pub(crate) fn open_store(folder: &Path) -> Result<Store, pulse_bridge::store::StoreError> {
    // The key that wraps the sessions' data keys, see the model.
    let master = format!("{MASTER_ID}:{}", BASE64_STANDARD.encode(MASTER));
    let keys = MasterKeys::parse(&master.into()).expect("a good key");
    Store::open(&folder.join(DATABASE), Arc::new(keys))
}

/// Records what the spool does.
pub(crate) fn witness(data: &Path, disk: &Arc<Disk>) -> Witness {
    let (data, disk) = (data.to_owned(), Arc::clone(disk));
    Arc::new(move |path: &Path, change: Change<'_>| {
        let Ok(below) = path.strip_prefix(&data) else { return };
        let name = below.to_str().unwrap();
        match change {
            Change::Made if path.is_dir() => disk.make_folder(name),
            Change::Made => drop(disk.file(name)),
            Change::Appended(bytes) => disk.append(disk.file(name), bytes),
            Change::Cut(length) => disk.cut(disk.file(name), length),
            Change::Syncing => disk.begin_sync(name),
            Change::Synced => disk.end_sync(name),
            Change::NamesSynced => disk.sync_names(name),
            Change::Removed => disk.remove(name),
        }
    })
}

/// A folder of its own in memory where there is room, removed in the end.
pub(crate) struct Folder(pub PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let above = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir().canonicalize().unwrap() };
        let path = above.join(format!("pulse-bridge-power-{}", clock::ulid()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        vfs::forget(&self.0);
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
