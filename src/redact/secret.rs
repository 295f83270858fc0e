//! Numbers that a cue calls a secret and that have its very length: nothing about their form explains them away.
//!
//! Promises: `my SSN is 482-11-9043. Am I verified?` is no time of day, `the cvv for this order is 345` no order.

use super::{
    context::{self, Hint},
    number::Run,
    placeholder::Kind,
    reason::Reason,
    token::{Unit, among},
    turn::{Joint, Stream},
};

/// Digits of a card number at least: so many are told by a cue alone.
const CARD: usize = 12;

/// What a run is if a cue or a question right at it calls it a secret, and it is as long as one.
pub(super) fn secret(stream: &Stream, run: &Run) -> Option<(Hint, Reason)> {
    let is_one = |hint: &Hint| matches!(hint, Hint::Is(kind) if is_whole(kind, run.kept()));
    let before = context::cues_before(stream, run.first());
    let told = is_told(stream, run);
    if let Some(at) = before.iter().position(is_one) {
        let sure = told || run.kept() >= CARD || (at == 0 && is_right_behind_cue(stream, run));
        return sure.then(|| (before[at].clone(), Reason::CueBefore));
    }
    let asked = || context::asked(stream, run.first()).into_iter().find(is_one);
    let answers = || (0..run.first()).rev().take_while(|at| stream.joint(at + 1) == Joint::Same).all(|at| is_empty(stream, at));
    if before.is_empty() && answers() { Some((asked()?, Reason::Asked)) } else { None }
}

/// Whether so many digits are a whole secret of this kind, or its last four.
fn is_whole(kind: &Kind, digits: usize) -> bool {
    match kind {
        Kind::Cvv => (3..=4).contains(&digits),
        Kind::Pin => (4..=8).contains(&digits),
        Kind::Ssn => matches!(digits, 4 | 9),
        Kind::Routing => digits == 9,
        Kind::CreditCard => (CARD..=19).contains(&digits),
        Kind::DateOfBirth => (6..=8).contains(&digits),
        _ => false,
    }
}

/// Whether `is`, `it's`, `was` stands before a run, over fillers.
fn is_told(stream: &Stream, run: &Run) -> bool {
    let before = (0..run.first()).rev().take(3).take_while(|at| stream.joint(at + 1) == Joint::Same);
    let tells = |at: usize| among!(" is it's its was reads says ", stream.word(at));
    before.take_while(|at| is_empty(stream, *at)).any(tells)
}

fn is_right_behind_cue(stream: &Stream, run: &Run) -> bool {
    let Some(at) = run.first().checked_sub(1).filter(|at| stream.joint(at + 1) == Joint::Same) else { return false };
    let item = stream.items[at];
    stream.turns[item.turn].cues.iter().any(|cue| cue.to == item.token + 1)
}

fn is_empty(stream: &Stream, at: usize) -> bool {
    stream.unit(at).is_some_and(|unit| unit.is_filler() || *unit == Unit::Money)
}
