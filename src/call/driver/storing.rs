//! What a session stores, and what it tells once that is stored.
//!
//! Promises: nothing is announced before it is stored; a commit that fails for a while is tried until it works.

use std::{sync::Arc, time::Duration};

use super::{Call, NotStored, OnLine, Reports, Session, Unit};
use crate::{
    admission::Refused,
    backoff::Backoff,
    clock,
    event::{Data, Event},
    store::StoreError,
};

/// First pause before a failed commit is tried again.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// Longest pause before a failed commit is tried again.
const LONGEST_RETRY: Duration = Duration::from_secs(2);
/// Longest wait for a stream's last audio to be on disk before its end is stored; a disk that takes longer fails, and says so itself.
const SYNC_LIMIT: Duration = Duration::from_secs(2);

impl Session {
    pub(super) async fn store(&mut self, call: &Call, unit: &Unit, reports: &mut Reports) -> Result<(), NotStored> {
        if unit.closes.is_some() {
            // Whoever reads that a stream ended must find all of its audio.
            let _ = tokio::time::timeout(SYNC_LIMIT, self.desk.tracks.sync()).await;
        }
        let (facts, wall_ms) = (call.facts(), clock::wall_ms());
        let event = unit
            .event
            .as_ref()
            .map(|(seq, data)| Event::new(clock::ulid(), wall_ms, &facts.session, &facts.call_sid, *seq, data));
        let endpoints = event.as_ref().map(|event| self.desk.endpoints.wanting(event.kind, facts.webhook.as_ref()));
        let writes = unit.writes(facts, event.as_ref(), endpoints.unwrap_or_default(), wall_ms, self.desk.new_key.as_ref());
        let mut backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
        loop {
            match self.desk.store.commit(writes.clone()).await {
                Ok(_) => break,
                Err(why) => self.not_stored(&why, &mut backoff, reports).await?,
            }
        }
        if let (Some(tap), Some((_, data)), Some(event)) = (&self.desk.capture, &unit.event, &event) {
            // Before any stream is let in, so that a capture begins with the call.
            tap.event(data, event);
        }
        self.answer(Ok(()));
        self.on_line.get_or_insert_with(|| OnLine::new(&self.desk.metrics));
        if let Some(end) = unit.ends {
            self.desk.metrics.call_ended(facts.dialect, end.reason);
        }
        self.announce(unit, event);
        Ok(())
    }

    /// Waits where another try makes sense, and takes in what links say meanwhile.
    async fn not_stored(&mut self, why: &StoreError, backoff: &mut Backoff, reports: &mut Reports) -> Result<(), NotStored> {
        let seen = matches!(why, StoreError::SeenBefore);
        if self.first.is_some() {
            self.answer(Err(if seen { Refused::SeenBefore } else { Refused::NotReady }));
            return Err(NotStored::AtTheDoor);
        }
        if seen || matches!(why, StoreError::OutOfOrder | StoreError::Misfit | StoreError::Closed) {
            tracing::error!(%why, "the store refused an event for good");
            return Err(NotStored::Later);
        }
        let pause = backoff.fail(clock::chance());
        tracing::error!(%why, tries = backoff.failures(), "failed to store an event; it waits");
        let until = clock::now() + pause;
        loop {
            tokio::select! {
                () = clock::sleep_until(Some(until)) => return Ok(()),
                Some((key, report)) = reports.recv(), if self.held.has_room() => self.held.push(key, report),
            }
        }
    }

    fn announce(&mut self, unit: &Unit, event: Option<Event>) {
        if let Some(release) = &unit.segment {
            self.desk.metrics.released(release);
            if let Some(seat) = &self.seat {
                seat.entry().pulse.add_segment();
            }
        }
        if let Some((_, Data::TranscriptGap(told))) = &unit.event {
            self.desk.metrics.gap(told.track, told.reason, told.to_ms.saturating_sub(told.from_ms));
        }
        if let Some(event) = event {
            let _ = self.desk.live.send(Arc::new(event));
        }
    }

    pub(super) async fn conclude(&mut self, call: &mut Call) {
        let session = call.facts().session.clone();
        let mut backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
        let (segments, are_all) = loop {
            match self.desk.store.segments_that_open(&session).await {
                Ok(found) => break found,
                Err(why) => {
                    tracing::error!(%why, "failed to read the segments of an ending call; trying again");
                    tokio::time::sleep(backoff.fail(clock::chance())).await;
                }
            }
        };
        let lines = segments.into_iter().map(|segment| segment.line).collect();
        call.handle_transcript((lines, are_all), clock::wall_ms(), self.desk.transcript_url.clone());
    }
}
