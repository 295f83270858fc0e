//! What a link holds for a time besides its slot: a second slot, an open connection, a place among those who want to connect.
//!
//! Promises: each is given back when it is dropped.

use super::{Life, Place, Turns};

/// A slot for a moment.
pub struct Overlap(pub(super) Turns);

impl Drop for Overlap {
    fn drop(&mut self) {
        self.0.change(|state, now| state.quota.handle_freed(now));
    }
}

/// A connection that is open.
pub(in crate::upstream::driver) struct Open {
    pub(super) turns: Turns,
    pub(super) life: Life,
    pub(super) well: bool,
}

impl Open {
    /// It ends because we are done with it.
    pub(in crate::upstream::driver) const fn ends_well(&mut self) {
        self.well = true;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.turns.change(|state, now| {
            state.quota.handle_closed();
            state.budget.handle_closed(self.life, self.well, now);
        });
    }
}

/// A place among those who want to connect.
pub(super) struct Waiting {
    pub(super) turns: Turns,
    pub(super) place: Place,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.turns.change(|state, _| {
            state.budget.handle_withdrawn(self.place);
            state.connects.remove(&self.place);
        });
    }
}
