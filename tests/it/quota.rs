//! More calls than the speech service's plan has sessions, plans that are smaller than they are said to be, and a service that is killed.

use std::time::Duration;

use futures_util::future::join_all;
use pulse_bridge::{
    clock,
    emulate::{ConnectionLog, Faults},
    media::Track,
};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::{
    http,
    phone::{Phone, plain},
    stage::{PATIENCE, Plan, Stage, faults, load, of_type, text_of, until},
};

/// Audio of a message of these phones, in milliseconds: a call is a few dozen messages, so that many fit in a test.
const STEP_MS: u64 = 200;

/// Both sides of a recording, as far as the test says it.
#[derive(Clone)]
struct Spoken {
    audio: Vec<(Track, bytes::Bytes)>,
    text: Vec<(Track, String)>,
    length_ms: u64,
}

fn both_sides(fixture: &str) -> Spoken {
    let fixture = load(fixture);
    let tracks = [Track::Inbound, Track::Outbound];
    let words = |track: &Track| {
        let words = fixture.truth[track].words.iter().filter(|word| !word.cut);
        plain(&words.map(|word| word.text.as_str()).collect::<Vec<_>>().join(" "))
    };
    let longest = tracks.iter().map(|track| fixture.tracks[track].len() as u64).max().unwrap_or(0);
    Spoken {
        audio: tracks.iter().map(|track| (*track, fixture.tracks[track].clone())).collect(),
        text: tracks.iter().map(|track| (*track, words(track))).collect(),
        length_ms: longest / 8,
    }
}

/// How the phones of a test speak.
#[derive(Clone, Copy)]
enum Manner<'a> {
    /// As fast as the bridge takes it.
    Rushed,
    /// The same, but all calls meet half-way.
    Meeting(&'a Barrier),
    /// As people do.
    Paced,
}

/// One call of both tracks.
async fn call(stage: &Stage, name: String, spoken: &Spoken, manner: Manner<'_>) {
    let mut phone = Phone::dial(stage, &name).await;
    phone.start_with(&["inbound", "outbound"], &json!({})).await;
    let steps = spoken.length_ms.div_ceil(STEP_MS);
    let mut pace = tokio::time::interval(Duration::from_millis(STEP_MS));
    for step in 0..steps {
        match manner {
            Manner::Meeting(halfway) if step == steps / 2 => {
                halfway.wait().await;
                halfway.wait().await;
            }
            Manner::Paced => drop(pace.tick().await),
            Manner::Rushed | Manner::Meeting(_) => {}
        }
        for (track, audio) in &spoken.audio {
            let bytes = usize::try_from(STEP_MS * 8).unwrap();
            let from = (usize::try_from(step).unwrap() * bytes).min(audio.len());
            let piece = &audio[from..(from + bytes).min(audio.len())];
            if !piece.is_empty() {
                let media = phone.media(track.as_str(), step * STEP_MS, piece);
                phone.say(media).await;
            }
        }
    }
    phone.end().await;
}

async fn staged(rules: &str, settings: &[(&'static str, &str)]) -> Stage {
    crate::log::watch();
    let usual = [("PULSE_BRIDGE_UPSTREAM_CHUNK_MS", "200"), ("PULSE_BRIDGE_UPSTREAM_REPLAY_SPEED", "16")];
    let settings = usual.iter().chain(settings).map(|(name, value)| (*name, (*value).to_owned())).collect();
    Stage::with(Plan { faults: faults(rules), settings, ..Plan::default() }).await
}

/// Nothing was lost, and the call says so.
fn assert_whole(name: &str, events: &[Value], spoken: &Spoken) {
    let completed = &events.last().unwrap()["data"];
    assert_eq!(completed["complete"], true, "{name}: {completed:#}");
    for (track, text) in &spoken.text {
        assert_eq!(plain(&text_of(events, track.as_str())), *text, "{name} {track}");
    }
}

/// A gauge or a counter of the bridge.
async fn metric(stage: &Stage, name: &str) -> f64 {
    let answer = http::get(stage, "/metrics").await;
    let text = answer.text();
    let line = text.lines().find(|line| line.split(' ').next() == Some(&format!("pulse_bridge_{name}")));
    line.and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or_else(|| panic!("{name} is not in\n{text}"))
}

/// Slots are free a moment behind the last event.
async fn until_free(stage: &Stage) {
    until_in_use(stage, 0.0).await;
    assert!(metric(stage, "upstream_sessions_waiting").await < 1.0);
}

async fn until_in_use(stage: &Stage, slots: f64) {
    let freed = async { while (metric(stage, "upstream_sessions").await - slots).abs() > 0.5 {} };
    tokio::time::timeout(PATIENCE, freed).await.expect("slots are freed");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_than_the_plan_has_sessions_all_complete_in_turn() {
    let mut stage = staged(r#"{"kind":"limit","sessions":100}"#, &[("PULSE_BRIDGE_UPSTREAM_REPLAY_SPEED", "2")]).await;
    let spoken = both_sides("mid-word");
    let began = clock::now();
    join_all((0..150).map(|number| call(&stage, format!("CA{number}"), &spoken, Manner::Paced))).await;
    let ended = clock::now();
    let events = stage.events_of_all(150).await;
    let took = clock::now() - ended;
    for (name, events) in &events {
        assert_whole(name, events, &spoken);
    }
    let in_all = clock::now() - began;
    assert!(took < Duration::from_millis(2 * spoken.length_ms), "{took:?} after their end, {in_all:?} in all");
    until_free(&stage).await;
    assert!(stage.heard.most_open() <= 100, "{}", stage.heard.most_open());
    assert!(metric(&stage, "upstream_sessions_queued_total").await >= 100.0);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_smaller_than_it_was_said_to_be_loses_nothing() {
    join_all(["refuse", "close"].map(|how| async move {
        let mut stage = staged(&format!(r#"{{"kind":"limit","sessions":6,"how":"{how}"}}"#), &[]).await;
        let spoken = both_sides("mid-word");
        join_all((0..8).map(|number| call(&stage, format!("CA{how}{number}"), &spoken, Manner::Rushed))).await;
        for (name, events) in stage.events_of_all(8).await {
            assert_whole(&name, &events, &spoken);
        }
        until_free(&stage).await;
        assert!(stage.heard.most_open() <= 6);
        assert!(metric(&stage, "upstream_sessions_shrinks_total").await >= 1.0);
        assert!(metric(&stage, "upstream_sessions_limit").await < 100.0);
        stage.end().await;
    }))
    .await;
}

/// A call of both tracks that is on the line, and has its sessions.
async fn live_call(stage: &mut Stage, name: &str) -> Phone {
    let mut phone = Phone::dial(stage, name).await;
    phone.start_with(&["inbound", "outbound"], &json!({})).await;
    let started = stage.next_event().await;
    assert_eq!((&started["type"], &started["data"]["call_sid"]), (&"call.started".into(), &name.into()));
    phone
}

/// Whether finals of a track came by batch, each way there is.
fn recovered(events: &[Value], track: &str) -> Vec<bool> {
    let finals = of_type(events, "transcript.final").into_iter().filter(|data| data["track"] == track);
    let mut ways: Vec<bool> = finals.filter_map(|data| data["recovered"].as_bool()).collect();
    ways.dedup();
    ways
}

fn gaps(events: &[Value], track: &str) -> Vec<(u64, String)> {
    let gaps = of_type(events, "transcript.gap").into_iter().filter(|gap| gap["track"] == track);
    gaps.map(|gap| {
        (gap["to_ms"].as_u64().unwrap() - gap["from_ms"].as_u64().unwrap(), gap["reason"].as_str().unwrap().to_owned())
    })
    .collect()
}

const FEW: (&str, &str) = ("PULSE_BRIDGE_UPSTREAM_MAX_SESSIONS", "3");
const WHEN_FULL: &str = "PULSE_BRIDGE_UPSTREAM_WHEN_FULL";

/// A first call has two of three sessions; a second one comes, says all, and is over.
async fn second_call(when_full: &str) -> (Stage, Vec<Value>, Spoken) {
    let mut stage = staged("", &[FEW, (WHEN_FULL, when_full)]).await;
    let mut first = live_call(&mut stage, "CAfirst").await;
    let spoken = both_sides("mid-word");
    call(&stage, "CAsecond".to_owned(), &spoken, Manner::Rushed).await;
    let events = stage.events_of("CAsecond").await;
    until_in_use(&stage, 2.0).await;
    first.stop().await;
    stage.rest_of_events().await;
    until_free(&stage).await;
    (stage, events, spoken)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_track_the_caller_alone_is_streamed_where_both_do_not_fit() {
    let (stage, events, spoken) = second_call("one_track").await;
    assert_whole("CAsecond", &events, &spoken);
    assert_eq!((recovered(&events, "inbound"), recovered(&events, "outbound")), (vec![false], vec![true]));
    let streams = stage.heard_of("CAsecond");
    assert!(!streams.is_empty() && streams.iter().all(|stream| stream.route == 'A'), "{streams:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_batch_after_a_call_without_sessions_is_never_streamed() {
    let (stage, events, spoken) = second_call("batch_after").await;
    assert_whole("CAsecond", &events, &spoken);
    assert_eq!((recovered(&events, "inbound"), recovered(&events, "outbound")), (vec![true], vec![true]));
    assert_eq!(stage.heard_of("CAsecond").len(), 0, "a batch request names no session");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_refuse_a_call_without_sessions_is_not_taken() {
    let mut stage = staged("", &[FEW, (WHEN_FULL, "refuse")]).await;
    let mut early = Phone::dial(&stage, "CAearly").await;
    let first = live_call(&mut stage, "CAfirst").await;
    early.start_with(&["inbound", "outbound"], &json!({})).await;
    let (code, why) = early.closed().await;
    assert!(code == 1013 && why.contains("upstream.max_sessions"), "{code} {why}");
    let mut third = Phone::dial(&stage, "CAthird").await;
    third.start().await;
    stage.next_event().await;
    assert_eq!(Phone::dial_to(&stage, "CAfourth", "/media/twilio").await.err(), Some(503));
    let ready = http::get(&stage, "/readyz").await;
    assert_eq!((ready.status, &ready.json()["calls"]["state"]), (503, &"refusing".into()));
    drop((first, third));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_is_told_by_readyz_and_left_when_its_time_is_over() {
    let settings = [("PULSE_BRIDGE_UPSTREAM_MAX_SESSIONS", "2"), ("PULSE_BRIDGE_UPSTREAM_SLOT_WAIT", "1 s")];
    let mut stage = staged(r#"{"kind":"batch_refuse","status":403}"#, &settings).await;
    let first = live_call(&mut stage, "CAfirst").await;
    let spoken = both_sides("mid-word");
    let mut waits = live_call(&mut stage, "CAwaits").await;
    let ready = http::get(&stage, "/readyz").await.json();
    assert_eq!((&ready["speech"]["sessions"], &ready["ready"]), (&json!({"in_use": 2, "limit": 2, "waiting": 2}), &true.into()));
    assert_eq!(ready["speech"]["state"], "full");
    let media = waits.media("inbound", 0, &spoken.audio[0].1[..8_000]);
    waits.say(media).await;
    waits.stop().await;
    let events = stage.rest_of_events().await;
    assert_eq!(gaps(&events, "inbound"), [(1_000, "quota".to_owned())]);
    drop(first);
    stage.end().await;
}

/// Connects that nothing gave back stay under the burst and the rate, in every stretch of time: those that the service logged, and those
/// that were `turned_away` after it was killed. What lived five seconds by then, or ended as it should, is given back.
fn assert_within_budget(connections: &[ConnectionLog], turned_away: &[u64]) {
    let mut asked: Vec<u64> = connections.iter().map(|connection| connection.at_ms).chain(turned_away.iter().copied()).collect();
    asked.sort_unstable();
    let killed = *turned_away.first().expect("somebody calls a dead service");
    let healthy = connections.iter().filter_map(|connection| {
        let (opened, old) = (connection.opened_ms?, connection.opened_ms? + 5_000);
        let well = connection.ended_ms.filter(|_| matches!(connection.ended, Some("client" | "server")));
        let died_young = well.is_none() && (opened..old).contains(&killed);
        (!died_young).then(|| well.map_or(old, |well| well.min(old)))
    });
    let healthy: Vec<u64> = healthy.collect();
    for (at, from) in asked.iter().enumerate() {
        for (last, to) in asked.iter().enumerate().skip(at) {
            let back = healthy.iter().filter(|back| (from..=to).contains(back)).count();
            let allowed = 100 + (to - from) / 50 + 1 + back as u64;
            assert!((last - at) as u64 <= allowed, "{} connects from {from} to {to} ms", last - at + 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_calls_survive_a_service_that_is_killed_and_connect_within_the_budget() {
    let mut stage = staged("", &[("PULSE_BRIDGE_UPSTREAM_MAX_SESSIONS", "200")]).await;
    let spoken = both_sides("mid-word");
    let halfway = Barrier::new(51);
    let calls = join_all((0..50).map(|number| call(&stage, format!("CA{number}"), &spoken, Manner::Meeting(&halfway))));
    let killing = async {
        halfway.wait().await;
        until(|| stage.heard.connections().iter().filter(|connection| connection.opened_ms.is_some()).count() >= 100).await;
        stage.speech.kill().await;
        let turned_away = stage.speech.stay_dead(Duration::from_secs(2)).await;
        stage.speech.live(Faults::default()).await;
        halfway.wait().await;
        turned_away
    };
    let ((), turned_away) = tokio::join!(async { drop(calls.await) }, killing);
    for (name, events) in stage.events_of_all(50).await {
        assert_whole(&name, &events, &spoken);
    }
    let connections = stage.heard.connections();
    assert!(connections.len() >= 200, "every call was cut: {} connections", connections.len());
    assert!(turned_away.len() >= 50, "all call again: {}", turned_away.len());
    assert_within_budget(&connections, &turned_away);
    until_free(&stage).await;
    stage.end().await;
}
