//! What has been kept long enough: finding it, and the writes that take it away.
//!
//! Promises: what is found is from an ended session and has nothing left to be delivered; each list is bounded by its caller; a write
//! looks again, so that what was asked for by hand meanwhile stays. Names are ULIDs, so old rows are found by a range of names and a
//! table is never read whole.

use rusqlite::{Connection, params};
use ulid::Ulid;

use super::{StoreError, read::all, saved, write::int};
use crate::{media::SessionId, webhook::DeliveryId};

type Answer<T> = rusqlite::Result<T>;

/// An ended session that is old enough, and how much there is of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldCall {
    /// Which.
    pub session: SessionId,
    /// Its events.
    pub events: u64,
    /// Their deliveries, all of them delivered.
    pub deliveries: u64,
}

/// At most `limit` sessions that ended before, with every delivery delivered, oldest first.
pub(super) fn calls(connection: &Connection, before_wall_ms: u64, limit: u32) -> Answer<Vec<OldCall>> {
    let sql = "SELECT id, (SELECT count(*) FROM events WHERE session_id = s.id), (SELECT count(*) FROM deliveries WHERE session_id = s.id)
         FROM sessions s WHERE id < ?1 AND ended_wall_ms < ?2
         AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.session_id = s.id AND d.state <> 'delivered') ORDER BY id LIMIT ?3";
    let bound = params![format!("ses_{}", first_name(before_wall_ms)), int(before_wall_ms), limit];
    all(connection, sql, bound, |row| {
        Ok(OldCall { session: saved::named(row, 0)?, events: saved::uint(row, 1)?, deliveries: saved::uint(row, 2)? })
    })
}

/// At most `limit` deliveries that were parked before, of sessions that have ended.
pub(super) fn parked(connection: &Connection, before_wall_ms: u64, limit: u32) -> Answer<Vec<DeliveryId>> {
    let sql = "SELECT d.id FROM deliveries d JOIN sessions s ON s.id = d.session_id
         WHERE d.state = 'parked' AND d.next_wall_ms < ? AND s.ended_wall_ms IS NOT NULL LIMIT ?";
    all(connection, sql, params![int(before_wall_ms), limit], |row| saved::delivery(row, 0))
}

/// At most `limit` attempts made before, of deliveries that need none any more, of sessions that have ended.
pub(super) fn attempts(connection: &Connection, before_wall_ms: u64, limit: u32) -> Answer<Vec<(DeliveryId, u32)>> {
    let sql = "SELECT a.delivery_id, a.n FROM attempts a JOIN deliveries d ON d.id = a.delivery_id JOIN sessions s ON s.id = d.session_id
         WHERE a.delivery_id < ? AND a.wall_ms < ? AND d.state IN ('delivered', 'parked') AND s.ended_wall_ms IS NOT NULL
         ORDER BY a.delivery_id, a.n LIMIT ?";
    let bound = params![format!("dlv_{}", first_name(before_wall_ms)), int(before_wall_ms), limit];
    all(connection, sql, bound, |row| Ok((saved::delivery(row, 0)?, row.get(1)?)))
}

/// Those of the sessions that are not there.
pub(super) fn unknown(connection: &Connection, sessions: Vec<SessionId>) -> Answer<Vec<SessionId>> {
    let mut found = Vec::new();
    for session in sessions {
        if !connection.prepare_cached("SELECT 1 FROM sessions WHERE id = ?")?.exists([session.as_str()])? {
            found.push(session);
        }
    }
    Ok(found)
}

/// Ends the unit unless the session has ended and all of it is delivered.
pub(super) fn only_if_over(connection: &Connection, session: &SessionId) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM sessions s WHERE id = ? AND ended_wall_ms IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.session_id = s.id AND d.state <> 'delivered')";
    if connection.prepare_cached(sql)?.exists([session.as_str()])? { Ok(()) } else { Err(StoreError::Misfit) }
}

/// Deletes at most `limit` delivered deliveries of a session with their attempts; says how many.
pub(super) fn trim(connection: &Connection, session: &SessionId, limit: u32) -> Result<u64, StoreError> {
    let sql = "DELETE FROM deliveries WHERE id IN
         (SELECT id FROM deliveries WHERE session_id = ? AND state = 'delivered' ORDER BY seq LIMIT ?)";
    Ok(connection.prepare_cached(sql)?.execute(params![session.as_str(), limit])? as u64)
}

/// Deletes those of the deliveries that are parked still; says how many.
pub(super) fn forget_parked(connection: &Connection, deliveries: &[DeliveryId]) -> Result<u64, StoreError> {
    let mut delete = connection.prepare_cached("DELETE FROM deliveries WHERE id = ? AND state = 'parked'")?;
    deliveries.iter().try_fold(0, |sum, delivery| Ok(sum + delete.execute([delivery.to_string()])? as u64))
}

/// Deletes these attempts; says how many.
pub(super) fn forget_attempts(connection: &Connection, attempts: &[(DeliveryId, u32)]) -> Result<u64, StoreError> {
    let mut delete = connection.prepare_cached("DELETE FROM attempts WHERE delivery_id = ? AND n = ?")?;
    attempts.iter().try_fold(0, |sum, (delivery, n)| Ok(sum + delete.execute(params![delivery.to_string(), n])? as u64))
}

/// No name made at this time or later is smaller.
fn first_name(wall_ms: u64) -> Ulid {
    Ulid::from_parts(wall_ms, 0)
}
