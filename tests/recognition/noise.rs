//! What lines carry where nobody speaks, made anew for each run and always the same: silence, noise, signalling tones, modems, music.

use std::f64::consts::TAU;

const RATE: f64 = 8_000.0;

/// A sound by its name, as mu-law of 8 kHz.
pub(crate) type Sound = (&'static str, Vec<u8>);

/// All of them, about 13 minutes.
pub(crate) fn all() -> Vec<Sound> {
    let mut chance = Chance(7);
    let mut sounds = vec![("silence", made(60.0, |_| 0.0))];
    for (name, level) in [("white noise, -50 dB", -50.0), ("white noise, -40 dB", -40.0)] {
        sounds.push((name, made(30.0, |_| chance.white() * rms(level))));
    }
    for (name, level) in [("brown noise, -50 dB", -50.0), ("brown noise, -40 dB", -40.0)] {
        let mut brown = Brown::default();
        sounds.push((name, made(30.0, |_| brown.next(&mut chance) * rms(level))));
    }
    for (name, hz) in [("hum of 50 Hz", 50.0), ("hum of 60 Hz", 60.0)] {
        let hum = |at| (1..=7).map(|n| tone(at, hz * f64::from(n)) / f64::from(n)).sum::<f64>() * rms(-40.0);
        sounds.push((name, made(20.0, |at| hum(at) + chance.white() * rms(-50.0))));
    }
    let mut gusts = Brown::default();
    sounds.push(("wind", made(30.0, |at| gusts.next(&mut chance) * rms(-25.0) * (0.6 + 0.4 * tone(at, 0.3)))));
    sounds.push(("clicks", made(20.0, |at| chance.white() * rms(-15.0) * pulse(at, 0.7, 0.012))));
    sounds.push(("knocks", made(20.0, |at| tone(at, 140.0) * rms(-12.0) * struck(at % 0.45, 0.03))));
    sounds.extend(signals());
    sounds.extend(modems(&mut chance));
    sounds.extend(music(&mut chance));
    sounds
}

/// What a network and a keypad sound.
fn signals() -> Vec<Sound> {
    let pair = |at, one, other| (tone(at, one) + tone(at, other)) * 0.1;
    let keys = |at: f64, period: f64, on: f64| {
        let key = step(at, period);
        let (low, high) = ([697.0, 770.0, 852.0, 941.0][key / 3 % 4], [1209.0, 1336.0, 1477.0][key % 3]);
        pair(at, low, high) * pulse(at, period, on)
    };
    vec![
        ("dial tone", made(30.0, |at| pair(at, 350.0, 440.0))),
        ("dial tone of Europe", made(20.0, |at| tone(at, 425.0) * 0.1)),
        ("ringing", made(36.0, |at| pair(at, 440.0, 480.0) * pulse(at, 6.0, 2.0))),
        ("busy", made(20.0, |at| pair(at, 480.0, 620.0) * pulse(at, 1.0, 0.5))),
        ("no circuit", made(20.0, |at| pair(at, 480.0, 620.0) * pulse(at, 0.5, 0.25))),
        ("keys, fast", made(12.0, |at| keys(at, 0.2, 0.1))),
        ("keys, slow", made(24.0, |at| keys(at, 1.0, 0.4))),
        (
            "not in service",
            made(12.0, |at| {
                let within = at % 4.0;
                [950.0, 1400.0, 1800.0].get(step(within, 0.33)).map_or(0.0, |hz| tone(at, *hz) * 0.15)
            }),
        ),
        ("a call waits", made(20.0, |at| tone(at, 440.0) * 0.1 * pulse(at, 10.0, 0.3))),
        ("beep of a recorder", made(16.0, |at| tone(at, 1000.0) * 0.15 * pulse(at, 4.0, 0.5))),
    ]
}

/// Machines that talk to machines.
fn modems(chance: &mut Chance) -> Vec<Sound> {
    let mut phase = 0.0;
    let mut bit = 0.0;
    let mut glide = |hz: f64| {
        phase = (phase + hz / RATE) % 1.0;
        (phase * TAU).sin()
    };
    let calling = made(14.0, |at| tone(at, 1100.0) * 0.1 * pulse(at, 3.5, 0.5));
    let answering = made(5.0, |at| tone(at, 2100.0) * 0.1 * if at < 4.0 { 1.0 } else { 0.0 });
    let sweep = made(24.0, |at| glide(300.0 + 3_000.0 * (at % 4.0) / 4.0) * 0.15);
    let slow = made(20.0, |at| {
        if (at * 300.0).fract() < 300.0 / RATE {
            bit = if chance.white() > 0.0 { 1650.0 } else { 1850.0 };
        }
        glide(bit) * 0.12
    });
    let mut quarter = 0.0;
    let fast = made(20.0, |at| {
        if (at * 2_400.0).fract() < 2_400.0 / RATE {
            quarter = (chance.white() * 4.0).round() / 4.0;
        }
        (TAU * (1_800.0 * at + quarter)).sin() * 0.12
    });
    let siren = made(20.0, |at| glide(900.0 + 400.0 * tone(at, 0.4)) * 0.15);
    vec![
        ("fax that calls", calling),
        ("fax that answers", answering),
        ("sweeps", sweep),
        ("modem, 300 baud", slow),
        ("modem, 2,400 baud", fast),
        ("siren", siren),
    ]
}

/// Music on hold, as far as a few lines go.
fn music(chance: &mut Chance) -> Vec<Sound> {
    const CHORDS: [[f64; 3]; 4] = [[0.0, 4.0, 7.0], [9.0, 12.0, 16.0], [5.0, 9.0, 12.0], [7.0, 11.0, 14.0]];
    const MELODY: [f64; 16] = [12.0, 14.0, 16.0, 12.0, 19.0, 17.0, 16.0, 14.0, 16.0, 21.0, 19.0, 16.0, 14.0, 12.0, 11.0, 12.0];
    let hertz = |key: f64| 261.6 * (key / 12.0).exp2();
    let organ = |at: f64, hz: f64| (1..=5).map(|n| tone(at, hz * f64::from(n)) / f64::from(n * n)).sum::<f64>();
    let chords = move |at: f64| CHORDS[step(at, 2.0) % 4].iter().map(|key| organ(at, hertz(*key - 12.0))).sum::<f64>() * 0.04;
    let arpeggio = move |at: f64| {
        let step = step(at, 0.18);
        let key = CHORDS[step / 12 % 4][step % 3] + if step % 6 > 2 { 12.0 } else { 0.0 };
        organ(at, hertz(key)) * 0.15 * struck(at % 0.18, 0.12)
    };
    let mut phase = 0.0;
    let mut melody = move |at: f64| {
        let key = MELODY[step(at, 0.5) % 16];
        phase += hertz(key) * (1.0 + 0.012 * tone(at, 5.5)) / RATE;
        let swell = (at % 0.5 / 0.08).min(1.0) * ((0.5 - at % 0.5) / 0.08).min(1.0);
        (1..=6).map(|n| (phase * TAU * f64::from(n)).sin() / f64::from(n)).sum::<f64>() * 0.08 * swell
    };
    let mut sung = melody;
    let kick = move |at: f64, chance: &mut Chance| {
        let beat = at % 0.5;
        let drum = (TAU * 55.0 * beat * (1.0 + 0.6 * (-beat * 20.0).exp())).sin() * struck(beat, 0.12) * 0.3;
        drum + chance.white() * 0.08 * struck((at + 0.25) % 0.5, 0.03) + chance.white() * 0.15 * struck((at + 0.5) % 1.0, 0.07)
    };
    let mut band = melody;
    vec![
        ("chords", made(30.0, chords)),
        ("plucked strings", made(30.0, arpeggio)),
        ("melody with vibrato", made(30.0, &mut melody)),
        ("drums", made(30.0, |at| kick(at, chance))),
        ("melody over chords", made(30.0, |at| sung(at) + chords(at))),
        ("band", made(40.0, |at| 0.6 * (band(at) + chords(at) + arpeggio(at) + kick(at, chance)))),
    ]
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are from 0 on, samples within -1 to 1")]
fn made(seconds: f64, mut sample: impl FnMut(f64) -> f64) -> Vec<u8> {
    let count = (seconds * RATE) as u32;
    let coded = |value: f64| audio_codec_algorithms::encode_ulaw((value.clamp(-1.0, 1.0) * 32_000.0) as i16);
    (0..count).map(|at| coded(sample(f64::from(at) / RATE))).collect()
}

/// How many of these periods are over.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are from 0 on")]
fn step(at: f64, period: f64) -> usize {
    (at / period) as usize
}

fn tone(at: f64, hz: f64) -> f64 {
    (at * hz * TAU).sin()
}

/// On for so long, each so many seconds.
fn pulse(at: f64, every: f64, on: f64) -> f64 {
    if at % every < on { 1.0 } else { 0.0 }
}

/// A string or a skin, so many seconds after it was struck.
fn struck(since: f64, decay: f64) -> f64 {
    (since / 0.004).min(1.0) * (-since / decay).exp()
}

/// The amplitude of noise of that root mean square, in decibels of full scale.
fn rms(decibels: f64) -> f64 {
    10.0_f64.powf(decibels / 20.0)
}

/// Chance that is the same each time.
struct Chance(u64);

impl Chance {
    /// Root mean square 1, not beyond 1.8.
    fn white(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let unit = u32::try_from(self.0 >> 32).map_or(0.0, |high| f64::from(high) / f64::from(u32::MAX));
        (unit * 2.0 - 1.0) * 3.0_f64.sqrt()
    }
}

/// Noise that is louder the lower it is.
#[derive(Default)]
struct Brown(f64);

impl Brown {
    fn next(&mut self, chance: &mut Chance) -> f64 {
        self.0 = self.0 * 0.98 + chance.white() * 0.2;
        self.0
    }
}
