//! How the engine's files get onto this machine.
//!
//! Promises: what [`find`] gives is complete; a part comes into its place whole or not at all, whatever ends the process meanwhile.

mod convert;
mod failed;
mod installation;
mod pip;
mod place;
mod terms;
mod unpack;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use self::failed::Failed;
use self::terms::Terms;
use crate::{
    config::table,
    engine::files::{FOLDER, Files, MANIFEST, Manifest, Model, Part},
};

/// How an installation goes on, for whoever shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A line for people.
    Says(String),
    /// So much of a wheel has been fetched.
    Fetched {
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
}

/// Where progress goes; called from threads that may block.
pub type Say = Arc<dyn Fn(Progress) + Send + Sync>;

/// Why the engine cannot be used: one line for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{model} speech engine is not complete in {folder}: {what}; get it with: pulse-bridge engine install", model = .model.as_str(), folder = .folder.display())]
pub struct Missing {
    /// Which was looked for.
    pub model: Model,
    /// Where.
    pub folder: PathBuf,
    /// What is missing.
    pub what: String,
}

/// The data folder whose engine the demo uses, so that a bridge started in the same place finds it: the setting's default.
#[must_use]
pub fn engine_home(data_dir: Option<&Path>) -> PathBuf {
    let default = || table::find("data_dir").map_or("./data", |key| key.default).into();
    data_dir.map_or_else(default, Path::to_path_buf)
}

/// The engine's files, if all are there: in the data folder, else where an image has put them.
///
/// # Errors
/// What is missing from the data folder.
pub fn find(data_dir: &Path, model: Model) -> Result<Files, Missing> {
    find_by(&Terms::ours(), data_dir, model)
}

/// The same, and where something is missing it is fetched first; may take minutes, and blocks.
///
/// # Errors
/// One line that says what to do.
pub fn ensure(data_dir: &Path, model: Model, say: &Say) -> Result<Files, Failed> {
    let terms = Terms::ours();
    find_by(&terms, data_dir, model).or_else(|_| installation::install(&terms, data_dir, model, &[], false, say))
}

/// Puts all that a model needs into a data folder, out of these wheels, or else of fetched ones; what is there and as it was stays. Blocks.
///
/// # Errors
/// One line that says what to do.
pub fn install(data_dir: &Path, model: Model, wheels: &[PathBuf], say: &Say) -> Result<Files, Failed> {
    let terms = Terms::ours();
    match find_in(&terms, terms.shared, model) {
        // An image has it, and it is not this user's to mend.
        Ok(files) if find_in(&terms, data_dir, model).is_err() => Ok(files),
        _ => installation::install(&terms, data_dir, model, wheels, true, say),
    }
}

fn find_by(terms: &Terms<'_>, data_dir: &Path, model: Model) -> Result<Files, Missing> {
    find_in(terms, data_dir, model).or_else(|missing| find_in(terms, terms.shared, model).map_err(|_| missing))
}

fn find_in(terms: &Terms<'_>, data_dir: &Path, model: Model) -> Result<Files, Missing> {
    let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_path_buf());
    let engine = data_dir.join(FOLDER);
    for part in model.parts() {
        if let Err(what) = is_there_by(terms, &engine, part) {
            return Err(Missing { model, folder: engine, what });
        }
    }
    Ok(Files::in_folder(&data_dir, model))
}

/// What a part's folder holds, if it is as its manifest says and of the version that is wanted.
///
/// # Errors
/// What is missing, in a few words.
pub fn is_there(engine: &Path, part: Part) -> Result<Manifest, String> {
    is_there_by(&Terms::ours(), engine, part)
}

fn is_there_by(terms: &Terms<'_>, engine: &Path, part: Part) -> Result<Manifest, String> {
    let name = part.as_str();
    let folder = engine.join(name);
    let manifest = fs::read_to_string(folder.join(MANIFEST)).ok().and_then(|text| Manifest::of_json(&text));
    let manifest = manifest.ok_or_else(|| format!("no {name}"))?;
    if !terms.wheels.iter().any(|wheel| wheel.of(part).is_some() && wheel.sha256 == manifest.wheel_sha256) {
        return Err(format!("{name} is {} {} and not of this version", manifest.package, manifest.version));
    }
    let size = |name: &str| fs::metadata(folder.join(name)).ok().filter(fs::Metadata::is_file).map(|file| file.len());
    match manifest.broken(size) {
        Some(file) => Err(format!("{name}/{file} is not as it was installed")),
        None => Ok(manifest),
    }
}

/// The name of the first file of a part whose bytes are not those that were installed. Reads them all.
#[must_use]
pub fn damage(engine: &Path, part: Part, manifest: &Manifest) -> Option<String> {
    let folder = engine.join(part.as_str());
    let is_whole = |name: &str, sha256: &str| unpack::hash(&folder.join(name)).is_ok_and(|found| found == sha256);
    manifest.files.iter().find(|file| !is_whole(&file.name, &file.sha256)).map(|file| file.name.clone())
}

#[cfg(test)]
mod tests;
