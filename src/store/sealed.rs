//! What was said or typed, sealed for the disk under its session's data key.
//!
//! Promises: a sealed text opens only where it was put, so a row that is moved or changed does not; what cannot be opened is
//! [`StoreError::NoKey`] or [`StoreError::Unopened`], never a guess; a data key is unwrapped once, held by a bounded number of
//! sessions, wiped when it is dropped, and forgotten when its session is erased.
//!
//! A sealed text is the number of its key (1 byte: 0 is the session's own, others are in `data_keys`), a nonce, and the rest.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, params};

use super::StoreError;
use crate::{
    keys::MasterKeys,
    media::SessionId,
    spool::seal::{DataKey, NONCE_BYTES, WrappedKey},
};

/// Sessions whose keys stay unwrapped in memory, twice over: the newest so many, and as many before them.
const HELD: usize = 1024;

/// Where a sealed text stands; it opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// The body of a session's event.
    Event(&'a SessionId, u64),
    /// A final, by its name.
    Segment(&'a str),
    /// What a session needs to go on after a restart.
    Context(&'a SessionId),
    /// What a receiver said to a delivery's nth attempt.
    Answer(&'a str, i64),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(session, seq) => write!(f, "event {session} {seq}"),
            Self::Segment(id) => write!(f, "segment {id}"),
            Self::Context(session) => write!(f, "context {session}"),
            Self::Answer(delivery, n) => write!(f, "answer {delivery} {n}"),
        }
    }
}

impl Place<'_> {
    const fn what(&self) -> &'static str {
        match self {
            Self::Event(..) => "event",
            Self::Segment(_) => "segment",
            Self::Context(_) => "context",
            Self::Answer(..) => "answer",
        }
    }
}

/// The master keys, and the data keys that were unwrapped with them; shared by the store's threads.
pub(super) struct Keyring {
    masters: Arc<MasterKeys>,
    nonce: fn() -> [u8; NONCE_BYTES],
    held: Mutex<Held>,
}

/// In two generations, so that the sessions in use stay without a list of who came last. Behind an `Arc`, a key never moves in memory.
#[derive(Default)]
struct Held {
    young: HashMap<SessionId, BTreeMap<u8, Arc<DataKey>>>,
    old: HashMap<SessionId, BTreeMap<u8, Arc<DataKey>>>,
}

impl Held {
    fn of(&mut self, session: &SessionId) -> Option<&mut BTreeMap<u8, Arc<DataKey>>> {
        if let Some((session, keys)) = self.old.remove_entry(session) {
            self.make_room();
            self.young.insert(session, keys);
        }
        self.young.get_mut(session)
    }

    fn add(&mut self, session: &SessionId, n: u8, key: Arc<DataKey>) {
        if let Some(keys) = self.of(session) {
            keys.insert(n, key);
        } else {
            self.make_room();
            self.young.insert(session.clone(), BTreeMap::from([(n, key)]));
        }
    }

    fn make_room(&mut self) {
        if self.young.len() >= HELD {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

impl Keyring {
    pub(super) fn new(masters: Arc<MasterKeys>, nonce: fn() -> [u8; NONCE_BYTES]) -> Self {
        Self { masters, nonce, held: Mutex::default() }
    }

    pub(super) fn masters(&self) -> &MasterKeys {
        &self.masters
    }

    /// Seals under the session's newest key that opens; one whose keys are all out of reach gets a further key, in the same transaction.
    ///
    /// # Errors
    /// [`StoreError::Misfit`] if there is no such session.
    pub(super) fn seal(
        &self,
        connection: &Connection,
        session: &SessionId,
        place: Place<'_>,
        clear: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let (n, key) = self.sealing_key(connection, session)?;
        let nonce = (self.nonce)();
        let sealed = key.seal(&nonce, place.to_string().as_bytes(), clear);
        Ok([&[n][..], &nonce[..], &sealed[..]].concat())
    }

    /// Opens a sealed text of a session. The error is the store's own inside, so that it passes through a row being read.
    pub(super) fn open(
        &self,
        connection: &Connection,
        session: &SessionId,
        place: Place<'_>,
        blob: &[u8],
    ) -> rusqlite::Result<Vec<u8>> {
        let (n, sealed) = blob.split_first().ok_or_else(|| unopened(place))?;
        let (nonce, sealed) = sealed.split_first_chunk().ok_or_else(|| unopened(place))?;
        let key = self.opening_key(connection, session, *n, place)?;
        key.open(nonce, place.to_string().as_bytes(), sealed).ok_or_else(|| unopened(place))
    }

    /// Drops a session's keys from memory.
    pub(super) fn erase(&self, session: &SessionId) {
        let mut held = self.held();
        held.young.remove(session);
        held.old.remove(session);
    }

    /// Drops every key from memory: after a write that was taken back, one of them may be stored nowhere.
    pub(super) fn forget(&self) {
        *self.held() = Held::default();
    }

    fn sealing_key(&self, connection: &Connection, session: &SessionId) -> Result<(u8, Arc<DataKey>), StoreError> {
        if let Some((n, key)) = self.held().of(session).and_then(|keys| keys.last_key_value()) {
            return Ok((*n, Arc::clone(key)));
        }
        let stored = stored(connection, session)?;
        let last = stored.last().ok_or(StoreError::Misfit)?.0;
        for (n, wrapped) in stored.iter().rev() {
            if let Some(key) = self.masters.data_key(session, wrapped) {
                return Ok((*n, self.hold(session, *n, key)));
            }
        }
        let n = last.checked_add(1).ok_or(StoreError::Unopened("data key"))?;
        let (key, wrapped) = self.masters.new_data_key(session);
        connection
            .prepare_cached("INSERT INTO data_keys (session_id, n, key_id, sealed) VALUES (?, ?, ?, ?)")?
            .execute(params![session.as_str(), n, wrapped.key_id, wrapped.sealed])?;
        Ok((n, self.hold(session, n, key)))
    }

    fn opening_key(
        &self,
        connection: &Connection,
        session: &SessionId,
        n: u8,
        place: Place<'_>,
    ) -> rusqlite::Result<Arc<DataKey>> {
        if let Some(key) = self.held().of(session).and_then(|keys| keys.get(&n)) {
            return Ok(Arc::clone(key));
        }
        let stored = stored(connection, session)?;
        let (_, wrapped) = stored.iter().find(|(known, _)| *known == n).ok_or_else(|| unopened(place))?;
        match self.masters.data_key(session, wrapped) {
            Some(key) => Ok(self.hold(session, n, key)),
            None => Err(passing(StoreError::NoKey(wrapped.key_id.clone()))),
        }
    }

    fn hold(&self, session: &SessionId, n: u8, key: DataKey) -> Arc<DataKey> {
        let key = Arc::new(key);
        self.held().add(session, n, Arc::clone(&key));
        key
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every key of a session, by number.
fn stored(connection: &Connection, session: &SessionId) -> rusqlite::Result<Vec<(u8, WrappedKey)>> {
    connection
        .prepare_cached(
            "SELECT 0 AS n, key_id, data_key FROM sessions WHERE id = ?1
             UNION ALL SELECT n, key_id, sealed FROM data_keys WHERE session_id = ?1 ORDER BY n",
        )?
        .query_map([session.as_str()], |row| Ok((row.get(0)?, WrappedKey { key_id: row.get(1)?, sealed: row.get(2)? })))?
        .collect()
}

fn unopened(place: Place<'_>) -> rusqlite::Error {
    passing(StoreError::Unopened(place.what()))
}

fn passing(why: StoreError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(why))
}

/// Whether it is about a sealed text that does not open; then others may.
pub(super) fn is_unreadable(error: &rusqlite::Error) -> bool {
    let rusqlite::Error::FromSqlConversionFailure(_, _, why) = error else { return false };
    why.downcast_ref::<StoreError>().is_some_and(StoreError::is_unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_held_are_bounded_and_those_in_use_stay() {
        let mut held = Held::default();
        let session = |n: usize| SessionId::new(&format!("ses_{n}")).unwrap();
        for n in 0..HELD * 5 {
            held.add(&session(n), 0, Arc::new(DataKey::new([0; 32])));
            assert!(held.of(&session(0)).is_some(), "the first is asked for all the time");
        }
        assert!(held.young.len() + held.old.len() <= 2 * HELD);
        assert!(held.of(&session(1)).is_none());
    }

    #[test]
    fn each_place_has_a_name_of_its_own() {
        let session = SessionId::new("ses_1").unwrap();
        let places = [Place::Event(&session, 7), Place::Segment("seg_1"), Place::Context(&session), Place::Answer("dlv_1", 2)];
        assert_eq!(places.map(|place| place.to_string()), ["event ses_1 7", "segment seg_1", "context ses_1", "answer dlv_1 2"]);
    }
}
