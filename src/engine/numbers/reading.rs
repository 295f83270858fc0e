//! What a word says about numbers, and the numbers that words make together.
//!
//! Promises: pure; a number never reaches over punctuation.

use crate::english::ORDINALS;

const DIGITS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const TEENS: [&str; 10] =
    ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const SCALES: [(&str, u64); 3] = [("thousand", 1_000), ("million", 1_000_000), ("billion", 1_000_000_000)];
/// Digits that a number written with dashes has at least before they go; fewer are a range.
const DASHED: usize = 6;

/// What a word says about numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Digit(u8),
    /// A zero among digits, else no number.
    Oh,
    /// 10 to 19, or one that is whole by itself: "twenty-three".
    Teen(u64),
    Tens(u64),
    Hundred,
    Scale(u64),
    Ordinal(u64),
    And,
    Repeat(usize),
    /// Written in figures; of parts of one token or not.
    Figures {
        digits: String,
        is_joined: bool,
    },
    Other,
}

impl Kind {
    /// Its digit, if it is one among others.
    pub(super) fn digit(&self) -> Option<u8> {
        match self {
            Self::Digit(digit) => Some(*digit),
            Self::Oh => Some(0),
            Self::Figures { digits, is_joined: false } if digits.len() == 1 => digits.parse().ok(),
            _ => None,
        }
    }
}

/// A word and the punctuation round it.
pub(super) struct Token {
    pub(super) before: String,
    /// As written, without the punctuation round it.
    pub(super) core: String,
    /// In small letters, without any sign.
    pub(super) plain: String,
    pub(super) behind: String,
    pub(super) kind: Kind,
}

impl Token {
    pub(super) fn of(text: &str) -> Self {
        // A sign that belongs to a number keeps the word from being read as another.
        let is_part = |sign: char| sign.is_alphanumeric() || "$€£%#@+*&/=".contains(sign);
        let from = text.find(is_part).unwrap_or(text.len());
        let to = text.rfind(is_part).map_or(from, |at| at + text[at..].chars().next().map_or(0, char::len_utf8));
        let core = text[from..to].to_owned();
        let plain: String = core.chars().filter(|sign| sign.is_alphanumeric()).collect::<String>().to_lowercase();
        let (before, behind) = (text[..from].to_owned(), text[to..].to_owned());
        // The area code's brackets are separators as dashes are.
        let is_code = before == "(" && behind == ")" && core.bytes().all(|sign| sign.is_ascii_digit());
        let (before, behind) = if is_code { (String::new(), String::new()) } else { (before, behind) };
        Self { kind: kind(&core.to_lowercase()), before, core, plain, behind }
    }
}

fn kind(core: &str) -> Kind {
    let place = |list: &[&str]| list.iter().position(|word| *word == core).map(|at| at as u64);
    if let Some(digit) = DIGITS.iter().zip(0_u8..).find_map(|(word, digit)| (*word == core).then_some(digit)) {
        return Kind::Digit(digit);
    }
    if let Some(at) = place(&TEENS) {
        return Kind::Teen(10 + at);
    }
    if let Some(at) = place(&TENS) {
        return Kind::Tens(20 + at * 10);
    }
    if let Some(at) = place(&ORDINALS[..19]).map(|at| at + 1) {
        return Kind::Ordinal(at);
    }
    if let Some(stem) = core.strip_suffix("ieth")
        && let Some(at) = place_of_stem(stem)
    {
        return Kind::Ordinal(at);
    }
    if let Some((_, scale)) = SCALES.iter().find(|(word, _)| *word == core) {
        return Kind::Scale(*scale);
    }
    match core {
        "oh" | "o" => Kind::Oh,
        "hundred" => Kind::Hundred,
        "and" => Kind::And,
        "double" => Kind::Repeat(2),
        "triple" => Kind::Repeat(3),
        _ => figures(core).or_else(|| dashed(core)).unwrap_or(Kind::Other),
    }
}

fn place_of_stem(stem: &str) -> Option<u64> {
    TENS.iter().position(|ten| ten.strip_suffix('y') == Some(stem)).map(|at| 20 + at as u64 * 10)
}

/// Figures, with separators or without.
fn figures(core: &str) -> Option<Kind> {
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|sign| sign.is_ascii_digit());
    let found = |digits: String, is_joined| Some(Kind::Figures { digits, is_joined });
    if is_digits(core) {
        return found(core.to_owned(), false);
    }
    let thousands: Vec<&str> = core.split(',').collect();
    if thousands.len() > 1 && thousands.iter().all(|part| is_digits(part)) {
        let is_whole = thousands[0].len() <= 3 && thousands[1..].iter().all(|part| part.len() == 3);
        return if is_whole { found(thousands.concat(), true) } else { None };
    }
    let groups: Vec<&str> = core.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|part| part.len()).collect();
    let is_date = matches!(lengths[..], [4, 2, 2] | [2, 2, 2 | 4]);
    let is_number = groups.iter().all(|part| is_digits(part)) && (lengths.iter().sum::<usize>() >= DASHED || lengths.len() > 3);
    if is_number && !is_date { found(groups.concat(), true) } else { None }
}

/// "Twenty-three" and "twenty-third".
fn dashed(core: &str) -> Option<Kind> {
    let (tens, unit) = core.split_once('-')?;
    match (kind(tens), kind(unit)) {
        (Kind::Tens(tens), Kind::Digit(unit)) if unit > 0 => Some(Kind::Teen(tens + u64::from(unit))),
        (Kind::Tens(tens), Kind::Ordinal(unit)) if unit < 10 => Some(Kind::Ordinal(tens + unit)),
        _ => None,
    }
}

/// A number as it is written.
pub(super) struct Number {
    /// How many words it takes.
    pub(super) words: usize,
    pub(super) text: String,
    pub(super) is_ordinal: bool,
    /// In words; else it was in figures already.
    pub(super) is_spoken: bool,
}

/// The number that begins here.
pub(super) fn number(tokens: &[Token]) -> Option<Number> {
    if let Kind::Figures { digits, .. } = &tokens.first()?.kind {
        return Some(Number { words: 1, text: digits.clone(), is_ordinal: false, is_spoken: false });
    }
    if let Some((words, year)) = year(tokens) {
        return Some(Number { words, text: year.to_string(), is_ordinal: false, is_spoken: true });
    }
    let (words, value, is_ordinal) = whole(tokens)?;
    let end = match (value % 10, value % 100) {
        _ if !is_ordinal => "",
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    Some(Number { words, text: format!("{value}{end}"), is_ordinal, is_spoken: true })
}

/// A number from 1 to that, of one word.
pub(super) fn upto(tokens: &[Token], most: u64) -> Option<u64> {
    let value = match &tokens.first()?.kind {
        Kind::Digit(digit) => u64::from(*digit),
        Kind::Teen(teen) => *teen,
        Kind::Figures { digits, is_joined: false } => digits.parse().ok()?,
        _ => return None,
    };
    (value <= most).then_some(value)
}

/// Below a hundred: how many words, and the value.
pub(super) fn small(tokens: &[Token]) -> Option<(usize, u64)> {
    match (kind_at(tokens, 0)?, kind_at(tokens, 1)) {
        (Kind::Tens(tens), Some(Kind::Digit(unit))) if *unit > 0 => Some((2, tens + u64::from(*unit))),
        (Kind::Tens(value) | Kind::Teen(value), _) => Some((1, *value)),
        (Kind::Digit(digit), _) => Some((1, u64::from(*digit))),
        (Kind::Figures { digits, is_joined: false }, _) if digits.len() == 2 => Some((1, digits.parse().ok()?)),
        _ => None,
    }
}

/// The kind there, if nothing stands between it and what is before it.
fn kind_at(tokens: &[Token], at: usize) -> Option<&Kind> {
    let token = tokens.get(at)?;
    let is_apart = at > 0 && !(tokens[at - 1].behind.is_empty() && token.before.is_empty());
    (!is_apart).then_some(&token.kind)
}

/// As [`kind_at`], for tokens that all have to stand together.
fn follows(tokens: &[Token], upto: usize) -> bool {
    (1..=upto).all(|at| kind_at(tokens, at).is_some())
}

/// "Nineteen eighty four", "twenty oh five".
fn year(tokens: &[Token]) -> Option<(usize, u64)> {
    let century = match kind_at(tokens, 0)? {
        Kind::Teen(value @ 11..=19) | Kind::Tens(value @ 20) => *value,
        _ => return None,
    };
    kind_at(tokens, 1)?;
    let (words, rest) = match (&tokens[1].kind, kind_at(tokens, 2).map_or(&Kind::Other, |kind| kind)) {
        (Kind::Oh, Kind::Digit(digit)) => (2, u64::from(*digit)),
        (Kind::Figures { .. }, _) => return None,
        _ => small(&tokens[1..]).filter(|(_, value)| *value >= 10)?,
    };
    let goes_on = matches!(kind_at(tokens, 1 + words), Some(Kind::Hundred | Kind::Scale(_) | Kind::Ordinal(_)));
    (!goes_on).then_some((1 + words, century * 100 + rest))
}

/// A whole number in words: how many, its value, and whether it is an ordinal.
fn whole(tokens: &[Token]) -> Option<(usize, u64, bool)> {
    let (mut words, mut part, mut is_ordinal) = below_thousand(tokens, true)?;
    let (mut sum, mut least) = (0_u64, u64::MAX);
    while !is_ordinal
        && let Some(Kind::Scale(scale)) = kind_at(tokens, words).filter(|_| follows(tokens, words))
        && *scale < least
    {
        (sum, least, words, part) = (sum.saturating_add(part.saturating_mul(*scale)), *scale, words + 1, 0);
        let from = words + usize::from(kind_at(tokens, words) == Some(&Kind::And));
        if !follows(tokens, from) {
            break;
        }
        let Some((count, value, is_last)) = tokens.get(from..).and_then(|rest| below_thousand(rest, false)) else { break };
        if matches!(kind_at(tokens, from + count), Some(Kind::Scale(next)) if *next >= least) {
            break;
        }
        (words, part, is_ordinal) = (from + count, value, is_last);
    }
    Some((words, sum.saturating_add(part), is_ordinal))
}

fn below_thousand(tokens: &[Token], is_first: bool) -> Option<(usize, u64, bool)> {
    let (words, value, is_ordinal) = below_hundred(tokens)?;
    if is_ordinal || kind_at(tokens, words) != Some(&Kind::Hundred) {
        return Some((words, value, is_ordinal)).filter(|_| is_first || value > 0);
    }
    let (words, value) = (words + 1, value * 100);
    let from = words + usize::from(kind_at(tokens, words) == Some(&Kind::And));
    let rest = tokens.get(from..).filter(|_| from < tokens.len() && follows(tokens, from));
    match rest.and_then(below_hundred) {
        Some((count, rest, is_ordinal)) if kind_at(tokens, from + count) != Some(&Kind::Hundred) && rest > 0 => {
            Some((from + count, value + rest, is_ordinal))
        }
        _ => Some((words, value, false)),
    }
}

fn below_hundred(tokens: &[Token]) -> Option<(usize, u64, bool)> {
    match (kind_at(tokens, 0)?, kind_at(tokens, 1)) {
        (Kind::Tens(tens), Some(Kind::Ordinal(unit))) if *unit < 10 => Some((2, tens + unit, true)),
        (Kind::Ordinal(value), _) => Some((1, *value, true)),
        (Kind::Figures { .. }, _) => None,
        _ => small(tokens).map(|(words, value)| (words, value, false)),
    }
}
