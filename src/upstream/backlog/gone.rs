//! Stretches of a track that neither memory nor the spool has.
//!
//! Promises: each byte is in one stretch at most; each stretch is told once; there are at most [`MOST`].

use std::collections::VecDeque;

use crate::media::{GapReason, Offset};

/// Most stretches told one by one; further ones are told as one with what lies before them.
const MOST: usize = 64;

/// See the module's promises.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// By offset; no two of them touch.
    ranges: VecDeque<(Offset, Offset)>,
    untold: VecDeque<(Offset, Offset, GapReason)>,
}

impl Gone {
    /// Nobody will ever send this.
    pub(super) fn lose(&mut self, mut from: Offset, mut to: Offset, reason: GapReason) {
        if self.ranges.len() >= MOST {
            from = self.ranges.iter().map(|range| range.1).filter(|end| *end <= from).max().unwrap_or(from);
        }
        self.untold.extend(self.rest_between(from, to).into_iter().map(|(from, to)| (from, to, reason)));
        let first = self.ranges.partition_point(|range| range.1 < from);
        while let Some(range) = self.ranges.get(first).copied().filter(|range| range.0 <= to) {
            (from, to) = (from.min(range.0), to.max(range.1));
            self.ranges.remove(first);
        }
        self.ranges.insert(first, (from, to));
    }

    /// The next stretch that nobody was told of, and why it is gone.
    pub(super) fn take_untold(&mut self) -> Option<(Offset, Offset, GapReason)> {
        self.untold.pop_front()
    }

    /// This point, or behind the stretch that holds it.
    pub(super) fn behind(&self, at: Offset) -> Offset {
        let next = self.ranges.partition_point(|range| range.1 <= at);
        self.ranges.get(next).filter(|range| range.0 <= at).map_or(at, |range| range.1)
    }

    /// Bytes of it between these points.
    pub(super) fn bytes_between(&self, from: Offset, to: Offset) -> u64 {
        self.ranges.iter().map(|range| range.1.min(to).since(range.0.max(from))).sum()
    }

    /// What lies between these points and is not gone.
    pub(super) fn rest_between(&self, from: Offset, to: Offset) -> Vec<(Offset, Offset)> {
        let (mut rest, mut at) = (Vec::new(), from);
        for range in self.ranges.iter().filter(|range| range.1 > from && range.0 < to) {
            rest.push((at, range.0));
            at = at.max(range.1);
        }
        rest.push((at, to));
        rest.retain(|(from, to)| from < to);
        rest
    }

    /// Nothing before `mark` is of interest any more.
    pub(super) fn forget_before(&mut self, mark: Offset) {
        self.ranges.retain(|range| range.1 > mark);
    }
}
