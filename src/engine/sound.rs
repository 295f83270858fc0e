//! A stream's bytes as the models want them: 16,000 samples a second, one channel, -1 to 1.
//!
//! Promises: bytes may be cut anywhere; a sample stands where it was said, for the resampler's delay is taken off. Of the rates that the service takes (protocols/pulse.md section 4), up to 40 ms stay inside until more comes.

use audio_codec_algorithms::{decode_alaw, decode_ulaw};
use rubato::{Fft, FixedSync, Resampler, audioadapter_buffers::direct::InterleavedSlice};

use super::{SAMPLES_PER_SECOND, ear::Coding};

/// Lowest and highest rate taken, in samples a second.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=48_000;
/// Audio resampled in one go, in parts of a second: 20 ms.
const STEPS_PER_SECOND: u32 = 50;

/// Decodes and resamples one stream.
pub(super) struct Sound {
    coding: Coding,
    /// The first byte of a sample whose second is still to come.
    half: Option<u8>,
    resampler: Option<Fft<f32>>,
    /// Decoded, and too little for the resampler's next step.
    input: Vec<f32>,
    output: Vec<f32>,
    /// Samples of the resampler's delay that are still to be left out.
    delay: usize,
}

impl Sound {
    /// For a stream of this coding and rate, one of [`RATES`].
    pub(super) fn new(coding: Coding, rate: u32) -> Self {
        let rate = rate.clamp(*RATES.start(), *RATES.end()) as usize;
        let resampler = (rate != SAMPLES_PER_SECOND).then(|| {
            Fft::new(rate, SAMPLES_PER_SECOND, rate / STEPS_PER_SECOND as usize, 1, FixedSync::Both)
                .expect("rates from 8,000 to 48,000 can be resampled")
        });
        let (delay, frames) = resampler.as_ref().map_or((0, 0), |it| (it.output_delay(), it.output_frames_max()));
        Self { coding, half: None, resampler, input: Vec::new(), output: vec![0.0; frames], delay }
    }

    /// Takes the next bytes and puts the samples that they make behind those in `out`.
    pub(super) fn handle_audio(&mut self, bytes: &[u8], out: &mut Vec<f32>) {
        let into = if self.resampler.is_some() { &mut self.input } else { &mut *out };
        match self.coding {
            Coding::Mulaw => into.extend(bytes.iter().map(|byte| unit(decode_ulaw(*byte)))),
            Coding::Alaw => into.extend(bytes.iter().map(|byte| unit(decode_alaw(*byte)))),
            Coding::Linear16 => {
                let first = self.half.take().into_iter();
                let mut all = first.chain(bytes.iter().copied());
                while let Some(low) = all.next() {
                    match all.next() {
                        Some(high) => into.push(unit(i16::from_le_bytes([low, high]))),
                        None => self.half = Some(low),
                    }
                }
            }
        }
        self.resample(out);
    }

    fn resample(&mut self, out: &mut Vec<f32>) {
        let Some(resampler) = &mut self.resampler else { return };
        let step = resampler.input_frames_next();
        let mut taken = 0;
        while self.input.len() - taken >= step {
            let chunk = InterleavedSlice::new(&self.input[taken..taken + step], 1, step).expect("one channel of that length");
            let frames = self.output.len();
            let mut made = InterleavedSlice::new_mut(&mut self.output, 1, frames).expect("one channel of that length");
            let (_, written) =
                resampler.process_into_buffer(&chunk, &mut made, None).expect("the buffers have the sizes it asked for");
            let skipped = self.delay.min(written);
            self.delay -= skipped;
            // Between two samples at full scale the curve goes above it, which the detector does not take.
            out.extend(self.output[skipped..written].iter().map(|sample| sample.clamp(-1.0, 1.0)));
            taken += step;
        }
        self.input.drain(..taken);
    }
}

fn unit(sample: i16) -> f32 {
    f32::from(sample) / 32_768.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(coding: Coding, rate: u32, bytes: &[u8], cut: usize) -> Vec<f32> {
        let (mut sound, mut out) = (Sound::new(coding, rate), Vec::new());
        bytes.chunks(cut).for_each(|piece| sound.handle_audio(piece, &mut out));
        out
    }

    /// A tone of 400 Hz of one second.
    fn tone(rate: u32) -> Vec<i16> {
        #[expect(clippy::cast_possible_truncation, reason = "16,000 is within i16")]
        let sample = |at: u32| ((f64::from(at) * 400.0 * std::f64::consts::TAU / f64::from(rate)).sin() * 16_000.0) as i16;
        (0..rate).map(sample).collect()
    }

    #[test]
    fn every_rate_and_coding_becomes_the_same_tone_at_its_time() {
        let linear = |samples: &[i16]| samples.iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<u8>>();
        let expected = made(Coding::Linear16, 16_000, &linear(&tone(16_000)), 640);
        assert_eq!(expected.len(), 16_000);
        let phone = tone(8_000);
        let mulaw: Vec<u8> = phone.iter().map(|sample| audio_codec_algorithms::encode_ulaw(*sample)).collect();
        let alaw: Vec<u8> = phone.iter().map(|sample| audio_codec_algorithms::encode_alaw(*sample)).collect();
        let cases = [
            made(Coding::Mulaw, 8_000, &mulaw, 160),
            made(Coding::Alaw, 8_000, &alaw, 77),
            made(Coding::Linear16, 8_000, &linear(&phone), 33),
            made(Coding::Linear16, 44_100, &linear(&tone(44_100)), 1024),
            made(Coding::Linear16, 48_000, &linear(&tone(48_000)), 960),
        ];
        for (number, case) in cases.iter().enumerate() {
            assert!(case.len() > 15_000, "{number}: {}", case.len());
            // The very first samples ring: the tone begins at full strength.
            let worst = (1_000..15_000).map(|at| (case[at] - expected[at]).abs()).fold(0.0, f32::max);
            assert!(worst < 0.03, "case {number} is off by {worst}");
        }
    }

    #[test]
    fn sound_at_full_scale_stays_within_it() {
        let square: Vec<u8> = (0..8_000).map(|at| if at % 9 < 4 { 0x80 } else { 0x00 }).collect();
        let samples = made(Coding::Mulaw, 8_000, &square, 160);
        assert!(samples.iter().any(|sample| *sample >= 1.0), "the curve does go above");
        assert!(samples.iter().all(|sample| sample.abs() <= 1.0));
    }

    #[test]
    fn the_same_bytes_cut_otherwise_are_the_same_samples() {
        let bytes: Vec<u8> = tone(8_000).iter().flat_map(|sample| sample.to_le_bytes()).collect();
        assert_eq!(made(Coding::Linear16, 8_000, &bytes, 1), made(Coding::Linear16, 8_000, &bytes, 16_000));
    }
}
