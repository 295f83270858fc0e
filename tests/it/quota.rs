//! More calls than the speech service's plan has sessions, plans that are smaller than they are said to be, and a service that is killed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use pulse_bridge::{
    clock,
    emulate::{ConnectionLog, Fault, Faults, Limit},
    media::Track,
};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::{
    http,
    phone::{Phone, plain},
    stage::{PATIENCE, Plan, Stage, load, of_type, text_of},
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

/// One call of both tracks, said as fast as the bridge takes it; with a `halfway`, all calls meet there.
async fn call(stage: &Stage, name: String, spoken: &Spoken, halfway: Option<&Barrier>) {
    let mut phone = Phone::dial(stage, &name).await;
    phone.start_with(&["inbound", "outbound"], &json!({})).await;
    let steps = spoken.length_ms.div_ceil(STEP_MS);
    for step in 0..steps {
        if let Some(halfway) = halfway.filter(|_| step == steps / 2) {
            halfway.wait().await;
            halfway.wait().await;
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
    phone.stop().await;
    assert_eq!(phone.closed().await.0, 1000, "{name}");
}

async fn staged(faults: &str, settings: &[(&'static str, &str)]) -> Stage {
    crate::log::watch();
    let faults = Faults::of_json(&format!(r#"{{"faults":[{faults}]}}"#)).unwrap();
    let usual = [("PULSE_BRIDGE_UPSTREAM_CHUNK_MS", "200"), ("PULSE_BRIDGE_UPSTREAM_REPLAY_SPEED", "16")];
    let settings = usual.iter().chain(settings).map(|(name, value)| (*name, (*value).to_owned())).collect();
    Stage::with(Plan { faults, settings, ..Plan::default() }).await
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
    let text = http::get(stage, "/metrics").await.body;
    let line = text.lines().find(|line| line.split(' ').next() == Some(&format!("pulse_bridge_{name}")));
    line.and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or_else(|| panic!("{name} is not in\n{text}"))
}

/// Slots are free a moment behind the last event.
async fn until_free(stage: &Stage) {
    let freed = async { while metric(stage, "upstream_sessions").await > 0.0 {} };
    tokio::time::timeout(PATIENCE, freed).await.expect("every slot is freed");
    assert_eq!(metric(stage, "upstream_sessions_waiting").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_than_the_plan_has_sessions_all_complete_in_turn() {
    let mut stage = staged(r#"{"kind":"limit","sessions":100}"#, &[]).await;
    let spoken = both_sides("mid-word");
    let began = clock::now();
    join_all((0..150).map(|number| call(&stage, format!("CA{number}"), &spoken, None))).await;
    let ended = clock::now();
    let events = stage.events_of_all(150).await;
    let took = clock::now() - ended;
    for (name, events) in &events {
        assert_whole(name, events, &spoken);
    }
    assert!(took < Duration::from_millis(2 * spoken.length_ms), "{took:?} after their end, {:?} in all", clock::now() - began);
    until_free(&stage).await;
    assert!(stage.heard.most_open() <= 100, "{}", stage.heard.most_open());
    assert!(metric(&stage, "upstream_sessions_queued_total").await >= 100.0);
    stage.end().await;
}
