//! From the service's transcript to what was [`Heard`]: times on the call's clock, words that came before left out.
//!
//! Promises: a word is dropped only on a connection that replays audio and only if its middle lies in audio that a final had
//! covered when the connection was opened; every time lies within the audio sent, and no end before its beginning.

use std::time::Instant;

use super::{backlog::Backlog, connection::Connection, join::join, wire};
use crate::{
    media::{Offset, ms_to_bytes},
    pii::Unredacted,
    segment::{Heard, HeardUtterance, HeardWord, Latency},
};

/// An empty final that nobody asked for says nothing about the newest audio: the service may not have decoded it yet. Its
/// decoder works on pieces of about 1.1 s (protocols/pulse.md section 7).
const UNDECODED_MS: u64 = 2_000;
/// An utterance may stand out of its final's words by this much rounding.
const SLACK_MS: u64 = 100;

/// Where and when a message is heard.
pub(super) struct Ear<'a> {
    pub(super) connection: &'a Connection,
    pub(super) backlog: &'a Backlog,
    /// Finals cover the audio up to here.
    pub(super) finalized: Offset,
    pub(super) recovered: bool,
    pub(super) now: Instant,
}

/// A word or an utterance with its place on the track.
struct Placed {
    heard: wire::Word,
    start: Offset,
    end: Offset,
}

impl Placed {
    fn is_after(&self, known: Offset) -> bool {
        u64::midpoint(self.start.0, self.end.0) >= known.0
    }
}

impl Ear<'_> {
    /// What is being said: from the end of the last final to the end of what was sent.
    pub(super) fn interim(&self, transcript: wire::Transcript) -> Heard {
        let end = self.connection.sent_end().max(self.finalized);
        self.heard(transcript, (Vec::new(), Vec::new()), (self.finalized, end), self.finalized)
    }

    /// What was said. The text is blank if there was nothing, or nothing new.
    pub(super) fn last_word(&self, mut transcript: wire::Transcript) -> Heard {
        let was_blank = transcript.text.is_blank();
        let times = transcript.words.iter().chain(&transcript.utterances);
        let begin = times.filter_map(|word| self.connection.place(word.start)).min();
        if begin.is_none() {
            // Nothing says when anything was said: as good as no words.
            transcript.utterances.clear();
            transcript.words.clear();
        }
        let mut words = self.placed(std::mem::take(&mut transcript.words), begin);
        let mut utterances = self.placed(std::mem::take(&mut transcript.utterances), begin);
        let spoken_until = words.iter().chain(&utterances).map(|placed| placed.end).max();
        let worded = !words.is_empty();
        let known = self.connection.known_until;
        let before = (words.len(), utterances.len());
        words.retain(|word| word.is_after(known));
        utterances.retain(|utterance| utterance.is_after(known));
        if worded && words.len() < before.0 {
            transcript.text = joined(&words, transcript.language.as_deref());
        } else if !worded && utterances.len() < before.1 {
            transcript.text = joined(&utterances, transcript.language.as_deref());
        }
        let (start, end) = self.extent(&words, &utterances);
        if worded {
            let slack = ms_to_bytes(SLACK_MS);
            utterances.retain(|it| it.is_after(Offset(start.0.saturating_sub(slack))) && it.start <= end.plus(slack));
        }
        let covers = self.covers(&transcript, was_blank, spoken_until).max(self.finalized);
        self.heard(transcript, (words, utterances), (start, end), covers)
    }

    /// A word without times lies where the one before it ends; the first ones where the first time of all, `begin`, is.
    fn placed(&self, words: Vec<wire::Word>, begin: Option<u64>) -> Vec<Placed> {
        let mut cursor = begin.unwrap_or(0);
        let place = |heard: wire::Word| {
            let start = self.connection.place(heard.start).unwrap_or(cursor);
            let end = self.connection.place(heard.end).unwrap_or(start).max(start);
            cursor = end;
            let start = self.connection.begin(start);
            Placed { start, end: self.connection.end(end).max(start), heard }
        };
        words.into_iter().map(place).collect()
    }

    /// From the first word to the end of the last one; without words by utterances; else from the final before to what was sent.
    fn extent(&self, words: &[Placed], utterances: &[Placed]) -> (Offset, Offset) {
        let timed = if words.is_empty() { utterances } else { words };
        match (timed.iter().map(|it| it.start).min(), timed.iter().map(|it| it.end).max()) {
            (Some(start), Some(end)) => (start, end),
            _ => (self.finalized, self.connection.sent_end().max(self.finalized)),
        }
    }

    /// Up to where the audio needs no further transcript.
    fn covers(&self, transcript: &wire::Transcript, was_blank: bool, spoken_until: Option<Offset>) -> Offset {
        let sent = self.connection.sent_end();
        let asked = self.connection.finalize_at.filter(|_| transcript.from_finalize || was_blank);
        match (asked, spoken_until) {
            _ if transcript.is_last && self.connection.closing => sent,
            (Some(asked), spoken) => asked.max(spoken.unwrap_or_default()),
            (None, Some(spoken)) => spoken,
            // It ends the stream without having been asked to: nothing says how much of it was decoded.
            (None, None) if was_blank && transcript.is_last => self.finalized,
            (None, None) if was_blank => Offset(sent.0.saturating_sub(ms_to_bytes(UNDECODED_MS))),
            (None, None) => sent,
        }
    }

    fn heard(
        &self,
        said: wire::Transcript,
        (words, utterances): (Vec<Placed>, Vec<Placed>),
        (start, end): (Offset, Offset),
        covers: Offset,
    ) -> Heard {
        let start_ms = self.backlog.start_ms(start);
        let is_final = said.is_final;
        Heard {
            text: Unredacted::new(said.text.expose().trim()),
            start_ms,
            end_ms: self.backlog.end_ms(end).max(start_ms),
            words: words.into_iter().map(|word| self.word(word)).collect(),
            utterances: utterances.into_iter().map(|utterance| self.utterance(utterance)).collect(),
            language: said.language,
            languages: said.languages,
            emotion: said.emotion,
            gender: said.gender,
            connection: self.connection.number,
            covers,
            flushed: said.from_finalize || said.is_last || self.connection.closing || self.connection.finalize_at.is_some(),
            provisional: false,
            recovered: self.recovered || end <= self.connection.replayed_until,
            heard_at: self.now,
            sent_ms: self.backlog.end_ms(self.connection.sent_end()),
            latency: if is_final && !self.recovered { self.backlog.latency(end, self.now) } else { Latency::default() },
        }
    }

    fn word(&self, placed: Placed) -> HeardWord {
        let (start_ms, end_ms) = self.millis(&placed);
        let wire::Word { text, confidence, speaker, speaker_confidence, .. } = placed.heard;
        HeardWord { text, start_ms, end_ms, confidence, speaker, speaker_confidence }
    }

    fn utterance(&self, placed: Placed) -> HeardUtterance {
        let (start_ms, end_ms) = self.millis(&placed);
        HeardUtterance { text: placed.heard.text, start_ms, end_ms, speaker: placed.heard.speaker }
    }

    fn millis(&self, placed: &Placed) -> (u64, u64) {
        let start_ms = self.backlog.start_ms(placed.start);
        (start_ms, self.backlog.end_ms(placed.end).max(start_ms))
    }
}

/// What an interim says behind the finals that were told: as many of its first words are left out as are their last ones,
/// and all of it where it is a part of them as long as the service may be at their audio. Interims have no times (protocols/pulse.md section 6), so the words themselves must do.
pub(super) fn behind<'a>(told: impl Iterator<Item = &'a Unredacted>, said: &Unredacted, is_replaying: bool) -> Unredacted {
    let letters = |word: &str| word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let words = |text: &str| text.split_whitespace().map(letters).collect::<Vec<_>>();
    let told: Vec<String> = told.flat_map(|text| words(text.expose())).collect();
    let heard = words(said.expose());
    if is_replaying && !heard.is_empty() && told.windows(heard.len()).any(|known| known == heard) {
        return Unredacted::new("");
    }
    let same = (1..=heard.len().min(told.len())).rev().find(|count| told[told.len() - count..] == heard[..*count]);
    let rest: Vec<&str> = said.expose().split_whitespace().skip(same.unwrap_or(0)).collect();
    Unredacted::new(rest.join(" "))
}

/// Whether what the service says now may still be about audio that a final covered before this connection.
pub(super) fn is_replaying(connection: &Connection) -> bool {
    connection.sent_end() <= connection.known_until.plus(ms_to_bytes(UNDECODED_MS))
}

fn joined(words: &[Placed], language: Option<&str>) -> Unredacted {
    Unredacted::new(join(words.iter().map(|word| word.heard.text.expose()), language))
}
