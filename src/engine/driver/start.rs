//! Brings the engine up: its files found or fetched, a model loaded, its threads started.

use std::{path::Path, thread};

use anyhow::{Context, Result};

use super::{Pool, install, moonshine};
use crate::engine::files::Model;

/// Most threads that recognise; each holds a model of its own.
const MOST_THREADS: usize = 8;

/// Starts it, from the data folder's own engine; fetches what is missing of it, and `say`s so first. Takes a second, or as long as 56 MB take.
///
/// # Errors
/// What is missing or broken, in one line that says what to do.
pub async fn start(data_dir: &Path, model: Model, say: install::Say) -> Result<Pool> {
    let data_dir = data_dir.to_path_buf();
    let starting = tokio::task::spawn_blocking(move || {
        let files = install::ensure(&data_dir, model, &say)?;
        moonshine::load(&files, model, threads())
    });
    starting.await.context("the start of the speech engine broke off")?
}

/// One thread for each processor.
fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS)
}
