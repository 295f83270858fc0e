//! What a killed bridge left of a session: its facts from the store, its audio on the spool.

use std::collections::BTreeMap;

use crate::{
    call::{Facts, Received, Resumed, ResumedTrack},
    event::Speech,
    media::{Offset, bytes_to_ms},
    segment::TrackKey,
    spool::driver::Recovered,
    store::LiveSession,
    transcript::Transcript,
    upstream::Remains,
};

/// The session as it was, and what is left to do for it.
pub(super) fn from_store(live: &LiveSession, spooled: &[Recovered], speech: Speech) -> (Facts, Resumed) {
    let mut segments: BTreeMap<TrackKey, u64> = BTreeMap::new();
    for segment in &live.segments {
        *segments.entry(segment.key).or_default() += 1;
    }
    let tracks = live.session.tracks.iter().map(|track| {
        let left = spooled.iter().find(|left| left.key == track.key);
        let (end, end_ms) = left.and_then(end_of).unwrap_or_default();
        let (length, end_ms) = (end.max(track.mark), end_ms.max(track.mark_at_ms));
        ResumedTrack {
            key: track.key,
            mark: track.mark,
            received: Received { received_ms: bytes_to_ms(length.0), filled_ms: 0, end_ms },
            segments: segments.get(&track.key).copied().unwrap_or(0),
            has_link: left.is_some_and(|left| remains(left, track.mark).is_some()),
            lost_ms: left.map(|left| lost(left, track.mark)).unwrap_or_default(),
        }
    });
    let resumed = Resumed {
        next_seq: live.next_seq,
        tracks: tracks.collect(),
        gaps: live.gaps.clone(),
        redactions: live.segments.iter().flat_map(|segment| segment.redactions.clone()).collect(),
        placeholders: live.placeholders.iter().cloned().collect(),
        last_segment: Transcript::last_number(live.segments.iter().map(|segment| segment.line.segment_id.as_str())),
        speakers: live.segments.iter().flat_map(|segment| segment.speakers.clone()).collect(),
    };
    (Facts::stored(live, speech), resumed)
}

/// Where a track's spooled audio ends, readable or not: its offset, and the same on the call's clock in milliseconds.
fn end_of(left: &Recovered) -> Option<(Offset, u64)> {
    let last = left.readable.last().into_iter().chain(left.unreadable.last());
    last.map(|run| (run.end(), run.end_ms())).max()
}

/// What no link will miss: audio between the mark and the first that can be read behind it, and audio behind the last, on the call's clock
/// in milliseconds. A hole between is seen by the link.
fn lost(left: &Recovered, mark: Offset) -> Vec<(u64, u64)> {
    let Some((end, end_ms)) = end_of(left).filter(|(end, _)| *end > mark) else { return Vec::new() };
    let before = |offset: Offset, at_ms: u64, from: Offset| at_ms.saturating_sub(bytes_to_ms(offset.since(from)));
    let Some(first) = left.readable.iter().find(|run| run.end() > mark) else { return vec![(before(end, end_ms, mark), end_ms)] };
    let last = left.readable.last().unwrap_or(first);
    let in_front = (first.offset > mark).then(|| (before(first.offset, first.at_ms, mark), first.at_ms));
    let behind = Some((last.end_ms(), end_ms)).filter(|(from, to)| from < to);
    in_front.into_iter().chain(behind).collect()
}

/// What can be read behind the mark, for a link; `None` where nothing can.
pub(super) fn remains(left: &Recovered, mark: Offset) -> Option<Remains> {
    let first = left.readable.iter().find(|run| run.end() > mark)?;
    let clock = left.readable.iter().map(|run| (run.offset, run.at_ms)).collect();
    Some(Remains { from: first.offset.max(mark), end: left.readable.last()?.end(), clock })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        media::{Track, ms_to_bytes},
        spool::Run,
    };

    /// A track of seconds, each read or not.
    fn track(seconds: &[(u64, bool)]) -> Recovered {
        let run = |second: &u64| Run { offset: Offset(ms_to_bytes(second * 1_000)), at_ms: second * 1_000, length: 8_000 };
        let of = |kind: bool| seconds.iter().filter(|(_, readable)| *readable == kind).map(|(second, _)| run(second)).collect();
        let key = TrackKey { stream: 0, track: Track::Inbound };
        Recovered { key, readable: of(true), torn_bytes: 0, unreadable: of(false), files: Vec::new() }
    }

    #[test]
    fn what_no_link_will_miss_is_told_and_a_hole_that_it_sees_is_not() {
        let mark = Offset(ms_to_bytes(10_000));
        for (seconds, expected) in [
            (&[(10, true), (11, true)][..], &[][..]),
            (&[(8, true), (9, true)], &[]),
            (&[(12, true), (13, true)], &[(10_000, 12_000)]),
            (&[(9, false), (10, false), (11, true)], &[(10_000, 11_000)]),
            (&[(10, true), (11, false), (12, true)], &[]),
            (&[(10, true), (11, false), (12, false)], &[(11_000, 13_000)]),
            (&[(10, false), (11, false)], &[(10_000, 12_000)]),
            (&[], &[]),
        ] {
            assert_eq!(lost(&track(seconds), mark), expected, "{seconds:?}");
        }
    }

    #[test]
    fn a_link_begins_at_the_mark_or_where_reading_begins_and_ends_where_it_ends() {
        let at = |second: u64| Offset(ms_to_bytes(second * 1_000));
        for (seconds, expected) in [
            (&[(9, true), (10, true), (11, false)][..], Some((at(9).plus(4_000), at(11)))),
            (&[(9, false), (11, true)], Some((at(11), at(12)))),
            (&[(8, true), (10, false)], None),
        ] {
            let remains = remains(&track(seconds), at(9).plus(4_000));
            assert_eq!(remains.map(|remains| (remains.from, remains.end)), expected, "{seconds:?}");
        }
    }
}
