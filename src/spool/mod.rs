//! Audio that no stored final covers yet: the frames in which it lies on disk, and how they are read back.
//!
//! A file holds the frames of one track, one after the other:
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | length of the sealed audio, little-endian like all numbers here |
//! | 4 | CRC-32 of all that follows |
//! | 8 | offset of the first byte on the track |
//! | 8 | the same on the call's clock, in milliseconds |
//! | 24 | nonce |
//! | length | audio under XChaCha20-Poly1305, bound to session, track, offset and clock |
//!
//! Promises: audio is never on disk in the clear; a frame that was torn off while writing ends its file and harms none before
//! it; a frame moved to another track or place does not open. File names carry the session's ULID, the stream's number, the
//! track's word and an offset: nothing personal.

pub mod driver;
pub mod seal;

use bytes::Bytes;
use ulid::Ulid;

pub use driver::{KEPT_MS, Reader, Spool, SpoolTrack};

use crate::{
    media::{Chunk, Offset, SessionId, Track, bytes_to_ms},
    segment::TrackKey,
};
use seal::{DataKey, NONCE_BYTES, TAG_BYTES};

/// Bytes before the sealed audio.
const HEADER_BYTES: usize = 4 + 4 + 8 + 8 + NONCE_BYTES;
/// The longest sealed audio that is believed: ten seconds and the tag, far above any chunk.
const SEALED_MAX_BYTES: usize = 80_000 + TAG_BYTES;
/// The longest audio that one frame takes.
pub const FRAME_MAX_BYTES: usize = SEALED_MAX_BYTES - TAG_BYTES;

/// A run of audio as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where its first byte lies on the track.
    pub offset: Offset,
    /// The same on the call's clock, in milliseconds.
    pub at_ms: u64,
    /// Mu-law bytes at 8 kHz.
    pub audio: Bytes,
}

impl Frame {
    /// What of it lies behind `from`; `None` where nothing does.
    #[must_use]
    pub fn behind(mut self, from: Offset) -> Option<Self> {
        let before = usize::try_from(from.since(self.offset)).unwrap_or(usize::MAX);
        if before >= self.audio.len() {
            return None;
        }
        self.audio = self.audio.slice(before..);
        self.at_ms += bytes_to_ms(before as u64);
        self.offset = self.offset.plus(before as u64);
        Some(self)
    }

    /// The same as a chunk that was received at `received`.
    #[must_use]
    pub fn into_chunk(self, received: std::time::Instant) -> Chunk {
        Chunk { offset: self.offset, at_ms: self.at_ms, audio: self.audio, received }
    }
}

/// What a file's bytes hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// The frames in order.
    pub frames: Vec<Frame>,
    /// How many bytes from the beginning are frames, whole or damaged; what follows was torn off while writing.
    pub whole_bytes: usize,
    /// Whole frames that do not open under the key: set aside. Where they lay is not sealed.
    pub unreadable: Vec<Run>,
}

/// Where a run of audio lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Where its first byte lies on the track.
    pub offset: Offset,
    /// The same on the call's clock, in milliseconds.
    pub at_ms: u64,
    /// Bytes of audio.
    pub length: u64,
}

impl Run {
    /// Behind its last byte.
    #[must_use]
    pub const fn end(&self) -> Offset {
        self.offset.plus(self.length)
    }

    /// The same on the call's clock, in milliseconds.
    #[must_use]
    pub const fn end_ms(&self) -> u64 {
        self.at_ms + bytes_to_ms(self.length)
    }
}

/// Appends a frame to `file`: audio of `track` in `session`, at most [`FRAME_MAX_BYTES`] long.
///
/// # Panics
/// If the audio is longer than 4 GiB.
pub fn write_frame(
    file: &mut Vec<u8>,
    key: &DataKey,
    session: &SessionId,
    track: TrackKey,
    frame: &Frame,
    nonce: &[u8; NONCE_BYTES],
) {
    let sealed = key.seal(nonce, &about(session, track, frame.offset, frame.at_ms), &frame.audio);
    let length = u32::try_from(sealed.len()).expect("a frame's length fits four bytes");
    let begin = file.len();
    file.extend(length.to_le_bytes());
    file.extend([0; 4]);
    file.extend(frame.offset.0.to_le_bytes());
    file.extend(frame.at_ms.to_le_bytes());
    file.extend(nonce);
    file.extend(sealed);
    let sum = crc32fast::hash(&file[begin + 8..]);
    file[begin + 4..begin + 8].copy_from_slice(&sum.to_le_bytes());
}

/// Reads a file's bytes back up to the first frame that is not whole. One that is damaged, with whole ones behind it, is no torn end: it is
/// left out, and the offsets show the hole.
#[must_use]
pub fn scan(bytes: &[u8], key: &DataKey, session: &SessionId, track: TrackKey) -> Scan {
    let mut scan = Scan::default();
    loop {
        let found = match next_piece(&bytes[scan.whole_bytes..]) {
            Piece::Whole(found) => found,
            Piece::Damaged(length) => {
                scan.whole_bytes += length;
                continue;
            }
            Piece::Torn => return scan,
        };
        scan.whole_bytes += found.length();
        match found.open(key, session, track) {
            Some(frame) => scan.frames.push(frame),
            None => scan.unreadable.push(Run { offset: found.offset, at_ms: found.at_ms, length: found.audio_bytes() }),
        }
    }
}

/// What stands where a frame should begin.
enum Piece<'a> {
    Whole(SealedFrame<'a>),
    /// So many bytes are damaged, and a whole frame stands behind them.
    Damaged(usize),
    /// No whole frame: the end of what was written, or all behind it is beyond reading.
    Torn,
}

/// A whole frame that has not been opened.
struct SealedFrame<'a> {
    offset: Offset,
    at_ms: u64,
    nonce: &'a [u8; NONCE_BYTES],
    sealed: &'a [u8],
}

impl SealedFrame<'_> {
    /// Its bytes in the file.
    fn length(&self) -> usize {
        HEADER_BYTES + self.sealed.len()
    }

    fn audio_bytes(&self) -> u64 {
        (self.sealed.len() - TAG_BYTES) as u64
    }

    /// Behind its last byte on the track.
    fn end(&self) -> Offset {
        self.offset.plus(self.audio_bytes())
    }

    fn open(&self, key: &DataKey, session: &SessionId, track: TrackKey) -> Option<Frame> {
        let audio = key.open(self.nonce, &about(session, track, self.offset, self.at_ms), self.sealed)?;
        Some(Frame { offset: self.offset, at_ms: self.at_ms, audio: audio.into() })
    }
}

fn next_piece(bytes: &[u8]) -> Piece<'_> {
    match whole_frame(bytes) {
        Some(frame) => Piece::Whole(frame),
        None => damaged_frame(bytes).map_or(Piece::Torn, Piece::Damaged),
    }
}

/// The bytes of a frame that is damaged behind its length, with a whole frame behind it.
fn damaged_frame(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let end = HEADER_BYTES.checked_add(length).filter(|_| length <= SEALED_MAX_BYTES)?;
    whole_frame(bytes.get(end..)?).map(|_| end)
}

fn whole_frame(bytes: &[u8]) -> Option<SealedFrame<'_>> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let summed = rest.get(..HEADER_BYTES - 8 + length).filter(|_| (TAG_BYTES..=SEALED_MAX_BYTES).contains(&length))?;
    if crc32fast::hash(summed) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (offset, rest) = summed.split_first_chunk::<8>()?;
    let (at_ms, rest) = rest.split_first_chunk::<8>()?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
    Some(SealedFrame { offset: Offset(u64::from_le_bytes(*offset)), at_ms: u64::from_le_bytes(*at_ms), nonce, sealed })
}

fn about(session: &SessionId, track: TrackKey, offset: Offset, at_ms: u64) -> Vec<u8> {
    format!("audio of {session} {} {} {} {at_ms}", track.stream, track.track, offset.0).into_bytes()
}

/// A spool file's place in the world, as its name tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName {
    /// Whose audio.
    pub session: SessionId,
    /// Which track.
    pub track: TrackKey,
    /// Where its first frame lies.
    pub first: Offset,
}

impl FileName {
    /// The name; `None` if the session's id is not `ses_` and a ULID.
    #[must_use]
    pub fn render(&self) -> Option<String> {
        let session = session_ulid(&self.session)?;
        Some(format!("{session}-{}-{}-{:016x}.spool", self.track.stream, self.track.track, self.first.0))
    }

    /// Reads a name back; `None` if it is not ours.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(".spool")?.splitn(4, '-');
        let session = SessionId::new(&format!("ses_{}", parts.next()?)).ok()?;
        session_ulid(&session)?;
        let stream = parts.next()?.parse().ok()?;
        let word = parts.next()?;
        let track = Track::ALL.into_iter().find(|track| track.as_str() == word)?;
        let first = Offset(u64::from_str_radix(parts.next()?, 16).ok()?);
        Some(Self { session, track: TrackKey { stream, track }, first })
    }
}

fn session_ulid(session: &SessionId) -> Option<&str> {
    session.as_str().strip_prefix("ses_").filter(|ulid| Ulid::from_string(ulid).is_ok())
}

#[cfg(test)]
mod tests;
