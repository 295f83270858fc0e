//! ONNX Runtime in this process.
//!
//! Promises: loaded once, at the first need, from the engine's own folder; what it has to say goes to the log at debug by its place alone, never to
//! stderr and never with what it worked on.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, anyhow};
use ort::{environment::Environment, logging::LogLevel};

use crate::engine::wheels::LEAST_GLIBC;

/// A process can have one, ever; a library that was loaded stays.
static LOADED: Mutex<Option<Environment>> = Mutex::new(None);

/// The process's one, with the library at `runtime` if none was loaded before: all that are installed are the same.
///
/// # Errors
/// Why it cannot be loaded, and what it needs.
pub(super) fn environment(runtime: &Path) -> Result<Environment> {
    // Nothing is left half done under this lock.
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let builder = ort::init_from(runtime).map_err(|why| {
        let (major, minor) = LEAST_GLIBC;
        anyhow!("{why}; it needs glibc {major}.{minor} or newer and libstdc++6 (apt-get install libstdc++6)")
    })?;
    let log = |_: LogLevel, category: &str, _: &str, place: &str, _: &str| {
        tracing::debug!(category, place, "ONNX Runtime has something to say");
    };
    let environment = builder.with_name("pulse-bridge").with_telemetry(false).with_logger(Arc::new(log)).build();
    let environment = environment.map_err(|why| anyhow!("{why}")).context("failed to start ONNX Runtime")?;
    environment.set_log_level(LogLevel::Warning);
    Ok(loaded.insert(environment).clone())
}
