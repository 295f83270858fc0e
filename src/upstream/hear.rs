//! From the service's transcript to what was [`Heard`]: times on the call's clock, words that came before left out.
//!
//! Promises: a word is dropped only on a connection that is sent audio again and only if finals had covered the audio in which it lies when the
//! connection was opened, or had told it there; every time lies within the audio sent, and no end before its beginning; speaker
//! numbers become the link's own voices.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    backlog::{Backlog, KnownWord},
    connection::Connection,
    join::join,
    reach::Reach,
    recall::{Recall, Spoken, Verdict, is_part, letters, rest},
    voices::Voices,
    wire,
};
use crate::{
    media::{Chunk, Offset, ms_to_bytes},
    pii::Unredacted,
    segment::{Heard, HeardUtterance, HeardWord, Latency},
};

/// A final without times that nobody asked for says nothing about the newest audio: the service may not have decoded it yet. Its
/// decoder works on pieces of about 1.1 s (protocols/pulse.md section 7).
pub(super) const UNDECODED_MS: u64 = 2_000;
/// An utterance may stand out of its final's words by this much rounding.
const SLACK_MS: u64 = 100;

/// What is known of what finals told, over all connections of a link.
#[derive(Default)]
pub(super) struct Memory {
    recall: Recall,
    voices: Voices,
    reach: Reach,
}

impl Memory {
    /// A new connection is sent the audio from `from` on; what it is to hear before that.
    pub(super) fn handle_connected(&mut self, from: Offset) -> VecDeque<Chunk> {
        let prelude = self.reach.prelude(from);
        self.voices.handle_connected();
        let is_sent = |at: Offset| at >= from || prelude.iter().any(|chunk| chunk.offset <= at && at < chunk.end());
        self.recall.handle_connected(is_sent);
        prelude
    }

    /// Whether a connection that is sent the audio from `to` on hears all between these two before it in any case.
    pub(super) fn leads(&self, from: Offset, to: Offset) -> bool {
        self.reach.leads(from, to)
    }

    /// The service has got to this point: it will not say any more what was told before it.
    pub(super) fn pass(&mut self, to: Offset) {
        self.recall.pass(to);
    }

    /// What of a text without times was not told before.
    pub(super) fn behind(&self, text: &Unredacted, is_replaying: bool) -> Unredacted {
        behind(self.recall.awaited(), text, is_replaying)
    }

    /// What of an interim was not told before.
    pub(super) fn behind_interim(&self, text: &Unredacted, is_replaying: bool) -> Unredacted {
        if is_replaying && is_part(self.recall.awaited(), text) {
            return Unredacted::new("");
        }
        self.behind(text, is_replaying)
    }

    /// Where the last of what was told ended.
    pub(super) const fn until(&self) -> Offset {
        self.recall.until()
    }

    /// An earlier life of the link told these.
    pub(super) fn resume(&mut self, known: &[KnownWord]) {
        let words = known.iter().map(|word| Spoken { text: &word.text, start: word.start, end: word.end, voice: None });
        self.recall.tell(words, 0, |_| false);
    }

    /// A final was told on this connection: its words, and the audio of each voice in it, are kept in mind.
    pub(super) fn tell(&mut self, told: &[Told], connection: u32, backlog: &Backlog) {
        for turn in told.chunk_by(|one, next| one.voice == next.voice) {
            let Some(voice) = turn[0].voice else { continue };
            let end = turn.iter().map(|word| word.end).max().unwrap_or_default();
            self.reach.keep(voice, (turn[0].start, end), |from, to| backlog.copy(from, to));
        }
        self.recall.tell(told.iter().map(Told::spoken), connection, |at| self.reach.has(at));
    }

    /// An interim was told as if it were a final, because none came.
    pub(super) fn promote(&mut self, text: &Unredacted, extent: (Offset, Offset), connection: u32) {
        self.recall.tell(evenly(text, extent).iter().map(Told::spoken), connection, |at| self.reach.has(at));
    }
}

/// Where and when a message is heard.
pub(super) struct Ear<'a> {
    pub(super) connection: &'a Connection,
    pub(super) backlog: &'a Backlog,
    /// Finals cover the audio up to here.
    pub(super) finalized: Offset,
    pub(super) memory: &'a mut Memory,
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
    fn middle(&self) -> Offset {
        Offset(self.start.0.midpoint(self.end.0))
    }

    fn is_after(&self, known: Offset) -> bool {
        self.middle() >= known
    }

    fn spoken(&self) -> Spoken<'_> {
        Spoken { text: &self.heard.text, start: self.start, end: self.end, voice: self.heard.speaker }
    }
}

/// A final, and where it lies on the track.
pub(super) struct LastWord {
    pub(super) heard: Heard,
    /// From the first to the last time that the service gave in it; none where it gave none.
    pub(super) span: Option<(Offset, Offset)>,
    /// The same for what is new in it, whatever was given.
    pub(super) extent: (Offset, Offset),
    /// Its words, for when they come again.
    pub(super) told: Vec<Told>,
}

/// A word of a final that is to be told.
pub(super) struct Told {
    text: Unredacted,
    start: Offset,
    end: Offset,
    voice: Option<u32>,
}

impl Told {
    fn spoken(&self) -> Spoken<'_> {
        Spoken { text: &self.text, start: self.start, end: self.end, voice: self.voice }
    }
}

impl Ear<'_> {
    /// What is being said: from the end of the last final to the end of what was sent.
    pub(super) fn interim(&self, transcript: wire::Transcript) -> Heard {
        let end = self.connection.sent_end().max(self.begin());
        self.heard(transcript, (Vec::new(), Vec::new()), (self.begin(), end), self.finalized)
    }

    /// What was said. The text is blank if there was nothing, or nothing new.
    pub(super) fn last_word(&mut self, mut transcript: wire::Transcript) -> LastWord {
        let was_blank = transcript.text.is_blank();
        let times = transcript.words.iter().chain(&transcript.utterances);
        let begin = times.filter_map(|word| self.connection.place(word.start)).min();
        if begin.is_none() {
            // Nothing says when anything was said: as good as no words.
            transcript.utterances.clear();
            transcript.words.clear();
            transcript.text = self.unheard(&transcript.text);
        }
        let mut words = self.placed(std::mem::take(&mut transcript.words), begin);
        let mut utterances = self.placed(std::mem::take(&mut transcript.utterances), begin);
        let times = || words.iter().chain(&utterances);
        let span = times().map(|it| it.start).min().zip(times().map(|it| it.end).max());
        let worded = !words.is_empty();
        let before = utterances.len();
        let is_cut = self.drop_known(&mut words);
        if worded && is_cut {
            transcript.text = joined(&words, transcript.language.as_deref());
            cut(&mut utterances, &words, transcript.language.as_deref());
        } else {
            utterances.retain(|utterance| utterance.is_after(self.connection.known_until));
            if !worded && utterances.len() < before {
                transcript.text = joined(&utterances, transcript.language.as_deref());
            }
        }
        let extent = self.extent(&words, &utterances);
        if worded {
            let (start, end) = extent;
            let slack = ms_to_bytes(SLACK_MS);
            utterances.retain(|it| it.is_after(Offset(start.0.saturating_sub(slack))) && it.start <= end.plus(slack));
        }
        for placed in words.iter_mut().chain(&mut utterances) {
            placed.heard.speaker = placed.heard.speaker.and_then(|number| self.memory.voices.of(number));
        }
        let told = told(&transcript.text, &words, extent);
        let covers = self.covers(&transcript, was_blank, span.map(|(_, end)| end)).max(self.finalized);
        LastWord { heard: self.heard(transcript, (words, utterances), extent, covers), span, extent, told }
    }

    /// Where what is said now may begin.
    fn begin(&self) -> Offset {
        self.finalized.max(self.memory.recall.until())
    }

    /// What of a text without times was not told before: only its words can say so.
    fn unheard(&self, text: &Unredacted) -> Unredacted {
        let rest = self.memory.behind(text, is_replaying(self.connection));
        if same_words(&rest, text) { text.clone() } else { rest }
    }

    /// Takes out the words that were told before; says whether there were any. Who said them now is who said them then.
    fn drop_known(&mut self, words: &mut Vec<Placed>) -> bool {
        let (number, known) = (self.connection.number, self.connection.known_until);
        let mut is_cut = false;
        words.retain_mut(|word| {
            let verdict = self.memory.recall.judge(&word.spoken(), number, known);
            is_cut |= verdict != Verdict::New;
            match verdict {
                Verdict::New => return true,
                Verdict::Rest(told) => {
                    word.heard.text = Unredacted::new(rest(word.heard.text.expose(), told));
                    word.start = known.min(word.end);
                    return true;
                }
                Verdict::KnownFrom(voice, bytes) => {
                    if let Some(number) = word.heard.speaker {
                        self.memory.voices.note_echo(number, voice, bytes);
                    }
                }
                Verdict::Known => {}
            }
            false
        });
        is_cut
    }

    /// A word without times lies where the one before it ends; the first ones where the first time of all, `begin`, is.
    fn placed(&self, words: Vec<wire::Word>, begin: Option<u64>) -> Vec<Placed> {
        let mut cursor = begin.unwrap_or(0);
        let place = |heard: wire::Word| {
            let start = self.connection.place(heard.start).unwrap_or(cursor);
            let end = self.connection.place(heard.end).unwrap_or(start).max(start);
            cursor = end;
            let (start, end) = self.connection.span((start, end));
            Placed { heard, start, end }
        };
        words.into_iter().map(place).collect()
    }

    /// From the first word to the end of the last one; without words by utterances; else from the final before to what was sent.
    fn extent(&self, words: &[Placed], utterances: &[Placed]) -> (Offset, Offset) {
        let timed = if words.is_empty() { utterances } else { words };
        match (timed.iter().map(|it| it.start).min(), timed.iter().map(|it| it.end).max()) {
            (Some(start), Some(end)) => (start, end),
            _ => (self.begin(), self.connection.sent_end().max(self.begin())),
        }
    }

    /// Up to where the audio needs no further transcript.
    fn covers(&self, transcript: &wire::Transcript, was_blank: bool, spoken_until: Option<Offset>) -> Offset {
        let sent = self.connection.sent_end();
        let asked = self.connection.finalize_at.filter(|_| transcript.from_finalize || was_blank);
        match (asked, spoken_until) {
            _ if transcript.is_last && self.connection.closing => sent,
            // It may have come in the middle of a word, which is said whole only on the connection that hears it whole.
            (Some(asked), spoken) => self.backlog.quiet_before(asked).max(spoken.unwrap_or_default()),
            (None, Some(spoken)) => spoken,
            // It ends the stream without having been asked to: nothing says how much of it was decoded.
            (None, None) if was_blank && transcript.is_last => self.finalized,
            (None, None) => Offset(sent.0.saturating_sub(ms_to_bytes(UNDECODED_MS))).min(self.long_sent()),
        }
    }

    /// Behind what was sent so long ago that it must have been decoded, where audio is sent faster than it is spoken.
    fn long_sent(&self) -> Offset {
        if !self.connection.pace.is_behind() {
            return self.connection.sent_end();
        }
        self.now.checked_sub(Duration::from_millis(UNDECODED_MS)).map_or(self.finalized, |at| self.backlog.sent_until(at))
    }

    fn heard(
        &self,
        said: wire::Transcript,
        (words, utterances): (Vec<Placed>, Vec<Placed>),
        (start, end): (Offset, Offset),
        covers: Offset,
    ) -> Heard {
        let start_ms = self.backlog.start_ms(start);
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
            latency: if said.is_final && !self.recovered { self.backlog.latency(end, self.now) } else { Latency::default() },
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

/// What a text without times says behind the words that were `told`, as [`letters`] gives them: as many of its first words are left out as are
/// their last ones, and all of it where it is a part of them as long as the service may be at their audio. Interims never have times
/// (protocols/pulse.md section 6), so the words themselves must do.
fn behind<'a>(told: impl Iterator<Item = &'a Unredacted>, said: &Unredacted, is_replaying: bool) -> Unredacted {
    let told: Vec<&str> = told.map(Unredacted::expose).collect();
    let heard: Vec<String> = said.expose().split_whitespace().map(letters).collect();
    if is_replaying && !heard.is_empty() && told.windows(heard.len()).any(|known| known == heard) {
        return Unredacted::new("");
    }
    let same = (1..=heard.len().min(told.len())).rev().find(|count| told[told.len() - count..] == heard[..*count]);
    let rest: Vec<&str> = said.expose().split_whitespace().skip(same.unwrap_or(0)).collect();
    Unredacted::new(rest.join(" "))
}

/// Leaves of the sentences what the words that are left say.
fn cut(utterances: &mut Vec<Placed>, words: &[Placed], language: Option<&str>) {
    utterances.retain_mut(|utterance| {
        let is_inside = |word: &&Placed| utterance.start <= word.middle() && word.middle() <= utterance.end;
        let left: Vec<&Placed> = words.iter().filter(is_inside).collect();
        let Some(first) = left.first() else { return false };
        if first.start > utterance.start.plus(ms_to_bytes(SLACK_MS)) {
            utterance.start = first.start;
            utterance.heard.text = Unredacted::new(join(left.iter().map(|word| word.heard.text.expose()), language));
        }
        true
    });
}

/// What is to be kept in mind of a final.
fn told(text: &Unredacted, words: &[Placed], extent: (Offset, Offset)) -> Vec<Told> {
    if words.is_empty() {
        return evenly(text, extent);
    }
    let told =
        |word: &Placed| Told { text: word.heard.text.clone(), start: word.start, end: word.end, voice: word.heard.speaker };
    words.iter().map(told).collect()
}

/// The words of a text over a stretch of audio, each with the same share of it.
fn evenly(text: &Unredacted, (start, end): (Offset, Offset)) -> Vec<Told> {
    let words: Vec<&str> = text.expose().split_whitespace().collect();
    let (length, count) = (end.since(start), words.len().max(1) as u64);
    let at = |n: u64| start.plus(length * n / count);
    (0..).zip(words).map(|(n, word)| Told { text: Unredacted::new(word), start: at(n), end: at(n + 1), voice: None }).collect()
}

/// Whether what the service says now may still be about audio in which words were told before this connection.
pub(super) fn is_replaying(connection: &Connection) -> bool {
    connection.sent_end() <= connection.told_until.plus(ms_to_bytes(UNDECODED_MS))
}

fn same_words(one: &Unredacted, other: &Unredacted) -> bool {
    one.expose().split_whitespace().eq(other.expose().split_whitespace())
}

fn joined(words: &[Placed], language: Option<&str>) -> Unredacted {
    Unredacted::new(join(words.iter().map(|word| word.heard.text.expose()), language))
}
