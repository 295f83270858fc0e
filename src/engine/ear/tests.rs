use super::*;
use crate::{fixture::Fixture, media::Track};

/// A recording of the caller of this call, of that stretch in milliseconds.
fn recording(name: &str, from_ms: usize, to_ms: usize) -> Vec<u8> {
    let fixture = Fixture::load(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)).unwrap();
    fixture.tracks[&Track::Inbound][from_ms * 8..to_ms * 8].to_vec()
}

fn ear() -> Ear {
    Ear::new(Settings { coding: Coding::Mulaw, sample_rate: 8_000, eou_timeout_ms: 600, interims: true, numbers: false })
}

fn words(text: &str) -> Outcome {
    let word = |text: &str| RecognisedWord { text: text.to_owned(), confidence: 0.9 };
    Outcome::Recognised(text.split_whitespace().map(word).collect())
}

/// Plays audio in frames; the jobs that come, each answered by what `answer` makes of it.
fn play(ear: &mut Ear, audio: &[u8], mut answer: impl FnMut(&Job) -> Option<Outcome>) -> Vec<Job> {
    let mut left = Vec::new();
    for frame in audio.chunks(160) {
        ear.handle_audio(frame);
        while let Some(job) = ear.poll_job() {
            match answer(&job) {
                Some(outcome) => ear.handle_recognised(job.id, outcome),
                None => left.push(job),
            }
        }
    }
    left
}

/// What was heard but voice activity, in short.
fn heard(ear: &mut Ear) -> Vec<String> {
    let text = |words: &[Word]| words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    let short = |heard: Heard| match heard {
        Heard::Interim(words) => Some(format!("interim {}", text(&words))),
        Heard::Final(words) => Some(format!("final {}", text(&words))),
        Heard::Flushed(words) => Some(format!("flushed {}", text(&words)).trim().to_owned()),
        Heard::VoiceStarted { .. } | Heard::VoiceEnded { .. } => None,
    };
    std::iter::from_fn(|| ear.poll_heard()).filter_map(short).collect()
}

#[test]
fn what_was_recognised_in_the_pause_is_the_final_without_another_job() {
    let mut ear = ear();
    let mut urgencies = Vec::new();
    play(&mut ear, &recording("pay-by-card", 0, 5_000), |job| {
        urgencies.push(job.urgency);
        Some(words(if job.urgency == Urgency::Interim { "hi I'd like" } else { "Hi, I'd like to pay my bill." }))
    });
    assert!(!urgencies.contains(&Urgency::Final), "{urgencies:?}");
    assert_eq!(urgencies.last(), Some(&Urgency::Pause));
    assert_eq!(heard(&mut ear).last().map(String::as_str), Some("final Hi, I'd like to pay my bill."));
    assert!(!ear.is_behind());
}

#[test]
fn the_times_of_words_are_those_of_the_audio() {
    let mut ear = ear();
    play(&mut ear, &recording("pay-by-card", 0, 5_000), |_| Some(words("Hi, I'd like to pay my bill.")));
    let found = std::iter::from_fn(|| ear.poll_heard())
        .find_map(|heard| if let Heard::Final(words) = heard { Some(words) } else { None });
    let found = found.unwrap();
    // The truth: 1,958 to 3,375 ms.
    assert!(found[0].start_ms.abs_diff(1_958) <= 60 && found[6].end_ms.abs_diff(3_375) <= 60, "{found:?}");
}

#[test]
fn a_pause_that_was_left_out_becomes_a_final_that_is_not() {
    let mut ear = ear();
    let left = play(&mut ear, &recording("pay-by-card", 0, 5_000), |job| match job.urgency {
        Urgency::Final => None,
        _ => Some(Outcome::Shed),
    });
    assert_eq!(left.iter().map(|job| job.urgency).collect::<Vec<_>>(), [Urgency::Final]);
    assert!(ear.is_behind());
    assert!(ear.done_ms() < 1_958);
    ear.handle_recognised(left[0].id, words("it is late"));
    assert_eq!(heard(&mut ear), ["final it is late"]);
    assert!(!ear.is_behind() && ear.done_ms() > 3_375);
}

#[test]
fn what_the_recogniser_fails_on_is_tried_once_more_and_then_what_was_shown_of_it_is_told() {
    let mut ear = ear();
    let mut tried = 0;
    play(&mut ear, &recording("pay-by-card", 0, 5_000), |job| match job.urgency {
        Urgency::Interim => Some(words("hi I'd like")),
        Urgency::Pause => Some(Outcome::Failed),
        Urgency::Final => {
            tried += 1;
            Some(Outcome::Failed)
        }
    });
    assert_eq!(tried, 2);
    assert_eq!(heard(&mut ear).last().map(String::as_str), Some("final hi I'd like"));
    assert!(!ear.is_behind());
}

#[test]
fn a_final_that_comes_out_empty_says_what_its_interims_showed() {
    let mut ear = ear();
    play(&mut ear, &recording("pay-by-card", 0, 5_000), |job| {
        Some(if job.urgency == Urgency::Interim { words("hi I'd like") } else { Outcome::Recognised(Vec::new()) })
    });
    assert_eq!(heard(&mut ear).last().map(String::as_str), Some("final hi I'd like"));
}

#[test]
fn finals_come_in_the_order_of_the_audio_and_interims_wait_for_them() {
    let mut ear = ear();
    let mut jobs = play(&mut ear, &recording("pay-by-card", 0, 25_000), |_| None);
    jobs.retain(|job| job.urgency == Urgency::Pause);
    assert!(jobs.len() >= 3, "{}", jobs.len());
    for (number, job) in jobs.iter().enumerate().rev() {
        assert!(heard(&mut ear).is_empty(), "nothing before the first is known");
        ear.handle_recognised(job.id, words(&format!("number {number}")));
    }
    let told = heard(&mut ear);
    assert_eq!(told.first().map(String::as_str), Some("final number 0"));
    assert!(told.iter().all(|told| told.starts_with("final")), "{told:?}");
}

#[test]
fn a_flush_is_answered_once_with_the_words_that_it_ended() {
    let mut ear = ear();
    ear.handle_flush();
    assert_eq!(heard(&mut ear), ["flushed"]);
    let left = play(&mut ear, &recording("pay-by-card", 0, 3_000), |_| None);
    ear.handle_flush();
    ear.handle_flush();
    assert!(heard(&mut ear).is_empty(), "the words before it are still to come");
    left.iter().for_each(|job| ear.handle_recognised(job.id, Outcome::Shed));
    let job = ear.poll_job().unwrap();
    assert_eq!(job.urgency, Urgency::Final);
    ear.handle_recognised(job.id, words("hi I'd like to"));
    assert_eq!(heard(&mut ear), ["flushed hi I'd like to", "flushed"]);
}

#[test]
fn a_stream_whose_speech_is_not_recognised_fills_up_and_empties_again() {
    let mut ear = ear();
    let speech = recording("pay-by-card", 7_000, 16_000);
    let mut left = Vec::new();
    for _ in 0..60 {
        left.extend(play(&mut ear, &speech, |_| None));
        if ear.is_full() {
            break;
        }
    }
    assert!(ear.is_full());
    left.iter().for_each(|job| ear.handle_recognised(job.id, words("one two three")));
    while let Some(job) = ear.poll_job() {
        ear.handle_recognised(job.id, words("one two three"));
    }
    assert!(!ear.is_full());
}

#[test]
fn nobody_is_asked_about_tones_and_silence() {
    let tone = |hz: [f32; 2]| {
        let sample = move |at: u32| {
            #[expect(clippy::cast_precision_loss, reason = "40,000 is exact")]
            let seconds = at as f32 / 8_000.0;
            let wave = hz.map(|hz| (seconds * hz * std::f32::consts::TAU).sin()).iter().sum::<f32>() * 4_000.0;
            #[expect(clippy::cast_possible_truncation, reason = "8,000 is within i16")]
            let wave = wave as i16;
            audio_codec_algorithms::encode_ulaw(wave)
        };
        (0..40_000).map(sample).collect::<Vec<u8>>()
    };
    for audio in [vec![0xFF; 80_000], tone([350.0, 440.0]), tone([480.0, 620.0])] {
        let mut ear = ear();
        let left = play(&mut ear, &[audio, vec![0xFF; 8_000]].concat(), |_| None);
        assert!(left.is_empty());
        ear.handle_flush();
        assert_eq!(heard(&mut ear), ["flushed"]);
    }
}

#[test]
fn audio_at_full_scale_and_cut_off_is_taken_like_any_other() {
    let mut ear = ear();
    let loud: Vec<u8> = recording("pay-by-card", 0, 5_000)
        .iter()
        .map(|byte| audio_codec_algorithms::encode_ulaw(audio_codec_algorithms::decode_ulaw(*byte).saturating_mul(40)))
        .collect();
    play(&mut ear, &loud, |_| Some(words("it is loud")));
    assert_eq!(heard(&mut ear).last().map(String::as_str), Some("final it is loud"));
}
