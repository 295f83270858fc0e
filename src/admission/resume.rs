//! What a killed bridge left of a session: its facts from the store, its audio from the spool.

use std::{collections::BTreeMap, time::Instant};

use tokio::sync::mpsc;

use crate::{
    call::{Facts, Received, Resumed, ResumedTrack},
    event::Speech,
    media::{Chunk, Offset, bytes_to_ms},
    segment::TrackKey,
    spool::driver::Recovered,
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

/// The stretches behind the mark that nobody can read, on the call's clock in milliseconds.
fn lost(left: &Recovered, mark: Offset) -> Vec<(u64, u64)> {
    let mut lost: Vec<(u64, u64)> = Vec::new();
    for frame in left.unreadable.iter().filter(|frame| frame.offset.plus(frame.length) > mark) {
        let from_ms = frame.at_ms + bytes_to_ms(mark.since(frame.offset));
        let to_ms = frame.at_ms + bytes_to_ms(frame.length);
        match lost.last_mut() {
            Some(last) if last.1 >= from_ms => last.1 = to_ms,
            _ => lost.push((from_ms, to_ms)),
        }
    }
    lost
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
