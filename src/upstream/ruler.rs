//! Two counts of the same bytes laid side by side: where one is at a given point of the other.
//!
//! Promises: between two noted points both run at the same speed; a jump (silence left out, a pause, a restarted stream) is
//! one more point; memory is bounded by [`MAX_POINTS`].

use std::collections::VecDeque;

/// Most jumps remembered. Only those behind the acknowledged mark matter, and those are a few seconds' worth.
const MAX_POINTS: usize = 256;

/// Maps a count that never stands still to another one that may jump.
#[derive(Debug)]
pub(super) struct Ruler {
    points: VecDeque<(u64, u64)>,
    /// Differences up to this much are rounding, not a jump.
    tolerance: u64,
}

impl Ruler {
    pub(super) const fn new(tolerance: u64) -> Self {
        Self { points: VecDeque::new(), tolerance }
    }

    /// Notes that `from` on the one count is `to` on the other. Points come in rising order of `from`.
    pub(super) fn note(&mut self, from: u64, to: u64) {
        if !self.points.is_empty() && self.map(from).abs_diff(to) <= self.tolerance {
            return;
        }
        if self.points.len() == MAX_POINTS {
            self.points.pop_front();
        }
        self.points.push_back((from, to));
    }

    /// As [`Ruler::note`], where nothing says how both ran since the last point: what is noted in between later must not move this.
    pub(super) fn note_apart(&mut self, from: u64, to: u64) {
        if self.points.len() == MAX_POINTS {
            self.points.pop_front();
        }
        self.points.push_back((from, to));
    }

    /// As [`Ruler::note`], at any place.
    pub(super) fn note_between(&mut self, from: u64, to: u64) {
        let at = self.points.partition_point(|point| point.0 <= from);
        if at == self.points.len() {
            self.note(from, to);
        } else if self.points.len() < MAX_POINTS && self.map(from).abs_diff(to) > self.tolerance {
            self.points.insert(at, (from, to));
        }
    }

    /// Where the other count jumps between these points.
    pub(super) fn jumps(&self, from: u64, to: u64) -> impl Iterator<Item = u64> {
        let points = self.points.iter().map(|point| point.0).filter(move |at| (from + 1..to).contains(at));
        points.filter(|at| self.map(*at).abs_diff(self.map_end(*at)) > self.tolerance)
    }

    /// The place of the byte that begins at `from`.
    pub(super) fn map(&self, from: u64) -> u64 {
        self.by_point(self.points.partition_point(|point| point.0 <= from), from)
    }

    /// The place of the end of the byte before `from`: a jump at exactly `from` is not taken.
    pub(super) fn map_end(&self, from: u64) -> u64 {
        self.by_point(self.points.partition_point(|point| point.0 < from), from)
    }

    /// The part of `(from, to)` that lies on the same side of every jump as its middle, with its place.
    pub(super) fn map_within(&self, (from, to): (u64, u64)) -> (u64, u64) {
        let behind = self.points.partition_point(|point| point.0 <= from.midpoint(to));
        let side = |at: u64| self.by_point(behind, at);
        let first = behind.checked_sub(1).map_or(from, |at| from.max(self.points[at].0));
        let last = self.points.get(behind).map_or(to, |next| to.min(next.0));
        (side(first), side(last))
    }

    /// Nothing before `from` will be asked for any more.
    pub(super) fn forget_before(&mut self, from: u64) {
        while self.points.get(1).is_some_and(|second| second.0 <= from) {
            self.points.pop_front();
        }
    }

    /// `after` points lie at or before `from`; the last of them counts.
    fn by_point(&self, after: usize, from: u64) -> u64 {
        match self.points.get(after.saturating_sub(1)) {
            Some(&(base, to)) if base <= from => to + (from - base),
            Some(&(base, to)) => to.saturating_sub(base - from),
            None => from,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_counts_run_alike_between_jumps() {
        let mut ruler = Ruler::new(0);
        ruler.note(0, 1_000);
        ruler.note(480, 1_480);
        ruler.note(960, 9_000);
        assert_eq!(ruler.points.len(), 2, "a point that says nothing new is not kept");
        assert_eq!([ruler.map(0), ruler.map(959), ruler.map(960), ruler.map(1_000)], [1_000, 1_959, 9_000, 9_040]);
        assert_eq!(ruler.map_end(960), 1_960, "what ends at the jump ends before it");
    }

    #[test]
    fn what_lies_over_a_jump_belongs_to_the_side_of_its_middle() {
        let mut ruler = Ruler::new(0);
        ruler.note(0, 1_000);
        ruler.note(960, 9_000);
        assert_eq!(ruler.map_within((900, 950)), (1_900, 1_950));
        assert_eq!(ruler.map_within((940, 970)), (1_940, 1_960));
        assert_eq!(ruler.map_within((950, 1_100)), (9_000, 9_140));
        assert_eq!(ruler.map_within((960, 960)), (9_000, 9_000));
        assert_eq!(Ruler::new(0).map_within((3, 7)), (3, 7));
    }

    #[test]
    fn rounding_is_not_a_jump_but_drift_becomes_one() {
        let mut ruler = Ruler::new(8);
        ruler.note(0, 0);
        ruler.note(100, 108);
        assert_eq!(ruler.map(100), 100);
        ruler.note(200, 216);
        assert_eq!(ruler.map(200), 216);
    }

    #[test]
    fn points_are_bounded_and_forgotten_but_the_last_one_before_the_mark_stays() {
        let mut ruler = Ruler::new(0);
        for jump in 0..1_000_u64 {
            ruler.note(jump * 10, jump * 100);
        }
        assert_eq!(ruler.points.len(), MAX_POINTS);
        assert_eq!(ruler.map(9_995), 99_905);
        ruler.forget_before(9_985);
        assert_eq!(ruler.points.len(), 2);
        assert_eq!(ruler.map(9_985), 99_805);
        assert_eq!(ruler.map(9_970), 99_790, "older than everything known: extrapolated, never a panic");
        assert_eq!(Ruler::new(0).map(7), 7);
    }
}
