//! When a fault strikes, and what it is a matter of.
//!
//! Promises: pure; every kind is of streams or of batch requests, never of both.

use super::Fault;

impl Fault {
    /// After how many bytes of audio it strikes, for those that do.
    pub(in crate::emulate) const fn strikes_at(&self) -> Option<u64> {
        match self {
            Self::Drop { after_bytes }
            | Self::Close { after_bytes, .. }
            | Self::Error { after_bytes, .. }
            | Self::Stall { after_bytes }
            | Self::Slow { after_bytes, .. }
            | Self::Huge { after_bytes, .. }
            | Self::BadFrame { after_bytes }
            | Self::ResetClock { after_bytes } => Some(*after_bytes),
            _ => None,
        }
    }

    /// Whether batch requests suffer it, and streams do not.
    pub(super) const fn is_of_batch(&self) -> bool {
        matches!(
            self,
            Self::BatchRefuse { .. }
                | Self::BatchDelay { .. }
                | Self::BatchDecodeError { .. }
                | Self::BatchTooLarge { .. }
                | Self::BatchLimit { .. }
        )
    }

    /// Whether it is settled with the handshake, whatever is said later.
    pub(super) const fn is_of_the_socket(&self) -> bool {
        matches!(
            self,
            Self::Refuse { .. }
                | Self::Limit { .. }
                | Self::RefuseFlag { .. }
                | Self::RefuseLanguage { .. }
                | Self::LateAccept { .. }
                | Self::Flap { .. }
                | Self::Jitter { .. }
                | Self::PingSilence
                | Self::NoSubscription
                | Self::NoCredits
                | Self::RateLimit
                | Self::Region { .. }
                | Self::SocketTimeout { .. }
                | Self::BareResults
        ) || self.is_of_batch()
    }
}
