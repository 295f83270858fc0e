//! Sound in files: WAV as phones and recorders write it, made into what a phone sends.
//!
//! Promises: 8 kHz mu-law passes through byte for byte; everything else is decoded, brought to 8 kHz with its band limited,
//! and coded as mu-law. What a phone sent becomes a file of exactly its samples. Live audio never comes through here, only files.

mod wav;

use audio_codec_algorithms::{decode_alaw, decode_ulaw, encode_ulaw};
use rubato::{Fft, FixedSync, Resampler, audioadapter_buffers::direct::SequentialSliceOfVecs};

pub use wav::{BadWav, Coding, MAX_WAV_BYTES, PhoneForm, Wav, phone_file};

/// Samples a second on the telephone.
const PHONE_RATE: u32 = 8000;
/// Samples resampled in one go.
const RESAMPLED_AT_ONCE: usize = 1024;

/// Each channel of a file as the telephone would carry it: mu-law at 8 kHz.
#[must_use]
pub fn telephone(wav: &Wav) -> Vec<Vec<u8>> {
    (0..wav.channels)
        .map(|channel| {
            if wav.coding == Coding::Mulaw && wav.rate == PHONE_RATE {
                return wav.samples(channel).map(|sample| sample[0]).collect();
            }
            let samples: Vec<i16> = wav.samples(channel).map(|sample| decoded(wav.coding, sample)).collect();
            resampled(&samples, wav.rate).into_iter().map(encode_ulaw).collect()
        })
        .collect()
}

fn decoded(coding: Coding, sample: &[u8]) -> i16 {
    match coding {
        Coding::Mulaw => decode_ulaw(sample[0]),
        Coding::Alaw => decode_alaw(sample[0]),
        Coding::Pcm16 => i16::from_le_bytes([sample[0], sample[1]]),
    }
}

/// The samples at 8 kHz, exactly as long in time, without the resampler's delay.
fn resampled(samples: &[i16], rate: u32) -> Vec<i16> {
    if rate == PHONE_RATE || samples.is_empty() {
        return samples.to_vec();
    }
    let length = usize::try_from(samples.len() as u64 * u64::from(PHONE_RATE) / u64::from(rate)).unwrap_or(0);
    let input = vec![samples.iter().map(|sample| f32::from(*sample)).collect::<Vec<f32>>()];
    let mut resampler = Fft::<f32>::new(rate as usize, PHONE_RATE as usize, RESAMPLED_AT_ONCE, 1, FixedSync::Input)
        .expect("the reader lets only rates through that the resampler takes");
    let adapter = SequentialSliceOfVecs::new(&input, 1, samples.len()).expect("one channel of that length was just made");
    let output = resampler.process_all(&adapter, samples.len(), None).expect("buffers are made by the resampler itself");
    let mut samples = output.take_data();
    samples.truncate(length);
    samples.into_iter().map(rounded).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "the value is within i16 after the clamp")]
fn rounded(sample: f32) -> i16 {
    sample.round().clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::file as test_file;
