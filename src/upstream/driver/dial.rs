//! One try to open the stream: dial, upgrade, and if the service refuses, its reason.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    sync::oneshot,
};
use tokio_tungstenite::{client_async_with_config, tungstenite};
use tungstenite::{
    client::IntoClientRequest,
    http::{HeaderMap, HeaderValue, Request, Response, header},
    protocol::WebSocketConfig,
};

use super::{Socket, Upstream};
use crate::{
    clock,
    net::{DialError, Stream},
    upstream::{Reason, Refusal, refusal::retry_after},
};

/// A link reads a few messages a second: a small buffer costs nothing and saves 124 KiB a track.
const READ_BUFFER: usize = 4 * 1024;
/// Largest message taken from the service; its longest finals are far under this.
const MAX_MESSAGE: usize = 256 * 1024;
/// Unwritten bytes at which a write fails: two seconds of audio many times over.
const MAX_WRITE_BUFFER: usize = 256 * 1024;
/// How much of a refusal's body is read, and for how long.
const MAX_BODY: usize = 4 * 1024;
const BODY_TIME: Duration = Duration::from_secs(1);

/// Opens one stream, or says why not, within the settings' `connect_timeout`.
pub(super) async fn dial(upstream: Arc<Upstream>, external_session_id: String) -> Result<Socket, Refusal> {
    let limit = upstream.settings.connect_timeout;
    let opened = tokio::time::timeout(limit, open(&upstream, &external_session_id)).await;
    let late = || Refusal::Unreachable { reason: Reason::before_a_call(&format!("no answer within {} ms", limit.as_millis())) };
    opened.unwrap_or_else(|_| Err(late()))
}

async fn open(upstream: &Upstream, external_session_id: &str) -> Result<Socket, Refusal> {
    let request = request(upstream, external_session_id)?;
    let deadline = clock::now() + upstream.settings.connect_timeout;
    let stream = upstream.dialler.connect(&upstream.url, deadline).await.map_err(|error| refused_dial(&error))?;
    upgrade(upstream, request, stream).await.0
}

/// Asks for the stream on a connection; beside what came of it, the `Date` of the answer.
pub(super) async fn upgrade(
    upstream: &Upstream,
    request: Request<()>,
    stream: Box<dyn Stream>,
) -> (Result<Socket, Refusal>, Option<String>) {
    let (lent, returned) = Lent::lend(stream);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    match client_async_with_config(request, lent, Some(config)).await {
        Ok((socket, answer)) => (Ok(socket), date(answer.headers())),
        Err(tungstenite::Error::Http(response)) => {
            let date = date(response.headers());
            (Err(refused_upgrade(*response, returned, upstream).await), date)
        }
        Err(error) => (Err(Refusal::Unreachable { reason: Reason::before_a_call(upgrade_failure(&error)) }), None),
    }
}

fn date(headers: &HeaderMap) -> Option<String> {
    headers.get(header::DATE).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// What is sent to ask for a stream.
pub(super) fn request(upstream: &Upstream, external_session_id: &str) -> Result<Request<()>, Refusal> {
    let bad_url = |()| Refusal::BadRequest { reason: Reason::before_a_call("upstream.url is no WebSocket address") };
    let mut url = upstream.parameters.url(&upstream.url, external_session_id);
    // A key in the URL would be logged on the way.
    url.set_username("").and_then(|()| url.set_password(None)).map_err(bad_url)?;
    let mut request = url.as_str().into_client_request().map_err(|_| bad_url(()))?;
    if let Some(key) = &upstream.api_key {
        let bearer = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()));
        let mut bearer = bearer
            .map_err(|_| Refusal::BadKey { reason: Reason::before_a_call("it has characters that no header can carry") })?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    request.headers_mut().insert("x-source", HeaderValue::from_static("pulse-bridge"));
    Ok(request)
}

fn refused_dial(error: &DialError) -> Refusal {
    let reason = Reason::before_a_call(&error.to_string());
    match error {
        DialError::Tls { .. } => Refusal::Tls { reason },
        _ => Refusal::Unreachable { reason },
    }
}

/// What went wrong in the upgrade, without repeating anything of the request.
const fn upgrade_failure(error: &tungstenite::Error) -> &'static str {
    match error {
        tungstenite::Error::Io(_) => "the connection broke during the upgrade",
        tungstenite::Error::Protocol(_) => "the answer to the upgrade was no WebSocket handshake",
        _ => "the upgrade failed",
    }
}

async fn refused_upgrade(
    response: Response<Option<Vec<u8>>>,
    returned: oneshot::Receiver<Box<dyn Stream>>,
    upstream: &Upstream,
) -> Refusal {
    let key = upstream.api_key.as_ref().map_or("", |key| key.expose_secret());
    let (head, body) = response.into_parts();
    let mut body = body.unwrap_or_default();
    let wanted = length(&head.headers).min(MAX_BODY);
    if let Ok(mut stream) = returned.await {
        let rest = async { while body.len() < wanted && stream.read_buf(&mut body).await.is_ok_and(|read| read > 0) {} };
        let _ = tokio::time::timeout(BODY_TIME, rest).await;
    }
    body.truncate(MAX_BODY);
    let wait = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let wait = wait.and_then(|value| retry_after(value, clock::wall_ms()));
    Refusal::from_status(head.status.as_u16(), wait, &body, key).naming(&body, &upstream.parameters)
}

/// How long a body to wait for; chunked bodies are taken as far as they came along with the head.
fn length(headers: &HeaderMap) -> usize {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    length.unwrap_or(if headers.contains_key(header::TRANSFER_ENCODING) { 0 } else { MAX_BODY })
}

/// A stream that returns to its owner when it is dropped: a failed handshake swallows its stream, but the body of the
/// refusal may still be on its way.
pub(super) struct Lent {
    stream: Option<Box<dyn Stream>>,
    back: Option<oneshot::Sender<Box<dyn Stream>>>,
}

impl Lent {
    fn lend(stream: Box<dyn Stream>) -> (Self, oneshot::Receiver<Box<dyn Stream>>) {
        let (back, returned) = oneshot::channel();
        (Self { stream: Some(stream), back: Some(back) }, returned)
    }

    fn inner(&mut self) -> Pin<&mut dyn Stream> {
        Pin::new(self.stream.as_mut().expect("the stream is there until the drop"))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(stream), Some(back)) = (self.stream.take(), self.back.take()) {
            // Nobody waits for it any more once the stream is open.
            let _ = back.send(stream);
        }
    }
}

impl AsyncRead for Lent {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_read(context, into)
    }
}

impl AsyncWrite for Lent {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(context)
    }
}
