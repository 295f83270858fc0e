//! The accept loop: TCP connections in, the router behind them, all bounded.
//!
//! Promises: a peer that connects and says nothing, or says it too slowly, holds a socket for at most [`HEADER_TIMEOUT`]; no
//! more than [`MAX_CONNECTIONS`] are held at once; when told to stop it takes no more and lets live `WebSockets` end by themselves.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper::{Request, body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

/// Longest time for a request's header to arrive (contract, Events, details).
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest request header, in bytes.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Most connections at once, `WebSockets` included; beyond it new ones wait in the kernel's queue.
pub const MAX_CONNECTIONS: usize = 20_000;
/// Pause after the system refused a socket, so that running out of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` on `listener` until `shutdown`; returns when no more connections are taken. Connections run on `tasks`.
pub async fn accept(listener: TcpListener, router: Router, tasks: &TaskTracker, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let serving = serve(stream, peer, router.clone(), shutdown.clone());
                tasks.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(why) => {
                tracing::warn!(%why, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, shutdown: CancellationToken) {
    let _ = stream.set_nodelay(true);
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
