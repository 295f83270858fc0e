//! How the links to the speech service fare, for `/readyz`.

use std::sync::Mutex;

use super::locked;
use crate::upstream::LinkState;

/// How the links to the speech service fare, all calls together.
#[derive(Debug, Default)]
pub struct Health(Mutex<Option<String>>);

impl Health {
    /// A link says where it stands.
    pub fn note(&self, state: &LinkState) {
        match state {
            LinkState::Live => *locked(&self.0) = None,
            LinkState::Reconnecting { cause, .. } | LinkState::Refused(cause) => *locked(&self.0) = Some(cause.to_string()),
            LinkState::Connecting
            | LinkState::Queued
            | LinkState::Unstreamed
            | LinkState::Idle
            | LinkState::Draining
            | LinkState::Backfilling
            | LinkState::Closed => {}
        }
    }

    /// What the last link that failed said, unless one has gone live since.
    pub fn trouble(&self) -> Option<String> {
        locked(&self.0).clone()
    }
}
