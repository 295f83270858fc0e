//! The operator's routes, asked as a user asks them.

use hyper::Method;
use pulse_bridge::event;
use serde_json::Value;

use crate::{
    http::{ask, get, get_with},
    phone::{Phone, good_call, until_completed},
    stage::{AUTH_TOKEN, Plan, Stage, accepted, of_type},
};

#[tokio::test(flavor = "multi_thread")]
async fn liveness_readiness_and_metrics_answer_as_the_contract_says() {
    let mut stage = Stage::new().await;
    assert_eq!(get(&stage, "/healthz").await.status, 200);
    let ready = get(&stage, "/readyz").await;
    assert_eq!((ready.status, ready.header("content-type")), (200, "application/json"));
    for part in ["store", "calls", "twilio", "ingest", "speech"] {
        let part = &ready.json()[part];
        assert!(part["state"].is_string() && part["reason"].is_string(), "{part}");
    }
    good_call(&stage, "CAcounted").await;
    until_completed(&mut stage, &["CAcounted"]).await;
    let metrics = get(&stage, "/metrics").await;
    assert_eq!(metrics.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    for line in [
        r#"pulse_bridge_calls_total{dialect="twilio",end_reason="stop"} 1"#,
        r#"pulse_bridge_media_frames_total{dialect="twilio",track="inbound"} 580"#,
        r#"pulse_bridge_outbox_parked{endpoint="default"} 0"#,
        r#"pulse_bridge_webhook_attempts_total{endpoint="default",verdict="delivered"}"#,
        "pulse_bridge_upstream_final_seconds_count",
    ] {
        assert!(metrics.text().contains(line), "{line} is not in\n{}", metrics.text());
    }
    assert!(metrics.text().ends_with("# EOF\n"));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_who_is_let_in() {
    const ONLY_TOKENS: &str = "only ingest tokens are let in";
    let open = ("PULSE_BRIDGE_TWILIO_ALLOW_UNSIGNED", "true");
    let tokens = ("PULSE_BRIDGE_INGEST_TOKENS", "let-me-in");
    let anybody = ("PULSE_BRIDGE_INGEST_ALLOW_UNAUTHENTICATED", "true");
    let signed = ("TWILIO_AUTH_TOKEN", AUTH_TOKEN);
    // The settings, then for each part its state and what its reason says.
    let plans = [
        (&[open, signed][..], ("ready", "signatures"), ("ready", "are authenticated")),
        (&[open], ("open", "twilio.allow_unsigned"), ("open", "not authenticated")),
        (&[open, tokens], ("open", "twilio.allow_unsigned"), ("open", "not authenticated")),
        (&[anybody], ("open", "ingest.allow_unauthenticated"), ("open", "ingest.allow_unauthenticated")),
        (&[tokens], ("unset", ONLY_TOKENS), ("ready", "are authenticated")),
        (&[], ("closed", "no stream can get in: set TWILIO_AUTH_TOKEN"), ("closed", "no stream can get in")),
    ];
    for (settings, twilio, ingest) in plans {
        let without = if settings.contains(&signed) { vec![] } else { vec!["TWILIO_AUTH_TOKEN"] };
        let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let stage = Stage::with(Plan { settings, without, ..Plan::default() }).await;
        let ready = get(&stage, "/readyz").await.json();
        for (part, (state, reason)) in [("twilio", twilio), ("ingest", ingest)] {
            let part = &ready[part];
            assert!(part["state"] == state && part["reason"].as_str().unwrap().contains(reason), "{state}, {reason}: {part}");
        }
        let unsigned = get(&stage, "/media/twilio").await.status;
        assert_eq!(unsigned == 403, twilio.0 != "open", "{twilio:?} {unsigned}");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schemas_served_are_those_that_events_are_held_to() {
    let stage = Stage::new().await;
    for kind in event::KINDS {
        let served = get(&stage, &format!("/schemas/{kind}.json")).await;
        assert_eq!((served.status, served.text()), (200, event::schema(kind).unwrap()), "{kind}");
    }
    get(&stage, "/schemas/call.exploded.json").await.problem(404);
    get(&stage, "/schemas/call.started").await.problem(404);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_listed_newest_first_page_by_page_and_by_state() {
    let mut stage = Stage::new().await;
    for call in ["CA1", "CA2", "CA3"] {
        let mut phone = Phone::dial(&stage, call).await;
        phone.start().await;
        phone.end().await;
        until_completed(&mut stage, &[call]).await;
    }
    let mut live = Phone::dial(&stage, "CAlive").await;
    live.start().await;
    assert_eq!(stage.next_event().await["type"], "call.started");

    assert_eq!(sids(&get(&stage, "/v1/calls").await.json()), ["CAlive", "CA3", "CA2", "CA1"]);
    let first = get(&stage, "/v1/calls?state=ended&limit=2").await.json();
    assert_eq!(sids(&first), ["CA3", "CA2"]);
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let second = get(&stage, &format!("/v1/calls?state=ended&limit=2&cursor={cursor}")).await.json();
    assert_eq!((sids(&second), &second["next_cursor"]), (vec!["CA1"], &Value::Null));
    let now = get(&stage, "/v1/calls?state=live").await.json();
    assert_eq!((sids(&now), &now["items"][0]["state"]), (vec!["CAlive"], &"live".into()));
    get(&stage, "/v1/calls?state=asleep").await.problem(400);
    for list in ["/v1/calls", "/v1/deliveries"] {
        for limit in ["0", "-1", "many", ""] {
            assert!(get(&stage, &format!("{list}?limit={limit}")).await.problem(400).contains("from 1 up"), "{list} {limit}");
        }
        for made_up in ["zzz", "", "ses_", "dlv_zzz", &cursor.to_lowercase()] {
            let answer = get(&stage, &format!("{list}?cursor={made_up}")).await;
            assert!(answer.problem(400).contains("next_cursor"), "{list} {made_up}");
        }
        let first = get(&stage, &format!("{list}?limit=1")).await.json();
        let next = first["next_cursor"].as_str().expect("there is more");
        let second = get(&stage, &format!("{list}?limit=1&cursor={next}")).await.json();
        assert_ne!(first["items"], second["items"], "{list}");
    }
    get(&stage, &format!("/v1/deliveries?cursor={cursor}")).await.problem(400);
    get(&stage, "/v1/calls/%FF").await.problem(400);
    let wrong = ask(&stage, Method::POST, "/v1/calls", &[], "").await;
    wrong.problem(405);
    assert!(wrong.header("allow").contains("GET"));

    let by_call = get(&stage, "/v1/calls/CA2").await.json();
    let session = by_call["session_id"].as_str().unwrap();
    assert_eq!(get(&stage, &format!("/v1/calls/{session}")).await.json(), by_call);
    assert_eq!(
        (&by_call["state"], &by_call["end_reason"], &by_call["complete"]),
        (&"ended".into(), &"stop".into(), &true.into())
    );
    for missing in ["/v1/calls/CA4", "/v1/calls/ses_none", "/v1/calls/CA4/events", "/v1/calls/CA4/transcript", "/v1/nothing"] {
        get(&stage, missing).await.problem(404);
    }
    live.stop().await;
    stage.end().await;
}

fn sids(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|call| call["call_sid"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_repeated_byte_for_byte_and_the_transcript_is_theirs() {
    let mut stage = Stage::new().await;
    good_call(&stage, "CAagain").await;
    let (mut posted, mut events) = (Vec::new(), Vec::new());
    while events.last().is_none_or(|event: &Value| event["type"] != "call.completed") {
        let delivery = stage.next_delivery().await;
        events.push(accepted(&delivery));
        posted.push([&delivery.body[..], b"\n"].concat());
    }
    let all = get(&stage, "/v1/calls/CAagain/events").await;
    assert_eq!(all.header("content-type"), "application/x-ndjson");
    assert_eq!(all.text(), String::from_utf8(posted.concat()).unwrap());
    for after in 0..=posted.len() {
        let rest = get(&stage, &format!("/v1/calls/CAagain/events?after_seq={after}")).await;
        assert_eq!(rest.body, posted[after..].concat());
    }
    assert!(get(&stage, "/v1/calls/CAagain/events?after_seq=18446744073709551615").await.body.is_empty());
    get(&stage, "/v1/calls/CAagain/events?after_seq=-1").await.problem(400);

    let transcript = get(&stage, "/v1/calls/CAagain/transcript").await.json();
    let completed = of_type(&events, "call.completed")[0];
    assert_eq!(transcript["segments"], completed["transcript"]);
    assert_eq!((&transcript["call_sid"], &transcript["state"]), (&"CAagain".into(), &"ended".into()));
    assert_eq!(get(&stage, "/v1/calls/CAagain/transcript?format=json").await.json(), transcript);
    assert!(get(&stage, "/v1/calls/CAagain/transcript?format=srt").await.problem(404).contains("not of this version yet"));
    get(&stage, "/v1/calls/CAagain/transcript?format=song").await.problem(400);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_listed_by_state_endpoint_and_call() {
    let mut stage = Stage::new().await;
    for call in ["CA1", "CA2"] {
        good_call(&stage, call).await;
    }
    let events = until_completed(&mut stage, &["CA1", "CA2"]).await;
    let mine = get(&stage, "/v1/deliveries?call_sid=CA1&endpoint=default").await.json();
    let items = mine["items"].as_array().unwrap();
    assert_eq!(items.len(), events["CA1"].len(), "one delivery an event");
    for (item, event) in items.iter().rev().zip(&events["CA1"]) {
        assert_eq!((&item["event_id"], &item["type"]), (&event["data"]["event_id"], &event["type"]));
        assert!(item["id"].as_str().unwrap().starts_with("dlv_"));
        // In seq order, so all but the last are known to have been taken.
        let is_last = event["type"] == "call.completed";
        assert!(is_last || (item["state"] == "delivered" && item["attempts"] == 1), "{item:#}");
    }
    assert_eq!(get(&stage, "/v1/deliveries?state=parked").await.json()["items"], Value::Array(Vec::new()));
    assert_eq!(get(&stage, "/v1/deliveries?endpoint=nobody").await.json()["items"], Value::Array(Vec::new()));
    get(&stage, "/v1/deliveries?state=lost").await.problem(400);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_api_token_the_operator_s_routes_want_it() {
    let settings = vec![("PULSE_BRIDGE_API_TOKEN", "operator-token-0123456789".to_owned())];
    let stage = Stage::with(Plan { settings, ..Plan::default() }).await;
    for path in ["/v1/calls", "/v1/calls/CA1", "/v1/calls/CA1/events", "/v1/deliveries", "/metrics", "/v1/live"] {
        let bare = get(&stage, path).await;
        bare.problem(401);
        assert_eq!(bare.header("www-authenticate"), "Bearer", "{path}");
        let wrong = get_with(&stage, path, &[("authorization", "Bearer operator-token-012345678")]).await;
        assert!(!wrong.problem(401).contains("operator-token"));
        let right = [("authorization", "Bearer operator-token-0123456789"), ("x-forwarded-for", "192.0.2.1")];
        assert_ne!(get_with(&stage, path, &right).await.status, 401, "{path}");
    }
    assert_eq!(get(&stage, "/healthz").await.status, 200);
    assert_eq!(get(&stage, "/readyz").await.status, 200);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_api_token_nothing_that_a_proxy_passed_on_is_answered() {
    let stage = Stage::new().await;
    let usual = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via"];
    let of_networks = ["cf-connecting-ip", "true-client-ip", "x-client-ip", "fastly-client-ip", "x-cluster-client-ip"];
    for header in usual.into_iter().chain(of_networks) {
        for path in ["/v1/calls", "/v1/deliveries", "/metrics"] {
            assert!(get_with(&stage, path, &[(header, "for=192.0.2.1")]).await.problem(403).contains("api_token"));
        }
        assert_eq!(get_with(&stage, "/healthz", &[(header, "x")]).await.status, 200);
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_version_lacks_says_so() {
    let stage = Stage::new().await;
    for dialect in ["signalwire", "telnyx", "plivo", "exotel", "vonage", "audiohook", "jambonz", "freeswitch", "asterisk"] {
        for path in [format!("/media/{dialect}"), format!("/media/{dialect}/token")] {
            let detail = get(&stage, &path).await.problem(404);
            assert!(detail.contains(dialect) && detail.contains("not of this version yet"), "{detail}");
        }
    }
    assert!(!get(&stage, "/media/carrier-pigeon").await.problem(404).contains("yet"));
    for path in ["/", "/openapi.json", "/v1/live", "/v1/calls/CA1/live"] {
        assert!(get(&stage, path).await.problem(404).contains("not of this version yet"), "{path}");
    }
    get(&stage, "/media/twilio").await.problem(403);
    let signed = [("x-twilio-signature", "any")];
    let too_long = ask(&stage, Method::POST, "/twilio/voice", &signed, &"x".repeat(100_000)).await;
    too_long.problem(413);
    stage.end().await;
}
