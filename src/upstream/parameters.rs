//! The query of the streaming URL: every documented parameter, typed (protocols/pulse.md sections 4 and 9).
//!
//! Promises: a misspelt or out-of-range parameter is an error here, because Pulse ignores what it does not know, so that a
//! misspelt `redact_pii` would fail open, and the older ASR closes on it; the audio format is always the phone's own; no key ever gets
//! into a URL.

use url::{Url, form_urlencoded::Serializer};

use super::{Protocol, asr};
use crate::media::{CallSid, Track};

/// Longest `external_session_id` (protocols/pulse.md section 4).
pub const MAX_SESSION_ID: usize = 128;
/// Most keywords the service takes.
const MAX_KEYWORDS: usize = 10_000;
/// Longest value of any parameter but the keywords, in bytes.
const MAX_VALUE: usize = 256;

/// What a parameter may hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Never anything else than this: it has to fit the audio.
    Fixed(&'static str),
    Switch,
    Word(&'static [&'static str]),
    /// Several of these by commas, or none.
    Words(&'static [&'static str]),
    Whole(u32, u32),
    /// A switch, or a whole number.
    SwitchOr(u32, u32),
    Share,
    /// Passed on as it is: the documents disagree about the list.
    Language,
    Keywords,
}

/// One documented parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// The bridge's name for it.
    pub(super) name: &'static str,
    /// The service's; Pulse's are the same.
    pub(super) wire: &'static str,
    pub(super) kind: Kind,
    /// What a phone call is best served with; `None` leaves it to the service.
    pub(super) default: Option<&'static str>,
}

impl Row {
    /// Whether this is one of its words.
    pub(super) fn takes(&self, word: &str) -> bool {
        match self.kind {
            Kind::Word(words) | Kind::Words(words) => words.contains(&word),
            Kind::Fixed(fixed) => fixed == word,
            _ => false,
        }
    }
}

const fn row(name: &'static str, kind: Kind, default: Option<&'static str>) -> Row {
    Row { name, wire: name, kind, default }
}

const TABLE: [Row; 28] = [
    row("model", Kind::Fixed("pulse"), Some("pulse")),
    row("language", Kind::Language, Some("en")),
    row("encoding", Kind::Fixed("mulaw"), Some("mulaw")),
    row("sample_rate", Kind::Fixed("8000"), Some("8000")),
    row("word_timestamps", Kind::Switch, Some("true")),
    row("sentence_timestamps", Kind::Switch, Some("true")),
    row("diarize", Kind::Switch, Some("true")),
    row("redact_pii", Kind::Switch, Some("true")),
    row("redact_pci", Kind::Switch, Some("true")),
    row("finalize_on_words", Kind::Switch, Some("false")),
    row("itn_normalize", Kind::Switch, Some("true")),
    row("full_transcript", Kind::Switch, None),
    row("format", Kind::Switch, None),
    row("punctuate", Kind::Switch, None),
    row("capitalize", Kind::Switch, None),
    row("no_format_delay", Kind::Switch, None),
    row("numerals", Kind::Word(&["true", "false", "auto"]), None),
    row("keywords", Kind::Keywords, None),
    row("eou_timeout_ms", Kind::Whole(100, 10_000), None),
    row("endpointing", Kind::Switch, None),
    row("endpointing_timeout", Kind::Whole(0, 10_000), None),
    row("vad_threshold", Kind::Share, None),
    row("vad_min_speech_ms", Kind::Whole(0, 60_000), None),
    row("vad_events", Kind::Switch, None),
    row("max_words", Kind::Whole(1, 10_000), None),
    row("emotion_detection", Kind::Switch, None),
    row("gender_detection", Kind::Switch, None),
    row("external_session_id", Kind::Fixed(""), None),
];
/// Names that are never passed through: another name of one above, and keys, which would be logged with the URL.
const NEVER_EXTRA: [&str; 4] = ["vad", "token", "api_key", "authorization"];

/// Why a parameter was not taken. `Display` names it and what it may hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadParameter {
    /// No such parameter is documented.
    #[error("{name} is not a parameter of the speech service; {advice}")]
    Unknown {
        /// As it was written.
        name: String,
        /// What to do where it is one all the same.
        advice: &'static str,
    },
    /// The bridge decides about this one.
    #[error("{name} is set by the bridge and cannot be changed")]
    Fixed {
        /// The parameter.
        name: String,
    },
    /// The value is none of those that it may hold.
    #[error("{name} must be {expected}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What it may hold.
        expected: String,
    },
    /// An extra one under the name of a documented one.
    #[error("{name} cannot be set as an extra parameter")]
    NotExtra {
        /// As it was written.
        name: String,
    },
}

/// A checked set of parameters, telephony's to begin with ("Suggested set" of protocols/pulse.md section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    protocol: Protocol,
    /// In the order of the protocol's table.
    values: Vec<Option<String>>,
    extra: Vec<(String, String)>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self::of(Protocol::Pulse)
    }
}

const fn table_of(protocol: Protocol) -> &'static [Row] {
    match protocol {
        Protocol::Pulse => &TABLE,
        Protocol::Asr => &asr::TABLE,
    }
}

impl Parameters {
    /// What a call asks of this service where nobody chose anything.
    #[must_use]
    pub fn of(protocol: Protocol) -> Self {
        let values = table_of(protocol).iter().map(|row| row.default.map(str::to_owned)).collect();
        Self { protocol, values, extra: Vec::new() }
    }

    /// Every name that [`Parameters::set`] takes.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.table().iter().filter(|row| !matches!(row.kind, Kind::Fixed(_))).map(|row| row.name)
    }

    /// Whether this is the bridge's name for one of them, fixed ones included.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.table().iter().any(|row| row.name == name)
    }

    const fn table(&self) -> &'static [Row] {
        table_of(self.protocol)
    }

    /// Sets one by the bridge's name for it, which is Pulse's own. An empty list takes it away.
    ///
    /// # Errors
    /// If there is no such parameter, the bridge decides about it, or it may not hold that value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), BadParameter> {
        let index = self.table().iter().position(|row| row.name == name);
        let advice = match self.protocol {
            Protocol::Pulse => "newer ones go under [upstream.extra]",
            Protocol::Asr => "the older ASR takes those of [upstream.asr] and upstream.language alone",
        };
        let index = index.ok_or_else(|| BadParameter::Unknown { name: shown(name), advice })?;
        let row = self.table()[index];
        let value = value.trim();
        let checked = match row.kind {
            Kind::Fixed(fixed) if value == fixed => return Ok(()),
            Kind::Fixed(_) => return Err(BadParameter::Fixed { name: row.name.to_owned() }),
            Kind::Switch => matches!(value, "true" | "false").then(|| value.to_owned()),
            Kind::Word(words) => words.contains(&value).then(|| value.to_owned()),
            Kind::Words(words) => asr::list(value, words),
            Kind::SwitchOr(..) if matches!(value, "true" | "false") => Some(value.to_owned()),
            Kind::Whole(low, high) | Kind::SwitchOr(low, high) => whole(value, low, high),
            Kind::Share => value.parse().ok().filter(|share: &f64| (0.0..=1.0).contains(share)).map(|share| share.to_string()),
            Kind::Language => is_language(value).then(|| value.to_owned()),
            Kind::Keywords => keywords(value),
        };
        let expected = || match self.protocol {
            Protocol::Pulse => expected(row.kind),
            Protocol::Asr => asr::expected(row.kind, value),
        };
        let checked = checked.ok_or_else(|| BadParameter::Value { name: row.wire, expected: expected() })?;
        self.values[index] = (!checked.is_empty()).then_some(checked);
        Ok(())
    }

    /// Passes a parameter through that is not documented yet.
    ///
    /// # Errors
    /// If its name is a documented one's, a key's, or no plain name, or the value is longer than 256 bytes.
    pub fn set_extra(&mut self, name: &str, value: &str) -> Result<(), BadParameter> {
        let plain =
            (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        let lower = name.to_ascii_lowercase();
        let taken = NEVER_EXTRA.contains(&lower.as_str()) || self.knows(&lower);
        // The older ASR closes on every name that it does not know.
        if !plain || taken || value.len() > MAX_VALUE || self.protocol == Protocol::Asr {
            return Err(BadParameter::NotExtra { name: shown(name) });
        }
        self.extra.retain(|(known, _)| known != name);
        self.extra.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// What a documented parameter holds; `None` where it is left to the service.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.table().iter().position(|row| row.name == name).and_then(|index| self.values[index].as_deref())
    }

    /// The query of one connection. The session id is cut to what Pulse takes; the older ASR takes none.
    #[must_use]
    pub fn query(&self, external_session_id: &str) -> String {
        let mut query = Serializer::new(String::new());
        for (row, value) in self.table().iter().zip(&self.values) {
            if let Some(value) = value {
                query.append_pair(row.wire, value);
            }
        }
        if self.protocol == Protocol::Asr {
            return query.finish();
        }
        query.extend_pairs(&self.extra);
        let id: String = session_alphabet(external_session_id).take(MAX_SESSION_ID).collect();
        if !id.is_empty() {
            query.append_pair("external_session_id", &id);
        }
        query.finish()
    }

    /// The URL of one connection: the operator's, with our query in place of what it says about the same parameters; for the older ASR,
    /// in place of all that it says.
    #[must_use]
    pub fn url(&self, base: &Url, external_session_id: &str) -> Url {
        let query = self.query(external_session_id);
        let is_asr = self.protocol == Protocol::Asr;
        let ours = |name: &str| is_asr || self.knows(name) || NEVER_EXTRA.contains(&name);
        let kept: Vec<(String, String)> = base.query_pairs().into_owned().filter(|(name, _)| !ours(name)).collect();
        let query = if kept.is_empty() { query } else { Serializer::new(query).extend_pairs(kept).finish() };
        let mut url = base.clone();
        url.set_query(Some(&query));
        url.set_fragment(None);
        url
    }
}

/// The service's name for one track of a call: `<CallSid>.<track>` in the service's alphabet, at most 128 characters.
#[must_use]
pub fn external_session_id(call: &CallSid, track: Track) -> String {
    let room = MAX_SESSION_ID - 1 - track.as_str().len();
    let call: String = session_alphabet(call.as_str()).take(room).collect();
    format!("{call}.{track}")
}

fn session_alphabet(id: &str) -> impl Iterator<Item = char> {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' })
}

fn whole(value: &str, low: u32, high: u32) -> Option<String> {
    value.parse().ok().filter(|number| (low..=high).contains(number)).map(|number: u32| number.to_string())
}

fn is_language(value: &str) -> bool {
    (1..=MAX_VALUE).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// `Word:weight,Two words:weight`, tidied; empty items go. JSON and weights that are no numbers are refused.
fn keywords(value: &str) -> Option<String> {
    let items: Vec<&str> = value.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    let fits = |item: &&str| {
        let (word, weight) = item.rsplit_once(':').unwrap_or((item, "1"));
        let weighed = weight.trim().parse().is_ok_and(|weight: f64| weight > 0.0 && weight.is_finite());
        weighed
            && !word.trim().is_empty()
            && item.len() <= MAX_VALUE
            && !item.contains(['[', ']', '{', '}', '"'])
            && !item.contains(char::is_control)
    };
    (items.len() <= MAX_KEYWORDS && items.iter().all(fits)).then(|| items.join(","))
}

fn expected(kind: Kind) -> String {
    match kind {
        Kind::Fixed(value) => value.to_owned(),
        Kind::Switch => "true or false".to_owned(),
        Kind::Word(words) | Kind::Words(words) => format!("one of {}", words.join(", ")),
        Kind::Whole(low, high) | Kind::SwitchOr(low, high) => format!("a whole number from {low} to {high}"),
        Kind::Share => "a number from 0 to 1".to_owned(),
        Kind::Language => "a language code such as en".to_owned(),
        Kind::Keywords => "a list like Word:2,Two words:1.5 (at most 10000, not JSON)".to_owned(),
    }
}

/// A peer's name for something, short and plain enough for an error message.
fn shown(name: &str) -> String {
    name.chars().filter(char::is_ascii_graphic).take(64).collect()
}

#[cfg(test)]
mod tests;
