//! What a client that is really heard may ask for, and its words in the form that it asked for.
//!
//! Promises: pure; what the built-in engine cannot hear (another language, a compressed coding) is refused in words, not heard wrongly.

use super::{
    script::Spoken,
    wire::{Parameters, TICKS},
};
use crate::engine::{
    Word,
    ear::{Coding, Settings},
};

/// Samples a second that are heard (protocols/pulse.md section 4).
const RATES: [u64; 6] = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000];
/// Quiet that may end an utterance, in milliseconds (protocols/pulse.md section 4).
const EOU_MS: (u64, u64) = (100, 10_000);

/// Why nobody would be heard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unheard {
    /// Not English.
    #[error("{0} is not served here: the built-in engine hears English alone")]
    Language(String),
    /// No coding of samples.
    #[error("encoding {0} is not heard by the built-in engine; send linear16, mulaw or alaw")]
    Encoding(String),
    /// No rate of speech.
    #[error("sample_rate {0} is not heard by the built-in engine; send 8000, 16000, 22050, 24000, 44100 or 48000")]
    Rate(u64),
}

/// How the ear is to be set for this client.
///
/// # Errors
/// What it asks for that the engine does not hear.
pub(super) fn ear_settings(asked: &Parameters) -> Result<Settings, Unheard> {
    let language = asked.language.split(['-', '_']).next().unwrap_or_default();
    if !language.eq_ignore_ascii_case("en") {
        return Err(Unheard::Language(plain(&asked.language)));
    }
    let coding = match asked.encoding.as_str() {
        "mulaw" => Coding::Mulaw,
        "alaw" => Coding::Alaw,
        "linear16" => Coding::Linear16,
        other => return Err(Unheard::Encoding(plain(other))),
    };
    let rate = Some(asked.sample_rate).filter(|rate| RATES.contains(rate)).and_then(|rate| u32::try_from(rate).ok());
    Ok(Settings {
        coding,
        sample_rate: rate.ok_or(Unheard::Rate(asked.sample_rate))?,
        eou_timeout_ms: asked.eou_timeout_ms.clamp(EOU_MS.0, EOU_MS.1),
        interims: true,
        numbers: asked.numbers,
    })
}

/// What is asked for, without what the engine does not tell: that is not made up.
pub(super) fn heard_alone(asked: &Parameters) -> Parameters {
    Parameters { emotion: false, gender: false, diarize: false, redact: false, ..asked.clone() }
}

/// A client's own word, short and plain enough for a message.
fn plain(word: &str) -> String {
    word.chars().filter(char::is_ascii_graphic).take(32).collect()
}

/// Words as the wire has them: in ticks, with or without punctuation and capitals.
pub(super) fn spoken(words: Vec<Word>, asked: &Parameters) -> Vec<Spoken> {
    let words = words.into_iter().map(|word| Spoken {
        start: ticks(word.start_ms),
        // A word takes at least a moment.
        end: ticks(word.end_ms).max(ticks(word.start_ms) + 1),
        confidence: hundredths(word.confidence),
        text: styled(word.text, asked),
    });
    words.filter(|word| !word.text.is_empty()).collect()
}

/// So many milliseconds of audio.
pub(super) const fn ticks(ms: u64) -> u64 {
    ms * TICKS / 1_000
}

fn styled(mut text: String, asked: &Parameters) -> String {
    if !asked.capitalize {
        text = text.to_lowercase();
    }
    if !asked.punctuate {
        let is_kept = |letter: char| letter.is_alphanumeric() || "$%@#&+€£".contains(letter);
        let kept = text.trim_matches(|letter: char| !is_kept(letter));
        if kept.len() < text.len() {
            text = kept.to_owned();
        }
    }
    text
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=100 just here")]
fn hundredths(share: f32) -> u8 {
    (share.clamp(0.0, 1.0) * 100.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Parameters {
        Parameters::of_query(&url::form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<_>>())
    }

    #[test]
    fn what_the_engine_does_not_hear_is_refused_by_its_name() {
        let refused = |query: &str| ear_settings(&asked(query)).unwrap_err();
        assert_eq!(refused("language=hi"), Unheard::Language("hi".into()));
        assert_eq!(refused("language=multi-eu"), Unheard::Language("multi-eu".into()));
        assert_eq!(refused("encoding=opus"), Unheard::Encoding("opus".into()));
        assert_eq!(refused("sample_rate=4000"), Unheard::Rate(4_000));
        assert_eq!(refused("encoding=linear32"), Unheard::Encoding("linear32".into()));
    }

    #[test]
    fn the_defaults_of_the_page_and_a_telephone_s_are_heard() {
        let settings = ear_settings(&asked("")).unwrap();
        assert_eq!((settings.coding, settings.sample_rate, settings.eou_timeout_ms), (Coding::Linear16, 16_000, 800));
        let settings =
            ear_settings(&asked("language=en-US&encoding=mulaw&sample_rate=8000&eou_timeout_ms=0&numerals=true")).unwrap();
        assert_eq!((settings.coding, settings.sample_rate, settings.eou_timeout_ms), (Coding::Mulaw, 8_000, 100));
        assert!(settings.numbers);
    }

    #[test]
    fn punctuation_and_capitals_go_where_they_are_not_wanted() {
        let word = |text: &str| Word { text: text.to_owned(), start_ms: 100, end_ms: 100, confidence: 0.876 };
        let told = |query: &str| -> Vec<String> {
            let words = ["Hi,", "I'd", "pay", "$5.20", "today."].map(word).to_vec();
            spoken(words, &asked(query)).into_iter().map(|word| word.text).collect()
        };
        assert_eq!(told(""), ["Hi,", "I'd", "pay", "$5.20", "today."]);
        assert_eq!(told("punctuate=false"), ["Hi", "I'd", "pay", "$5.20", "today"]);
        assert_eq!(told("format=false"), ["hi", "i'd", "pay", "$5.20", "today"]);
        let one = &spoken(vec![word("hi")], &asked(""))[0];
        assert_eq!((one.start, one.end, one.confidence), (800, 801, 88));
    }
}
