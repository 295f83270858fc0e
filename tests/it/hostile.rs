//! Peers that mean no good, by the hundred, beside good calls: the calls lose nothing, every such peer is closed in its time and counted.

mod beside;
mod gauge;
mod peers;
mod tap;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use pulse_bridge::{accept::room, clock, dialect::signature, refusals};
use secrecy::SecretString;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use self::peers::Kind;
use crate::{
    http,
    phone::{FRAME, Phone, assert_no_panic, assert_whole, frames, recording, until_completed, watch_panics},
    stage::{AUTH_TOKEN, PATIENCE, Stage},
};

/// Hostile peers in the short form.
const FEW: usize = 1_300;
/// Of them so many dial in one frame's time: far more than can be accepted in it would wait in the kernel, which forgets some.
const AT_ONCE: usize = 50;
/// Good calls beside them.
const CALLS: usize = 6;
/// Files that the short form opens in this one process, both ends of every connection.
const FILES: usize = 4_000;
/// What a busy machine may add to a limit of the bridge's.
const SLACK: Duration = Duration::from_secs(10);
/// The length of a frame.
const FRAME_TIME: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread")]
async fn hostile_peers_cost_the_calls_beside_them_nothing_and_are_each_closed_in_time() {
    let files = room::raise_file_limit();
    let few = if files < FILES { FEW * files / FILES } else { FEW };
    let mut stage = watched().await;
    let address = stage.bridge.address;
    let signature = captured_at(address);
    let names: Vec<String> = (0..CALLS).map(|number| format!("CAgood{number}")).collect();
    let (mut attacks, mut calls) = (JoinSet::new(), JoinSet::new());
    for number in 0..few {
        if let Some(name) = names.get(number / (few / CALLS)).filter(|_| number % (few / CALLS) == 0) {
            calls.spawn(paced(Phone::dial(&stage, name).await));
        }
        let (kind, signature) = (Kind::ALL[number % Kind::ALL.len()], signature.clone());
        attacks.spawn(async move { (kind, kind.attack(address, &signature).await) });
        if number % AT_ONCE == 0 {
            tokio::time::sleep(FRAME_TIME).await;
        }
    }
    for code in calls.join_all().await {
        assert_eq!(code, 1000, "each good call is answered to its stop");
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let events = until_completed(&mut stage, &names).await;
    assert_eq!(events.len(), CALLS, "nobody else made a call");
    events.values().for_each(|events| assert_whole(events));
    let mut attacked: BTreeMap<Kind, u64> = BTreeMap::new();
    for (kind, closed) in attacks.join_all().await {
        let closed = closed.unwrap_or_else(|why| panic!("{kind:?}: {why}"));
        assert!(closed < kind.limit() + SLACK, "{kind:?} was borne for {closed:?}");
        *attacked.entry(kind).or_default() += 1;
    }
    assert_each_is_counted(&stage, &attacked).await;
    assert_all_are_gone(&stage).await;
    stage.end().await;
    assert_no_panic();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_frame_has_its_close_code_and_a_counter() {
    let mut stage = watched().await;
    let long = vec![b' '; 126];
    for (bytes, code, word) in [
        (&[0xc1, 0x82, 0, 0, 0, 0, b'{', b'}'][..], 1002, "broken_protocol"),
        (&[0x83, 0x80, 0, 0, 0, 0], 1002, "broken_protocol"),
        (&[0x8b, 0x80, 0, 0, 0, 0], 1002, "broken_protocol"),
        (&[0x81, 0x02, b'{', b'}'], 1002, "broken_protocol"),
        (&[0x80, 0x81, 0, 0, 0, 0, b'a'], 1002, "broken_protocol"),
        (&[[0x88, 0xfe, 0, 126, 0, 0, 0, 0].to_vec(), long.clone()].concat(), 1002, "broken_protocol"),
        (&[[0x89, 0xfe, 0, 126, 0, 0, 0, 0].to_vec(), long].concat(), 1002, "broken_protocol"),
        (&[0x09, 0x80, 0, 0, 0, 0], 1002, "broken_protocol"),
        (&[0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28], 1007, "not_utf8"),
        (&[0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0], 1009, "message_too_long"),
    ] {
        let before = counter(&stage, "streams_closed_total", word).await;
        let mut phone = Phone::dial(&stage, "CAbroken").await;
        phone.raw(bytes).await;
        let closed = phone.closed().await;
        assert_eq!(closed.0, code, "{bytes:x?}: {closed:?}");
        assert_eq!(counter(&stage, "streams_closed_total", word).await, before + 1, "{bytes:x?}");
    }
    crate::phone::good_call(&stage, "CAgood").await;
    assert_whole(&until_completed(&mut stage, &["CAgood"]).await["CAgood"]);
    stage.end().await;
    assert_no_panic();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_audio_waits_for_the_speech_service_and_the_call_beside_it_loses_nothing() {
    let mut stage = watched().await;
    let mut phone = Phone::dial(&stage, "CAflood").await;
    phone.start().await;
    let flood = async {
        // Forty seconds of silence as fast as they are taken.
        for number in 0..2_000 {
            let text = phone.media("inbound", number * 20, &[0xff; FRAME]);
            phone.send(Message::text(text)).await;
        }
        phone.end().await;
    };
    let good = paced(Phone::dial(&stage, "CAgood").await);
    tokio::join!(flood, good);
    let events = until_completed(&mut stage, &["CAgood", "CAflood"]).await;
    assert_whole(&events["CAgood"]);
    let end = &events["CAflood"].last().unwrap()["data"];
    assert_eq!((&end["complete"], &end["tracks"][0]["received_ms"]), (&true.into(), &40_000.into()), "{end:#}");
    let metrics = http::get(&stage, "/metrics").await;
    for queue in ["spool_queue_full", "link_queue_full"] {
        assert!(!metrics.text().contains(queue), "the sender waits, nothing is dropped");
    }
    stage.end().await;
    assert_no_panic();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reason_to_refuse_is_counted_from_the_start_and_is_in_the_manual() {
    let stage = Stage::new().await;
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/limits.md")).unwrap();
    let metrics = http::get(&stage, "/metrics").await;
    for refusal in refusals::all() {
        let series = format!("pulse_bridge_{}{{reason=\"{}\"}} 0", refusal.kind.counter(), refusal.word);
        assert!(metrics.text().lines().any(|line| line == series), "{series} is not there before it happens");
        let code = refusal.code.map_or("none".to_owned(), |code| code.to_string());
        let cells = format!("| {code} | `{}` | `{}` |", refusal.word, refusal.kind.counter());
        let rows = manual.lines().filter(|line| line.ends_with(&cells)).count();
        assert_eq!(rows, 1, "docs/limits.md has one row that ends with {cells}");
    }
    stage.end().await;
}

async fn watched() -> Stage {
    watch_panics();
    Stage::new().await
}

/// The header that Twilio would send, as whoever saw one stream of this bridge knows it.
fn captured_at(address: SocketAddr) -> String {
    signature::sign(&SecretString::from(AUTH_TOKEN), &format!("ws://{address}/media/twilio"), &[])
}

/// Says the usual recording as a phone does, a frame every 20 ms; the code of the answer to its `stop`.
async fn paced(mut phone: Phone) -> u16 {
    let audio = recording("mid-word");
    phone.start().await;
    let since: Instant = clock::now();
    for number in 0..frames(&audio) {
        clock::sleep_until(Some(since + FRAME_TIME * u32::try_from(number).unwrap())).await;
        phone.speak(&audio, number..number + 1).await;
    }
    phone.stop().await;
    phone.closed().await.0
}

async fn counter(stage: &Stage, name: &str, reason: &str) -> u64 {
    let metrics = http::get(stage, "/metrics").await;
    let series = format!("pulse_bridge_{name}{{reason=\"{reason}\"}} ");
    metrics.text().lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |count| count.parse().unwrap())
}

async fn assert_each_is_counted(stage: &Stage, attacked: &BTreeMap<Kind, u64>) {
    let mut expected: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (kind, count) in attacked {
        *expected.entry(kind.counter()).or_default() += count;
    }
    for ((name, reason), count) in expected {
        assert_eq!(counter(stage, name, reason).await, count, "{name} {reason}");
    }
}

/// The bridge holds nothing of anybody any more, but for the connection that asks.
async fn assert_all_are_gone(stage: &Stage) {
    let gone = async {
        loop {
            let metrics = http::get(stage, "/metrics").await;
            let gauge = |name: &str| {
                let series = format!("pulse_bridge_{name} ");
                metrics.text().lines().find_map(|line| line.strip_prefix(&series)).map(|count| count.parse::<i64>().unwrap())
            };
            // The client's earlier connections may be on their way out.
            let now = ["calls_active", "streams_unstarted", "connections_unauthenticated", "upstream_sessions", "connections"]
                .map(gauge);
            if now[..4] == [Some(0); 4] && now[4] <= Some(1) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("every gauge goes back to zero");
    assert!(stage.bridge.calls.registry().is_empty());
}
