//! Calls that an operator pauses: what is said in a pause is in no event, goes to no speech service and to no disk, and the rest is whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use hyper::Method;
use pulse_bridge::{
    emulate::{Auth, ConnectionLog, Faults},
    engine::driver::Pool,
    fixture::Fixture,
    keys::MasterKeys,
    media::{CallSid, Track},
    spool::{self, Spool},
    store::Store,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    asr::Service,
    engine,
    http::{Answer, ask, ask_url, get},
    phone::{FRAME, Phone, assert_no_panic, plain, until_completed, watch_panics},
    restart::Binary,
    stage::{Plan, Stage, accepted, load, of_type, text_of, until},
};

/// The call of these tests: between these frames the caller says a card number and its security code.
const FIXTURE: &str = "pay-by-card";
const PAUSE: Range<usize> = 350..1_200;
/// The same in milliseconds.
const PAUSE_MS: Range<u64> = 7_000..24_000;
/// How far a word's time may lie from the truth.
const OFF_MS: u64 = 20;

/// Says these frames of both tracks.
async fn say(phone: &mut Phone, fixture: &Fixture, frames: Range<usize>) {
    for frame in frames {
        for (track, audio) in &fixture.tracks {
            let bytes = (frame * FRAME).min(audio.len())..((frame + 1) * FRAME).min(audio.len());
            if !bytes.is_empty() {
                let media = phone.media(track.as_str(), frame as u64 * 20, &audio[bytes]);
                phone.say(media).await;
            }
        }
    }
}

/// Waits until so many milliseconds have come, both tracks together.
async fn until_received(stage: &Stage, call: &str, ms: u64) {
    let call = CallSid::new(call).unwrap();
    until(|| stage.bridge.calls.registry().newest(&call).is_some_and(|entry| entry.pulse.received_ms() >= ms)).await;
}

async fn post(stage: &Stage, call: &str, verb: &str) -> Answer {
    ask(stage, Method::POST, &format!("/v1/calls/{call}/{verb}"), &[], "").await
}

/// Asks twice, as the second time changes nothing.
async fn set_paused(stage: &Stage, call: &str, verb: &str, paused: bool) {
    for _ in 0..2 {
        let answer = post(stage, call, verb).await;
        assert_eq!((answer.status, &answer.json()["paused"]), (200, &paused.into()), "{}", answer.text());
        assert!(answer.json()["session_id"].as_str().is_some_and(|id| id.starts_with("ses_")), "{}", answer.text());
    }
    assert_eq!(get(stage, &format!("/v1/calls/{call}")).await.json()["paused"], paused);
}

/// Plays the call with its pause, and a key pressed in it; its events.
async fn played(stage: &mut Stage, call: &str) -> Vec<Value> {
    let fixture = load(FIXTURE);
    let frames = fixture.tracks.values().map(|audio| audio.len().div_ceil(FRAME)).max().unwrap();
    let mut phone = Phone::dial(stage, call).await;
    phone.start_with(&["inbound", "outbound"], &json!({})).await;
    say(&mut phone, &fixture, 0..PAUSE.start).await;
    until_received(stage, call, 2 * PAUSE_MS.start).await;
    set_paused(stage, call, "pause", true).await;
    say(&mut phone, &fixture, PAUSE.start..PAUSE.end).await;
    phone.say(r#"{"event":"dtmf","dtmf":{"track":"inbound_track","digit":"7"}}"#).await;
    until_received(stage, call, 2 * PAUSE_MS.end).await;
    set_paused(stage, call, "resume", false).await;
    say(&mut phone, &fixture, PAUSE.end..frames).await;
    phone.end().await;
    until_completed(stage, &[call]).await.remove(call).unwrap()
}

/// What the truth has of one track outside the pause.
fn words_around(track: Track) -> Vec<(String, u64)> {
    let fixture = load(FIXTURE);
    let words = fixture.truth[&track].words.iter().filter(|word| !PAUSE_MS.contains(&word.start_ms));
    words.map(|word| (plain(&word.text), word.start_ms)).collect()
}

/// Words around the pause are all there and no other, the pause is told once of each track, and nothing else is missing.
fn assert_paused_and_whole(events: &[Value]) {
    for track in [Track::Inbound, Track::Outbound] {
        let expected: Vec<String> = words_around(track).into_iter().map(|(word, _)| word).collect();
        assert_eq!(plain(&text_of(events, track.as_str())), expected.join(" "), "{track}");
    }
    assert_told(events);
}

fn assert_told(events: &[Value]) {
    let gaps: Vec<Value> = of_type(events, "transcript.gap").into_iter().cloned().collect();
    for track in ["inbound", "outbound"] {
        let of_track = |gap: &&Value| gap["track"] == track;
        let gap: Vec<_> = gaps.iter().filter(of_track).map(|gap| (&gap["from_ms"], &gap["to_ms"], &gap["reason"])).collect();
        assert_eq!(gap, [(&PAUSE_MS.start.into(), &PAUSE_MS.end.into(), &"paused".into())], "{track}");
    }
    let completed = &events.last().unwrap()["data"];
    assert_eq!((&completed["complete"], &completed["end_reason"]), (&true.into(), &"stop".into()), "{completed:#}");
    for track in completed["tracks"].as_array().unwrap() {
        assert_eq!(track["gaps"].as_array().unwrap().len(), 1, "{track:#}");
    }
    let keys: Vec<_> = of_type(events, "call.dtmf").iter().map(|key| (key["digit"].clone(), key["masked"].clone())).collect();
    assert_eq!(keys, [(Value::Null, true.into())]);
}

/// SHA-256 of a track with silence in the pause.
fn silenced(track: Track) -> String {
    let mut audio = load(FIXTURE).tracks[&track].to_vec();
    audio[PAUSE.start * FRAME..PAUSE.end * FRAME].fill(0xFF);
    Sha256::digest(&audio).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn menu_digits() -> (&'static str, String) {
    ("PULSE_BRIDGE_REDACTION_MENU_DIGITS", "true".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_in_a_pause_is_in_no_event_and_no_byte_of_it_goes_to_the_service() {
    watch_panics();
    let mut stage = Stage::with(Plan { settings: vec![menu_digits()], ..Plan::default() }).await;
    let events = played(&mut stage, "CApaused").await;
    assert_paused_and_whole(&events);
    for track in [Track::Inbound, Track::Outbound] {
        let finals = of_type(&events, "transcript.final").into_iter().filter(|data| data["track"] == track.as_str());
        let starts = finals.flat_map(|data| data["words"].as_array().unwrap()).map(|word| word["start_ms"].as_u64().unwrap());
        let mut starts: Vec<u64> = starts.collect();
        starts.sort_unstable();
        for (at_ms, (word, expected_ms)) in starts.iter().zip(words_around(track)) {
            assert!(at_ms.abs_diff(expected_ms) <= OFF_MS, "{word} of {track} is at {at_ms} ms instead of {expected_ms}");
        }
        let of_track = |log: &&ConnectionLog| log.query.iter().any(|(_, value)| value.ends_with(track.as_str()));
        let heard = stage.heard_of("CApaused");
        let heard: Vec<_> = heard.iter().filter(of_track).map(|log| (log.bytes, &log.sha256)).collect();
        assert_eq!(
            heard,
            [(load(FIXTURE).tracks[&track].len() as u64, &silenced(track))],
            "one connection, with silence in the pause"
        );
    }
    let metrics = get(&stage, "/metrics").await;
    let gaps: Vec<&str> =
        metrics.text().lines().filter(|line| line.starts_with("pulse_bridge_media_gap_seconds_total{")).collect();
    assert!(
        gaps.len() == 2 && gaps.iter().all(|line| line.contains(r#"reason="paused""#) && line.ends_with(" 17.0")),
        "{gaps:?}"
    );
    for verb in ["pause", "resume"] {
        post(&stage, "CApaused", verb).await.problem(409);
        post(&stage, "CAnobody", verb).await.problem(404);
        get(&stage, &format!("/v1/calls/CApaused/{verb}")).await.problem(405);
    }
    assert_eq!(get(&stage, "/v1/calls/CApaused").await.json()["paused"], false);
    assert_no_panic();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_asr_hears_nothing_of_a_pause() {
    let service = Service::start(Faults::default(), Auth::AnyKey).await;
    let mut stage = service.stage(&[("PULSE_BRIDGE_REDACTION_MENU_DIGITS", "true")]).await;
    let events = played(&mut stage, "CAasr").await;
    assert_paused_and_whole(&events);
    let heard: BTreeSet<String> = service.connections().into_iter().map(|log| log.sha256).collect();
    assert_eq!(heard, [Track::Inbound, Track::Outbound].map(silenced).into(), "a connection for each track");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_engine_hears_nothing_of_a_pause() {
    let plan = engine::plan(Pool::start(vec![engine::quick()]));
    let mut stage = Stage::with(Plan { settings: [plan.settings, vec![menu_digits()]].concat(), ..plan }).await;
    let events = played(&mut stage, "CAengine").await;
    assert_told(&events);
    let finals = of_type(&events, "transcript.final");
    let is_in =
        |data: &&&Value| data["start_ms"].as_u64() < Some(PAUSE_MS.end) && data["end_ms"].as_u64() > Some(PAUSE_MS.start + 500);
    assert!(finals.len() > 4 && !finals.iter().any(|data| is_in(&data)), "{finals:#?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_ends_in_a_pause_ends_whole() {
    let mut stage = Stage::new().await;
    let fixture = load(FIXTURE);
    let mut phone = Phone::dial(&stage, "CAends").await;
    phone.start_with(&["inbound", "outbound"], &json!({})).await;
    say(&mut phone, &fixture, 0..PAUSE.start).await;
    until_received(&stage, "CAends", 2 * PAUSE_MS.start).await;
    set_paused(&stage, "CAends", "pause", true).await;
    say(&mut phone, &fixture, PAUSE.start..500).await;
    phone.end().await;
    let events = until_completed(&mut stage, &["CAends"]).await.remove("CAends").unwrap();
    let gaps: Vec<_> =
        of_type(&events, "transcript.gap").iter().map(|gap| (gap["from_ms"].clone(), gap["to_ms"].clone())).collect();
    assert_eq!(gaps, [(json!(7_000), json!(10_000)), (json!(7_000), json!(10_000))]);
    assert_eq!(events.last().unwrap()["data"]["complete"], true);
    assert_eq!(plain(&text_of(&events, "inbound")), "hi id like to pay my bill");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_joins_a_paused_call_is_paused_from_its_first_frame() {
    let mut stage = Stage::new().await;
    let fixture = load(FIXTURE);
    let mut phone = Phone::dial(&stage, "CAjoins").await;
    phone.start_with(&["inbound", "outbound"], &json!({})).await;
    say(&mut phone, &fixture, 0..PAUSE.start).await;
    until_received(&stage, "CAjoins", 2 * PAUSE_MS.start).await;
    phone.hang_up(&stage).await;
    set_paused(&stage, "CAjoins", "pause", true).await;
    let mut phone = Phone::dial(&stage, "CAjoins").await.named("MZ2");
    phone.start_with(&["inbound", "outbound"], &json!({})).await;
    say(&mut phone, &fixture, PAUSE.start..PAUSE.end).await;
    until_received(&stage, "CAjoins", 2 * PAUSE_MS.end).await;
    set_paused(&stage, "CAjoins", "resume", false).await;
    say(&mut phone, &fixture, PAUSE.end..1_600).await;
    phone.end().await;
    let events = until_completed(&mut stage, &["CAjoins"]).await.remove("CAjoins").unwrap();
    assert_eq!(plain(&text_of(&events, "inbound")), "hi id like to pay my bill okay");
    let mut reasons: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for gap in of_type(&events, "transcript.gap") {
        let length_ms = gap["to_ms"].as_u64().unwrap() - gap["from_ms"].as_u64().unwrap();
        reasons.entry(gap["reason"].as_str().unwrap().to_owned()).or_default().push(length_ms);
    }
    assert_eq!(reasons["paused"], [17_000; 2], "{reasons:?}");
    assert_eq!(reasons.keys().collect::<Vec<_>>(), ["disconnected", "paused"], "{reasons:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_bridge_has_no_byte_of_a_pause_on_its_disk_and_tells_the_pause_after_its_restart() {
    let mut stage = Stage::new().await;
    let (settings, fixture) = (stage.settings_for_a_binary(), load(FIXTURE));
    let mut first = Binary::start(&settings).await;
    let mut phone = Phone::dial_at(first.address.parse().unwrap(), "CAkilled", "/media/twilio").await.ok().unwrap();
    phone.start_with(&["inbound", "outbound"], &json!({})).await;
    let mut events = vec![stage.next_event().await];
    say(&mut phone, &fixture, 0..PAUSE.start).await;
    received_by(&first, 2 * PAUSE_MS.start).await;
    let answer = ask_url(&format!("http://{}/v1/calls/CAkilled/pause", first.address), Method::POST, &[], "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    say(&mut phone, &fixture, PAUSE.start..650).await;
    received_by(&first, 26_000).await;
    // A key behind the pause's begin: once it is told, that is stored.
    phone.say(r#"{"event":"dtmf","dtmf":{"track":"inbound_track","digit":"7"}}"#).await;
    while events.last().unwrap()["type"] != "call.dtmf" {
        events.push(stage.next_event().await);
    }
    first.kill();
    let session = events[0]["data"]["session_id"].as_str().unwrap();
    let mut silent = 0;
    for (track, audio) in spooled(&stage, session).await {
        let paused = &audio[PAUSE.start * FRAME..];
        assert!(paused.iter().all(|byte| *byte == 0xFF), "{track}: {} bytes", paused.len());
        silent += paused.len();
    }
    assert!(silent > 0, "the pause had got to the disk");

    let second = Binary::start(&settings).await;
    while events.last().unwrap()["type"] != "call.completed" {
        let event = accepted(&stage.next_delivery().await);
        if events.iter().all(|known| known["data"]["seq"] != event["data"]["seq"]) {
            events.push(event);
        }
    }
    assert_eq!(plain(&text_of(&events, "inbound")), "hi id like to pay my bill");
    for track in ["inbound", "outbound"] {
        let gaps = of_type(&events, "transcript.gap").into_iter().filter(|gap| gap["track"] == track);
        let gaps: Vec<_> = gaps.map(|gap| (gap["from_ms"].clone(), gap["reason"].clone())).collect();
        assert_eq!(gaps[0], (json!(7_000), json!("paused")), "{gaps:?}");
        assert!(gaps.len() == 2 && gaps[1].1 == "crash", "what came behind is not known: {gaps:?}");
    }
    drop(second);
    stage.end().await;
}

/// Waits until a bridge of its own has received so much of its one call.
async fn received_by(bridge: &Binary, ms: u64) {
    let url = format!("http://{}/v1/calls/CAkilled", bridge.address);
    while ask_url(&url, Method::GET, &[], "").await.json()["live"]["received_ms"].as_u64() < Some(ms) {
        tokio::task::yield_now().await;
    }
}

/// What a killed bridge has on its disk, opened with its own keys; silence where it has nothing.
async fn spooled(stage: &Stage, session: &str) -> BTreeMap<Track, Vec<u8>> {
    let data_dir = stage.data_dir.join("binary");
    let masters = Arc::new(MasterKeys::open_or_make(&data_dir).unwrap());
    let store = Store::open(&data_dir.join("bridge.sqlite"), Arc::clone(&masters)).unwrap();
    let live = store.live(&session.to_owned().try_into().unwrap()).await.unwrap().expect("it has no end");
    store.close().await;
    let id = &live.session.start.id;
    let key = masters.data_key(id, &live.session.start.key).unwrap();
    let spool = Spool::open(&data_dir.join("spool")).unwrap();
    let mut tracks: BTreeMap<Track, Vec<u8>> = BTreeMap::new();
    for left in spool.recover(id, &key).await.unwrap() {
        let audio = tracks.entry(left.key.track).or_default();
        for file in &left.files {
            for frame in spool::scan(&std::fs::read(&file.path).unwrap(), &key, id, left.key).frames {
                let at = usize::try_from(frame.offset.0).unwrap();
                audio.resize(audio.len().max(at + frame.audio.len()), 0xFF);
                audio[at..at + frame.audio.len()].copy_from_slice(&frame.audio);
            }
        }
    }
    assert_eq!(tracks.len(), 2, "both tracks are on the disk");
    tracks
}
