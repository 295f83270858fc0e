//! The caller's WebSocket ↔ [`Stream`].
//!
//! Promises: the socket is always read, whatever the rest does (a phone platform throws audio away that is not read at once, protocols/ingress.md
//! section 3.4); nothing but pings, pongs and a close is ever sent; a started stream that was let in ends with exactly one
//! [`Admission::ended`], whatever happens; every wait is bounded. While frames come the task only reads: other sources of
//! events are asked when the socket has nothing, or has had [`FRAMES_IN_A_ROW`].

mod door;

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Sleep, timeout};
use tokio_tungstenite::tungstenite::{Error as WireError, error::ProtocolError};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::{debug, info};

pub use self::door::{ADMIT_DEADLINE, QUEUED_BYTES, QUEUED_ITEMS, QUEUED_TIME};
use self::door::{Door, Passed};
use super::{Broken, Closing, MAX_MESSAGE_BYTES, Output, Stream, StreamLimits, StreamTotals, closing::GAVE_WAY};
use crate::{
    accept::crowd::Place,
    clock,
    dialect::{Dialect, Start},
    media::{CallSid, Chunk, EndReason, Track},
};

/// Messages read one after the other before timers and the rest are looked at again.
pub const FRAMES_IN_A_ROW: u32 = 32;
/// How long closing a socket may take, the peer's answer included.
pub const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
/// How long a socket stays open behind a close that the peer cannot be heard to answer, so that it is not lost on the way.
pub const LINGER: Duration = Duration::from_secs(1);
/// Memory for reading, a socket; the default of 128 KiB costs a third more cycles.
pub const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Who dialled in.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// From where.
    pub addr: SocketAddr,
    /// Its place among the sockets without a call; left when its stream is let in.
    pub place: Arc<Place>,
}

/// A stream that asks to be let in.
#[derive(Debug, Clone)]
pub struct StreamStart {
    /// How it introduced itself.
    pub start: Start,
    /// What it speaks.
    pub dialect: Dialect,
    /// Who dialled in.
    pub peer: PeerInfo,
    /// When it started.
    pub at: Instant,
}

/// Where streams ask to be let in.
pub trait Calls: Clone + Send + Sync + 'static {
    /// A stream that was let in.
    type Admission: Admission;
    /// Decides; meanwhile the socket is read on. The future is dropped only after [`ADMIT_DEADLINE`] behind the stream's end.
    fn admit(&self, start: StreamStart) -> impl Future<Output = Result<Self::Admission, Closing>> + Send;
    /// A socket is being closed by us.
    fn closed(&self, why: Closing);
    /// A socket is over on which no stream began.
    fn never_started(&self, peer: &PeerInfo, why: &str, totals: &StreamTotals);
}

/// Where the audio of a stream goes that was let in. Only the methods that say so may wait.
pub trait Admission: Send + 'static {
    /// The call's clock at this stream's first audio, in milliseconds; added to every time that is passed on.
    fn base_ms(&self) -> u64;
    /// Takes a chunk, its time on the call's clock. Its offset counts from the track's first byte in this stream.
    fn audio(&mut self, track: Track, chunk: Chunk);
    /// Takes a pressed key; `None` for one that was pressed in a pause.
    fn digit(&mut self, track: Track, at_ms: u64, digit: Option<char>);
    /// Audio of a track was lost on its way here, from and to these times.
    fn lost(&mut self, track: Track, from_ms: u64, to_ms: u64);
    /// Whether the call is paused: what comes is to be passed on as silence.
    fn is_paused(&self) -> bool;
    /// Whether that was so at any time from `at` on.
    fn was_paused_since(&self, at: Instant) -> bool;
    /// From here on a track's audio is silence.
    fn paused(&mut self, track: Track, at_ms: u64);
    /// From here on a track's audio is what came.
    fn resumed(&mut self, track: Track, at_ms: u64);
    /// Waits, for a bounded time, while a sender that is faster than speech has filled what is behind; a phone never waits here.
    fn make_room(&mut self) -> impl Future<Output = ()> + Send;
    /// Whether nobody takes the audio any more; asked at least once between two pings.
    fn is_over(&self) -> bool;
    /// No more will come. Called exactly once.
    fn ended(self, reason: EndReason, totals: StreamTotals) -> impl Future<Output = ()> + Send;
}

/// An upgrade with this module's bounds.
pub fn bounded(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .max_write_buffer_size(1024 * 1024)
        .write_buffer_size(0)
        .read_buffer_size(READ_BUFFER_BYTES)
}

/// Runs one stream from the upgrade to its end. Until it is let in it holds its place among those of which nothing is known yet.
pub async fn run<C: Calls>(
    socket: WebSocket,
    dialect: Dialect,
    peer: PeerInfo,
    calls: C,
    limits: StreamLimits,
    shutdown: CancellationToken,
) {
    let began = clock::now();
    let mut stream = Stream::new(dialect, limits, began);
    let mut wires = Wires::new(socket, &shutdown, &peer.place);
    let mut door = Door::Shut;
    let (mut call, mut admitted, mut closing, mut ended) = (None, None, None, None);
    let reason = loop {
        while let Some(output) = stream.poll_output() {
            match output {
                Output::Start(mut start) => {
                    call = Some(start.call_sid.get_or_insert_with(|| unnamed(dialect)).clone());
                    door.ask(&calls, StreamStart { start: *start, dialect, peer: peer.clone(), at: clock::now() });
                }
                Output::Audio { track, chunk } => door.pass(Passed::Audio(track, chunk)),
                Output::Digit { track, at_ms, digit } => door.pass(Passed::Digit(track, at_ms, digit)),
                Output::Lost { track, from_ms, to_ms } => door.pass(Passed::Lost(track, from_ms, to_ms)),
                Output::Paused { track, at_ms } => door.pass(Passed::Paused(track, at_ms)),
                Output::Resumed { track, at_ms } => door.pass(Passed::Resumed(track, at_ms)),
                Output::Ping => wires.ping(),
                Output::Close(why) => closing = Some(why),
                Output::Ended(reason) => ended = Some(reason),
            }
        }
        admitted.take().into_iter().for_each(|admission| door.open(admission, began));
        if let Some(reason) = ended {
            break reason;
        }
        door.make_room().await;
        let event = poll_fn(|cx| wires.poll_event(cx, &mut door, stream.poll_timeout())).await;
        let now = clock::now();
        door.heed(&mut stream, now);
        match event {
            Event::Text(text) => stream.handle_text(&text, now),
            Event::Binary => stream.handle_binary(now),
            Event::SignOfLife => stream.handle_sign_of_life(now),
            Event::Broken(broken) => stream.handle_broken(broken, now),
            Event::Closed => stream.handle_closed(now),
            Event::Admitted(admission) => {
                // What the stream of a paused call has sent so far is still on this side of the door when that opens.
                stream.handle_let_in(admission.was_paused_since(began), now);
                admitted = Some(admission);
                peer.place.leave();
                wires.gives_way = None;
            }
            // It has begun, and the wait is ours.
            Event::GaveWay if door.is_asked() => {}
            Event::GaveWay => {
                wires.in_haste = true;
                stream.handle_refused(GAVE_WAY, now);
            }
            Event::Refused(why) => stream.handle_refused(why, now),
            Event::Shutdown => stream.handle_shutdown(now),
            Event::Timeout => stream.handle_timeout(now),
        }
    };
    let totals = stream.totals();
    let (code, why) = closing.map_or((1005, "closed by the peer"), |Closing { code, reason, .. }| (code, reason));
    debug!(?totals, "stream counters");
    if let Some(closing) = closing {
        calls.closed(closing);
    }
    let leaving = async {
        door.settle(began).await;
        if let Some(call) = call.as_ref().filter(|_| door.is_open()) {
            info!(peer = %peer.addr, %call, code, why, end = reason.as_str(), "stream ended");
        } else {
            calls.never_started(&peer, why, &totals);
        }
        door.finish(reason, totals).await;
    };
    tokio::join!(wires.close(closing), leaving);
}

/// A name for a call whose peer gives it none (contract, Events).
fn unnamed(dialect: Dialect) -> CallSid {
    CallSid::new(&format!("{}-{}", dialect.as_str(), clock::ulid())).expect("a word and a ULID are visible ASCII")
}

enum Event<A> {
    Text(Utf8Bytes),
    Binary,
    SignOfLife,
    Broken(Broken),
    Closed,
    Admitted(A),
    Refused(Closing),
    GaveWay,
    Shutdown,
    Timeout,
}

/// Everything that an event may come from, but the door.
struct Wires {
    socket: WebSocket,
    /// A ping is not on its way yet.
    unflushed: bool,
    /// Whether the socket gives nothing any more.
    silent: bool,
    in_a_row: u32,
    shutdown: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Only until the stream is let in.
    gives_way: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Others wait for what this socket holds: the peer's answer to our close is not waited for.
    in_haste: bool,
    alarm: Pin<Box<Sleep>>,
    armed: Option<Instant>,
}

impl Wires {
    fn new(socket: WebSocket, shutdown: &CancellationToken, place: &Place) -> Self {
        // A child of its own, so that waiting takes no lock which another call takes.
        let shutdown = Some(Box::pin(shutdown.child_token().cancelled_owned()));
        let gives_way = Some(Box::pin(place.gives_way().clone().cancelled_owned()));
        let alarm = Box::pin(tokio::time::sleep(Duration::ZERO));
        Self { socket, unflushed: false, silent: false, in_a_row: 0, shutdown, gives_way, in_haste: false, alarm, armed: None }
    }

    fn poll_event<A>(&mut self, cx: &mut Context<'_>, door: &mut Door<A>, deadline: Option<Instant>) -> Poll<Event<A>> {
        let full_until = door.full_until();
        if full_until.is_none()
            && self.in_a_row < FRAMES_IN_A_ROW
            && let Poll::Ready(event) = self.poll_socket(cx)
        {
            self.in_a_row += 1;
            return Poll::Ready(event);
        }
        if let Poll::Ready(event) = door.poll(cx) {
            return Poll::Ready(event);
        }
        if self.shutdown.as_mut().is_some_and(|shutdown| shutdown.as_mut().poll(cx).is_ready()) {
            self.shutdown = None;
            return Poll::Ready(Event::Shutdown);
        }
        if self.gives_way.as_mut().is_some_and(|gives_way| gives_way.as_mut().poll(cx).is_ready()) {
            self.gives_way = None;
            return Poll::Ready(Event::GaveWay);
        }
        if let Some(deadline) = [deadline, full_until].into_iter().flatten().min() {
            if self.armed != Some(deadline) {
                self.alarm.as_mut().reset(deadline.into());
                self.armed = Some(deadline);
            }
            if self.alarm.as_mut().poll(cx).is_ready() {
                self.armed = None;
                return Poll::Ready(Event::Timeout);
            }
        }
        if self.unflushed && self.socket.poll_flush_unpin(cx).is_ready() {
            self.unflushed = false;
        }
        if std::mem::take(&mut self.in_a_row) >= FRAMES_IN_A_ROW && full_until.is_none() {
            self.poll_socket(cx)
        } else {
            Poll::Pending
        }
    }

    fn poll_socket<A>(&mut self, cx: &mut Context<'_>) -> Poll<Event<A>> {
        Poll::Ready(match ready!(self.socket.poll_next_unpin(cx)) {
            Some(Ok(Message::Text(text))) => Event::Text(text),
            Some(Ok(Message::Binary(_))) => Event::Binary,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Event::SignOfLife,
            Some(Ok(Message::Close(_))) | None => Event::Closed,
            Some(Err(why)) => {
                self.silent = true;
                broken(why).map_or(Event::Closed, Event::Broken)
            }
        })
    }

    /// Starts a ping without waiting for it; where the socket takes none the next unanswered ones will tell.
    fn ping(&mut self) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        if let Poll::Ready(Ok(())) = self.socket.poll_ready_unpin(&mut cx) {
            self.unflushed = self.socket.start_send_unpin(Message::Ping(bytes::Bytes::new())).is_ok();
        }
    }

    /// Closes the socket, with a reason of ours or answering the peer's.
    async fn close(mut self, closing: Option<Closing>) {
        let deadline = if self.in_haste { LINGER } else { CLOSE_DEADLINE };
        let gives_way = self.gives_way.take();
        let gave_way = async {
            match gives_way {
                Some(gives_way) => gives_way.await,
                None => std::future::pending().await,
            }
        };
        let closing = async {
            if let Some(Closing { code, reason, .. }) = closing {
                let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
                if self.socket.send(Message::Close(Some(frame))).await.is_err() {
                    return;
                }
                if self.in_haste {
                    return;
                }
                if self.silent {
                    return tokio::time::sleep(LINGER).await;
                }
            }
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        tokio::select! {
            closed = timeout(deadline, closing) => if closed.is_err() {
                debug!("the peer did not answer the close");
            },
            () = gave_way => debug!("a socket in close gave way"),
        }
    }
}

/// What is wrong with the socket's bytes; `None` if the connection is simply gone.
fn broken(why: axum::Error) -> Option<Broken> {
    match why.into_inner().downcast_ref::<WireError>() {
        Some(WireError::Capacity(_)) => Some(Broken::TooLong),
        Some(WireError::Utf8(_)) => Some(Broken::NotText),
        Some(WireError::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => None,
        Some(WireError::Protocol(_)) => Some(Broken::Protocol),
        _ => None,
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
