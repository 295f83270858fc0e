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
const MAX_RUNS: usize = 16;
/// Finals of a connection whose interims may still come, behind them.
const MAX_TOLD: usize = 4;
/// Most words of a text that are compared.
const MAX_COMPARED: usize = 64;
/// An interim of fewer words may be a noise that the service thought better of.
const LEAST_WORDS: usize = 2;
/// The least voice in a stretch that is worth hearing it again, in milliseconds.
const LEAST_VOICE_MS: u64 = 600;
/// The same for a segment of [`SURE_WORDS`] that was shown before the final's own, some of which may have been told before.
const LEAST_SURE_MS: u64 = 300;
/// An interim of so many words is no noise.
const SURE_WORDS: usize = 3;
/// The same where some of the segment was told before.
const LEAST_REST_MS: u64 = 100;
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

    /// Whether some of it was told before: then it is no noise.
    fn is_partly_known(&self) -> bool {
        Words::of(&self.last.text).0.len() < self.words().0.len()
    }

    /// Its words were said before this.
    fn spoken_until(&self) -> Offset {
        Offset(self.first.0.saturating_sub(DECODING))
    }
}

/// What a final says about the segments that are open.
pub(super) struct Closing<'a> {
    pub(super) text: &'a Unredacted,
    pub(super) connection: u32,
    /// From its first to its last word; none where nothing says when.
    pub(super) span: Option<(Offset, Offset)>,
    /// Some of it was not told before.
    pub(super) is_new: bool,
}

/// The open segments of one link.
#[derive(Default)]
pub(super) struct Runs {
    /// Oldest first.
    open: VecDeque<Run>,
    /// The latest finals of this connection.
    told: VecDeque<Words>,
}

impl Runs {
    /// An interim came when the audio up to `sent` had been sent: what the service `said`, and what of it was new.
    pub(super) fn handle_interim(&mut self, said: Unredacted, heard: &Heard, sent: Offset) {
        self.open.retain(|run| run.last.connection == heard.connection);
        let words = Words::of(&said);
        if words.0.len() >= LEAST_WORDS && self.told.contains(&words) {
            // It was overtaken by its final.
            return;
        }
        let new = Run { first: sent, said, last: heard.clone(), upto: sent };
        match self.open.back_mut() {
            Some(run) if words.continues(&run.words()) => *run = Run { first: run.first, ..new },
            // One word alone is replaced, not kept beside what may be the same word heard better.
            Some(run) if run.words().0.len() < LEAST_WORDS => *run = new,
            _ => self.open.push_back(new),
        }
        self.open.drain(..self.open.len().saturating_sub(MAX_RUNS));
    }

    /// Takes the segments whose finals will not come: a final that begins at `from` says nothing of them, there is a voice behind what is `finalized` in
    /// front of it, and they were shown before what it says, or are too long ago to be behind it. `voice_ms` measures the voice between two points.
    pub(super) fn take_missed(
        &mut self,
        closing: &Closing<'_>,
        (finalized, from): (Offset, Offset),
        voice_ms: impl Fn(Offset, Offset) -> u64,
    ) -> Vec<Run> {
        let said = Words::of(closing.text);
        let heard_ms = voice_ms(finalized, from);
        if self.open.is_empty() || heard_ms < LEAST_REST_MS {
            return Vec::new();
        }
        let is_of_it = |run: &Run| run.last.connection == closing.connection;
        let is_begun = |run: &Run| is_of_it(run) && run.words().0.len() >= LEAST_WORDS && said.begins_with(&run.words());
        let own = self.open.iter().position(is_begun);
        let own = own.or_else(|| self.own(&said, closing, &voice_ms));
        let own_words = own.map_or(Words(Vec::new()), |own| self.open[own].words());
        let is_before = |at: usize, run: &Run| match (own, closing.span) {
            (Some(own), _) => at < own,
            (None, Some((_, end))) => run.first <= from || voice_ms(end, run.spoken_until()) < LEAST_VOICE_MS,
            (None, None) => run.first <= from,
        };
        let (mut missed, mut open) = (Vec::new(), VecDeque::new());
        for (at, run) in self.open.drain(..).enumerate() {
            let words = run.words();
            let least_ms = match words.0.len() {
                _ if run.is_partly_known() => LEAST_REST_MS,
                SURE_WORDS.. if own.is_some() => LEAST_SURE_MS,
                _ => LEAST_VOICE_MS,
            };
            let is_enough = heard_ms >= least_ms;
            match is_enough
                && is_of_it(&run)
                && words.0.len() >= LEAST_WORDS
                && is_before(at, &run)
                && !said.says_before(&words, &own_words)
            {
                true => missed.push(run),
                false => open.push_back(run),
            }
        }
        self.open = open;
        missed
    }

    /// The segment of which a final says most, the latest of several. One word may be in any final: shown long behind it, it is of it only if it is the
    /// first of something new.
    fn own(&self, said: &Words, closing: &Closing<'_>, voice_ms: impl Fn(Offset, Offset) -> u64) -> Option<usize> {
        let is_near = |run: &Run| closing.span.is_none_or(|(_, end)| voice_ms(end, run.spoken_until()) < LEAST_VOICE_MS);
        let is_told =
            |run: &Run, words: &Words| words.0.len() >= LEAST_WORDS || closing.is_new && said.begins_with(words) || is_near(run);
        let shown = self.open.iter().enumerate().map(|(at, run)| (at, run, run.words()));
        let of_it =
            shown.filter(|(_, run, words)| run.last.connection == closing.connection && said.says(words) && is_told(run, words));
        of_it.max_by_key(|(.., words)| said.common(words)).map(|(at, ..)| at)
    }

    /// Puts back what [`Runs::take_missed`] took.
    pub(super) fn put_back(&mut self, runs: Vec<Run>) {
        runs.into_iter().rev().for_each(|run| self.open.push_front(run));
    }

    /// A final came: what it says is not open any more, nor what was shown before that. A segment stays that was said after it in a voice of its
    /// own, which `voice_ms` measures; one word stays only behind such a segment, of which its final may say more.
    pub(super) fn close(&mut self, closing: &Closing<'_>, voice_ms: impl Fn(Offset, Offset) -> u64) {
        let said = Words::of(closing.text);
        let own = self.own(&said, closing, &voice_ms);
        self.open.drain(..own.map_or(0, |own| own + 1));
        let mut is_behind = false;
        self.open.retain(|run| {
            let Some((_, end)) = closing.span.filter(|_| run.last.connection == closing.connection) else { return false };
            let upto = Offset(run.upto.0.saturating_sub(DECODING));
            let is_shown = is_behind || run.words().0.len() >= LEAST_WORDS;
            is_behind = is_shown && voice_ms(end, upto) >= LEAST_VOICE_MS;
            is_behind
        });
    }

    /// A final came on this connection, and told this.
    pub(super) fn handle_told(&mut self, text: &Unredacted) {
        self.told.push_back(Words::of(text));
        self.told.drain(..self.told.len().saturating_sub(MAX_TOLD));
    }

    /// A new connection has told nothing yet.
    pub(super) fn handle_connected(&mut self) {
        self.told.clear();
    }

    /// What was being said turns out to be something that was told before.
    pub(super) fn withdraw(&mut self, said: &Unredacted) {
        self.open.pop_back_if(|run| Words::of(said).continues(&run.words()));
    }

    /// Forgets what is open.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    /// All but the one that is being said.
    pub(super) fn take_earlier(&mut self) -> Vec<Run> {
        let earlier = self.open.len().saturating_sub(1);
        self.open.drain(..earlier).collect()
    }

    /// Whether nothing is open.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

/// Words of a text as they are compared; wiped when dropped.
#[derive(PartialEq)]
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

    /// Whether these words, the last one maybe not to its end, are the first ones here.
    fn begins_with(&self, shown: &Self) -> bool {
        let Some((last, first)) = shown.0.split_last() else { return false };
        self.0.starts_with(first) && self.0.get(first.len()).is_some_and(|word| word.expose().starts_with(last.expose()))
    }

    /// Whether most of these words are among what is said here, in order.
    fn says(&self, shown: &Self) -> bool {
        self.common(shown) * 2 > shown.0.len()
    }

    /// As [`Words::says`], beside what is said of `next`, which was shown behind it.
    fn says_before(&self, shown: &Self, next: &Self) -> bool {
        let both = Self(shown.0.iter().chain(&next.0).cloned().collect());
        (self.common(&both) - self.common(next)) * 2 > shown.0.len()
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
        let closing = Closing { text: &text, connection: 0, span: Some((at(from), at(to))), is_new: true };
        let voice = |from: Offset, to: Offset| to.since(from) / 8;
        let missed = texts(runs.take_missed(&closing, (at(0), at(from)), voice));
        runs.close(&closing, |from, to| to.since(from) / 8);
        (texts(runs.open), missed)
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
            assert_eq!(shown(&interims).open.len(), 1, "{growing:?}");
        }
        assert_eq!(texts(shown(&[("I would like", 100), ("I think so too", 900)]).open), ["I would like", "I think so too"]);
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
    fn what_was_shown_before_the_finals_own_words_is_missing_however_late_it_was_shown() {
        let late = [("my number is five", 6_000), ("what is yours", 6_500)];
        assert_eq!(after(&late, "What is yours?", (3_000, 4_800)), (NONE, vec!["my number is five".to_owned()]));
        let alike = [("yellow coffee chair", 6_000), ("yellow candle", 6_300), ("yellow candle coffee morning", 6_500)];
        assert_eq!(after(&alike, "yellow candle coffee morning", (3_000, 4_800)).1, ["yellow coffee chair"]);
        // Shown once more behind what comes later, it is still the one that this final ends.
        let again = [("island chair mou", 6_000), ("train forest yellow", 6_300), ("island chair mountain", 6_500)];
        assert_eq!(after(&again, "island chair mountain", (3_000, 4_800)).1, NONE);
    }

    #[test]
    fn a_final_closes_no_segment_of_which_it_says_nothing_and_that_went_on_behind_it() {
        let interims = [("basket table", 2_500), ("basket table chair water", 4_000)];
        assert_eq!(after(&interims, "right river bridge", (400, 2_400)), (vec!["basket table chair water".to_owned()], NONE));
    }

    #[test]
    fn one_word_alone_shows_by_its_final_that_what_was_shown_before_it_is_missing() {
        let mut runs = shown(&[("bread bridge sure", 2_000), ("station bridge evening", 4_200), ("forest", 5_400)]);
        let voice = |from: Offset, to: Offset| to.since(from) / 8;
        let [first, second] = ["bread bridge sure island", "forest"].map(Unredacted::new);
        runs.close(&Closing { text: &first, connection: 0, span: Some((at(0), at(1_400))), is_new: true }, voice);
        let closing = Closing { text: &second, connection: 0, span: Some((at(3_200), at(3_600))), is_new: true };
        assert_eq!(texts(runs.take_missed(&closing, (at(1_400), at(3_200)), voice)), ["station bridge evening"]);
    }

    #[test]
    fn one_word_of_a_later_segment_does_not_make_a_final_that_segments() {
        let interims = [("paper sugar", 2_000), ("right stone winter yes", 4_000), ("sugar", 5_000)];
        let open = vec!["right stone winter yes".to_owned(), "sugar".to_owned()];
        assert_eq!(after(&interims, "paper sugar mountain chair", (400, 2_400)), (open, NONE));
    }

    #[test]
    fn one_word_shown_long_behind_a_final_that_has_it_too_is_not_of_it() {
        let interims = [("candle basket mountain", 4_000), ("cof", 8_000)];
        let open = vec!["candle basket mountain".to_owned(), "cof".to_owned()];
        assert_eq!(after(&interims, "blanket coffee market purple", (400, 1_800)), (open, NONE));
        assert_eq!(after(&[("cof", 1_200)], "coffee garden", (400, 1_400)), (NONE, NONE));
    }

    #[test]
    fn one_new_word_behind_words_that_were_told_is_missed() {
        let interims = [("mountain island basket ticket", 900), ("market river basket", 1_900)];
        let missed = vec!["mountain island basket ticket".to_owned()];
        assert_eq!(after(&interims, "market river basket", (400, 1_300)), (NONE, missed));
    }

    #[test]
    fn an_interim_that_its_final_overtook_opens_nothing() {
        let mut runs = Runs::default();
        runs.handle_told(&Unredacted::new("How are you?"));
        runs.handle_interim(Unredacted::new("how are you"), &heard("how are you", 0, 0), at(900));
        assert!(runs.is_empty());
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
        assert_eq!(shown(&interims).open.len(), MAX_RUNS);
    }
}
