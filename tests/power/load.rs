//! Calls on the real store and the real spool: their units, their audio, the outbox's verdicts, all from a seed.

use std::collections::HashMap;

use bytes::Bytes;
use pulse_bridge::{
    clock,
    media::{Chunk, Offset},
    spool::SpoolTrack,
    store::{DeliveryFilter, Write},
    webhook::DeliveryId,
};
use tokio::task::JoinSet;

use crate::{
    chance::Chance,
    disk::Note,
    life::Life,
    model::{SessionModel, View},
};

/// What stands before a frame's audio in a file, and behind it.
const FRAME_BYTES: u64 = 48 + 16;

/// Who is asked to store what, and what to tell the spool once it is stored.
struct Step {
    session: usize,
    writes: Vec<Write>,
    /// `None` for a unit that is to be refused.
    view: Option<View>,
    covered: Option<(usize, Offset)>,
}

pub(crate) struct Load<'a> {
    life: &'a Life,
    sessions: &'a mut Vec<SessionModel>,
    chance: Chance,
    tracks: HashMap<(usize, usize), SpoolTrack>,
    /// Sessions of this life.
    own: std::ops::RangeFrom<usize>,
}

impl<'a> Load<'a> {
    pub(crate) fn new(life: &'a Life, sessions: &'a mut Vec<SessionModel>, chance: Chance) -> Self {
        let own = sessions.len()..;
        Self { life, sessions, chance, tracks: HashMap::new(), own }
    }

    /// So many rounds; then a clean end, now and then.
    pub(crate) async fn run(&mut self, rounds: u64) {
        for _ in 0..rounds {
            if self.sessions.len() - self.own.start < 2 || self.chance.percent(15) && self.sessions.len() < 200 {
                self.sessions.push(SessionModel::new(self.sessions.len(), &mut self.chance));
            }
            self.speak();
            if self.chance.percent(25) {
                self.sync().await;
            }
            let steps = self.steps().await;
            self.store(steps).await;
        }
        if self.chance.percent(25) {
            self.life.store.close().await;
        }
    }

    /// Audio on some tracks, a chunk or many; waits until the writer has handed all of it to the system.
    fn speak(&mut self) {
        let mut bytes = self.life.disk.spooled();
        for session in self.own.start..self.sessions.len() {
            let model = &mut self.sessions[session];
            if !model.is_live() {
                continue;
            }
            for track in 0..model.tracks.len() {
                let (chunks, length) = match self.chance.of(0..20) {
                    0 => (self.chance.of(1..14), 40_000),
                    1..12 => (self.chance.of(1..6), 480),
                    _ => continue,
                };
                let (id, key, data_key) = (&model.id, model.tracks[track].key, &model.data_key);
                let way = self.tracks.entry((session, track)).or_insert_with(|| self.life.spool.track(id, key, data_key));
                for _ in 0..chunks {
                    let from = model.tracks[track].end;
                    let audio: Bytes = model.audio(track, from, length).into();
                    way.append(&Chunk { offset: Offset(from), at_ms: from / 8, audio, received: clock::now() }).unwrap();
                    model.tracks[track].end += length as u64;
                    bytes += FRAME_BYTES + length as u64;
                }
            }
        }
        self.life.disk.until_spooled(bytes);
    }

    async fn sync(&mut self) {
        self.life.spool.flush().await;
        for (session, track) in self.tracks.keys() {
            let end = self.sessions[*session].tracks[*track].end;
            self.life.disk.note(Note::Spooled { session: *session, track: *track, end });
        }
    }

    /// What some sessions have to store at once, one unit each.
    async fn steps(&mut self) -> Vec<Step> {
        let share = self.chance.pick(&[20, 50, 90]);
        let mut steps = Vec::new();
        for session in 0..self.sessions.len() {
            if self.chance.percent(share) {
                steps.extend(self.step(session).await);
            }
        }
        steps
    }

    async fn step(&mut self, session: usize) -> Option<Step> {
        let (model, chance) = (&self.sessions[session], &mut self.chance);
        let fit = |(writes, view)| Some(Step { session, writes, view: Some(view), covered: None });
        if !model.now().is_there {
            // One whose first unit a cut took never comes again.
            return if self.own.start <= session { fit(model.begin(chance)) } else { None };
        }
        if !model.is_live() || session < self.own.start {
            return if model.is_live() && chance.percent(60) { fit(model.end(chance)) } else { self.verdict(session).await };
        }
        match chance.of(0..100) {
            0..30 => fit(model.gap(chance)),
            30..60 => {
                let (writes, view, covered) = model.last(chance)?;
                Some(Step { session, writes, view: Some(view), covered: Some(covered) })
            }
            60..65 => fit(model.context(chance)),
            65..85 => self.verdict(session).await,
            85..92 => Some(Step { session, writes: model.unfit(chance), view: None, covered: None }),
            _ => fit(model.end(chance)),
        }
    }

    async fn verdict(&mut self, session: usize) -> Option<Step> {
        let model = &self.sessions[session];
        let pending: Vec<(u64, String)> = {
            let pending = model.now().deliveries.iter().filter(|(_, (state, ..))| state == "pending");
            pending.map(|(of, _)| of.clone()).collect()
        };
        if pending.is_empty() {
            return None;
        }
        let of = &pending[usize::try_from(self.chance.of(0..pending.len() as u64)).unwrap()];
        let delivery = self.delivery(session, of).await;
        let (writes, view) = self.sessions[session].verdict(of, delivery, &mut self.chance);
        Some(Step { session, writes, view: Some(view), covered: None })
    }

    async fn delivery(&self, session: usize, of: &(u64, String)) -> DeliveryId {
        let call_sid = Some(self.sessions[session].id.to_string());
        let filter = DeliveryFilter { call_sid, endpoint: Some(of.1.clone()), limit: 500, ..DeliveryFilter::default() };
        let found = self.life.store.deliveries(filter).await.unwrap().items;
        found.iter().find(|delivery| delivery.seq == of.0).expect("an event's delivery is listed").id
    }

    /// Stores them: the first by itself, all others in the commit after it.
    async fn store(&mut self, mut steps: Vec<Step>) {
        let (life, mut asked) = (self.life, JoinSet::new());
        let holds = steps.len() > 1;
        if holds {
            life.disk.hold();
        }
        for (at, step) in steps.iter_mut().enumerate() {
            let (store, disk, writes) = (life.store.clone(), life.disk.clone(), std::mem::take(&mut step.writes));
            let (session, unit) = (step.session, self.sessions[step.session].views.len());
            let is_fit = step.view.is_some();
            asked.spawn(async move {
                let answer = store.commit(writes).await;
                assert_eq!(answer.is_ok(), is_fit, "{answer:?}");
                if is_fit {
                    disk.note(Note::Stored { session, unit });
                }
            });
            tokio::task::yield_now().await;
            if holds && at == 0 && is_fit {
                life.disk.until_held();
            }
        }
        life.disk.release();
        while let Some(done) = asked.join_next().await {
            done.unwrap();
        }
        for step in steps {
            let Some(view) = step.view else { continue };
            let model = &mut self.sessions[step.session];
            model.views.push(view);
            if let Some((track, to)) = step.covered
                && let Some(way) = self.tracks.get(&(step.session, track))
            {
                way.covered(to);
            }
            if !model.is_live() {
                self.tracks.retain(|(session, _), _| *session != step.session);
                life.spool.remove(&model.id).await;
            }
        }
    }
}
