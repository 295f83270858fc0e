//! How the built-in engine keeps up.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::Metrics;

/// Its two values.
#[derive(Default)]
pub(super) struct Engine {
    lag: Gauge<f64, AtomicU64>,
    shed: Counter,
}

impl Engine {
    pub(super) fn register(&self, r: &mut Registry) {
        let help = "How long the oldest final that the built-in engine has to do has waited";
        r.register_with_unit("engine_lag", help, Unit::Seconds, self.lag.clone());
        r.register("engine_interims_shed", "Interims that the built-in engine left out for want of time", self.shed.clone());
    }
}

impl Metrics {
    /// How far behind the built-in engine is, and how many interims it has left out so far.
    pub fn engine(&self, lag: Duration, shed: u64) {
        self.engine.lag.set(lag.as_secs_f64());
        self.engine.shed.inc_by(shed.saturating_sub(self.engine.shed.get()));
    }
}
