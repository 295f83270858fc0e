//! Peers that mean no good, each in its own way; they stay until the bridge closes them.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use pulse_bridge::{
    accept::HEADER_TIMEOUT,
    api::twilio::BODY_TIMEOUT,
    clock,
    stream::{
        StreamLimits,
        driver::{CLOSE_DEADLINE, LINGER},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::interval,
};

/// How often a slow peer says one byte more.
const DRIP: Duration = Duration::from_secs(1);
/// Room that a peer which reads nothing gives the answers, in bytes.
const DEAF_BUFFER: u32 = 4 * 1024;
/// Far more than any deadline of the bridge.
const PATIENCE: Duration = Duration::from_secs(40);

/// What a peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Connects and says nothing.
    Silent,
    /// A header, a byte a second.
    SlowHeader,
    /// Bytes that are no HTTP.
    Noise,
    /// The beginning of TLS.
    Tls,
    /// A header that does not end.
    HugeHeader,
    /// A handshake with a forged signature.
    Forged,
    /// The body of a webhook, a byte a second.
    SlowBody,
    /// Many questions, and reads no answer.
    Deaf,
    /// A captured handshake, then nothing.
    NeverStarts,
    /// A captured handshake, then a message in fragments without end.
    Fragments,
    /// A captured handshake, then pings as fast as they go.
    Pings,
    /// A captured handshake, then a frame that says it is compressed.
    Compressed,
    /// A captured handshake, then messages that mean nothing.
    Nonsense,
}

impl Kind {
    pub(crate) const ALL: [Self; 13] = [
        Self::Silent,
        Self::SlowHeader,
        Self::Noise,
        Self::Tls,
        Self::HugeHeader,
        Self::Forged,
        Self::SlowBody,
        Self::Deaf,
        Self::NeverStarts,
        Self::Fragments,
        Self::Pings,
        Self::Compressed,
        Self::Nonsense,
    ];

    /// The counter that has one more for it: its name behind `pulse_bridge_`, and the reason.
    pub(crate) fn counter(self) -> (&'static str, &'static str) {
        let (connections, closed) = ("connections_refused_total", "streams_closed_total");
        match self {
            Self::Silent | Self::SlowHeader => (connections, "header_timeout"),
            Self::Noise | Self::Tls => (connections, "not_http"),
            Self::HugeHeader => (connections, "header_too_large"),
            Self::Forged => ("streams_refused_total", "bad_signature"),
            Self::SlowBody => (connections, "body_timeout"),
            Self::Deaf => (connections, "open_too_long"),
            Self::NeverStarts | Self::Fragments => (closed, "no_start"),
            Self::Pings => (closed, "says_nothing"),
            Self::Compressed => (closed, "broken_protocol"),
            Self::Nonsense => (closed, "not_understood"),
        }
    }

    /// How long the bridge may bear it. Behind a close frame of ours the peer has [`CLOSE_DEADLINE`] to answer, which none of these does.
    pub(crate) fn limit(self) -> Duration {
        match self {
            Self::Silent | Self::SlowHeader => HEADER_TIMEOUT,
            Self::SlowBody => BODY_TIMEOUT,
            // It learns from its next drip.
            Self::Deaf => DRIP,
            Self::NeverStarts | Self::Fragments => StreamLimits::default().start + CLOSE_DEADLINE,
            Self::Pings | Self::Nonsense => CLOSE_DEADLINE,
            Self::Compressed => LINGER,
            Self::Noise | Self::Tls | Self::HugeHeader | Self::Forged => Duration::ZERO,
        }
    }

    /// Does it to `address` until it is closed; how long that took. `signature` was captured from a good stream.
    pub(crate) async fn attack(self, address: SocketAddr, signature: &str) -> io::Result<Duration> {
        let mut socket = self.dial(address).await?;
        let since = clock::now();
        let (first, drip) = self.says(signature);
        // A peer that is closed while it still talks finds its socket reset.
        let _ = socket.write_all(&first).await;
        let closed = tokio::time::timeout(PATIENCE, self.until_closed(&mut socket, drip, since)).await;
        closed.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "never closed"))
    }

    async fn dial(self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if self == Self::Deaf {
            socket.set_recv_buffer_size(DEAF_BUFFER)?;
        }
        socket.connect(address).await
    }

    async fn until_closed(self, socket: &mut TcpStream, drip: Option<u8>, since: Instant) -> Duration {
        let mut ticks = interval(DRIP);
        let (mut scratch, mut reading) = ([0; 512], self != Self::Deaf);
        loop {
            tokio::select! {
                read = socket.read(&mut scratch), if reading => match read {
                    Ok(0) | Err(_) => break,
                    Ok(_) => reading = true,
                },
                _ = ticks.tick() => {
                    // Who does not read learns from a failing write that it was closed.
                    let byte = drip.or((self == Self::Deaf).then_some(b'a'));
                    if let Some(byte) = byte && self.say_more(socket, byte).await.is_err() {
                        break;
                    }
                }
            }
        }
        clock::now() - since
    }

    async fn say_more(self, socket: &mut TcpStream, byte: u8) -> io::Result<()> {
        match self {
            Self::Fragments => socket.write_all(&frame(0x00, &[byte])).await,
            _ => socket.write_all(&[byte]).await,
        }
    }

    /// What it says at once, and the byte that it says again and again.
    fn says(self, signature: &str) -> (Vec<u8>, Option<u8>) {
        let handshake = |signature: &str| {
            format!(
                "GET /media/twilio HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                 sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-twilio-signature: {signature}\r\n\r\n"
            )
        };
        let captured = |frames: Vec<u8>| [handshake(signature).into_bytes(), frames].concat();
        match self {
            Self::Silent => (Vec::new(), None),
            Self::SlowHeader => (b"GET /healthz HTTP/1.1\r\nx-slow: ".to_vec(), Some(b'a')),
            Self::Noise => (b"\x00\xff\x07 noise \x1b[0m\r\n\r\n".to_vec(), None),
            Self::Tls => (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and more of a greeting".to_vec(), None),
            Self::HugeHeader => ([b"GET /healthz HTTP/1.1\r\nx-huge: ".to_vec(), vec![b'a'; 40_000]].concat(), None),
            Self::Forged => (handshake("Zm9yZ2VkLCB0aGlzIG9uZQ==").into_bytes(), None),
            Self::SlowBody => {
                let head =
                    "POST /twilio/voice HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\nx-twilio-signature: Zm9yZ2Vk\r\n\r\n";
                (head.as_bytes().to_vec(), Some(b'a'))
            }
            Self::Deaf => (b"GET /schemas/call.completed.json HTTP/1.1\r\nhost: a\r\n\r\n".repeat(600), None),
            Self::NeverStarts => (captured(Vec::new()), None),
            Self::Fragments => (captured(frame(0x01, b"{")), Some(b' ')),
            Self::Pings => (captured(frame(0x89, b"").repeat(1_500)), None),
            Self::Compressed => (captured(frame(0xc1, b"{}")), None),
            Self::Nonsense => (captured(frame(0x81, b"{").repeat(150)), None),
        }
    }
}

/// Keeps up so many peers of all kinds, each of which dials again so long behind its end, until the process ends.
pub(crate) async fn keep_up(address: SocketAddr, signature: String, count: usize, redial: Duration) {
    let mut peers = JoinSet::new();
    for number in 0..count {
        let (kind, signature) = (Kind::ALL[number % Kind::ALL.len()], signature.clone());
        peers.spawn(async move {
            loop {
                let _ = kind.attack(address, &signature).await;
                tokio::time::sleep(redial).await;
            }
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    peers.join_all().await;
}

/// A client's frame with this first byte; masked with nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short ones only");
    assert!(length < 126);
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}
