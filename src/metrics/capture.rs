//! What became of calls that were to be recorded.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::Metrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: &'static str,
}

/// Its values.
#[derive(Default)]
pub(super) struct Captures(Family<Labels, Counter>);

impl Captures {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register("captures", "Calls that were to be recorded, by what became of that", self.0.clone());
    }
}

impl Metrics {
    /// The capture of a call is whole (`kept`) or was given up.
    pub fn captured(&self, outcome: &'static str) {
        self.captures.0.get_or_create(&Labels { outcome }).inc();
    }
}
