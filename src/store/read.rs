//! Questions as SQL.
//!
//! Promises: reading never writes; a row that cannot be read back is an error that names the column, never a guess.

use std::collections::BTreeSet;

use bytes::Bytes;
use rusqlite::{
    Connection, OptionalExtension, Params, Row, params,
    types::{Type, ValueRef},
};

use super::{
    CallFilter, Delivery, LiveSession, Outgoing, PAGE_DEFAULT, PAGE_MAX, Page, Session, StoreError, StoredAttempt, StoredEvent,
    StoredSegment, StoredTrack, StreamEnd, saved,
    sealed::{self, Keyring, Place},
    write::int,
};
use crate::{
    media::{Gap, Offset, Received, SessionId, Track, bytes_to_ms},
    segment::TrackKey,
    webhook::DeliveryId,
};

type Answer<T> = rusqlite::Result<T>;

pub(super) fn has_stream(connection: &Connection, dialect: &str, stream_sid: &str) -> Answer<bool> {
    connection.prepare_cached("SELECT 1 FROM streams WHERE dialect = ?1 AND stream_sid = ?2")?.exists((dialect, stream_sid))
}

/// A peer chooses its `CallSid`, so one that is another session's id does not stand before that session.
pub(super) fn call(connection: &Connection, sid: &str) -> Answer<Option<Session>> {
    let id: Option<String> = connection
        .prepare_cached("SELECT id FROM sessions WHERE id = ?1 OR call_sid = ?1 ORDER BY id = ?1 DESC, id DESC LIMIT 1")?
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

pub(super) fn unfinished(connection: &Connection) -> Answer<Vec<SessionId>> {
    all(connection, "SELECT id FROM sessions WHERE ended_wall_ms IS NULL ORDER BY id", (), |row| saved::named(row, 0))
}

pub(super) fn live(connection: &Connection, keys: &Keyring, id: &str) -> Answer<Option<LiveSession>> {
    let sql = "SELECT 1 FROM sessions WHERE id = ? AND ended_wall_ms IS NULL";
    let is_live = connection.prepare_cached(sql)?.exists([id])?;
    is_live.then(|| live_session(connection, keys, id)).transpose()
}

/// What of it cannot be opened is left out, so that it can be ended all the same.
fn live_session(connection: &Connection, keys: &Keyring, id: &str) -> Answer<LiveSession> {
    let last: i64 = connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM events WHERE session_id = ?")?
        .query_row([id], |row| row.get(0))?;
    let streams = "SELECT stream, stream_sid, at_ms FROM streams WHERE session_id = ? ORDER BY stream";
    let mut session = session(connection, id)?;
    let named = session.start.id.clone();
    let contexts = "SELECT context FROM sessions WHERE id = ?";
    let mut context = those_that_open(connection, contexts, &named, |row| {
        let json = keys.open(connection, &named, Place::Context(&named), row.get_ref(0)?.as_blob()?)?;
        serde_json::from_slice(&json).map_err(|_| unreadable(0, "context"))
    })?;
    session.start.context = context.pop().unwrap_or_default();
    Ok(LiveSession {
        session,
        streams: all(connection, streams, [id], |row| Ok((row.get(0)?, saved::named(row, 1)?, saved::uint(row, 2)?)))?,
        ends: ends(connection, id)?,
        next_seq: last.unsigned_abs() + 1,
        segments: segments_that_open(connection, keys, &named)?.0,
        gaps: gaps(connection, keys, &named)?,
        placeholders: placeholders(connection, keys, &named)?,
    })
}

fn ends(connection: &Connection, id: &str) -> Answer<Vec<StreamEnd>> {
    let sql = "SELECT stream, end_reason FROM streams WHERE session_id = ? AND end_reason IS NOT NULL ORDER BY stream";
    all(connection, sql, [id], |row| Ok(StreamEnd { stream: row.get(0)?, reason: saved::end_reason(row, 1)? }))
}

fn session(connection: &Connection, id: &str) -> Answer<Session> {
    let mut session = connection
        .prepare_cached(
            "SELECT id, call_sid, dialect, account_sid, direction, from_last4, to_last4, webhook, started_wall_ms, key_id, data_key,
             ended_wall_ms, end_reason, duration_ms, complete FROM sessions WHERE id = ?",
        )?
        .query_row([id], saved::session)?;
    session.tracks = all(
        connection,
        "SELECT stream, track, role, mark_offset, at_ms, received_ms, filled_ms, tracks.ended_at_ms FROM tracks JOIN streams USING (session_id, stream)
         WHERE session_id = ? ORDER BY stream, track",
        [id],
        |row| {
            let key = TrackKey { stream: row.get(0)?, track: saved::track(row, 1)? };
            let mark = Offset(saved::uint(row, 3)?);
            // At the earliest: a track may have begun behind its stream's first audio.
            let mark_at_ms = saved::uint(row, 4)? + bytes_to_ms(mark.0);
            Ok(StoredTrack { key, role: saved::role(&row.get::<_, String>(2)?), mark, mark_at_ms, received: received(row)? })
        },
    )?;
    Ok(session)
}

fn received(row: &Row<'_>) -> Answer<Option<Received>> {
    if row.get_ref(5)? == ValueRef::Null {
        return Ok(None);
    }
    let [received_ms, filled_ms, end_ms] = [saved::uint(row, 5)?, saved::uint(row, 6)?, saved::uint(row, 7)?];
    Ok(Some(Received { received_ms, filled_ms, end_ms }))
}

const SEGMENTS: &str = "SELECT seq, stream, id, body FROM segments WHERE session_id = ? ORDER BY start_ms, seq";

pub(super) fn segments(connection: &Connection, keys: &Keyring, session: &SessionId) -> Answer<Vec<StoredSegment>> {
    all(connection, SEGMENTS, [session.as_str()], |row| segment(connection, keys, session, row))
}

/// The segments that open, and whether nothing is missing: no other segment, and no gap that cannot be read.
pub(super) fn segments_that_open(
    connection: &Connection,
    keys: &Keyring,
    session: &SessionId,
) -> Answer<(Vec<StoredSegment>, bool)> {
    let segments = those_that_open(connection, SEGMENTS, session, |row| segment(connection, keys, session, row))?;
    let gaps = gaps(connection, keys, session)?;
    let sql = "SELECT (SELECT count(*) FROM segments WHERE session_id = ?1)
         + (SELECT count(*) FROM events WHERE session_id = ?1 AND kind = 'transcript.gap')";
    let stored: i64 = connection.prepare_cached(sql)?.query_row([session.as_str()], |row| row.get(0))?;
    let are_all = stored.unsigned_abs() == (segments.len() + gaps.len()) as u64;
    Ok((segments, are_all))
}

fn segment(connection: &Connection, keys: &Keyring, session: &SessionId, row: &Row<'_>) -> Answer<StoredSegment> {
    let (seq, stream, id): (_, _, String) = (saved::uint(row, 0)?, row.get(1)?, row.get(2)?);
    let json = keys.open(connection, session, Place::Segment(&id), row.get_ref(3)?.as_blob()?)?;
    saved::segment(seq, stream, json.into()).ok_or_else(|| unreadable(3, "segment"))
}

fn gaps(connection: &Connection, keys: &Keyring, session: &SessionId) -> Answer<Vec<(Track, Gap)>> {
    let sql = "SELECT seq, body FROM events WHERE session_id = ? AND kind = 'transcript.gap' ORDER BY seq";
    those_that_open(connection, sql, session, |row| {
        let (_, body) = body(connection, keys, session, row)?;
        saved::gap(&body).ok_or_else(|| unreadable(1, "gap"))
    })
}

fn placeholders(connection: &Connection, keys: &Keyring, session: &SessionId) -> Answer<BTreeSet<String>> {
    let sql = "SELECT seq, body FROM events WHERE session_id = ?";
    let of_each = those_that_open(connection, sql, session, |row| {
        let (_, body) = body(connection, keys, session, row)?;
        Ok(saved::placeholders(&body))
    })?;
    Ok(of_each.into_iter().flatten().collect())
}

pub(super) fn events(
    connection: &Connection,
    keys: &Keyring,
    session: &SessionId,
    after_seq: u64,
    limit: u32,
) -> Answer<Vec<StoredEvent>> {
    let sql = "SELECT seq, body, kind FROM events WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT ?";
    all(connection, sql, params![session.as_str(), int(after_seq), limit], |row| {
        let (seq, body) = body(connection, keys, session, row)?;
        Ok(StoredEvent { seq, kind: row.get(2)?, body: body.into() })
    })
}

/// An event's number and its bytes, from the first two columns.
fn body(connection: &Connection, keys: &Keyring, session: &SessionId, row: &Row<'_>) -> Answer<(u64, Vec<u8>)> {
    let seq = saved::uint(row, 0)?;
    Ok((seq, keys.open(connection, session, Place::Event(session, seq), row.get_ref(1)?.as_blob()?)?))
}

/// What [`delivery_row`] reads.
pub(super) const DELIVERY: &str = "SELECT d.id, d.session_id, s.call_sid, e.id, d.seq, e.kind, e.wall_ms, d.endpoint, d.state,
     (SELECT coalesce(max(n), 0) FROM attempts WHERE delivery_id = d.id), d.next_wall_ms, d.reason
     FROM deliveries d JOIN events e ON e.session_id = d.session_id AND e.seq = d.seq JOIN sessions s ON s.id = d.session_id";

pub(super) fn delivery(
    connection: &Connection,
    keys: &Keyring,
    id: DeliveryId,
) -> Answer<Option<(Delivery, Vec<StoredAttempt>)>> {
    let id = id.to_string();
    let sql = format!("{DELIVERY} WHERE d.id = ?");
    let Some(delivery) = connection.prepare_cached(&sql)?.query_row([&id], delivery_row).optional()? else { return Ok(None) };
    let sql = "SELECT n, wall_ms, took_ms, status, failure, answer FROM attempts WHERE delivery_id = ? ORDER BY n";
    let attempts = all(connection, sql, [&id], |row| {
        let n = row.get(0)?;
        let open = |blob: &[u8]| keys.open(connection, &delivery.session, Place::Answer(&id, n), blob);
        let answer = row.get_ref(5)?.as_blob_or_null()?.map(open).transpose();
        Ok(StoredAttempt {
            n: row.get(0)?,
            wall_ms: saved::uint(row, 1)?,
            took_ms: saved::uint(row, 2)?,
            status: row.get(3)?,
            failure: row.get(4)?,
            // The rest of the history says enough without it.
            answer: answer.or_else(|why| if sealed::is_unreadable(&why) { Ok(None) } else { Err(why) })?.map(Bytes::from),
        })
    })?;
    Ok(Some((delivery, attempts)))
}

pub(super) fn delivery_row(row: &Row<'_>) -> Answer<Delivery> {
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

pub(super) fn outgoing(connection: &Connection, keys: &Keyring, id: DeliveryId) -> Answer<Option<Outgoing>> {
    connection
        .prepare_cached(
            "SELECT e.seq, e.body, e.id, e.wall_ms, e.session_id, d.next_wall_ms FROM deliveries d JOIN events e ON e.session_id = d.session_id AND e.seq = d.seq
             WHERE d.id = ? AND d.state IN ('pending', 'leased')",
        )?
        .query_row([id.to_string()], |row| {
            let (_, body) = body(connection, keys, &saved::named(row, 4)?, row)?;
            Ok(Outgoing { event_id: row.get(2)?, event_wall_ms: saved::uint(row, 3)?, body: body.into(), next_wall_ms: saved::uint(row, 5)? })
        })
        .optional()
}

pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    bound: impl Params,
    read: impl FnMut(&Row<'_>) -> Answer<T>,
) -> Answer<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(bound, read)?.collect()
}

/// As [`all`], for one session, without the rows whose text does not open.
fn those_that_open<T>(
    connection: &Connection,
    sql: &str,
    session: &SessionId,
    read: impl FnMut(&Row<'_>) -> Answer<T>,
) -> Answer<Vec<T>> {
    let (mut found, mut closed, mut last) = (Vec::new(), 0_u64, None);
    for row in connection.prepare_cached(sql)?.query_map([session.as_str()], read)? {
        match row {
            Err(why) if sealed::is_unreadable(&why) => (closed, last) = (closed + 1, Some(StoreError::from(why))),
            row => found.push(row?),
        }
    }
    if let Some(why) = last {
        tracing::error!(%session, texts = closed, %why, "part of what is stored of a call cannot be read; it goes on without");
    }
    Ok(found)
}

pub(super) fn page_size(limit: u32) -> u32 {
    if limit == 0 { PAGE_DEFAULT } else { limit.min(PAGE_MAX) }
}

/// Cuts what was read with one item too many.
pub(super) fn page<T>(mut items: Vec<T>, limit: u32, name: impl Fn(&T) -> String) -> Page<T> {
    let size = page_size(limit) as usize;
    let more = items.len() > size;
    items.truncate(size);
    let next_cursor = items.last().filter(|_| more).map(name);
    Page { items, next_cursor }
}

pub(super) fn unreadable(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, format!("a stored {what} cannot be read").into())
}
