//! What the tracks of a call say, in the order in which it was said.
//!
//! Promises: what ended first goes on to the gate first, whichever link was faster, so that the gate sees a question before its answer and
//! events come in the same order however fast a call is played; nothing waits for a track that is quiet, has lost its link or is done,
//! nor, where any party is heard as it speaks, for any longer than [`HOLD_LIMIT`]; what one track says stays in its own order. What could not wait is
//! marked, since nobody knows what was asked before it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::coverage::GapNumber;
use crate::{
    media::{Gap, Track},
    pii::Unredacted,
    redact,
    segment::{Segment, TrackKey},
    upstream::{LinkState, Report},
};

/// How long after its last word an utterance's final has come, on a link that is not behind: the service's end of utterance
/// (800 ms, protocols/pulse.md section 4) and an answer's way.
const ANSWER_MS: u64 = 1_100;
/// The same on a link that is behind: audio goes out faster than it was spoken, so the answer's way is longer by the call's clock.
const ANSWER_BEHIND_MS: u64 = 5_000;
/// Longest time that anything waits for another track; counted anew with each step of tracks that are all behind, as in a call that is
/// played faster than speech.
const HOLD_LIMIT: Duration = Duration::from_secs(2);
/// The same for what a recording that is played faster than speech brings before its links were even connected.
const RUSHED_LIMIT: Duration = Duration::from_secs(10);
/// Longest time that a final with a number in it waits for a track that has lost its link: without the question every number is masked.
const AWAY_LIMIT: Duration = Duration::from_secs(20);
/// What lies further ahead of the time since the call began comes from a sender that is faster than speech.
const LEAD_MS: u64 = 1_500;
/// Most that waits; above it the oldest goes.
const MOST_WAITING: usize = 64;

/// Something that has its place in the call.
pub(super) enum Item {
    /// A final.
    Final(Box<Segment<Unredacted>>),
    /// A key was pressed; `None` for one that was pressed in a pause.
    Digit { track: Track, at_ms: u64, digit: Option<char> },
    /// Audio will never be transcribed; with its number where the mark waits for it.
    Gap(Track, Gap, Option<GapNumber>),
}

/// Where a track's link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// What it hears is being said.
    Live,
    /// It was sent the audio up to here.
    Behind(u64),
    /// It has lost its connection and looks for another.
    Away,
    /// It will never have one again; what comes yet comes by batch, and nobody knows when.
    Refused,
    Done,
}

/// What a track said before something that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// All of it has come.
    Given,
    /// More may come soon.
    Awaited,
    /// More may come, but nobody knows when.
    Missing,
}

#[derive(Debug)]
struct Way {
    place: Place,
    /// Since when, or when it last got on.
    moved: Instant,
    /// Up to here its finals have come.
    final_ms: u64,
    /// Something is being said that has no final.
    open: bool,
    /// Where the audio sent to it ended when it last said something.
    sent_ms: u64,
}

struct Waiting {
    item: Item,
    /// Whose order it is in, if any's.
    of: Option<TrackKey>,
    end_ms: u64,
    since: Instant,
    /// Links that are not behind have answered by then what was said before.
    answered: Instant,
    /// It came before the links were sent what was said before it.
    rushed: bool,
    /// There is a number in it, of which a question unheard takes more out than one heard.
    numbered: bool,
}

/// The waiting room between the tracks and the gate.
#[derive(Default)]
pub(super) struct InOrder {
    ways: BTreeMap<TrackKey, Way>,
    /// What ended first stands first.
    waiting: Vec<Waiting>,
    /// No more audio will come: even a track that is quiet has last words.
    ending: bool,
    /// When somebody's turn was last looked for.
    asked: Option<Instant>,
    /// When the first track was opened.
    began: Option<Instant>,
}

impl InOrder {
    /// A track was opened whose first audio lies here on the call's clock.
    pub(super) fn open(&mut self, key: TrackKey, base_ms: u64, now: Instant) {
        self.began.get_or_insert(now);
        let way = Way { place: Place::Behind(base_ms), moved: now, final_ms: 0, open: false, sent_ms: base_ms };
        self.ways.entry(key).or_insert(way);
    }

    /// Where its link stands has changed; says nothing of a track that was never opened.
    pub(super) fn handle_report(&mut self, key: TrackKey, report: &Report, now: Instant) {
        let Some(way) = self.ways.get_mut(&key) else { return };
        let place = match report {
            Report::Behind { sent_ms } => {
                way.sent_ms = *sent_ms;
                Place::Behind(*sent_ms)
            }
            Report::CaughtUp => Place::Live,
            Report::State(LinkState::Reconnecting { .. } | LinkState::Queued) if way.place == Place::Away => return,
            Report::State(LinkState::Reconnecting { .. } | LinkState::Queued) => Place::Away,
            Report::State(LinkState::Refused(_) | LinkState::Unstreamed | LinkState::Backfilling) => Place::Refused,
            Report::State(LinkState::Live | LinkState::Draining) if way.place == Place::Away => Place::Behind(way.sent_ms),
            Report::Done(_) => Place::Done,
            Report::Interim(heard) | Report::Final(heard) => {
                (way.open, way.sent_ms) = (matches!(report, Report::Interim(_)), heard.sent_ms);
                return;
            }
            Report::Covered(_) => {
                way.open = false;
                return;
            }
            Report::State(_) | Report::SpeechStarted { .. } | Report::SpeechEnded { .. } | Report::Gap { .. } | Report::Left => {
                return;
            }
        };
        (way.place, way.moved) = (place, now);
    }

    /// No more audio will come.
    pub(super) fn handle_ending(&mut self) {
        self.ending = true;
    }

    /// No track will say anything more.
    pub(super) fn handle_end(&mut self) {
        self.ways.values_mut().for_each(|way| way.place = Place::Done);
    }

    /// A final came.
    pub(super) fn push_final(&mut self, segment: Segment<Unredacted>, now: Instant) {
        let (key, mut end_ms, mut sent_ms) = (segment.key, segment.end_ms, segment.end_ms);
        if let Some(way) = self.ways.get_mut(&key) {
            way.final_ms = way.final_ms.max(end_ms);
            (end_ms, sent_ms) = (way.final_ms, way.sent_ms);
        }
        self.push(Item::Final(Box::new(segment)), Some(key), end_ms, sent_ms, false, now);
    }

    /// Something came that ended here and was not heard by a link.
    pub(super) fn push_other(&mut self, item: Item, end_ms: u64, now: Instant) {
        let real = self.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        let rushed = Duration::from_millis(end_ms) > real + Duration::from_millis(LEAD_MS);
        self.push(item, None, end_ms, end_ms, rushed, now);
    }

    /// The next one whose turn it is, and whether another track may have said something before it that is not known.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Item, bool)> {
        self.asked = Some(now);
        let overdue = |waiting: &Waiting| self.limit(waiting) <= now;
        let is_free = self.waiting.len() > MOST_WAITING
            || self.waiting.iter().any(overdue)
            || self.waiting.first().is_some_and(|first| self.is_free(first, now));
        if !is_free {
            return None;
        }
        let next = self.waiting.remove(0);
        let unasked = self.is_unasked(&next, now);
        Some((next.item, unasked))
    }

    /// When something's turn may come by time alone.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let first = self.waiting.first();
        let away = self.ways.values().filter(|way| way.place == Place::Away).map(|way| way.moved + AWAY_LIMIT);
        let turns =
            first.map(|first| first.answered).into_iter().chain(away.filter(|_| first.is_some_and(|first| first.numbered)));
        let turns = turns.filter(|at| self.asked.is_none_or(|asked| asked < *at));
        turns.chain(self.waiting.iter().map(|waiting| self.limit(waiting))).min()
    }

    fn push(&mut self, item: Item, of: Option<TrackKey>, end_ms: u64, sent_ms: u64, rushed: bool, now: Instant) {
        let rest = Duration::from_millis((end_ms + ANSWER_MS).saturating_sub(sent_ms));
        let at = self.waiting.partition_point(|other| (other.end_ms, other.of) <= (end_ms, of));
        let numbered = matches!(&item, Item::Final(segment) if redact::bears_number(&segment.text));
        self.waiting.insert(at, Waiting { item, of, end_ms, since: now, answered: now + rest, rushed, numbered });
    }

    /// Whether no other track may yet say something that ended before.
    fn is_free(&self, waiting: &Waiting, now: Instant) -> bool {
        self.others(waiting).all(|way| self.word_of(way, waiting, now) != Word::Awaited)
    }

    /// Whether another track may have said something before that is not known.
    fn is_unasked(&self, waiting: &Waiting, now: Instant) -> bool {
        self.others(waiting).any(|way| self.word_of(way, waiting, now) != Word::Given)
    }

    fn others(&self, waiting: &Waiting) -> impl Iterator<Item = &Way> {
        self.ways.iter().filter(|(key, _)| waiting.of != Some(**key)).map(|(_, way)| way)
    }

    /// How it stands with what a track said before something that waits.
    fn word_of(&self, way: &Way, waiting: &Waiting, now: Instant) -> Word {
        let is_given = way.final_ms >= waiting.end_ms
            || match way.place {
                Place::Live if self.ending => false,
                Place::Live if waiting.rushed => way.moved > waiting.since,
                Place::Live => !way.open || waiting.answered <= now,
                Place::Behind(sent_ms) => sent_ms >= waiting.end_ms + ANSWER_BEHIND_MS,
                Place::Away if waiting.numbered && now < way.moved + AWAY_LIMIT => return Word::Awaited,
                Place::Away | Place::Refused => return Word::Missing,
                Place::Done => true,
            };
        if is_given { Word::Given } else { Word::Awaited }
    }

    /// When its turn comes whatever the tracks do.
    fn limit(&self, waiting: &Waiting) -> Instant {
        if waiting.of.is_none() && !waiting.rushed {
            return waiting.since + HOLD_LIMIT;
        }
        let live = self.ways.values().filter(|way| way.place == Place::Live).map(|way| way.moved).min();
        let behind = self.ways.values().filter(|way| matches!(way.place, Place::Behind(_))).map(|way| way.moved).max();
        let is_absent = |way: &Way| matches!(way.place, Place::Away | Place::Behind(_));
        let longest = match waiting {
            Waiting { rushed: true, .. } => RUSHED_LIMIT,
            Waiting { numbered: true, .. } if self.others(waiting).any(is_absent) => AWAY_LIMIT,
            _ => HOLD_LIMIT,
        };
        live.or(behind).map_or(waiting.since, |moved| moved.max(waiting.since)) + longest
    }
}

#[cfg(test)]
mod tests;
