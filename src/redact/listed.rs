//! Values and phrases that the operator listed: what stays, and what always goes.
//!
//! Promises: a number is the same however it is said or written, words are the same in any case and with any punctuation; the
//! list of what stays frees neither a card's number that passes its check, nor a security code or PIN, nor what repeats a value
//! that was taken out; a listed phrase that is cut over finals goes as a whole.

use zeroize::Zeroizing;

use super::{
    card,
    detect::{Finding, State},
    number::{self, Run},
    placeholder::{Kind, Numbering},
    reason::Reason,
    token::Unit,
    turn::{self, Joint, Party, Stream, Turn},
};
use crate::media::Track;

/// Most entries of a list.
const MAX_ENTRIES: usize = 1000;
/// Most words of an entry.
const MAX_WORDS: usize = 16;

/// What an operator listed.
#[derive(Clone, Default)]
pub(super) struct Listed {
    allow: Vec<Entry>,
    deny: Vec<(Kind, Entry)>,
}

/// An entry as it is compared.
#[derive(Clone)]
struct Entry {
    /// Its digits, if it is a number.
    digits: Option<String>,
    /// Its words in lower case.
    words: Vec<String>,
}

/// A phrase in a stream.
struct Place {
    /// The first item and the one behind the last.
    items: std::ops::Range<usize>,
    /// Whether the phrase is all there; else its rest may follow.
    whole: bool,
}

impl Listed {
    /// What stays.
    ///
    /// # Errors
    /// Too many entries; one that is empty, too long or a card's number.
    pub(super) fn allow(&mut self, entries: &[String]) -> Result<(), String> {
        self.allow = read(entries)?;
        let is_card = |entry: &Entry| entry.digits.as_ref().is_some_and(|digits| card::holds_card(&values(digits), &[]));
        match self.allow.iter().position(is_card) {
            Some(at) => Err(format!("item {} is a card number, and those are always taken out; take it out", at + 1)),
            None => Ok(()),
        }
    }

    /// What always goes, by kind.
    ///
    /// # Errors
    /// As [`Listed::allow`]; a word that is no kind.
    pub(super) fn deny(&mut self, lists: &[(String, Vec<String>)]) -> Result<(), String> {
        for (word, entries) in lists {
            let Some(kind) = Kind::named(word) else {
                let near = crate::config::nearest::nearest(word, Kind::ALL.iter().map(Kind::as_str)).unwrap_or_default();
                return Err(format!("has {word:?}, which is no type; did you mean {near:?}?"));
            };
            let entries = read(entries).map_err(|what| format!("{}: {what}", kind.as_str()))?;
            self.deny.extend(entries.into_iter().map(|entry| (kind.clone(), entry)));
        }
        Ok(())
    }

    /// Whether something is listed to stay.
    pub(super) fn frees(&self) -> bool {
        !self.allow.is_empty()
    }

    /// Takes out of what was found what stays, and adds what always goes.
    pub(super) fn judge(&self, turns: &[Turn], found: &mut Vec<Finding>, known: &Numbering, ended: bool) {
        if self.frees() {
            found.retain_mut(|finding| !self.stays(turns, finding, known));
        }
        if self.deny.is_empty() {
            return;
        }
        for stream in streams(turns, ended) {
            let runs = number::runs(&stream);
            for (kind, entry) in &self.deny {
                found.extend(entry.places(&stream, &runs).into_iter().map(|place| denied(&stream, kind, entry, &place)));
            }
        }
    }

    /// Whether a finding is listed to stay. One that may still grow waits until it does not, and then stays.
    fn stays(&self, turns: &[Turn], finding: &mut Finding, known: &Numbering) -> bool {
        let repeats = finding.repeats.is_some() && known.knows_all(&finding.value);
        let never = match finding.kind {
            Kind::Cvv | Kind::Pin => true,
            Kind::CreditCard => finding.reason == Reason::CheckDigit || card::holds_card(&values(&finding.value), &[]),
            _ => false,
        };
        if never || repeats || !self.allow.iter().any(|entry| entry.is(turns, finding)) {
            return false;
        }
        if finding.state != State::Closed {
            finding.state = State::Doubtful(false);
        }
        finding.state == State::Closed
    }
}

impl Entry {
    /// Whether a finding is this value, or lies in this phrase.
    fn is(&self, turns: &[Turn], finding: &Finding) -> bool {
        let joined = || Zeroizing::new(self.words.concat());
        if self.digits.as_deref() == Some(finding.value.as_str()) || *joined() == *finding.value {
            return true;
        }
        let Some((turn, ..)) = finding.spans.first() else { return false };
        let stream = Stream::new(turns, &turns[*turn].party);
        let places = self.places_of_words(&stream);
        let mut places = places.iter().filter(|place| place.whole).map(|place| spans(&stream, &place.items));
        places.any(|phrase| {
            let inside = |own: &(usize, usize, usize)| phrase.iter().any(|of| of.0 == own.0 && of.1 <= own.1 && own.2 <= of.2);
            finding.spans.iter().all(inside)
        })
    }

    /// Where it is said.
    fn places(&self, stream: &Stream, runs: &[Run]) -> Vec<Place> {
        let Some(digits) = &self.digits else { return self.places_of_words(stream) };
        let within = |run: &Run| {
            let said: Zeroizing<String> = run.values().iter().map(|value| char::from(b'0' + value)).collect::<String>().into();
            let at = said.find(digits.as_str())?;
            let (first, last) = (run.digits.get(at)?.item, run.digits.get(at + digits.len() - 1)?.item);
            Some(Place { items: first..last + 1, whole: true })
        };
        runs.iter().filter_map(within).collect()
    }

    /// Where its words stand, one behind the other; at the end of what was said so far also where only the first of them do.
    fn places_of_words(&self, stream: &Stream) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        for at in 0..stream.items.len() {
            if places.last().is_none_or(|place| place.items.end <= at) {
                places.extend(self.begins(stream, at));
            }
        }
        places
    }

    fn begins(&self, stream: &Stream, first: usize) -> Option<Place> {
        let (mut at, mut matched) = (first, 0);
        while matched < self.words.len() {
            let Some(unit) = stream.unit(at) else {
                return (matched > 0 && !stream.closed).then_some(Place { items: first..at, whole: false });
            };
            if at > first && stream.joint(at) == Joint::Break {
                return None;
            }
            match compared(unit, stream.word(at)) {
                Some(word) if *word == self.words[matched] => matched += 1,
                None if matched > 0 => {}
                Some(_) if matched > 0 && unit.is_filler() => {}
                _ => return None,
            }
            at += 1;
        }
        Some(Place { items: first..at, whole: true })
    }
}

/// What each party said.
pub(super) fn streams(turns: &[Turn], ended: bool) -> Vec<Stream<'_>> {
    turn::parties(turns).into_iter().map(|party| Stream::whole(turns, party).closed_if(ended)).collect()
}

/// Something that always goes.
fn denied(stream: &Stream, kind: &Kind, entry: &Entry, place: &Place) -> Finding {
    // Not parted by spaces: a word of it alone is no name.
    let value = entry.digits.clone().unwrap_or_else(|| entry.words.join("+")).into();
    let state = if place.whole { State::Closed } else { State::Doubtful(true) };
    let spans = spans(stream, &place.items);
    Finding { kind: kind.clone(), spans, value, state, repeats: None, reason: Reason::Denied, also: Vec::new() }
}

/// Turn and byte range of items, one for each turn.
pub(super) fn spans(stream: &Stream, items: &std::ops::Range<usize>) -> Vec<(usize, usize, usize)> {
    let mut spans: Vec<(usize, usize, usize)> = Vec::new();
    for item in items.clone() {
        let (turn, Some(token)) = (stream.items[item].turn, stream.token(item)) else { continue };
        match spans.last_mut() {
            Some((last, _, end)) if *last == turn => *end = token.end,
            _ => spans.push((turn, token.start, token.end)),
        }
    }
    spans
}

/// A word as it is compared; `None` for a sign between words.
fn compared(unit: &Unit, word: &str) -> Option<Zeroizing<String>> {
    match unit {
        Unit::Dot => Some(".".to_owned().into()),
        Unit::At => Some("@".to_owned().into()),
        _ if !word.contains(char::is_alphanumeric) => None,
        _ => Some(word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word).to_lowercase().into()),
    }
}

fn values(digits: &str) -> Zeroizing<Vec<u8>> {
    let values: Option<Vec<u8>> = digits.bytes().map(|byte| byte.checked_sub(b'0').filter(|value| *value < 10)).collect();
    values.unwrap_or_default().into()
}

/// The entries of a list; an error names one by its place, since it may be somebody's name.
fn read(entries: &[String]) -> Result<Vec<Entry>, String> {
    if entries.len() > MAX_ENTRIES {
        return Err(format!("has {} items; at most {MAX_ENTRIES}", entries.len()));
    }
    let one = |(at, text): (usize, &String)| {
        let turns = [Turn::new(Party(Track::Mixed, None), 0, 0, text)];
        let stream = Stream::new(&turns, &turns[0].party);
        let words = (0..stream.items.len()).filter_map(|item| Some(compared(stream.unit(item)?, stream.word(item))?.to_string()));
        let words: Vec<String> = words.collect();
        match words.len() {
            0 => Err(format!("item {} has neither a letter nor a digit; take it out", at + 1)),
            1..=MAX_WORDS => Ok(Entry { digits: digits(&stream), words }),
            _ => Err(format!("item {} has more than {MAX_WORDS} words", at + 1)),
        }
    };
    entries.iter().enumerate().map(one).collect()
}

/// The digits of an entry that is a number and nothing else.
fn digits(stream: &Stream) -> Option<String> {
    let runs = number::runs(stream);
    let [run] = runs.as_slice() else { return None };
    let between = |item: usize| stream.unit(item).is_some_and(|unit| unit.is_filler() || *unit == Unit::Dot);
    let all = (0..stream.items.len()).all(|item| run.items.contains(&item) || between(item));
    (all && run.letters == 0).then(|| run.values().iter().map(|value| char::from(b'0' + value)).collect())
}
