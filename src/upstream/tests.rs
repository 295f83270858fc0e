//! The machine in virtual time: a rig plays phone, clock, network and service, and keeps a log in words.

mod asr;
mod deaf;
mod ending;
mod faults;
mod hearing;
mod losing;
mod missing;
mod queueing;
mod rotating;
mod sending;
mod spooled;
mod voices;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    FETCH_BYTES, Flags, Link, LinkSettings, LinkState, Lost, Output, Protocol, Reason, Refusal, Remains, Report, Stretch, Totals,
    Tuned, backlog::behind, protocol::Frame,
};
use crate::{
    media::{Chunk, GapReason, Offset},
    segment::Heard,
};

/// Makes the backoff's jitter nothing.
const MIDDLE: u32 = u32::MAX / 2;

struct Rig {
    link: Link,
    start: Instant,
    now: Instant,
    /// Bytes of audio that came.
    offset: u64,
    /// What the spool has; a test may take things away, or hold back what is not written yet.
    spool: Vec<Chunk>,
    unwritten: Vec<Chunk>,
    /// What was given up, and up to where the mark may move with it.
    gaps: Vec<(Offset, String)>,
    /// Where the spool was asked for more.
    fetched: Vec<u64>,
    /// How far the call's clock runs before the offsets.
    ahead_ms: u64,
    /// Everything but audio, in words, as `<ms> <what>`.
    log: Vec<String>,
    /// Audio as `(ms, bytes)`.
    audio: Vec<(u64, Bytes)>,
    heard: Vec<Heard>,
    /// Where it was while it was behind; `None` when it caught up.
    behind: Vec<Option<u64>>,
    totals: Option<Totals>,
    /// Whether the service answers pings.
    pongs: bool,
    pings: usize,
}

impl Rig {
    fn new() -> Self {
        Self::with(patient())
    }

    fn with(settings: LinkSettings) -> Self {
        let start = crate::clock::now();
        Self::of(Link::new(Arc::new(settings), None, start), start)
    }

    /// A rig whose link does what an earlier life left: all that this spool has.
    fn left(spool: Vec<Chunk>) -> Self {
        let (from, end) = (spool[0].offset, spool[spool.len() - 1].end());
        let clock = spool.iter().map(|chunk| (chunk.offset, chunk.at_ms)).collect();
        let remains = Remains { first: from, from, end, clock, ..Remains::default() };
        Self::resuming(&remains, spool)
    }

    fn resuming(remains: &Remains, spool: Vec<Chunk>) -> Self {
        let start = crate::clock::now();
        let mut rig = Self::of(Link::new(Arc::new(patient()), Some(remains), start), start);
        (rig.spool, rig.offset) = (spool, remains.end.0);
        rig
    }

    fn of(link: Link, start: Instant) -> Self {
        let mut rig = Self {
            link,
            start,
            now: start,
            offset: 0,
            spool: Vec::new(),
            unwritten: Vec::new(),
            fetched: Vec::new(),
            gaps: Vec::new(),
            ahead_ms: 0,
            log: Vec::new(),
            audio: Vec::new(),
            heard: Vec::new(),
            behind: Vec::new(),
            totals: None,
            pongs: true,
            pings: 0,
        };
        rig.drain();
        rig
    }

    /// A rig whose first connection is open to a service that may say nothing for as long as it likes.
    fn patient() -> Self {
        let mut rig = Self::with(patient());
        rig.connect();
        rig
    }

    /// A rig whose first connection is open.
    fn open() -> Self {
        let mut rig = Self::new();
        rig.connect();
        rig
    }

    fn connect(&mut self) {
        self.link.handle_connected(self.now);
        self.drain();
    }

    /// Lets time go by without audio.
    fn wait(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        let mut turns = 0;
        while let Some(due) = self.link.poll_timeout().filter(|due| *due <= until) {
            self.now = due.max(self.now);
            self.link.handle_timeout(self.now, MIDDLE);
            self.drain();
            turns += 1;
            assert!(turns < 100_000, "the link spins");
        }
        self.now = until;
    }

    /// Real-time audio in chunks of 60 ms, each handed in when its last byte has come.
    fn talk(&mut self, ms: u64) {
        for _ in 0..ms / 60 {
            self.wait(60);
            self.chunk(60);
        }
    }

    /// Real-time audio without a voice on it.
    fn silence(&mut self, ms: u64) {
        for _ in 0..ms / 60 {
            self.wait(60);
            self.push(Bytes::from_static(&[0xFF; 480]));
        }
    }

    fn chunk(&mut self, ms: u64) {
        let audio: Bytes = (self.offset..self.offset + ms * 8).map(sample).collect();
        self.push(audio);
    }

    fn push(&mut self, audio: Bytes) {
        let length = audio.len() as u64;
        let at_ms = self.offset / 8 + self.ahead_ms;
        let chunk = Chunk { offset: Offset(self.offset), at_ms, audio, received: self.now };
        self.spool.push(chunk.clone());
        self.link.handle_audio(chunk, self.now);
        self.offset += length;
        self.drain();
    }

    /// Audio that the link is never handed: its queue was full.
    fn miss(&mut self, ms: u64) {
        let audio: Bytes = (self.offset..self.offset + ms * 8).map(sample).collect();
        let at_ms = self.offset / 8 + self.ahead_ms;
        self.spool.push(Chunk { offset: Offset(self.offset), at_ms, audio, received: self.now });
        self.offset += ms * 8;
    }

    /// The writer has not got to what came so far.
    fn hold_back(&mut self) {
        self.unwritten.append(&mut self.spool);
    }

    /// The writer has caught up.
    fn write(&mut self) {
        self.spool.splice(0..0, std::mem::take(&mut self.unwritten));
    }

    /// What the spool has behind this point, as a reader gives it.
    fn read(&mut self, from: Offset) -> Vec<Chunk> {
        self.fetched.push(from.0 / 8);
        let mut bytes = 0;
        let chunks = self.spool.iter().filter(|chunk| chunk.end() > from).take_while(|chunk| {
            let enough = bytes >= FETCH_BYTES;
            bytes += chunk.audio.len() as u64;
            !enough
        });
        chunks.filter_map(|chunk| behind(chunk.clone(), from)).collect()
    }

    fn hang_up(&mut self) {
        self.link.handle_audio_ended(self.now);
        self.drain();
    }

    fn hear(&mut self, text: &str) {
        self.link.handle_message(text, self.now);
        self.drain();
    }

    fn interim(&mut self, text: &str) {
        self.hear(&format!(r#"{{"type":"transcription","transcript":"{text}","is_final":false,"is_last":false}}"#));
    }

    /// A final of words spoken between these seconds, evenly.
    fn final_words(&mut self, text: &str, from: f64, to: f64) {
        self.hear(&final_of(text, from, to, ""));
    }

    fn last(&mut self) {
        self.hear(r#"{"transcript":"","is_final":true,"is_last":true}"#);
    }

    fn lose(&mut self, lost: Lost) {
        self.link.handle_lost(lost, MIDDLE, self.now);
        self.drain();
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.link.handle_refused(refusal, MIDDLE, self.now);
        self.drain();
    }

    /// Refuses the dial that is under way, if one is.
    fn refuse_all(&mut self) {
        self.refuse(Refusal::Unreachable { reason: Reason::default() });
    }

    fn covered(&mut self, ms: u64) {
        self.link.handle_covered(Offset(ms * 8), self.now);
    }

    fn drain(&mut self) {
        let at = u64::try_from(self.now.duration_since(self.start).as_millis()).unwrap();
        while let Some(output) = self.link.poll_output() {
            assert!(self.totals.is_none(), "nothing comes after Done");
            let word = match output {
                Output::Audio { audio, .. } => {
                    self.audio.push((at, audio));
                    continue;
                }
                Output::Report(report) if let Report::Behind { sent_ms } = *report => {
                    self.behind.push(Some(sent_ms));
                    continue;
                }
                Output::Report(report) if matches!(*report, Report::CaughtUp) => {
                    self.behind.push(None);
                    continue;
                }
                Output::Fetch { from } => {
                    let chunks = self.read(from);
                    self.link.handle_fetched(chunks, self.now);
                    continue;
                }
                Output::Open(_) => panic!("there is no batch endpoint"),
                Output::Leftover(stretches) => {
                    let place = |stretch: &Stretch| {
                        let reason = if stretch.reason == GapReason::UpstreamLost { "" } else { stretch.reason.as_str() };
                        format!("{}..{}{reason}", stretch.from_ms, stretch.to_ms)
                    };
                    format!("left {}", stretches.iter().map(place).collect::<Vec<_>>().join(" "))
                }
                Output::Dial => "dial".to_owned(),
                Output::Ping => {
                    self.pings += 1;
                    if self.pongs {
                        self.link.handle_pong(self.now);
                    }
                    continue;
                }
                Output::Hangup => "hangup".to_owned(),
                Output::Control(control) => match Protocol::Pulse.frame(control) {
                    Some(Frame::Text(text)) => text.to_owned(),
                    other => format!("{other:?}"),
                },
                Output::DialNext(None) => "open next".to_owned(),
                Output::DialNext(Some(with)) => format!("open next in {}", with.get("language").unwrap()),
                Output::DropNext => "drop next".to_owned(),
                Output::Swap => {
                    // What was sent before it went to the other connection.
                    self.audio.push((at, Bytes::new()));
                    "swap".to_owned()
                }
                Output::Proven => "proven".to_owned(),
                Output::Tune(None) => "tune back".to_owned(),
                Output::Tune(Some(with)) => format!("tune to {}", with.get("language").unwrap()),
                Output::Tuned(Tuned::Refused(refusal)) => format!("tuned refused {}", refusal.code()),
                Output::Tuned(outcome) => format!("tuned {outcome:?}").to_lowercase(),
                Output::Report(report) => self.report(*report),
            };
            self.log.push(format!("{at} {word}"));
        }
    }

    fn report(&mut self, report: Report) -> String {
        match report {
            Report::State(LinkState::Reconnecting { tries, cause }) => format!("reconnecting {tries} {}", cause.code()),
            Report::State(state) => state.as_str().to_owned(),
            Report::Interim(heard) => format!("interim {}", heard.text.expose()),
            Report::Final(heard) => {
                let provisional = if heard.provisional { "provisional" } else { "final" };
                let word = format!("{provisional} {}..{} {}", heard.start_ms, heard.end_ms, heard.text.expose());
                self.heard.push(heard);
                word
            }
            Report::Covered(to) => format!("covered {}", to.0 / 8),
            Report::Behind { .. } | Report::CaughtUp => unreachable!("kept apart"),
            Report::SpeechStarted { at_ms } => format!("speech from {at_ms}"),
            Report::SpeechEnded { at_ms } => format!("speech to {at_ms}"),
            Report::Gap { gap, covers } => {
                let word = if gap.reason == GapReason::SpoolFull { "full" } else { "gap" };
                let word = format!("{word} {}..{}", gap.from_ms, gap.to_ms);
                self.gaps.push((covers, word.clone()));
                word
            }
            Report::Left => unreachable!("a link does not know that the bridge stops"),
            Report::Done(totals) => {
                self.totals = Some(totals);
                "done".to_owned()
            }
        }
    }

    /// The log's entries with this beginning, without their times.
    fn said(&self, what: &str) -> Vec<&str> {
        self.log
            .iter()
            .filter_map(|line| line.split_once(' ').map(|(_, word)| word))
            .filter(|word| word.starts_with(what))
            .collect()
    }

    /// When the log's last entry with this beginning came.
    fn when(&self, what: &str) -> Option<u64> {
        let line = self.log.iter().rev().find(|line| line.split_once(' ').is_some_and(|(_, word)| word.starts_with(what)))?;
        line.split_once(' ').and_then(|(at, _)| at.parse().ok())
    }

    /// Forgets the log, so that what comes next stands alone.
    fn quietly(&mut self) -> &mut Self {
        self.log.clear();
        self.audio.clear();
        self
    }

    fn sent(&self) -> Vec<u8> {
        self.audio.iter().flat_map(|(_, audio)| audio.to_vec()).collect()
    }
}

/// The usual settings, but a service may say nothing for as long as it likes.
fn patient() -> LinkSettings {
    LinkSettings { deaf_after: Duration::from_hours(1), ..LinkSettings::default() }
}

/// A sample that says where it is from, and is never quiet.
fn sample(offset: u64) -> u8 {
    u8::try_from(offset % 61).expect("under 61")
}

fn samples(range: std::ops::Range<u64>) -> Vec<u8> {
    range.map(sample).collect()
}

/// A final whose words divide the time between `from` and `to` evenly; `more` is added as further members.
fn final_of(text: &str, from: f64, to: f64, more: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    #[expect(clippy::cast_precision_loss, reason = "a handful of words")]
    let step = (to - from) / words.len().max(1) as f64;
    let mut start = from;
    let list: Vec<String> = words
        .iter()
        .map(|word| {
            let item = format!(r#"{{"word":"{word}","start":{start},"end":{},"confidence":0.9,"speaker":0}}"#, start + step);
            start += step;
            item
        })
        .collect();
    format!(r#"{{"transcript":" {text}","is_final":true,"words":[{}]{more}}}"#, list.join(","))
}

fn closed(code: u16) -> Lost {
    Lost::Closed { code: Some(code), reason: Reason::default() }
}
