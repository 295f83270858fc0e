use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::{
        WebSocketUpgrade,
        ws::{CloseFrame, Message as Frame},
    },
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::SecretString;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::media::Track;

/// What the bridge of a test saw: header, messages, and how the stream ended (`close` or `lost`).
#[derive(Default, Clone)]
struct Seen {
    signature: Option<String>,
    messages: Vec<Value>,
    ended: &'static str,
}

type Shared = Arc<Mutex<Vec<Seen>>>;

/// A bridge that notes; closes with 1008 after `closes_after` messages, if given. Gives its URL, what it saw, and a way to await a stream's end.
async fn bridge(closes_after: Option<usize>) -> (Url, Shared, tokio::sync::mpsc::Receiver<()>) {
    let seen = Shared::default();
    let (ended, endings) = tokio::sync::mpsc::channel(100);
    let noted = Arc::clone(&seen);
    let take = move |headers: HeaderMap, upgrade: WebSocketUpgrade| async move {
        let signature = headers.get("x-twilio-signature").map(|value| value.to_str().unwrap().to_owned());
        upgrade.on_upgrade(async move |mut socket| {
            let mut call = Seen { signature, ended: "lost", ..Seen::default() };
            while let Some(Ok(frame)) = socket.recv().await {
                match frame {
                    Frame::Text(text) => call.messages.push(serde_json::from_str(&text).unwrap()),
                    Frame::Close(_) => call.ended = "close",
                    _ => {}
                }
                if closes_after == Some(call.messages.len()) {
                    let frame = CloseFrame { code: 1008, reason: "too many calls".into() };
                    socket.send(Frame::Close(Some(frame))).await.unwrap();
                }
            }
            noted.lock().unwrap().push(call);
            ended.send(()).await.unwrap();
        })
    };
    let refuse = async || -> Response { (axum::http::StatusCode::FORBIDDEN, r#"{"title":"no token"}"#).into_response() };
    let app = Router::new().route("/media/twilio", get(take)).route("/refused", get(refuse));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("ws://{}/media/twilio", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, seen, endings)
}

fn recording(name: &str) -> Recording {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    load(&path).unwrap().remove(0)
}

fn at_max(to: Url) -> Settings {
    Settings { pace: Pace::Max, ..Settings::new(to) }
}

fn audio(call: &Seen, track: Track) -> Vec<u8> {
    let media = call.messages.iter().filter(|message| message["media"]["track"] == track.as_str());
    media.flat_map(|message| BASE64_STANDARD.decode(message["media"]["payload"].as_str().unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn a_call_arrives_message_for_message_and_byte_for_byte() {
    let (url, seen, mut endings) = bridge(None).await;
    let recording = recording("pay-by-card");
    let played = play(&recording, &at_max(url), &Progress::default()).await;
    endings.recv().await.unwrap();
    let call = seen.lock().unwrap().remove(0);
    assert_eq!((played.ended, played.error.as_deref(), call.ended), ("stop", None, "close"));
    let events: Vec<&str> = call.messages.iter().map(|message| message["event"].as_str().unwrap()).collect();
    assert_eq!((&events[..3], events.last()), (&["connected", "start", "media"][..], Some(&"stop")));
    assert_eq!((events.len() as u64, recording.media_messages()), (played.messages, 3800));
    for (number, message) in call.messages.iter().enumerate().skip(1) {
        assert_eq!(message["sequenceNumber"], number.to_string());
        assert_eq!(message["streamSid"], played.stream_sid);
    }
    for (track, sent) in &played.tracks {
        let arrived = audio(&call, *track);
        assert_eq!((sent.bytes, &sent.sha256), (arrived.len() as u64, &crate::hex::hex(&Sha256::digest(&arrived))));
        let file = format!("{}/fixtures/pay-by-card/{track}.ulaw", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(arrived, std::fs::read(file).unwrap());
    }
}

#[tokio::test]
async fn a_recording_without_stop_ends_by_a_broken_socket() {
    let (url, seen, mut endings) = bridge(None).await;
    let played = play(&recording("mid-word"), &at_max(url), &Progress::default()).await;
    endings.recv().await.unwrap();
    let call = seen.lock().unwrap().remove(0);
    assert_eq!((played.ended, call.ended), ("disconnect", "lost"));
    assert_eq!(audio(&call, Track::Inbound).len() as u64, played.tracks[&Track::Inbound].bytes);
}

#[tokio::test]
async fn a_phone_does_not_leave_before_all_it_said_was_read() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = Url::parse(&format!("ws://{}/media/twilio", listener.local_addr().unwrap())).unwrap();
    let (let_read, may_read) = tokio::sync::oneshot::channel::<()>();
    let slow = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(tcp).await.unwrap();
        may_read.await.unwrap();
        let mut read = 0;
        while let Some(Ok(frame)) = socket.next().await {
            read += u64::from(frame.is_text());
        }
        read
    });
    let mut short = recording("mid-word");
    short.messages.truncate(20);
    let (settings, progress) = (at_max(to), Progress::default());
    let mut playing = std::pin::pin!(play(&short, &settings, &progress));
    assert!(timeout(2 * REFUSAL_PATIENCE, &mut playing).await.is_err(), "it waits");
    let_read.send(()).unwrap();
    let played = playing.await;
    assert_eq!((played.ended, played.error), ("disconnect", None));
    assert_eq!(slow.await.unwrap(), 20);
}

#[tokio::test]
async fn many_calls_have_ids_of_their_own_and_given_ids_are_kept() {
    let (url, seen, mut endings) = bridge(None).await;
    let played = play_all(&[&recording("mid-word"); 5], &at_max(url.clone()), &Progress::default()).await;
    let mut sids: Vec<&str> = played.iter().map(|call| call.call_sid.as_str()).collect();
    sids.sort_unstable();
    sids.dedup();
    assert!(sids.len() == 5 && sids.iter().all(|sid| sid.starts_with("CA") && sid.len() == 34), "{sids:?}");
    let ids = Ids { call_sid: "CA7".into(), stream_sid: "MZ7".into() };
    let parameters = [("token".to_owned(), "t".to_owned())].into();
    play(&recording("mid-word"), &Settings { ids: Some(ids), parameters, ..at_max(url) }, &Progress::default()).await;
    for _ in 0..6 {
        endings.recv().await.unwrap();
    }
    let seen = seen.lock().unwrap();
    let given = seen.iter().map(|call| &call.messages[1]["start"]).find(|start| start["callSid"] == "CA7").unwrap();
    assert_eq!((&given["streamSid"], &given["customParameters"]["token"]), (&"MZ7".into(), &"t".into()));
}

#[tokio::test]
async fn the_handshake_carries_a_signature_over_the_url_dialled_or_given() {
    let (url, seen, mut endings) = bridge(None).await;
    let token = || Some("0123456789abcdef0123456789abcdef".into());
    for sign_url in [None, Some("wss://bridge.example.com/media/twilio".to_owned())] {
        let settings = Settings { sign_with: token(), sign_url, ..at_max(url.clone()) };
        play(&recording("mid-word"), &settings, &Progress::default()).await;
        endings.recv().await.unwrap();
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].signature, Some(crate::dialect::signature::sign(&token().unwrap(), url.as_str(), &[])));
    assert_eq!(seen[1].signature.as_deref(), Some("pdNh/PVQcUqJrppuXVeC/tngji4="));
}

/// A certificate for localhost that nobody else trusts, with its key.
const LOCALHOST: &[u8] = include_bytes!("../../net/tests/localhost.pem");

#[expect(clippy::result_large_err, reason = "the library's callback answers with a whole response")]
#[tokio::test]
async fn over_tls_and_with_a_token_in_the_path_the_whole_address_is_signed() {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    use tokio_tungstenite::{accept_hdr_async, tungstenite::handshake::server::Request};

    let certificate = CertificateDer::from_pem_slice(LOCALHOST).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::from_pem_slice(LOCALHOST).unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = Url::parse(&format!("wss://localhost:{}/media/twilio/s3cret", listener.local_addr().unwrap().port())).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let token = SecretString::from("0123456789abcdef0123456789abcdef");
    let settings = Settings {
        dialler: net::Dialler::trusting(net::Reach::Anywhere, roots),
        sign_with: Some(token.clone()),
        ..at_max(to.clone())
    };
    let serving = async {
        let (tcp, _) = listener.accept().await.unwrap();
        let tls = tokio_rustls::TlsAcceptor::from(Arc::new(server)).accept(tcp).await.unwrap();
        let mut asked = None;
        let note = |request: &Request, response| {
            let signature = request.headers()["x-twilio-signature"].to_str().unwrap().to_owned();
            asked = Some((request.uri().path().to_owned(), signature));
            Ok(response)
        };
        let mut socket = accept_hdr_async(tls, note).await.unwrap();
        while socket.next().await.is_some_and(|frame| frame.is_ok()) {}
        asked.unwrap()
    };
    let recording = recording("mid-word");
    let progress = Progress::default();
    let (played, asked) = tokio::join!(play(&recording, &settings, &progress), serving);
    assert_eq!(played.error, None);
    assert_eq!(asked, ("/media/twilio/s3cret".to_owned(), signature::sign(&token, to.as_str(), &[])));
}

#[tokio::test]
async fn refusals_and_closes_are_told_with_their_reason_and_without_the_path() {
    let (url, _seen, _endings) = bridge(Some(3)).await;
    for (name, settings) in
        [("mid-word", Settings::new(url.clone())), ("mid-word", at_max(url.clone())), ("pay-by-card", at_max(url.clone()))]
    {
        let closed = play(&recording(name), &settings, &Progress::default()).await;
        assert_eq!(closed.error.as_deref(), Some("the bridge ended the stream: 1008 too many calls"), "{name}");
        assert_eq!(closed.ended, "failed");
    }
    let refused = play(&recording("mid-word"), &at_max(url.join("/refused").unwrap()), &Progress::default()).await;
    let error = refused.error.unwrap();
    assert!(error.contains("403 Forbidden (no token)") && !error.contains("/refused"), "{error}");
    let nobody = play(&recording("mid-word"), &at_max(Url::parse("ws://127.0.0.1:1/x").unwrap()), &Progress::default()).await;
    assert!(nobody.error.unwrap().starts_with("cannot reach ws://127.0.0.1:1; is the bridge running there?"));
}

#[tokio::test]
async fn the_command_prints_a_line_or_an_object_for_each_call() {
    let (url, _seen, _endings) = bridge(None).await;
    for json in [false, true] {
        let recordings = vec![recording("mid-word")];
        let arguments = Arguments { pace: Pace::Max, calls: 2, json, ..Arguments::new(recordings, url.clone()) };
        let mut out = Vec::new();
        command(arguments, &mut out).await.unwrap();
        let out = String::from_utf8(out).unwrap();
        let line = out.lines().next().unwrap();
        if json {
            assert_eq!(out.lines().count(), 2);
            assert_eq!(serde_json::from_str::<Value>(line).unwrap()["tracks"]["inbound"]["bytes"], 92_800);
        } else {
            let verdict = out.lines().nth(2).unwrap();
            assert_eq!(verdict, "played   2 of 2 calls · 2324 messages · 0:46 of audio");
            assert!(out.lines().nth(3).unwrap().starts_with("         first message → last message "), "{out}");
            assert!(line.starts_with("disconnect  CA") && line.ends_with("inbound 11.600 s  outbound 11.600 s"), "{line}");
        }
    }
}
