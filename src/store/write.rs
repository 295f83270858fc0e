//! Units of writes as SQL.
//!
//! Promises: a unit that fails leaves nothing behind and takes no other unit with it; the group is answered only after the
//! one COMMIT that holds it.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde_json::{Map, Value};
use ulid::Ulid;

use super::{
    Committed, Ended, NewSession, Standing, StoreError, Write, queue, retention, saved,
    sealed::{Keyring, Place},
};
use crate::{
    event::{Event, TranscriptText},
    media::{EndReason, EndpointName, Received, SessionId, Track},
    webhook::{Attempt, DeliveryId},
};

type Done = Result<(), StoreError>;

/// What is handed out while writing: names for deliveries, and their places in the order of notice.
pub(super) struct Numbers {
    /// The last name given; names grow, so that deliveries made in one millisecond are listed in their order.
    name: Ulid,
    /// The last place given; only grows while the process lives, so a deleted row's place never comes again.
    pub(super) place: u64,
}

impl Numbers {
    /// Goes on behind the last place that was ever given.
    pub(super) const fn behind(place: u64) -> Self {
        Self { name: Ulid::nil(), place }
    }

    /// Names go on from a new ULID, unless the clock was set back.
    pub(super) fn fresh(&mut self, name: Ulid) {
        self.name = self.name.max(name);
    }

    /// The time of the newest name, in milliseconds since 1970-01-01 UTC.
    pub(super) const fn now_ms(&self) -> u64 {
        self.name.timestamp_ms()
    }

    fn name(&mut self) -> DeliveryId {
        self.name = self.name.increment().unwrap_or_else(|wrapped| wrapped);
        DeliveryId::new(self.name)
    }
}

/// Writes each unit under a savepoint of its own and commits them together.
pub(super) fn commit(
    connection: &mut Connection,
    keys: &Keyring,
    units: &[Vec<Write>],
    numbers: &mut Numbers,
) -> Vec<Result<Committed, StoreError>> {
    match try_commit(connection, keys, units, numbers) {
        Ok(answers) => answers,
        Err(error) => {
            keys.forget();
            units.iter().map(|_| Err(error.clone())).collect()
        }
    }
}

fn try_commit(
    connection: &mut Connection,
    keys: &Keyring,
    units: &[Vec<Write>],
    numbers: &mut Numbers,
) -> Result<Vec<Result<Committed, StoreError>>, StoreError> {
    let mut group = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut answers = Vec::with_capacity(units.len());
    for unit in units {
        let savepoint = group.savepoint()?;
        let mut committed = Committed::default();
        let written = unit.iter().try_for_each(|write| apply(&savepoint, keys, write, numbers, &mut committed));
        match written {
            Ok(()) => savepoint.commit()?,
            // SQLite gives up the whole transaction by itself when the disk is full or failing: then no unit is stored.
            Err(error) if savepoint.is_autocommit() => return Err(error),
            Err(_) => {
                drop(savepoint);
                keys.forget();
            }
        }
        answers.push(written.map(|()| committed));
    }
    commit_group(group)?;
    Ok(answers)
}

/// Whether the database can be written: writes a page that says what it said before, and syncs it as any commit does.
pub(super) fn probe(connection: &mut Connection) -> Done {
    let group = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = group.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    group.execute_batch(&format!("PRAGMA user_version = {version}"))?;
    commit_group(group)
}

fn commit_group(group: Transaction<'_>) -> Done {
    crate::failpoint!("store.before_commit");
    group.commit()?;
    crate::failpoint!("store.after_commit");
    Ok(())
}

fn apply(connection: &Connection, keys: &Keyring, write: &Write, numbers: &mut Numbers, committed: &mut Committed) -> Done {
    match write {
        Write::Session(session) => begin_session(connection, keys, session),
        Write::Stream { session, stream, dialect, stream_sid, at_ms } => run(
            connection,
            "INSERT INTO streams (session_id, stream, dialect, stream_sid, at_ms) VALUES (?, ?, ?, ?, ?)",
            params![session.as_str(), stream, dialect, stream_sid.as_str(), int(*at_ms)],
        )
        .map_err(|error| if is_unique(&error) { StoreError::SeenBefore } else { error.into() })
        .map(drop),
        Write::Track { session, key, role } => run(
            connection,
            "INSERT INTO tracks (session_id, stream, track, role) VALUES (?, ?, ?, ?)",
            params![session.as_str(), key.stream, key.track.as_str(), role.as_str()],
        )
        .map_err(misfit)
        .map(drop),
        Write::StreamEnded { session, stream, reason, received } => end_stream(connection, (session, *stream), *reason, received),
        Write::Event { event, endpoints } => add_event(connection, keys, event, endpoints, numbers),
        Write::Segment { session, stream, seq, text } => add_segment(connection, keys, session, (*stream, *seq), text),
        Write::Mark { session, key, offset } => one(run(
            connection,
            "UPDATE tracks SET mark_offset = max(mark_offset, ?) WHERE session_id = ? AND stream = ? AND track = ?",
            params![int(offset.0), session.as_str(), key.stream, key.track.as_str()],
        )),
        Write::Context { session, context } => change_context(connection, keys, session, context),
        Write::Ended { session, end } => end_session(connection, session, end),
        Write::Verdict { delivery, attempt, standing } => {
            settle(connection, keys, *delivery, (attempt, standing), numbers.now_ms())
        }
        Write::Park { delivery, reason } => queue::park(connection, *delivery, reason, numbers.now_ms()),
        Write::Retry(delivery) => {
            committed.retried += queue::retry(connection, &[*delivery], None, numbers)?;
            Ok(())
        }
        Write::RetryThese { deliveries, state } => {
            committed.retried += queue::retry(connection, deliveries, *state, numbers)?;
            Ok(())
        }
        Write::Lease { deliveries, until_wall_ms } => queue::lease(connection, deliveries, *until_wall_ms),
        Write::Pause { endpoint, wall_ms, reason } => queue::pause(connection, endpoint, *wall_ms, reason),
        Write::Resume(endpoint) => queue::resume(connection, endpoint.as_str(), numbers),
        Write::Erase(session) => {
            keys.erase(session);
            run(connection, "DELETE FROM sessions WHERE id = ?", params![session.as_str()]).map_err(StoreError::from).map(drop)
        }
        Write::OnlyIfOver(session) => retention::only_if_over(connection, session),
        Write::Trim { session, rows } => committed.gone(retention::trim(connection, session, *rows)),
        Write::ForgetParked(deliveries) => committed.gone(retention::forget_parked(connection, deliveries)),
        Write::ForgetAttempts(attempts) => committed.gone(retention::forget_attempts(connection, attempts)),
    }
}

impl Committed {
    fn gone(&mut self, rows: Result<u64, StoreError>) -> Done {
        self.removed += rows?;
        Ok(())
    }
}

fn begin_session(connection: &Connection, keys: &Keyring, session: &NewSession) -> Done {
    run(
        connection,
        "INSERT INTO sessions (id, call_sid, dialect, account_sid, direction, from_last4, to_last4, webhook, started_wall_ms,
         key_id, data_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            session.id.as_str(),
            session.call_sid.as_str(),
            session.dialect,
            session.account_sid,
            session.direction.as_str(),
            session.from,
            session.to,
            session.webhook.as_ref().map(EndpointName::as_str),
            int(session.started_wall_ms),
            session.key.key_id,
            session.key.sealed,
        ],
    )
    .map_err(misfit)?;
    keep_context(connection, keys, &session.id, &session.context.to_string())
}

pub(super) fn keep_context(connection: &Connection, keys: &Keyring, session: &SessionId, context: &str) -> Done {
    let sealed = keys.seal(connection, session, Place::Context(session), context.as_bytes())?;
    one(run(connection, "UPDATE sessions SET context = ? WHERE id = ?", params![sealed, session.as_str()]))
}

/// A context that cannot be opened any more is begun anew.
fn change_context(connection: &Connection, keys: &Keyring, session: &SessionId, changed: &Value) -> Done {
    let sealed: Option<Vec<u8>> = connection
        .prepare_cached("SELECT context FROM sessions WHERE id = ?")?
        .query_row([session.as_str()], |row| row.get(0))
        .optional()?;
    let json = sealed.and_then(|sealed| keys.open(connection, session, Place::Context(session), &sealed).ok());
    let mut context: Map<String, Value> = json.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    context.extend(changed.as_object().cloned().unwrap_or_default());
    keep_context(connection, keys, session, &Value::Object(context).to_string())
}

fn end_session(connection: &Connection, session: &SessionId, end: &Ended) -> Done {
    one(run(
        connection,
        "UPDATE sessions SET ended_wall_ms = ?, end_reason = ?, duration_ms = ?, complete = ? WHERE id = ? AND ended_wall_ms IS NULL",
        params![int(end.wall_ms), end.reason.as_str(), int(end.duration_ms), end.complete, session.as_str()],
    ))
}

fn end_stream(
    connection: &Connection,
    (session, stream): (&SessionId, u32),
    reason: EndReason,
    received: &[(Track, Received)],
) -> Done {
    let end_ms = received.iter().map(|(_, received)| received.end_ms).max().unwrap_or(0);
    one(run(
        connection,
        "UPDATE streams SET ended_at_ms = ?, end_reason = ? WHERE session_id = ? AND stream = ?",
        params![int(end_ms), reason.as_str(), session.as_str(), stream],
    ))?;
    for (track, Received { received_ms, filled_ms, end_ms }) in received {
        // A track that was announced and never heard may have no row.
        run(
            connection,
            "UPDATE tracks SET received_ms = ?, filled_ms = ?, ended_at_ms = ? WHERE session_id = ? AND stream = ? AND track = ?",
            params![int(*received_ms), int(*filled_ms), int(*end_ms), session.as_str(), stream, track.as_str()],
        )?;
    }
    Ok(())
}

fn add_event(connection: &Connection, keys: &Keyring, event: &Event, endpoints: &[EndpointName], numbers: &mut Numbers) -> Done {
    let (session, seq) = (event.session.as_str(), int(event.seq.ok_or(StoreError::Misfit)?));
    let body = keys.seal(connection, &event.session, Place::Event(&event.session, seq.unsigned_abs()), &event.body)?;
    let added = run(
        connection,
        "INSERT INTO events (session_id, seq, id, kind, wall_ms, body) SELECT ?1, ?2, ?3, ?4, ?5, ?6
         WHERE ?2 = 1 + (SELECT coalesce(max(seq), 0) FROM events WHERE session_id = ?1)",
        params![session, seq, event.id.to_string(), event.kind, int(event.wall_ms), body],
    )
    .map_err(|error| if is_unique(&error) { StoreError::OutOfOrder } else { misfit(error) })?;
    if added == 0 {
        return Err(StoreError::OutOfOrder);
    }
    for endpoint in endpoints {
        let delivery = numbers.name();
        numbers.place += 1;
        run(
            connection,
            "INSERT INTO deliveries (id, session_id, seq, endpoint, place, state, next_wall_ms) VALUES (?, ?, ?, ?, ?, 'pending', ?)",
            params![delivery.to_string(), session, seq, endpoint.as_str(), int(numbers.place), int(event.wall_ms)],
        )?;
    }
    Ok(())
}

fn add_segment(
    connection: &Connection,
    keys: &Keyring,
    session: &SessionId,
    (stream, seq): (u32, u64),
    text: &TranscriptText,
) -> Done {
    let id = text.segment_id.as_deref().ok_or(StoreError::Misfit)?;
    let json = serde_json::to_vec(text).expect("a segment has string keys and finite numbers only");
    let body = keys.seal(connection, session, Place::Segment(id), &json)?;
    run(
        connection,
        "INSERT INTO segments (id, session_id, seq, stream, track, start_ms, end_ms, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        params![id, session.as_str(), int(seq), stream, text.track.as_str(), int(text.start_ms), int(text.end_ms), body,],
    )
    .map_err(misfit)
    .map(drop)
}

fn settle(
    connection: &Connection,
    keys: &Keyring,
    delivery: DeliveryId,
    (attempt, standing): (&Attempt, &Standing),
    now_ms: u64,
) -> Done {
    let id = delivery.to_string();
    let of =
        "SELECT session_id, 1 + (SELECT coalesce(max(n), 0) FROM attempts WHERE delivery_id = ?1) FROM deliveries WHERE id = ?1";
    let of = connection.prepare_cached(of)?.query_row([&id], |row| Ok((saved::named::<SessionId>(row, 0)?, row.get(1)?)));
    let (session, n): (_, i64) = of.optional()?.ok_or(StoreError::Misfit)?;
    let (status, failure, answer) = match &attempt.outcome {
        Ok(answer) => {
            let kept = keys.seal(connection, &session, Place::Answer(&id, n), &answer.kept)?;
            (Some(answer.status), None, Some(kept))
        }
        Err(failure) => (None, Some(failure.to_string()), None),
    };
    let took_ms = i64::try_from(attempt.took.as_millis()).unwrap_or(i64::MAX);
    run(
        connection,
        "INSERT INTO attempts (delivery_id, n, wall_ms, took_ms, status, failure, answer) VALUES (?, ?, ?, ?, ?, ?, ?)",
        params![id, n, int(attempt.wall_ms), took_ms, status, failure, answer],
    )
    .map_err(misfit)?;
    queue::stand(connection, delivery, standing, now_ms)
}

/// The last place that was given out before this process began.
pub(super) fn last_place(connection: &Connection) -> Result<u64, StoreError> {
    let last: Option<i64> = connection.query_row("SELECT max(place) FROM deliveries", (), |row| row.get(0)).optional()?.flatten();
    Ok(last.unwrap_or(0).unsigned_abs())
}

pub(super) fn run(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute(params)
}

pub(super) fn one(changed: rusqlite::Result<usize>) -> Done {
    if changed? == 1 { Ok(()) } else { Err(StoreError::Misfit) }
}

fn is_unique(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_UNIQUE))
}

/// A broken constraint is a write that does not fit; anything else is the database's.
fn misfit(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => StoreError::Misfit,
        _ => error.into(),
    }
}

/// `SQLite`'s integers are signed; no time, offset or count of ours comes near their end.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
