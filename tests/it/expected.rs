//! Every fixture gives the events that lie beside it as `expected.jsonl`, but for ids, wall times and the order in which two
//! parties' finals happened to arrive. `EXPECTED=write cargo test --test it expected` writes them anew.

use pulse_bridge::{fixture::Fixture, media::ms_to_bytes};
use serde_json::{Map, Value};

use crate::stage::{Stage, all_fixtures, fixtures_dir};

/// A call longer than this is played beside the others, in milliseconds: all one after another take too long, all at once too much.
const LONG_MS: u64 = 60_000;

/// What differs from run to run.
const VARYING: [&str; 12] = [
    "timestamp",
    "call_sid",
    "session_id",
    "event_id",
    "stream_sid",
    "segment_id",
    "seq",
    "started_at",
    "ended_at",
    "latency",
    "transcript_url",
    "account_sid",
];

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
        let lines = lines(events.remove(&played.call_sid).unwrap());
        let path = fixtures_dir().join(&fixture.name).join("expected.jsonl");
        if std::env::var_os("EXPECTED").is_some_and(|value| value == "write") {
            std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        let expected: Vec<&str> = expected.lines().collect();
        for (line, expected) in lines.iter().zip(&expected) {
            assert_eq!(line, expected, "{}", fixture.name);
        }
        assert_eq!(lines.len(), expected.len(), "{}", fixture.name);
    }
    stage.end().await;
}

/// The events without what varies, in the order of the call's own time.
fn lines(mut events: Vec<Value>) -> Vec<String> {
    events.iter_mut().for_each(strip);
    let place = |event: &Value| {
        let rank = ["call.started", "transcript.final", "call.dtmf", "transcript.gap", "call.completed"]
            .iter()
            .position(|kind| event["type"] == **kind);
        let data = &event["data"];
        (rank, data["start_ms"].as_u64(), data["track"].as_str().map(str::to_owned))
    };
    events.sort_by_key(place);
    events.iter().map(Value::to_string).collect()
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let kept: Map<String, Value> = std::mem::take(fields)
                .into_iter()
                .filter(|(name, _)| !VARYING.contains(&name.as_str()) && name != "last_seq")
                .collect();
            *fields = kept;
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}
