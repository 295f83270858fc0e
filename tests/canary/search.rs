//! The searcher: every form of every value in bytes, runs of digits, and texts of JSON.
//!
//! Promises: case makes no difference; what it says of a hit is the place, the value's name and the form, and the bytes around it.

use std::{collections::HashMap, fmt, sync::LazyLock};

use regex::Regex;
use serde_json::Value as Json;

use crate::{
    forms::{SHORTEST, forms, windows},
    values::{VALUES, Value},
};

/// Digits in a row that are searched in any bytes; fewer would be met by chance.
const IN_BYTES: usize = 6;
/// Digits in a row that are searched in texts.
const IN_TEXTS: usize = 4;
/// Digits of the shortest value.
const SHORTEST_RUN: usize = 3;
/// Slots of the table's first look, as a power of two: about fifty for each form.
const SLOT_BITS: u32 = 21;
/// Bytes around a hit that are shown.
const AROUND: usize = 60;

/// What is searched.
pub(crate) struct Haystack {
    /// Where it was met.
    pub(crate) place: String,
    /// All its bytes.
    pub(crate) bytes: Vec<u8>,
    /// It is JSON, a document or one a line, whose texts are for people: four digits in a row are searched in them.
    pub(crate) has_texts: bool,
}

impl Haystack {
    /// Bytes of any kind.
    pub(crate) fn raw(place: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { place: place.into(), bytes: bytes.into(), has_texts: false }
    }

    /// JSON for people.
    pub(crate) fn texts(place: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { place: place.into(), bytes: bytes.into(), has_texts: true }
    }
}

/// What was found.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) place: String,
    pub(crate) value: &'static str,
    pub(crate) form: &'static str,
    pub(crate) around: String,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({}): {}", self.place, self.value, self.form, self.around.escape_debug())
    }
}

/// A form's bytes, its value's name, and what the form is.
type Needle = (Vec<u8>, &'static str, &'static str);

/// Where a form begins: its first six bytes lead to it.
struct Table {
    /// Whether any form begins so, by a mix of its bytes; spares nearly every look at the map.
    begins: Vec<bool>,
    by_begin: HashMap<[u8; SHORTEST], Vec<Needle>>,
    six: HashMap<String, &'static str>,
    four: HashMap<String, &'static str>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table =
        Table { begins: vec![false; 1 << SLOT_BITS], by_begin: HashMap::new(), six: HashMap::new(), four: HashMap::new() };
    for value in VALUES {
        for (bytes, form) in forms(value) {
            let begin: [u8; SHORTEST] = bytes[..SHORTEST].try_into().expect("a form is longer");
            table.begins[slot(&begin)] = true;
            table.by_begin.entry(begin).or_default().push((bytes, value.name, form));
        }
        table.six.extend(windows(value, IN_BYTES).map(|window| (window.to_owned(), value.name)));
        table.four.extend(windows(value, IN_TEXTS).map(|window| (window.to_owned(), value.name)));
    }
    table
});

fn slot(begin: &[u8]) -> usize {
    let low = u32::from_le_bytes([begin[0], begin[1], begin[2], begin[3]]);
    let high = u32::from(begin[4]) << 8 | u32::from(begin[5]);
    let mixed = (low ^ high.wrapping_mul(0x85EB_CA6B)).wrapping_mul(0x9E37_79B1);
    (mixed >> (u32::BITS - SLOT_BITS)) as usize
}

/// Every hit, each value and form once for the same bytes around it.
pub(crate) fn search(haystack: &Haystack) -> Vec<Hit> {
    let mut hits: Vec<Hit> = Vec::new();
    let mut hit = |value: &'static str, form: &'static str, bytes: &[u8], at: usize| {
        let around = &bytes[at.saturating_sub(AROUND)..(at + AROUND).min(bytes.len())];
        let around = String::from_utf8_lossy(around).into_owned();
        if !hits.iter().any(|known| known.value == value && known.form == form && known.around == around) {
            hits.push(Hit { place: haystack.place.clone(), value, form, around });
        }
    };
    let folded = haystack.bytes.to_ascii_lowercase();
    for (at, begin) in folded.windows(SHORTEST).enumerate() {
        if TABLE.begins[slot(begin)]
            && let Some(forms) = TABLE.by_begin.get(begin)
        {
            forms
                .iter()
                .filter(|(bytes, ..)| folded[at..].starts_with(bytes))
                .for_each(|(_, value, form)| hit(value, form, &folded, at));
        }
    }
    for (at, run) in lone_runs(&haystack.bytes) {
        for window in run.as_bytes().windows(IN_BYTES) {
            let found = std::str::from_utf8(window).ok().and_then(|window| TABLE.six.get(window));
            found.iter().for_each(|value| hit(value, "six digits in a row", &folded, at));
        }
    }
    if haystack.has_texts {
        for text in texts(&String::from_utf8_lossy(&haystack.bytes)) {
            in_text(&text).into_iter().for_each(|(value, form)| hit(value, form, text.as_bytes(), 0));
        }
    }
    hits
}

/// Without times, ids and addresses, whose digits are anybody's.
fn without_marks(text: &str) -> String {
    static MARKS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?",
            r"|\b([a-z]{2,4}_)?[0-7][0-9A-HJKMNP-TV-Z]{25}\b",
            r"|\b[0-9a-f]{32,}\b",
            r"|\d+\.\d+\.\d+\.\d+(:\d+)?|localhost:\d+",
        ))
        .unwrap()
    });
    MARKS.replace_all(text, "~").into_owned()
}

/// Runs of digits that stand by themselves, with their places: no fraction, no part of a word, and no time since 1970.
fn lone_runs(bytes: &[u8]) -> Vec<(usize, &str)> {
    let epoch = (pulse_bridge::clock::wall_ms() / 1_000_000_000).to_string();
    let (mut runs, mut from) = (Vec::new(), 0);
    for at in 0..=bytes.len() {
        if bytes.get(at).is_some_and(u8::is_ascii_digit) {
            continue;
        }
        let run = &bytes[from..at];
        let is_joined = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let is_fraction = from > 0 && bytes[from - 1] == b'.';
        if run.len() >= IN_BYTES
            && !is_fraction
            && !is_joined(bytes.get(at))
            && !is_joined(from.checked_sub(1).and_then(|at| bytes.get(at)))
        {
            let run = std::str::from_utf8(run).expect("digits are ASCII");
            if run.len() < 10 || !run.starts_with(&epoch) {
                runs.push((from, run));
            }
        }
        from = at + 1;
    }
    runs
}

/// Every string of every document.
fn texts(text: &str) -> Vec<String> {
    fn walk(json: &Json, found: &mut Vec<String>) {
        match json {
            Json::String(text) => found.push(text.clone()),
            Json::Array(items) => items.iter().for_each(|item| walk(item, found)),
            Json::Object(members) => members.iter().for_each(|(name, member)| {
                found.push(name.clone());
                walk(member, found);
            }),
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }
    let mut found = Vec::new();
    match serde_json::from_str::<Json>(text) {
        Ok(json) => walk(&json, &mut found),
        Err(_) => text.lines().filter_map(|line| serde_json::from_str(line).ok()).for_each(|json: Json| walk(&json, &mut found)),
    }
    found
}

/// What four digits in a row, or a short number by itself, give away in a text.
fn in_text(text: &str) -> Vec<(&'static str, &'static str)> {
    static JOINTS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(\d)[ .,\-/()]{1,2}").unwrap());
    static RUNS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\d+").unwrap());
    if text.bytes().filter(u8::is_ascii_digit).count() < SHORTEST_RUN {
        return Vec::new();
    }
    let bare = without_marks(text);
    let joined = JOINTS.replace_all(&bare, "$1");
    let mut found = Vec::new();
    for run in RUNS.find_iter(&joined).chain(RUNS.find_iter(&bare)) {
        let windows = run.as_str().as_bytes().windows(IN_TEXTS).filter_map(|window| std::str::from_utf8(window).ok());
        found.extend(windows.filter_map(|window| TABLE.four.get(window)).map(|value| (*value, "four digits in a row")));
        let is_it = |value: &&Value| !value.digits.is_empty() && value.digits == run.as_str();
        found.extend(VALUES.iter().find(is_it).map(|value| (value.name, "its digits")));
    }
    found
}
