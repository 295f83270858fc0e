//! Bringing back the sessions that an earlier run left without an end.
//!
//! Promises: each gets its one `call.completed`, behind all that is left of its audio; at most [`AT_ONCE`] are brought back at a time, so that
//! hundreds cost no more memory, sessions or connects than those, and calls that begin meanwhile find room; being ended in the middle of it
//! does no harm, as the next start finds what this one has stored and goes on.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Calls, InHand, Unended, resume, session::GATE_PURPOSE};
use crate::{
    call::Call,
    clock,
    media::{Offset, SessionId},
    redact::Gate,
    segment::TrackKey,
    spool::{
        driver::Recovered,
        seal::{DataKey, WrappedKey},
    },
    store::{LiveSession, StoreError},
    upstream::Class,
};

/// Most sessions of an earlier run that are brought back at the same time.
const AT_ONCE: usize = 50;
/// They take this share of the speech service's sessions at most: one in four, which a call of two tracks makes a half.
const SHARE: usize = 4;

/// A session's place among those that are brought back.
pub(super) struct Place {
    left: Arc<AtomicUsize>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            tracing::info!("recovery is over: the calls of an earlier run have ended, or the log says why one has not");
        }
    }
}

/// A session that is being brought back: nobody else does, or erases it, until it has ended or is left for the next start.
pub(super) struct Returning {
    _hand: InHand,
    _place: Option<Place>,
}

impl Calls {
    /// Begins to end every session that an earlier run left, and says how many there are. Audio that none of them needs is removed first.
    ///
    /// # Errors
    /// If it cannot be read which there are.
    pub async fn recover(&self) -> Result<usize, StoreError> {
        crate::failpoint!("recover.begin");
        let left = self.0.parts.store.unfinished().await?;
        let count = left.len();
        self.0.left.store(count, Ordering::Relaxed);
        self.forget_all_but(&left).await;
        self.0.parts.tasks.spawn(self.clone().end_all(left));
        Ok(count)
    }

    /// How many sessions of an earlier run have no end yet.
    pub fn left_to_recover(&self) -> usize {
        self.0.left.load(Ordering::Relaxed)
    }

    /// Ends them, oldest first. Those whose turn does not come before the bridge is told to stop are left for the next start.
    async fn end_all(self, left: Vec<SessionId>) {
        let parts = &self.0.parts;
        let places = Arc::new(Semaphore::new(at_once(parts.turns.fill().limit)));
        for (n, session) in left.iter().enumerate() {
            let permit = tokio::select! {
                biased;
                () = parts.shutdown.cancelled() => {
                    tracing::warn!(calls = left.len() - n, "calls of an earlier run are left for the next start");
                    return;
                }
                permit = Arc::clone(&places).acquire_owned() => permit.expect("nobody closes it"),
            };
            self.bring_back(session, Some(Place { left: Arc::clone(&self.0.left), _permit: permit })).await;
            crate::failpoint!("recover.each");
        }
        crate::failpoint!("recover.end");
    }

    /// Removes spooled audio of sessions that need it no more: they ended, but the bridge did before it could remove it.
    async fn forget_all_but(&self, left: &[SessionId]) {
        let spool = &self.0.parts.spool;
        let spooled = spool.sessions().await.unwrap_or_else(|why| {
            tracing::error!(%why, "failed to list the spooled audio of earlier calls");
            BTreeSet::new()
        });
        for session in spooled.iter().filter(|session| !left.contains(session)) {
            spool.remove(session).await;
        }
    }

    /// Brings one back, if it has no end.
    pub(super) async fn bring_back(&self, session: &SessionId, place: Option<Place>) {
        let Some(hand) = self.take_in_hand(session) else {
            tracing::warn!(%session, "a session that is to be ended is being erased; if that fails, the next start will end it");
            return;
        };
        match self.0.parts.store.live(session).await {
            Ok(Some(live)) => self.end_by_links(live, Returning { _hand: hand, _place: place }).await,
            Ok(None) => {}
            Err(why) => {
                tracing::error!(%session, %why, "failed to read a session that is to be ended; the next start will end it");
                self.leave(session, Unended::StoreUnread);
            }
        }
    }

    /// A session's data key and its spooled audio; `None` if that cannot be read now. A session whose master key is gone gets a key of its
    /// own, under which none of its audio opens.
    async fn spooled(&self, session: &SessionId, wrapped: &WrappedKey) -> Option<(DataKey, Vec<Recovered>)> {
        let parts = &self.0.parts;
        let key = parts.keys.data_key(session, wrapped).unwrap_or_else(|| {
            tracing::error!(%session, "the master key of a call that was live is missing: the call ends without its spooled audio");
            DataKey::new(clock::random())
        });
        match parts.spool.recover(session, &key).await {
            Ok(spooled) => Some((key, spooled)),
            Err(why) => {
                // Ending the session now would delete what may be readable later.
                tracing::error!(%session, %why, "failed to read the spooled audio of a call that was live; the next start will try again");
                self.leave(session, Unended::AudioUnread);
                None
            }
        }
    }

    async fn end_by_links(&self, live: LiveSession, returning: Returning) {
        let parts = &self.0.parts;
        let session = live.session.start.id.clone();
        let Some((key, spooled)) = self.spooled(&session, &live.session.start.key).await else { return };
        let (facts, resumed) = resume::from_store(&live, &spooled, parts.speech);
        tracing::info!(%session, call = %facts.call_sid, tracks = spooled.len(), "ending a call that had no end when the bridge did");
        let (line, mail) = self.line(&facts, &key, None);
        let gate = Gate::new(parts.gate.clone(), key.derive(GATE_PURPOSE));
        let marks: HashMap<TrackKey, Offset> = resumed.tracks.iter().map(|track| (track.key, track.mark)).collect();
        let more = |left: &Recovered| resume::remains(left, *marks.get(&left.key)?, &live.segments);
        let linked: Vec<_> = spooled.iter().filter_map(|left| Some((more(left)?, left))).collect();
        drop(marks);
        let call = Call::resumed(facts, gate, resumed, clock::now());
        let mut desk = self.desk(&call, None);
        let turns = parts.turns.ask(linked.len(), Class::New);
        for ((remains, left), turn) in linked.into_iter().zip(turns) {
            let open = self.open_track(&line, left.key, turn, Some((left, remains)));
            desk.tracks.add(left.key, open.commands.downgrade(), open.spool);
        }
        self.run(call, desk, None, mail, Some(returning));
    }
}

/// How many may be brought back at once where the speech service has so many sessions.
fn at_once(sessions: usize) -> usize {
    (sessions / SHARE).clamp(1, AT_ONCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_calls_leave_half_of_the_sessions_to_new_ones() {
        assert_eq!([1, 4, 8, 100, 200, 10_000].map(at_once), [1, 1, 2, 25, 50, 50]);
    }
}
