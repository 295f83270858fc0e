//! What must hold after a run.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    plan::{MILLI, Plan, SECOND},
    record::{Final, Record, TRACKS, Tried},
    truth::Truth,
};

/// How far from the truth a time may be, in milliseconds: as far as the service itself is wrong at most.
const TOLERANCE_MS: u64 = 20;
/// Words are looked for this far from their time, in milliseconds.
const NEAR_MS: u64 = 2_000;
/// Audio that a link may hold beside its memory: what it fetched ahead, in milliseconds.
const FETCHED_MS: u64 = 8_000;
/// The same for what four voices are known again by, in whole chunks.
const VOICES_MS: u64 = 20_000;
/// The least part of a backoff that jitter leaves.
const LEAST_BACKOFF: f64 = 0.75;

/// A rule that a run broke.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) rule: &'static str,
    pub(crate) what: String,
    pub(crate) track: usize,
    /// Where in the call it happened, in milliseconds, if anywhere.
    pub(crate) at_ms: Option<u64>,
}

/// What is worth counting.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) words: u64,
    pub(crate) reconnects: u64,
    pub(crate) gaps: u64,
    pub(crate) provisional: u64,
    /// Labels beyond the first that somebody was given.
    pub(crate) relabelled: u64,
    pub(crate) seconds: u64,
    pub(crate) worst_ms: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.words += other.words;
        self.reconnects += other.reconnects;
        self.gaps += other.gaps;
        self.provisional += other.provisional;
        self.relabelled += other.relabelled;
        self.seconds += other.seconds;
        self.worst_ms = self.worst_ms.max(other.worst_ms);
    }
}

/// Every rule that the run broke, and what is worth counting.
pub(crate) fn check(plan: &Plan, record: &Record) -> (Vec<Failure>, Tally) {
    let mut checker = Checker { plan, record, failures: Vec::new(), tally: Tally::default() };
    if let Some(broken) = &record.broken {
        checker.fail("a run comes to its end", broken.clone(), 0, None);
    }
    checker.endings();
    checker.dials();
    checker.memory();
    for track in [0, 1] {
        checker.words(track);
        checker.order(track);
        checker.balance(track);
    }
    checker.tally.seconds = record.ended / SECOND;
    (checker.failures, checker.tally)
}

struct Checker<'a> {
    plan: &'a Plan,
    record: &'a Record,
    failures: Vec<Failure>,
    tally: Tally,
}

/// A word of a final, timed unless it came of an interim.
struct Token<'a> {
    text: &'a str,
    timed: Option<(u64, u64, &'a str)>,
    near: (u64, u64),
}

impl Checker<'_> {
    fn fail(&mut self, rule: &'static str, what: String, track: usize, at_ms: Option<u64>) {
        self.failures.push(Failure { rule, what, track, at_ms });
    }

    fn endings(&mut self) {
        let Record { completed, seqs, done, after_done, gaps, .. } = self.record;
        if completed.len() != 1 {
            self.fail("call.completed comes once", format!("{} times", completed.len()), 0, None);
        }
        if seqs.iter().zip(1..).any(|(seq, expected)| *seq != expected) && self.plan.sabotage.is_none() {
            self.fail("events are numbered without gaps", format!("{seqs:?}"), 0, None);
        }
        for track in [0, 1] {
            if done[track].len() != 1 || *after_done > 0 {
                self.fail("Done comes once and last", format!("{} times, {after_done} behind", done[track].len()), track, None);
            }
        }
        if completed.iter().any(|end| end.complete != gaps.is_empty()) {
            self.fail("complete means no gaps", format!("{gaps:?}"), 0, None);
        }
        if !self.plan.weather.hopeless
            && let Some((track, gap)) = gaps.first()
        {
            self.fail("no gap where the service comes back", format!("{gap:?}"), *track, Some(gap.from_ms));
        }
        self.tally.gaps += gaps.len() as u64;
    }

    /// No try comes sooner after a failure than the backoff and the service allow.
    fn dials(&mut self) {
        let settings = &self.plan.settings;
        for track in [0, 1] {
            let (mut failures, mut failed_at, mut asked) = (0_u32, None, None);
            for (at, tried) in &self.record.tries[track] {
                match tried {
                    Tried::Failed { retry_after } => {
                        (failures, failed_at, asked) = (failures + 1, Some(*at), *retry_after);
                    }
                    Tried::Connected => failures = 0,
                    Tried::Dial => {
                        let doubled = settings.backoff_first * (1 << failures.saturating_sub(1).min(10));
                        let least = doubled.min(settings.backoff_cap).mul_f64(LEAST_BACKOFF).max(asked.unwrap_or_default());
                        let waited = failed_at.map(|failed| at - failed);
                        if waited.is_some_and(|waited| waited + 1 < u64::try_from(least.as_micros()).unwrap_or(0)) {
                            let what = format!("waited {waited:?} us instead of {least:?} after {failures} failures");
                            self.fail("no dial before its time", what, track, Some(at / MILLI));
                        }
                    }
                }
            }
            let connected = self.record.tries[track].iter().filter(|(_, tried)| *tried == Tried::Connected).count();
            self.tally.reconnects += connected.saturating_sub(1) as u64;
        }
    }

    fn memory(&mut self) {
        let limit = (self.plan.settings.memory_ms + FETCHED_MS + VOICES_MS + 2 * self.plan.chunk_ms) * 8;
        if self.record.most_held > limit {
            self.fail("memory is bounded", format!("{} bytes of {limit}", self.record.most_held), 0, None);
        }
    }

    /// Each word once, at its time, by somebody who keeps their label.
    fn words(&mut self, track: usize) {
        let truth = &self.plan.tracks[track];
        let mut told = vec![false; truth.words.len()];
        let mut labels: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
        for heard in self.record.finals.iter().filter(|heard| heard.track == track) {
            self.tally.provisional += u64::from(heard.provisional);
            for token in tokens(heard) {
                let Some(word) = best(truth, &told, &token) else {
                    self.unknown(truth, &told, &token, track);
                    continue;
                };
                told[word] = true;
                self.tally.words += 1;
                let Some((start_ms, end_ms, speaker)) = token.timed else { continue };
                let (start, end) = span(truth, word);
                let off = start_ms.abs_diff(start).max(end_ms.abs_diff(end));
                self.tally.worst_ms = self.tally.worst_ms.max(off);
                if off > TOLERANCE_MS {
                    let what = format!("{:?} was said {start}-{end} and told {start_ms}-{end_ms}", token.text);
                    self.fail("times are within 20 ms of the truth", what, track, Some(start));
                }
                labels.entry(speaker).or_default().insert(truth.words[word].person);
            }
        }
        self.missing(truth, &told, track);
        self.labels(&labels, track);
    }

    fn unknown(&mut self, truth: &Truth, told: &[bool], token: &Token<'_>, track: usize) {
        let again = truth.words.iter().enumerate().any(|(at, word)| {
            let (start, end) = span(truth, at);
            told[at] && word.text == token.text && start <= token.near.1 && token.near.0 <= end
        });
        // An interim that was promoted may end inside a word.
        let is_half = token.timed.is_none() && truth.words.iter().any(|word| word.text.starts_with(token.text));
        if again && !is_half {
            let what = format!("{:?} at {:?} was told before", token.text, token.near);
            self.fail("no word is doubled", what, track, Some(token.near.0));
        } else if !is_half {
            self.fail("no word is made up", format!("{:?} at {:?}", token.text, token.near), track, Some(token.near.0));
        }
    }

    fn missing(&mut self, truth: &Truth, told: &[bool], track: usize) {
        for at in (0..told.len()).filter(|at| !told[*at]) {
            let (start, end) = span(truth, at);
            let covered = |(of, gap): &&(usize, pulse_bridge::media::Gap)| *of == track && gap.from_ms < end && start < gap.to_ms;
            if self.record.gaps.iter().find(covered).is_none() {
                let what = format!("{:?}, said {start}-{end}, is neither told nor in a gap", truth.words[at].text);
                self.fail("no word is lost", what, track, Some(start));
            }
        }
    }

    fn labels(&mut self, labels: &BTreeMap<&str, BTreeSet<u32>>, track: usize) {
        let mut given: BTreeMap<u32, u64> = BTreeMap::new();
        for (label, people) in labels {
            if people.len() > 1 {
                self.fail("a label stands for one person", format!("{label} for {people:?}"), track, None);
            }
            people.iter().for_each(|person| *given.entry(*person).or_default() += 1);
        }
        self.tally.relabelled += given.values().map(|labels| labels - 1).sum::<u64>();
    }

    /// What one track says comes in the order in which it was said.
    fn order(&mut self, track: usize) {
        let slack = TOLERANCE_MS + 2 * self.plan.service.jitter_ms;
        let mut last = 0;
        for heard in self.record.finals.iter().filter(|heard| heard.track == track) {
            if heard.start_ms + slack < last || heard.end_ms < heard.start_ms {
                let what = format!("{:?} at {} behind one at {last}", heard.text, heard.start_ms);
                self.fail("times of a track only grow", what, track, Some(heard.start_ms));
            }
            last = last.max(heard.start_ms);
        }
    }

    /// Every byte is covered or told.
    fn balance(&mut self, track: usize) {
        let Some(totals) = self.record.done[track].first() else { return };
        let lost: u64 = self.record.gaps.iter().filter(|(of, _)| *of == track).map(|(_, gap)| gap.to_ms - gap.from_ms).sum();
        let received = self.record.received_ms[track];
        // A service that never said its last word may leave the silence behind the last word open.
        let spoken = self.plan.tracks[track].words.iter().map(|word| word.end).max().unwrap_or(0);
        if totals.finalized_ms + lost + TOLERANCE_MS + self.plan.service.jitter_ms < received.min(spoken) {
            let what = format!("{} ms covered and {lost} ms told of {received} ms of {}", totals.finalized_ms, TRACKS[track]);
            self.fail("every byte is covered or told", what, track, None);
        }
    }
}

/// Where a word lies on the call's clock.
fn span(truth: &Truth, word: usize) -> (u64, u64) {
    (truth.clock(truth.words[word].start), truth.clock_end(truth.words[word].end))
}

fn tokens(heard: &Final) -> Vec<Token<'_>> {
    if heard.words.is_empty() {
        let near = (heard.start_ms.saturating_sub(NEAR_MS), heard.end_ms + NEAR_MS);
        return heard.text.split_whitespace().map(|text| Token { text, timed: None, near }).collect();
    }
    let timed = |word: &'_ crate::record::Heard| (word.start_ms, word.end_ms);
    let token = |word| {
        let (start, end) = timed(word);
        Token { text: &word.text, timed: Some((start, end, &word.speaker)), near: (start.saturating_sub(NEAR_MS), end + NEAR_MS) }
    };
    heard.words.iter().map(token).collect()
}

/// The word that is meant: of those that were not told yet, the nearest in time, or the first for one without times.
fn best(truth: &Truth, told: &[bool], token: &Token<'_>) -> Option<usize> {
    let from = truth.words.partition_point(|word| truth.clock_end(word.end) < token.near.0);
    let near = (from..truth.words.len()).take_while(|at| span(truth, *at).0 <= token.near.1);
    let mut fitting = near.filter(|at| !told[*at] && truth.words[*at].text == token.text);
    match token.timed {
        Some((start, ..)) => fitting.min_by_key(|at| span(truth, *at).0.abs_diff(start)),
        None => fitting.next(),
    }
}
