//! Opening a session's task and links.

use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};
use tracing::Instrument;

use super::{Admission, Calls, Line, Opened, Refused, Tracks, Unended, line::OpenTrack, recovery::Returning};
use crate::{
    call::{
        Call, Facts,
        driver::{self, Desk, INPUTS, Mail, NotStored},
    },
    clock,
    dialect::{Dialect, Start},
    media::{SessionId, Track},
    redact::Gate,
    registry::Seat,
    segment::{Role, TrackKey},
    spool::{
        driver::Recovered,
        seal::{DataKey, WrappedKey},
    },
    upstream::{self, LinkTrack, Remains, Turn, Upstream},
};

/// What the gate's keyed hashes are derived for.
pub(super) const GATE_PURPOSE: &str = "redaction gate";

impl Calls {
    pub(super) async fn open_session(&self, start: Start, dialect: Dialect) -> Result<Admission, Refused> {
        let parts = &self.0.parts;
        let remembered = self.remembered(start.call());
        let session = SessionId::new(&format!("ses_{}", clock::ulid())).expect("a ULID is visible ASCII");
        let tracks = start.tracks.clone();
        let mut facts = Facts::new(session.clone(), start, &remembered, dialect.as_str(), parts.speech, clock::wall_ms());
        if let Some(name) = facts.webhook.take_if(|name| parts.endpoints.get(name).is_none()) {
            tracing::warn!(%session, endpoint = %name, "the webhook parameter names no endpoint; the call's events go to all that are set");
        }
        let caller = caller(&facts);
        let turns = self.turns_of_new(&tracks, caller)?;
        let (key, wrapped) = parts.keys.new_data_key(&session);
        let (first, stored) = oneshot::channel();
        let (mut line, mail) = self.line(&facts, &key, Some(first));
        line.capture = parts.recorder.as_ref().map(|recorder| recorder.begin(&session));
        let seat = self.0.registry.seat(session, facts.call_sid.clone(), line, clock::now());
        let seat = seat.ok_or(Refused::TooManyCalls)?;
        let entry = seat.entry().clone();
        let call = Call::started(facts, Gate::new(parts.gate.clone(), key.derive(GATE_PURPOSE)), clock::now());
        let desk = Desk { capture: entry.line.capture.clone(), ..self.desk(&call, Some(wrapped)) };
        self.run(call, desk, Some(seat), mail, None);
        stored.await.unwrap_or(Err(Refused::NotReady))?;
        tracing::info!(session = %entry.session, call = %entry.call_sid, "a call began");
        let mut admission = Admission::new(self.clone(), dialect, entry, Opened { stream: 0, base_ms: 0 });
        admission.open_all(turns);
        Ok(admission)
    }

    /// A session's two ends: what its streams hold of it, and what its task reads.
    pub(super) fn line(&self, facts: &Facts, key: &DataKey, first: Option<oneshot::Sender<Result<(), Refused>>>) -> (Line, Mail) {
        let (inputs, inputs_in) = mpsc::channel(INPUTS);
        let (reports, reports_in) = mpsc::channel(INPUTS);
        let (session, call_sid) = (facts.session.clone(), facts.call_sid.clone());
        let line = Line {
            session,
            call_sid,
            inputs,
            reports,
            upstream: Arc::new(Mutex::new(self.upstream_for(facts))),
            tuning: Arc::default(),
            key: key.clone(),
            capture: None,
            caller: caller(facts),
        };
        (line, Mail { inputs: inputs_in, reports: reports_in, first })
    }

    /// Runs a session's task; if it dies of a bug of ours, the session is ended from what is stored. One that was brought back is
    /// let go of when that is done.
    pub(super) fn run(&self, call: Call, desk: Desk, seat: Option<Seat<Line>>, mail: Mail, back: Option<Returning>) {
        let (calls, session) = (self.clone(), call.facts().session.clone());
        let span = tracing::info_span!("session", session = %session, call = %call.facts().call_sid);
        let (shutdown, is_second_life) = (self.0.parts.shutdown.clone(), seat.is_none());
        let task = self.0.parts.tasks.spawn(driver::run(call, desk, seat, mail, shutdown).instrument(span));
        self.0.parts.tasks.spawn(async move {
            match task.await {
                Ok(Ok(())) => calls.0.parts.spool.remove(&session).await,
                Ok(Err(NotStored::AtTheDoor)) => {}
                Ok(Err(NotStored::Left)) => tracing::warn!(%session, "the bridge stops before a call's audio is transcribed; the next start does the rest"),
                Ok(Err(NotStored::Later)) | Err(_) if is_second_life => {
                    tracing::error!(%session, "a session could not be ended; the next start will end it");
                    calls.leave(&session, Unended::NotStored);
                }
                Ok(Err(NotStored::Later)) | Err(_) => {
                    tracing::error!(%session, "a session's task died; ending the session from what is stored");
                    Box::pin(calls.bring_back(&session, None)).await;
                }
            }
            drop(back);
        });
    }

    pub(super) fn desk(&self, call: &Call, new_key: Option<WrappedKey>) -> Desk {
        let parts = &self.0.parts;
        Desk {
            store: parts.store.clone(),
            tracks: Tracks::default(),
            endpoints: parts.endpoints.clone(),
            live: parts.live.clone(),
            passing: parts.passing.clone(),
            metrics: Arc::clone(&parts.metrics),
            health: Arc::clone(&self.0.health),
            transcript_url: format!("{}/v1/calls/{}/transcript", parts.origin.trim_end_matches('/'), call.facts().session),
            capture: None,
            new_key,
        }
    }

    /// The speech service with what this call's parameters ask for.
    fn upstream_for(&self, facts: &Facts) -> Arc<Upstream> {
        let common = &self.0.parts.upstream;
        let asked = [("language", &facts.language), ("keywords", &facts.keywords)];
        if asked.iter().all(|(_, value)| value.is_none()) {
            return Arc::clone(common);
        }
        let mut own = Upstream::clone(common);
        for (name, value) in asked {
            if let Some(value) = value
                && own.parameters.set(name, value).is_err()
            {
                tracing::warn!(session = %facts.session, parameter = name, "a call's parameter is not one the speech service takes; the setting holds");
            }
        }
        Arc::new(own)
    }

    /// Opens the link and the spool of one track, or a link for what an earlier life left on the spool of one.
    pub(super) fn open_track(&self, line: &Line, key: TrackKey, turn: Turn, left: Option<(&Recovered, Remains)>) -> OpenTrack {
        let (commands, commands_in) = mpsc::channel(self.0.parts.link_queue);
        let spool = left.as_ref().map_or_else(
            || self.0.parts.spool.track(&line.session, key, &line.key),
            |(left, _)| self.0.parts.spool.resume(&line.session, left, &line.key),
        );
        let track = LinkTrack {
            key,
            external_session_id: upstream::external_session_id(&line.call_sid, key.track),
            spool: spool.clone(),
            remains: left.map(|(_, remains)| remains),
        };
        let link = upstream::run(line.upstream(), turn, track, commands_in, line.reports.clone());
        let span = tracing::info_span!("link", session = %line.session, call = %line.call_sid, track = %key.track);
        self.0.parts.tasks.spawn(link.instrument(span));
        OpenTrack { commands, spool }
    }
}

/// The track of the caller.
fn caller(facts: &Facts) -> Track {
    let by_role = facts.tracks.iter().find(|track| *facts.role(**track) == Role::caller());
    by_role.or(facts.tracks.first()).copied().unwrap_or(Track::Inbound)
}
