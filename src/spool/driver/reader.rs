//! Reading a track's audio back while it is written, a few seconds at a time.
//!
//! Promises: reading on costs what is read, not what came before, but for one file behind a torn end; memory is bounded by
//! [`WINDOW_BYTES`] beside what is asked for; a frame that is half written is not there yet; what is damaged or does not open is left out,
//! and the offsets show the hole; a file that cannot be read is never passed over, unless it is gone.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt as _,
    sync::Arc,
};

use super::{Shared, SpoolFile, blocking};
use crate::{
    media::Offset,
    spool::{Frame, HEADER_BYTES, Piece, SEALED_MAX_BYTES, next_piece},
};

/// Read at a time: a damaged frame and a whole one behind it fit, however long they are.
const WINDOW_BYTES: usize = 2 * (HEADER_BYTES + SEALED_MAX_BYTES);

/// A way to read one track back. It keeps its place between reads.
pub struct Reader {
    shared: Arc<Shared>,
    place: Option<Place>,
}

/// Where in which file the next frame begins.
struct Place {
    file: File,
    /// The file's name in the track's list.
    first: Offset,
    /// Bytes of the file that were read.
    at: u64,
    /// Behind the last frame that was passed.
    next: Offset,
}

/// How reading a file ended.
enum End {
    /// There is as much as was asked for.
    Enough,
    /// Its frames are over.
    Over,
    /// Something stands there that is no frame, or not yet.
    Torn,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, place: None }
    }

    /// The audio behind `from`, in order: about `bytes` of it in whole frames, the first cut so that it begins at `from` if it holds it. Fewer
    /// where the spool ends; a hole shows in the offsets. Safe to drop half way.
    ///
    /// # Errors
    /// If a file cannot be read and nothing before it was: what lies behind it is not given in its place, as the next try may succeed.
    pub async fn read(&mut self, from: Offset, bytes: u64) -> io::Result<Vec<Frame>> {
        let (shared, place) = (Arc::clone(&self.shared), self.place.take());
        let (place, frames) = blocking(move || read(&shared, place, from, bytes)).await?;
        self.place = place;
        Ok(frames)
    }
}

fn read(shared: &Shared, mut place: Option<Place>, from: Offset, bytes: u64) -> io::Result<(Option<Place>, Vec<Frame>)> {
    let mut frames = Vec::new();
    let mut window = vec![0; WINDOW_BYTES];
    let mut file = shared.file_at(from);
    while let Some(current) = file {
        // Looked up before the file is read: one that has a successor is not written to any more.
        let next = shared.file_behind(current.first);
        let known = place.take().filter(|place| place.first == current.first && place.next <= from);
        let read = known.map_or_else(|| Place::open(&current), |known| Ok(Some(known))).and_then(|opened| {
            let Some(mut opened) = opened else { return Ok(None) };
            let end = opened.read(shared, from, bytes, &mut window, &mut frames)?;
            Ok(Some((opened, end)))
        });
        match read {
            Ok(Some((opened, End::Enough))) => return Ok((Some(opened), frames)),
            Ok(Some((opened, End::Over))) => place = Some(opened),
            // It is looked for again from the file's beginning: what is torn may have been cut off meanwhile.
            Ok(Some((_, End::Torn)) | None) => {}
            Err(why) if frames.is_empty() => return Err(why),
            Err(_) => return Ok((None, frames)),
        }
        file = next;
    }
    Ok((place, frames))
}

impl Shared {
    /// The file that holds `from`; where none does, the first one behind it.
    fn file_at(&self, from: Offset) -> Option<SpoolFile> {
        let files = self.files();
        let behind = files.partition_point(|file| file.first <= from);
        files.get(behind.saturating_sub(1)).cloned()
    }

    fn file_behind(&self, first: Offset) -> Option<SpoolFile> {
        let files = self.files();
        let behind = files.partition_point(|file| file.first <= first);
        files.get(behind).cloned()
    }
}

impl Place {
    /// `None` for a file that is gone: its audio was covered.
    fn open(file: &SpoolFile) -> io::Result<Option<Self>> {
        match File::open(&file.path) {
            Ok(opened) => Ok(Some(Self { file: opened, first: file.first, at: 0, next: file.first })),
            Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
            Err(why) => Err(why),
        }
    }

    fn read(&mut self, shared: &Shared, from: Offset, bytes: u64, window: &mut [u8], frames: &mut Vec<Frame>) -> io::Result<End> {
        let mut found = frames.iter().map(|frame| frame.audio.len() as u64).sum::<u64>();
        loop {
            let filled = fill(&self.file, self.at, window)?;
            let mut rest = &window[..filled];
            loop {
                let frame = match next_piece(rest) {
                    Piece::Whole(frame) => frame,
                    Piece::Damaged(length) => {
                        rest = &rest[length..];
                        continue;
                    }
                    Piece::Torn => break,
                };
                if frame.end() > from {
                    if found >= bytes {
                        self.at += (filled - rest.len()) as u64;
                        return Ok(End::Enough);
                    }
                    let opened = frame.open(&shared.data_key, &shared.session, shared.key).and_then(|frame| frame.behind(from));
                    found += opened.as_ref().map_or(0, |frame| frame.audio.len() as u64);
                    frames.extend(opened);
                }
                self.next = frame.end();
                rest = &rest[frame.length()..];
            }
            let passed = filled - rest.len();
            self.at += passed as u64;
            if passed == 0 {
                let is_over = filled == 0 && self.file.metadata()?.len() >= self.at;
                return Ok(if is_over { End::Over } else { End::Torn });
            }
        }
    }
}

/// Reads until the window is full or the file over.
fn fill(file: &File, at: u64, window: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < window.len() {
        match file.read_at(&mut window[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    Ok(filled)
}
