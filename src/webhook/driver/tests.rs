use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::{io::AsyncReadExt, net::TcpListener};

use super::*;
use crate::{
    media::EndpointName,
    net::{Connector, Dialler, Reach, TlsTrouble},
    webhook::SigningKey,
};

static HEADER: std::sync::OnceLock<String> = std::sync::OnceLock::new();

type Seen = Arc<Mutex<Option<(HeaderMap, Bytes)>>>;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test]
async fn a_post_carries_the_headers_and_the_exact_bytes() {
    let seen = Seen::default();
    let take = async |State(seen): State<Seen>, headers: HeaderMap, body: Bytes| {
        *seen.lock().unwrap() = Some((headers, body));
        (StatusCode::ACCEPTED, "thanks")
    };
    let url = serve(Router::new().route("/", post(take)).with_state(seen.clone())).await;
    let attempt = poster().post(&endpoint(&url), "evt_1", Bytes::from_static(b"{\"a\":1}")).await;
    let answer = attempt.outcome.unwrap();
    assert_eq!((answer.status, answer.kept.as_slice()), (202, &b"thanks"[..]));
    let (headers, body) = seen.lock().unwrap().take().unwrap();
    let text = |name| headers[name].to_str().unwrap();
    let key = [SigningKey::parse(&SECRET.into()).unwrap()];
    assert_eq!(text(sign::TIMESTAMP_HEADER), (attempt.wall_ms / 1000).to_string());
    let now = attempt.wall_ms / 1000;
    let verified = sign::verify(&key, "evt_1", text(sign::TIMESTAMP_HEADER), text(sign::SIGNATURE_HEADER), &body, now);
    assert_eq!((verified, text("content-type"), &body[..]), (Ok(()), "application/json", &b"{\"a\":1}"[..]));
}

#[tokio::test]
async fn a_huge_answer_is_read_only_in_part_and_kept_in_less() {
    let url = serve(Router::new().route("/", post(async || "x".repeat(64 << 20)))).await;
    let answer = poster().post(&endpoint(&url), "evt_1", Bytes::new()).await.outcome.unwrap();
    assert_eq!((answer.status, answer.kept.len()), (200, ANSWER_KEPT_BYTES));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let away = async || (StatusCode::FOUND, [("location", "/elsewhere")]);
    let elsewhere = async || StatusCode::OK;
    let url = serve(Router::new().route("/", post(away)).route("/elsewhere", post(elsewhere))).await;
    assert_eq!(poster().post(&endpoint(&url), "evt_1", Bytes::new()).await.outcome.unwrap().status, 302);
}

#[tokio::test]
async fn what_is_not_there_breaks_off_or_is_no_http_is_told_apart() {
    let closed = TcpListener::bind("127.77.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = |url: String| async move { poster().post(&endpoint(&url), "evt_1", Bytes::new()).await.outcome };
    assert_eq!(outcome(format!("http://{closed}/")).await, Err(Failure::Unreachable));
    assert_eq!(outcome(raw(b"", false).await).await, Err(Failure::Reset));
    assert_eq!(outcome(raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", false).await).await, Err(Failure::NotHttp));
    assert_eq!(outcome(raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", false).await).await, Err(Failure::Reset));
}

#[tokio::test]
async fn tls_failures_are_told_apart_behind_the_bridges_own_dialler() {
    let plain = raw(b"HTTP/1.1 400 Bad Request\r\n\r\n", false).await.replace("http:", "https:");
    let connector = Connector::new(Arc::new(Dialler::new(Reach::Anywhere)), ATTEMPT_DEADLINE);
    let outcome = Poster::new(connector).post(&endpoint(&plain), "evt_1", Bytes::new()).await.outcome;
    assert_eq!(outcome, Err(Failure::Tls(TlsTrouble::Handshake)));
}

#[tokio::test]
async fn an_answer_with_an_endless_header_is_no_http() {
    let url = raw(HEADER.get_or_init(|| format!("HTTP/1.1 200 OK\r\nx-long: {}", "x".repeat(1 << 20))).as_bytes(), true).await;
    let outcome = poster().post(&endpoint(&url), "evt_1", Bytes::new()).await.outcome;
    assert_eq!(outcome, Err(Failure::NotHttp));
}

#[tokio::test]
async fn one_deadline_is_over_connecting_headers_and_body() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dripping = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", true).await;
    for url in [format!("http://{}/", silent.local_addr().unwrap()), dripping] {
        let hasty = Poster { deadline: Duration::from_millis(80), ..poster() };
        let attempt = hasty.post(&endpoint(&url), "evt_1", Bytes::new()).await;
        assert_eq!(attempt.outcome, Err(Failure::Timeout));
        assert!(attempt.took >= Duration::from_millis(80));
    }
    assert_eq!(poster().deadline, Duration::from_secs(15));
}

fn poster() -> Poster<HttpConnector> {
    Poster::new(HttpConnector::new())
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint::new(EndpointName::new("crm").unwrap(), url.parse().unwrap(), &[SECRET.into()], vec![], true).unwrap()
}

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// Takes connections, reads a little of what comes, says `answer`, and closes unless told to stay.
async fn raw(answer: &'static [u8], stay: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, answer).await;
            if stay {
                tokio::spawn(async move { socket.read_to_end(&mut Vec::new()).await });
            }
        }
    });
    url
}
