//! Words that sound like digits: `to`, `for`, `ate`, `won`, `tree`, `sex`.
//!
//! Promises: such a word is a digit among digits where a number was led to or asked for, and inside a long number anywhere;
//! `2 to 4 business days` stays. The recogniser writes them whenever a number is read out word by word.

use super::{
    context::{self, Hint},
    harmless,
    token::{Unit, Words, among},
    turn::{Joint, Stream},
};

/// Digits that make a number that needs no lead.
const LONG: usize = 4;
/// What says that the digits before it count something.
static COUNTED: Words =
    Words::new(" digit digits numbers business characters letters character working other of the a my your our their his her ");

/// Makes digits of the words that sound like one and stand where one belongs.
pub(super) fn resolve(stream: &mut Stream) {
    let mut at = stream.from;
    while at < stream.items.len() {
        if !is_part(stream, at) {
            at += 1;
            continue;
        }
        let first = at;
        let mut last = at;
        let mut odd = false;
        while at < stream.items.len() && (at == first || stream.joint(at) != Joint::Break) {
            if is_part(stream, at) {
                last = at;
                odd |= matches!(stream.unit(at), Some(Unit::Weak(_)));
            } else if !among!(" uh um er erm ", stream.word(at)) && stream.unit(at) != Some(&Unit::Joiner) {
                break;
            }
            at += 1;
        }
        if odd && last > first {
            settle(stream, first, last);
        }
    }
}

/// Whether an item is a digit or sounds like one.
fn is_part(stream: &Stream, at: usize) -> bool {
    stream.unit(at).is_some_and(|unit| unit.is_digit() || matches!(unit, Unit::Weak(_) | Unit::Repeat(_)))
}

/// Whether a word is so often something else that it must stand between digits: `to`, `too`, `for`, `fore`.
fn is_doubtful(stream: &Stream, at: usize) -> bool {
    matches!(stream.unit(at), Some(Unit::Weak(2 | 4)))
}

fn settle(stream: &mut Stream, first: usize, last: usize) {
    let (mut digits, mut odd) = (0, 0);
    for at in first..=last {
        match (stream.unit(at), stream.token(at)) {
            (Some(Unit::Digits | Unit::Mixed), Some(token)) => digits += token.end - token.start,
            (Some(Unit::Weak(_)), _) => odd += 1,
            (Some(unit), _) if unit.is_digit() => digits += 1,
            _ => {}
        }
    }
    let follows = if stream.joint(last + 1) == Joint::Break { "" } else { stream.word(last + 1) };
    let counted = COUNTED.has(follows) || harmless::is_measure(follows);
    let strong = (first..=last).any(|at| matches!(stream.unit(at), Some(Unit::Weak(1 | 3 | 6 | 8))));
    let cued = !counted && digits + odd >= 2 && (digits >= 1 || (odd >= 3 && strong)) && is_cued(stream, first, last);
    // "Four ate for too five" is read back with no cue.
    let cued = cued || (!counted && strong && digits >= 2 && digits + odd >= 5);
    let (mut from, mut to) = (first, last);
    let begins = stream.joint(first) != Joint::Same || stream.unit(first.wrapping_sub(1)).is_some_and(Unit::is_filler);
    while from < to && is_doubtful(stream, from) && !(cued && begins) {
        from += 1;
    }
    let ends = stream.joint(last + 1) != Joint::Same
        || stream.token(last).is_some_and(|token| token.ends)
        || context::behind(stream, last).is_some();
    while to > from && is_doubtful(stream, to) && !(cued && ends) {
        to -= 1;
    }
    for at in from..=to {
        let Some(Unit::Weak(value)) = stream.unit(at) else { continue };
        let (value, doubtful) = (*value, is_doubtful(stream, at));
        let beside = |at: usize| at >= from && at <= to && is_part(stream, at) && !is_doubtful(stream, at);
        let between = beside(at.wrapping_sub(1)) && beside(at + 1);
        let long = !counted && digits >= LONG && (!doubtful || between);
        // An "oh" is read by the number reader, which knows an exclamation when it sees one.
        if cued || (long && value != 0) {
            stream.take_for_digit(at);
        }
    }
}

/// Whether a number was led to, or asked for, where these digits stand.
fn is_cued(stream: &Stream, first: usize, last: usize) -> bool {
    let numeric = |hint: &Hint| matches!(hint, Hint::Is(kind) | Hint::MayBe(kind) if kind.is_numeric());
    match context::before(stream, first).or_else(|| context::behind(stream, last)) {
        Some(hint) => numeric(&hint),
        None => context::asked(stream, first).iter().any(numeric),
    }
}
