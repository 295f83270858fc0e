//! Two values side by side, and a comparison as people read it.
//!
//! Promises: pure; every place where two values differ is named by its path; a long text is cut around the place where it differs.

use std::fmt::{self, Write};

use serde::Serialize;
use serde_json::Value;

use super::expect::{Comparison, Difference, What};

/// The longest value shown whole, in characters.
const SHOWN: usize = 72;
/// Of a longer text, so much before the first difference.
const BEFORE: usize = 16;

/// A place in an event where it is not as expected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Field {
    /// E.g. `data.words[2].text`.
    pub path: String,
    /// Absent: it should not be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Value>,
    /// Absent: it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub got: Option<Value>,
}

/// Every place where two values differ; a number under a name that ends in `_ms` may differ by `tolerance_ms`.
pub(super) fn fields(expected: &Value, got: &Value, tolerance_ms: u64) -> Vec<Field> {
    let mut fields = Vec::new();
    compare("", Some(expected), Some(got), tolerance_ms, &mut fields);
    fields
}

fn compare(path: &str, expected: Option<&Value>, got: Option<&Value>, tolerance_ms: u64, fields: &mut Vec<Field>) {
    match (expected, got) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let mut names: Vec<&String> = one.keys().chain(other.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(&path, one.get(name), other.get(name), tolerance_ms, fields);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) => compare_lists(path, one, other, tolerance_ms, fields),
        (Some(one), Some(other)) if one == other || is_near(path, one, other, tolerance_ms) => {}
        (None, None) => {}
        _ => fields.push(Field { path: path.to_owned(), expected: expected.cloned(), got: got.cloned() }),
    }
}

/// One item more or less is told as that, and not as a change of all behind it.
fn compare_lists(path: &str, expected: &[Value], got: &[Value], tolerance_ms: u64, fields: &mut Vec<Field>) {
    let same = |(one, other): &(&Value, &Value)| self::fields(one, other, tolerance_ms).is_empty();
    let shorter = expected.len().min(got.len());
    let front = if expected.len() == got.len() { 0 } else { expected.iter().zip(got).take_while(same).count() };
    let back = if expected.len() == got.len() {
        0
    } else {
        expected.iter().rev().zip(got.iter().rev()).take(shorter - front).take_while(same).count()
    };
    let (expected, got) = (&expected[front..expected.len() - back], &got[front..got.len() - back]);
    for at in 0..expected.len().max(got.len()) {
        compare(&format!("{path}[{}]", front + at), expected.get(at), got.get(at), tolerance_ms, fields);
    }
}

fn is_near(path: &str, one: &Value, other: &Value, tolerance_ms: u64) -> bool {
    let (Some(one), Some(other)) = (one.as_u64(), other.as_u64()) else { return false };
    path.ends_with("_ms") && one.abs_diff(other) <= tolerance_ms
}

impl Comparison {
    /// The verdict in a line, and below it what differs.
    #[must_use]
    pub fn shown(&self, name: &str) -> String {
        let mut text = String::new();
        let written = match (&self.problem, self.differing) {
            (Some(problem), _) => write!(text, "differs  {name}  {problem}"),
            (None, 0) => write!(text, "same     {name}  {} events", self.got),
            (None, differing) => {
                write!(text, "differs  {name}  {differing} of {} events: {}", self.expected.max(self.got), self.summary())
            }
        };
        written.expect("a string takes it");
        for difference in &self.differences {
            write!(text, "{difference}").expect("a string takes it");
        }
        if self.differing > self.differences.len() {
            write!(text, "\n  and {} more", self.differing - self.differences.len()).expect("a string takes it");
        }
        text
    }

    /// The first few differences in a word or two each.
    fn summary(&self) -> String {
        const NAMED: usize = 4;
        let mut words: Vec<String> = self.differences.iter().take(NAMED).map(Difference::words).collect();
        if self.differing > NAMED {
            words.push("…".to_owned());
        }
        words.join(", ")
    }
}

impl Difference {
    fn words(&self) -> String {
        let field = self.fields.first().map_or("", |field| field.path.trim_start_matches("data."));
        match (self.what, self.seq) {
            (What::Changed, Some(seq)) => format!("seq {seq} {field}"),
            (What::Changed, None) => format!("{} {field}", self.kind),
            (What::Missing, _) => format!("{}{} missing", self.kind, self.at()),
            (What::Extra, Some(seq)) => format!("seq {seq} not expected"),
            (What::Extra, None) => format!("{}{} not expected", self.kind, self.at()),
        }
    }

    fn at(&self) -> String {
        self.at_ms.map_or_else(String::new, |at_ms| format!(" at {}:{:02}", at_ms / 60_000, at_ms / 1000 % 60))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::Changed => "changed",
            What::Missing => "missing",
            What::Extra => "extra",
        };
        write!(f, "\n  {what:<8}{}", self.kind)?;
        self.track.iter().try_for_each(|track| write!(f, " {track}"))?;
        f.write_str(&self.at())?;
        self.seq.iter().try_for_each(|seq| write!(f, ", seq {seq}"))?;
        self.text.iter().try_for_each(|text| write!(f, ": {}", cut(&Value::from(text.as_str()).to_string(), 0)))?;
        for field in &self.fields {
            let (expected, got) = (said(field.expected.as_ref()), said(field.got.as_ref()));
            let apart = expected.chars().zip(got.chars()).take_while(|(one, other)| one == other).count();
            write!(f, "\n    {}\n      expected  {}\n      got       {}", field.path, cut(&expected, apart), cut(&got, apart))?;
        }
        if self.more_fields > 0 {
            write!(f, "\n    and {} more fields", self.more_fields)?;
        }
        Ok(())
    }
}

fn said(value: Option<&Value>) -> String {
    value.map_or_else(|| "(nothing)".to_owned(), Value::to_string)
}

/// A long text around a place in it, both counted in characters.
fn cut(text: &str, at: usize) -> String {
    let length = text.chars().count();
    if length <= SHOWN {
        return text.to_owned();
    }
    let from = at.saturating_sub(BEFORE).min(length - SHOWN);
    let part: String = text.chars().skip(from).take(SHOWN).collect();
    let (before, behind) = (if from > 0 { "…" } else { "" }, if from + SHOWN < length { "…" } else { "" });
    format!("{before}{part}{behind}")
}
