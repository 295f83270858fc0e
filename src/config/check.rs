//! What one value alone cannot show: rules about text inside a setting, and about settings together.
//!
//! Promises: what passes here can be used without a second look; what must only hold for `serve` is asked separately.

use secrecy::{ExposeSecret, SecretString};

use super::{Config, ConfigError, EndpointConfig, Upstream, table};
use crate::{
    event::KINDS,
    keys::MasterKeys,
    upstream::{Parameters, Protocol, batch_address},
    webhook::SigningKey,
};

/// Most keywords that the service takes. Source: protocols/pulse.md section 4.
const MAX_KEYWORDS: usize = 10_000;
/// What a bridge says that nothing can reach.
pub const NO_STREAM: &str = "no stream can get in: set TWILIO_AUTH_TOKEN, or PULSE_BRIDGE_INGEST_TOKENS, or allow unsigned \
                             streams on purpose with twilio.allow_unsigned";
/// What a bridge says whose speech service has no batch endpoint that it knows of.
const NO_BATCH: &str = "no batch endpoint is known beside upstream.url: what streaming cannot do will be a gap (transcript.gap); set upstream.batch_url";
/// Highest weight of a keyword taken; the service advises 1 to 3.
const MAX_WEIGHT: f64 = 100.0;

impl Config {
    /// Rules that hold for every command.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if let Some(url) = &self.public_url
            && (url.path() != "/" || url.query().is_some())
        {
            return Err(self.error("public_url", "public_url must be an origin alone, e.g. https://bridge.example.com"));
        }
        if let Some(list) = self.key_list() {
            MasterKeys::parse(&list).map_err(|why| self.error("key", why))?;
        }
        self.check_protocol()?;
        for (name, value) in &self.upstream.parameters {
            match *name {
                "language" => self.held("upstream.language", parameter_text("upstream.language", value))?,
                "keywords" => self.held("upstream.keywords", keywords(value))?,
                _ => {}
            }
        }
        self.held("upstream.extra", extra(&self.upstream.extra))?;
        Ok(())
    }

    /// What is asked of one service is not said to the other, and what the older ASR would close on is not said at all.
    fn check_protocol(&self) -> Result<(), ConfigError> {
        let protocol = self.upstream.protocol;
        let strange = |key: &&table::Key| key.is_parameter && !key.is_asked_of(protocol);
        let is_extra = |key: &&table::Key| protocol == Protocol::Asr && key.path == "upstream.extra";
        if let Some((key, _)) = self.origins().find(|(key, _)| strange(key) || is_extra(key)) {
            let (own, other) = match protocol {
                Protocol::Pulse => ("the older ASR", "asr"),
                Protocol::Asr => ("Pulse", "pulse"),
            };
            let what = format!(
                "{} is for {own}, but upstream.protocol is {:?}; take it out or set upstream.protocol = {other:?}",
                key.path,
                protocol.as_str()
            );
            return Err(self.error(key.path, what));
        }
        if protocol == Protocol::Asr {
            if self.upstream.url.as_ref().is_some_and(|url| url.query().is_some()) {
                let what = "upstream.url has a query, and with upstream.protocol = \"asr\" the service closes on what it does not know; take it out";
                return Err(self.error("upstream.url", what));
            }
            let mut parameters = Parameters::of(protocol);
            for key in table::KEYS.iter().filter(|key| key.is_asked_of(protocol)) {
                let name = table::last_word(key.path);
                let value = self.upstream.parameters.iter().find(|(set, _)| *set == name).map(|(_, value)| value);
                let refused = value.and_then(|value| parameters.set(name, value).err());
                self.held(key.path, refused.map_or(Ok(()), |why| Err(format!("{}: {why}", key.path))))?;
            }
        }
        Ok(())
    }

    /// The master keys as one list, in the form in which they are read; `None` where none is set.
    #[must_use]
    pub fn key_list(&self) -> Option<SecretString> {
        let keys: Vec<&str> = self.keys.iter().map(ExposeSecret::expose_secret).collect();
        (!keys.is_empty()).then(|| SecretString::from(keys.join(",")))
    }

    fn held(&self, path: &'static str, rule: Result<(), String>) -> Result<(), ConfigError> {
        rule.map_err(|what| self.error(path, what))
    }

    /// Rules that hold where a bridge is to run.
    ///
    /// # Errors
    /// `public_url` without `api_token`; what the built-in engine is asked for and cannot.
    pub fn check_serve(&self) -> Result<(), ConfigError> {
        if self.public_url.is_some() && self.api_token.is_none() {
            let what = "public_url is set but api_token is not: API and dashboard would be open to anyone; set api_token (PULSE_BRIDGE_API_TOKEN)";
            return Err(self.error("public_url", what));
        }
        self.check_engine()
    }

    /// Whether there is nothing by which a stream could be let in: no token of any kind and no wish to do without.
    #[must_use]
    pub fn lets_no_stream_in(&self) -> bool {
        let has_tokens = !self.twilio.auth_tokens.is_empty() || !self.ingest.tokens.is_empty();
        !has_tokens && !self.twilio.allow_unsigned && !self.ingest.allow_unauthenticated
    }

    /// What is allowed but ought to be known: one line each, for the log at start.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.twilio.allow_unsigned && self.twilio.auth_tokens.is_empty() {
            lines.push("twilio.allow_unsigned is on: anyone who finds the port can stream calls here".to_owned());
        }
        if self.ingest.allow_unauthenticated {
            lines.push("ingest.allow_unauthenticated is on: anyone who finds the port can stream calls here".to_owned());
        }
        if self.lets_no_stream_in() {
            lines.push(NO_STREAM.to_owned());
        }
        if self.upstream.api_key.is_some()
            && self.upstream.url.as_ref().is_some_and(|url| url.scheme() == "ws" && !is_loopback(url))
        {
            lines.push("upstream.url is plain ws:// to another machine: the key and the calls travel unencrypted".to_owned());
        }
        if self.upstream.api_key.is_some()
            && self.upstream.batch_url.as_ref().is_some_and(|url| url.scheme() == "http" && !is_loopback(url))
        {
            lines.push(
                "upstream.batch_url is plain http:// to another machine: the key and the calls travel unencrypted".to_owned(),
            );
        }
        if self.upstream.speech_url().is_some() && self.upstream.batch_address().is_none() {
            lines.push(NO_BATCH.to_owned());
        }
        lines.extend(self.redaction.policy.warnings());
        lines.extend(self.webhook.endpoints.iter().flat_map(|endpoint| self.unheard(endpoint)));
        lines
    }

    /// What an endpoint asks for and cannot get, as the other settings stand.
    fn unheard(&self, endpoint: &EndpointConfig) -> Vec<String> {
        let asks = |kind: &str| endpoint.events.iter().any(|event| event.starts_with(kind));
        let (setting, parameter) = match self.upstream.protocol {
            Protocol::Pulse => ("upstream.vad_events", "vad_events"),
            Protocol::Asr => ("upstream.asr.emit_voice_activity", "emit_voice_activity"),
        };
        let hears_voice = self.upstream.parameters.iter().any(|(name, value)| *name == parameter && value == "true");
        let name = endpoint.name.as_str();
        let mut lines = Vec::new();
        if asks("transcript.partial") && !self.redaction.partials {
            lines.push(format!(
                "webhook endpoint {name:?} asks for transcript.partial, but redaction.partials is off: they are withheld"
            ));
        }
        if asks("speech.") && !hears_voice {
            lines.push(format!("webhook endpoint {name:?} asks for speech events, but {setting} is off: there will be none"));
        }
        lines
    }
}

impl Upstream {
    /// Where speech goes: the address set, else the service's own for the protocol where there is a key; none: the built-in engine.
    ///
    /// # Panics
    /// Never: the constants are URLs.
    #[must_use]
    pub fn speech_url(&self) -> Option<url::Url> {
        let known = match self.protocol {
            Protocol::Pulse => table::PULSE_URL,
            Protocol::Asr => table::ASR_URL,
        };
        let own = || self.api_key.as_ref().map(|_| known.parse().expect("the constants are URLs"));
        if self.is_local { None } else { self.url.clone().or_else(own) }
    }

    /// Where goes what streaming could not do: the address set, else the one beside [`Upstream::speech_url`], if it has one.
    #[must_use]
    pub fn batch_address(&self) -> Option<url::Url> {
        self.batch_url.clone().or_else(|| batch_address(&self.speech_url()?))
    }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn parameter_text(path: &str, text: &str) -> Result<(), String> {
    let fits = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if fits { Ok(()) } else { Err(format!("{path} must be at most 64 letters, digits, '-', '_' or '.'")) }
}

fn keywords(list: &str) -> Result<(), String> {
    let list: Vec<&str> = list.split(',').collect();
    if list.len() > MAX_KEYWORDS {
        return Err(format!("upstream.keywords has {} words; the service takes {MAX_KEYWORDS}", list.len()));
    }
    let fits = |entry: &str| {
        let (word, weight) = entry.rsplit_once(':').unwrap_or((entry, "1"));
        let number = weight.parse::<f64>().unwrap_or(0.0);
        !word.trim().is_empty() && !word.contains(':') && number > 0.0 && number <= MAX_WEIGHT
    };
    match list.iter().position(|entry| !fits(entry)) {
        None => Ok(()),
        // By its place: a keyword may be somebody's name.
        Some(at) => Err(format!(
            "upstream.keywords: item {} must be \"Word\" or \"Word:weight\" with a weight above 0, at most {MAX_WEIGHT}",
            at + 1
        )),
    }
}

fn extra(pairs: &[(String, String)]) -> Result<(), String> {
    for (name, _) in pairs {
        let path = format!("upstream.{name}");
        if let Some((_, why)) = table::RESERVED.iter().find(|(reserved, _)| *reserved == path) {
            return Err(format!("upstream.extra.{name} is not a setting: {why}"));
        }
        if table::find(&path).is_some() {
            return Err(format!("upstream.extra.{name} has a setting of its own; write it as {path}"));
        }
        parameter_text(&format!("upstream.extra.{name}"), name)?;
    }
    Ok(())
}

/// One endpoint by itself: name, secrets, event types.
pub(super) fn endpoint(path: &str, endpoint: &EndpointConfig) -> Result<(), String> {
    let name = endpoint.name.as_str();
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err(format!("{path}.name {name:?} must be letters, digits, '-', '_' or '.'"));
    }
    if endpoint.secrets.is_empty() {
        return Err(format!("webhook endpoint {name:?} has no secret; deliveries are always signed: set {path}.secrets"));
    }
    if endpoint.secrets.iter().any(|secret| SigningKey::parse(secret).is_err()) {
        return Err(format!("webhook endpoint {name:?}: a secret must be whsec_ and base64 of 24 to 64 bytes"));
    }
    if let Some(event) = endpoint.events.iter().find(|event| !KINDS.contains(&event.as_str())) {
        let near = super::nearest::nearest(event, KINDS.iter().copied()).unwrap_or_default();
        return Err(format!("webhook endpoint {name:?}: unknown event {event:?}; did you mean {near:?}?"));
    }
    Ok(())
}
