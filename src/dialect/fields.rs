//! Field types that forgive what senders vary: counts as numbers or text, text with or without escapes, scalars of any kind.
//!
//! Promises: a value of a fitting JSON type is never an error; one that cannot be read is absent.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// A count as JSON number or decimal text; absent if it is null, negative or no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Count(pub(super) Option<u64>);

/// Text borrowed from the message unless it holds escapes.
#[derive(Debug, PartialEq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

/// A flat object's names and values in order, values that are no text as they are written; of a name given twice the last value.
#[derive(Debug, Default)]
pub(super) struct Pairs(pub(super) Vec<(String, String)>);

/// A text or number as text; absent for everything else and for the empty text.
pub(super) fn scalar(raw: &RawValue) -> Option<Cow<'_, str>> {
    let text = match raw.get().as_bytes().first()? {
        b'"' => serde_json::from_str::<Text<'_>>(raw.get()).ok()?.0,
        b'-' | b'0'..=b'9' => Cow::Borrowed(raw.get()),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count as number or text")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Count, E> {
        Ok(Count(Some(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Count, E> {
        Ok(Count(u64::try_from(value).ok()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Count, E> {
        Ok(Count(whole(value)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Count, E> {
        let text = text.trim();
        Ok(Count(text.parse().ok().or_else(|| text.parse().ok().and_then(whole))))
    }

    fn visit_unit<E: Error>(self) -> Result<Count, E> {
        Ok(Count(None))
    }
}

/// The whole part of what is not negative; what is beyond the type becomes its end.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sign and finiteness are checked, the rest saturates by intent"
)]
fn whole(value: f64) -> Option<u64> {
    (value.is_finite() && value >= 0.0).then_some(value as u64)
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            pairs.retain(|(known, _)| *known != name);
            let value = match value.get() {
                "null" => continue,
                text if text.starts_with('"') => serde_json::from_str(text).map_err(Error::custom)?,
                other => other.to_owned(),
            };
            pairs.push((name, value));
        }
        Ok(Pairs(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_from_number_and_text_alike() {
        let read = |json: &str| serde_json::from_str::<Count>(json).map(|count| count.0).ok();
        for json in ["340", "\"340\"", "340.0", "\" 340 \"", "\"340.7\"", "\"0340\""] {
            assert_eq!(read(json), Some(Some(340)), "{json}");
        }
        for json in ["null", "-1", "\"-1\"", "\"\"", "\"soon\"", "\"NaN\"", "\"inf\""] {
            assert_eq!(read(json), Some(None), "{json}");
        }
        for json in ["1e300", "\"1e300\"", "99999999999999999999", "\"99999999999999999999\""] {
            assert_eq!(read(json), Some(Some(u64::MAX)), "{json}");
        }
        for json in ["true", "[]", "{}", "[1]"] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn parameters_of_any_kind_become_text_and_the_last_of_a_name_counts() {
        let json = r#"{"a":"x","n":7,"f":1.10,"b":true,"z":null,"o":{"k":[1]},"a":"q\"\u00e9"}"#;
        let pairs: Pairs = serde_json::from_str(json).unwrap();
        let pairs: Vec<(&str, &str)> = pairs.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("n", "7"), ("f", "1.10"), ("b", "true"), ("o", r#"{"k":[1]}"#), ("a", "q\"é")]);
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        assert!(matches!(serde_json::from_str::<Text<'_>>("\"MZ1\"").unwrap().0, Cow::Borrowed("MZ1")));
        assert!(matches!(serde_json::from_str::<Text<'_>>("\"M\\u005a1\"").unwrap().0, Cow::Owned(text) if text == "MZ1"));
        assert!(serde_json::from_str::<Text<'_>>("5").is_err());
    }
}
