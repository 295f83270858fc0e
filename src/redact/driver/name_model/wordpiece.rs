//! Text to the word pieces an uncased BERT was trained on, each with its place in the text.
//!
//! Promises: pure and total. The pieces are those of Hugging Face's `BertTokenizer` with lower-casing, except that no text is ever
//! read as one of the model's own marks (`[CLS]` said by a caller is three pieces of text); every range lies on character bounds
//! of the text; a word costs at most [`LONGEST_WORD`] pieces.

use std::collections::HashMap;
use std::iter::once;
use std::ops::Range;

use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

/// Characters after which a word is no longer cut but becomes the unknown piece, as in training.
pub(super) const LONGEST_WORD: usize = 100;
/// What marks a piece in the vocabulary that goes on with a word.
const GOES_ON: &str = "##";

/// The vocabulary, and the pieces that frame each run of the model.
pub(super) struct WordPiece {
    /// Pieces that begin a word.
    first: HashMap<Box<str>, i32>,
    /// Pieces that go on with one, without their [`GOES_ON`].
    later: HashMap<Box<str>, i32>,
    /// `[CLS]`, before every run.
    pub(super) begin: i32,
    /// `[SEP]`, after every run.
    pub(super) end: i32,
    unknown: i32,
}

/// A word, or a single punctuation mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Where it stands in the text, in bytes.
    pub(super) at: Range<usize>,
    /// The pieces it is cut into: never none.
    pub(super) pieces: Vec<i32>,
}

impl WordPiece {
    /// Reads a `vocab.txt`: a piece a line, its number that of the line from 0. `None` if one of the marks is missing.
    pub(super) fn new(vocabulary: &str) -> Option<Self> {
        let (mut first, mut later) = (HashMap::new(), HashMap::new());
        for (number, piece) in (0_i32..).zip(vocabulary.lines()) {
            match piece.strip_prefix(GOES_ON) {
                Some(rest) if !rest.is_empty() => later.insert(rest.into(), number),
                _ => first.insert(Box::from(piece), number),
            };
        }
        let mark = |name: &str| first.get(name).copied();
        let (begin, end, unknown) = (mark("[CLS]")?, mark("[SEP]")?, mark("[UNK]")?);
        Some(Self { first, later, begin, end, unknown })
    }

    /// How many pieces the vocabulary has.
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.later.len()
    }

    /// The words of a text in their order.
    pub(super) fn words(&self, text: &str) -> Vec<Word> {
        let split = split(text);
        split.into_iter().map(|Plain { at, letters }| Word { at, pieces: self.pieces(&letters) }).collect()
    }

    /// Cuts a word into the longest pieces there are, from its start; one unknown piece if that leads nowhere.
    fn pieces(&self, word: &str) -> Vec<i32> {
        if word.chars().count() > LONGEST_WORD {
            return vec![self.unknown];
        }
        let (mut pieces, mut rest) = (Vec::new(), word);
        while !rest.is_empty() {
            let known = if pieces.is_empty() { &self.first } else { &self.later };
            let mut ends = rest.char_indices().map(|(at, letter)| at + letter.len_utf8()).rev();
            let Some((end, piece)) = ends.find_map(|end| known.get(&rest[..end]).map(|piece| (end, *piece))) else {
                return vec![self.unknown];
            };
            pieces.push(piece);
            rest = &rest[end..];
        }
        pieces
    }
}

/// A word in lower case and without accents, with its place in the text as it was.
struct Plain {
    at: Range<usize>,
    letters: String,
}

/// Splits at white space, and around every punctuation mark and Han character.
fn split(text: &str) -> Vec<Plain> {
    let mut words: Vec<Plain> = Vec::new();
    let mut open = false;
    for (start, letter) in text.char_indices() {
        let end = start + letter.len_utf8();
        for part in apart(letter) {
            let kind = kind(part);
            match (kind, words.last_mut().filter(|_| open)) {
                (Kind::Letter, Some(word)) => {
                    word.letters.push(part);
                    word.at.end = end;
                }
                (Kind::Letter | Kind::Alone, _) => words.push(Plain { at: start..end, letters: part.into() }),
                (Kind::Nothing, Some(word)) => word.at.end = end,
                (Kind::Nothing | Kind::Space, _) => {}
            }
            open = kind == Kind::Letter || (open && kind == Kind::Nothing);
        }
    }
    words
}

/// What a character does to the word it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Goes on with the word, or begins one.
    Letter,
    /// Punctuation and Han characters are words of their own.
    Alone,
    /// Ends the word.
    Space,
    /// Accents and control characters are as if they were not there.
    Nothing,
}

fn kind(letter: char) -> Kind {
    match letter {
        'a'..='z' | '0'..='9' => return Kind::Letter,
        ' ' | '\t' | '\n' | '\r' => return Kind::Space,
        '\0' | '\u{fffd}' => return Kind::Nothing,
        _ if letter.is_ascii_punctuation() || is_han(letter) => return Kind::Alone,
        _ => {}
    }
    match CodePointMapData::<GeneralCategory>::new().get(letter) {
        GeneralCategory::NonspacingMark | GeneralCategory::Control | GeneralCategory::Format | GeneralCategory::PrivateUse => {
            Kind::Nothing
        }
        _ if letter.is_whitespace() => Kind::Space,
        category if GeneralCategoryGroup::Punctuation.contains(category) => Kind::Alone,
        _ => Kind::Letter,
    }
}

/// A character with its accents taken apart, in lower case.
fn apart(letter: char) -> impl Iterator<Item = char> {
    const APART: DecomposingNormalizerBorrowed<'static> = DecomposingNormalizerBorrowed::new_nfd();
    APART.normalize_iter(once(letter)).flat_map(char::to_lowercase)
}

/// The Han blocks that BERT takes character by character.
fn is_han(letter: char) -> bool {
    matches!(letter, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2a6df}'
        | '\u{2a700}'..='\u{2ceaf}' | '\u{2f800}'..='\u{2fa1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_into_the_longest_pieces() {
        let words = pieces().words("Naïve un-known");
        assert_eq!(words[0], Word { at: 0..6, pieces: vec![3, 4] });
        assert_eq!(words[1], Word { at: 7..9, pieces: vec![2] });
        assert_eq!(words[2], Word { at: 9..10, pieces: vec![5] });
        assert_eq!(words.len(), 4);
    }

    #[test]
    fn an_accent_that_follows_its_letter_belongs_to_the_word() {
        assert_eq!(pieces().words("nai\u{308}ve!")[0], Word { at: 0..7, pieces: vec![3, 4] });
    }

    #[test]
    fn marks_of_the_model_are_not_read_from_text() {
        let words = pieces().words("[CLS]");
        assert!(words.iter().all(|word| word.pieces == [2]));
        assert_eq!(words.len(), 3);
    }

    #[test]
    fn a_vocabulary_without_the_marks_is_none() {
        assert!(WordPiece::new("[CLS]\n[SEP]\na").is_none());
    }

    #[test]
    fn a_long_word_is_one_unknown_piece() {
        let long = "nai".repeat(LONGEST_WORD);
        assert_eq!(pieces().words(&long), [Word { at: 0..300, pieces: vec![2] }]);
    }

    fn pieces() -> WordPiece {
        WordPiece::new("[CLS]\n[SEP]\n[UNK]\nnai\n##ve\n-\n").expect("the marks are there")
    }
}
