//! The service's batch answer for a whole file (protocols/pulse.md section 8).
//!
//! Promises: pure; a WAV's length is read from the file itself; headerless bytes bring an empty success, as they do live.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    hearing::Hearing,
    script::{Script, Spoken},
    wire::Parameters,
};
use crate::audio::{Wav, telephone};

/// The largest body taken, in bytes.
pub(super) const LIMIT: u64 = 250 * 1000 * 1000;

/// What the service answers to a body.
pub(super) fn answer(body: &Bytes, asked: &Parameters, script: &Script) -> Value {
    let Ok(wav) = Wav::parse(body) else { return success(&[], None, body.len(), asked) };
    let mulaw: Vec<u8> = telephone(&wav).swap_remove(0);
    let mut hearing = Hearing::new(script);
    hearing.handle_audio(&mulaw, mulaw.len() as u64);
    hearing.handle_flush();
    let spoken: Vec<Spoken> = std::iter::from_fn(|| hearing.poll_output()).collect();
    #[expect(clippy::cast_precision_loss, reason = "a file of at most 250 MB has fewer than 2^52 samples")]
    let seconds = wav.length() as f64 / f64::from(wav.rate);
    success(&spoken, Some(seconds), body.len(), asked)
}

fn success(spoken: &[Spoken], duration: Option<f64>, size: usize, asked: &Parameters) -> Value {
    let text = spoken.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    let mut answer = json!({"status": "success", "transcription": text, "language": asked.language,
        "metadata": {"duration": duration.unwrap_or(0.0), "fileSize": size}});
    if asked.words {
        let words: Vec<Value> = spoken.iter().map(|word| word_of(word, asked.diarize)).collect();
        let utterances: Vec<Value> = spoken
            .first()
            .zip(spoken.last())
            .map(|(first, last)| json!({"text": text, "start": seconds(first.start), "end": seconds(last.end), "speaker": 0}))
            .into_iter()
            .collect();
        answer["words"] = words.into();
        answer["utterances"] = utterances.into();
    }
    answer
}

fn word_of(word: &Spoken, diarize: bool) -> Value {
    let mut value = json!({"word": word.text, "start": seconds(word.start), "end": seconds(word.end), "confidence": 0.98});
    if diarize {
        value["speaker"] = 0.into();
        value["speaker_confidence"] = 1.into();
    }
    value
}

#[expect(clippy::cast_precision_loss, reason = "a file of at most 250 MB has fewer than 2^52 samples")]
fn seconds(ticks: u64) -> f64 {
    (ticks / 8) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{audio::test_file, fixture::Fixture, media::Track};

    fn asked(query: &str) -> Parameters {
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Parameters::of_query(&pairs)
    }

    #[test]
    fn a_recording_in_a_wav_is_heard_with_its_length() {
        let fixture = Fixture::load(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mid-word")).unwrap();
        let file = test_file(7, 8, 8000, 1, &fixture.tracks[&Track::Outbound][..4000 * 8]);
        let answer = answer(&file, &asked("word_timestamps=true&diarize=true"), &Script::of_fixtures([&fixture]));
        assert_eq!(answer["transcription"], "good morning thank you for calling how can I help you");
        assert_eq!((&answer["metadata"]["duration"], &answer["words"][0]["speaker"]), (&4.0.into(), &0.into()));
        assert_eq!(answer["words"].as_array().map(Vec::len), Some(11));
    }

    #[test]
    fn headerless_bytes_bring_an_empty_success() {
        let answer = answer(&Bytes::from_static(&[0xFF; 800]), &asked(""), &Script::default());
        assert_eq!((&answer["status"], &answer["transcription"]), (&"success".into(), &"".into()));
    }
}
