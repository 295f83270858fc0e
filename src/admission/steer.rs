//! What an operator may do to a call that is on the line: ask for its finals, and change what is listened for.
//!
//! Promises: both tell every link of the session and wait for none longer than [`TUNING`]; a change that the service refuses leaves
//! the session as it was; changes of one session come one after the other, each on top of the one before; tracks that are opened later,
//! and the call's second life behind a kill, get what was taken, and never what the service has not agreed to.

use std::{sync::Arc, time::Duration};

use futures_util::{
    future::join_all,
    stream::{FuturesUnordered, StreamExt},
};
use tokio::sync::{OwnedMutexGuard, mpsc, oneshot};

use super::{Calls, Line, Tracks, locked};
use crate::{
    call::{self, driver::Input},
    segment::TrackKey,
    store::Write,
    upstream::{BadParameter, Command, Parameters, Refusal, Tuned, Upstream},
};

/// So long the service is waited for to open a stream with other parameters; what comes later is in the log.
const TUNING: Duration = Duration::from_secs(5);
/// Longest wait for another change's turn, and for what the session's task answers.
const TURN: Duration = Duration::from_secs(10);

/// The turn of changes: who holds it changes what the session listens for. In it is what was asked for and is not answered yet.
pub(super) type Tuning = tokio::sync::Mutex<Option<Arc<Upstream>>>;

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
    /// Another change has not come to its end, or the session's task does not answer.
    #[error("the call is busy; ask again")]
    Busy,
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
    /// If the session is over or busy.
    pub async fn finalize(&self, line: &Line) -> Result<usize, Unchanged> {
        within(TURN, told(line, |answer| Input::Finalize { answer })).await
    }

    /// Lets every link of the session go on with these parameters changed, by their names in the settings; says what will come of it.
    ///
    /// # Errors
    /// If the session is over or busy, a value is bad, or the service refuses it.
    pub async fn retune(&self, line: &Line, changes: &[(&str, &str)]) -> Result<Vec<(TrackKey, Change)>, Unchanged> {
        let turn = within(TURN, async { Ok(Arc::clone(&line.tuning).lock_owned().await) }).await?;
        // A change that is not answered yet is overtaken by this one, which therefore asks for both.
        let mut new = Upstream::clone(&turn.clone().unwrap_or_else(|| line.upstream()));
        for (name, value) in changes {
            new.parameters.set(name, value)?;
        }
        let (calls, line) = (self.clone(), line.clone());
        // Whoever asked may go away: what the links were told is followed to its end all the same.
        let tuning = self.0.parts.tasks.spawn(async move { calls.tune(line, Arc::new(new), turn).await });
        within(TURN, async { tuning.await.unwrap_or(Err(Unchanged::Over)) }).await
    }

    async fn tune(&self, line: Line, new: Arc<Upstream>, mut turn: Turn) -> Result<Vec<(TrackKey, Change)>, Unchanged> {
        let asked = ask(&line, &new, Vec::new()).await?;
        let keys: Vec<TrackKey> = asked.iter().map(|(key, _)| *key).collect();
        let late = FuturesUnordered::new();
        let heard = asked.into_iter().map(async |(key, mut answer)| {
            let told = tokio::time::timeout(TUNING, &mut answer).await.map(change_of);
            let change = told.unwrap_or_else(|_| {
                late.push(answer);
                Change::Asked
            });
            (key, change)
        });
        let changes = join_all(heard).await;
        let is_sure = |(_, change): &(TrackKey, Change)| matches!(change, Change::AtSilence | Change::OnReconnect);
        if changes.is_empty() || changes.iter().any(is_sure) {
            *turn = None;
            self.keep(&line, new, keys).await;
        } else if !late.is_empty() {
            *turn = Some(Arc::clone(&new));
            let calls = self.clone();
            self.0.parts.tasks.spawn(async move { calls.settle(&line, new, keys, late).await });
        }
        let refusal = |change: &Change| if let Change::Refused(why) = change { Some(why.clone()) } else { None };
        let refusals: Vec<Refusal> = changes.iter().filter_map(|(_, change)| refusal(change)).collect();
        match refusals.first() {
            Some(first) if refusals.len() == changes.len() => Err(Unchanged::Refused(first.clone())),
            _ => Ok(changes),
        }
    }

    /// Waits for the first link that takes the change, unless another change comes first; links answer, or end.
    async fn settle(
        &self,
        line: &Line,
        new: Arc<Upstream>,
        keys: Vec<TrackKey>,
        mut late: FuturesUnordered<oneshot::Receiver<Tuned>>,
    ) {
        let mut is_taken = false;
        while let (false, Some(answer)) = (is_taken, late.next().await) {
            is_taken = matches!(answer, Ok(Tuned::Ready | Tuned::Later));
        }
        let mut turn = line.tuning.lock().await;
        if turn.take_if(|waiting| Arc::ptr_eq(waiting, &new)).is_some() && is_taken {
            self.keep(line, new, keys).await;
        }
    }

    /// The change is taken: for tracks that are opened later, for those that were while it was asked, and for the call's second life.
    async fn keep(&self, line: &Line, new: Arc<Upstream>, keys: Vec<TrackKey>) {
        let asked = |name: &str| new.parameters.get(name).map(str::to_owned);
        let is_set = self.0.parts.upstream.parameters.get("keywords").is_some();
        let keywords = asked("keywords").or_else(|| is_set.then(String::new));
        let context = call::context(asked("language").as_deref(), keywords.as_deref());
        *locked(&line.upstream) = Arc::clone(&new);
        // A session that is over needs it no more.
        let _ = ask(line, &new, keys).await;
        if let Err(why) = self.0.parts.store.commit(vec![Write::Context { session: line.session.clone(), context }]).await {
            tracing::warn!(session = %line.session, %why, "failed to store what a call listens for; after a kill it is what it was before");
        }
    }
}

type Turn = OwnedMutexGuard<Option<Arc<Upstream>>>;
/// The links that will answer.
type Asked = Vec<(TrackKey, oneshot::Receiver<Tuned>)>;

/// Tells every link `but` these.
async fn ask(line: &Line, new: &Upstream, but: Vec<TrackKey>) -> Result<Asked, Unchanged> {
    told(line, |answer| Input::Retune { parameters: Arc::new(new.parameters.clone()), but, answer }).await
}

/// What the session's task answers to this.
async fn told<T>(line: &Line, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Result<T, Unchanged> {
    let (answer, told) = oneshot::channel();
    line.inputs.send(input(answer)).await.map_err(|_| Unchanged::Over)?;
    told.await.map_err(|_| Unchanged::Over)
}

async fn within<T>(limit: Duration, answer: impl Future<Output = Result<T, Unchanged>>) -> Result<T, Unchanged> {
    tokio::time::timeout(limit, answer).await.unwrap_or(Err(Unchanged::Busy))
}

fn change_of(answer: Result<Tuned, oneshot::error::RecvError>) -> Change {
    match answer {
        Ok(Tuned::Ready) => Change::AtSilence,
        Ok(Tuned::Later) => Change::OnReconnect,
        Ok(Tuned::Refused(refusal)) => Change::Refused(refusal),
        Err(_) => Change::Overtaken,
    }
}

impl Tracks {
    /// Asks for a final on every link whose audio has not ended; says on how many.
    pub fn finalize(&self) -> usize {
        self.open().filter(|(_, commands)| commands.try_send(Command::Finalize).is_ok()).count()
    }

    /// Lets these links go on with other parameters, `but` those that know; each answers. One that is so far behind that it takes no more is
    /// left as it is.
    pub fn retune(&self, parameters: &Arc<Parameters>, but: &[TrackKey]) -> Vec<(TrackKey, oneshot::Receiver<Tuned>)> {
        let told = |(key, commands): (TrackKey, mpsc::Sender<Command>)| {
            let (answer, answered) = oneshot::channel();
            commands.try_send(Command::Retune(Arc::clone(parameters), answer)).ok().map(|()| (key, answered))
        };
        self.open().filter(|(key, _)| !but.contains(key)).filter_map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{
        media::{CallSid, SessionId, Track},
        spool::seal::DataKey,
    };

    #[tokio::test]
    async fn a_session_that_does_not_answer_is_busy_and_one_that_is_gone_is_over() {
        let ((inputs, unread), (reports, _)) = (mpsc::channel(1), mpsc::channel(1));
        let line = Line {
            session: SessionId::new("ses_1").unwrap(),
            call_sid: CallSid::new("CA1").unwrap(),
            inputs,
            reports,
            upstream: Arc::new(Mutex::new(Arc::new(Upstream::at("ws://127.0.0.1:1/live")))),
            tuning: Arc::default(),
            key: DataKey::new([7; 32]),
            capture: None,
            caller: Track::Inbound,
        };
        let asked = || within(Duration::from_millis(1), told(&line, |answer| Input::Finalize { answer }));
        assert_eq!([asked().await, asked().await], [Err(Unchanged::Busy), Err(Unchanged::Busy)], "in the queue, and before it");
        drop(unread);
        assert_eq!(asked().await, Err(Unchanged::Over));
    }
}
