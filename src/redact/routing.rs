//! Routing numbers of American banks: the check of the American Bankers Association.

/// Whether nine digits pass the check and begin as a Federal Reserve district, an institution or a government does.
pub(super) fn passes(digits: &[u8]) -> bool {
    const WEIGHTS: [u32; 9] = [3, 7, 1, 3, 7, 1, 3, 7, 1];
    let [tens, ones, ..] = digits else { return false };
    let prefix = tens * 10 + ones;
    let known = matches!(prefix, 1..=12 | 21..=32 | 61..=72 | 80);
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(*digit) * weight).sum();
    digits.len() == WEIGHTS.len() && known && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_digit_is_no_routing_number() {
        assert!(passes(&[0, 2, 1, 0, 0, 0, 0, 2, 1]));
        assert!(passes(&[1, 2, 2, 1, 0, 5, 2, 7, 8]));
        assert!(!passes(&[0, 2, 1, 0, 0, 0, 0, 2, 2]));
        assert!(!passes(&[9, 9, 1, 0, 0, 0, 0, 2, 1]));
        assert!(!passes(&[0, 2, 1, 0, 0, 0, 0, 2]));
        assert!(!passes(&[]));
    }
}
