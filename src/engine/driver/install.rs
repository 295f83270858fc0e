//! How the engine's files get onto this machine.
//!
//! Promises: what [`find`] gives is complete; a part comes into its place whole or not at all, whatever ends the process meanwhile.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    config::table,
    engine::files::{FOLDER, Files, MANIFEST, Manifest, Model, Part, SHARED},
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
    find_in(data_dir, model).or_else(|missing| find_in(Path::new(SHARED), model).map_err(|_| missing))
}

fn find_in(data_dir: &Path, model: Model) -> Result<Files, Missing> {
    let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_path_buf());
    let engine = data_dir.join(FOLDER);
    for part in model.parts() {
        if let Err(what) = is_there(&engine, part) {
            return Err(Missing { model, folder: engine, what });
        }
    }
    Ok(Files::in_folder(&data_dir, model))
}

/// What a part's folder holds, if it is as its manifest says.
///
/// # Errors
/// What is missing, in a few words.
pub fn is_there(engine: &Path, part: Part) -> Result<Manifest, String> {
    let folder = engine.join(part.as_str());
    let manifest = fs::read_to_string(folder.join(MANIFEST)).ok().and_then(|text| Manifest::of_json(&text));
    let manifest = manifest.ok_or_else(|| format!("no {}", part.as_str()))?;
    let size = |name: &str| fs::metadata(folder.join(name)).ok().filter(fs::Metadata::is_file).map(|file| file.len());
    match manifest.broken(size) {
        Some(name) => Err(format!("{}/{name} is not as it was installed", part.as_str())),
        None => Ok(manifest),
    }
}

/// Finds the engine.
///
/// # Errors
/// What is missing.
pub fn ensure(data_dir: &Path, model: Model, _say: &Say) -> Result<Files, Missing> {
    find(data_dir, model)
}
