//! What was taken out of transcripts, and how often that could not be done.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::Metrics;

labels!(RedactionLabels { r#type, source });

/// Its values.
#[derive(Default)]
pub(super) struct Redactions {
    taken_out: Family<RedactionLabels, Counter>,
    failed: Counter,
}

impl Redactions {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register("redactions", "Things taken out of transcripts", self.taken_out.clone());
        let help = "Texts withheld because the search for personal data broke or would have taken too long";
        r.register("redaction_failures", help, self.failed.clone());
    }
}

impl Metrics {
    pub(super) fn redacted(&self, kind: &str, source: &str) {
        self.redactions.taken_out.get_or_create(&RedactionLabels { r#type: kind.into(), source: source.into() }).inc();
    }

    /// A text could not be searched and was withheld.
    pub fn redaction_failed(&self) {
        self.redactions.failed.inc();
    }
}
