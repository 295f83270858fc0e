//! File and environment laid over the table's defaults: one value and one origin for every key.
//!
//! Promises: the environment wins over the file and the file over the default; an empty variable counts as unset (compose files
//! hand on what is not there as empty); two variables for one key are an error; what this version does not do is refused by name.

use std::{collections::BTreeMap, io, sync::Arc};

use super::{
    ConfigError, Origin, file,
    nearest::{near_misses, nearest},
    table::{KEYS, Key, PREFIX},
    value::{self, Raw, Value},
};

/// Names that Kubernetes sets by itself beside a service called `pulse-bridge`; no setting begins like them.
const SERVICE_LINKS: [&str; 2] = ["PULSE_BRIDGE_SERVICE_", "PULSE_BRIDGE_PORT"];

/// Where settings come from; nothing here reads the world by itself.
pub struct Sources<'a> {
    /// Name and text of the settings file.
    pub file: Option<(&'a str, &'a str)>,
    /// The value of an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The names of all environment variables.
    pub env_names: &'a [String],
    /// Reads the file that a `…_FILE` variable names.
    pub read_file: &'a dyn Fn(&str) -> io::Result<String>,
}

/// Every key's value with its origin; a key with neither value nor default is absent.
#[derive(Clone, Default)]
pub(super) struct Settings {
    values: BTreeMap<&'static str, (Value, Origin)>,
    file: Option<Arc<str>>,
}

impl Settings {
    /// The name of the settings file, if there is one.
    pub(super) fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    pub(super) fn get(&self, path: &'static str) -> Option<&Value> {
        debug_assert!(super::table::find(path).is_some(), "{path} is in the table");
        self.values.get(path).map(|(value, _)| value)
    }

    pub(super) fn origin(&self, path: &str) -> Origin {
        self.values.get(path).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    pub(super) fn set(&mut self, path: &'static str, value: Value, origin: Origin) {
        self.values.insert(path, (value, origin));
    }
}

/// Reads everything; see the module's promises.
///
/// # Errors
/// The first thing that is wrong, as one line.
pub(super) fn load(sources: &Sources<'_>) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
        let default =
            value::read(key, Raw::Words(key.default.to_owned())).expect("every default is valid; a test reads them all");
        settings.set(key.path, default, Origin::Default);
    }
    if let Some((name, text)) = sources.file {
        settings.file = Some(name.into());
        for entry in file::read(name, text)? {
            lay(&mut settings, entry.key, entry.raw, Origin::File { name: name.into(), line: entry.line })?;
        }
    }
    check_names(sources.env_names)?;
    for key in KEYS {
        if let Some((origin, text)) = variable(key, sources)? {
            lay(&mut settings, key, Raw::Words(text), origin)?;
        }
    }
    Ok(settings)
}

fn lay(settings: &mut Settings, key: &'static Key, raw: Raw, origin: Origin) -> Result<(), ConfigError> {
    let value = value::read(key, raw).map_err(|what| ConfigError::new(&origin, what))?;
    let is_default = !key.is_secret() && !key.default.is_empty() && value::show(key, &value) == key.default;
    if key.later && !is_default {
        return Err(ConfigError::new(&origin, not_built(key)));
    }
    settings.set(key.path, value, origin);
    Ok(())
}

fn not_built(key: &Key) -> String {
    let only = if key.default.is_empty() { String::new() } else { format!(" (only {:?})", key.default) };
    format!("{} is not built yet in this version{only}; take it out", key.path)
}

/// The one variable that sets `key`, directly or by the file it names.
fn variable(key: &Key, sources: &Sources<'_>) -> Result<Option<(Origin, String)>, ConfigError> {
    let mut found: Option<(String, Origin, String)> = None;
    for (name, is_file) in names(key) {
        let Some(text) = (sources.env)(&name).filter(|text| !text.trim().is_empty()) else { continue };
        let path = text.trim().to_owned();
        let origin = if is_file {
            Origin::NamedFile { variable: name.clone(), path: path.clone() }
        } else {
            Origin::Environment(name.clone())
        };
        if let Some((other, ..)) = &found {
            return Err(ConfigError::new(&origin, format!("{other} is set too; keep one of the two")));
        }
        let text = if is_file { read_file(sources, &origin, &path)? } else { text };
        found = Some((name, origin, text));
    }
    Ok(found.map(|(_, origin, text)| (origin, text)))
}

fn read_file(sources: &Sources<'_>, origin: &Origin, path: &str) -> Result<String, ConfigError> {
    let text = (sources.read_file)(path).map_err(|why| ConfigError::new(origin, format!("cannot read {path}: {why}")))?;
    if text.trim().is_empty() {
        return Err(ConfigError::new(origin, format!("{path} is empty")));
    }
    Ok(text)
}

/// Every variable of a key, and whether it names a file that holds the value.
fn names(key: &Key) -> Vec<(String, bool)> {
    let plain = key.variables().into_iter().map(|name| (name, false));
    let files = key.variables().into_iter().filter(|_| key.is_secret()).map(|name| (format!("{name}_FILE"), true));
    plain.chain(files).collect()
}

/// Variables that set nothing and look like one that would, each with that one. They may be another program's, so they are no error.
#[must_use]
pub fn misspelt(env_names: &[String]) -> Vec<(String, String)> {
    let alias =
        |key: &Key| names(key).into_iter().map(|(name, _)| name).filter(|name| !name.starts_with(PREFIX)).collect::<Vec<_>>();
    let known: Vec<String> = KEYS.iter().flat_map(alias).collect();
    let misses = near_misses(env_names, &known).into_iter();
    misses.map(|(name, meant)| (name.to_owned(), meant.to_owned())).collect()
}

/// A misspelt `PULSE_BRIDGE_…` must not pass for a default.
fn check_names(env_names: &[String]) -> Result<(), ConfigError> {
    let known: Vec<String> = KEYS.iter().flat_map(names).map(|(name, _)| name).collect();
    let mut unknown: Vec<&String> = env_names
        .iter()
        .filter(|name| name.starts_with(PREFIX) && !known.contains(name))
        .filter(|name| !SERVICE_LINKS.iter().any(|link| name.starts_with(link)))
        .collect();
    unknown.sort();
    let Some(name) = unknown.first() else { return Ok(()) };
    let origin = Origin::Environment((*name).clone());
    let near = nearest(name, known.iter().map(String::as_str)).unwrap_or_default();
    Err(ConfigError::new(&origin, format!("unknown setting; did you mean {near}?")))
}
