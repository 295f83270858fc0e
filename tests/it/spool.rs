//! What memory does not hold: an outage of a call that goes on, the bound of the disk, a shutdown while the service is away.

use std::time::{Duration, Instant};

use pulse_bridge::{
    clock,
    emulate::{Fault, Faults},
    media::CallSid,
    registry::SessionState,
    replay::{self, Progress, Recording},
};
use serde_json::Value;
use url::Url;

use crate::{
    log,
    phone::assert_whole,
    stage::{Plan, Stage, ids, load, of_type, text_of, until},
};

/// Tries of a link until it is let in: more than twenty seconds of them. After ten a sender that is faster than speech is not kept waiting, so all of
/// a recording comes, and memory has forgotten most of it when the service is back.
const TRIES: [u32; 7] = [0, 1, 2, 3, 4, 5, 6];

fn away() -> Faults {
    Faults::default().and_on_attempts(&TRIES, Fault::Refuse { status: 503, retry_after: None })
}

async fn staged(faults: Faults, settings: Vec<(&'static str, String)>) -> Stage {
    log::watch();
    Stage::with(Plan { faults, settings, ..Plan::default() }).await
}

async fn played(stage: &mut Stage, call: &str) -> Vec<Value> {
    let phone = replay::Settings { ids: Some(ids(call, &format!("MZ-{call}"))), ..stage.phone() };
    stage.call_as("pay-by-card", &phone).await;
    stage.events_of(call).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_longer_than_memory_costs_no_word() {
    let usual = async {
        let mut stage = staged(Faults::default(), Vec::new()).await;
        let events = played(&mut stage, "CAusual").await;
        stage.end().await;
        events
    };
    let cut = async {
        let settings = vec![("PULSE_BRIDGE_UPSTREAM_CATCH_UP", "60 s".to_owned())];
        let mut stage = staged(away(), settings).await;
        let events = played(&mut stage, "CAoutage").await;
        stage.end().await;
        events
    };
    let (usual, cut) = tokio::join!(usual, cut);
    for track in ["inbound", "outbound"] {
        assert_eq!(text_of(&cut, track), text_of(&usual, track));
    }
    assert_eq!(of_type(&cut, "transcript.gap").len(), 0);
    assert_eq!(of_type(&cut, "call.completed")[0]["complete"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_bound_of_the_spool_the_oldest_audio_is_told_as_a_gap_and_the_rest_is_heard() {
    let settings =
        vec![("PULSE_BRIDGE_UPSTREAM_CATCH_UP", "60 s".to_owned()), ("PULSE_BRIDGE_SPOOL_PER_TRACK", "20 s".to_owned())];
    let mut stage = staged(away(), settings).await;
    let events = played(&mut stage, "CAfull").await;
    let gaps = of_type(&events, "transcript.gap");
    assert!(!gaps.is_empty() && gaps.iter().all(|gap| gap["reason"] == "spool_full"), "{gaps:#?}");
    let told = |track: &str| -> Vec<(u64, u64)> {
        let of = gaps.iter().filter(|gap| gap["track"] == track);
        of.map(|gap| (gap["from_ms"].as_u64().unwrap(), gap["to_ms"].as_u64().unwrap())).collect()
    };
    let inbound = told("inbound");
    assert_eq!(inbound[0].0, 0, "from the oldest on: {inbound:?}");
    assert!(inbound.windows(2).all(|pair| pair[0].1 == pair[1].0), "without a hole between: {inbound:?}");
    let finals = of_type(&events, "transcript.final");
    let behind = inbound.last().unwrap().1;
    let of_inbound: Vec<_> = finals.iter().filter(|said| said["track"] == "inbound").collect();
    assert!(!of_inbound.is_empty() && of_inbound.iter().all(|said| said["end_ms"].as_u64().unwrap() > behind));
    let completed = of_type(&events, "call.completed")[0];
    assert_eq!(completed["complete"], false);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_while_the_service_is_away_is_short_and_the_next_start_does_the_rest() {
    let settings = vec![("PULSE_BRIDGE_UPSTREAM_CATCH_UP", "60 s".to_owned())];
    let mut stage = staged(away(), settings).await;
    let data_dir = stage.data_dir.join("stopped");
    let first = stage.another(&data_dir).await;
    let to = Url::parse(&format!("ws://{}/media/twilio", first.address)).unwrap();
    let phone = replay::Settings { to, ids: Some(ids("CAstopped", "MZstopped")), ..stage.phone() };
    replay::play(&Recording::of_fixture(load("mid-word")), &phone, &Progress::default()).await;
    let call = CallSid::new("CAstopped").unwrap();
    let state = || first.calls.registry().newest(&call).map(|entry| entry.pulse.state());
    until(|| state() == Some(SessionState::Waiting)).await;
    let begun: Instant = clock::now();
    first.close().await;
    assert!(clock::now() - begun < Duration::from_secs(20), "it waits for nobody who is not there");

    let second = stage.another(&data_dir).await;
    assert_eq!(second.recovered, 1);
    let mut events = stage.events_of("CAstopped").await;
    let reason = &mut events.last_mut().unwrap()["data"]["end_reason"];
    assert_eq!(*reason, "disconnect", "as its stream had ended");
    *reason = "stop".into();
    assert_whole(&events);
    second.close().await;
    stage.end().await;
}
