//! How much audio a power cut takes from a spool that is written at a phone's pace.

use std::time::Duration;

use pulse_bridge::{
    clock,
    media::{Chunk, Offset, SessionId, Track, bytes_to_ms},
    segment::TrackKey,
    spool::{Spool, seal::DataKey},
};

use crate::{
    disk::{Disk, Image, Lie, Note},
    life::{self, Folder, SPOOL},
    load::FRAME_BYTES,
};

/// What the promise allows.
const LOST_MAX_MS: u64 = 200;
/// A phone's frame, in bytes and in time.
const FRAME: usize = 160;
const FRAME_TIME: Duration = Duration::from_millis(20);
const FRAMES: u64 = 100;
/// A machine that is busy with something else may hold the writer up; one of so many runs must be free of that.
const TRIES: u32 = 5;

#[tokio::test]
async fn a_power_cut_takes_at_most_200_ms_of_audio() {
    let mut losses = Vec::new();
    for _ in 0..TRIES {
        losses.push(bytes_to_ms(worst_loss().await));
        if losses.last().is_some_and(|lost| *lost <= LOST_MAX_MS) {
            return;
        }
    }
    panic!("a cut may take so many milliseconds, in each of {TRIES} runs: {losses:?}");
}

/// Two seconds of a call; gives the most that a cut at any time would have taken, in bytes.
async fn worst_loss() -> u64 {
    let (folder, disk) = (Folder::new(), Disk::new(&Image::new(), Lie::None));
    let spool = Spool::open_watched(&folder.0.join(SPOOL), life::witness(&folder.0, &disk)).unwrap();
    let session = SessionId::new(&format!("ses_{}", clock::ulid())).unwrap();
    let track = spool.track(&session, TrackKey { stream: 0, track: Track::Inbound }, &DataKey::new([7; 32]));
    let mut ticks = tokio::time::interval(FRAME_TIME);
    for frame in 0..FRAMES {
        ticks.tick().await;
        let from = frame * FRAME as u64;
        let audio = vec![0x55; FRAME].into();
        track.append(&Chunk { offset: Offset(from), at_ms: from / 8, audio, received: clock::now() }).unwrap();
        disk.note(Note::Heard { end: from + FRAME as u64 });
    }
    disk.worst_loss(|bytes| bytes / (FRAME_BYTES + FRAME as u64) * FRAME as u64)
}
