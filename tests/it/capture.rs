//! Calls that are recorded as fixtures: what was taken out of their text is silent in them, and they can be played again.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use futures_util::future::join_all;
use hyper::Method;
use pulse_bridge::{
    emulate::Faults,
    fixture::{Fixture, Message, TruthWord},
    media::Track,
    replay::{self, Progress, expect},
};
use serde_json::Value;

use crate::{
    http::{ask, get},
    phone::plain,
    stage::{Plan, Stage, faults, load, of_type, text_of, until},
};

/// Where the caller of pay-by-card says numbers, in milliseconds.
const SECRETS: [(u64, u64); 3] = [(7_967, 13_130), (14_120, 15_285), (22_958, 23_785)];

/// A stage that records, and where.
async fn recording_stage() -> (Stage, PathBuf) {
    recording_under(Faults::default()).await
}

async fn recording_under(faults: Faults) -> (Stage, PathBuf) {
    let folder = std::env::temp_dir().join(format!("pulse-bridge-capture-{}", pulse_bridge::clock::ulid()));
    let settings = vec![
        ("PULSE_BRIDGE_CAPTURE_DIR", folder.display().to_string()),
        ("PULSE_BRIDGE_REDACTION_MENU_DIGITS", "true".to_owned()),
    ];
    (Stage::with(Plan { faults, settings, ..Plan::default() }).await, folder)
}

/// Plays a fixture; its events, and the folder of its capture.
async fn captured(stage: &mut Stage, into: &Path, fixture: &str) -> (Vec<Value>, PathBuf) {
    let played = stage.call(fixture).await;
    let events = stage.events_of(&played.call_sid).await;
    let folder = into.join(events[0]["data"]["session_id"].as_str().unwrap());
    until(|| folder.exists()).await;
    (events, folder)
}

/// All that lies in a folder, by name, as text where it is some.
fn texts(folder: &Path) -> Vec<(String, String)> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut texts: Vec<(String, String)> =
        files.map(|path| (name(&path), String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned())).collect();
    texts.sort();
    texts
}

fn at(ms: u64) -> usize {
    usize::try_from(ms * 8).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_number_is_silent_in_a_call_s_capture_and_the_capture_can_be_played() {
    let (mut stage, into) = recording_stage().await;
    let (events, folder) = captured(&mut stage, &into, "pay-by-card").await;
    let (said, kept) = (load("pay-by-card"), Fixture::load(&folder).unwrap());
    for (track, audio) in &said.tracks {
        assert_eq!(kept.tracks[track].len(), audio.len(), "{track}");
        let same = audio.iter().zip(&kept.tracks[track]).filter(|(said, kept)| said == kept).count();
        assert!(same * 2 > audio.len(), "{same} of {} bytes of {track} are as they were sent", audio.len());
    }
    let (heard, own) = (&kept.tracks[&Track::Inbound], &said.tracks[&Track::Inbound]);
    for (from_ms, to_ms) in SECRETS {
        assert!(heard[at(from_ms)..at(to_ms)].iter().all(|byte| *byte == 0xFF), "from {from_ms} ms on");
    }
    assert_eq!(heard[at(1_958)..at(7_700)], own[at(1_958)..at(7_700)], "what was said before is as it was");
    for (name, text) in texts(&folder) {
        let mode = fs::metadata(folder.join(&name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
        for secret in ["4539", "four five three", "nine two seven", &said.start().unwrap().call_sid] {
            assert!(!name.contains("jsonl") || !text.contains(secret), "{secret} is in {name}");
        }
    }
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let expected = fs::read_to_string(folder.join("expected.jsonl")).unwrap();
    assert_eq!(expected, expect::lines(&expect::neutral(events)));

    let recording = replay::load(&folder).unwrap().remove(0);
    let played = replay::play(&recording, &stage.phone(), &Progress::default()).await;
    assert_eq!(played.error, None);
    let again = stage.events_of(&played.call_sid).await;
    let text = plain(&text_of(&again, "inbound"));
    assert!(text.starts_with("hi id like to pay my bill") && text.ends_with("thank you so much bye"), "{text}");
    assert!(of_type(&again, "transcript.final").iter().all(|data| data["redactions"].as_array().unwrap().is_empty()), "{text}");
    assert_eq!(of_type(&again, "call.completed")[0]["complete"], true);
    let metrics = get(&stage, "/metrics").await;
    assert!(metrics.text().contains(r#"pulse_bridge_captures_total{outcome="kept"} "#), "{}", metrics.text());
    let erased =
        ask(&stage, Method::DELETE, &format!("/v1/calls/{}", folder.file_name().unwrap().to_str().unwrap()), &[], "").await;
    assert_eq!(erased.status, 204, "{}", erased.text());
    assert!(!folder.exists(), "an erased call has no capture");
    stage.end().await;
    fs::remove_dir_all(into).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_call_is_kept_and_most_of_it_can_be_heard() {
    let (mut stage, into) = recording_stage().await;
    let fixtures = ["dialogue", "talking-at-once", "packet-gaps", "silence-suppressed", "mid-word"];
    for fixture in fixtures {
        let (_, folder) = captured(&mut stage, &into, fixture).await;
        let kept = Fixture::load(&folder).unwrap();
        for (track, audio) in &kept.tracks {
            let heard = audio.iter().filter(|byte| **byte != 0xFF).map(|_| 1).sum::<usize>();
            let said = load(fixture).tracks[track].len();
            assert!(audio.len() >= said && heard * 2 > said, "{fixture}: {heard} of {said} bytes of {track} can be heard");
        }
    }
    let metrics = get(&stage, "/metrics").await;
    let captures: Vec<&str> = metrics.text().lines().filter(|line| line.starts_with("pulse_bridge_captures_total{")).collect();
    assert_eq!(captures, [format!(r#"pulse_bridge_captures_total{{outcome="kept"}} {}"#, fixtures.len())]);
    stage.end().await;
    fs::remove_dir_all(into).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_silent_whatever_the_speech_service_does() {
    join_all(
        [
            r#"{"attempts":[0],"kind":"drop","after_bytes":80000}"#,
            r#"{"attempts":[0],"kind":"drop","after_finals":1}"#,
            r#"{"attempts":[0],"kind":"stall","after_bytes":80000}"#,
            r#"{"kind":"split_entity"}"#,
            r#"{"kind":"missing_final"}"#,
            r#"{"kind":"duplicate_final"}"#,
            r#"{"kind":"refuse","status":401},{"kind":"batch_refuse","status":403}"#,
        ]
        .map(|rules| async move {
            let (mut stage, into) = recording_under(faults(rules)).await;
            let (_, folder) = captured(&mut stage, &into, "pay-by-card").await;
            let kept = Fixture::load(&folder).unwrap();
            let is_secret = |word: &&TruthWord| SECRETS.iter().any(|(from, to)| (*from..*to).contains(&word.start_ms));
            for word in load("pay-by-card").truth[&Track::Inbound].words.iter().filter(is_secret) {
                let said = &kept.tracks[&Track::Inbound][at(word.start_ms)..at(word.end_ms)];
                assert!(said.iter().all(|byte| *byte == 0xFF), "{rules}: {word:?}");
            }
            stage.end().await;
            fs::remove_dir_all(into).unwrap();
        }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_that_was_pressed_is_in_a_capture() {
    let (mut stage, into) = recording_stage().await;
    let (events, folder) = captured(&mut stage, &into, "keypad").await;
    let keys = of_type(&events, "call.dtmf").len();
    let kept = Fixture::load(&folder).unwrap();
    let lines = kept.messages.iter().filter_map(|message| if let Message::Other(line) = message { Some(line) } else { None });
    let digits: Vec<Value> = lines.map(|line| serde_json::from_str::<Value>(line).unwrap()["dtmf"]["digit"].clone()).collect();
    assert_eq!(digits, vec![Value::from("0"); keys]);
    let expected = fs::read_to_string(folder.join("expected.jsonl")).unwrap();
    let expected = expected.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(expected.filter(|event| event["type"] == "call.dtmf").all(|event| event["data"]["digit"].is_null()));
    stage.end().await;
    fs::remove_dir_all(into).unwrap();
}
