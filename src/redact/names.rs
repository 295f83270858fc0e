//! Names of people, by what leads to them, by lists, and by what was asked for.
//!
//! Promises: behind a sure lead (`my name is`) any word that is not plain English is a name, in a list or not; a word that is both
//! needs more (a capital letter, a family name behind it); a name that was taken out is taken out again. Brands and places stay,
//! unless they are names too and a lead says so.

mod led;
mod looks;

use self::{
    led::{asked, begins_answer, is_brand, lead_before, lead_begins},
    looks::{Look, VERBS, accepts, extend, is_marked_by_capital, is_wordlike},
};
use super::{
    leads::Lead,
    lexicon::Known,
    placeholder::{Label, Numbering},
    reason::Reason,
    spelled,
    token::{Unit, among},
    turn::{Joint, Stream},
};

/// Words between a name and its spelling.
const SPELLED_WITHIN: usize = 6;
/// Letters that make a spelling.
const LEAST_LETTERS: usize = 3;
/// A name that is taken out.
pub(super) struct Name {
    /// The items that belong to it.
    pub(super) items: Vec<usize>,
    /// By which rule.
    pub(super) reason: Reason,
    /// The label of the name that it repeats.
    pub(super) repeats: Option<Label>,
}

/// All names of a stream among the items that are not taken yet.
pub(super) fn names(stream: &Stream, numbering: &Numbering, taken: &[bool]) -> Vec<Name> {
    let mut found: Vec<Name> = Vec::new();
    let mut at = stream.from;
    while at < stream.items.len() {
        let before = found.last().and_then(|name| name.items.last().copied());
        let name = if taken[at] { None } else { name_at(stream, at, before, numbering) };
        let Some(name) = name.filter(|name| name.items.iter().all(|item| !taken[*item])) else {
            at += 1;
            continue;
        };
        at = name.items.last().map_or(at, |last| *last) + 1;
        found.push(name);
        if let Some(spelling) = spelled_behind(stream, at, taken) {
            at = spelling.items.last().map_or(at, |last| *last) + 1;
            found.push(spelling);
        }
    }
    found
}

fn name_at(stream: &Stream, at: usize, before: Option<usize>, numbering: &Numbering) -> Option<Name> {
    if is_brand(stream, at) {
        return None;
    }
    let asked = asked(stream, at);
    let lead = lead_before(stream, at);
    if (asked.is_some() && begins_answer(stream, at)) || lead == Some(Lead::Name) {
        let spelling = spelled::from(stream, at);
        let least = if asked == Some(Lead::AskSpelling) || spelling.explained { 2 } else { LEAST_LETTERS };
        if spelling.letters >= least {
            return Some(Name { items: spelling.items, reason: Reason::Spelled, repeats: None });
        }
    }
    if !is_wordlike(stream, at) {
        return None;
    }
    if let Some(label) = repeated(stream, at, numbering) {
        let items = extend(stream, at, Look::Likely);
        return Some(Name { items, reason: Reason::ReadBack, repeats: Some(label) });
    }
    if let Some(items) = found_by_model(stream, at) {
        return Some(Name { items, reason: Reason::Model, repeats: None });
    }
    let continued = before.is_some_and(|last| last + 1 == at) && stream.joint(at) == Joint::Turn;
    let answer = || asked.is_some() && begins_answer(stream, at);
    let (look, reason) = match lead {
        Some(Lead::Name) => (Look::Any, Reason::CueBefore),
        _ if answer() => (Look::Answer, Reason::Asked),
        _ if continued => (Look::Continued, Reason::Continued),
        Some(Lead::MayBeName) => (Look::Likely, Reason::CueBefore),
        Some(Lead::HardlyName) => (Look::Hardly, Reason::CueBefore),
        Some(_) => (Look::Near, Reason::CueBefore),
        None => (Look::Only, Reason::Shape),
    };
    let owned = owned_name(stream, at);
    if let Some(items) = owned {
        return Some(Name { items, reason: Reason::CueBehind, repeats: None });
    }
    if accepts(stream, at, look) {
        return Some(Name { items: extend(stream, at, look), reason, repeats: None });
    }
    // "Haruto speaking", "Nkechi here".
    if matches!(look, Look::Hardly | Look::Near | Look::Only | Look::Likely) && stands_before_lead(stream, at) {
        return Some(Name { items: extend(stream, at, Look::Likely), reason: Reason::CueBehind, repeats: None });
    }
    None
}

/// The items of a name that the model found to begin at an item; not of a brand, and not of what is plain English in small letters.
fn found_by_model(stream: &Stream, at: usize) -> Option<Vec<usize>> {
    let (item, token) = (stream.items[at], stream.token(at)?);
    let turn = &stream.turns[item.turn];
    let (_, end) = turn.named.iter().copied().find(|(start, end)| *start <= token.start && token.end <= *end)?;
    let plain = |at: usize| {
        let known = stream.token(at).map_or_else(Known::default, |token| token.known);
        known.is_thing() || (known.is_english() && !known.is_name() && !is_marked_by_capital(stream, at))
    };
    let inside = |at: &usize| {
        *at < stream.items.len() && stream.items[*at].turn == item.turn && stream.token(*at).is_some_and(|token| token.end <= end)
    };
    let items: Vec<usize> = (at..stream.items.len()).take_while(inside).collect();
    (!items.iter().all(|at| plain(*at))).then_some(items)
}

/// The items of `Hope Young's` in front of `name`.
fn owned_name(stream: &Stream, at: usize) -> Option<Vec<usize>> {
    let first = stream.token(at).filter(|token| token.known.is_name() && is_wordlike(stream, at))?;
    let led = at > 0 && among!(" in under ", stream.word(at - 1));
    let last = (at..at + 3).find(|at| stream.word(*at).ends_with("'s") || stream.word(*at).ends_with("’s"))?;
    let whole = (at + 1..=last).all(|at| {
        stream.joint(at) == Joint::Same && stream.token(at).is_some_and(|token| token.known.is_name() || token.known.is_strange())
    });
    (whole && (led || !first.known.is_english()) && stream.joint(last + 1) == Joint::Same && stream.word(last + 1) == "name")
        .then(|| (at..=last).collect())
}

/// Whether a word that may well be a name stands before `speaking` and the like.
fn stands_before_lead(stream: &Stream, at: usize) -> bool {
    let items = extend(stream, at, Look::Likely);
    let Some(last) = items.last() else { return false };
    let Some(token) = stream.token(at) else { return false };
    if token.known.is_only_name() && token.known.is_given() && lead_begins(stream, last + 1, Lead::NameBefore) {
        return true;
    }
    let may_be = token.known.is_only_name()
        || (token.known.is_strange() && stream.word(at).len() > 2)
        || (token.known.is_given() && !VERBS.has(stream.word(at)));
    let begins = at == 0 || stream.joint(at) != Joint::Same || is_marked_by_capital(stream, at) || stream.token(at - 1).is_some_and(|token| token.ends || token.unit.is_filler() || among!(" morning afternoon evening hello hi hey support desk care service department billing accounts office is it's ", stream.word(at - 1)));
    may_be && begins && lead_begins(stream, last + 1, Lead::NameBefore)
}

/// A spelling shortly behind a name: `Kowalski, that's k o w …`.
fn spelled_behind(stream: &Stream, from: usize, taken: &[bool]) -> Option<Name> {
    for at in from..(from + SPELLED_WITHIN).min(stream.items.len()) {
        if stream.joint(at) == Joint::Break {
            return None;
        }
        let spelling = spelled::from(stream, at);
        if spelling.letters >= LEAST_LETTERS && spelling.items.iter().all(|item| !taken[*item]) {
            return Some(Name { items: spelling.items, reason: Reason::Spelled, repeats: None });
        }
        let leads_on = stream.unit(at).is_some_and(Unit::is_filler)
            || among!(" spelled spelt spelling spell with a an and last first name you it i'll for ", stream.word(at));
        if !leads_on {
            return None;
        }
    }
    None
}

/// The label of a name that was taken out, if the word is one of its words.
fn repeated(stream: &Stream, at: usize, numbering: &Numbering) -> Option<Label> {
    let known: Known = stream.token(at)?.known;
    let greeted = || lead_before(stream, at).is_some_and(|lead| matches!(lead, Lead::HardlyName | Lead::MayBeName));
    let begins = || stream.joint(at) != Joint::Same && stream.token(at).is_some_and(|token| token.capital) && known.is_given();
    let called = || begins() || (known.is_given() && greeted());
    if known.is_english() && !is_marked_by_capital(stream, at) && !called() {
        return None;
    }
    if !(known.is_name() || known.is_strange() || is_marked_by_capital(stream, at)) {
        return None;
    }
    numbering.heard_name(bare(stream.word(at)))
}

/// A word without the `'s` behind it.
pub(super) fn bare(word: &str) -> &str {
    word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word)
}
