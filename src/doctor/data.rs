//! Whether the data folder can be used: folder, space, database, master key, spool.
//!
//! Promises: pure; says of each what to do, and never advises to delete what cannot be had again without saying so.

use std::path::Path;

use super::{Check, State, under};
use crate::store::Inspection;

/// With less than this left beyond what calls need, an outbox that cannot deliver may end them within a day.
const LITTLE_BYTES: u64 = 1_000_000_000;
/// Group and others.
const NOT_ITS_OWNER: u32 = 0o077;

/// How the folder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folder {
    /// There, and ours to write.
    Ready,
    /// Not there, but it can be made.
    ToBeMade,
    /// Not there, and this one above it keeps it from being made.
    CannotBeMade,
    /// Something else is there.
    Taken,
    /// There, but not ours to write.
    NotWritable,
}

/// Which master key encrypts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// The setting's, or the one made here, by its id.
    Id(String),
    /// The first start makes one.
    ToBeMade,
    /// Others can read the file.
    Exposed,
    /// It cannot be used, by what is wrong with it.
    Unusable(String),
}

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) folder: Folder,
    /// Left for this user.
    pub(super) free_bytes: Option<u64>,
    /// `disk.min_free`, and `disk.reserve` where that is not taken yet.
    pub(super) needed_bytes: u64,
    pub(super) sqlite: &'static str,
    /// `None`: not through in time to say anything.
    pub(super) database: Option<Inspection>,
    /// Permission bits of the database.
    pub(super) database_mode: Option<u32>,
    pub(super) key: Key,
    /// Whether the spool's place is taken by what is no folder of ours.
    pub(super) spool: Folder,
}

pub(super) fn judge(data_dir: &Path, facts: &Facts) -> Vec<Check> {
    let name = data_dir.display().to_string();
    let inside = |file: &str| data_dir.join(file).display().to_string();
    let found = folder(&name, facts.folder, "data_dir (PULSE_BRIDGE_DATA_DIR)")
        .into_iter()
        .chain(folder(&inside("spool"), facts.spool, "data_dir (PULSE_BRIDGE_DATA_DIR)"))
        .chain(space(&name, facts))
        .chain(facts.database.as_ref().and_then(|found| database(&inside("bridge.sqlite"), found)))
        .chain(facts.database.as_ref().and_then(|found| keyless(&inside("bridge.sqlite"), found)))
        .chain(readable(&inside("bridge.sqlite"), facts.database_mode))
        .chain(key(&inside(crate::keys::KEY_FILE), &facts.key));
    under("data", summary(&name, facts), found.collect())
}

/// `./data, 41 GB free, SQLite 3.54.1, integrity ok, key k1`.
fn summary(name: &str, facts: &Facts) -> String {
    let free = facts.free_bytes.map_or_else(|| "free space unknown".to_owned(), |bytes| format!("{} free", size(bytes)));
    let integrity = match &facts.database {
        Some(Inspection::Sound | Inspection::Keyless(_)) => "integrity ok",
        Some(Inspection::Absent) => "no database yet",
        Some(Inspection::Unread) => "database not looked at: its log is taken in by the next start",
        _ => "integrity not known: the database is too large to check in this time",
    };
    let key = match &facts.key {
        Key::Id(id) => format!("key {id}"),
        _ => "key not made yet".to_owned(),
    };
    let made = if facts.folder == Folder::ToBeMade { " (made by the first start)" } else { "" };
    format!("{name}{made}, {free}, SQLite {}, {integrity}, {key}", facts.sqlite)
}

fn fail(text: String, advice: String) -> Check {
    Check::new("data", State::Fail, text).advise(advice)
}

fn folder(name: &str, folder: Folder, setting: &str) -> Option<Check> {
    let (text, advice) = match folder {
        Folder::Ready | Folder::ToBeMade => return None,
        Folder::Taken => (format!("{name} is not a folder"), format!("move it away, or set {setting}")),
        Folder::NotWritable => {
            (format!("{name} cannot be written by this user"), format!("chown it to this user, or set {setting}"))
        }
        Folder::CannotBeMade => {
            (format!("{name} is not there and cannot be made"), format!("make it for this user, or set {setting}"))
        }
    };
    Some(fail(text, advice))
}

/// The same bound as the bridge's own, so that both say the same.
fn space(name: &str, facts: &Facts) -> Option<Check> {
    let needed = facts.needed_bytes;
    let free = facts.free_bytes.filter(|free| *free < needed.saturating_add(LITTLE_BYTES))?;
    let is_short = free < needed;
    let (state, what) = if is_short {
        (State::Fail, format!("{name} has {} left: no new call is taken below {}", size(free), size(needed)))
    } else {
        (State::Warn, format!("{name} has {} left, and takes no new call below {}", size(free), size(needed)))
    };
    let advice = "make room, set data_dir (PULSE_BRIDGE_DATA_DIR) to a larger disk, or keep less: retention.calls, disk.min_free";
    Some(Check::new("data", state, what).advise(advice))
}

fn database(file: &str, found: &Inspection) -> Option<Check> {
    let (text, advice) = match found {
        Inspection::Absent | Inspection::Sound | Inspection::Keyless(_) | Inspection::Unfinished | Inspection::Unread => return None,
        Inspection::Damaged(how) => (
            format!("{file} is damaged ({how})"),
            "stop the bridge, keep a copy of the folder, then try sqlite3's .recover; moved away, a new one is made and what was \
             not delivered is lost"
                .to_owned(),
        ),
        Inspection::TooNew(version) => (
            format!("{file} was written by a later version (tables {version})"),
            "run that version again, or set data_dir (PULSE_BRIDGE_DATA_DIR) to another folder".to_owned(),
        ),
        Inspection::Unopened(why) => {
            (format!("{file} cannot be opened ({why})"), "chown it to this user; stop whatever else holds it".to_owned())
        }
    };
    Some(fail(text, advice))
}

fn keyless(file: &str, found: &Inspection) -> Option<Check> {
    let Inspection::Keyless(keys) = found else { return None };
    let of_each: Vec<String> = keys.iter().map(|(id, calls)| format!("{id} ({calls})")).collect();
    let text = format!("{file} holds calls that are sealed under master keys which are not set: {}", of_each.join(", "));
    let advice = "add them to key (PULSE_BRIDGE_KEY) again; without them those calls' text can be neither read nor sent";
    Some(Check::new("data", State::Warn, text).advise(advice))
}

fn readable(file: &str, mode: Option<u32>) -> Option<Check> {
    let mode = mode.filter(|mode| mode & NOT_ITS_OWNER != 0)?;
    let text = format!("{file} holds transcripts, and others can read or write it (mode {:03o})", mode & 0o777);
    Some(Check::new("data", State::Warn, text).advise(format!("chmod 600 {file}")))
}

fn key(file: &str, key: &Key) -> Option<Check> {
    match key {
        Key::Id(_) | Key::ToBeMade => None,
        Key::Exposed => Some(fail(
            format!("{file} can be read by others; serve does not start with it"),
            format!("chmod 600 {file}, and make a new key if others may have read it"),
        )),
        Key::Unusable(why) => Some(fail(
            why.clone(),
            format!("bring {file} back from a copy: without it, stored text and spooled audio stay sealed"),
        )),
    }
}

/// In powers of a thousand, as disks are sold; no decimals where they say nothing.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) if bytes / unit < 10 => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Facts {
        Facts {
            folder: Folder::Ready,
            free_bytes: Some(41_300_000_000),
            needed_bytes: 256 << 20,
            sqlite: "3.54.1",
            database: Some(Inspection::Sound),
            database_mode: Some(0o600),
            key: Key::Id("k1".to_owned()),
            spool: Folder::Ready,
        }
    }

    fn lines(facts: &Facts) -> String {
        let line = |check: Check| {
            let advice = check.advice.map(|advice| format!("\n  → {advice}")).unwrap_or_default();
            format!("{:?} {}{advice}\n", check.state, check.text)
        };
        judge(Path::new("./data"), facts).into_iter().map(line).collect()
    }

    #[test]
    fn what_works_is_one_line() {
        let fresh = Facts {
            folder: Folder::ToBeMade,
            database: Some(Inspection::Absent),
            database_mode: None,
            key: Key::ToBeMade,
            spool: Folder::ToBeMade,
            ..sound()
        };
        let crashed = Facts { database: Some(Inspection::Unread), ..sound() };
        let large = Facts { database: None, free_bytes: None, ..sound() };
        insta::assert_snapshot!([sound(), fresh, crashed, large].iter().map(lines).collect::<String>(), @r"
        Ok ./data, 41 GB free, SQLite 3.54.1, integrity ok, key k1
        Ok ./data (made by the first start), 41 GB free, SQLite 3.54.1, no database yet, key not made yet
        Ok ./data, 41 GB free, SQLite 3.54.1, database not looked at: its log is taken in by the next start, key k1
        Ok ./data, free space unknown, SQLite 3.54.1, integrity not known: the database is too large to check in this time, key k1
        ");
    }

    #[test]
    fn every_fault_has_its_line_and_what_to_do() {
        let damaged = Inspection::Damaged("row 3 missing from index calls_by_time".to_owned());
        let unopened = Inspection::Unopened("unable to open database file".to_owned());
        let with = |change: fn(&mut Facts)| {
            let mut facts = sound();
            change(&mut facts);
            facts
        };
        let faults = [
            with(|facts| facts.folder = Folder::Taken),
            with(|facts| facts.folder = Folder::NotWritable),
            with(|facts| facts.folder = Folder::CannotBeMade),
            with(|facts| facts.spool = Folder::Taken),
            with(|facts| facts.free_bytes = Some(1_268_435_455)),
            with(|facts| facts.free_bytes = Some(4_096)),
            Facts { database: Some(damaged), ..sound() },
            with(|facts| facts.database = Some(Inspection::TooNew(7))),
            Facts { database: Some(unopened), ..sound() },
            Facts { database: Some(Inspection::Keyless(vec![("old".to_owned(), 3)])), ..sound() },
            with(|facts| facts.database_mode = Some(0o100_644)),
            with(|facts| facts.key = Key::Exposed),
            with(|facts| facts.key = Key::Unusable("failed to use ./data/master.key: permission denied".to_owned())),
        ];
        insta::assert_snapshot!(faults.iter().map(lines).collect::<String>(), @r"
        Fail ./data is not a folder
          → move it away, or set data_dir (PULSE_BRIDGE_DATA_DIR)
        Fail ./data cannot be written by this user
          → chown it to this user, or set data_dir (PULSE_BRIDGE_DATA_DIR)
        Fail ./data is not there and cannot be made
          → make it for this user, or set data_dir (PULSE_BRIDGE_DATA_DIR)
        Fail ./data/spool is not a folder
          → move it away, or set data_dir (PULSE_BRIDGE_DATA_DIR)
        Ok ./data, 1.2 GB free, SQLite 3.54.1, integrity ok, key k1
        Warn ./data has 1.2 GB left, and takes no new call below 268 MB
          → make room, set data_dir (PULSE_BRIDGE_DATA_DIR) to a larger disk, or keep less: retention.calls, disk.min_free
        Fail ./data has 4.0 kB left: no new call is taken below 268 MB
          → make room, set data_dir (PULSE_BRIDGE_DATA_DIR) to a larger disk, or keep less: retention.calls, disk.min_free
        Fail ./data/bridge.sqlite is damaged (row 3 missing from index calls_by_time)
          → stop the bridge, keep a copy of the folder, then try sqlite3's .recover; moved away, a new one is made and what was not delivered is lost
        Fail ./data/bridge.sqlite was written by a later version (tables 7)
          → run that version again, or set data_dir (PULSE_BRIDGE_DATA_DIR) to another folder
        Fail ./data/bridge.sqlite cannot be opened (unable to open database file)
          → chown it to this user; stop whatever else holds it
        Ok ./data, 41 GB free, SQLite 3.54.1, integrity ok, key k1
        Warn ./data/bridge.sqlite holds calls that are sealed under master keys which are not set: old (3)
          → add them to key (PULSE_BRIDGE_KEY) again; without them those calls' text can be neither read nor sent
        Ok ./data, 41 GB free, SQLite 3.54.1, integrity ok, key k1
        Warn ./data/bridge.sqlite holds transcripts, and others can read or write it (mode 644)
          → chmod 600 ./data/bridge.sqlite
        Fail ./data/master.key can be read by others; serve does not start with it
          → chmod 600 ./data/master.key, and make a new key if others may have read it
        Fail failed to use ./data/master.key: permission denied
          → bring ./data/master.key back from a copy: without it, stored text and spooled audio stay sealed
        ");
    }

    #[test]
    fn sizes_read_as_people_say_them() {
        let sizes = [0, 999, 1_000, 9_960_000, 12_345_678, 1_500_000_000, 41_900_000_000, 2_000_000_000_000];
        assert_eq!(sizes.map(size).join(", "), "0 B, 999 B, 1.0 kB, 9.9 MB, 12 MB, 1.5 GB, 41 GB, 2.0 TB");
    }
}
