//! The receiver's socket, and the command's output.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    BadSignature, Counts, Received, Settings, Signature,
    ledger::{Delivery, Ledger},
    verify,
};
use crate::clock;

/// The largest body taken; a `call.completed` with its whole transcript stays far below.
const MAX_BODY_BYTES: usize = 2 << 20;
/// Reports that may wait for whoever reads them; then deliveries wait.
const REPORTS: usize = 1024;

/// What the `receive` command was given.
pub struct Arguments {
    /// What is checked, and how it fails.
    pub settings: Settings,
    /// One JSON object a delivery in place of a line.
    pub json: bool,
}

struct Shared {
    settings: Settings,
    reports: mpsc::Sender<Received>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    ledger: Ledger,
    /// Deliveries that the fail spec is about.
    fitting: u64,
}

/// The command: prints each delivery to `out` until `shutdown`; gives the counts. `listener` is bound, so its address can be shown before.
///
/// # Errors
/// If the listener or the output breaks.
pub async fn command(
    listener: TcpListener,
    arguments: Arguments,
    shutdown: CancellationToken,
    out: &mut (impl Write + Send),
) -> anyhow::Result<Counts> {
    let (sender, mut reports) = mpsc::channel(REPORTS);
    let serving = tokio::spawn(serve(listener, arguments.settings, sender, shutdown));
    while let Some(received) = reports.recv().await {
        let line = if arguments.json { serde_json::to_string(&received)? } else { received.to_string() };
        writeln!(out, "{line}").and_then(|()| out.flush()).context("failed to print")?;
    }
    Ok(serving.await.context("the receiver ended by a fault of its own")??)
}

/// Serves until `shutdown`; every `POST`, whatever its path, is a delivery. Gives the counts over all of them.
///
/// # Errors
/// If the listener breaks.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    reports: mpsc::Sender<Received>,
    shutdown: CancellationToken,
) -> io::Result<Counts> {
    let shared = Arc::new(Shared { settings, reports, memory: Mutex::default() });
    let router = Router::new().fallback(axum::routing::post(take)).with_state(Arc::clone(&shared));
    axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await?;
    Ok(shared.memory().ledger.counts())
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Whoever panicked held counters only, each of them whole.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Body) -> Response {
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();
    let kind = event["type"].as_str().unwrap_or("?").to_owned();
    let planned = {
        let mut memory = shared.memory();
        let fitting = memory.fitting;
        let fits = shared.settings.fail.fits(&kind);
        memory.fitting += u64::from(fits);
        if fits { shared.settings.fail.plan(fitting) } else { super::fail::Planned::default() }
    };
    if let Some(delay) = planned.delay {
        tokio::time::sleep(delay).await;
    }
    let received = judge(&shared, &headers, body, kind, &event, planned.status);
    let status = StatusCode::from_u16(received.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // Nobody reading the reports is no reason to refuse deliveries.
    let _ = shared.reports.send(received).await;
    let mut response = status.into_response();
    if let Some(seconds) = planned.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Decides about a delivery and notes it.
fn judge(shared: &Shared, headers: &HeaderMap, body: Bytes, kind: String, event: &Value, fails_with: Option<u16>) -> Received {
    let signature = match check(shared, headers, &body) {
        _ if shared.settings.secrets.is_empty() => Signature::Unchecked,
        Ok(()) => Signature::Verified,
        Err(why) => Signature::Refused(why),
    };
    let webhook_id = text(headers, "webhook-id").map(str::to_owned);
    let (session_id, seq) = (event["data"]["session_id"].as_str(), event["data"]["seq"].as_u64());
    let mut memory = shared.memory();
    let ledger = &mut memory.ledger;
    let (status, order) = match (&signature, fails_with) {
        (Signature::Refused(_), _) => {
            ledger.refuse();
            (401, None)
        }
        (_, Some(status)) if !(200..300).contains(&status) => {
            ledger.fail();
            (status, None)
        }
        (_, planned) => {
            let webhook_id = webhook_id.as_deref();
            let order = ledger.accept(&Delivery { webhook_id, kind: &kind, session_id, seq });
            (planned.unwrap_or(204), Some(order))
        }
    };
    let named = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let session_id = session_id.map(str::to_owned);
    let headers = headers.iter().map(named).collect();
    Received { number: ledger.deliveries(), webhook_id, kind, session_id, seq, signature, order, status, body, headers }
}

fn check(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Result<(), BadSignature> {
    let header = |name| text(headers, name).ok_or(BadSignature::BadHeader);
    let (id, timestamp, signed) = (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    verify(&shared.settings.secrets, id, timestamp, body, signed, clock::wall_ms() / 1000)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests;
