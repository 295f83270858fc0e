use super::*;

fn spoken(text: &str) -> (String, bool) {
    match parse(text) {
        Message::Transcript(read) => {
            assert!(read.words.is_empty() && read.utterances.is_empty() && read.language.is_none() && !read.is_last);
            (read.text.expose().to_owned(), read.is_final)
        }
        _ => panic!("no transcript: {text}"),
    }
}

fn error(text: &str) -> (ErrorKind, String) {
    match parse(text) {
        Message::Error(frame) => (frame.kind, frame.refusal().to_string()),
        _ => panic!("no error: {text}"),
    }
}

#[test]
fn the_end_of_a_turn_and_is_final_each_make_a_final() {
    let rows = [
        (r#"{"text":"hi","isEndOfTurn":false}"#, "hi", false),
        (r#"{"text":"hi there","isEndOfTurn":true}"#, "hi there", true),
        (r#"{"type":"transcription","text":"hi","isEndOfTurn":false,"isFinal":false}"#, "hi", false),
        (r#"{"type":"transcription","text":"hi","isEndOfTurn":false,"isFinal":true}"#, "hi", true),
        (r#"{"type":"transcription","text":"hi","isEndOfTurn":true,"isFinal":true}"#, "hi", true),
        (r#"{"type":"transcription","text":"hi","isEndOfTurn":true,"isFinal":false}"#, "hi", true),
        (r#"{"text":"hi"}"#, "hi", false),
        (r#"{"text":"","isEndOfTurn":"true"}"#, "", true),
        (r#"{"text":"hi","isEndOfTurn":true,"isFinal":null,"error":"x","more":[1]}"#, "hi", true),
    ];
    for (text, said, is_final) in rows {
        assert_eq!(spoken(text), (said.to_owned(), is_final), "{text}");
    }
}

#[test]
fn voice_activity_has_a_time_even_where_the_service_s_makes_no_sense() {
    let at = |text: &str| match parse(text) {
        Message::SpeechStarted(at) => ("started", at.unwrap()),
        Message::SpeechEnded(at) => ("ended", at.unwrap()),
        _ => panic!("no voice activity: {text}"),
    };
    let rows = [
        (r#"{"event":"voice_activity","speaking":true,"timestamp":1.5}"#, ("started", 1.5)),
        (r#"{"event":"voice_activity","speaking":false,"timestamp":1234567890}"#, ("ended", 1_234_567_890.0)),
        (r#"{"event":"voice_activity","speaking":true}"#, ("started", f64::MAX)),
        (r#"{"event":"voice_activity","speaking":false,"timestamp":"soon"}"#, ("ended", f64::MAX)),
    ];
    for (text, expected) in rows {
        assert_eq!(at(text), expected, "{text}");
    }
}

#[test]
fn whatever_means_nothing_is_told_apart_from_what_is_no_message() {
    for text in [
        "{}",
        r#"{"type":"pong"}"#,
        r#"{"event":"metadata","text":"hi","isEndOfTurn":true}"#,
        r#"{"event":"voice_activity","speaking":"yes"}"#,
        r#"{"type":"transcription"}"#,
        r#"{"text":5}"#,
    ] {
        assert!(matches!(parse(text), Message::Unknown), "{text}");
    }
    for text in ["", "hi", "[1]", "7", "{", "null"] {
        assert!(matches!(parse(text), Message::Malformed), "{text}");
    }
}

#[test]
fn every_error_of_the_page_has_its_cause_and_says_what_to_do() {
    let rows = [
        (
            r#"{"message":"Unauthorized","error":"Invalid or missing API key"}"#,
            Cause::Key,
            "(Unauthorized Invalid or missing API key); set SMALLEST_API_KEY",
        ),
        (
            r#"{"message":"No subscription","error":"ASR requires Enterprise plan"}"#,
            Cause::Plan,
            "(No subscription (...) requires Enterprise plan); change the plan",
        ),
        (
            r#"{"message":"Insufficient credits","error":"Account balance too low"}"#,
            Cause::Plan,
            "(Insufficient credits Account balance too low); change the plan",
        ),
        (
            r#"{"message":"Rate limit exceeded","error":"Too many concurrent connections"}"#,
            Cause::Quota,
            "(Rate limit exceeded Too many concurrent connections); it is tried again",
        ),
        (r#"{"message":"socket timeout"}"#, Cause::Idle, "(socket timeout); it is opened again with the next audio"),
    ];
    for (text, cause, words) in rows {
        let (kind, line) = error(text);
        assert_eq!(kind, ErrorKind::Named(cause), "{text}");
        assert!(line.contains(words), "{line}");
    }
    assert_eq!(error(r#"{"type":"error","message":"Something else"}"#).0, ErrorKind::Unnamed);
    assert_eq!(error(r#"{"error":"decode failed"}"#), (ErrorKind::Unnamed, error(r#"{"error":"decode failed"}"#).1));
}

#[test]
fn a_bad_parameter_is_named_whether_the_service_says_one_text_or_a_list() {
    let rows = [
        (r#""audioSampleRate must be at least 8000""#, "(audioSampleRate must be at least 8000)"),
        (
            r#""audioLanguage must be one of the following values: en, hi""#,
            "(audioLanguage must be one of the following values: en, hi)",
        ),
        (r#""audioEncoding is required""#, "(audioEncoding is required)"),
        (
            r#"["audioChannels must be at least 1","speechEndThreshold must be at most 6000"]"#,
            "(audioChannels must be at least 1; speechEndThreshold must be at most 6000)",
        ),
        (r#"["addPunctuation must be a boolean value"]"#, "(addPunctuation has a value that it does not take)"),
    ];
    for (detail, words) in rows {
        for kind in ["", r#""type":"error","#] {
            let (kind, line) = error(&format!(r#"{{{kind}"message":"Invalid input data","error":{detail}}}"#));
            assert_eq!(kind, ErrorKind::Named(Cause::Parameters), "{detail}");
            assert!(line.contains(words) && line.contains("check upstream.asr"), "{line}");
        }
    }
}

#[test]
fn no_words_of_a_caller_get_into_a_reason() {
    for detail in
        [r#""audioLanguage must be my card is four two""#, r#"["Jane Doe","audioLanguage is not Jane"]"#, r#""4111 1111""#]
    {
        let (_, line) = error(&format!(r#"{{"message":"Invalid input data","error":{detail}}}"#));
        for said in ["card", "four", "Jane", "Doe", "4111"] {
            assert!(!line.contains(said), "{line}");
        }
    }
}
