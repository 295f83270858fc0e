//! Questions as SQL.
//!
//! Promises: reading never writes; a row that cannot be read back is an error that names the column, never a guess.

use std::collections::BTreeSet;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Params, Row, params, types::Type};

use super::{
    Backlog, CallFilter, Delivery, DeliveryFilter, LiveSession, Outgoing, PAGE_DEFAULT, PAGE_MAX, Page, Session, StoredAttempt,
    StoredEvent, StoredSegment, StoredTrack, saved, write::int,
};
use crate::{
    media::{Gap, Offset, Track, bytes_to_ms},
    segment::TrackKey,
    webhook::DeliveryId,
};

type Answer<T> = rusqlite::Result<T>;

pub(super) fn has_stream(connection: &Connection, dialect: &str, stream_sid: &str) -> Answer<bool> {
    connection.prepare_cached("SELECT 1 FROM streams WHERE dialect = ?1 AND stream_sid = ?2")?.exists((dialect, stream_sid))
}

pub(super) fn call(connection: &Connection, sid: &str) -> Answer<Option<Session>> {
    let id: Option<String> = connection
        .prepare_cached("SELECT id FROM sessions WHERE id = ?1 OR call_sid = ?1 ORDER BY id DESC LIMIT 1")?
        .query_row([sid], |row| row.get(0))
        .optional()?;
    id.map(|id| session(connection, &id)).transpose()
}

pub(super) fn calls(connection: &Connection, filter: &CallFilter) -> Answer<Page<Session>> {
    let ids: Vec<String> = all(
        connection,
        "SELECT id FROM sessions WHERE (?1 IS NULL OR (ended_wall_ms IS NULL) = ?1) AND (?2 IS NULL OR id < ?2)
         ORDER BY id DESC LIMIT ?3",
        params![filter.live, filter.cursor, page_size(filter.limit) + 1],
        |row| row.get(0),
    )?;
    let items = ids.iter().map(|id| session(connection, id)).collect::<Answer<_>>()?;
    Ok(page(items, filter.limit, |session| session.start.id.to_string()))
}

pub(super) fn unfinished(connection: &Connection) -> Answer<Vec<LiveSession>> {
    let sql = "SELECT id FROM sessions WHERE ended_wall_ms IS NULL ORDER BY id";
    let ids: Vec<String> = all(connection, sql, (), |row| row.get(0))?;
    ids.iter().map(|id| live(connection, id)).collect()
}

fn live(connection: &Connection, id: &str) -> Answer<LiveSession> {
    let last: i64 = connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM events WHERE session_id = ?")?
        .query_row([id], |row| row.get(0))?;
    let streams = "SELECT stream, stream_sid, at_ms FROM streams WHERE session_id = ? ORDER BY stream";
    Ok(LiveSession {
        session: session(connection, id)?,
        streams: all(connection, streams, [id], |row| Ok((row.get(0)?, saved::named(row, 1)?, saved::uint(row, 2)?)))?,
        next_seq: last.unsigned_abs() + 1,
        segments: segments(connection, id)?,
        gaps: gaps(connection, id)?,
        placeholders: placeholders(connection, id)?,
    })
}

fn session(connection: &Connection, id: &str) -> Answer<Session> {
    let mut session = connection
        .prepare_cached(
            "SELECT id, call_sid, dialect, account_sid, direction, from_last4, to_last4, webhook, started_wall_ms, key_id, data_key,
             context, ended_wall_ms, end_reason, duration_ms, complete FROM sessions WHERE id = ?",
        )?
        .query_row([id], saved::session)?;
    session.tracks = all(
        connection,
        "SELECT stream, track, role, mark_offset, at_ms FROM tracks JOIN streams USING (session_id, stream)
         WHERE session_id = ? ORDER BY stream, track",
        [id],
        |row| {
            let key = TrackKey { stream: row.get(0)?, track: saved::track(row, 1)? };
            let mark = Offset(saved::uint(row, 3)?);
            // At the earliest: a track may have begun behind its stream's first audio.
            let mark_at_ms = saved::uint(row, 4)? + bytes_to_ms(mark.0);
            Ok(StoredTrack { key, role: saved::role(&row.get::<_, String>(2)?), mark, mark_at_ms })
        },
    )?;
    Ok(session)
}

pub(super) fn segments(connection: &Connection, id: &str) -> Answer<Vec<StoredSegment>> {
    let sql = "SELECT seq, stream, body FROM segments WHERE session_id = ? ORDER BY start_ms, seq";
    all(connection, sql, [id], |row| {
        let (seq, stream, json): (_, _, Vec<u8>) = (saved::uint(row, 0)?, row.get(1)?, row.get(2)?);
        saved::segment(seq, stream, json.into()).ok_or_else(|| unreadable(2, "segment"))
    })
}

fn gaps(connection: &Connection, id: &str) -> Answer<Vec<(Track, Gap)>> {
    let sql = "SELECT body FROM events WHERE session_id = ? AND kind = 'transcript.gap' ORDER BY seq";
    all(connection, sql, [id], |row| {
        let body: Vec<u8> = row.get(0)?;
        saved::gap(&body).ok_or_else(|| unreadable(0, "gap"))
    })
}

fn placeholders(connection: &Connection, id: &str) -> Answer<BTreeSet<String>> {
    let sql = "SELECT body FROM events WHERE session_id = ?";
    let of_each = all(connection, sql, [id], |row| Ok(saved::placeholders(&row.get::<_, Vec<u8>>(0)?)))?;
    Ok(of_each.into_iter().flatten().collect())
}

pub(super) fn events(connection: &Connection, id: &str, after_seq: u64, limit: u32) -> Answer<Vec<StoredEvent>> {
    let sql = "SELECT seq, kind, body FROM events WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT ?";
    all(connection, sql, params![id, int(after_seq), limit], |row| {
        Ok(StoredEvent { seq: saved::uint(row, 0)?, kind: row.get(1)?, body: row.get::<_, Vec<u8>>(2)?.into() })
    })
}

const DELIVERY: &str = "SELECT d.id, d.session_id, s.call_sid, e.id, d.seq, e.kind, e.wall_ms, d.endpoint, d.state,
     (SELECT coalesce(max(n), 0) FROM attempts WHERE delivery_id = d.id), d.next_wall_ms, d.reason
     FROM deliveries d JOIN events e ON e.session_id = d.session_id AND e.seq = d.seq
     JOIN sessions s ON s.id = d.session_id";
const MATCHING: &str = "WHERE (?1 IS NULL OR d.state = ?1) AND (?2 IS NULL OR d.endpoint = ?2)
     AND (?3 IS NULL OR s.call_sid = ?3 OR s.id = ?3) AND (?4 IS NULL OR e.wall_ms >= ?4) AND (?5 IS NULL OR e.wall_ms < ?5)";

pub(super) fn deliveries(connection: &Connection, filter: &DeliveryFilter) -> Answer<Page<Delivery>> {
    let sql = format!("{DELIVERY} {MATCHING} AND (?6 IS NULL OR d.id < ?6) ORDER BY d.id DESC LIMIT ?7");
    let (since, until) = (filter.since_wall_ms.map(int), filter.until_wall_ms.map(int));
    let limit = page_size(filter.limit) + 1;
    let bound = params![filter.state, filter.endpoint, filter.call_sid, since, until, filter.cursor, limit];
    let items = all(connection, &sql, bound, delivery_row)?;
    Ok(page(items, filter.limit, |delivery| delivery.id.to_string()))
}

/// Every delivery that a filter means, oldest first, whatever its page says.
pub(super) fn matching(connection: &Connection, filter: &DeliveryFilter) -> Answer<Vec<DeliveryId>> {
    let sql = format!("{DELIVERY} {MATCHING} ORDER BY d.place");
    let (since, until) = (filter.since_wall_ms.map(int), filter.until_wall_ms.map(int));
    let bound = params![filter.state, filter.endpoint, filter.call_sid, since, until];
    all(connection, &sql, bound, |row| saved::delivery(row, 0))
}

pub(super) fn delivery(connection: &Connection, id: DeliveryId) -> Answer<Option<(Delivery, Vec<StoredAttempt>)>> {
    let id = id.to_string();
    let sql = format!("{DELIVERY} WHERE d.id = ?");
    let Some(delivery) = connection.prepare_cached(&sql)?.query_row([&id], delivery_row).optional()? else { return Ok(None) };
    let sql = "SELECT n, wall_ms, took_ms, status, failure, answer FROM attempts WHERE delivery_id = ? ORDER BY n";
    let attempts = all(connection, sql, [&id], |row| {
        Ok(StoredAttempt {
            n: row.get(0)?,
            wall_ms: saved::uint(row, 1)?,
            took_ms: saved::uint(row, 2)?,
            status: row.get(3)?,
            failure: row.get(4)?,
            answer: row.get::<_, Option<Vec<u8>>>(5)?.map(Bytes::from),
        })
    })?;
    Ok(Some((delivery, attempts)))
}

fn delivery_row(row: &Row<'_>) -> Answer<Delivery> {
    Ok(Delivery {
        id: saved::delivery(row, 0)?,
        session: saved::named(row, 1)?,
        call_sid: saved::named(row, 2)?,
        event_id: row.get(3)?,
        seq: saved::uint(row, 4)?,
        kind: row.get(5)?,
        event_wall_ms: saved::uint(row, 6)?,
        endpoint: saved::named(row, 7)?,
        state: saved::state(row, 8)?,
        attempts: row.get(9)?,
        next_wall_ms: saved::uint(row, 10)?,
        reason: row.get(11)?,
    })
}

pub(super) fn outgoing(connection: &Connection, id: DeliveryId) -> Answer<Option<Outgoing>> {
    connection
        .prepare_cached(
            "SELECT e.id, e.wall_ms, e.body, d.next_wall_ms FROM deliveries d JOIN events e ON e.session_id = d.session_id AND e.seq = d.seq
             WHERE d.id = ? AND d.state IN ('pending', 'leased')",
        )?
        .query_row([id.to_string()], |row| {
            let body = row.get::<_, Vec<u8>>(2)?.into();
            Ok(Outgoing { event_id: row.get(0)?, event_wall_ms: saved::uint(row, 1)?, body, next_wall_ms: saved::uint(row, 3)? })
        })
        .optional()
}

pub(super) fn backlogs(connection: &Connection) -> Answer<Vec<Backlog>> {
    let sql =
        "SELECT d.endpoint, sum(d.state <> 'parked'), sum(d.state = 'parked'), min(iif(d.state <> 'parked', e.wall_ms, NULL))
         FROM deliveries d JOIN events e ON e.session_id = d.session_id AND e.seq = d.seq
         WHERE d.state IN ('pending', 'leased', 'parked') GROUP BY d.endpoint ORDER BY d.endpoint";
    all(connection, sql, (), |row| {
        let oldest: Option<i64> = row.get(3)?;
        Ok(Backlog {
            endpoint: row.get(0)?,
            pending: saved::uint(row, 1)?,
            parked: saved::uint(row, 2)?,
            oldest_wall_ms: oldest.map(i64::unsigned_abs),
        })
    })
}

pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    bound: impl Params,
    read: impl FnMut(&Row<'_>) -> Answer<T>,
) -> Answer<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(bound, read)?.collect()
}

fn page_size(limit: u32) -> u32 {
    if limit == 0 { PAGE_DEFAULT } else { limit.min(PAGE_MAX) }
}

/// Cuts what was read with one item too many.
fn page<T>(mut items: Vec<T>, limit: u32, name: impl Fn(&T) -> String) -> Page<T> {
    let size = page_size(limit) as usize;
    let more = items.len() > size;
    items.truncate(size);
    let next_cursor = items.last().filter(|_| more).map(name);
    Page { items, next_cursor }
}

pub(super) fn unreadable(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, format!("a stored {what} cannot be read").into())
}
