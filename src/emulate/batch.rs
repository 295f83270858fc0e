//! The service's batch answer for a whole file (protocols/pulse.md section 8).
//!
//! Promises: pure; a WAV's length is read from the file itself; headerless bytes bring an empty success, as they do live, and a WAV that
//! is none of the service's codings is refused.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    admit::{Refusal, Route},
    faults::{Fault, Form, Suffered, Wait},
    hearing::Hearing,
    recognition,
    script::{Script, Spoken},
    wire::Parameters,
};
use crate::{
    audio::{BadWav, Coding, Wav, telephone},
    engine::ear::Settings,
};

/// The largest body taken, in bytes.
pub(super) const LIMIT: u64 = 250 * 1000 * 1000;
/// A pause of so many ticks ends an utterance: 800 ms.
const PAUSE: u64 = 6_400;
const MINUTE_MS: u64 = 60_000;

/// A file that was taken.
pub(super) struct Recording {
    /// Its first channel as the telephone would carry it.
    mulaw: Vec<u8>,
    /// Its length in seconds, where the file says it.
    seconds: Option<f64>,
    /// Its size in bytes.
    size: usize,
}

/// Takes a file.
pub(super) fn open(body: &Bytes, route: Route, faults: &[Suffered]) -> Result<Recording, Refusal> {
    let large = |suffered: &Suffered| matches!(suffered.fault, Fault::BatchTooLarge { bytes } if body.len() as u64 > bytes);
    if faults.iter().any(large) {
        return Err(too_large(route));
    }
    let wav = match Wav::parse(body) {
        Ok(wav) => wav,
        Err(BadWav::NotWav) => return Ok(Recording { mulaw: Vec::new(), seconds: None, size: body.len() }),
        Err(why) => return Err(undecodable(&format!("Could not decode the audio: it {why}"))),
    };
    let tag = tag_of(wav.coding);
    let fails = |suffered: &Suffered| matches!(suffered.fault, Fault::BatchDecodeError { tag: only } if only.is_none_or(|only| only == tag));
    if faults.iter().any(fails) {
        return Err(undecodable(&format!("Could not decode the audio format {tag}")));
    }
    if wav.length() == 0 {
        return Err(of_form(Form::NoAudio, 400, None));
    }
    #[expect(clippy::cast_precision_loss, reason = "a file of at most 250 MB has fewer than 2^52 samples")]
    let seconds = wav.length() as f64 / f64::from(wav.rate);
    Ok(Recording { mulaw: telephone(&wav).swap_remove(0), seconds: Some(seconds), size: body.len() })
}

impl Recording {
    /// Its first channel, mu-law of 8 kHz.
    pub(super) fn mulaw(&self) -> &[u8] {
        &self.mulaw
    }

    /// What a script says of it.
    pub(super) fn heard_by(&self, script: &Script) -> Vec<Spoken> {
        let mut hearing = Hearing::new(script);
        if !self.mulaw.is_empty() {
            hearing.handle_audio(&self.mulaw, self.mulaw.len() as u64);
            hearing.handle_flush();
        }
        std::iter::from_fn(|| hearing.poll_output()).collect()
    }

    /// What the service answers where this was said in it.
    pub(super) fn answer(&self, spoken: &[Spoken], asked: &Parameters) -> Value {
        success(spoken, self.seconds, self.size, asked)
    }
}

/// An answer of who tells no speakers apart.
pub(super) fn without_speakers(mut answer: Value) -> Value {
    let utterances = answer.get_mut("utterances").and_then(Value::as_array_mut);
    for utterance in utterances.into_iter().flatten().filter_map(Value::as_object_mut) {
        utterance.remove("speaker");
    }
    answer
}

/// How the built-in engine is to hear a file for this client.
pub(super) fn ear_settings(asked: &Parameters) -> Result<Settings, Refusal> {
    let of_file = Parameters { encoding: "mulaw".to_owned(), sample_rate: 8_000, ..asked.clone() };
    recognition::ear_settings(&of_file).map_err(|why| Refusal {
        status: 400,
        body: json!({"status": "error", "error_code": "LANGUAGE_NOT_ENABLED_IN_REGION", "message": why.to_string()}),
        retry_after: None,
    })
}

/// How long the answer waits.
pub(super) fn delay(faults: &[Suffered]) -> Option<Wait> {
    faults.iter().find_map(|suffered| match suffered.fault {
        Fault::BatchDelay { ms } => Some(Wait::For(Duration::from_millis(ms))),
        _ => None,
    })
}

/// Whether a request is refused before its body is looked at; `taken` are the times of those before, in milliseconds.
pub(super) fn refused(fault: &Fault, taken: &[u64], at_ms: u64) -> Option<Refusal> {
    match fault {
        Fault::BatchRefuse { status, retry_after, form: Some(form) } => Some(of_form(*form, *status, *retry_after)),
        Fault::BatchRefuse { status: 400, retry_after, form: None } => Some(of_form(Form::Parameters, 400, *retry_after)),
        Fault::BatchRefuse { status, retry_after, form: None } => Some(Refusal::of_status(*status, *retry_after)),
        Fault::BatchLimit { per_minute } => {
            let recent: Vec<u64> = taken.iter().copied().filter(|taken| taken + MINUTE_MS > at_ms).collect();
            let oldest = recent.get(recent.len().checked_sub(*per_minute)?).copied().unwrap_or(at_ms);
            let seconds = (oldest + MINUTE_MS).saturating_sub(at_ms).div_ceil(1000);
            Some(Refusal::of_status(429, u32::try_from(seconds).ok()))
        }
        _ => None,
    }
}

/// The answer to a file that is too large.
pub(super) fn too_large(route: Route) -> Refusal {
    match route.letter {
        'G' => Refusal::of_status(413, None),
        _ => Refusal {
            status: 400,
            body: json!({"status": "error", "message": "Bad request", "errors": "Audio data too large"}),
            retry_after: None,
        },
    }
}

fn undecodable(message: &str) -> Refusal {
    let body = json!({"status": "error", "code": "AudioDecodeError", "message": message});
    Refusal { status: 400, body, retry_after: None }
}

fn of_form(form: Form, status: u16, retry_after: Option<u32>) -> Refusal {
    let body = match form {
        Form::Parameters => json!({"status": "error", "message": "Invalid query parameters",
            "errors": [{"path": "language", "message": "Invalid enum value"}]}),
        Form::Plain => json!({"status": "error", "message": "Invalid request", "errors": "Invalid audio"}),
        Form::Language => json!({"status": "error", "error_code": "LANGUAGE_NOT_ENABLED_IN_REGION",
            "message": "The language is not enabled in this region", "language": "ja", "region": "in"}),
        Form::NoAudio => json!({"status": "error", "code": "NoAudio", "message": "No audio"}),
        Form::Message => json!({"message": "Unauthorized: No tokens provided"}),
        Form::Error => json!({"error": "unavailable"}),
    };
    Refusal { status, body, retry_after }
}

/// The format tag that a file of this coding has.
const fn tag_of(coding: Coding) -> u16 {
    match coding {
        Coding::Pcm16 => 1,
        Coding::Alaw => 6,
        Coding::Mulaw => 7,
    }
}

fn success(spoken: &[Spoken], duration: Option<f64>, size: usize, asked: &Parameters) -> Value {
    let mut answer = json!({"status": "success", "transcription": text_of(spoken), "language": asked.language,
        "metadata": {"duration": duration.unwrap_or(0.0), "fileSize": size}});
    if asked.words {
        let words: Vec<Value> = spoken.iter().map(|word| word_of(word, asked.diarize)).collect();
        let sentences = spoken.chunk_by(|before, next| next.start < before.end + PAUSE);
        answer["words"] = words.into();
        answer["utterances"] = sentences.map(utterance).collect::<Vec<_>>().into();
    }
    answer
}

fn utterance(spoken: &[Spoken]) -> Value {
    let (start, end) = (spoken.first().map_or(0, |word| word.start), spoken.last().map_or(0, |word| word.end));
    json!({"text": text_of(spoken), "start": seconds(start), "end": seconds(end), "speaker": 0})
}

fn text_of(spoken: &[Spoken]) -> String {
    spoken.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}

fn word_of(word: &Spoken, diarize: bool) -> Value {
    let mut value = json!({"word": word.text, "start": seconds(word.start), "end": seconds(word.end), "confidence": f64::from(word.confidence) / 100.0});
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

    fn told(body: &Bytes, query: &str, faults: &[Fault]) -> Result<Value, (u16, Value)> {
        let route = super::super::admit::ROUTES[5];
        let fixture = Fixture::load(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mid-word")).unwrap();
        let faults: Vec<Suffered> = faults.iter().cloned().map(Suffered::from).collect();
        let recording = open(body, route, &faults).map_err(|it| (it.status, it.body))?;
        Ok(recording.answer(&recording.heard_by(&Script::of_fixtures([&fixture])), &asked(query)))
    }

    fn recording() -> Bytes {
        let fixture = Fixture::load(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mid-word")).unwrap();
        test_file(7, 8, 8000, 1, &fixture.tracks[&Track::Outbound][..4000 * 8])
    }

    #[test]
    fn a_recording_in_a_wav_is_heard_with_its_length() {
        let answer = told(&recording(), "word_timestamps=true&diarize=true", &[]).unwrap();
        assert_eq!(answer["transcription"], "good morning thank you for calling how can I help you");
        assert_eq!((&answer["metadata"]["duration"], &answer["words"][0]["speaker"]), (&4.0.into(), &0.into()));
        assert_eq!(answer["words"].as_array().map(Vec::len), Some(11));
        let said: Vec<&str> = answer["utterances"].as_array().unwrap().iter().filter_map(|it| it["text"].as_str()).collect();
        assert_eq!(said.join(" "), answer["transcription"].as_str().unwrap());
    }

    #[test]
    fn headerless_bytes_bring_an_empty_success() {
        let answer = told(&Bytes::from_static(&[0xFF; 800]), "", &[]).unwrap();
        assert_eq!((&answer["status"], &answer["transcription"]), (&"success".into(), &"".into()));
    }

    #[test]
    fn files_that_are_none_of_the_service_s_are_refused_by_their_code() {
        let code =
            |file: &Bytes, faults: &[Fault]| told(file, "", faults).map_err(|(status, body)| (status, body["code"].clone()));
        assert_eq!(code(&test_file(3, 32, 8000, 1, &[0; 8]), &[]), Err((400, "AudioDecodeError".into())));
        assert_eq!(code(&test_file(7, 8, 8000, 1, &[]), &[]), Err((400, "NoAudio".into())));
        let only = |tag| [Fault::BatchDecodeError { tag: Some(tag) }];
        assert_eq!(code(&recording(), &only(7)), Err((400, "AudioDecodeError".into())));
        assert!(code(&recording(), &only(1)).is_ok());
        let small = recording().len() as u64;
        assert!(code(&recording(), &[Fault::BatchTooLarge { bytes: small }]).is_ok());
        assert_eq!(code(&recording(), &[Fault::BatchTooLarge { bytes: small - 1 }]).unwrap_err().0, 413);
    }

    #[test]
    fn no_more_are_taken_in_a_minute_than_the_limit_says() {
        let limit = Fault::BatchLimit { per_minute: 2 };
        let told = |taken: &[u64]| refused(&limit, taken, 100_000).map(|refusal| (refusal.status, refusal.retry_after));
        assert_eq!((told(&[]), told(&[90_000])), (None, None));
        assert_eq!(told(&[90_000, 95_000]), Some((429, Some(50))));
        assert_eq!(told(&[40_000, 95_000]), None, "the first of them is a minute old");
    }
}
