mod reading;

use std::fs;

use std::sync::Condvar;

use bytes::Bytes;

use super::*;
use crate::{
    clock,
    media::{Track, ms_to_bytes},
    spool::Run,
    store::driver::tests::Folder,
};

const INBOUND: TrackKey = TrackKey { stream: 0, track: Track::Inbound };

#[tokio::test]
async fn who_asks_while_another_is_answered_is_answered_too() {
    let folder = Folder::new();
    let (commands, received) = mpsc::channel();
    let (first, first_answer) = oneshot::channel();
    let (second, second_answer) = oneshot::channel();
    // The second asks just behind the taking of what was asked, so that its wake is in the queue that is emptied for the first.
    let (asked, waker) = (Mutex::new(vec![vec![Control::Flush(second)], vec![Control::Flush(first)]]), commands.clone());
    let take_controls = move || {
        let mut asked = asked.lock().unwrap();
        if asked.len() == 2 {
            waker.send(Command::Wake).unwrap();
        }
        asked.pop().unwrap_or_default()
    };
    let files = Files::new(Disk::default(), folder.0.clone(), Arc::default());
    commands.send(Command::Wake).unwrap();
    let rounds = Rounds::start(Disk::default(), {
        let commands = commands.clone();
        move || drop(commands.send(Command::Wake))
    })
    .unwrap();
    std::thread::spawn(move || write_all(&received, &take_controls, rounds, files));
    let answers = async { tokio::join!(first_answer, second_answer) };
    let (first, second) = tokio::time::timeout(std::time::Duration::from_secs(10), answers).await.expect("both are answered");
    assert!(first.is_ok() && second.is_ok());
}

#[tokio::test]
async fn audio_that_is_given_up_goes_though_nothing_covers_it_and_the_rest_stays() {
    let (spool, folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    for n in 0..2_500 {
        track.append(&chunk(n)).unwrap();
    }
    spool.flush().await;
    assert!(track.give_up_before(Offset(ms_to_bytes(90_000))), "the first time");
    assert!(!track.give_up_before(Offset(ms_to_bytes(80_000))), "never back");
    spool.flush().await;
    drop((spool, track));
    let again = Spool::open(&folder.0).unwrap();
    let left = again.recover(&session, &key).await.unwrap().remove(0);
    assert_eq!(left.readable, [Run { offset: Offset(480_000), at_ms: 60_000, length: 720_000 }], "whole files of a minute");
}

#[tokio::test]
async fn what_was_appended_is_there_after_a_restart() {
    let (spool, folder, session, key) = open();
    let outbound = TrackKey { track: Track::Outbound, ..INBOUND };
    let tracks = [spool.track(&session, INBOUND, &key), spool.track(&session, outbound, &key)];
    for n in 0..10 {
        for track in &tracks {
            track.append(&chunk(n)).unwrap();
        }
    }
    spool.flush().await;
    drop((spool, tracks));

    let again = Spool::open(&folder.0).unwrap();
    let recovered = again.recover(&session, &key).await.unwrap();
    assert_eq!(recovered.iter().map(|track| track.key).collect::<Vec<_>>(), [INBOUND, outbound]);
    for track in recovered {
        assert_eq!(track.readable, [Run { offset: Offset(0), at_ms: 0, length: 4_800 }]);
        assert_eq!((track.torn_bytes, track.unreadable.len()), (0, 0));
        let frames = again.resume(&session, &track, &key).reader().read(Offset(0), 4_800).await.unwrap();
        let whole: Vec<u8> = frames.iter().flat_map(|frame| frame.audio.to_vec()).collect();
        assert_eq!(whole, (0..10).flat_map(|n| chunk(n).audio.to_vec()).collect::<Vec<_>>());
        assert_eq!(frames[3].at_ms, 180);
    }
    assert_eq!(again.sessions().await.unwrap(), BTreeSet::from([session]));
}

#[tokio::test]
async fn a_session_of_this_run_is_read_back_whole_while_its_stream_goes_on() {
    let (spool, _folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    for round in 1..=20 {
        (0..100).for_each(|n| track.append(&chunk((round - 1) * 100 + n)).unwrap());
        let recovered = spool.recover(&session, &key).await.unwrap().pop().unwrap();
        assert_eq!((recovered.readable[0].length, recovered.torn_bytes), (round * 100 * 480, 0));
    }
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_stays_cut() {
    let (spool, folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    (0..3).for_each(|n| track.append(&chunk(n)).unwrap());
    spool.flush().await;
    let path = paths(&folder).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 7]).unwrap();
    let torn = spool.recover(&session, &key).await.unwrap().pop().unwrap();
    let one = whole.len() / 3;
    assert_eq!((torn.readable[0].length, torn.torn_bytes), (960, one as u64 - 7));
    let again = spool.recover(&session, &key).await.unwrap().pop().unwrap();
    assert_eq!((again.readable[0].length, again.torn_bytes), (960, 0));
}

#[tokio::test]
async fn covered_files_go_and_the_one_being_written_stays() {
    let (spool, folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    (0..2500).for_each(|n| track.append(&chunk(n)).unwrap());
    spool.flush().await;
    assert_eq!(paths(&folder).len(), 3);
    track.covered(Offset(480_000 + ms_to_bytes(KEPT_MS) - 1));
    spool.flush().await;
    assert_eq!(paths(&folder).len(), 3, "a restart may reach back a little");
    track.covered(Offset(480_000 + ms_to_bytes(KEPT_MS)));
    spool.flush().await;
    assert_eq!(paths(&folder).len(), 2);
    track.covered(Offset(u64::MAX));
    track.covered(Offset(1));
    spool.flush().await;
    assert_eq!(paths(&folder).len(), 1);
    track.append(&chunk(2500)).unwrap();
    drop(track);
    spool.flush().await;
    assert_eq!(paths(&folder), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn audio_that_is_not_covered_outlives_its_track() {
    let (spool, folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    (0..3).for_each(|n| track.append(&chunk(n)).unwrap());
    track.covered(chunk(1).end());
    drop(track);
    spool.flush().await;
    spool.flush().await;
    assert_eq!(paths(&folder).len(), 1);
    let other = SessionId::new(&format!("ses_{}", clock::ulid())).unwrap();
    spool.remove(&other).await;
    assert_eq!(spool.recover(&session, &key).await.unwrap()[0].readable[0].length, 3 * 480);
    spool.remove(&session).await;
    assert!(paths(&folder).is_empty() && spool.recover(&session, &key).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_full_spool_refuses_at_once_and_counts() {
    let (spool, _folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    spool.0.counters.waiting_bytes.store(WAITING_MAX_BYTES, Ordering::Relaxed);
    assert_eq!(track.append(&chunk(0)), Err(SpoolFull));
    assert_eq!(spool.refused(), 1);
    spool.0.counters.waiting_bytes.store(0, Ordering::Relaxed);
    assert_eq!(track.append(&chunk(1)), Ok(()));
    spool.flush().await;
    assert_eq!(spool.0.counters.waiting_bytes.load(Ordering::Relaxed), 0);
    let long = Chunk { audio: vec![0; FRAME_MAX_BYTES + 1].into(), ..chunk(2) };
    assert_eq!((track.append(&long), spool.refused()), (Err(SpoolFull), 2));
}

#[tokio::test]
async fn a_folder_that_vanishes_is_told_and_audio_goes_on_when_it_is_back() {
    let (spool, folder, session, key) = open();
    fs::remove_dir(&folder.0).unwrap();
    let track = spool.track(&session, INBOUND, &key);
    track.append(&chunk(0)).unwrap();
    spool.flush().await;
    assert!(spool.trouble().is_some_and(|why| why.starts_with("open: ")));
    assert_eq!(spool.refused(), 1);
    spool.flush().await;
    assert!(spool.trouble().is_some(), "a round in which nothing was written proves nothing");
    fs::create_dir(&folder.0).unwrap();
    track.append(&chunk(1)).unwrap();
    spool.flush().await;
    spool.flush().await;
    assert_eq!(spool.trouble(), None);
    assert_eq!(spool.recover(&session, &key).await.unwrap()[0].readable[0].offset, chunk(1).offset);
    assert_eq!(paths(&folder).len(), 1, "what was written to find out is gone");
}

#[tokio::test]
async fn a_failed_write_is_undone_and_its_file_goes_on() {
    let (spool, folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    track.append(&chunk(0)).unwrap();
    spool.flush().await;
    // Behind the longest length that the file system takes, any write fails.
    let file = fs::OpenOptions::new().write(true).open(paths(&folder).pop().unwrap()).unwrap();
    let longest = [i64::MAX.unsigned_abs(), (1 << 44) - 4096].into_iter().find(|length| file.set_len(*length).is_ok());
    assert!(longest.is_some(), "the file system has files of some length");
    track.append(&chunk(1)).unwrap();
    spool.flush().await;
    assert_eq!(spool.refused(), 1);
    track.append(&chunk(2)).unwrap();
    spool.flush().await;
    assert_eq!(paths(&folder).len(), 1, "no file of its own for what failed");
    let runs = spool.recover(&session, &key).await.unwrap().pop().unwrap().readable;
    assert_eq!(runs.iter().map(|run| run.offset).collect::<Vec<_>>(), [chunk(0).offset, chunk(2).offset]);
}

#[tokio::test]
async fn a_track_knows_where_the_audio_ends_that_it_was_handed() {
    let (spool, _folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    assert_eq!(track.end(), Offset(0));
    track.append(&chunk(0)).unwrap();
    track.append(&chunk(1)).unwrap();
    let too_long = Chunk { audio: vec![0; FRAME_MAX_BYTES + 1].into(), ..chunk(2) };
    assert!(track.append(&too_long).is_err());
    assert_eq!(track.end(), chunk(1).end(), "what was not taken is not there");
}

#[tokio::test]
async fn files_are_for_their_owner_alone_and_hold_no_audio_in_the_clear() {
    use std::os::unix::fs::PermissionsExt;
    let (spool, folder, session, key) = open();
    let track = spool.track(&session, INBOUND, &key);
    track.append(&chunk(7)).unwrap();
    spool.flush().await;
    let path = paths(&folder).pop().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read(&path).unwrap().windows(32).any(|window| window == [7; 32]));
}

fn open() -> (Spool, Folder, SessionId, DataKey) {
    let folder = Folder::new();
    let session = SessionId::new(&format!("ses_{}", clock::ulid())).unwrap();
    (Spool::open(&folder.0).unwrap(), folder, session, DataKey::new([5; 32]))
}

fn chunk(n: u64) -> Chunk {
    let audio = Bytes::from(vec![n.to_le_bytes()[0]; 480]);
    Chunk { offset: Offset(n * 480), at_ms: n * 60, audio, received: clock::now() }
}

fn paths(folder: &Folder) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Syncs wait for as long as the flag is up.
fn slow_disk() -> (Arc<(Mutex<bool>, Condvar)>, Witness) {
    let slow = Arc::new((Mutex::new(false), Condvar::new()));
    let held = Arc::clone(&slow);
    let witness = move |_: &Path, change: Change<'_>| {
        if matches!(change, Change::Syncing) {
            drop(held.1.wait_while(held.0.lock().unwrap(), |is_slow| *is_slow));
        }
    };
    (slow, Arc::new(witness))
}

#[tokio::test]
async fn a_slow_sync_keeps_no_audio_from_the_system_and_a_flush_waits_for_a_sync_of_its_own() {
    let (_, folder, session, key) = open();
    let (slow, witness) = slow_disk();
    let spool = Spool::open_watched(&folder.0, witness).unwrap();
    let track = spool.track(&session, INBOUND, &key);
    track.append(&chunk(0)).unwrap();
    spool.flush().await;

    *slow.0.lock().unwrap() = true;
    track.append(&chunk(1)).unwrap();
    let (first, second) = (spool.clone(), spool.clone());
    let first = tokio::spawn(async move { first.flush().await });
    // What was written and what is read back: both while the disk is busy.
    let found = spool.recover(&session, &key).await.unwrap();
    assert_eq!(found[0].readable.iter().map(|run| run.length).sum::<u64>(), 960);
    track.append(&chunk(2)).unwrap();
    let second = tokio::spawn(async move { second.flush().await });
    let found = spool.recover(&session, &key).await.unwrap();
    assert_eq!(found[0].readable.iter().map(|run| run.length).sum::<u64>(), 1_440, "written beside the sync");
    assert!(!first.is_finished() && !second.is_finished(), "nothing is said to be synced that is not");
    *slow.0.lock().unwrap() = false;
    slow.1.notify_all();
    first.await.unwrap();
    second.await.unwrap();
}

#[tokio::test]
async fn a_long_look_through_an_earlier_session_holds_up_no_audio_of_another() {
    let (spool, folder, earlier, key) = open();
    let track = spool.track(&earlier, INBOUND, &key);
    (0..3).for_each(|n| track.append(&chunk(n)).unwrap());
    spool.flush().await;
    drop((track, spool));
    let torn = fs::OpenOptions::new().write(true).open(paths(&folder).pop().unwrap()).unwrap();
    torn.set_len(torn.metadata().unwrap().len() - 7).unwrap();

    // The cutting of the torn tail waits for as long as this is not dropped.
    let (free, held) = mpsc::channel::<()>();
    let (held, (cuts, mut cut)) = (Mutex::new(held), tokio::sync::mpsc::unbounded_channel());
    let witness = move |_: &Path, change: Change<'_>| {
        if matches!(change, Change::Cut(_)) {
            cuts.send(()).unwrap();
            let _ = held.lock().unwrap().recv();
        }
    };
    let spool = Spool::open_watched(&folder.0, Arc::new(witness)).unwrap();
    let looking = tokio::spawn({
        let (spool, earlier, key) = (spool.clone(), earlier.clone(), key.clone());
        async move { spool.recover(&earlier, &key).await }
    });
    cut.recv().await.unwrap();
    let live = SessionId::new(&format!("ses_{}", clock::ulid())).unwrap();
    let track = spool.track(&live, INBOUND, &key);
    track.append(&chunk(0)).unwrap();
    let written = async {
        spool.flush().await;
        assert_eq!(spool.recover(&live, &key).await.unwrap()[0].readable[0].length, 480);
    };
    tokio::time::timeout(Duration::from_mins(1), written).await.expect("it is written meanwhile");
    assert!(!looking.is_finished());
    drop(free);
    assert_eq!(looking.await.unwrap().unwrap()[0].readable[0].length, 960);
}
