//! How far a track's audio is covered by what is stored: finals, and gaps that say that there will be none.
//!
//! Promises: the mark never goes back, and never passes audio whose final or gap is still on its way through the gate or the store.

use std::collections::VecDeque;

use crate::{media::Offset, segment::TrackKey};

/// Most finals of one track that may be on their way to the store; the gate holds at most 64 (redaction.md section 2).
const MAX_ON_THE_WAY: usize = 256;

/// Counts the gaps of one session for which a mark waits.
pub(super) type GapNumber = (TrackKey, u64);

/// What has to be stored before a mark passes its audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// The final of this segment.
    Final(String),
    /// The gap of this number.
    Gap(u64),
}

/// The words of one track on their way to the store, and the mark behind which everything is stored.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    waiting: VecDeque<Waiting>,
    mark: Offset,
}

#[derive(Debug)]
struct Waiting {
    /// None once it is stored, and for silence.
    word: Option<Word>,
    covers: Offset,
}

impl Coverage {
    /// Begins where an earlier life of the session left off.
    pub(super) fn from(mark: Offset) -> Self {
        Self { waiting: VecDeque::new(), mark }
    }

    /// This covers audio up to `covers`, once it is stored.
    pub(super) fn expect(&mut self, word: Word, covers: Offset) {
        debug_assert!(self.waiting.len() < MAX_ON_THE_WAY, "the gate bounds what it holds");
        self.waiting.push_back(Waiting { word: Some(word), covers });
    }

    /// Nothing was said up to `covers`, so nothing needs storing for it.
    pub(super) fn silent(&mut self, covers: Offset) {
        match self.waiting.back_mut() {
            Some(last) if last.word.is_none() => last.covers = last.covers.max(covers),
            _ => self.waiting.push_back(Waiting { word: None, covers }),
        }
    }

    /// Where the mark will be once `word` is stored. `None` where that does not move it.
    pub(super) fn mark_with(&self, word: Option<&Word>) -> Option<Offset> {
        let done = self.waiting.iter().take_while(|waiting| waiting.word.is_none() || waiting.word.as_ref() == word);
        done.map(|waiting| waiting.covers).max().filter(|mark| *mark > self.mark)
    }

    /// `word` is stored, or nothing but silence is to be passed; gives the mark if it moved.
    pub(super) fn stored(&mut self, word: Option<&Word>) -> Option<Offset> {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| word.is_some() && waiting.word.as_ref() == word) {
            waiting.word = None;
        }
        let before = self.mark;
        while let Some(first) = self.waiting.pop_front_if(|first| first.word.is_none()) {
            self.mark = self.mark.max(first.covers);
        }
        (self.mark > before).then_some(self.mark)
    }

    /// Audio before this needs no further transcript.
    pub(super) fn mark(&self) -> Offset {
        self.mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_behind_a_held_final_waits_for_it() {
        let mut coverage = Coverage::default();
        coverage.expect(last("a"), Offset(100));
        coverage.silent(Offset(300));
        assert_eq!(coverage.stored(None), None, "a is still held");
        assert_eq!(coverage.mark_with(Some(&last("a"))), Some(Offset(300)));
        assert_eq!(coverage.stored(Some(&last("a"))), Some(Offset(300)));
    }

    #[test]
    fn the_mark_stops_before_the_first_final_that_is_not_stored() {
        let mut coverage = Coverage::default();
        coverage.expect(last("a"), Offset(100));
        coverage.expect(last("b"), Offset(200));
        assert_eq!(coverage.stored(Some(&last("b"))), None);
        assert_eq!(coverage.mark(), Offset(0));
        assert_eq!(coverage.stored(Some(&last("a"))), Some(Offset(200)));
    }

    #[test]
    fn a_stored_gap_moves_the_mark_but_not_past_a_final_that_is_held_before_it() {
        let mut coverage = Coverage::default();
        coverage.expect(last("a"), Offset(100));
        coverage.expect(Word::Gap(7), Offset(500));
        assert_eq!((coverage.mark_with(Some(&Word::Gap(7))), coverage.stored(Some(&Word::Gap(7)))), (None, None));
        assert_eq!(coverage.stored(Some(&last("a"))), Some(Offset(500)));
        coverage.expect(Word::Gap(8), Offset(900));
        assert_eq!(coverage.mark_with(Some(&Word::Gap(8))), Some(Offset(900)));
        assert_eq!(coverage.stored(Some(&Word::Gap(8))), Some(Offset(900)));
    }

    #[test]
    fn the_mark_never_goes_back() {
        let mut coverage = Coverage::from(Offset(500));
        coverage.silent(Offset(400));
        assert_eq!(coverage.mark_with(None), None);
        assert_eq!(coverage.stored(None), None);
        assert_eq!(coverage.mark(), Offset(500));
    }

    fn last(segment: &str) -> Word {
        Word::Final(segment.to_owned())
    }
}
