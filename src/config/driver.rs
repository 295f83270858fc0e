//! The settings' way to the world: the file, the environment and the files that variables name.

use std::{fs, io, path::Path};

use super::{Config, ConfigError, Origin, Sources};

/// The file read where none is named.
const DEFAULT_FILE: &str = "pulse-bridge.toml";

/// Reads the settings from `file`, else from `./pulse-bridge.toml` if it is there, and from the environment.
///
/// # Errors
/// A named file that cannot be read, and everything of [`Config::load`].
pub fn read(file: Option<&Path>) -> Result<Config, ConfigError> {
    let name = file.map_or_else(|| DEFAULT_FILE.to_owned(), |file| file.display().to_string());
    let text = match fs::read_to_string(file.unwrap_or(Path::new(DEFAULT_FILE))) {
        Ok(text) => Some(text),
        Err(why) if file.is_none() && why.kind() == io::ErrorKind::NotFound => None,
        Err(why) => return Err(ConfigError::new(&Origin::Default, format!("cannot read {name}: {why}"))),
    };
    // A variable that is not UTF-8 is shown to the reader as it can be, so that its check fails rather than passes it over.
    let env = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let env_names: Vec<String> = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    Config::load(&Sources {
        file: text.as_deref().map(|text| (name.as_str(), text)),
        env: &env,
        env_names: &env_names,
        read_file: &|path| fs::read_to_string(path),
    })
}
