//! The types of a delivery: which endpoint wants an event, what one attempt sends, what came back.
//!
//! Promises: an [`Endpoint`] that exists has at least one usable signing key and an `http` or `https` address; nothing here
//! shows a key, an address's credentials or a body when it is printed.

pub mod driver;
pub mod sign;
pub mod verdict;

use std::{fmt, sync::Arc, time::Duration};

use secrecy::SecretString;
use ulid::Ulid;
use url::Url;

pub use sign::SigningKey;
pub use verdict::Verdict;

use crate::{
    media::EndpointName,
    net::TlsTrouble,
    pii::Unredacted,
    redact::{Gate, GateSettings},
};

/// Events that an endpoint gets only if it names them: they are many, and unstored.
pub const OPT_IN: [&str; 3] = ["transcript.partial", "speech.started", "speech.ended"];
/// How much of an answer is kept with the attempt, in bytes. Contract, section Events.
pub const ANSWER_KEPT_BYTES: usize = 1024;

/// The name of one event's way to one endpoint: `dlv_` and a ULID.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(Ulid);

impl DeliveryId {
    /// Names a delivery by a fresh ULID (from [`crate::clock::ulid`]).
    #[must_use]
    pub const fn new(id: Ulid) -> Self {
        Self(id)
    }

    /// Reads `dlv_…` back; `None` if it is nothing of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Ulid::from_string(text.strip_prefix("dlv_")?).ok().map(Self)
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dlv_{}", self.0)
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is wrong with an endpoint's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// Deliveries would be unsigned.
    #[error("it has no secret: add one made by `openssl rand -base64 32` behind `whsec_`")]
    NoSecret,
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] sign::BadSecret),
    /// Not `http` or `https`, or without a host.
    #[error("its url is not an http:// or https:// address")]
    Url,
    /// A filter names a type that does not exist.
    #[error("its events name a type that does not exist")]
    Event,
}

/// A place to which events are posted.
pub struct Endpoint {
    name: EndpointName,
    url: Url,
    keys: Vec<SigningKey>,
    events: Vec<String>,
    ordered: bool,
}

impl Endpoint {
    /// An endpoint from the settings. `events` empty means the default set: all but [`OPT_IN`].
    ///
    /// # Errors
    /// Says what is wrong, without showing it.
    pub fn new(
        name: EndpointName,
        url: Url,
        secrets: &[SecretString],
        events: Vec<String>,
        ordered: bool,
    ) -> Result<Self, BadEndpoint> {
        let keys = secrets.iter().map(SigningKey::parse).collect::<Result<Vec<_>, _>>()?;
        match () {
            () if keys.is_empty() => Err(BadEndpoint::NoSecret),
            () if !matches!(url.scheme(), "http" | "https") || !url.has_host() => Err(BadEndpoint::Url),
            () if !events.iter().all(|event| crate::event::KINDS.contains(&event.as_str())) => Err(BadEndpoint::Event),
            () => Ok(Self { name, url, keys, events, ordered }),
        }
    }

    /// Its name in the settings.
    #[must_use]
    pub const fn name(&self) -> &EndpointName {
        &self.name
    }

    /// Where to post.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The active signing keys; never empty.
    #[must_use]
    pub fn keys(&self) -> &[SigningKey] {
        &self.keys
    }

    /// Whether a call's events arrive here in `seq` order.
    #[must_use]
    pub const fn is_ordered(&self) -> bool {
        self.ordered
    }

    /// Whether it gets events of this type.
    #[must_use]
    pub fn wants(&self, kind: &str) -> bool {
        if self.events.is_empty() { !OPT_IN.contains(&kind) } else { self.events.iter().any(|event| event == kind) }
    }
}

/// All endpoints of the settings, in their order.
#[derive(Clone, Default)]
pub struct Endpoints(Arc<[Arc<Endpoint>]>);

impl Endpoints {
    /// Takes the endpoints; of two with one name the first counts.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self(endpoints.into_iter().map(Arc::new).collect())
    }

    /// One by name.
    #[must_use]
    pub fn get(&self, name: &EndpointName) -> Option<&Arc<Endpoint>> {
        self.0.iter().find(|endpoint| endpoint.name == *name)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.0.iter()
    }

    /// Who gets an event of this type: all that want it, or, where the session names one (`webhook` parameter), only that one.
    #[must_use]
    pub fn wanting(&self, kind: &str, only: Option<&EndpointName>) -> Vec<EndpointName> {
        let chosen = |endpoint: &&Arc<Endpoint>| only.is_none_or(|only| endpoint.name == *only) && endpoint.wants(kind);
        self.0.iter().filter(chosen).map(|endpoint| endpoint.name.clone()).collect()
    }
}

/// What a receiver answered, as far as we look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` header as it came.
    pub retry_after: Option<String>,
    /// The body's beginning, read from at most [`ANSWER_KEPT_BYTES`]. The receiver's words, so never for a log.
    pub kept: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// The 15 s for connecting, headers and body were over.
    #[error("timeout")]
    Timeout,
    /// No connection: name, address or port.
    #[error("unreachable")]
    Unreachable,
    /// The TLS handshake failed.
    #[error("{0}")]
    Tls(TlsTrouble),
    /// The connection broke off.
    #[error("reset")]
    Reset,
    /// It does not speak HTTP.
    #[error("not_http")]
    NotHttp,
}

/// One POST with its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it began: milliseconds since 1970-01-01 UTC.
    pub wall_ms: u64,
    /// How long it took.
    pub took: Duration,
    /// What came of it.
    pub outcome: Result<Answer, Failure>,
}

impl Attempt {
    /// The same with what the receiver answered redacted: it may echo what it knows of a caller from elsewhere. `key` is for what is
    /// hashed, and used once. What is not UTF-8 in it becomes U+FFFD.
    #[must_use]
    pub fn redacted(mut self, gate: &GateSettings, key: [u8; 32]) -> Self {
        if let Ok(answer) = &mut self.outcome
            && !answer.kept.is_empty()
        {
            let said = Unredacted::new(String::from_utf8_lossy(&answer.kept));
            answer.kept = Gate::new(gate.clone(), key).parameter("answer", said.expose()).as_str().into();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_receiver_echoes_of_a_caller_is_kept_without_it() {
        let answered = |kept: &[u8]| {
            let outcome = Ok(Answer { status: 500, retry_after: None, kept: kept.to_vec() });
            let attempt = Attempt { wall_ms: 0, took: Duration::ZERO, outcome };
            attempt.redacted(&GateSettings::default(), [7; 32]).outcome.unwrap().kept
        };
        assert_eq!(answered(b"no card 4242 4242 4242 4242"), b"no card [CREDIT_CARD_1]");
        assert_eq!(answered(b"busy, try later"), b"busy, try later");
        assert_eq!(answered(b""), b"");
    }

    fn endpoint(url: &str, secrets: &[&str], events: &[&str]) -> Result<Endpoint, BadEndpoint> {
        let secrets: Vec<SecretString> = secrets.iter().map(|&secret| secret.into()).collect();
        let events = events.iter().map(|&event| event.to_owned()).collect();
        Endpoint::new(EndpointName::new("crm").unwrap(), url.parse().unwrap(), &secrets, events, true)
    }

    const GOOD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn an_endpoint_is_refused_by_what_is_wrong_with_it() {
        let refused = |url, secrets: &[&str], events: &[&str]| endpoint(url, secrets, events).err();
        assert_eq!(refused("http://127.0.0.1:1/", &[GOOD], &["call.completed"]), None);
        assert_eq!(refused("http://127.0.0.1:1/", &[], &[]), Some(BadEndpoint::NoSecret));
        assert_eq!(refused("ftp://127.0.0.1/", &[GOOD], &[]), Some(BadEndpoint::Url));
        assert_eq!(refused("http://127.0.0.1:1/", &[GOOD], &["call.unheard"]), Some(BadEndpoint::Event));
        assert!(matches!(refused("http://127.0.0.1:1/", &[GOOD, "whsec_!"], &[]), Some(BadEndpoint::Secret(_))));
    }

    #[test]
    fn partial_and_speech_events_go_only_to_those_who_ask() {
        let default = endpoint("http://127.0.0.1:1/", &[GOOD], &[]).unwrap();
        let wanted: Vec<_> = crate::event::KINDS.iter().filter(|kind| default.wants(kind)).copied().collect();
        assert_eq!(wanted, ["call.started", "transcript.final", "transcript.gap", "call.dtmf", "call.completed"]);
        let asking = endpoint("http://127.0.0.1:1/", &[GOOD], &["speech.ended"]).unwrap();
        assert!(asking.wants("speech.ended") && !asking.wants("call.started"));
    }

    #[test]
    fn a_session_that_names_an_endpoint_tells_no_other() {
        let name = |name| EndpointName::new(name).unwrap();
        let named = |other| Endpoint { name: name(other), ..endpoint("http://127.0.0.1:1/", &[GOOD], &[]).unwrap() };
        let all = Endpoints::new(vec![named("crm"), named("audit")]);
        assert_eq!(all.wanting("call.started", None), [name("crm"), name("audit")]);
        assert_eq!(all.wanting("call.started", Some(&name("audit"))), [name("audit")]);
        assert!(all.wanting("transcript.partial", None).is_empty());
    }

    #[test]
    fn a_delivery_is_named_back_and_forth() {
        let id = DeliveryId::new(Ulid::from_parts(5, 5));
        assert_eq!(DeliveryId::parse(&id.to_string()), Some(id));
        assert_eq!(DeliveryId::parse("evt_00000000000000000000000000"), None);
    }
}
