//! Every fixture gives the events that lie beside it as `expected.jsonl`, but for ids, wall times and the order in which two
//! parties' finals happened to arrive. `EXPECTED=write cargo test --test it expected` writes them anew.

use pulse_bridge::{
    fixture::Fixture,
    media::ms_to_bytes,
    replay::expect::{self, Comparison},
};

use crate::stage::{Stage, all_fixtures, fixtures_dir};

/// A call longer than this is played beside the others, in milliseconds: all one after another take too long, all at once too much.
const LONG_MS: u64 = 60_000;

#[tokio::test(flavor = "multi_thread")]
async fn every_fixture_gives_the_events_that_are_expected_of_it() {
    let mut stage = Stage::new().await;
    let phone = stage.steady_phone();
    let one_after_another = async |fixtures: Vec<Fixture>| {
        let mut played = Vec::new();
        for fixture in fixtures {
            let call = stage.call_as(&fixture.name, &phone).await;
            played.push((fixture, call));
        }
        played
    };
    let is_long = |fixture: &Fixture| fixture.tracks.values().any(|audio| audio.len() as u64 > ms_to_bytes(LONG_MS));
    let (long, short): (Vec<_>, Vec<_>) = all_fixtures().into_iter().partition(is_long);
    let (long, short) = tokio::join!(one_after_another(long), one_after_another(short));
    let mut events = stage.events_of_all(long.len() + short.len()).await;
    for (fixture, played) in long.into_iter().chain(short) {
        assert_eq!(played.error, None, "{}", fixture.name);
        let got = expect::neutral(events.remove(&played.call_sid).unwrap());
        let path = fixtures_dir().join(&fixture.name).join("expected.jsonl");
        if std::env::var_os("EXPECTED").is_some_and(|value| value == "write") {
            std::fs::write(&path, expect::lines(&got)).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        let compared = Comparison::new(&expect::read(&expected).unwrap(), &got, 0);
        assert!(compared.is_same(), "{}", compared.shown(&fixture.name));
        assert_eq!(expect::lines(&got), expected, "{}", fixture.name);
    }
    stage.end().await;
}
