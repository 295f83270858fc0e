//! Liveness, readiness, metrics and the schemas of the events.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{Bridge, problem::Problem};
use crate::{
    admission::Refused,
    clock,
    config::{self, Config},
    event,
    metrics::Metrics,
    store::Backlog,
    upstream::Fill,
};

/// What OpenMetrics is sent as.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Serialize)]
struct Part {
    state: &'static str,
    reason: String,
}

impl Part {
    fn new(ok: bool, good: (&'static str, &str), bad: (&'static str, &str)) -> Self {
        let (state, reason) = if ok { good } else { bad };
        Self { state, reason: reason.to_owned() }
    }
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    state: &'static str,
    store: Part,
    spool: Part,
    disk: Part,
    calls: Part,
    recovery: Part,
    connections: Part,
    twilio: Part,
    ingest: Part,
    speech: Speech,
}

#[derive(Serialize)]
struct Speech {
    engine: event::Speech,
    #[serde(flatten)]
    part: Part,
    sessions: Sessions,
}

/// Session slots of the speech service.
#[derive(Serialize)]
struct Sessions {
    in_use: usize,
    limit: usize,
    waiting: usize,
}

/// `GET /healthz`: the process answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: whether calls can be taken, and for each part a word and a reason; 503 where not.
pub async fn readyz(State(bridge): State<Bridge>) -> Response {
    let config = bridge.config();
    let store_ok = bridge.store().is_writable();
    let refuses = bridge.calls().refuses_now();
    let ready = refuses.is_none();
    let calls = Part { state: if ready { "ready" } else { "refusing" }, reason: calls_reason(&bridge, refuses) };
    let body = Readiness {
        ready,
        state: if ready { "ready" } else { "not ready" },
        store: Part::new(store_ok, ("ready", "events can be stored"), ("failing", "events cannot be stored; see the log")),
        spool: spool(&bridge),
        disk: disk(&bridge),
        calls,
        recovery: recovery(&bridge),
        connections: connections(&bridge),
        twilio: twilio(config),
        ingest: ingest(config),
        speech: Speech { engine: bridge.calls().speech(), part: speech(&bridge), sessions: sessions(&bridge) },
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

/// A spool that fails does not end readiness: a call that only a crash would harm is better than none.
fn spool(bridge: &Bridge) -> Part {
    match bridge.calls().spool_trouble() {
        Some(why) => Part { state: "failing", reason: format!("audio is not safe from a crash: {why}") },
        None => Part { state: "ready", reason: "audio is on disk until a final covers it".to_owned() },
    }
}

/// Nearly full ends readiness: what live calls are still to say needs the space that is left.
fn disk(bridge: &Bridge) -> Part {
    let standing = bridge.calls().space();
    Part { state: if standing.is_nearly_full() { "nearly_full" } else { "ready" }, reason: standing.to_string() }
}

/// Calls of an earlier run do not end readiness: new ones are taken beside them.
fn recovery(bridge: &Bridge) -> Part {
    let (left, unended) = (bridge.calls().left_to_recover(), bridge.calls().left_for_the_next_start());
    let coming = (left > 0).then(|| format!("calls of an earlier run that are still to be ended: {left}"));
    let reasons: Vec<String> = unended.iter().map(|(why, count)| format!("{count} ({})", why.as_str())).collect();
    let kept = format!("calls that are left for the next start to end: {}; erase one, or see the log", reasons.join(", "));
    let reason = coming.into_iter().chain((!unended.is_empty()).then_some(kept)).collect::<Vec<_>>().join("; ");
    match (left, unended.len()) {
        (0, 0) => Part { state: "ready", reason: "no call of an earlier run is left to be ended".to_owned() },
        (0, _) => Part { state: "failing", reason },
        _ => Part { state: "recovering", reason },
    }
}

/// Crowded connections do not end readiness: strangers give way to calls.
fn connections(bridge: &Bridge) -> Part {
    let (state, reason) = bridge.entrance().state();
    Part { state, reason }
}

fn twilio(config: &Config) -> Part {
    let (set, ingest) = (&config.twilio, &config.ingest);
    let (state, reason) = if !set.auth_tokens.is_empty() {
        ("ready", "signatures are checked")
    } else if set.allow_unsigned {
        ("open", "twilio.allow_unsigned is set: anybody may open a stream")
    } else if ingest.allow_unauthenticated {
        ("open", "ingest.allow_unauthenticated is set: anybody may open a stream")
    } else if !ingest.tokens.is_empty() {
        ("unset", "TWILIO_AUTH_TOKEN is not set: only ingest tokens are let in")
    } else {
        ("closed", config::NO_STREAM)
    };
    Part { state, reason: reason.to_owned() }
}

fn ingest(config: &Config) -> Part {
    let (twilio, ingest) = (&config.twilio, &config.ingest);
    let (state, reason) = if ingest.allow_unauthenticated {
        ("open", "ingest.allow_unauthenticated is set: anybody may open a stream of a dialect that has nothing set up")
    } else if twilio.auth_tokens.is_empty() && twilio.allow_unsigned {
        ("open", "twilio.allow_unsigned is set: streams of Twilio's dialect are not authenticated")
    } else if config.lets_no_stream_in() {
        ("closed", config::NO_STREAM)
    } else {
        ("ready", "streams are authenticated")
    };
    Part { state, reason: reason.to_owned() }
}

fn sessions(bridge: &Bridge) -> Sessions {
    let Fill { in_use, limit, waiting } = bridge.calls().sessions();
    Sessions { in_use, limit, waiting }
}

fn speech(bridge: &Bridge) -> Part {
    let sessions = sessions(bridge);
    match bridge.calls().health().trouble() {
        Some(reason) => Part { state: "failing", reason },
        None if sessions.waiting > 0 => {
            let reason = format!(
                "calls wait for a session: {} of {} are in use, {} waited for",
                sessions.in_use, sessions.limit, sessions.waiting
            );
            Part { state: "full", reason }
        }
        None if bridge.calls().registry().is_empty() => Part { state: "idle", reason: "no call needs it now".to_owned() },
        None => Part { state: "connected", reason: "calls are being transcribed".to_owned() },
    }
}

fn calls_reason(bridge: &Bridge, refuses: Option<Refused>) -> String {
    match refuses {
        Some(refused) => refused.reason().to_owned(),
        None => format!("{} of {} calls on the line", bridge.calls().registry().len(), bridge.config().ingest.max_calls),
    }
}

/// `GET /metrics`.
pub async fn metrics(State(bridge): State<Bridge>) -> impl IntoResponse {
    match bridge.store().backlogs().await {
        Ok(backlogs) => {
            let set = bridge.config().webhook.endpoints.iter().map(|endpoint| endpoint.name.as_str());
            show_outbox(bridge.metrics(), set, &backlogs);
        }
        Err(why) => tracing::error!(%why, "failed to count what waits in the outbox"),
    }
    let entrance = bridge.entrance();
    bridge.metrics().entrance(entrance.connections(), entrance.strangers().len(), entrance.unstarted().len());
    ([(header::CONTENT_TYPE, OPEN_METRICS)], bridge.metrics().render())
}

fn show_outbox<'a>(metrics: &Metrics, set: impl Iterator<Item = &'a str>, backlogs: &[Backlog]) {
    let mut names = metrics.outbox_told();
    names.extend(set.map(str::to_owned));
    names.extend(backlogs.iter().map(|backlog| backlog.endpoint.clone()));
    let now = clock::wall_ms();
    for name in &names {
        let backlog = backlogs.iter().find(|backlog| backlog.endpoint == *name);
        let (pending, parked) = backlog.map_or((0, 0), |backlog| (backlog.pending, backlog.parked));
        let oldest_ms = backlog.and_then(|backlog| backlog.oldest_wall_ms).map_or(0, |oldest| now.saturating_sub(oldest));
        metrics.outbox(name, pending, parked, Duration::from_millis(oldest_ms));
    }
}

/// `GET /schemas/{type}.json`.
pub async fn schema(Path(file): Path<String>) -> Result<impl IntoResponse, Problem> {
    let schema = file.strip_suffix(".json").and_then(event::schema);
    let schema = schema.ok_or_else(|| Problem::not_found("there is no event type of this name"))?;
    Ok(([(header::CONTENT_TYPE, "application/schema+json")], schema))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_is_gone_with_its_deliveries_is_told_of_as_empty() {
        let metrics = Metrics::default();
        let gone = Backlog { endpoint: "gone".into(), pending: 3, parked: 2, oldest_wall_ms: Some(1) };
        show_outbox(&metrics, ["crm"].into_iter(), &[gone]);
        let shows = |line: &str| metrics.render().lines().any(|shown| shown == format!("pulse_bridge_outbox_{line}"));
        assert!(
            shows("pending{endpoint=\"gone\"} 3") && shows("parked{endpoint=\"gone\"} 2") && shows("pending{endpoint=\"crm\"} 0")
        );
        show_outbox(&metrics, ["crm"].into_iter(), &[]);
        assert!(shows("pending{endpoint=\"gone\"} 0") && shows("parked{endpoint=\"gone\"} 0"), "{}", metrics.render());
        assert!(
            shows("oldest_seconds{endpoint=\"gone\"} 0.0") || shows("oldest_seconds{endpoint=\"gone\"} 0"),
            "{}",
            metrics.render()
        );
    }
}
