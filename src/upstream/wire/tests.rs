use super::*;

fn transcript(text: &str) -> Transcript {
    match parse(text) {
        Message::Transcript(transcript) => *transcript,
        _ => panic!("no transcript: {text}"),
    }
}

fn error(text: &str) -> (String, bool) {
    match parse(text) {
        Message::Error(frame) => (frame.reason.to_string(), frame.kind == ErrorKind::Language),
        _ => panic!("no error: {text}"),
    }
}

#[test]
fn the_documented_partial_and_final_are_read_whole() {
    let partial = transcript(
        r#"{"type":"transcription","status":"success","session_id":"0b6f","transcript":"i would like to cha","transcription":"i would like to cha","is_final":false,"is_last":false}"#,
    );
    assert_eq!((partial.text.expose(), partial.is_final, partial.is_last), ("i would like to cha", false, false));
    let whole = transcript(
        r#"{"type":"transcription","status":"success","session_id":"0b6f","transcript":" My number is [PHONENUMBER_1].",
        "is_final":true,"is_last":false,"from_finalize":true,"language":"en","languages":["en","hi"],
        "words":[{"word":"My","start":1.12,"end":1.20,"confidence":0.98,"speaker":0,"speaker_confidence":0.81},
                 {"word":"[phonenumber_1]","start":3.04,"end":5.36,"confidence":1,"speaker":1,"speaker_confidence":1}],
        "utterances":[{"text":"My number is [PHONENUMBER_1].","start":1.12,"end":5.36,"speaker":0}],
        "redacted_entities":["[PHONENUMBER_1]"],"full_transcript":""}"#,
    );
    assert!(whole.is_final && !whole.is_last && whole.from_finalize);
    assert_eq!(whole.text.expose(), " My number is [PHONENUMBER_1].");
    assert_eq!(
        (whole.language.as_deref(), whole.languages.as_slice()),
        (Some("en"), ["en".to_owned(), "hi".to_owned()].as_slice())
    );
    let word = &whole.words[1];
    assert_eq!((word.text.expose(), word.start, word.end), ("[phonenumber_1]", Some(3.04), Some(5.36)));
    assert_eq!((word.confidence, word.speaker, word.speaker_confidence), (Some(1.0), Some(1), Some(1.0)));
    assert_eq!(whole.utterances[0].end, Some(5.36));
}

#[test]
fn what_is_missing_or_of_the_wrong_type_costs_only_itself() {
    let table: [(&str, &str, bool, bool); 9] = [
        (r#"{"transcript":"a"}"#, "a", false, false),
        (r#"{"transcription":"b","is_final":true}"#, "b", true, false),
        (r#"{"transcript":null,"transcription":"c","is_final":null}"#, "c", false, false),
        (r#"{"transcript":"","transcription":"d","is_final":true}"#, "", true, false),
        (r#"{"type":null,"transcript":"e","is_final":"true","is_last":1}"#, "e", true, true),
        (r#"{"transcript":"f","is_last":true}"#, "f", true, true),
        (r#"{"transcript":"g","is_final":"no","words":"none","utterances":7,"languages":{},"language":5}"#, "g", false, false),
        (r#"{"transcript":"h","unknown":{"deep":[1,2,{"x":null}]},"is_final":true}"#, "h", true, false),
        (r#" {"transcript":"i\u00e9\n","is_final":true,"error":null}"#, "ié\n", true, false),
    ];
    for (text, words, is_final, is_last) in table {
        let read = transcript(text);
        assert_eq!((read.text.expose(), read.is_final, read.is_last), (words, is_final, is_last), "{text}");
        assert!(read.words.is_empty() && read.language.is_none() && read.languages.is_empty(), "{text}");
    }
}

#[test]
fn speakers_come_as_numbers_digits_or_names() {
    let table = [
        ("0", Some(0)),
        ("12", Some(12)),
        ("2.0", Some(2)),
        (r#""3""#, Some(3)),
        (r#""speaker_4""#, Some(4)),
        (r#""anna""#, None),
        ("-1", None),
        ("1.5", None),
        ("null", None),
        ("[1]", None),
        ("99999999999", None),
    ];
    for (raw, expected) in table {
        let read = transcript(&format!(r#"{{"transcript":"x","words":[{{"word":"x","speaker":{raw}}}]}}"#));
        assert_eq!(read.words[0].speaker, expected, "{raw}");
    }
}

#[test]
fn numbers_are_finite_or_absent_and_confidences_are_shares() {
    let read = transcript(
        r#"{"transcript":"x","words":[{"word":"a","start":"1.5","end":1e999,"confidence":2},{"word":"b","start":-3,"end":null,"confidence":"NaN"},
           {"word":"c","start":"inf","end":{},"confidence":0.5}]}"#,
    );
    let rows: Vec<_> = read.words.iter().map(|word| (word.start, word.end, word.confidence)).collect();
    assert_eq!(rows, [(Some(1.5), None, None), (Some(-3.0), None, None), (None, None, Some(0.5))]);
}

#[test]
fn words_without_text_and_items_that_are_no_objects_are_left_out() {
    let read = transcript(
        r#"{"transcript":"x","words":[null,3,"y",[1,2],{"start":1},{"word":"  "},{"word":" z "},{"text":"t"}],"utterances":[{"transcript":"u"}]}"#,
    );
    assert_eq!(read.words.iter().map(|word| word.text.expose()).collect::<Vec<_>>(), ["z", "t"]);
    assert_eq!(read.utterances[0].text.expose(), "u");
}

#[test]
fn emotion_and_gender_are_kept_only_if_no_words_fit_in() {
    let emotion =
        |raw: &str| transcript(&format!(r#"{{"transcript":"x","emotion":{raw}}}"#)).emotion.map(|value| value.to_string());
    assert_eq!(
        emotion(r#"{"happy":0.9,"very_sad":1,"calm":true,"top":"happy"}"#).as_deref(),
        Some(r#"{"calm":true,"happy":0.9,"top":"happy","very_sad":1}"#)
    );
    let long = format!(r#"{{"a":"{}"}}"#, "b".repeat(33));
    for bad in [
        r#"{"top":"my name is Ann"}"#,
        r#"{"5551234":1}"#,
        r#"{"a":{"b":1}}"#,
        r#"{"a":["b"]}"#,
        r#"{"a":null}"#,
        "{}",
        "[]",
        r#""sad""#,
        "3",
        &long,
    ] {
        assert_eq!(emotion(bad), None, "{bad}");
    }
    assert!(transcript(r#"{"transcript":"x","gender":{"male":0.2}}"#).gender.is_some());
}

#[test]
fn a_language_that_is_no_plain_code_is_dropped() {
    let language = |raw: &str| transcript(&format!(r#"{{"transcript":"x","language":{raw},"languages":[{raw},"en"]}}"#));
    assert_eq!(language(r#""multi-eu""#).language.as_deref(), Some("multi-eu"));
    let odd = language(r#""my card is 4111""#);
    assert_eq!((odd.language, odd.languages), (None, vec!["en".to_owned()]));
}

#[test]
fn voice_activity_and_everything_else_are_told_apart() {
    assert!(
        matches!(parse(r#"{"type":"speech_started","session_id":"x","timestamp":0.42}"#), Message::SpeechStarted(Some(at)) if (at - 0.42).abs() < 1e-9)
    );
    assert!(matches!(parse(r#"{"type":"speech_ended"}"#), Message::SpeechEnded(None)));
    for unknown in [r#"{"type":"pong"}"#, r#"{"type":"metadata","transcript":"x"}"#, "{}", r#"{"transcript":5}"#, r#"{"type":7}"#]
    {
        assert!(matches!(parse(unknown), Message::Unknown), "{unknown}");
    }
    let deep = "[".repeat(100_000);
    for malformed in ["", "hello", "[1,2]", "null", "7", "{", r#"{"a":1"#, r#"{"a":1}x"#, &deep, &format!(r#"{{"words":{deep}"#)]
    {
        assert!(matches!(parse(malformed), Message::Malformed), "{malformed:.20}");
    }
}

#[test]
fn errors_are_known_in_all_their_forms_and_give_the_first_reason() {
    let table = [
        (r#"{"type":"error","status":"error","message":"Invalid audio"}"#, "Invalid audio"),
        (r#"{"type":"error","error_code":"INVALID_AUDIO"}"#, "INVALID_AUDIO"),
        (r#"{"error":"decode failed","code":"X"}"#, "decode failed"),
        (r#"{"status":"error","errors":["first error","second"]}"#, "(...) error"),
        (r#"{"status":"error","error":{"message":"inner error"},"error_code":"Z"}"#, "(...) error"),
        (r#"{"type":"error","message":"","error":[{"code":"audio_limit"}]}"#, "audio_limit"),
        (r#"{"type":"error","transcript":"my card is"}"#, "no reason given"),
        (r#"{"error":{"error":{"error":{"error":{"error":"too deep"}}}}}"#, "no reason given"),
        (r#"{"error":false}"#, "no reason given"),
    ];
    for (text, reason) in table {
        assert_eq!(error(text), (reason.to_owned(), false), "{text}");
    }
    assert!(error(r#"{"type":"error","error_code":"LANGUAGE_NOT_ENABLED_IN_REGION","message":"ja is not served here"}"#).1);
    assert!(
        matches!(parse(r#"{"error":"odd","transcript":"words go on"}"#), Message::Transcript(_)),
        "an error member beside a transcript is none"
    );
}
