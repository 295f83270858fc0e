//! Writing a phone's audio as a WAV file, in the two forms that there are for it.
//!
//! Promises: 8 kHz mu-law goes in and a file that states its exact length comes out; as mu-law the samples are the phone's, byte for
//! byte.

use audio_codec_algorithms::decode_ulaw;
use bytes::Bytes;

use crate::audio::PHONE_RATE;

/// The form of a file that holds a phone's audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhoneForm {
    /// 16-bit PCM: whatever reads WAV at all reads this.
    Pcm16,
    /// G.711 mu-law (format tag 7), half as large.
    Mulaw,
}

impl PhoneForm {
    /// Its word in the settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pcm16 => "pcm16",
            Self::Mulaw => "mulaw",
        }
    }

    /// The form of this word; `None` for any other: a phone's audio has no other form here.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Pcm16, Self::Mulaw].into_iter().find(|form| form.as_str() == word)
    }

    const fn tag(self) -> u16 {
        match self {
            Self::Pcm16 => 1,
            Self::Mulaw => 7,
        }
    }

    const fn sample_bytes(self) -> u16 {
        match self {
            Self::Pcm16 => 2,
            Self::Mulaw => 1,
        }
    }
}

/// A file of one channel at 8 kHz with these mu-law pieces in a row.
///
/// # Panics
/// If the file would have 4 GiB or more.
#[must_use]
pub fn phone_file(form: PhoneForm, mulaw: &[Bytes]) -> Bytes {
    let samples: usize = mulaw.iter().map(Bytes::len).sum();
    let head = head(form, samples);
    let mut file = Vec::with_capacity(head.len() + samples * usize::from(form.sample_bytes()) + 1);
    file.extend(head);
    for piece in mulaw {
        match form {
            PhoneForm::Pcm16 => piece.iter().for_each(|byte| file.extend(decode_ulaw(*byte).to_le_bytes())),
            PhoneForm::Mulaw => file.extend_from_slice(piece),
        }
    }
    if file.len() % 2 == 1 {
        // Parts of a file have even lengths.
        file.push(0);
    }
    file.into()
}

/// Everything before the samples. Files that are not PCM say how long their `fmt ` is extended, and how many samples there are (`fact`).
fn head(form: PhoneForm, samples: usize) -> Vec<u8> {
    let fits = |length: usize| u32::try_from(length).expect("a request's audio is far from 4 GiB");
    let data = samples * usize::from(form.sample_bytes());
    let mut parts = b"WAVEfmt ".to_vec();
    parts.extend(if form == PhoneForm::Pcm16 { 16_u32 } else { 18 }.to_le_bytes());
    parts.extend(form.tag().to_le_bytes());
    parts.extend(1_u16.to_le_bytes());
    parts.extend(PHONE_RATE.to_le_bytes());
    parts.extend((PHONE_RATE * u32::from(form.sample_bytes())).to_le_bytes());
    parts.extend(form.sample_bytes().to_le_bytes());
    parts.extend((form.sample_bytes() * 8).to_le_bytes());
    if form == PhoneForm::Mulaw {
        parts.extend([0; 2]);
        parts.extend(b"fact\x04\0\0\0");
        parts.extend(fits(samples).to_le_bytes());
    }
    parts.extend(b"data");
    parts.extend(fits(data).to_le_bytes());
    let mut head = b"RIFF".to_vec();
    head.extend(fits(parts.len() + data + data % 2).to_le_bytes());
    head.extend(parts);
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{Coding, Wav, telephone};

    #[test]
    fn both_forms_read_back_as_the_phone_s_own_bytes() {
        let pieces = [Bytes::from_static(&[0xFF, 0x00, 0x80]), Bytes::from_static(&[0x7E, 0x13])];
        for (form, coding) in [(PhoneForm::Pcm16, Coding::Pcm16), (PhoneForm::Mulaw, Coding::Mulaw)] {
            let wav = Wav::parse(&phone_file(form, &pieces)).unwrap();
            assert_eq!((wav.coding, wav.rate, wav.channels, wav.length()), (coding, 8000, 1, 5));
            assert_eq!(telephone(&wav), [[0xFF, 0x00, 0x80, 0x7E, 0x13]], "{form:?}");
        }
    }

    #[test]
    fn the_sizes_in_the_header_are_those_of_the_file() {
        for form in [PhoneForm::Pcm16, PhoneForm::Mulaw] {
            for samples in [0, 1, 8, 8_001] {
                let file = phone_file(form, &[vec![0x55; samples].into()]);
                let declared = u32::from_le_bytes(*file[4..].first_chunk().unwrap()) as usize;
                assert_eq!(declared, file.len() - 8, "{form:?} {samples}");
                assert_eq!(Wav::parse(&file).unwrap().length(), samples);
            }
        }
    }

    #[test]
    fn there_are_two_forms_and_no_other() {
        assert_eq!(["pcm16", "mulaw"].map(PhoneForm::named), [Some(PhoneForm::Pcm16), Some(PhoneForm::Mulaw)]);
        assert_eq!(["alaw", "flac", "PCM16", ""].map(PhoneForm::named), [None; 4]);
    }
}
