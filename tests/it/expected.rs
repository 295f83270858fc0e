//! Every fixture gives the events that lie beside it as `expected.jsonl`, but for ids and wall times, as fast as it was spoken and as fast
//! as the bridge takes it. `EXPECTED=write cargo test --test it at_full_speed` writes them anew.

use futures_util::future::join_all;
use pulse_bridge::replay::{
    Pace, Settings,
    expect::{self, Comparison},
};

use crate::stage::{Plan, Stage, all_fixtures, fixtures_dir};

/// How often a call whose events differ is played again by itself: on a busy machine, with ten calls at once, the service may answer one track
/// for longer than the other one's finals wait for it, and then they come in another order.
const ALONE: u32 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn every_fixture_played_at_full_speed_gives_the_events_that_are_expected_of_it() {
    let writes = std::env::var_os("EXPECTED").is_some_and(|value| value == "write");
    every_fixture_at(Pace::Max, writes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fixture_played_as_it_was_spoken_gives_the_events_that_are_expected_of_it() {
    every_fixture_at(Pace::Times(1.0), false).await;
}

async fn every_fixture_at(pace: Pace, writes: bool) {
    // Slower than the other tests let audio catch up: ten calls at once on a busy machine are to have time to answer.
    let settings = vec![("PULSE_BRIDGE_UPSTREAM_REPLAY_SPEED", "4".to_owned())];
    let mut stage = Stage::with(Plan { settings, ..Plan::default() }).await;
    let (fixtures, phone) = (all_fixtures(), Settings { pace, ..stage.phone() });
    let played = join_all(fixtures.iter().map(|fixture| stage.call_as(&fixture.name, &phone))).await;
    let mut events = stage.events_of_all(fixtures.len()).await;
    for (fixture, played) in fixtures.iter().zip(played) {
        let name = &fixture.name;
        assert_eq!(played.error, None, "{name}");
        let mut got = expect::neutral(events.remove(&played.call_sid).unwrap());
        let path = fixtures_dir().join(name).join("expected.jsonl");
        if writes {
            std::fs::write(&path, expect::lines(&got)).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        let wanted = expect::read(&expected).unwrap();
        for _ in 0..ALONE {
            if Comparison::new(&wanted, &got, 0).is_same() {
                break;
            }
            let again = stage.call_as(name, &phone).await;
            got = expect::neutral(stage.events_of(&again.call_sid).await);
        }
        let compared = Comparison::new(&wanted, &got, 0);
        assert!(compared.is_same(), "{}", compared.shown(name));
        assert_eq!(expect::lines(&got), expected, "{name}");
    }
    stage.end().await;
}
