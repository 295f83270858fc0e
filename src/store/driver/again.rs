//! Deliveries sent again by the thousand, a little at a time.

use super::{DeliveryFilter, Store, StoreError, Write, listing};
use crate::media::EndpointName;

/// The most deliveries that one unit sends again: a few milliseconds of the writer's time, which the events of live calls wait for.
pub(super) const AT_ONCE: usize = 250;

impl Store {
    /// Sends everything again that a filter means, in units between which others have their turn; answers how many. An endpoint that the
    /// filter names goes on in any case. What is found is looked at again as it is written, so what has left the filter's state stays.
    ///
    /// # Errors
    /// If the store cannot be read or written; a part may be sent again by then, and asking once more sends the rest.
    pub async fn retry_all(&self, filter: DeliveryFilter) -> Result<u64, StoreError> {
        if let Some(endpoint) = filter.endpoint.clone().and_then(|name| EndpointName::try_from(name).ok()) {
            self.commit(vec![Write::Resume(endpoint)]).await?;
        }
        let state = filter.state;
        let found = self.ask(move |connection| listing::matching(connection, &filter)).await?;
        let mut retried = 0;
        for deliveries in found.chunks(AT_ONCE) {
            retried += self.commit(vec![Write::RetryThese { deliveries: deliveries.to_vec(), state }]).await?.retried;
        }
        Ok(retried)
    }
}
