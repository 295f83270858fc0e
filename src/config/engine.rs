//! The built-in speech engine's settings, and when it is the one that recognises.
//!
//! Promises: pure; with the engine nothing of a call is sent to an address of the settings, batch included.

use secrecy::SecretString;

use super::{Config, ConfigError, Upstream};
use crate::{config::table::DAY, engine::files::Model, upstream::Protocol};

/// `[engine]`: the built-in speech engine.
#[derive(Clone)]
pub struct Engine {
    /// Which model recognises.
    pub model: Model,
    /// Quiet that ends an utterance, 100 to 10,000 ms, where `upstream.eou_timeout_ms` says nothing.
    pub eou_timeout_ms: u64,
}

impl Config {
    /// What the built-in engine, where it is used, cannot do.
    ///
    /// # Errors
    /// Another language than English; the older ASR's wire.
    pub fn check_engine(&self) -> Result<(), ConfigError> {
        if !self.upstream.is_built_in() {
            return Ok(());
        }
        if self.upstream.protocol == Protocol::Asr {
            let what = "upstream.protocol is \"asr\", and the built-in engine is used without a key; set SMALLEST_API_KEY or upstream.url (PULSE_BRIDGE_UPSTREAM_URL)";
            return Err(self.error("upstream.protocol", what));
        }
        let language = self.upstream.parameters.iter().find(|(name, _)| *name == "language").map_or("en", |(_, value)| value);
        if !language.split(['-', '_']).next().unwrap_or_default().eq_ignore_ascii_case("en") {
            let what = format!(
                "upstream.language is {language:?}, and the built-in engine hears English alone; set SMALLEST_API_KEY, or upstream.language = \"en\""
            );
            return Err(self.error("upstream.language", what));
        }
        Ok(())
    }
}

impl Upstream {
    /// Whether the built-in engine recognises: it was asked for, or there is neither a key nor an address.
    #[must_use]
    pub const fn is_built_in(&self) -> bool {
        self.is_local || self.url.is_none() && self.api_key.is_none()
    }

    /// The same settings with the built-in engine as the service, which listens at this address and takes this key.
    #[must_use]
    pub fn with_engine(&self, url: url::Url, key: SecretString, engine: &Engine) -> Self {
        // Its sessions have no end of their own.
        let mut set =
            Self { url: Some(url), is_local: false, batch_url: None, api_key: Some(key), session_limit: DAY, ..self.clone() };
        if !set.parameters.iter().any(|(name, _)| *name == "eou_timeout_ms") {
            set.parameters.push(("eou_timeout_ms", engine.eou_timeout_ms.to_string()));
        }
        // It tells that it works on what it has not said yet, so that its last words are waited for.
        set.extra.push(("progress".to_owned(), "true".to_owned()));
        set
    }
}
