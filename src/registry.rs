//! CallSid → session: who is on the line now.
//!
//! Promises: gives out clones, never map guards; an entry is there from admission until its terminal event is stored, and is
//! taken out by whoever drops its [`Seat`], so no path forgets it. The number of seats is bounded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use dashmap::DashMap;
use serde::Serialize;

use crate::media::{BYTES_PER_MS, CallSid, SessionId, Track};

/// What a session is doing, as one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Its stream is there.
    Live,
    /// Its stream went away without a `stop`; another one may still join.
    Waiting,
    /// No more audio will come; the last words are awaited.
    Draining,
    /// Its terminal event is stored.
    Ended,
}

impl SessionState {
    const ALL: [Self; 4] = [Self::Live, Self::Waiting, Self::Draining, Self::Ended];

    /// The word shown to users.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::Draining => "draining",
            Self::Ended => "ended",
        }
    }
}

/// What may be counted and shown about a live session without asking its task.
#[derive(Debug)]
pub struct Pulse {
    state: AtomicU8,
    streams: AtomicU32,
    /// Streams that are there now.
    present: AtomicU32,
    /// Bit for each [`Track`] that has been opened, by its place in [`Track::ALL`].
    tracks: AtomicU8,
    /// Nothing of what comes is to be passed on.
    paused: AtomicBool,
    /// Milliseconds after `born`, and one, when it was last so; 0 for never.
    resumed_ms: AtomicU64,
    segments: AtomicU64,
    received_bytes: AtomicU64,
    /// Milliseconds after `born` when the session last heard anything.
    active_ms: AtomicU64,
    born: Instant,
}

impl Pulse {
    fn new(now: Instant) -> Self {
        Self {
            state: AtomicU8::new(0),
            streams: AtomicU32::new(1),
            present: AtomicU32::new(0),
            tracks: AtomicU8::new(0),
            paused: AtomicBool::new(false),
            resumed_ms: AtomicU64::new(0),
            segments: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            active_ms: AtomicU64::new(0),
            born: now,
        }
    }

    /// What the session is doing.
    pub fn state(&self) -> SessionState {
        SessionState::ALL[usize::from(self.state.load(Ordering::Relaxed)) % SessionState::ALL.len()]
    }

    /// Notes what the session is doing.
    pub fn set_state(&self, state: SessionState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Notes that a track has been opened.
    pub fn add_track(&self, track: Track) {
        self.tracks.fetch_or(1 << track as u8, Ordering::Relaxed);
    }

    /// The tracks opened so far.
    pub fn tracks(&self) -> Vec<Track> {
        let bits = self.tracks.load(Ordering::Relaxed);
        Track::ALL.into_iter().filter(|track| bits & (1 << *track as u8) != 0).collect()
    }

    /// Notes that another stream has joined.
    pub fn add_stream(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
    }

    /// Streams that have joined, the first counted.
    pub fn streams(&self) -> u32 {
        self.streams.load(Ordering::Relaxed)
    }

    /// Notes that a stream is there.
    pub fn stream_came(&self) {
        self.present.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a stream of [`Pulse::stream_came`] is gone.
    pub fn stream_left(&self) {
        self.present.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether no stream is there and nothing was heard for longer than `limit`. A stream that is there may say nothing for hours.
    pub fn is_deserted(&self, now: Instant, limit: Duration) -> bool {
        self.present.load(Ordering::Relaxed) == 0 && Duration::from_millis(self.idle_ms(now)) > limit
    }

    /// Whether nothing of what comes is to be passed on.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Whether that was so at any time from `at` on.
    pub fn was_paused_since(&self, at: Instant) -> bool {
        self.is_paused() || self.resumed_ms.load(Ordering::Acquire) > self.ms_at(at)
    }

    /// Pauses the session or lets it go on, all of its streams, those that are still to come among them; says whether that changed anything.
    pub fn set_paused(&self, paused: bool, now: Instant) -> bool {
        if !paused && self.is_paused() {
            self.resumed_ms.store(self.ms_at(now) + 1, Ordering::Release);
        }
        self.paused.swap(paused, Ordering::AcqRel) != paused
    }

    /// Notes that a final is stored.
    pub fn add_segment(&self) {
        self.segments.fetch_add(1, Ordering::Relaxed);
    }

    /// Finals stored.
    pub fn segments(&self) -> u64 {
        self.segments.load(Ordering::Relaxed)
    }

    /// Notes that so many bytes of audio came.
    pub fn heard(&self, bytes: u64, now: Instant) {
        self.received_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.touch(now);
    }

    /// Audio received, in milliseconds, all tracks together.
    pub fn received_ms(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed) / BYTES_PER_MS
    }

    /// Notes that something was heard of the session.
    pub fn touch(&self, now: Instant) {
        self.active_ms.store(self.ms_at(now), Ordering::Relaxed);
    }

    /// Milliseconds since anything was heard of the session.
    pub fn idle_ms(&self, now: Instant) -> u64 {
        self.ms_at(now).saturating_sub(self.active_ms.load(Ordering::Relaxed))
    }

    fn ms_at(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX - 1)
    }
}

/// One live session, as others see it.
#[derive(Clone)]
pub struct Entry<L> {
    /// Our name for it.
    pub session: SessionId,
    /// The peer's name for the call.
    pub call_sid: CallSid,
    /// The way to its task.
    pub line: L,
    /// Its counters.
    pub pulse: Arc<Pulse>,
}

/// The directory of live sessions.
pub struct Registry<L> {
    sessions: DashMap<SessionId, Entry<L>>,
    newest: DashMap<CallSid, SessionId>,
    seats: Arc<tokio::sync::Semaphore>,
}

/// A session's place in the directory; dropping it takes the session out.
pub struct Seat<L> {
    registry: Arc<Registry<L>>,
    entry: Entry<L>,
    _permit: tokio::sync::OwnedSemaphorePermit,
}

impl<L: Clone> Registry<L> {
    /// Room for `max_calls` sessions at once.
    pub fn new(max_calls: usize) -> Arc<Self> {
        let seats = Arc::new(tokio::sync::Semaphore::new(max_calls));
        Arc::new(Self { sessions: DashMap::new(), newest: DashMap::new(), seats })
    }

    /// Takes a seat, or `None` where all are taken.
    pub fn seat(self: &Arc<Self>, session: SessionId, call_sid: CallSid, line: L, now: Instant) -> Option<Seat<L>> {
        let permit = Arc::clone(&self.seats).try_acquire_owned().ok()?;
        let entry = Entry { session, call_sid, line, pulse: Arc::new(Pulse::new(now)) };
        self.sessions.insert(entry.session.clone(), entry.clone());
        self.newest.insert(entry.call_sid.clone(), entry.session.clone());
        Some(Seat { registry: Arc::clone(self), entry, _permit: permit })
    }

    /// The newest live session of a call.
    pub fn newest(&self, call_sid: &CallSid) -> Option<Entry<L>> {
        let session = self.newest.get(call_sid)?.value().clone();
        self.session(&session)
    }

    /// A live session by our name for it.
    pub fn session(&self, session: &SessionId) -> Option<Entry<L>> {
        self.sessions.get(session).map(|entry| entry.value().clone())
    }

    /// All live sessions, in no order.
    pub fn all(&self) -> Vec<Entry<L>> {
        self.sessions.iter().map(|entry| entry.value().clone()).collect()
    }

    /// How many sessions are live.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether all seats are taken.
    pub fn is_full(&self) -> bool {
        self.seats.available_permits() == 0
    }

    /// Whether nobody is on the line.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

impl<L> Seat<L> {
    /// What others see of this session.
    pub fn entry(&self) -> &Entry<L> {
        &self.entry
    }
}

impl<L> Drop for Seat<L> {
    fn drop(&mut self) {
        let Entry { session, call_sid, .. } = &self.entry;
        self.registry.sessions.remove(session);
        if self.registry.newest.remove_if(call_sid, |_, newest| newest == session).is_none() {
            return;
        }
        // An earlier session of the call may still be there: a refused stream must not hide the one it came beside.
        let earlier =
            self.registry.sessions.iter().filter(|entry| entry.call_sid == *call_sid).map(|entry| entry.session.clone());
        if let Some(earlier) = earlier.max() {
            self.registry.newest.entry(call_sid.clone()).or_insert(earlier);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(registry: &Arc<Registry<()>>, session: &str, call: &str) -> Option<Seat<()>> {
        let (session, call) = (SessionId::new(session).unwrap(), CallSid::new(call).unwrap());
        registry.seat(session, call, (), crate::clock::now())
    }

    #[test]
    fn a_dropped_seat_frees_its_place_and_its_names() {
        let registry = Registry::new(1);
        let first = seat(&registry, "ses_1", "CA1").unwrap();
        assert!(seat(&registry, "ses_2", "CA2").is_none(), "only one seat");
        assert_eq!(registry.newest(&CallSid::new("CA1").unwrap()).unwrap().session.as_str(), "ses_1");
        drop(first);
        assert!(registry.is_empty());
        assert!(registry.newest(&CallSid::new("CA1").unwrap()).is_none());
        assert!(seat(&registry, "ses_2", "CA2").is_some());
    }

    #[test]
    fn an_older_session_of_a_call_leaves_the_newest_in_place() {
        let registry = Registry::new(2);
        let older = seat(&registry, "ses_1", "CA1").unwrap();
        let _newer = seat(&registry, "ses_2", "CA1").unwrap();
        drop(older);
        assert_eq!(registry.newest(&CallSid::new("CA1").unwrap()).unwrap().session.as_str(), "ses_2");
    }

    #[test]
    fn a_newer_session_that_leaves_first_gives_the_name_back() {
        let registry = Registry::new(2);
        let older = seat(&registry, "ses_1", "CA1").unwrap();
        drop(seat(&registry, "ses_2", "CA1"));
        assert_eq!(registry.newest(&CallSid::new("CA1").unwrap()).unwrap().session.as_str(), "ses_1");
        drop(older);
        assert!(registry.newest(&CallSid::new("CA1").unwrap()).is_none());
    }

    #[test]
    fn a_session_is_deserted_only_when_its_streams_are_gone() {
        let now = crate::clock::now();
        let (pulse, limit) = (Pulse::new(now), Duration::from_mins(2));
        let later = now + limit + Duration::from_millis(1);
        assert!(pulse.is_deserted(later, limit) && !pulse.is_deserted(now + limit, limit));
        pulse.stream_came();
        pulse.stream_came();
        pulse.stream_left();
        assert!(!pulse.is_deserted(later, limit), "one is there");
        pulse.stream_left();
        assert!(pulse.is_deserted(later, limit));
    }

    #[test]
    fn a_pulse_tells_tracks_and_idle_time() {
        let now = crate::clock::now();
        let pulse = Pulse::new(now);
        pulse.add_track(Track::Outbound);
        pulse.add_track(Track::Inbound);
        assert_eq!(pulse.tracks(), [Track::Inbound, Track::Outbound]);
        pulse.touch(now + std::time::Duration::from_millis(40));
        assert_eq!(pulse.idle_ms(now + std::time::Duration::from_millis(100)), 60);
        pulse.set_state(SessionState::Draining);
        assert_eq!(pulse.state().as_str(), "draining");
    }

    #[test]
    fn a_pulse_knows_whether_it_was_paused_since() {
        let now = crate::clock::now();
        let (pulse, at) = (Pulse::new(now), |ms: u64| now + Duration::from_millis(ms));
        assert!(!pulse.set_paused(false, at(5)) && !pulse.was_paused_since(now), "it never was");
        assert!(pulse.set_paused(true, at(10)) && !pulse.set_paused(true, at(20)));
        assert!(pulse.was_paused_since(at(1_000)), "it is");
        assert!(pulse.set_paused(false, at(30)) && !pulse.set_paused(false, at(40)));
        assert_eq!([0, 29, 30, 31].map(|ms| pulse.was_paused_since(at(ms))), [true, true, true, false]);
    }
}
