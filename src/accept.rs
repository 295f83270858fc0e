//! The accept loop: TCP connections in, the router behind them, all bounded.
//!
//! Promises: a peer that connects and says nothing, or says its header too slowly, holds a socket for at most [`HEADER_TIMEOUT`]
//! (bodies have [`BODY_TIMEOUT`](crate::api::twilio::BODY_TIMEOUT), answers [`WRITE_STALL`](wire::WRITE_STALL), `WebSockets` the limits of their
//! stream); who has not shown who they are is counted by address and gives way to who comes next, so that no number of them keeps a
//! call out; running out of files neither spins nor ends the loop; when told to stop it takes no more and lets live `WebSockets` end by themselves.

pub mod crowd;
pub mod room;
mod turned;
pub mod wire;

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Body, extract::ConnectInfo, response::Response};
use hyper::{
    Request, StatusCode,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

pub use self::turned::Turned;
use self::{
    crowd::{Crowd, Place},
    room::Room,
    wire::Wire,
};
use crate::{clock, metrics::Metrics};

/// Longest time for a request's header to arrive, and for the next request of a connection (contract, Events, details).
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest request header, in bytes.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Longest life of a connection that is neither a stream nor the operator's: health checks and Twilio's webhooks come again, others need not.
pub const STRANGER_LIFE: Duration = Duration::from_mins(1);
/// Answers behind which a connection is closed.
const ENDING: [StatusCode; 4] =
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::REQUEST_TIMEOUT, StatusCode::PAYLOAD_TOO_LARGE];
/// Connections accepted before other tasks have had a turn.
const ACCEPTS_IN_A_ROW: u32 = 16;
/// Pause after the system refused a socket, so that running out of files does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Most requests on such a connection: more than one in a second of its life is no health check's.
const STRANGER_REQUESTS: u32 = 100;
/// How long readiness tells that the system refused a socket.
const REFUSAL_SHOWN: Duration = Duration::from_mins(1);

/// The way in, and who stands in it. Clones are the same.
#[derive(Clone)]
pub struct Entrance {
    room: Room,
    places: Arc<Semaphore>,
    strangers: Crowd,
    unstarted: Crowd,
    metrics: Arc<Metrics>,
    opened: Instant,
    /// When the system last refused a socket, in milliseconds behind `opened`; 0 where it never has.
    refused_ms: Arc<AtomicU64>,
}

impl Entrance {
    /// Nobody is there yet.
    #[must_use]
    pub fn new(room: Room, metrics: Arc<Metrics>) -> Self {
        let crowd = |(each, together)| Crowd::new(each, together);
        Self {
            room,
            places: Arc::new(Semaphore::new(room.connections)),
            strangers: crowd(room.strangers),
            unstarted: crowd(room.unstarted),
            metrics,
            opened: clock::now(),
            refused_ms: Arc::default(),
        }
    }

    /// Those who were upgraded and have begun no call yet.
    #[must_use]
    pub fn unstarted(&self) -> &Crowd {
        &self.unstarted
    }

    /// Those who have not shown who they are.
    #[must_use]
    pub fn strangers(&self) -> &Crowd {
        &self.strangers
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.room.connections - self.places.available_permits()
    }

    /// How the connections are, for readiness: a word and a line.
    #[must_use]
    pub fn state(&self) -> (&'static str, String) {
        let (open, most) = (self.connections(), self.room.connections);
        let refused_ms = self.refused_ms.load(Ordering::Relaxed);
        let since = clock::now().saturating_duration_since(self.opened + Duration::from_millis(refused_ms));
        if refused_ms > 0 && since < REFUSAL_SHOWN {
            return ("crowded", format!("{}; it was refused one {} s ago", Turned::NoFiles.reason(), since.as_secs()));
        }
        let line = format!("{open} of {most} connections, {} of them have not shown who they are", self.strangers.len());
        (if open * 10 >= most * 9 { "crowded" } else { "ready" }, line)
    }

    /// Somebody was turned away: counted, and logged sparingly.
    pub fn turned(&self, peer: SocketAddr, turned: Turned) {
        let is_due = self.metrics.turned_away(turned.code(), clock::now());
        match (turned, is_due) {
            // Also the end of a health check's connection, which is nobody's fault.
            (Turned::OpenTooLong, _) => tracing::debug!(%peer, "closed a connection: {}", turned.reason()),
            (_, Some(unsaid)) => {
                tracing::warn!(%peer, reason = turned.code(), unsaid, "closed a connection: {}", turned.reason());
            }
            (_, None) => {}
        }
    }

    /// A connection's place; where all are taken, somebody who has not shown who they are, or has begun no call, gives way for it.
    async fn place(&self) -> OwnedSemaphorePermit {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return place;
        }
        self.make_room();
        Arc::clone(&self.places).acquire_owned().await.expect("the places are never closed")
    }

    fn make_room(&self) -> bool {
        self.strangers.make_room() || self.unstarted.make_room()
    }

    /// Whether a failed accept was about files: then those that wait longest give way for whoever comes next.
    fn refused_by_the_system(&self, why: &io::Error) -> bool {
        let errno = why.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
        let of_files = matches!(errno, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE));
        if of_files {
            let ms = clock::now().saturating_duration_since(self.opened).as_millis();
            self.refused_ms.store(u64::try_from(ms).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
            for _ in 0..ACCEPTS_IN_A_ROW {
                self.make_room();
            }
            let reason = Turned::NoFiles;
            if let Some(unsaid) = self.metrics.turned_away(reason.code(), clock::now()) {
                tracing::error!(reason = reason.code(), unsaid, "failed to accept a connection: {}", reason.reason());
            }
        }
        of_files
    }
}

/// Serves `router` on `listener` until `shutdown`; returns when no more connections are taken. Connections run on `tasks`.
pub async fn accept(entrance: Entrance, listener: TcpListener, router: Router, tasks: &TaskTracker, shutdown: CancellationToken) {
    let next = async || {
        let (socket, peer) = listener.accept().await?;
        io::Result::Ok((socket, peer, entrance.place().await))
    };
    let mut in_a_row = 0_u32;
    loop {
        let accepted = tokio::select! {
            accepted = next() => accepted,
            () = shutdown.cancelled() => return,
        };
        match accepted {
            Ok((socket, peer, place)) => {
                let guest = Guest::new(&entrance, socket, peer, place);
                tasks.spawn(guest.serve(router.clone(), shutdown.clone()));
                in_a_row = in_a_row.wrapping_add(1);
                if in_a_row.is_multiple_of(ACCEPTS_IN_A_ROW) {
                    tokio::task::yield_now().await;
                }
            }
            Err(why) if is_of_the_peer(&why) => tracing::debug!(%why, "a connection was gone before it was accepted"),
            Err(why) => {
                if !entrance.refused_by_the_system(&why) {
                    tracing::warn!(%why, "failed to accept a connection");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether accepting failed because this one peer left, so that the next may be taken at once.
fn is_of_the_peer(why: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(why.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A connection that was just accepted.
struct Guest {
    entrance: Entrance,
    wire: Wire,
    peer: SocketAddr,
    stranger: Arc<Place>,
}

impl Guest {
    fn new(entrance: &Entrance, socket: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) -> Self {
        let stranger = Arc::new(entrance.strangers.enter(peer.ip()));
        Self { entrance: entrance.clone(), wire: Wire::new(socket, place), peer, stranger }
    }

    async fn serve(self, router: Router, shutdown: CancellationToken) {
        let Self { entrance, wire, peer, stranger } = self;
        let asked = Arc::new(AtomicU32::new(0));
        let (place, door, count, since) = (Arc::clone(&stranger), entrance.clone(), Arc::clone(&asked), clock::now());
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let is_hundredth = count.fetch_add(1, Ordering::Relaxed) + 1 >= STRANGER_REQUESTS;
            // Told to close with an answer, not cut between two: a proxy's next request may be on its way.
            let is_old = clock::now().saturating_duration_since(since) >= STRANGER_LIFE;
            let is_last = (is_hundredth || is_old) && !place.has_left();
            if is_last {
                door.turned(peer, Turned::OpenTooLong);
            }
            answer(router.clone(), request.map(Body::new), peer, Arc::clone(&place), is_last)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(MAX_HEADER_BYTES)
            .serve_connection(TokioIo::new(wire), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stranger.gives_way().cancelled() => return entrance.turned(peer, Turned::GaveWay),
            () = too_long(&stranger) => {
                entrance.turned(peer, Turned::OpenTooLong);
                return;
            }
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        match ended.as_ref().map_err(Turned::of) {
            // One that was answered may rest, and is closed at the same time.
            Err(Some(turned)) if turned != Turned::HeaderTimeout || asked.load(Ordering::Relaxed) == 0 => {
                entrance.turned(peer, turned);
            }
            Err(_) => tracing::debug!(%peer, "a connection ended early"),
            Ok(()) => {}
        }
    }
}

/// Over when a connection has been open for so long, unless it has shown who it is for good.
async fn too_long(stranger: &Place) {
    tokio::time::sleep(STRANGER_LIFE + 2 * HEADER_TIMEOUT).await;
    if stranger.has_left() {
        std::future::pending::<()>().await;
    }
}

/// Asks the routes; who is refused for what they are, or has asked too often, gets their answer and no further request on this connection.
async fn answer(
    mut router: Router,
    mut request: Request<Body>,
    peer: SocketAddr,
    stranger: Arc<Place>,
    is_last: bool,
) -> Result<Response, Infallible> {
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(Arc::clone(&stranger));
    let mut answer = router.call(request).await?;
    stranger.come_back();
    let is_refused = ENDING.contains(&answer.status()) || is_last && answer.status() != StatusCode::SWITCHING_PROTOCOLS;
    if is_refused {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests;
