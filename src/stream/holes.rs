//! Stretches of a track that were lost on their way to the bridge.
//!
//! Promises: every stretch that is put in lies within one that comes out; stretches closer than [`JOINED_MS`] come out as one of at most
//! about [`LONGEST_MS`], so that a bad line brings no flood of gaps; each comes out once the audio behind it has gone on by as much.

use std::collections::VecDeque;

use crate::media::{bytes_to_ms, ms_to_bytes};

/// Holes closer together than this are told as one, in milliseconds.
pub const JOINED_MS: u64 = 500;
/// A stretch of holes this long is told before it ends, in milliseconds.
pub const LONGEST_MS: u64 = 10_000;

/// One track's holes, in bytes from the track's first one.
#[derive(Debug, Default)]
pub(super) struct Holes {
    open: Option<(u64, u64)>,
    ready: VecDeque<(u64, u64)>,
}

impl Holes {
    /// Nothing came for `from..to`.
    pub(super) fn add(&mut self, from: u64, to: u64) {
        self.open = match self.open.take() {
            Some((first, last)) if from <= last + ms_to_bytes(JOINED_MS) && from - first < ms_to_bytes(LONGEST_MS) => {
                Some((first, to))
            }
            before => {
                self.ready.extend(before);
                Some((from, to))
            }
        };
    }

    /// The track has got this far.
    pub(super) fn settle(&mut self, position: u64) {
        self.ready.extend(self.open.take_if(|(_, to)| position > *to + ms_to_bytes(JOINED_MS)));
    }

    /// No more will come.
    pub(super) fn end(&mut self) {
        self.ready.extend(self.open.take());
    }

    /// The next stretch, in milliseconds from the track's first byte.
    pub(super) fn pop(&mut self) -> Option<(u64, u64)> {
        self.ready.pop_front().map(|(from, to)| (bytes_to_ms(from), bytes_to_ms(to)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(holes: &mut Holes) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| holes.pop()).collect()
    }

    #[test]
    fn a_hole_comes_out_when_the_audio_behind_it_has_gone_on() {
        let mut holes = Holes::default();
        holes.add(8_000, 8_160);
        holes.settle(8_160 + 4_000);
        assert_eq!(told(&mut holes), []);
        holes.settle(8_160 + 4_001);
        assert_eq!(told(&mut holes), [(1_000, 1_020)]);
    }

    #[test]
    fn near_holes_are_one_and_far_ones_two() {
        let mut holes = Holes::default();
        for at in [0, 4_000, 8_160, 16_000] {
            holes.add(at, at + 160);
        }
        holes.end();
        assert_eq!(told(&mut holes), [(0, 1_040), (2_000, 2_020)]);
    }

    #[test]
    fn a_bad_line_is_told_every_ten_seconds() {
        let mut holes = Holes::default();
        for frame in 0..1_500 {
            holes.add(frame * 320, frame * 320 + 160);
        }
        holes.end();
        let told = told(&mut holes);
        assert_eq!(told.len(), 6, "{told:?}");
        assert_eq!((told[0], told[1].0), ((0, 9_980), 10_000));
    }
}
