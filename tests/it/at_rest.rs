//! What a whole call leaves in the data folder, and what becomes of it without its master key.

use std::{collections::BTreeSet, path::Path};

use pulse_bridge::{
    keys::KEY_FILE,
    replay::{self, Progress, Recording},
    serve::Running,
};
use serde_json::Value;
use url::Url;

use crate::{
    http::ask_url,
    stage::{AUTH_TOKEN, Stage, ids, load, of_type, until},
};

/// One word may stand in the comments of the tables.
const IN_A_ROW: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_call_leaves_no_word_and_no_digit_of_it_in_any_file() {
    let mut stage = Stage::new().await;
    let data_dir = stage.data_dir.join("sealed");
    let bridge = stage.another(&data_dir).await;
    let events = played(&mut stage, &bridge, "CAsealed").await;
    let said = words(&events);
    assert!(said.len() > 10, "{said:?}");
    assert_eq!(found(&data_dir, &said), BTreeSet::new(), "while it runs");
    bridge.close().await;
    assert_eq!(found(&data_dir, &said), BTreeSet::new(), "after it was closed");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_master_key_a_call_is_named_and_every_other_one_goes_on() {
    let mut stage = Stage::new().await;
    let data_dir = stage.data_dir.join("keyless");
    let bridge = stage.another(&data_dir).await;
    played(&mut stage, &bridge, "CAbefore").await;
    bridge.close().await;
    let key_file = data_dir.join(KEY_FILE);
    let key = std::fs::read_to_string(&key_file).unwrap();
    std::fs::remove_file(&key_file).unwrap();

    let without = stage.another(&data_dir).await;
    played(&mut stage, &without, "CAafter").await;
    let ask =
        async |path: &str| ask_url(&format!("http://{}/v1/calls{path}", without.address), hyper::Method::GET, &[], "").await;
    let id = key.split(':').next().unwrap();
    for path in ["/CAbefore/events", "/CAbefore/transcript"] {
        let told = ask(path).await.problem(503);
        assert!(told.contains(&format!("the master key {id}, which is not set")), "{told}");
    }
    assert_eq!(ask("/CAafter/events").await.status, 200);
    let listed = ask("").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(ask("/CAbefore").await.status, 200);
    without.close().await;
    stage.end().await;
}

/// Plays a call to this bridge and waits until it is over and delivered.
async fn played(stage: &mut Stage, bridge: &Running, call: &str) -> Vec<Value> {
    let to = Url::parse(&format!("ws://{}/media/twilio", bridge.address)).unwrap();
    let sign_with = Some(secrecy::SecretString::from(AUTH_TOKEN));
    let ids = Some(ids(call, &format!("MZ-{call}")));
    let phone = replay::Settings { to, ids, sign_with, ..stage.phone() };
    let played = replay::play(&Recording::of_fixture(load("pay-by-card")), &phone, &Progress::default()).await;
    assert_eq!(played.call_sid, call);
    let events = stage.events_of(call).await;
    until(|| bridge.calls.registry().is_empty()).await;
    events
}

/// Every three words in a row of what was told, and of what was said before the card number was taken out.
fn words(events: &[Value]) -> BTreeSet<String> {
    let texts = of_type(events, "transcript.final").into_iter().filter_map(|data| data["text"].as_str().map(str::to_owned));
    let spoken = load("pay-by-card").truth.into_values().map(|truth| {
        let words: Vec<String> = truth.words.into_iter().map(|word| word.text).collect();
        words.join(" ")
    });
    let in_a_row = |text: String| {
        let words: Vec<&str> = text.split_whitespace().collect();
        words.windows(IN_A_ROW).map(|words| words.join(" ")).collect::<Vec<_>>()
    };
    texts.chain(spoken).flat_map(in_a_row).collect()
}

/// Which of the words stand in a file of the folder or below it.
fn found(folder: &Path, words: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(self::found(&entry.path(), words));
            continue;
        }
        // A spool's file goes once stored finals cover it, maybe just now.
        let bytes = match std::fs::read(entry.path()) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => continue,
            read => read.unwrap(),
        };
        let stands = |word: &&String| bytes.windows(word.len()).any(|window| window == word.as_bytes());
        found.extend(words.iter().filter(stands).map(|word| format!("{word} in {}", entry.path().display())));
    }
    found
}
