//! What a killed bridge left of a session: its facts from the store, its audio on the spool.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    call::{Facts, Pause, Resumed, ResumedTrack},
    event::Speech,
    media::{Offset, Received, bytes_to_ms, ms_to_bytes},
    pii::Unredacted,
    segment::TrackKey,
    spool::{Run, driver::Recovered},
    store::{LiveSession, StoredSegment},
    transcript::Transcript,
    upstream::{KnownWord, Remains},
};

/// Two ways to count one end may be so far apart, in milliseconds.
const ROUNDING_MS: u64 = 2;

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
        // A stream whose socket task died says where it ended and not how much came.
        let told = track.received.filter(|told| told.received_ms + told.filled_ms > 0);
        let tail = told.and_then(|told| lost_tail(told, bytes_to_ms(length.0)));
        ResumedTrack {
            key: track.key,
            mark: track.mark,
            received: told.unwrap_or(Received { received_ms: bytes_to_ms(length.0), filled_ms: 0, end_ms }),
            segments: segments.get(&track.key).copied().unwrap_or(0),
            has_link: left.is_some_and(|left| left.readable.iter().any(|run| run.end() > track.mark)),
            lost_ms: left.map(|left| lost(left, track.mark)).into_iter().flatten().chain(tail).collect(),
        }
    });
    let tracks: Vec<ResumedTrack> = tracks.collect();
    let newest = live.streams.iter().map(|(stream, ..)| *stream).max();
    let resumed = Resumed {
        ended: live.ends.iter().find(|end| Some(end.stream) == newest).map(|end| end.reason),
        next_seq: live.next_seq,
        tracks,
        gaps: live.gaps.clone(),
        pauses: Pause::of_context(&live.session.start.context),
        redactions: live.segments.iter().flat_map(|segment| segment.redactions.clone()).collect(),
        placeholders: live.placeholders.iter().cloned().collect(),
        last_segment: Transcript::last_number(live.segments.iter().map(|segment| segment.line.segment_id.as_str())),
        speakers: live.segments.iter().flat_map(|segment| segment.speakers.clone()).collect(),
    };
    (Facts::stored(live, speech), resumed)
}

/// A track of which more came than there is: the spool has lost its last audio, or never had it. In milliseconds on the call's clock;
/// `length_ms` is what there is, from the track's beginning.
fn lost_tail(told: Received, length_ms: u64) -> Option<(u64, u64)> {
    let missing_ms = (told.received_ms + told.filled_ms).saturating_sub(length_ms);
    (missing_ms > ROUNDING_MS).then(|| (told.end_ms.saturating_sub(missing_ms), told.end_ms))
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

/// What can be read behind the mark, for a link, and what it needs to reach back before it; `None` where nothing can be read.
pub(super) fn remains(left: &Recovered, mark: Offset, segments: &[StoredSegment]) -> Option<Remains> {
    let begin = left.readable.iter().find(|run| run.end() > mark)?;
    let clock = left.readable.iter().map(|run| (run.offset, run.at_ms)).collect();
    let from = begin.offset.max(mark);
    let finals: Vec<SavedFinal> = segments.iter().filter(|segment| segment.key == left.key).filter_map(SavedFinal::of).collect();
    let newest = finals.iter().filter(|said| !said.provisional).max_by_key(|said| said.end_ms);
    Some(Remains {
        first: begin.offset.min(from),
        from,
        end: left.readable.last()?.end(),
        clock,
        untimed: newest.is_some_and(|said| said.words.is_empty() && said.utterances.is_empty()),
        known: finals.iter().flat_map(|said| said.known_in(begin)).collect(),
    })
}

/// The part of a stored final that a link needs to know its words again.
#[derive(Deserialize)]
struct SavedFinal {
    start_ms: u64,
    end_ms: u64,
    text: String,
    provisional: bool,
    words: Vec<SavedWord>,
    utterances: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct SavedWord {
    text: String,
    start_ms: u64,
    end_ms: u64,
}

impl SavedFinal {
    fn of(segment: &StoredSegment) -> Option<Self> {
        serde_json::from_slice(&segment.json).ok()
    }

    /// Its words that lie in this run of audio; where they have no times, each has the same share of the final.
    fn known_in(&self, run: &Run) -> Vec<KnownWord> {
        let place = |at_ms: u64| run.offset.plus(ms_to_bytes(at_ms.saturating_sub(run.at_ms)).min(run.length));
        let lies_in = |start_ms: u64, end_ms: u64| end_ms > run.at_ms && start_ms < run.end_ms();
        let known = |text: &str, start_ms: u64, end_ms: u64| {
            let word = KnownWord { text: Unredacted::new(text), start: place(start_ms), end: place(end_ms) };
            lies_in(start_ms, end_ms).then_some(word)
        };
        if !self.words.is_empty() {
            return self.words.iter().filter_map(|word| known(&word.text, word.start_ms, word.end_ms)).collect();
        }
        let words: Vec<&str> = self.text.split_whitespace().collect();
        let (length, count) = (self.end_ms.saturating_sub(self.start_ms), words.len().max(1) as u64);
        let at = |n: u64| self.start_ms + length * n / count;
        (0..).zip(words).filter_map(|(n, word)| known(word, at(n), at(n + 1))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Line, media::Track, pii::Redacted, segment::Role};

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
    fn the_last_audio_of_a_track_is_lost_where_more_came_than_there_is() {
        // It began 5 s into the call, and a tenth of a second of it was filled in.
        let told = Received { received_ms: 2_900, filled_ms: 100, end_ms: 8_000 };
        for (length_ms, expected) in
            [(3_000, None), (2_998, None), (3_100, None), (2_800, Some((7_800, 8_000))), (0, Some((5_000, 8_000)))]
        {
            assert_eq!(lost_tail(told, length_ms), expected, "{length_ms}");
        }
    }

    #[test]
    fn a_link_begins_at_the_mark_or_where_reading_begins_and_ends_where_it_ends() {
        let at = |second: u64| Offset(ms_to_bytes(second * 1_000));
        let mark = at(9).plus(4_000);
        for (seconds, expected) in [
            (&[(8, true), (9, true), (10, true), (11, false)][..], Some((at(8), mark, at(11)))),
            (&[(7, true), (9, true), (10, true)], Some((at(9), mark, at(11)))),
            (&[(9, false), (11, true)], Some((at(11), at(11), at(12)))),
            (&[(8, true), (10, false)], None),
        ] {
            let mut left = track(seconds);
            join_runs(&mut left.readable);
            let remains = remains(&left, mark, &[]);
            assert_eq!(remains.map(|it| (it.first, it.from, it.end)), expected, "{seconds:?}");
        }
    }

    #[test]
    fn the_words_before_the_mark_are_known_with_their_places_on_the_track() {
        let mut left = track(&[(8, true), (9, true), (10, true)]);
        join_runs(&mut left.readable);
        // A hole before the track's beginning: its byte 64,000 lies at 18 s of the call.
        left.readable.iter_mut().for_each(|run| run.at_ms += 10_000);
        let worded = final_of(
            Track::Inbound,
            r#"{"start_ms":17000,"end_ms":18500,"text":"x","provisional":false,"utterances":[],
            "words":[{"text":"gone","start_ms":17000,"end_ms":17900},{"text":"[CARD_1]","start_ms":18000,"end_ms":18500}]}"#,
        );
        let shown = final_of(
            Track::Inbound,
            r#"{"start_ms":18600,"end_ms":19000,"text":"so it","provisional":true,"utterances":[],"words":[]}"#,
        );
        let other = final_of(
            Track::Outbound,
            r#"{"start_ms":18000,"end_ms":18500,"text":"no","provisional":false,"utterances":[],"words":[]}"#,
        );
        let remains = remains(&left, Offset(ms_to_bytes(9_000)), &[worded, shown, other]).unwrap();
        let ms = |at: Offset| bytes_to_ms(at.0);
        let known: Vec<_> = remains.known.iter().map(|word| (word.text.expose(), ms(word.start), ms(word.end))).collect();
        assert_eq!(known, [("[CARD_1]", 8_000, 8_500), ("so", 8_600, 8_800), ("it", 8_800, 9_000)]);
        assert!(!remains.untimed, "what was only shown has no times with any service");
    }

    #[test]
    fn nothing_before_the_mark_is_sent_again_to_a_service_without_times() {
        let said = final_of(
            Track::Inbound,
            r#"{"start_ms":8000,"end_ms":9000,"text":"so","provisional":false,"utterances":[],"words":[]}"#,
        );
        assert!(remains(&track(&[(9, true), (10, true)]), Offset(ms_to_bytes(9_500)), &[said]).unwrap().untimed);
    }

    fn final_of(track: Track, json: &'static str) -> StoredSegment {
        let line = Line {
            segment_id: "seg_1".into(),
            track,
            role: Role::caller(),
            speaker: "inbound:0".into(),
            start_ms: 0,
            end_ms: 0,
            text: Redacted::certified("so"),
        };
        let (speakers, redactions) = (Vec::new(), Vec::new());
        StoredSegment { seq: 1, key: TrackKey { stream: 0, track }, line, speakers, redactions, json: json.into() }
    }

    /// As the spool finds them: without a jump between them it is one.
    fn join_runs(runs: &mut Vec<Run>) {
        let mut joined: Vec<Run> = Vec::new();
        for run in runs.drain(..) {
            match joined.last_mut().filter(|last| last.end() == run.offset) {
                Some(last) => last.length += run.length,
                None => joined.push(run),
            }
        }
        *runs = joined;
    }
}
