//! Which audio goes into one request: stretches that are near each other in one, none longer than a request may be, cut where it is
//! quietest.
//!
//! Promises: a piece is contiguous on the track and on the call's clock, so one number places it; it begins and ends with audio
//! around what is wanted where there is any; what is wanted and not there is told, never skipped.

use bytes::Bytes;

use super::Stretch;
use crate::{
    media::{BYTES_PER_MS, Offset, bytes_to_ms, ms_to_bytes},
    spool::Frame,
};

/// The longest audio of one request, its surroundings included, in milliseconds: half of the ten minutes that a session of the service
/// has (protocols/pulse.md section 8.1).
pub(super) const REQUEST_MS: u64 = 300_000;
/// Audio before and behind what is wanted, so that no word is heard in half; words in it are left out by their times, in milliseconds.
pub(super) const AROUND_MS: u64 = 1_000;
/// The longest wanted audio of one request.
pub(super) const WANTED_MS: u64 = REQUEST_MS - 2 * AROUND_MS;
/// The shortest that a request is made where longer ones are too large.
pub(super) const LEAST_MS: u64 = 5_000;
/// Stretches no further apart than this go into one request.
const NEAR_MS: u64 = 3_000;
/// How far before its longest end a piece may be cut.
const QUIET_SEARCH_MS: u64 = 30_000;
/// The quiet that is looked for, and the steps in which it is.
const QUIET_MS: u64 = 200;
const STEP_MS: u64 = 20;
#[expect(clippy::cast_possible_truncation, reason = "20 ms are a few bytes")]
const STEP_BYTES: usize = ms_to_bytes(STEP_MS) as usize;
const QUIET_STEPS: usize = (QUIET_MS / STEP_MS) as usize;
/// What differs by no more is the same place on the call's clock: rounding.
const ROUNDING_MS: u64 = 1;
/// Mu-law codes above this magnitude (of 127) are louder than −48 dBFS: maybe a voice.
const LOUD_CODE: u8 = 15;
const _: () = assert!(WANTED_MS > LEAST_MS && LEAST_MS > QUIET_MS && QUIET_MS.is_multiple_of(STEP_MS));

/// How a request may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    /// The most wanted audio in it, in bytes.
    pub(super) limit: u64,
    /// Nothing around what is wanted: the answer's times cannot be told apart.
    pub(super) bare: bool,
}

/// What to read for the next request: from here up to there.
pub(super) fn to_read(wanted: &[Stretch], manner: Manner) -> Option<(Offset, Offset)> {
    let first = wanted.first()?;
    let end = group(wanted, manner).last()?.to.min(first.from.plus(manner.limit));
    let around = if manner.bare { 0 } else { ms_to_bytes(AROUND_MS) };
    Some((Offset(first.from.0.saturating_sub(around)), end.plus(around)))
}

/// Those that go with the first one.
fn group(wanted: &[Stretch], manner: Manner) -> &[Stretch] {
    let is_near = |pair: &[Stretch]| {
        let (bytes, ms) = (pair[1].from.since(pair[0].to), pair[1].from_ms.saturating_sub(pair[0].to_ms));
        !manner.bare && bytes_to_ms(bytes) <= NEAR_MS && bytes_to_ms(bytes).abs_diff(ms) <= ROUNDING_MS
    };
    let count = wanted.windows(2).take_while(|pair| is_near(pair)).count();
    &wanted[..=count.min(wanted.len().saturating_sub(1))]
}

/// One request's audio.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where its first byte lies.
    pub(super) start: Offset,
    /// The same on the call's clock, in milliseconds.
    pub(super) start_ms: u64,
    /// Its length in bytes.
    pub(super) length: u64,
    /// Ranges whose words are wanted, in order.
    pub(super) wanted: Vec<(Offset, Offset)>,
    /// Wanted audio that may be a voice, in milliseconds.
    pub(super) voice_ms: u64,
}

impl Piece {
    /// Up to where it answers for the track.
    pub(super) fn upto(&self) -> Offset {
        self.wanted.last().map_or(self.start, |range| range.1)
    }

    /// Where this lies on the call's clock, in milliseconds.
    pub(super) fn ms(&self, offset: Offset) -> u64 {
        self.start_ms + (offset.since(self.start) + BYTES_PER_MS / 2) / BYTES_PER_MS
    }

    /// Wanted audio, in bytes.
    pub(super) fn wanted_bytes(&self) -> u64 {
        self.wanted.iter().map(|(from, to)| to.since(*from)).sum()
    }
}

/// What can be made of the audio that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// This goes.
    Piece(Piece, Vec<Bytes>),
    /// What is wanted is not there up to here.
    Missing(Offset),
}

/// Cuts the next piece out of the frames of what [`to_read`] named.
pub(super) fn cut(wanted: &[Stretch], frames: &[Frame], manner: Manner) -> Option<Cut> {
    let first = wanted.first()?;
    let runs = runs(frames);
    let Some(run) = runs.iter().find(|run| run.start() <= first.from && first.from < run.end()) else {
        let next = runs.iter().map(Run::start).find(|start| *start > first.from);
        return Some(Cut::Missing(next.unwrap_or(first.to).min(first.to)));
    };
    let group = group(wanted, manner);
    let limit = first.from.plus(manner.limit);
    let longest = group.last()?.to.min(run.end());
    let end = if longest > limit { run.quietest(limit, first.from) } else { longest };
    let around = if manner.bare { 0 } else { ms_to_bytes(AROUND_MS) };
    let from = run.start().max(Offset(first.from.0.saturating_sub(around)));
    let to = run.end().min(end.plus(around));
    let ranges = group.iter().map(|stretch| (stretch.from, stretch.to.min(end))).filter(|(from, to)| from < to);
    let wanted: Vec<(Offset, Offset)> = ranges.collect();
    let voice = wanted.iter().flat_map(|(from, to)| run.between(*from, *to)).flatten().filter(|byte| is_loud(*byte)).count();
    let piece = Piece {
        start: from,
        start_ms: run.at_ms + bytes_to_ms(from.since(run.start())),
        length: to.since(from),
        wanted,
        voice_ms: bytes_to_ms(voice as u64),
    };
    Some(Cut::Piece(piece, run.between(from, to).collect()))
}

const fn is_loud(byte: u8) -> bool {
    !byte & 0x7F > LOUD_CODE
}

/// Frames that follow each other on the track and on the clock; never empty.
struct Run<'a> {
    frames: &'a [Frame],
    at_ms: u64,
}

fn runs(frames: &[Frame]) -> Vec<Run<'_>> {
    let follows = |first: &Frame, before: &Frame, next: &Frame| {
        let place = first.at_ms + bytes_to_ms(next.offset.since(first.offset));
        end_of(before) == next.offset && place.abs_diff(next.at_ms) <= ROUNDING_MS
    };
    let (mut runs, mut begin) = (Vec::new(), 0);
    for at in 1..=frames.len() {
        if frames.get(at).is_none_or(|next| !follows(&frames[begin], &frames[at - 1], next)) {
            runs.push(Run { frames: &frames[begin..at], at_ms: frames[begin].at_ms });
            begin = at;
        }
    }
    runs
}

fn end_of(frame: &Frame) -> Offset {
    frame.offset.plus(frame.audio.len() as u64)
}

impl Run<'_> {
    fn start(&self) -> Offset {
        self.frames.first().map_or(Offset(0), |frame| frame.offset)
    }

    fn end(&self) -> Offset {
        self.frames.last().map_or(Offset(0), end_of)
    }

    /// The audio of this range, as far as it is there.
    fn between(&self, from: Offset, to: Offset) -> impl Iterator<Item = Bytes> {
        let within =
            |frame: &Frame, at: Offset| usize::try_from(at.since(frame.offset)).unwrap_or(usize::MAX).min(frame.audio.len());
        let pieces = self
            .frames
            .iter()
            .map(move |frame| frame.audio.slice(within(frame, from)..within(frame, to).max(within(frame, from))));
        pieces.filter(|piece| !piece.is_empty())
    }

    /// The middle of the quietest stretch in the last part before `limit`, the latest of equals; never before half of what lies behind
    /// `from`.
    fn quietest(&self, limit: Offset, from: Offset) -> Offset {
        let search = ms_to_bytes(QUIET_SEARCH_MS).min(limit.since(from) / 2);
        let (begin, step) = (Offset(limit.0 - search), ms_to_bytes(STEP_MS));
        let loudness: Vec<u64> = self
            .between(begin, limit)
            .flatten()
            .collect::<Vec<u8>>()
            .chunks(STEP_BYTES)
            .map(|chunk| chunk.iter().map(|byte| u64::from(!byte & 0x7F)).sum())
            .collect();
        let sums = loudness.windows(QUIET_STEPS).map(|window| window.iter().sum::<u64>()).enumerate();
        let quietest = sums.rev().min_by_key(|(_, sum)| *sum).map(|(at, _)| at as u64 * step + ms_to_bytes(QUIET_MS) / 2);
        quietest.map_or(limit, |behind| begin.plus(behind))
    }
}

#[cfg(test)]
mod tests;
