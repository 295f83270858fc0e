//! How well a word looks like a name, and how far a name goes on.

use super::{
    super::{
        leads::Lead,
        token::{Token, Unit, Words, among},
        turn::{Joint, Stream},
    },
    led,
};

/// Words of one name.
const MAX_WORDS: usize = 5;
/// Names that are verbs or small words before anything else.
pub(super) static VERBS: Words = Words::new(
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
pub(super) enum Look {
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

/// Whether a word may be the first of a name.
pub(super) fn accepts(stream: &Stream, at: usize, look: Look) -> bool {
    let Some(token) = stream.token(at) else { return false };
    match look {
        Look::Any => is_any(stream, at, token),
        Look::Answer => is_answer(stream, at, token),
        Look::Likely => is_likely(stream, at, token),
        Look::Continued => {
            let known = token.known;
            let may_be = known.is_only_name() || known.is_strange() || (known.is_name() && !is_small(stream, at));
            may_be && !VERBS.has(stream.word(at)) && !known.is_place() && !known.is_thing()
        }
        Look::Hardly => is_hardly(stream, at, token),
        Look::Near | Look::Only => is_only(stream, at, token, look),
    }
}

/// Behind a sure lead: whatever is not plain English.
fn is_any(stream: &Stream, at: usize, token: &Token) -> bool {
    let (known, capital) = (token.known, is_marked_by_capital(stream, at));
    match () {
        () if VERBS.has(stream.word(at)) => {
            let nicknamed = known.is_given() && led::is_nickname(stream, at);
            capital || led::stands_alone(stream, at) || family_follows(stream, at) || nicknamed
        }
        () if known.is_thing() && !known.is_name() => false,
        () if known.is_name() || known.is_strange() => true,
        () if led::stands_alone(stream, at) && led::is_nickname(stream, at) => !is_small(stream, at),
        () => !known.is_place() && (capital || (family_follows(stream, at) && !is_small(stream, at))),
    }
}

/// Where a name was asked for: what is a name or strange, what is both a name and a word if more says so.
fn is_answer(stream: &Stream, at: usize, token: &Token) -> bool {
    let (known, word, capital) = (token.known, stream.word(at), is_marked_by_capital(stream, at));
    match () {
        () if NO_NAMES.has(word) || (known.is_thing() && !known.is_name()) => false,
        () if known.is_only_name() || (known.is_strange() && word.len() > 2) => true,
        () if known.is_name() => capital || is_supported(stream, at) || led::is_short_answer(stream, at),
        () if is_small(stream, at) => false,
        () => (capital && !known.is_place()) || (family_follows(stream, at) && led::is_short_answer(stream, at)),
    }
}

/// Behind a lead that may say something else.
fn is_likely(stream: &Stream, at: usize, token: &Token) -> bool {
    let (known, word, capital) = (token.known, stream.word(at), is_marked_by_capital(stream, at));
    match () {
        () if known.is_only_name() => true,
        () if known.is_strange() => {
            (word.len() > 2 || capital) && !is_possessive(word) && (capital || !is_cased(stream, at) || is_supported(stream, at))
        }
        () if known.is_name() && VERBS.has(word) => capital || only_name_follows(stream, at),
        () if known.is_name() => {
            let alone = known.is_given() && led::stands_alone(stream, at) && !known.is_place();
            (capital && !known.is_thing()) || is_supported(stream, at) || alone
        }
        () => capital && !known.is_thing() && !known.is_place() && only_name_follows(stream, at),
    }
}

/// Behind a greeting or a relation.
fn is_hardly(stream: &Stream, at: usize, token: &Token) -> bool {
    let (known, word, capital) = (token.known, stream.word(at), is_marked_by_capital(stream, at));
    match () {
        () if known.is_only_name() => !is_possessive(word) || belongs(stream, at),
        () if is_possessive(word) => false,
        () if known.is_strange() => capital,
        () if !known.is_given() || known.is_place() || VERBS.has(word) => false,
        () => {
            let greeted = !is_cased(stream, at) && led::is_greeted(stream, at);
            (capital && !known.is_thing()) || greeted || only_name_follows(stream, at)
        }
    }
}

/// Behind a small word, or nothing.
fn is_only(stream: &Stream, at: usize, token: &Token, look: Look) -> bool {
    let (known, word, capital) = (token.known, stream.word(at), is_marked_by_capital(stream, at));
    let article = at > 0 && stream.joint(at) == Joint::Same && among!(" a an the ", stream.word(at - 1));
    let month = matches!(stream.unit(at), Some(Unit::Month(_))) && !only_name_follows(stream, at);
    if (article && !capital) || month || (is_possessive(word) && !belongs(stream, at)) {
        return false;
    }
    let told =
        capital || family_follows(stream, at) || known.is_frequent() || look == Look::Near || led::stands_alone(stream, at);
    let named = known.is_only_name() && ((known.is_given() && told) || (capital && family_follows(stream, at)));
    let introduced = known.is_strange() && word.len() > 3 && is_introduced(stream, at);
    introduced || named || (known.is_given() && capital && only_name_follows(stream, at) && !known.is_thing())
}

/// Whether a family name, or `speaking`, follows.
fn is_supported(stream: &Stream, at: usize) -> bool {
    family_follows(stream, at) || led::lead_begins(stream, at + 1, Lead::NameBefore)
}

fn is_possessive(word: &str) -> bool {
    word.ends_with("'s") || word.ends_with("’s")
}

/// The items of a name from its first on.
pub(super) fn extend(stream: &Stream, first: usize, look: Look) -> Vec<usize> {
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
        return (stream.token(next)?.glued || among!(" hyphen dash ", word))
            .then_some(next + 1)
            .filter(|at| same(*at) && is_wordlike(stream, *at));
    }
    if SUFFIXES.has(word) {
        return Some(next);
    }
    if among!(" uh um er erm ", word) {
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
        () if known.is_strange() => word.len() > 1 && (capital || !is_cased(stream, at)),
        () if known.is_thing() => false,
        () if known.is_name() && VERBS.has(word) => capital || (end && look == Look::Any && !among!(" so do in my call ", word)),
        () if known.is_name() => capital || !is_cased(stream, at),
        () => capital && !known.is_place() && !is_small(stream, at) && look != Look::Only,
    }
}

/// Whether a family name follows on a word.
pub(super) fn family_follows(stream: &Stream, at: usize) -> bool {
    goes_on(stream, at, Look::Likely).is_some()
}

pub(super) fn only_name_follows(stream: &Stream, at: usize) -> bool {
    goes_on(stream, at, Look::Only)
        .and_then(|next| stream.token(next))
        .is_some_and(|token| token.known.is_only_name() || token.known.is_strange())
}

/// Whether somebody says who is calling: `it's deepika in payroll`.
fn is_introduced(stream: &Stream, at: usize) -> bool {
    let led = at > 0 && among!(" it's its is ", stream.word(at - 1)) && led::begins_answer(stream, at);
    let last = extend(stream, at, Look::Likely).last().copied().unwrap_or(at);
    led && (led::stands_alone(stream, last)
        || among!(" from in with at over here again calling speaking and ", stream.word(last + 1)))
}

fn belongs(stream: &Stream, at: usize) -> bool {
    stream.joint(at + 1) == Joint::Same && BELONGINGS.has(stream.word(at + 1))
}

/// Words that no name is, capital letter or not.
fn is_small(stream: &Stream, at: usize) -> bool {
    stream.word(at).len() < 3 || stream.unit(at).is_some_and(Unit::is_filler)
}

pub(super) fn is_wordlike(stream: &Stream, at: usize) -> bool {
    let dated = || {
        stream.joint(at + 1) == Joint::Same
            && stream.unit(at + 1).is_some_and(|unit| unit.is_digit() || matches!(unit, Unit::Ordinal(_)))
    };
    match stream.unit(at) {
        Some(Unit::Word) => true,
        Some(Unit::Month(_)) => among!(" april may june august ", stream.word(at)) && !dated(),
        _ => false,
    }
}

/// Whether the turn has capital letters where a name would have them.
pub(super) fn is_cased(stream: &Stream, at: usize) -> bool {
    stream.items.get(at).is_some_and(|item| stream.turns[item.turn].tokens.iter().any(|token| token.capital))
}

/// Whether a capital letter marks the word in the middle of a sentence.
pub(super) fn is_marked_by_capital(stream: &Stream, at: usize) -> bool {
    let begins = at == 0 || stream.joint(at) != Joint::Same || stream.token(at - 1).is_some_and(|token: &Token| token.ends);
    // "I'm" is written with a capital letter for its own sake.
    let own = matches!(stream.word(at).as_bytes(), [b'i'] | [b'i', b'\'' | 0xE2, ..]);
    !begins && !own && stream.token(at).is_some_and(|token| token.capital)
}
