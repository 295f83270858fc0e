//! A TCP connection that may end by a reset (no goodbye, and what was under way is lost), or say what is no HTTP.
//!
//! Promises: nothing is reset but by [`Reset::on_drop`], and then whoever drops the socket resets it; nothing is garbled but by [`Reset::garble`].

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Every byte is said with these bits turned, so that none of it is a letter.
const GARBLE: u8 = 0x80;

/// Asks for the reset of a connection, or for garbage on it.
#[derive(Debug, Clone, Default)]
pub(super) struct Reset(Arc<Asked>);

#[derive(Debug, Default)]
struct Asked {
    reset: AtomicBool,
    garble: AtomicBool,
}

impl Reset {
    /// Lets the connection be reset when it is dropped.
    pub(super) fn on_drop(&self) {
        self.0.reset.store(true, Ordering::Relaxed);
    }

    /// From here on what is written is no HTTP.
    pub(super) fn garble(&self) {
        self.0.garble.store(true, Ordering::Relaxed);
    }
}

/// The connection.
pub(super) struct Socket {
    stream: TcpStream,
    reset: Reset,
}

impl Socket {
    pub(super) const fn new(stream: TcpStream, reset: Reset) -> Self {
        Self { stream, reset }
    }
}

impl Socket {
    fn garbles(&self) -> bool {
        self.reset.0.garble.load(Ordering::Relaxed)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.reset.0.reset.load(Ordering::Relaxed) {
            // Without it the peer sees an orderly end in place of a reset; there is nobody to tell.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.garbles() {
            let bytes: Vec<u8> = bytes.iter().map(|byte| byte | GARBLE).collect();
            return Pin::new(&mut self.stream).poll_write(cx, &bytes);
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.garbles() {
            // One piece after the other is as good.
            let first = pieces.iter().find(|piece| !piece.is_empty()).map_or(&[][..], |piece| piece);
            return self.poll_write(cx, first);
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
