//! Does what the sweep says.
//!
//! Promises: an erased call's row and key go in one commit, its audio behind that; what a kill leaves between the two is taken by the
//! next start or the next sweep.

use tokio_util::sync::CancellationToken;

use super::{Kind, Output, STEP_ROWS, Step, Sweep};
use crate::{
    clock,
    config::Retention,
    media::SessionId,
    metrics::Metrics,
    spool::Spool,
    store::{OldCall, Store, StoreError, Write},
};

/// What a sweep works with.
pub struct Keeper {
    /// From which rows go.
    pub store: Store,
    /// From which audio goes.
    pub spool: Spool,
    /// For the counts.
    pub metrics: std::sync::Arc<Metrics>,
}

impl Keeper {
    /// Sweeps at once and then each hour, until `shutdown`.
    pub async fn run(self, retention: Retention, shutdown: CancellationToken) {
        let mut sweep = Sweep::new(retention, clock::now());
        loop {
            while let Some(output) = sweep.poll_output() {
                match output {
                    Output::Tell(removed) => tracing::info!("removed what was kept long enough: {removed}"),
                    Output::Remove { kind, before_wall_ms } => match self.remove(kind, before_wall_ms).await {
                        Ok(step) => {
                            self.metrics.removed(kind.as_str(), step.removed);
                            sweep.handle_removed(step, clock::now());
                        }
                        Err(error) => {
                            tracing::warn!(kind = kind.as_str(), %error, "failed to remove what was kept long enough, trying again");
                            sweep.handle_failed(clock::now());
                        }
                    },
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = clock::sleep_until(sweep.poll_timeout()) => sweep.handle_timeout(clock::now(), clock::wall_ms()),
            }
        }
    }

    async fn remove(&self, kind: Kind, before_wall_ms: u64) -> Result<Step, StoreError> {
        crate::failpoint!("retention.before");
        let step = match kind {
            Kind::Parked => {
                let parked = self.store.old_parked(before_wall_ms, STEP_ROWS).await?;
                let found = parked.len();
                self.forget(Write::ForgetParked(parked), found).await?
            }
            Kind::Attempts => {
                let attempts = self.store.old_attempts(before_wall_ms, STEP_ROWS).await?;
                let found = attempts.len();
                self.forget(Write::ForgetAttempts(attempts), found).await?
            }
            Kind::Calls => self.erase_calls(before_wall_ms).await?,
            Kind::Audio => self.remove_audio().await?,
        };
        crate::failpoint!("retention.after");
        Ok(step)
    }

    async fn forget(&self, write: Write, found: usize) -> Result<Step, StoreError> {
        if found == 0 {
            return Ok(Step { removed: 0, more: false });
        }
        let removed = self.store.commit(vec![write]).await?.removed;
        Ok(Step { removed, more: removed > 0 && found == STEP_ROWS as usize })
    }

    /// As many calls as a step may take; of one that is larger by itself the deliveries go first, so that no step is much larger.
    async fn erase_calls(&self, before_wall_ms: u64) -> Result<Step, StoreError> {
        let old = self.store.old_calls(before_wall_ms, STEP_ROWS).await?;
        let (mut rows, mut removed, found) = (0, 0, old.len());
        for OldCall { session, events, deliveries } in old {
            let guard = Write::OnlyIfOver(session.clone());
            if deliveries > u64::from(STEP_ROWS) {
                let trim = Write::Trim { session, rows: STEP_ROWS };
                let more = done(self.store.commit(vec![guard, trim]).await)?;
                return Ok(Step { removed, more });
            }
            rows += events + deliveries + 1;
            if rows > u64::from(STEP_ROWS) && removed > 0 {
                return Ok(Step { removed, more: true });
            }
            if done(self.store.commit(vec![guard, Write::Erase(session.clone())]).await)? {
                self.spool.remove(&session).await;
                removed += 1;
            }
        }
        Ok(Step { removed, more: removed > 0 && found == STEP_ROWS as usize })
    }

    /// A kill between a call's erasing and its audio's leaves files; a session's row is there before its first file.
    async fn remove_audio(&self) -> Result<Step, StoreError> {
        let spooled =
            self.spool.sessions().await.map_err(|error| StoreError::Database(format!("the spool cannot be read: {error}")))?;
        let orphans: Vec<SessionId> = self.store.unknown(spooled.into_iter().collect()).await?;
        for session in &orphans {
            self.spool.remove(session).await;
        }
        Ok(Step { removed: orphans.len() as u64, more: false })
    }
}

/// Whether a guarded unit went through; one whose session was asked for again meanwhile does not.
fn done<T>(committed: Result<T, StoreError>) -> Result<bool, StoreError> {
    match committed {
        Ok(_) => Ok(true),
        Err(StoreError::Misfit) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
