//! WAV: reading it, including the mu-law and A-law that phones record (format tags 7 and 6), and writing it.
//!
//! Promises: pure; never panics whatever the bytes; takes files whose sizes were never filled in, as recorders leave
//! them when they are killed.

mod write;

use bytes::Bytes;

pub use write::{PhoneForm, phone_file};

/// The longest file that is read, in bytes: an hour and a half of two channels at 48 kHz.
pub const MAX_WAV_BYTES: u64 = 1 << 30;
/// Sample rates taken, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 4000..=192_000;

/// Why a file was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadWav {
    /// Not RIFF/WAVE.
    #[error("is not a WAV file")]
    NotWav,
    /// A relative of WAV: sizes of 64 bits, or big-endian.
    #[error("is in the {0} form of WAV, which is not read; save it as plain WAV")]
    Form(&'static str),
    /// Ends before its sound begins.
    #[error("has no \"{0}\" part; the file is cut short")]
    Missing(&'static str),
    /// A coding that nobody records phones in.
    #[error("is {} at {bits} bits; only 16-bit PCM, A-law and mu-law are read", name_of(*tag))]
    Coding {
        /// The format tag.
        tag: u16,
        /// Bits a sample.
        bits: u16,
    },
    /// More than two parties.
    #[error("has {0} channels; only one or two are read")]
    Channels(u16),
    /// No rate at all, or one from outer space.
    #[error("has {0} samples a second; 4,000 to 192,000 are read")]
    Rate(u32),
}

/// A format tag in the words of those who choose it in a program's menu.
fn name_of(tag: u16) -> String {
    let name = match tag {
        1 => "PCM",
        2 => "Microsoft ADPCM",
        3 => "floating point",
        6 => "A-law",
        7 => "mu-law",
        0x11 => "IMA ADPCM",
        0x31 => "GSM 6.10",
        0x40 => "G.721 ADPCM",
        0x50 => "MPEG",
        0x55 => "MP3",
        0x65 => "G.722 ADPCM",
        0xA106 => "AAC",
        _ => return format!("format {tag}"),
    };
    format!("{name} (format {tag})")
}

/// How a sample is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// G.711 mu-law, one byte.
    Mulaw,
    /// G.711 A-law, one byte.
    Alaw,
    /// Little-endian, two bytes.
    Pcm16,
}

impl Coding {
    const fn bytes(self) -> usize {
        match self {
            Self::Mulaw | Self::Alaw => 1,
            Self::Pcm16 => 2,
        }
    }
}

/// A file's sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wav {
    /// How a sample is coded.
    pub coding: Coding,
    /// Samples a second.
    pub rate: u32,
    /// 1 or 2.
    pub channels: usize,
    data: Bytes,
}

impl Wav {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, or not supported.
    pub fn parse(file: &Bytes) -> Result<Self, BadWav> {
        if file.len() < 12 || &file[8..12] != b"WAVE" {
            return Err(BadWav::NotWav);
        }
        match &file[..4] {
            b"RIFF" => {}
            b"RF64" => return Err(BadWav::Form("RF64")),
            b"BW64" => return Err(BadWav::Form("BW64")),
            b"RIFX" => return Err(BadWav::Form("RIFX")),
            _ => return Err(BadWav::NotWav),
        }
        let mut format = None;
        let mut rest = file.slice(12..);
        while rest.len() >= 8 {
            let declared = u32::from_le_bytes([rest[4], rest[5], rest[6], rest[7]]) as usize;
            let length = declared.min(rest.len() - 8);
            let body = rest.slice(8..8 + length);
            match &rest[..4] {
                b"fmt " => format = Some(parse_format(&body)?),
                b"data" => {
                    let (coding, rate, channels) = format.ok_or(BadWav::Missing("fmt "))?;
                    let never_filled_in = declared == 0 || declared == u32::MAX as usize;
                    let data = if never_filled_in { rest.slice(8..) } else { body };
                    return Ok(Self { coding, rate, channels, data });
                }
                _ => {}
            }
            // Parts begin at even places.
            rest = rest.slice((8 + length + length % 2).min(rest.len())..);
        }
        Err(BadWav::Missing("data"))
    }

    /// The coded samples of a channel, counted from 0.
    pub fn samples(&self, channel: usize) -> impl Iterator<Item = &[u8]> {
        let size = self.coding.bytes();
        self.data.chunks_exact(size * self.channels).map(move |frame| &frame[channel * size..(channel + 1) * size])
    }

    /// How many samples each channel has.
    #[must_use]
    pub fn length(&self) -> usize {
        self.data.len() / (self.coding.bytes() * self.channels)
    }
}

fn parse_format(body: &[u8]) -> Result<(Coding, u32, usize), BadWav> {
    let short = |at: usize| Some(u16::from_le_bytes([*body.get(at)?, *body.get(at + 1)?]));
    let read = || Some((short(0)?, short(2)?, u32::from(short(4)?) | u32::from(short(6)?) << 16, short(14)?));
    let (tag, channels, rate, bits) = read().ok_or(BadWav::Missing("fmt "))?;
    // 0xFFFE says that the real tag opens the sub-format.
    let tag = if tag == 0xFFFE { short(24).ok_or(BadWav::Missing("fmt "))? } else { tag };
    let coding = match (tag, bits) {
        (1, 16) => Coding::Pcm16,
        (6, 8) => Coding::Alaw,
        (7, 8) => Coding::Mulaw,
        _ => return Err(BadWav::Coding { tag, bits }),
    };
    if !(1..=2).contains(&channels) {
        return Err(BadWav::Channels(channels));
    }
    if !RATES.contains(&rate) {
        return Err(BadWav::Rate(rate));
    }
    Ok((coding, rate, usize::from(channels)))
}
