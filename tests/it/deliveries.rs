//! The outbox as an operator works with it, by API and by command line, and what an erased call leaves.

use std::process::{Command, Output, Stdio};

use hyper::Method;
use pulse_bridge::receive::{Received, Spec};
use serde_json::{Value, json};

use crate::{
    http::{ask, get},
    phone::{Phone, good_call, one_call},
    stage::{PATIENCE, Plan, Stage, until},
};

/// A stage whose receiver answers so.
async fn failing(spec: &str) -> Stage {
    let fail = std::iter::once(spec.parse::<Spec>().unwrap()).collect();
    Stage::with(Plan { fail, ..Plan::default() }).await
}

async fn items(stage: &Stage, query: &str) -> Vec<Value> {
    get(stage, &format!("/v1/deliveries?{query}")).await.json()["items"].as_array().unwrap().clone()
}

async fn retry(stage: &Stage, body: &str) -> crate::http::Answer {
    ask(stage, Method::POST, "/v1/deliveries/retry", &[("content-type", "application/json")], body).await
}

/// Deliveries until this event was taken so many times.
async fn until_taken(stage: &mut Stage, kind: &str) -> Received {
    loop {
        let delivery = stage.next_delivery().await;
        if delivery.kind == kind && delivery.status < 300 && delivery.status > 0 {
            return delivery;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_shows_its_attempts_and_goes_again_by_hand_with_the_same_bytes() {
    let mut stage = failing("status=503,retry_after=3600,type=call.completed,count=1").await;
    good_call(&stage, "CA1").await;
    let refused = loop {
        let delivery = stage.next_delivery().await;
        if delivery.status == 503 {
            break delivery;
        }
    };
    let waiting = loop {
        let found = items(&stage, "state=pending&call_sid=CA1").await;
        if found.first().is_some_and(|item| item["attempts"] == 1) {
            break found[0].clone();
        }
    };
    let path = format!("/v1/deliveries/{}", waiting["id"].as_str().unwrap());
    let whole = get(&stage, &path).await.json();
    let attempt = &whole["history"][0];
    assert_eq!((&attempt["n"], &attempt["status"], &attempt["failure"]), (&1.into(), &503.into(), &Value::Null));
    assert!(attempt["took_ms"].is_u64() && attempt["at"].is_string(), "{whole:#}");
    let sent = ask(&stage, Method::POST, &format!("{path}/retry"), &[], "").await;
    assert_eq!((sent.status, sent.json()), (202, json!({ "sent": 1 })));
    let again = until_taken(&mut stage, "call.completed").await;
    assert_eq!((again.webhook_id, again.body), (refused.webhook_id, refused.body));

    let by_filter = retry(&stage, r#"{"call_sid":"CA1","since":"2020-01-01T00:00:00Z"}"#).await;
    let all = items(&stage, "call_sid=CA1&limit=500").await.len();
    assert_eq!(by_filter.json(), json!({ "sent": all }));
    until_taken(&mut stage, "call.completed").await;
    assert_eq!(retry(&stage, r#"{"state":"parked"}"#).await.json(), json!({ "sent": 0 }));
    assert!(retry(&stage, "{}").await.problem(400).contains("would send everything"));
    assert!(retry(&stage, r#"{"state":"lost"}"#).await.problem(400).contains("state is pending, leased"));
    assert!(get(&stage, "/v1/deliveries?colour=blue").await.problem(400).contains("a field is unknown"));
    for missing in ["/v1/deliveries/dlv_01J9", "/v1/deliveries/dlv_01ARZ3NDEKTSV4RRFFQ69G5FAV"] {
        get(&stage, missing).await.problem(404);
        ask(&stage, Method::POST, &format!("{missing}/retry"), &[], "").await.problem(404);
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_call_is_not_erased_and_an_ended_one_leaves_nothing() {
    let mut stage = Stage::new().await;
    one_call(&mut stage, "CAgone").await;
    one_call(&mut stage, "CAkept").await;
    let mut live = Phone::dial(&stage, "CAlive").await;
    live.start().await;
    assert_eq!(stage.next_event().await["type"], "call.started");
    let erase = async |stage: &Stage, sid: &str| ask(stage, Method::DELETE, &format!("/v1/calls/{sid}"), &[], "").await;
    assert!(erase(&stage, "CAlive").await.problem(409).contains("end it first"));
    erase(&stage, "CAnobody").await.problem(404);
    assert_eq!(erase(&stage, "CAgone").await.status, 204);
    for path in ["/v1/calls/CAgone", "/v1/calls/CAgone/events", "/v1/calls/CAgone/transcript"] {
        get(&stage, path).await.problem(404);
    }
    erase(&stage, "CAgone").await.problem(404);
    assert!(items(&stage, "call_sid=CAgone").await.is_empty());
    assert!(!items(&stage, "call_sid=CAkept").await.is_empty());
    live.end().await;
    assert_eq!(stage.rest_of_events().await.last().unwrap()["data"]["call_sid"], "CAlive");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_under_way_when_its_call_is_erased_is_no_error_and_never_comes_again() {
    let mut stage = failing("delay_ms=300,type=call.completed").await;
    good_call(&stage, "CA1").await;
    until(|| stage.bridge.calls.registry().is_empty()).await;
    assert_eq!(ask(&stage, Method::DELETE, "/v1/calls/CA1", &[], "").await.status, 204);
    one_call(&mut stage, "CA2").await;
    assert!(items(&stage, "call_sid=CA1").await.is_empty());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_long_call_come_whole_page_after_page() {
    let mut stage = Stage::new().await;
    let mut phone = Phone::dial(&stage, "CAlong").await;
    phone.start().await;
    let frame = phone.media("inbound", 0, &[0xFF; 160]);
    phone.say(frame).await;
    for key in 0..450 {
        let stream = phone.stream.clone();
        phone.say(format!(r#"{{"event":"dtmf","streamSid":"{stream}","sequenceNumber":"{}","dtmf":{{"track":"inbound_track","digit":"1"}}}}"#, key + 3)).await;
    }
    phone.end().await;
    let events = stage.events_of("CAlong").await;
    let repeated = get(&stage, "/v1/calls/CAlong/events").await;
    let lines: Vec<Value> = repeated.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 400, "{}", lines.len());
    assert_eq!(lines, events);
    stage.end().await;
}

/// Runs `pulse-bridge deliveries …` against a bridge.
async fn deliveries(arguments: &[&str], url: &str, token: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulse-bridge"));
    command
        .arg("deliveries")
        .args(arguments)
        .args(["--url", url])
        .stdin(Stdio::null())
        .env_clear()
        .current_dir(std::env::temp_dir());
    if let Some(token) = token {
        command.env("PULSE_BRIDGE_API_TOKEN", token);
    }
    let running = tokio::task::spawn_blocking(move || command.output());
    tokio::time::timeout(PATIENCE, running).await.expect("it ends").unwrap().unwrap()
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_lists_shows_and_sends_again_and_says_what_to_do_where_it_cannot() {
    let settings = vec![("PULSE_BRIDGE_API_TOKEN", "operator-token-0123456789".to_owned())];
    let mut stage = Stage::with(Plan { settings, ..Plan::default() }).await;
    let events = one_call(&mut stage, "CA1").await;
    let (url, token) = (stage.http(""), Some("operator-token-0123456789"));
    let (code, table, _) =
        said(&deliveries(&["list", "--call-sid", "CA1", "--state", "delivered", "--limit", "1"], &url, token).await);
    assert_eq!(code, 0);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("id ") && lines[1].starts_with("dlv_"), "{table}");
    let (_, json, _) = said(&deliveries(&["--json"], &url, token).await);
    let listed: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), events.len());
    let id = listed["items"][1]["id"].as_str().unwrap();
    let (code, shown, _) = said(&deliveries(&["show", id], &url, token).await);
    assert!(code == 0 && shown.starts_with(&format!("delivery  {id}  delivered")) && shown.contains("\n1    20"), "{shown}");

    let unknown = "dlv_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let (code, sent, failed) = said(&deliveries(&["retry", id, unknown], &url, token).await);
    assert_eq!((code, sent), (1, format!("{id} sent again\n")));
    assert!(failed.starts_with(&format!("error: {unknown}: ")) && failed.contains("404"), "{failed}");
    stage.next_delivery().await;
    let (code, sent, _) = said(&deliveries(&["retry", "--parked", "--endpoint", "default", "--json"], &url, token).await);
    assert_eq!((code, sent.as_str()), (0, "{\"sent\":0}\n"));

    let (code, _, why) = said(&deliveries(&["list"], &url, None).await);
    assert!(code == 1 && why.contains("wants its API token (401); give it as --token or PULSE_BRIDGE_API_TOKEN"), "{why}");
    let (code, _, why) = said(&deliveries(&["show", "dlv_1/../x"], &url, token).await);
    assert!(code == 2 && why.contains("is no delivery's id"), "{why}");
    stage.end().await;
    let (code, _, why) = said(&deliveries(&["list", "--json"], &url, token).await);
    let why: Value = serde_json::from_str(&why).unwrap();
    assert!(code == 1 && why["error"].as_str().unwrap().contains("start the bridge (pulse-bridge serve)"), "{why}");
}
