//! Words that are spelled out: `k o w a l`, `b as in boy`, `double t`, `kilo oscar`.
//!
//! Promises: a spelling is read over fillers and the ends of finals, and never over a word that says something.

use super::{
    token::{Unit, Words, among},
    turn::{Joint, Stream},
};

/// Fillers in a row within a spelling.
const MAX_BETWEEN: usize = 3;
/// Items of one spelling.
const LONGEST: usize = 120;

/// The words of the spelling alphabets in use on the telephone.
static ALPHABET: Words = Words::new(
    " alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar papa quebec romeo sierra tango \
                        uniform victor whiskey whisky xray x-ray yankee zulu adam baker david edward frank george henry ida john king lincoln mary nora ocean paul queen robert sam tom union \
                        william young zebra ",
);

/// A spelled word.
pub(super) struct Spelling {
    /// The items that belong to it.
    pub(super) items: Vec<usize>,
    /// How many letters.
    pub(super) letters: usize,
    /// Whether words explain letters: `as in`.
    pub(super) explained: bool,
}

/// The spelling that begins at an item; letters are 0 if none does.
pub(super) fn from(stream: &Stream, first: usize) -> Spelling {
    let mut spelling = Spelling { items: Vec::new(), letters: 0, explained: false };
    let (mut at, mut between) = (first, 0);
    while at < stream.items.len() && at < first + LONGEST && (at == first || stream.joint(at) != Joint::Break) {
        let taken = letter(stream, at, &mut spelling);
        if taken > 0 {
            spelling.items.extend(at..at + taken);
            at += taken;
            between = 0;
            continue;
        }
        let goes_on = between < MAX_BETWEEN
            && spelling.letters > 0
            && stream.unit(at).is_some_and(|unit| {
                matches!(unit, Unit::Filler | Unit::Joiner | Unit::Correction)
                    || among!(" capital apostrophe space hyphen dash letter ", stream.word(at))
            });
        if !goes_on {
            break;
        }
        between += 1;
        at += 1;
    }
    spelling
}

/// How many items say the letter at an item, with the word that explains it.
fn letter(stream: &Stream, at: usize, spelling: &mut Spelling) -> usize {
    let same = |at: usize| stream.joint(at) != Joint::Break;
    if matches!(stream.unit(at), Some(Unit::Repeat(_))) && same(at + 1) && is_letter(stream, at + 1) {
        spelling.letters += 2;
        return 2;
    }
    if is_letter(stream, at) {
        spelling.letters += 1;
        let explains = |from: usize| same(from) && stream.unit(from).is_some_and(Unit::is_wordlike);
        return match (stream.word(at + 1), stream.word(at + 2)) {
            ("as", "in") if same(at + 1) && same(at + 2) && explains(at + 3) => {
                spelling.explained = true;
                4
            }
            ("for" | "like", word) if same(at + 1) && explains(at + 2) && begins_with(word, stream.word(at)) => {
                spelling.explained = true;
                3
            }
            (word, _) if same(at + 1) && ALPHABET.has(word) && begins_with(word, stream.word(at)) => {
                spelling.explained = true;
                2
            }
            _ => 1,
        };
    }
    let spoken = |at: usize| same(at) && ALPHABET.has(stream.word(at));
    if spoken(at) && (spelling.letters > 0 || (spoken(at + 1) && spoken(at + 2))) {
        spelling.letters += 1;
        return 1;
    }
    0
}

/// Whether a word stands for a letter in a spelling alphabet.
pub(super) fn is_alphabet(word: &str) -> bool {
    ALPHABET.has(word)
}

/// How many items behind a letter say which one is meant: `as in boy`, `for boy`, `boy`.
pub(super) fn explained(stream: &Stream, at: usize) -> usize {
    let mut spelling = Spelling { items: Vec::new(), letters: 0, explained: false };
    letter(stream, at, &mut spelling).saturating_sub(1)
}

fn is_letter(stream: &Stream, at: usize) -> bool {
    matches!(stream.unit(at), Some(Unit::Letter)) || stream.word(at) == "o"
}

fn begins_with(word: &str, letter: &str) -> bool {
    !letter.is_empty() && word.starts_with(letter)
}
