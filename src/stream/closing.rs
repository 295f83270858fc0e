//! Every reason of ours to close a caller's socket, with its code of RFC 6455 section 7.4 and the words the peer gets.

use crate::dialect::Malformed;

/// Why a socket is closed, as the peer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// The word in the counter.
    pub word: &'static str,
    /// A code of RFC 6455 section 7.4.
    pub code: u16,
    /// At most 123 bytes.
    pub reason: &'static str,
}

/// What is wrong with a socket's bytes below the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A message or frame longer than [`MAX_MESSAGE_BYTES`](super::MAX_MESSAGE_BYTES).
    TooLong,
    /// Text that is not UTF-8.
    NotText,
    /// Frames that are none.
    Protocol,
}

/// The stream ended as it should.
pub(super) const STOPPED: Closing = Closing { word: "stopped", code: 1000, reason: "the stream was stopped" };
/// The bridge stops.
pub(super) const SHUTDOWN: Closing = Closing { word: "shutdown", code: 1001, reason: "the bridge is shutting down" };
/// Audio that we do not take.
pub(super) const FORMAT: Closing =
    Closing { word: "format", code: 1003, reason: "the media format is not audio/x-mulaw with 8000 Hz and 1 channel" };
/// A start that cannot be read, and no other one came.
const BAD_START: Closing = Closing {
    word: "bad_start",
    code: 1008,
    reason: "the start message lacks its part \"start\", or a field in it has the wrong type",
};
/// A start of a call whose name cannot be kept.
const BAD_CALL_SID: Closing = Closing {
    word: "bad_call_sid",
    code: 1008,
    reason: "the start message's callSid is longer than 128 bytes or not visible ASCII",
};
/// A start of a stream that cannot be told from others.
const BAD_STREAM_SID: Closing = Closing {
    word: "bad_stream_sid",
    code: 1008,
    reason: "the start message's streamSid is missing, contradictory, too long or not visible ASCII",
};
/// Nothing but malformed messages.
pub(super) const NOT_UNDERSTOOD: Closing =
    Closing { word: "not_understood", code: 1007, reason: "100 malformed messages in a row" };
/// The start did not come.
pub(super) const NO_START: Closing = Closing { word: "no_start", code: 1008, reason: "no start message came in time" };
/// Another stream on the same socket.
pub(super) const SECOND_START: Closing =
    Closing { word: "second_start", code: 1008, reason: "a second start message names another stream" };
/// Nothing comes any more.
pub(super) const SILENCE: Closing = Closing { word: "silence", code: 1008, reason: "no message came for too long" };
/// The call is too long.
pub(super) const TOO_LONG_A_CALL: Closing =
    Closing { word: "call_too_long", code: 1008, reason: "the call is longer than the limit" };
/// The peer seems dead.
pub(super) const NO_PONG: Closing = Closing { word: "no_pong", code: 1008, reason: "pings were not answered" };
/// The call's session ended before its stream, so nobody takes the audio any more.
pub(super) const SESSION_OVER: Closing =
    Closing { word: "session_over", code: 1011, reason: "the session of this call is over; its transcript ends here" };
/// The call was not let in while ten seconds of audio came.
pub(super) const NOT_ADMITTED_IN_TIME: Closing =
    Closing { word: "not_admitted_in_time", code: 1013, reason: "the bridge is too busy, try again later" };

/// Nothing but pings, pongs and binary messages.
pub(super) const SAYS_NOTHING: Closing =
    Closing { word: "says_nothing", code: 1008, reason: "100 pings, pongs or binary messages in 10 s, and no text" };
/// Others wait for their start as well, and this one has waited longest.
pub(super) const GAVE_WAY: Closing =
    Closing { word: "gave_way", code: 1013, reason: "too many media sockets wait for their start; the oldest gave way" };

impl Closing {
    /// All of ours that no admission gives.
    pub const ALL: [Self; 19] = [
        STOPPED,
        SHUTDOWN,
        FORMAT,
        BAD_START,
        BAD_CALL_SID,
        BAD_STREAM_SID,
        NOT_UNDERSTOOD,
        NO_START,
        SECOND_START,
        SILENCE,
        TOO_LONG_A_CALL,
        NO_PONG,
        SESSION_OVER,
        NOT_ADMITTED_IN_TIME,
        SAYS_NOTHING,
        GAVE_WAY,
        Broken::TooLong.closing(),
        Broken::NotText.closing(),
        Broken::Protocol.closing(),
    ];
}

/// What is wrong with a start that cannot be read; `None` for a message that is no start.
pub(super) const fn of_start(malformed: Malformed) -> Option<Closing> {
    match malformed {
        Malformed::Start => Some(BAD_START),
        Malformed::CallSid => Some(BAD_CALL_SID),
        Malformed::StreamSid => Some(BAD_STREAM_SID),
        Malformed::Format
        | Malformed::Json
        | Malformed::Event
        | Malformed::Section
        | Malformed::Track
        | Malformed::Payload
        | Malformed::Digit => None,
    }
}

impl Broken {
    /// What the peer is told.
    #[must_use]
    pub const fn closing(self) -> Closing {
        match self {
            Self::TooLong => Closing { word: "message_too_long", code: 1009, reason: "a message is longer than 64 KiB" },
            Self::NotText => Closing { word: "not_utf8", code: 1007, reason: "a text message is not UTF-8" },
            Self::Protocol => Closing { word: "broken_protocol", code: 1002, reason: "the WebSocket protocol was broken" },
        }
    }
}
