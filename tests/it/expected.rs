//! Every fixture gives the events that lie beside it as `expected.jsonl`, but for ids, wall times and the order in which two
//! parties' finals happened to arrive. `EXPECTED=write cargo test --test it expected` writes them anew.

use pulse_bridge::replay::expect::{self, Comparison};

use crate::stage::{Stage, all_fixtures, fixtures_dir};

#[tokio::test(flavor = "multi_thread")]
async fn every_fixture_gives_the_events_that_are_expected_of_it() {
    let mut stage = Stage::new().await;
    for fixture in all_fixtures() {
        let played = stage.call_as(&fixture.name, &stage.steady_phone()).await;
        let got = expect::neutral(stage.events_of(&played.call_sid).await);
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
