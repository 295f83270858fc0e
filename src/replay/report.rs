//! How all calls together went: the verdict, then counts, then times.
//!
//! Promises: pure; the verdict's first word is `played` or `passed` only if nothing went wrong with any call.

use std::{collections::BTreeMap, fmt};

use super::Played;
use crate::media::bytes_to_ms;

/// All calls so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    calls: usize,
    failed: usize,
    differing: usize,
    compared: usize,
    messages: u64,
    audio_ms: u64,
    faults: BTreeMap<&'static str, u64>,
    took_ms: Vec<u64>,
    completed_after_ms: Vec<u64>,
}

impl Tally {
    /// Counts a call that is over.
    pub(super) fn add(&mut self, played: &Played) {
        self.calls += 1;
        self.failed += usize::from(played.error.is_some());
        self.differing += usize::from(played.error.is_none() && !played.is_good());
        self.compared += usize::from(played.expect.is_some());
        self.messages += played.messages;
        self.audio_ms += played.tracks.values().map(|track| bytes_to_ms(track.bytes)).sum::<u64>();
        for (fault, count) in &played.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        self.took_ms.extend(played.error.is_none().then_some(played.took_ms));
        self.completed_after_ms.extend(played.completed_after_ms);
    }

    /// Why the command failed, if it did.
    pub(super) fn verdict(&self) -> Option<String> {
        let of = |count: usize| format!("{count} of {} calls", self.calls);
        match (self.failed, self.differing) {
            (0, 0) => None,
            (0, differing) => Some(format!("{} gave other events than expected; see above", of(differing))),
            (failed, 0) => Some(format!("{} did not go through; see above", of(failed))),
            (failed, differing) => {
                Some(format!("{} did not go through, {differing} gave other events than expected; see above", of(failed)))
            }
        }
    }

    /// What a person may want to do now.
    pub(super) fn next(&self) -> &'static str {
        match (self.verdict(), self.compared) {
            (None, 0) => "next     --expect DIR --write-expected    keep what came out, to compare later calls with",
            (None, _) => "next     --faults FILE    play the same calls over a bad line",
            (Some(_), _) => "next     pulse-bridge doctor    check the bridge's settings",
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, count) = match (self.failed, self.differing) {
            (0, 0) if self.compared > 0 => ("passed", self.calls),
            (0, 0) => ("played", self.calls),
            (0, differing) => ("differs", differing),
            (failed, _) => ("failed", failed),
        };
        write!(f, "{word:<8} {count} of {} calls", self.calls)?;
        if self.failed > 0 && self.differing > 0 {
            write!(f, " · {} differ", self.differing)?;
        }
        write!(f, " · {} messages · {} of audio", self.messages, clock_time(self.audio_ms))?;
        for (fault, count) in &self.faults {
            write!(f, " · {fault} {count}")?;
        }
        if !self.took_ms.is_empty() {
            write!(f, "\n         first message → last message {}", Spread(&self.took_ms))?;
        }
        if !self.completed_after_ms.is_empty() {
            write!(f, "\n         last message → call.completed {}", Spread(&self.completed_after_ms))?;
        }
        Ok(())
    }
}

/// Median, p95 and worst of some times; one alone stands for itself.
struct Spread<'a>(&'a [u64]);

impl fmt::Display for Spread<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.0.to_vec();
        sorted.sort_unstable();
        let at = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0);
        if sorted.len() < 2 {
            return f.write_str(&seconds(at(100)));
        }
        write!(f, "{} median, {} p95, {} worst", seconds(at(50)), seconds(at(95)), seconds(at(100)))
    }
}

fn seconds(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1000, ms % 1000 / 100) }
}

/// Minutes and seconds.
pub(super) fn clock_time(ms: u64) -> String {
    format!("{}:{:02}", ms / 60_000, ms / 1000 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        media::Track,
        replay::{TrackSent, expect::Comparison},
    };

    fn played(took_ms: u64) -> Played {
        let sent = TrackSent { frames: 1900, bytes: 304_000, sha256: String::new() };
        Played {
            recording: "pay-by-card".into(),
            call_sid: "CA1".into(),
            stream_sid: "MZ1".into(),
            messages: 1903,
            tracks: [(Track::Inbound, sent)].into(),
            took_ms,
            ended: "stop",
            faults: BTreeMap::new(),
            notes: Vec::new(),
            error: None,
            completed_after_ms: None,
            expect: None,
        }
    }

    fn tally(calls: &[Played]) -> Tally {
        let mut tally = Tally::default();
        calls.iter().for_each(|call| tally.add(call));
        tally
    }

    #[test]
    fn the_verdict_comes_first_then_counts_then_times() {
        let lossy = Played { faults: [("lost", 12)].into(), ..played(38_120) };
        insta::assert_snapshot!(tally(&[played(37_980), lossy]), @r"
        played   2 of 2 calls · 3806 messages · 1:16 of audio · lost 12
                 first message → last message 37.9 s median, 38.1 s p95, 38.1 s worst
        ");
        let compared = |differing| Played {
            completed_after_ms: Some(412),
            expect: Some(Comparison { differing, ..Comparison::default() }),
            ..played(900)
        };
        insta::assert_snapshot!(tally(&[compared(0)]), @r"
        passed   1 of 1 calls · 1903 messages · 0:38 of audio
                 first message → last message 900 ms
                 last message → call.completed 412 ms
        ");
        let failed = Played { error: Some("cannot reach it".into()), ..played(0) };
        let all = tally(&[compared(0), compared(2), failed]);
        insta::assert_snapshot!(all, @r"
        failed   1 of 3 calls · 1 differ · 5709 messages · 1:54 of audio
                 first message → last message 900 ms median, 900 ms p95, 900 ms worst
                 last message → call.completed 412 ms median, 412 ms p95, 412 ms worst
        ");
        assert_eq!(
            all.verdict().as_deref(),
            Some("1 of 3 calls did not go through, 1 gave other events than expected; see above")
        );
    }
}
