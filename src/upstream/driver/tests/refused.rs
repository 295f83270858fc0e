//! Upgrades that the service refuses, with the bodies of protocols/pulse.md section 3.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Reads the request's head and answers it.
pub(super) async fn refuse(rig: &Rig, pieces: &[&str]) {
    let mut tcp = rig.tcp().await;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert_ne!(within(tcp.read_buf(&mut request)).await.unwrap(), 0);
    }
    for piece in pieces {
        tcp.write_all(piece.as_bytes()).await.unwrap();
        tcp.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
}

pub(super) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn fatal_refusals_say_why_and_are_not_tried_again() {
    for (status, body, code, shown) in [
        ("401 Unauthorized", r#"{"message":"Unauthorized: No tokens provided"}"#, "bad_key", "No tokens provided"),
        ("401 Unauthorized", r#"{"error":"unauthorized"}"#, "bad_key", "401: unauthorized"),
        ("400 Bad Request", r#"{"error":"model must be one of pulse","request_id":"r"}"#, "bad_request", "one of pulse"),
        ("403 Forbidden", "", "forbidden", "403"),
    ] {
        let mut rig = Rig::new(fast());
        rig.talk(5).await;
        refuse(&rig, &[&answer(status, "", body)]).await;
        let cause = rig.cause().await;
        assert_eq!(cause.code(), code);
        assert!(cause.to_string().contains(shown) && !cause.to_string().contains("sk_test"), "{cause}");
        rig.talk(5).await;
        rig.hang_up();
        let (gap, covers) =
            rig.until(|report| if let Report::Gap { gap, covers } = report { Some((*gap, *covers)) } else { None }).await;
        assert_eq!((gap.from_ms, gap.to_ms, gap.reason), (0, 600, GapReason::UpstreamLost));
        assert_eq!(covers, Offset(4_800), "nothing of it is needed once that is stored");
        assert!(!rig.totals().await.complete);
    }
}

#[tokio::test]
async fn a_body_that_comes_after_its_head_is_read_too() {
    let mut rig = Rig::new(fast());
    let whole = answer("401 Unauthorized", "", r#"{"error":"unauthorized key sk_test"}"#);
    let (head, body) = whole.split_at(whole.find('{').unwrap());
    refuse(&rig, &[head, &body[..10], &body[10..]]).await;
    let cause = rig.cause().await.to_string();
    assert!(cause.contains("unauthorized key (key)"), "{cause}");
}

#[tokio::test]
async fn a_body_without_end_is_cut() {
    let mut rig = Rig::new(fast());
    let endless = format!("HTTP/1.1 503 Busy\r\ncontent-length: 999999999\r\n\r\n{}", "x".repeat(64 * 1024));
    refuse(&rig, &[&endless]).await;
    assert_eq!(rig.cause().await.code(), "unavailable");
}

#[tokio::test]
async fn too_many_sessions_are_tried_again_after_the_time_asked_for() {
    let mut rig = Rig::new(fast());
    rig.talk(5).await;
    refuse(
        &rig,
        &[&answer("429 Too Many Requests", "Retry-After: 1\r\n", r#"{"error":"Rate limit exceeded","request_id":"r"}"#)],
    )
    .await;
    let cause = rig.cause().await;
    assert_eq!(cause.retry_after(), Some(Duration::from_secs(1)));
    let told = crate::clock::now();
    let mut service = rig.accept().await;
    assert!(told.elapsed() >= Duration::from_millis(900));
    service.hear(2_400).await;
}

#[tokio::test]
async fn a_server_error_and_an_answer_that_is_no_handshake_are_tried_again() {
    let mut rig = Rig::new(fast());
    refuse(&rig, &[&answer("500 Internal Server Error", "", r#"{"error":"Internal server error"}"#)]).await;
    assert_eq!(rig.cause().await.code(), "unavailable");
    refuse(&rig, &["HTTP/1.1 101 Switching Protocols\r\n\r\n"]).await;
    assert_eq!(rig.cause().await.code(), "unreachable");
    refuse(&rig, &["ssh-2.0 no http at all\r\n\r\n"]).await;
    assert_eq!(rig.cause().await.code(), "unreachable");
    rig.accept().await;
}

#[tokio::test]
async fn a_key_that_no_header_can_carry_is_refused_without_a_dial() {
    let upstream = Upstream { api_key: Some(SecretString::from("sk_\nsecret")), ..Upstream::at("ws://127.0.0.1:9/") };
    let refusal = dial::dial(Arc::new(upstream), String::new()).await.err().expect("refused");
    assert_eq!(refusal.code(), "bad_key");
    assert!(!refusal.to_string().contains("secret"), "{refusal}");
}
