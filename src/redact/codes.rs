//! Numbers with letters in them: IBANs, passports, driving licences, written or said letter by letter.
//!
//! Promises: what passes the check of ISO 13616 is an IBAN whatever stands around it; behind a cue, or asked for, letters and
//! digits are read together over words of the spelling alphabet, fillers, corrections and the ends of finals.

use super::{
    context::{self, Hint},
    number,
    placeholder::Kind,
    reason::Reason,
    spelled,
    token::Unit,
    turn::{Joint, Stream},
};

/// Fillers in a row within a code.
const MAX_BETWEEN: usize = 5;
/// Items of one code.
const LONGEST: usize = 100;
/// Characters of the shortest IBAN and the longest (ISO 13616).
const IBAN: std::ops::RangeInclusive<usize> = 15..=34;
/// Digits that a code has at least.
const LEAST_DIGITS: usize = 2;
/// Letters and digits of the shortest code.
const LEAST: usize = 5;

/// A code that is taken out.
pub(super) struct Code {
    /// What it is.
    pub(super) kind: Kind,
    /// The items that belong to it.
    pub(super) items: Vec<usize>,
    /// Its letters and digits.
    pub(super) value: String,
    /// Whether more of it may follow.
    pub(super) open: bool,
    /// Whether it is one for certain; else only a beginning that may become one.
    pub(super) certain: bool,
    /// By which rule.
    pub(super) reason: Reason,
}

/// Letters and digits as they are read, each with its item.
#[derive(Default)]
struct Reading {
    characters: Vec<(char, usize)>,
    items: Vec<usize>,
}

/// All codes of a stream among the items that are not taken yet.
pub(super) fn codes(stream: &Stream, taken: &[bool]) -> Vec<Code> {
    let mut found: Vec<Code> = Vec::new();
    let mut at = stream.from;
    while at < stream.items.len() {
        let code = if taken[at] || !begins(stream, at) { None } else { code_at(stream, at, taken) };
        at = code.as_ref().and_then(|code| code.items.last()).map_or(at, |last| *last) + 1;
        found.extend(code);
    }
    found
}

/// Whether an item may be the first of a code.
fn begins(stream: &Stream, at: usize) -> bool {
    let unit = stream.unit(at);
    let letter = |at: usize| matches!(stream.unit(at), Some(Unit::Letter));
    if matches!(unit, Some(Unit::Digits | Unit::One(_) | Unit::Teen(_) | Unit::Ten(_))) {
        return letters_follow(stream, at);
    }
    letter(at) && (stream.word(at) != "i" || letter(at + 1))
        || unit.is_some_and(Unit::is_digit)
        || spelled::is_alphabet(stream.word(at))
}

/// Whether a letter comes before anything that is no digit.
fn letters_follow(stream: &Stream, at: usize) -> bool {
    let mut rest = (at + 1..stream.items.len()).take(LONGEST).take_while(|at| stream.joint(*at) != Joint::Break);
    let digit = |unit: &Unit| unit.is_in_number() && *unit != Unit::Mixed || unit.is_filler();
    rest.find(|at| !stream.unit(*at).is_some_and(digit))
        .is_some_and(|at| matches!(stream.unit(at), Some(Unit::Letter | Unit::Mixed)) || spelled::is_alphabet(stream.word(at)))
}

fn code_at(stream: &Stream, at: usize, taken: &[bool]) -> Option<Code> {
    let reading = read(stream, at, taken);
    let digits = reading.characters.iter().filter(|(c, _)| c.is_ascii_digit()).count();
    if digits < LEAST_DIGITS {
        return None;
    }
    let closed = |items: &[usize]| !stream.closed && items.last().is_some_and(|last| last + 2 > stream.items.len());
    if let Some(length) = iban(&reading.characters) {
        let last = reading.characters[length - 1].1;
        let items: Vec<usize> = reading.items.iter().copied().filter(|item| *item <= last).collect();
        let value = reading.characters[..length].iter().map(|(c, _)| c).collect();
        return Some(Code { kind: Kind::Iban, items, value, open: false, certain: true, reason: Reason::CheckDigit });
    }
    let open = closed(&reading.items);
    let Some((kind, reason)) = cue(stream, at, reading.items.last().copied().unwrap_or(at)) else { return begun(reading, open) };
    // A postal code with letters has five to eight characters.
    if kind == Kind::Zip && !(5..=8).contains(&reading.characters.len()) {
        return None;
    }
    let first = reading.characters.first()?.0;
    // A run of digits alone is the number reader's.
    let lettered = reading.characters.iter().any(|(c, _)| c.is_ascii_alphabetic());
    let value = reading.characters.iter().map(|(c, _)| c).collect();
    (lettered && first != '0' && (reading.characters.len() >= LEAST || open)).then_some(Code {
        kind,
        items: reading.items,
        value,
        open,
        certain: true,
        reason,
    })
}

/// `de562638` at the end of what was said may be the beginning of an IBAN.
fn begun(reading: Reading, open: bool) -> Option<Code> {
    let Some([head @ .., _]) = reading.characters.get(..5) else { return None };
    let fifth = reading.characters[4].0;
    let together = head[..3].iter().all(|(_, item)| *item == head[0].1);
    let letters = head[..2].iter().all(|(c, _)| c.is_ascii_alphabetic());
    let written = together && letters && head[2].0.is_ascii_digit() && head[3].0.is_ascii_digit() && fifth.is_ascii_digit();
    let value = reading.characters.iter().map(|(c, _)| c).collect();
    (written && open).then_some(Code {
        kind: Kind::Iban,
        items: reading.items,
        value,
        open,
        certain: false,
        reason: Reason::Shape,
    })
}

/// The kind with letters that a cue of the own party or a question names.
fn cue(stream: &Stream, at: usize, last: usize) -> Option<(Kind, Reason)> {
    let lettered = |hint: Hint| match hint {
        Hint::Is(kind) if kind.has_letters() || kind == Kind::Zip => Some(kind),
        _ => None,
    };
    let before = context::cues_before(stream, at);
    // "My passport on the ticket is …": the nearest cue but an order's.
    let explained = before.iter().position(|hint| !matches!(hint, Hint::Harmless | Hint::Short));
    if let Some(kind) = explained.and_then(|at| lettered(before[at].clone())) {
        return Some((kind, Reason::CueBefore));
    }
    if let Some(kind) = context::behind(stream, last).and_then(lettered) {
        return Some((kind, Reason::CueBehind));
    }
    let asked = || context::asked(stream, at).into_iter().find_map(lettered);
    if before.is_empty() { Some((asked()?, Reason::Asked)) } else { None }
}

/// Letters and digits from an item on.
fn read(stream: &Stream, first: usize, taken: &[bool]) -> Reading {
    let mut reading = Reading::default();
    let (mut at, mut between) = (first, 0);
    while at < stream.items.len() && at < first + LONGEST && !taken[at] && (at == first || stream.joint(at) != Joint::Break) {
        let took = take(stream, at, &mut reading);
        if took > 0 {
            reading.items.extend(at..(at + took).min(stream.items.len()));
            at += took;
            between = 0;
            continue;
        }
        let filler = stream.unit(at).is_some_and(|unit| unit.is_filler() || *unit == Unit::Dot)
            || (stream.word(at) == "i" && stream.unit(at + 1).is_some_and(Unit::is_filler));
        if !(filler && between < MAX_BETWEEN) {
            break;
        }
        between += 1;
        at += 1;
    }
    reading
}

/// Takes what is said at an item; how many items that is, 0 if it is no part of a code.
fn take(stream: &Stream, at: usize, reading: &mut Reading) -> usize {
    let headed = matches!(reading.characters[..], [(a, _), (b, _), (c, _), (d, _)] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_digit() && d.is_ascii_digit());
    let mut push = |c: char| reading.characters.push((c, at));
    match stream.unit(at) {
        Some(Unit::Digits | Unit::Mixed) => stream.word(at).chars().for_each(push),
        Some(Unit::Letter) if stream.word(at) == "i" && stream.unit(at + 1).is_some_and(Unit::is_filler) => return 0,
        Some(Unit::Letter) => {
            stream.word(at).chars().for_each(push);
            return 1 + spelled::explained(stream, at);
        }
        Some(Unit::Repeat(times)) => {
            let value = match stream.unit(at + 1) {
                Some(Unit::One(value) | Unit::Weak(value)) => char::from(b'0' + value),
                Some(Unit::Letter) => stream.word(at + 1).chars().next().unwrap_or('?'),
                Some(Unit::Digits) => stream.word(at + 1).chars().next().unwrap_or('0'),
                _ => return 0,
            };
            (1..*times).for_each(|_| push(value));
        }
        Some(Unit::Weak(0)) => {
            push('0');
        }
        Some(unit) if unit.is_digit() => {
            let (digits, took) = number::said(stream, at);
            digits.into_iter().for_each(|digit| push(char::from(b'0' + digit)));
            return took;
        }
        // The bank's letters: `ie97 aibk 7911`.
        Some(Unit::Word)
            if headed && stream.word(at).len() == 4 && stream.token(at).is_some_and(|token| !token.known.is_english()) =>
        {
            stream.word(at).chars().for_each(push);
        }
        Some(_) if spelled::is_alphabet(stream.word(at)) => stream.word(at).chars().take(1).for_each(push),
        _ => return 0,
    }
    1
}

/// How many of the characters from the first on are an IBAN: two letters, two check digits, mod 97 of it all is 1.
fn iban(characters: &[(char, usize)]) -> Option<usize> {
    let head = characters.get(..4)?;
    let fits = head[..2].iter().all(|(c, _)| c.is_ascii_alphabetic()) && head[2..].iter().all(|(c, _)| c.is_ascii_digit());
    if !fits {
        return None;
    }
    IBAN.rev().filter(|length| *length <= characters.len()).find(|length| remainder(&characters[..*length]) == 1)
}

fn remainder(characters: &[(char, usize)]) -> u32 {
    let moved = characters[4..].iter().chain(&characters[..4]);
    moved.fold(0, |rest, (c, _)| match c.to_digit(36) {
        Some(value) if value < 10 => (rest * 10 + value) % 97,
        Some(value) => (rest * 100 + value) % 97,
        None => rest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_of_iso_13616_tells_an_iban() {
        let of = |text: &str| text.chars().map(|c| (c, 0)).collect::<Vec<_>>();
        assert_eq!(iban(&of("gb82west12345698765432")), Some(22));
        assert_eq!(iban(&of("de89370400440532013000")), Some(22));
        assert_eq!(iban(&of("gb82west12345698765433")), None);
        assert_eq!(iban(&of("4111111111111111")), None);
    }
}
