//! The receiver's sockets, and the command's output.
//!
//! Promises: a delivery is judged when it is answered, so what its sender did not wait for was not accepted; a connection that says
//! nothing, or too slowly, is given up; told to stop, it takes no more and is gone within [`FAREWELL`].

mod answer;
mod socket;

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Method, Request,
    body::Incoming,
    header::{self, HeaderName, HeaderValue},
    server::conn::http1,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::{
    answer::Answer,
    socket::{Reset, Socket},
};
use super::{
    BadSignature, Received, Settings, Signature, Summary,
    fail::{Plan, Planned},
    ledger::{Delivery, Ledger},
    verify,
};
use crate::clock;

/// The largest body taken; a `call.completed` with its whole transcript stays far below.
const MAX_BODY_BYTES: usize = 2 << 20;
/// The largest body read to its end only to refuse it.
const MAX_DISCARDED_BYTES: usize = 64 << 20;
/// Reports that may wait for whoever reads them; then deliveries wait.
const REPORTS: usize = 1024;
/// Connections at once; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4096;
/// For a request's header, and again for its body.
const READ_DEADLINE: Duration = Duration::from_secs(30);
/// How long answers under way may take when the receiver stops.
const FAREWELL: Duration = Duration::from_secs(2);
/// Pause after the system refused a socket, so that running out of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the `receive` command was given.
pub struct Arguments {
    /// What is checked, and how it fails.
    pub settings: Settings,
    /// One JSON object a delivery in place of a line, and one at the end.
    pub json: bool,
}

struct Shared {
    settings: Settings,
    reports: mpsc::Sender<Received>,
    memory: Mutex<Memory>,
}

struct Memory {
    ledger: Ledger,
    plan: Plan,
}

/// The command: prints each delivery to `out` until `shutdown`; gives what they came to. `listener` is bound, so its address can be shown
/// before.
///
/// # Errors
/// If the output breaks.
pub async fn command(
    listener: TcpListener,
    arguments: Arguments,
    shutdown: CancellationToken,
    out: &mut (impl Write + Send),
) -> anyhow::Result<Summary> {
    let (sender, mut reports) = mpsc::channel(REPORTS);
    let serving = tokio::spawn(serve(listener, arguments.settings, sender, shutdown));
    let mut print = |line: String| writeln!(out, "{line}").and_then(|()| out.flush()).context("failed to print");
    while let Some(received) = reports.recv().await {
        print(if arguments.json { serde_json::to_string(&received)? } else { received.to_string() })?;
    }
    let summary = serving.await.context("the receiver ended by a fault of its own")?;
    if arguments.json {
        print(serde_json::to_string(&serde_json::json!({ "summary": summary }))?)?;
    }
    Ok(summary)
}

/// Serves until `shutdown`; every `POST`, whatever its path, is a delivery. Gives what they all came to.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    reports: mpsc::Sender<Received>,
    shutdown: CancellationToken,
) -> Summary {
    let memory = Mutex::new(Memory { ledger: Ledger::default(), plan: Plan::new(settings.fail.clone()) });
    let shared = Arc::new(Shared { settings, reports, memory });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => drop(connections.spawn(converse(stream, Arc::clone(&shared), shutdown.clone()))),
                Err(why) => {
                    tracing::warn!(%why, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = shutdown.cancelled() => break,
        }
    }
    drop(listener);
    let _ = timeout(FAREWELL, async { while connections.join_next().await.is_some() {} }).await;
    connections.shutdown().await;
    let ledger = &shared.memory().ledger;
    Summary::new(ledger.counts(), ledger.missing())
}

/// Holds one connection to its end, request after request.
async fn converse(stream: TcpStream, shared: Arc<Shared>, shutdown: CancellationToken) {
    // Latency only; a socket that refuses it still works.
    let _ = stream.set_nodelay(true);
    let reset = Reset::default();
    let io = TokioIo::new(Socket::new(stream, reset.clone()));
    let service = hyper::service::service_fn(move |request| take(Arc::clone(&shared), reset.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_DEADLINE)
        .pipeline_flush(true)
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(why) = ended {
        tracing::debug!(%why, "a connection ended early");
    }
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Whoever panicked held counters only, each of them whole.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take(shared: Arc<Shared>, reset: Reset, request: Request<Incoming>) -> io::Result<Answer> {
    if request.method() != Method::POST {
        let mut answer = answer::empty(405);
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return Ok(answer);
    }
    let (head, body) = request.into_parts();
    let body = match timeout(READ_DEADLINE, read(body)).await {
        Ok(Ok(body)) => body,
        Ok(Err(status)) => return Ok(answer::empty(status)),
        Err(_) => return Ok(answer::empty(408)),
    };
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();
    let received = describe(&shared, &head.headers, body, &event);
    let planned = match received.signature {
        Signature::Refused(_) => None,
        Signature::Verified | Signature::Unchecked => shared.memory().plan.decide(&received.kind, received.seq),
    };
    let mut pending = Pending { shared: &shared, received: Some(received) };
    if let Some(delay) = planned.as_ref().and_then(|planned| planned.delay) {
        tokio::time::sleep(delay).await;
    }
    let received = pending.judge(planned.as_ref());
    let status = received.status;
    // Nobody reading the reports is no reason to refuse deliveries.
    let _ = shared.reports.send(received).await;
    match planned {
        Some(planned) => answer::of_plan(&planned, &reset).await,
        None => Ok(answer::empty(status)),
    }
}

/// Reads a whole body, or says with which status it is refused. What is too large is read on for a while: a sender that is still
/// writing when the connection is closed gets no answer at all.
async fn read(mut body: Incoming) -> Result<Bytes, u16> {
    let (mut kept, mut all) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| 400_u16)?.into_data() else { continue };
        all += data.len();
        if all <= MAX_BODY_BYTES {
            kept.extend_from_slice(&data);
        } else if all > MAX_DISCARDED_BYTES {
            return Err(413);
        }
    }
    if all > MAX_BODY_BYTES { Err(413) } else { Ok(kept.freeze()) }
}

/// A delivery that has no answer yet. Dropped, its sender has left.
struct Pending<'a> {
    shared: &'a Shared,
    received: Option<Received>,
}

impl Pending<'_> {
    /// Decides about the delivery and notes it.
    fn judge(&mut self, planned: Option<&Planned>) -> Received {
        let mut received = self.received.take().expect("a delivery is judged once");
        let mut memory = self.shared.memory();
        let ledger = &mut memory.ledger;
        match planned {
            _ if matches!(received.signature, Signature::Refused(_)) => {
                ledger.refuse();
                received.status = 401;
            }
            Some(planned) if !planned.way.accepts() => {
                ledger.fail();
                received.status = planned.way.status().unwrap_or(0);
            }
            _ => {
                received.order = Some(ledger.accept(&Delivery {
                    webhook_id: received.webhook_id.as_deref(),
                    kind: &received.kind,
                    session_id: received.session_id.as_deref(),
                    seq: received.seq,
                }));
                received.status = planned.and_then(|planned| planned.way.status()).unwrap_or(204);
            }
        }
        received.failed = planned.map(|planned| planned.way.as_str());
        received.number = ledger.deliveries();
        received
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let Some(received) = self.received.take() else { return };
        let number = {
            let mut memory = self.shared.memory();
            memory.ledger.abandon();
            memory.ledger.deliveries()
        };
        let _ = self.shared.reports.try_send(Received { number, failed: Some("left"), ..received });
    }
}

/// What a delivery says about itself, and whether it is from whom it should be.
fn describe(shared: &Shared, headers: &HeaderMap, body: Bytes, event: &Value) -> Received {
    let signature = match check(shared, headers, &body) {
        _ if shared.settings.secrets.is_empty() => Signature::Unchecked,
        Ok(()) => Signature::Verified,
        Err(why) => Signature::Refused(why),
    };
    let named = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Received {
        number: 0,
        webhook_id: text(headers, "webhook-id").map(str::to_owned),
        kind: event["type"].as_str().unwrap_or("?").to_owned(),
        session_id: event["data"]["session_id"].as_str().map(str::to_owned),
        seq: event["data"]["seq"].as_u64(),
        signature,
        order: None,
        status: 0,
        failed: None,
        body,
        headers: headers.iter().map(named).collect(),
    }
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
