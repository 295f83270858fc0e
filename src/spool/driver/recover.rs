//! Looking through a session's files after a restart.
//!
//! Promises: what is whole is told in its order, run by run; a torn tail is cut off, so that what is appended later is found behind it;
//! nobody's audio waits for it but that of the same session.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    sync::Arc,
};

use tokio::sync::oneshot;

use super::{Control, Spool, SpoolFile, blocking, disk::Disk};
use crate::{
    media::SessionId,
    segment::TrackKey,
    spool::{FileName, Frame, Run, scan, seal::DataKey},
};

/// How many sessions are looked through at once, beside the writer: an hour of one takes a core for a while, and live calls need the others.
pub(super) const AT_ONCE: usize = 1;

/// What was found of a track's audio; [`Spool::resume`](super::Spool::resume) reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Which track.
    pub key: TrackKey,
    /// What can be read, by offset: each run without a jump.
    pub readable: Vec<Run>,
    /// Bytes of torn frames that were cut.
    pub torn_bytes: u64,
    /// Whole frames that do not open under the session's key, by offset.
    pub unreadable: Vec<Run>,
    /// Where it lies, by offset.
    pub files: Vec<SpoolFile>,
}

impl Recovered {
    fn empty(key: TrackKey) -> Self {
        Self { key, readable: Vec::new(), torn_bytes: 0, unreadable: Vec::new(), files: Vec::new() }
    }

    fn add(&mut self, frame: &Frame) {
        let length = frame.audio.len() as u64;
        match self.readable.last_mut() {
            Some(run) if (run.end(), run.end_ms()) == (frame.offset, frame.at_ms) => run.length += length,
            _ => self.readable.push(Run { offset: frame.offset, at_ms: frame.at_ms, length }),
        }
    }
}

impl Spool {
    /// Looks what there is of a session's audio, cutting torn tails: all that was appended before, whether in this run or an earlier one.
    /// A session that this run has no track of gets none meanwhile.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn recover(&self, session: &SessionId, data_key: &DataKey) -> io::Result<Vec<Recovered>> {
        let (session, data_key) = (session.clone(), data_key.clone());
        if self.is_open(&session) {
            let (done, wait) = oneshot::channel();
            let recovered = self.control(Control::Recover(session, data_key, done), wait).await;
            return recovered.unwrap_or_else(|| Err(io::Error::other("the spool's writer is gone")));
        }
        let place = Arc::clone(&self.0.looking).acquire_owned().await.map_err(io::Error::other)?;
        let (disk, folder) = (self.0.disk.clone(), self.0.folder.clone());
        blocking(move || {
            // Whoever asked may go away; this goes on to its end, and has its place until then.
            let _place = place;
            look(&disk, &folder, &session, &data_key)
        })
        .await
    }

    /// Whether anybody may still write to the session's files.
    fn is_open(&self, session: &SessionId) -> bool {
        self.0.tracks().iter().any(|(of, track)| of == session && track.strong_count() > 0)
    }
}

/// See [`Spool::recover`].
pub(super) fn look(disk: &Disk, folder: &Path, session: &SessionId, data_key: &DataKey) -> io::Result<Vec<Recovered>> {
    let mut tracks = BTreeMap::<TrackKey, Recovered>::new();
    for name in names(folder)?.into_iter().filter(|name| name.session == *session) {
        let path = folder.join(name.render().expect("a name that was parsed can be written"));
        let bytes = fs::read(&path)?;
        let found = scan(&bytes, data_key, session, name.track);
        let torn = bytes.len() - found.whole_bytes;
        if torn > 0 {
            let file = fs::OpenOptions::new().write(true).open(&path)?;
            disk.cut(&path, &file, found.whole_bytes as u64)?;
        }
        let track = tracks.entry(name.track).or_insert_with(|| Recovered::empty(name.track));
        found.frames.iter().for_each(|frame| track.add(frame));
        track.torn_bytes += torn as u64;
        track.unreadable.extend(found.unreadable);
        track.files.push(SpoolFile { first: name.first, path });
    }
    Ok(tracks.into_values().collect())
}

/// Our files, by session, track and offset; others are left alone.
pub(super) fn names(folder: &Path) -> io::Result<BTreeSet<FileName>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().to_str().and_then(FileName::parse));
    }
    Ok(names)
}
