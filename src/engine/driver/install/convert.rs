//! Making the accurate weights ready, once.
//!
//! As they come they are in ONNX Runtime's own format, which it cannot optimise any more: a second of audio takes 0.27 s of a processor. In ONNX it
//! takes 0.09 s.
//!
//! Promises: the weights themselves stay as they are; what is written has been read back by ONNX Runtime.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use ort::{
    environment::Environment,
    session::{Session, builder::GraphOptimizationLevel},
};

use super::{
    super::{moonshine, runtime},
    place,
};
use crate::engine::graph;

/// Writes the model of a `.ort` file as `.onnx` beside it, and removes the first.
pub(super) fn convert(library: &Path, model: &Path) -> Result<PathBuf> {
    let environment = runtime::environment(library)?;
    let written = model.with_extension("onnx");
    save(&environment, model, &written)?;
    let bytes = fs::read(&written)?;
    let named = graph::with_names(&bytes).context("ONNX Runtime wrote something that is no ONNX model")?;
    place::write(&written, &named).with_context(|| format!("failed to write {}", written.display()))?;
    drop((bytes, named));
    moonshine::session(&environment, &written)?;
    fs::remove_file(model)?;
    Ok(written)
}

fn save(environment: &Environment, model: &Path, to: &Path) -> Result<()> {
    let build = || -> ort::Result<Session> {
        Session::builder(environment)?
            .with_intra_threads(1)?
            .with_optimization_level(GraphOptimizationLevel::Disable)?
            .with_config_entry("session.save_model_format", "ONNX")?
            .with_optimized_model_path(to)?
            .commit_from_file(model)
    };
    build().map(drop).map_err(|why| anyhow!("{why}")).with_context(|| format!("failed to load {}", model.display()))
}
