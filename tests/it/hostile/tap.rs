//! Between a bridge and the speech service: passes every byte on, and notes how long audio took from a phone's frame to here.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use pulse_bridge::clock;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
};

use crate::phone::FRAME;

/// When phones sent their frames, by call and track, and how long each chunk's last one took.
#[derive(Default)]
pub(crate) struct Sent {
    frames: Mutex<HashMap<String, Vec<Instant>>>,
    latencies: Mutex<Vec<Duration>>,
}

impl Sent {
    /// A frame of this line is being sent now.
    pub(crate) fn note(&self, line: &str) {
        let mut frames = self.frames.lock().unwrap();
        frames.entry(line.to_owned()).or_default().push(clock::now());
    }

    /// So many bytes of this line's audio have come through.
    fn came(&self, line: &str, bytes: usize) {
        let now = clock::now();
        let frames = self.frames.lock().unwrap();
        let last = frames.get(line).and_then(|frames| frames.get(bytes.div_ceil(FRAME).saturating_sub(1)));
        if let Some(sent) = last {
            self.latencies.lock().unwrap().push(now.saturating_duration_since(*sent));
        }
    }

    /// How long each chunk took since this was last asked, shortest first.
    pub(crate) fn take_latencies(&self) -> Vec<Duration> {
        let mut all = std::mem::take(&mut *self.latencies.lock().unwrap());
        all.sort_unstable();
        all
    }
}

/// See the module.
pub(crate) struct Tap {
    url: String,
}

impl Tap {
    /// Stands before the speech service of these settings.
    pub(crate) async fn start(settings: &[(String, String)], sent: Arc<Sent>) -> Self {
        let behind = settings.iter().find(|(name, _)| name == "PULSE_BRIDGE_UPSTREAM_URL").expect("the stage has one").1.clone();
        let behind = url::Url::parse(&behind).unwrap();
        let service = format!("127.0.0.1:{}", behind.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}{}", listener.local_addr().unwrap(), behind.path());
        tokio::spawn(async move {
            while let Ok((bridge, _)) = listener.accept().await {
                tokio::spawn(pass(bridge, service.clone(), Arc::clone(&sent)));
            }
        });
        Self { url }
    }

    /// Where the bridge is to dial.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

async fn pass(bridge: TcpStream, service: String, sent: Arc<Sent>) {
    let Ok(service) = TcpStream::connect(service).await else { return };
    let (_, _) = (bridge.set_nodelay(true), service.set_nodelay(true));
    let (mut from_bridge, mut to_bridge) = bridge.into_split();
    let (mut from_service, mut to_service) = service.into_split();
    let back = tokio::spawn(async move { copy(&mut from_service, &mut to_bridge).await });
    let mut frames = Frames::default();
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from_bridge.read(&mut bytes).await {
        frames.take(&bytes[..read], &sent);
        if to_service.write_all(&bytes[..read]).await.is_err() {
            break;
        }
    }
    drop(to_service);
    let _ = back.await;
}

/// What has come and is not understood yet, and how much audio came before.
#[derive(Default)]
struct Frames {
    waiting: Vec<u8>,
    /// Whose audio it is; known behind the handshake.
    line: Option<String>,
    audio: usize,
}

impl Frames {
    fn take(&mut self, bytes: &[u8], sent: &Sent) {
        self.waiting.extend_from_slice(bytes);
        if self.line.is_none() {
            let Some(end) = self.waiting.windows(4).position(|at| at == b"\r\n\r\n") else { return };
            let head = String::from_utf8_lossy(&self.waiting[..end]).into_owned();
            let line = head.split(['?', '&', ' ']).find_map(|pair| pair.strip_prefix("external_session_id="));
            self.line = Some(line.unwrap_or_default().to_owned());
            self.waiting.drain(..end + 4);
        }
        while let Some((opcode, length, whole)) = self.next() {
            self.waiting.drain(..whole);
            if opcode == 2 {
                self.audio += length;
                sent.came(self.line.as_deref().unwrap_or_default(), self.audio);
            }
        }
    }

    /// The next whole frame: its opcode, the length of its payload, and of all of it.
    fn next(&self) -> Option<(u8, usize, usize)> {
        let (first, second) = (*self.waiting.first()?, *self.waiting.get(1)? & 0x7f);
        let (length, head) = match second {
            126 => (usize::from(u16::from_be_bytes([*self.waiting.get(2)?, *self.waiting.get(3)?])), 8),
            127 => panic!("no chunk is so long"),
            short => (usize::from(short), 6),
        };
        (self.waiting.len() >= head + length).then_some((first & 0x0f, length, head + length))
    }
}
