//! Numbers in figures, in one form however they were spoken or written.
//!
//! Promises: pure; words that are no part of a number stay as they are and where they are; doing it twice changes nothing more. Digits of one run are one
//! word without separators ("4539-1488", "4539 1488" and "four five three nine, one four eight eight" are "45391488"); whole numbers have no
//! separators either. A word made of several begins with the first, ends with the last, keeps the punctuation round them, and is as sure as they are on
//! average. "One" by itself stays a word, and so do the first nine ordinals but in dates.

use self::reading::{Kind, Number, Token};
use super::Word;

mod reading;

/// Digits that a run written in groups has at least: a telephone number's.
const GROUPED: usize = 7;
/// Digits that a group has at least, where commas may stand between groups.
const GROUP: usize = 3;
/// Single digits with a comma behind each that are one run, not a choice ("two, three").
const LISTED: usize = 4;
/// Years, which are not taken for groups of one number.
const YEARS: std::ops::Range<u64> = 1900..2100;
const MONTHS: [&str; 12] =
    ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];

/// Writes the numbers among these words in figures.
pub(super) fn in_figures(mut words: Vec<Word>) -> Vec<Word> {
    // Numbers that stand side by side may be one only when both are in figures.
    loop {
        let next = pass(&words);
        if next == words {
            return words;
        }
        words = next;
    }
}

fn pass(words: &[Word]) -> Vec<Word> {
    let tokens: Vec<Token> = words.iter().map(|word| Token::of(&word.text)).collect();
    let (mut made, mut at) = (Vec::with_capacity(words.len()), 0);
    while at < words.len() {
        let found = time(&tokens[at..]).or_else(|| digits(&tokens[at..])).or_else(|| number(&tokens, at));
        let count = found.as_ref().map_or(1, |(count, _)| *count);
        made.push(
            found.map_or_else(|| words[at].clone(), |(count, text)| one(&words[at..at + count], &tokens[at..at + count], &text)),
        );
        at += count;
    }
    made
}

/// Several words as one.
fn one(words: &[Word], tokens: &[Token], text: &str) -> Word {
    let ((first, last), (opening, closing)) = ((&words[0], &words[words.len() - 1]), (&tokens[0], &tokens[tokens.len() - 1]));
    #[expect(clippy::cast_precision_loss, reason = "a segment has few words")]
    let count = words.len() as f32;
    Word {
        text: format!("{}{text}{}", opening.before, closing.behind),
        start_ms: first.start_ms,
        end_ms: last.end_ms,
        confidence: words.iter().map(|word| word.confidence).sum::<f32>() / count,
    }
}

/// A piece of a run of digits.
struct Piece {
    tokens: usize,
    digits: String,
    /// Written as a group; else spoken one by one.
    is_group: bool,
    /// Parts of one token that were apart.
    is_joined: bool,
    has_comma: bool,
}

/// A run of digits that begins here: how many words, and the digits.
fn digits(tokens: &[Token]) -> Option<(usize, String)> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = 0;
    while let Some(piece) = piece(&tokens[at..]) {
        at += piece.tokens;
        let last = &tokens[at - 1];
        pieces.push(piece);
        if !(last.behind.is_empty() || last.behind == ",") || tokens.get(at).is_some_and(|next| !next.before.is_empty()) {
            break;
        }
    }
    // "One two hundred": the digit before is the hundred's.
    let is_factor = matches!(tokens.get(at).map(|next| &next.kind), Some(Kind::Hundred | Kind::Scale(_)));
    if is_factor && at.checked_sub(1).is_some_and(|last| tokens[last].behind.is_empty()) {
        pieces.pop();
    }
    let count = (1..=pieces.len()).rev().find(|count| is_run(tokens, &pieces[..*count]))?;
    let words = pieces[..count].iter().map(|piece| piece.tokens).sum();
    Some((words, pieces[..count].iter().map(|piece| piece.digits.as_str()).collect()))
}

fn piece(tokens: &[Token]) -> Option<Piece> {
    let first = tokens.first()?;
    let (count, digits, is_group, is_joined) = match (&first.kind, tokens.get(1).and_then(|next| next.kind.digit())) {
        (Kind::Repeat(times), Some(digit)) if first.behind.is_empty() && tokens[1].before.is_empty() => {
            (2, digit.to_string().repeat(*times), false, true)
        }
        (Kind::Figures { digits, is_joined }, _) => (1, digits.clone(), digits.len() > 1, *is_joined),
        (kind, _) => (1, kind.digit()?.to_string(), false, false),
    };
    let has_comma = tokens[count - 1].behind == ",";
    Some(Piece { tokens: count, digits, is_group, is_joined, has_comma })
}

/// Whether these are one number that is said digit by digit, or group by group.
fn is_run(tokens: &[Token], pieces: &[Piece]) -> bool {
    let total: usize = pieces.iter().map(|piece| piece.digits.len()).sum();
    let is_oh = |piece: usize| tokens.get(piece).is_some_and(|token| token.kind == Kind::Oh);
    if total < 3 && (is_oh(0) || is_oh(pieces.len() - 1)) {
        return false;
    }
    if let [piece] = pieces {
        return piece.is_joined;
    }
    let groups = pieces.iter().filter(|piece| piece.is_group).count();
    if groups > 0 {
        let is_year = |piece: &Piece| piece.digits.len() == 4 && piece.digits.parse().is_ok_and(|year| YEARS.contains(&year));
        let is_round = |piece: &Piece| piece.digits.ends_with("00") && !piece.digits.starts_with('0');
        let are_groups = pieces.iter().all(|piece| piece.digits.len() >= GROUP && !is_round(piece));
        return groups == pieces.len() && total >= GROUPED && are_groups && !pieces.iter().all(is_year);
    }
    let (before, _) = pieces.split_at(pieces.len() - 1);
    if !before.iter().any(|piece| piece.has_comma) {
        return true;
    }
    let is_list = before.iter().all(|piece| piece.has_comma) && total >= LISTED;
    let stretches = pieces.split_inclusive(|piece| piece.has_comma);
    is_list
        || stretches.map(|stretch| stretch.iter().map(|piece| piece.digits.len()).sum::<usize>()).all(|digits| digits >= GROUP)
}

/// A number with what belongs to it that begins there: how many words, and how it is written.
fn number(tokens: &[Token], at: usize) -> Option<(usize, String)> {
    let rest = &tokens[at..];
    let next = |count| next(rest, count);
    let is = |count: usize, words: &[&str]| next(count).is_some_and(|next| words.contains(&next.plain.as_str()));
    let Number { words, text, is_ordinal, is_spoken } = reading::number(rest)?;
    if is_ordinal {
        let after_month = at > 0 && MONTHS.contains(&tokens[at - 1].plain.as_str());
        let before_month = is(words, &["of"]) && next(words + 1).is_some_and(|next| MONTHS.contains(&next.plain.as_str()));
        let stays = words == 1 && text.len() == 3 && !after_month && !before_month;
        return (!stays).then_some((words, text));
    }
    if is(words, &["dollars", "dollar"]) {
        let more = words + 1 + usize::from(is(words + 1, &["and"]));
        let cents = next(more).and_then(|_| reading::number(&rest[more..]));
        return match cents {
            Some(cents) if cents.text.len() <= 2 && is(more + cents.words, &["cents", "cent"]) && !text.contains('.') => {
                Some((more + cents.words + 1, format!("${text}.{:0>2}", cents.text)))
            }
            _ => Some((words + 1, format!("${text}"))),
        };
    }
    if is(words, &["percent"]) {
        return Some((words + 1, format!("{text}%")));
    }
    if is(words, &["per"]) && is(words + 1, &["cent"]) {
        return Some((words + 2, format!("{text}%")));
    }
    if is(words, &["point"]) && !text.contains('.') && next(words + 1).is_some() {
        let places = digits(&rest[words + 1..]).or_else(|| Some((1, rest[words + 1].kind.digit()?.to_string())));
        if let Some((count, places)) = places {
            return Some((words + 1 + count, format!("{text}.{places}")));
        }
    }
    let is_part = next(words)
        .is_some_and(|next| matches!(next.kind, Kind::Ordinal(_)) || next.plain.ends_with("ths") || next.plain == "thirds");
    let is_word = words == 1 && (text == "1" && is_spoken || is_part);
    (!is_word && (is_spoken || rest[0].core != text)).then_some((words, text))
}

/// The word behind so many, if nothing stands between.
fn next(rest: &[Token], count: usize) -> Option<&Token> {
    let next = rest.get(count).filter(|next| next.before.is_empty())?;
    rest[..count].last().is_none_or(|last| last.behind.is_empty()).then_some(next)
}

/// An hour and its minutes, where something says that they are: "three thirty pm", "seven o'clock".
fn time(rest: &[Token]) -> Option<(usize, String)> {
    let next = |count| next(rest, count);
    let hour = reading::upto(rest, 12).filter(|hour| *hour > 0)?;
    if next(1).is_some_and(|next| next.plain == "oclock") {
        return Some((2, format!("{hour}:00")));
    }
    next(1)?;
    let (words, minutes) = match (&rest[1].kind, next(2).and_then(|next| next.kind.digit())) {
        (Kind::Oh, Some(digit)) => (2, u64::from(digit)),
        _ => reading::small(&rest[1..]).filter(|(_, minutes)| (10..60).contains(minutes))?,
    };
    let says_so = next(1 + words).is_some_and(|next| ["am", "pm"].contains(&next.plain.as_str()));
    says_so.then(|| (1 + words, format!("{hour}:{minutes:02}")))
}

#[cfg(test)]
mod tests;
