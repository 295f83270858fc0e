//! A look at the data folder that leaves no trace in it.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use rustix::fs::{Access, access, statvfs};
use secrecy::SecretString;
use tokio::sync::oneshot;

use super::LIMIT;
use crate::{
    config::{self, Config},
    disk::driver::has_reserve,
    doctor::data::{Facts, Folder, Key},
    keys::{BadKey, MasterKeys},
    store::{self, Inspection},
};

/// How long a database is checked; what is left of the limit is for everything else.
const CHECKING: Duration = Duration::from_secs(4);
const _: () = assert!(CHECKING.as_millis() < LIMIT.as_millis(), "an interrupted check has time to end");

/// What is there; `None` if the disk does not answer.
pub(super) async fn look(config: &Config) -> Option<Facts> {
    let (data_dir, keys, disk) = (config.data_dir.clone(), config.key_list(), config.disk);
    let (started, mut handed) = oneshot::channel();
    let mut looking = tokio::task::spawn_blocking(move || {
        let inspect = |path: &Path, has_key: &dyn Fn(&str) -> bool| {
            store::inspect(path, has_key, |interrupt| drop(started.send(interrupt)))
        };
        gather(&data_dir, keys.as_ref(), disk, inspect)
    });
    if let Ok(facts) = tokio::time::timeout(CHECKING, &mut looking).await {
        return facts.ok();
    }
    if let Ok(interrupt) = handed.try_recv() {
        interrupt.interrupt();
    }
    tokio::time::timeout(LIMIT.saturating_sub(CHECKING), looking).await.ok()?.ok()
}

fn gather(
    data_dir: &Path,
    keys: Option<&SecretString>,
    disk: config::Disk,
    inspect: impl FnOnce(&Path, &dyn Fn(&str) -> bool) -> Inspection,
) -> Facts {
    let folder = stands(data_dir);
    let file = data_dir.join("bridge.sqlite");
    let known = masters(data_dir, keys);
    // Where none can be had, that is said of the key itself.
    let has_key = |id: &str| !known.as_ref().is_ok_and(|known| known.as_ref().is_none_or(|known| !known.has(id)));
    Facts {
        folder,
        free_bytes: statvfs(nearest(data_dir)).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
        needed_bytes: disk.min_free + if has_reserve(data_dir, disk.reserve) { 0 } else { disk.reserve },
        sqlite: rusqlite::version(),
        database_mode: fs::metadata(&file).ok().map(|file| file.permissions().mode()),
        key: key(data_dir, keys),
        spool: if folder == Folder::Ready { stands(&data_dir.join("spool")) } else { Folder::ToBeMade },
        database: if ["", "-wal", "-shm"].iter().all(|part| is_ours(&data_dir.join(format!("bridge.sqlite{part}")))) {
            Some(inspect(&file, &has_key)).filter(|found| *found != Inspection::Unfinished)
        } else {
            Some(Inspection::Unopened("this user may not read and write it".to_owned()))
        },
    }
}

/// Whether a file can be read and written, or is not there yet.
fn is_ours(file: &Path) -> bool {
    match access(file, Access::READ_OK | Access::WRITE_OK) {
        Err(why) => why == rustix::io::Errno::NOENT || why == rustix::io::Errno::NOTDIR,
        Ok(()) => true,
    }
}

fn stands(path: &Path) -> Folder {
    let is_ours = |path: &Path| access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => Folder::Taken,
        Ok(_) if is_ours(path) => Folder::Ready,
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            let above = nearest(path);
            if above.is_dir() && is_ours(above) { Folder::ToBeMade } else { Folder::CannotBeMade }
        }
        Err(why) if why.kind() == io::ErrorKind::NotADirectory => Folder::CannotBeMade,
        Ok(_) | Err(_) => Folder::NotWritable,
    }
}

/// The path itself, else what is there of the folders above it.
fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|above| above.exists()).unwrap_or(Path::new("."))
}

/// Every master key that `serve` would have; `None` where it would make the first one.
fn masters(data_dir: &Path, set: Option<&SecretString>) -> Result<Option<MasterKeys>, BadKey> {
    match set {
        Some(list) => MasterKeys::parse(list).and_then(|set| set.with_made(data_dir)).map(Some),
        None => MasterKeys::open(data_dir),
    }
}

fn key(data_dir: &Path, set: Option<&SecretString>) -> Key {
    let made = match MasterKeys::open(data_dir) {
        Ok(made) => made,
        Err(BadKey::Exposed(_)) => return Key::Exposed,
        // What keeps it from being there at all is said of the folder.
        Err(BadKey::File(_, why)) if why.kind() == io::ErrorKind::NotADirectory => None,
        Err(why) => return Key::Unusable(why.to_string()),
    };
    let set = set.and_then(|list| MasterKeys::parse(list).ok());
    set.or(made).map_or(Key::ToBeMade, |keys| Key::Id(keys.first_id().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::driver::tests::Folder as Temporary;

    #[test]
    fn a_folder_stands_as_what_can_be_done_with_it() {
        let folder = Temporary::new();
        fs::write(folder.0.join("file"), "x").unwrap();
        for (path, expected) in [
            ("", Folder::Ready),
            ("new", Folder::ToBeMade),
            ("new/and/deeper", Folder::ToBeMade),
            ("file", Folder::Taken),
            ("file/below", Folder::CannotBeMade),
        ] {
            assert_eq!(stands(&folder.0.join(path)), expected, "{path}");
        }
        assert_eq!(stands(Path::new("no-such-folder-beside-the-manifest")), Folder::ToBeMade);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing was made");
    }

    #[test]
    fn the_key_that_encrypts_is_named_and_none_is_made() {
        let folder = Temporary::new();
        let list = SecretString::from("k7:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        assert_eq!(key(&folder.0, None), Key::ToBeMade);
        assert_eq!(key(&folder.0, Some(&list)), Key::Id("k7".to_owned()));
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0, "nothing was made");
        let made = MasterKeys::open_or_make(&folder.0).unwrap();
        assert_eq!(key(&folder.0, None), Key::Id(made.first_id().to_owned()));
        let file = folder.0.join(crate::keys::KEY_FILE);
        fs::write(&file, "nonsense").unwrap();
        assert_eq!(
            key(&folder.0, None),
            Key::Unusable("a master key must be written `id:base64`, several separated by commas".to_owned())
        );
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(key(&folder.0, Some(&list)), Key::Exposed);
    }

    #[test]
    fn a_fresh_folder_has_room_and_no_database() {
        let folder = Temporary::new();
        let disk = config::Disk { reserve: 3, min_free: 4 };
        let facts = gather(&folder.0.join("data"), None, disk, |path, has_key| store::inspect(path, has_key, drop));
        assert_eq!((facts.folder, facts.spool, facts.key), (Folder::ToBeMade, Folder::ToBeMade, Key::ToBeMade));
        assert_eq!((facts.database, facts.database_mode), (Some(Inspection::Absent), None));
        assert!(facts.free_bytes.is_some_and(|free| free > 0));
        assert_eq!(facts.needed_bytes, 7, "the first start takes the reserve");
    }
}
