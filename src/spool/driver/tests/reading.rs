//! Reading back while it is written, and after a restart.

use std::io::Write as _;

use super::*;
use crate::spool::Frame;

/// One chunk of [`chunk`], in bytes.
const ONE: u64 = 480;
const NOTHING: [u64; 0] = [];

#[tokio::test]
async fn a_reader_follows_the_writer() {
    let (spool, _folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    let mut reader = track.reader();
    assert_eq!(numbers(&reader.read(Offset(0), 10 * ONE).await.unwrap()), NOTHING, "nothing was written yet");
    for round in 0..20 {
        append(&track, round * 10..(round + 1) * 10);
        spool.flush().await;
        let from = Offset(round * 10 * ONE);
        assert_eq!(numbers(&reader.read(from, 4 * ONE).await.unwrap()), span(round * 10..round * 10 + 4));
        assert_eq!(numbers(&reader.read(from.plus(4 * ONE), 1_000 * ONE).await.unwrap()), span(round * 10 + 4..round * 10 + 10));
    }
    assert_eq!(numbers(&reader.read(Offset(7 * ONE), 2 * ONE).await.unwrap()), [7, 8], "back again as well");
}

#[tokio::test]
async fn a_read_goes_on_in_the_next_file_and_skips_to_where_it_is_asked() {
    let (spool, folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    append(&track, 0..2_500);
    spool.flush().await;
    assert_eq!(paths(&folder).len(), 3);
    let mut reader = track.reader();
    assert_eq!(numbers(&reader.read(Offset(995 * ONE), 10 * ONE).await.unwrap()), span(995..1_005));
    assert_eq!(numbers(&reader.read(Offset(2_400 * ONE), 2 * ONE).await.unwrap()), [2_400, 2_401]);
    assert_eq!(numbers(&reader.read(Offset(0), 3_000 * ONE).await.unwrap()), span(0..2_500));
    assert_eq!(numbers(&reader.read(Offset(2_500 * ONE), ONE).await.unwrap()), NOTHING);
}

#[tokio::test]
async fn a_file_that_was_deleted_is_a_hole() {
    let (spool, folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    append(&track, 0..2_500);
    track.covered(Offset(1_100 * ONE));
    spool.flush().await;
    assert_eq!(paths(&folder).len(), 2);
    assert_eq!(numbers(&track.reader().read(Offset(0), 2 * ONE).await.unwrap()), [1_000, 1_001]);
    fs::remove_file(&paths(&folder)[0]).unwrap();
    assert_eq!(numbers(&track.reader().read(Offset(1_100 * ONE), 2 * ONE).await.unwrap()), [2_000, 2_001], "not by us");
}

#[tokio::test]
async fn the_first_frame_begins_where_it_is_asked_for() {
    let (spool, _folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    append(&track, 0..3);
    spool.flush().await;
    let frames = track.reader().read(Offset(ONE + 80), 1).await.unwrap();
    assert_eq!((frames[0].offset, frames[0].at_ms, frames[0].audio.len()), (Offset(ONE + 80), 70, 400));
    assert_eq!((frames[0].audio[0], frames.len()), (1, 1));
}

#[tokio::test]
async fn a_half_written_frame_is_not_there_yet() {
    let (spool, folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    append(&track, 0..3);
    spool.flush().await;
    let path = paths(&folder).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    let mut reader = track.reader();
    for cut in (whole.len() * 2 / 3 + 1..whole.len()).step_by(97) {
        fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(numbers(&reader.read(Offset(ONE), 10 * ONE).await.unwrap()), [1], "cut at {cut}");
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(numbers(&reader.read(Offset(2 * ONE), ONE).await.unwrap()), [2]);
}

#[tokio::test]
async fn a_place_that_was_cut_off_behind_the_reader_is_looked_for_again() {
    let (spool, folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    append(&track, 0..6);
    spool.flush().await;
    let path = paths(&folder).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    let mut reader = track.reader();
    assert_eq!(numbers(&reader.read(Offset(0), 6 * ONE).await.unwrap()), span(0..6));
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(numbers(&reader.read(Offset(6 * ONE), ONE).await.unwrap()), NOTHING);
    let last = &whole[whole.len() / 6 * 5..];
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(last).unwrap();
    assert_eq!(numbers(&reader.read(Offset(5 * ONE), ONE).await.unwrap()), [5]);
}

#[tokio::test]
async fn a_damaged_frame_and_one_of_another_key_leave_a_hole() {
    let (spool, folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    append(&track, 0..4);
    spool.flush().await;
    let path = paths(&folder).pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let one = bytes.len() / 4;
    bytes[one + 100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(numbers(&track.reader().read(Offset(0), 4 * ONE).await.unwrap()), [0, 2, 3]);
    let other = spool.track(&session, INBOUND, &DataKey::new([6; 32]));
    other.shared.files().push_back(SpoolFile { first: Offset(0), path });
    assert_eq!(numbers(&other.reader().read(Offset(0), 4 * ONE).await.unwrap()), NOTHING);
}

#[tokio::test]
async fn after_a_restart_the_earlier_life_is_read() {
    let (spool, folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    append(&track, 0..1_500);
    spool.flush().await;
    drop((spool, track));
    let again = Spool::open(&folder.0).unwrap();
    let left = again.recover(&session, &key).await.unwrap().pop().unwrap();
    let mut reader = again.resume(&session, &left, &key).reader();
    assert_eq!(numbers(&reader.read(Offset(990 * ONE), 20 * ONE).await.unwrap()), span(990..1_010));
    assert_eq!(numbers(&again.track(&session, INBOUND, &key).reader().read(Offset(0), ONE).await.unwrap()), NOTHING);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_an_error_and_never_passed_over() {
    let (spool, folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    append(&track, 0..2_010);
    spool.flush().await;
    let middle = &paths(&folder)[1];
    let kept = middle.with_extension("kept");
    fs::rename(middle, &kept).unwrap();
    // A folder in a file's place is the one thing that even root fails to read.
    fs::create_dir(middle).unwrap();
    let mut reader = track.reader();
    assert_eq!(numbers(&reader.read(Offset(990 * ONE), 100 * ONE).await.unwrap()), span(990..1_000), "what lies before it");
    assert!(reader.read(Offset(1_000 * ONE), ONE).await.is_err(), "not what lies behind it");
    fs::remove_dir(middle).unwrap();
    fs::rename(&kept, middle).unwrap();
    assert_eq!(numbers(&reader.read(Offset(1_000 * ONE), 2 * ONE).await.unwrap()), [1_000, 1_001], "it is read once it can be");
}

fn append(track: &SpoolTrack, numbers: std::ops::Range<u64>) {
    numbers.for_each(|n| track.append(&chunk(n)).unwrap());
}

/// Which chunks these frames are, whole and untouched.
fn numbers(frames: &[Frame]) -> Vec<u64> {
    let number = |frame: &Frame| {
        let n = frame.offset.0 / ONE;
        assert_eq!((frame.at_ms, frame.audio.last()), (frame.offset.0 / 8, chunk(n).audio.last()));
        n
    };
    frames.iter().map(number).collect()
}

fn span(numbers: std::ops::Range<u64>) -> Vec<u64> {
    numbers.collect()
}
