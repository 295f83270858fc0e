//! How far a track's audio is covered by finals that are stored.
//!
//! Promises: the mark never goes back, and never passes audio whose final is still on its way through the gate or the store.

use std::collections::VecDeque;

use crate::media::Offset;

/// Most finals of one track that may be on their way to the store; the gate holds at most 64 (redaction.md section 2).
const MAX_ON_THE_WAY: usize = 256;

/// The finals of one track on their way to the store, and the mark behind which everything is stored.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    waiting: VecDeque<Waiting>,
    mark: Offset,
}

#[derive(Debug)]
struct Waiting {
    segment: Option<String>,
    covers: Offset,
}

impl Coverage {
    /// Begins where an earlier life of the session left off.
    pub(super) fn from(mark: Offset) -> Self {
        Self { waiting: VecDeque::new(), mark }
    }

    /// A final of this segment covers audio up to `covers`, once it is stored.
    pub(super) fn expect(&mut self, segment: &str, covers: Offset) {
        debug_assert!(self.waiting.len() < MAX_ON_THE_WAY, "the gate bounds what it holds");
        self.waiting.push_back(Waiting { segment: Some(segment.to_owned()), covers });
    }

    /// Nothing was said up to `covers`, so nothing needs storing for it.
    pub(super) fn silent(&mut self, covers: Offset) {
        match self.waiting.back_mut() {
            Some(last) if last.segment.is_none() => last.covers = last.covers.max(covers),
            _ => self.waiting.push_back(Waiting { segment: None, covers }),
        }
    }

    /// Where the mark will be once `segment` is stored. `None` where that does not move it.
    pub(super) fn mark_with(&self, segment: Option<&str>) -> Option<Offset> {
        let done = self.waiting.iter().take_while(|waiting| waiting.segment.is_none() || waiting.segment.as_deref() == segment);
        done.map(|waiting| waiting.covers).max().filter(|mark| *mark > self.mark)
    }

    /// `segment` is stored, or nothing but silence is to be passed; gives the mark if it moved.
    pub(super) fn stored(&mut self, segment: Option<&str>) -> Option<Offset> {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| segment.is_some() && waiting.segment.as_deref() == segment)
        {
            waiting.segment = None;
        }
        let before = self.mark;
        while let Some(first) = self.waiting.pop_front_if(|first| first.segment.is_none()) {
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
        coverage.expect("a", Offset(100));
        coverage.silent(Offset(300));
        assert_eq!(coverage.stored(None), None, "a is still held");
        assert_eq!(coverage.mark_with(Some("a")), Some(Offset(300)));
        assert_eq!(coverage.stored(Some("a")), Some(Offset(300)));
    }

    #[test]
    fn the_mark_stops_before_the_first_final_that_is_not_stored() {
        let mut coverage = Coverage::default();
        coverage.expect("a", Offset(100));
        coverage.expect("b", Offset(200));
        assert_eq!(coverage.stored(Some("b")), None);
        assert_eq!(coverage.mark(), Offset(0));
        assert_eq!(coverage.stored(Some("a")), Some(Offset(200)));
    }

    #[test]
    fn the_mark_never_goes_back() {
        let mut coverage = Coverage::from(Offset(500));
        coverage.silent(Offset(400));
        assert_eq!(coverage.mark_with(None), None);
        assert_eq!(coverage.stored(None), None);
        assert_eq!(coverage.mark(), Offset(500));
    }
}
