//! What a run of digits is: its check digit, what leads to it, its form, its length, in this order.
//!
//! Promises: a card that passes its check is one whatever stands around it; a cue decides before a form, a form before mere length.

use super::{
    card,
    context::{self, Hint},
    date,
    detect::{NEVER_SEEN, State},
    number::{self, Run},
    phone,
    placeholder::{Kind, Label, Numbering},
    reason::Reason,
    routing, ssn,
    token::Unit,
    turn::{self, Joint, Stream},
};

/// Digits from which a number that nothing explains is taken out.
const UNEXPLAINED: usize = 8;
/// Words of one party among which a harmless number is looked for in another's.
const MOST_WORDS: usize = 1_000;
/// Digits of a room, an extension, a flight.
const SHORT: usize = 6;

/// What a run of digits is.
pub(super) struct Verdict {
    /// What it is.
    pub(super) kind: Kind,
    /// How sure that is.
    pub(super) state: State,
    /// By which rule.
    pub(super) reason: Reason,
    /// The label of the value that it repeats.
    pub(super) repeats: Option<Label>,
}

/// Decides about one run of digits; `None` leaves it in the text.
pub(super) fn judge(stream: &Stream, run: &Run, numbering: &Numbering, before: Option<&(usize, Kind)>) -> Option<Verdict> {
    let open = number::is_open(stream, run);
    let values = run.values();
    let verdict = |kind: &Kind, state, reason| Some(Verdict { kind: kind.clone(), state, reason, repeats: None });
    let growing = |whole: bool| if open && !whole { State::Growing } else { State::Closed };
    if run.letters * 4 < run.len().max(1) && card::holds_card(&values, &run.corrections) {
        return verdict(&Kind::CreditCard, growing(run.len() >= 15), Reason::CheckDigit);
    }
    if stream.word(run.first()) == "1z" || stream.word(run.first()).starts_with("0x") {
        return None;
    }
    let hint = context::hint(stream, run).or_else(|| Some((continued(stream, run, before)?, Reason::Continued)));
    let (hint, reason) = hint.map_or((None, Reason::Shape), |(hint, reason)| (Some(hint), reason));
    let digits: zeroize::Zeroizing<String> = values.iter().map(|value| char::from(b'0' + value)).collect::<String>().into();
    let repeats = numbering
        .heard_before(&digits)
        .filter(|_| run.len() >= NEVER_SEEN || !matches!(hint, Some(Hint::Harmless | Hint::Short)));
    // "03/17/1958" after a birth date that was said in words.
    let dated = matches!(run.groups()[..], [1 | 2, 1 | 2, 2 | 4]);
    let date = || date::values(&Kind::DateOfBirth, &digits).iter().find_map(|value| numbering.heard_date(value));
    if let Some(label) = repeats.or_else(|| if dated { date() } else { None }) {
        return Some(Verdict { kind: label.kind.clone(), state: State::Closed, reason: Reason::ReadBack, repeats: Some(label) });
    }
    match hint {
        _ if run.dots == 3 && is_ip(run, &values) && !is_version(stream, run) => {
            verdict(&Kind::Ip, growing(false), Reason::Shape)
        }
        Some(Hint::Harmless) => None,
        Some(Hint::Short) if run.len() <= SHORT => None,
        Some(Hint::Price) if !open && run.len() < UNEXPLAINED => None,
        Some(Hint::Is(kind)) if kind.is_numeric() => match lengths(&kind) {
            (least, whole, most) if (least..=most).contains(&run.kept()) => verdict(&kind, growing(run.len() >= whole), reason),
            (least, ..) if run.len() < least => {
                open.then_some(Verdict { kind, state: State::Doubtful(true), reason, repeats: None })
            }
            _ => shaped(stream, run, &values, open),
        },
        Some(Hint::MayBe(kind)) if (maybe_least(&kind)..=lengths(&kind).2).contains(&run.kept()) => {
            verdict(&kind, growing(false), reason)
        }
        Some(Hint::Is(_) | Hint::MayBe(_) | Hint::Price | Hint::Short) | None => {
            shaped(stream, run, &values, open).filter(|_| !is_spared(stream, run, &digits))
        }
    }
}

/// Whether another party said the same digits as something harmless: an order's number that is read back.
fn is_spared(stream: &Stream, run: &Run, digits: &str) -> bool {
    // A turn of thousands of words is no call; what is not looked for is taken out.
    if run.len() < UNEXPLAINED || stream.items.len() > MOST_WORDS {
        return false;
    }
    let own = &stream.turns[stream.items[run.first()].turn].party;
    let said = |run: &Run| run.values().iter().map(|value| char::from(b'0' + value)).eq(digits.chars());
    turn::parties(stream.turns).into_iter().filter(|party| *party != own).any(|party| {
        let other = Stream::whole(stream.turns, party);
        let harmless = |run: &Run| matches!(context::hint(&other, run), Some((Hint::Harmless, _)));
        number::runs(&other).iter().any(|run| said(run) && harmless(run))
    })
}

/// What a run is by its own form and length.
fn shaped(stream: &Stream, run: &Run, values: &[u8], open: bool) -> Option<Verdict> {
    let groups = run.groups();
    let dotted = run.dots >= 2 && stream.word(run.first() + 1) == "." && !matches!(groups[..], [3, 3, 4] | [1, 3, 3, 4]);
    let counting = counts(&said_values(run));
    let lettered = run.letters * 4 >= run.len().max(1);
    let kind = match run.len() {
        _ if ssn::has_shape(values, &groups) => Some(Kind::Ssn),
        _ if lettered || dotted || counting => None,
        7 if groups == [3, 4] && stream.unit(run.first() + 1) == Some(&Unit::Joiner) => Some(Kind::Phone),
        10 | 11 if phone::has_shape(values, &groups) => Some(Kind::Phone),
        9 if routing::passes(values) => Some(Kind::Routing),
        _ if run.most() >= UNEXPLAINED => Some(Kind::Number),
        _ => None,
    };
    match kind {
        Some(kind) => {
            let reason = if kind == Kind::Number { Reason::Length } else { Reason::Shape };
            Some(Verdict { kind, state: if open { State::Growing } else { State::Closed }, reason, repeats: None })
        }
        // Three digits may go: when more of them come, those that come are taken out.
        None if open && run.len() >= NEVER_SEEN && !lettered && !dotted && !is_amount(stream, run) => {
            let state = State::Doubtful(true);
            Some(Verdict { kind: Kind::Number, state, reason: Reason::Length, repeats: None })
        }
        None => None,
    }
}

/// `twenty five hundred`, `44.15`: said and written as amounts are.
fn is_amount(stream: &Stream, run: &Run) -> bool {
    let hundreds = run.items.iter().any(|at| matches!(stream.unit(*at), Some(Unit::Hundred | Unit::Thousand)));
    (hundreds && run.len() <= NEVER_SEEN) || (run.dots == 1 && run.len() < UNEXPLAINED)
}

/// What each item of a run says as a number.
fn said_values(run: &Run) -> Vec<u64> {
    let mut said: Vec<(usize, u64)> = Vec::new();
    for digit in &run.digits {
        match said.last_mut() {
            Some((item, value)) if *item == digit.item => {
                *value = value.saturating_mul(10).saturating_add(u64::from(digit.value));
            }
            _ => said.push((digit.item, u64::from(digit.value))),
        }
    }
    // "4111" in one word counts nothing, "1 2 3" and "123" do.
    match said[..] {
        [_] => run.values().into_iter().map(u64::from).collect(),
        _ => said.into_iter().map(|(_, value)| value).collect(),
    }
}

/// Whether numbers count up or down by one.
fn counts(said: &[u64]) -> bool {
    let up = |pair: &[u64]| pair[0].checked_add(1) == Some(pair[1]);
    let down = |pair: &[u64]| pair[1].checked_add(1) == Some(pair[0]);
    said.windows(2).all(up) || said.windows(2).all(down)
}

/// Whether a run goes on with a number that its party broke off with other words: "4111 1111 then it says 1111".
fn continued(stream: &Stream, run: &Run, before: Option<&(usize, Kind)>) -> Option<Hint> {
    const FAR: usize = 8;
    let (last, kind) = before?;
    let near = run.first() - last <= FAR && (last + 1..=run.first()).all(|at| stream.joint(at) != Joint::Break);
    (near
        && run.len() >= NEVER_SEEN
        && matches!(kind, Kind::CreditCard | Kind::BankAccount | Kind::Number | Kind::Phone | Kind::Ssn))
    .then(|| Hint::Is(kind.clone()))
}

/// `firmware 3.0.2.118`.
fn is_version(stream: &Stream, run: &Run) -> bool {
    let before = (0..run.first()).rev().take(4).take_while(|at| stream.joint(at + 1) == Joint::Same);
    before.into_iter().any(|at| number::is_release(stream.word(at)))
}

/// Four numbers under 256, one for each part.
fn is_ip(run: &Run, values: &[u8]) -> bool {
    if run.len() > 12 {
        return false;
    }
    // No part may be over 255, so a longer one tells a version.
    let groups = run.groups();
    let mut at = 0;
    groups.iter().all(|group| {
        let part = values[at..at + group].iter().fold(0_u32, |part, value| part * 10 + u32::from(*value));
        at += group;
        part < 256
    })
}

/// The fewest digits, the digits that make it whole, and the most, behind a sure cue.
fn lengths(kind: &Kind) -> (usize, usize, usize) {
    match kind {
        Kind::CreditCard => (4, 16, 24),
        Kind::Cvv => (3, 3, 4),
        Kind::Expiry => (2, 4, 8),
        Kind::Ssn => (3, 9, 11),
        Kind::Phone => (4, 10, 13),
        Kind::Pin => (3, 6, 8),
        Kind::Routing => (4, 9, 12),
        Kind::Zip => (3, 5, 9),
        Kind::DateOfBirth => (3, 8, 8),
        Kind::BankAccount | Kind::DriverLicense | Kind::Passport => (4, 17, 24),
        Kind::Ip => (4, 12, 12),
        Kind::Iban => (2, 30, 40),
        _ => (2, 24, 40),
    }
}

/// The fewest digits behind a cue that only suggests.
fn maybe_least(kind: &Kind) -> usize {
    match kind {
        Kind::Phone => 7,
        Kind::Cvv => 3,
        _ => 4,
    }
}
