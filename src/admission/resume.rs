//! What a killed bridge left of a session: its facts from the store, its audio from the spool.

use std::{collections::BTreeMap, time::Instant};

use tokio::sync::mpsc;

use crate::{
    call::{Facts, Received, Resumed, ResumedTrack},
    event::Speech,
    media::{Chunk, Offset, bytes_to_ms},
    segment::TrackKey,
    spool::{Frame, driver::Recovered},
    store::LiveSession,
    upstream::Command,
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
            has_link: left.is_some_and(|left| has_more(left, track.mark)),
            lost_ms: left.map(|left| lost(left, track.mark)).unwrap_or_default(),
        }
    });
    let resumed = Resumed {
        next_seq: live.next_seq,
        tracks: tracks.collect(),
        gaps: live.gaps.clone(),
        redactions: live.segments.iter().flat_map(|segment| segment.redactions.clone()).collect(),
        placeholders: live.placeholders.iter().cloned().collect(),
        segments: live.segments.len() as u64,
        speakers: live.segments.iter().flat_map(|segment| segment.speakers.clone()).collect(),
    };
    (Facts::stored(live, speech), resumed)
}

/// Where a track's spooled audio ends, readable or not: its offset, and the same on the call's clock in milliseconds.
fn end_of(left: &Recovered) -> Option<(Offset, u64)> {
    let readable = left.frames.last().map(|frame| (frame.offset, frame.at_ms, frame.audio.len() as u64));
    let unreadable = left.unreadable.last().map(|frame| (frame.offset, frame.at_ms, frame.length));
    let last = readable.into_iter().chain(unreadable).max_by_key(|(offset, ..)| *offset);
    last.map(|(offset, at_ms, length)| (offset.plus(length), at_ms + bytes_to_ms(length)))
}

/// What no link will miss: audio between the mark and the first that can be read behind it, and audio behind the last, on the call's clock
/// in milliseconds. A hole between is seen by the link.
fn lost(left: &Recovered, mark: Offset) -> Vec<(u64, u64)> {
    let Some((end, end_ms)) = end_of(left).filter(|(end, _)| *end > mark) else { return Vec::new() };
    let before = |offset: Offset, at_ms: u64, from: Offset| at_ms.saturating_sub(bytes_to_ms(offset.since(from)));
    let readable = |frame: &&Frame| frame.offset.plus(frame.audio.len() as u64) > mark;
    let Some(first) = left.frames.iter().find(readable) else { return vec![(before(end, end_ms, mark), end_ms)] };
    let last = left.frames.last().unwrap_or(first);
    let last_ms = last.at_ms + bytes_to_ms(last.audio.len() as u64);
    let in_front = (first.offset > mark).then(|| (before(first.offset, first.at_ms, mark), first.at_ms));
    let behind = Some((last_ms, end_ms)).filter(|(from, to)| from < to);
    in_front.into_iter().chain(behind).collect()
}

/// Whether audio behind the mark is left.
pub(super) fn has_more(left: &Recovered, mark: Offset) -> bool {
    left.frames.last().is_some_and(|chunk| chunk.offset.plus(chunk.audio.len() as u64) > mark)
}

/// Hands the audio behind the mark to a link, as fast as the link takes it, and then says that no more comes.
pub(super) async fn feed(left: Recovered, mark: Offset, commands: mpsc::Sender<Command>, now: Instant) {
    for piece in left.frames {
        let Ok(before) = usize::try_from(mark.since(piece.offset)) else { continue };
        if before >= piece.audio.len() {
            continue;
        }
        let chunk = Chunk {
            offset: piece.offset.plus(before as u64),
            at_ms: piece.at_ms + bytes_to_ms(before as u64),
            audio: piece.audio.slice(before..),
            received: now,
        };
        if commands.send(Command::Audio(chunk)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        media::{Track, ms_to_bytes},
        spool::Unreadable,
    };

    /// A track of seconds, each read or not.
    fn track(seconds: &[(u64, bool)]) -> Recovered {
        let offset = |second: &u64| Offset(ms_to_bytes(second * 1_000));
        let readable = seconds.iter().filter(|(_, readable)| *readable).map(|(second, _)| Frame {
            offset: offset(second),
            at_ms: second * 1_000,
            audio: vec![0; 8_000].into(),
        });
        let unreadable = seconds.iter().filter(|(_, readable)| !readable).map(|(second, _)| Unreadable {
            offset: offset(second),
            at_ms: second * 1_000,
            length: 8_000,
        });
        let key = TrackKey { stream: 0, track: Track::Inbound };
        Recovered { key, frames: readable.collect(), torn_bytes: 0, unreadable: unreadable.collect(), files: Vec::new() }
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
}
