use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// A certificate for localhost and 127.0.0.1 that nobody trusts, with its key; made by
/// `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj "/CN=pulse-bridge test"
/// -addext subjectAltName=IP:127.0.0.1,DNS:localhost -addext basicConstraints=critical,CA:FALSE`.
const LOCALHOST: &[u8] = include_bytes!("tests/localhost.pem");

fn soon() -> Instant {
    crate::clock::now() + Duration::from_secs(5)
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(LOCALHOST).unwrap()
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

async fn failure(dialler: &Dialler, text: &str) -> DialError {
    match dialler.connect(&url(text), soon()).await {
        Ok(_) => panic!("{text} connected"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn plain_schemes_connect_by_address_and_by_name() {
    let (listener, port) = listener().await;
    let dialler = Dialler::new(Reach::Anywhere);
    for text in [format!("ws://127.0.0.1:{port}/x?y"), format!("http://localhost:{port}")] {
        let mut stream = dialler.connect(&url(&text), soon()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut got = [0; 5];
        peer.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"hello");
    }
}

#[tokio::test]
async fn nobody_else_may_point_the_bridge_at_its_own_machine() {
    let (_listener, port) = listener().await;
    let dialler = Dialler::new(Reach::Anywhere).with_reach(Reach::PublicOnly);
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "0.0.0.0",
        "0",
        "127.1",
        "127.0.0.1.",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "user:secret@127.0.0.1",
        "8.8.8.8@127.0.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "100.100.100.200",
        "10.0.0.1",
        "[fd00:ec2::254]",
    ] {
        let error = failure(&dialler, &format!("http://{host}:{port}/")).await;
        assert!(matches!(error, DialError::NotPublic { .. }), "{host}: {error}");
    }
    // The root's dot makes it the same name; some resolvers know it so, others not at all.
    let dotted = failure(&dialler, &format!("http://localhost.:{port}/")).await;
    assert!(matches!(dotted, DialError::NotPublic { .. } | DialError::Resolve { .. }), "{dotted}");
    for no_host in ["http://[fe80::1%25eth0]/", "http://127.0.0.256/", "http://0x100000000/", "http:///"] {
        assert!(Url::parse(no_host).is_err(), "{no_host} is refused before anybody dials");
    }
}

#[test]
fn of_a_names_addresses_each_is_filtered_and_only_what_is_left_is_dialled() {
    let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 443);
    let resolved = || ["10.0.0.1", "1.1.1.1", "::1", "2606:4700:4700::1111", "169.254.169.254"].map(address).to_vec();
    let host = Host::Domain("rebinding.example");
    let public = Dialler::new(Reach::PublicOnly).filtered(&host, resolved()).unwrap();
    assert_eq!(public, [address("1.1.1.1"), address("2606:4700:4700::1111")]);
    assert_eq!(Dialler::new(Reach::Anywhere).filtered(&host, resolved()).unwrap(), resolved());
    let none = Dialler::new(Reach::PublicOnly).filtered(&host, vec![address("10.0.0.1")]);
    assert!(matches!(none, Err(DialError::NotPublic { .. })));
}

#[tokio::test]
async fn what_cannot_be_dialled_says_why() {
    let dialler = Dialler::new(Reach::Anywhere);
    assert!(matches!(failure(&dialler, "ftp://127.0.0.1/").await, DialError::BadUrl));
    assert!(matches!(failure(&dialler, "mailto:ann@example.com").await, DialError::BadUrl));
    let (listener, port) = listener().await;
    drop(listener);
    let refused = failure(&dialler, &format!("ws://user:secret@127.0.0.1:{port}/secret?key=secret")).await;
    assert!(matches!(refused, DialError::Connect { kind: io::ErrorKind::ConnectionRefused, .. }), "{refused}");
    assert!(!refused.to_string().contains("secret"));
    let unknown = failure(&dialler, "http://name.invalid/").await;
    assert!(matches!(unknown, DialError::Resolve { .. } | DialError::Timeout { .. }), "{unknown}");
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let (listener, port) = listener().await;
    let (gone, dead) = self::listener().await;
    drop(gone);
    let host = Host::Domain("somewhere");
    let addresses = [SocketAddr::from(([127, 0, 0, 1], dead)), SocketAddr::from(([127, 0, 0, 1], port))];
    let (stream, _) = tokio::join!(connect_in_turn(&host, &addresses, soon()), listener.accept());
    assert!(stream.unwrap().nodelay().unwrap());
}

#[tokio::test]
async fn a_peer_that_says_nothing_costs_no_more_than_the_deadline() {
    let (_listener, port) = listener().await;
    let dialler = Dialler::new(Reach::Anywhere);
    let deadline = crate::clock::now() + Duration::from_millis(50);
    let outcome = dialler.connect(&url(&format!("wss://127.0.0.1:{port}/")), deadline).await;
    assert!(matches!(outcome, Err(DialError::Timeout { .. })));
}

/// Answers one TLS connection with what it read, reversed.
async fn answer_tls(listener: TcpListener) -> io::Result<()> {
    let key = PrivateKeyDer::from_pem_slice(LOCALHOST).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate()], key).unwrap();
    let (tcp, _) = listener.accept().await?;
    let mut stream = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(tcp).await?;
    let mut got = [0; 3];
    stream.read_exact(&mut got).await?;
    got.reverse();
    stream.write_all(&got).await?;
    stream.shutdown().await
}

#[tokio::test]
async fn tls_speaks_with_who_can_prove_its_name_by_name_and_by_address() {
    for host in ["localhost", "127.0.0.1"] {
        let (listener, port) = listener().await;
        let mut roots = RootCertStore::empty();
        roots.add(certificate()).unwrap();
        let dialler = Dialler::trusting(Reach::Anywhere, roots);
        let client = async {
            let mut stream = dialler.connect(&url(&format!("wss://{host}:{port}/")), soon()).await.unwrap();
            stream.write_all(b"abc").await.unwrap();
            let mut got = [0; 3];
            stream.read_exact(&mut got).await.unwrap();
            got
        };
        let (got, _) = tokio::join!(client, answer_tls(listener));
        assert_eq!(&got, b"cba", "{host}");
    }
}

#[tokio::test]
async fn tls_refuses_who_cannot() {
    let (listener, port) = listener().await;
    let dialler = Dialler::new(Reach::Anywhere);
    let text = format!("https://localhost:{port}/");
    let (error, _) = tokio::join!(failure(&dialler, &text), answer_tls(listener));
    assert!(matches!(error, DialError::Tls { trouble: TlsTrouble::UnknownIssuer, .. }), "{error:?}");
}

#[tokio::test]
async fn tls_with_a_peer_that_speaks_none_is_a_tls_error() {
    let (listener, port) = listener().await;
    let dialler = Dialler::new(Reach::Anywhere);
    let peer = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        tcp
    };
    let text = format!("wss://127.0.0.1:{port}/");
    let (error, _peer) = tokio::join!(failure(&dialler, &text), peer);
    assert!(matches!(error, DialError::Tls { trouble: TlsTrouble::Handshake, .. }), "{error:?}");
}

#[tokio::test]
async fn tls_with_anothers_certificate_is_a_wrong_name() {
    let (listener, port) = listener().await;
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).unwrap();
    let dialler = Dialler::trusting(Reach::Anywhere, roots);
    let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let other = Host::Domain("other.example");
    let (session, _) = tokio::join!(dialler.secure(&other, tcp), answer_tls(listener));
    let error = session.err().expect("the certificate is for localhost");
    assert!(matches!(error, DialError::Tls { trouble: TlsTrouble::WrongName, .. }), "{error:?}");
}

#[tokio::test]
async fn the_http_client_dials_through_the_same_filter() {
    let (listener, port) = listener().await;
    let server = tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(|| async { "here" })).await });
    let client = |reach| {
        let connector = Connector::new(Arc::new(Dialler::new(reach)), Duration::from_secs(5));
        Client::builder(TokioExecutor::new()).build::<_, Empty<bytes::Bytes>>(connector)
    };
    let uri: hyper::Uri = format!("http://127.0.0.1:{port}/hook").parse().unwrap();
    let response = client(Reach::Anywhere).get(uri.clone()).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "here");
    assert!(client(Reach::PublicOnly).get(uri).await.unwrap_err().is_connect());
    server.abort();
}
