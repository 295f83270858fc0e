//! What the sweep asks of the store.

use super::{Store, StoreError};
use crate::{
    media::SessionId,
    store::{OldCall, retention},
    webhook::DeliveryId,
};

impl Store {
    /// At most `limit` sessions that ended before this (milliseconds since 1970-01-01 UTC) with everything delivered, oldest first.
    pub async fn old_calls(&self, before_wall_ms: u64, limit: u32) -> Result<Vec<OldCall>, StoreError> {
        self.ask(move |connection| retention::calls(connection, before_wall_ms, limit)).await
    }

    /// At most `limit` deliveries of ended sessions that were parked before this.
    pub async fn old_parked(&self, before_wall_ms: u64, limit: u32) -> Result<Vec<DeliveryId>, StoreError> {
        self.ask(move |connection| retention::parked(connection, before_wall_ms, limit)).await
    }

    /// At most `limit` attempts from before this of deliveries that need none any more, each by its delivery and its number.
    pub async fn old_attempts(&self, before_wall_ms: u64, limit: u32) -> Result<Vec<(DeliveryId, u32)>, StoreError> {
        self.ask(move |connection| retention::attempts(connection, before_wall_ms, limit)).await
    }

    /// Those of the sessions that are not in the store.
    pub async fn unknown(&self, sessions: Vec<SessionId>) -> Result<Vec<SessionId>, StoreError> {
        self.ask(move |connection| retention::unknown(connection, sessions)).await
    }
}
