//! What a recording's events are expected to be, and what came instead.
//!
//! Promises: pure; ids, wall times, measured latencies and where the transcript lies are left out of both sides, everything else is
//! compared value for value; events lie in the order of `seq`, which must run from 1 without a hole, and come in the order that is expected
//! unless times may differ. What is in a difference is in the events, which have passed the redaction gate.

use serde::Serialize;
use serde_json::{Map, Value};

use super::differ::{Field, fields};

/// What differs from run to run.
const VARYING: [&str; 13] = [
    "timestamp",
    "call_sid",
    "session_id",
    "event_id",
    "stream_sid",
    "segment_id",
    "seq",
    "last_seq",
    "started_at",
    "ended_at",
    "latency",
    "transcript_url",
    "account_sid",
];
/// The most differing events that are told of a call.
pub const MAX_DIFFERENCES: usize = 20;
/// The most events of one type and track that are paired by what they hold; longer lists are paired by their places.
const MAX_PAIRED: usize = 2000;

/// An event without what differs from run to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Neutral {
    /// Its number in the call, where it came from a call.
    pub seq: Option<u64>,
    /// The rest.
    pub event: Value,
}

/// A call's events as they are compared and kept.
#[must_use]
pub fn neutral(events: Vec<Value>) -> Vec<Neutral> {
    let mut all: Vec<Neutral> = events
        .into_iter()
        .map(|mut event| {
            let seq = event["data"]["seq"].as_u64();
            strip(&mut event);
            Neutral { seq, event }
        })
        .collect();
    all.sort_by_key(|neutral| neutral.seq);
    all
}

/// The same as lines of a file.
#[must_use]
pub fn lines(events: &[Neutral]) -> String {
    events.iter().flat_map(|neutral| [neutral.event.to_string(), "\n".to_owned()]).collect()
}

/// Reads such a file.
///
/// # Errors
/// The line that is no event, from 1, and why.
pub fn read(text: &str) -> Result<Vec<Neutral>, (usize, String)> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let events = lines.map(|(number, line)| {
        let event: Value = serde_json::from_str(line).map_err(|error| (number + 1, format!("is not JSON: {error}")))?;
        match (event["type"].is_string(), event["data"].is_object()) {
            (true, true) => Ok(event),
            _ => Err((number + 1, "is no event; each line has a \"type\" and a \"data\"".to_owned())),
        }
    });
    // A file may be a call's events as the bridge gave them out.
    Ok(neutral(events.collect::<Result<_, _>>()?).into_iter().map(|neutral| Neutral { seq: None, ..neutral }).collect())
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let kept: Map<String, Value> =
                std::mem::take(fields).into_iter().filter(|(name, _)| !VARYING.contains(&name.as_str())).collect();
            *fields = kept;
            // A caller's own names are not ours.
            fields.iter_mut().filter(|(name, _)| *name != "custom_parameters").for_each(|(_, value)| strip(value));
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn at_ms(event: &Value) -> Option<u64> {
    ["start_ms", "at_ms", "from_ms"].iter().find_map(|name| event["data"][*name].as_u64())
}

/// How a call's events compare with what is expected.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Comparison {
    /// How many events are expected.
    pub expected: usize,
    /// How many came.
    pub got: usize,
    /// How many differ, are missing or too many.
    pub differing: usize,
    /// Why there is nothing to compare, or too little.
    pub problem: Option<String>,
    /// At most [`MAX_DIFFERENCES`] of them.
    pub differences: Vec<Difference>,
}

/// An event that is not as it should be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// What is wrong with it.
    pub what: What,
    /// Its number in the call, if it came.
    pub seq: Option<u64>,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whose, where it is one party's.
    pub track: Option<String>,
    /// When, on the call's clock.
    pub at_ms: Option<u64>,
    /// What was said, of an event that is missing or too many.
    pub text: Option<String>,
    /// What differs inside it.
    pub fields: Vec<Field>,
    /// How many more fields differ.
    pub more_fields: usize,
}

/// What is wrong with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It came with other contents.
    Changed,
    /// It is expected and did not come.
    Missing,
    /// It came and is not expected.
    Extra,
}

impl Comparison {
    /// Whether everything is as expected.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.differing == 0 && self.problem.is_none()
    }

    /// Compares; a field whose name ends in `_ms` may differ by `tolerance_ms`.
    #[must_use]
    pub fn new(expected: &[Neutral], got: &[Neutral], tolerance_ms: u64) -> Self {
        let mut differences = Vec::new();
        for group in groups(expected, got) {
            let of = |events: &[Neutral]| -> Vec<Neutral> {
                events.iter().filter(|neutral| self::group(&neutral.event) == group).cloned().collect()
            };
            differences.extend(pair(&of(expected), &of(got), tolerance_ms));
        }
        differences.sort_by_key(|difference| (difference.at_ms.unwrap_or(u64::MAX), difference.seq));
        let differing = differences.len();
        differences.truncate(MAX_DIFFERENCES);
        let problem = hole(got).or_else(|| swapped(expected, got).filter(|_| differing == 0 && tolerance_ms == 0));
        Self { expected: expected.len(), got: got.len(), differing, problem, differences }
    }
}

/// The first number that is missing in the call's own count.
fn hole(got: &[Neutral]) -> Option<String> {
    let mut seqs: Vec<u64> = got.iter().filter_map(|neutral| neutral.seq).collect();
    seqs.sort_unstable();
    let at = seqs.iter().zip(1..).find(|(seq, number)| *seq != number)?;
    Some(format!("the call's events are not numbered without a hole: seq {} is not there, or twice", at.1))
}

/// The first event that came in the place of another one.
fn swapped(expected: &[Neutral], got: &[Neutral]) -> Option<String> {
    let (expected, got) = expected.iter().zip(got).find(|(expected, got)| expected.event != got.event)?;
    let named = |event: &Value| {
        let track = event["data"]["track"].as_str().map_or_else(String::new, |track| format!(" {track}"));
        let at = at_ms(event).map_or_else(String::new, |ms| format!(" at {ms} ms"));
        format!("{}{track}{at}", event["type"].as_str().unwrap_or_default())
    };
    let seq = got.seq.map_or_else(String::new, |seq| format!("seq {seq} is "));
    Some(format!("the events come in another order: {seq}{}, expected {}", named(&got.event), named(&expected.event)))
}

/// What must agree for two events to be compared with each other.
fn group(event: &Value) -> (String, Option<String>) {
    (event["type"].as_str().unwrap_or_default().to_owned(), event["data"]["track"].as_str().map(str::to_owned))
}

fn groups(expected: &[Neutral], got: &[Neutral]) -> Vec<(String, Option<String>)> {
    let mut groups: Vec<_> = expected.iter().chain(got).map(|neutral| group(&neutral.event)).collect();
    groups.sort();
    groups.dedup();
    groups
}

/// Pairs the events of one type and track so that as few as possible differ, and tells of those that do.
fn pair(expected: &[Neutral], got: &[Neutral], tolerance_ms: u64) -> Vec<Difference> {
    let same = |one: &Neutral, other: &Neutral| fields(&one.event, &other.event, tolerance_ms).is_empty();
    let front = expected.iter().zip(got).take_while(|(one, other)| same(one, other)).count();
    let (expected, got) = (&expected[front..], &got[front..]);
    let back = expected.iter().rev().zip(got.iter().rev()).take_while(|(one, other)| same(one, other)).count();
    let (expected, got) = (&expected[..expected.len() - back], &got[..got.len() - back]);
    let is_long = expected.len().max(got.len()) > MAX_PAIRED;
    let pairs = if is_long { by_place(expected.len(), got.len()) } else { by_contents(expected, got, tolerance_ms) };
    pairs
        .into_iter()
        .filter_map(|(one, other)| told(one.map(|at| &expected[at]), other.map(|at| &got[at]), tolerance_ms))
        .collect()
}

type Pair = (Option<usize>, Option<usize>);

fn by_place(expected: usize, got: usize) -> Vec<Pair> {
    (0..expected.max(got)).map(|at| ((at < expected).then_some(at), (at < got).then_some(at))).collect()
}

/// The cheapest way from one list to the other; taking one out or in costs as much as it does to change one that says something else.
fn by_contents(expected: &[Neutral], got: &[Neutral], tolerance_ms: u64) -> Vec<Pair> {
    const ALONE: u32 = 3;
    let change = |one: &Neutral, other: &Neutral| match fields(&one.event, &other.event, tolerance_ms) {
        fields if fields.is_empty() => 0,
        _ if one.event["data"]["text"] == other.event["data"]["text"] || overlap(&one.event, &other.event) => 2,
        _ => 2 * ALONE,
    };
    let (rows, columns) = (expected.len() + 1, got.len() + 1);
    let mut cost = vec![0_u32; rows * columns];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            let at = |row: usize, column: usize| cost[row * columns + column];
            let ways = [
                (row + 1 < rows && column + 1 < columns).then(|| at(row + 1, column + 1) + change(&expected[row], &got[column])),
                (row + 1 < rows).then(|| at(row + 1, column) + ALONE),
                (column + 1 < columns).then(|| at(row, column + 1) + ALONE),
            ];
            cost[row * columns + column] = ways.into_iter().flatten().min().unwrap_or(0);
        }
    }
    let (mut row, mut column, mut pairs) = (0, 0, Vec::new());
    while row + 1 < rows || column + 1 < columns {
        let (here, at) = (cost[row * columns + column], |row: usize, column: usize| cost[row * columns + column]);
        if row + 1 < rows && column + 1 < columns && here == at(row + 1, column + 1) + change(&expected[row], &got[column]) {
            pairs.push((Some(row), Some(column)));
            (row, column) = (row + 1, column + 1);
        } else if row + 1 < rows && here == at(row + 1, column) + ALONE {
            pairs.push((Some(row), None));
            row += 1;
        } else {
            pairs.push((None, Some(column)));
            column += 1;
        }
    }
    pairs
}

/// Whether two events lie at the same time; those without a time are there once.
fn overlap(one: &Value, other: &Value) -> bool {
    let span = |event: &Value| {
        let from_ms = at_ms(event)?;
        let to_ms = ["end_ms", "to_ms"].iter().find_map(|name| event["data"][*name].as_u64());
        Some((from_ms, to_ms.unwrap_or(from_ms).max(from_ms + 1)))
    };
    match (span(one), span(other)) {
        (Some(one), Some(other)) => one.0 < other.1 && other.0 < one.1,
        _ => true,
    }
}

/// The most fields of an event that are told.
const MAX_FIELDS: usize = 6;

fn told(expected: Option<&Neutral>, got: Option<&Neutral>, tolerance_ms: u64) -> Option<Difference> {
    let (what, mut fields) = match (expected, got) {
        (Some(expected), Some(got)) => (What::Changed, fields(&expected.event, &got.event, tolerance_ms)),
        (Some(_), None) => (What::Missing, Vec::new()),
        (None, _) => (What::Extra, Vec::new()),
    };
    if what == What::Changed && fields.is_empty() {
        return None;
    }
    // What holds for the whole event before what its words say once more.
    fields.sort_by_key(|field| (field.path.matches('[').count(), field.path != "data.text"));
    let more_fields = fields.len().saturating_sub(MAX_FIELDS);
    fields.truncate(MAX_FIELDS);
    let event = &got.or(expected)?.event;
    let text = event["data"]["text"].as_str().filter(|_| what != What::Changed);
    let (kind, track) = group(event);
    let seq = got.and_then(|got| got.seq);
    Some(Difference { what, seq, kind, track, at_ms: at_ms(event), text: text.map(str::to_owned), fields, more_fields })
}

#[cfg(test)]
#[path = "expect_tests.rs"]
mod tests;
