//! A caller's TCP socket with what every user of it must keep: a place, turns for the others, an end to waiting for a peer that does not read.
//!
//! Promises: who holds the socket holds the place, also behind an upgrade; a peer that always has more to say is read [`TURN_BYTES`] at a
//! time, so that however small its messages are the tasks beside it get their turn; a write that takes nothing for [`WRITE_STALL`] fails.
//! A phone's frame costs one comparison and one addition.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::Sleep,
};

/// Most bytes read from one socket before other tasks have had a turn: about forty of a phone's frames.
pub const TURN_BYTES: usize = 8 * 1024;
/// How long a peer may leave what it is sent unread once the kernel's buffers are full.
pub const WRITE_STALL: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Wire {
    socket: TcpStream,
    _place: OwnedSemaphorePermit,
    /// Bytes read in this turn.
    read: usize,
    /// Since when the peer has taken nothing, as the end of its patience.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub(super) fn new(socket: TcpStream, place: OwnedSemaphorePermit) -> Self {
        // Without it a small frame waits for the acknowledgement of the one before.
        let _ = socket.set_nodelay(true);
        Self { socket, _place: place, read: 0, stalled: None }
    }

    fn watched<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_STALL)));
        stalled.as_mut().poll(cx).map(|()| Err(io::Error::from(io::ErrorKind::TimedOut)))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read >= TURN_BYTES {
            self.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.socket).poll_read(cx, buffer);
        self.read = if outcome.is_ready() { self.read + buffer.filled().len() - before } else { 0 };
        outcome
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.watched(cx, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, pieces);
        self.watched(cx, written)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        sync::Semaphore,
    };

    use super::*;

    async fn pair() -> (Wire, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (peer, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        (Wire::new(accepted.unwrap().0, place), peer.unwrap())
    }

    #[tokio::test]
    async fn a_peer_that_reads_nothing_is_given_up_and_one_that_reads_late_is_not() {
        let (mut wire, peer) = pair().await;
        let much = vec![7; 64 * 1024 * 1024];
        let since = crate::clock::now();
        let why = wire.write_all(&much).await.unwrap_err();
        assert_eq!(why.kind(), io::ErrorKind::TimedOut);
        assert!(crate::clock::now() - since >= WRITE_STALL);
        drop(peer);
        let (mut wire, mut peer) = pair().await;
        let late = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            peer.read_exact(&mut vec![0; 64 * 1024 * 1024]).await.unwrap();
        };
        let (written, ()) = tokio::join!(wire.write_all(&much), late);
        written.unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_always_has_more_to_say_lets_others_have_a_turn() {
        let (mut wire, mut peer) = pair().await;
        let sent = tokio::spawn(async move {
            peer.write_all(&vec![7; 1024 * 1024]).await.unwrap();
            peer
        });
        let (mut longest, mut turn, mut all) = (0, 0, 0);
        let mut bytes = [0; 1024];
        while all < 1024 * 1024 {
            let read = std::future::poll_fn(|cx| {
                let mut buffer = ReadBuf::new(&mut bytes);
                match Pin::new(&mut wire).poll_read(cx, &mut buffer) {
                    Poll::Ready(outcome) => Poll::Ready(outcome.map(|()| buffer.filled().len())),
                    Poll::Pending => {
                        turn = 0;
                        Poll::Pending
                    }
                }
            });
            let read = read.await.unwrap();
            (turn, all) = (turn + read, all + read);
            longest = longest.max(turn);
        }
        assert!((TURN_BYTES / 2..TURN_BYTES + 1024).contains(&longest), "{longest}");
        drop(sent.await.unwrap());
    }
}
