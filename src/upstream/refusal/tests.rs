use super::*;

#[test]
fn each_refusal_before_the_upgrade_is_told_by_its_status_and_both_shapes_of_body() {
    let table: [(u16, &str, &str, bool, &str); 9] = [
        (401, r#"{"message":"Unauthorized: No tokens provided"}"#, "bad_key", true, "No tokens provided"),
        (401, r#"{"error":"unauthorized"}"#, "bad_key", true, "unauthorized"),
        (400, r#"{"error":"model must be one of pulse","request_id":"r"}"#, "bad_request", true, "one of pulse"),
        (400, r#"{"status":"error","error_code":"LANGUAGE_NOT_ENABLED_IN_REGION","message":"ja"}"#, "language", true, "ja"),
        (403, "", "forbidden", true, "no reason given"),
        (429, r#"{"error":"Rate limit exceeded","request_id":"r"}"#, "rate_limited", false, "Rate limit exceeded"),
        (500, r#"{"error":"Internal server error"}"#, "unavailable", false, "Internal server error"),
        (503, "<html>busy</html>", "unavailable", false, "no reason given"),
        (404, "not found", "unavailable", false, "404"),
    ];
    for (status, body, code, fatal, shown) in table {
        let refusal = Refusal::from_status(status, None, body.as_bytes(), "sk_test");
        let line = refusal.to_string();
        assert_eq!((refusal.code(), refusal.is_fatal()), (code, fatal), "{status} {body}");
        assert!(line.contains(shown) && !line.contains('\n'), "{line}");
    }
}

#[test]
fn every_refusal_names_what_to_do() {
    let reason = Reason::before_a_call("x");
    for (refusal, remedy) in [
        (Refusal::BadKey { reason: reason.clone() }, "SMALLEST_API_KEY"),
        (Refusal::Forbidden { reason: reason.clone(), flags: Flags::default() }, "plan"),
        (Refusal::Language { reason: reason.clone() }, "upstream.language"),
        (Refusal::Policy { reason: reason.clone() }, "ingest.max_calls"),
        (Refusal::ClosedBeforeMessage { code: Some(1000) }, "code 1000"),
        (Refusal::Dropped { code: None }, "code none"),
        (Refusal::Tls { reason: reason.clone() }, "certificates"),
        (Refusal::Unreachable { reason }, "firewall"),
    ] {
        assert!(refusal.to_string().contains(remedy), "{refusal}");
    }
}

#[test]
fn an_open_connection_ends_for_a_named_reason() {
    let close = |code| Lost::Closed { code, reason: Reason::default() };
    assert_eq!(Refusal::from_lost(close(Some(1008)), true).code(), "policy");
    assert_eq!(Refusal::from_lost(close(Some(1008)), false).code(), "policy");
    assert_eq!(Refusal::from_lost(close(Some(1000)), false), Refusal::ClosedBeforeMessage { code: Some(1000) });
    assert_eq!(Refusal::from_lost(close(None), true), Refusal::Dropped { code: None });
    assert_eq!(Refusal::from_lost(Lost::Broken, false).code(), "dropped");
    assert_eq!(Refusal::from_lost(Lost::Stalled, true), Refusal::Stalled);
}

#[test]
fn reasons_are_short_printable_and_without_numbers_of_anybody() {
    assert_eq!(Reason::before_a_call("a\r\n\u{1b}[31m b\t\tc é").to_string(), "a [31m b c");
    assert_eq!(Reason::before_a_call("call +15550100 4111 1111").to_string(), "call +1555#### 4111 1111");
    assert_eq!(Reason::before_a_call(&"x".repeat(5_000)).to_string().len(), 200);
    assert_eq!(Reason::before_a_call(" \n ").to_string(), "no reason given");
}

#[test]
fn within_a_call_only_words_that_name_a_failure_are_repeated() {
    for (told, shown) in [
        ("Invalid audio format", "Invalid audio format"),
        ("LANGUAGE_NOT_ENABLED_IN_REGION", "LANGUAGE_NOT_ENABLED_IN_REGION"),
        ("decode_failed: jane_doe, JANE_DOE", "decode_failed (...)"),
        ("decode failed near my name is Springfield", "decode failed (...) is (...)"),
        ("could not parse four two four two nine one", "could not parse (...)"),
        ("bad key sk_12345678abcdef", "bad key (...)"),
        ("4111 1111", "(withheld)"),
        ("ja is not served here", "(...) is not served here"),
    ] {
        assert_eq!(Reason::in_a_call(told).to_string(), shown);
    }
}

#[test]
fn an_echoed_key_is_taken_out_wherever_it_stands() {
    let key = "sk_12345678abcdef";
    for before in ["bad key ".to_owned(), "x".repeat(195)] {
        let body = serde_json::json!({ "error": format!("{before}{key}") }).to_string();
        let line = Refusal::from_status(401, None, body.as_bytes(), key).to_string();
        assert!(!line.contains("sk_1"), "{line}");
    }
    assert!(Refusal::from_status(401, None, br#"{"error":"bad"}"#, "").to_string().contains("bad"));
}

#[test]
fn retry_after_is_seconds_or_a_date_and_bounded() {
    let at = |value| retry_after(value, 784_111_777_000);
    assert_eq!(at("7"), Some(Duration::from_secs(7)));
    assert_eq!(at(" 86400 "), Some(MAX_RETRY_AFTER));
    assert_eq!(at("Sun, 06 Nov 1994 08:49:47 GMT"), Some(Duration::from_secs(10)));
    assert_eq!(at("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
    assert_eq!(at("soon"), None);
    assert_eq!(at("-5"), None);
    let limited = Refusal::RateLimited { retry_after: at("7"), reason: Reason::default() };
    assert_eq!(limited.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(Refusal::Silent.retry_after(), None);
}
