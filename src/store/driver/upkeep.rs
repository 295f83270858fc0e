//! What the store does for itself: nothing that was erased stays in the log, no data key stays under an older master key.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Request, Store, StoreError, Work};
use crate::{
    clock,
    store::{rewrap, schema},
};

/// After so many tries, a minute, somebody is told.
const TRIES_UNTOLD: u32 = 240;

/// Whether the log is to be folded, since it may hold what was erased.
#[derive(Default)]
pub(super) struct Fold {
    /// When it is tried next.
    at: Option<Instant>,
    /// Tries in vain.
    failed: u32,
}

impl Fold {
    /// How often it is tried while an older reader is in the way: at once, then this often until it works.
    pub(super) const EVERY: Duration = Duration::from_millis(250);

    pub(super) fn due_unless(folded: bool) -> Self {
        Self { at: (!folded).then(clock::now), failed: 0 }
    }

    /// From now on it is to be done.
    pub(super) fn due(&mut self) {
        self.at = Some(clock::now());
    }

    pub(super) const fn is_due(&self) -> bool {
        self.at.is_some()
    }

    pub(super) fn try_if_due(&mut self, connection: &Connection) {
        let now = clock::now();
        if self.at.is_none_or(|at| at > now) {
            return;
        }
        let folded = schema::fold(connection);
        if folded == Ok(true) {
            *self = Self::default();
            return;
        }
        *self = Self { at: Some(now + Self::EVERY), failed: self.failed.saturating_add(1) };
        if self.failed == TRIES_UNTOLD {
            let why = folded.err().map(|error| error.to_string());
            tracing::warn!(
                why,
                "what was erased is still in the database's log: another program keeps it open, or the disk fails"
            );
        }
    }
}

impl Store {
    /// Wraps the data keys that are under an older master key anew under the first, in small steps between other writes, so that
    /// the older one can be taken out of the settings; answers how many. Says in the log what no master key opens.
    pub async fn rewrap(&self) -> Result<u64, StoreError> {
        let masters = self.keys.masters();
        let mut count = 0;
        for (older, table) in masters.older_ids().flat_map(|id| rewrap::TABLES.map(|table| (id, table))) {
            let mut step = rewrap::Step::new(table, older);
            while !step.is_over() {
                let keys = Arc::clone(&self.keys);
                step = self.work(move |connection| step.take(connection, keys.masters()), false).await?;
            }
            count += step.done();
        }
        if count > 0 {
            // The old wrapping is to stand nowhere either: at once if nobody is in the way, else as soon as it can be.
            self.work(|connection| schema::fold(connection).map(drop), true).await?;
        }
        Ok(count)
    }

    /// How many data keys are under master keys that are not set, by their ids.
    pub async fn keyless(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let keys = Arc::clone(&self.keys);
        self.ask(move |connection| rewrap::keyless(connection, keys.masters())).await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
        then_fold: bool,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |connection| drop(answer.send(work(connection))));
        self.writer.send(Request::Work(work, then_fold)).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::driver::tests::{Folder, begin, open};

    #[tokio::test]
    async fn a_reader_that_began_before_holds_the_fold_up_and_is_waited_for() {
        let (store, folder): (Store, Folder) = open();
        begin(&store, "CA1", "MZ1").await;
        let path = folder.0.join("bridge.db");
        let (reader, writer) = (Connection::open(&path).unwrap(), Connection::open(&path).unwrap());
        reader.execute_batch("BEGIN").unwrap();
        let _: i64 = reader.query_row("SELECT count(*) FROM sessions", (), |row| row.get(0)).unwrap();
        let log = || std::fs::metadata(folder.0.join("bridge.db-wal")).unwrap().len();
        let mut fold = Fold::default();
        fold.try_if_due(&writer);
        assert!(log() > 0, "it is not due");
        fold.due();
        fold.try_if_due(&writer);
        assert!(fold.is_due() && log() > 0, "it is tried again later");
        reader.execute_batch("COMMIT").unwrap();
        fold.due();
        fold.try_if_due(&writer);
        assert!(!fold.is_due() && log() == 0);
    }
}
