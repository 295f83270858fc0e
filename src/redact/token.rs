//! Text into tokens, each with its place in the text and what it may mean in a number, a date or an address of mail.
//!
//! Promises: tokens cover every letter and digit of the text in order and never overlap; a placeholder of the speech service
//! is one opaque token. Only ASCII is folded, so that byte offsets stay true.

use std::{collections::HashSet, sync::OnceLock};

use super::{lexicon::Known, placeholder::Kind};
use crate::english;

/// What a token may be a part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unit {
    /// Written digits only: `4111`.
    Digits,
    /// Letters and digits in one: `m55`, `346c`.
    Mixed,
    /// A number word from zero to nine.
    One(u8),
    /// Means a digit only beside another: `oh`, `to`, `for`.
    Weak(u8),
    /// Ten to nineteen.
    Teen(u8),
    /// Twenty to ninety, in tens.
    Ten(u8),
    /// The word `hundred`.
    Hundred,
    /// The word `thousand`.
    Thousand,
    /// `double`, `triple`: so many of the next digit.
    Repeat(u8),
    /// `sixth`, `23rd`.
    Ordinal(u8),
    /// One letter.
    Letter,
    /// A month's name.
    Month(u8),
    /// `dot`, `point`, or a full stop between two tokens without white space.
    Dot,
    /// `@`, or the word.
    At,
    /// `dash`, `hyphen`, `underscore`, `slash`, said or written inside a word.
    Joiner,
    /// Says nothing: people put it between digits.
    Filler,
    /// Takes back what was just said: `sorry`, `no`, `correction`.
    Correction,
    /// A currency sign.
    Money,
    /// The speech service's own `[TYPE_N]`.
    Placeholder(Kind),
    /// Anything else.
    Word,
}

impl Unit {
    /// Whether it is a digit, or several, whatever stands beside it.
    pub(super) fn is_digit(&self) -> bool {
        matches!(self, Self::Digits | Self::Mixed | Self::One(_) | Self::Teen(_) | Self::Ten(_))
    }

    /// Whether it says digits, or belongs to one that does.
    pub(super) fn is_in_number(&self) -> bool {
        self.is_digit() || matches!(self, Self::Weak(_) | Self::Repeat(_) | Self::Hundred | Self::Thousand)
    }

    /// Whether it may be a word of a name: one that means something in a number or a date is a word too.
    pub(super) fn is_wordlike(&self) -> bool {
        matches!(self, Self::Word | Self::Month(_) | Self::Filler | Self::Correction | Self::Weak(_))
    }

    /// Whether people say it between the digits of one number.
    pub(super) fn is_filler(&self) -> bool {
        matches!(self, Self::Filler | Self::Correction | Self::Joiner)
    }
}

/// A word-like piece of a text.
#[derive(Debug, Clone)]
pub(super) struct Token {
    /// Byte offset of its first character.
    pub(super) start: usize,
    /// Byte offset behind its last character.
    pub(super) end: usize,
    /// What it may mean.
    pub(super) unit: Unit,
    /// What stands between the token before and this one, if that is one character, or `::`, and no white space; `None` for more, or white space.
    pub(super) tight: Option<char>,
    /// It begins right where the token before ends.
    pub(super) glued: bool,
    /// What the word lists know of it.
    pub(super) known: Known,
    /// It begins with a capital letter, and is not all capitals.
    pub(super) capital: bool,
    /// A sentence ends behind it.
    pub(super) ends: bool,
}

/// The tokens of `text`, which must be in ASCII lower case.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (len, unit) = if let Some((len, kind)) = placeholder(rest) {
            (len, Unit::Placeholder(kind))
        } else if c.is_alphanumeric() {
            let len = glued_cue(rest, word_len(rest));
            (len, unit(&rest[..len]))
        } else if c == '@' {
            (1, Unit::At)
        } else if matches!(c, '$' | '€' | '£') {
            (c.len_utf8(), Unit::Money)
        } else if matches!(c, '.' | '_' | '/' | '-' | '+') && inside_word(text, at) {
            (1, if c == '.' { Unit::Dot } else { Unit::Joiner })
        } else {
            at += c.len_utf8();
            continue;
        };
        let between = &text[out.last().map_or(0, |token| token.end)..at];
        let mut chars = between.chars();
        let tight = chars.next().filter(|c| !c.is_whitespace() && chars.next().is_none());
        let tight = if between == "::" { Some(':') } else { tight };
        let known = if unit.is_wordlike() { Known::of(&rest[..len]) } else { Known::default() };
        let glued = between.is_empty() && !out.is_empty();
        let behind = &text.as_bytes()[at + len..];
        let ends = !behind.starts_with(b"..")
            && matches!(behind, [b'.' | b'?' | b'!' | b';'] | [b'.' | b'?' | b'!' | b';', b' ' | b'"', ..]);
        out.push(Token { start: at, end: at + len, unit, tight, glued, known, capital: false, ends });
        at += len;
    }
    out
}

/// The value of a decimal digit, in the scripts in which the service writes.
pub(super) fn digit(c: char) -> Option<u8> {
    const ZEROS: [char; 23] = [
        '0',
        '\u{660}',
        '\u{6F0}',
        '\u{7C0}',
        '\u{966}',
        '\u{9E6}',
        '\u{A66}',
        '\u{AE6}',
        '\u{B66}',
        '\u{BE6}',
        '\u{C66}',
        '\u{CE6}',
        '\u{D66}',
        '\u{E50}',
        '\u{ED0}',
        '\u{1040}',
        '\u{17E0}',
        '\u{FF10}',
        '\u{1D7CE}',
        '\u{1D7D8}',
        '\u{1D7E2}',
        '\u{1D7EC}',
        '\u{1D7F6}',
    ];
    ZEROS
        .iter()
        .find_map(|zero| u32::from(c).checked_sub(u32::from(*zero)).filter(|value| *value < 10))
        .and_then(|v| u8::try_from(v).ok())
}

/// A `[TYPE_N]` of the service at the beginning of `text`, in either case (protocols/pulse.md section 7.1), and its length.
pub(super) fn placeholder(text: &str) -> Option<(usize, Kind)> {
    let inner = text.strip_prefix('[')?;
    let close = inner.bytes().take(64).position(|byte| byte == b']')?;
    let (name, number) = inner[..close].rsplit_once('_')?;
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    let numbered = !number.is_empty() && number.len() < 4 && number.bytes().all(|b| b.is_ascii_digit());
    (named && numbered).then(|| (close + 2, Kind::of_service(name)))
}

/// How long the word is before a number that is written to it: `cvv123`, `ssn482119043`.
fn glued_cue(text: &str, len: usize) -> usize {
    const CUES: [&str; 12] =
        ["card", "cvv", "cvc", "pin", "ssn", "code", "number", "phone", "account", "routing", "visa", "amex"];
    let word = &text[..len];
    let number = |rest: &str| rest.len() > 2 && rest.bytes().all(|byte| byte.is_ascii_digit());
    CUES.iter().find(|cue| word.strip_prefix(**cue).is_some_and(number)).map_or(len, |cue| cue.len())
}

/// Letters and digits, with an apostrophe between letters.
fn word_len(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let apostrophe = matches!(c, '\'' | '’') && chars.peek().is_some_and(|(_, next)| next.is_alphabetic());
        if !c.is_alphanumeric() && !apostrophe {
            return at;
        }
    }
    text.len()
}

/// Whether the character at `at` has letters or digits on both sides.
fn inside_word(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back().is_some_and(char::is_alphanumeric);
    before && text[at + 1..].chars().next().is_some_and(char::is_alphanumeric)
}

fn unit(word: &str) -> Unit {
    let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
    if let Some(unit) = known(word) {
        return unit;
    }
    let digits = word.chars().filter(|c| digit(*c).is_some()).count();
    let length = word.chars().count();
    match (digits, length) {
        (0, 1) => Unit::Letter,
        (0, _) => Unit::Word,
        _ if digits == length => Unit::Digits,
        _ => ordinal(word).map_or(Unit::Mixed, Unit::Ordinal),
    }
}

fn ordinal(word: &str) -> Option<u8> {
    ["st", "nd", "rd", "th"].iter().find_map(|ending| word.strip_suffix(ending)).and_then(|number| number.parse().ok())
}

/// Words with a meaning of their own. `a` and `i` stay letters; what a cue says is in `cues.rs`.
fn known(word: &str) -> Option<Unit> {
    Some(match word {
        // The "2" is no digit of the code.
        "cvv2" | "cvc2" | "cv2" | "cid2" => Unit::Word,
        "zero" | "nought" | "naught" | "nil" => Unit::One(0),
        "one" => Unit::One(1),
        "two" => Unit::One(2),
        "three" => Unit::One(3),
        "four" => Unit::One(4),
        "five" => Unit::One(5),
        "six" => Unit::One(6),
        "seven" => Unit::One(7),
        "eight" => Unit::One(8),
        "nine" | "niner" => Unit::One(9),
        "oh" | "o" => Unit::Weak(0),
        "won" => Unit::Weak(1),
        "to" | "too" => Unit::Weak(2),
        "tree" => Unit::Weak(3),
        "for" | "fore" => Unit::Weak(4),
        "sex" | "sicks" => Unit::Weak(6),
        "ate" => Unit::Weak(8),
        "ten" => Unit::Teen(10),
        "eleven" => Unit::Teen(11),
        "twelve" => Unit::Teen(12),
        "thirteen" => Unit::Teen(13),
        "fourteen" => Unit::Teen(14),
        "fifteen" => Unit::Teen(15),
        "sixteen" => Unit::Teen(16),
        "seventeen" => Unit::Teen(17),
        "eighteen" => Unit::Teen(18),
        "nineteen" => Unit::Teen(19),
        "twenty" => Unit::Ten(2),
        "thirty" => Unit::Ten(3),
        "forty" | "fourty" => Unit::Ten(4),
        "fifty" => Unit::Ten(5),
        "sixty" => Unit::Ten(6),
        "seventy" => Unit::Ten(7),
        "eighty" => Unit::Ten(8),
        "ninety" => Unit::Ten(9),
        "hundred" => Unit::Hundred,
        "thousand" => Unit::Thousand,
        "double" => Unit::Repeat(2),
        "triple" | "treble" => Unit::Repeat(3),
        "quadruple" => Unit::Repeat(4),
        "dot" | "point" | "period" => Unit::Dot,
        "at" => Unit::At,
        "dash" | "hyphen" | "underscore" | "slash" | "space" | "comma" | "plus" => Unit::Joiner,
        "sorry" | "no" | "wait" | "correction" | "scratch" | "actually" | "oops" | "nope" => Unit::Correction,
        _ => return month(word).map(Unit::Month).or_else(|| spoken_ordinal(word).map(Unit::Ordinal)).or_else(|| filler(word)),
    })
}

fn filler(word: &str) -> Option<Unit> {
    static FILLERS: Words = Words::new(
        " uh um uhm er erm ah eh hmm hm mm mmm mhm okay ok so like well and then yeah yes yep let me see is it's its it the \
                           that's that thats right sure mean think next again hang hold on just got go ahead followed by alright after \
                           next there's there then's was um-hmm believe guess excuse ",
    );
    FILLERS.has(word).then_some(Unit::Filler)
}

/// A list of words that is searched often.
pub(super) struct Words {
    list: &'static str,
    words: OnceLock<HashSet<&'static str>>,
}

impl Words {
    /// The words of `list`, parted by white space.
    pub(super) const fn new(list: &'static str) -> Self {
        Self { list, words: OnceLock::new() }
    }

    /// Whether it holds `word`.
    pub(super) fn has(&self, word: &str) -> bool {
        self.words.get_or_init(|| self.list.split_ascii_whitespace().collect()).contains(word)
    }
}

/// Whether a list of words, parted by spaces, holds a word.
macro_rules! among {
    ($list:literal, $word:expr $(,)?) => {{
        static LIST: $crate::redact::token::Words = $crate::redact::token::Words::new($list);
        LIST.has($word)
    }};
}
pub(super) use among;

fn month(word: &str) -> Option<u8> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let full = MONTHS.iter().position(|month| *month == word);
    let short =
        || MONTHS.iter().position(|month| word.len() >= 3 && word.len() <= 4 && month.starts_with(word) && *month != "may");
    full.or_else(short).and_then(|index| u8::try_from(index + 1).ok())
}

fn spoken_ordinal(word: &str) -> Option<u8> {
    let index = english::ORDINALS.iter().position(|ordinal| *ordinal == word);
    index.and_then(|index| u8::try_from(index + 1).ok()).or((word == "thirtieth").then_some(30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_what_it_may_be_in_a_number() {
        for (text, expected) in [
            ("4111", vec![Unit::Digits]),
            ("m55 23rd sixth", vec![Unit::Mixed, Unit::Ordinal(23), Unit::Ordinal(6)]),
            ("sixty-five", vec![Unit::Ten(6), Unit::Joiner, Unit::One(5)]),
            ("b at yahoo.com", vec![Unit::Letter, Unit::At, Unit::Word, Unit::Dot, Unit::Word]),
            ("a@b", vec![Unit::Letter, Unit::At, Unit::Letter]),
            ("$5, uh no.", vec![Unit::Money, Unit::Digits, Unit::Filler, Unit::Correction]),
            ("may 6", vec![Unit::Month(5), Unit::Digits]),
            ("٤١", vec![Unit::Digits]),
        ] {
            let units: Vec<_> = tokens(text).into_iter().map(|token| token.unit).collect();
            assert_eq!(units, expected, "{text:?}");
        }
    }

    #[test]
    fn the_services_placeholders_are_opaque_in_either_case() {
        for text in ["[phonenumber_1]", "[PHONENUMBER_1]".to_ascii_lowercase().as_str(), "[phone_12]"] {
            assert_eq!(tokens(text)[0].unit, Unit::Placeholder(Kind::Phone), "{text}");
        }
        for text in ["[4111_1]", "[phone]", "[phone_]", "[phone_4111]", "[phone 1]"] {
            assert!(tokens(text).iter().all(|token| !matches!(token.unit, Unit::Placeholder(_))), "{text}");
        }
    }

    #[test]
    fn tokens_lie_where_they_stand_in_the_text() {
        let text = "é, (555) 123-4567!";
        let pieces: Vec<_> = tokens(text).iter().map(|token| &text[token.start..token.end]).collect();
        assert_eq!(pieces, ["é", "555", "123", "-", "4567"]);
    }
}
