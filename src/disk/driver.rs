//! Looks at the disk and keeps the reserve.
//!
//! Promises: nothing here is on the way of audio; the disk is touched on threads that may wait for it; whoever asks [`Space`] reads the
//! last look and never waits.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Disk, LOOK_EVERY, Look, Output, Standing, Writes};
use crate::{clock, config, spool::Spool, store::Store};

/// The reserve's name in the data folder.
pub const RESERVE_FILE: &str = "reserve";
/// Written at once where a file system cannot take space ahead.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// How the disk stands, for whoever lets calls in; clones share it.
#[derive(Clone)]
pub struct Space(watch::Receiver<Standing>);

impl Space {
    /// As of the last look.
    #[must_use]
    pub fn standing(&self) -> Standing {
        *self.0.borrow()
    }
}

/// Keeps an eye on the disk of a data folder.
pub struct Watcher {
    folder: Arc<Path>,
    reserve: u64,
    disk: Disk,
    standing: watch::Sender<Standing>,
    store: Store,
    spool: Spool,
    /// That the reserve cannot be made is said once in a row.
    has_complained: bool,
}

impl Watcher {
    /// Has a first look, and takes the reserve if there is space for it.
    pub async fn start(folder: PathBuf, settings: config::Disk, store: Store, spool: Spool) -> (Self, Space) {
        let (folder, reserve) = (Arc::<Path>::from(folder), settings.reserve);
        let is_held = blocking(&folder, move |folder| Ok(is_held(folder, reserve))).await.unwrap_or(false);
        let disk = Disk::new(settings, is_held);
        let (standing, space) = watch::channel(disk.standing());
        let mut watcher = Self { folder, reserve, disk, standing, store, spool, has_complained: false };
        watcher.look().await;
        (watcher, Space(space))
    }

    /// Looks until `shutdown`, at once where the store says that it cannot write.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut writable = self.store.writable();
        let mut next = clock::now() + LOOK_EVERY;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = clock::sleep_until(Some(next)) => {}
                Ok(()) = writable.changed() => {}
            }
            self.look().await;
            next = clock::now() + LOOK_EVERY;
        }
    }

    async fn look(&mut self) {
        let look = Look { free: self.free().await, writes: self.writes() };
        self.disk.handle_look(look, clock::now());
        while let Some(output) = self.disk.poll_output() {
            match output {
                Output::Make => self.make().await,
                Output::GiveUp => self.give_up().await,
                Output::Tell(standing) => tell(standing),
            }
        }
        self.standing.send_replace(self.disk.standing());
    }

    fn writes(&self) -> Writes {
        match () {
            () if self.spool.is_full() => Writes::Full,
            () if self.store.is_writable() && self.spool.trouble().is_none() => Writes::Fine,
            () => Writes::Failing,
        }
    }

    async fn free(&self) -> Option<u64> {
        let measured = blocking(&self.folder, |folder| Ok(statvfs(folder)?)).await;
        measured.ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    async fn make(&mut self) {
        let reserve = self.reserve;
        let made = blocking(&self.folder, move |folder| make(&folder.join(RESERVE_FILE), reserve)).await;
        match &made {
            Ok(()) => self.has_complained = false,
            Err(error) if !std::mem::replace(&mut self.has_complained, true) => {
                tracing::warn!(%error, "failed to take disk.reserve ahead; it is tried again");
            }
            Err(_) => {}
        }
        let free = self.free().await;
        self.disk.handle_made(made.is_ok(), free);
    }

    async fn give_up(&self) {
        match blocking(&self.folder, |folder| fs::remove_file(folder.join(RESERVE_FILE))).await {
            Ok(()) => tracing::warn!("the disk is full: disk.reserve is given up so that the events of live calls land"),
            Err(error) => tracing::error!(%error, "the disk is full, and disk.reserve cannot be given up"),
        }
    }
}

fn tell(standing: Standing) {
    if standing.is_nearly_full() {
        tracing::warn!("{standing}; new calls are refused, live ones go on");
    } else {
        tracing::info!("there is space for new calls again: {standing}");
    }
}

/// Whether an earlier run's reserve is there in full; what is left of another size is removed.
fn is_held(folder: &Path, reserve: u64) -> bool {
    if reserve > 0 && has_reserve(folder, reserve) {
        return true;
    }
    let path = folder.join(RESERVE_FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "failed to remove what is in the reserve's place");
        }
        _ => {}
    }
    false
}

/// Whether a reserve of this size is there and takes all of its space; changes nothing.
pub(crate) fn has_reserve(folder: &Path, reserve: u64) -> bool {
    let found = fs::symlink_metadata(folder.join(RESERVE_FILE));
    // A block is 512 bytes here whatever the file system's own are. Source: stat(2), st_blocks.
    found.is_ok_and(|file| file.is_file() && file.len() == reserve && file.blocks().saturating_mul(512) >= reserve)
}

fn make(path: &Path, bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    let made = take(&file, bytes).and_then(|()| file.sync_all());
    if made.is_err() {
        // Half a reserve is none, and takes the space that is wanted.
        let _ = fs::remove_file(path);
    }
    made
}

fn take(mut file: &File, bytes: u64) -> io::Result<()> {
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let mut left = bytes;
            while left > 0 {
                let now = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
                file.write_all(&ZEROS[..now])?;
                left -= now as u64;
            }
            Ok(())
        }
        other => Ok(other?),
    }
}

async fn blocking<T: Send + 'static>(
    folder: &Arc<Path>,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let folder = Arc::clone(folder);
    tokio::task::spawn_blocking(move || work(&folder)).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::store::driver::tests::Folder;

    #[test]
    fn a_reserve_takes_its_space_is_private_and_known_again() {
        let folder = Folder::new();
        let path = folder.0.join(RESERVE_FILE);
        assert!(!is_held(&folder.0, 1 << 20));
        make(&path, 1 << 20).unwrap();
        let made = fs::metadata(&path).unwrap();
        assert_eq!((made.len(), made.permissions().mode() & 0o777), (1 << 20, 0o600));
        assert!(made.blocks() * 512 >= 1 << 20, "it is no hole");
        assert!(is_held(&folder.0, 1 << 20) && path.exists());
        assert!(!is_held(&folder.0, 2 << 20) && !path.exists(), "one of another size is made anew");
        File::create(&path).unwrap().set_len(1 << 20).unwrap();
        assert!(!is_held(&folder.0, 1 << 20), "a hole takes nothing");
        make(&path, 1 << 20).unwrap();
        assert!(!is_held(&folder.0, 0) && !path.exists(), "switched off");
    }

    #[test]
    fn a_reserve_that_does_not_fit_leaves_nothing() {
        let folder = Folder::new();
        let path = folder.0.join(RESERVE_FILE);
        assert!(make(&path, 1 << 62).is_err());
        assert!(!path.exists());
    }
}
