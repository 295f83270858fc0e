//! The settings: one typed struct, read once from a TOML file and the environment, checked as a whole.
//!
//! Promises: a [`Config`] that exists is valid; every value knows where it came from; a name that is not a setting is an error that says which one is nearest; a secret
//! is in no error, no `Debug` and in [`Config::effective`] only by its last four characters. File, environment and secret files come in as arguments ([`Sources`]); only [`driver`] reads the world.

mod build;
mod check;
pub mod driver;
mod engine;
mod file;
mod load;
pub(crate) mod nearest;
mod redaction;
mod reference;
pub mod table;
mod value;

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use secrecy::SecretString;
use url::Url;

pub use self::{
    check::NO_STREAM,
    engine::Engine,
    load::{Sources, misspelt},
    redaction::Redaction,
    reference::reference,
    value::{mask, masked, show_bytes, show_url},
};
use crate::{audio::PhoneForm, media::EndpointName, upstream::Protocol};

/// Everything that can be set. Field names are those of the settings file.
#[derive(Clone)]
pub struct Config {
    /// Where the bridge listens.
    pub listen: SocketAddr,
    /// The origin as Twilio sees it.
    pub public_url: Option<Url>,
    /// Folder of database, spool and made key.
    pub data_dir: PathBuf,
    /// Bearer token of API, dashboard and metrics.
    pub api_token: Option<SecretString>,
    /// Master keys, each `id:base64` of 32 bytes; the first encrypts. Empty: one is to be made in `data_dir`.
    pub keys: Vec<SecretString>,
    /// `[twilio]`.
    pub twilio: Twilio,
    /// `[ingest]`.
    pub ingest: Ingest,
    /// `[upstream]`.
    pub upstream: Upstream,
    /// `[engine]`.
    pub engine: Engine,
    /// `[spool]`.
    pub spool: Spool,
    /// `[webhook]`.
    pub webhook: Webhook,
    /// `[redaction]`.
    pub redaction: Redaction,
    /// `[retention]`.
    pub retention: Retention,
    /// `[disk]`.
    pub disk: Disk,
    /// `[drain]`.
    pub drain: Drain,
    /// `[capture]`: the folder in which calls are recorded; none: they are not.
    pub capture: Option<PathBuf>,
    /// `[log]`.
    pub log: Log,
    settings: load::Settings,
}

/// `[twilio]`.
#[derive(Clone)]
pub struct Twilio {
    /// Tokens that may have signed; empty: none.
    pub auth_tokens: Vec<SecretString>,
    /// Takes streams with neither signature nor token.
    pub allow_unsigned: bool,
    /// A signed stream must carry the one-time token too.
    pub require_token: bool,
    /// `TwiML` after `<Start><Stream>`; whether it is well-formed is for the `TwiML` writer to say, see [`Config::error`].
    pub after: String,
}

/// `[ingest]`.
#[derive(Clone)]
pub struct Ingest {
    /// Tokens for every dialect.
    pub tokens: Vec<SecretString>,
    /// Takes streams of a dialect with nothing set up.
    pub allow_unauthenticated: bool,
    /// Calls at once, 1 to 100,000.
    pub max_calls: usize,
    /// Longest call.
    pub max_call: Duration,
    /// Longest time without a frame.
    pub silence: Duration,
}

/// `[upstream]`.
#[derive(Clone)]
pub struct Upstream {
    /// The address set by the operator; see [`Upstream::speech_url`] for the one to use.
    pub url: Option<Url>,
    /// The operator wrote `local`: the built-in engine, key or not.
    pub is_local: bool,
    /// The batch address set by the operator; see [`Upstream::batch_address`] for the one to use.
    pub batch_url: Option<Url>,
    /// Form of the files that are sent there.
    pub batch_format: PhoneForm,
    /// Requests there that begin in a minute, 1 to 10,000.
    pub batch_per_minute: usize,
    /// How long they go on from the first failure.
    pub batch_deadline: Duration,
    /// Key of the speech service.
    pub api_key: Option<SecretString>,
    /// Milliseconds of audio in one message, 20 to 500.
    pub chunk_ms: u64,
    /// How fast audio goes that waited, in multiples of real time, 1 to 16.
    pub replay_speed: u32,
    /// The service ends a session after so long.
    pub session_limit: Duration,
    /// How long the last final is waited for.
    pub close_deadline: Duration,
    /// Speech sockets at once, 1 to 100,000.
    pub max_sessions: usize,
    /// What a call gets that finds them taken.
    pub when_full: WhenFull,
    /// How long a call waits for one after its end.
    pub slot_wait: Duration,
    /// Connects to the speech service a second, 1 to 10,000.
    pub connects_per_second: u32,
    /// How long after the end of a call a lost connection is tried again.
    pub catch_up: Duration,
    /// Which wire the service speaks.
    pub protocol: Protocol,
    /// What is asked of the service, by the bridge's names (protocols/pulse.md sections 4 and 9), in the table's order; what is not here is left to
    /// the service. Keywords are one comma list.
    pub parameters: Vec<(&'static str, String)>,
    /// `[upstream.extra]`: newer parameters, by name.
    pub extra: Vec<(String, String)>,
}

/// What a new call gets when the speech sockets are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Its audio is kept, and caught up with.
    Wait,
    /// The caller's track alone is streamed, the other left for after the call.
    OneTrack,
    /// All is left for after the call.
    BatchAfter,
    /// The stream is closed with 1013.
    Refuse,
}

impl WhenFull {
    /// What the word of the settings means; `None` for any other.
    fn named(word: &str) -> Option<Self> {
        match word {
            "wait" => Some(Self::Wait),
            "one_track" => Some(Self::OneTrack),
            "batch_after" => Some(Self::BatchAfter),
            "refuse" => Some(Self::Refuse),
            _ => None,
        }
    }
}

/// `[spool]`.
#[derive(Clone)]
pub struct Spool {
    /// Audio without a final that is kept of each track.
    pub per_track: Duration,
}

/// `[webhook]`.
#[derive(Clone)]
pub struct Webhook {
    /// Where events go, in the order of the file, the one from `webhook.url` last; names are unique.
    pub endpoints: Vec<EndpointConfig>,
}

/// One receiver of events.
#[derive(Clone)]
pub struct EndpointConfig {
    /// Unique name.
    pub name: EndpointName,
    /// http or https.
    pub url: Url,
    /// At least one, each `whsec_` and base64 of 24 to 64 bytes.
    pub secrets: Vec<SecretString>,
    /// Event types wanted; empty: the default set.
    pub events: Vec<String>,
    /// A call's events in `seq` order.
    pub ordered: bool,
}

/// `[retention]`: how long what is kept by kind, each at least an hour.
#[derive(Clone, Copy)]
pub struct Retention {
    /// Ended calls, from their end.
    pub calls: Duration,
    /// The record of attempts, from each attempt.
    pub attempts: Duration,
    /// Parked deliveries, from their event.
    pub parked: Duration,
}

/// `[disk]`, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Taken ahead; 0: nothing is.
    pub reserve: u64,
    /// With less left no new call is taken; 0: calls are taken whatever is left.
    pub min_free: u64,
}

/// `[drain]`.
#[derive(Clone)]
pub struct Drain {
    /// How long SIGTERM waits for live calls.
    pub deadline: Duration,
}

/// `[log]`.
#[derive(Clone)]
pub struct Log {
    /// `None`: pretty on a terminal, else JSON.
    pub format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").finish_non_exhaustive()
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The table.
    Default,
    /// The settings file.
    File {
        /// As it was named.
        name: Arc<str>,
        /// From 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// The file that a `…_FILE` variable names.
    NamedFile {
        /// The variable.
        variable: String,
        /// What it says.
        path: String,
    },
    /// The command line.
    Argument(&'static str),
}

impl Origin {
    /// The same file at another line.
    fn at_line(&self, line: usize) -> Self {
        match self {
            Self::File { name, .. } => Self::File { name: Arc::clone(name), line },
            other => other.clone(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::NamedFile { variable, .. } => write!(f, "file named by {variable}"),
            Self::Argument(name) => f.write_str(name),
        }
    }
}

/// What is wrong with the settings: one line that says where, what, and what to do. Exit code 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ConfigError {
    what: String,
}

impl ConfigError {
    fn new(origin: &Origin, what: impl Into<String>) -> Self {
        let what = what.into();
        match origin {
            Origin::Default => Self { what },
            Origin::File { name, line } => Self { what: format!("{name}:{line}: {what}") },
            Origin::Environment(name) | Origin::NamedFile { variable: name, .. } => Self { what: format!("{name}: {what}") },
            Origin::Argument(name) => Self { what: format!("{name}: {what}") },
        }
    }
}

/// One line of the list of settings in effect.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Effective {
    /// The setting.
    pub key: String,
    /// Its value, secrets masked; `-` for none.
    pub value: String,
    /// `default`, `FILE:LINE`, `environment NAME`, `file named by NAME` or an argument.
    pub origin: String,
}

impl Config {
    /// Reads and checks the settings.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        let config = build::build(load::load(sources)?)?;
        config.check()?;
        Ok(config)
    }

    /// An error about one setting, from where it was set.
    #[must_use]
    pub fn error(&self, path: &str, what: impl fmt::Display) -> ConfigError {
        ConfigError::new(&self.settings.origin(path), what.to_string())
    }

    /// Where a setting's value came from.
    #[must_use]
    pub fn origin(&self, path: &str) -> Origin {
        self.settings.origin(path)
    }

    /// Takes the address of the command line in place of the setting's.
    pub fn set_listen(&mut self, listen: SocketAddr) {
        self.listen = listen;
        self.settings.set("listen", value::Value::Listen(listen), Origin::Argument("--listen"));
    }

    /// The settings file that was read, as it was named.
    #[must_use]
    pub fn settings_file(&self) -> Option<&str> {
        self.settings.file()
    }

    /// Where each value comes from that is not a default, in the table's order.
    pub fn origins(&self) -> impl Iterator<Item = (&'static table::Key, Origin)> {
        let origins = table::KEYS.iter().map(|key| (key, self.settings.origin(key.path)));
        origins.filter(|(_, origin)| *origin != Origin::Default)
    }

    /// Every setting in effect, in the table's order, each endpoint of the file on a line of its own: safe to show to anyone.
    #[must_use]
    pub fn effective(&self) -> Vec<Effective> {
        let line = |key: &'static table::Key| Effective {
            key: key.path.to_owned(),
            value: self.settings.get(key.path).map_or_else(|| "-".to_owned(), |value| value::show(key, value)),
            origin: self.settings.origin(key.path).to_string(),
        };
        table::KEYS.iter().flat_map(|key| [line(key)].into_iter().chain(self.endpoints_of(key))).collect()
    }

    /// The endpoints of the file, which stand before the one that `webhook.url` makes.
    fn endpoints_of(&self, key: &'static table::Key) -> Vec<Effective> {
        let Some(value::Value::Endpoints(items)) = self.settings.get(key.path) else { return Vec::new() };
        let line = |(item, endpoint): (&(usize, _), &EndpointConfig)| Effective {
            key: format!("{}.{}", key.path, endpoint.name),
            value: format!("{}, secret {}", show_url(&endpoint.url), masked(&endpoint.secrets)),
            origin: self.settings.origin(key.path).at_line(item.0).to_string(),
        };
        items.iter().zip(&self.webhook.endpoints).map(line).collect()
    }
}

#[cfg(test)]
mod tests;
