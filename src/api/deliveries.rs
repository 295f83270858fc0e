//! The outbox as it stands, one delivery with its history, and sending again.
//!
//! Promises: a filter that cannot be read is refused by the name of its field, never read as none; what is sent again are the same bytes
//! under the same id to the same endpoint, and only what a filter names.

use axum::{
    Json,
    extract::{Path, RawQuery, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::{
    Bridge,
    calls::{Items, cursor, unreadable},
    problem::Problem,
    twilio,
};
use crate::{
    accept::Turned,
    event::rfc3339,
    store::{Delivery, DeliveryFilter, DeliveryState, StoreError, StoredAttempt, Write},
    webhook::DeliveryId,
};

/// What may be filtered by, in lists and for sending again.
const FIELDS: [&str; 5] = ["state", "endpoint", "call_sid", "since", "until"];

#[derive(Serialize)]
struct Shown {
    id: String,
    call_sid: String,
    session_id: String,
    event_id: String,
    seq: u64,
    #[serde(rename = "type")]
    kind: String,
    endpoint: String,
    state: &'static str,
    attempts: u32,
    next_at: Option<String>,
    reason: Option<String>,
    event_at: String,
}

/// With its attempts in place of their number.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    delivery: Shown,
    history: Vec<Attempt>,
}

#[derive(Serialize)]
struct Attempt {
    n: u32,
    at: String,
    took_ms: u64,
    /// Null where there was no answer.
    status: Option<u16>,
    /// Why there was none.
    failure: Option<String>,
    /// The first KiB of the answer; what is not UTF-8 in it is shown as U+FFFD.
    answer: Option<String>,
}

/// `GET /v1/deliveries`: newest first.
pub async fn list(State(bridge): State<Bridge>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let filter = filter_of_query(query.as_deref().unwrap_or_default())?;
    let page = bridge.store().deliveries(filter).await.map_err(|why| unreadable(&why))?;
    Ok(Json(Items::of(page, shown)).into_response())
}

/// `GET /v1/deliveries/{id}`: with each attempt.
pub async fn one(State(bridge): State<Bridge>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id = DeliveryId::parse(&id).ok_or_else(unknown)?;
    let found = bridge.store().delivery(id).await.map_err(|why| unreadable(&why))?;
    let (delivery, attempts) = found.ok_or_else(unknown)?;
    Ok(Json(Whole { delivery: shown(delivery), history: attempts.into_iter().map(attempt).collect() }).into_response())
}

/// `POST /v1/deliveries/{id}/retry`: in whatever state it is.
pub async fn retry(State(bridge): State<Bridge>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id = DeliveryId::parse(&id).ok_or_else(unknown)?;
    let committed = bridge.store().commit(vec![Write::Retry(id)]).await.map_err(|why| unwritable(&why))?;
    match committed.retried {
        0 => Err(unknown()),
        sent => {
            tracing::info!(delivery = %id, "sending a delivery again, as asked");
            Ok(answered(sent))
        }
    }
}

/// `POST /v1/deliveries/retry` with `{"state","endpoint","call_sid","since","until"}`, at least one of them: all that match.
pub async fn retry_all(State(bridge): State<Bridge>, request: Request) -> Result<Response, Problem> {
    let body = twilio::body_within(twilio::BODY_TIMEOUT, request).await.map_err(|turned| {
        let status = turned.and_then(Turned::status).unwrap_or(StatusCode::BAD_REQUEST);
        Problem::new(status, "the body is too long, or did not come in time")
    })?;
    let (store, filter) = (bridge.store().clone(), filter_of_body(&body)?);
    // On a task of its own, so that who asks and goes away leaves nothing half done.
    let sending = bridge.tasks().spawn(async move { store.retry_all(filter).await });
    let sent = sending.await.unwrap_or(Err(StoreError::Closed)).map_err(|why| unwritable(&why))?;
    tracing::info!(sent, "sending deliveries again, as asked");
    Ok(answered(sent))
}

fn answered(sent: u64) -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "sent": sent }))).into_response()
}

fn unknown() -> Problem {
    Problem::not_found("there is no delivery of this name; GET /v1/deliveries lists them")
}

/// A write that failed, as a refusal.
pub fn unwritable(why: &StoreError) -> Problem {
    tracing::error!(%why, "failed to write to the store");
    Problem::unavailable("the store cannot be written now; see /readyz and the log")
}

/// Everything but paging comes from [`set`]; `limit` and `cursor` are the list's own.
fn filter_of_query(query: &str) -> Result<DeliveryFilter, Problem> {
    let mut filter = DeliveryFilter::default();
    let mut seen = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if seen.contains(&name) {
            return Err(Problem::bad_request("a field of the query stands there twice; give each once"));
        }
        match name.as_ref() {
            "limit" => {
                let limit = value.parse().ok().filter(|limit| *limit > 0);
                filter.limit = limit.ok_or_else(|| Problem::bad_request("limit is a whole number from 1 up"))?;
            }
            "cursor" => filter.cursor = cursor(Some(value.into_owned()), "dlv_")?,
            field => set(&mut filter, field, &value)?,
        }
        seen.push(name);
    }
    Ok(filter)
}

fn filter_of_body(body: &[u8]) -> Result<DeliveryFilter, Problem> {
    let example = r#"send {"state":"parked"}, with "endpoint", "call_sid", "since" or "until" to narrow it"#;
    let fields: Map<String, Value> = serde_json::from_slice(body).map_err(|_| Problem::bad_request(example))?;
    let mut filter = DeliveryFilter::default();
    for (name, value) in &fields {
        match value {
            Value::String(text) => set(&mut filter, name, text)?,
            Value::Null if FIELDS.contains(&name.as_str()) => {}
            _ => return Err(Problem::bad_request(format!("every field is text; {example}"))),
        }
    }
    // All that ever was, delivered or not, is what nobody means.
    let is_empty = fields.values().all(Value::is_null);
    if is_empty {
        Err(Problem::bad_request(format!("a filter that names nothing would send everything; {example}")))
    } else {
        Ok(filter)
    }
}

fn set(filter: &mut DeliveryFilter, field: &str, value: &str) -> Result<(), Problem> {
    let refused = |why: &str| Err(Problem::bad_request(why));
    match field {
        "state" => match DeliveryState::of(value) {
            None => return refused("state is pending, leased, delivered or parked"),
            known => filter.state = known,
        },
        "endpoint" if !value.is_empty() => filter.endpoint = Some(value.to_owned()),
        "endpoint" => return refused("endpoint is the name of one; leave it out for all"),
        "call_sid" if !value.is_empty() => filter.call_sid = Some(value.to_owned()),
        "call_sid" => return refused("call_sid is a CallSid or a session id; leave it out for all"),
        "since" => filter.since_wall_ms = Some(time("since", value)?),
        "until" => filter.until_wall_ms = Some(time("until", value)?),
        // The name is the asker's, and so is not repeated.
        _ => return refused(&format!("a field is unknown; known are {}, and limit and cursor in a list", FIELDS.join(", "))),
    }
    Ok(())
}

/// RFC 3339 with any offset, to the millisecond.
fn time(field: &str, text: &str) -> Result<u64, Problem> {
    let parsed = text.parse::<jiff::Timestamp>().ok().and_then(|time| u64::try_from(time.as_millisecond()).ok());
    parsed.ok_or_else(|| Problem::bad_request(format!("{field} is a time such as 2026-01-31T12:00:00Z, from 1970 on")))
}

fn shown(delivery: Delivery) -> Shown {
    let waits = delivery.state == DeliveryState::Pending;
    Shown {
        id: delivery.id.to_string(),
        call_sid: delivery.call_sid.into(),
        session_id: delivery.session.into(),
        event_id: delivery.event_id,
        seq: delivery.seq,
        kind: delivery.kind,
        endpoint: delivery.endpoint.into(),
        next_at: waits.then(|| rfc3339(delivery.next_wall_ms)),
        state: delivery.state.as_str(),
        attempts: delivery.attempts,
        reason: delivery.reason,
        event_at: rfc3339(delivery.event_wall_ms),
    }
}

fn attempt(stored: StoredAttempt) -> Attempt {
    Attempt {
        n: stored.n,
        at: rfc3339(stored.wall_ms),
        took_ms: stored.took_ms,
        status: stored.status,
        failure: stored.failure,
        answer: stored.answer.map(|answer| String::from_utf8_lossy(&answer).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(problem: Result<DeliveryFilter, Problem>) -> String {
        problem.map(|_| ()).expect_err("it is refused").detail().to_owned()
    }

    #[test]
    fn a_filter_of_a_body_is_what_it_names() {
        let body = br#"{"state":"parked","endpoint":"crm","call_sid":"CA1","since":"1970-01-01T00:00:01.5Z","until":"1970-01-01T01:00:02+01:00"}"#;
        let filter = filter_of_body(body).unwrap();
        assert_eq!(
            (filter.state.map(DeliveryState::as_str), filter.endpoint.as_deref(), filter.call_sid.as_deref()),
            (Some("parked"), Some("crm"), Some("CA1"))
        );
        assert_eq!((filter.since_wall_ms, filter.until_wall_ms), (Some(1_500), Some(2_000)));
        assert_eq!(filter_of_body(br#"{"state":"leased","endpoint":null}"#).unwrap().endpoint, None);
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_its_name_and_nothing_is_taken_for_everything() {
        for (body, expected) in [
            (&b""[..], "send {\"state\":\"parked\"}"),
            (b"[]", "send {"),
            (b"{}", "would send everything"),
            (br#"{"state":null}"#, "would send everything"),
            (br#"{"state":"lost"}"#, "state is pending, leased, delivered or parked"),
            (br#"{"state":7}"#, "every field is text"),
            (br#"{"stat":"parked"}"#, "a field is unknown; known are state, endpoint"),
            (br#"{"parked":null}"#, "every field is text"),
            (br#"{"state":"parked","since":"yesterday"}"#, "since is a time such as"),
            (br#"{"until":"1969-12-31T00:00:00Z"}"#, "until is a time such as"),
            (br#"{"endpoint":""}"#, "endpoint is the name of one"),
            (br#"{"limit":"5"}"#, "a field is unknown"),
        ] {
            let said = refusal(filter_of_body(body));
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_query_adds_a_page_and_each_field_stands_once() {
        let filter = filter_of_query("state=leased&limit=7&endpoint=a%20b").unwrap();
        assert_eq!(
            (filter.state.map(DeliveryState::as_str), filter.limit, filter.endpoint.as_deref()),
            (Some("leased"), 7, Some("a b"))
        );
        filter_of_query("").unwrap();
        for (query, expected) in [
            ("limit=0", "from 1 up"),
            ("limit=many", "from 1 up"),
            ("cursor=dlv_zzz", "next_cursor"),
            ("state=parked&state=pending", "twice"),
            ("colour=blue", "a field is unknown"),
            ("call_sid=", "call_sid is a CallSid or a session id"),
        ] {
            let said = refusal(filter_of_query(query));
            assert!(said.contains(expected) && !said.contains("blue"), "{said}");
        }
    }
}
