//! What a client may ask of the older ASR, and the words in which it is refused.

use std::time::Duration;

use crate::emulate::{
    faults::{Fault, Suffered},
    wire::Parameters,
};

/// The languages of all regions, those on request included.
const LANGUAGES: &str = "en hi es fr de ru pt ja it nl zh zh-hk tr vi th id uk ta mr te pl el hu ro cs sv bg da fi";
/// Without audio for so long the service ends the stream.
const SILENCE: Duration = Duration::from_secs(30);
/// Silence that ends a turn where nothing is asked for, in milliseconds.
const SPEECH_END_MS: u64 = 300;
/// More silence than any call has, in milliseconds: turns do not end by themselves.
const NEVER_MS: u64 = 1_000_000_000;

/// What may be masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sensitive {
    Pci,
    Ssn,
    Numbers,
}

impl Sensitive {
    fn of_word(word: &str) -> Option<Self> {
        match word {
            "pci" => Some(Self::Pci),
            "ssn" => Some(Self::Ssn),
            "numbers" => Some(Self::Numbers),
            _ => None,
        }
    }

    /// Whether so many digits in a row are one.
    pub(super) fn is_of(self, digits: usize) -> bool {
        match self {
            Self::Pci => (13..=19).contains(&digits),
            Self::Ssn => digits == 9,
            Self::Numbers => digits > 0,
        }
    }
}

/// What a client asked for beside what it asks of Pulse as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::emulate) struct Asked {
    pub(super) punctuation: bool,
    pub(super) redact: Vec<Sensitive>,
    /// Results have only the two members of the service's own page.
    pub(super) bare: bool,
    /// Without audio for so long the stream is ended.
    pub(in crate::emulate) silence: Duration,
    /// What is said, instead of anything else, before the end.
    pub(in crate::emulate) objection: Option<(&'static str, Vec<String>)>,
}

impl Asked {
    /// Reads a decoded query string. `is_let_in`: the key is good. A key is looked at before the parameters, and a plan in between; the
    /// page says no order.
    pub(in crate::emulate) fn of_query(query: &[(String, String)], is_let_in: bool, faults: &[Suffered]) -> Parameters {
        let given = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let number = |name: &str| given(name).and_then(|value| value.parse::<u64>().ok());
        let threshold = number("speechEndThreshold").unwrap_or(SPEECH_END_MS);
        let turn_ms = match given("speechEndpointing") {
            Some("false") => NEVER_MS,
            _ => number("speechEndpointing").unwrap_or(threshold),
        };
        let redact = given("redactSensitiveData").unwrap_or_default().split(',').filter_map(Sensitive::of_word).collect();
        let objection = if is_let_in {
            refused_by_plan(faults)
        } else {
            Some(("Unauthorized", vec!["Invalid or missing API key".to_owned()]))
        };
        let complaints = complaints(query, &languages(faults));
        let invalid = || (!complaints.is_empty()).then_some(("Invalid input data", complaints));
        let silence = faults.iter().find_map(|suffered| match suffered.fault {
            Fault::SocketTimeout { after_ms } => Some(Duration::from_millis(after_ms)),
            _ => None,
        });
        let asked = Self {
            punctuation: given("addPunctuation") == Some("true"),
            redact,
            bare: faults.iter().any(|suffered| suffered.fault == Fault::BareResults),
            silence: silence.unwrap_or(SILENCE),
            objection: objection.or_else(invalid),
        };
        Parameters {
            encoding: given("audioEncoding").unwrap_or("linear16").to_owned(),
            sample_rate: (number("audioSampleRate").unwrap_or(16_000) * number("audioChannels").unwrap_or(1).clamp(1, 64))
                .clamp(1, 192_000),
            language: given("audioLanguage").unwrap_or("en").to_owned(),
            vad_events: given("emitVoiceActivity") == Some("true"),
            eou_timeout_ms: turn_ms,
            max_words: None,
            asr: Some(asked),
            ..Parameters::of_query(&[])
        }
    }
}

/// What the account may not.
fn refused_by_plan(faults: &[Suffered]) -> Option<(&'static str, Vec<String>)> {
    faults.iter().find_map(|suffered| {
        let (message, error) = match suffered.fault {
            Fault::NoSubscription => ("No subscription", "ASR requires Enterprise plan"),
            Fault::NoCredits => ("Insufficient credits", "Account balance too low"),
            Fault::RateLimit => ("Rate limit exceeded", "Too many concurrent connections"),
            _ => return None,
        };
        Some((message, vec![error.to_owned()]))
    })
}

fn languages(faults: &[Suffered]) -> Vec<&str> {
    let region = faults.iter().find_map(|suffered| match &suffered.fault {
        Fault::Region { languages } => Some(languages.iter().map(String::as_str).collect()),
        _ => None,
    });
    region.unwrap_or_else(|| LANGUAGES.split(' ').collect())
}

/// Everything that is wrong with a query, in the service's words where its page shows them. Its first example leaves the language out, so
/// that this has a default although the page calls it required.
fn complaints(query: &[(String, String)], languages: &[&str]) -> Vec<String> {
    let required = ["audioEncoding", "audioSampleRate", "audioChannels"].into_iter();
    let missing = required.filter(|name| !query.iter().any(|(key, _)| key == name)).map(|name| format!("{name} is required"));
    missing.chain(query.iter().filter_map(|(name, value)| complaint(name, value, languages))).collect()
}

fn complaint(name: &str, value: &str, languages: &[&str]) -> Option<String> {
    let one_of = |words: &[&str]| format!("must be one of the following values: {}", words.join(", "));
    let rule = match name {
        "api_key" => None,
        "audioLanguage" => (!languages.contains(&value)).then(|| one_of(languages)),
        "audioEncoding" => {
            let encodings = ["linear16", "flac", "mulaw", "opus"];
            (!encodings.contains(&value)).then(|| one_of(&encodings))
        }
        "audioSampleRate" => whole(value, 8_000, 48_000),
        "audioChannels" => whole(value, 1, u64::MAX),
        "addPunctuation" | "emitVoiceActivity" => {
            (!matches!(value, "true" | "false")).then(|| "must be a boolean value".to_owned())
        }
        "redactSensitiveData" => {
            let is_bad = value.split(',').any(|word| Sensitive::of_word(word).is_none());
            return is_bad.then(|| format!("each value in {name} {}", one_of(&["pci", "ssn", "numbers"])));
        }
        "speechEndpointing" if matches!(value, "true" | "false") => None,
        "speechEndpointing" if value.parse::<i64>().is_err() => Some("must be true, false or an integer number".to_owned()),
        "speechEndpointing" | "speechEndThreshold" => whole(value, 10, 60_000),
        name => return Some(format!("property {} should not exist", name.chars().take(64).collect::<String>())),
    };
    rule.map(|rule| format!("{name} {rule}"))
}

fn whole(value: &str, low: u64, high: u64) -> Option<String> {
    let Ok(number) = value.parse::<i64>() else { return Some("must be an integer number".to_owned()) };
    match u64::try_from(number) {
        Ok(number) if number > high => Some(format!("must be at most {high}")),
        Ok(number) if number >= low => None,
        _ => Some(format!("must be at least {low}")),
    }
}

#[cfg(test)]
mod tests;
