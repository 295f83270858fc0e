//! Words out of recognised audio, or out of a plain time script.
//!
//! Promises: a word is told once for each time its audio came, and only if at least [`ENOUGH`] of its bytes did; its times
//! are positions in this connection's audio, in ticks of 125 us.

use std::{collections::VecDeque, sync::Arc};

use super::{
    align::{Follower, Index, Piece},
    script::{Content, Script, Spoken},
};

/// The share of a word's bytes, as a fraction, that must have come in for it to be heard.
const ENOUGH: (u64, u64) = (4, 5);
/// A word whose audio stopped this many ticks ago gets no more of it: 450 ms, so that a hole of 400 ms does not part a word in two.
const STALE: u64 = 3600;

/// What turns one connection's audio into words.
pub(super) struct Hearing {
    source: Source,
    /// Ticks of audio taken so far.
    position: u64,
    heard: VecDeque<Spoken>,
}

enum Source {
    Recordings { index: Arc<Index>, follower: Follower, open: Option<Open> },
    Times { words: Arc<[Spoken]>, next: usize },
}

/// The word whose audio is coming in.
struct Open {
    reference: usize,
    word: usize,
    /// Bytes of it that came.
    covered: u64,
    /// The byte of the recording that should come next.
    reach: u64,
    /// Where in this connection's audio it began and has got to.
    start: u64,
    end: u64,
    /// Told early, by a flush.
    told: bool,
}

impl Hearing {
    pub(super) fn new(script: &Script) -> Self {
        let source = match &script.0 {
            Content::Recordings(index) => {
                Source::Recordings { index: Arc::clone(index), follower: Follower::new(Arc::clone(index)), open: None }
            }
            Content::Times(words) => Source::Times { words: Arc::clone(words), next: 0 },
        };
        Self { source, position: 0, heard: VecDeque::new() }
    }

    /// Takes the next audio: its mu-law bytes (none, if the encoding cannot be compared with the recordings) and where it ends.
    pub(super) fn handle_audio(&mut self, mulaw: &[u8], position: u64) {
        self.position = position;
        match &mut self.source {
            Source::Recordings { index, follower, open } => {
                follower.handle_audio(mulaw);
                while let Some(piece) = follower.poll_output() {
                    take(index, open, piece, &mut self.heard);
                }
                if open.as_ref().is_some_and(|open| position >= open.end + STALE) {
                    close(index, open, &mut self.heard);
                }
            }
            Source::Times { words, next } => {
                while let Some(word) = words.get(*next).filter(|word| word.end <= position) {
                    self.heard.push_back(word.clone());
                    *next += 1;
                }
            }
        }
    }

    /// Tells now what was heard well enough of the word that is being spoken.
    pub(super) fn handle_flush(&mut self) {
        match &mut self.source {
            Source::Recordings { index, open: Some(open), .. } => tell(index, open, &mut self.heard),
            Source::Recordings { open: None, .. } => {}
            Source::Times { words, next } => {
                let Some(word) = words.get(*next) else { return };
                if is_enough(self.position.saturating_sub(word.start), word) {
                    self.heard.push_back(Spoken { end: self.position, ..word.clone() });
                    *next += 1;
                }
            }
        }
    }

    /// The next word that was heard.
    pub(super) fn poll_output(&mut self) -> Option<Spoken> {
        self.heard.pop_front()
    }

    /// Where the word that is being spoken began and has got to, if one is.
    pub(super) fn speaking(&self) -> Option<(u64, u64)> {
        match &self.source {
            Source::Recordings { open, .. } => open.as_ref().filter(|open| !open.told).map(|open| (open.start, open.end)),
            Source::Times { words, next } => {
                words.get(*next).filter(|word| word.start < self.position).map(|word| (word.start, self.position))
            }
        }
    }
}

/// Notes which words a piece of a recording belongs to.
fn take(index: &Index, open: &mut Option<Open>, piece: Piece, heard: &mut VecDeque<Spoken>) {
    let words = &index.reference(piece.reference).words;
    let first = words.partition_point(|word| word.end <= piece.from);
    let again = |open: &Open| open.reference != piece.reference || piece.from < open.reach || words[open.word].end <= piece.from;
    if open.as_ref().is_some_and(again) {
        close(index, open, heard);
    }
    for (number, word) in words.iter().enumerate().skip(first).take_while(|(_, word)| word.start < piece.to) {
        let (from, to) = (word.start.max(piece.from), word.end.min(piece.to));
        let at = piece.at + (from - piece.from);
        if open.as_ref().is_some_and(|open| open.word != number) {
            close(index, open, heard);
        }
        let current = open.get_or_insert(Open {
            reference: piece.reference,
            word: number,
            covered: 0,
            reach: from,
            start: at,
            end: at,
            told: false,
        });
        current.covered += to - from;
        current.reach = to;
        current.end = at + (to - from);
        if to == word.end {
            close(index, open, heard);
        }
    }
}

/// Ends a word: tells it if enough of it came.
fn close(index: &Index, open: &mut Option<Open>, heard: &mut VecDeque<Spoken>) {
    if let Some(mut open) = open.take() {
        tell(index, &mut open, heard);
    }
}

fn tell(index: &Index, open: &mut Open, heard: &mut VecDeque<Spoken>) {
    let word = &index.reference(open.reference).words[open.word];
    if !open.told && is_enough(open.covered, word) {
        open.told = true;
        heard.push_back(Spoken { start: open.start, end: open.end, ..word.clone() });
    }
}

const fn is_enough(covered: u64, word: &Spoken) -> bool {
    covered * ENOUGH.1 >= (word.end - word.start) * ENOUGH.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{Fixture, Message, TruthWord},
        media::Track,
    };

    fn fixture(name: &str) -> Fixture {
        Fixture::load(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)).unwrap()
    }

    /// What is heard of these parts in one connection, as (word, start in ms, end in ms).
    fn hear(fixture: &Fixture, parts: &[&[u8]]) -> Vec<(String, u64, u64)> {
        let mut hearing = Hearing::new(&Script::of_fixtures([fixture]));
        let mut position = 0;
        for part in parts.iter().flat_map(|part| part.chunks(160)) {
            position += part.len() as u64;
            hearing.handle_audio(part, position);
        }
        std::iter::from_fn(|| hearing.poll_output()).map(|word| (word.text, word.start / 8, word.end / 8)).collect()
    }

    fn texts(words: &[(String, u64, u64)]) -> String {
        words.iter().map(|(text, ..)| text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_whole_track_is_heard_word_for_word_at_its_times() {
        let fixture = fixture("pay-by-card");
        for (track, audio) in &fixture.tracks {
            let expected: Vec<_> =
                fixture.truth[track].words.iter().map(|word| (word.text.clone(), word.start_ms, word.end_ms)).collect();
            assert_eq!(hear(&fixture, &[audio]), expected, "{track}");
        }
    }

    #[test]
    fn a_word_cut_in_half_is_not_heard() {
        let fixture = fixture("mid-word");
        let heard = hear(&fixture, &[&fixture.tracks[&Track::Inbound]]);
        assert!(texts(&heard).ends_with("change the"), "{}", texts(&heard));
    }

    #[test]
    fn lost_audio_is_lost_words_and_what_follows_comes_earlier() {
        let fixture = fixture("pay-by-card");
        let audio = &fixture.tracks[&Track::Inbound];
        // "like to pay" lies from 2.4 to 2.9 s.
        let heard = hear(&fixture, &[&audio[..2380 * 8], &audio[2920 * 8..4000 * 8]]);
        assert_eq!(texts(&heard), "hi I'd my bill");
        assert_eq!(heard[2].1, 2945 - 540);
    }

    #[test]
    fn silence_filled_in_for_a_lost_frame_does_not_cost_the_word() {
        let fixture = fixture("pay-by-card");
        let audio = &fixture.tracks[&Track::Inbound];
        let heard = hear(&fixture, &[&audio[..2480 * 8], &[0xFF; 160], &audio[2500 * 8..4000 * 8]]);
        assert_eq!(texts(&heard), "hi I'd like to pay my bill");
    }

    #[test]
    fn words_are_heard_over_holes_at_the_times_of_what_came_and_lost_ones_are_not() {
        let fixture = fixture("packet-gaps");
        let mut line: Vec<u8> = Vec::new();
        for message in &fixture.messages {
            if let Message::Media(media) = message
                && media.track == Track::Outbound
            {
                line.resize(usize::try_from(media.timestamp_ms * 8).unwrap(), 0xFF);
                line.extend_from_slice(&media.audio);
            }
        }
        let heard = hear(&fixture, &[&line]);
        let truth = &fixture.truth[&Track::Outbound].words;
        let expected: Vec<&TruthWord> =
            truth.iter().filter(|word| !["working", "somebody"].contains(&word.text.as_str())).collect();
        assert_eq!(texts(&heard), expected.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" "));
        for ((text, start, end), word) in heard.iter().zip(expected) {
            assert!(start.abs_diff(word.start_ms) <= 20, "{text} from {start}");
            assert!(text == "already" || end.abs_diff(word.end_ms) <= 20, "{text} to {end}");
        }
    }

    #[test]
    fn audio_sent_again_is_words_again() {
        let fixture = fixture("pay-by-card");
        let audio = &fixture.tracks[&Track::Inbound];
        let heard = hear(&fixture, &[&audio[..2650 * 8], &audio[2180 * 8..4000 * 8]]);
        assert_eq!(texts(&heard), "hi I'd like I'd like to pay my bill");
    }

    #[test]
    fn a_flush_tells_a_word_of_which_enough_has_come_once() {
        let fixture = fixture("pay-by-card");
        let audio = &fixture.tracks[&Track::Inbound];
        let mut hearing = Hearing::new(&Script::of_fixtures([&fixture]));
        // "hi" lies from 1,958 to 2,179 ms; nine tenths of it are in.
        hearing.handle_audio(&audio[..2157 * 8], 2157 * 8);
        assert_eq!(hearing.speaking(), Some((1958 * 8, 2157 * 8)));
        hearing.handle_flush();
        assert_eq!(hearing.poll_output().map(|word| word.text).as_deref(), Some("hi"));
        hearing.handle_audio(&audio[2157 * 8..2400 * 8], 2400 * 8);
        assert_eq!(hearing.poll_output().map(|word| word.text).as_deref(), Some("I'd"));
    }

    #[test]
    fn a_time_script_is_heard_in_any_audio() {
        let script = Script::of_times(r#"{"say":[{"start_ms":100,"end_ms":200,"text":"yes"}]}"#).unwrap();
        let mut hearing = Hearing::new(&script);
        hearing.handle_audio(&[], 1599);
        assert_eq!(hearing.poll_output(), None);
        hearing.handle_audio(&[], 1600);
        assert_eq!(hearing.poll_output().map(|word| word.text).as_deref(), Some("yes"));
    }
}
