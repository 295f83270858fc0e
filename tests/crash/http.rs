//! One request, its answer read to the end.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The body; `None` where the other side went away.
pub(crate) async fn get(address: &str, path: &str) -> Option<String> {
    let (status, body) = ask("GET", address, path).await?;
    assert_eq!(status, 200, "{path}: {body}");
    Some(body)
}

/// Status and body; `None` where the other side went away. HTTP/1.0, so that no body comes in pieces.
pub(crate) async fn ask(method: &str, address: &str, path: &str) -> Option<(u16, String)> {
    let mut socket = TcpStream::connect(address).await.ok()?;
    let request = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    assert!(!head.to_lowercase().contains("chunked"), "{path}: {head}");
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    Some((status.unwrap_or_else(|| panic!("{path}: {head}")), body.to_owned()))
}
