//! Data keys from under one master key to under another.
//!
//! Promises: a step is one short transaction; a data key is at every moment under the old master key or under the new one,
//! never under none; the steps end, whatever does not unwrap.

use rusqlite::{Connection, TransactionBehavior, params};

use super::{StoreError, saved};
use crate::{keys::MasterKeys, media::SessionId, spool::seal::WrappedKey};

/// The most data keys that one step wraps anew: other writes wait a few milliseconds for it.
const AT_ONCE: u32 = 64;

/// A table with wrapped keys.
#[derive(Debug, Clone, Copy)]
pub(super) enum Table {
    /// Each session's own.
    Sessions,
    /// Further ones.
    DataKeys,
}

/// All of them.
pub(super) const TABLES: [Table; 2] = [Table::Sessions, Table::DataKeys];

impl Table {
    const fn select(self) -> &'static str {
        match self {
            Self::Sessions => "SELECT id, 0, data_key FROM sessions WHERE key_id = ? AND (id, 0) > (?, ?) ORDER BY id LIMIT ?",
            Self::DataKeys => {
                "SELECT session_id, n, sealed FROM data_keys WHERE key_id = ? AND (session_id, n) > (?, ?)
                 ORDER BY session_id, n LIMIT ?"
            }
        }
    }

    const fn update(self) -> &'static str {
        match self {
            Self::Sessions => "UPDATE sessions SET key_id = ?1, data_key = ?2 WHERE id = ?3 AND ?4 = 0",
            Self::DataKeys => "UPDATE data_keys SET key_id = ?1, sealed = ?2 WHERE session_id = ?3 AND n = ?4",
        }
    }
}

/// One table's way from one older master key to the first.
pub(super) struct Step {
    table: Table,
    older: String,
    done: u64,
    /// The last one seen: what did not unwrap stays where it is, and is not seen again.
    last: (String, u8),
    is_over: bool,
}

impl Step {
    pub(super) fn new(table: Table, older: &str) -> Self {
        Self { table, older: older.to_owned(), done: 0, last: (String::new(), 0), is_over: false }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// How many are wrapped anew so far.
    pub(super) const fn done(&self) -> u64 {
        self.done
    }

    /// Wraps the next ones.
    pub(super) fn take(mut self, connection: &mut Connection, masters: &MasterKeys) -> Result<Self, StoreError> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found: Vec<(SessionId, u8, Vec<u8>)> = transaction
            .prepare_cached(self.table.select())?
            .query_map(params![self.older, self.last.0, self.last.1, AT_ONCE], |row| {
                Ok((saved::named(row, 0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        self.is_over = found.is_empty();
        for (session, n, sealed) in found {
            self.last = (session.as_str().to_owned(), n);
            let Some(anew) = masters.rewrap(&session, &WrappedKey { key_id: self.older.clone(), sealed }) else { continue };
            let moved = params![anew.key_id, anew.sealed, session.as_str(), n];
            transaction.prepare_cached(self.table.update())?.execute(moved)?;
            self.done += 1;
        }
        transaction.commit()?;
        Ok(self)
    }
}

/// How many data keys are under master keys that are not in the list, by their ids.
pub(super) fn keyless(connection: &Connection, masters: &MasterKeys) -> rusqlite::Result<Vec<(String, u64)>> {
    let mut counts = by_master(connection)?;
    counts.retain(|(id, _)| !masters.has(id));
    Ok(counts)
}

/// How many data keys are under each master key.
pub(super) fn by_master(connection: &Connection) -> rusqlite::Result<Vec<(String, u64)>> {
    let sql = "SELECT key_id, sum(keys) FROM (SELECT key_id, count(*) AS keys FROM sessions GROUP BY key_id
         UNION ALL SELECT key_id, count(*) FROM data_keys GROUP BY key_id) GROUP BY key_id ORDER BY key_id";
    connection.prepare(sql)?.query_map((), |row| Ok((row.get(0)?, saved::uint(row, 1)?)))?.collect()
}
