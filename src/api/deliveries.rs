//! The outbox as it stands.

use std::num::NonZeroU32;

use axum::{
    Json,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use super::{
    Bridge,
    calls::{Items, cursor, unreadable},
    problem::Problem,
};
use crate::{
    event::rfc3339,
    store::{Delivery, DeliveryFilter, DeliveryState},
};

/// Which deliveries to list.
#[derive(Deserialize)]
pub struct ListQuery {
    state: Option<String>,
    endpoint: Option<String>,
    call_sid: Option<String>,
    limit: Option<NonZeroU32>,
    cursor: Option<String>,
}

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

/// `GET /v1/deliveries`: newest first.
pub async fn list(State(bridge): State<Bridge>, Query(query): Query<ListQuery>) -> Result<Response, Problem> {
    if query.state.as_deref().is_some_and(|state| DeliveryState::of(state).is_none()) {
        return Err(Problem::bad_request("state is pending, leased, delivered or parked"));
    }
    let cursor = cursor(query.cursor, "dlv_")?;
    let filter = DeliveryFilter {
        state: query.state,
        endpoint: query.endpoint,
        call_sid: query.call_sid,
        limit: query.limit.map_or(0, NonZeroU32::get),
        cursor,
        ..DeliveryFilter::default()
    };
    let page = bridge.store().deliveries(filter).await.map_err(|why| unreadable(&why))?;
    Ok(Json(Items::of(page, shown)).into_response())
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
        state: delivery.state.as_str(),
        attempts: delivery.attempts,
        next_at: waits.then(|| rfc3339(delivery.next_wall_ms)),
        reason: delivery.reason,
        event_at: rfc3339(delivery.event_wall_ms),
    }
}
