//! Captures on disk: a folder for each call that is recorded.
//!
//! Promises: nobody who tells a capture something waits for it; a call whose capture falls behind, or whose disk fails, loses the capture and nothing else; an unfinished
//! folder ends in `.part` and does not outlive the next start. Folders have mode 0700, files 0600.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{sync::mpsc, task::spawn_blocking};
use tokio_util::task::TaskTracker;

use super::{Capture, File, Output};
use crate::{
    event::{CallStarted, Data, Event},
    media::{Chunk, EndReason, Offset, SessionId, Track},
    metrics::Metrics,
    segment::TrackKey,
};

/// What may wait for a capture's writer: half a minute of both tracks, and what is told of it.
pub const QUEUE: usize = 1_024;
/// What the writer takes at a time.
const BATCH: usize = 256;
/// How the folder of a capture ends that is not whole.
const PART: &str = ".part";

/// What becomes of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Kept,
    QueueFull,
    LateRedaction,
    Unended,
    Disk,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::QueueFull => "queue_full",
            Self::LateRedaction => "late_redaction",
            Self::Unended => "unended",
            Self::Disk => "disk",
        }
    }
}

/// Where calls are recorded.
#[derive(Clone)]
pub struct Recorder {
    folder: PathBuf,
    tasks: TaskTracker,
    metrics: Arc<Metrics>,
}

/// The way to one call's capture.
#[derive(Clone)]
pub struct Tap {
    inputs: mpsc::Sender<Input>,
    is_full: Arc<AtomicBool>,
}

enum Input {
    Audio(TrackKey, Chunk),
    Key(Track, u64),
    Event(Box<(Data, bytes::Bytes)>),
    Covered(TrackKey, Offset),
    End { stopped: bool },
}

impl Recorder {
    /// Records into `folder`, which is made where it is missing; what an earlier run left unfinished is removed.
    ///
    /// # Errors
    /// If the folder cannot be made or read.
    pub fn open(folder: &Path, tasks: TaskTracker, metrics: Arc<Metrics>) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_ours = name.to_str().is_some_and(|name| name.starts_with("ses_") && name.ends_with(PART));
            if is_ours && entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(Self { folder: folder.to_owned(), tasks, metrics })
    }

    /// Begins to record a session. Its folder is made once its `call.started` is told; where that never is, there is none.
    #[must_use]
    pub fn begin(&self, session: &SessionId) -> Tap {
        let (inputs, inputs_in) = mpsc::channel(QUEUE);
        let is_full = Arc::new(AtomicBool::new(false));
        let writer = Writer { session: session.clone(), inputs: inputs_in, is_full: Arc::clone(&is_full), capture: None };
        let (folder, metrics) = (self.folder.clone(), Arc::clone(&self.metrics));
        self.tasks.spawn(async move { writer.run(&folder, &metrics).await });
        Tap { inputs, is_full }
    }

    /// Removes the capture of a session that is over, if there is one.
    pub async fn forget(&self, session: &SessionId) {
        let Place { whole, .. } = Place::new(&self.folder, session);
        if let Ok(Err(error)) = spawn_blocking(move || remove(&whole)).await {
            tracing::error!(%session, %error, "failed to remove the capture of an erased call; remove its folder");
        }
    }
}

impl Tap {
    /// Audio of a track, as it goes to the speech service.
    pub fn audio(&self, key: TrackKey, chunk: &Chunk) {
        self.tell(Input::Audio(key, chunk.clone()));
    }

    /// A key was pressed; which does not matter.
    pub fn key(&self, track: Track, at_ms: u64) {
        self.tell(Input::Key(track, at_ms));
    }

    /// An event was stored.
    pub fn event(&self, data: &Data, event: &Event) {
        self.tell(Input::Event(Box::new((data.clone(), event.body.clone()))));
        if let Data::CallCompleted(completed) = data {
            self.tell(Input::End { stopped: completed.end_reason == EndReason::Stop });
        }
    }

    /// Stored finals cover the audio up to here.
    pub fn covered(&self, key: TrackKey, mark: Offset) {
        self.tell(Input::Covered(key, mark));
    }

    fn tell(&self, input: Input) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.inputs.try_send(input) {
            self.is_full.store(true, Ordering::Release);
        }
    }
}

/// One call's writer.
struct Writer {
    session: SessionId,
    inputs: mpsc::Receiver<Input>,
    is_full: Arc<AtomicBool>,
    capture: Option<Capture>,
}

impl Writer {
    async fn run(mut self, folder: &Path, metrics: &Metrics) {
        let place = Place::new(folder, &self.session);
        let outcome = match self.write(place.clone()).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(session = %self.session, %error, "failed to write a call's capture");
                Outcome::Disk
            }
        };
        if self.capture.is_none() && outcome == Outcome::Unended {
            // The call was not let in.
            return;
        }
        let part = place.part.clone();
        let settled = spawn_blocking(move || if outcome == Outcome::Kept { place.keep() } else { remove(&place.part) });
        match settled.await {
            Ok(Ok(())) if outcome == Outcome::Kept => tracing::info!(session = %self.session, "a call was captured"),
            Ok(Ok(())) => {
                tracing::warn!(session = %self.session, why = outcome.as_str(), "a call's capture was given up and removed; the call goes on");
            }
            _ => {
                tracing::error!(session = %self.session, folder = %part.display(), "failed to settle a call's capture; remove its folder");
            }
        }
        metrics.captured(outcome.as_str());
    }

    async fn write(&mut self, mut place: Place) -> io::Result<Outcome> {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let taken = self.inputs.recv_many(&mut batch, BATCH).await;
            if self.is_full.load(Ordering::Acquire) {
                return Ok(Outcome::QueueFull);
            }
            if taken == 0 {
                return Ok(Outcome::Unended);
            }
            batch.drain(..).for_each(|input| self.take(input));
            let mut pieces: BTreeMap<File, Vec<u8>> = BTreeMap::new();
            let mut outcome = None;
            while let Some(output) = self.capture.as_mut().and_then(Capture::poll_output) {
                match output {
                    Output::Write(file, bytes) => pieces.entry(file).or_default().extend_from_slice(&bytes),
                    Output::Abandoned => return Ok(Outcome::LateRedaction),
                    Output::Done => outcome = Some(Outcome::Kept),
                }
            }
            if !pieces.is_empty() {
                place = spawn_blocking(move || place.append(&pieces).map(|()| place)).await.map_err(io::Error::other)??;
            }
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
        }
    }

    fn take(&mut self, input: Input) {
        match (&mut self.capture, input) {
            (None, Input::Event(told)) => self.begin(&told.0, &told.1),
            // Nothing comes before the call has begun.
            (None, _) => {}
            (Some(capture), Input::Audio(key, chunk)) => capture.handle_audio(key, chunk),
            (Some(capture), Input::Key(track, at_ms)) => capture.handle_key(track, at_ms),
            (Some(capture), Input::Event(told)) => capture.handle_event(&told.0, &told.1),
            (Some(capture), Input::Covered(key, mark)) => capture.handle_covered(key, mark),
            (Some(capture), Input::End { stopped }) => capture.handle_end(stopped),
        }
    }

    fn begin(&mut self, data: &Data, body: &[u8]) {
        if let Data::CallStarted(started) = data {
            let started: &CallStarted = started;
            self.capture.insert(Capture::new(&self.session, started)).handle_event(data, body);
        }
    }
}

/// A capture's folder: under one name while it is written, under another once it is whole.
#[derive(Clone)]
struct Place {
    part: PathBuf,
    whole: PathBuf,
    /// Its folder was made; should it be gone, somebody has taken it away.
    made: bool,
}

impl Place {
    fn new(folder: &Path, session: &SessionId) -> Self {
        Self { part: folder.join(format!("{session}{PART}")), whole: folder.join(session.as_str()), made: false }
    }

    fn append(&mut self, pieces: &BTreeMap<File, Vec<u8>>) -> io::Result<()> {
        if !std::mem::replace(&mut self.made, true) {
            fs::DirBuilder::new().mode(0o700).create(&self.part)?;
        }
        for (file, bytes) in pieces {
            let mut options = fs::OpenOptions::new();
            let mut file = options.append(true).create(true).mode(0o600).open(self.part.join(file.name()))?;
            file.write_all(bytes)?;
        }
        Ok(())
    }

    fn keep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.part)? {
            fs::File::open(entry?.path())?.sync_all()?;
        }
        fs::rename(&self.part, &self.whole)
    }
}

/// A folder that is not there is as good as removed.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
