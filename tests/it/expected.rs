//! Every fixture gives the events that lie beside it as `expected.jsonl`, but for ids and wall times, as fast as it was spoken and as fast
//! as the bridge takes it. `EXPECTED=write cargo test --test it at_full_speed` writes them anew.

use futures_util::{StreamExt, stream};
use pulse_bridge::replay::{
    Pace, Played, Settings,
    expect::{self, Comparison},
};

use crate::stage::{Plan, Stage, all_fixtures, fixtures_dir};

/// Calls at once that are faster than speech.
const AT_ONCE: usize = 3;

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
    // Slower than the other tests let audio catch up, and faster than speech a few at once: on a busy machine the service is to have time to
    // answer one track before the other one's finals have waited for it for as long as they may.
    let settings = vec![("PULSE_BRIDGE_UPSTREAM_REPLAY_SPEED", "4".to_owned())];
    let mut stage = Stage::with(Plan { settings, ..Plan::default() }).await;
    let (fixtures, phone) = (all_fixtures(), Settings { pace, ..stage.phone() });
    let at_once = if pace == Pace::Max { AT_ONCE } else { fixtures.len() };
    let played = stream::iter(&fixtures).map(|fixture| stage.call_as(&fixture.name, &phone)).buffered(at_once);
    let played: Vec<Played> = played.collect().await;
    let mut events = stage.events_of_all(fixtures.len()).await;
    for (fixture, played) in fixtures.iter().zip(played) {
        assert_eq!(played.error, None, "{}", fixture.name);
        let got = expect::neutral(events.remove(&played.call_sid).unwrap());
        let path = fixtures_dir().join(&fixture.name).join("expected.jsonl");
        if writes {
            std::fs::write(&path, expect::lines(&got)).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        let compared = Comparison::new(&expect::read(&expected).unwrap(), &got, 0);
        assert!(compared.is_same(), "{}", compared.shown(&fixture.name));
        assert_eq!(expect::lines(&got), expected, "{}", fixture.name);
    }
    stage.end().await;
}
