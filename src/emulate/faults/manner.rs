//! What of a plan a connection suffers in its socket.
//!
//! Promises: pure; of two rules of one kind the later one counts.

use std::time::Duration;

use super::{Fault, Suffered};

/// How long something does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::emulate) enum Wait {
    For(Duration),
    ForEver,
}

/// What a connection suffers by the clock and in its socket, whatever is said on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::emulate) struct Manner {
    /// The handshake waits so long.
    pub(in crate::emulate) accepts_after: Option<Wait>,
    /// From the handshake.
    pub(in crate::emulate) drops_after: Option<Duration>,
    /// The longest delay of a message, and the seed.
    pub(in crate::emulate) jitter: Option<(Duration, u64)>,
    pub(in crate::emulate) answers_no_pings: bool,
}

impl Manner {
    pub(in crate::emulate) fn of(faults: &[Suffered]) -> Self {
        let mut manner = Self::default();
        for suffered in faults {
            match suffered.fault {
                Fault::LateAccept { ms } => {
                    manner.accepts_after = Some(ms.map_or(Wait::ForEver, |ms| Wait::For(Duration::from_millis(ms))));
                }
                Fault::Flap { after_ms } => manner.drops_after = Some(Duration::from_millis(after_ms)),
                Fault::Jitter { ms, seed } => manner.jitter = Some((Duration::from_millis(ms), seed)),
                Fault::PingSilence => manner.answers_no_pings = true,
                _ => {}
            }
        }
        manner
    }
}
