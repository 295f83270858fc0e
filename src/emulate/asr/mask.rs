//! What `redactSensitiveData` does to a text. The service's own way is not documented; here digits in a row, spoken or written, are counted.

use super::parameters::Sensitive;
use crate::emulate::session::is_digit;

/// What stands in place of what was masked.
const MASK: &str = "****";

/// The text with everything masked that was asked for.
pub(super) fn mask(text: &str, kinds: &[Sensitive]) -> String {
    if kinds.is_empty() {
        return text.to_owned();
    }
    let words: Vec<&str> = text.split(' ').collect();
    let mut masked: Vec<&str> = Vec::new();
    for run in words.chunk_by(|one, next| (digits(one) > 0) == (digits(next) > 0)) {
        let count: usize = run.iter().map(|word| digits(word)).sum();
        if kinds.iter().any(|kind| kind.is_of(count)) {
            masked.push(MASK);
        } else {
            masked.extend(run);
        }
    }
    masked.join(" ")
}

/// How many digits a word stands for; none if it is anything else.
fn digits(word: &str) -> usize {
    let bare = word.trim_matches(|c: char| c.is_ascii_punctuation());
    let written = bare.bytes().filter(u8::is_ascii_digit).count();
    match bare {
        "" => 0,
        bare if bare.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => written,
        bare => usize::from(is_digit(&bare.to_ascii_lowercase())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_masks_its_own_numbers() {
        let card = "it's four five three two one one one one two two two two three three three three thanks";
        let ssn = "mine is 078-05-1120, or zero seven eight oh five one one two zero";
        let rows = [
            (card, vec![Sensitive::Pci], "it's **** thanks"),
            (card, vec![Sensitive::Ssn], card),
            (ssn, vec![Sensitive::Ssn], "mine is **** or ****"),
            (ssn, vec![Sensitive::Pci], ssn),
            ("room 7 on floor two", vec![Sensitive::Numbers], "room **** on floor ****"),
            ("room 7 on floor two", vec![Sensitive::Pci, Sensitive::Ssn], "room 7 on floor two"),
            ("room 7", vec![], "room 7"),
        ];
        for (text, kinds, expected) in rows {
            assert_eq!(mask(text, &kinds), expected, "{kinds:?}");
        }
    }
}
