//! From the answer for a whole file to segments as streaming would have made them.
//!
//! Promises: a word counts for a piece only if its middle lies in what the piece was made for; every time lies within the piece;
//! segments come in order and none spans a pause, a change of speaker or the end of a sentence.

use std::{cmp::Reverse, time::Instant};

use super::plan::Piece;
use crate::{
    media::{Offset, ms_to_bytes},
    pii::Unredacted,
    segment::{Heard, HeardUtterance, HeardWord, Latency},
    upstream::{join::join, wire},
};

/// A pause of this length ends a segment: the silence that ends an utterance of a stream (protocols/pulse.md section 4).
const PAUSE_MS: u64 = 800;
/// Longer segments are cut at their longest pauses, so that no final waits for a minute of speech.
const SEGMENT_MS: u64 = 15_000;
/// An utterance may stand out of its segment's words by this much rounding.
const SLACK_MS: u64 = 100;
/// Numbers of connections and voices from here on belong to batch requests: a link never gives out so many.
const OWN_NUMBERS: u32 = 1 << 24;
/// Voices that one request may tell apart.
const VOICES: u32 = 256;

/// Where and when an answer came.
pub(super) struct Hearing<'a> {
    pub(super) piece: &'a Piece,
    /// Counts the track's batch requests from 0: speaker numbers mean nothing across two of them.
    pub(super) request: u32,
    pub(super) now: Instant,
}

/// A word or an utterance with its place on the track.
struct Placed {
    heard: wire::Word,
    start: Offset,
    end: Offset,
    /// Which of the utterances it is said in.
    utterance: Option<usize>,
}

/// Whether an answer says of anything when it was said.
pub(super) fn is_timed(answer: &wire::Transcript) -> bool {
    answer.words.iter().chain(&answer.utterances).any(|it| it.start.is_some())
}

impl Hearing<'_> {
    /// The answer's segments, in order; none where nothing was said.
    pub(super) fn segments(&self, mut answer: wire::Transcript) -> Vec<Heard> {
        if answer.text.is_blank() && answer.words.is_empty() && answer.utterances.is_empty() {
            return Vec::new();
        }
        if !is_timed(&answer) {
            let range = (self.piece.wanted.first().map_or(self.piece.start, |range| range.0), self.piece.upto());
            return vec![self.heard(&answer, &answer.text, range, (Vec::new(), Vec::new()))];
        }
        let utterances = self.placed(std::mem::take(&mut answer.utterances));
        let mut words = self.placed(std::mem::take(&mut answer.words));
        let worded = !words.is_empty();
        if !worded {
            return utterances.into_iter().filter(|it| self.is_wanted(it)).map(|it| self.sentence(&answer, &it)).collect();
        }
        for word in &mut words {
            let middle = word.middle();
            word.utterance = utterances.iter().position(|it| middle < it.end).or(utterances.len().checked_sub(1));
        }
        let all = words.len();
        let sizes: Vec<usize> =
            (0..utterances.len()).map(|at| words.iter().filter(|word| word.utterance == Some(at)).count()).collect();
        words.retain(|word| self.is_wanted(word));
        let is_whole = words.len() == all;
        let groups = self.groups(words);
        let alone = groups.len() == 1;
        let segment = |group: Vec<Placed>| {
            let (first, last) = (group.first().expect("no group is empty"), group.last().expect("no group is empty"));
            let (range, sentence) = ((first.start, group.iter().map(|word| word.end).max().unwrap_or(last.end)), first.utterance);
            let said = sentence
                .filter(|at| last.utterance == sentence && sizes[*at] == group.len() && !utterances[*at].heard.text.is_blank());
            let text = match said {
                _ if alone && is_whole && !answer.text.is_blank() => answer.text.clone(),
                Some(at) => utterances[at].heard.text.clone(),
                None => Unredacted::new(join(group.iter().map(|word| word.heard.text.expose()), answer.language.as_deref())),
            };
            let slack = ms_to_bytes(SLACK_MS);
            let inside = |it: &&Placed| it.start.plus(slack) >= range.0 && it.end <= range.1.plus(slack);
            let sentences = utterances.iter().filter(inside).map(|it| self.utterance(it)).collect();
            let words = group.iter().map(|word| self.word(word)).collect();
            self.heard(&answer, &text, range, (words, sentences))
        };
        groups.into_iter().map(segment).collect()
    }

    /// A word without times lies where the one before it ends.
    fn placed(&self, words: Vec<wire::Word>) -> Vec<Placed> {
        let mut cursor = self.piece.start;
        let place = |heard: wire::Word| {
            let start = self.place(heard.start).unwrap_or(cursor);
            let end = self.place(heard.end).unwrap_or(start).max(start);
            cursor = end;
            Placed { heard, start, end, utterance: None }
        };
        let mut placed: Vec<Placed> = words.into_iter().map(place).collect();
        placed.sort_by_key(|it| it.start);
        placed
    }

    /// Where so many seconds of the request lie on the track, never outside of it.
    fn place(&self, seconds: Option<f64>) -> Option<Offset> {
        seconds.map(|seconds| {
            let millis = (seconds.clamp(0.0, 1e9) * 1_000.0).round();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=1e12 just above")]
            let bytes = ms_to_bytes(millis as u64);
            self.piece.start.plus(bytes.min(self.piece.length))
        })
    }

    /// Whether its middle lies in what this request is for; what lies at the very end counts as before it.
    fn is_wanted(&self, it: &Placed) -> bool {
        let middle = it.middle().0.min((self.piece.start.0 + self.piece.length).saturating_sub(1));
        self.piece.wanted.iter().any(|(from, to)| from.0 <= middle && middle < to.0)
    }

    /// Words that belong together, in order.
    fn groups(&self, words: Vec<Placed>) -> Vec<Vec<Placed>> {
        let range = |word: &Placed| self.piece.wanted.iter().position(|(from, to)| *from <= word.middle() && word.middle() < *to);
        let parts = |before: &Placed, next: &Placed| {
            let speakers = before.heard.speaker.zip(next.heard.speaker);
            next.start.since(before.end) >= ms_to_bytes(PAUSE_MS)
                || before.utterance != next.utterance
                || speakers.is_some_and(|(one, other)| one != other)
                || range(before) != range(next)
        };
        let mut groups: Vec<Vec<Placed>> = Vec::new();
        for word in words {
            match groups.last_mut() {
                Some(group) if group.last().is_some_and(|before| !parts(before, &word)) => group.push(word),
                _ => groups.push(vec![word]),
            }
        }
        groups.into_iter().flat_map(short).collect()
    }

    fn sentence(&self, answer: &wire::Transcript, it: &Placed) -> Heard {
        let utterance = self.utterance(it);
        self.heard(answer, &it.heard.text, (it.start, it.end), (Vec::new(), vec![utterance]))
    }

    fn heard(
        &self,
        answer: &wire::Transcript,
        text: &Unredacted,
        (start, end): (Offset, Offset),
        (words, utterances): (Vec<HeardWord>, Vec<HeardUtterance>),
    ) -> Heard {
        Heard {
            text: Unredacted::new(text.expose().trim()),
            start_ms: self.piece.ms(start),
            end_ms: self.piece.ms(end),
            words,
            utterances,
            language: answer.language.clone(),
            languages: answer.languages.clone(),
            emotion: answer.emotion.clone(),
            gender: answer.gender.clone(),
            connection: OWN_NUMBERS + self.request,
            covers: end.min(self.piece.upto()),
            flushed: false,
            provisional: false,
            recovered: true,
            heard_at: self.now,
            sent_ms: self.piece.ms(self.piece.upto()),
            latency: Latency::default(),
        }
    }

    fn word(&self, it: &Placed) -> HeardWord {
        HeardWord {
            text: it.heard.text.clone(),
            start_ms: self.piece.ms(it.start),
            end_ms: self.piece.ms(it.end),
            confidence: it.heard.confidence,
            speaker: it.heard.speaker.map(|number| self.voice(number)),
            speaker_confidence: it.heard.speaker_confidence,
        }
    }

    fn utterance(&self, it: &Placed) -> HeardUtterance {
        HeardUtterance {
            text: it.heard.text.clone(),
            start_ms: self.piece.ms(it.start),
            end_ms: self.piece.ms(it.end),
            speaker: it.heard.speaker.map(|number| self.voice(number)),
        }
    }

    /// A number that no connection and no other request gives.
    const fn voice(&self, number: u32) -> u32 {
        OWN_NUMBERS.saturating_add(self.request.saturating_mul(VOICES)).saturating_add(number % VOICES)
    }
}

impl Placed {
    fn middle(&self) -> Offset {
        Offset(u64::midpoint(self.start.0, self.end.0))
    }
}

/// Cuts a group at its longest pause until no part is too long; of equal pauses at the one nearest its middle, as words without any between them
/// would else be cut off one by one.
fn short(mut group: Vec<Placed>) -> Vec<Vec<Placed>> {
    let length = group.first().zip(group.last()).map_or(0, |(first, last)| last.end.since(first.start));
    let pause = |at: &usize| (group[*at].start.since(group[*at - 1].end), Reverse(at.abs_diff(group.len() / 2)));
    let longest = (1..group.len()).max_by_key(pause);
    let Some(at) = longest.filter(|_| length > ms_to_bytes(SEGMENT_MS)) else { return vec![group] };
    let rest = group.split_off(at);
    short(group).into_iter().chain(short(rest)).collect()
}

#[cfg(test)]
mod tests;
