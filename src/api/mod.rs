//! The HTTP side: media sockets, Twilio's webhooks, health, metrics and the operator's API.
//!
//! Promises: routes are those of the contract; what it names and this version lacks answers 404 and says so; every body and
//! header that is read has a bound in size and in time; only Twilio's webhooks and the operator's own requests have bodies that are read.

pub mod access;
pub mod calls;
pub mod deliveries;
pub mod health;
pub mod ingress;
pub mod problem;
pub mod steer;
pub mod twilio;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::{from_fn_with_state, map_response},
    routing::{any, delete, get, post},
};
use problem::Problem;
use secrecy::SecretString;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{accept::Entrance, admission::Calls, config::Config, metrics::Metrics, store::Store, stream::StreamLimits};

/// Largest body of a request, in bytes: Twilio's forms are a few kilobytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// What every route works with.
#[derive(Clone)]
pub struct Bridge(Arc<Parts>);

/// See [`Bridge`].
pub struct Parts {
    /// The settings.
    pub config: Config,
    /// The door to all sessions.
    pub calls: Calls,
    /// Where everything is kept.
    pub store: Store,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The way in, and who stands in it.
    pub entrance: Entrance,
    /// The addresses under which we are known: the public one, or the listener's own.
    pub origins: Vec<Url>,
    /// Every socket runs on it.
    pub tasks: TaskTracker,
    /// No more calls are taken.
    pub shutdown: CancellationToken,
}

impl Bridge {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The door to all sessions.
    pub fn calls(&self) -> &Calls {
        &self.0.calls
    }

    /// Where everything is kept.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// The way in, and who stands in it.
    pub fn entrance(&self) -> &Entrance {
        &self.0.entrance
    }

    /// The addresses under which we are known; never empty.
    pub fn origins(&self) -> &[Url] {
        &self.0.origins
    }

    /// The first of [`Bridge::origins`]: the one to give out.
    pub fn origin(&self) -> &Url {
        &self.0.origins[0]
    }

    fn api_token(&self) -> Option<&SecretString> {
        self.0.config.api_token.as_ref()
    }

    fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    fn shutdown(&self) -> &CancellationToken {
        &self.0.shutdown
    }

    fn stream_limits(&self) -> StreamLimits {
        let config = self.config();
        StreamLimits {
            silence: config.ingest.silence,
            max_call: config.ingest.max_call,
            chunk_ms: config.upstream.chunk_ms,
            ..StreamLimits::default()
        }
    }
}

/// All routes of the contract.
pub fn router(bridge: Bridge) -> Router {
    let operator = Router::new()
        .route("/v1/calls", get(calls::list))
        .route("/v1/calls/{sid}", get(calls::one))
        .route("/v1/calls/{sid}", delete(calls::erase))
        .route("/v1/calls/{sid}/transcript", get(calls::transcript))
        .route("/v1/calls/{sid}/events", get(calls::events))
        .route("/v1/calls/{sid}/finalize", post(steer::finalize))
        .route("/v1/calls/{sid}/language", post(steer::language))
        .route("/v1/calls/{sid}/pause", post(steer::pause))
        .route("/v1/calls/{sid}/resume", post(steer::resume))
        .route("/v1/calls/{sid}/{verb}", any(async || Problem::not_built("this route of a call")))
        .route("/v1/live", get(async || Problem::not_built("the live feed")))
        .route("/v1/deliveries", get(deliveries::list))
        .route("/v1/deliveries/retry", post(deliveries::retry_all))
        .route("/v1/deliveries/{id}", get(deliveries::one))
        .route("/v1/deliveries/{id}/retry", post(deliveries::retry))
        .route("/metrics", get(health::metrics))
        .route_layer(from_fn_with_state(bridge.clone(), access::operator_only));
    Router::new()
        .merge(operator)
        .route("/media/twilio", get(ingress::twilio))
        .route("/media/twilio/", get(ingress::twilio))
        .route("/media/twilio/{token}", get(ingress::twilio_with_token))
        .route("/media/{*path}", any(ingress::other))
        .route("/twilio/voice", post(twilio::voice))
        .route("/twilio/status", post(twilio::status))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/schemas/{file}", get(health::schema))
        .route("/", get(async || Problem::not_built("the dashboard")))
        .route("/login", post(async || Problem::not_built("the dashboard")))
        .route("/logout", post(async || Problem::not_built("the dashboard")))
        .route("/openapi.json", get(async || Problem::not_built("the API's description")))
        .fallback(|| async { Problem::not_found("there is no such route") })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(map_response(problem::in_our_form))
        .with_state(bridge)
}
