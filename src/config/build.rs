//! From laid-out values to the typed struct.
//!
//! Promises: every key of the table that this version knows ends up in a field; a test holds that.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use url::Url;

use super::{
    Config, ConfigError, Disk, Drain, EndpointConfig, Engine, Ingest, Log, LogFormat, Redaction, Retention, Spool, Twilio,
    Upstream, Webhook, WhenFull, check,
    load::Settings,
    table::{self, KEYS},
    value::{self, Raw, Value},
};
use crate::{
    audio::PhoneForm,
    engine::files::Model,
    media::EndpointName,
    redact::{Choices, Policy, Refused},
    upstream::Protocol,
};

/// Name of the endpoint that `webhook.url` makes.
const DEFAULT_ENDPOINT: &str = "default";

/// Makes the struct; a key that has a default is there, whatever was set.
pub(super) fn build(settings: Settings) -> Result<Config, ConfigError> {
    let from = Fields(&settings);
    let listen = match settings.get("listen") {
        Some(Value::Listen(address)) => *address,
        _ => unreachable!("listen has a default of its kind"),
    };
    let protocol = from.choice("upstream.protocol", Protocol::named);
    Ok(Config {
        listen,
        public_url: from.url("public_url"),
        data_dir: from.text("data_dir").into(),
        api_token: from.secret("api_token"),
        keys: from.secrets("key"),
        twilio: Twilio {
            auth_tokens: from.secrets("twilio.auth_tokens"),
            allow_unsigned: from.on("twilio.allow_unsigned"),
            require_token: from.on("twilio.require_token"),
            after: from.text("twilio.after"),
        },
        ingest: Ingest {
            tokens: from.secrets("ingest.tokens"),
            allow_unauthenticated: from.on("ingest.allow_unauthenticated"),
            max_calls: from.count("ingest.max_calls"),
            max_call: from.span("ingest.max_call"),
            silence: from.span("ingest.silence"),
        },
        upstream: Upstream {
            url: from.url("upstream.url"),
            is_local: from.word("upstream.url").as_deref() == Some(table::LOCAL),
            batch_url: from.url("upstream.batch_url"),
            batch_format: from.choice("upstream.batch_format", PhoneForm::named),
            batch_per_minute: from.count("upstream.batch_per_minute"),
            batch_deadline: from.span("upstream.batch_deadline"),
            api_key: from.secret("upstream.api_key"),
            chunk_ms: from.int("upstream.chunk_ms"),
            replay_speed: u32::try_from(from.int("upstream.replay_speed")).expect("the table bounds it"),
            close_deadline: from.span("upstream.close_deadline"),
            max_sessions: from.count("upstream.max_sessions"),
            when_full: from.choice("upstream.when_full", WhenFull::named),
            slot_wait: from.span("upstream.slot_wait"),
            connects_per_second: u32::try_from(from.int("upstream.connects_per_second")).expect("the table bounds it"),
            session_limit: from.span("upstream.session_limit"),
            catch_up: from.span("upstream.catch_up"),
            protocol,
            parameters: parameters(&settings, protocol),
            extra: from.pairs("upstream.extra"),
        },
        engine: Engine { model: from.choice("engine.model", Model::named), eou_timeout_ms: from.int("engine.eou_timeout_ms") },
        spool: Spool { per_track: from.span("spool.per_track") },
        webhook: Webhook { endpoints: endpoints(&settings)? },
        redaction: redaction(&settings)?,
        retention: Retention {
            calls: from.span("retention.calls"),
            attempts: from.span("retention.attempts"),
            parked: from.span("retention.parked"),
        },
        disk: Disk { reserve: from.bytes("disk.reserve"), min_free: from.bytes("disk.min_free") },
        drain: Drain { deadline: from.span("drain.deadline") },
        capture: from.word("capture.dir").filter(|dir| !dir.is_empty()).map(Into::into),
        log: Log { format: from.word("log.format").map(|word| if word == "json" { LogFormat::Json } else { LogFormat::Pretty }) },
        settings,
    })
}

fn redaction(settings: &Settings) -> Result<Redaction, ConfigError> {
    let from = Fields(settings);
    let hash_key = from.secret("redaction.hash_key");
    let choices = Choices {
        types: &from.list("redaction.types"),
        mode: &from.pairs("redaction.mode"),
        allow: &from.list("redaction.allow"),
        deny: &from.lists("redaction.deny"),
        patterns: &from.pairs("redaction.patterns"),
        hash_key: hash_key.as_ref(),
    };
    let refused = |refused: Refused| ConfigError::new(&settings.origin(refused.key), refused.what);
    Ok(Redaction {
        hold: from.span("redaction.hold"),
        partials: from.on("redaction.partials"),
        menu_digits: from.on("redaction.menu_digits"),
        name_model: from.word("redaction.name_model").filter(|folder| !folder.is_empty()).map(Into::into),
        policy: Policy::new(&choices).map(Arc::new).map_err(refused)?,
    })
}

fn parameters(settings: &Settings, protocol: Protocol) -> Vec<(&'static str, String)> {
    let parameters = KEYS.iter().filter(|key| key.is_asked_of(protocol));
    parameters.filter_map(|key| settings.get(key.path).map(|value| (table::last_word(key.path), value::send(value)))).collect()
}

/// Typed reads; the table's kinds make every other arm impossible.
struct Fields<'a>(&'a Settings);

impl Fields<'_> {
    fn word(&self, path: &'static str) -> Option<String> {
        match self.0.get(path) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    fn text(&self, path: &'static str) -> String {
        self.word(path).unwrap_or_default()
    }

    fn choice<T>(&self, path: &'static str, named: impl Fn(&str) -> Option<T>) -> T {
        named(&self.text(path)).expect("the table has a default, and no word but those that mean something")
    }

    fn on(&self, path: &'static str) -> bool {
        matches!(self.0.get(path), Some(Value::Bool(true)))
    }

    fn int(&self, path: &'static str) -> u64 {
        match self.0.get(path) {
            Some(Value::Int(number)) => *number,
            _ => 0,
        }
    }

    fn count(&self, path: &'static str) -> usize {
        usize::try_from(self.int(path)).unwrap_or(usize::MAX)
    }

    fn span(&self, path: &'static str) -> Duration {
        match self.0.get(path) {
            Some(Value::Span(span)) => *span,
            _ => Duration::ZERO,
        }
    }

    fn bytes(&self, path: &'static str) -> u64 {
        match self.0.get(path) {
            Some(Value::Bytes(bytes)) => *bytes,
            _ => 0,
        }
    }

    fn url(&self, path: &'static str) -> Option<Url> {
        match self.0.get(path) {
            Some(Value::Url(url)) => Some(url.clone()),
            _ => None,
        }
    }

    fn secrets(&self, path: &'static str) -> Vec<SecretString> {
        match self.0.get(path) {
            Some(Value::Secrets(secrets)) => secrets.clone(),
            _ => Vec::new(),
        }
    }

    fn list(&self, path: &'static str) -> Vec<String> {
        match self.0.get(path) {
            Some(Value::List(list)) => list.clone(),
            _ => Vec::new(),
        }
    }

    fn pairs(&self, path: &'static str) -> Vec<(String, String)> {
        match self.0.get(path) {
            Some(Value::Extra(pairs)) => pairs.clone(),
            _ => Vec::new(),
        }
    }

    fn lists(&self, path: &'static str) -> Vec<(String, Vec<String>)> {
        match self.0.get(path) {
            Some(Value::Lists(lists)) => lists.clone(),
            _ => Vec::new(),
        }
    }

    fn secret(&self, path: &'static str) -> Option<SecretString> {
        self.secrets(path).into_iter().next()
    }
}

fn endpoints(settings: &Settings) -> Result<Vec<EndpointConfig>, ConfigError> {
    let mut endpoints: Vec<EndpointConfig> = Vec::new();
    let origin = settings.origin("webhook.endpoints");
    if let Some(Value::Endpoints(items)) = settings.get("webhook.endpoints") {
        for (line, fields) in items {
            let origin = origin.at_line(*line);
            let made = endpoint(fields).and_then(|made| add(&mut endpoints, "webhook.endpoints", made));
            made.map_err(|what| ConfigError::new(&origin, what))?;
        }
    }
    let from = Fields(settings);
    match (from.url("webhook.url"), from.secrets("webhook.secret")) {
        (Some(url), secrets) if !secrets.is_empty() => {
            let name = EndpointName::new(DEFAULT_ENDPOINT).expect("the constant is a name");
            let made = EndpointConfig { name, url, secrets, events: Vec::new(), ordered: true };
            let origin = settings.origin("webhook.secret");
            add(&mut endpoints, "webhook", made).map_err(|what| ConfigError::new(&origin, what))?;
        }
        (Some(_), _) => {
            let what =
                "webhook.url has no secret, and deliveries are always signed; set webhook.secret (PULSE_BRIDGE_WEBHOOK_SECRET)";
            return Err(ConfigError::new(&settings.origin("webhook.url"), what));
        }
        (None, secrets) if !secrets.is_empty() => {
            let what = "webhook.secret has no address; set webhook.url (PULSE_BRIDGE_WEBHOOK_URL)";
            return Err(ConfigError::new(&settings.origin("webhook.secret"), what));
        }
        (None, _) => {}
    }
    Ok(endpoints)
}

fn add(endpoints: &mut Vec<EndpointConfig>, path: &str, made: EndpointConfig) -> Result<(), String> {
    check::endpoint(path, &made)?;
    if endpoints.iter().any(|other| other.name == made.name) {
        return Err(format!("two webhook endpoints are named {:?}; give each its own name", made.name.as_str()));
    }
    endpoints.push(made);
    Ok(())
}

/// One item of `webhook.endpoints`; its field names are known to be right.
fn endpoint(fields: &[(String, Raw)]) -> Result<EndpointConfig, String> {
    let mut name = None;
    let mut url = None;
    let mut made = (Vec::new(), Vec::new(), true);
    for (field, raw) in fields {
        let key = table::ENDPOINT.iter().find(|key| table::last_word(key.path) == field).expect("the reader let only these pass");
        match value::read(key, raw.clone())? {
            Value::Text(text) => name = Some(EndpointName::new(&text).map_err(|why| format!("{}: {why}", key.path))?),
            Value::Url(address) => url = Some(address),
            Value::Secrets(secrets) => made.0 = secrets,
            Value::List(events) => made.1 = events,
            Value::Bool(ordered) => made.2 = ordered,
            _ => unreachable!("no field of an endpoint has another kind"),
        }
    }
    let name = name.ok_or("a webhook endpoint needs a name")?;
    let url = url.ok_or_else(|| format!("webhook endpoint {:?} needs a url", name.as_str()))?;
    let (secrets, events, ordered) = made;
    Ok(EndpointConfig { name, url, secrets, events, ordered })
}
