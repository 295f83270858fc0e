//! Names of people, by what leads to them, by lists, and by what was asked for.
//!
//! Promises: behind a sure lead (`my name is`) any word that is not plain English is a name, in a list or not; a word that is both
//! needs more (a capital letter, a family name behind it); a name that was taken out is taken out again. Brands and places stay,
//! unless they are names too and a lead says so.

use super::{
    leads::Lead,
    lexicon::Known,
    placeholder::{Label, Numbering},
    reason::Reason,
    spelled,
    token::{Token, Unit, Words, contains_word},
    turn::{Joint, Stream, Turn},
};

/// Words of one name.
const MAX_WORDS: usize = 5;
/// Fillers between a lead and its name.
const MAX_BETWEEN: usize = 4;
/// Words between a name and its spelling.
const SPELLED_WITHIN: usize = 6;
/// Letters that make a spelling.
const LEAST_LETTERS: usize = 3;
/// Turns of the other party that may have asked for a name.
const ASKED_TURNS: usize = 2;
/// How long such a question stays open.
const ASKED_MS: u64 = 20_000;
/// Words of a turn that is nothing but the answer to a question.
const SHORT_ANSWER: usize = 3;

/// Names that are verbs or small words before anything else.
static VERBS: Words = Words::new(
    " will may can call see love wish need ask say pay hold wait work long so an do in ha my oh le early even rather more less drop van ",
);
/// Parts of names that are no names.
static PARTICLES: Words =
    Words::new(" van von der den de del dela la las los da dos das di du le el al bin ibn abu ben mac mc o' st san ter ten ");
/// What may stand behind a name.
static SUFFIXES: Words = Words::new(" jr junior sr senior iii ii iv md phd esquire esq ");
/// What somebody's may be: `Mary's account`.
static BELONGINGS: Words = Words::new(
    " account card policy number phone name birthday birth date address room appointment prescription order file record records email chart insurance mother father wife husband \
                          son daughter claim bill payment voicemail extension desk office line mobile cell ssn social license passport pin password login reservation booking ticket ",
);
/// Answers that are no names.
static NO_NAMES: Words = Words::new(
    " none nothing nobody same myself me mine yourself hello speaking please thanks anyone everybody someone whatever correct ",
);

/// How well a word must look like a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Behind a sure lead.
    Any,
    /// It was asked for.
    Answer,
    /// Behind a lead that may say something else.
    Likely,
    /// It goes on with a name that ended the final before.
    Continued,
    /// Behind a greeting or a relation.
    Hardly,
    /// Behind a small word.
    Near,
    /// Behind nothing.
    Only,
}

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
    let items: Vec<usize> = (at..).take_while(inside).collect();
    (!items.iter().all(|at| plain(*at))).then_some(items)
}

/// The items of `Hope Young's` in front of `name`.
fn owned_name(stream: &Stream, at: usize) -> Option<Vec<usize>> {
    let first = stream.token(at).filter(|token| token.known.is_name() && is_wordlike(stream, at))?;
    let led = at > 0 && contains_word(" in under ", stream.word(at - 1));
    let last = (at..at + 3).find(|at| stream.word(*at).ends_with("'s") || stream.word(*at).ends_with("’s"))?;
    let whole = (at + 1..=last).all(|at| {
        stream.joint(at) == Joint::Same && stream.token(at).is_some_and(|token| token.known.is_name() || token.known.is_strange())
    });
    (whole && (led || !first.known.is_english()) && stream.joint(last + 1) == Joint::Same && stream.word(last + 1) == "name")
        .then(|| (at..=last).collect())
}

/// Whether a word may be the first of a name.
fn accepts(stream: &Stream, at: usize, look: Look) -> bool {
    let (Some(token), word) = (stream.token(at), stream.word(at)) else { return false };
    let known = token.known;
    let capital = is_marked_by_capital(stream, at);
    let verb = VERBS.has(word);
    let alone = || token.ends || stream.joint(at + 1) != Joint::Same;
    let supported = || family_follows(stream, at) || lead_begins(stream, at + 1, Lead::NameBefore);
    let possessive = word.ends_with("'s") || word.ends_with("’s");
    match look {
        Look::Any => match () {
            () if verb => {
                capital || alone() || family_follows(stream, at) || (known.is_given() && lead_before_is_nickname(stream, at))
            }
            () if known.is_thing() && !known.is_name() => false,
            () if known.is_name() || known.is_strange() => true,
            () if alone() && lead_before_is_nickname(stream, at) => !is_small(stream, at),
            () => !known.is_place() && (capital || (family_follows(stream, at) && !is_small(stream, at))),
        },
        Look::Answer => match () {
            () if NO_NAMES.has(word) || (known.is_thing() && !known.is_name()) => false,
            () if known.is_only_name() || (known.is_strange() && word.len() > 2) => true,
            () if known.is_name() => capital || supported() || is_short_answer(stream, at),
            () => {
                (capital && !known.is_place() && !is_small(stream, at))
                    || (family_follows(stream, at) && is_short_answer(stream, at) && !is_small(stream, at))
            }
        },
        Look::Likely => match () {
            () if known.is_only_name() => true,
            () if known.is_strange() => {
                (word.len() > 2 || capital) && !possessive && (capital || !is_cased(stream, at) || supported())
            }
            () if known.is_name() => {
                !verb && ((capital && !known.is_thing()) || supported() || (known.is_given() && alone() && !known.is_place()))
                    || (verb && (capital || only_name_follows(stream, at)))
            }
            () => capital && !known.is_thing() && !known.is_place() && only_name_follows(stream, at),
        },
        Look::Continued => {
            !verb
                && !known.is_place()
                && !known.is_thing()
                && (known.is_only_name() || known.is_strange() || (known.is_name() && !is_small(stream, at)))
        }
        Look::Hardly => match () {
            () if known.is_only_name() => !possessive || belongs(stream, at),
            () if known.is_strange() => capital && !possessive,
            () => {
                known.is_given()
                    && !known.is_place()
                    && !possessive
                    && !verb
                    && ((capital && !known.is_thing())
                        || (!is_cased(stream, at) && is_greeted(stream, at))
                        || only_name_follows(stream, at))
            }
        },
        Look::Near | Look::Only => {
            let owns = !possessive || belongs(stream, at);
            let given = known.is_given()
                && (capital
                    || family_follows(stream, at)
                    || known.is_frequent()
                    || look == Look::Near
                    || stands_alone(stream, at));
            let article = at > 0 && stream.joint(at) == Joint::Same && contains_word(" a an the ", stream.word(at - 1));
            if article && !capital || matches!(stream.unit(at), Some(Unit::Month(_))) && !only_name_follows(stream, at) {
                return false;
            }
            let introduced = known.is_strange() && word.len() > 3 && is_introduced(stream, at);
            let is_one = introduced || known.is_only_name() && (given || (capital && family_follows(stream, at)));
            owns && (is_one || (known.is_given() && capital && only_name_follows(stream, at) && !known.is_thing()))
        }
    }
}

/// The items of a name from its first on.
fn extend(stream: &Stream, first: usize, look: Look) -> Vec<usize> {
    let mut items = vec![first];
    let mut at = first;
    while items.len() < MAX_WORDS * 2 {
        let Some(next) = goes_on(stream, at, look) else { break };
        items.extend(at + 1..=next);
        at = next;
    }
    items
}

/// The item up to which a name goes on behind one of its items.
fn goes_on(stream: &Stream, at: usize, look: Look) -> Option<usize> {
    let same = |at: usize| stream.joint(at) == Joint::Same;
    let next = at + 1;
    if !same(next) || stream.token(at)?.ends && stream.word(at).len() > 2 {
        return None;
    }
    let word = stream.word(next);
    if stream.unit(next) == Some(&Unit::Joiner) {
        return (stream.token(next)?.glued || contains_word(" hyphen dash ", word))
            .then_some(next + 1)
            .filter(|at| same(*at) && is_wordlike(stream, *at));
    }
    if SUFFIXES.has(word) {
        return Some(next);
    }
    if contains_word(" uh um er erm ", word) {
        return (same(next + 1) && is_name_word(stream, next + 1, look)).then_some(next + 1);
    }
    if PARTICLES.has(word) {
        let twice = PARTICLES.has(stream.word(next + 1)) || stream.unit(next + 1) == Some(&Unit::Joiner);
        let behind = if twice { next + 2 } else { next + 1 };
        return (same(behind)
            && is_wordlike(stream, behind)
            && (is_name_word(stream, behind, look) || is_marked_by_capital(stream, behind)))
        .then_some(behind);
    }
    if stream.unit(next) == Some(&Unit::Letter) {
        let initial = same(next + 1)
            && is_name_word(stream, next + 1, look)
            && stream.token(next + 1).is_some_and(|token| !token.known.is_english());
        return initial.then_some(next + 1);
    }
    is_name_word(stream, next, look).then_some(next)
}

/// Whether a word behind another of a name belongs to it.
fn is_name_word(stream: &Stream, at: usize, look: Look) -> bool {
    let Some(token) = stream.token(at).filter(|_| is_wordlike(stream, at)) else { return false };
    let (known, word) = (token.known, stream.word(at));
    let capital = is_marked_by_capital(stream, at);
    let end = token.ends || stream.joint(at + 1) != Joint::Same;
    match () {
        () if known.is_only_name() => true,
        () if known.is_strange() => word.len() > 1 && (capital || !is_cased(stream, at) || !token.ends && false),
        () if known.is_thing() => false,
        () if known.is_name() && VERBS.has(word) => {
            capital || (end && look == Look::Any && !contains_word(" so do in my call ", word))
        }
        () if known.is_name() => capital || !is_cased(stream, at),
        () => capital && !known.is_place() && !is_small(stream, at) && look != Look::Only,
    }
}

/// Whether a family name follows on a word.
fn family_follows(stream: &Stream, at: usize) -> bool {
    goes_on(stream, at, Look::Likely).is_some()
}

fn only_name_follows(stream: &Stream, at: usize) -> bool {
    goes_on(stream, at, Look::Only)
        .and_then(|next| stream.token(next))
        .is_some_and(|token| token.known.is_only_name() || token.known.is_strange())
}

/// Whether somebody says who is calling: `it's deepika in payroll`.
fn is_introduced(stream: &Stream, at: usize) -> bool {
    let led = at > 0 && contains_word(" it's its is ", stream.word(at - 1)) && begins_answer(stream, at);
    let last = extend(stream, at, Look::Likely).last().copied().unwrap_or(at);
    led && (stands_alone(stream, last)
        || contains_word(" from in with at over here again calling speaking and ", stream.word(last + 1)))
}

/// Whether somebody is greeted or thanked by name: `thanks grace`, `hi chase my name is`.
fn is_greeted(stream: &Stream, at: usize) -> bool {
    let greets = at > 0 && contains_word(" hi hello hey thanks you morning afternoon evening ", stream.word(at - 1));
    greets
        && (stands_alone(stream, at)
            || contains_word(" and how i my what can this it's yes for could would is i'm ", stream.word(at + 1)))
}

/// Whether it ends its turn, or its sentence: somebody is called by name.
fn stands_alone(stream: &Stream, at: usize) -> bool {
    stream.token(at).is_some_and(|token| token.ends) || stream.joint(at + 1) != Joint::Same
}

fn belongs(stream: &Stream, at: usize) -> bool {
    stream.joint(at + 1) == Joint::Same && BELONGINGS.has(stream.word(at + 1))
}

/// Whether the word is a part of a firm's name.
fn is_brand(stream: &Stream, at: usize) -> bool {
    let item = stream.items[at];
    stream.turns[item.turn].leads.iter().any(|lead| lead.lead == Lead::Brand && (lead.from..lead.to).contains(&item.token))
}

/// Whether everybody calls somebody so.
fn lead_before_is_nickname(stream: &Stream, at: usize) -> bool {
    at > 1 && stream.word(at - 1) == "me" && contains_word(" call calls called ", stream.word(at - 2))
}

/// Words that no name is, capital letter or not.
fn is_small(stream: &Stream, at: usize) -> bool {
    stream.word(at).len() < 3 || stream.unit(at).is_some_and(Unit::is_filler)
}

fn is_wordlike(stream: &Stream, at: usize) -> bool {
    let dated = || {
        stream.joint(at + 1) == Joint::Same
            && stream.unit(at + 1).is_some_and(|unit| unit.is_digit() || matches!(unit, Unit::Ordinal(_)))
    };
    match stream.unit(at) {
        Some(Unit::Word) => true,
        Some(Unit::Month(_)) => contains_word(" april may june august ", stream.word(at)) && !dated(),
        _ => false,
    }
}

/// Whether the turn has capital letters where a name would have them.
fn is_cased(stream: &Stream, at: usize) -> bool {
    stream.items.get(at).is_some_and(|item| stream.turns[item.turn].tokens.iter().any(|token| token.capital))
}

/// Whether a capital letter marks the word in the middle of a sentence.
fn is_marked_by_capital(stream: &Stream, at: usize) -> bool {
    let begins = at == 0 || stream.joint(at) != Joint::Same || stream.token(at - 1).is_some_and(|token: &Token| token.ends);
    // "I'm" is written with a capital letter for its own sake.
    let own = matches!(stream.word(at).as_bytes(), [b'i'] | [b'i', b'\'' | 0xE2, ..]);
    !begins && !own && stream.token(at).is_some_and(|token| token.capital)
}

/// The lead that ends right before an item, over fillers.
fn lead_before(stream: &Stream, at: usize) -> Option<Lead> {
    let mut best = None;
    for back in 1..=MAX_BETWEEN.min(at) {
        if stream.joint(at + 1 - back) == Joint::Break {
            break;
        }
        let item = stream.items[at - back];
        let turn = &stream.turns[item.turn];
        let leads = turn.leads.iter().filter(|lead| lead.to == item.token + 1);
        if let Some(lead) = leads.map(|lead| lead.lead).find(|lead| is_name_lead(*lead)) {
            // "Is" alone says little: what stands before it may say more.
            best = best.filter(|best: &Lead| rank(*best) >= rank(lead)).or(Some(lead));
        }
        if !stream.unit(at - back).is_some_and(|unit| matches!(unit, Unit::Filler | Unit::Correction)) {
            break;
        }
    }
    best
}

/// How much a lead says.
fn rank(lead: Lead) -> u8 {
    match lead {
        Lead::Name | Lead::AskName => 3,
        Lead::MayBeName => 2,
        Lead::HardlyName => 1,
        _ => 0,
    }
}

fn is_name_lead(lead: Lead) -> bool {
    matches!(lead, Lead::Name | Lead::MayBeName | Lead::HardlyName | Lead::Near | Lead::AskName)
}

fn lead_begins(stream: &Stream, at: usize, lead: Lead) -> bool {
    let Some(item) = stream.items.get(at).filter(|_| stream.joint(at) == Joint::Same) else { return false };
    stream.turns[item.turn].leads.iter().any(|one| one.from == item.token && one.lead == lead)
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
    let begins = at == 0 || stream.joint(at) != Joint::Same || is_marked_by_capital(stream, at) || stream.token(at - 1).is_some_and(|token| token.ends || token.unit.is_filler() || contains_word(" morning afternoon evening hello hi hey support desk care service department billing accounts office is it's ", stream.word(at - 1)));
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
            || contains_word(" spelled spelt spelling spell with a an and last first name you it i'll for ", stream.word(at));
        if !leads_on {
            return None;
        }
    }
    None
}

/// What the other party's last question asked for, if that is a name or its spelling.
fn asked(stream: &Stream, at: usize) -> Option<Lead> {
    let item = stream.items.get(at)?;
    let own = &stream.turns[item.turn];
    let others = stream.turns[..item.turn].iter().rev().filter(|turn| turn.party != own.party);
    let recent = others.take_while(|turn| own.start_ms.saturating_sub(turn.end_ms) <= ASKED_MS);
    let says = |turn: &&Turn| !turn.leads.is_empty() || !turn.cues.is_empty();
    let asks = |turn: &Turn| {
        let lead = |lead: Lead| turn.leads.iter().any(|one| one.lead == lead);
        if lead(Lead::AskSpelling) {
            return Some(Lead::AskSpelling);
        }
        let open = |one: &super::leads::LeadAt| {
            one.lead == Lead::Name
                && !turn
                    .tokens
                    .get(one.to)
                    .is_some_and(|token| token.known.is_only_name() || token.known.is_strange() && token.unit == Unit::Word)
        };
        (lead(Lead::AskName) || turn.leads.iter().any(open)).then_some(Lead::AskName)
    };
    recent.filter(says).take(ASKED_TURNS).find_map(asks)
}

/// Whether nothing but what leads to an answer stands before an item in its turn.
fn begins_answer(stream: &Stream, at: usize) -> bool {
    static LEADING: Words = Words::new(
        " hi hello hey my name is the this it's it i'm i am yes yeah sure of course okay um uh and so well that's that would be under for you can put it's should account in first last full thank thanks good morning afternoon evening \
                           absolutely certainly no problem one second sec moment for her his she's he's their actually just ",
    );
    let mut back = at;
    while back > 0 && stream.joint(back) == Joint::Same {
        back -= 1;
        if !(stream.unit(back).is_some_and(Unit::is_filler) || LEADING.has(stream.word(back))) {
            return false;
        }
    }
    true
}

/// Whether little more than the word is said in its turn.
fn is_short_answer(stream: &Stream, at: usize) -> bool {
    let rest = (at..stream.items.len()).take_while(|next| *next == at || stream.joint(*next) == Joint::Same);
    rest.filter(|at| !stream.unit(*at).is_some_and(Unit::is_filler)).count() <= SHORT_ANSWER
}

/// The label of a name that was taken out, if the word is one of its words.
fn repeated(stream: &Stream, at: usize, numbering: &Numbering) -> Option<Label> {
    let known: Known = stream.token(at)?.known;
    let greeted = || lead_before(stream, at).is_some_and(|lead| matches!(lead, Lead::HardlyName | Lead::MayBeName));
    let begins = || stream.joint(at) != Joint::Same && stream.token(at).is_some_and(|token| token.capital) && known.is_given();
    let plain = known.is_english() && !is_marked_by_capital(stream, at) && !begins() && !(known.is_given() && greeted());
    if plain || !(known.is_name() || known.is_strange() || is_marked_by_capital(stream, at)) {
        return None;
    }
    numbering.heard_name(bare(stream.word(at)))
}

/// A word without the `'s` behind it.
pub(super) fn bare(word: &str) -> &str {
    word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word)
}
