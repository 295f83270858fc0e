//! The dialler as hyper's HTTP client wants it.
//!
//! Promises: every connection of the client's pool was made by [`Dialler`], so its filter has seen each address dialled.
//! `Client::builder(TokioExecutor::new()).build(Connector::new(dialler, timeout))` is the whole wiring; the client follows no
//! redirects and knows no proxies.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Uri,
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tower_service::Service;
use url::Url;

use super::{DialError, Dialler, Stream};

/// Connects for an HTTP client; each connection has `timeout` for resolving, TCP and TLS together.
#[derive(Clone)]
pub struct Connector {
    dialler: Arc<Dialler>,
    timeout: Duration,
}

impl Connector {
    /// See [`Connector`].
    #[must_use]
    pub const fn new(dialler: Arc<Dialler>, timeout: Duration) -> Self {
        Self { dialler, timeout }
    }
}

impl Service<Uri> for Connector {
    type Response = HttpStream;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpStream, DialError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (dialler, deadline) = (Arc::clone(&self.dialler), crate::clock::now() + self.timeout);
        Box::pin(async move {
            let url = Url::parse(&uri.to_string()).map_err(|_| DialError::BadUrl)?;
            dialler.connect(&url, deadline).await.map(|stream| HttpStream(TokioIo::new(stream)))
        })
    }
}

/// A dialled stream in hyper's terms.
pub struct HttpStream(TokioIo<Box<dyn Stream>>);

impl Connection for HttpStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for HttpStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl Write for HttpStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
