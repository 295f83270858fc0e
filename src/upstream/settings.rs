//! The named bounds of a link.

use std::time::Duration;

use super::{Control, Protocol};
use crate::media::ms_to_bytes;

/// How patient, how fast and how large a link is. The defaults are the contract's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSettings {
    /// Which wire is spoken.
    pub protocol: Protocol,
    /// Resolving, connecting, TLS and the upgrade together.
    pub connect_timeout: Duration,
    /// The service has this long to take one write; then it counts as lost.
    pub write_deadline: Duration,
    /// Wait before the first new try; doubles with each failure in a row.
    pub backoff_first: Duration,
    /// Longest wait between two tries.
    pub backoff_cap: Duration,
    /// A connection that lives this long has worked, even if it had nothing to say.
    pub healthy_after: Duration,
    /// `keepalive` after so long without audio; `None` for servers that refuse it (protocols/pulse.md section 2.1, F).
    pub keepalive: Option<Duration>,
    /// A WebSocket ping this often.
    pub ping: Duration,
    /// So many unanswered pings are a lost connection.
    pub missed_pongs: u8,
    /// A service that was sent a voice and has said nothing for so long does not hear: the connection is opened again. Doubles as long as that is
    /// no use.
    pub deaf_after: Duration,
    /// Longest such time; it is counted only from when all that waited is sent.
    pub deaf_cap: Duration,
    /// Audio that stops for this long under an open interim is flushed, so that the last words before a silence that the
    /// phone does not send are not stuck.
    pub stall: Duration,
    /// Wait for `is_last` after `close_stream`, counted anew with each transcript.
    pub close_deadline: Duration,
    /// Without a connection for this long, a sender that is faster than speech is not kept waiting any more.
    pub patience: Duration,
    /// After the end of the audio, a connection that is lost is opened again for this long, counted anew whenever the last one has got on.
    pub catch_up: Duration,
    /// After the end of the audio, a session slot is waited for this long.
    pub slot_wait: Duration,
    /// Audio kept in memory for a reconnect, in milliseconds; behind it there is the spool.
    pub memory_ms: u64,
    /// Audio without a final that is kept on the spool, in bytes; behind it the oldest is given up.
    pub spool_bytes: u64,
    /// Audio that waited goes out at this many times real time; 1 or more.
    pub replay_speed: u32,
    /// What is left over goes to the batch endpoint, words that are still being said with it.
    pub has_batch: bool,
    /// The service ends a session about so long after its beginning; shortly before, another one takes its place.
    pub session_limit: Duration,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            protocol: Protocol::Pulse,
            connect_timeout: Duration::from_secs(10),
            write_deadline: Duration::from_secs(2),
            backoff_first: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(5),
            healthy_after: Duration::from_secs(5),
            keepalive: Some(Duration::from_secs(5)),
            ping: Duration::from_secs(5),
            missed_pongs: 3,
            deaf_after: Duration::from_secs(10),
            deaf_cap: Duration::from_mins(5),
            stall: Duration::from_millis(1_500),
            close_deadline: Duration::from_secs(5),
            patience: Duration::from_secs(10),
            catch_up: Duration::from_mins(1),
            slot_wait: Duration::from_mins(30),
            memory_ms: 15_000,
            spool_bytes: ms_to_bytes(3_600_000),
            replay_speed: 2,
            has_batch: false,
            session_limit: Duration::from_hours(1),
        }
    }
}

impl LinkSettings {
    /// The same for this wire: the older ASR has no `keepalive`.
    #[must_use]
    pub fn speaking(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self.keepalive = self.keepalive.filter(|_| protocol.frame(Control::Keepalive).is_some());
        self
    }
}
