//! The shared nouns of a call's audio: who it belongs to, which way it flows, where a piece of it lies.
//!
//! Promises: an id that exists has been checked (length and alphabet), so it can go into a log, a file name's hash or a
//! URL without a second look; an [`Offset`] only ever counts bytes of one track of one stream.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Bytes of 8 kHz mu-law in one millisecond.
pub const BYTES_PER_MS: u64 = 8;
/// The byte that is silence in mu-law (`0x00` is nearly full scale). Source: protocols/pulse.md section 5.1.
pub const MULAW_SILENCE: u8 = 0xFF;
/// Longest id accepted from a peer, in bytes; Twilio's have 34, clones send UUIDs or SIP call ids.
pub const MAX_ID_BYTES: usize = 128;

/// Why a peer's id was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    /// Nothing there.
    #[error("the id is empty")]
    Empty,
    /// More than [`MAX_ID_BYTES`].
    #[error("the id is longer than {MAX_ID_BYTES} bytes")]
    TooLong,
    /// A space, a control character or anything outside ASCII.
    #[error("the id has a character that is not visible ASCII")]
    Alphabet,
}

fn checked(id: &str) -> Result<Arc<str>, BadId> {
    match id {
        "" => Err(BadId::Empty),
        id if id.len() > MAX_ID_BYTES => Err(BadId::TooLong),
        id if !id.bytes().all(|byte| byte.is_ascii_graphic()) => Err(BadId::Alphabet),
        id => Ok(id.into()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes an id from a peer or from the store; refuses what is empty, longer than [`MAX_ID_BYTES`] or not visible ASCII.
            ///
            /// # Errors
            /// Says which of the three it was.
            pub fn new(id: &str) -> Result<Self, BadId> {
                checked(id).map(Self)
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(id: String) -> Result<Self, BadId> {
                Self::new(&id)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// The peer's name for a phone call, e.g. Twilio's `CA…`. Clones use other alphabets; see [`CallSid::new`].
    CallSid
}
id! {
    /// The peer's name for one media socket, e.g. Twilio's `MZ…`.
    StreamSid
}
id! {
    /// Our name for one session of a call: `ses_` and a ULID.
    SessionId
}
id! {
    /// The name of a webhook endpoint in the settings.
    EndpointName
}

/// Which party's audio: towards the platform, from it, or both in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Track {
    /// From the party on this call leg to the platform: normally the customer.
    Inbound,
    /// From the platform to that party: normally the agent.
    Outbound,
    /// Both parties in one signal.
    Mixed,
}

impl Track {
    /// Every track there is, in the order in which they are listed to users.
    pub const ALL: [Self; 3] = [Self::Inbound, Self::Outbound, Self::Mixed];

    /// The word used in events, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Mixed => "mixed",
        }
    }
}

impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many bytes of a track came before this point, counted from the track's first byte in its stream, filled silence included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Offset(pub u64);

impl Offset {
    /// The point `bytes` later.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }

    /// Bytes from `earlier` to here; 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A run of consecutive bytes of one track, exactly as the phone sent them (or silence where it sent nothing).
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Where the first byte lies on the track.
    pub offset: Offset,
    /// The same point on the call's media clock, in milliseconds from the call's first audio.
    pub at_ms: u64,
    /// Mu-law bytes at 8 kHz; never empty.
    pub audio: Bytes,
    /// When the chunk's last byte was received.
    pub received: std::time::Instant,
}

impl Chunk {
    /// The point behind the last byte.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.offset.plus(self.audio.len() as u64)
    }
}

/// Milliseconds that so many bytes of 8 kHz mu-law last, rounded down.
#[must_use]
pub const fn bytes_to_ms(bytes: u64) -> u64 {
    bytes / BYTES_PER_MS
}

/// Bytes of 8 kHz mu-law in so many milliseconds.
#[must_use]
pub const fn ms_to_bytes(ms: u64) -> u64 {
    ms * BYTES_PER_MS
}

/// What one track of a stream received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received {
    /// Audio received, in milliseconds.
    pub received_ms: u64,
    /// Silence filled in, in milliseconds.
    pub filled_ms: u64,
    /// Where it ended, on the call's clock in milliseconds.
    pub end_ms: u64,
}

/// Audio that will never be transcribed, on the call's media clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// First missing millisecond.
    pub from_ms: u64,
    /// First millisecond that is there again.
    pub to_ms: u64,
    /// Why.
    pub reason: GapReason,
}

/// Why audio will never be transcribed; the words are part of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The speech service went away with it.
    UpstreamLost,
    /// No session of the plan was free.
    Quota,
    /// The spool was full.
    SpoolFull,
    /// The operator paused forwarding.
    Paused,
    /// The caller's stream was away.
    Disconnected,
    /// The bridge was killed.
    Crash,
}

impl GapReason {
    /// The word used in events, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UpstreamLost => "upstream_lost",
            Self::Quota => "quota",
            Self::SpoolFull => "spool_full",
            Self::Paused => "paused",
            Self::Disconnected => "disconnected",
            Self::Crash => "crash",
        }
    }
}

/// Why a session ended; the words are part of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The peer said `stop`.
    Stop,
    /// The socket went away without one.
    Disconnect,
    /// A named limit: silence, call length.
    Timeout,
    /// The bridge was told to stop.
    Shutdown,
    /// The bridge was killed, and this was written after its restart.
    Crash,
}

impl EndReason {
    /// The word used in events, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Disconnect => "disconnect",
            Self::Timeout => "timeout",
            Self::Shutdown => "shutdown",
            Self::Crash => "crash",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_refused_by_what_is_wrong_with_it() {
        assert_eq!(CallSid::new("").unwrap_err(), BadId::Empty);
        assert_eq!(CallSid::new(&"x".repeat(129)).unwrap_err(), BadId::TooLong);
        for bad in ["CA 1", "CA\n", "CAé"] {
            assert_eq!(CallSid::new(bad).unwrap_err(), BadId::Alphabet, "{bad:?}");
        }
        assert_eq!(CallSid::new("6a2e-uuid").unwrap().as_str(), "6a2e-uuid");
    }

    #[test]
    fn words_of_the_contract_are_what_serde_writes() {
        assert_eq!(serde_json::to_string(&GapReason::UpstreamLost).unwrap(), r#""upstream_lost""#);
        assert_eq!(serde_json::to_string(&EndReason::Stop).unwrap(), r#""stop""#);
        assert_eq!(serde_json::to_string(&Track::Inbound).unwrap(), r#""inbound""#);
    }
}
