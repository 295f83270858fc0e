//! Chance from a number: the same number, the same choices.

use std::ops::Range;

/// `SplitMix64`.
pub(crate) struct Chance(u64);

impl Chance {
    /// Choices about one matter (`salt`) of one seed, so that more choices of one matter do not change those of another.
    pub(crate) const fn new(seed: u64, salt: u64) -> Self {
        Self(seed.wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ salt.wrapping_mul(0xA076_1D64_78BD_642F))
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// A number of the range; its beginning where it is empty.
    pub(crate) const fn of(&mut self, range: Range<u64>) -> u64 {
        let width = range.end.saturating_sub(range.start);
        if width == 0 { range.start } else { range.start + self.next() % width }
    }

    /// True so many times of a hundred.
    pub(crate) const fn percent(&mut self, share: u64) -> bool {
        self.next() % 100 < share
    }

    /// One of a list that is not empty.
    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::try_from(self.of(0..list.len() as u64)).expect("less than a usize")]
    }

    /// For the machines, which are handed their chance.
    pub(crate) const fn draw(&mut self) -> u32 {
        (self.next() >> 32) as u32
    }
}
