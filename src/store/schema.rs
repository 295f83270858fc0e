//! Opens a connection the way the promises need it, looks whether the file is whole, and brings the tables up to date.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode};

use super::{
    StoreError, saved,
    sealed::{Keyring, Place},
    write::keep_context,
};
use crate::media::SessionId;

/// Below this, two connections that checkpoint at once can corrupt a WAL. Source: <https://sqlite.org/wal.html#walresetbug>.
const SQLITE_MIN: i32 = 3_051_003;
/// How long a connection waits for another one's lock; there is one writer, so only a foreign process could make it wait.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Each step from one version of the tables to the next; `user_version` counts those taken.
const MIGRATIONS: [Step; 4] = [
    Step::Tables(include_str!("schema.sql"), |_, _| Ok(())),
    Step::Tables(include_str!("schema_2.sql"), seal_what_was_clear),
    Step::Rewrite,
    Step::Tables(include_str!("schema_4.sql"), |_, _| Ok(())),
];

/// The tables' newest version.
pub(super) const VERSION: usize = MIGRATIONS.len();

enum Step {
    /// Statements, and what they cannot do, in one transaction.
    Tables(&'static str, fn(&Connection, &Keyring) -> Result<(), StoreError>),
    /// The whole file is written anew, so that nothing of before is left in free pages; a new file needs none of it.
    Rewrite,
}

/// Sets what every connection needs: WAL, a sync before each commit is answered, foreign keys, and zeros where something was deleted.
pub(super) fn prepare(connection: &Connection) -> Result<(), StoreError> {
    if rusqlite::version_number() < SQLITE_MIN {
        return Err(StoreError::TooOld(rusqlite::version()));
    }
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Database(format!("no write-ahead log on this file system (journal mode {mode})")));
    }
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Prepares the first connection to a file, and refuses one that is damaged: what is built on it would be lost with it.
pub(super) fn prepare_whole(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let damaged = |how: &str| StoreError::Damaged(path.display().to_string(), how.to_owned());
    let of_the_file = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => damaged(&one_line(&error.to_string())),
        _ => error.into(),
    };
    connection.query_row("PRAGMA schema_version", (), |_| Ok(())).map_err(of_the_file)?;
    prepare(connection)?;
    let found: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0)).map_err(of_the_file)?;
    if found == "ok" { Ok(()) } else { Err(damaged(&one_line(&found))) }
}

/// What `SQLite` says, without its heading.
fn one_line(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("***")).collect::<Vec<_>>().join(" ")
}

/// Takes the steps that are missing, each in a transaction of its own with its number.
pub(super) fn migrate(connection: &mut Connection, keys: &Keyring) -> Result<(), StoreError> {
    migrate_up_to(connection, keys, VERSION)
}

pub(super) fn migrate_up_to(connection: &mut Connection, keys: &Keyring, version: usize) -> Result<(), StoreError> {
    let wanted = version;
    let version: i64 = connection.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    let done = usize::try_from(version).ok().filter(|done| *done <= MIGRATIONS.len()).ok_or(StoreError::TooNew(version))?;
    for (step, what) in MIGRATIONS.iter().enumerate().take(wanted).skip(done) {
        if let (Step::Rewrite, 1..) = (what, done) {
            connection.execute_batch("VACUUM")?;
        }
        let transaction = connection.transaction()?;
        if let Step::Tables(sql, rest) = what {
            transaction.execute_batch(sql)?;
            rest(&transaction, keys)?;
        }
        transaction.execute_batch(&format!("PRAGMA user_version = {}", step + 1))?;
        transaction.commit()?;
    }
    Ok(())
}

/// Folds the log into the file and cuts it to nothing, so that what was deleted stands in neither; `false` where a reader that
/// began before is in the way. Does not wait.
pub(super) fn fold(connection: &Connection) -> Result<bool, StoreError> {
    connection.busy_timeout(Duration::ZERO)?;
    let folded = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0).map(|busy: i64| busy == 0));
    connection.busy_timeout(BUSY_TIMEOUT)?;
    match folded {
        Err(error) if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) => Ok(false),
        folded => Ok(folded?),
    }
}

/// Seals what version 1 kept in the clear.
fn seal_what_was_clear(connection: &Connection, keys: &Keyring) -> Result<(), StoreError> {
    let sessions: Vec<(SessionId, String)> = connection
        .prepare("SELECT id, clear_context FROM sessions")?
        .query_map((), |row| Ok((saved::named(row, 0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (session, context) in sessions {
        keep_context(connection, keys, &session, &context)?;
        seal_events(connection, keys, &session)?;
        seal_segments(connection, keys, &session)?;
        seal_answers(connection, keys, &session)?;
    }
    connection.execute_batch("ALTER TABLE sessions DROP COLUMN clear_context")?;
    Ok(())
}

fn seal_events(connection: &Connection, keys: &Keyring, session: &SessionId) -> Result<(), StoreError> {
    let mut all = connection.prepare_cached("SELECT seq, body FROM events WHERE session_id = ?")?;
    let mut put = connection.prepare_cached("UPDATE events SET body = ?1 WHERE session_id = ?2 AND seq = ?3")?;
    let clear = all.query_map([session.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (seq, body) in clear.collect::<rusqlite::Result<Vec<(i64, Vec<u8>)>>>()? {
        let sealed = keys.seal(connection, session, Place::Event(session, seq.unsigned_abs()), &body)?;
        put.execute((sealed, session.as_str(), seq))?;
    }
    Ok(())
}

fn seal_segments(connection: &Connection, keys: &Keyring, session: &SessionId) -> Result<(), StoreError> {
    let mut all = connection.prepare_cached("SELECT id, body FROM segments WHERE session_id = ?")?;
    let mut put = connection.prepare_cached("UPDATE segments SET body = ?1 WHERE id = ?2")?;
    let clear = all.query_map([session.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (id, body) in clear.collect::<rusqlite::Result<Vec<(String, Vec<u8>)>>>()? {
        put.execute((keys.seal(connection, session, Place::Segment(&id), &body)?, id))?;
    }
    Ok(())
}

fn seal_answers(connection: &Connection, keys: &Keyring, session: &SessionId) -> Result<(), StoreError> {
    let mut all = connection.prepare_cached(
        "SELECT a.delivery_id, a.n, a.answer FROM deliveries d JOIN attempts a ON a.delivery_id = d.id
         WHERE d.session_id = ? AND a.answer IS NOT NULL",
    )?;
    let mut put = connection.prepare_cached("UPDATE attempts SET answer = ?1 WHERE delivery_id = ?2 AND n = ?3")?;
    let clear = all.query_map([session.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for (delivery, n, answer) in clear.collect::<rusqlite::Result<Vec<(String, i64, Vec<u8>)>>>()? {
        put.execute((keys.seal(connection, session, Place::Answer(&delivery, n), &answer)?, delivery, n))?;
    }
    Ok(())
}
