//! The older ASR's parameters (protocols/pulse.md section 9).
//!
//! Promises: a name or value that the service would close on is an error here, in the service's own words where they are known.

use crate::upstream::parameters::{Kind, Row};

/// Every language that the service has anywhere. Which of them an account gets depends on the region and on what was arranged for it.
const LANGUAGES: [&str; 29] = [
    "en", "hi", "es", "fr", "de", "ru", "pt", "ja", "it", "nl", "zh", "zh-hk", "tr", "vi", "th", "id", "uk", "ta", "mr", "te",
    "pl", "el", "hu", "ro", "cs", "sv", "bg", "da", "fi",
];

const fn row(name: &'static str, wire: &'static str, kind: Kind, default: Option<&'static str>) -> Row {
    Row { name, wire, kind, default }
}

/// In the order of the service's own page. A turn ends after 800 ms of silence in place of the service's 300: on a phone that is a pause
/// between two groups of digits, and a number that stays in one final is redacted best.
pub(in crate::upstream) const TABLE: [Row; 9] = [
    row("language", "audioLanguage", Kind::Word(&LANGUAGES), Some("en")),
    row("audio_encoding", "audioEncoding", Kind::Fixed("mulaw"), Some("mulaw")),
    row("audio_sample_rate", "audioSampleRate", Kind::Fixed("8000"), Some("8000")),
    row("audio_channels", "audioChannels", Kind::Fixed("1"), Some("1")),
    row("add_punctuation", "addPunctuation", Kind::Switch, Some("true")),
    row("speech_end_threshold", "speechEndThreshold", Kind::Whole(10, 60_000), Some("800")),
    row("emit_voice_activity", "emitVoiceActivity", Kind::Switch, None),
    row("redact_sensitive_data", "redactSensitiveData", Kind::Words(&["pci", "ssn", "numbers"]), Some("pci,ssn")),
    row("speech_endpointing", "speechEndpointing", Kind::SwitchOr(10, 60_000), None),
];

/// What of a comma list the service takes, tidied and each once; `None` if there is anything else in it.
pub(in crate::upstream) fn list(value: &str, words: &[&str]) -> Option<String> {
    let items: Vec<&str> = value.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    let kept: Vec<&str> = words.iter().filter(|word| items.contains(word)).copied().collect();
    items.iter().all(|item| words.contains(item)).then(|| kept.join(","))
}

/// What a value must be that is not taken, in the service's words.
pub(in crate::upstream) fn expected(kind: Kind, value: &str) -> String {
    let number: Option<i64> = value.parse().ok();
    match (kind, number) {
        (Kind::Word(words) | Kind::Words(words), _) => format!("one of the following values: {}", words.join(", ")),
        (Kind::Whole(low, _) | Kind::SwitchOr(low, _), Some(number)) if number < i64::from(low) => format!("at least {low}"),
        (Kind::Whole(_, high) | Kind::SwitchOr(_, high), Some(_)) => format!("at most {high}"),
        (Kind::Whole(..), None) => "an integer number".to_owned(),
        (Kind::SwitchOr(low, high), None) => format!("true, false or an integer number from {low} to {high}"),
        (Kind::Fixed(value), _) => value.to_owned(),
        (Kind::Switch | Kind::Share | Kind::Language | Kind::Keywords, _) => "true or false".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::upstream::{BadParameter, Parameters, Protocol};

    fn set(name: &str, value: &str) -> Result<Parameters, BadParameter> {
        let mut parameters = Parameters::of(Protocol::Asr);
        parameters.set(name, value).map(|()| parameters)
    }

    #[test]
    fn a_phone_asks_for_its_own_audio_and_whole_numbers() {
        assert_eq!(
            Parameters::of(Protocol::Asr).query("CA1.inbound"),
            "audioLanguage=en&audioEncoding=mulaw&audioSampleRate=8000&audioChannels=1&addPunctuation=true&speechEndThreshold=800\
             &redactSensitiveData=pci%2Cssn"
        );
    }

    #[test]
    fn every_parameter_of_the_page_goes_out_under_its_own_name() {
        let rows = [
            ("language", "zh-hk", "audioLanguage=zh-hk"),
            ("add_punctuation", "false", "addPunctuation=false"),
            ("speech_end_threshold", "10", "speechEndThreshold=10"),
            ("speech_end_threshold", "60000", "speechEndThreshold=60000"),
            ("emit_voice_activity", "true", "emitVoiceActivity=true"),
            ("redact_sensitive_data", " numbers , pci,pci", "redactSensitiveData=pci%2Cnumbers"),
            ("speech_endpointing", "true", "speechEndpointing=true"),
            ("speech_endpointing", "false", "speechEndpointing=false"),
            ("speech_endpointing", "450", "speechEndpointing=450"),
        ];
        for (name, value, pair) in rows {
            let query = set(name, value).unwrap().query("");
            assert!(query.split('&').any(|found| found == pair), "{query}");
        }
        let without = set("redact_sensitive_data", "").unwrap().query("");
        assert!(!without.contains("redact"), "{without}");
    }

    #[test]
    fn what_the_service_would_close_on_is_refused_in_its_words() {
        let rows = [
            ("language", "en-US", "audioLanguage must be one of the following values: en, hi, es,"),
            ("language", "EN", "audioLanguage must be one of the following values: en, hi, es,"),
            ("speech_end_threshold", "9", "speechEndThreshold must be at least 10"),
            ("speech_end_threshold", "60001", "speechEndThreshold must be at most 60000"),
            ("speech_end_threshold", "1.5", "speechEndThreshold must be an integer number"),
            ("emit_voice_activity", "True", "emitVoiceActivity must be true or false"),
            ("add_punctuation", "1", "addPunctuation must be true or false"),
            ("redact_sensitive_data", "pci,PCI", "redactSensitiveData must be one of the following values: pci, ssn, numbers"),
            ("speech_endpointing", "9", "speechEndpointing must be at least 10"),
            ("speech_endpointing", "maybe", "speechEndpointing must be true, false or an integer number from 10 to 60000"),
            ("audio_encoding", "opus", "audio_encoding is set by the bridge"),
            ("audio_sample_rate", "16000", "audio_sample_rate is set by the bridge"),
            ("audio_channels", "2", "audio_channels is set by the bridge"),
            ("diarize", "true", "diarize is not a parameter of the speech service; the older ASR takes those of [upstream.asr]"),
            ("keywords", "Ann", "keywords is not a parameter"),
        ];
        for (name, value, words) in rows {
            let error = set(name, value).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn nothing_that_it_does_not_know_is_ever_sent() {
        let mut parameters = Parameters::of(Protocol::Asr);
        assert!(parameters.set_extra("brand_new", "1").is_err());
        let base = "wss://waves-api.smallest.ai/api/v1/asr?region=us&model=pulse&audioLanguage=fr".parse().unwrap();
        let url = parameters.url(&base, "CA1.inbound");
        assert_eq!((url.path(), url.query()), ("/api/v1/asr", Some(parameters.query("").as_str())));
    }
}
