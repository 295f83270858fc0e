//! One input against the decoder, and what all of them came to.

use pulse_bridge::{
    dialect::{Buffer, Dialect, Incoming, Malformed, Message},
    stream::MAX_MESSAGE_BYTES,
};

use crate::{
    generate, memory,
    oracle::{self, Answer, Said},
};

/// Memory for one message in so many times its length: the payload without escapes, the same without white space, the audio, and the room
/// that grows by doubling.
const TIMES: usize = 8;
/// Memory that does not depend on the message's length: the buffer's steady size and a handful of short texts.
const BESIDE: usize = 8 * 1024;

/// What inputs came to.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Checked {
    pub(crate) messages: u64,
    pub(crate) understood: u64,
    pub(crate) compared: u64,
    pub(crate) peak_bytes: usize,
    pub(crate) kept_bytes: usize,
}

impl Checked {
    pub(crate) fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.understood += other.understood;
        self.compared += other.compared;
        self.peak_bytes = self.peak_bytes.max(other.peak_bytes);
        self.kept_bytes = self.kept_bytes.max(other.kept_bytes);
    }

    /// The inputs are of all sorts, or the test proves nothing.
    pub(crate) fn assert_worth_something(&self, inputs: u64) {
        assert!(self.understood > inputs / 4 && self.understood < inputs * 3 / 4, "{self:?}");
        assert!(self.compared > inputs / 2, "{self:?}");
    }
}

/// A decoder's buffer, used again and again as a socket's is.
pub(crate) struct Checker {
    buffer: Buffer,
    /// What this thread held without it.
    begun: isize,
}

impl Checker {
    pub(crate) fn new() -> Self {
        let begun = memory::held();
        Self { buffer: Buffer::new(), begun }
    }

    pub(crate) fn check(&mut self, number: u64) -> Result<Checked, String> {
        let text = generate::message(number);
        let begun = memory::held();
        memory::watch();
        let decoded = Dialect::Twilio.decode(&text, &mut self.buffer);
        let peak_bytes = usize::try_from(memory::peak() - begun).unwrap_or(0);
        if peak_bytes > TIMES * text.len() + BESIDE {
            return Err(format!("{peak_bytes} bytes of memory for a message of {}", text.len()));
        }
        if let Ok(Message { incoming: Incoming::Audio(frame), .. }) = &decoded
            && frame.audio.len() > text.len()
        {
            return Err(format!("{} bytes of audio out of a message of {}", frame.audio.len(), text.len()));
        }
        let (understood, expected) = (decoded.is_ok(), oracle::answer(&text));
        compare(&text, &decoded, &expected)?;
        drop(decoded);
        let compared = expected != Answer::None;
        let length = text.len();
        drop((expected, text));
        let kept_bytes = usize::try_from(memory::held() - self.begun).unwrap_or(0);
        if kept_bytes > MAX_MESSAGE_BYTES.max(length) {
            return Err(format!("the buffer keeps {kept_bytes} bytes after a message of {length}"));
        }
        Ok(Checked { messages: 1, understood: understood.into(), compared: compared.into(), peak_bytes, kept_bytes })
    }
}

fn compare(text: &str, decoded: &Result<Message<'_>, Malformed>, expected: &Answer) -> Result<(), String> {
    let found = match decoded {
        Ok(message) => understood(message),
        Err(_) => Answer::Malformed,
    };
    match expected {
        Answer::None if decoded.is_ok() && !may_be_passed_over(text) => {
            Err(format!("{found:?} was taken out of what is no JSON"))
        }
        Answer::None => Ok(()),
        expected if *expected == found => Ok(()),
        expected => Err(format!("{found:?} in place of {expected:?}")),
    }
}

/// What a parser that does not look into members it does not know need not mind: depth, numbers beyond a double, half a surrogate pair.
fn may_be_passed_over(text: &str) -> bool {
    let is_deep = text.matches(['[', '{']).count() > 100;
    let is_beyond = text.bytes().filter(u8::is_ascii_digit).count() > 300 || text.contains(['e', 'E']);
    is_deep || is_beyond || text.to_ascii_lowercase().contains("\\ud")
}

fn understood(message: &Message<'_>) -> Answer {
    let said = match &message.incoming {
        Incoming::Hello => Said::Hello,
        Incoming::Mark => Said::Mark,
        Incoming::Stopped => Said::Stopped,
        Incoming::Ignored(_) => Said::Ignored,
        Incoming::Digit { track, digit } => Said::Digit { track: *track, digit: *digit },
        Incoming::Audio(frame) => {
            Said::Audio { track: frame.track, timestamp_ms: frame.timestamp_ms, audio: frame.audio.to_vec() }
        }
        Incoming::Started(start) => {
            let mut parameters: Vec<String> = start.params.iter().map(|(name, _)| name.clone()).collect();
            parameters.sort_unstable();
            let call = start.call_sid.as_ref().map(|call| call.as_str().to_owned());
            Said::Started { call, stream: start.stream_sid.as_str().to_owned(), tracks: start.tracks.clone(), parameters }
        }
    };
    Answer::Understood { sequence: message.sequence, stream: message.stream.as_deref().map(str::to_owned), said }
}
