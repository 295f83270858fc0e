//! Where the audio of a released final says what its text no longer does.
//!
//! Promises: every word that was taken out lies in a range with [`MARGIN_MS`] on both sides of it, as far as the track goes back; where nobody knows
//! when the words were said, or the text was withheld, the whole segment does; ranges are in order and [`APART_MS`] or more apart.

use serde::Serialize;

use super::{REDACTION_FAILED, token};
use crate::segment::Release;

/// Before and behind what was taken out, in milliseconds: the times of words are a little wrong.
pub const MARGIN_MS: u64 = 150;
/// Ranges closer together than this are one, in milliseconds: nothing that can be understood lies between them.
pub const APART_MS: u64 = 300;

/// A stretch of the segment's own track that is not to be heard, on the call's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Beep {
    /// Its first millisecond.
    pub start_ms: u64,
    /// The first millisecond that may be heard again.
    pub end_ms: u64,
}

/// What of the audio is not to be heard.
#[must_use]
pub fn beeps(release: &Release) -> Vec<Beep> {
    let segment = &release.segment;
    let whole = (segment.text.as_str() == REDACTION_FAILED).then_some((segment.start_ms, segment.end_ms));
    let taken = release.redactions.iter().map(|redaction| (redaction.start_ms, redaction.end_ms));
    let words = segment.words.iter().filter(|word| word.redacted).map(|word| (word.start_ms, word.end_ms));
    // A sentence that does not spell the text was searched by itself.
    let utterances = segment.utterances.iter().filter(|utterance| bears_placeholder(utterance.text.as_str()));
    let utterances = utterances.map(|utterance| (utterance.start_ms, utterance.end_ms));
    let utterances = utterances.filter(|_| release.redactions.is_empty());
    joined(whole.into_iter().chain(taken).chain(words).chain(utterances))
}

fn bears_placeholder(text: &str) -> bool {
    text.match_indices('[').any(|(at, _)| token::placeholder(&text[at..]).is_some())
}

/// Ranges with their margins, in order, those near each other as one.
fn joined(said: impl Iterator<Item = (u64, u64)>) -> Vec<Beep> {
    let with_margin = |(start_ms, end_ms): (u64, u64)| Beep {
        start_ms: start_ms.saturating_sub(MARGIN_MS),
        end_ms: end_ms.max(start_ms).saturating_add(MARGIN_MS),
    };
    let mut all: Vec<Beep> = said.map(with_margin).collect();
    all.sort_by_key(|beep| beep.start_ms);
    let mut joined: Vec<Beep> = Vec::with_capacity(all.len());
    for beep in all {
        match joined.last_mut() {
            Some(last) if beep.start_ms < last.end_ms.saturating_add(APART_MS) => last.end_ms = last.end_ms.max(beep.end_ms),
            _ => joined.push(beep),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(said: &[(u64, u64)]) -> Vec<(u64, u64)> {
        joined(said.iter().copied()).iter().map(|beep| (beep.start_ms, beep.end_ms)).collect()
    }

    #[test]
    fn a_range_has_its_margins_and_does_not_begin_before_the_call() {
        assert_eq!(of(&[(1_000, 2_000)]), [(850, 2_150)]);
        assert_eq!(of(&[(100, 200)]), [(0, 350)]);
        assert_eq!(of(&[(2_000, 1_000)]), [(1_850, 2_150)], "times that make no sense still make a range");
        assert_eq!(of(&[]), []);
    }

    #[test]
    fn ranges_closer_than_300_ms_are_one_and_others_are_not() {
        // 599 ms between the words are 299 between the ranges.
        assert_eq!(of(&[(1_000, 2_000), (2_599, 3_000)]), [(850, 3_150)]);
        assert_eq!(of(&[(1_000, 2_000), (2_600, 3_000)]), [(850, 2_150), (2_450, 3_150)]);
        assert_eq!(of(&[(2_600, 3_000), (1_000, 2_000)]), [(850, 2_150), (2_450, 3_150)], "in whatever order they come");
        assert_eq!(of(&[(1_000, 9_000), (2_000, 3_000)]), [(850, 9_150)], "one within another");
    }

    proptest! {
        #[test]
        fn every_moment_said_is_silent_and_none_further_off_than_margins_and_joints(
            said in prop::collection::vec((0_u64..20_000, 0_u64..3_000), 0..12)
        ) {
            let said: Vec<(u64, u64)> = said.into_iter().map(|(start, length)| (start, start + length)).collect();
            let ranges = of(&said);
            let is_silent = |at: u64| ranges.iter().any(|(start, end)| (*start..*end).contains(&at));
            for (start, end) in &said {
                let from = start.saturating_sub(MARGIN_MS);
                prop_assert!((from..end + MARGIN_MS).all(is_silent));
            }
            prop_assert!(ranges.windows(2).all(|two| two[0].1 + APART_MS <= two[1].0));
            for (start, end) in &ranges {
                prop_assert!(said.iter().any(|(from, _)| from.saturating_sub(MARGIN_MS) == *start));
                prop_assert!(said.iter().any(|(_, to)| to + MARGIN_MS == *end));
            }
        }
    }
}
