//! Which service's parameters go with which protocol.

use super::*;

fn asr(lines: &str) -> Result<Config, ConfigError> {
    from_file(&format!("[upstream]\nprotocol = \"asr\"\n{lines}"))
}

#[test]
fn the_older_asr_is_asked_for_its_own_parameters_at_its_own_address() {
    let config = load(Some("[upstream]\nprotocol = \"asr\""), &[("SMALLEST_API_KEY", "sk_x")], &[]).unwrap();
    assert_eq!(config.upstream.speech_url().unwrap().as_str(), "wss://waves-api.smallest.ai/api/v1/asr");
    assert_eq!(asked(&config), "language=en add_punctuation=true speech_end_threshold=800 redact_sensitive_data=pci,ssn");
}

#[test]
fn every_parameter_of_the_older_asr_is_taken_in_each_of_its_forms() {
    let config = asr("language = \"zh-hk\"\n[upstream.asr]\nadd_punctuation = false\nspeech_end_threshold = 60_000\nemit_voice_activity = true\n\
                      redact_sensitive_data = [\"numbers\"]\nspeech_endpointing = 10")
    .unwrap();
    let expected = "language=zh-hk add_punctuation=false speech_end_threshold=60000 emit_voice_activity=true redact_sensitive_data=numbers \
                    speech_endpointing=10";
    assert_eq!(asked(&config), expected);
    for (line, value) in [("true", "true"), ("false", "false"), ("\"false\"", "false"), ("60_000", "60000")] {
        let config = asr(&format!("asr.speech_endpointing = {line}")).unwrap();
        assert!(asked(&config).ends_with(&format!("speech_endpointing={value}")), "{line}");
    }
    let env = [("PULSE_BRIDGE_UPSTREAM_PROTOCOL", "asr"), ("PULSE_BRIDGE_UPSTREAM_ASR_SPEECH_END_THRESHOLD", "10")];
    assert!(asked(&from_env(&env).unwrap()).contains("speech_end_threshold=10"));
    let silent = asr("asr.redact_sensitive_data = []").unwrap();
    assert!(asked(&silent).ends_with("redact_sensitive_data="), "an empty list asks for none");
}

#[test]
fn a_value_that_the_older_asr_would_close_on_is_refused_where_it_stands() {
    let rows = [
        (
            "language = \"en-US\"",
            "pulse-bridge.toml:3: upstream.language: audioLanguage must be one of the following values: en, hi",
        ),
        (
            "asr.speech_end_threshold = 9",
            "pulse-bridge.toml:3: upstream.asr.speech_end_threshold is 9; it must be a whole number from 10",
        ),
        ("asr.speech_end_threshold = 60001", "pulse-bridge.toml:3: upstream.asr.speech_end_threshold is 60001; it must be"),
        (
            "asr.emit_voice_activity = 1",
            "pulse-bridge.toml:3: upstream.asr.emit_voice_activity is \"1\"; it must be true or false",
        ),
        ("asr.add_punctuation = \"yes\"", "pulse-bridge.toml:3: upstream.asr.add_punctuation is \"yes\"; it must be"),
        (
            "asr.redact_sensitive_data = [\"pii\"]",
            "pulse-bridge.toml:3: upstream.asr.redact_sensitive_data has \"pii\"; it takes pci, ssn, numbers; did you mean \"pci\"?",
        ),
        (
            "asr.speech_endpointing = 9",
            "pulse-bridge.toml:3: upstream.asr.speech_endpointing is \"9\"; it must be true, false or a whole number from 10 to 60000",
        ),
        (
            "asr.audio_encoding = \"flac\"",
            "pulse-bridge.toml:3: \"upstream.asr.audio_encoding\" is not a setting: the call's own encoding",
        ),
        (
            "asr.audio_language = \"en\"",
            "pulse-bridge.toml:3: \"upstream.asr.audio_language\" is not a setting: write it as upstream.language",
        ),
        ("asr.audioChannels = 1", "pulse-bridge.toml:3: unknown key \"upstream.asr.audioChannels\"; did you mean"),
        ("url = \"ws://h/api/v1/asr?region=us\"", "pulse-bridge.toml:3: upstream.url has a query"),
    ];
    for (line, words) in rows {
        let error = asr(line).unwrap_err().to_string();
        assert!(error.starts_with(words), "{error}");
    }
}

#[test]
fn what_one_service_takes_is_not_said_to_the_other() {
    let rows = [
        (
            "[upstream.asr]\nspeech_end_threshold = 500",
            "pulse-bridge.toml:2: upstream.asr.speech_end_threshold is for the older ASR, but upstream.protocol is \"pulse\"; take it out or set upstream.protocol = \"asr\"",
        ),
        (
            "[upstream]\nprotocol = \"asr\"\ndiarize = true",
            "pulse-bridge.toml:3: upstream.diarize is for Pulse, but upstream.protocol is \"asr\"; take it out or set upstream.protocol = \"pulse\"",
        ),
        (
            "[upstream]\nprotocol = \"asr\"\nextra = { brand_new = 1 }",
            "pulse-bridge.toml:3: upstream.extra is for Pulse, but upstream.protocol is \"asr\"; take it out or set upstream.protocol = \"pulse\"",
        ),
    ];
    for (text, error) in rows {
        assert_eq!(from_file(text).unwrap_err().to_string(), error);
    }
}

#[test]
fn an_endpoint_that_asks_for_voice_is_told_which_setting_brings_it() {
    let endpoint = format!(
        "[[webhook.endpoints]]\nname = \"a\"\nurl = \"http://h\"\nsecrets = [\"{SECRET}\"]\nevents = [\"speech.started\"]\n"
    );
    let warned = |lines: &str| asr(&format!("{lines}\n{endpoint}")).unwrap().warnings().join(" ");
    assert!(warned("").contains("upstream.asr.emit_voice_activity is off"), "{}", warned(""));
    assert!(!warned("asr.emit_voice_activity = true").contains("speech events"));
}
