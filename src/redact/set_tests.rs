//! The development set through the gate: each item is a call, its segments successive finals.

use std::{collections::HashMap, time::Duration};

use serde_json::{Value, json};

use super::{tests::final_on, *};

const SET: &str = include_str!("../../fixtures/pii/dev.jsonl");
/// Kinds that the rules do not look for yet: they are not numbers.
const LATER: [&str; 3] = ["PERSON", "ADDRESS", "PASSWORD"];
/// Where the scorer is to find what came out, for `score_pii.py fixtures/pii/dev.jsonl FILE --by-tag --show 20`.
const OUT: &str = "PII_OUT";

/// Least percentage of mentions of which nothing that counts comes out, of the kinds that are looked for.
const LEAST_CAUGHT: usize = 97;
/// Largest percentage of harmless items in which anything is taken out.
const MOST_HIT: usize = 0;

#[test]
fn the_development_set_keeps_its_scores() {
    let (mut caught, mut mentions, mut hit, mut harmless, mut lines) = (0, 0, 0, 0, String::new());
    for line in SET.lines() {
        let item: Value = serde_json::from_str(line).expect("a JSON line");
        let clean = redacted(&item);
        let mut whole: HashMap<&str, bool> = HashMap::new();
        for span in item["spans"].as_array().expect("spans").iter().filter(|span| !LATER.contains(&text(&span["type"]))) {
            *whole.entry(text(&span["entity"])).or_insert(true) &= is_gone(&item, &clean, span);
        }
        mentions += whole.len();
        caught += whole.values().filter(|gone| **gone).count();
        if item["spans"].as_array().is_some_and(Vec::is_empty) {
            harmless += 1;
            hit += usize::from(item["segments"] != clean["segments"]);
        }
        lines.extend([clean.to_string().as_str(), "\n"]);
    }
    if let Some(path) = std::env::var_os(OUT) {
        std::fs::write(path, lines).expect("a path that can be written");
    }
    assert!(caught * 100 >= mentions * LEAST_CAUGHT, "{caught} of {mentions} mentions were caught");
    assert!(hit * 100 <= harmless * MOST_HIT, "{hit} of {harmless} harmless items were hit");
}

#[test]
fn most_harmless_finals_are_not_held() {
    let (mut held, mut all) = (0, 0);
    for line in SET.lines() {
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
    let mut gate = Gate::new(GateSettings::default(), [7; 32]);
    let start = crate::clock::now();
    let segments = item["segments"].as_array().expect("segments");
    let mut texts: Vec<_> = segments.iter().map(|_| "****".to_owned()).collect();
    for (index, segment) in (0..).zip(segments) {
        let now = start + Duration::from_millis(1500 * index);
        if text(&segment["speaker"]) == "dtmf" {
            for key in text(&segment["text"]).chars() {
                gate.handle_digit(Track::Inbound, &Role::caller(), 1500 * index, Some(key), now);
            }
        } else {
            let segment = final_on(track(segment), text(&segment["text"]), 1500 * index);
            gate.handle_final(Segment { id: index.to_string(), ..segment }, now);
        }
        take(&mut gate, &mut texts);
    }
    gate.handle_end(start + Duration::from_mins(1));
    take(&mut gate, &mut texts);
    let clean = segments.iter().zip(texts).map(|(segment, text)| json!({"speaker": segment["speaker"], "text": text}));
    json!({"id": item["id"], "segments": clean.collect::<Vec<_>>()})
}

fn take(gate: &mut Gate, texts: &mut [String]) {
    while let Some(out) = gate.poll_output() {
        match out {
            Out::Release(release) => {
                let index: usize = release.segment.id.parse().expect("an index");
                release.segment.text.as_str().clone_into(&mut texts[index]);
            }
            Out::Digit { masked, .. } => assert!(masked),
            Out::Interim(_) | Out::Note(_) => {}
        }
    }
}

fn track(segment: &Value) -> Track {
    if text(&segment["speaker"]) == "agent" { Track::Outbound } else { Track::Inbound }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
