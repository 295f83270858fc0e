//! Words that finals have told, to know them when audio that is sent again brings them again.
//!
//! Promises: a word is known by time and text. Well before the point up to which finals covered the audio the time alone says so; at that
//! point, where the service's times waver and a final may have been cut inside a word, the text decides. Each word is known again once on a
//! connection. At most [`MAX_WORDS`] are remembered, and beside them those whose audio is kept for a voice.

use std::collections::VecDeque;

use crate::{
    media::{Offset, ms_to_bytes},
    pii::Unredacted,
};

/// Words remembered whatever becomes of their audio: more than two minutes of quick speech.
const MAX_WORDS: usize = 400;
/// Two connections say of one word that it was at most so far apart, in bytes: each may be 40 ms wrong, and a cut takes some of it.
const WAVER: u64 = ms_to_bytes(80);
/// A word of the same text whose beginning or end is at most so far away is the same word, in bytes.
const SAME: u64 = ms_to_bytes(120);

/// What remains of a word that a final told.
struct Told {
    start: Offset,
    end: Offset,
    /// As [`letters`] gives them.
    letters: Unredacted,
    voice: Option<u32>,
    /// On which connection it was told.
    connection: u32,
    /// The current connection is sent its audio again, and has not said it.
    awaited: bool,
}

/// A word with its place on the track.
#[derive(Clone, Copy)]
pub(super) struct Spoken<'a> {
    pub(super) text: &'a Unredacted,
    pub(super) start: Offset,
    pub(super) end: Offset,
    pub(super) voice: Option<u32>,
}

impl Spoken<'_> {
    fn middle(&self) -> Offset {
        Offset(self.start.0.midpoint(self.end.0))
    }
}

/// Whether a word is one that was told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    New,
    Known,
    /// As above, and it was this voice for so many bytes.
    KnownFrom(u32, u64),
    /// So many of its first letters and digits were told.
    Rest(usize),
}

/// The words of one link.
#[derive(Default)]
pub(super) struct Recall {
    words: VecDeque<Told>,
    /// Where the last of what was told ended.
    until: Offset,
}

impl Recall {
    /// A final told these words. Of those that are too many, the ones in audio that `is_kept` stay.
    pub(super) fn tell<'a>(
        &mut self,
        words: impl Iterator<Item = Spoken<'a>>,
        connection: u32,
        is_kept: impl Fn(Offset) -> bool,
    ) {
        for word in words {
            self.until = self.until.max(word.end);
            let letters = Unredacted::new(letters(word.text.expose()));
            let is_double = |told: &Told| told.start == word.start && told.end == word.end && told.letters == letters;
            if letters.is_blank() || self.words.iter().any(is_double) {
                continue;
            }
            let Spoken { start, end, voice, .. } = word;
            self.words.push_back(Told { start, end, letters, voice, connection, awaited: false });
        }
        let mut more = self.words.len().saturating_sub(MAX_WORDS);
        self.words.retain(|told| {
            let goes = more > 0 && !is_kept(told.middle());
            more -= usize::from(goes);
            !goes
        });
    }

    /// A new connection is sent this audio again.
    pub(super) fn handle_connected(&mut self, is_sent_again: impl Fn(Offset) -> bool) {
        self.words.iter_mut().for_each(|told| told.awaited = is_sent_again(told.middle()));
        self.words.make_contiguous().sort_by_key(|told| told.start);
    }

    /// Whether a word that `connection` heard was told on one before, when finals covered the audio up to `known`.
    pub(super) fn judge(&mut self, word: &Spoken<'_>, connection: u32, known: Offset) -> Verdict {
        if word.start >= known.plus(SAME) && self.words.iter().all(|told| !told.awaited) {
            return Verdict::New;
        }
        let letters = Unredacted::new(letters(word.text.expose()));
        let mut before: Vec<&mut Told> = self.words.iter_mut().filter(|told| told.connection < connection).collect();
        let same = before.iter_mut().find(|told| told.awaited && told.letters == letters && told.is_at(word));
        if let Some(told) = same {
            told.awaited = false;
            return told.voice.map_or(Verdict::Known, |voice| Verdict::KnownFrom(voice, told.end.since(told.start).max(1)));
        }
        if word.end.plus(WAVER) <= known {
            return Verdict::Known;
        }
        if let Some(verdict) = before.iter_mut().find_map(|told| told.part_of(&letters, word, known)) {
            return verdict;
        }
        let overlap = |told: &Told| told.end.min(word.end).since(told.start.max(word.start));
        let is_other = word.start.plus(WAVER) >= known || before.iter().map(|told| overlap(told)).all(|bytes| bytes <= WAVER);
        if is_other || word.middle() >= known { Verdict::New } else { Verdict::Known }
    }

    /// The service has got to this point: it will not say any more what was told before it.
    pub(super) fn pass(&mut self, to: Offset) {
        self.words.iter_mut().filter(|told| told.middle() < to).for_each(|told| told.awaited = false);
    }

    /// Letters and digits of the words that may come again, in order.
    pub(super) fn awaited(&self) -> impl Iterator<Item = &Unredacted> {
        self.words.iter().filter(|told| told.awaited).map(|told| &told.letters)
    }

    /// Where the last of what was told ended.
    pub(super) const fn until(&self) -> Offset {
        self.until
    }
}

impl Told {
    fn middle(&self) -> Offset {
        Offset(self.start.0.midpoint(self.end.0))
    }

    /// Whether a word lies where this one did.
    fn is_at(&self, word: &Spoken<'_>) -> bool {
        let either = self.start.0.abs_diff(word.start.0).min(self.end.0.abs_diff(word.end.0));
        let overlap = self.end.min(word.end).since(self.start.max(word.start));
        let shorter = self.end.since(self.start).min(word.end.since(word.start));
        either <= SAME && overlap * 3 >= shorter && word.start < self.end.plus(SAME) && self.start < word.end.plus(SAME)
    }

    /// One was cut in two where the other was not, at the end of what is known: the part that is known, or is not.
    fn part_of(&self, letters: &Unredacted, word: &Spoken<'_>, known: Offset) -> Option<Verdict> {
        let (told, heard) = (self.letters.expose(), letters.expose());
        let is_last = self.end.plus(SAME) >= known;
        let grows = is_last && heard.len() > told.len() && heard.starts_with(told) && word.end > known.plus(WAVER);
        if grows && self.start.0.abs_diff(word.start.0) <= SAME {
            return Some(Verdict::Rest(told.chars().count()));
        }
        let lies_within = word.start.plus(WAVER) >= self.start && word.end <= self.end.plus(WAVER);
        (is_last && !heard.is_empty() && heard.len() < told.len() && told.ends_with(heard) && lies_within && self.awaited)
            .then_some(Verdict::Known)
    }
}

/// What makes two words the same: letters and digits in lower case.
pub(super) fn letters(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What is behind so many letters and digits of a word.
pub(super) fn rest(word: &str, mut known: usize) -> &str {
    word.trim().trim_start_matches(|c: char| {
        let is_known = known > 0;
        known -= usize::from(is_known && c.is_alphanumeric());
        is_known
    })
}

/// Whether an interim says nothing but words that were `told`: its last one may be cut short, by the interim or by the end of a piece of audio.
pub(super) fn is_part<'a>(told: impl Iterator<Item = &'a Unredacted>, said: &Unredacted) -> bool {
    let told: Vec<&str> = told.map(Unredacted::expose).collect();
    let heard: Vec<String> = said.expose().split_whitespace().map(letters).collect();
    let Some((last, before)) = heard.split_last().filter(|(last, _)| !last.is_empty()) else { return false };
    told.windows(heard.len()).any(|known| known[..before.len()] == *before && known[before.len()].starts_with(last.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two connections: words as (text, from, to) in milliseconds that the first told, covered up to `known`, all of it sent again from
    /// `from`; and what the second makes of its words.
    fn verdicts(told: &[(&str, u64, u64)], (from, known): (u64, u64), heard: &[(&str, u64, u64)]) -> Vec<Verdict> {
        let texts: Vec<Unredacted> = told.iter().chain(heard).map(|(text, ..)| Unredacted::new(*text)).collect();
        let words = told.iter().chain(heard).zip(&texts);
        let mut words =
            words.map(|((_, start, end), text)| Spoken { text, start: Offset(start * 8), end: Offset(end * 8), voice: Some(4) });
        let mut recall = Recall::default();
        recall.tell(words.by_ref().take(told.len()), 0, |_| false);
        recall.handle_connected(|at| at.0 >= from * 8);
        words.map(|word| recall.judge(&word, 1, Offset(known * 8))).collect()
    }

    const fn again(ms: u64) -> Verdict {
        Verdict::KnownFrom(4, ms * 8)
    }

    #[test]
    fn words_of_audio_that_was_covered_are_known_whatever_they_sound_like_now() {
        let told = [("one", 500, 900), ("two", 1_000, 1_400)];
        assert_eq!(
            verdicts(&told, (0, 1_400), &[("One,", 460, 940), ("too", 1_000, 1_300), ("three", 1_500, 1_900)]),
            [again(400), Verdict::Known, Verdict::New]
        );
    }

    #[test]
    fn a_short_word_at_the_border_is_known_by_its_text_and_another_one_is_not() {
        let told = [("is", 1_000, 1_300), ("a", 1_340, 1_400)];
        assert_eq!(verdicts(&told, (0, 1_400), &[("a", 1_380, 1_440)]), [again(60)], "40 ms late");
        assert_eq!(
            verdicts(&told, (0, 1_400), &[("a", 1_340, 1_400), ("I", 1_360, 1_420)]),
            [again(60), Verdict::New],
            "40 ms early"
        );
    }

    #[test]
    fn a_word_said_twice_at_the_border_is_known_once() {
        let told = [("no", 1_300, 1_400)];
        assert_eq!(verdicts(&told, (0, 1_400), &[("no", 1_300, 1_400), ("no", 1_410, 1_500)]), [again(100), Verdict::New]);
        assert_eq!(
            verdicts(&told, (1_400, 1_400), &[("no", 1_410, 1_500)]),
            [Verdict::New],
            "the first one's audio is not sent again"
        );
    }

    #[test]
    fn the_same_word_right_behind_the_border_is_another_one() {
        let told = [("winter", 1_000, 1_220)];
        assert_eq!(verdicts(&told, (0, 1_220), &[("winter", 1_225, 1_335)]), [Verdict::New], "they hardly lie over each other");
    }

    #[test]
    fn of_a_word_that_a_final_cut_in_two_the_rest_is_new() {
        let told = [("say", 800, 1_000), ("hel", 1_000, 1_200)];
        assert_eq!(
            verdicts(&told, (0, 1_200), &[("say", 800, 1_000), ("Hello", 1_010, 1_400)]),
            [again(200), Verdict::Rest(3)],
            "its middle lies before the border"
        );
        assert_eq!(verdicts(&told, (0, 1_200), &[("hello", 1_010, 1_250)]), [Verdict::Known], "no time for more");
        assert_eq!([rest("Hello,", 3), rest(" (hel)lo", 3), rest("hé", 1), rest("a", 9)], ["lo,", ")lo", "é", ""]);
    }

    #[test]
    fn of_a_word_that_was_whole_neither_part_is_new() {
        assert_eq!(
            verdicts(&[("hello", 1_000, 1_400)], (0, 1_400), &[("hel", 1_000, 1_200), ("lo", 1_200, 1_480)]),
            [Verdict::Known, Verdict::Known]
        );
    }

    #[test]
    fn a_word_over_the_border_that_nobody_told_is_new() {
        assert_eq!(verdicts(&[("one", 200, 400)], (0, 1_000), &[("two", 700, 1_100)]), [Verdict::New]);
        assert_eq!(
            verdicts(&[("one", 200, 400)], (0, 1_000), &[("two", 500, 800)]),
            [Verdict::Known],
            "well before it it is not"
        );
    }

    #[test]
    fn what_was_passed_does_not_come_any_more() {
        let text = Unredacted::new("yes");
        let yes = |ms: u64| Spoken { text: &text, start: Offset(ms * 8), end: Offset(ms * 8 + 1_600), voice: None };
        let mut recall = Recall::default();
        recall.tell([yes(100), yes(900)].into_iter(), 0, |_| false);
        recall.handle_connected(|_| true);
        recall.pass(Offset(500 * 8));
        assert_eq!((recall.awaited().count(), recall.until()), (1, Offset(1_100 * 8)));
    }

    #[test]
    fn memory_is_bounded_but_words_of_kept_audio_stay() {
        let text = Unredacted::new("word");
        let word = |n: u64| Spoken { text: &text, start: Offset(n * 800), end: Offset(n * 800 + 400), voice: None };
        let mut recall = Recall::default();
        for n in 0..10_000 {
            recall.tell(std::iter::once(word(n)), 0, |middle| middle.0 < 2_000);
        }
        assert_eq!(recall.words.len(), MAX_WORDS);
        assert_eq!(recall.words[0].start, Offset(0));
    }

    #[test]
    fn an_interim_that_ends_inside_a_word_that_was_told_says_nothing_new() {
        let told = ["blanket", "maybe", "music"].map(Unredacted::new);
        let is_part = |said: &&str| is_part(told.iter(), &Unredacted::new(*said));
        assert!(["may", "Maybe mus", "blanket maybe music"].iter().all(is_part));
        assert!(!["mus may", "maybe muse", "may music", "", "maybe music x"].iter().any(is_part));
    }
}
