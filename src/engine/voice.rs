//! Where in a stream somebody speaks, frame by frame of 16 ms, and how much the sound there stands still.
//!
//! Promises: each frame is judged once, from what came up to then; what is quieter than any speech is none.

use std::{collections::VecDeque, sync::Arc};

use earshot::Detector;
use realfft::{RealFftPlanner, RealToComplex, num_complex::Complex};

/// Samples of a frame at 16 kHz: what the detector takes.
pub(super) const FRAME: usize = 256;
/// The same in milliseconds.
pub(super) const FRAME_MS: u64 = 16;
/// A score from which on a frame is voice.
const VOICE: f32 = 0.5;
/// Sound below this is silence whatever the detector says, as a root mean square; about -56 dB of full scale. A line's own noise lies below.
const FLOOR: f32 = 0.0016;
/// Samples over which a spectrum is taken: 64 ms, in which the partials of a voice are apart.
const WINDOW: usize = 1024;
/// The parts of the spectrum that a telephone carries: 125 to 3,440 Hz.
const BINS: std::ops::Range<usize> = 8..220;
/// Spectra this many frames apart are compared: 96 ms, in which a voice moves on.
const APART: usize = 6;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Frame {
    /// Somebody speaks.
    pub(super) is_voice: bool,
    /// Root mean square, 0 to 1.
    pub(super) level: f32,
    /// How much its spectrum is like that of 96 ms before, 0 to 1: about 0.45 in speech, 0.8 in noise, above that in tones and music.
    pub(super) stillness: f32,
}

/// Judges frames.
pub(super) struct Voice {
    detector: Box<Detector>,
    fft: Arc<dyn RealToComplex<f32>>,
    /// The last samples, [`WINDOW`] of them.
    recent: VecDeque<f32>,
    windowed: Vec<f32>,
    scratch: Vec<Complex<f32>>,
    spectrum: Vec<Complex<f32>>,
    /// The last spectra, each of length one; the newest last.
    spectra: VecDeque<Vec<f32>>,
    shape: Vec<f32>,
}

impl Voice {
    pub(super) fn new() -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(WINDOW);
        #[expect(clippy::cast_precision_loss, reason = "1024 is exact")]
        let hann = |at: usize| 0.5 - 0.5 * (std::f32::consts::TAU * at as f32 / WINDOW as f32).cos();
        Self {
            detector: Detector::default_boxed(),
            recent: VecDeque::from(vec![0.0; WINDOW]),
            windowed: vec![0.0; WINDOW],
            scratch: fft.make_scratch_vec(),
            spectrum: fft.make_output_vec(),
            spectra: VecDeque::from(vec![vec![0.0; BINS.len()]; APART]),
            shape: (0..WINDOW).map(hann).collect(),
            fft,
        }
    }

    /// Judges the next frame, of [`FRAME`] samples.
    pub(super) fn judge(&mut self, samples: &[f32]) -> Frame {
        let score = self.detector.predict_f32(samples);
        #[expect(clippy::cast_precision_loss, reason = "256 is exact")]
        let level = (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32).sqrt();
        self.recent.drain(..samples.len().min(WINDOW));
        self.recent.extend(samples);
        Frame { is_voice: score >= VOICE && level >= FLOOR, level, stillness: self.stillness() }
    }

    fn stillness(&mut self) -> f32 {
        for ((to, sample), weight) in self.windowed.iter_mut().zip(&self.recent).zip(&self.shape) {
            *to = sample * weight;
        }
        self.fft
            .process_with_scratch(&mut self.windowed, &mut self.spectrum, &mut self.scratch)
            .expect("the buffers are the planner's own");
        let now = &self.spectrum[BINS];
        let length = now.iter().map(Complex::norm_sqr).sum::<f32>().sqrt().max(1e-6);
        let Some(mut oldest) = self.spectra.pop_front() else { return 0.0 };
        let alike = now.iter().zip(&oldest).map(|(now, before)| now.norm() * before).sum::<f32>() / length;
        // The room of the oldest is the newest's.
        oldest.iter_mut().zip(now).for_each(|(to, bin)| *to = bin.norm() / length);
        self.spectra.push_back(oldest);
        alike
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean stillness of a second of this sound.
    fn stillness(sample: impl Fn(f32) -> f32) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "16,000 is exact")]
        let samples: Vec<f32> = (0..16_000).map(|at| sample(at as f32 / 16_000.0)).collect();
        let mut voice = Voice::new();
        let frames: Vec<Frame> = samples.chunks_exact(FRAME).map(|frame| voice.judge(frame)).collect();
        let late = &frames[15..];
        #[expect(clippy::cast_precision_loss, reason = "few frames")]
        let mean = late.iter().map(|frame| frame.stillness).sum::<f32>() / late.len() as f32;
        mean
    }

    #[test]
    fn a_tone_stands_still_and_a_sound_that_glides_does_not() {
        let tone = |hz: f32| move |at: f32| (at * hz * std::f32::consts::TAU).sin() * 0.1;
        assert!(stillness(tone(440.0)) > 0.95);
        assert!(stillness(|at| tone(350.0)(at) + tone(440.0)(at)) > 0.95, "a dial tone");
        assert!(stillness(|at| tone(300.0 + 600.0 * at)(at)) < 0.3);
    }

    #[test]
    fn silence_is_no_voice_and_has_no_level() {
        let frame = Voice::new().judge(&[0.0; FRAME]);
        assert_eq!((frame.is_voice, frame.level), (false, 0.0));
    }
}
