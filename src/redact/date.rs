//! Dates with a month's name that a cue makes personal: when somebody was born, until when a card is good.

use super::{
    context::{self, Hint},
    number,
    placeholder::{Kind, Label, Numbering},
    reason::Reason,
    token::{Unit, among},
    turn::{Joint, Stream},
};

/// Words between the parts of a date.
const MAX_BETWEEN: usize = 3;
/// Items on either side of a month that may belong to its date.
const REACH: usize = 12;
/// Items in front of it: `the twenty fourth of`.
const REACH_BACK: usize = 5;

/// A date that is taken out.
pub(super) struct Date {
    /// What it is.
    pub(super) kind: Kind,
    /// The items that belong to it.
    pub(super) items: Vec<usize>,
    /// Whether a year may still follow.
    pub(super) open: bool,
    /// By which rule.
    pub(super) reason: Reason,
    /// The label of the date that it repeats.
    pub(super) repeats: Option<Label>,
}

/// All dates of a stream that name a month and that a cue makes personal.
pub(super) fn dates(stream: &Stream, numbering: &Numbering) -> Vec<Date> {
    let mut found: Vec<Date> = Vec::new();
    for month in stream.from..stream.items.len() {
        let taken = found.last().is_some_and(|date| date.items.contains(&month));
        if taken || !matches!(stream.unit(month), Some(Unit::Month(_))) {
            continue;
        }
        let mut items = around(stream, month);
        items.sort_unstable();
        let known = || {
            let heard = |kind| numbering.heard_date(&value(stream, &items, &kind)?);
            let label = heard(Kind::DateOfBirth).or_else(|| heard(Kind::Expiry))?;
            Some((label.kind.clone(), Reason::ReadBack, Some(label)))
        };
        let cued = kind(stream, month, &items).map(|(kind, reason)| (kind, reason, None));
        let Some((kind, reason, repeats)) = cued.or_else(known) else { continue };
        let last = items.last().copied().unwrap_or(month);
        let open = !stream.closed
            && !is_whole(stream, &items)
            && last + MAX_BETWEEN >= stream.items.len()
            && (last + 1..stream.items.len()).all(|at| is_between(stream, at));
        // "May" is more than a month.
        if items.len() > 1 || open || stream.word(month) != "may" {
            found.push(Date { kind, items, open, reason, repeats });
        }
    }
    found
}

fn kind(stream: &Stream, month: usize, items: &[usize]) -> Option<(Kind, Reason)> {
    let dated = |hint: Hint| match hint {
        Hint::Is(kind @ (Kind::DateOfBirth | Kind::Expiry)) => Some(kind),
        _ => None,
    };
    if let Some(hint) = context::before(stream, month)
        && !matches!(hint, Hint::Price)
    {
        return Some((dated(hint)?, Reason::CueBefore));
    }
    let last = items.last().copied().unwrap_or(month);
    if let Some(kind) = context::behind(stream, last).and_then(dated) {
        return Some((kind, Reason::CueBehind));
    }
    Some((context::asked(stream, month).into_iter().find_map(dated)?, Reason::Asked))
}

/// Month, day and the year's last two digits, in an order that is the same however they are said; of an expiry, no day. `None` for a month alone.
pub(super) fn value(stream: &Stream, items: &[usize], kind: &Kind) -> Option<String> {
    let (mut month, mut day, mut tens) = (0, None, 0_u8);
    let mut numbers: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(item) = items.get(at) {
        at += 1;
        match stream.unit(*item)? {
            Unit::Month(number) => month = *number,
            Unit::Ordinal(ordinal) => day = Some(std::mem::take(&mut tens).saturating_add(*ordinal)),
            // "Twenty fourth" is a ten and an ordinal.
            Unit::Ten(ten) if items.get(at).is_some_and(|next| matches!(stream.unit(*next), Some(Unit::Ordinal(..10)))) => {
                tens = ten * 10;
            }
            unit if unit.is_digit() || matches!(unit, Unit::Hundred | Unit::Thousand) => {
                let (digits, took) = number::said(stream, *item);
                while items.get(at).is_some_and(|next| *next < item + took) {
                    at += 1;
                }
                numbers.push(digits.iter().map(ToString::to_string).collect());
            }
            _ => {}
        }
    }
    let digits = numbers.concat();
    if digits.len() < 2 {
        return None;
    }
    let year = &digits[digits.len() - 2..];
    if *kind == Kind::Expiry {
        return Some(format!("{month}//{year}"));
    }
    let first = || numbers.first().and_then(|number| number.parse().ok()).filter(|_| numbers.len() > 1);
    Some(format!("{month}/{}/{year}", day.or_else(first).unwrap_or_default()))
}

/// The same of a date in digits alone, in every way that it may be meant: `0331`, `07241941`, `72441`.
pub(super) fn values(kind: &Kind, digits: &str) -> Vec<String> {
    let mut found = Vec::new();
    let number = |from: usize, to: usize| digits.get(from..to).and_then(|digits| digits.parse::<u8>().ok());
    let year = digits.get(digits.len().saturating_sub(2)..).unwrap_or_default();
    if *kind == Kind::Expiry && (3..=6).contains(&digits.len()) {
        for (long, month) in [(1, number(0, 1)), (2, number(0, 2))] {
            if [2, 4].contains(&(digits.len() - long)) {
                found.extend(month.filter(|month| (1..=12).contains(month)).map(|month| format!("{month}//{year}")));
            }
        }
    }
    if *kind == Kind::DateOfBirth && (4..=8).contains(&digits.len()) {
        for (one, two) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            let rest = digits.len().saturating_sub(one + two);
            if let (true, Some(first), Some(second)) = (rest == 2 || rest == 4, number(0, one), number(one, one + two)) {
                found.extend([format!("{first}/{second}/{year}"), format!("{second}/{first}/{year}")]);
            }
        }
    }
    found
}

/// A month with the days and years before and behind it.
fn around(stream: &Stream, month: usize) -> Vec<usize> {
    let mut items = vec![month];
    let mut between = 0;
    for at in (month.saturating_sub(REACH_BACK)..month).rev() {
        // A day stands before its month, or `of the` between them; anything else is another date.
        let day = between > 0 || among!(" of the ", stream.word(at)) || !stream.unit(at).is_some_and(Unit::is_filler);
        if stream.joint(at + 1) == Joint::Break || !day || !take(stream, at, &mut between, &mut items) {
            break;
        }
    }
    between = 0;
    for at in month + 1..(month + REACH).min(stream.items.len()) {
        // What comes in the next final behind a whole date is something else: a house number.
        let over = stream.joint(at) == Joint::Turn && is_whole(stream, &items);
        if stream.joint(at) == Joint::Break || over || !take(stream, at, &mut between, &mut items) {
            break;
        }
    }
    items
}

/// Whether a date has its day and all of its year.
fn is_whole(stream: &Stream, items: &[usize]) -> bool {
    const YEAR: usize = 4;
    let ordinal = items.iter().rposition(|item| matches!(stream.unit(*item), Some(Unit::Ordinal(_))));
    let behind = &items[ordinal.map_or(0, |at| at + 1)..];
    let digits: usize = behind
        .iter()
        .map(|item| match (stream.unit(*item), stream.token(*item)) {
            (Some(Unit::Digits), Some(token)) => token.end - token.start,
            (Some(Unit::Teen(_)), _) => 2,
            (Some(unit), _) if unit.is_digit() => 1,
            _ => 0,
        })
        .sum();
    digits >= if ordinal.is_some() { YEAR } else { YEAR + 1 }
}

fn take(stream: &Stream, at: usize, between: &mut usize, items: &mut Vec<usize>) -> bool {
    if number::is_just_a_word(stream, at) {
        return false;
    }
    if stream
        .unit(at)
        .is_some_and(|unit| unit.is_digit() || matches!(unit, Unit::Ordinal(_) | Unit::Weak(0) | Unit::Hundred | Unit::Thousand))
    {
        *between = 0;
        items.push(at);
        return true;
    }
    *between += 1;
    *between <= MAX_BETWEEN && is_between(stream, at)
}

fn is_between(stream: &Stream, at: usize) -> bool {
    stream.unit(at).is_some_and(Unit::is_filler) || among!(" of the in ", stream.word(at))
}
