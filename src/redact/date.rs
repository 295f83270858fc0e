//! Dates with a month's name that a cue makes personal: when somebody was born, until when a card is good.

use super::{
    context::{self, Hint},
    placeholder::Kind,
    token::{Unit, contains_word},
    turn::{Joint, Stream},
};

/// Words between the parts of a date.
const MAX_BETWEEN: usize = 3;
/// Items on either side of a month that may belong to its date.
const REACH: usize = 12;

/// A date that is taken out.
pub(super) struct Date {
    /// What it is.
    pub(super) kind: Kind,
    /// The items that belong to it.
    pub(super) items: Vec<usize>,
    /// Whether a year may still follow.
    pub(super) open: bool,
}

/// All dates of a stream that name a month and that a cue makes personal.
pub(super) fn dates(stream: &Stream) -> Vec<Date> {
    let mut found: Vec<Date> = Vec::new();
    for month in 0..stream.items.len() {
        let taken = found.last().is_some_and(|date| date.items.contains(&month));
        if taken || !matches!(stream.unit(month), Some(Unit::Month(_))) {
            continue;
        }
        let Some(kind) = kind(stream, month) else { continue };
        let mut items = around(stream, month);
        items.sort_unstable();
        let last = items.last().copied().unwrap_or(month);
        let open = !stream.closed
            && last + MAX_BETWEEN >= stream.items.len()
            && (last + 1..stream.items.len()).all(|at| is_between(stream, at));
        // "May" is more than a month.
        if items.len() > 1 || open || stream.word(month) != "may" {
            found.push(Date { kind, items, open });
        }
    }
    found
}

fn kind(stream: &Stream, month: usize) -> Option<Kind> {
    let hint = context::before(stream, month).or_else(|| context::asked(stream, month).into_iter().next());
    match hint {
        Some(Hint::Is(kind @ (Kind::DateOfBirth | Kind::Expiry))) => Some(kind),
        _ => None,
    }
}

/// A month with the days and years before and behind it.
fn around(stream: &Stream, month: usize) -> Vec<usize> {
    let mut items = vec![month];
    let mut between = 0;
    for at in (month.saturating_sub(REACH)..month).rev() {
        if stream.joint(at + 1) == Joint::Break || !take(stream, at, &mut between, &mut items) {
            break;
        }
    }
    between = 0;
    for at in month + 1..(month + REACH).min(stream.items.len()) {
        if stream.joint(at) == Joint::Break || !take(stream, at, &mut between, &mut items) {
            break;
        }
    }
    items
}

fn take(stream: &Stream, at: usize, between: &mut usize, items: &mut Vec<usize>) -> bool {
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
    stream.unit(at).is_some_and(Unit::is_filler) || contains_word(" of the in ", stream.word(at))
}
