//! What the words around a number say about it: cue words of its own party, and what the other party asked for.
//!
//! Promises: the cue nearest before a number in its own party's words decides; else the nearest behind it; else what the other
//! party's last turns asked for. A negative cue (an order, a price, a time of day) explains a number away, except a card's.

pub(super) use super::cues::Hint;
use super::{
    cues::Cue,
    harmless,
    leads::{Lead, LeadAt},
    number::Run,
    placeholder::Kind,
    reason::Reason,
    secret,
    token::{Token, Unit, among},
    turn::{Joint, Stream, Turn},
};

/// Words before a number among which a cue is looked for.
const REACH_BEFORE: usize = 14;
/// The same for a negative cue: what comes later is about something else.
const REACH_BEFORE_NOT: usize = 6;
/// The same for one of a room or a gate.
const REACH_BEFORE_SHORT: usize = 3;
/// Words behind a number among which a cue is looked for.
const REACH_AFTER: usize = 7;
/// Turns of the other party that may have asked for it.
const ASKED_TURNS: usize = 3;
/// Things that one turn may ask for.
const MOST_ASKED: usize = 16;
/// How long a question stays open.
const ASKED_MS: u64 = 20_000;

/// Whether a date of birth or an expiry was led to, or asked for.
pub(super) fn is_dated(stream: &Stream, first: usize) -> bool {
    let dated = |hint: &Hint| matches!(hint, Hint::Is(Kind::Expiry | Kind::DateOfBirth));
    before(stream, first).as_ref().is_some_and(dated) || asked(stream, first).iter().any(dated)
}

/// What is known about a run from the words around it.
pub(super) fn hint(stream: &Stream, run: &Run) -> Option<(Hint, Reason)> {
    if let Some(secret) = secret::secret(stream, run) {
        return Some(secret);
    }
    if let Some(harmless) = harmless::harmless(stream, run) {
        return Some((harmless, Reason::Shape));
    }
    let before = cues_before(stream, run.first());
    let fitting = before
        .first()
        .filter(|hint| fits(hint, run))
        .or_else(|| before.iter().find(|hint| matches!(hint, Hint::Is(_)) && fits(hint, run)))
        .or(before.first())
        .cloned();
    let before = fitting.filter(|hint| fits(hint, run) || behind(stream, run.last()).is_none_or(|behind| !fits(&behind, run)));
    // "The order for my card": what stands behind a number may still name it, but only where nothing before did.
    let asked = || answers(stream, run);
    let found = before.map(|hint| (hint, Reason::CueBefore));
    let found = found.or_else(|| Some((behind(stream, run.last())?, Reason::CueBehind)));
    found.or_else(|| Some((asked()?, Reason::Asked)))
}

/// What a run answers: of the last question what has the right length, or several together; else of a question before it.
fn answers(stream: &Stream, run: &Run) -> Option<Hint> {
    let questions = questions(stream, run.first());
    let (last, earlier) = questions.split_first()?;
    let numeric = last.iter().find(|hint| matches!(hint, Hint::Is(kind) if kind.is_numeric()) && fits_asked(hint, run));
    let other =
        || last.iter().find(|hint| fits_asked(hint, run) && (!matches!(hint, Hint::Harmless) || is_whole_answer(stream, run)));
    if let Some(hint) = numeric.or_else(other) {
        return Some(hint.clone());
    }
    let together: usize = last.iter().map(|hint| if let Hint::Is(kind) = hint { longest(kind).min(19) } else { 0 }).sum();
    if last.len() > 1 && run.len() <= together {
        return last.iter().find(|hint| matches!(hint, Hint::Is(kind) if kind.is_numeric())).cloned();
    }
    let sure = |hint: &&Hint| matches!(hint, Hint::Is(kind) if kind.is_numeric()) && fits_asked(hint, run);
    earlier.iter().find_map(|asked| asked.iter().find(sure)).cloned()
}

/// Whether a number has the length of what a cue says.
fn fits(hint: &Hint, run: &Run) -> bool {
    match hint {
        Hint::Is(kind) if kind.is_numeric() => {
            run.kept() >= least(kind).min(3) && run.kept() <= longest(kind) && (run.kept() != 3 || least(kind) < 4)
        }
        _ => true,
    }
}

/// Whether little stands before a run in its turn: the order's number that was asked for, and nothing else.
fn is_whole_answer(stream: &Stream, run: &Run) -> bool {
    const FEW: usize = 4;
    let before = (0..run.first()).rev().take_while(|at| stream.joint(at + 1) == Joint::Same);
    before.filter(|at| !stream.unit(*at).is_some_and(Unit::is_filler)).count() <= FEW
}

/// The nearest cue before an item in its own party's words; a sure one shortly before one that only suggests.
pub(super) fn before(stream: &Stream, first: usize) -> Option<Hint> {
    cues_before(stream, first).into_iter().next()
}

/// The cues before an item that may be about it, the nearest first.
pub(super) fn cues_before(stream: &Stream, first: usize) -> Vec<Hint> {
    const SHORTLY: usize = 4;
    let mut found = Vec::new();
    let (mut suggested, mut reach, mut price) = (None, REACH_BEFORE, false);
    let (mut at, mut steps, mut crossed) = (first, 0, false);
    while steps < reach && at > 0 && stream.joint(at) != Joint::Break {
        crossed |= stream.joint(at) == Joint::Turn;
        at -= 1;
        steps += 1;
        match stream.unit(at) {
            Some(Unit::Placeholder(kind)) if kind.is_numeric() && steps <= 2 => {
                found.push(Hint::Is(kind.clone()));
                return found;
            }
            _ => {}
        }
        let item = stream.items[at];
        let ends = |cue: &&Cue| cue.to == item.token + 1;
        match stream.turns[item.turn].cues.iter().find(ends).map(|cue| &cue.what) {
            // "The order ends in": what it is the end of says more.
            Some(Hint::Harmless) if steps <= REACH_BEFORE_NOT && suggested == Some(Hint::MayBe(Kind::Number)) => {
                return vec![Hint::Harmless];
            }
            Some(Hint::Short) if steps > REACH_BEFORE_SHORT || crossed => {}
            Some(Hint::Harmless | Hint::Price | Hint::Short) if steps > REACH_BEFORE_NOT || suggested.is_some() => break,
            Some(hint @ Hint::MayBe(_)) if suggested.is_none() && found.is_empty() => {
                suggested = Some(hint.clone());
                reach = reach.min(steps + SHORTLY);
            }
            // A number that a price stands near may still be an order's.
            Some(Hint::Price) if !price && found.is_empty() => price = true,
            Some(Hint::MayBe(_) | Hint::Price) | None => {}
            Some(hint) if price && !matches!(hint, Hint::Harmless) => break,
            Some(hint) => {
                found.push(hint.clone());
                price = false;
            }
        }
    }
    if price && found.is_empty() {
        found.push(Hint::Price);
    }
    if found.is_empty() || suggested.is_some() && !matches!(found.first(), Some(Hint::Is(_))) {
        return suggested.into_iter().chain(found).collect();
    }
    found
}

/// The nearest cue behind an item in the same turn: "… is my social".
pub(super) fn behind(stream: &Stream, last: usize) -> Option<Hint> {
    for at in last + 1..=last + REACH_AFTER {
        if stream.joint(at) != Joint::Same || among!(" and but or then ", stream.word(at)) {
            return None;
        }
        let item = stream.items[at];
        let begins = |cue: &&Cue| cue.from == item.token;
        if let Some(cue) = stream.turns[item.turn].cues.iter().find(begins) {
            return Some(cue.what.clone()).filter(|hint| matches!(hint, Hint::Is(_) | Hint::MayBe(_)));
        }
        if stream.unit(at).is_some_and(Unit::is_digit) {
            return None;
        }
    }
    None
}

/// What the other party asked for in its last turns before an item, most recent turn first.
pub(super) fn asked(stream: &Stream, first: usize) -> Vec<Hint> {
    questions(stream, first).into_iter().next().unwrap_or_default()
}

/// The other party's turns shortly before an item, most recent first.
fn others<'a>(stream: &Stream<'a>, at: usize) -> impl Iterator<Item = &'a Turn> {
    let turns = stream.turns;
    let own = stream.items.get(at).map_or(0, |item| item.turn);
    let others = turns[..own].iter().rev().filter(move |turn| turn.party != turns[own].party);
    others.take_while(move |turn| turns[own].start_ms.saturating_sub(turn.end_ms) <= ASKED_MS)
}

/// Those of them that lead to something or ask for it.
pub(super) fn questioners<'a>(stream: &Stream<'a>, at: usize) -> impl Iterator<Item = &'a Turn> {
    others(stream, at).filter(|turn| !turn.leads.is_empty() || !turn.cues.is_empty())
}

/// What each of the other party's last turns asked for, most recent turn first.
fn questions(stream: &Stream, first: usize) -> Vec<Vec<Hint>> {
    others(stream, first).take(ASKED_TURNS).map(|turn| turn.asked.clone()).filter(|asked| !asked.is_empty()).collect()
}

/// What a turn asks for, the sure first. A cue that its number stands behind (`my card is 4111…`) asks for nothing, unless the turn asks whether
/// that is right.
pub(super) fn asked_by(tokens: &[Token], cues: &[Cue], leads: &[LeadAt], question: bool) -> Vec<Hint> {
    const TOLD: usize = 4;
    let width = |token: &Token| match token.unit {
        Unit::Digits => token.end - token.start,
        _ => usize::from(token.unit.is_digit()),
    };
    // Digits from each token on.
    let mut digits = vec![0; tokens.len() + 1];
    for (at, token) in tokens.iter().enumerate().rev() {
        digits[at] = digits[at + 1] + width(token);
    }
    let open = cues.iter().filter(|cue| question || digits[cue.to.min(tokens.len())] < TOLD).map(|cue| cue.what.clone());
    let mut asked: Vec<Hint> = open.take(MOST_ASKED).collect();
    asked.sort_by_key(|hint| !matches!(hint, Hint::Is(_)));
    let other = leads.iter().find_map(|lead| match lead.what {
        Lead::AskName | Lead::AskSpelling => Some(Kind::Person),
        Lead::AskAddress => Some(Kind::Address),
        Lead::Address if tokens.len() <= lead.to + 3 => Some(Kind::Address),
        Lead::AskPassword => Some(Kind::Password),
        _ => None,
    });
    asked.extend(other.map(Hint::Is));
    asked
}

/// Whether a run can be the answer to a question; one that asked for several things is answered by what has the right length.
fn fits_asked(hint: &Hint, run: &Run) -> bool {
    match hint {
        Hint::Is(kind) | Hint::MayBe(kind) => (least(kind)..=longest(kind)).contains(&run.kept()) || run.len() < 3,
        Hint::Harmless | Hint::Price | Hint::Short => true,
    }
}

/// The fewest digits of an answer that is of this kind.
fn least(kind: &Kind) -> usize {
    match kind {
        Kind::CreditCard | Kind::Phone | Kind::BankAccount | Kind::Routing => 4,
        _ => 1,
    }
}

/// The most digits that a value of this kind has.
fn longest(kind: &Kind) -> usize {
    match kind {
        Kind::Cvv => 4,
        Kind::Expiry => 6,
        Kind::Pin | Kind::DateOfBirth => 8,
        Kind::Zip => 9,
        Kind::Ssn | Kind::Routing => 11,
        Kind::Phone => 15,
        _ => usize::MAX,
    }
}
