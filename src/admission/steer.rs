//! What an operator may do to a call that is on the line: ask for its finals, and change what is listened for.
//!
//! Promises: both tell every link of the session and wait for none longer than [`TUNING`]; a change that the service refuses leaves
//! the session as it was; tracks that are opened later get what was taken.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};

use super::{Calls, Line, Tracks, locked};
use crate::{
    call::driver::Input,
    segment::TrackKey,
    upstream::{BadParameter, Command, Parameters, Refusal, Tuned, Upstream},
};

/// So long the service is waited for to open a stream with other parameters; what comes later is in the log.
const TUNING: Duration = Duration::from_secs(5);

/// What will come of a change, for one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It takes effect at the next silence, or within seconds.
    AtSilence,
    /// It takes effect with the next connection; there is none now.
    OnReconnect,
    /// The service has not answered yet; the one before holds meanwhile.
    Asked,
    /// Another change, or the end of the track, came in between.
    Overtaken,
    /// The service would not.
    Refused(Refusal),
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unchanged {
    /// The session takes no more wishes.
    #[error("the call is over")]
    Over,
    /// Not a value that can be asked for.
    #[error(transparent)]
    Value(#[from] BadParameter),
    /// The service would not; the first of its reasons.
    #[error("{0}")]
    Refused(Refusal),
}

impl Calls {
    /// Asks for a final on every link of the session; says on how many.
    ///
    /// # Errors
    /// If the session is over.
    pub async fn finalize(&self, line: &Line) -> Result<usize, Unchanged> {
        let (answer, told) = oneshot::channel();
        line.inputs.send(Input::Finalize { answer }).await.map_err(|_| Unchanged::Over)?;
        told.await.map_err(|_| Unchanged::Over)
    }

    /// Lets every link of the session go on with these parameters changed, by their names in the settings; says what will come of it.
    ///
    /// # Errors
    /// If the session is over, a value is bad, or the service refuses it.
    pub async fn retune(&self, line: &Line, changes: &[(&str, &str)]) -> Result<Vec<(TrackKey, Change)>, Unchanged> {
        let mut new = Upstream::clone(&line.upstream());
        for (name, value) in changes {
            new.parameters.set(name, value)?;
        }
        let (answer, asked) = oneshot::channel();
        let retune = Input::Retune { parameters: Arc::new(new.parameters.clone()), answer };
        line.inputs.send(retune).await.map_err(|_| Unchanged::Over)?;
        let asked = asked.await.map_err(|_| Unchanged::Over)?;
        let heard = asked.into_iter().map(async |(key, answer)| {
            let change = match tokio::time::timeout(TUNING, answer).await {
                Ok(Ok(Tuned::Ready)) => Change::AtSilence,
                Ok(Ok(Tuned::Later)) => Change::OnReconnect,
                Ok(Ok(Tuned::Refused(refusal))) => Change::Refused(refusal),
                Ok(Err(_)) => Change::Overtaken,
                Err(_) => Change::Asked,
            };
            (key, change)
        });
        let changes = join_all(heard).await;
        let refusal = changes.iter().find_map(|(_, change)| if let Change::Refused(why) = change { Some(why) } else { None });
        match refusal {
            Some(refusal) if changes.iter().all(|(_, change)| matches!(change, Change::Refused(_))) => {
                Err(Unchanged::Refused(refusal.clone()))
            }
            _ => {
                *locked(&line.upstream) = Arc::new(new);
                Ok(changes)
            }
        }
    }
}

impl Tracks {
    /// Asks for a final on every link whose audio has not ended; says on how many.
    pub fn finalize(&self) -> usize {
        self.open().filter(|(_, commands)| commands.try_send(Command::Finalize).is_ok()).count()
    }

    /// Lets these links go on with other parameters; each answers. One that is so far behind that it takes no more is left as it is.
    pub fn retune(&self, parameters: &Arc<Parameters>) -> Vec<(TrackKey, oneshot::Receiver<Tuned>)> {
        let told = |(key, commands): (TrackKey, mpsc::Sender<Command>)| {
            let (answer, answered) = oneshot::channel();
            commands.try_send(Command::Retune(Arc::clone(parameters), answer)).ok().map(|()| (key, answered))
        };
        self.open().filter_map(told).collect()
    }
}
