//! Social security numbers: the shape 3-2-4.

/// Whether nine digits in groups of so many are written or said as a social security number. Area 000, 666 and 9xx, group 00
/// and serial 0000 were never given out.
pub(super) fn has_shape(digits: &[u8], groups: &[usize]) -> bool {
    let given_out = |digits: &[u8]| {
        !matches!(digits[..3], [0, 0, 0] | [6, 6, 6] | [9, ..]) && digits[3..5] != [0, 0] && digits[5..] != [0; 4]
    };
    digits.len() == 9 && groups == [3, 2, 4] && given_out(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_two_four_is_the_shape() {
        let digits = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert!(has_shape(&digits, &[3, 2, 4]));
        assert!(!has_shape(&digits, &[3, 3, 3]));
        assert!(!has_shape(&[9, 2, 3, 4, 5, 6, 7, 8, 9], &[3, 2, 4]));
        assert!(!has_shape(&[1, 2, 3, 0, 0, 6, 7, 8, 9], &[3, 2, 4]));
    }
}
