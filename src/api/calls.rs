//! Calls as they stand, their transcripts, and their events again.
//!
//! Promises: `{sid}` is a CallSid (its newest session) or a session id, also where a call is erased, so that nobody erases more than they see; events come byte for byte as they were posted;
//! everything shown has passed the redaction gate, since nothing else is stored.

use std::num::NonZeroU32;

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::{Bridge, deliveries::unwritable, problem::Problem};
use crate::{
    admission::{InHand, Line},
    event::rfc3339,
    media::{CallSid, SessionId},
    registry::{Entry, SessionState},
    store::{CallFilter, Page, Session, StoreError, Write},
};

/// How many events are read from the store at a time.
const EVENTS_AT_A_TIME: u32 = 200;

/// What a cursor that we did not give out is answered with.
const NO_CURSOR: &str = "cursor is the next_cursor of the page before, as it stands there; leave it out for the first page";

/// Which calls to list.
#[derive(Deserialize)]
pub struct ListQuery {
    state: Option<String>,
    limit: Option<NonZeroU32>,
    cursor: Option<String>,
}

/// From where on to repeat events.
#[derive(Deserialize)]
pub struct EventsQuery {
    #[serde(default)]
    after_seq: u64,
}

/// Which form of a transcript.
#[derive(Deserialize)]
pub struct TranscriptQuery {
    format: Option<String>,
}

#[derive(Serialize)]
struct Call {
    call_sid: String,
    session_id: String,
    state: &'static str,
    paused: bool,
    dialect: String,
    account_sid: Option<String>,
    direction: &'static str,
    from: Option<String>,
    to: Option<String>,
    started_at: String,
    ended_at: Option<String>,
    end_reason: Option<&'static str>,
    duration_ms: Option<u64>,
    complete: Option<bool>,
    tracks: Vec<Track>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<Live>,
}

#[derive(Serialize)]
struct Track {
    stream: u32,
    track: &'static str,
    role: String,
    stored_ms: u64,
}

/// What only a live session knows.
#[derive(Serialize)]
struct Live {
    streams: u32,
    received_ms: u64,
    segments: u64,
    idle_ms: u64,
}

/// A page of a list.
#[derive(Serialize)]
pub struct Items<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl<T> Items<T> {
    /// From the store's page.
    pub fn of<S>(page: Page<S>, show: impl FnMut(S) -> T) -> Self {
        Self { items: page.items.into_iter().map(show).collect(), next_cursor: page.next_cursor }
    }
}

/// A cursor of a list whose items' names are `prefix` and a ULID, as a page gave it out.
pub fn cursor(given: Option<String>, prefix: &str) -> Result<Option<String>, Problem> {
    // Names are compared as text, so one in small letters would come behind all others.
    let is_ours = |given: &String| {
        given.strip_prefix(prefix).is_some_and(|rest| Ulid::from_string(rest).is_ok_and(|ulid| ulid.to_string() == rest))
    };
    if given.as_ref().is_none_or(is_ours) { Ok(given) } else { Err(Problem::bad_request(NO_CURSOR)) }
}

/// `GET /v1/calls`: newest first.
pub async fn list(State(bridge): State<Bridge>, Query(query): Query<ListQuery>) -> Result<Response, Problem> {
    let live = match query.state.as_deref() {
        None => None,
        Some("live") => Some(true),
        Some("ended") => Some(false),
        Some(_) => return Err(Problem::bad_request("state is live or ended")),
    };
    let cursor = cursor(query.cursor, "ses_")?;
    let filter = CallFilter { live, limit: query.limit.map_or(0, NonZeroU32::get), cursor };
    let page = bridge.store().calls(filter).await.map_err(|why| unreadable(&why))?;
    Ok(Json(Items::of(page, |session| shown(&bridge, session))).into_response())
}

/// `GET /v1/calls/{sid}`.
pub async fn one(State(bridge): State<Bridge>, Path(sid): Path<String>) -> Result<Response, Problem> {
    let session = find(&bridge, &sid).await?;
    Ok(Json(shown(&bridge, session)).into_response())
}

/// `DELETE /v1/calls/{sid}`: text, events, deliveries and attempts with their key in one commit, then the audio; a kill between the two is
/// made good by the next start. A delivery under way ends as if it had never been. A session that has no end may be erased too, unless it
/// is on the line or being brought back.
pub async fn erase(State(bridge): State<Bridge>, Path(sid): Path<String>) -> Result<StatusCode, Problem> {
    let session = find(&bridge, &sid).await?;
    let id = session.start.id;
    let hand = if session.ended.is_none() { Some(in_hand(&bridge, &id)?) } else { None };
    crate::failpoint!("erase.before");
    bridge.store().commit(vec![Write::Erase(id.clone())]).await.map_err(|why| unwritable(&why))?;
    crate::failpoint!("erase.after");
    bridge.calls().forget(&id).await;
    drop(hand);
    tracing::info!(session = %id, "a call was erased, as asked");
    Ok(StatusCode::NO_CONTENT)
}

/// A session without an end, so that nobody ends it while it is erased.
fn in_hand(bridge: &Bridge, session: &SessionId) -> Result<InHand, Problem> {
    let why = match entry(bridge, session) {
        Some(_) => "the call is live; end it first, then erase it",
        None => "the call is being brought back after a crash or restart; erase it once it has ended",
    };
    bridge.calls().take_in_hand(session).ok_or_else(|| Problem::new(StatusCode::CONFLICT, why))
}

/// `GET /v1/calls/{sid}/events?after_seq=N`: the repair path, one body a line.
pub async fn events(
    State(bridge): State<Bridge>,
    Path(sid): Path<String>,
    Query(query): Query<EventsQuery>,
) -> Result<Response, Problem> {
    let session = find(&bridge, &sid).await?.start.id;
    let store = bridge.store().clone();
    // Read before the answer begins, so that one that cannot be read is a refusal and no answer that breaks off.
    let first = store.events(&session, query.after_seq, EVENTS_AT_A_TIME).await.map_err(|why| unreadable(&why))?;
    let pages = stream::try_unfold((query.after_seq, Some(first)), move |(after_seq, first)| {
        let (store, session) = (store.clone(), session.clone());
        async move {
            let events = match first {
                Some(first) => first,
                None => store.events(&session, after_seq, EVENTS_AT_A_TIME).await?,
            };
            let Some(last) = events.last().map(|event| event.seq) else { return Ok(None) };
            let mut lines = Vec::new();
            for event in events {
                lines.extend_from_slice(&event.body);
                lines.push(b'\n');
            }
            Ok::<_, StoreError>(Some((lines, (last, None))))
        }
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(pages)).into_response())
}

/// `GET /v1/calls/{sid}/transcript?format=json`.
pub async fn transcript(
    State(bridge): State<Bridge>,
    Path(sid): Path<String>,
    Query(query): Query<TranscriptQuery>,
) -> Result<Response, Problem> {
    match query.format.as_deref() {
        None | Some("json") => {}
        Some(format @ ("txt" | "srt" | "vtt" | "vcon")) => return Err(Problem::not_built(&format!("the {format} form"))),
        Some(_) => return Err(Problem::bad_request("format is json, txt, srt, vtt or vcon")),
    }
    let session = find(&bridge, &sid).await?;
    let segments = bridge.store().segments(&session.start.id).await.map_err(|why| unreadable(&why))?;
    let lines: Vec<_> = segments.into_iter().map(|segment| segment.line).collect();
    let state = state(&bridge, &session);
    let call_sid = session.start.call_sid.as_str();
    Ok(Json(serde_json::json!({ "call_sid": call_sid, "state": state, "segments": lines })).into_response())
}

pub(super) async fn find(bridge: &Bridge, sid: &str) -> Result<Session, Problem> {
    let known = CallSid::new(sid).is_ok();
    let found = if known { bridge.store().call(sid).await.map_err(|why| unreadable(&why))? } else { None };
    found.ok_or_else(|| Problem::not_found("there is no call or session of this name"))
}

/// A read of the store that failed, as a refusal.
pub fn unreadable(why: &StoreError) -> Problem {
    tracing::error!(%why, "failed to read the store");
    if why.is_unreadable() {
        return Problem::unavailable(why.to_string());
    }
    Problem::unavailable("the store cannot be read now; see the log")
}

pub(super) fn entry(bridge: &Bridge, session: &SessionId) -> Option<Entry<Line>> {
    bridge.calls().registry().session(session)
}

fn state(bridge: &Bridge, session: &Session) -> &'static str {
    match session.ended {
        Some(_) => SessionState::Ended.as_str(),
        None => entry(bridge, &session.start.id).map_or(SessionState::Draining, |entry| entry.pulse.state()).as_str(),
    }
}

fn shown(bridge: &Bridge, session: Session) -> Call {
    let (state, now) = (state(bridge, &session), crate::clock::now());
    let entry = entry(bridge, &session.start.id).filter(|_| session.ended.is_none());
    let paused = entry.as_ref().is_some_and(|entry| entry.pulse.is_paused());
    let live = entry.map(|entry| Live {
        streams: entry.pulse.streams(),
        received_ms: entry.pulse.received_ms(),
        segments: entry.pulse.segments(),
        idle_ms: entry.pulse.idle_ms(now),
    });
    let Session { start, ended, tracks } = session;
    Call {
        call_sid: start.call_sid.into(),
        session_id: start.id.into(),
        state,
        paused,
        dialect: start.dialect,
        account_sid: start.account_sid,
        direction: start.direction.as_str(),
        from: start.from,
        to: start.to,
        started_at: rfc3339(start.started_wall_ms),
        ended_at: ended.map(|end| rfc3339(end.wall_ms)),
        end_reason: ended.map(|end| end.reason.as_str()),
        duration_ms: ended.map(|end| end.duration_ms),
        complete: ended.map(|end| end.complete),
        tracks: tracks
            .into_iter()
            .map(|track| Track {
                stream: track.key.stream,
                track: track.key.track.as_str(),
                role: track.role.as_str().to_owned(),
                stored_ms: track.mark_at_ms,
            })
            .collect(),
        live,
    }
}
