//! Patterns of the operator's own: a name and a regular expression each.
//!
//! Promises: matched in time linear in the text, with bounds on size and number; upper and lower case are alike unless a pattern
//! says otherwise (`(?-i)`); a pattern sees one final's text and never inside a placeholder of the speech service; no error shows
//! more of a pattern than its name.

use std::ops::Range;

use regex::{Regex, RegexBuilder};
use zeroize::Zeroizing;

use super::{placeholder::Kind, token::Unit, turn::Turn};

/// Most patterns.
const MAX_PATTERNS: usize = 64;
/// Longest pattern, in bytes.
const MAX_LENGTH: usize = 1000;
/// Longest name.
const MAX_NAME: usize = 32;
/// Most memory of one compiled pattern, and of what it remembers while it is matched.
const MAX_COMPILED: usize = 1 << 20;
/// Nesting of groups in a pattern.
const MAX_NESTING: u32 = 50;
/// Stands in place of each byte of a placeholder: no text of a caller's has it.
const OPAQUE: u8 = 0x1A;

/// All patterns, in the order of the settings.
#[derive(Clone, Default)]
pub(super) struct Patterns(Vec<(Kind, Regex)>);

impl Patterns {
    /// Compiles them.
    ///
    /// # Errors
    /// A name or an expression that is none, or too large; names the pattern.
    pub(super) fn new(pairs: &[(String, String)]) -> Result<Self, String> {
        if pairs.len() > MAX_PATTERNS {
            return Err(format!("has {} patterns; at most {MAX_PATTERNS}", pairs.len()));
        }
        let compiled = pairs.iter().map(|(name, pattern)| {
            let kind = named(name)?;
            let regex = compiled(pattern).map_err(|why| format!("{name}: {why}"))?;
            Ok((kind, regex))
        });
        compiled.collect::<Result<_, String>>().map(Self)
    }

    /// What fits in `text`, which was read as `turn`.
    pub(super) fn fitting(&self, turn: &Turn, text: &str) -> Vec<(usize, usize, Kind)> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let placeholders = turn.tokens.iter().filter(|token| matches!(token.unit, Unit::Placeholder(_)));
        let seen = without(text, placeholders.map(|token| token.start..token.end));
        let fitting = |(kind, regex): &(Kind, Regex)| {
            let places = regex.find_iter(&seen).map(|place| place.range()).filter(|place| !place.is_empty());
            places.map(|place| (place.start, place.end, kind.clone())).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(fitting).collect()
    }
}

/// The text with something opaque of the same length in place of each range.
fn without(text: &str, ranges: impl Iterator<Item = Range<usize>>) -> Zeroizing<String> {
    let mut seen = Zeroizing::new(text.to_owned());
    for range in ranges {
        let opaque = String::from(char::from(OPAQUE)).repeat(range.len());
        if seen.get(range.clone()).is_some() {
            seen.replace_range(range, &opaque);
        }
    }
    seen
}

fn named(name: &str) -> Result<Kind, String> {
    let plain = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    if !plain || name.starts_with('_') || name.ends_with('_') {
        return Err(format!("has {name:?}; a name is at most {MAX_NAME} of A to Z and, between them, '_'"));
    }
    Ok(Kind::named(name).unwrap_or_else(|| Kind::Own(name.to_owned())))
}

fn compiled(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_LENGTH {
        return Err(format!("has more than {MAX_LENGTH} bytes"));
    }
    let mut builder = RegexBuilder::new(pattern);
    builder.case_insensitive(true).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).nest_limit(MAX_NESTING);
    let regex = builder.build().map_err(|why| match why {
        regex::Error::CompiledTooBig(_) => "is too large; make its repetitions shorter".to_owned(),
        // The crate shows the pattern first and says what is wrong with it in the last line.
        why => {
            let text = why.to_string();
            let last = text.lines().next_back().unwrap_or_default().trim_start_matches("error: ");
            format!("is no regular expression: {last}")
        }
    })?;
    if regex.is_match("") {
        return Err("fits the empty text, and so everywhere; make it ask for something".to_owned());
    }
    Ok(regex)
}
