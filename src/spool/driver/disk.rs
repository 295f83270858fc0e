//! Everything that the spool does to files and folders.
//!
//! Promises: a test can be told of each change once it is done, in its order, so that it can build what a power cut would have left of
//! them; without one a change costs a look at an empty pointer, once for all frames that are written together.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

/// What is written to see whether writing works again; no name of a session's audio.
const PROBE_NAME: &str = "probe";
/// One block, so that a full disk shows.
const PROBE_BYTES: usize = 4096;

/// A change that was made.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// A file or folder got its name, if it did not have it already.
    Made,
    /// Bytes were written at the file's end.
    Appended(&'a [u8]),
    /// The file was cut to so many bytes.
    Cut(u64),
    /// The file's content, or the folder's names, begin to be synced.
    Syncing,
    /// What the file's content was then is on stable storage.
    Synced,
    /// What the folder's names were then are on stable storage.
    NamesSynced,
    /// The file lost its name.
    Removed,
}

/// Is told of each change.
pub type Witness = Arc<dyn Fn(&Path, Change<'_>) + Send + Sync>;

/// The way to the disk.
#[derive(Clone, Default)]
pub(super) struct Disk(Option<Witness>);

impl Disk {
    pub(super) const fn new(witness: Option<Witness>) -> Self {
        Self(witness)
    }

    fn tell(&self, path: &Path, change: Change<'_>) {
        if let Some(witness) = &self.0 {
            witness(path, change);
        }
    }

    /// Makes a folder where it is missing, with all above it, for its owner alone; its name is on stable storage then.
    pub(super) fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !above.is_dir() {
            self.make_folder(above)?;
        }
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !folder.is_dir() => return Err(error),
            _ => self.tell(folder, Change::Made),
        }
        // Whoever made it may have been killed before this.
        self.sync_names(above)
    }

    /// Opens a file to append to, new or not.
    pub(super) fn append_to(&self, path: &Path) -> io::Result<File> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        self.tell(path, Change::Made);
        Ok(file)
    }

    /// Appends; `at` is the file's end, which a file that was opened to append to knows by itself. Given a place, the write is none that a
    /// socket could get, so that a test can let the files' alone fail.
    pub(super) fn append(&self, path: &Path, file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, at)?;
        self.tell(path, Change::Appended(bytes));
        Ok(())
    }

    pub(super) fn cut(&self, path: &Path, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)?;
        self.tell(path, Change::Cut(length));
        Ok(())
    }

    pub(super) fn sync(&self, path: &Path, file: &File) -> io::Result<()> {
        self.tell(path, Change::Syncing);
        file.sync_data()?;
        self.tell(path, Change::Synced);
        Ok(())
    }

    /// Syncs all that the folder's file system holds, these files among it.
    pub(super) fn sync_everything<'a>(&self, folder: &Path, files: impl Iterator<Item = &'a Path> + Clone) -> io::Result<()> {
        files.clone().for_each(|file| self.tell(file, Change::Syncing));
        rustix::fs::syncfs(File::open(folder)?)?;
        files.for_each(|file| self.tell(file, Change::Synced));
        Ok(())
    }

    pub(super) fn sync_names(&self, folder: &Path) -> io::Result<()> {
        self.tell(folder, Change::Syncing);
        File::open(folder)?.sync_all()?;
        self.tell(folder, Change::NamesSynced);
        Ok(())
    }

    /// Whether a file can be written and synced.
    pub(super) fn probe(&self, folder: &Path) -> io::Result<()> {
        let path = folder.join(PROBE_NAME);
        let file = self.append_to(&path)?;
        self.cut(&path, &file, 0)?;
        self.append(&path, &file, 0, &[0; PROBE_BYTES])?;
        self.sync(&path, &file)?;
        self.remove(&path)
    }

    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)?;
        self.tell(path, Change::Removed);
        Ok(())
    }
}
