//! The accept loop: TCP connections in, the router behind them, all bounded.
//!
//! Promises: a peer that connects and says nothing, or says its header too slowly, holds a socket for at most [`HEADER_TIMEOUT`]
//! (bodies have [`BODY_TIMEOUT`](crate::api::twilio::BODY_TIMEOUT), `WebSockets` the limits of their stream); no more than
//! [`MAX_CONNECTIONS`] are held at once beside the calls that may be on the line; when told to stop it takes no more and lets live `WebSockets` end by themselves.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, extract::ConnectInfo};
use hyper::{Request, body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

/// Longest time for a request's header to arrive (contract, Events, details).
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest request header, in bytes.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Most connections at once beside one for each call that is allowed, `WebSockets` included; beyond it new ones wait in the kernel's queue.
pub const MAX_CONNECTIONS: usize = 20_000;
/// Pause after the system refused a socket, so that running out of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` on `listener` until `shutdown`; returns when no more connections are taken. Connections run on `tasks`; `calls` may be
/// on the line at once.
pub async fn accept(listener: TcpListener, router: Router, calls: usize, tasks: &TaskTracker, shutdown: CancellationToken) {
    accept_into(Arc::new(Semaphore::new(MAX_CONNECTIONS + calls)), listener, router, tasks, shutdown).await;
}

async fn accept_into(
    places: Arc<Semaphore>,
    listener: TcpListener,
    router: Router,
    tasks: &TaskTracker,
    shutdown: CancellationToken,
) {
    let next = async || {
        let place = Arc::clone(&places).acquire_owned().await.expect("the places are never closed");
        listener.accept().await.map(|(socket, peer)| (Placed { socket, _place: place }, peer))
    };
    loop {
        let accepted = tokio::select! {
            accepted = next() => accepted,
            () = shutdown.cancelled() => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                tasks.spawn(serve(socket, peer, router.clone(), shutdown.clone()));
            }
            Err(why) => {
                tracing::warn!(%why, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection with its place: whoever holds the one holds the other, also behind an upgrade.
struct Placed {
    socket: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Placed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

async fn serve(stream: Placed, peer: SocketAddr, router: Router, shutdown: CancellationToken) {
    let _ = stream.socket.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(why) = ended {
        tracing::debug!(%peer, %why, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use axum::{extract::WebSocketUpgrade, routing::any};
    use futures_util::StreamExt;
    use tokio::time::timeout;
    use tokio_tungstenite::client_async;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn greet(upgrade: WebSocketUpgrade) -> axum::response::Response {
        upgrade.on_upgrade(async |mut socket| {
            let _ = socket.send("welcome".into()).await;
            while socket.recv().await.is_some() {}
        })
    }

    #[tokio::test]
    async fn a_web_socket_keeps_its_place_until_it_is_closed() {
        let (places, tasks, shutdown) = (Arc::new(Semaphore::new(2)), TaskTracker::new(), CancellationToken::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", any(greet));
        let (loop_places, loop_tasks, stop) = (places.clone(), tasks.clone(), shutdown.clone());
        let accepting = tokio::spawn(async move { accept_into(loop_places, listener, router, &loop_tasks, stop).await });
        let dial = async || {
            let socket = TcpStream::connect(address).await.unwrap();
            let (mut phone, _) = client_async(format!("ws://{address}/"), socket).await.unwrap();
            assert_eq!(timeout(PATIENCE, phone.next()).await.unwrap().unwrap().unwrap().into_text().unwrap(), "welcome");
            phone
        };
        let mut first = dial().await;
        assert_eq!(places.available_permits(), 0, "one for the socket, one for who comes next");
        let second = dial().await;
        first.close(None).await.unwrap();
        while first.next().await.is_some() {}
        let third = dial().await;
        shutdown.cancel();
        timeout(PATIENCE, accepting).await.expect("the loop ends even where it waits for a place").unwrap();
        drop((second, third));
    }
}
