//! One live call from socket to socket without the sockets: bytes in by reads of one frame, bytes out into nothing.

use std::{
    hint::black_box,
    io::{self, ErrorKind, Read, Write},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use pulse_bridge::{
    clock,
    dialect::Dialect,
    media::{Chunk, Offset, ms_to_bytes},
    stream::{self, MAX_MESSAGE_BYTES, Stream, StreamLimits, driver::READ_BUFFER_BYTES},
    upstream::{self, Link, LinkSettings},
};
use tokio_tungstenite::tungstenite::{
    Message, Utf8Bytes, WebSocket,
    protocol::{
        Role, WebSocketConfig,
        frame::{
            FrameHeader,
            coding::{Data, OpCode},
        },
    },
};

use super::phone;

/// The time between two frames.
const FRAME: Duration = Duration::from_millis(20);
/// A final every three seconds covers all but the last second, as in a conversation.
const COVERED_EVERY_MS: u64 = 3_000;
const UNCOVERED_MS: u64 = 1_000;

/// The frames of a minute as a phone's socket gives them: masked, each with its header.
pub(crate) struct Minute(Vec<Vec<u8>>);

impl Minute {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self((0..phone::FRAMES).map(|frame| masked(&phone::media(frame, ""))).collect()))
    }
}

fn masked(text: &str) -> Vec<u8> {
    let mask = [0x37, 0xFA, 0x21, 0x3D];
    let header = FrameHeader { opcode: OpCode::Data(Data::Text), mask: Some(mask), ..FrameHeader::default() };
    let mut bytes = Vec::with_capacity(text.len() + 16);
    header.format(text.len() as u64, &mut bytes).expect("a vector takes what is written");
    bytes.extend(text.bytes().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The phone's socket: a read gives what is left of one frame, since they come 20 ms apart.
struct Inbox {
    minute: Rc<Minute>,
    next: usize,
    /// Bytes of the next frame that were read already.
    read: usize,
}

impl Read for Inbox {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let frame = self.minute.0.get(self.next).ok_or(ErrorKind::WouldBlock)?;
        let mut rest = &frame[self.read..];
        let taken = rest.read(into)?;
        self.read = if taken == frame.len() - self.read { 0 } else { self.read + taken };
        self.next += usize::from(self.read == 0);
        Ok(taken)
    }
}

impl Write for Inbox {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The speech service's socket: takes everything, says nothing.
struct Outbox {
    bytes: u64,
}

impl Read for Outbox {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

impl Write for Outbox {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += black_box(bytes).len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The caller's socket, as the server has it.
pub(crate) struct Phone(WebSocket<Inbox>);

impl Phone {
    pub(crate) fn new(minute: &Rc<Minute>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        Self(WebSocket::from_raw_socket(Inbox { minute: Rc::clone(minute), next: 0, read: 0 }, Role::Server, Some(config)))
    }

    pub(crate) fn read(&mut self) -> Utf8Bytes {
        match self.0.read() {
            Ok(Message::Text(text)) => text,
            other => panic!("a minute holds nothing but text: {other:?}"),
        }
    }
}

/// The socket to the speech service, as the client has it.
pub(crate) struct Service(WebSocket<Outbox>);

impl Service {
    pub(crate) fn new() -> Self {
        let config = WebSocketConfig::default().read_buffer_size(4 * 1024).write_buffer_size(0);
        Self(WebSocket::from_raw_socket(Outbox { bytes: 0 }, Role::Client, Some(config)))
    }

    pub(crate) fn write(&mut self, audio: bytes::Bytes) {
        self.0.write(Message::Binary(audio)).expect("the outbox takes everything");
        self.0.flush().expect("the outbox takes everything");
    }

    pub(crate) fn written(&self) -> u64 {
        self.0.get_ref().bytes
    }
}

/// A stream that has started.
pub(crate) fn started(now: Instant) -> Stream {
    let mut stream = Stream::new(Dialect::Twilio, StreamLimits::default(), now);
    stream.handle_text(&phone::start(), now);
    while stream.poll_output().is_some() {}
    stream
}

/// The link of the first track, connected.
pub(crate) fn connected(now: Instant) -> Link {
    let mut link = Link::new(Arc::new(LinkSettings::default()), None, now);
    link.handle_connected(now);
    while link.poll_output().is_some() {}
    link
}

/// Puts a chunk through the link as its driver does; every three seconds a stored final covers most of what is held.
pub(crate) fn pass_on(link: &mut Link, chunk: Chunk, now: Instant, mut write: impl FnMut(bytes::Bytes)) {
    let (end, at_ms) = (chunk.end(), chunk.at_ms);
    link.handle_audio(chunk, now);
    if at_ms % COVERED_EVERY_MS == 0 {
        link.handle_covered(Offset(end.0.saturating_sub(ms_to_bytes(UNCOVERED_MS))), now);
    }
    while let Some(output) = link.poll_output() {
        if let upstream::Output::Audio { audio, .. } = output {
            write(audio);
        }
    }
    black_box(link.poll_timeout());
}

/// Everything a frame goes through. The clock is virtual: a frame every 20 ms.
pub(crate) struct Call {
    phone: Phone,
    stream: Stream,
    link: Link,
    service: Service,
    now: Instant,
}

impl Call {
    pub(crate) fn new(minute: &Rc<Minute>) -> Self {
        let now = clock::now();
        Self { phone: Phone::new(minute), stream: started(now), link: connected(now), service: Service::new(), now }
    }

    /// One frame, and with every third one a chunk.
    pub(crate) fn frame(&mut self) {
        self.now += FRAME;
        let text = self.phone.read();
        self.stream.handle_text(&text, self.now);
        while let Some(output) = self.stream.poll_output() {
            if let stream::Output::Audio { chunk, .. } = output {
                pass_on(&mut self.link, chunk, self.now, |audio| self.service.write(audio));
            }
        }
        black_box(self.stream.poll_timeout());
    }

    /// Bytes put on the speech service's socket.
    pub(crate) fn written(&self) -> u64 {
        self.service.written()
    }
}
