//! A session's second life, after the bridge was killed: what is left of the first one, and how it ends.

use std::time::Instant;

use super::{Call, Facts, Pause, Phase, pauses::Pauses};
use crate::{
    media::{EndReason, Gap, GapReason, Offset, Received, Track},
    redact::Gate,
    segment::TrackKey,
    transcript::Transcript,
};

/// The spool is synced this often, so this much audio may be missing behind its end, in milliseconds.
const CRASH_GAP_MS: u64 = 200;

/// What an earlier life of a session left in the store and the spool.
pub struct Resumed {
    /// How the newest of its streams ended; `None`: it was there when the bridge was killed.
    pub ended: Option<EndReason>,
    /// The number of the next event.
    pub next_seq: u64,
    /// Its tracks.
    pub tracks: Vec<ResumedTrack>,
    /// Gaps that were told.
    pub gaps: Vec<(Track, Gap)>,
    /// Pauses whose gaps were not told.
    pub pauses: Vec<Pause>,
    /// Types of what was taken out.
    pub redactions: Vec<String>,
    /// Each placeholder that was given out, so that none is given to another value.
    pub placeholders: Vec<String>,
    /// The highest number in the ids of finals that are stored.
    pub last_segment: u64,
    /// Each label in them, so that none is given to somebody else.
    pub speakers: Vec<String>,
}

impl Resumed {
    /// What was spooled and cannot be read is lost. What was on its way when the bridge was killed is not on the spool, and how long the call
    /// went on nobody knows; streams before the newest had ended by then, and so may the newest have. A bridge that was killed again
    /// while it recovered has told of the gap already.
    fn crash_gaps(&self) -> Vec<(Track, Gap)> {
        let newest = self.tracks.iter().map(|track| track.key.stream).max();
        let was_there = |track: &&ResumedTrack| self.ended.is_none() && Some(track.key.stream) == newest;
        let of_newest = self.tracks.iter().filter(was_there);
        let on_the_way = of_newest.map(|track| (track.key.track, track.received.end_ms, track.received.end_ms + CRASH_GAP_MS));
        let unreadable = self.tracks.iter().flat_map(|track| {
            // Of a pause nothing but silence was there to be read.
            let paused_ms = self.pauses.iter().find(|pause| pause.is_of(track.key)).map_or(u64::MAX, |pause| pause.from_ms);
            track.lost_ms.iter().map(move |(from, to)| (track.key.track, *from, (*to).min(paused_ms)))
        });
        let gaps = unreadable.chain(on_the_way);
        let gaps = gaps.map(|(track, from_ms, to_ms)| (track, Gap { from_ms, to_ms, reason: GapReason::Crash }));
        let is_told = |(track, gap): &(Track, Gap)| {
            let same = |(of, told): &(Track, Gap)| of == track && told.reason == gap.reason && told.from_ms == gap.from_ms;
            self.gaps.iter().any(same)
        };
        gaps.filter(|gap| !is_told(gap)).collect()
    }

    /// A pause that went on when the bridge was killed lasted as long as its track.
    fn paused_gaps(&self) -> Vec<(Track, Gap)> {
        let end_ms = |pause: &Pause| {
            let track = self.tracks.iter().find(|track| pause.is_of(track.key))?;
            track.lost_ms.iter().map(|(_, to)| *to).chain([track.received.end_ms]).max()
        };
        self.pauses.iter().map(|pause| (pause.track, pause.gap(end_ms(pause).unwrap_or(pause.from_ms)))).collect()
    }
}

/// One track of an earlier life.
pub struct ResumedTrack {
    /// Which.
    pub key: TrackKey,
    /// Audio before this is covered by stored finals.
    pub mark: Offset,
    /// What had come, as far as the spool tells.
    pub received: Received,
    /// Finals stored.
    pub segments: u64,
    /// Whether a link transcribes what is left of it.
    pub has_link: bool,
    /// Stretches that came and cannot be read, on the call's clock in milliseconds.
    pub lost_ms: Vec<(u64, u64)>,
}

impl Call {
    /// A session that had no end when the bridge did: its spooled audio comes by links, then it ends as its last stream did, or as `crash`
    /// where that was still there.
    pub fn resumed(facts: Facts, gate: Gate, resumed: Resumed, now: Instant) -> Self {
        let phase = Phase::draining(resumed.ended.unwrap_or(EndReason::Crash), now);
        let gate = gate.behind(resumed.placeholders.iter().map(String::as_str));
        let mut call = Self::bare(facts, gate, phase, now);
        call.next_seq = resumed.next_seq;
        call.transcript = Transcript::resumed(&call.facts.session, resumed.last_segment, &resumed.speakers);
        let (paused_gaps, crash_gaps) = (resumed.paused_gaps(), resumed.crash_gaps());
        call.pauses = Pauses::of(&resumed.pauses);
        call.tracks.tell_again(resumed.gaps, &resumed.redactions);
        for track in &resumed.tracks {
            call.tracks.resume(track);
            if track.has_link {
                call.in_order.open(track.key, 0, now);
            }
        }
        paused_gaps.into_iter().chain(crash_gaps).for_each(|(track, gap)| call.gap(track, gap, None));
        call.proceed(now);
        call
    }
}
