//! The outbox's own rows: leases, pauses, and deliveries that are asked for again.
//!
//! Promises: a delivery is leased before its POST and by nobody else meanwhile; what was leased when the program ended is pending
//! again at the next start; among the pending deliveries of one session and endpoint the order of places is the order of `seq`, also
//! behind a retry, so that reading by places never turns a call's events round.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use super::{
    DeliveryState, PausedEndpoint, PendingDelivery, Standing, StoreError, read, saved,
    write::{Numbers, int, one, run},
};
use crate::{
    media::{EndpointName, SessionId},
    outbox::LaneKey,
    webhook::DeliveryId,
};

type Answer<T> = rusqlite::Result<T>;
type Done = Result<(), StoreError>;

/// Leases what is still there to be sent; the rest is passed over, so that one erased delivery holds up no other of its unit.
pub(super) fn lease(connection: &Connection, deliveries: &[DeliveryId], until_wall_ms: u64) -> Done {
    for delivery in deliveries {
        run(
            connection,
            "UPDATE deliveries SET state = 'leased', lease_until_wall_ms = ? WHERE id = ? AND state IN ('pending', 'leased')",
            params![int(until_wall_ms), delivery.to_string()],
        )?;
    }
    Ok(())
}

/// Ends every lease: whoever held one was this database's only user and is gone.
pub(super) fn void_leases(connection: &Connection) -> Done {
    let sql = "UPDATE deliveries SET state = 'pending', lease_until_wall_ms = NULL WHERE state IN ('pending', 'leased') AND state = 'leased'";
    Ok(run(connection, sql, ()).map(drop)?)
}

/// What an attempt left a delivery at; its lease is over. One that is parked has no next time: there stands since when it is. One that is
/// pending without a lease was asked for again while the attempt was under way: a failure does not undo that.
pub(super) fn stand(connection: &Connection, delivery: DeliveryId, standing: &Standing, now_ms: u64) -> Done {
    let id = delivery.to_string();
    let done = match standing {
        Standing::Delivered => run(
            connection,
            "UPDATE deliveries SET state = 'delivered', lease_until_wall_ms = NULL, reason = NULL WHERE id = ?",
            params![id],
        ),
        Standing::Pending { attempts, next_wall_ms, reason } => run(
            connection,
            "UPDATE deliveries SET state = 'pending', lease_until_wall_ms = NULL, attempts = ?, next_wall_ms = ?, reason = ? WHERE id = ? AND state <> 'pending'",
            params![attempts, int(*next_wall_ms), reason, id],
        ),
        Standing::Parked { reason } => run(
            connection,
            "UPDATE deliveries SET state = 'parked', lease_until_wall_ms = NULL, next_wall_ms = ?, reason = ? WHERE id = ? AND state <> 'pending'",
            params![int(now_ms), reason, id],
        ),
    };
    Ok(done.map(drop)?)
}

/// Sets a delivery aside that cannot be sent.
pub(super) fn park(connection: &Connection, delivery: DeliveryId, reason: &str, now_ms: u64) -> Done {
    let sql = "UPDATE deliveries SET state = 'parked', lease_until_wall_ms = NULL, next_wall_ms = ?, reason = ? WHERE id = ?";
    one(run(connection, sql, params![int(now_ms), reason, delivery.to_string()]))
}

/// Pauses an endpoint; one that is paused already stays so since when it was.
pub(super) fn pause(connection: &Connection, endpoint: &EndpointName, wall_ms: u64, reason: &str) -> Done {
    let sql = "INSERT INTO endpoints (name, paused_wall_ms, reason) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING";
    Ok(run(connection, sql, params![endpoint.as_str(), int(wall_ms), reason]).map(drop)?)
}

/// Lets an endpoint go on. It takes a place, because that is how the outbox hears of news.
pub(super) fn resume(connection: &Connection, endpoint: &str, numbers: &mut Numbers) -> Done {
    numbers.place += 1;
    Ok(run(connection, "DELETE FROM endpoints WHERE name = ?", [endpoint]).map(drop)?)
}

/// Sends these again from the schedule's start, of those in `state` if one is given; answers how many there were.
pub(super) fn retry(
    connection: &Connection,
    deliveries: &[DeliveryId],
    state: Option<DeliveryState>,
    numbers: &mut Numbers,
) -> Result<u64, StoreError> {
    let sql = "UPDATE deliveries SET state = 'pending', lease_until_wall_ms = NULL, attempts = 0, next_wall_ms = ?1
         WHERE id = ?2 AND (?3 IS NULL OR state = ?3) RETURNING session_id, endpoint, seq";
    let (mut retried, mut lanes) = (0, BTreeMap::<(String, String), i64>::new());
    for delivery in deliveries {
        let bound = params![int(numbers.now_ms()), delivery.to_string(), state.map(DeliveryState::as_str)];
        for (session, endpoint, seq) in read::all(connection, sql, bound, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))? {
            retried += 1;
            let first = lanes.entry((session, endpoint)).or_insert(seq);
            *first = seq.min(*first);
        }
    }
    for ((session, endpoint), first) in &lanes {
        put_behind(connection, session, endpoint, *first, numbers)?;
    }
    for (_, endpoint) in lanes.keys() {
        resume(connection, endpoint, numbers)?;
    }
    Ok(retried)
}

/// Gives the waiting deliveries of a session from this `seq` on new places in their order; what is leased may be pending again soon.
fn put_behind(connection: &Connection, session: &str, endpoint: &str, first: i64, numbers: &mut Numbers) -> Done {
    let sql = "SELECT id FROM deliveries WHERE session_id = ? AND seq >= ? AND endpoint = ? AND state IN ('pending', 'leased') ORDER BY seq, id";
    let ids: Vec<String> = read::all(connection, sql, params![session, first, endpoint], |row| row.get(0))?;
    for id in ids {
        numbers.place += 1;
        run(connection, "UPDATE deliveries SET place = ? WHERE id = ?", params![int(numbers.place), id])?;
    }
    Ok(())
}

/// At most `limit` pending deliveries behind a place. The index is on both waiting states, so both are named.
pub(super) fn pending(
    connection: &Connection,
    endpoint: &EndpointName,
    after: u64,
    limit: usize,
) -> Answer<Vec<PendingDelivery>> {
    let sql = "SELECT id, session_id, seq, place, attempts, next_wall_ms FROM deliveries
         WHERE endpoint = ? AND state IN ('pending', 'leased') AND state = 'pending' AND place > ? ORDER BY place LIMIT ?";
    read::all(connection, sql, params![endpoint.as_str(), int(after), int(limit as u64)], pending_row)
}

/// Everything pending of one lane, in order.
pub(super) fn pending_of(connection: &Connection, endpoint: &EndpointName, lane: &LaneKey) -> Answer<Vec<PendingDelivery>> {
    let columns = "SELECT id, session_id, seq, place, attempts, next_wall_ms FROM deliveries";
    let (of, name) = match lane {
        LaneKey::Session(session) => ("session_id = ?", session.to_string()),
        LaneKey::Single(delivery) => ("id = ?", delivery.to_string()),
    };
    let sql = format!("{columns} WHERE {of} AND endpoint = ? AND state = 'pending' ORDER BY seq");
    read::all(connection, &sql, params![name, endpoint.as_str()], pending_row)
}

fn pending_row(row: &Row<'_>) -> Answer<PendingDelivery> {
    Ok(PendingDelivery {
        id: saved::delivery(row, 0)?,
        session: saved::named::<SessionId>(row, 1)?,
        seq: saved::uint(row, 2)?,
        place: saved::uint(row, 3)?,
        attempts: row.get(4)?,
        next_wall_ms: saved::uint(row, 5)?,
    })
}

/// Who is paused.
pub(super) fn paused(connection: &Connection) -> Answer<Vec<PausedEndpoint>> {
    read::all(connection, "SELECT name, paused_wall_ms, reason FROM endpoints ORDER BY name", (), |row| {
        Ok(PausedEndpoint { endpoint: row.get(0)?, since_wall_ms: saved::uint(row, 1)?, reason: row.get(2)? })
    })
}
