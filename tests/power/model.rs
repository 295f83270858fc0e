//! What was asked of the store and the spool: each session as it is after each of its units.
//!
//! Promises: a session has at most one unit under way, so what may be left of it is what it was after so many of its units, and nothing
//! else; a byte of audio is told by its session, track and place alone.

use std::collections::BTreeMap;

use bytes::Bytes;
use pulse_bridge::{
    event::{Data, Direction, Event, TranscriptGap, TranscriptText},
    media::{CallSid, EndReason, EndpointName, Gap, GapReason, Offset, SessionId, StreamSid, Track},
    pii::Redacted,
    redact::{Gate, GateSettings},
    segment::{Latency, Role, TrackKey},
    spool::seal::{DataKey, WrappedKey},
    store::{Ended, NewSession, Standing, Write},
    webhook::{Answer, Attempt, DeliveryId, Failure},
};
use ulid::Ulid;

use crate::chance::Chance;

const ENDPOINTS: [&str; 2] = ["audit", "crm"];
const WALL_MS: u64 = 1_800_000_000_000;

/// A session as the store shows it.
#[derive(Clone, PartialEq, Default)]
pub(crate) struct View {
    pub is_there: bool,
    pub context: Option<serde_json::Value>,
    /// Of a live session.
    pub streams: Vec<(u32, String, u64)>,
    pub marks: Vec<u64>,
    pub events: Vec<(u64, String, Bytes)>,
    pub segments: Vec<(u64, Bytes)>,
    /// By event and endpoint: state, attempts, reason.
    pub deliveries: BTreeMap<(u64, String), (String, u32, Option<String>)>,
    pub ended: Option<Ended>,
}

impl View {
    /// In a few words, for a complaint.
    pub(crate) fn summary(&self) -> String {
        let Self { is_there, marks, events, segments, deliveries, ended, .. } = self;
        let (events, segments) = (events.len(), segments.len());
        let states: Vec<&str> = deliveries.values().map(|(state, ..)| &**state).collect();
        format!("there {is_there}, {events} events, {segments} segments, marks {marks:?}, deliveries {states:?}, ended {ended:?}")
    }
}

#[derive(Clone)]
pub(crate) struct TrackModel {
    pub key: TrackKey,
    /// Behind the last byte that was appended.
    pub end: u64,
    /// Behind the last byte that was there when this life began.
    pub safe: u64,
}

/// The only master key, and its name.
pub(crate) const MASTER: [u8; 32] = [1; 32];
pub(crate) const MASTER_ID: &str = "k1";

#[derive(Clone)]
pub(crate) struct SessionModel {
    number: usize,
    pub id: SessionId,
    call_sid: CallSid,
    pub data_key: DataKey,
    wrapped: WrappedKey,
    /// After each unit; the first before any.
    pub views: Vec<View>,
    /// How many units were there when this life began.
    pub safe: usize,
    pub tracks: Vec<TrackModel>,
}

impl SessionModel {
    pub(crate) fn new(number: usize, chance: &mut Chance) -> Self {
        let random = u128::from(chance.next()) << 16 | u128::from(chance.draw());
        let id = SessionId::new(&format!("ses_{}", Ulid::from_parts(WALL_MS + number as u64, random))).unwrap();
        let (master, data_key) = (DataKey::new(MASTER), DataKey::new([u8::try_from(number).unwrap(); 32]));
        let wrapped = master.wrap(MASTER_ID, &[3; 24], id.as_str(), &data_key);
        let tracks: &[Track] = if chance.percent(50) { &[Track::Inbound] } else { &[Track::Inbound, Track::Outbound] };
        let track = |track: &Track| TrackModel { key: TrackKey { stream: 0, track: *track }, end: 0, safe: 0 };
        let (call_sid, tracks) = (CallSid::new(&format!("CA{number}")).unwrap(), tracks.iter().map(track).collect());
        Self { number, id, call_sid, data_key, wrapped, views: vec![View::default()], safe: 0, tracks }
    }

    /// As it is after all of its units.
    pub(crate) fn now(&self) -> &View {
        self.views.last().unwrap()
    }

    pub(crate) fn is_live(&self) -> bool {
        self.now().is_there && self.now().ended.is_none()
    }

    /// The session's first unit.
    pub(crate) fn begin(&self, chance: &mut Chance) -> (Vec<Write>, View) {
        let context = serde_json::json!({"language": "en"});
        let new = NewSession {
            id: self.id.clone(),
            call_sid: self.call_sid.clone(),
            dialect: "twilio".into(),
            account_sid: None,
            direction: Direction::Inbound,
            from: Some("0100".into()),
            to: None,
            webhook: None,
            started_wall_ms: WALL_MS,
            key: self.wrapped.clone(),
            context: context.clone(),
        };
        let stream_sid = StreamSid::new(&format!("MZ{}", self.number)).unwrap();
        let mut writes = vec![
            Write::Session(Box::new(new)),
            Write::Stream { session: self.id.clone(), stream: 0, dialect: "twilio", stream_sid: stream_sid.clone(), at_ms: 0 },
        ];
        let track = |track: &TrackModel| Write::Track { session: self.id.clone(), key: track.key, role: Role::caller() };
        writes.extend(self.tracks.iter().map(track));
        let mut view = View { is_there: true, context: Some(context), ..View::default() };
        view.streams = vec![(0, stream_sid.to_string(), 0)];
        view.marks = vec![0; self.tracks.len()];
        writes.push(self.event(&mut view, "call.started", None, chance));
        (writes, view)
    }

    /// One more gap.
    pub(crate) fn gap(&self, chance: &mut Chance) -> (Vec<Write>, View) {
        let mut view = self.now().clone();
        (vec![self.event(&mut view, "transcript.gap", None, chance)], view)
    }

    /// A final with its segment and mark; `None` without new audio. Says what is covered then.
    pub(crate) fn last(&self, chance: &mut Chance) -> Option<(Vec<Write>, View, (usize, Offset))> {
        let mut view = self.now().clone();
        let at = usize::try_from(chance.of(0..self.tracks.len() as u64)).unwrap();
        let (track, from) = (&self.tracks[at], view.marks[at]);
        let to = from + chance.of(0..track.end - from + 1);
        if to == from {
            return None;
        }
        let seq = view.events.len() as u64 + 1;
        let text = self.text(seq, track.key.track, from / 8, to / 8);
        let event = self.event(&mut view, "transcript.final", Some(Data::TranscriptFinal(Box::new(text.clone()))), chance);
        view.segments.push((seq, serde_json::to_vec(&text).unwrap().into()));
        view.marks[at] = to;
        let (session, stream, offset) = (self.id.clone(), 0, Offset(to));
        let segment = Write::Segment { session: session.clone(), stream, seq, text: Box::new(text) };
        Some((vec![event, segment, Write::Mark { session, key: track.key, offset }], view, (at, offset)))
    }

    /// Other words to listen for.
    pub(crate) fn context(&self, chance: &mut Chance) -> (Vec<Write>, View) {
        let context = serde_json::json!({"language": "es", "n": chance.of(0..1000)});
        let view = View { context: Some(context.clone()), ..self.now().clone() };
        (vec![Write::Context { session: self.id.clone(), context }], view)
    }

    /// What became of a delivery.
    pub(crate) fn verdict(&self, of: &(u64, String), delivery: DeliveryId, chance: &mut Chance) -> (Vec<Write>, View) {
        let mut view = self.now().clone();
        let (state, attempts, reason) = view.deliveries.get_mut(of).unwrap();
        *attempts += 1;
        let (outcome, standing) = match chance.of(0..3) {
            0 => (Ok(Answer { status: 200, retry_after: None, kept: vec![7; 900] }), Standing::Delivered),
            1 => (Err(Failure::Timeout), Standing::Parked { reason: "timeout".into() }),
            _ => (
                Ok(Answer { status: 500, retry_after: None, kept: vec![8; 100] }),
                Standing::Pending { attempts: *attempts, next_wall_ms: WALL_MS, reason: "500".into() },
            ),
        };
        (*state, *reason) = match &standing {
            Standing::Delivered => ("delivered".into(), None),
            Standing::Parked { reason } => ("parked".into(), Some(reason.clone())),
            Standing::Pending { reason, .. } => ("pending".into(), Some(reason.clone())),
        };
        let attempt = Attempt { wall_ms: WALL_MS, took: std::time::Duration::from_millis(3), outcome };
        let lease = Write::Lease { deliveries: vec![delivery], until_wall_ms: WALL_MS };
        (vec![lease, Write::Verdict { delivery, attempt, standing }], view)
    }

    /// The session's last unit.
    pub(crate) fn end(&self, chance: &mut Chance) -> (Vec<Write>, View) {
        let mut view = self.now().clone();
        let event = self.event(&mut view, "call.completed", None, chance);
        let end = Ended { wall_ms: WALL_MS, reason: EndReason::Stop, duration_ms: 9, complete: true };
        (view.ended, view.streams) = (Some(end), Vec::new());
        (vec![event, Write::Ended { session: self.id.clone(), end }], view)
    }

    /// A unit that begins well and does not fit: nothing of it may be left.
    pub(crate) fn unfit(&self, chance: &mut Chance) -> Vec<Write> {
        let mut view = self.now().clone();
        let good = self.event(&mut view, "transcript.gap", None, chance);
        view.events.extend(view.events.last().cloned());
        vec![good, self.event(&mut view, "transcript.gap", None, chance)]
    }

    fn event(&self, view: &mut View, kind: &'static str, data: Option<Data>, chance: &mut Chance) -> Write {
        let seq = view.events.len() as u64 + 1;
        let gap = Gap { from_ms: 1, to_ms: 2, reason: GapReason::Quota };
        let data = data.unwrap_or(Data::TranscriptGap(TranscriptGap::new(Track::Inbound, gap)));
        let id = Ulid::from_parts(WALL_MS + seq, u128::from(chance.next()) << 40 | self.number as u128);
        let event = Event::new(id, WALL_MS, &self.id, &self.call_sid, seq, &data);
        // Some are long, so that the log grows over what it is folded at.
        let longer = if chance.percent(20) { chance.of(0..9_000) } else { 0 };
        let body: Bytes = [&event.body[..], &vec![b' '; usize::try_from(longer).unwrap()]].concat().into();
        view.events.push((seq, kind.to_owned(), body.clone()));
        let told: Vec<&str> = ENDPOINTS.into_iter().filter(|_| chance.percent(60)).collect();
        let owed = |name: &&str| ((seq, (*name).to_owned()), ("pending".to_owned(), 0, None));
        view.deliveries.extend(told.iter().map(owed));
        let endpoints = told.iter().map(|name| EndpointName::new(name).unwrap()).collect();
        Write::Event { event: Event { kind, body, ..event }, endpoints }
    }

    fn text(&self, seq: u64, track: Track, start_ms: u64, end_ms: u64) -> TranscriptText {
        TranscriptText {
            segment_id: Some(format!("seg_{}_{seq}", self.number)),
            track,
            role: Role::caller(),
            speaker: format!("{track}:0"),
            start_ms,
            end_ms,
            text: said("as it was said"),
            words: vec![],
            utterances: vec![],
            language: None,
            languages: vec![],
            emotion: None,
            gender: None,
            redactions: vec![],
            beeps: Some(vec![]),
            provisional: false,
            recovered: false,
            latency: Latency::default(),
        }
    }

    /// The audio at a place of a track.
    pub(crate) fn audio(&self, track: usize, from: u64, length: usize) -> Vec<u8> {
        let salt = (self.number as u64 * 2 + track as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let byte = |at: u64| (at.wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ salt).to_be_bytes()[1];
        (from..).take(length).map(byte).collect()
    }
}

fn said(text: &str) -> Redacted {
    Gate::new(GateSettings::default(), [7; 32]).parameter("said", text)
}
