use super::*;

const BASE: &str = "audioLanguage=en&audioEncoding=mulaw&audioSampleRate=8000&audioChannels=1";

fn query(text: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

fn told(text: &str) -> Vec<String> {
    complaints(&query(text), &languages(&[]))
}

fn asked(text: &str, faults: &[Suffered]) -> Parameters {
    Asked::of_query(&query(text), true, faults)
}

#[test]
fn every_parameter_is_taken_at_both_ends_of_its_range() {
    let rows = [
        "audioLanguage=fi",
        "audioLanguage=zh-hk",
        "audioEncoding=flac",
        "audioEncoding=opus",
        "audioSampleRate=48000",
        "audioChannels=2",
        "addPunctuation=true",
        "addPunctuation=false",
        "speechEndThreshold=10",
        "speechEndThreshold=60000",
        "emitVoiceActivity=true",
        "redactSensitiveData=pci,ssn,numbers",
        "speechEndpointing=true",
        "speechEndpointing=false",
        "speechEndpointing=10",
        "speechEndpointing=60000",
        "api_key=sk_x",
    ];
    for row in rows {
        let name = row.split('=').next().unwrap();
        let others = BASE.split('&').filter(|pair| !pair.starts_with(name)).collect::<Vec<_>>().join("&");
        assert_eq!(told(&format!("{others}&{row}")), Vec::<String>::new(), "{row}");
    }
    assert_eq!(
        told("audioEncoding=linear16&audioSampleRate=16000&audioChannels=1"),
        Vec::<String>::new(),
        "the page's first example"
    );
}

#[test]
fn whatever_else_is_asked_for_is_refused_by_name() {
    let rows = [
        ("audioLanguage=EN", "audioLanguage must be one of the following values: en, hi, es, fr"),
        ("audioEncoding=MULAW", "audioEncoding must be one of the following values: linear16, flac, mulaw, opus"),
        ("audioSampleRate=7999", "audioSampleRate must be at least 8000"),
        ("audioSampleRate=48001", "audioSampleRate must be at most 48000"),
        ("audioSampleRate=-1", "audioSampleRate must be at least 8000"),
        ("audioSampleRate=8000.5", "audioSampleRate must be an integer number"),
        ("audioChannels=0", "audioChannels must be at least 1"),
        ("addPunctuation=True", "addPunctuation must be a boolean value"),
        ("emitVoiceActivity=1", "emitVoiceActivity must be a boolean value"),
        ("speechEndThreshold=9", "speechEndThreshold must be at least 10"),
        ("speechEndThreshold=60001", "speechEndThreshold must be at most 60000"),
        (
            "redactSensitiveData=pci,SSN",
            "each value in redactSensitiveData must be one of the following values: pci, ssn, numbers",
        ),
        ("redactSensitiveData=", "each value in redactSensitiveData must be one of"),
        ("speechEndpointing=9", "speechEndpointing must be at least 10"),
        ("speechEndpointing=60001", "speechEndpointing must be at most 60000"),
        ("speechEndpointing=on", "speechEndpointing must be true, false or an integer number"),
        ("audiolanguage=en", "property audiolanguage should not exist"),
        ("model=pulse", "property model should not exist"),
        ("token=sk_x", "property token should not exist"),
    ];
    for (row, words) in rows {
        let name = row.split('=').next().unwrap();
        let others = BASE.split('&').filter(|pair| !pair.starts_with(&format!("{name}="))).collect::<Vec<_>>().join("&");
        let told = told(&format!("{others}&{row}"));
        assert!(told.len() == 1 && told[0].starts_with(words), "{told:?}");
    }
    assert_eq!(told(""), ["audioEncoding is required", "audioSampleRate is required", "audioChannels is required"]);
}

#[test]
fn a_turn_ends_by_the_endpointing_in_both_of_its_forms_or_else_by_the_threshold() {
    let turn = |more: &str| asked(&format!("{BASE}{more}"), &[]).eou_timeout_ms;
    let rows = [
        ("", 300),
        ("&speechEndThreshold=500", 500),
        ("&speechEndpointing=true&speechEndThreshold=500", 500),
        ("&speechEndpointing=700&speechEndThreshold=500", 700),
        ("&speechEndpointing=false&speechEndThreshold=500", NEVER_MS),
    ];
    for (more, ms) in rows {
        assert_eq!(turn(more), ms, "{more}");
    }
}

#[test]
fn a_key_comes_before_a_plan_and_a_plan_before_the_parameters() {
    let objection = |text: &str, is_let_in, fault: Option<Fault>| {
        let faults: Vec<Suffered> = fault.into_iter().map(Suffered::from).collect();
        let asked = Asked::of_query(&query(text), is_let_in, &faults).asr.unwrap();
        asked.objection.map(|(message, errors)| format!("{message}: {}", errors.join("; ")))
    };
    let region = || Fault::Region { languages: vec!["en".to_owned(), "hi".to_owned()] };
    let french = "audioLanguage=fr&audioEncoding=mulaw&audioSampleRate=8000&audioChannels=1";
    let rows = [
        (BASE, true, None, None),
        ("", false, Some(Fault::NoCredits), Some("Unauthorized: Invalid or missing API key")),
        ("", true, Some(Fault::NoCredits), Some("Insufficient credits: Account balance too low")),
        (BASE, true, Some(Fault::NoSubscription), Some("No subscription: ASR requires Enterprise plan")),
        (BASE, true, Some(Fault::RateLimit), Some("Rate limit exceeded: Too many concurrent connections")),
        (french, true, None, None),
        (french, true, Some(region()), Some("Invalid input data: audioLanguage must be one of the following values: en, hi")),
    ];
    for (text, is_let_in, fault, expected) in rows {
        assert_eq!(objection(text, is_let_in, fault).as_deref(), expected);
    }
}
