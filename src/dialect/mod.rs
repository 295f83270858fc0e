//! One vocabulary for every kind of phone that dials in: what a text message means, whoever sent it.
//!
//! Promises: decoding is pure and never panics, whatever the peer sends; a message that cannot be understood is a
//! [`Malformed`] value whose text holds nothing of the message; unknown events and fields are ignored. Audio is
//! decoded into the caller's [`Buffer`], so that the steady path allocates nothing. The handshake's proof (`signature`), the
//! answer that starts a stream (`twiml`) and the token that ties the two together (`token`) live here as well.

use std::borrow::Cow;

use crate::media::{CallSid, StreamSid, Track};

mod fields;
mod scan;
pub mod signature;
pub mod token;
mod twilio;
pub mod twiml;

/// Which peer's messages are spoken on a socket; the path says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Twilio Media Streams, and clones that speak them. Source: protocols/ingress.md section 3.
    Twilio,
}

impl Dialect {
    /// The word used in paths, events, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
        }
    }

    /// Understands one text message; audio is decoded into `buffer`, which keeps it until its next use.
    ///
    /// # Errors
    /// What is wrong with the message, in words that hold nothing of it.
    pub fn decode<'a>(self, text: &'a str, buffer: &'a mut Buffer) -> Result<Message<'a>, Malformed> {
        match self {
            Self::Twilio => twilio::decode(text, buffer),
        }
    }
}

/// One understood message and what every message may carry.
#[derive(Debug, PartialEq)]
pub struct Message<'a> {
    /// Which stream it says it belongs to; clones leave it out.
    pub stream: Option<Cow<'a, str>>,
    /// The sender's count of messages over all tracks, where given.
    pub sequence: Option<u64>,
    /// What it says.
    pub incoming: Incoming<'a>,
}

/// What a peer may say.
#[derive(Debug, PartialEq)]
pub enum Incoming<'a> {
    /// A greeting before the start; optional.
    Hello,
    /// The stream begins.
    Started(Box<Start>),
    /// A piece of audio.
    Audio(Frame<'a>),
    /// A key was pressed.
    Digit {
        /// By whom.
        track: Track,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// An echo of something we never send.
    Mark,
    /// The stream ends.
    Stopped,
    /// Nothing we know; the word is for a counter.
    Ignored(&'static str),
}

/// How a stream introduces itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Start {
    /// The peer's name for the phone call; where it gives none, the stream does (contract, Events).
    pub call_sid: Option<CallSid>,
    /// The peer's name for this socket's stream.
    pub stream_sid: StreamSid,
    /// Whose account it is, where given.
    pub account_sid: Option<String>,
    /// What will be sent, without doubles; never empty. Audio of another track may come all the same.
    pub tracks: Vec<Track>,
    /// Custom parameters by name, each once; values may be secret or personal, hence no `Debug`.
    pub params: Vec<(String, String)>,
    /// How the audio is coded.
    pub format: Format,
}

impl Start {
    /// The call's name.
    ///
    /// # Panics
    /// For a start as it was decoded, whose call has no name; a stream that asks to be let in has given it one.
    #[must_use]
    pub const fn call(&self) -> &CallSid {
        self.call_sid.as_ref().expect("the stream names a call without a name")
    }

    /// The value of a custom parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { call_sid, stream_sid, tracks, params, format, .. } = self;
        let params = params.len();
        write!(f, "Start {{ {call_sid:?}, {stream_sid}, {tracks:?}, {params} params, {format:?} }}")
    }
}

/// How audio is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Mu-law, 8000 Hz, one channel: passed on untouched.
    Mulaw8k,
}

/// A piece of one track's audio; may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Whose audio.
    pub track: Track,
    /// Milliseconds from the stream's beginning to the first byte, by the sender's media clock, where given.
    pub timestamp_ms: Option<u64>,
    /// The codec's own bytes.
    pub audio: &'a [u8],
}

/// Why a message was not understood. Neither value nor text holds anything of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// Not a JSON object, or one with a known field of a wrong type or given twice.
    #[error("the message is not a JSON object with fields of the expected types")]
    Json,
    /// No `event`, or not text.
    #[error("the message does not name its event")]
    Event,
    /// The section that belongs to the event is missing or wrong.
    #[error("the message lacks what its event must carry")]
    Section,
    /// A track that does not exist.
    #[error("the message names an unknown track")]
    Track,
    /// Not base64, or audio without any payload field.
    #[error("the audio payload is missing or not base64")]
    Payload,
    /// Not a key of a phone.
    #[error("the digit is not a key of a phone")]
    Digit,
    /// The call's id is not usable.
    #[error("the call id is longer than 128 bytes or not visible ASCII")]
    CallSid,
    /// The stream's id is missing, not usable, or two different ones are given.
    #[error("the stream id is missing, contradictory, longer than 128 bytes or not visible ASCII")]
    StreamSid,
    /// The start message's own part is missing, or a field in it has the wrong type.
    #[error("the start message lacks its part \"start\", or a field in it has the wrong type")]
    Start,
    /// Another format than ours.
    #[error("the media format is not audio/x-mulaw with 8000 Hz and 1 channel")]
    Format,
}

impl Malformed {
    /// One word for a counter.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Event => "event",
            Self::Section => "section",
            Self::Start => "start",
            Self::Track => "track",
            Self::Payload => "payload",
            Self::Digit => "digit",
            Self::CallSid => "call_sid",
            Self::StreamSid => "stream_sid",
            Self::Format => "format",
        }
    }
}

/// Where audio is decoded to. Fixed for ordinary messages; grows for one that is longer and shrinks again behind it.
///
/// The default one is empty and takes its memory with the first use.
#[derive(Debug, Default)]
pub struct Buffer(Vec<u8>);

impl Buffer {
    /// 128 ms of mu-law, several times what a frame carries in practice (20 ms).
    pub const STEADY_BYTES: usize = 1024;

    /// An empty buffer of [`Buffer::STEADY_BYTES`].
    #[must_use]
    pub fn new() -> Self {
        Self(vec![0; Self::STEADY_BYTES])
    }

    /// Room for at least `bytes`.
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        let wanted = bytes.max(Self::STEADY_BYTES);
        if self.0.len() != wanted {
            self.0.resize(wanted, 0);
            self.0.shrink_to_fit();
        }
        &mut self.0
    }
}

#[cfg(test)]
mod tests;
