//! Opens a connection the way the promises need it, and brings the tables up to date.

use std::time::Duration;

use rusqlite::Connection;

use super::StoreError;

/// Below this, two connections that checkpoint at once can corrupt a WAL. Source: <https://sqlite.org/wal.html#walresetbug>.
const SQLITE_MIN: i32 = 3_051_003;
/// How long a connection waits for another one's lock; there is one writer, so only a foreign process could make it wait.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Each step from one version of the tables to the next; `user_version` counts those taken.
const MIGRATIONS: [&str; 2] = [include_str!("schema.sql"), include_str!("schema_2.sql")];

/// The tables' newest version.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// Sets what every connection needs: WAL, a sync before each commit is answered, foreign keys.
pub(super) fn prepare(connection: &Connection) -> Result<(), StoreError> {
    if rusqlite::version_number() < SQLITE_MIN {
        return Err(StoreError::TooOld(rusqlite::version()));
    }
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Database(format!("no write-ahead log on this file system (journal mode {mode})")));
    }
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Takes the steps that are missing, each in a transaction of its own with its number.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let version: i64 = connection.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    let done = usize::try_from(version).ok().filter(|done| *done <= MIGRATIONS.len()).ok_or(StoreError::TooNew(version))?;
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.execute_batch(&format!("PRAGMA user_version = {}", step + 1))?;
        transaction.commit()?;
    }
    Ok(())
}
