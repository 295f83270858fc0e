//! Twilio's proof that a request is Twilio's: HMAC-SHA1 over the URL, and over the form of a webhook. Source: protocols/ingress.md section 3.5.
//!
//! Promises: fails closed (no header, two headers, no token, an unusable public URL: refused); every candidate URL is tried with every token
//! and compared in constant time without an early way out; the URL is made of the configured public one, never of what the request
//! says about its host.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use subtle::{Choice, ConstantTimeEq};
use url::{Url, form_urlencoded};

/// The request header that carries the proof.
pub const HEADER: &str = "x-twilio-signature";

/// Why a request was not taken for Twilio's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// No header.
    #[error("the request has no X-Twilio-Signature header")]
    Missing,
    /// More than one header: which one a proxy or we would read is not the same question.
    #[error("the request has more than one X-Twilio-Signature header")]
    Twice,
    /// The header fits no candidate URL with any token.
    #[error(
        "X-Twilio-Signature does not fit public_url and the path with any auth token: check TWILIO_AUTH_TOKEN, and that public_url is exactly the address in the TwiML"
    )]
    Mismatch,
}

/// A request as it came in, and the address at which Twilio sees this bridge.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The configured public address: `https`, `http`, `wss` or `ws`, a host, perhaps a port and a path prefix.
    pub public_url: &'a Url,
    /// The request's path as received, not decoded.
    pub path: &'a str,
    /// The request's query as received, without `?`.
    pub query: Option<&'a str>,
}

/// Checks the signature of a WebSocket handshake.
///
/// # Errors
/// Why it is not taken for Twilio's.
pub fn check_handshake<'h>(
    request: Request<'_>,
    headers: impl IntoIterator<Item = &'h [u8]>,
    tokens: &[SecretString],
) -> Result<(), Unsigned> {
    let given = only(headers)?;
    let mut messages = Vec::new();
    for url in addresses(request, sockets(request.public_url)) {
        if let Some(query) = request.query {
            messages.push(format!("{url}?{query}"));
            messages.push(url + &joined(form_urlencoded::parse(query.as_bytes()).into_owned().collect()));
        } else {
            messages.push(url);
        }
    }
    check(&given, &messages, tokens)
}

/// Checks the signature of a webhook: `form` are the decoded parameters of the body, empty for a GET.
///
/// # Errors
/// Why it is not taken for Twilio's.
pub fn check_form<'h>(
    request: Request<'_>,
    form: &[(String, String)],
    headers: impl IntoIterator<Item = &'h [u8]>,
    tokens: &[SecretString],
) -> Result<(), Unsigned> {
    let given = only(headers)?;
    let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
    let form = joined(form.to_vec());
    let messages: Vec<String> =
        addresses(request, webs(request.public_url)).into_iter().map(|url| format!("{url}{query}{form}")).collect();
    check(&given, &messages, tokens)
}

/// Every form of a stream's address for which a signature is taken, the usual one first; `path` as in [`Request`].
#[must_use]
pub fn candidates(public_url: &Url, path: &str) -> Vec<String> {
    addresses(Request { public_url, path, query: None }, sockets(public_url))
}

/// The header's value as Twilio would make it for exactly this URL and form; for acting as the phone.
#[must_use]
pub fn sign(token: &SecretString, url: &str, form: &[(String, String)]) -> String {
    STANDARD.encode(digest(token, &format!("{url}{}", joined(form.to_vec()))))
}

/// The value of the one header there must be.
fn only<'h>(headers: impl IntoIterator<Item = &'h [u8]>) -> Result<Vec<u8>, Unsigned> {
    let mut headers = headers.into_iter();
    match (headers.next(), headers.next()) {
        (None, _) => Err(Unsigned::Missing),
        (Some(value), None) => Ok(STANDARD.decode(value.trim_ascii()).unwrap_or_default()),
        (Some(_), Some(_)) => Err(Unsigned::Twice),
    }
}

fn check(given: &[u8], messages: &[String], tokens: &[SecretString]) -> Result<(), Unsigned> {
    let mut fits = Choice::from(0);
    for token in tokens {
        for message in messages {
            fits |= digest(token, message).as_slice().ct_eq(given);
        }
    }
    if fits.into() { Ok(()) } else { Err(Unsigned::Mismatch) }
}

fn digest(token: &SecretString, message: &str) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.expose_secret().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().into()
}

/// Names and values one behind the other, sorted, doubles once.
fn joined(mut form: Vec<(String, String)>) -> String {
    form.sort_unstable();
    form.dedup();
    form.into_iter().flat_map(|(name, value)| [name, value]).collect()
}

/// The schemes of a socket: Twilio dials `wss` only; a public URL without TLS is a trial on one's own machine, where both are in use.
fn sockets(public_url: &Url) -> &'static [&'static str] {
    match public_url.scheme() {
        "https" | "wss" => &["wss"],
        "http" | "ws" => &["ws", "wss"],
        _ => &[],
    }
}

/// The schemes of a webhook, likewise.
fn webs(public_url: &Url) -> &'static [&'static str] {
    match public_url.scheme() {
        "https" | "wss" => &["https"],
        "http" | "ws" => &["http", "https"],
        _ => &[],
    }
}

/// Every way in which the sender may have written the address: with the configured port, without one, with 443; without and with a
/// slash at the end. User names are left out and the host is in lower case, as [`Url`] keeps it.
fn addresses(request: Request<'_>, schemes: &[&str]) -> Vec<String> {
    let Some(host) = request.public_url.host_str() else { return Vec::new() };
    let host = host.to_ascii_lowercase();
    let mut ports = vec![String::new(), ":443".to_owned()];
    if let Some(port) = request.public_url.port() {
        ports.push(format!(":{port}"));
    }
    let prefix = request.public_url.path().trim_end_matches('/');
    let path = request.path.trim_end_matches('/');
    let mut addresses = Vec::with_capacity(schemes.len() * ports.len() * 2);
    for scheme in schemes {
        for port in &ports {
            for slash in ["", "/"] {
                addresses.push(format!("{scheme}://{host}{port}{prefix}{path}{slash}"));
            }
        }
    }
    addresses
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
