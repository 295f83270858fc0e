//! A WebSocket server's way to its client on which pongs may be held back; tungstenite makes them by itself.
//!
//! Promises: what is written passes unchanged but for whole pong frames, and those only where that was asked for.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The way.
pub(super) struct Quiet<S> {
    inner: S,
    is_quiet: bool,
    /// Bytes of the frame under way that are still to be written.
    rest: usize,
}

impl<S> Quiet<S> {
    pub(super) const fn new(inner: S, is_quiet: bool) -> Self {
        Self { inner, is_quiet, rest: 0 }
    }
}

/// A frame's length, and whether it is a pong (RFC 6455 section 5.2; a server does not mask); `None` if its header is not whole.
fn frame(bytes: &[u8]) -> Option<(usize, bool)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let length = match second & 0x7F {
        126 => 4 + usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
        127 => usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?.saturating_add(10),
        short => 2 + usize::from(short),
    };
    Some((length, first & 0x0F == 0x0A))
}

impl<S: AsyncRead + Unpin> AsyncRead for Quiet<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Quiet<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.is_quiet {
            return Pin::new(&mut self.inner).poll_write(cx, bytes);
        }
        if self.rest == 0 {
            match frame(bytes) {
                // A control frame is written in one piece: it is short, and tungstenite hands on whole frames.
                Some((length, true)) => return Poll::Ready(Ok(length.min(bytes.len()))),
                Some((length, false)) => self.rest = length,
                None => self.rest = bytes.len(),
            }
        }
        let most = self.rest.min(bytes.len());
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &bytes[..most]))?;
        self.rest -= written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn pongs_are_held_back_and_everything_else_passes() {
        let long = [&[0x81, 126, 1, 44][..], &[b'x'; 300]].concat();
        let frames: [&[u8]; 5] = [b"\x81\x02hi", b"\x8A\x00", &long, b"\x8A\x03abc", b"\x89\x01p"];
        for is_quiet in [false, true] {
            let mut way = Quiet::new(Vec::new(), is_quiet);
            way.write_all(&frames.concat()).await.unwrap();
            let expected: Vec<u8> =
                frames.iter().filter(|frame| !is_quiet || frame[0] != 0x8A).flat_map(|frame| frame.iter().copied()).collect();
            assert_eq!(way.inner, expected);
        }
    }

    #[tokio::test]
    async fn a_frame_written_in_parts_passes_whole() {
        let (near, mut far) = tokio::io::duplex(3);
        let mut way = Quiet::new(near, true);
        let writing = tokio::spawn(async move { way.write_all(b"\x8A\x00\x81\x0Bhello world\x8A\x00").await });
        let mut read = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut far, &mut read).await.unwrap();
        writing.await.unwrap().unwrap();
        assert_eq!(read, b"\x81\x0Bhello world");
    }
}
