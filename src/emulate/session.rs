//! ★ One streaming session: audio and controls in, transcripts and the connection's end out (protocols/pulse.md sections 5 to 7).
//!
//! Promises: says nothing until audio comes; an interim holds the whole segment so far; a final replaces it and is cut by word
//! count, by silence in audio time, by `finalize` (exactly one final, even an empty one) and by `close_stream`, which ends with
//! `is_last` and a close with 1000. On the older ASR's routes an empty binary frame is that end, and an empty final is not said. All times count this connection's audio, so no clock is needed.

use std::{collections::VecDeque, time::Duration};

use self::{cutting::joined, recognising::Recognising};

use super::{
    asr,
    faults::{Fault, Suffered, Wait},
    garbage,
    hearing::Hearing,
    script::Spoken,
    speech::Speech,
    wire::{self, Control, Marks, Parameters, TICKS},
};

/// Audio between two interims, in ticks of 125 us: 300 ms.
const INTERIM_EVERY: u64 = 2400;
/// Quiet after which voice activity is said to have ended: 1 s.
const VOICE_ENDS_AFTER: u64 = TICKS;
/// The longest message of [`Fault::Huge`], in bytes.
const MAX_HUGE: u64 = 16 << 20;

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    /// Send this text frame.
    Message(String),
    /// Send this text frame; it is a final of these words.
    Final { message: String, text: String },
    /// Send this binary frame.
    Binary(Vec<u8>),
    /// Send bytes that are no frame.
    BadFrame,
    /// Send a close frame; 1005: without a code.
    Close(u16),
    /// Let the connection break without one.
    Drop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Takes nothing more, and has something to say.
    Closing,
    /// Takes everything, says nothing.
    Stalled,
    /// Nothing that comes matters any more.
    Over,
}

/// One connection's session.
pub(super) struct Session {
    id: String,
    asked: Parameters,
    faults: Vec<Suffered>,
    /// Bytes read a second from now on; 0: none.
    reads: Option<u64>,
    hearing: Hearing,
    /// In place of it, where speech is really recognised.
    recognising: Option<Box<Recognising>>,
    /// Audio bytes as they came.
    received: u64,
    /// The same in ticks of 125 us.
    position: u64,
    /// Where times count from, in the same ticks.
    zero: u64,
    /// Finals with words in them.
    finals: u64,
    /// The same, those that were never sent among them.
    cuts: u64,
    /// A final that comes late.
    late: Option<Output>,
    garbage: u64,
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
    pub(super) fn new(id: String, asked: Parameters, faults: Vec<Suffered>, speech: &Speech) -> Self {
        let mut session = Self {
            id,
            asked,
            faults,
            reads: None,
            hearing: Hearing::new(&speech.script()),
            recognising: None,
            received: 0,
            position: 0,
            zero: 0,
            finals: 0,
            cuts: 0,
            late: None,
            garbage: 0,
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
        };
        if session.has(&Fault::RefuseLanguage { language: session.asked.language.clone() }) {
            session.say(Output::Message(wire::no_such_language(&format!("{} is not served here", session.asked.language))));
            session.end(Output::Close(1011));
        }
        if let Some((message, errors)) = session.asked.asr.as_ref().and_then(|asked| asked.objection.clone()) {
            session.refuse(asr::objection(message, &errors));
        }
        if speech.engine().is_some() && session.state == State::Open {
            session.begin_to_recognise();
        }
        session
    }

    /// Takes a binary frame.
    pub(super) fn handle_audio(&mut self, mut audio: &[u8]) {
        if audio.is_empty() && self.asked.asr.is_some() && self.takes() {
            return self.close();
        }
        let step = (self.asked.bytes_per_second() / 50).max(2);
        while !audio.is_empty() && self.takes() {
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
        if !self.takes() {
            return;
        }
        match Control::parse(text, &self.asked) {
            Control::Finalize if self.flush_ear(false) => {}
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

    /// How long the stream may be without audio.
    pub(super) fn longest_silence(&self) -> Option<Duration> {
        self.asked.asr.as_ref().filter(|_| self.state == State::Open).map(|asked| asked.silence)
    }

    /// No audio came for that long.
    pub(super) fn handle_silence(&mut self) {
        self.refuse(asr::timeout());
    }

    /// Says why, and closes.
    fn refuse(&mut self, why: String) {
        self.say(Output::Message(why));
        self.end(Output::Close(1000));
    }

    /// How long to wait before reading on, after a frame of so many bytes.
    pub(super) fn rest_after(&self, bytes: usize) -> Option<Wait> {
        let rest = |rate: u64| Duration::from_millis(bytes as u64 * 1000).checked_div(u32::try_from(rate).unwrap_or(u32::MAX));
        self.reads.map(|rate| rest(rate).map_or(Wait::ForEver, Wait::For))
    }

    /// What to do next.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn listen(&mut self, audio: &[u8]) {
        self.received += audio.len() as u64;
        self.position = self.received * TICKS / self.asked.bytes_per_second();
        if self.hear(audio) {
            return;
        }
        let comparable = self.comparable(audio);
        self.hearing.handle_audio(&comparable, self.position);
        self.take_words();
        self.last_sound = self.hearing.speaking().map_or(self.last_sound, |(_, end)| end.max(self.last_sound));
        self.note_voice();
        self.talk_nonsense();
        let quiet = self.position - self.last_sound.min(self.position);
        if !self.segment.is_empty() && quiet >= self.asked.eou_timeout_ms * TICKS / 1000 {
            self.cut(Marks::default());
        } else if self.segment.len() > self.shown && self.position - self.last_interim >= INTERIM_EVERY {
            self.last_interim = self.position;
            self.shown = self.segment.len();
            self.say(Output::Message(wire::interim(&self.id, &joined(&self.segment), &self.asked)));
            self.say_late();
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
            self.take_word(word);
        }
    }

    fn flush(&mut self) {
        self.hearing.handle_flush();
        self.take_words();
    }

    /// Whether what comes matters.
    const fn takes(&self) -> bool {
        matches!(self.state, State::Open | State::Stalled)
    }

    fn close(&mut self) {
        if self.flush_ear(true) {
            return;
        }
        self.flush();
        self.conclude();
    }

    /// Says the last words, and ends.
    fn conclude(&mut self) {
        let text_on_last = self.asked.asr.is_none() && self.has(&Fault::TextOnLast);
        if !self.segment.is_empty() && !text_on_last {
            self.cut(Marks::default());
        }
        if self.state != State::Over && !self.has(&Fault::NeverLast) {
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
        match began {
            Some(start) if !self.voice => self.say_voice(true, start),
            _ if self.voice && self.position >= self.last_sound + VOICE_ENDS_AFTER => self.say_voice(false, self.last_sound),
            _ => {}
        }
    }

    fn say_voice(&mut self, speaking: bool, at: u64) {
        self.voice = speaking;
        let event = wire::voice(&self.id, speaking, at.saturating_sub(self.zero), &self.asked);
        if self.has(&Fault::LateVad) {
            self.held_voice.push(event);
        } else {
            self.say(Output::Message(event));
        }
    }

    fn end(&mut self, how: Output) {
        self.say(how);
        self.state = State::Over;
    }

    fn say(&mut self, output: Output) {
        if matches!(self.state, State::Open | State::Closing) {
            self.outputs.push_back(output);
        }
    }
}

mod cutting;
mod recognising;
mod suffering;

pub(super) use self::cutting::is_digit;

#[cfg(test)]
mod tests;
