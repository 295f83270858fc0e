use bytes::Bytes;

use super::*;

/// A WAV file with these parts in its header and body.
pub(crate) fn file(tag: u16, bits: u16, rate: u32, channels: u16, data: &[u8]) -> Bytes {
    let frame = channels * bits / 8;
    let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
    for field in [tag.to_le_bytes(), channels.to_le_bytes()] {
        file.extend(field);
    }
    file.extend(rate.to_le_bytes());
    file.extend((rate * u32::from(frame)).to_le_bytes());
    file.extend(frame.to_le_bytes());
    file.extend(bits.to_le_bytes());
    // A part that is none of ours, of odd length, so padded.
    file.extend(b"LIST\x03\0\0\0abc\0data");
    file.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    file.extend(data);
    file.into()
}

fn pcm(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// A tone of `hertz` at `rate`, a second long.
fn tone(hertz: f64, rate: u32) -> Vec<i16> {
    let step = std::f64::consts::TAU * hertz / f64::from(rate);
    #[expect(clippy::cast_possible_truncation, reason = "a sine of 8,000 is within i16")]
    (0..rate).map(|n| (f64::from(n) * step).sin().mul_add(8000.0, 0.0) as i16).collect()
}

fn loudness(mulaw: &[u8]) -> f64 {
    let power: f64 = mulaw.iter().map(|byte| f64::from(decode_ulaw(*byte)).powi(2)).sum();
    (power / f64::from(u32::try_from(mulaw.len()).unwrap())).sqrt()
}

#[test]
fn mulaw_at_phone_rate_passes_byte_for_byte_and_two_channels_are_told_apart() {
    let wav = Wav::parse(&file(7, 8, 8000, 2, &[1, 2, 3, 4, 5, 6, 7])).unwrap();
    assert_eq!(telephone(&wav), [[1, 3, 5], [2, 4, 6]]);
    assert_eq!(wav.length(), 3);
}

#[test]
fn alaw_and_pcm_become_the_nearest_mulaw() {
    let linear = [-12_000_i16, -500, 0, 8, 700, 20_000];
    let direct: Vec<u8> = linear.iter().copied().map(encode_ulaw).collect();
    assert_eq!(telephone(&Wav::parse(&file(1, 16, 8000, 1, &pcm(&linear))).unwrap()), [direct]);
    let alaw: Vec<u8> = linear.iter().copied().map(audio_codec_algorithms::encode_alaw).collect();
    let there = &telephone(&Wav::parse(&file(6, 8, 8000, 1, &alaw)).unwrap())[0];
    for (byte, sample) in there.iter().zip(linear) {
        let error = (i32::from(decode_ulaw(*byte)) - i32::from(sample)).abs();
        assert!(error <= 16 + i32::from(sample).abs() / 16, "{sample} became {}", decode_ulaw(*byte));
    }
}

#[test]
fn other_rates_keep_their_length_and_their_speech_band_only() {
    for rate in [11_025, 16_000, 44_100, 48_000] {
        let low = &telephone(&Wav::parse(&file(1, 16, rate, 1, &pcm(&tone(1000.0, rate)))).unwrap())[0];
        assert_eq!(low.len(), 8000, "{rate}");
        assert!((loudness(low) - 8000.0 / 2f64.sqrt()).abs() < 300.0, "{rate}: {}", loudness(low));
    }
    let high = &telephone(&Wav::parse(&file(1, 16, 16_000, 1, &pcm(&tone(6000.0, 16_000)))).unwrap())[0];
    assert!(loudness(high) < 100.0, "6 kHz must not fold into the band: {}", loudness(high));
}

#[test]
fn a_file_whose_sizes_were_never_filled_in_is_read_to_its_end() {
    let whole = file(7, 8, 8000, 1, &[9; 100]);
    for unknown in [0u32, u32::MAX] {
        let mut recorded = whole.to_vec();
        recorded[52..56].copy_from_slice(&unknown.to_le_bytes());
        assert_eq!(&recorded[48..52], b"data");
        assert_eq!(Wav::parse(&recorded.into()).unwrap().length(), 100);
    }
    assert_eq!(Wav::parse(&whole.slice(..whole.len() - 40)).unwrap().length(), 60);
}

#[test]
fn the_extensible_form_names_its_coding_further_back() {
    let plain = file(7, 8, 8000, 1, &[9; 4]);
    let mut extended = plain.to_vec();
    extended[16] = 40;
    extended[20..22].copy_from_slice(&0xFFFE_u16.to_le_bytes());
    extended.splice(36..36, [22, 0, 8, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 16, 0, 128, 0, 0, 170, 0, 56, 155, 113]);
    assert_eq!(Wav::parse(&extended.into()).unwrap().coding, Coding::Mulaw);
}

#[test]
fn what_is_not_read_is_refused_by_its_reason() {
    let rows = [
        (Bytes::from_static(b"ID3"), BadWav::NotWav),
        (file(7, 8, 8000, 1, &[]).slice(..30), BadWav::Missing("fmt ")),
        (file(7, 8, 8000, 1, &[]).slice(..40), BadWav::Missing("data")),
        (file(3, 32, 8000, 1, &[0; 8]), BadWav::Coding { tag: 3, bits: 32 }),
        (file(7, 8, 8000, 3, &[0; 8]), BadWav::Channels(3)),
        (file(7, 8, 0, 1, &[0; 8]), BadWav::Rate(0)),
    ];
    for (bytes, expected) in rows {
        assert_eq!(Wav::parse(&bytes).unwrap_err(), expected);
    }
}

#[test]
fn relatives_of_wav_and_other_codings_are_named_as_programs_name_them() {
    let form = |name: &[u8]| {
        let mut renamed = file(7, 8, 8000, 1, &[9; 4]).to_vec();
        renamed[..4].copy_from_slice(name);
        Wav::parse(&renamed.into()).unwrap_err().to_string()
    };
    assert_eq!(form(b"RF64"), "is in the RF64 form of WAV, which is not read; save it as plain WAV");
    assert_eq!(form(b"RIFX"), "is in the RIFX form of WAV, which is not read; save it as plain WAV");
    let coding = |tag, bits| Wav::parse(&file(tag, bits, 8000, 1, &[0; 8])).unwrap_err().to_string();
    assert_eq!(coding(3, 32), "is floating point (format 3) at 32 bits; only 16-bit PCM, A-law and mu-law are read");
    assert_eq!(coding(1, 24), "is PCM (format 1) at 24 bits; only 16-bit PCM, A-law and mu-law are read");
    assert_eq!(coding(777, 8), "is format 777 at 8 bits; only 16-bit PCM, A-law and mu-law are read");
}

#[test]
fn rates_that_share_nothing_with_the_telephone_s_are_taken_too() {
    for rate in [4001, 7999, 22_050, 32_000, 96_000, 191_999] {
        let length = telephone(&Wav::parse(&file(1, 16, rate, 1, &pcm(&tone(500.0, rate)))).unwrap())[0].len();
        assert_eq!(length, 8000, "{rate}");
    }
}

#[test]
fn parts_may_come_in_any_order_before_the_sound_and_anything_behind_it_is_no_sound() {
    let plain = file(7, 8, 8000, 1, &[9; 5]).to_vec();
    let (head, rest) = plain.split_at(12);
    // `LIST`, of odd length and so padded, before `fmt `; the sound padded too, and a part behind it.
    let (format, list) = rest.split_at(24);
    let (list, data) = list.split_at(12);
    let moved = [head, list, format, data, b"\0", b"id3 \x04\0\0\0\x01\x01\x01\x01"].concat();
    let wav = Wav::parse(&moved.into()).unwrap();
    assert_eq!(telephone(&wav), [[9; 5]]);
}

#[test]
fn no_cut_of_a_file_panics() {
    let whole = file(1, 16, 16_000, 2, &[3; 64]);
    for length in 0..whole.len() {
        if let Ok(wav) = Wav::parse(&whole.slice(..length)) {
            let _ = telephone(&wav);
        }
    }
}
