//! The reader of spoken and written numbers: tokens of one party in, runs of digits out.
//!
//! Promises: written digits, number words, `oh`, `double`, tens pairs (`sixty five` is 65), hundreds, and homophones between
//! digits are read alike; a run goes on over fillers, corrections, separators and the ends of finals, over at most
//! [`MAX_BETWEEN`] of them in a row, and never over a word that says something. The text is never changed, only pointed at.

use super::{
    context,
    token::{Unit, Words, among, digit},
    turn::{Joint, Stream},
};

/// Fillers in a row that a number goes on over.
const MAX_BETWEEN: usize = 6;

/// A digit and the item that says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digit {
    /// 0 to 9.
    pub(super) value: u8,
    /// Which item of the stream.
    pub(super) item: usize,
}

/// Digits that belong together.
#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    /// The digits, in order.
    pub(super) digits: Vec<Digit>,
    /// Items that belong to the number: those that say digits, and `double`, `hundred`, letters.
    pub(super) items: Vec<usize>,
    /// Letters among the digits.
    pub(super) letters: usize,
    /// Points between the digits.
    pub(super) dots: usize,
    /// A currency sign stands before.
    pub(super) money: bool,
    /// Written like a time of day: `3:40`.
    pub(super) timed: bool,
    /// Tens with a one behind them, read as two digits: `twenty one` may also mean 20 and 1.
    pub(super) pairs: usize,
    /// `thousand` was said: people say amounts so, not numbers of accounts.
    pub(super) thousands: bool,
    /// How many digits were said when something was taken back.
    pub(super) corrections: Vec<usize>,
}

impl Run {
    /// The first item.
    pub(super) fn first(&self) -> usize {
        self.items.first().copied().unwrap_or_default()
    }

    /// The last item.
    pub(super) fn last(&self) -> usize {
        self.items.last().copied().unwrap_or_default()
    }

    /// How many digits.
    pub(super) fn len(&self) -> usize {
        self.digits.len()
    }

    /// Gives up what is taken: of what is left, the longest stretch stays.
    pub(super) fn leave(&mut self, taken: &[bool]) {
        let (mut best, mut now) = (Vec::new(), Vec::new());
        for item in std::mem::take(&mut self.items) {
            if taken[item] {
                now.clear();
            } else {
                now.push(item);
                if now.len() > best.len() {
                    best.clone_from(&now);
                }
            }
        }
        self.digits.retain(|digit| best.contains(&digit.item));
        self.items = best;
        self.corrections.clear();
    }

    /// How many digits are left of it when what was taken back is left out: those of its longest stretch between corrections.
    pub(super) fn kept(&self) -> usize {
        let ends = self.corrections.iter().copied().chain([self.len()]);
        ends.scan(0, |from, to| Some(to - std::mem::replace(from, to))).max().unwrap_or(0)
    }

    /// How many digits in the longest reading.
    pub(super) fn most(&self) -> usize {
        self.len() + self.pairs
    }

    /// The digits as values.
    pub(super) fn values(&self) -> Vec<u8> {
        self.digits.iter().map(|digit| digit.value).collect()
    }

    /// How many digits each item says, in order.
    pub(super) fn groups(&self) -> Vec<usize> {
        let mut groups: Vec<(usize, usize)> = Vec::new();
        for digit in &self.digits {
            match groups.last_mut() {
                Some((item, count)) if *item == digit.item => *count += 1,
                _ => groups.push((digit.item, 1)),
            }
        }
        groups.into_iter().map(|(_, count)| count).collect()
    }
}

/// All runs of a stream, in order.
pub(super) fn runs(stream: &Stream) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut at = stream.from;
    while at < stream.items.len() {
        if says_digit(stream, at) {
            let (run, next) = read(stream, at);
            runs.push(run);
            at = next;
        } else {
            at += 1;
        }
    }
    runs
}

/// Whether an item says a digit, whatever stands before it.
fn says_digit(stream: &Stream, at: usize) -> bool {
    match stream.unit(at) {
        Some(Unit::Weak(0)) => leads_to_digit(stream, at),
        Some(Unit::Repeat(_)) => {
            follows(stream, at) && matches!(stream.unit(at + 1), Some(Unit::One(_) | Unit::Weak(0) | Unit::Digits))
        }
        Some(unit) => unit.is_digit() && !is_just_a_word(stream, at),
        None => false,
    }
}

/// Whether nothing but fillers stands between a run's end and the end of what the party has said so far.
pub(super) fn is_open(stream: &Stream, run: &Run) -> bool {
    let rest = run.last() + 1..stream.items.len();
    let bridged = |at: usize| {
        stream.joint(at) != Joint::Break
            && stream.unit(at).is_some_and(|unit| {
                unit.is_filler() || matches!(unit, Unit::Weak(_) | Unit::Repeat(_) | Unit::Dot | Unit::Letter)
            })
    };
    (!stream.closed || stream.talked_over) && rest.len() <= MAX_BETWEEN && rest.into_iter().all(bridged)
}

/// Whether the next item belongs to the same turn or a turn that goes on.
fn follows(stream: &Stream, at: usize) -> bool {
    stream.joint(at + 1) != Joint::Break
}

/// Whether a digit follows on `oh`, over fillers and further ones.
fn leads_to_digit(stream: &Stream, at: usize) -> bool {
    for next in at + 1..=at + MAX_BETWEEN {
        match stream.unit(next) {
            _ if stream.joint(next) == Joint::Break => return false,
            Some(Unit::Weak(0) | Unit::Repeat(_)) => {}
            Some(unit) if unit.is_digit() => return !is_just_a_word(stream, next),
            Some(unit) if unit.is_filler() => {}
            _ => return false,
        }
    }
    false
}

/// `one second`, `this one`, `the three digits`, `the last four`: a word, not a digit, unless digits stand on both sides.
pub(super) fn is_just_a_word(stream: &Stream, at: usize) -> bool {
    static AFTER_ONE: Words = Words::new(" sec second secs moment minute more thing of last time other ");
    static BEFORE_ONE: Words = Words::new(
        " this that which no every any each another other first new old same right wrong only single good big small next ",
    );
    if !matches!(stream.unit(at), Some(Unit::One(_) | Unit::Teen(_) | Unit::Digits)) {
        return false;
    }
    let same = |at: usize| stream.joint(at) == Joint::Same;
    // "One-time".
    let next = if stream.unit(at + 1) == Some(&Unit::Joiner) { at + 2 } else { at + 1 };
    let after = if same(at + 1) && same(next) { stream.word(next) } else { "" };
    let before = if at > 0 && same(at) { stream.word(at - 1) } else { "" };
    let digit_after = same(at + 1) && stream.unit(at + 1).is_some_and(Unit::is_digit);
    let counts = among!(" digit digits numbers ", after)
        && stream.token(at).is_some_and(|token| stream.unit(at) != Some(&Unit::Digits) || token.end - token.start <= 2);
    let part = among!(" last first ", before) && !digit_after && stream.unit(at) != Some(&Unit::Digits);
    let one = stream.word(at) == "one";
    // "Four five one of course" ends with a one.
    let digit_before = at > 0 && same(at) && stream.unit(at - 1).is_some_and(Unit::is_digit);
    let pause = among!(" sec second secs moment minute ", after);
    counts || part || (one && ((AFTER_ONE.has(after) && (pause || !digit_before)) || (BEFORE_ONE.has(before) && !digit_after)))
}

/// Reads one run from its first item; also says where to go on.
fn read(stream: &Stream, first: usize) -> (Run, usize) {
    let before = first.checked_sub(1).and_then(|at| stream.unit(at));
    let mut run = Run { money: before == Some(&Unit::Money) && stream.joint(first) == Joint::Same, ..Run::default() };
    let mut at = first;
    loop {
        at = push(stream, at, &mut run);
        let Some(next) = next_digit(stream, at, &mut run) else { return (run, at.max(first + 1)) };
        at = next;
    }
}

/// Whether a word says that the number behind it is a program's.
pub(super) fn is_release(word: &str) -> bool {
    among!(" version firmware release build running v ver update software app os ", word)
}

/// The digits that an item says, with those that make one value with it, and how many items that are.
pub(super) fn said(stream: &Stream, at: usize) -> (Vec<u8>, usize) {
    let mut run = Run::default();
    let next = push(stream, at, &mut run);
    (run.values(), next - at)
}

/// Finds the item with which the run goes on, over what people put between digits.
fn next_digit(stream: &Stream, from: usize, run: &mut Run) -> Option<usize> {
    let (mut dots, mut corrected) = (0, false);
    for at in from..(from + MAX_BETWEEN + 1).min(stream.items.len()) {
        if stream.joint(at) == Joint::Break || dots > 1 {
            return None;
        }
        let unit = stream.unit(at)?;
        let close = at == from && !run.items.is_empty();
        let timed = close && stream.token(at).is_some_and(|token| token.tight == Some(':'));
        if says_digit(stream, at)
            || (close && is_weak_digit(stream, at, run))
            || (run.len() >= 2 && (is_last_oh(stream, at) || is_twice_oh(stream, at)))
        {
            run.timed |= timed && run.len() <= 2;
            run.dots += dots;
            if corrected {
                run.corrections.push(run.len());
            }
            return Some(at);
        }
        match unit {
            Unit::Dot => dots += 1,
            Unit::Correction => corrected = true,
            Unit::Hundred | Unit::Thousand if close => return Some(at),
            Unit::Letter if close && stream.unit(at + 1).is_some_and(Unit::is_digit) && follows(stream, at) => return Some(at),
            // What it doubles comes in the next final.
            Unit::Repeat(_) if stream.joint(at + 1) == Joint::Turn => {}
            unit if unit.is_filler() => {}
            // "Twelve of twenty eight".
            Unit::Word if stream.word(at) == "of" && at == from && run.len() <= 2 && context::is_dated(stream, run.first()) => {}
            Unit::Letter if stream.word(at) == "i" && stream.unit(at + 1).is_some_and(Unit::is_filler) => {}
            unit if is_one_moment(unit, stream, at) => {}
            _ => return None,
        }
    }
    None
}

/// `one sec`, with both words between two digits.
fn is_one_moment(unit: &Unit, stream: &Stream, at: usize) -> bool {
    static MOMENT: Words = Words::new(" sec second moment minute ");
    matches!(unit, Unit::One(1)) || (at > 0 && stream.word(at - 1) == "one" && MOMENT.has(stream.word(at)))
}

/// `oh` with nothing but fillers behind it in its turn.
fn is_last_oh(stream: &Stream, at: usize) -> bool {
    let rest = (at + 1..stream.items.len()).take_while(|next| stream.joint(*next) == Joint::Same);
    stream.unit(at) == Some(&Unit::Weak(0))
        && rest.take(MAX_BETWEEN).all(|at| stream.unit(at).is_some_and(|unit| unit.is_filler() || *unit == Unit::Weak(0)))
}

/// `oh oh` behind a number is two zeros, whatever follows; one alone may be an exclamation.
fn is_twice_oh(stream: &Stream, at: usize) -> bool {
    stream.unit(at) == Some(&Unit::Weak(0)) && stream.unit(at + 1) == Some(&Unit::Weak(0)) && stream.joint(at + 1) == Joint::Same
}

/// `oh` behind a digit; `to`, `for`, `ate` between two.
fn is_weak_digit(stream: &Stream, at: usize, run: &Run) -> bool {
    match stream.unit(at) {
        Some(Unit::Weak(0)) => run.len() >= 2 || (follows(stream, at) && says_digit(stream, at + 1)),
        Some(Unit::Weak(_)) => run.len() >= 3 && follows(stream, at) && says_digit(stream, at + 1),
        _ => false,
    }
}

/// Takes the item at `at`, and those that make one value with it; says which item comes next.
fn push(stream: &Stream, at: usize, run: &mut Run) -> usize {
    let Some(unit) = stream.unit(at) else { return at };
    run.items.push(at);
    let mut add = |value: u8, item: usize| run.digits.push(Digit { value, item });
    match unit {
        Unit::Digits => stream.word(at).chars().filter_map(digit).for_each(|value| add(value, at)),
        Unit::Mixed => {
            stream.word(at).chars().filter_map(digit).for_each(|value| add(value, at));
            run.letters += stream.word(at).chars().filter(|c| digit(*c).is_none()).count();
        }
        Unit::One(value) | Unit::Weak(value) => add(*value, at),
        Unit::Teen(value) => [1, value % 10].into_iter().for_each(|value| add(value, at)),
        Unit::Ten(value) => {
            add(*value, at);
            let hyphen =
                usize::from(stream.unit(at + 1) == Some(&Unit::Joiner) && stream.token(at + 1).is_some_and(|token| token.glued));
            match stream.unit(at + 1 + hyphen) {
                Some(Unit::One(one @ 1..)) if stream.joint(at + 1 + hyphen) != Joint::Break => {
                    add(*one, at + 1 + hyphen);
                    run.items.push(at + 1 + hyphen);
                    run.pairs += 1;
                    return at + 2 + hyphen;
                }
                _ => add(0, at),
            }
        }
        Unit::Hundred | Unit::Thousand => {
            (0..zeros(stream, at, unit)).for_each(|_| add(0, at));
            run.thousands |= *unit == Unit::Thousand;
        }
        Unit::Repeat(times) => return push_repeated(stream, at, *times, run),
        Unit::Letter => run.letters += 1,
        _ => {}
    }
    at + 1
}

fn push_repeated(stream: &Stream, at: usize, times: u8, run: &mut Run) -> usize {
    let value = match stream.unit(at + 1) {
        Some(Unit::One(value) | Unit::Weak(value)) => Some(*value),
        Some(Unit::Digits) => stream.word(at + 1).chars().next().and_then(digit),
        _ => None,
    };
    if let Some(value) = value {
        run.digits.extend((1..times).map(|_| Digit { value, item: at }));
    }
    at + 1
}

/// `eight hundred` is 800, `eight hundred twenty` 820, `eight hundred five five` 800 55.
fn zeros(stream: &Stream, at: usize, unit: &Unit) -> usize {
    let full = if *unit == Unit::Hundred { 2 } else { 3 };
    let more = |at: usize| stream.joint(at) == Joint::Same && stream.unit(at).is_some_and(Unit::is_digit);
    // "Three hundred and forty five".
    let next = at + 1 + usize::from(stream.word(at + 1) == "and" && stream.joint(at + 1) == Joint::Same);
    match stream.unit(next) {
        Some(Unit::Ten(_) | Unit::Teen(_)) if more(next) => full - 2,
        Some(Unit::One(_)) if more(next) && !more(next + 1) => full - 1,
        _ => full,
    }
}
