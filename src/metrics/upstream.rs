//! What is counted of the session slots and connects of the process.

use std::{sync::atomic::AtomicI64, time::Instant};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::Metrics;

/// Slots and connects.
#[derive(Default)]
pub(super) struct Upstream {
    in_use: Gauge<i64, AtomicI64>,
    limit: Gauge<i64, AtomicI64>,
    waiting: Gauge<i64, AtomicI64>,
    queued: Counter,
    shrinks: Counter,
    connects_waited: Counter,
}

impl Upstream {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register("upstream_sessions", "Session slots of the speech service in use", self.in_use.clone());
        r.register("upstream_sessions_limit", "Slots that may be in use, by what the service last allowed", self.limit.clone());
        r.register("upstream_sessions_waiting", "Slots waited for", self.waiting.clone());
        r.register("upstream_sessions_queued", "Tracks that had to wait for a slot", self.queued.clone());
        r.register("upstream_sessions_shrinks", "Sessions that the service refused for its quota", self.shrinks.clone());
        r.register("upstream_connects_waited", "Connects that waited for the budget", self.connects_waited.clone());
    }
}

impl Metrics {
    /// Slots in use, slots that may be, slots waited for.
    pub fn sessions(&self, in_use: usize, limit: usize, waiting: usize) {
        let shown = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.upstream.in_use.set(shown(in_use));
        self.upstream.limit.set(shown(limit));
        self.upstream.waiting.set(shown(waiting));
    }

    /// A track waits for a slot.
    pub fn queued(&self) {
        self.upstream.queued.inc();
    }

    /// The service refused a session for its quota.
    pub fn quota_shrank(&self) {
        self.upstream.shrinks.inc();
    }

    /// A connect waits for the budget.
    pub fn connect_waited(&self) {
        self.upstream.connects_waited.inc();
    }

    /// The plan became full, or has room again. `Some` where a line in the log is due, with how many were left unsaid before it.
    pub fn plan_turned(&self, now: Instant) -> Option<u64> {
        self.sparing.say("plan_turned", now)
    }
}
