//! Text that may hold personal data, and text that has passed the redaction gate, as two types.
//!
//! Promises: [`Unredacted`] has neither `Debug`, `Display` nor `Serialize`, and its memory is wiped when it is dropped, so
//! it cannot be logged, stored or sent by accident. [`Redacted`] is made only in `redact/` (and read back from the store);
//! everything that leaves the house is made of it.

use serde::{Serialize, Serializer};
use zeroize::Zeroize;

/// A caller's words as the speech service gave them. Only the gate may look inside, by [`Unredacted::expose`].
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Unredacted(String);

impl Unredacted {
    /// Wraps words as they come from the wire.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The words. For comparing and redacting; never for showing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing but white space.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl Drop for Unredacted {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Text that has passed the gate. May be shown, stored and sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Redacted(String);

impl Redacted {
    /// The gate's verdict that this text is clean. Called in `redact/`, and by the store for what it once wrote.
    #[must_use]
    pub(crate) fn certified(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Redacted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A phone number or address of a party as events may show it: its last four digits alone, or nothing if it has fewer than five.
#[must_use]
pub fn last_four(party: &str) -> Option<String> {
    let digits: Vec<char> = party.chars().filter(char::is_ascii_digit).collect();
    match digits.len() {
        0..5 => None,
        many => Some(digits[many - 4..].iter().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_shows_only_its_last_four_digits() {
        assert_eq!(last_four("+15550100").as_deref(), Some("0100"));
        assert_eq!(last_four("sip:ann@example.com"), None);
        assert_eq!(last_four("1234"), None);
    }
}
