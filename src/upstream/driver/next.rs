//! The connection that is opened beside the one in use, and the one that was parted with.
//!
//! Promises: at most one of each for a link; what the next one says before its turn is only looked at for an objection; parting takes
//! [`PARTING`] at the longest and holds up nothing.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::sync::oneshot;

use super::{Event, FirstWritten, Overlap, Socket, Turn, Upstream, Way, dial, probe, said};
use crate::{
    clock,
    upstream::{Control, Link, Output, Parameters, Protocol, Refusal, Tuned},
};

/// A connection that has given its last words is closed within this time: answer and close take a round trip each.
const PARTING: Duration = Duration::from_secs(2);

/// See the file's promises.
pub(super) struct Next {
    way: Way,
    /// Its session of the plan, for as long as there are two.
    slot: Option<Overlap>,
    /// With other parameters, if it was opened with such.
    tuned: Option<Arc<Upstream>>,
    /// What connections were opened with when the service last spoke, if their parameters have changed since.
    before: Option<Arc<Upstream>>,
    parting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Whoever wished for other parameters.
    asked: Option<oneshot::Sender<Tuned>>,
    external_session_id: String,
    protocol: Protocol,
}

impl Next {
    pub(super) const fn new(external_session_id: String, protocol: Protocol) -> Self {
        Self { way: Way::Idle, slot: None, tuned: None, before: None, parting: None, asked: None, external_session_id, protocol }
    }

    /// Who wants to know what becomes of the other parameters that the link is told of now.
    pub(super) fn asked_by(&mut self, answer: oneshot::Sender<Tuned>) {
        self.asked = Some(answer);
    }

    /// Does what the link wants of the next connection; `way` and `upstream` are those in use.
    pub(super) fn perform(&mut self, output: Output, way: &mut Way, turn: &Turn, upstream: &mut Arc<Upstream>) {
        match output {
            Output::DialNext(parameters) => {
                self.tuned = parameters.map(|parameters| tuned(upstream, &parameters));
                let with = Arc::clone(self.tuned.as_ref().unwrap_or(upstream));
                // One that it replaces leaves it its session.
                self.slot = self.slot.take().or_else(|| turn.overlap());
                let (has_slot, may_connect, id) = (self.slot.is_some(), turn.may_connect(), self.external_session_id.clone());
                self.way = Way::Dialling(Box::pin(async move {
                    if !has_slot {
                        return Err(Refusal::NoSession);
                    }
                    may_connect.await;
                    open(with, id).await
                }));
            }
            Output::DropNext => (self.way, self.slot, self.tuned) = (Way::Idle, None, None),
            Output::Swap => self.swap(way, upstream),
            Output::Tune(Some(parameters)) => {
                let new = tuned(upstream, &parameters);
                self.change(upstream, new);
            }
            Output::Proven => self.before = None,
            Output::Tune(None) => {
                if let Some(before) = self.before.take() {
                    *upstream = before;
                }
            }
            Output::Tuned(outcome) => self.tell(outcome),
            // Of the connection in use.
            Output::Dial
            | Output::Audio { .. }
            | Output::Control(_)
            | Output::Ping
            | Output::Hangup
            | Output::Fetch { .. }
            | Output::Open(_)
            | Output::Leftover(_)
            | Output::Report(_) => {}
        }
    }

    fn swap(&mut self, way: &mut Way, upstream: &mut Arc<Upstream>) {
        let old = std::mem::replace(way, std::mem::replace(&mut self.way, Way::Idle));
        if let Way::Open(..) = &old {
            crate::failpoint!("link.rotate");
            upstream.metrics.reconnect("rotated");
            tracing::debug!("another connection to the speech service took over");
            self.parting = Some(Box::pin(part(old, self.slot.take(), self.protocol)));
        }
        // Where the old one was lost, there is one again.
        self.slot = None;
        if let Some(new) = self.tuned.take() {
            self.change(upstream, new);
        }
    }

    /// Of several changes that nothing has proven yet, what was before the first is kept.
    fn change(&mut self, upstream: &mut Arc<Upstream>, new: Arc<Upstream>) {
        let old = std::mem::replace(upstream, new);
        self.before.get_or_insert(old);
    }

    fn tell(&mut self, outcome: Tuned) {
        if let Tuned::Refused(refusal) = &outcome {
            tracing::warn!(cause = refusal.code(), "the call's parameters stay as they were: {refusal}");
        }
        if let Some(asked) = self.asked.take() {
            // Whoever asked may have given up waiting.
            let _ = asked.send(outcome);
        }
    }

    /// What happens next to the connection that is not in use yet. Safe to drop and ask again.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            match &mut self.parting {
                None => return self.way.next().await,
                Some(parting) => tokio::select! {
                    () = parting => self.parting = None,
                    event = self.way.next() => return event,
                },
            }
        }
    }

    pub(super) fn take(&mut self, event: Event, turn: &mut Turn, link: &mut Link) {
        let refusal = match event {
            Event::Dialled(Ok(socket)) => {
                // How long the service takes to its first word is not told by one that takes over at a silence.
                self.way = Way::Open(socket, FirstWritten::Answered, Some(turn.opened()));
                return link.handle_next_ready(clock::now());
            }
            Event::Dialled(Err(refusal)) => refusal,
            event => match probe::objection(event, self.protocol) {
                Some(refusal) => refusal,
                None => return,
            },
        };
        tracing::debug!(cause = refusal.code(), "no other connection to the speech service yet: {refusal}");
        (self.way, self.slot) = (Way::Idle, None);
        if refusal.is_quota() {
            turn.next_refused(refusal.retry_after());
        }
        link.handle_next_refused(refusal, clock::chance(), clock::now());
    }

    /// Lets the connection that was parted with have its time.
    pub(super) async fn farewell(self) {
        if let Some(parting) = self.parting {
            parting.await;
        }
    }
}

fn tuned(upstream: &Upstream, parameters: &Parameters) -> Arc<Upstream> {
    Arc::new(Upstream { parameters: parameters.clone(), ..upstream.clone() })
}

/// Opens a stream and listens for a moment whether the service means it.
async fn open(upstream: Arc<Upstream>, external_session_id: String) -> Result<Socket, Refusal> {
    let protocol = upstream.settings.protocol;
    let mut way = Way::Open(Box::new(dial::dial(upstream, external_session_id).await?), FirstWritten::Answered, None);
    match (probe::objected(&mut way, protocol, clock::now() + probe::listening(protocol)).await, way) {
        (None, Way::Open(socket, ..)) => Ok(*socket),
        (Some(refusal), _) => Err(refusal),
        (None, _) => unreachable!("listening leaves a way as it is"),
    }
}

/// Says goodbye as at the end of a call and keeps the second session until then, so that the service is not left with a session that looks lost.
async fn part(way: Way, _slot: Option<Overlap>, protocol: Protocol) {
    let Way::Open(mut socket, _, open) = way else { return };
    let parting = async {
        if let Some(goodbye) = said(Control::CloseStream, protocol) {
            let _ = socket.send(goodbye).await;
        }
        while let Some(Ok(_)) = socket.next().await {}
    };
    let _ = tokio::time::timeout(PARTING, parting).await;
    Way::Open(socket, FirstWritten::Answered, open).farewell().await;
}
