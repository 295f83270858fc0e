//! What has come so far: seen before or not, and whether each session's `seq` runs on.
//!
//! Promises: pure; a delivery with a known `webhook-id` is a duplicate whatever its body; a gap is told once, and counting goes on
//! behind it.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

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
    /// Refused on purpose.
    pub failed: u64,
    /// Accepted before.
    pub duplicates: u64,
    /// Came when another `seq` was expected.
    pub out_of_order: u64,
    /// Sessions whose `call.completed` came with every `seq` before it.
    pub complete_sessions: u64,
    /// Sessions seen.
    pub sessions: u64,
}

/// The receiver's memory.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    ids: HashSet<String>,
    sessions: BTreeMap<String, Seen>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Seen {
    highest: u64,
    /// Every `seq` that came.
    distinct: HashSet<u64>,
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
        if delivery.webhook_id.is_some_and(|id| !self.ids.insert(id.to_owned())) {
            self.counts.duplicates += 1;
            return Order::Duplicate;
        }
        let (Some(session), Some(seq)) = (delivery.session_id, delivery.seq) else { return Order::Unnumbered };
        let seen = self.sessions.entry(session.to_owned()).or_default();
        let expected = seen.highest + 1;
        seen.highest = seen.highest.max(seq);
        seen.distinct.insert(seq);
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

    /// Notes a delivery that is refused on purpose.
    pub(super) fn fail(&mut self) {
        self.counts.deliveries += 1;
        self.counts.failed += 1;
    }

    /// How many deliveries came so far.
    pub(super) fn deliveries(&self) -> u64 {
        self.counts.deliveries
    }

    /// The counts so far.
    pub(super) fn counts(&self) -> Counts {
        let complete =
            |seen: &&Seen| seen.last_seq.is_some_and(|last| seen.highest == last && seen.distinct.len() as u64 == last);
        Counts {
            complete_sessions: self.sessions.values().filter(complete).count() as u64,
            sessions: self.sessions.len() as u64,
            ..self.counts.clone()
        }
    }
}

#[cfg(test)]
mod tests {
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
        accept(&mut ledger, "c", "s", 3, "call.completed");
        assert_eq!(ledger.counts().complete_sessions, 0);
        accept(&mut ledger, "b", "s", 2, "transcript.final");
        assert_eq!(ledger.counts().complete_sessions, 1);
    }

    #[test]
    fn what_carries_no_seq_is_outside_the_order() {
        let delivery = Delivery { webhook_id: None, kind: "ping", session_id: None, seq: None };
        assert_eq!(Ledger::default().accept(&delivery), Order::Unnumbered);
    }
}
