//! Makes a call of a closed database older than it is.

use std::path::Path;

use pulse_bridge::clock;
use rusqlite::Connection;
use ulid::Ulid;

/// A day more than calls are kept unless set otherwise.
const LONG_AGO_MS: u64 = 31 * 86_400_000;
/// Each table that names a session, by the column.
const NAMED: [(&str, &str); 7] = [
    ("sessions", "id"),
    ("streams", "session_id"),
    ("tracks", "session_id"),
    ("events", "session_id"),
    ("segments", "session_id"),
    ("deliveries", "session_id"),
    ("data_keys", "session_id"),
];

/// A session as if it had been stored [`LONG_AGO_MS`] before, with no trace of the name it had; gives the name it has then.
pub(crate) fn make_old(database: &Path, session: &str) -> String {
    let old = format!("ses_{}", Ulid::from_parts(clock::wall_ms() - LONG_AGO_MS, clock::ulid().random()));
    let connection = Connection::open(database).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA secure_delete = ON").unwrap();
    for (table, column) in NAMED {
        let rename = format!("UPDATE {table} SET {column} = ?1 WHERE {column} = ?2");
        connection.execute(&rename, [old.as_str(), session]).unwrap();
    }
    let shift = format!("UPDATE sessions SET ended_wall_ms = ended_wall_ms - {LONG_AGO_MS} WHERE id = ?");
    assert_eq!(connection.execute(&shift, [&old]), Ok(1));
    old
}
