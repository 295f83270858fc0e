//! A call whose links break, in any place and for any time, has the transcript that it would have had without.

use std::{collections::BTreeMap, time::Duration};

use pulse_bridge::{
    emulate::Faults,
    fixture::{Fixture, Message},
    media::Track,
    replay::{self, Pace, Played, Progress, Recording},
};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    relay::Relay,
    stage::{Plan, Stage, load, of_type},
};

/// How far a word may lie from where it lies without a loss.
const TOLERANCE_MS: u64 = 40;
/// The call is a minute long, up to the next pause of both parties.
const ABOUT_MS: u64 = 60_000;
/// Such a pause, at least.
const PAUSE_MS: u64 = 300;
/// Cuts in that minute.
const CUTS: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_cuts_in_a_minute_leave_the_transcript_as_it_was() {
    as_without_losses("cuts", |relay| async move {
        let mut draw = 0x5eed_u64;
        let mut done = 0;
        for at_ms in moments(&mut draw) {
            sleep(Duration::from_millis(at_ms)).await;
            done += u64::from(relay.cut(next(&mut draw)));
        }
        assert!(done >= CUTS * 3 / 4, "only {done} cuts met a connection");
        relay
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_away_for_twenty_seconds_in_mid_call_leaves_the_transcript_as_it_was() {
    as_without_losses("away", |relay| async move {
        sleep(Duration::from_secs(20)).await;
        relay.go_away();
        sleep(Duration::from_secs(20)).await;
        relay.come_back();
        relay
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_away_when_the_caller_hangs_up_leaves_the_transcript_as_it_was() {
    as_without_losses("hangup", |relay| async move {
        sleep(Duration::from_millis(first_minute().1 - 5_000)).await;
        relay.go_away();
        sleep(Duration::from_secs(35)).await;
        relay.come_back();
        relay
    })
    .await;
}

/// Plays the call in real time over a line that suffers this, and beside it over one that does not.
async fn as_without_losses<S: Future<Output = Relay>>(name: &str, suffers: impl FnOnce(Relay) -> S) {
    let relay = Relay::before(Faults::default()).await;
    let plan = |url: Option<String>| Plan {
        settings: [("PULSE_BRIDGE_UPSTREAM_REPLAY_SPEED", "2".to_owned()), ("PULSE_BRIDGE_UPSTREAM_CATCH_UP", "60 s".to_owned())]
            .into_iter()
            .chain(url.map(|url| ("PULSE_BRIDGE_UPSTREAM_URL", url)))
            .collect(),
        ..Plan::default()
    };
    let (mut broken, mut whole) = (Stage::with(plan(Some(relay.url()))).await, Stage::with(plan(None)).await);
    let (played, expected, relay) = tokio::join!(play(&broken), play(&whole), suffers(relay));
    assert_eq!((&played.error, &expected.error), (&None, &None));
    let got = broken.events_of(&played.call_sid).await;
    let expected = whole.events_of(&expected.call_sid).await;
    assert_same_transcript(name, &got, &expected);
    let completed = &got.last().unwrap()["data"];
    assert_eq!(completed["complete"], true, "{completed:#}");
    assert_eq!(of_type(&got, "transcript.gap"), Vec::<&Value>::new());
    let reconnects: u64 = completed["tracks"].as_array().unwrap().iter().filter_map(|track| track["reconnects"].as_u64()).sum();
    assert!(reconnects > 0, "nothing was lost: {completed:#}");
    relay.end();
    broken.end().await;
    whole.end().await;
}

async fn play(stage: &Stage) -> Played {
    let phone = replay::Settings { pace: Pace::Times(1.0), ..stage.phone() };
    replay::play(&first_minute().0, &phone, &Progress::default()).await
}

/// The beginning of the long dialogue up to a pause of both parties, and where that is.
fn first_minute() -> (Recording, u64) {
    let mut fixture = load("dialogue");
    let end_ms = pause_behind(&fixture, ABOUT_MS);
    fixture.messages.retain(|message| !matches!(message, Message::Media(media) if media.timestamp_ms >= end_ms));
    (Recording::of_fixture(fixture), end_ms)
}

fn pause_behind(fixture: &Fixture, ms: u64) -> u64 {
    let words = || fixture.truth.values().flat_map(|truth| &truth.words);
    let is_quiet = |at: &u64| words().all(|word| word.end_ms + PAUSE_MS <= *at || *at + PAUSE_MS <= word.start_ms);
    (ms..).step_by(20).find(is_quiet).unwrap()
}

/// Times between cuts: drawn, all of them within the call.
fn moments(draw: &mut u64) -> Vec<u64> {
    let mut at: Vec<u64> = (0..CUTS).map(|_| 500 + next(draw) % (ABOUT_MS - 1_500)).collect();
    at.sort_unstable();
    let before = [0].into_iter().chain(at.clone());
    at.iter().zip(before).map(|(at, before)| at - before).collect()
}

/// Xorshift: enough to scatter cuts.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// One segment as it is compared.
type Said = (String, String, u64, u64);

fn by_track(events: &[Value]) -> BTreeMap<String, Vec<Said>> {
    let mut all: BTreeMap<String, Vec<Said>> = BTreeMap::new();
    for data in of_type(events, "transcript.final") {
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        let ms = |name: &str| data[name].as_u64().unwrap();
        all.entry(text("track")).or_default().push((text("speaker"), text("text"), ms("start_ms"), ms("end_ms")));
    }
    all.values_mut().for_each(|said| said.sort_by_key(|(.., start, _)| *start));
    all
}

fn assert_same_transcript(name: &str, got: &[Value], expected: &[Value]) {
    let (got, expected) = (by_track(got), by_track(expected));
    for track in [Track::Inbound, Track::Outbound] {
        let (got, expected) = (&got[track.as_str()], &expected[track.as_str()]);
        let words = |said: &[Said]| said.iter().map(|(speaker, text, ..)| format!("{speaker} {text}")).collect::<Vec<_>>();
        assert_eq!(words(got), words(expected), "{name} {track}");
        for (got, expected) in got.iter().zip(expected) {
            let apart = got.2.abs_diff(expected.2).max(got.3.abs_diff(expected.3));
            assert!(apart <= TOLERANCE_MS, "{name} {track}: {got:?} is {apart} ms from {expected:?}");
        }
    }
}
