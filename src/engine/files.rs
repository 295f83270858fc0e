//! The engine's files: which there are, where they lie, and what is written beside them.
//!
//! Promises: pure. Each part of the engine is a folder of its own that is moved into place whole, with its [`Manifest`] in it; a part whose
//! manifest is missing, of other wheels, or whose files have other sizes counts as not there.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The folder of the engine in a data folder.
pub const FOLDER: &str = "engine";
/// Where an image or a package may have put the engine, for everybody and read-only; looked at behind the data folder.
pub const SHARED: &str = "/usr/share/pulse-bridge";
/// Name of a part's [`Manifest`].
pub const MANIFEST: &str = "installed.json";
/// ONNX Runtime, in the part of that name.
pub const RUNTIME: &str = "libonnxruntime.so";

/// A model of the built-in engine, by the words of the setting `engine.model`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Model {
    /// Moonshine tiny-en: about 5 % of the words of clear prompts wrong, 0.04 of a core for a track.
    #[default]
    Fast,
    /// Moonshine base-en: about 3 %, 0.1 of a core for a track.
    Accurate,
}

impl Model {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Fast, Self::Accurate];

    /// The word of the settings; also the name of its folder.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Accurate => "accurate",
        }
    }

    /// What a word of the settings means.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.as_str() == word)
    }

    /// Its part of the engine.
    #[must_use]
    pub const fn part(self) -> Part {
        match self {
            Self::Fast => Part::Fast,
            Self::Accurate => Part::Accurate,
        }
    }

    /// The parts that it needs, in the order in which they are put in place.
    #[must_use]
    pub const fn parts(self) -> [Part; 2] {
        [Part::Runtime, self.part()]
    }
}

/// What is put in place as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// ONNX Runtime, for both models.
    Runtime,
    /// The weights of [`Model::Fast`].
    Fast,
    /// The weights of [`Model::Accurate`].
    Accurate,
}

impl Part {
    /// All.
    pub const ALL: [Self; 3] = [Self::Runtime, Self::Fast, Self::Accurate];

    /// Name of its folder.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Fast => "fast",
            Self::Accurate => "accurate",
        }
    }
}

/// Where the recogniser finds what it needs; all paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// ONNX Runtime's library.
    pub runtime: PathBuf,
    /// The model that makes features of samples.
    pub encoder: PathBuf,
    /// The model that makes tokens of features.
    pub decoder: PathBuf,
    /// What each token is written as, in Moonshine's own binary form.
    pub tokenizer: PathBuf,
}

impl Files {
    /// Where they are in a data folder, there or not; see [`super::driver::install::find`] for those that are.
    #[must_use]
    pub fn in_folder(data_dir: &Path, model: Model) -> Self {
        let engine = data_dir.join(FOLDER);
        let (weights, [encoder, decoder]) = match model {
            Model::Fast => (engine.join("fast"), ["encoder_model.ort", "decoder_model_merged.ort"]),
            Model::Accurate => (engine.join("accurate"), ["encoder_model.onnx", "decoder_model_merged.onnx"]),
        };
        Self {
            runtime: engine.join(Part::Runtime.as_str()).join(RUNTIME),
            encoder: weights.join(encoder),
            decoder: weights.join(decoder),
            tokenizer: weights.join("tokenizer.bin"),
        }
    }
}

/// What lies in a part, written last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The package it came in.
    pub package: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the wheel, in hexadecimal digits.
    pub wheel_sha256: String,
    /// All files but this one.
    pub files: Vec<Entry>,
}

/// A file of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in the part's folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// Reads one.
    #[must_use]
    pub fn of_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As it is written.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("names and numbers are JSON");
        text.push('\n');
        text
    }

    /// The name of the first file that is missing or has another size than the folder's own.
    #[must_use]
    pub fn broken(&self, size: impl Fn(&str) -> Option<u64>) -> Option<&str> {
        self.files.iter().find(|file| size(&file.name) != Some(file.bytes)).map(|file| file.name.as_str())
    }
}
