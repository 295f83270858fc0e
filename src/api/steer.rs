//! What an operator may do to a call that is on the line.
//!
//! Promises: a call that is over answers 409 and is not touched; a refused change says what the service said, and the call goes on as it was.

use axum::{
    Json,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Bridge, calls, problem::Problem, twilio};
use crate::{
    accept::Turned,
    admission::{Change, Line, Unchanged},
    registry::{Entry, SessionState},
};

/// What a call is to listen for from now on; what is left out stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    language: Option<String>,
    keywords: Option<String>,
}

/// `POST /v1/calls/{sid}/finalize`: a final of what was said so far, on every track.
pub async fn finalize(State(bridge): State<Bridge>, Path(sid): Path<String>) -> Result<Response, Problem> {
    let entry = on_the_line(&bridge, &sid).await?;
    let tracks = bridge.calls().finalize(&entry.line).await.map_err(|why| problem(&why))?;
    Ok((StatusCode::ACCEPTED, Json(about(&entry, &json!(tracks)))).into_response())
}

/// `POST /v1/calls/{sid}/language` with `{"language":"es"}`, and `keywords` if they change as well.
pub async fn language(State(bridge): State<Bridge>, Path(sid): Path<String>, request: Request) -> Result<Response, Problem> {
    let body = twilio::body_within(twilio::BODY_TIMEOUT, request).await.map_err(|turned| {
        let status = turned.and_then(Turned::status).unwrap_or(StatusCode::BAD_REQUEST);
        Problem::new(status, "the body is too long, or did not come in time")
    })?;
    let example = r#"send {"language":"es"}, with "keywords":"Word:2,Two words" if they change as well"#;
    let wish: Wish = serde_json::from_slice(&body).map_err(|_| Problem::bad_request(example))?;
    let changes = [("language", &wish.language), ("keywords", &wish.keywords)];
    let changes: Vec<(&str, &str)> = changes.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    if changes.is_empty() {
        return Err(Problem::bad_request(example));
    }
    let entry = on_the_line(&bridge, &sid).await?;
    let changed = bridge.calls().retune(&entry.line, &changes).await.map_err(|why| problem(&why))?;
    tracing::info!(session = %entry.session, call = %entry.call_sid, "the call's language or keywords change");
    let track = |(key, change): &(crate::segment::TrackKey, Change)| {
        let (when, reason) = told(change);
        json!({"stream": key.stream, "track": key.track.as_str(), "when": when, "reason": reason})
    };
    let tracks = changed.iter().map(track).collect();
    Ok((StatusCode::ACCEPTED, Json(about(&entry, &Value::Array(tracks)))).into_response())
}

/// `POST /v1/calls/{sid}/pause`: from now on nothing of what comes is sent or written anywhere, on any track of the call.
pub async fn pause(State(bridge): State<Bridge>, Path(sid): Path<String>) -> Result<Response, Problem> {
    set_paused(&bridge, &sid, true).await
}

/// `POST /v1/calls/{sid}/resume`: what comes from now on is heard again.
pub async fn resume(State(bridge): State<Bridge>, Path(sid): Path<String>) -> Result<Response, Problem> {
    set_paused(&bridge, &sid, false).await
}

async fn set_paused(bridge: &Bridge, sid: &str, paused: bool) -> Result<Response, Problem> {
    let entry = on_the_line(bridge, sid).await?;
    if entry.pulse.set_paused(paused, crate::clock::now()) {
        let what = if paused { "the call is paused, as asked" } else { "the call goes on, as asked" };
        tracing::info!(session = %entry.session, call = %entry.call_sid, "{what}");
    }
    let (call_sid, session) = (entry.call_sid.as_str(), entry.session.as_str());
    Ok(Json(json!({"call_sid": call_sid, "session_id": session, "paused": paused})).into_response())
}

/// A change in words, and what stands against it.
fn told(change: &Change) -> (&'static str, Option<String>) {
    match change {
        Change::AtSilence => ("next_silence", None),
        Change::OnReconnect => ("next_connection", None),
        Change::Asked => ("when_the_service_answers", None),
        Change::Overtaken => ("never", Some("the track has ended, or another change came in between".to_owned())),
        Change::Refused(refusal) => ("never", Some(refusal.to_string())),
    }
}

fn about(entry: &Entry<Line>, tracks: &Value) -> Value {
    json!({"call_sid": entry.call_sid.as_str(), "session_id": entry.session.as_str(), "tracks": tracks})
}

/// The session, if words of it may still come.
async fn on_the_line(bridge: &Bridge, sid: &str) -> Result<Entry<Line>, Problem> {
    let session = calls::find(bridge, sid).await?;
    let entry = calls::entry(bridge, &session.start.id).filter(|_| session.ended.is_none());
    let is_live = |entry: &Entry<Line>| matches!(entry.pulse.state(), SessionState::Live | SessionState::Waiting);
    entry.filter(is_live).ok_or_else(|| problem(&Unchanged::Over))
}

fn problem(why: &Unchanged) -> Problem {
    match why {
        Unchanged::Over => Problem::new(StatusCode::CONFLICT, "the call is over; only one that is on the line can be changed"),
        Unchanged::Busy => Problem::new(StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
        Unchanged::Value(bad) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, bad.to_string()),
        Unchanged::Refused(refusal) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("the call goes on as before: {refusal}"))
        }
    }
}
