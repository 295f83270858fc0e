//! How the built-in engine keeps up.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::Metrics;

/// Its values.
#[derive(Default)]
pub(super) struct Engine {
    lag: Gauge<f64, AtomicU64>,
    shed: Counter,
    failed: Counter,
}

impl Engine {
    pub(super) fn register(&self, r: &mut Registry) {
        let help = "How long the oldest final that the built-in engine has to do has waited";
        r.register_with_unit("engine_lag", help, Unit::Seconds, self.lag.clone());
        r.register("engine_interims_shed", "Interims that the built-in engine left out for want of time", self.shed.clone());
        r.register("engine_failures", "Times that the built-in engine failed on a piece of speech", self.failed.clone());
    }
}

impl Metrics {
    /// How far behind the built-in engine is, how many interims it has left out so far, and how often it has failed.
    pub fn engine(&self, lag: Duration, shed: u64, failed: u64) {
        self.engine.lag.set(lag.as_secs_f64());
        self.engine.shed.inc_by(shed.saturating_sub(self.engine.shed.get()));
        self.engine.failed.inc_by(failed.saturating_sub(self.engine.failed.get()));
    }
}
