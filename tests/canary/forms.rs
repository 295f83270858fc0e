//! Every form in which a value might get out.
//!
//! Promises: forms are lower case, as what is searched is folded before it is compared; none is shorter than [`SHORTEST`] bytes.

use std::{collections::BTreeMap, fmt::Write};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};

use crate::values::{LONG, Value};

/// Fewer bytes than this are met by chance.
pub(crate) const SHORTEST: usize = 6;
/// Between digits, words and letters that are read out.
const BETWEEN: [&str; 9] = ["", " ", ", ", ",", "-", ".", ". ", "\",\"", "_"];
const DIGITS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

/// Bytes to look for, and what they would be.
pub(crate) type Forms = BTreeMap<Vec<u8>, &'static str>;

/// All forms of a value.
pub(crate) fn forms(value: &Value) -> Forms {
    let mut forms = Forms::new();
    for (text, form) in readings(value) {
        for case in [text.clone(), text.to_uppercase(), text.to_lowercase()] {
            encodings(&case, form, &mut forms);
        }
    }
    for (text, form) in parts(value) {
        add(&mut forms, text.into_bytes(), form);
    }
    forms
}

/// The whole value as it may be said or written.
fn readings(value: &Value) -> Vec<(String, &'static str)> {
    let mut all: Vec<(String, &'static str)> = value.said.iter().map(|said| ((*said).to_owned(), "as said")).collect();
    all.extend(value.parts.iter().map(|part| ((*part).to_owned(), "a part of it")));
    for between in BETWEEN {
        for text in value.said.iter().chain(value.parts) {
            let words: Vec<&str> = text.split_whitespace().collect();
            all.push((words.join(between), "its words joined"));
            if !between.is_empty() {
                let letters: Vec<String> = text.chars().filter(|c| c.is_alphanumeric()).map(String::from).collect();
                all.push((letters.join(between), "spelled out"));
            }
        }
        for size in 1..=4 {
            let groups: Vec<&str> = (0..value.digits.len()).step_by(size).map(|at| group(value.digits, at, size)).collect();
            all.push((groups.join(between), "grouped digits"));
        }
        for zero in ["zero", "oh", "o"] {
            all.push((in_words(value.digits, between, zero), "number words"));
        }
    }
    all.retain(|(text, _)| text.len() >= SHORTEST);
    all
}

fn group(digits: &str, at: usize, size: usize) -> &str {
    &digits[at..(at + size).min(digits.len())]
}

fn in_words(digits: &str, between: &str, zero: &str) -> String {
    let word = |digit: u8| if digit == b'0' { zero } else { DIGITS[usize::from(digit - b'0')] };
    digits.bytes().map(word).collect::<Vec<_>>().join(between)
}

/// Four digits in a row as words, of what is long.
fn parts(value: &Value) -> Vec<(String, &'static str)> {
    let mut all = Vec::new();
    for window in windows(value, 4) {
        all.extend([" ", ", ", "-"].map(|between| (in_words(window, between, "zero"), "four digits in words")));
        all.extend([" ", ", "].map(|between| (in_words(window, between, "oh"), "four digits in words")));
    }
    all
}

/// So many digits in a row, of what is long; without those that are shown.
pub(crate) fn windows(value: &Value, size: usize) -> impl Iterator<Item = &str> {
    let shown = if value.shows_last_four { 4 } else { 0 };
    let digits = if value.digits.len() >= LONG { &value.digits[..value.digits.len() - shown] } else { "" };
    (0..(digits.len() + 1).saturating_sub(size)).map(move |at| &digits[at..at + size])
}

fn encodings(text: &str, form: &'static str, forms: &mut Forms) {
    let bytes = text.as_bytes();
    add(forms, bytes.to_vec(), form);
    add(forms, bytes.iter().rev().copied().collect(), "backwards");
    for before in 0..3 {
        add(forms, aligned_base64(bytes, before), "base64");
    }
    let hex = hex(bytes);
    add(forms, hex.bytes().rev().collect(), "hex backwards");
    add(forms, hex.into_bytes(), "hex");
    add(forms, bytes.iter().flat_map(|byte| format!("{byte:02x} ").into_bytes()).collect(), "hex dump");
    add(forms, bytes.iter().flat_map(|byte| format!("%{byte:02x}").into_bytes()).collect(), "URL, every byte");
    let url: String = url::form_urlencoded::byte_serialize(bytes).collect();
    add(forms, url.replace('+', "%20").into_bytes(), "URL");
    add(forms, url.into_bytes(), "URL form");
    add(forms, bytes.iter().flat_map(|byte| format!("\\u{byte:04x}").into_bytes()).collect(), "JSON, every character");
    add(forms, serde_json::to_string(text).unwrap().trim_matches('"').as_bytes().to_vec(), "JSON");
    add(forms, format!("{bytes:?}").trim_matches(['[', ']']).as_bytes().to_vec(), "bytes as Rust shows them");
    add(forms, text.encode_utf16().flat_map(u16::to_le_bytes).collect(), "UTF-16 LE");
    add(forms, text.encode_utf16().flat_map(u16::to_be_bytes).collect(), "UTF-16 BE");
}

/// What of the base64 depends on these bytes alone, with so many unknown ones before them.
fn aligned_base64(bytes: &[u8], before: usize) -> Vec<u8> {
    let padded: Vec<u8> = vec![0; before].into_iter().chain(bytes.iter().copied()).collect();
    let whole = BASE64_STANDARD_NO_PAD.encode(&padded).into_bytes();
    let from = (before * 8).div_ceil(6);
    let to = padded.len() * 8 / 6;
    whole[from..to].to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes everything");
        hex
    })
}

fn add(forms: &mut Forms, mut bytes: Vec<u8>, form: &'static str) {
    bytes.make_ascii_lowercase();
    if bytes.len() >= SHORTEST {
        forms.entry(bytes).or_insert(form);
    }
}
