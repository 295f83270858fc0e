//! Chance that can be drawn again: the same seed and number give the same share.
//!
//! Promises: pure; shares of numbers in a row are spread evenly, whatever the seed.

/// What `SplitMix64` adds at each step.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A number from 0 (included) to 1 (not included).
#[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
pub(crate) fn share(seed: u64, number: u64) -> f64 {
    (mixed(seed.wrapping_add(number.wrapping_mul(STEP))) >> 11) as f64 / (1_u64 << 53) as f64
}

/// One step of `SplitMix64` (Steele, Lea, Flood 2014): every bit of the input moves every bit of the output.
pub(crate) const fn mixed(state: u64) -> u64 {
    let state = state.wrapping_add(STEP);
    let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}
