//! What clients did and were told, for assertions: a shared value in the library, `GET /emulate/log` on the wire.
//!
//! Promises: keys appear as their last four characters only; audio appears as its SHA-256; a connection is listed from its
//! handshake on, refused ones too, in the order of their handshakes.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::admit::{is_key, key_of, last_four};
use crate::{clock, hex::hex};

/// All connections so far. Cheap to clone; clones share.
#[derive(Clone)]
pub struct HeardLog(Arc<Shared>);

struct Shared {
    began: Instant,
    is_kept: bool,
    entries: Mutex<Vec<Entry>>,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

impl Default for HeardLog {
    fn default() -> Self {
        Self::new(true)
    }
}

/// A connection that is open until this is dropped.
pub(super) struct OpenConnection(HeardLog);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Clone)]
struct Entry {
    shown: ConnectionLog,
    is_batch: bool,
    audio: Sha256,
}

/// One connection, or one batch request.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ConnectionLog {
    /// Counts the server's handshakes from 0.
    pub number: u32,
    /// When it came, in milliseconds since the log began.
    pub at_ms: u64,
    /// How often the same `external_session_id` came before; of a batch request, how many others did.
    pub attempt: u32,
    /// The route's letter in protocols/pulse.md section 2.
    pub route: char,
    /// The path as it came.
    pub path: String,
    /// Every query pair, in order, keys masked.
    pub query: Vec<(String, String)>,
    /// Every header, in order, names in lower case, keys masked.
    pub headers: Vec<(String, String)>,
    /// The key's last four characters behind `…`, if there was one.
    pub key: Option<String>,
    /// When it was upgraded, by the same clock; absent where it was not.
    pub opened_ms: Option<u64>,
    /// When it ended, by the same clock; absent while it lives.
    pub ended_ms: Option<u64>,
    /// The HTTP status in place of the upgrade.
    pub refused: Option<u16>,
    /// Binary frames that came.
    pub frames: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// SHA-256 of those bytes, in hex.
    pub sha256: String,
    /// Text frames that came; an empty binary one stands as an empty text.
    pub controls: Vec<String>,
    /// What the finals said, without the leading space; the empty ones too.
    pub finals: Vec<String>,
    /// How it ended: `client` (its close frame), `lost` (no close frame), `server`, `fault`, `shutdown`; absent while it lives.
    pub ended: Option<&'static str>,
}

/// A request as it is noted.
pub(super) struct Request<'a> {
    /// See [`ConnectionLog::at_ms`].
    pub(super) at_ms: u64,
    pub(super) route: char,
    pub(super) is_batch: bool,
    pub(super) path: &'a str,
    pub(super) query: &'a [(String, String)],
    pub(super) headers: Vec<(String, String)>,
    pub(super) external_session_id: &'a str,
}

impl HeardLog {
    fn new(is_kept: bool) -> Self {
        let (open, most_open) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(Shared { began: clock::now(), is_kept, entries: Mutex::default(), open, most_open }))
    }

    /// One that keeps nothing of what it is told: for speech of real people, and for a service that runs on.
    #[must_use]
    pub fn unkept() -> Self {
        Self::new(false)
    }

    /// Whether what happens is kept.
    pub(super) fn is_kept(&self) -> bool {
        self.0.is_kept
    }

    /// Every connection so far, in the order of their handshakes.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionLog> {
        let shown = |entry: &Entry| ConnectionLog { sha256: hex(&entry.audio.clone().finalize()), ..entry.shown.clone() };
        self.entries().iter().map(shown).collect()
    }

    /// How many connections were open at once at most, those not counted that were opened to be told of the limit.
    #[must_use]
    pub fn most_open(&self) -> usize {
        self.0.most_open.load(Ordering::SeqCst)
    }

    /// Notes that a connection is open; `None` where as many as `limit` are.
    pub(super) fn open(&self, limit: Option<u32>) -> Option<OpenConnection> {
        let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let one_more = |open: usize| (open < limit).then_some(open + 1);
        let before = self.0.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).ok()?;
        self.0.most_open.fetch_max(before + 1, Ordering::SeqCst);
        Some(OpenConnection(self.clone()))
    }

    /// Notes that a connection was upgraded.
    pub(super) fn note_opened(&self, number: u32) {
        let now = self.now_ms();
        self.change(number, |entry| entry.shown.opened_ms = Some(now));
    }

    /// Milliseconds since the log began.
    pub(super) fn now_ms(&self) -> u64 {
        let since = clock::now().saturating_duration_since(self.0.began);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Notes a new request; gives its number and how often its `external_session_id` came before.
    pub(super) fn begin(&self, request: &Request<'_>) -> (u32, u32) {
        if !self.is_kept() {
            return (0, 0);
        }
        let authorization = request.headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.as_str());
        let key = key_of(request.query, authorization).map(last_four);
        let masked = |secret: bool, name: &str, value: &str| {
            let shown = if secret { key.clone().unwrap_or_default() } else { value.to_owned() };
            (name.to_owned(), shown)
        };
        let query: Vec<_> = request.query.iter().map(|(name, value)| masked(is_key(name), name, value)).collect();
        let headers = request.headers.iter().map(|(name, value)| masked(name == "authorization", name, value)).collect();
        let mut entries = self.entries();
        let same = |entry: &&Entry| {
            entry.is_batch == request.is_batch
                && (request.is_batch || session_of(&entry.shown.query) == request.external_session_id)
        };
        let attempt = u32::try_from(entries.iter().filter(same).count()).unwrap_or(u32::MAX);
        let number = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        let path = request.path.to_owned();
        let (at_ms, route) = (request.at_ms, request.route);
        let rest = ConnectionLog::default();
        let shown = ConnectionLog { number, at_ms, attempt, route, path, query, headers, key, ..rest };
        entries.push(Entry { shown, is_batch: request.is_batch, audio: Sha256::new() });
        (number, attempt)
    }

    /// When each batch request came that was not refused, in milliseconds since the log began, oldest first.
    pub(super) fn batches_taken(&self) -> Vec<u64> {
        let taken = |entry: &&Entry| entry.is_batch && entry.shown.refused.is_none();
        self.entries().iter().filter(taken).map(|entry| entry.shown.at_ms).collect()
    }

    pub(super) fn note_audio(&self, number: u32, audio: &[u8]) {
        self.change(number, |entry| {
            entry.audio.update(audio);
            entry.shown.frames += 1;
            entry.shown.bytes += audio.len() as u64;
        });
    }

    pub(super) fn note_control(&self, number: u32, text: &str) {
        self.change(number, |entry| entry.shown.controls.push(text.to_owned()));
    }

    pub(super) fn note_final(&self, number: u32, text: String) {
        self.change(number, |entry| entry.shown.finals.push(text));
    }

    pub(super) fn note_refused(&self, number: u32, status: u16) {
        self.change(number, |entry| entry.shown.refused = Some(status));
        self.note_ended(number, "server");
    }

    pub(super) fn note_ended(&self, number: u32, how: &'static str) {
        let now = self.now_ms();
        self.change(number, |entry| (entry.shown.ended, entry.shown.ended_ms) = (Some(how), Some(now)));
    }

    fn change(&self, number: u32, change: impl FnOnce(&mut Entry)) {
        if !self.is_kept() {
            return;
        }
        if let Some(entry) = self.entries().get_mut(number as usize) {
            change(entry);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.entries.lock().expect("no holder of the log's lock panics")
    }
}

fn session_of(query: &[(String, String)]) -> &str {
    query.iter().find(|(name, _)| name == "external_session_id").map_or("", |(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    fn request(query: &[(String, String)]) -> Request<'_> {
        let headers = vec![pair("authorization", "Bearer sk_right_key_9f2c"), pair("x-source", "test")];
        Request { at_ms: 5, route: 'A', is_batch: false, path: "/p", query, headers, external_session_id: session_of(query) }
    }

    #[test]
    fn keys_are_masked_wherever_they_come() {
        let log = HeardLog::default();
        log.begin(&request(&[pair("model", "pulse"), pair("token", "sk_right_key_9f2c")]));
        let noted = serde_json::to_string(&log.connections()).unwrap();
        assert!(!noted.contains("right_key"), "{noted}");
        assert!(noted.contains(r#"["token","…9f2c"]"#) && noted.contains(r#"["x-source","test"]"#), "{noted}");
    }

    #[test]
    fn one_that_is_not_kept_holds_nothing_whatever_it_is_told() {
        let log = HeardLog::unkept();
        let (number, _) = log.begin(&request(&[]));
        log.note_final(number, "my name is".into());
        log.note_audio(number, b"ab");
        assert!(log.connections().is_empty() && !log.is_kept());
    }

    #[test]
    fn attempts_count_connections_of_the_same_session() {
        let log = HeardLog::default();
        let (one, other) = ([pair("external_session_id", "CA1.inbound")], [pair("external_session_id", "CA1.outbound")]);
        assert_eq!([&one, &other, &one].map(|query| log.begin(&request(query))), [(0, 0), (1, 0), (2, 1)]);
    }

    #[test]
    fn batch_requests_are_counted_by_themselves() {
        let log = HeardLog::default();
        let batch = || Request { is_batch: true, route: 'G', ..request(&[]) };
        let stream = request(&[]);
        assert_eq!(
            [log.begin(&stream), log.begin(&batch()), log.begin(&stream), log.begin(&batch())],
            [(0, 0), (1, 0), (2, 1), (3, 1)]
        );
        log.note_refused(1, 503);
        assert_eq!(log.batches_taken(), [5]);
    }

    #[test]
    fn audio_is_noted_by_its_hash_over_all_frames() {
        let log = HeardLog::default();
        log.begin(&request(&[]));
        log.note_audio(0, b"ab");
        log.note_audio(0, b"c");
        let noted = &log.connections()[0];
        assert_eq!((noted.frames, noted.bytes), (2, 3));
        assert_eq!(noted.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
