//! Payment cards: check digit, prefixes, lengths.

/// Fewest digits of a card number.
const SHORTEST: usize = 13;
/// Most digits of a card number.
const LONGEST: usize = 19;
/// Digits that a correction may have taken back.
const TAKEN_BACK: usize = 4;

/// Whether digits hold a card number: the whole of 13 to 19, or a stretch with the length that its issuer uses.
pub(super) fn holds_card(digits: &[u8], corrections: &[usize]) -> bool {
    if digits.len() < SHORTEST {
        return false;
    }
    let whole = (SHORTEST..=LONGEST).contains(&digits.len())
        && issuer_lengths(digits).is_some_and(|lengths| lengths.contains(&digits.len()))
        && luhn(digits);
    let inside = || (0..=digits.len() - SHORTEST).any(|at| usual_card(&digits[at..]));
    whole || inside() || corrections.iter().any(|at| (1..=TAKEN_BACK).any(|back| holds_corrected(digits, *at, back)))
}

/// Whether digits are a card number, all of it and nothing else.
pub(super) fn is_card(digits: &[u8]) -> bool {
    issuer_lengths(digits).is_some_and(|lengths| lengths.contains(&digits.len())) && luhn(digits)
}

/// Whether digits begin with a card number of its issuer's usual length.
fn usual_card(digits: &[u8]) -> bool {
    let Some(lengths) = issuer_lengths(digits) else { return false };
    lengths.iter().any(|length| digits.get(..*length).is_some_and(luhn))
}

fn holds_corrected(digits: &[u8], at: usize, back: usize) -> bool {
    let Some(kept) = at.checked_sub(back) else { return false };
    let corrected: Vec<u8> = digits[..kept].iter().chain(&digits[at..]).copied().collect();
    (SHORTEST..=LONGEST).contains(&corrected.len()) && issuer_lengths(&corrected).is_some() && luhn(&corrected)
}

/// The lengths in use for the prefix; `None` if no issuer has it.
fn issuer_lengths(digits: &[u8]) -> Option<&'static [usize]> {
    let prefix = digits.get(..4)?.iter().fold(0_u32, |prefix, digit| prefix * 10 + u32::from(*digit));
    match prefix {
        4000..=4999 | 2221..=2720 | 5100..=5599 | 3528..=3589 => Some(&[16]),
        3400..=3499 | 3700..=3799 => Some(&[15]),
        3000..=3059 | 3095 | 3600..=3699 | 3800..=3999 => Some(&[14, 16]),
        6011 | 6440..=6599 | 6200..=6299 | 6000..=6099 | 8100..=8199 | 2200..=2204 => Some(&[16, 19]),
        5000 | 5018 | 5020 | 5038 | 5600..=5899 | 6304 | 6759 | 6761..=6763 => Some(&[16, 18, 19]),
        _ => None,
    }
}

/// The check digit of ISO/IEC 7812.
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let digit = u32::from(*digit);
            match at % 2 {
                0 => digit,
                _ if digit > 4 => digit * 2 - 9,
                _ => digit * 2,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(digits: &str) -> Vec<u8> {
        digits.bytes().map(|byte| byte - b'0').collect()
    }

    #[test]
    fn the_issuers_test_numbers_are_cards_and_one_wrong_digit_is_none() {
        for card in [
            "4111111111111111",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "6011111111111117",
            "30569309025904",
            "3530111333300000",
        ] {
            assert!(holds_card(&values(card), &[]), "{card}");
            let mut wrong = values(card);
            wrong[9] = (wrong[9] + 1) % 10;
            assert!(!luhn(&wrong), "{card}");
        }
    }

    #[test]
    fn a_card_is_found_among_other_digits_and_behind_a_correction() {
        assert!(holds_card(&values("41111111111111111029123"), &[]));
        assert!(holds_card(&values("12341111111111111111"), &[]));
        assert!(holds_card(&values("411199111111111111"), &[6]));
        assert!(!holds_card(&values("1234567890123456"), &[]));
        assert!(!holds_card(&values("411111111111"), &[]));
    }
}
