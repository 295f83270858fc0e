//! Is the running bridge ready? The health check of containers, which have no shell to ask with.
//!
//! Promises: asks nothing but `/readyz` of the address in the settings, waits at most [`DEADLINE`], reads at most
//! [`MAX_ANSWER_BYTES`], and never calls a bridge ready that did not say so with status 200.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Connecting, asking and reading together; a health check that hangs is a failed one.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// `/readyz` answers with a few hundred bytes.
pub const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Asks the bridge that listens on `listen`; the answer's body where it is ready.
///
/// # Errors
/// No bridge there, no answer in time, or one that says it is not ready; the body is part of the error.
pub async fn ready(listen: SocketAddr) -> anyhow::Result<String> {
    let address = reachable(listen);
    let asked = tokio::time::timeout(DEADLINE, ask(address)).await;
    let answer = asked.with_context(|| format!("{address} did not answer within {} s", DEADLINE.as_secs()))??;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("{address} did not answer in HTTP"))?;
    let body = body.trim().to_owned();
    match head.split(' ').nth(1) {
        Some("200") => Ok(body),
        Some(status) => bail!("{address} is not ready: /readyz answered {status}: {body}"),
        None => bail!("{address} did not answer in HTTP"),
    }
}

async fn ask(address: SocketAddr) -> anyhow::Result<Vec<u8>> {
    let told = || format!("cannot ask {address}; is the bridge running?");
    let mut stream = TcpStream::connect(address).await.with_context(told)?;
    // HTTP/1.0: the answer comes whole and the connection closes behind it.
    let request = format!("GET /readyz HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.with_context(told)?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await.with_context(told)?;
    Ok(answer)
}

/// A bridge that listens on every address is asked over loopback.
pub(crate) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_bridge_that_says_200_is_ready() {
        let said = answered(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"ready\":true}").await;
        assert_eq!(said.unwrap(), r#"{"ready":true}"#);
    }

    #[tokio::test]
    async fn a_bridge_that_says_503_is_not_and_its_reason_is_told() {
        let why = answered(b"HTTP/1.1 503 Service Unavailable\r\n\r\n{\"store\":\"opening\"}").await.unwrap_err().to_string();
        assert!(why.contains("is not ready: /readyz answered 503: {\"store\":\"opening\"}"), "{why}");
    }

    #[tokio::test]
    async fn what_is_no_http_is_not_ready() {
        for bytes in [b"".as_slice(), b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\n"] {
            let why = answered(bytes).await.unwrap_err().to_string();
            assert!(why.contains("did not answer in HTTP"), "{why}");
        }
    }

    #[tokio::test]
    async fn nothing_there_is_not_ready() {
        let address = TcpListener::bind("127.77.0.1:0").await.unwrap().local_addr().unwrap();
        let why = ready(address).await.unwrap_err().to_string();
        assert_eq!(why, format!("cannot ask {address}; is the bridge running?"));
    }

    #[test]
    fn every_address_is_asked_over_loopback() {
        for (listen, asked) in [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("127.0.0.2:80", "127.0.0.2:80")] {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }

    async fn answered(bytes: &'static [u8]) -> anyhow::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 256];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /readyz HTTP/1.0\r\n"));
            stream.write_all(bytes).await.unwrap();
        };
        tokio::join!(ready(address), server).0
    }
}
