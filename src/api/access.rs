//! Who may ask: the API token, or, where none is set, this machine alone.
//!
//! Promises: fails closed. Without a token only loopback peers are answered, and never a request that a proxy passed on,
//! since the proxy's own address would say nothing about who asks.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::{Bridge, problem::Problem};
use crate::accept::{Turned, crowd::Place};

/// Headers by which proxies and the networks in front of them say that, or for whom, they ask.
const FORWARDING: [&str; 9] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
];
/// How the names of a family of them begin: `x-forwarded-for`, `-host`, `-proto`, `-port` and what else is in use.
const FORWARDED_PREFIX: &str = "x-forwarded-";

/// Lets a request through to the API, the metrics and the other operator's routes, or refuses it with 401 or 403.
pub async fn operator_only(
    State(bridge): State<Bridge>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if !request.method().is_safe() && is_from_elsewhere(request.headers()) {
        return Problem::new(StatusCode::FORBIDDEN, "a page of another origin may not change anything here").into_response();
    }
    match verdict(bridge.api_token(), peer, request.headers()) {
        Ok(()) => {
            if let Some(stranger) = request.extensions().get::<Arc<Place>>() {
                stranger.leave();
            }
            next.run(request).await
        }
        Err((turned, advice)) => {
            bridge.entrance().turned(peer, turned);
            let status = turned.status().unwrap_or(StatusCode::FORBIDDEN);
            ([(header::WWW_AUTHENTICATE, "Bearer")], Problem::new(status, advice)).into_response()
        }
    }
}

fn verdict(token: Option<&SecretString>, peer: SocketAddr, headers: &HeaderMap) -> Result<(), (Turned, &'static str)> {
    let Some(token) = token else {
        return if peer.ip().to_canonical().is_loopback() && !is_forwarded(headers) {
            Ok(())
        } else {
            let advice = "no api_token is set, so only this machine may ask, and not through a proxy; set api_token";
            Err((Turned::NotLocal, advice))
        };
    };
    match bearer(headers) {
        Some(given) if same(given.as_bytes(), token) => Ok(()),
        Some(_) => Err((Turned::ApiToken, "the Bearer token is not the api_token")),
        None => Err((Turned::ApiToken, "send the api_token as Authorization: Bearer")),
    }
}

/// Whether a browser says that a page of another origin asks: without a token it would be answered for standing on this machine.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    authority.is_none() || authority != host
}

fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| FORWARDING.contains(&name.as_str()) || name.as_str().starts_with(FORWARDED_PREFIX))
}

/// Whether one of `tokens` stands in the path, as Bearer, or as the password of Basic. Looks at all of them, in constant time.
pub fn carries_token(tokens: &[SecretString], path: Option<&str>, headers: &HeaderMap) -> bool {
    let given = [path.map(str::to_owned), bearer(headers).map(str::to_owned), basic_password(headers)];
    given
        .iter()
        .flatten()
        .fold(false, |found, given| tokens.iter().fold(found, |found, token| found | same(given.as_bytes(), token)))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    authorization(headers, "bearer ")
}

fn basic_password(headers: &HeaderMap) -> Option<String> {
    let pair = BASE64_STANDARD.decode(authorization(headers, "basic ")?.trim()).ok()?;
    let (_user, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some(password.to_owned())
}

fn authorization<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (given, rest) = value.split_at_checked(scheme.len())?;
    given.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn same(given: &[u8], secret: &SecretString) -> bool {
    given.ct_eq(secret.expose_secret().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn without_a_token_only_a_direct_loopback_peer_is_answered() {
        let here: SocketAddr = "127.0.0.1:4000".parse().unwrap();
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:4000".parse().unwrap();
        let there: SocketAddr = "192.0.2.7:4000".parse().unwrap();
        assert!(verdict(None, here, &HeaderMap::new()).is_ok());
        assert!(verdict(None, mapped, &HeaderMap::new()).is_ok());
        assert!(verdict(None, there, &HeaderMap::new()).is_err());
        for name in ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-server", "x-real-ip"] {
            assert!(verdict(None, here, &headers(&[(name, "x")])).is_err(), "{name}");
        }
        for name in ["via", "cf-connecting-ip", "true-client-ip", "x-client-ip", "fastly-client-ip", "x-cluster-client-ip"] {
            assert!(verdict(None, here, &headers(&[(name, "x")])).is_err(), "{name}");
        }
        assert!(verdict(None, here, &headers(&[("host", "localhost"), ("accept", "x")])).is_ok());
    }

    #[test]
    fn with_a_token_everybody_must_bring_it() {
        let token = SecretString::from("s3cret");
        let here: SocketAddr = "127.0.0.1:4000".parse().unwrap();
        assert!(verdict(Some(&token), here, &HeaderMap::new()).is_err());
        assert!(verdict(Some(&token), here, &headers(&[("authorization", "Bearer wrong")])).is_err());
        assert!(verdict(Some(&token), here, &headers(&[("authorization", "bearer s3cret")])).is_ok());
    }

    #[test]
    fn a_page_of_another_origin_is_told_from_our_own() {
        let from = |origin| is_from_elsewhere(&headers(&[("host", "127.0.0.1:8080"), ("origin", origin)]));
        assert!(!from("http://127.0.0.1:8080") && !is_from_elsewhere(&headers(&[("host", "127.0.0.1:8080")])));
        for origin in ["https://example.com", "http://127.0.0.1:8081", "null", ""] {
            assert!(from(origin), "{origin}");
        }
    }

    #[test]
    fn an_ingest_token_is_taken_from_path_bearer_or_basic() {
        let tokens = [SecretString::from("one"), SecretString::from("two")];
        assert!(carries_token(&tokens, Some("two"), &HeaderMap::new()));
        assert!(carries_token(&tokens, None, &headers(&[("authorization", "Bearer one")])));
        let basic = format!("Basic {}", BASE64_STANDARD.encode("pbx:two"));
        assert!(carries_token(&tokens, None, &headers(&[("authorization", &basic)])));
        assert!(!carries_token(&tokens, Some("three"), &headers(&[("authorization", "Bearer four")])));
        assert!(!carries_token(&[], Some(""), &HeaderMap::new()));
    }
}
