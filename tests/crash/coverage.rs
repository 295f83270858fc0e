//! Whether the service has heard all that the phones had said, less what a kill may cost.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{phone::Spoken, script};

/// What a kill may cost of each track: a chunk that is being filled, and what is on its way from socket to disk.
const MAY_BE_LOST_MS: u64 = 200;

/// Words that were said well before a call's end and that the service never heard, over all connections of the call. Each word is 150 of 200 ms of
/// sound and is heard only if four fifths of it come, so a hole in the audio is a missing word.
pub(crate) fn unheard(log: &str, spoken: &[Spoken], known: &BTreeSet<String>) -> Vec<String> {
    let heard = heard(log);
    let nothing = BTreeSet::new();
    let mut unheard = Vec::new();
    for spoken in spoken.iter().filter(|spoken| known.contains(&spoken.call)) {
        let may_be_lost = if spoken.is_whole { 0 } else { MAY_BE_LOST_MS + spoken.late_ms };
        let sure_ms = spoken.sent_ms.saturating_sub(may_be_lost).min(spoken.said_ms);
        for word in script::words().iter().filter(|word| word.end_ms <= sure_ms) {
            let name = format!("{}.{}", spoken.call, word.track);
            if !heard.get(&name).unwrap_or(&nothing).contains(&word.text) {
                let (end, sent) = (word.end_ms, spoken.sent_ms);
                unheard.push(format!("{name}: {} ended at {end} ms of {sent} ms, late {} ms", word.text, spoken.late_ms));
            }
        }
    }
    unheard
}

/// Every word that a final said, by the connection's name.
fn heard(log: &str) -> BTreeMap<String, BTreeSet<String>> {
    let log: Value = serde_json::from_str(log).unwrap();
    let mut heard: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for connection in log["connections"].as_array().expect("the log lists connections") {
        let query = connection["query"].as_array().expect("a connection has a query");
        let name = query.iter().find(|pair| pair[0] == "external_session_id").and_then(|pair| pair[1].as_str());
        let finals = connection["finals"].as_array().expect("a connection has finals");
        let words = finals.iter().filter_map(Value::as_str).flat_map(str::split_whitespace).map(str::to_owned);
        heard.entry(name.unwrap_or_default().to_owned()).or_default().extend(words);
    }
    heard
}
