//! Who is let in.

use crate::{
    http::{ask, get},
    log,
    stage::{AUTH_TOKEN, Plan, Stage},
};
use hyper::Method;
use pulse_bridge::replay::{self, Pace};
use secrecy::SecretString;

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_a_signature_or_with_a_wrong_one_is_refused() {
    let stage = Stage::new().await;
    let unsigned = replay::Settings { sign_with: None, ..stage.phone() };
    let wrong = replay::Settings { sign_with: Some(SecretString::from("another token")), ..stage.phone() };
    for phone in [unsigned, wrong] {
        let played = stage.call_as("mid-word", &phone).await;
        assert!(played.error.as_deref().is_some_and(|why| why.contains("403")), "{:?}", played.error);
    }
    assert!(stage.heard.connections().is_empty());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn either_of_two_tokens_fits_while_they_rotate() {
    let settings = vec![("TWILIO_AUTH_TOKEN", format!("ffffffffffffffffffffffffffffffff,{AUTH_TOKEN}"))];
    let mut stage = Stage::with(Plan { settings, ..Plan::default() }).await;
    let played = stage.call("mid-word").await;
    assert_eq!(played.error, None);
    stage.events_of(&played.call_sid).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nothing_set_up_nobody_is_let_in() {
    let stage = Stage::with(Plan { without: vec!["TWILIO_AUTH_TOKEN"], ..Plan::default() }).await;
    let played = stage.call("mid-word").await;
    assert!(played.error.as_deref().is_some_and(|why| why.contains("403")), "{:?}", played.error);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_token_in_the_path_lets_in_who_cannot_sign() {
    let settings = vec![("PULSE_BRIDGE_INGEST_TOKENS", "let-me-in".to_owned())];
    let mut stage = Stage::with(Plan { settings, without: vec!["TWILIO_AUTH_TOKEN"], ..Plan::default() }).await;
    let phone = |path: &str| replay::Settings { to: stage.media().join(path).unwrap(), sign_with: None, ..stage.phone() };
    let (good, bad) = (phone("/media/twilio/let-me-in"), phone("/media/twilio/let-me-out"));
    assert!(stage.call_as("mid-word", &bad).await.error.is_some_and(|why| why.contains("403")));
    let played = stage.call_as("mid-word", &good).await;
    assert_eq!(played.error, None);
    stage.events_of(&played.call_sid).await;
    let wrong = [("authorization", "Bearer let-me-out")];
    for path in ["/media/twilio", "/twilio/voice"] {
        let method = if path == "/media/twilio" { Method::GET } else { Method::POST };
        for headers in [&[][..], &wrong] {
            let advice = ask(&stage, method.clone(), path, headers, "CallSid=CA1").await.problem(403);
            assert!(advice.contains("ingest token"), "{path}: {advice}");
        }
    }
    let refused = r#"streams_refused_total{reason="bad_token"} 5"#;
    let metrics = get(&stage, "/metrics").await;
    assert!(metrics.text().contains(refused), "the path's, then these: {}", metrics.text());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_was_checked_and_what_to_do() {
    log::watch();
    let settings = vec![
        ("TWILIO_AUTH_TOKEN", format!("ffffffffffffffffffffffffffffffff,{AUTH_TOKEN}")),
        ("PULSE_BRIDGE_INGEST_TOKENS", "let-me-in-quietly".to_owned()),
        ("PULSE_BRIDGE_PUBLIC_URL", "https://refusals.example.com".to_owned()),
        ("PULSE_BRIDGE_API_TOKEN", "operator-token-0123456789".to_owned()),
    ];
    let stage = Stage::with(Plan { settings, ..Plan::default() }).await;
    let (forged, wrong) = (("x-twilio-signature", "Zm9yZ2Vk"), ("authorization", "Bearer wrong"));
    let fits = "X-Twilio-Signature fits neither of 2 tokens for wss://refusals.example.com/media/twilio";
    for (path, headers, expected) in [
        (
            "/media/twilio",
            &[forged][..],
            format!("{fits}; if Twilio dials another address set public_url, then run \"pulse-bridge doctor\""),
        ),
        ("/media/twilio/", &[forged], format!("{fits};")),
        ("/media/twilio/let-me-in-quietly", &[forged], format!("{fits}/…;")),
        ("/media/twilio", &[forged, forged], "more than one X-Twilio-Signature".to_owned()),
        ("/media/twilio", &[wrong], "no X-Twilio-Signature".to_owned()),
        ("/media/twilio/let-me-in-quietly", &[], "a token in the path does not replace it".to_owned()),
        ("/media/twilio/let-me-out", &[], "neither one of ingest.tokens nor a fresh one-time token".to_owned()),
    ] {
        let advice = ask(&stage, Method::GET, path, headers, "").await.problem(403);
        assert!(advice.contains(&expected), "{path}: {advice}");
        assert!(!log::lines(&["refused a media stream", &advice]).is_empty(), "{advice}");
    }
    let webhook = ask(&stage, Method::POST, "/twilio/voice", &[forged], "CallSid=CA1").await.problem(403);
    assert!(webhook.contains("neither of 2 tokens for https://refusals.example.com/twilio/voice;"), "{webhook}");
    assert!(log::lines(&["let-me-in-quietly"]).is_empty(), "no token is logged");
    let bearer = [("authorization", "Bearer let-me-in-quietly")];
    assert_eq!(ask(&stage, Method::GET, "/media/twilio", &bearer, "").await.status, 426, "what the refusal advises lets in");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_behind_the_media_route_makes_no_other_route() {
    let mut stage = Stage::new().await;
    let phone = replay::Settings { to: stage.media().join("/media/twilio/").unwrap(), ..stage.phone() };
    let played = stage.call_as("mid-word", &phone).await;
    assert_eq!(played.error, None);
    stage.events_of(&played.call_sid).await;
    assert!(get(&stage, "/media/twilio/token/").await.problem(404).contains("no slash"));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_there_before_is_refused() {
    let mut stage = Stage::new().await;
    let phone = replay::Settings { ids: Some(crate::stage::ids("CA1", "MZ1")), ..stage.phone() };
    let first = stage.call_as("mid-word", &phone).await;
    assert_eq!(first.error, None);
    stage.events_of("CA1").await;
    let phone = replay::Settings { pace: Pace::Times(10.0), ..phone };
    let again = stage.call_as("pay-by-card", &phone).await;
    assert!(again.error.as_deref().is_some_and(|why| why.contains("there before")), "{:?}", again.error);
    stage.end().await;
}
