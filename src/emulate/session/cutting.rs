//! How words become segments, and a segment a final.
//!
//! Promises: each word that was heard is in one final, unless a fault takes it; what a fault holds back comes in the order that it says.

use super::{Fault, Marks, Output, Session, Spoken, wire};

/// Digits in a row after which [`Fault::SplitEntity`] cuts.
const SPLIT_AFTER_DIGITS: usize = 6;
/// Letters a word must have for [`Fault::MidWordFinal`] to cut it.
const SPLIT_WORD_OF: usize = 6;

impl Session {
    /// The next word of the segment, which may end it.
    pub(super) fn take_word(&mut self, word: Spoken) {
        let letters = word.text.chars().count();
        if self.has(&Fault::MidWordFinal) && letters >= SPLIT_WORD_OF && !self.segment.is_empty() {
            let (first, second) = halves(&word);
            self.segment.push(first);
            self.cut(Marks { is_piece: true, ..Marks::default() });
            self.segment.push(second);
            self.continues = true;
        } else {
            self.segment.push(word);
        }
        let digits = self.segment.iter().rev().take_while(|word| is_digit(&word.text)).count();
        let splits = self.has(&Fault::SplitEntity) && digits >= SPLIT_AFTER_DIGITS;
        if splits || self.asked.max_words.is_some_and(|most| self.segment.len() >= most) {
            self.cut(Marks { is_piece: true, ..Marks::default() });
        }
    }

    /// Ends the segment with a final.
    pub(super) fn cut(&mut self, marks: Marks<'_>) {
        let spoken = std::mem::take(&mut self.segment);
        if spoken.is_empty() && self.asked.asr.is_some() {
            return;
        }
        let plain = joined(&spoken);
        let space = if spoken.is_empty() || self.continues { "" } else { " " };
        let text = format!("{space}{plain}");
        if !spoken.is_empty() {
            let first = self.full_transcript.is_empty();
            self.full_transcript.push_str(if first { text.trim_start() } else { &text });
        }
        (self.continues, self.shown, self.last_interim) = (false, 0, self.position);
        self.say_late();
        let is_asked = marks.from_finalize || marks.is_last;
        if !spoken.is_empty() && !is_asked && self.is_missing() {
            return;
        }
        let relabelled = self.suffered(|fault| if let Fault::Relabel { speaker } = fault { Some(*speaker) } else { None });
        let marks = Marks {
            speaker: relabelled.unwrap_or(0),
            string_speaker: self.has(&Fault::StringSpeaker),
            string_numbers: self.has(&Fault::StringNumbers),
            full_transcript: &self.full_transcript,
            ..marks
        };
        let timed: Vec<Spoken> = spoken.iter().map(|word| self.by_the_clock(word)).collect();
        let message = wire::final_of(&self.id, &text, &timed, &self.asked, marks);
        let output = Output::Final { message, text: plain };
        if self.has(&Fault::LateFinal) && !spoken.is_empty() && !is_asked {
            self.late = Some(output);
        } else {
            if self.has(&Fault::DuplicateFinal) && !spoken.is_empty() {
                self.say(output.clone());
            }
            self.say(output);
        }
        for held in std::mem::take(&mut self.held_voice) {
            self.say(Output::Message(held));
        }
        self.finals += u64::from(!spoken.is_empty());
        self.strike();
    }

    /// Whether the final of this segment is one that is never sent.
    fn is_missing(&mut self) -> bool {
        self.cuts += 1;
        let every = self.suffered(|fault| if let Fault::MissingFinal { every } = fault { Some(*every) } else { None });
        every.is_some_and(|every| self.cuts.is_multiple_of(every.max(1)))
    }

    pub(super) fn say_late(&mut self) {
        if let Some(late) = self.late.take() {
            self.say(late);
        }
    }

    /// A word as the service's clock has it, which may have been set back.
    pub(super) fn by_the_clock(&self, word: &Spoken) -> Spoken {
        let at = |tick: u64| tick.saturating_sub(self.zero);
        Spoken { start: at(word.start), end: at(word.end), ..word.clone() }
    }
}

pub(super) fn joined(words: &[Spoken]) -> String {
    words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}

pub(in crate::emulate) fn is_digit(word: &str) -> bool {
    const SPOKEN: [&str; 11] = ["zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    SPOKEN.contains(&word) || word.bytes().all(|byte| byte.is_ascii_digit())
}

fn halves(word: &Spoken) -> (Spoken, Spoken) {
    let at = word.text.char_indices().nth(word.text.chars().count() / 2).map_or(0, |(at, _)| at);
    let middle = word.start.midpoint(word.end);
    let (first, second) = word.text.split_at(at);
    (
        Spoken { text: first.to_owned(), end: middle, ..word.clone() },
        Spoken { text: second.to_owned(), start: middle, ..word.clone() },
    )
}
