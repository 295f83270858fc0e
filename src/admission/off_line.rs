//! Sessions without an end that are not on the line: who has one in hand, and which are left for the next start.
//!
//! Promises: a session is brought back or erased by one alone; one that could not be ended is counted until it is erased, with the reason.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex},
};

use super::{Calls, locked};
use crate::media::SessionId;

/// Why a session that was to be ended is left for the next start; for `/readyz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unended {
    /// Ending it would delete audio that may be readable later.
    AudioUnread,
    /// What is stored of it cannot be read.
    StoreUnread,
    /// An event of it could not be stored, or its task died.
    NotStored,
}

impl Unended {
    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AudioUnread => "its spooled audio cannot be read",
            Self::StoreUnread => "what is stored of it cannot be read",
            Self::NotStored => "its end could not be stored",
        }
    }
}

/// What is known of them; both have at most as many entries as there are such sessions.
#[derive(Default)]
pub(super) struct OffLine {
    in_hand: Mutex<HashSet<SessionId>>,
    unended: Mutex<HashMap<SessionId, Unended>>,
}

/// A session that nobody else brings back or erases until this is dropped.
pub struct InHand {
    off_line: Arc<OffLine>,
    session: SessionId,
}

impl Drop for InHand {
    fn drop(&mut self) {
        locked(&self.off_line.in_hand).remove(&self.session);
    }
}

impl Calls {
    /// Takes a session to bring it back or to erase it; `None` while it is on the line or somebody else has it. One that has left the line
    /// never comes back to it by itself, so what this gives holds.
    #[must_use]
    pub fn take_in_hand(&self, session: &SessionId) -> Option<InHand> {
        if self.0.registry.session(session).is_some() {
            return None;
        }
        let is_free = locked(&self.0.off_line.in_hand).insert(session.clone());
        is_free.then(|| InHand { off_line: Arc::clone(&self.0.off_line), session: session.clone() })
    }

    /// How many sessions are left for the next start, by the reason.
    #[must_use]
    pub fn left_for_the_next_start(&self) -> BTreeMap<Unended, usize> {
        let mut counts = BTreeMap::new();
        for why in locked(&self.0.off_line.unended).values() {
            *counts.entry(*why).or_default() += 1;
        }
        counts
    }

    /// A session could not be ended.
    pub(super) fn leave(&self, session: &SessionId, why: Unended) {
        locked(&self.0.off_line.unended).insert(session.clone(), why);
    }

    /// Deletes what an erased session has beside its rows: its spooled audio, its capture, and its place among those that are left for the next start.
    /// It must not be on the line any more.
    pub async fn forget(&self, session: &SessionId) {
        locked(&self.0.off_line.unended).remove(session);
        self.0.parts.spool.remove(session).await;
        if let Some(recorder) = &self.0.parts.recorder {
            recorder.forget(session).await;
        }
    }
}
