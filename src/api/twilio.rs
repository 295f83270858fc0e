//! Twilio's own webhooks: the TwiML that starts a stream, and what Twilio says of the stream afterwards.
//!
//! Promises: signed like every webhook of Twilio's, or refused with 403; who called whom is remembered for the call's own
//! stream and shown nowhere but by its last four digits; what Twilio sends in free text goes no further.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{ConnectInfo, FromRequest, Request, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret;
use url::{Url, form_urlencoded};

use super::{Bridge, access::carries_token, ingress::Denied, problem::Problem};
use crate::{
    accept::{Turned, crowd::Place},
    call::{Remembered, direction_named},
    clock,
    dialect::{
        signature::{self, Unsigned},
        twiml,
    },
    media::CallSid,
};

/// Longest time for a webhook's body to arrive once its header has (contract, Events, details, has the same for headers).
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Twilio's error numbers of media streams (protocols/ingress.md section 3.2).
const STREAM_ERRORS: std::ops::Range<u32> = 31_900..32_000;

type Form = Vec<(String, String)>;

/// A webhook's form that Twilio signed, or that came with an ingest token. Who shows neither is refused before the body is read.
pub struct Signed(Form);

impl FromRequest<Bridge> for Signed {
    type Rejection = Response;

    async fn from_request(request: Request, bridge: &Bridge) -> Result<Self, Response> {
        let (uri, headers) = (request.uri().clone(), request.headers().clone());
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
        let stranger = request.extensions().get::<Arc<Place>>().cloned();
        let refuse = |denied| refuse(bridge, denied, uri.path()).into_response();
        may_be_twilio(bridge, &headers).map_err(refuse)?;
        let body = body_within(BODY_TIMEOUT, request).await.map_err(|turned| too_much(bridge, peer, turned))?;
        let form: Form = form_urlencoded::parse(&body).into_owned().collect();
        let tokens = &bridge.config().twilio.auth_tokens;
        if !tokens.is_empty() {
            any_origin(bridge, &uri, |request| signature::check_form(request, &form, signatures(&headers), tokens))
                .map_err(refuse)?;
        }
        // For this request only: what was signed once may be sent again by anybody who saw it.
        stranger.inspect(|stranger| stranger.step_out());
        Ok(Self(form))
    }
}

fn too_much(bridge: &Bridge, peer: Option<SocketAddr>, turned: Option<Turned>) -> Response {
    if let (Some(turned), Some(peer)) = (turned, peer) {
        bridge.entrance().turned(peer, turned);
    }
    match turned {
        Some(turned) => Problem::new(turned.status().unwrap_or(StatusCode::BAD_REQUEST), turned.reason()),
        None => Problem::bad_request("the body could not be read"),
    }
    .into_response()
}

/// `POST /twilio/voice`: TwiML that starts a both-tracks stream to this bridge, then `twilio.after`.
pub async fn voice(State(bridge): State<Bridge>, Signed(form): Signed) -> Result<Response, Problem> {
    let call_sid = CallSid::new(field(&form, "CallSid")).map_err(|why| Problem::bad_request(format!("CallSid: {why}")))?;
    let some = |name: &str| Some(field(&form, name)).filter(|value| !value.is_empty()).map(str::to_owned);
    let remembered = Remembered { from: some("From"), to: some("To"), direction: direction_named(field(&form, "Direction")) };
    let token = bridge.calls().expect_stream(call_sid, remembered);
    let token = token.expose_secret();
    // Without an auth token there is no signature to let the stream in, so its own token does, in the path.
    let twilio = &bridge.config().twilio;
    let is_signed = !twilio.auth_tokens.is_empty();
    let path = if is_signed { "media/twilio".to_owned() } else { format!("media/twilio/{token}") };
    let origin = bridge.origin();
    let stream_url = below(&socket_scheme(origin), &path);
    let status = below(origin.as_str(), "twilio/status");
    let voice = twiml::Voice {
        stream_url: &stream_url,
        // Twilio's callbacks carry nothing but a signature; where that lets nobody in, each would be refused.
        status_callback: (is_signed || twilio.allow_unsigned).then_some(&status),
        parameters: &[("token", token)],
        after: &twilio.after,
    };
    Ok(([(header::CONTENT_TYPE, twiml::CONTENT_TYPE)], voice.to_xml()).into_response())
}

/// `POST /twilio/status`: what became of a stream; an error is logged by its number.
pub async fn status(State(bridge): State<Bridge>, Signed(form): Signed) -> Result<StatusCode, Problem> {
    let call_sid = CallSid::new(field(&form, "CallSid")).map_err(|why| Problem::bad_request(format!("CallSid: {why}")))?;
    match field(&form, "StreamEvent") {
        "stream-error" => {
            let code = error_code(field(&form, "StreamError"));
            tracing::warn!(%call_sid, code, "Twilio reports an error of the stream");
        }
        event @ ("stream-started" | "stream-stopped") => tracing::debug!(%call_sid, event, "Twilio reports on the stream"),
        _ => bridge.metrics().ignored("unknown_stream_event", 1),
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Whether the header leaves it possible that Twilio asks; where signatures are checked the form decides.
fn may_be_twilio(bridge: &Bridge, headers: &HeaderMap) -> Result<(), Denied> {
    let config = bridge.config();
    if !config.twilio.auth_tokens.is_empty() {
        return if signatures(headers).next().is_some() { Ok(()) } else { Err(Denied::Unsigned) };
    }
    let open = config.twilio.allow_unsigned || carries_token(&config.ingest.tokens, None, headers);
    if open { Ok(()) } else { Err(Denied::without_signatures(bridge)) }
}

/// The body; `None` in place of a reason where it just broke off.
pub(super) async fn body_within(limit: Duration, request: Request) -> Result<Bytes, Option<Turned>> {
    match tokio::time::timeout(limit, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(why)) => Err((why.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE).then_some(Turned::BodyTooLarge)),
        Err(_) => Err(Some(Turned::BodyTimeout)),
    }
}

fn refuse(bridge: &Bridge, denied: Denied, path: &str) -> Problem {
    let address = below(bridge.origin().as_str(), path.trim_matches('/'));
    let advice = denied.advice(&address, bridge.config().twilio.auth_tokens.len());
    if let Some(unsaid) = bridge.metrics().refused(denied.code(), clock::now()) {
        tracing::warn!(reason = denied.code(), unsaid, "refused a webhook of Twilio's: {advice}");
    }
    Problem::new(StatusCode::FORBIDDEN, advice)
}

/// Whether the handshake's signature fits one of our addresses.
pub fn handshake_fits(bridge: &Bridge, uri: &Uri, headers: &HeaderMap) -> Result<(), Denied> {
    any_origin(bridge, uri, |request| {
        signature::check_handshake(request, signatures(headers), &bridge.config().twilio.auth_tokens)
    })
}

fn any_origin(bridge: &Bridge, uri: &Uri, check: impl Fn(signature::Request<'_>) -> Result<(), Unsigned>) -> Result<(), Denied> {
    let mut denied = Denied::BadSignature;
    for public_url in bridge.origins() {
        match check(signature::Request { public_url, path: uri.path(), query: uri.query() }) {
            Ok(()) => return Ok(()),
            Err(Unsigned::Missing) => denied = Denied::Unsigned,
            Err(Unsigned::Twice) => denied = Denied::SignedTwice,
            Err(Unsigned::Mismatch) => {}
        }
    }
    Err(denied)
}

fn signatures(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(signature::HEADER).iter().map(header::HeaderValue::as_bytes)
}

fn field<'a>(form: &'a Form, name: &str) -> &'a str {
    form.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value)
}

/// Twilio's error number in its text, e.g. 31921: the first number of five digits, if it is one of media streams; else 0. The text
/// itself may quote anything, so no other digits of it are kept.
fn error_code(text: &str) -> u32 {
    let numbers = text.split(|c: char| !c.is_alphanumeric());
    let code = numbers.filter(|number| number.len() == 5).find_map(|number| number.parse().ok());
    code.filter(|code| STREAM_ERRORS.contains(code)).unwrap_or(0)
}

/// An address of ours as sockets have it: `wss` for `https`, `ws` for `http`.
pub fn socket_scheme(origin: &Url) -> String {
    let text = origin.as_str();
    match text.strip_prefix("https") {
        Some(rest) => format!("wss{rest}"),
        None => text.replacen("http", "ws", 1),
    }
}

/// The address of a path, which has no slash in front, below an origin of ours.
pub fn below(origin: &str, path: &str) -> String {
    format!("{}/{path}", origin.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures_util::{StreamExt, stream};

    use super::*;

    #[tokio::test]
    async fn a_body_that_does_not_end_in_time_is_given_up_with_408() {
        let half = || stream::iter([Ok::<_, std::io::Error>("CallSid=CA1")]);
        let slow = Request::new(Body::from_stream(half().chain(stream::pending())));
        assert_eq!(body_within(Duration::from_millis(20), slow).await, Err(Some(Turned::BodyTimeout)));
        let whole = Request::new(Body::from_stream(half()));
        assert_eq!(body_within(Duration::from_secs(20), whole).await.unwrap(), "CallSid=CA1");
    }

    #[test]
    fn an_error_of_twilio_is_kept_as_its_number_only() {
        assert_eq!(error_code("31921 Stream - WebSocket - Close Error"), 31_921);
        assert_eq!(error_code("error: 31930, caller +15550100"), 31_930);
        assert_eq!(error_code("no number"), 0);
        assert_eq!(error_code("caller +15550100, card 4242424242424242, ZIP 94107, 31921"), 0, "no digits of anybody's number");
    }

    #[test]
    fn streams_go_to_the_socket_form_of_our_address() {
        let origin = Url::parse("https://bridge.example.com").unwrap();
        assert_eq!(below(&socket_scheme(&origin), "media/twilio"), "wss://bridge.example.com/media/twilio");
        let local = Url::parse("http://127.0.0.1:8080").unwrap();
        assert_eq!(below(&socket_scheme(&local), "media/twilio"), "ws://127.0.0.1:8080/media/twilio");
    }
}
