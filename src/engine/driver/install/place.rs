//! The folders that an installation works in.
//!
//! Promises: one installation at a time in a data folder; all that is not finished lies in one folder beside the parts, which goes at the end and, left
//! by a process that died, at the next begin; a part is on stable storage before its name is.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with, statvfs};

use super::{Failed, Progress, Say};
use crate::engine::files::{MANIFEST, Manifest, Part};

/// Where the unfinished lies.
const UNFINISHED: &str = "unfinished";
/// Locked by who installs.
const LOCK: &str = "lock";

/// One installation's place; what is unfinished in it goes with it.
pub(super) struct Place {
    engine: PathBuf,
    /// Let go last.
    _lock: File,
}

impl Place {
    /// Takes the engine's folder, made if it is missing, for this process; waits for another that has it, and says so.
    pub(super) fn take(engine: &Path, say: &Say) -> Result<Self, Failed> {
        fs::create_dir_all(engine).map_err(|why| Failed::of_file("make", engine, why))?;
        let path = engine.join(LOCK);
        let failed = |why| Failed::of_file("open", &path, why);
        let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let line =
                    format!("another pulse-bridge is installing the speech engine in {}; waiting for it", engine.display());
                say(Progress::Says(line));
                lock.lock().map_err(|why| Failed::of_file("lock", &path, why))?;
            }
            Err(TryLockError::Error(why)) => {
                tracing::warn!(%why, "this file system has no locks: see to it that one pulse-bridge alone installs the engine");
            }
        }
        let place = Self { engine: engine.to_path_buf(), _lock: lock };
        place.clear();
        Ok(place)
    }

    /// Where to put what is not finished.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.engine.join(UNFINISHED)
    }

    /// Whether `needed` bytes fit.
    pub(super) fn has_space(&self, needed: u64) -> Result<(), Failed> {
        // A disk that cannot be measured is tried.
        let Ok(disk) = statvfs(&self.engine) else { return Ok(()) };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < needed { Err(Failed::Space { folder: self.engine.clone(), free, needed }) } else { Ok(()) }
    }

    /// Gives a finished part its name; what had it before goes with the unfinished.
    pub(super) fn finish(&self, part: Part, manifest: &Manifest) -> Result<(), Failed> {
        let from = self.unfinished().join(part.as_str());
        let to = self.engine.join(part.as_str());
        let path = from.join(MANIFEST);
        let written = write(&path, manifest.to_json().as_bytes()).and_then(|()| sync(&from));
        written.map_err(|why| Failed::of_file("write", &path, why))?;
        let named = rename(&from, &to).and_then(|()| sync(&self.engine));
        named.map_err(|why| Failed::of_file("put in place", &to, why))
    }

    fn clear(&self) {
        match fs::remove_dir_all(self.unfinished()) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%why, folder = %self.unfinished().display(), "failed to remove what an installation has left");
            }
            _ => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Writes a file onto stable storage.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Puts a folder in place whole: there is no moment without one where there was one before, if the file system can do that.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    if fs::symlink_metadata(to).is_err() {
        return fs::rename(from, to);
    }
    if renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE).is_ok() {
        return Ok(());
    }
    fs::rename(to, from.with_extension("old"))?;
    fs::rename(from, to)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;
    use crate::store::driver::tests::Folder;

    fn manifest() -> Manifest {
        Manifest { package: "p".into(), version: "1".into(), wheel_sha256: "0".into(), files: Vec::new() }
    }

    fn quiet() -> Say {
        Arc::new(|_| {})
    }

    #[test]
    fn a_part_takes_the_place_of_an_older_one_and_nothing_unfinished_stays() {
        let folder = Folder::new();
        let engine = folder.0.join("engine");
        for text in ["old", "new"] {
            let place = Place::take(&engine, &quiet()).unwrap();
            let part = place.unfinished().join("fast");
            fs::create_dir_all(&part).unwrap();
            write(&part.join("weights"), text.as_bytes()).unwrap();
            place.finish(Part::Fast, &manifest()).unwrap();
            drop(place);
            assert_eq!(fs::read_to_string(engine.join("fast/weights")).unwrap(), text);
            assert!(engine.join("fast/installed.json").exists() && !engine.join(UNFINISHED).exists());
        }
    }

    #[test]
    fn what_a_dead_installation_has_left_is_removed() {
        let folder = Folder::new();
        fs::create_dir_all(folder.0.join("unfinished/wheels")).unwrap();
        let place = Place::take(&folder.0, &quiet()).unwrap();
        assert!(!place.unfinished().exists());
    }

    #[test]
    fn a_second_installation_says_that_it_waits_and_goes_on_when_the_first_is_over() {
        let folder = Folder::new();
        let first = Place::take(&folder.0, &quiet()).unwrap();
        let (said, lines) = mpsc::channel();
        let path = folder.0.clone();
        let second = std::thread::spawn(move || {
            let say: Say = Arc::new(move |progress| said.send(progress).unwrap());
            Place::take(&path, &say).map(|_| ())
        });
        let Progress::Says(line) = lines.recv().unwrap() else { panic!("a line") };
        assert!(
            line.starts_with("another pulse-bridge is installing the speech engine in ") && line.ends_with("; waiting for it")
        );
        drop(first);
        second.join().unwrap().unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = Folder::new();
        fs::write(folder.0.join("file"), "").unwrap();
        let failed = Place::take(&folder.0.join("file/engine"), &quiet()).map(|_| ()).unwrap_err().to_string();
        assert!(failed.starts_with("failed to make ") && failed.contains("file/engine: Not a directory"), "{failed}");
    }

    #[test]
    fn too_little_space_is_seen_beforehand() {
        let folder = Folder::new();
        let place = Place::take(&folder.0, &quiet()).unwrap();
        place.has_space(1).unwrap();
        let failed = place.has_space(u64::MAX).unwrap_err();
        assert!(matches!(failed, Failed::Space { needed: u64::MAX, .. }), "{failed}");
    }
}
