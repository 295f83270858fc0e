//! What an operator chose: which kinds are taken out, what stands in their place, what stays and what goes whatever the rules say.
//!
//! Promises: pure; a wrong choice is refused with the key that holds it, and never with a pattern or a listed word; card data
//! (number, security code, PIN) is always taken out, and codes and PINs are never but masked. A kind that is off is off also for
//! digits that would be a [`Kind::Number`] without its cue. But a number that nothing explains goes if it is as long as a card's
//! ([`LIKE_A_CARD`]); an end that may still become a card's number is held, and masked if it cannot wait; and what repeats a value
//! that was taken out is taken out.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{
    card,
    detect::{Finding, State},
    listed::{self, Listed},
    number::{self, Run},
    pattern::Patterns,
    placeholder::{Kind, Numbering},
    reason::Reason,
    turn::{Stream, Turn},
};

/// Fewest bytes of the key that values are hashed with.
const SHORTEST_HASH_KEY: usize = 32;
/// Bytes of a hash that stand in a text, each as two digits: enough to tell the values of one operator's calls apart.
const HASH_SHOWN: usize = 4;
/// Digits from which a number that nothing explains may be a card's, of which one was misheard or taken for two.
const LIKE_A_CARD: usize = 12;
/// How many last digits of a card may be shown.
const LAST: usize = 4;

/// What stands in place of something that is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mode {
    /// `[TYPE_N]`.
    #[default]
    Mask,
    /// Nothing.
    Remove,
    /// `[TYPE:9f3a12bc]`, the same for the same value in every call.
    Hash,
    /// `[CREDIT_CARD_N:4242]`: the number's last digits.
    Last4,
}

impl Mode {
    /// The words of the settings.
    const WORDS: [(&'static str, Self); 4] =
        [("mask", Self::Mask), ("remove", Self::Remove), ("hash", Self::Hash), ("last4", Self::Last4)];

    /// Whether it may be chosen for a kind.
    fn fits(self, kind: &Kind) -> Result<(), &'static str> {
        match self {
            Self::Mask => Ok(()),
            _ if matches!(kind, Kind::Cvv | Kind::Pin) => Err("is always masked"),
            Self::Hash if *kind == Kind::Password => Err("cannot be hashed: people use one password in many places"),
            Self::Last4 if *kind != Kind::CreditCard => Err("cannot show last digits: last4 is for CREDIT_CARD alone"),
            Self::Remove | Self::Hash | Self::Last4 => Ok(()),
        }
    }
}

/// What an operator wrote, as the settings give it.
#[derive(Clone, Copy, Default)]
pub struct Choices<'a> {
    /// Kinds and groups that are taken out, those that are not with a `-` in front; none: all.
    pub types: &'a [String],
    /// Kind or group, and what stands in its place.
    pub mode: &'a [(String, String)],
    /// Values and phrases that stay.
    pub allow: &'a [String],
    /// Kind, and its values and phrases that always go.
    pub deny: &'a [(String, Vec<String>)],
    /// Name and regular expression.
    pub patterns: &'a [(String, String)],
    /// Base64 of the key that values are hashed with.
    pub hash_key: Option<&'a SecretString>,
}

/// A choice that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The setting.
    pub key: &'static str,
    /// What is wrong and what to do, in one line that begins with the setting.
    pub what: String,
}

/// What an operator chose; without any choice everything is taken out and masked.
#[derive(Clone, Default)]
pub struct Policy {
    off: Vec<Kind>,
    /// Those that are not masked.
    modes: Vec<(Kind, Mode)>,
    key: Option<Hmac<Sha256>>,
    listed: Listed,
    patterns: Patterns,
}

/// Neither key nor patterns nor listed words.
impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("off", &self.off).field("modes", &self.modes).finish_non_exhaustive()
    }
}

impl Policy {
    /// Checks what was chosen.
    ///
    /// # Errors
    /// The first choice that cannot be kept.
    pub fn new(choices: &Choices<'_>) -> Result<Self, Refused> {
        let refused = |key| move |what: String| Refused { key, what: format!("{key} {what}") };
        let off = off(choices.types).map_err(refused("redaction.types"))?;
        let modes = modes(choices.mode).map_err(refused("redaction.mode"))?;
        let key = choices.hash_key.map(hash_key).transpose().map_err(refused("redaction.hash_key"))?;
        if key.is_none() && modes.iter().any(|(_, mode)| *mode == Mode::Hash) {
            let what = "has \"hash\", but no key to hash with: set redaction.hash_key (PULSE_BRIDGE_REDACTION_HASH_KEY)";
            return Err(refused("redaction.mode")(what.to_owned()));
        }
        let mut listed = Listed::default();
        listed.allow(choices.allow).map_err(refused("redaction.allow"))?;
        listed.deny(choices.deny).map_err(refused("redaction.deny"))?;
        let patterns = Patterns::new(choices.patterns).map_err(refused("redaction.patterns"))?;
        Ok(Self { off, modes, key, listed, patterns })
    }

    /// What is allowed but ought to be known, one line each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let line = "redaction.mode hashes SSN: whoever has the key can try all social security numbers in minutes; guard it as \
                    you would the numbers";
        if self.mode(&Kind::Ssn) == Mode::Hash { vec![line.to_owned()] } else { Vec::new() }
    }

    /// What stands in place of a kind.
    pub(super) fn mode(&self, kind: &Kind) -> Mode {
        self.modes.iter().find(|(of, _)| of == kind).map(|(_, mode)| *mode).unwrap_or_default()
    }

    /// The hash that stands for a value; `None` where none is wanted.
    pub(super) fn hashed(&self, kind: &Kind, value: &str) -> Option<String> {
        let key = self.key.as_ref().filter(|_| self.mode(kind) == Mode::Hash)?;
        // A number of the country, said with its country code or without.
        let value = value.strip_prefix('1').filter(|rest| *kind == Kind::Phone && rest.len() == 10).unwrap_or(value);
        let hash = key.clone().chain_update(value.as_bytes()).finalize().into_bytes();
        Some(format!("[{}:{}]", kind.as_str(), crate::hex::hex(&hash[..HASH_SHOWN])))
    }

    /// The last digits of a card that may be shown: only those of a number that is all there, in one final, and right.
    pub(super) fn last_of(&self, finding: &Finding) -> Option<Zeroizing<String>> {
        let wanted = finding.kind == Kind::CreditCard && self.mode(&finding.kind) == Mode::Last4;
        let whole = finding.state == State::Closed && finding.spans.len() == 1;
        let digits: Zeroizing<Vec<u8>> = finding.value.bytes().map(|byte| byte.wrapping_sub(b'0')).collect::<Vec<_>>().into();
        let right = finding.value.bytes().all(|byte| byte.is_ascii_digit()) && card::is_card(&digits);
        (wanted && whole && right).then(|| finding.value[finding.value.len() - LAST..].to_owned().into())
    }

    /// What patterns of the operator's fit in a text that was read as `turn`: byte ranges and kinds.
    pub(super) fn fitting(&self, turn: &Turn, text: &str) -> Vec<(usize, usize, Kind)> {
        self.patterns.fitting(turn, text)
    }

    /// What the rules found, less what stays, and what always goes. `ended` says that nothing more will come.
    pub(super) fn judge(&self, turns: &[Turn], mut found: Vec<Finding>, known: &Numbering, ended: bool) -> Vec<Finding> {
        if !self.off.is_empty() {
            found.retain_mut(|finding| self.is_on(turns, finding, ended));
        }
        self.listed.judge(turns, &mut found, known, ended);
        if !self.off.is_empty() || self.listed.frees() {
            let cards = cards(turns, &found, ended);
            found.extend(cards);
        }
        found
    }

    /// Whether a finding goes on its way; one that is off and may yet become a card's number goes on as an open end.
    fn is_on(&self, turns: &[Turn], finding: &mut Finding, ended: bool) -> bool {
        let like_a_card = finding.kind == Kind::Number && finding.value.len() >= LIKE_A_CARD;
        if !self.off.contains(&finding.kind) || finding.repeats.is_some() || like_a_card {
            return true;
        }
        if !finding.kind.is_numeric() || !may_go_on(turns, finding, ended) {
            return false;
        }
        finding.state = match finding.state {
            State::Closed | State::Growing => State::Doubtful(true),
            doubtful @ State::Doubtful(_) => doubtful,
        };
        finding.kind = Kind::Number;
        true
    }
}

/// Cards' numbers that are in nothing that goes: they were a part of something else that stays, an address of mail or a date.
fn cards(turns: &[Turn], found: &[Finding], ended: bool) -> Vec<Finding> {
    let mut cards = Vec::new();
    for stream in listed::streams(turns, ended) {
        for run in number::runs(&stream) {
            let values = Zeroizing::new(run.values());
            if !card::holds_card(&values, &run.corrections) {
                continue;
            }
            let spans = listed::spans(&stream, &(run.first()..run.last() + 1));
            let overlaps = |own: &(usize, usize, usize)| spans.iter().any(|of| of.0 == own.0 && of.1 < own.2 && own.1 < of.2);
            if !found.iter().any(|finding| finding.kind == Kind::CreditCard && finding.spans.iter().any(overlaps)) {
                let value: String = values.iter().map(|value| char::from(b'0' + value)).collect();
                let state = if number::is_open(&stream, &run) { State::Growing } else { State::Closed };
                let (kind, reason) = (Kind::CreditCard, Reason::CheckDigit);
                cards.push(Finding { kind, spans, value: value.into(), state, repeats: None, reason, also: Vec::new() });
            }
        }
    }
    cards
}

/// Whether digits that follow would belong to a finding.
fn may_go_on(turns: &[Turn], finding: &Finding, ended: bool) -> bool {
    let Some((turn, _, end)) = finding.spans.last() else { return false };
    let stream = Stream::new(turns, &turns[*turn].party);
    let stream = stream.closed_if(ended);
    let last = stream.items.iter().rposition(|item| item.turn == *turn && turns[*turn].tokens[item.token].end <= *end);
    last.is_some_and(|last| number::is_open(&stream, &Run { items: vec![last], ..Run::default() }))
}

/// The kinds that are not taken out.
fn off(types: &[String]) -> Result<Vec<Kind>, String> {
    let (less, more): (Vec<&String>, Vec<&String>) = types.iter().partition(|word| word.starts_with('-'));
    let mut on = if more.is_empty() { Kind::ALL.to_vec() } else { Vec::new() };
    for word in more {
        on.extend(kinds(word)?);
    }
    for word in less {
        let out = kinds(word.trim_start_matches('-'))?;
        if let Some(kind) = out.iter().find(|kind| kind.is_card_data()) {
            return Err(format!("has {word:?}: {} cannot be left in a text; take it out", kind.as_str()));
        }
        on.retain(|kind| !out.contains(kind));
    }
    Ok(Kind::ALL.into_iter().filter(|kind| !on.contains(kind) && !kind.is_card_data()).collect())
}

/// The groups, the narrowest first.
const GROUPS: [&str; 4] = ["ssn", "pci", "numbers", "pii"];

/// The kinds of a word: itself, or a group's.
fn kinds(word: &str) -> Result<Vec<Kind>, String> {
    let group = |group: &str| -> Vec<Kind> {
        let is_in = |kind: &Kind| match group {
            "ssn" => *kind == Kind::Ssn,
            "pci" => kind.is_card_data() || *kind == Kind::Expiry,
            "numbers" => kind.is_numeric(),
            _ => true,
        };
        Kind::ALL.into_iter().filter(is_in).collect()
    };
    match (Kind::named(word), GROUPS.iter().find(|name| name.eq_ignore_ascii_case(word))) {
        (Some(kind), _) => Ok(vec![kind]),
        (None, Some(name)) => Ok(group(name)),
        (None, None) => {
            let names: Vec<String> = Kind::ALL.iter().map(|kind| kind.as_str().to_lowercase()).collect();
            let known = GROUPS.into_iter().chain(names.iter().map(String::as_str));
            let near = crate::config::nearest::nearest(&word.to_lowercase(), known).unwrap_or_default();
            Err(format!("has {word:?}, which is no type or group; did you mean {near:?}?"))
        }
    }
}

/// What stands in place of each kind that is not masked; a kind's own word wins over its group's, a narrow group's over a wide one's.
fn modes(pairs: &[(String, String)]) -> Result<Vec<(Kind, Mode)>, String> {
    let mut chosen: Vec<(usize, Vec<Kind>, Mode)> = Vec::new();
    for (word, mode) in pairs {
        let kinds = kinds(word)?;
        let Some((_, mode)) = Mode::WORDS.into_iter().find(|(name, _)| name == mode) else {
            let words = Mode::WORDS.map(|(name, _)| name);
            let near = crate::config::nearest::nearest(mode, words.into_iter()).unwrap_or_default();
            return Err(format!("has {word} = {mode:?}; it must be one of {}; did you mean {near:?}?", words.join(", ")));
        };
        let refusal = kinds.iter().find_map(|kind| mode.fits(kind).err().map(|why| (kind, why)));
        if let Some((kind, why)) = refusal.filter(|_| kinds.len() == 1 || mode == Mode::Last4) {
            return Err(format!("has {word} = {:?}: {} {why}", pairs_word(mode), kind.as_str()));
        }
        chosen.push((kinds.len(), kinds, mode));
    }
    chosen.sort_by_key(|(width, ..)| *width);
    let mode = |kind: Kind| {
        let (.., mode) = chosen.iter().find(|(_, kinds, _)| kinds.contains(&kind))?;
        (*mode != Mode::Mask && mode.fits(&kind).is_ok()).then_some((kind, *mode))
    };
    Ok(Kind::ALL.into_iter().filter_map(mode).collect())
}

/// The word of a mode.
fn pairs_word(mode: Mode) -> &'static str {
    Mode::WORDS.into_iter().find(|(_, of)| *of == mode).map_or("", |(word, _)| word)
}

fn hash_key(key: &SecretString) -> Result<Hmac<Sha256>, String> {
    let bytes = BASE64_STANDARD.decode(key.expose_secret()).map(Zeroizing::new).ok();
    let bytes = bytes.filter(|bytes| bytes.len() >= SHORTEST_HASH_KEY);
    let bytes = bytes.ok_or_else(|| {
        format!("must be base64 of at least {SHORTEST_HASH_KEY} bytes; make one with: openssl rand -base64 {SHORTEST_HASH_KEY}")
    })?;
    Ok(Hmac::new_from_slice(&bytes).expect("HMAC takes a key of any length"))
}
