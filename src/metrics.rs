//! What is counted, as OpenMetrics.
//!
//! Promises: names and labels are those of the contract; no label ever holds text of a call; a registry is a value, so two
//! bridges fit in one process. Per frame nothing here is touched: streams add up their own counters and hand them over;
//! per chunk one time is added, without a lock.

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($field:ident),+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name { $($field: String),+ }
    };
}

mod capture;
mod engine;
mod redactions;
mod sparing;
mod spread;
mod upstream;

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64},
    },
    time::{Duration, Instant},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use self::{capture::Captures, engine::Engine, redactions::Redactions, sparing::Sparing, spread::Spread, upstream::Upstream};
use crate::{
    media::{EndReason, GapReason, Track},
    refusals::{Kind, Refusal},
    segment::Release,
};

/// Upper bounds of latency histograms, in seconds: from a twentieth of a millisecond to a minute.
const LATENCY_BUCKETS: [f64; 18] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

labels!(EndLabels { dialect, end_reason });
labels!(FrameLabels { dialect, track });
labels!(GapLabels { track, reason });
labels!(VerdictLabels { endpoint, verdict });
labels!(EndpointLabels { endpoint });
labels!(ReasonLabels { reason });
labels!(BatchLabels { verdict });
labels!(KindLabels { kind });

/// The bridge's counters.
pub struct Metrics {
    registry: Registry,
    calls_active: Gauge<i64, AtomicI64>,
    calls: Family<EndLabels, Counter>,
    frames: Family<FrameLabels, Counter>,
    gap_seconds: Family<GapLabels, Counter<f64, AtomicU64>>,
    redactions: Redactions,
    refused: Family<ReasonLabels, Counter>,
    turned_away: Family<ReasonLabels, Counter>,
    closed: Family<ReasonLabels, Counter>,
    sparing: Sparing,
    connections: Gauge<i64, AtomicI64>,
    strangers: Gauge<i64, AtomicI64>,
    unstarted: Gauge<i64, AtomicI64>,
    ignored: Family<ReasonLabels, Counter>,
    reconnects: Family<ReasonLabels, Counter>,
    upstream: Upstream,
    replayed: Counter<f64, AtomicU64>,
    batch: Family<BatchLabels, Counter>,
    backfilled: Counter<f64, AtomicU64>,
    bridge_latency: Spread,
    first_transcript: Histogram,
    upstream_final: Histogram,
    attempts: Family<VerdictLabels, Counter>,
    delivery: Histogram,
    removed: Family<KindLabels, Counter>,
    pending: Family<EndpointLabels, Gauge<i64, AtomicI64>>,
    parked: Family<EndpointLabels, Gauge<i64, AtomicI64>>,
    oldest: Family<EndpointLabels, Gauge<f64, AtomicU64>>,
    /// Whose backlogs have been told: those that the settings and the store have named in this run.
    told: Mutex<BTreeSet<String>>,
    endpoint_up: Family<EndpointLabels, Gauge<i64, AtomicI64>>,
    engine: Engine,
    captures: Captures,
}

fn histogram() -> Histogram {
    Histogram::new(LATENCY_BUCKETS)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("pulse_bridge"),
            calls_active: Gauge::default(),
            calls: Family::default(),
            frames: Family::default(),
            gap_seconds: Family::default(),
            redactions: Redactions::default(),
            refused: Family::default(),
            turned_away: Family::default(),
            closed: Family::default(),
            sparing: Sparing::default(),
            connections: Gauge::default(),
            strangers: Gauge::default(),
            unstarted: Gauge::default(),
            ignored: Family::default(),
            reconnects: Family::default(),
            upstream: Upstream::default(),
            replayed: Counter::default(),
            batch: Family::default(),
            backfilled: Counter::default(),
            bridge_latency: Spread::default(),
            first_transcript: histogram(),
            upstream_final: histogram(),
            attempts: Family::default(),
            delivery: histogram(),
            removed: Family::default(),
            pending: Family::default(),
            parked: Family::default(),
            oldest: Family::default(),
            told: Mutex::default(),
            endpoint_up: Family::default(),
            engine: Engine::default(),
            captures: Captures::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let seconds = || Unit::Seconds;
        let r = &mut self.registry;
        r.register("calls_active", "Calls on the line", self.calls_active.clone());
        r.register("calls", "Calls that ended", self.calls.clone());
        r.register("media_frames", "Audio frames received", self.frames.clone());
        r.register_with_unit("media_gap", "Audio that will never be transcribed", seconds(), self.gap_seconds.clone());
        self.redactions.register(r);
        r.register("streams_refused", "Media streams refused", self.refused.clone());
        r.register("streams_closed", "Media sockets that the bridge closed", self.closed.clone());
        r.register("connections_refused", "Connections and requests turned away", self.turned_away.clone());
        r.register("connections", "Connections that are open", self.connections.clone());
        r.register("connections_unauthenticated", "Those that have not shown who they are", self.strangers.clone());
        r.register("streams_unstarted", "Media sockets on which no call has begun yet", self.unstarted.clone());
        r.register("messages_ignored", "Messages of peers that were not used", self.ignored.clone());
        r.register("upstream_reconnects", "Links to the speech service opened again", self.reconnects.clone());
        self.upstream.register(r);
        r.register_with_unit(
            "bridge_latency",
            "Last byte of a chunk received to chunk written upstream",
            seconds(),
            self.bridge_latency.clone(),
        );
        r.register_with_unit(
            "upstream_first_transcript",
            "First chunk written on a connection to the first transcript heard on it",
            seconds(),
            self.first_transcript.clone(),
        );
        r.register_with_unit("upstream_replayed", "Audio sent again after a reconnect", seconds(), self.replayed.clone());
        r.register("upstream_batch_requests", "Requests to the batch endpoint that ended", self.batch.clone());
        r.register_with_unit(
            "upstream_backfilled",
            "Audio that the batch endpoint transcribed",
            seconds(),
            self.backfilled.clone(),
        );
        r.register_with_unit("upstream_final", "Speech end to final", seconds(), self.upstream_final.clone());
        r.register("webhook_attempts", "Deliveries tried", self.attempts.clone());
        r.register_with_unit("webhook_delivery", "Event made to attempt ended", seconds(), self.delivery.clone());
        r.register("retention_removed", "What was kept long enough and is removed", self.removed.clone());
        r.register("outbox_pending", "Deliveries waiting", self.pending.clone());
        r.register("webhook_endpoint_up", "1: deliveries go out as they are due; 0: ill or paused", self.endpoint_up.clone());
        r.register("outbox_parked", "Deliveries given up", self.parked.clone());
        self.engine.register(r);
        self.captures.register(r);
        r.register_with_unit("outbox_oldest", "Age of the oldest delivery waiting", seconds(), self.oldest.clone());
    }

    /// Everything, as OpenMetrics text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes all that is written");
        text
    }

    /// A call came on the line.
    pub fn call_began(&self) {
        self.calls_active.inc();
    }

    /// A call is no longer on the line.
    pub fn call_left(&self) {
        self.calls_active.dec();
    }

    /// A call's terminal event is stored.
    pub fn call_ended(&self, dialect: &str, reason: EndReason) {
        self.calls.get_or_create(&EndLabels { dialect: dialect.into(), end_reason: reason.as_str().into() }).inc();
    }

    /// A stream's frames of one track, handed over at its end.
    pub fn frames(&self, dialect: &str, track: Track, frames: u64) {
        self.frames.get_or_create(&FrameLabels { dialect: dialect.into(), track: track.to_string() }).inc_by(frames);
    }

    /// Audio that will never be transcribed.
    pub fn gap(&self, track: Track, reason: GapReason, ms: u64) {
        let labels = GapLabels { track: track.to_string(), reason: reason.as_str().into() };
        self.gap_seconds.get_or_create(&labels).inc_by(seconds(ms));
    }

    /// A final is stored.
    pub fn released(&self, release: &Release) {
        for redaction in &release.redactions {
            self.redacted(&redaction.kind, redaction.source);
        }
        if let Some(ms) = release.segment.latency.upstream_ms {
            self.upstream_final.observe(seconds(ms));
        }
    }

    /// A chunk was written upstream for the first time, so long after its last byte came. Takes no lock.
    pub fn chunk_written(&self, since_received: Duration) {
        self.bridge_latency.observe(since_received);
    }

    /// The first transcript of a connection came, so long after its first chunk was written.
    pub fn first_transcript(&self, since_written: Duration) {
        self.first_transcript.observe(since_written.as_secs_f64());
    }

    /// A link is closed; it sent so much audio again.
    pub fn replayed(&self, ms: u64) {
        self.replayed.inc_by(seconds(ms));
    }

    /// A batch request ended in this verdict; so much of the audio that it was for is transcribed now.
    pub fn batch(&self, verdict: &'static str, transcribed_ms: u64) {
        self.batch.get_or_create(&BatchLabels { verdict: verdict.into() }).inc();
        self.backfilled.inc_by(seconds(transcribed_ms));
    }

    /// A stream or a webhook was refused, by its reason's code. `Some` where a line in the log is due, with how many of that reason were
    /// left unsaid before it.
    pub fn refused(&self, reason: &'static str, now: Instant) -> Option<u64> {
        self.refused.get_or_create(&ReasonLabels { reason: reason.into() }).inc();
        self.sparing.say(reason, now)
    }

    /// A connection or a request was turned away, by its reason's code; as [`Metrics::refused`].
    pub fn turned_away(&self, reason: &'static str, now: Instant) -> Option<u64> {
        self.turned_away.get_or_create(&ReasonLabels { reason: reason.into() }).inc();
        self.sparing.say(reason, now)
    }

    /// A media socket was closed by us, by its reason's code.
    pub fn closed(&self, reason: &'static str) {
        self.closed.get_or_create(&ReasonLabels { reason: reason.into() }).inc();
    }

    /// Every reason that may be counted, at 0: a counter that appears with its first refusal hides it from whoever watches the growth.
    pub fn expect_reasons(&self, reasons: &[Refusal]) {
        for Refusal { kind, word, .. } in reasons {
            let counters = match kind {
                Kind::Connection => &self.turned_away,
                Kind::Stream => &self.refused,
                Kind::Close => &self.closed,
            };
            let _ = counters.get_or_create(&ReasonLabels { reason: (*word).into() });
        }
    }

    /// Who stands in the way in: connections, those of them that have not shown who they are, and media sockets without a call.
    pub fn entrance(&self, connections: usize, strangers: usize, unstarted: usize) {
        let shown = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.connections.set(shown(connections));
        self.strangers.set(shown(strangers));
        self.unstarted.set(shown(unstarted));
    }

    /// Messages of peers that were not used, by their reason's code.
    pub fn ignored(&self, reason: &'static str, count: u64) {
        self.ignored.get_or_create(&ReasonLabels { reason: reason.into() }).inc_by(count);
    }

    /// A link is tried again.
    pub fn reconnect(&self, reason: &'static str) {
        self.reconnects.get_or_create(&ReasonLabels { reason: reason.into() }).inc();
    }

    /// An attempt ended, so long after its event was made.
    pub fn attempt(&self, endpoint: &str, verdict: &'static str, since_event: Duration) {
        self.attempts.get_or_create(&VerdictLabels { endpoint: endpoint.into(), verdict: verdict.into() }).inc();
        self.delivery.observe(since_event.as_secs_f64());
    }

    /// So many of a kind were kept long enough and are removed.
    pub fn removed(&self, kind: &'static str, count: u64) {
        self.removed.get_or_create(&KindLabels { kind: kind.into() }).inc_by(count);
    }

    /// Whether an endpoint's deliveries go out as they are due: it is neither ill nor paused.
    pub fn endpoint_up(&self, endpoint: &str, is_up: bool) {
        self.endpoint_up.get_or_create(&EndpointLabels { endpoint: endpoint.to_owned() }).set(i64::from(is_up));
    }

    /// How many deliveries wait for an endpoint, how many are parked, and how long the oldest has waited.
    pub fn outbox(&self, endpoint: &str, pending: u64, parked: u64, oldest: Duration) {
        let labels = EndpointLabels { endpoint: endpoint.into() };
        self.pending.get_or_create(&labels).set(i64::try_from(pending).unwrap_or(i64::MAX));
        self.parked.get_or_create(&labels).set(i64::try_from(parked).unwrap_or(i64::MAX));
        self.oldest.get_or_create(&labels).set(oldest.as_secs_f64());
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(labels.endpoint);
    }

    /// The endpoints of which [`Metrics::outbox`] has told: one that is gone by now is to be told of as empty, or it would seem to wait for ever.
    pub fn outbox_told(&self) -> BTreeSet<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name of the contract, with what renders it.
    #[test]
    fn names_are_those_of_the_contract() {
        let metrics = Metrics::default();
        metrics.call_began();
        metrics.call_ended("twilio", EndReason::Stop);
        metrics.frames("twilio", Track::Inbound, 50);
        metrics.gap(Track::Inbound, GapReason::Disconnected, 1500);
        metrics.chunk_written(Duration::from_micros(1_500));
        metrics.chunk_written(Duration::from_secs(90));
        metrics.first_transcript(Duration::from_millis(700));
        metrics.sessions(2, 100, 3);
        metrics.reconnect("dropped");
        metrics.replayed(2_500);
        metrics.batch("heard", 90_500);
        metrics.redacted("SSN", "bridge");
        metrics.redaction_failed();
        metrics.removed("calls", 7);
        metrics.attempt("default", "delivered", Duration::from_millis(4));
        metrics.outbox("default", 3, 1, Duration::from_secs(2));
        metrics.engine(Duration::from_millis(1_500), 3, 0);
        metrics.engine(Duration::from_millis(1_500), 5, 1);
        let text = metrics.render();
        for line in [
            "calls_active 1",
            r#"calls_total{dialect="twilio",end_reason="stop"} 1"#,
            r#"media_frames_total{dialect="twilio",track="inbound"} 50"#,
            r#"media_gap_seconds_total{track="inbound",reason="disconnected"} 1.5"#,
            r#"bridge_latency_seconds_bucket{le="0.001"} 0"#,
            r#"bridge_latency_seconds_bucket{le="0.0025"} 1"#,
            r#"bridge_latency_seconds_bucket{le="60.0"} 1"#,
            r#"bridge_latency_seconds_bucket{le="+Inf"} 2"#,
            "bridge_latency_seconds_count 2",
            "bridge_latency_seconds_sum 90.0015",
            "upstream_first_transcript_seconds_count 1",
            "upstream_final_seconds_count 0",
            "upstream_sessions 2",
            r#"upstream_reconnects_total{reason="dropped"} 1"#,
            "upstream_replayed_seconds_total 2.5",
            r#"upstream_batch_requests_total{verdict="heard"} 1"#,
            "upstream_backfilled_seconds_total 90.5",
            r#"redactions_total{type="SSN",source="bridge"} 1"#,
            "redaction_failures_total 1",
            r#"webhook_attempts_total{endpoint="default",verdict="delivered"} 1"#,
            "webhook_delivery_seconds_count 1",
            r#"retention_removed_total{kind="calls"} 7"#,
            "engine_lag_seconds 1.5",
            "engine_interims_shed_total 5",
            "engine_failures_total 1",
            r#"outbox_pending{endpoint="default"} 3"#,
            r#"outbox_parked{endpoint="default"} 1"#,
            r#"outbox_oldest_seconds{endpoint="default"} 2"#,
        ] {
            assert!(text.contains(&format!("\npulse_bridge_{line}")), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
