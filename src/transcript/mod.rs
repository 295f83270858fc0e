//! The transcript of one session: what the speech service heard becomes segments of one call.
//!
//! Promises: an interim is replaced by what follows it, a final is frozen; a final that the service sends twice comes out
//! once, judged by time *and* text, never by text alone (people say "yes" twice); nothing that was said is dropped. A speaker
//! label never stands for two people. Every final that yields no segment still reports the audio it covers.
//!
//! The machine needs no time of its own. After each `handle_*`, drain [`Transcript::poll_output`] to `None`.

mod labels;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use labels::Labels;

use crate::{
    media::{Offset, SessionId},
    pii::Unredacted,
    segment::{Heard, HeardUtterance, HeardWord, Role, Segment, TrackKey, Utterance, Word},
};

/// Two equal finals without word times, one of them flushed, are one final if they came within this time
/// (protocols/pulse.md section 7, Duplicates).
pub const SAME_FINAL: Duration = Duration::from_millis(500);
/// How far a sentence may reach over its final's ends: the service rounds its seconds.
const ROUNDING_MS: u64 = 20;

/// What a transcript of the service came to.
pub enum Said {
    /// The segment that is being spoken, as far as it is known; replaced by the next interim or final of its track.
    Interim(Segment<Unredacted>),
    /// A segment that will not change any more.
    Final(Segment<Unredacted>),
    /// Nothing was said (empty, punctuation only, or said before): no segment, but the track's audio is covered up to here.
    Covered(TrackKey, Offset),
}

/// ★ The transcript of one session.
pub struct Transcript {
    session: String,
    next_segment: u64,
    labels: Labels,
    last: HashMap<TrackKey, LastFinal>,
    output: VecDeque<Said>,
}

/// What is remembered of a track's last final, to know it again.
struct LastFinal {
    text: String,
    words: Option<(u64, u64)>,
    end_ms: u64,
    connection: u32,
    flushed: bool,
    heard_at: Instant,
}

impl Transcript {
    /// A session's transcript from its beginning.
    #[must_use]
    pub fn new(session: &SessionId) -> Self {
        Self::resumed(session, 0, &[])
    }

    /// A transcript that goes on behind the segment of this number ([`Transcript::last_number`]) and these `speakers`: neither ids nor labels
    /// that were stored are given again.
    #[must_use]
    pub fn resumed(session: &SessionId, last: u64, speakers: &[String]) -> Self {
        let session = session.as_str();
        Self {
            session: session.strip_prefix("ses_").unwrap_or(session).to_owned(),
            next_segment: last + 1,
            labels: Labels::behind(speakers),
            last: HashMap::new(),
            output: VecDeque::new(),
        }
    }

    /// The highest number in these ids; 0 where there are none. Segments are numbered as they are heard and stored in another order, so of a
    /// life that was cut short some may be missing: their count is not enough.
    pub fn last_number<'a>(ids: impl IntoIterator<Item = &'a str>) -> u64 {
        let numbers = ids.into_iter().filter_map(|id| id.rsplit('_').next()?.parse().ok());
        numbers.max().unwrap_or(0)
    }

    /// A text that the service may still change. One that arrives behind the final it belongs to is dropped.
    pub fn handle_interim(&mut self, key: TrackKey, role: &Role, heard: Heard) {
        let frozen = self.last.get(&key).is_some_and(|last| heard.end_ms <= last.end_ms);
        if frozen || normalised(heard.text.expose()).is_empty() {
            return;
        }
        let speaker = self.labels.latest(key);
        let segment = self.segment(String::new(), key, role, speaker, heard);
        self.output.push_back(Said::Interim(segment));
    }

    /// A text that the service will not change any more.
    pub fn handle_final(&mut self, key: TrackKey, role: &Role, heard: Heard) {
        let text = normalised(heard.text.expose());
        if text.is_empty() || self.last.get(&key).is_some_and(|last| last.is_same(&text, &heard)) {
            self.output.push_back(Said::Covered(key, heard.covers));
            return;
        }
        self.last.insert(key, LastFinal::of(text, &heard));
        let speaker = self.labels.main(key, &heard);
        let id = format!("seg_{}_{}", self.session, self.next_segment);
        self.next_segment += 1;
        let segment = self.segment(id, key, role, speaker, heard);
        self.output.push_back(Said::Final(segment));
    }

    /// What came of it, oldest first.
    pub fn poll_output(&mut self) -> Option<Said> {
        self.output.pop_front()
    }

    fn segment(&mut self, id: String, key: TrackKey, role: &Role, speaker: String, heard: Heard) -> Segment<Unredacted> {
        let (from, to) = (heard.start_ms.saturating_sub(ROUNDING_MS), heard.end_ms + ROUNDING_MS);
        let inside = |utterance: &HeardUtterance| utterance.start_ms >= from && utterance.end_ms <= to;
        let mut before = heard.words.iter().find_map(|word| word.speaker);
        let mut words = Vec::with_capacity(heard.words.len());
        for word in heard.words {
            before = word.speaker.or(before);
            let speaker = before.map_or_else(|| speaker.clone(), |number| self.labels.of(key, Some(number)));
            words.push(placed(word, speaker));
        }
        let mut utterances = Vec::new();
        for utterance in heard.utterances.into_iter().filter(inside) {
            let speaker = utterance.speaker.map_or_else(|| speaker.clone(), |number| self.labels.of(key, Some(number)));
            let HeardUtterance { text, start_ms, end_ms, .. } = utterance;
            utterances.push(Utterance { text, start_ms, end_ms, speaker });
        }
        Segment {
            id,
            key,
            role: role.clone(),
            speaker,
            start_ms: heard.start_ms,
            end_ms: heard.end_ms.max(heard.start_ms),
            text: heard.text,
            words,
            utterances,
            language: heard.language,
            languages: heard.languages,
            emotion: heard.emotion,
            gender: heard.gender,
            provisional: heard.provisional,
            recovered: heard.recovered,
            covers: heard.covers,
            heard_at: heard.heard_at,
            latency: heard.latency,
        }
    }
}

impl LastFinal {
    fn of(text: String, heard: &Heard) -> Self {
        let (end_ms, connection) = (heard.end_ms, heard.connection);
        Self { text, words: word_span(heard), end_ms, connection, flushed: heard.flushed, heard_at: heard.heard_at }
    }

    /// Whether `heard` is this final once more: equal text in the same stretch of time, said twice on one connection or forced out once.
    fn is_same(&self, text: &str, heard: &Heard) -> bool {
        let forced = self.flushed || heard.flushed;
        if self.text != text {
            return false;
        }
        match (self.words, word_span(heard)) {
            (Some((start, end)), Some((other_start, other_end))) => {
                let overlap = start < other_end && other_start < end;
                let same = start.abs_diff(other_start) <= ROUNDING_MS && end.abs_diff(other_end) <= ROUNDING_MS;
                (forced && overlap) || (self.connection == heard.connection && same)
            }
            // People do say "yes" twice, and nothing here tells the two apart but that one was forced out.
            _ => forced && heard.heard_at.saturating_duration_since(self.heard_at) <= SAME_FINAL,
        }
    }
}

impl Drop for LastFinal {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.text);
    }
}

/// From the first word's beginning to the last word's end.
fn word_span(heard: &Heard) -> Option<(u64, u64)> {
    Some((heard.words.first()?.start_ms, heard.words.last()?.end_ms))
}

fn placed(word: HeardWord, speaker: String) -> Word<Unredacted> {
    let HeardWord { text, start_ms, end_ms, confidence, speaker_confidence, .. } = word;
    Word { text, start_ms, end_ms, confidence, speaker, speaker_confidence, redacted: false }
}

/// Letters and digits only, in lower case, words parted by one space: what makes two texts the same.
fn normalised(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().flat_map(char::to_lowercase));
    }
    out
}
