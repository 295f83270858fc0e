//! A database that cannot be written for a while: no call is let in, those on the line go on, and what they say comes late and whole.

use std::{collections::BTreeMap, path::Path, time::Duration};

use pulse_bridge::{
    clock,
    replay::{self, Pace, Progress, Recording},
};
use rusqlite::Connection;
use serde_json::Value;

use crate::{
    http,
    phone::{Phone, assert_whole, one_call},
    restart::take,
    stage::{PATIENCE, Stage, assert_unbroken, ids, load, of_type, text_of},
};

/// How long it lasts.
const OUTAGE: Duration = Duration::from_secs(20);

/// Keeps the bridge from writing until it is dropped: its every commit fails, as on a disk that refuses.
struct Locked(Connection);

impl Locked {
    fn new(data_dir: &Path) -> Self {
        let other = Connection::open(data_dir.join("bridge.sqlite")).unwrap();
        other.busy_timeout(PATIENCE).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(other)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

type Events = BTreeMap<u64, Value>;

fn has(events: &Events, kind: &str) -> bool {
    events.values().any(|event| event["type"] == kind)
}

/// Plays twenty seconds of a call; `meanwhile` runs behind its first final.
async fn played(stage: &mut Stage, call: &str, meanwhile: impl AsyncFnOnce(&Stage)) -> Vec<Value> {
    let phone = replay::Settings { ids: Some(ids(call, &format!("MZ-{call}"))), pace: Pace::Times(2.0), ..stage.phone() };
    let playing =
        tokio::spawn(
            async move { replay::play(&Recording::of_fixture(load("pay-by-card")), &phone, &Progress::default()).await },
        );
    // An event whose verdict could not be stored comes again, the same.
    let (mut events, mut bodies) = (Events::new(), BTreeMap::new());
    while !has(&events, "transcript.final") {
        take(stage, &mut events, &mut bodies).await;
    }
    meanwhile(stage).await;
    while !has(&events, "call.completed") {
        take(stage, &mut events, &mut bodies).await;
    }
    assert_eq!(playing.await.unwrap().ended, "stop");
    let events: Vec<Value> = events.into_values().collect();
    assert_unbroken(&events);
    events
}

/// `/readyz`, once it answers so.
async fn readiness(stage: &Stage, status: u16) -> Value {
    let asking = async {
        loop {
            let answer = http::get(stage, "/readyz").await;
            if answer.status == status {
                return answer.json();
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("readiness changes in time")
}

async fn fail_for_a_while(stage: &Stage) {
    let locked = Locked::new(&stage.data_dir);
    let over = clock::now() + OUTAGE;
    let answer = readiness(stage, 503).await;
    assert_eq!((&answer["store"]["state"], &answer["ready"]), (&"failing".into(), &false.into()), "{answer:#}");
    assert_eq!(answer["calls"]["reason"], "the bridge cannot store events now; see /readyz");
    assert_eq!(Phone::dial_to(stage, "CAnew", "/media/twilio").await.err(), Some(503));
    clock::sleep_until(Some(over)).await;
    drop(locked);
    readiness(stage, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_lives_through_twenty_seconds_of_a_database_that_cannot_be_written() {
    let usual = async {
        let mut stage = Stage::new().await;
        let events = played(&mut stage, "CAusual", async |_| {}).await;
        stage.end().await;
        events
    };
    let failing = async {
        let mut stage = Stage::new().await;
        let events = played(&mut stage, "CAfailing", fail_for_a_while).await;
        assert_whole(&one_call(&mut stage, "CAafter").await);
        stage.end().await;
        events
    };
    let (usual, failing) = tokio::join!(usual, failing);
    for track in ["inbound", "outbound"] {
        assert_eq!(text_of(&failing, track), text_of(&usual, track));
    }
    let told = |events: &[Value]| -> Vec<Value> {
        of_type(events, "transcript.final").iter().map(|data| serde_json::json!([data["track"], data["text"]])).collect()
    };
    assert_eq!(told(&failing), told(&usual), "in the same order");
    assert_eq!(of_type(&failing, "transcript.gap").len(), 0);
    assert_eq!(of_type(&failing, "call.completed")[0]["complete"], true);
}
