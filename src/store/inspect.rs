//! A look at a database from outside, for who asks whether it is sound.
//!
//! Promises: changes nothing, not even beside the file: what could only be read by writing is not read. Source:
//! <https://sqlite.org/wal.html#read_only_databases>, <https://sqlite.org/uri.html>.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags};

use super::{rewrap, schema};

/// Most characters of what `SQLite` says that are repeated.
const MAX_WORDS: usize = 120;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inspection {
    /// There is none.
    Absent,
    /// `PRAGMA quick_check` finds nothing wrong.
    Sound,
    /// The same, but so many data keys are under master keys of these ids, which nobody has.
    Keyless(Vec<(String, u64)>),
    /// It is, or holds, what `SQLite` says about it.
    Damaged(String),
    /// Written by a later version, with tables of this number.
    TooNew(i64),
    /// It was interrupted before it was through.
    Unfinished,
    /// Its log waits for a start of the bridge to be read.
    Unread,
    /// It cannot be opened.
    Unopened(String),
}

/// Looks at the database at `path`; `has_key` says whether there is a master key of an id, `started` is given the way to interrupt it.
#[must_use]
pub fn inspect(path: &Path, has_key: impl Fn(&str) -> bool, started: impl FnOnce(InterruptHandle)) -> Inspection {
    if !path.exists() {
        return Inspection::Absent;
    }
    let Some(address) = address(path) else { return Inspection::Unread };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match Connection::open_with_flags(address, flags) {
        Ok(connection) => connection,
        Err(error) => return failed(&error),
    };
    started(connection.get_interrupt_handle());
    check(&connection, has_key).unwrap_or_else(|error| failed(&error))
}

fn check(connection: &Connection, has_key: impl Fn(&str) -> bool) -> rusqlite::Result<Inspection> {
    let version: i64 = connection.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    if usize::try_from(version).is_ok_and(|version| version > schema::VERSION) {
        return Ok(Inspection::TooNew(version));
    }
    let found: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
    if found != "ok" {
        return Ok(Inspection::Damaged(words(&found)));
    }
    // Before, there was no table of further keys, and nothing but audio was sealed.
    let sealed_since = 2;
    let mut keys = if version < sealed_since { Vec::new() } else { rewrap::by_master(connection)? };
    keys.retain(|(id, _)| !has_key(id));
    Ok(if keys.is_empty() { Inspection::Sound } else { Inspection::Keyless(keys) })
}

/// How to open it without a trace. With a shared index beside it, that is read but not written; with neither index nor log nobody
/// has it open, and it can be read as it stands. A log without its index would have to be indexed.
fn address(path: &Path) -> Option<String> {
    let beside = |ending: &str| PathBuf::from(format!("{}{ending}", path.display()));
    let has_log = beside("-wal").metadata().is_ok_and(|log| log.len() > 0);
    let how = match (beside("-shm").exists(), has_log) {
        (true, _) => "readonly_shm=1",
        (false, false) => "immutable=1",
        (false, true) => return None,
    };
    let whole = path.canonicalize().ok()?;
    let escaped: String = whole.to_str()?.chars().flat_map(escape).collect();
    Some(format!("file:{escaped}?mode=ro&{how}"))
}

fn escape(sign: char) -> Vec<char> {
    match sign {
        '%' | '?' | '#' => format!("%{:02X}", u32::from(sign)).chars().collect(),
        _ => vec![sign],
    }
}

fn failed(error: &rusqlite::Error) -> Inspection {
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => Inspection::Unfinished,
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Inspection::Damaged(words(&error.to_string())),
        _ => Inspection::Unopened(words(&error.to_string())),
    }
}

fn words(text: &str) -> String {
    let line = text.lines().filter(|line| !line.starts_with("***")).collect::<Vec<_>>().join(" ");
    line.chars().filter(|sign| !sign.is_control()).take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use super::*;
    use crate::{
        clock,
        store::{
            driver::tests::{Folder, masters},
            sealed::Keyring,
        },
    };

    #[test]
    fn a_sound_database_is_found_sound_running_or_not_and_nothing_changes() {
        let folder = Folder::new();
        let path = folder.0.join("bridge.sqlite");
        assert_eq!(look(&path), Inspection::Absent);
        let connection = made(&path);
        // Within one process connections share the index and its marks; `tests/doctor` looks from outside.
        let lasting = || {
            let mut files = bytes_of(&folder.0);
            assert!(files.remove("bridge.sqlite-shm").is_some(), "it is in use");
            files
        };
        let running = lasting();
        assert_eq!(look(&path), Inspection::Sound);
        assert!(lasting() == running, "a running database changed");
        drop(connection);
        let closed = bytes_of(&folder.0);
        assert_eq!(closed.len(), 1, "it is closed");
        assert_eq!(look(&path), Inspection::Sound);
        assert!(bytes_of(&folder.0) == closed, "a closed database changed");
    }

    #[test]
    fn what_a_crash_left_is_read_without_a_change() {
        let folder = Folder::new();
        let path = folder.0.join("bridge.sqlite");
        let crashed = Folder::new();
        let _connection = made(&path);
        for (name, bytes) in bytes_of(&folder.0) {
            fs::write(crashed.0.join(name), bytes).unwrap();
        }
        let path = crashed.0.join("bridge.sqlite");
        let before = bytes_of(&crashed.0);
        assert_eq!(look(&path), Inspection::Sound);
        assert!(bytes_of(&crashed.0) == before, "what a crash left changed");
        fs::remove_file(crashed.0.join("bridge.sqlite-shm")).unwrap();
        assert_eq!(look(&path), Inspection::Unread);
        assert!(!crashed.0.join("bridge.sqlite-shm").exists());
    }

    #[test]
    fn damage_is_named_and_a_later_version_is_not_damage() {
        let folder = Folder::new();
        let path = folder.0.join("what? 100% of it#1.sqlite");
        drop(made(&path));
        let whole = fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        damaged[4096..8192].fill(0xA5);
        fs::write(&path, &damaged).unwrap();
        assert!(matches!(look(&path), Inspection::Damaged(_)), "{:?}", look(&path));
        fs::write(&path, b"this was never a database, and is long enough to be taken for none").unwrap();
        assert_eq!(look(&path), Inspection::Damaged("file is not a database".to_owned()));
        fs::write(&path, &whole).unwrap();
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA user_version = 99; PRAGMA journal_mode = DELETE").unwrap();
        drop(connection);
        assert_eq!(look(&path), Inspection::TooNew(99));
    }

    #[test]
    fn master_keys_that_nobody_has_are_named() {
        let folder = Folder::new();
        let path = folder.0.join("bridge.sqlite");
        let connection = made(&path);
        for (session, key_id) in [("ses_1", "k1"), ("ses_2", "old"), ("ses_3", "old")] {
            let sql = "INSERT INTO sessions (id, call_sid, dialect, direction, started_wall_ms, key_id, data_key)
                 VALUES (?, 'CA1', 'twilio', 'inbound', 1, ?, x'00')";
            connection.execute(sql, (session, key_id)).unwrap();
        }
        drop(connection);
        assert_eq!(look(&path), Inspection::Keyless(vec![("old".to_owned(), 2)]));
    }

    #[test]
    fn who_interrupts_it_is_told_that_it_is_unfinished() {
        let folder = Folder::new();
        let path = folder.0.join("bridge.sqlite");
        let connection = Connection::open(&path).unwrap();
        let filled = "CREATE TABLE t (x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) \
                      INSERT INTO t SELECT randomblob(20) FROM n";
        connection.execute_batch(filled).unwrap();
        drop(connection);
        let (handle, handed) = std::sync::mpsc::channel();
        let done = &std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let handle: InterruptHandle = handed.recv().unwrap();
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    handle.interrupt();
                }
            });
            let found = inspect(&path, |_| true, |interrupt| handle.send(interrupt).unwrap());
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(found, Inspection::Unfinished);
        });
    }

    /// A database of ours, in use until its one connection is dropped.
    fn made(path: &Path) -> Connection {
        let mut connection = Connection::open(path).unwrap();
        schema::prepare(&connection).unwrap();
        schema::migrate(&mut connection, &Keyring::new(masters("k1"), clock::random)).unwrap();
        connection
    }

    fn look(path: &Path) -> Inspection {
        inspect(path, |id| id == "k1", drop)
    }

    fn bytes_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
        entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
    }
}
