//! What a stream and a session hold of each other: the stream's side hands in audio, the session's side says what is covered.
//!
//! Promises: handing in audio never waits; a stream that goes away without a word is reported as gone when this is dropped.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use secrecy::SecretString;
use tokio::sync::mpsc;

use super::{Calls, Line, Opened, Refused};
use crate::{
    call::driver::Input,
    clock,
    dialect::Dialect,
    media::{Chunk, EndReason, Gap, GapReason, Offset, Received, Track, bytes_to_ms, ms_to_bytes},
    metrics::Metrics,
    registry::Entry,
    segment::TrackKey,
    spool::SpoolTrack,
    stream::{
        Closing, StreamTotals,
        driver::{self, PeerInfo, QUEUED_BYTES, StreamStart},
        order::FILL_CAP_MS,
    },
    upstream::{Command, QUEUE_MS, Turn},
};

/// The way in for the streams of one door: one socket, with the one-time token that stood in its path.
#[derive(Clone)]
pub struct Door {
    pub(super) calls: Calls,
    pub(super) path_token: Option<SecretString>,
}

impl driver::Calls for Door {
    type Admission = Admission;

    async fn admit(&self, start: StreamStart) -> Result<Admission, Closing> {
        let (call, peer, dialect) = (start.start.call().clone(), start.peer.addr, start.dialect);
        self.calls.admit(start.start, dialect, self.path_token.as_ref()).await.map_err(|refused| {
            if let Some(unsaid) = self.calls.0.parts.metrics.refused(refused.code(), clock::now()) {
                tracing::warn!(%call, %peer, reason = refused.code(), unsaid, "refused a media stream: {}", refused.reason());
            }
            refused.closing()
        })
    }

    fn closed(&self, why: Closing) {
        self.calls.0.parts.metrics.closed(why.word);
    }

    fn never_started(&self, peer: &PeerInfo, why: &str, totals: &StreamTotals) {
        let metrics = &self.calls.0.parts.metrics;
        if let Some(unsaid) = metrics.refused(Refused::NEVER_STARTED, clock::now()) {
            tracing::warn!(peer = %peer.addr, reason = Refused::NEVER_STARTED, unsaid, "no call began on a media socket: {why}");
        }
        count_ignored(metrics, totals);
    }
}

/// A link's queue with less room than this share of it counts as full: 6 s of its 15, as one frame behind a gap brings its silence with it.
const LEAST_ROOM: (usize, usize) = (2, 5);
const _: () = assert!(FILL_CAP_MS < QUEUE_MS * LEAST_ROOM.0 as u64 / LEAST_ROOM.1 as u64, "a filled gap has to fit");
const _: () = assert!(bytes_to_ms(QUEUED_BYTES as u64) + FILL_CAP_MS <= QUEUE_MS, "what waited to be let in comes at once");
/// A sender whose audio is further ahead of the time that has passed is no phone, and can wait.
const AHEAD: Duration = Duration::from_secs(5);
/// Audio behind the mark that the spool keeps beyond its bound, in bytes: by then the link has told the oldest as a gap, and what is still there
/// waits for a database that cannot be written.
const SPOOL_SLACK: u64 = ms_to_bytes(180_000);
/// Longest wait for room at a time, so that the socket's other business is not forgotten.
const ROOM_WAIT: Duration = Duration::from_millis(500);

/// An open track: the way to its link and to its spool.
pub(super) struct OpenTrack {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) spool: SpoolTrack,
}

/// A stream's place in its session. Dropping it ends the stream.
pub struct Admission {
    calls: Calls,
    dialect: Dialect,
    entry: Entry<Line>,
    opened: Opened,
    /// Each open track, and where its audio has got to on the call's clock.
    tracks: Vec<(Track, u64, OpenTrack)>,
    since: Instant,
    last_audio: Instant,
    ended: bool,
}

impl Admission {
    pub(super) fn new(calls: Calls, dialect: Dialect, entry: Entry<Line>, opened: Opened) -> Self {
        entry.pulse.stream_came();
        let now = clock::now();
        Self { calls, dialect, entry, opened, tracks: Vec::with_capacity(2), since: now, last_audio: now, ended: false }
    }

    pub(super) fn open_all(&mut self, tracks: Vec<(Track, Turn)>) {
        for (track, turn) in tracks {
            self.open(track, turn);
        }
    }

    pub(super) fn caller(&self) -> Track {
        self.entry.line.caller
    }

    fn open(&mut self, track: Track, turn: Turn) {
        let key = self.key(track);
        let open = self.calls.open_track(&self.entry.line, key, turn, None);
        self.entry.pulse.add_track(track);
        let opened = Input::TrackOpened { key, commands: open.commands.downgrade(), spool: open.spool.clone() };
        // Far more inputs fit than a stream has tracks; a session that takes none is dying, and is ended from what is stored.
        let _ = self.entry.line.inputs.try_send(opened);
        self.tracks.push((track, self.opened.base_ms, open));
    }

    fn key(&self, track: Track) -> TrackKey {
        TrackKey { stream: self.opened.stream, track }
    }

    fn tell(&self, input: Input) {
        if self.entry.line.inputs.try_send(input).is_err() {
            self.calls.0.parts.metrics.ignored("session_queue_full", 1);
        }
    }

    fn count(&self, totals: &StreamTotals) {
        let metrics = &self.calls.0.parts.metrics;
        for (track, frames) in Track::ALL.into_iter().zip(totals.stream.frames).filter(|(_, frames)| *frames > 0) {
            metrics.frames(self.dialect.as_str(), track, frames);
        }
        count_ignored(metrics, totals);
    }

    fn say_ended(&mut self, reason: EndReason, received: Vec<(Track, Received)>) {
        self.ended = true;
        self.entry.pulse.stream_left();
        self.tracks.clear();
        let ended = Input::StreamEnded { stream: self.opened.stream, reason, received, last_audio: self.last_audio };
        if let Err(mpsc::error::TrySendError::Full(ended)) = self.entry.line.inputs.try_send(ended) {
            let inputs = self.entry.line.inputs.clone();
            self.calls.0.parts.tasks.spawn(async move { inputs.send(ended).await });
        }
    }
}

impl driver::Admission for Admission {
    fn base_ms(&self) -> u64 {
        self.opened.base_ms
    }

    fn audio(&mut self, track: Track, chunk: Chunk) {
        if !self.tracks.iter().any(|(open, ..)| *open == track) {
            self.open(track, self.calls.turn_of_late(track, self.caller()));
        }
        let Some((_, end_ms, open)) = self.tracks.iter_mut().find(|(open, ..)| *open == track) else { return };
        *end_ms = chunk.at_ms + bytes_to_ms(chunk.audio.len() as u64);
        self.last_audio = clock::now();
        self.entry.pulse.heard(chunk.audio.len() as u64, self.last_audio);
        let parts = &self.calls.0.parts;
        if open.spool.append(&chunk).is_err() {
            parts.metrics.ignored("spool_queue_full", 1);
        }
        let kept = parts.upstream.settings.spool_bytes.saturating_add(SPOOL_SLACK);
        let bound = Offset(chunk.end().0.saturating_sub(kept));
        if bound > open.spool.mark() && open.spool.give_up_before(bound) {
            let session = &self.entry.session;
            tracing::error!(%session, %track, "events could not be stored for longer than spool.per_track: a crash would now cost the call's oldest audio");
        }
        if let Some(tap) = &self.entry.line.capture {
            tap.audio(TrackKey { stream: self.opened.stream, track }, &chunk);
        }
        if open.commands.try_send(Command::Audio(chunk)).is_err() {
            parts.metrics.ignored("link_queue_full", 1);
        }
    }

    fn digit(&mut self, track: Track, at_ms: u64, digit: Option<char>) {
        self.entry.line.capture.iter().for_each(|tap| tap.key(track, at_ms));
        self.tell(Input::Digit { track, at_ms, digit });
    }

    fn lost(&mut self, track: Track, from_ms: u64, to_ms: u64) {
        self.tell(Input::Lost { track, gap: Gap { from_ms, to_ms, reason: GapReason::Disconnected } });
    }

    fn is_paused(&self) -> bool {
        self.entry.pulse.is_paused()
    }

    fn was_paused_since(&self, at: Instant) -> bool {
        self.entry.pulse.was_paused_since(at)
    }

    fn paused(&mut self, track: Track, at_ms: u64) {
        // What was said before is told now, and not when somebody speaks again.
        if let Some((.., open)) = self.tracks.iter().find(|(open, ..)| *open == track) {
            let _ = open.commands.try_send(Command::Finalize);
        }
        self.tell(Input::Paused { key: self.key(track), at_ms });
    }

    fn resumed(&mut self, track: Track, at_ms: u64) {
        self.tell(Input::Resumed { key: self.key(track), at_ms });
    }

    async fn make_room(&mut self) {
        let least = |commands: &mpsc::Sender<Command>| commands.max_capacity() * LEAST_ROOM.0 / LEAST_ROOM.1;
        let full = |(_, _, open): &&(Track, u64, OpenTrack)| open.commands.capacity() < least(&open.commands);
        while let Some((_, end_ms, open)) = self.tracks.iter().find(full) {
            let spoken = Duration::from_millis(end_ms.saturating_sub(self.opened.base_ms));
            if clock::now().saturating_duration_since(self.since) + AHEAD > spoken {
                return;
            }
            if tokio::time::timeout(ROOM_WAIT, open.commands.reserve_many(least(&open.commands))).await.is_err() {
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.entry.line.inputs.is_closed()
    }

    async fn ended(mut self, reason: EndReason, totals: StreamTotals) {
        self.count(&totals);
        let received = totals.tracks.iter().map(|(track, counters)| {
            let end_ms =
                self.tracks.iter().find(|(open, ..)| open == track).map_or(self.opened.base_ms, |(_, end_ms, _)| *end_ms);
            (*track, Received { received_ms: counters.received_ms, filled_ms: counters.filled_ms, end_ms })
        });
        let received = received.collect();
        self.say_ended(reason, received);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if !self.ended {
            // What is known of it is where its audio ends: a stream that joins must not lie over it.
            let received =
                |(track, end_ms, _): &(Track, u64, OpenTrack)| (*track, Received { end_ms: *end_ms, ..Received::default() });
            let received = self.tracks.iter().map(received).collect();
            self.say_ended(EndReason::Disconnect, received);
        }
    }
}

fn count_ignored(metrics: &Metrics, totals: &StreamTotals) {
    let counters = &totals.stream;
    let ignored = [
        ("malformed", counters.malformed),
        ("unknown_event", counters.ignored),
        ("binary", counters.binary),
        ("repeated_start", counters.repeated_starts),
        ("after_end", counters.after_end),
    ];
    for (reason, count) in ignored.into_iter().filter(|(_, count)| *count > 0) {
        metrics.ignored(reason, count);
    }
}

/// The session's side of its tracks.
#[derive(Default)]
pub struct Tracks(HashMap<TrackKey, (mpsc::WeakSender<Command>, SpoolTrack)>);

impl Tracks {
    /// A track was opened.
    pub fn add(&mut self, key: TrackKey, commands: mpsc::WeakSender<Command>, spool: SpoolTrack) {
        self.0.insert(key, (commands, spool));
    }

    /// The links whose audio has not ended.
    pub(super) fn open(&self) -> impl Iterator<Item = (TrackKey, mpsc::Sender<Command>)> {
        self.0.iter().filter_map(|(key, (commands, _))| Some((*key, commands.upgrade()?)))
    }

    /// Waits until all audio that came is on disk.
    pub async fn sync(&self) {
        if let Some((_, spool)) = self.0.values().next() {
            spool.flush().await;
        }
    }

    /// Audio up to here is covered by stored finals; the link and the spool may forget it.
    pub fn covered(&self, key: TrackKey, mark: Offset) {
        let Some((commands, spool)) = self.0.get(&key) else { return };
        crate::failpoint!("mark.before");
        spool.covered(mark);
        crate::failpoint!("mark.after");
        if let Some(commands) = commands.upgrade() {
            // The next mark says the same and more, so one that finds the queue full may be left out.
            let _ = commands.try_send(Command::Covered(mark));
        }
    }
}
