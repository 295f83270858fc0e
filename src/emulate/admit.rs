//! Which routes there are, and who may use them (protocols/pulse.md sections 2 and 3).
//!
//! Promises: pure; a key is compared in constant time and never shown, only its last four characters are; a refusal has the
//! status and body that the service gives before the upgrade.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

/// Whose requests are taken.
#[derive(Clone, Default)]
pub enum Auth {
    /// Any key, but there must be one.
    #[default]
    AnyKey,
    /// This key only.
    Key(SecretString),
    /// No key is needed.
    Open,
}

/// A route of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    /// The letter it has in protocols/pulse.md sections 2.1 and 2.2; W is the older Waves ASR of section 2.3.
    pub(super) letter: char,
    pub(super) path: &'static str,
    pub(super) is_stream: bool,
    pub(super) needs_model: bool,
}

impl Route {
    /// Whether the older ASR is spoken on it, which takes every handshake and says on the stream what it has against it.
    pub(super) const fn is_asr(self) -> bool {
        self.letter == 'W'
    }
}

const fn route(letter: char, path: &'static str, is_stream: bool, needs_model: bool) -> Route {
    Route { letter, path, is_stream, needs_model }
}

/// Every route; streams are `GET` with an upgrade, batches are `POST`.
pub(super) const ROUTES: [Route; 11] = [
    route('A', "/waves/v1/stt/live", true, true),
    route('B', "/waves/v1/pulse/get_text", true, false),
    route('C', "/api/v1/pulse/get_text", true, false),
    route('D', "/waves/v1/lightning/get_text", true, false),
    route('D', "/api/v1/lightning/get_text", true, false),
    route('G', "/waves/v1/stt/", false, true),
    route('G', "/waves/v1/stt", false, true),
    route('H', "/waves/v1/pulse/get_text", false, false),
    route('I', "/api/v1/pulse/get_text", false, false),
    route('W', "/api/v1/asr", true, false),
    route('W', "/waves/v1/asr", true, false),
];

/// An answer in place of the upgrade or the transcript.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) body: Value,
    /// Seconds, as a header.
    pub(super) retry_after: Option<u32>,
}

impl Refusal {
    /// The refusal with this status, as the service words it.
    pub(super) fn of_status(status: u16, retry_after: Option<u32>) -> Self {
        let body = match status {
            401 => json!({"error": "unauthorized"}),
            403 => json!({"error": "forbidden: the plan does not include this"}),
            413 => json!({"error": "Audio data too large"}),
            429 => json!({"error": "Rate limit exceeded: too many requests", "request_id": "req_emulated"}),
            _ => json!({"error": "Internal server error"}),
        };
        Self { status, body, retry_after }
    }

    /// What a plan without this answers to whoever asks for it.
    pub(super) fn of_flag(flag: &str, query: &[(String, String)]) -> Option<Self> {
        let asked = query.iter().any(|(name, value)| name == flag && value == "true");
        let body = json!({"error": format!("forbidden: the plan does not include {flag}"), "request_id": "req_emulated"});
        asked.then_some(Self { status: 403, body, retry_after: None })
    }
}

/// Decides about a request. The key may come as Bearer header, `token` or `api_key`.
pub(super) fn admit(route: Route, query: &[(String, String)], authorization: Option<&str>, auth: &Auth) -> Result<(), Refusal> {
    let refusal = |status, body| Err(Refusal { status, body, retry_after: None });
    match is_let_in(query, authorization, auth) {
        Some(true) => {}
        Some(false) => return Err(Refusal::of_status(401, None)),
        None => return refusal(401, json!({"message": "Unauthorized: No tokens provided"})),
    }
    let model = query.iter().find(|(name, _)| name == "model").map(|(_, value)| value.as_str());
    let bad_model = |text: &str| refusal(400, json!({"error": text, "request_id": "req_emulated"}));
    match model {
        None | Some("") if route.needs_model => bad_model("model is required; one of: pulse, pulse-2, pulse-pro"),
        Some("pulse-pro") if route.is_stream => bad_model("pulse-pro has no stream; allowed models: pulse, pulse-2"),
        _ => Ok(()),
    }
}

/// Whether the request's key is good; `None` where there is none, though one is needed.
pub(super) fn is_let_in(query: &[(String, String)], authorization: Option<&str>, auth: &Auth) -> Option<bool> {
    let key = key_of(query, authorization).unwrap_or_default();
    match auth {
        Auth::AnyKey | Auth::Key(_) if key.is_empty() => None,
        Auth::AnyKey | Auth::Open => Some(true),
        Auth::Key(expected) => Some(expected.expose_secret().as_bytes().ct_eq(key.as_bytes()).into()),
    }
}

/// The key that a request carries.
pub(super) fn key_of<'a>(query: &'a [(String, String)], authorization: Option<&'a str>) -> Option<&'a str> {
    let bearer = authorization.and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")));
    let in_query = || query.iter().find(|(name, _)| is_key(name)).map(|(_, value)| value.as_str());
    bearer.or_else(in_query).map(str::trim)
}

/// Whether a query name carries a key.
pub(super) fn is_key(name: &str) -> bool {
    matches!(name, "token" | "api_key")
}

/// A key as it may be shown.
pub(super) fn last_four(key: &str) -> String {
    let count = key.chars().count();
    let shown: String = if count < 12 { String::new() } else { key.chars().skip(count - 4).collect() };
    format!("…{shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
    }

    #[test]
    fn every_row_of_the_page_s_table_of_refusals() {
        let key = || Auth::Key("sk_right_key_9f2c".into());
        let (live, batch, legacy) = (ROUTES[0], ROUTES[5], ROUTES[1]);
        let rows = [
            (live, "model=pulse", Some("Bearer sk_right_key_9f2c"), key(), Ok(())),
            (live, "model=pulse&token=sk_right_key_9f2c", None, key(), Ok(())),
            (live, "model=pulse&api_key=sk_right_key_9f2c", None, key(), Ok(())),
            (live, "model=pulse", Some("Bearer sk_wrong"), key(), Err(401)),
            (live, "model=pulse", None, key(), Err(401)),
            (live, "model=pulse", None, Auth::AnyKey, Err(401)),
            (live, "model=pulse", Some("Bearer "), Auth::AnyKey, Err(401)),
            (live, "model=pulse", Some("Bearer x"), Auth::AnyKey, Ok(())),
            (live, "model=pulse", None, Auth::Open, Ok(())),
            (live, "", None, Auth::Open, Err(400)),
            (live, "model=pulse-pro", None, Auth::Open, Err(400)),
            (legacy, "", None, Auth::Open, Ok(())),
            (batch, "", None, Auth::Open, Err(400)),
            (batch, "model=pulse-pro", None, Auth::Open, Ok(())),
        ];
        for (index, (route, query, header, auth, expected)) in rows.into_iter().enumerate() {
            let found = admit(route, &pairs(query), header, &auth).map_err(|refusal| refusal.status);
            assert_eq!(found, expected, "row {index}");
        }
    }

    #[test]
    fn a_missing_key_and_a_wrong_key_have_different_bodies() {
        let query = pairs("model=pulse");
        let missing = admit(ROUTES[0], &query, None, &Auth::AnyKey).unwrap_err();
        assert_eq!(missing.body, json!({"message": "Unauthorized: No tokens provided"}));
        let wrong = admit(ROUTES[0], &query, Some("Bearer b"), &Auth::Key("a".into())).unwrap_err();
        assert_eq!(wrong.body, json!({"error": "unauthorized"}));
    }

    #[test]
    fn only_the_end_of_a_long_key_is_shown() {
        assert_eq!(last_four("sk_right_key_9f2c"), "…9f2c");
        assert_eq!(last_four("short"), "…");
    }
}
