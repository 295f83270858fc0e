use super::*;

fn set(name: &str, value: &str) -> Result<Parameters, BadParameter> {
    let mut parameters = Parameters::default();
    parameters.set(name, value).map(|()| parameters)
}

#[test]
fn the_default_query_is_the_suggested_set_for_telephony() {
    assert_eq!(
        Parameters::default().query("CA123"),
        "model=pulse&language=en&encoding=mulaw&sample_rate=8000&word_timestamps=true&sentence_timestamps=true&diarize=true&redact_pii=true\
         &redact_pci=true&finalize_on_words=false&itn_normalize=true&external_session_id=CA123"
    );
}

#[test]
fn every_documented_parameter_is_taken_and_appears_in_the_query() {
    let table = [
        ("language", "multi-eu"),
        ("word_timestamps", "false"),
        ("sentence_timestamps", "false"),
        ("diarize", "false"),
        ("redact_pii", "false"),
        ("redact_pci", "false"),
        ("finalize_on_words", "true"),
        ("itn_normalize", "false"),
        ("full_transcript", "true"),
        ("format", "false"),
        ("punctuate", "false"),
        ("capitalize", "false"),
        ("no_format_delay", "true"),
        ("numerals", "auto"),
        ("keywords", "Ann:2"),
        ("eou_timeout_ms", "600"),
        ("endpointing", "false"),
        ("endpointing_timeout", "300"),
        ("vad_threshold", "0.5"),
        ("vad_min_speech_ms", "120"),
        ("vad_events", "true"),
        ("max_words", "20"),
        ("emotion_detection", "true"),
        ("gender_detection", "true"),
    ];
    assert_eq!(Parameters::default().names().collect::<Vec<_>>().len(), table.len(), "a parameter is missing here");
    for (name, value) in table {
        let parameters = set(name, value).unwrap();
        assert_eq!(parameters.get(name), Some(value));
        let pair = (name.to_owned(), value.to_owned());
        assert!(form_pairs(&parameters.query("")).contains(&pair), "{name}");
    }
}

#[test]
fn a_value_out_of_range_is_refused_by_name() {
    let table = [
        ("eou_timeout_ms", "0"),
        ("eou_timeout_ms", "99"),
        ("eou_timeout_ms", "10001"),
        ("eou_timeout_ms", "1.5"),
        ("diarize", "yes"),
        ("diarize", "True"),
        ("diarize", ""),
        ("numerals", "maybe"),
        ("vad_threshold", "1.1"),
        ("vad_threshold", "NaN"),
        ("language", ""),
        ("language", "en us"),
        ("endpointing_timeout", "-1"),
        ("max_words", "0"),
        ("keywords", r#"["Ann"]"#),
        ("keywords", "Ann:heavy"),
        ("keywords", ":2"),
        ("keywords", "Ann:-1"),
    ];
    for (name, value) in table {
        let error = set(name, value).unwrap_err();
        assert!(matches!(&error, BadParameter::Value { name: named, .. } if *named == name), "{name}={value}: {error:?}");
        assert!(error.to_string().starts_with(&format!("{name} must be ")), "{error}");
    }
    for edge in ["100", "10000"] {
        assert!(set("eou_timeout_ms", edge).is_ok());
    }
}

#[test]
fn a_misspelt_parameter_is_an_error_and_the_audio_format_is_fixed() {
    let error = set("redact_ppi", "true").unwrap_err().to_string();
    assert_eq!(error, "redact_ppi is not a parameter of the speech service; newer ones go under [upstream.extra]");
    for fixed in ["encoding", "sample_rate", "model", "external_session_id"] {
        assert_eq!(set(fixed, "opus").unwrap_err(), BadParameter::Fixed { name: fixed.to_owned() });
    }
    assert!(set("model", "pulse").is_ok() && set("sample_rate", "8000").is_ok());
}

#[test]
fn keywords_are_a_tidy_comma_list_and_absent_if_empty() {
    let keywords = |value| set("keywords", value).unwrap().get("keywords").map(str::to_owned);
    assert_eq!(keywords(" Ann:2 , Two words:1.5,plain, ,").as_deref(), Some("Ann:2,Two words:1.5,plain"));
    assert_eq!(keywords(""), None);
    assert_eq!(keywords(" , ,"), None);
    assert!(!set("keywords", "").unwrap().query("").contains("keywords"));
    let many = |count| vec!["a"; count].join(",");
    assert!(set("keywords", &many(MAX_KEYWORDS)).is_ok());
    assert!(set("keywords", &many(MAX_KEYWORDS + 1)).is_err());
}

#[test]
fn extra_parameters_pass_but_override_nothing() {
    let mut parameters = Parameters::default();
    parameters.set_extra("brand_new", "a b&c=d").unwrap();
    parameters.set_extra("brand_new", "2").unwrap();
    assert!(parameters.query("").ends_with("&brand_new=2"));
    for taken in [
        "encoding",
        "sample_rate",
        "model",
        "redact_pii",
        "REDACT_PII",
        "external_session_id",
        "vad",
        "token",
        "API_KEY",
        "",
        "a b",
        "a&b",
    ] {
        assert!(matches!(parameters.set_extra(taken, "x"), Err(BadParameter::NotExtra { .. })), "{taken}");
    }
    assert!(parameters.set_extra("long", &"x".repeat(MAX_VALUE + 1)).is_err());
}

#[test]
fn values_are_encoded() {
    let query = set("keywords", "R&D:2,Zoë=1").unwrap().query("CA1");
    assert!(query.contains("keywords=R%26D%3A2%2CZo%C3%AB%3D1"), "{query}");
}

#[test]
fn the_operators_url_keeps_its_path_and_its_own_parameters() {
    let base =
        Url::parse("wss://api.example.com/waves/v1/stt/live?model=pulse-pro&region=us&encoding=linear16&api_key=sk_1#x").unwrap();
    let url = Parameters::default().url(&base, "CA1.inbound");
    assert_eq!((url.host_str(), url.path(), url.fragment()), (Some("api.example.com"), "/waves/v1/stt/live", None));
    let pairs = form_pairs(url.query().unwrap());
    for once in [("model", "pulse"), ("encoding", "mulaw"), ("region", "us"), ("external_session_id", "CA1.inbound")] {
        assert_eq!(pairs.iter().filter(|pair| pair.0 == once.0).map(|pair| pair.1.as_str()).collect::<Vec<_>>(), [once.1]);
    }
    assert!(!url.as_str().contains("sk_1"), "a key in a URL gets logged");
}

#[test]
fn the_session_id_is_cut_to_what_the_service_takes() {
    let id = |call: &str| external_session_id(&CallSid::new(call).unwrap(), Track::Outbound);
    assert_eq!(id("CA12"), "CA12.outbound");
    assert_eq!(id("v3:a/b+c=="), "v3-a-b-c--.outbound");
    let long = id(&"x".repeat(128));
    assert_eq!(long.len(), MAX_SESSION_ID);
    assert!(long.ends_with(".outbound"));
    let query = Parameters::default().query(&"é!".repeat(100));
    assert!(query.ends_with(&format!("external_session_id={}", "-".repeat(128))));
}

fn form_pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}
