//! The two wires of the speech service behind one set of messages: Pulse, and the older ASR (protocols/pulse.md sections 5, 6 and 9).
//!
//! Promises: whatever differs between the two beside their parameters is asked of [`Protocol`] and of nothing else; both become
//! the same messages, so that a link need not know which one it speaks.

use super::{asr, wire};

/// Which of the service's wires is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Pulse.
    Pulse,
    /// The older Waves ASR: no words, times, speakers or keepalive.
    Asr,
}

/// What is said to the service beside audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// The audio has ended: say the rest, then close.
    CloseStream,
    /// A final of what was said so far; the stream goes on.
    Finalize,
    /// Holds an idle stream open.
    Keepalive,
}

/// A frame to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    Text(&'static str),
    /// No audio: the older ASR's end of the stream.
    Empty,
}

impl Protocol {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Pulse, Self::Asr];

    /// The word for it in the settings and in `call.started`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pulse => "pulse",
            Self::Asr => "asr",
        }
    }

    /// The one of this word; `None` for any other.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == word)
    }

    /// How a control is said; `None` where the service has no such thing.
    pub(super) const fn frame(self, control: Control) -> Option<Frame> {
        match (self, control) {
            (Self::Pulse, Control::CloseStream) => Some(Frame::Text(r#"{"type":"close_stream"}"#)),
            (Self::Pulse, Control::Finalize) => Some(Frame::Text(r#"{"type":"finalize"}"#)),
            (Self::Pulse, Control::Keepalive) => Some(Frame::Text(r#"{"type":"keepalive"}"#)),
            (Self::Asr, Control::CloseStream) => Some(Frame::Empty),
            (Self::Asr, Control::Finalize) => Some(Frame::Text(r#"{"type":"Finalize"}"#)),
            (Self::Asr, Control::Keepalive) => None,
        }
    }

    /// Reads one text frame.
    pub(super) fn parse(self, text: &str) -> wire::Message {
        match self {
            Self::Pulse => wire::parse(text),
            Self::Asr => asr::parse(text),
        }
    }

    /// Whether a stream that was asked to end says `is_last` before it closes; where not, a proper close says the same.
    pub(super) const fn says_last(self) -> bool {
        matches!(self, Self::Pulse)
    }
}
