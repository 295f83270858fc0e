//! One POST over a pooled HTTP client.
//!
//! Promises: an attempt ends within [`ATTEMPT_DEADLINE`], whatever the receiver does; redirects are not followed; at most
//! [`ANSWER_READ_BYTES`] of an answer are read. The connector (see `net.rs`) decides whom it may dial.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, header};
use hyper_util::{
    client::legacy::{Client, connect::Connect},
    rt::{TokioExecutor, TokioTimer},
};

use super::{ANSWER_KEPT_BYTES, Answer, Attempt, Endpoint, Failure, sign};
use crate::{clock, net::DialError};

/// For connecting, headers and body together. Contract, section Events.
pub const ATTEMPT_DEADLINE: Duration = Duration::from_secs(15);
/// The most that is read of an answer.
pub const ANSWER_READ_BYTES: usize = 16 * 1024;
/// How long an unused connection is kept: less than the 60 s after which common servers and load balancers close.
const POOL_IDLE: Duration = Duration::from_secs(50);
const USER_AGENT: &str = concat!("pulse-bridge/", env!("CARGO_PKG_VERSION"));

/// Posts events through connections that `C` dials.
#[derive(Clone)]
pub struct Poster<C> {
    client: Client<C, Full<Bytes>>,
    deadline: Duration,
}

impl<C: Connect + Clone + Send + Sync + 'static> Poster<C> {
    /// A client with its own pool.
    pub fn new(connector: C) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(POOL_IDLE);
        // Without it hyper reads up to 400 KiB ahead of who asks.
        builder.http1_max_buf_size(ANSWER_READ_BYTES);
        Self { client: builder.build(connector), deadline: ATTEMPT_DEADLINE }
    }

    /// Signs and posts one body; never fails but in its [`Attempt::outcome`].
    pub async fn post(&self, endpoint: &Endpoint, event_id: &str, body: Bytes) -> Attempt {
        let (began, wall_ms) = (clock::now(), clock::wall_ms());
        let exchange = self.exchange(endpoint, event_id, body, wall_ms / 1000);
        let outcome = tokio::time::timeout(self.deadline, exchange).await.unwrap_or(Err(Failure::Timeout));
        Attempt { wall_ms, took: clock::now().saturating_duration_since(began), outcome }
    }

    async fn exchange(&self, endpoint: &Endpoint, event_id: &str, body: Bytes, timestamp_s: u64) -> Result<Answer, Failure> {
        let request = signed(endpoint, event_id, body, timestamp_s).map_err(|_| Failure::Unreachable)?;
        let response = self.client.request(request).await.map_err(|error| failure(&error, error.is_connect()))?;
        answer(response).await
    }
}

/// The request of one attempt at `timestamp_s`, in seconds since 1970-01-01 UTC, with its signatures.
///
/// # Errors
/// If the endpoint's address cannot stand in a request.
pub fn signed(endpoint: &Endpoint, event_id: &str, body: Bytes, timestamp_s: u64) -> hyper::http::Result<Request<Full<Bytes>>> {
    let signature = sign::sign(endpoint.keys(), event_id, timestamp_s, &body);
    Request::post(endpoint.url().as_str())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, USER_AGENT)
        .header(sign::ID_HEADER, event_id)
        .header(sign::TIMESTAMP_HEADER, timestamp_s)
        .header(sign::SIGNATURE_HEADER, signature)
        .body(Full::new(body))
}

async fn answer(response: Response<Incoming>) -> Result<Answer, Failure> {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (mut body, mut kept, mut read) = (response.into_body(), Vec::new(), 0);
    while read < ANSWER_READ_BYTES {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|error| failure(&error, false))?;
        let Ok(data) = frame.into_data() else { break };
        read += data.len();
        let room = ANSWER_KEPT_BYTES - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
    }
    Ok(Answer { status, retry_after, kept })
}

/// Sorts an error by the first cause in its chain that says enough.
fn failure(error: &(dyn Error + 'static), connecting: bool) -> Failure {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<DialError>() {
            Some(DialError::Tls { trouble, .. }) => return Failure::Tls(*trouble),
            Some(DialError::Timeout { .. }) => return Failure::Timeout,
            _ => {}
        }
        if error.downcast_ref::<hyper::Error>().is_some_and(|error| error.is_parse() || error.is_parse_too_large()) {
            return Failure::NotHttp;
        }
        cause = error.source();
    }
    if connecting { Failure::Unreachable } else { Failure::Reset }
}

#[cfg(test)]
mod tests;
