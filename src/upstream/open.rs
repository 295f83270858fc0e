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
mod tests;
