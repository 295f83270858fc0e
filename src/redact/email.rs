//! Addresses of mail, written (`ann@example.com`) and said (`ann at example dot com`), spelled out or not.
//!
//! Promises: an `at` with a domain behind it is an address, whatever the words around it; what is written without a space
//! before and behind an `@` belongs to it, whatever it would mean alone (`a`, `to`, `it`); spelled letters behind a cue are one
//! too, before the `at` is heard. Both go on over the ends of finals.

use super::{
    context::{self, Hint},
    placeholder::Kind,
    token::{Unit, Words, among},
    turn::{Joint, Stream},
};

/// Tokens of a spelled name in front of the `at`, or of a spelled domain behind it.
const LONGEST: usize = 60;
/// Whole words in a row that make a name: `mary jane smith at`.
const NAME_WORDS: usize = 3;

static TLDS: Words =
    Words::new(" com net org edu gov mil io co uk us ca de fr es it nl eu info biz me tv app dev ai in au nz ie shop online ");
static MAIL: Words = Words::new(
    " gmail yahoo hotmail outlook icloud aol protonmail proton comcast verizon att msn live gmx ymail mail sbcglobal me fastmail zoho ",
);
/// Words that no name of an address is made of.
static STOP: Words = Words::new(
    " is it it's its email e-mail mail address addresses my me to the login at reach send under on by write use with for and a an \
                    you your i we he she they them us this that there here be are was were can could would should will please just look find \
                    found shop order ordered bought saw see go visit check online website site page works work working stay staying live lives \
                    meet arrive was not or if but so up in of from username name user called account contact yes okay ok sure him her his our \
                    new old customer goes said says it'll that's what's what where when who how read back repeat confirm say says again try got have has ",
);

/// An address, or the beginning of one.
pub(super) struct Address {
    /// The items that belong to it.
    pub(super) items: Vec<usize>,
    /// Whether its end has not been heard.
    pub(super) open: bool,
    /// Whether it is one for certain; else only a beginning that may become one.
    pub(super) certain: bool,
}

/// All addresses of a stream.
pub(super) fn addresses(stream: &Stream) -> Vec<Address> {
    let mut found: Vec<Address> = Vec::new();
    for at in stream.from..stream.items.len() {
        let behind = found.last().and_then(|address| address.items.last().copied());
        if behind.is_some_and(|last| at <= last) {
            continue;
        }
        if stream.unit(at) == Some(&Unit::At) {
            found.extend(mail(stream, at, behind.map_or(0, |last| last + 1)));
        }
    }
    let free = |address: &Address| found.iter().all(|other| other.items.iter().all(|item| !address.items.contains(item)));
    let spelled = begun(stream).into_iter().filter(free).collect::<Vec<_>>();
    found.extend(spelled);
    found
}

/// The address around an `at`.
fn mail(stream: &Stream, at: usize, floor: usize) -> Option<Address> {
    let sign = usize::from(stream.word(at + 1) == "sign" && stream.joint(at + 1) != Joint::Break);
    let name = name(stream, at, floor);
    let Some((mut items, complete)) = domain(stream, at + 1 + sign) else {
        return broken_off(stream, at + sign, &name);
    };
    let cued = || matches!(context::before(stream, at), Some(Hint::Is(Kind::Email)));
    if name.is_empty() && !(cued() && complete) {
        return None;
    }
    items.extend(name);
    items.push(at);
    items.sort_unstable();
    let last = *items.last().expect("the at is in it");
    let open = !complete && !stream.closed && stream.items.len() <= last + 2;
    Some(Address { items, open, certain: true })
}

/// An address of which nothing was heard behind the `at` yet, or only up to a `dot`.
fn broken_off(stream: &Stream, at: usize, name: &[usize]) -> Option<Address> {
    let rest = at + 1..stream.items.len();
    if stream.closed || rest.len() > NAME_WORDS + 1 || name.is_empty() {
        return None;
    }
    let telling = |item: &&usize| {
        stream.unit(**item).is_some_and(|unit| unit.is_digit() || matches!(unit, Unit::Dot | Unit::Joiner | Unit::Letter))
    };
    let article = |item: &&usize| among!(" a i ", stream.word(**item));
    let named = name.iter().filter(telling).filter(|item| !article(item)).count() >= 2
        || name.iter().any(|item| matches!(stream.unit(*item), Some(Unit::Dot)));
    let plain = rest.clone().all(|at| {
        matches!(stream.unit(at), Some(Unit::Word | Unit::Dot)) && stream.joint(at) != Joint::Break && !is_stop(stream.word(at))
    });
    let dotted = rest.clone().next_back().is_some_and(|last| stream.unit(last) == Some(&Unit::Dot));
    if !plain || !(dotted || named) {
        return None;
    }
    let mut items: Vec<usize> = name.iter().copied().chain(at..stream.items.len()).collect();
    items.sort_unstable();
    items.dedup();
    Some(Address { items, open: true, certain: true })
}

/// The domain from an item on, and whether its ending was heard.
fn domain(stream: &Stream, from: usize) -> Option<(Vec<usize>, bool)> {
    if let Some(last) = written_domain(stream, from) {
        return Some(((from..=last).collect(), true));
    }
    let mut items = Vec::new();
    let (mut at, mut words) = (from, 0);
    while at < stream.items.len() && at < from + LONGEST && stream.joint(at) != Joint::Break {
        match stream.unit(at)? {
            Unit::Dot if !items.is_empty() => {
                items.push(at);
                if let Some(last) = ending(stream, at + 1) {
                    items.extend(at + 1..=last);
                    return Some((items, true));
                }
            }
            Unit::Filler if words > 0 || items.is_empty() => {}
            unit if unit.is_digit() || matches!(unit, Unit::Letter | Unit::Weak(0) | Unit::Joiner) => items.push(at),
            Unit::Word => {
                let spelled = spelled_word(stream, at);
                words += usize::from(!spelled);
                if words > NAME_WORDS || (!spelled && is_stop(stream.word(at)) && !MAIL.has(stream.word(at))) {
                    break;
                }
                items.push(at);
            }
            _ => break,
        }
        at += 1;
    }
    // "At yahoo" is an address even if "dot com" is never said.
    let first = *items.first()?;
    MAIL.has(stream.word(first)).then(|| {
        let dot = usize::from(stream.unit(first + 1) == Some(&Unit::Dot) && stream.joint(first + 1) != Joint::Break);
        ((first..=first + dot).collect(), false)
    })
}

/// The last item of a domain that stands without a space behind an `@`: up to the ending, or, of none that we know, all of it.
fn written_domain(stream: &Stream, from: usize) -> Option<usize> {
    let goes_on = |at: &usize| is_glued(stream, *at) && !matches!(stream.unit(*at), Some(Unit::At | Unit::Placeholder(_)));
    if stream.word(from - 1) != "@" {
        return None;
    }
    let written = (from..from + LONGEST).take_while(goes_on);
    let mut dots = written.clone().filter(|at| stream.unit(*at) == Some(&Unit::Dot)).peekable();
    dots.peek()?;
    // "Two @3.50" is a price.
    let last = written.last().filter(|last| !stream.unit(*last).is_some_and(Unit::is_digit));
    dots.find_map(|dot| ending(stream, dot + 1)).or(last)
}

/// The last item of a domain's ending, `com` or `co dot uk`, that begins at an item.
fn ending(stream: &Stream, at: usize) -> Option<usize> {
    let at = if stream.unit(at) == Some(&Unit::Filler) { at + 1 } else { at };
    if stream.joint(at) == Joint::Break || !TLDS.has(stream.word(at)) {
        return None;
    }
    let country = stream.unit(at + 1) == Some(&Unit::Dot) && TLDS.has(stream.word(at + 2));
    Some(if country { at + 2 } else { at })
}

/// The items of the name in front of an `at`.
fn name(stream: &Stream, behind: usize, floor: usize) -> Vec<usize> {
    let mut items = Vec::new();
    let (mut at, mut words, mut pending) = (behind, 0, Vec::new());
    let mut tight = stream.word(behind) == "@";
    while at > floor && behind - at < LONGEST && stream.joint(at) != Joint::Break {
        let crossed = stream.joint(at) == Joint::Turn;
        tight &= is_glued(stream, at);
        at -= 1;
        match stream.unit(at) {
            Some(unit) if tight && !matches!(unit, Unit::Placeholder(_)) => {}
            Some(Unit::Word) if spelled_word(stream, at) => {}
            Some(Unit::Word | Unit::Month(_) | Unit::Ordinal(_)) => {
                let linked = matches!(stream.unit(at + 1), Some(Unit::Dot | Unit::Joiner | Unit::At));
                words += usize::from(!linked);
                if is_stop(stream.word(at)) || words > NAME_WORDS || (crossed && !linked) {
                    break;
                }
            }
            Some(Unit::Filler | Unit::Correction) if !among!(" is it's its it that's was ", stream.word(at)) => {
                pending.push(at);
                continue;
            }
            Some(Unit::Letter)
                if among!(" i a ", stream.word(at))
                    && items.is_empty()
                    && !(at > 0 && matches!(stream.unit(at - 1), Some(Unit::Letter | Unit::Dot | Unit::Joiner))) =>
            {
                break;
            }
            Some(Unit::Letter | Unit::Dot | Unit::Joiner | Unit::Repeat(_) | Unit::Hundred | Unit::Thousand | Unit::Weak(0)) => {}
            Some(Unit::Weak(_))
                if stream.unit(at + 1).is_some_and(Unit::is_digit)
                    && at > 0
                    && stream.unit(at - 1).is_some_and(Unit::is_digit) => {}
            Some(unit) if unit.is_digit() => {}
            _ => break,
        }
        items.append(&mut pending);
        items.push(at);
    }
    items
}

/// Whether nothing, not even a space, stands between an item and the one before.
fn is_glued(stream: &Stream, at: usize) -> bool {
    stream.token(at).is_some_and(|token| token.glued)
}

/// Whether a word is no part of an address.
fn is_stop(word: &str) -> bool {
    let bare = word.strip_suffix("'s").unwrap_or(word);
    STOP.has(word) || STOP.has(bare)
}

/// `as in boy`, `like boy`: the words that say which letter is meant, the letter's own item not among them.
fn spelled_word(stream: &Stream, at: usize) -> bool {
    let word = |back: usize| at.checked_sub(back).map_or("", |at| stream.word(at));
    let letter =
        |back: usize| at.checked_sub(back).is_some_and(|at| matches!(stream.unit(at), Some(Unit::Letter | Unit::Weak(0))));
    let inner = match stream.word(at) {
        "as" => letter(1),
        "in" => word(1) == "as" && letter(2),
        _ => false,
    };
    inner || (word(1) == "in" && word(2) == "as" && letter(3)) || (among!(" like for ", word(1)) && letter(2))
}

/// Names of addresses whose `at` has not been said: what is spelled out, or ends the party's words, behind a cue.
fn begun(stream: &Stream) -> Vec<Address> {
    let mut found = Vec::new();
    let mut at = stream.from;
    while at < stream.items.len() {
        let from = at;
        at += 1;
        let turn_begins = stream.joint(from) != Joint::Same;
        let cued = matches!(context::before(stream, from), Some(Hint::Is(Kind::Email)));
        if !(cued || (turn_begins && context::asked(stream, from).contains(&Hint::Is(Kind::Email)))) {
            continue;
        }
        let items = spelled_from(stream, from);
        let Some(last) = items.last().copied() else { continue };
        at = last + 1;
        let letters = items.iter().filter(|item| matches!(stream.unit(**item), Some(Unit::Letter))).count();
        let explained = items.iter().any(|item| stream.word(*item) == "as");
        let digits = items.iter().filter(|item| stream.unit(**item).is_some_and(Unit::is_digit)).count();
        let open = !stream.closed && last + 2 >= stream.items.len();
        let certain = explained || letters >= 3 || (letters + digits >= 2 && open);
        let named = |item: &usize| {
            stream.unit(*item) != Some(&Unit::Word)
                || stream.token(*item).is_some_and(|token| !token.known.is_english() || token.known.is_name())
        };
        if certain || (open && items.iter().all(named)) {
            found.push(Address { items, open, certain });
        }
    }
    found
}

/// The items from one on that a name could be spelled with.
fn spelled_from(stream: &Stream, from: usize) -> Vec<usize> {
    let mut items = Vec::new();
    let mut words = 0;
    for at in from..(from + LONGEST).min(stream.items.len()) {
        if at > from && stream.joint(at) == Joint::Break {
            break;
        }
        match stream.unit(at) {
            Some(Unit::Word) if spelled_word(stream, at) => items.push(at),
            Some(Unit::Word) if words < NAME_WORDS && !is_stop(stream.word(at)) => {
                words += 1;
                items.push(at);
            }
            Some(Unit::Letter | Unit::Weak(0) | Unit::Dot | Unit::Joiner) => items.push(at),
            Some(unit) if unit.is_digit() => items.push(at),
            Some(Unit::Filler) if !items.is_empty() => {}
            _ => break,
        }
    }
    items
}
