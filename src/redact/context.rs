//! What the words around a number say about it: cue words of its own party, and what the other party asked for.
//!
//! Promises: the cue nearest before a number in its own party's words decides; else the nearest behind it; else what the other
//! party's last turns asked for. A negative cue (an order, a price, a time of day) explains a number away, except a card's.

use std::{collections::HashMap, sync::LazyLock};

use super::{
    number::Run,
    placeholder::Kind,
    reason::Reason,
    token::{Unit, contains_word},
    turn::{Joint, Stream, Turn},
};

/// Words before a number among which a cue is looked for.
const REACH_BEFORE: usize = 14;
/// The same for a negative cue: what comes later is about something else.
const REACH_BEFORE_NOT: usize = 6;
/// Words behind a number among which a cue is looked for.
const REACH_AFTER: usize = 7;
/// Turns of the other party that may have asked for it.
const ASKED_TURNS: usize = 3;
/// How long a question stays open.
const ASKED_MS: u64 = 20_000;

/// What a cue says of a number near it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hint {
    /// It is of this kind.
    Is(Kind),
    /// It may well be of this kind, if it has the right length.
    MayBe(Kind),
    /// It may be a price, as long as it is short and all there.
    Price,
    /// It is nobody's secret.
    Harmless,
}

/// A cue in a turn.
#[derive(Debug, Clone)]
pub(super) struct Cue {
    /// First token.
    pub(super) from: usize,
    /// Token behind the last.
    pub(super) to: usize,
    /// What it says.
    pub(super) hint: Hint,
}

/// The cues of one turn, longest first where two begin alike, none inside another.
pub(super) fn cues(words: &[&str]) -> Vec<Cue> {
    let bare = |word: &&str| word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word).to_owned();
    let words: Vec<String> = words.iter().map(bare).collect();
    let mut cues = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let matching =
            |phrase: &&Phrase| words[at..].iter().map(String::as_str).take(phrase.words.len()).eq(phrase.words.iter().copied());
        match PHRASES.get(words[at].as_str()).and_then(|phrases| phrases.iter().find(matching)) {
            Some(phrase) => {
                cues.push(Cue { from: at, to: at + phrase.words.len(), hint: phrase.hint.clone() });
                at += phrase.words.len();
            }
            None => at += 1,
        }
    }
    cues
}

/// What is known about a run from the words around it.
pub(super) fn hint(stream: &Stream, run: &Run) -> Option<(Hint, Reason)> {
    if let Some(harmless) = shaped_harmless(stream, run) {
        return Some((harmless, Reason::Shape));
    }
    let before = before(stream, run.first());
    // "The order for my card": what stands behind a number may still name it, but only where nothing before did.
    let asked = || asked(stream, run.first()).into_iter().find(|hint| fits_asked(hint, run));
    let found = before.map(|hint| (hint, Reason::CueBefore));
    let found = found.or_else(|| Some((behind(stream, run.last())?, Reason::CueBehind)));
    found.or_else(|| Some((asked()?, Reason::Asked)))
}

/// The nearest cue before an item in its own party's words; a sure one shortly before one that only suggests.
pub(super) fn before(stream: &Stream, first: usize) -> Option<Hint> {
    const SHORTLY: usize = 4;
    let (mut suggested, mut reach) = (None, REACH_BEFORE);
    let (mut at, mut steps) = (first, 0);
    while steps < reach && at > 0 && stream.joint(at) != Joint::Break {
        at -= 1;
        steps += 1;
        match stream.unit(at) {
            Some(Unit::Placeholder(kind)) if kind.is_numeric() && steps <= 2 => return Some(Hint::Is(kind.clone())),
            _ => {}
        }
        let item = stream.items[at];
        let ends = |cue: &&Cue| cue.to == item.token + 1;
        match stream.turns[item.turn].cues.iter().find(ends).map(|cue| &cue.hint) {
            Some(Hint::Harmless | Hint::Price) if steps > REACH_BEFORE_NOT || suggested.is_some() => break,
            Some(hint @ Hint::MayBe(_)) if suggested.is_none() => {
                suggested = Some(hint.clone());
                reach = reach.min(steps + SHORTLY);
            }
            Some(Hint::MayBe(_)) | None => {}
            Some(hint) => return Some(hint.clone()),
        }
    }
    suggested
}

/// The nearest cue behind an item in the same turn: "… is my social".
fn behind(stream: &Stream, last: usize) -> Option<Hint> {
    for at in last + 1..=last + REACH_AFTER {
        let ends = stream.joint(at) != Joint::Same || contains_word(" and but or then ", stream.word(at));
        if ends || stream.unit(at).is_some_and(Unit::is_digit) {
            return None;
        }
        let item = stream.items[at];
        let begins = |cue: &&Cue| cue.from == item.token;
        if let Some(cue) = stream.turns[item.turn].cues.iter().find(begins) {
            return Some(cue.hint.clone()).filter(|hint| matches!(hint, Hint::Is(_) | Hint::MayBe(_)));
        }
    }
    None
}

/// What the other party asked for in its last turns before an item, most recent turn first.
pub(super) fn asked(stream: &Stream, first: usize) -> Vec<Hint> {
    let Some(item) = stream.items.get(first) else { return Vec::new() };
    let own = &stream.turns[item.turn];
    let others = stream.turns[..item.turn].iter().rev().filter(|turn| turn.party != own.party).take(ASKED_TURNS);
    let recent = |turn: &&Turn| own.start_ms.saturating_sub(turn.end_ms) <= ASKED_MS;
    let asked = |turn: &Turn| turn.cues.iter().filter(|cue| is_asked(turn, cue)).map(|cue| cue.hint.clone()).collect::<Vec<_>>();
    others.take_while(recent).map(asked).find(|asked| !asked.is_empty()).unwrap_or_default()
}

/// Whether a cue leaves its number open: "my card is 4111…" asks for nothing.
fn is_asked(turn: &Turn, cue: &Cue) -> bool {
    const TOLD: usize = 4;
    let digits = turn.tokens[cue.to..].iter().filter(|token| token.unit.is_digit());
    digits.map(|token| if token.unit == Unit::Digits { token.end - token.start } else { 1 }).sum::<usize>() < TOLD
}

/// Whether a run can be the answer to a question; one that asked for several things is answered by what has the right length.
fn fits_asked(hint: &Hint, run: &Run) -> bool {
    match hint {
        Hint::Is(kind) | Hint::MayBe(kind) => run.len() <= longest(kind),
        Hint::Harmless | Hint::Price => true,
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

/// Numbers that their own form or the word behind them explains: prices, measures, times of day, years, days of a month.
fn shaped_harmless(stream: &Stream, run: &Run) -> Option<Hint> {
    /// No price, measure or time of day has more digits.
    const LONGEST: usize = 9;
    if run.len() > LONGEST {
        return None;
    }
    let mut behind = run.last() + 1;
    while matches!(stream.unit(behind), Some(Unit::Hundred | Unit::Thousand))
        || contains_word(" million billion and a half ", stream.word(behind))
    {
        behind += 1;
    }
    let follows = stream.joint(behind) != Joint::Break;
    let measured = follows && contains_word(MEASURES, stream.word(behind));
    let percent = follows && stream.word(behind) == "percent";
    let harmless = run.money || run.timed || measured || percent || is_day_or_year(stream, run) || is_time(stream, run);
    harmless.then_some(Hint::Harmless)
}

/// `March 6`, `in 2004`.
fn is_day_or_year(stream: &Stream, run: &Run) -> bool {
    let Some(at) = run.first().checked_sub(1).filter(|_| stream.joint(run.first()) == Joint::Same) else { return false };
    let year = run.len() == 4 && matches!(run.values()[..2], [1, 9] | [2, 0]);
    match stream.unit(at) {
        Some(Unit::Month(_)) => {
            run.len() <= 2 && !matches!(asked_or_before(stream, at), Some(Hint::Is(Kind::Expiry | Kind::DateOfBirth)))
        }
        _ => {
            year && contains_word(" in since from year of until the by during ", stream.word(at))
                && before(stream, run.first()).is_none()
        }
    }
}

/// `at three forty`, `by 5`; but a phone number may begin so, if one was asked for.
fn is_time(stream: &Stream, run: &Run) -> bool {
    let Some(at) = run.first().checked_sub(1).filter(|_| stream.joint(run.first()) == Joint::Same) else { return false };
    let values = run.values();
    let (hour, minute) = match values[..] {
        [hour] => (hour, 0),
        [a, b] if a <= 1 => (a * 10 + b, 0),
        [hour, a, b] => (hour, a * 10 + b),
        [a, b, c, d] => (a * 10 + b, c * 10 + d),
        _ => return false,
    };
    let said = contains_word(" at by until till around before after ", stream.word(at));
    let phone = matches!(asked_or_before(stream, at), Some(Hint::Is(_)));
    said && (1..=12).contains(&hour) && minute < 60 && minute.is_multiple_of(5) && !phone
}

fn asked_or_before(stream: &Stream, at: usize) -> Option<Hint> {
    before(stream, at).or_else(|| asked(stream, at).into_iter().next())
}

const MEASURES: &str = " dollars dollar bucks cents cent euros pounds percent inches inch feet foot yards miles mile meters metres kilometers km \
                        kilos kilograms grams ounces gallons liters litres cups boxes pieces units items people persons guests kids children \
                        times minutes minute mins hours hour days day weeks week months month years year seconds am pm a.m p.m o'clock degrees \
                        percentage stars points pages copies seats rooms nights customers employees square mg ml gb mb megabytes gigabytes k \
                        other things thing orders tickets calls steps floors bags sets pairs options edition ";

/// A cue as it is written below.
struct Phrase {
    words: Vec<&'static str>,
    hint: Hint,
}

/// By their first word, longest first.
static PHRASES: LazyLock<HashMap<&'static str, Vec<Phrase>>> = LazyLock::new(|| {
    let mut map: HashMap<_, Vec<Phrase>> = HashMap::new();
    for (hint, phrases) in TABLE {
        for phrase in phrases.split(',').map(str::trim) {
            let words: Vec<_> = phrase.split_ascii_whitespace().collect();
            let hint = hint();
            map.entry(words[0]).or_default().push(Phrase { words, hint });
        }
    }
    for phrases in map.values_mut() {
        phrases.sort_by_key(|phrase| std::cmp::Reverse(phrase.words.len()));
    }
    map
});

/// A row of [`TABLE`]: what its phrases say, and the phrases, parted by commas.
type Row = (fn() -> Hint, &'static str);

const TABLE: &[Row] = &[
    (
        || Hint::Is(Kind::CreditCard),
        "card number, card, cards, credit card, debit card, visa, mastercard, master card, amex, american express, discover, diners, long number, \
         sixteen digits, sixteen digit, number on the front, digits on the front, card ending, card ends in, card digits",
    ),
    (
        || Hint::Is(Kind::Cvv),
        "cvv, cvc, cvv2, cvc2, cvn, cid, c v v, c v c, security code, security digits, security number, card code, short code, \
         three digits, three digit, three digit code, three digit number, digits on the back, number on the back, code on the back, numbers on the back, back of the card, \
         back of my card, signature strip, expiry and code, four digits on the front, card verification",
    ),
    (
        || Hint::Is(Kind::Expiry),
        "expiry, expires, expire, expiring, expiring in, expiring on, expiration, expiration date, exp, exp date, valid until, valid through, valid thru, good through, good thru, \
         good until, runs out, run out, month and year, card expires, card expire, card runs out, expiry date",
    ),
    (
        || Hint::Is(Kind::Ssn),
        "social security, social security number, social, ssn, s s n, socials, taxpayer, tax id, tax i d, last four of your social, last four of my social",
    ),
    (
        || Hint::Is(Kind::Phone),
        "phone, phone number, telephone, cell, cell phone, cellphone, mobile, landline, fax, callback number, call back number, \
         contact number, best number, number to reach, ring you, ring me on, reach you at, reach me at, phone numbers, whatsapp, area code",
    ),
    (
        || Hint::MayBe(Kind::Phone),
        "call me, call you, call you back, call me back, reach me, reach you, text me, text you, ring me, called me on, called you from, dial, callback, calling from",
    ),
    (
        || Hint::Is(Kind::Pin),
        "pin, pin number, pin code, passcode, pass code, one time code, one time password, verification code, access code, otp, o t p, \
         six digit code, four digit code, code we sent, code we texted, code i got, code you sent, code from the text, text code, login code, confirmation text",
    ),
    (|| Hint::MayBe(Kind::Pin), "code, codes"),
    (|| Hint::Is(Kind::Routing), "routing, routing number, aba, a b a, transit number, sort code, bank routing"),
    (
        || Hint::Is(Kind::BankAccount),
        "account number, bank account, checking account, savings account, account, acct, account ends, checking, savings, direct deposit, direct debit, accounts",
    ),
    (|| Hint::Is(Kind::Zip), "zip, zip code, zipcode, postal code, postcode, post code, zip codes"),
    (|| Hint::Is(Kind::DateOfBirth), "born, birth, date of birth, birth date, birthdate, birthday, birthdays, dob, d o b"),
    (|| Hint::Is(Kind::Passport), "passport, passport number"),
    (
        || Hint::Is(Kind::DriverLicense),
        "driver license, drivers license, driver licence, driving licence, driving license, drivers licence, license number, licence number, license, licence",
    ),
    (|| Hint::Is(Kind::Iban), "iban, i ban, international bank account"),
    (|| Hint::Is(Kind::Ip), "ip address, ip, i p address, i p"),
    (
        || Hint::Is(Kind::Email),
        "email, e mail, mail, email address, mail address, e mail address, gmail, login, log in, username, user name, at sign",
    ),
    (|| Hint::Price, "price, priced, cost, costs, total, balance, paid, pay, bill, worth, charge, charged, fee, amount, refund"),
    (
        || Hint::Harmless,
        "order, order number, orders, tracking, tracking number, parcel, package, shipment, serial, serial number, sku, item, item number, part, part number, \
         model, flight, case, case number, ticket, ticket number, reference, reference number, confirmation, confirmation number, confirmation code, invoice, \
         invoice number, quote, quote number, extension, ext, version, build, room, gate, seat, page, chapter, option, press, sound check, mic check, \
         united, delta, lufthansa, southwest, jetblue, bus, train, channel, catalog, \
         product, product number, product code, promo code, coupon, coupon code, discount code, error code, article, isbn, upc, barcode, \
         meter reading, score, firmware, release, running, step, line, highway, interstate, route, lot, batch, work order, purchase order, po number, \
         claim, claim number, incident, request number, booking, booking reference, reservation, locker, aisle, bay, dress code, error, zip file, zip archive, \
         card game, business card, gift wrap",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_phrase_wins_over_its_words() {
        let hints = |text: &str| cues(&text.split(' ').collect::<Vec<_>>()).into_iter().map(|cue| cue.hint).collect::<Vec<_>>();
        assert_eq!(hints("the confirmation code is"), [Hint::Harmless]);
        assert_eq!(hints("the security code is"), [Hint::Is(Kind::Cvv)]);
        assert_eq!(hints("the driver's license"), [Hint::Is(Kind::DriverLicense)]);
        assert_eq!(hints("my card and my pin"), [Hint::Is(Kind::CreditCard), Hint::Is(Kind::Pin)]);
        assert_eq!(hints("hello there"), []);
    }
}
