//! Every fixture: what must hold of its files, and that what is sent of it goes upstream.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use futures_util::future::join_all;
use pulse_bridge::{
    fixture::{Fixture, Media, Message},
    media::{BYTES_PER_MS, MULAW_SILENCE, Track, bytes_to_ms, ms_to_bytes},
    stream::order::FILL_CAP_MS,
};
use sha2::{Digest, Sha256};

use crate::stage::{Stage, all_fixtures, fixtures_dir, load};

/// Calls that there must be at least.
const CALLS: usize = 8;
/// What the folder may weigh, in bytes.
const WEIGHT: u64 = 8_000_000;

#[test]
fn there_are_calls_enough_and_they_are_light_enough_to_be_carried_around() {
    assert!(all_fixtures().len() >= CALLS);
    let weight = weight_of(&fixtures_dir());
    assert!(weight < WEIGHT, "{weight} bytes");
}

#[test]
fn every_call_is_named_in_the_readme_and_says_who_spoke_what() {
    let readme = std::fs::read_to_string(fixtures_dir().join("README.md")).unwrap();
    for fixture in all_fixtures() {
        let name = &fixture.name;
        assert!(readme.contains(&format!("| `{name}` |")), "README.md has no row for {name}");
        assert!(!fixture.tracks.is_empty() && fixture.tracks.values().all(|audio| !audio.is_empty()), "{name}");
        let start = fixture.start().expect("a call has a start");
        assert_eq!(start.tracks, fixture.tracks.keys().copied().collect::<Vec<_>>(), "{name}");
        assert_eq!(start.tracks, fixture.truth.keys().copied().collect::<Vec<_>>(), "{name}");
        assert!(fixture.truth.values().all(|truth| !truth.role.is_empty()), "{name}");
        assert!(fixtures_dir().join(name).join("expected.jsonl").exists(), "{name}");
    }
}

#[test]
fn no_two_frames_of_all_calls_are_alike() {
    let mut seen = HashSet::new();
    for fixture in all_fixtures() {
        for media in fixture.tracks.keys().flat_map(|track| media_of(&fixture, *track)) {
            assert!(seen.insert(media.audio.clone()), "{} {} at {} ms", fixture.name, media.track, media.timestamp_ms);
        }
    }
}

#[test]
fn the_counters_of_a_log_only_rise_and_its_clock_runs_with_the_audio() {
    for fixture in all_fixtures() {
        let numbers: Vec<u64> = fixture.messages.iter().filter_map(sequence_of).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{}", fixture.name);
        for track in fixture.tracks.keys() {
            for pair in media_of(&fixture, *track).windows(2) {
                let at = pair[1].timestamp_ms;
                assert!(pair[0].chunk < pair[1].chunk, "{} {track} at {at} ms", fixture.name);
                assert!(end_of(pair[0]) <= at, "{} {track} at {at} ms", fixture.name);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_goes_upstream_with_silence_for_what_the_phone_left_out() {
    let mut stage = Stage::new().await;
    let fixtures = ["mid-word", "packet-gaps", "silence-suppressed"].map(load);
    let phone = stage.phone();
    let played = join_all(fixtures.iter().map(|fixture| stage.call_as(&fixture.name, &phone))).await;
    let mut events = stage.events_of_all(fixtures.len()).await;
    for (fixture, played) in fixtures.iter().zip(played) {
        assert_eq!(played.error, None, "{}", fixture.name);
        let completed = events.remove(&played.call_sid).and_then(|mut events| events.pop()).unwrap();
        // What was lost on the way to the bridge is lost, and said to be.
        let is_whole = fixture.name != "packet-gaps";
        assert_eq!(completed["data"]["complete"], is_whole, "{}: {}", fixture.name, completed["data"]["tracks"]);
        let upstream: BTreeMap<String, String> =
            stage.heard_of(&played.call_sid).into_iter().map(|heard| (track(&heard), heard.sha256)).collect();
        let sent: BTreeMap<String, String> =
            fixture.tracks.keys().map(|track| (track.to_string(), sha256(&line_of(fixture, *track)))).collect();
        assert_eq!(upstream, sent, "{}", fixture.name);
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audio_is_declared_as_it_is_and_named_after_the_call() {
    let mut stage = Stage::new().await;
    let played = stage.call("mid-word").await;
    stage.events_of(&played.call_sid).await;
    let connections = stage.heard_of(&played.call_sid);
    assert_eq!(connections.len(), 2, "one socket a track");
    for connection in connections {
        let query: BTreeMap<&str, &str> = connection.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!((query["encoding"], query["sample_rate"], query["model"]), ("mulaw", "8000", "pulse"));
        assert_eq!(connection.controls.last().map(String::as_str), Some(r#"{"type":"close_stream"}"#));
    }
    stage.end().await;
}

/// A track as the speech service is to get it: what was sent, and between it silence for what was not, up to the bridge's cap.
fn line_of(fixture: &Fixture, track: Track) -> Vec<u8> {
    let mut line = Vec::new();
    let mut end = None;
    for media in media_of(fixture, track) {
        let gap = media.timestamp_ms - end.unwrap_or(media.timestamp_ms);
        let filled = usize::try_from(ms_to_bytes(gap.min(FILL_CAP_MS))).unwrap();
        line.resize(line.len() + filled, MULAW_SILENCE);
        line.extend_from_slice(&media.audio);
        end = Some(end_of(media));
    }
    line
}

fn media_of(fixture: &Fixture, track: Track) -> Vec<&Media> {
    let media = fixture.messages.iter().filter_map(|message| match message {
        Message::Media(media) if media.track == track => Some(media),
        _ => None,
    });
    media.collect()
}

fn end_of(media: &Media) -> u64 {
    assert!((media.audio.len() as u64).is_multiple_of(BYTES_PER_MS));
    media.timestamp_ms + bytes_to_ms(media.audio.len() as u64)
}

fn sequence_of(message: &Message) -> Option<u64> {
    match message {
        Message::Connected => None,
        Message::Start(start) => Some(start.sequence),
        Message::Media(media) => Some(media.sequence),
        Message::Stop { sequence } => Some(*sequence),
        Message::Other(line) => {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            value["sequenceNumber"].as_str()?.parse().ok()
        }
    }
}

fn weight_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let weights = entries.map(|entry| match entry.metadata().unwrap() {
        metadata if metadata.is_dir() => weight_of(&entry.path()),
        metadata => metadata.len(),
    });
    weights.sum()
}

fn sha256(bytes: &[u8]) -> String {
    pulse_bridge::hex::hex(&Sha256::digest(bytes))
}

fn track(heard: &pulse_bridge::emulate::ConnectionLog) -> String {
    let id = heard.query.iter().find(|(name, _)| name == "external_session_id").map(|(_, value)| value.as_str());
    id.and_then(|id| id.rsplit('.').next()).unwrap_or_default().to_owned()
}
