//! Which tracks of a call are streamed, and when, where the sessions of the speech service are taken (`upstream.when_full`).
//!
//! Promises: both tracks of a call get their sessions at once, or neither does, except where the operator wants the caller's alone;
//! a call that is live is never refused for want of a session.

use super::{Calls, Class, Fill, Refused, WhenFull};
use crate::{media::Track, upstream::Turn};

impl Calls {
    /// How full the speech service's plan is.
    pub fn sessions(&self) -> Fill {
        self.0.parts.turns.fill()
    }

    /// Whether a new call would be refused for want of a session.
    pub(super) fn lacks_slots(&self) -> bool {
        self.0.parts.when_full == WhenFull::Refuse && !self.0.parts.turns.has_room(1, Class::New)
    }

    /// For each track of a new call its turn, which may be to be left for after the call.
    pub(super) fn turns_of_new(&self, tracks: &[Track], caller: Track) -> Result<Vec<(Track, Turn)>, Refused> {
        match self.0.parts.when_full {
            WhenFull::Refuse if !tracks.is_empty() => {
                let turns = self.0.parts.turns.take(tracks.len(), Class::New).ok_or(Refused::NoSession)?;
                Ok(tracks.iter().copied().zip(turns).collect())
            }
            _ => Ok(self.turns(tracks, caller, Class::New)),
        }
    }

    /// As [`Calls::turns_of_new`] for another stream of a call, which comes before new calls.
    pub(super) fn turns_of_joined(&self, tracks: &[Track], caller: Track) -> Vec<(Track, Turn)> {
        self.turns(tracks, caller, Class::Reconnect)
    }

    /// For a track that its stream did not announce.
    pub(super) fn turn_of_late(&self, track: Track, caller: Track) -> Turn {
        self.turns(&[track], caller, Class::Reconnect).pop().map_or_else(|| self.0.parts.turns.none(), |(_, turn)| turn)
    }

    fn turns(&self, tracks: &[Track], caller: Track, class: Class) -> Vec<(Track, Turn)> {
        let turns = &self.0.parts.turns;
        let taken = match self.0.parts.when_full {
            WhenFull::Wait | WhenFull::Refuse => turns.ask(tracks.len(), class),
            WhenFull::OneTrack | WhenFull::BatchAfter => turns.take(tracks.len(), class).unwrap_or_default(),
        };
        let mut taken = taken.into_iter();
        let is_streamed = |track| self.0.parts.when_full == WhenFull::OneTrack && track == caller;
        let alone = |track| if is_streamed(track) { turns.ask(1, class).pop() } else { None };
        let mut turn = |track| taken.next().or_else(|| alone(track)).unwrap_or_else(|| turns.none());
        tracks.iter().map(|track| (*track, turn(*track))).collect()
    }
}
