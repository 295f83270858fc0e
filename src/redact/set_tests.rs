//! The sets of snippets through the gate: each item is a call, its segments successive finals. `fixtures/pii/check.py` scores them by
//! type; here they are held in the large.

use std::collections::HashMap;

use serde_json::Value;

use super::{tests::final_on, *};

/// Each set with its least percentage of mentions of which nothing that counts comes out, and its largest of harmless items in which anything is
/// taken out, as this file's coarse rule counts them.
const SETS: [(&str, usize, usize); 6] = [
    (include_str!("../../fixtures/pii/dev.jsonl"), 96, 0),
    (include_str!("../../fixtures/pii/phrases.jsonl"), 91, 2),
    (include_str!("../../fixtures/pii/unseen.jsonl"), 88, 2),
    (include_str!("../../fixtures/pii/trades.jsonl"), 90, 2),
    (include_str!("../../fixtures/pii/fresh.jsonl"), 87, 2),
    (include_str!("../../fixtures/pii/blind.jsonl"), 92, 3),
];
/// Where what came out of all sets is to be written.
const OUT: &str = "PII_OUT";

#[test]
fn every_set_keeps_its_scores() {
    let mut lines = String::new();
    for (set, least, most) in SETS {
        let (mut caught, mut mentions, mut hit, mut harmless) = (0, 0, 0, 0);
        for line in set.lines() {
            let item: Value = serde_json::from_str(line).expect("a JSON line");
            let clean = redacted(&item);
            let mut whole: HashMap<&str, bool> = HashMap::new();
            for span in item["spans"].as_array().expect("spans") {
                *whole.entry(text(&span["entity"])).or_insert(true) &= is_gone(&item, &clean, span);
            }
            mentions += whole.len();
            caught += whole.values().filter(|gone| **gone).count();
            if item["spans"].as_array().is_some_and(Vec::is_empty) {
                harmless += 1;
                hit += usize::from(clean["redactions"] != Value::Array(Vec::new()));
            }
            lines.extend([clean.to_string().as_str(), "\n"]);
        }
        let id = text(&serde_json::from_str::<Value>(set.lines().next().unwrap_or_default()).expect("JSON")["id"]).to_owned();
        assert!(caught * 100 >= mentions * least, "{id}: {caught} of {mentions} mentions were caught");
        assert!(hit * 100 <= harmless * most, "{id}: {hit} of {harmless} harmless items were hit");
    }
    if let Some(path) = std::env::var_os(OUT) {
        std::fs::write(path, lines).expect("a path that can be written");
    }
}

#[test]
fn most_harmless_finals_are_not_held() {
    let (mut held, mut all) = (0, 0);
    for line in SETS.iter().flat_map(|(set, ..)| set.lines()) {
        let item: Value = serde_json::from_str(line).expect("a JSON line");
        if item["spans"].as_array().is_some_and(Vec::is_empty) {
            let mut gate = Gate::new(GateSettings::default(), [7; 32]);
            for segment in item["segments"].as_array().expect("segments") {
                gate.handle_final(final_on(track(segment), text(&segment["text"]), 0), crate::clock::now());
                all += 1;
                held += usize::from(gate.poll_timeout().is_some());
            }
        }
    }
    assert!(held * 20 <= all, "{held} of {all}");
}

/// Whether no word of a span that could tell something is left where it stood.
fn is_gone(item: &Value, clean: &Value, span: &Value) -> bool {
    let segment = usize::try_from(span["segment"].as_u64().unwrap_or_default()).unwrap_or_default();
    let place = |name: &str| usize::try_from(span[name].as_u64().unwrap_or_default()).unwrap_or_default();
    let said: Vec<char> = text(&item["segments"][segment]["text"]).chars().collect();
    let said: String = said[place("start")..place("end")].iter().collect();
    let left = text(&clean["segments"][segment]["text"]);
    said.split_whitespace().all(|word| word.len() < 3 || !left.split_whitespace().any(|left| left == word))
}

/// An item with its segments' text as the gate lets it out.
fn redacted(item: &Value) -> Value {
    let settings = GateSettings { digits: DigitPolicy::ShowMenu, ..GateSettings::default() };
    let clean = lines::redacted(&item.to_string(), &settings, [7; 32], crate::clock::now(), false);
    serde_json::from_str(&clean.expect("an item is a call").line).expect("JSON")
}

fn track(segment: &Value) -> Track {
    if text(&segment["speaker"]) == "agent" { Track::Outbound } else { Track::Inbound }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
