//! The phone's side: one minute of one track as a media stream brings it, as text and as the bytes on its socket.

use std::fmt::Write;

use base64::{Engine, prelude::BASE64_STANDARD};

/// Frames of 20 ms in a minute.
pub(crate) const FRAMES: usize = 3_000;
/// Bytes of mu-law in a frame of 20 ms.
pub(crate) const FRAME_BYTES: usize = 160;

const SPEECH: &[u8] = include_bytes!("../../fixtures/pay-by-card/inbound.ulaw");
const STREAM: &str = "MZ0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// The message that opens the stream.
pub(crate) fn start() -> String {
    format!(
        r#"{{"event":"start","sequenceNumber":"1","start":{{"accountSid":"AC0f1e2d3c4b5a69788796a5b4c3d2e1f0","streamSid":"{STREAM}","callSid":"CA0f1e2d3c4b5a69788796a5b4c3d2e1f0","tracks":["inbound"],"mediaFormat":{{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}},"customParameters":{{}}}},"streamSid":"{STREAM}"}}"#
    )
}

/// So many bytes of speech from a frame on, counted from 0.
pub(crate) fn speech(frame: usize, bytes: usize) -> &'static [u8] {
    let from = frame % ((SPEECH.len() - bytes) / FRAME_BYTES) * FRAME_BYTES;
    &SPEECH[from..from + bytes]
}

/// The media message of a frame, member for member as Twilio writes it. `extra` comes first.
pub(crate) fn media(frame: usize, extra: &str) -> String {
    let mut text = String::with_capacity(512);
    let (sequence, chunk, timestamp) = (frame + 2, frame + 1, frame * 20);
    let payload = BASE64_STANDARD.encode(speech(frame, FRAME_BYTES));
    write!(
        text,
        r#"{{{extra}"event":"media","sequenceNumber":"{sequence}","media":{{"track":"inbound","chunk":"{chunk}","timestamp":"{timestamp}","payload":"{payload}"}},"streamSid":"{STREAM}"}}"#
    )
    .expect("a string takes what is written");
    text
}
