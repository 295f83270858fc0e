//! The checks themselves. Each kind of damage has its name in the report; the program's docs say what lost and unexpected mean.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{heard::Connection, received::Post, signature::Secret};

/// Every kind of damage, in the report's order.
pub(crate) const KINDS: [&str; 9] =
    ["lost", "unexpected", "forged", "bytes_differ", "seq", "order", "completed", "transcript", "out_of_time"];

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    counts: BTreeMap<&'static str, u64>,
    damage: BTreeMap<&'static str, Vec<String>>,
}

impl Report {
    fn note(&mut self, kind: &'static str, what: String) {
        assert!(KINDS.contains(&kind), "{kind} is no kind of damage");
        self.damage.entry(kind).or_default().push(what);
    }

    fn count(&mut self, what: &'static str, by: usize) {
        *self.counts.entry(what).or_default() += by as u64;
    }

    /// What was found of one kind.
    pub(crate) fn of(&self, kind: &str) -> &[String] {
        self.damage.get(kind).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn has_damage(&self) -> bool {
        !self.damage.is_empty()
    }

    pub(crate) fn to_json(&self) -> Value {
        let numbers = KINDS.iter().map(|kind| ((*kind).to_owned(), json!(self.of(kind).len())));
        let mut report: serde_json::Map<String, Value> = numbers.collect();
        report.extend(self.counts.iter().map(|(name, count)| ((*name).to_owned(), json!(count))));
        report.insert("passed".to_owned(), json!(!self.has_damage()));
        report.insert("damage".to_owned(), json!(self.damage));
        Value::Object(report)
    }
}

/// What one call was told: each word of each track, with its times on the call's clock.
type Told = BTreeMap<(String, String), Vec<u64>>;

/// Judges the calls that are asked for.
pub(crate) fn judge(heard: &[Connection], posts: &[Post], secret: &Secret, is_asked: impl Fn(&str) -> bool) -> Report {
    let mut report = Report::default();
    let heard: Vec<&Connection> = heard.iter().filter(|connection| is_asked(&connection.call)).collect();
    let posts: Vec<&Post> = posts.iter().filter(|post| is_asked(post.text("call_sid"))).collect();
    check_each(&posts, secret, &mut report);
    let firsts = first_acceptances(&posts, &mut report);
    let mut calls: BTreeMap<&str, Vec<&Post>> = heard.iter().map(|connection| (connection.call.as_str(), Vec::new())).collect();
    firsts.iter().for_each(|post| calls.entry(post.text("call_sid")).or_default().push(post));
    report.count("calls", calls.len());
    for (call, events) in calls {
        let said: Vec<&Connection> = heard.iter().copied().filter(|connection| connection.call == call).collect();
        check_words(call, &said, &told(&events), &mut report);
        check_completed(call, &events, &mut report);
        let mut sessions: BTreeMap<&str, Vec<&Post>> = BTreeMap::new();
        events.iter().for_each(|post| sessions.entry(post.text("session_id")).or_default().push(post));
        report.count("sessions", sessions.len());
        for (session, events) in sessions {
            check_numbers(session, &events, &mut report);
            check_transcript(session, &events, &mut report);
        }
    }
    report
}

/// What a POST must keep whether or not it was accepted.
fn check_each(posts: &[&Post], secret: &Secret, report: &mut Report) {
    let mut bodies: HashMap<&str, &[u8]> = HashMap::new();
    for post in posts {
        if !secret.has_signed(post) || post.text("event_id") != post.id {
            report.note("forged", format!("{} {}", post.kind(), post.id));
        }
        if *bodies.entry(&post.id).or_insert(&post.body) != post.body {
            report.note("bytes_differ", post.id.clone());
        }
    }
    report.count("posts", posts.len());
}

/// Each event where it was accepted first, in the order of acceptance.
fn first_acceptances<'a>(posts: &[&'a Post], report: &mut Report) -> Vec<&'a Post> {
    let mut seen = BTreeSet::new();
    let accepted: Vec<&Post> = posts.iter().copied().filter(|post| post.is_accepted()).collect();
    let firsts: Vec<&Post> = accepted.iter().copied().filter(|post| seen.insert(post.id.as_str())).collect();
    report.count("events", firsts.len());
    report.count("repeated", accepted.len() - firsts.len());
    firsts.into_iter().filter(|post| post.seq().is_some()).collect()
}

fn told(events: &[&Post]) -> Told {
    let mut told = Told::new();
    for post in events.iter().filter(|post| post.kind() == "transcript.final") {
        let words = post.event["data"]["words"].as_array().map_or(&[][..], Vec::as_slice);
        // The text counts; a word's time stands in `words`, which has to say the same.
        for (at, text) in post.text("text").split_whitespace().enumerate() {
            let time = words.get(at).filter(|word| word["text"] == text).and_then(|word| word["start_ms"].as_u64());
            told.entry((post.text("track").to_owned(), text.to_owned())).or_default().push(time.unwrap_or(u64::MAX));
        }
    }
    told
}

fn check_words(call: &str, said: &[&Connection], told: &Told, report: &mut Report) {
    let key = |connection: &Connection, word: &String| (connection.track.clone(), word.clone());
    let all: BTreeSet<(String, String)> =
        said.iter().flat_map(|connection| connection.words.iter().map(|word| key(connection, word))).collect();
    report.count("words_said", all.len());
    report.count("words_told", told.len());
    for (track, word) in all.iter().filter(|key| !told.contains_key(*key)) {
        report.note("lost", format!("{call} {track} {word}"));
    }
    for (key @ (track, word), times) in told {
        let too_many = if all.contains(key) { times.len() - 1 } else { times.len() };
        (0..too_many).for_each(|_| report.note("unexpected", format!("{call} {track} {word}")));
    }
    for connection in said {
        for pair in connection.words.windows(2) {
            let [before, after] =
                [&pair[0], &pair[1]].map(|word| told.get(&key(connection, word)).and_then(|times| times.first()));
            if before.zip(after).is_some_and(|(before, after)| before >= after) {
                report.note("out_of_time", format!("{call} {} {} and {}", connection.track, pair[0], pair[1]));
            }
        }
    }
}

/// One `call.completed` for a call, whose session it ends.
fn check_completed(call: &str, events: &[&Post], report: &mut Report) {
    let count = events.iter().filter(|post| post.kind() == "call.completed").count();
    if count != 1 {
        report.note("completed", format!("{call} has {count} of them"));
    }
    let (is_last, last) = (events.last().is_none_or(|post| post.kind() == "call.completed"), events.last());
    if let Some(last) = last.filter(|_| !is_last && count > 0) {
        report.note("completed", format!("{call} has {} behind it", last.kind()));
    }
    if let Some(last) = last.filter(|last| is_last && last.event["data"]["last_seq"].as_u64() != last.seq()) {
        report.note("completed", format!("{call}: its last_seq is not its seq {:?}", last.seq()));
    }
}

/// `seq` runs from 1 to the last without a gap, each number once, and the events came in that order.
fn check_numbers(session: &str, events: &[&Post], report: &mut Report) {
    let came: Vec<u64> = events.iter().filter_map(|post| post.seq()).collect();
    let mut sorted = came.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(1..=sorted.len() as u64) {
        report.note("seq", format!("{session} has {sorted:?}"));
    }
    if events.iter().find(|post| post.seq() == Some(1)).is_some_and(|post| post.kind() != "call.started") {
        report.note("seq", format!("{session} does not begin with call.started"));
    }
    if sorted != came {
        report.note("order", format!("{session} came as {came:?}"));
    }
}

/// `call.completed` says what the finals said, and its hash is of that.
fn check_transcript(session: &str, events: &[&Post], report: &mut Report) {
    let Some(completed) = events.iter().find(|post| post.kind() == "call.completed") else { return };
    let lines = completed.event["data"]["transcript"].as_array().map_or(&[][..], Vec::as_slice);
    let of = |data: &Value| ["segment_id", "track", "start_ms", "text"].map(|name| data[name].to_string());
    let mut listed: Vec<[String; 4]> = lines.iter().map(of).collect();
    let finals = events.iter().filter(|post| post.kind() == "transcript.final");
    let mut told: Vec<[String; 4]> = finals.map(|post| of(&post.event["data"])).collect();
    listed.sort_unstable();
    told.sort_unstable();
    if listed != told {
        report.note("transcript", format!("{session} lists {} finals of {}, or others", listed.len(), told.len()));
    }
    let mut hash = Sha256::new();
    lines.iter().for_each(|line| hash.update(format!("{}\n", line["text"].as_str().unwrap_or_default())));
    let hash = hash.finalize().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    if hash != completed.text("transcript_sha256") {
        report.note("transcript", format!("{session}: the hash is not that of its transcript"));
    }
}
