//! What is wrong with the settings and everything they name, and what to do about it.
//!
//! Promises: the lines come in a fixed order and all of them come, whatever fails; nothing is changed on disk; of all that is sent
//! only the `ping` is an event; no secret, no key and no caller's number is in a line, so that it may be pasted anywhere.
//!
//! [`driver::examine`] gathers facts; each file beside it makes lines of one kind of them. A check may have several lines: the worst
//! counts.

mod clock;
mod data;
pub mod driver;
mod no_answer;
mod ready;
mod settings;
mod speech;
mod twilio;
mod webhook;

use std::fmt::Write as _;

use serde::Serialize;

pub(crate) use self::ready::reachable;
pub use self::ready::{DEADLINE, MAX_ANSWER_BYTES, ready};
use crate::config::{ConfigError, Effective};

/// Columns of the name of a check; longer ones push the rest to the right.
const NAME_COLUMNS: usize = 12;
/// Columns of the state.
const STATE_COLUMNS: usize = 7;
/// A value wider than this pushes its origin to the right alone.
const VALUE_COLUMNS: usize = 40;

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing to do.
    Ok,
    /// It works, but ought to be looked at.
    Warn,
    /// It does not work.
    Fail,
    /// There is nothing to check.
    Skip,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Skip => "skip",
        }
    }
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// What it came to.
    pub state: State,
    /// What was found.
    pub text: String,
    /// What to do.
    pub advice: Option<String>,
}

impl Check {
    fn new(name: &str, state: State, text: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state, text: text.into(), advice: None }
    }

    fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// The findings of a check: under a line of how things are, unless one of them says that they are not.
fn under(name: &str, is_so: String, findings: Vec<Check>) -> Vec<Check> {
    let fails = findings.iter().any(|finding| finding.state == State::Fail);
    let first = (!fails).then(|| Check::new(name, State::Ok, is_so));
    first.into_iter().chain(findings).collect()
}

/// Everything that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// In their fixed order.
    pub checks: Vec<Check>,
    /// How many of them failed.
    pub problems: usize,
    /// How many of them ought to be looked at.
    pub warnings: usize,
    /// What is in effect; empty where the settings cannot be read.
    pub settings: Vec<Effective>,
}

impl Report {
    fn new(checks: Vec<Check>, settings: Vec<Effective>) -> Self {
        let count = |state| checks.iter().filter(|check| check.state == state).count();
        Self { problems: count(State::Fail), warnings: count(State::Warn), checks, settings }
    }

    /// The report where there are no settings to check anything by.
    #[must_use]
    pub fn unreadable(why: &ConfigError) -> Self {
        Self::new(vec![Check::new("settings", State::Fail, why.to_string())], Vec::new())
    }

    /// Whether nothing failed.
    #[must_use]
    pub const fn is_well(&self) -> bool {
        self.problems == 0
    }

    /// One document.
    ///
    /// # Panics
    /// Never: it is plain data.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report is plain data")
    }

    /// A line a check, its advice below it, then what is in effect.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let columns = self.checks.iter().map(|check| check.name.len() + 1).max().unwrap_or(0).max(NAME_COLUMNS);
        let mut line = |name: &str, state: &str, what: &str| {
            let _ = writeln!(text, "{name:columns$}{state:STATE_COLUMNS$}{}", printable(what));
        };
        for check in &self.checks {
            line(&check.name, check.state.word(), &check.text);
            if let Some(advice) = &check.advice {
                line("", "", &format!("→ {advice}"));
            }
        }
        let (problems, warnings) = (counted(self.problems, "problem"), counted(self.warnings, "warning"));
        let _ = if self.settings.is_empty() {
            writeln!(text, "\n{problems}, {warnings}. Nothing else was checked: that takes the settings.")
        } else {
            writeln!(text, "\n{problems}, {warnings}. Settings in effect, secrets masked:")
        };
        text + &table(&self.settings)
    }
}

fn table(settings: &[Effective]) -> String {
    let widest = |width: fn(&Effective) -> usize| settings.iter().map(width).max().unwrap_or(0);
    let keys = widest(|line| line.key.chars().count());
    let values = widest(|line| line.value.chars().count()).min(VALUE_COLUMNS);
    let line = |line: &Effective| format!("  {:keys$}  {:values$}  {}\n", line.key, printable(&line.value), line.origin);
    settings.iter().map(line).collect()
}

fn counted(number: usize, what: &str) -> String {
    let many = if number == 1 { "" } else { "s" };
    format!("{number} {what}{many}")
}

/// A line stays one, and moves no cursor.
fn printable(text: &str) -> String {
    text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect()
}

#[cfg(test)]
mod tests;
