//! What is being said: interims that no final has replaced, one run of them for each segment.
//!
//! Promises: what an interim showed is not forgotten until a final says it, or shows by its time and its text that no final will; at
//! most [`MAX_RUNS`] segments are open.

use std::collections::VecDeque;

use super::recall::letters;
use crate::{
    media::{Offset, ms_to_bytes},
    pii::Unredacted,
    segment::Heard,
};

/// Most segments without a final; the oldest goes first.
const MAX_RUNS: usize = 4;
/// Most words of a text that are compared.
const MAX_COMPARED: usize = 64;
/// An interim of fewer words may be a noise that the service thought better of.
const LEAST_WORDS: usize = 2;
/// The least voice in a stretch that is worth hearing it again, in milliseconds.
pub(super) const LEAST_VOICE_MS: u64 = 600;
/// What was spoken so shortly before an interim came is not in it, in bytes: the service decodes it first.
const DECODING: u64 = ms_to_bytes(600);

/// One segment as far as interims have shown it.
#[derive(Clone)]
pub(super) struct Run {
    /// What had been sent when its first interim came: its words lie before that.
    first: Offset,
    /// Its last interim as the service said it.
    said: Unredacted,
    /// What was new in it, and what had been sent then.
    pub(super) last: Heard,
    pub(super) upto: Offset,
}

impl Run {
    fn words(&self) -> Words {
        Words::of(&self.said)
    }
}

/// What a final says about the segments that are open.
pub(super) struct Closing<'a> {
    pub(super) text: &'a Unredacted,
    pub(super) connection: u32,
    /// From its first to its last word; none where nothing says when.
    pub(super) span: Option<(Offset, Offset)>,
}

/// The open segments of one link, oldest first.
#[derive(Default)]
pub(super) struct Runs(VecDeque<Run>);

impl Runs {
    /// An interim came when the audio up to `sent` had been sent: what the service `said`, and what of it was new.
    pub(super) fn handle_interim(&mut self, said: Unredacted, heard: &Heard, sent: Offset) {
        self.0.retain(|run| run.last.connection == heard.connection);
        let words = Words::of(&said);
        let new = Run { first: sent, said, last: heard.clone(), upto: sent };
        match self.0.back_mut() {
            Some(run) if words.continues(&run.words()) => *run = Run { first: run.first, ..new },
            // One word alone is replaced, not kept beside what may be the same word heard better.
            Some(run) if run.words().0.len() < LEAST_WORDS => *run = new,
            _ => self.0.push_back(new),
        }
        self.0.drain(..self.0.len().saturating_sub(MAX_RUNS));
    }

    /// Takes the segments that were over before `from` and that a final which begins there says nothing of: theirs will not come.
    pub(super) fn take_missed(&mut self, closing: &Closing<'_>, from: Offset) -> Vec<Run> {
        let said = Words::of(closing.text);
        let is_missed = |run: &&Run| {
            let words = run.words();
            run.last.connection == closing.connection && run.first <= from && words.0.len() >= LEAST_WORDS && !said.says(&words)
        };
        let missed = self.0.iter().take_while(is_missed).count();
        self.0.drain(..missed).collect()
    }

    /// Puts back what [`Runs::take_missed`] took.
    pub(super) fn put_back(&mut self, runs: Vec<Run>) {
        runs.into_iter().rev().for_each(|run| self.0.push_front(run));
    }

    /// A final came: what it says is not open any more. A segment stays that began after it in a voice of its own, which `voice_ms` measures.
    pub(super) fn close(&mut self, closing: &Closing<'_>, voice_ms: impl Fn(Offset, Offset) -> u64) {
        let said = Words::of(closing.text);
        let stays = |run: &Run| {
            let Some((_, end)) = closing.span.filter(|_| run.last.connection == closing.connection) else { return false };
            let words = run.words();
            let spoken_until = Offset(run.first.0.saturating_sub(DECODING));
            words.0.len() >= LEAST_WORDS && !said.says(&words) && voice_ms(end, spoken_until) >= LEAST_VOICE_MS
        };
        let closed = self.0.iter().skip(1).take_while(|run| !stays(run)).count() + 1;
        self.0.drain(..closed.min(self.0.len()));
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// All but the one that is being said.
    pub(super) fn take_earlier(&mut self) -> Vec<Run> {
        let earlier = self.0.len().saturating_sub(1);
        self.0.drain(..earlier).collect()
    }

    /// Whether nothing is open.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Words of a text as they are compared; wiped when dropped.
struct Words(Vec<Unredacted>);

impl Words {
    fn of(text: &Unredacted) -> Self {
        let words = text.expose().split_whitespace().map(letters).filter(|word| !word.is_empty());
        Self(words.take(MAX_COMPARED).map(Unredacted::new).collect())
    }

    /// Whether this is `before`, said on: at least half of the shorter one, in order. `before` may end inside a word.
    fn continues(&self, before: &Self) -> bool {
        let common = self.common(before);
        let (len, before) = (self.0.len(), before.0.len());
        common * 2 >= before.max(1) || (common == len && len * 2 >= before)
    }

    /// Whether most of these words are among what is said here, in order.
    fn says(&self, shown: &Self) -> bool {
        self.common(shown) * 2 > shown.0.len()
    }

    /// The longest run of words of `other`, holes allowed, that is here in the same order.
    fn common(&self, other: &Self) -> usize {
        let mut row = vec![0_usize; self.0.len() + 1];
        for (n, theirs) in other.0.iter().enumerate() {
            let is_last = n + 1 == other.0.len();
            let mut diagonal = 0;
            for (at, ours) in self.0.iter().enumerate() {
                let is_same = ours == theirs || is_last && ours.expose().starts_with(theirs.expose());
                let best = if is_same { diagonal + 1 } else { row[at].max(row[at + 1]) };
                diagonal = std::mem::replace(&mut row[at + 1], best);
            }
        }
        row.last().copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::tests::heard;

    fn at(ms: u64) -> Offset {
        Offset(ms * 8)
    }

    /// Interims as (text, ms of audio sent).
    fn shown(interims: &[(&str, u64)]) -> Runs {
        let mut runs = Runs::default();
        interims.iter().for_each(|(text, sent)| runs.handle_interim(Unredacted::new(*text), &heard(text, 0, 0), at(*sent)));
        runs
    }

    fn texts(runs: impl IntoIterator<Item = Run>) -> Vec<String> {
        runs.into_iter().map(|run| run.last.text.expose().to_owned()).collect()
    }

    /// What is open behind a final of this text between these milliseconds, and what it shows to be missed.
    fn after(interims: &[(&str, u64)], text: &str, (from, to): (u64, u64)) -> (Vec<String>, Vec<String>) {
        let mut runs = shown(interims);
        let text = Unredacted::new(text);
        let closing = Closing { text: &text, connection: 0, span: Some((at(from), at(to))) };
        let missed = texts(runs.take_missed(&closing, at(from)));
        runs.close(&closing, |from, to| to.since(from) / 8);
        (texts(runs.0), missed)
    }

    const NONE: Vec<String> = Vec::new();

    #[test]
    fn interims_that_grow_or_change_a_word_are_one_segment() {
        for growing in [
            &["i wou", "i would like", "I'd would like to cha"][..],
            &["hello", "hello there"],
            &["yell", "hello there"],
            &["two tree", "two three four"],
            &["how are you doing", "how are"],
        ] {
            let interims: Vec<(&str, u64)> = growing.iter().map(|text| (*text, 100)).collect();
            assert_eq!(shown(&interims).0.len(), 1, "{growing:?}");
        }
        assert_eq!(texts(shown(&[("I would like", 100), ("I think so too", 900)]).0), ["I would like", "I think so too"]);
    }

    #[test]
    fn the_final_of_a_segment_closes_it() {
        let interims = [("my number", 1_000), ("my number is five two", 2_000)];
        assert_eq!(after(&interims, "My number is 52.", (400, 1_800)), (NONE, NONE));
        assert_eq!(after(&interims, "[PHONENUMBER_1]", (400, 1_800)), (NONE, NONE), "its time says so whatever its words");
    }

    #[test]
    fn a_final_that_begins_behind_the_first_interim_of_other_words_is_not_its_final() {
        let interims = [("my number is", 1_000), ("what is", 4_000)];
        assert_eq!(after(&interims, "What is yours?", (3_500, 4_200)), (NONE, vec!["my number is".to_owned()]));
        assert_eq!(after(&[("my number is", 1_000)], "What is yours?", (3_500, 4_200)).1, ["my number is"]);
    }

    #[test]
    fn odd_times_alone_make_no_final_a_missing_one() {
        assert_eq!(after(&[("my number is", 1_000)], "My number is five.", (2_000, 2_500)), (NONE, NONE));
        assert_eq!(after(&[("hm", 1_000)], "What is yours?", (2_000, 2_500)).1, NONE, "one word may have been a noise");
    }

    #[test]
    fn a_late_final_leaves_the_next_segment_open() {
        let interims = [("my number is", 1_000), ("what is", 5_000)];
        assert_eq!(after(&interims, "My number is five two.", (400, 2_800)), (vec!["what is".to_owned()], NONE));
        let revised = [("eight people", 1_000), ("a table for two", 2_800)];
        assert_eq!(after(&revised, "A table for two people", (400, 2_800)), (NONE, NONE), "heard better, not another one");
    }

    #[test]
    fn open_segments_are_bounded() {
        let texts: Vec<String> = (0..100).map(|n| format!("a{n} b{n} c{n}")).collect();
        let interims: Vec<(&str, u64)> = texts.iter().map(|text| (text.as_str(), 100)).collect();
        assert_eq!(shown(&interims).0.len(), MAX_RUNS);
    }
}
