//! Brings the engine up: its files found or fetched, a model loaded, its threads started.

use std::{path::Path, thread, time::Duration};

use anyhow::{Context, Result};

use super::{Pool, install, moonshine};
use crate::engine::files::Model;

/// How long a thread may take to notice that it is to end: a step of its work, and many times that on a busy machine.
const CLOSING: Duration = Duration::from_secs(5);
/// Most threads that recognise with each model; each thread takes memory of its own: about 60 MB with the fast one, 500 MB with the accurate one.
const MOST_THREADS: [(Model, usize); 2] = [(Model::Fast, 8), (Model::Accurate, 4)];

/// Starts it, from the data folder's own engine; fetches what is missing of it, and `say`s so first. Takes a second, or as long as 56 MB take.
///
/// # Errors
/// What is missing or broken, in one line that says what to do.
pub async fn start(data_dir: &Path, model: Model, say: install::Say) -> Result<Pool> {
    let data_dir = data_dir.to_path_buf();
    let starting = tokio::task::spawn_blocking(move || {
        let files = install::ensure(&data_dir, model, &say)?;
        moonshine::load(&files, model, threads(model))
    });
    starting.await.context("the start of the speech engine broke off")?
}

/// Lets the engine's threads end before the process does; what is not recognised by then is not.
pub async fn close(pool: Pool) {
    let closing = tokio::task::spawn_blocking(move || pool.close(CLOSING));
    if !closing.await.unwrap_or(false) {
        tracing::warn!("the speech engine did not end in time");
    }
}

/// One thread for each processor.
fn threads(model: Model) -> usize {
    let most = MOST_THREADS.iter().find(|(of, _)| *of == model).map_or(1, |(_, most)| *most);
    thread::available_parallelism().map_or(1, usize::from).min(most)
}
