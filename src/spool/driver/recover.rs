//! Looking through a session's files after a restart.
//!
//! Promises: what is whole is told in its order, run by run; a torn tail is cut off, so that what is appended later is found behind it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use super::{SpoolFile, disk::Disk};
use crate::{
    media::SessionId,
    segment::TrackKey,
    spool::{FileName, Frame, Run, scan, seal::DataKey},
};

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

/// See [`Spool::recover`](super::Spool::recover).
pub(super) fn recover(disk: &Disk, folder: &Path, session: &SessionId, data_key: &DataKey) -> io::Result<Vec<Recovered>> {
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
