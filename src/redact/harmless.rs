//! Numbers that their own form or the word behind them explains: prices, measures, times of day, dates of events.
//!
//! Promises: nothing that a lead or a question calls personal is explained by its form.

use super::{
    context,
    cues::Hint,
    number::Run,
    placeholder::Kind,
    token::{Unit, Words, among},
    turn::{Joint, Stream},
};

/// Numbers that their own form or the word behind them explains: prices, measures, times of day, years, days of a month.
pub(super) fn harmless(stream: &Stream, run: &Run) -> Option<Hint> {
    /// No price, measure or time of day has more digits.
    const LONGEST: usize = 9;
    if run.len() > LONGEST {
        return None;
    }
    let mut behind = run.last() + 1;
    while matches!(stream.unit(behind), Some(Unit::Hundred | Unit::Thousand))
        || among!(" million billion and a half ", stream.word(behind))
    {
        behind += 1;
    }
    let follows = stream.joint(behind) != Joint::Break;
    let measured = follows && MEASURES.has(stream.word(behind)) && !(run.len() > 4 && stream.word(behind) == "times");
    let percent = follows && stream.word(behind) == "percent";
    let amount = run.thousands && run.len() <= 12 && !context::is_dated(stream, run.first());
    let harmless = amount
        || is_span_of_time(stream, run)
        || run.money
        || run.timed
        || is_written_date(stream, run)
        || measured
        || percent
        || is_day_or_year(stream, run)
        || is_time(stream, run);
    harmless.then_some(Hint::Harmless)
}

/// `06/14/2026`, unless something says whose.
fn is_written_date(stream: &Stream, run: &Run) -> bool {
    let slashes = run.items.windows(2).all(|pair| pair[1] == pair[0] + 2 && matches!(stream.word(pair[0] + 1), "/" | "-"));
    let shape = matches!(run.groups()[..], [1 | 2, 1 | 2, 2 | 4] | [4, 2, 2]);
    slashes && shape && asked_or_before(stream, run.first()).is_none() && context::behind(stream, run.last()).is_none()
}

/// The word before an item in its turn.
fn previous<'a>(stream: &Stream<'a>, at: usize) -> &'a str {
    if at > 0 && stream.joint(at) == Joint::Same { stream.word(at - 1) } else { "" }
}

/// `March 6`, `in 2004`.
fn is_day_or_year(stream: &Stream, run: &Run) -> bool {
    let Some(at) = run.first().checked_sub(1).filter(|_| stream.joint(run.first()) == Joint::Same) else { return false };
    let year = run.len() == 4 && matches!(run.values()[..2], [1, 9] | [2, 0]);
    if let Some(Unit::Month(_)) = stream.unit(at) {
        let personal = matches!(asked_or_before(stream, at), Some(Hint::Is(Kind::Expiry | Kind::DateOfBirth)));
        return run.len() <= 2 && !personal;
    }
    if among!(" ending ends end ended finishing finishes finished last four digits ", previous(stream, at)) {
        return false;
    }
    // Nothing that has years in it is led to as an account.
    let other = |kind: &Kind| !matches!(kind, Kind::BankAccount | Kind::CreditCard | Kind::Phone);
    let dated = matches!(context::before(stream, run.first()), Some(Hint::Is(kind)) if other(&kind));
    year && among!(" in since from year of until the by during ", stream.word(at)) && !dated
}

/// `between ten fifteen and twelve thirty`.
fn is_span_of_time(stream: &Stream, run: &Run) -> bool {
    let led = run.first().checked_sub(1).is_some_and(|at| among!(" between from ", stream.word(at)));
    let values = run.values();
    let time = |digits: &[u8]| match digits {
        [hour, a, b] => *hour > 0 && a * 10 + b < 60,
        [a, b, c, d] => a * 10 + b <= 12 && c * 10 + d < 60,
        _ => false,
    };
    led && (6..=8).contains(&values.len())
        && (3..=4).any(|at| time(&values[..at]) && time(&values[at..]))
        && asked_or_before(stream, run.first()).is_none()
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
    let said = among!(" at by until till around before after ", stream.word(at));
    let phone = matches!(asked_or_before(stream, run.first()), Some(Hint::Is(_)));
    said && (1..=12).contains(&hour) && minute < 60 && minute.is_multiple_of(5) && !phone
}

fn asked_or_before(stream: &Stream, at: usize) -> Option<Hint> {
    context::before(stream, at).or_else(|| context::asked(stream, at).into_iter().next())
}

/// Whether a word says that the number before it counts or measures something.
pub(super) fn is_measure(word: &str) -> bool {
    MEASURES.has(word)
}

static MEASURES: Words = Words::new(
    " dollars dollar bucks cents cent euros pounds percent inches inch feet foot yards miles mile meters metres kilometers km \
                        kilos kilograms grams ounces gallons liters litres cups boxes pieces units items people persons guests kids children \
                        times minutes minute mins hours hour days day weeks week months month years year seconds am pm o'clock degrees \
                        percentage stars points pages copies seats rooms nights customers employees square mg ml gb mb megabytes gigabytes k \
                        other things thing orders tickets calls steps floors bags sets pairs options edition ",
);
