//! A session whose audio is really recognised: what the ear hears becomes the same segments and messages.
//!
//! Promises: a `finalize` and a `close_stream` are answered once each, in their order, behind every final of what was said before them.

use std::collections::VecDeque;

use super::{Marks, Output, Session, State, joined};
use crate::{
    emulate::{
        recognition::{ear_settings, heard_alone, spoken, ticks},
        script::Spoken,
        wire,
    },
    engine::{Heard, Job, Outcome, Word, ear::Ear},
};

/// The ear of a session, and what the client waits for.
pub(super) struct Recognising {
    ear: Ear,
    /// Flushes that the ear has not answered, oldest first.
    flushes: VecDeque<Flush>,
}

/// Why the ear was flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flush {
    Finalize,
    Close,
}

impl Session {
    /// Hears with an ear from here on, or says why it cannot.
    pub(super) fn begin_to_recognise(&mut self) {
        self.asked = heard_alone(&self.asked);
        match ear_settings(&self.asked) {
            Ok(settings) => {
                self.recognising = Some(Box::new(Recognising { ear: Ear::new(settings), flushes: VecDeque::new() }));
            }
            Err(why) => {
                self.say(Output::Message(wire::unheard(&why, &self.asked)));
                self.end(Output::Close(1011));
            }
        }
    }

    /// The next stretch of speech to recognise.
    pub(in crate::emulate) fn poll_job(&mut self) -> Option<Job> {
        self.recognising.as_mut()?.ear.poll_job()
    }

    /// One of them is recognised.
    pub(in crate::emulate) fn handle_recognised(&mut self, job: u64, outcome: Outcome) {
        if let Some(recognising) = &mut self.recognising {
            recognising.ear.handle_recognised(job, outcome);
            self.take_heard();
        }
    }

    /// Whether so much waits to be recognised that nothing more should be read.
    pub(in crate::emulate) fn is_full(&self) -> bool {
        self.recognising.as_ref().is_some_and(|recognising| recognising.ear.is_full())
    }

    /// Whether the client wants to know that what it said is being worked on, and something is.
    pub(in crate::emulate) fn is_behind(&self) -> bool {
        self.asked.progress && self.recognising.as_ref().is_some_and(|recognising| recognising.ear.is_behind())
    }

    /// The engine has got on.
    pub(in crate::emulate) fn handle_progress(&mut self) {
        if let Some(recognising) = self.recognising.as_ref().filter(|_| self.asked.progress) {
            let done = ticks(recognising.ear.done_ms()).saturating_sub(self.zero);
            self.say(Output::Message(wire::progress(&self.id, done)));
        }
    }

    /// The ear takes this audio; `false` where there is none.
    pub(super) fn hear(&mut self, audio: &[u8]) -> bool {
        let Some(recognising) = &mut self.recognising else { return false };
        recognising.ear.handle_audio(audio);
        self.take_heard();
        self.talk_nonsense();
        true
    }

    /// The ear is to end what is being said; `false` where there is none.
    pub(super) fn flush_ear(&mut self, is_close: bool) -> bool {
        let Some(recognising) = &mut self.recognising else { return false };
        recognising.flushes.push_back(if is_close { Flush::Close } else { Flush::Finalize });
        recognising.ear.handle_flush();
        if is_close && self.state == State::Open {
            self.state = State::Closing;
        }
        self.take_heard();
        true
    }

    fn take_heard(&mut self) {
        while let Some(heard) = self.recognising.as_mut().and_then(|recognising| recognising.ear.poll_heard()) {
            match heard {
                Heard::VoiceStarted { at_ms } => self.tell_voice(true, at_ms),
                Heard::VoiceEnded { at_ms } => self.tell_voice(false, at_ms),
                Heard::Interim(words) => {
                    let words = self.spoken(words);
                    self.say(Output::Message(wire::interim(&self.id, &joined(&words), &self.asked)));
                    self.say_late();
                }
                Heard::Final(words) => self.tell_final(words),
                Heard::Flushed(words) => {
                    let flush = self.recognising.as_mut().and_then(|recognising| recognising.flushes.pop_front());
                    self.tell_words(words);
                    if flush == Some(Flush::Close) {
                        self.conclude();
                    } else {
                        self.cut(Marks { from_finalize: true, ..Marks::default() });
                    }
                }
            }
        }
    }

    fn spoken(&self, words: Vec<Word>) -> Vec<Spoken> {
        spoken(words, &self.asked)
    }

    /// Begins the segment with these words, and cuts it where the client or a fault wants it cut.
    fn tell_words(&mut self, words: Vec<Word>) {
        for word in self.spoken(words) {
            self.take_word(word);
        }
    }

    fn tell_final(&mut self, words: Vec<Word>) {
        self.tell_words(words);
        if !self.segment.is_empty() {
            self.cut(Marks::default());
        }
    }

    fn tell_voice(&mut self, speaking: bool, at_ms: u64) {
        if self.asked.vad_events {
            self.say_voice(speaking, ticks(at_ms));
        }
    }
}

#[cfg(test)]
mod tests;
