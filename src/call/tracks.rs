//! What became of each track of a session: received, sent, finalised, lost.
//!
//! Promises: sums over the streams of a call are by track, as the contract's `call.completed` lists them; a track that never
//! said it was done is listed as lost from its mark on, never as complete.

use std::collections::BTreeMap;

use super::{
    ResumedTrack,
    coverage::{Coverage, Word},
};
use crate::{
    event::{Tally, TrackTotals},
    media::{Gap, GapReason, Offset, Received, Track, bytes_to_ms},
    segment::{Release, Role, TrackKey},
    upstream::Totals,
};

#[derive(Debug, Default)]
struct State {
    coverage: Coverage,
    received: Received,
    totals: Option<Totals>,
    /// Audio that an earlier life sent and finalised, in milliseconds, where the link of this one only does the rest.
    before_ms: u64,
    segments: u64,
}

/// All tracks of a session, one for each stream and party.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    states: BTreeMap<TrackKey, State>,
    gaps: BTreeMap<Track, Vec<Gap>>,
    redactions: Tally,
}

/// Everything `call.completed` counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sums {
    /// By party.
    pub tracks: Vec<TrackTotals>,
    /// Things taken out, by type.
    pub redactions: Tally,
    /// From the call's first audio to its last, in milliseconds.
    pub duration_ms: u64,
}

impl Tracks {
    /// A link has been opened for this track; says whether it is new.
    pub(super) fn open(&mut self, key: TrackKey) -> bool {
        let before = self.states.len();
        self.states.entry(key).or_default();
        self.states.len() > before
    }

    /// As [`Tracks::open`], for a track of an earlier life.
    pub(super) fn resume(&mut self, track: &ResumedTrack) {
        let state = State {
            coverage: Coverage::from(track.mark),
            received: track.received,
            totals: (!track.has_link).then(Totals::default),
            before_ms: bytes_to_ms(track.mark.0),
            segments: track.segments,
        };
        self.states.insert(track.key, state);
    }

    /// What an earlier life has told already.
    pub(super) fn tell_again(&mut self, gaps: Vec<(Track, Gap)>, redactions: &[String]) {
        gaps.into_iter().for_each(|(track, gap)| self.gap(track, gap));
        redactions.iter().for_each(|kind| self.redactions.add(kind));
    }

    /// The track's finals on their way to the store.
    pub(super) fn coverage(&mut self, key: TrackKey) -> &mut Coverage {
        &mut self.states.entry(key).or_default().coverage
    }

    /// All tracks so far.
    pub(super) fn keys(&self) -> Vec<TrackKey> {
        self.states.keys().copied().collect()
    }

    /// The parties that were heard before this stream joined.
    pub(super) fn heard_before(&self, stream: u32) -> Vec<Track> {
        let mut tracks: Vec<Track> = self.states.keys().filter(|key| key.stream < stream).map(|key| key.track).collect();
        tracks.sort_unstable();
        tracks.dedup();
        tracks
    }

    /// Every mark that moves when `stored` (a word of one track) or, with `None`, nothing but silence is stored.
    pub(super) fn marks_with(&self, stored: Option<&(TrackKey, Word)>) -> Vec<(TrackKey, Offset)> {
        let moved = |(key, state): (&TrackKey, &State)| {
            let word = stored.filter(|(of, _)| of == key).map(|(_, word)| word);
            state.coverage.mark_with(word).map(|mark| (*key, mark))
        };
        self.states.iter().filter_map(moved).collect()
    }

    /// The stream of this track is over; this is what came.
    pub(super) fn received(&mut self, key: TrackKey, received: Received) {
        self.states.entry(key).or_default().received = received;
    }

    /// The link of this track is closed; this is what it did.
    pub(super) fn done(&mut self, key: TrackKey, totals: Totals) {
        self.states.entry(key).or_default().totals.get_or_insert(totals);
    }

    /// Whether every link is closed.
    pub(super) fn all_done(&self) -> bool {
        self.states.values().all(|state| state.totals.is_some())
    }

    /// Takes the links that are still open for dead; gives what is lost with them.
    pub(super) fn give_up(&mut self) -> Vec<(Track, Gap)> {
        let mut lost = Vec::new();
        for (key, state) in self.states.iter_mut().filter(|(_, state)| state.totals.is_none()) {
            let finalized_ms = bytes_to_ms(state.coverage.mark().0);
            let length_ms = state.received.received_ms + state.received.filled_ms;
            let from_ms = state.received.end_ms.saturating_sub(length_ms.saturating_sub(finalized_ms));
            lost.push((key.track, Gap { from_ms, to_ms: state.received.end_ms, reason: GapReason::UpstreamLost }));
            // What an earlier life did is counted already.
            let done_ms = finalized_ms.saturating_sub(state.before_ms);
            state.totals = Some(Totals { sent_ms: done_ms, finalized_ms: done_ms, ..Totals::default() });
        }
        lost
    }

    /// Audio of this party will never be transcribed.
    pub(super) fn gap(&mut self, track: Track, gap: Gap) {
        self.gaps.entry(track).or_default().push(gap);
    }

    /// A final is on its way to the store.
    pub(super) fn released(&mut self, release: &Release) {
        self.states.entry(release.segment.key).or_default().segments += 1;
        for redaction in &release.redactions {
            self.redactions.add(&redaction.kind);
        }
    }

    /// Where the last audio so far ended, on the call's clock.
    pub(super) fn end_ms(&self) -> u64 {
        self.states.values().map(|state| state.received.end_ms).max().unwrap_or(0)
    }

    /// What `call.completed` counts; `role` names the parties.
    pub(super) fn sums(&self, role: impl Fn(Track) -> Role) -> Sums {
        let mut tracks: BTreeMap<Track, TrackTotals> = BTreeMap::new();
        for (key, state) in &self.states {
            let sum = tracks.entry(key.track).or_insert_with(|| nothing_yet(key.track, role(key.track)));
            sum.received_ms += state.received.received_ms;
            sum.filled_ms += state.received.filled_ms;
            sum.segments += state.segments;
            if let Some(totals) = &state.totals {
                sum.sent_ms += state.before_ms + totals.sent_ms;
                sum.finalized_ms += state.before_ms + totals.finalized_ms;
                sum.reconnects += u64::from(totals.reconnects);
            }
        }
        for (track, gaps) in &self.gaps {
            tracks.entry(*track).or_insert_with(|| nothing_yet(*track, role(*track))).gaps.clone_from(gaps);
        }
        Sums { tracks: tracks.into_values().collect(), redactions: self.redactions.clone(), duration_ms: self.end_ms() }
    }
}

fn nothing_yet(track: Track, role: Role) -> TrackTotals {
    TrackTotals {
        track,
        role,
        received_ms: 0,
        filled_ms: 0,
        sent_ms: 0,
        finalized_ms: 0,
        gaps: Vec::new(),
        segments: 0,
        reconnects: 0,
    }
}
