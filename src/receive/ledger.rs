//! What has come so far: seen before or not, and whether each session's `seq` runs on.
//!
//! Promises: pure; a delivery with a known `webhook-id` is a duplicate whatever its body; a gap is told once, and counting goes on
//! behind it; memory is bounded: of what came longest ago the oldest is forgotten.

use std::collections::{BTreeMap, HashSet, VecDeque};

use serde::Serialize;

/// Ids remembered; far more than retries can be behind.
const MAX_IDS: usize = 200_000;
/// Sessions remembered.
const MAX_SESSIONS: usize = 20_000;
/// Runs of `seq` remembered of a session; a sender in order has one.
const MAX_RUNS: usize = 1_000;

/// How a delivery stands to what came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// One more than the session's highest `seq` so far; 1 where none came.
    Next,
    /// Its `webhook-id` was accepted before.
    Duplicate,
    /// Another `seq` than this one should have come.
    Gap {
        /// The one that is missing.
        expected: u64,
    },
    /// It carries no `seq`: opt-in events and pings do not.
    Unnumbered,
}

/// Counts over all deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Deliveries of any kind.
    pub deliveries: u64,
    /// Answered 2xx, duplicates included.
    pub accepted: u64,
    /// Refused for their signature.
    pub forged: u64,
    /// Failed on purpose.
    pub failed: u64,
    /// Their sender left before it had an answer.
    pub abandoned: u64,
    /// Accepted before.
    pub duplicates: u64,
    /// Came when another `seq` was expected.
    pub out_of_order: u64,
    /// Sessions whose `call.completed` came with every `seq` before it.
    pub complete_sessions: u64,
    /// Sessions seen.
    pub sessions: u64,
}

/// A session of which not every event came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Whose.
    pub session_id: String,
    /// Whether its `call.completed` has come, so that nothing may follow.
    pub completed: bool,
    /// Runs of `seq` that did not come, each with its first and last.
    pub seqs: Vec<(u64, u64)>,
}

/// The receiver's memory.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    ids: HashSet<String>,
    /// The same, oldest first.
    order_of_ids: VecDeque<String>,
    sessions: BTreeMap<String, Seen>,
    /// Sessions forgotten, and how many of them were complete.
    forgotten: (u64, u64),
    counts: Counts,
}

#[derive(Debug, Default)]
struct Seen {
    /// Every `seq` that came, as runs of first and last, in order and never touching.
    runs: Vec<(u64, u64)>,
    last_seq: Option<u64>,
}

/// What a delivery says about itself.
pub(super) struct Delivery<'a> {
    pub(super) webhook_id: Option<&'a str>,
    pub(super) kind: &'a str,
    pub(super) session_id: Option<&'a str>,
    pub(super) seq: Option<u64>,
}

impl Ledger {
    /// Notes a delivery that is being accepted.
    pub(super) fn accept(&mut self, delivery: &Delivery<'_>) -> Order {
        self.counts.deliveries += 1;
        self.counts.accepted += 1;
        if delivery.webhook_id.is_some_and(|id| !self.is_new(id)) {
            self.counts.duplicates += 1;
            return Order::Duplicate;
        }
        let (Some(session), Some(seq)) = (delivery.session_id, delivery.seq) else { return Order::Unnumbered };
        if !self.sessions.contains_key(session) && self.sessions.len() >= MAX_SESSIONS {
            self.forget_one();
        }
        let seen = self.sessions.entry(session.to_owned()).or_default();
        let expected = seen.highest().saturating_add(1);
        seen.note(seq);
        if delivery.kind == "call.completed" {
            seen.last_seq = Some(seq);
        }
        if seq == expected {
            return Order::Next;
        }
        self.counts.out_of_order += 1;
        Order::Gap { expected }
    }

    /// Notes a delivery with a wrong signature.
    pub(super) fn refuse(&mut self) {
        self.counts.deliveries += 1;
        self.counts.forged += 1;
    }

    /// Notes a delivery that fails on purpose.
    pub(super) fn fail(&mut self) {
        self.counts.deliveries += 1;
        self.counts.failed += 1;
    }

    /// Notes a delivery whose sender did not wait for the answer.
    pub(super) fn abandon(&mut self) {
        self.counts.deliveries += 1;
        self.counts.abandoned += 1;
    }

    /// How many deliveries came so far.
    pub(super) fn deliveries(&self) -> u64 {
        self.counts.deliveries
    }

    /// The counts so far.
    pub(super) fn counts(&self) -> Counts {
        let complete = self.sessions.values().filter(|seen| seen.is_complete()).count() as u64;
        let (forgotten, forgotten_complete) = self.forgotten;
        Counts {
            complete_sessions: complete + forgotten_complete,
            sessions: self.sessions.len() as u64 + forgotten,
            ..self.counts.clone()
        }
    }

    /// The sessions of which something is missing, by id.
    pub(super) fn missing(&self) -> Vec<Missing> {
        let missing = |(session, seen): (&String, &Seen)| {
            let seqs = seen.gaps();
            let completed = seen.last_seq.is_some();
            (!seqs.is_empty()).then(|| Missing { session_id: session.clone(), completed, seqs })
        };
        self.sessions.iter().filter_map(missing).collect()
    }

    /// Remembers an id; whether it was not known.
    fn is_new(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order_of_ids.push_back(id.to_owned());
        if self.order_of_ids.len() > MAX_IDS
            && let Some(oldest) = self.order_of_ids.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }

    /// Forgets the oldest session that is complete, or else the oldest; ids begin with their time.
    fn forget_one(&mut self) {
        let complete = self.sessions.iter().find(|(_, seen)| seen.is_complete()).map(|(session, _)| session.clone());
        self.forgotten.0 += 1;
        match complete {
            Some(session) => {
                self.forgotten.1 += 1;
                self.sessions.remove(&session);
            }
            None => drop(self.sessions.pop_first()),
        }
    }
}

impl Seen {
    fn highest(&self) -> u64 {
        self.runs.last().map_or(0, |(_, last)| *last)
    }

    fn note(&mut self, seq: u64) {
        let at = self.runs.partition_point(|(_, last)| last.saturating_add(1) < seq);
        let has_room = self.runs.len() < MAX_RUNS;
        match self.runs.get_mut(at) {
            Some((first, last)) if *first <= seq && seq <= *last => {}
            Some((_, last)) if last.saturating_add(1) == seq => {
                *last = seq;
                if let Some((next, end)) = self.runs.get(at + 1).copied()
                    && seq.saturating_add(1) == next
                {
                    self.runs[at].1 = end;
                    self.runs.remove(at + 1);
                }
            }
            Some((first, _)) if seq.saturating_add(1) == *first => *first = seq,
            _ if has_room => self.runs.insert(at, (seq, seq)),
            _ => {}
        }
    }

    /// What lies between the runs from 1 on; `call.completed` says where they end.
    fn gaps(&self) -> Vec<(u64, u64)> {
        let mut next = 1;
        let mut gaps = Vec::new();
        for (first, last) in &self.runs {
            if *first > next {
                gaps.push((next, first - 1));
            }
            next = last.saturating_add(1);
        }
        gaps
    }

    fn is_complete(&self) -> bool {
        self.last_seq.is_some_and(|last| self.runs.as_slice() == [(1, last)])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accept(ledger: &mut Ledger, id: &str, session: &str, seq: u64, kind: &str) -> Order {
        ledger.accept(&Delivery { webhook_id: Some(id), kind, session_id: Some(session), seq: Some(seq) })
    }

    #[test]
    fn seq_is_checked_for_each_session_by_itself() {
        let mut ledger = Ledger::default();
        assert_eq!(accept(&mut ledger, "a", "s1", 1, "call.started"), Order::Next);
        assert_eq!(accept(&mut ledger, "b", "s2", 1, "call.started"), Order::Next);
        assert_eq!(accept(&mut ledger, "c", "s1", 3, "transcript.final"), Order::Gap { expected: 2 });
        assert_eq!(accept(&mut ledger, "d", "s1", 4, "transcript.final"), Order::Next);
        assert_eq!(accept(&mut ledger, "e", "s1", 2, "transcript.final"), Order::Gap { expected: 5 });
        assert_eq!(ledger.counts().out_of_order, 2);
    }

    #[test]
    fn a_known_id_is_a_duplicate_and_does_not_disturb_the_order() {
        let mut ledger = Ledger::default();
        accept(&mut ledger, "a", "s", 1, "call.started");
        assert_eq!(accept(&mut ledger, "a", "s", 1, "call.started"), Order::Duplicate);
        assert_eq!(accept(&mut ledger, "b", "s", 2, "call.completed"), Order::Next);
        let counts = ledger.counts();
        assert_eq!((counts.accepted, counts.duplicates, counts.complete_sessions), (3, 1, 1));
    }

    #[test]
    fn a_session_is_complete_only_with_every_seq_up_to_its_end() {
        let mut ledger = Ledger::default();
        accept(&mut ledger, "a", "s", 1, "call.started");
        accept(&mut ledger, "d", "s", 5, "call.completed");
        accept(&mut ledger, "e", "t", 2, "transcript.final");
        let missing = |session: &str, completed, seqs: &[(u64, u64)]| Missing {
            session_id: session.to_owned(),
            completed,
            seqs: seqs.to_vec(),
        };
        assert_eq!(ledger.missing(), [missing("s", true, &[(2, 4)]), missing("t", false, &[(1, 1)])]);
        accept(&mut ledger, "b", "s", 3, "transcript.final");
        assert_eq!(ledger.missing()[0].seqs, [(2, 2), (4, 4)]);
        assert_eq!(ledger.counts().complete_sessions, 0);
        accept(&mut ledger, "c", "s", 2, "transcript.final");
        accept(&mut ledger, "f", "s", 4, "transcript.final");
        assert_eq!((ledger.missing().len(), ledger.counts().complete_sessions), (1, 1));
    }

    #[test]
    fn what_carries_no_seq_is_outside_the_order() {
        let delivery = Delivery { webhook_id: None, kind: "ping", session_id: None, seq: None };
        assert_eq!(Ledger::default().accept(&delivery), Order::Unnumbered);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_counts_go_on() {
        let mut ledger = Ledger::default();
        for number in 0..MAX_SESSIONS + 10 {
            accept(&mut ledger, &format!("{number}"), &format!("ses_{number:08}"), 1, "call.completed");
        }
        for number in 0..2 * MAX_RUNS as u64 {
            accept(&mut ledger, &format!("x{number}"), "ses_x", 2 * number, "transcript.final");
        }
        accept(&mut ledger, "last", "ses_x", u64::MAX, "transcript.final");
        accept(&mut ledger, "over", "ses_x", u64::MAX, "transcript.final");
        assert!(ledger.sessions.len() <= MAX_SESSIONS && ledger.sessions["ses_x"].runs.len() <= MAX_RUNS);
        let counts = ledger.counts();
        assert_eq!((counts.sessions, counts.complete_sessions), (MAX_SESSIONS as u64 + 11, MAX_SESSIONS as u64 + 10));
    }

    proptest! {
        #[test]
        fn runs_are_what_came_whatever_the_order(seqs in proptest::collection::vec(1_u64..40, 0..60)) {
            let mut seen = Seen::default();
            seqs.iter().for_each(|seq| seen.note(*seq));
            for seq in 1..40 {
                let is_there = seen.runs.iter().any(|(first, last)| (*first..=*last).contains(&seq));
                prop_assert_eq!(is_there, seqs.contains(&seq));
                let is_gap = seen.gaps().iter().any(|(first, last)| (*first..=*last).contains(&seq));
                prop_assert_eq!(is_gap, !is_there && seq < seen.highest());
            }
            prop_assert!(seen.runs.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        }
    }
}
