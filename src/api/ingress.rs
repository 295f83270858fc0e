//! The media routes: who may open a stream, decided before the upgrade.
//!
//! Promises: fails closed. A stream is taken only with a fitting signature, a token, or an operator's explicit wish; every
//! refusal is a 403 with its reason, counted and logged once, and neither tokens nor signatures reach the log.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Extension, Path, State, WebSocketUpgrade},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};

use super::{
    Bridge,
    access::carries_token,
    problem::Problem,
    twilio::{below, handshake_fits, socket_scheme},
};
use crate::{
    accept::crowd::Place,
    clock,
    config::NO_STREAM,
    dialect::Dialect,
    stream::driver::{self, PeerInfo},
};

/// Dialects of the contract that this version does not speak yet.
const NOT_YET: [&str; 9] =
    ["signalwire", "telnyx", "plivo", "exotel", "vonage", "audiohook", "jambonz", "freeswitch", "asterisk"];

/// Why a stream was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pass {
    /// The signature fits.
    Signed,
    /// An ingest token fits.
    Token,
    /// An unused one-time token stands in the path; the start will use it up.
    Minted,
    /// The operator lets everybody in.
    Open,
}

/// Why a stream or a webhook was refused before anything of it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Signatures are checked, and there is none.
    Unsigned,
    /// Signatures are checked, and there is none beside the good token in the path.
    UnsignedPathToken,
    /// Signatures are checked, and there is more than one.
    SignedTwice,
    /// Signatures are checked, and it fits no token for any form of our address.
    BadSignature,
    /// Tokens let in, and there is none, or it is no ingest token.
    BadToken,
    /// The token in the path is neither an ingest token nor a fresh one-time token.
    BadPathToken,
    /// Nothing is set up by which anybody could be let in.
    NothingSetUp,
}

impl Denied {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Unsigned,
        Self::UnsignedPathToken,
        Self::SignedTwice,
        Self::BadSignature,
        Self::BadToken,
        Self::BadPathToken,
        Self::NothingSetUp,
    ];

    /// Why somebody without a good token is refused where no signatures are checked.
    pub fn without_signatures(bridge: &Bridge) -> Self {
        if bridge.config().ingest.tokens.is_empty() { Self::NothingSetUp } else { Self::BadToken }
    }

    /// The word in the counter.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unsigned | Self::UnsignedPathToken => "unsigned",
            Self::SignedTwice | Self::BadSignature => "bad_signature",
            Self::BadToken | Self::BadPathToken => "bad_token",
            Self::NothingSetUp => "nothing_set_up",
        }
    }

    /// What is wrong and what to do, in one line. `address` is where Twilio should have dialled, without a token; `tokens` is how
    /// many auth tokens were tried.
    pub fn advice(self, address: &str, tokens: usize) -> String {
        let advice = match self {
            Self::Unsigned => {
                "there is no X-Twilio-Signature; where TWILIO_AUTH_TOKEN is set, webhooks need one, and streams need one or an \
                 ingest token as Authorization: Bearer or Basic"
            }
            Self::UnsignedPathToken => {
                "there is no X-Twilio-Signature, and a token in the path does not replace it where TWILIO_AUTH_TOKEN is set; \
                 dial /media/twilio with the ingest token as Authorization: Bearer or Basic"
            }
            Self::SignedTwice => "there is more than one X-Twilio-Signature; a proxy must pass on the one that Twilio sent",
            Self::BadSignature => {
                let fits = match tokens {
                    1 => "does not fit the one token".to_owned(),
                    2 => "fits neither of 2 tokens".to_owned(),
                    more => format!("fits none of {more} tokens"),
                };
                return format!(
                    "X-Twilio-Signature {fits} for {address}; if Twilio dials another address set public_url, then run \"pulse-bridge doctor\""
                );
            }
            Self::BadToken => {
                "bring an ingest token as Authorization: Bearer or Basic; a stream may also have it, or a fresh one-time token, \
                 in the path"
            }
            Self::BadPathToken => "the token in the path is neither one of ingest.tokens nor a fresh one-time token",
            Self::NothingSetUp => NO_STREAM,
        };
        advice.to_owned()
    }
}

/// `GET /media/twilio`, also with a slash at the end, as Twilio signs it either way.
pub async fn twilio(
    state: State<Bridge>,
    peer: ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    stranger: Extension<Arc<Place>>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    open(state, peer, &uri, None, &headers, &stranger, upgrade)
}

/// `GET /media/twilio/{token}`.
pub async fn twilio_with_token(
    state: State<Bridge>,
    peer: ConnectInfo<SocketAddr>,
    Path(token): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    stranger: Extension<Arc<Place>>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    open(state, peer, &uri, Some(&token), &headers, &stranger, upgrade)
}

/// `GET /media/{dialect}` for the dialects to come, and for what is none.
pub async fn other(Path(path): Path<String>) -> Problem {
    let dialect = path.split('/').next().unwrap_or_default();
    match NOT_YET.iter().find(|name| **name == dialect) {
        Some(name) => Problem::not_built(&format!("the {name} dialect")),
        None if dialect == "twilio" => {
            Problem::not_found("Twilio streams go to /media/twilio, or /media/twilio/ and a token with no slash behind it")
        }
        None => Problem::not_found("there is no such dialect; this version speaks twilio"),
    }
}

fn open(
    State(bridge): State<Bridge>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    uri: &Uri,
    token: Option<&str>,
    headers: &HeaderMap,
    stranger: &Place,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let pass = match authenticate(&bridge, uri, token, headers) {
        Ok(pass) => pass,
        Err(denied) => {
            // The token of the path stays out: it opens streams.
            let path = if token.is_some() { "media/twilio/…" } else { "media/twilio" };
            let address = below(&socket_scheme(bridge.origin()), path);
            let advice = denied.advice(&address, bridge.config().twilio.auth_tokens.len());
            if let Some(unsaid) = bridge.metrics().refused(denied.code(), clock::now()) {
                tracing::warn!(%peer, reason = denied.code(), unsaid, "refused a media stream: {advice}");
            }
            return Problem::new(StatusCode::FORBIDDEN, advice).into_response();
        }
    };
    if let Some(refused) = bridge.calls().refuses_all_streams() {
        if let Some(unsaid) = bridge.metrics().refused(refused.code(), clock::now()) {
            tracing::warn!(%peer, reason = refused.code(), unsaid, "refused a media stream: {}", refused.reason());
        }
        return Problem::unavailable(refused.reason()).into_response();
    }
    let Ok(upgrade) = upgrade else {
        return Problem::new(StatusCode::UPGRADE_REQUIRED, "this route is a WebSocket").into_response();
    };
    let door = bridge.calls().door(token.filter(|_| pass == Pass::Minted));
    let (limits, shutdown) = (bridge.stream_limits(), bridge.shutdown().clone());
    stranger.leave();
    let place = Arc::new(bridge.entrance().unstarted().enter(peer.ip()));
    let (tasks, peer) = (bridge.tasks().clone(), PeerInfo { addr: peer, place });
    driver::bounded(upgrade)
        .on_upgrade(move |socket| tasks.track_future(driver::run(socket, Dialect::Twilio, peer, door, limits, shutdown)))
}

fn authenticate(bridge: &Bridge, uri: &Uri, token: Option<&str>, headers: &HeaderMap) -> Result<Pass, Denied> {
    let config = bridge.config();
    let checks_signatures = !config.twilio.auth_tokens.is_empty();
    if let Some(token) = token {
        let pass = match carries_token(&config.ingest.tokens, Some(token), &HeaderMap::new()) {
            true => Pass::Token,
            false if bridge.calls().is_fresh_token(token) => Pass::Minted,
            false => return Err(Denied::BadPathToken),
        };
        return match if checks_signatures { handshake_fits(bridge, uri, headers) } else { Ok(()) } {
            Ok(()) => Ok(pass),
            Err(Denied::Unsigned) => Err(Denied::UnsignedPathToken),
            Err(denied) => Err(denied),
        };
    }
    if carries_token(&config.ingest.tokens, None, headers) {
        return Ok(Pass::Token);
    }
    if checks_signatures {
        return handshake_fits(bridge, uri, headers).map(|()| Pass::Signed);
    }
    let open = config.twilio.allow_unsigned || config.ingest.allow_unauthenticated;
    if open { Ok(Pass::Open) } else { Err(Denied::without_signatures(bridge)) }
}
