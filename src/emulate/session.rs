//! ★ One streaming session: audio and controls in, transcripts and the connection's end out (protocols/pulse.md sections 5 to 7).
//!
//! Promises: says nothing until audio comes; an interim holds the whole segment so far; a final replaces it and is cut by word
//! count, by silence in audio time, by `finalize` (exactly one final, even an empty one) and by `close_stream`, which ends with
//! `is_last` and a close with 1000. All times count this connection's audio, so no clock is needed.

use std::collections::VecDeque;

use super::{
    faults::Fault,
    hearing::Hearing,
    script::{Script, Spoken},
    wire::{self, Control, Marks, Parameters, TICKS},
};

/// Audio between two interims, in ticks of 125 us: 300 ms.
const INTERIM_EVERY: u64 = 2400;
/// Quiet after which voice activity is said to have ended: 1 s.
const VOICE_ENDS_AFTER: u64 = TICKS;
/// Digits in a row after which [`Fault::SplitEntity`] cuts.
const SPLIT_AFTER_DIGITS: usize = 6;
/// Letters a word must have for [`Fault::MidWordFinal`] to cut it.
const SPLIT_WORD_OF: usize = 6;

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    /// Send this text frame.
    Message(String),
    /// Send this text frame; it is a final of these words.
    Final { message: String, text: String },
    /// Send a close frame.
    Close(u16),
    /// Let the connection break without one.
    Drop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Takes everything, says nothing.
    Stalled,
    /// Nothing that comes matters any more.
    Over,
}

/// One connection's session.
pub(super) struct Session {
    id: String,
    asked: Parameters,
    faults: Vec<Fault>,
    hearing: Hearing,
    /// Audio bytes as they came.
    received: u64,
    /// The same in ticks of 125 us.
    position: u64,
    /// Half a sample left over from the last frame.
    half_sample: Option<u8>,
    segment: Vec<Spoken>,
    /// The segment continues the last word of the final before.
    continues: bool,
    /// Words in the last interim.
    shown: usize,
    last_interim: u64,
    /// Where the last sound of speech ended.
    last_sound: u64,
    voice: bool,
    held_voice: Vec<String>,
    full_transcript: String,
    state: State,
    outputs: VecDeque<Output>,
}

impl Session {
    /// A session with this id for a client that asked for this.
    pub(super) fn new(id: String, asked: Parameters, faults: Vec<Fault>, script: &Script) -> Self {
        Self {
            id,
            asked,
            faults,
            hearing: Hearing::new(script),
            received: 0,
            position: 0,
            half_sample: None,
            segment: Vec::new(),
            continues: false,
            shown: 0,
            last_interim: 0,
            last_sound: 0,
            voice: false,
            held_voice: Vec::new(),
            full_transcript: String::new(),
            state: State::Open,
            outputs: VecDeque::new(),
        }
    }

    /// Takes a binary frame.
    pub(super) fn handle_audio(&mut self, mut audio: &[u8]) {
        let step = (self.asked.bytes_per_second() / 50).max(2);
        while !audio.is_empty() && self.state != State::Over {
            let until_strike = self.next_strike().map_or(step, |at| at.saturating_sub(self.received));
            let taken = step.min(until_strike).min(audio.len() as u64);
            let (now, later) = audio.split_at(usize::try_from(taken).unwrap_or(audio.len()));
            self.listen(now);
            self.strike();
            audio = later;
        }
    }

    /// Takes a text frame; never as audio, whatever is in it.
    pub(super) fn handle_text(&mut self, text: &str) {
        if self.state == State::Over {
            return;
        }
        match Control::parse(text) {
            Control::Finalize => {
                self.flush();
                self.cut(Marks { from_finalize: true, ..Marks::default() });
            }
            Control::CloseStream => self.close(),
            Control::Keepalive if self.has(&Fault::PongSilence) => {}
            Control::Keepalive => self.say(Output::Message(wire::pong())),
            Control::Unknown => {}
        }
    }

    /// What to do next.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn listen(&mut self, audio: &[u8]) {
        self.received += audio.len() as u64;
        self.position = self.received * TICKS / self.asked.bytes_per_second();
        let comparable = self.comparable(audio);
        self.hearing.handle_audio(&comparable, self.position);
        self.take_words();
        self.last_sound = self.hearing.speaking().map_or(self.last_sound, |(_, end)| end.max(self.last_sound));
        self.note_voice();
        let quiet = self.position - self.last_sound.min(self.position);
        if !self.segment.is_empty() && quiet >= self.asked.eou_timeout_ms * TICKS / 1000 {
            self.cut(Marks::default());
        } else if self.segment.len() > self.shown && self.position - self.last_interim >= INTERIM_EVERY {
            self.last_interim = self.position;
            self.shown = self.segment.len();
            self.say(Output::Message(wire::interim(&self.id, &joined(&self.segment))));
        }
    }

    /// The audio as the mu-law that recordings are kept in; nothing if that is impossible.
    fn comparable(&mut self, audio: &[u8]) -> Vec<u8> {
        match (self.asked.encoding.as_str(), self.asked.sample_rate) {
            ("mulaw", 8000) => audio.to_vec(),
            ("linear16", 8000) => {
                let whole: Vec<u8> = self.half_sample.take().into_iter().chain(audio.iter().copied()).collect();
                let (samples, rest) = whole.as_chunks::<2>();
                self.half_sample = rest.first().copied();
                let encode = |sample: &[u8; 2]| audio_codec_algorithms::encode_ulaw(i16::from_le_bytes(*sample));
                samples.iter().map(encode).collect()
            }
            _ => Vec::new(),
        }
    }

    fn take_words(&mut self) {
        while let Some(word) = self.hearing.poll_output() {
            self.last_sound = word.end;
            let letters = word.text.chars().count();
            if self.has(&Fault::MidWordFinal) && letters >= SPLIT_WORD_OF && !self.segment.is_empty() {
                let (first, second) = halves(&word);
                self.segment.push(first);
                self.cut(Marks::default());
                self.segment.push(second);
                self.continues = true;
            } else {
                self.segment.push(word);
            }
            let digits = self.segment.iter().rev().take_while(|word| is_digit(&word.text)).count();
            let splits = self.has(&Fault::SplitEntity) && digits >= SPLIT_AFTER_DIGITS;
            if splits || self.asked.max_words.is_some_and(|most| self.segment.len() >= most) {
                self.cut(Marks::default());
            }
        }
    }

    fn flush(&mut self) {
        self.hearing.handle_flush();
        self.take_words();
    }

    /// Ends the segment with a final.
    fn cut(&mut self, marks: Marks<'_>) {
        let spoken = std::mem::take(&mut self.segment);
        let plain = joined(&spoken);
        let space = if spoken.is_empty() || self.continues { "" } else { " " };
        let text = format!("{space}{plain}");
        if !spoken.is_empty() {
            let first = self.full_transcript.is_empty();
            self.full_transcript.push_str(if first { text.trim_start() } else { &text });
        }
        (self.continues, self.shown, self.last_interim) = (false, 0, self.position);
        let string_speaker = self.has(&Fault::StringSpeaker);
        let marks = Marks { string_speaker, full_transcript: &self.full_transcript, ..marks };
        let message = wire::final_of(&self.id, &text, &spoken, &self.asked, marks);
        let output = Output::Final { message, text: plain };
        if self.has(&Fault::DuplicateFinal) && !spoken.is_empty() {
            self.say(output.clone());
        }
        self.say(output);
        for held in std::mem::take(&mut self.held_voice) {
            self.say(Output::Message(held));
        }
    }

    fn close(&mut self) {
        self.flush();
        let text_on_last = self.has(&Fault::TextOnLast);
        if !self.segment.is_empty() && !text_on_last {
            self.cut(Marks::default());
        }
        if !self.has(&Fault::NeverLast) {
            self.cut(Marks { is_last: true, ..Marks::default() });
            self.say(Output::Close(1000));
        }
        self.state = State::Over;
    }

    fn note_voice(&mut self) {
        if !self.asked.vad_events {
            return;
        }
        let began = self.segment.first().map(|word| word.start).or(self.hearing.speaking().map(|(start, _)| start));
        let event = match began {
            Some(start) if !self.voice => wire::voice(&self.id, "speech_started", start),
            _ if self.voice && self.position >= self.last_sound + VOICE_ENDS_AFTER => {
                wire::voice(&self.id, "speech_ended", self.last_sound)
            }
            _ => return,
        };
        self.voice = !self.voice;
        if self.has(&Fault::LateVad) {
            self.held_voice.push(event);
        } else {
            self.say(Output::Message(event));
        }
    }

    fn next_strike(&self) -> Option<u64> {
        self.faults.iter().filter_map(Fault::strikes_at).filter(|at| *at > self.received).min()
    }

    /// Lets happen what is due after the bytes received so far.
    fn strike(&mut self) {
        let is_due = |fault: &Fault| fault.strikes_at().is_some_and(|at| self.received >= at);
        let Some(index) = self.faults.iter().position(is_due) else { return };
        match self.faults.remove(index) {
            Fault::Drop { .. } => self.end(Output::Drop),
            Fault::Close { code, .. } => self.end(Output::Close(code)),
            Fault::Error { message, .. } => {
                self.say(Output::Message(wire::error(&message)));
                self.end(Output::Close(1011));
            }
            Fault::Stall { .. } => self.state = State::Stalled,
            other => unreachable!("{other:?} strikes at no byte"),
        }
    }

    fn end(&mut self, how: Output) {
        self.say(how);
        self.state = State::Over;
    }

    fn say(&mut self, output: Output) {
        if self.state == State::Open {
            self.outputs.push_back(output);
        }
    }

    fn has(&self, fault: &Fault) -> bool {
        self.faults.contains(fault)
    }
}

fn joined(words: &[Spoken]) -> String {
    words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}

fn is_digit(word: &str) -> bool {
    const SPOKEN: [&str; 11] = ["zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    SPOKEN.contains(&word) || word.bytes().all(|byte| byte.is_ascii_digit())
}

fn halves(word: &Spoken) -> (Spoken, Spoken) {
    let at = word.text.char_indices().nth(word.text.chars().count() / 2).map_or(0, |(at, _)| at);
    let middle = word.start.midpoint(word.end);
    let (first, second) = word.text.split_at(at);
    (
        Spoken { text: first.to_owned(), start: word.start, end: middle },
        Spoken { text: second.to_owned(), start: middle, end: word.end },
    )
}

#[cfg(test)]
mod tests;
