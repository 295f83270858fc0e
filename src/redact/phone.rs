//! Telephone numbers: the shapes of North America and international ones.

/// Whether digits in groups of so many look like a telephone number on their own: ten with or without a leading 1, in one group
/// or as 3-3-4, or seven written as 3-4.
pub(super) fn has_shape(digits: &[u8], groups: &[usize]) -> bool {
    let (digits, groups) = match (digits, groups) {
        ([1, rest @ ..], [1, groups @ ..]) if rest.len() == 10 => (rest, groups),
        ([1, rest @ ..], groups) if rest.len() == 10 => (rest, groups),
        other => other,
    };
    match groups {
        [3, 4] => digits[0] >= 2,
        _ => digits.len() == 10 && digits[0] >= 2 && digits[3] >= 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_digits_of_a_possible_area_are_a_phone_number() {
        let ten = [5, 5, 5, 1, 2, 3, 4, 5, 6, 7];
        assert!(has_shape(&ten, &[3, 3, 4]));
        assert!(has_shape(&ten, &[10]));
        assert!(has_shape(&[&[1][..], &ten].concat(), &[1, 3, 3, 4]));
        assert!(has_shape(&[&[1][..], &ten].concat(), &[11]));
        assert!(has_shape(&ten[..7], &[3, 4]));
        assert!(!has_shape(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 0], &[10]));
        assert!(!has_shape(&ten[..7], &[7]));
        assert!(!has_shape(&[], &[]));
    }
}
