//! A disk that fails, and one that works again.

use std::cell::Cell;

use super::*;

#[tokio::test]
async fn a_full_disk_is_told_to_whom_it_hits_and_to_nobody_else() {
    let (store, folder) = open();
    let sessions = [begin(&store, "CA1", "MZ1").await, begin(&store, "CA1", "MZ2").await, begin(&store, "CA1", "MZ3").await];
    let mut connection = Connection::open(folder.0.join("bridge.db")).unwrap();
    schema::prepare(&connection).unwrap();
    let pages: i64 = connection.query_row("PRAGMA page_count", (), |row| row.get(0)).unwrap();
    connection.query_row(&format!("PRAGMA max_page_count = {}", pages + 4), (), |_| Ok(())).unwrap();
    let Write::Event { event, endpoints } = gap_event(&sessions[1], 1, &[]) else { unreachable!() };
    let huge = Write::Event { event: Event { body: vec![b' '; 1 << 20].into(), ..event }, endpoints };
    let units = [vec![gap_event(&sessions[0], 1, &[])], vec![huge], vec![gap_event(&sessions[2], 1, &[])]];
    let answers = write::commit(&mut connection, &ring(), &units, &mut write::Numbers::behind(0));
    assert!(matches!(&answers[1], Err(StoreError::Database(why)) if why.contains("full")), "{answers:?}");
    for (session, answer) in sessions.iter().zip(&answers) {
        assert_eq!(store.events(session, 0, 9).await.unwrap().len(), usize::from(answer.is_ok()));
    }
    connection.query_row("PRAGMA max_page_count = 100000", (), |_| Ok(())).unwrap();
    assert!(write::commit(&mut connection, &ring(), &units[1..2], &mut write::Numbers::behind(0))[0].is_ok());
}

#[tokio::test]
async fn a_database_that_works_again_is_noticed_though_nobody_writes() {
    let (store, folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    let (commits, mut writable) = writer_without_patience(&folder);
    let other = Connection::open(folder.0.join("bridge.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (answer, answered) = oneshot::channel();
    commits.send(Request::Unit(vec![gap_event(&session, 1, &[])], answer)).await.ok().unwrap();
    assert!(matches!(answered.await.unwrap(), Err(StoreError::Database(_))));
    assert!(!*writable.borrow_and_update());
    other.execute_batch("COMMIT").unwrap();
    let again = tokio::time::timeout(PROBE_EVERY * 10, writable.wait_for(|writable| *writable)).await;
    assert!(again.expect("the writer looks by itself").is_ok());
    assert!(store.events(&session, 0, 9).await.unwrap().is_empty(), "what failed stays undone");
}

#[test]
fn a_probe_writes_to_the_disk_and_changes_nothing() {
    let (_store, folder) = open();
    let path = folder.0.join("bridge.db");
    let mut connection = Connection::open(&path).unwrap();
    schema::prepare(&connection).unwrap();
    let written = || std::fs::metadata(folder.0.join("bridge.db-wal")).unwrap().len();
    let before = written();
    write::probe(&mut connection).unwrap();
    assert!(written() > before);
    let version: i64 = connection.query_row("PRAGMA user_version", (), |row| row.get(0)).unwrap();
    assert_eq!(usize::try_from(version), Ok(schema::VERSION));
    connection.execute_batch("PRAGMA query_only = ON").unwrap();
    assert!(matches!(write::probe(&mut connection), Err(StoreError::Database(_))));
}

#[tokio::test]
async fn a_damaged_file_is_refused_with_what_to_do() {
    let (store, folder) = open();
    let session = begin(&store, "CA1", "MZ1").await;
    store.commit((1..=40).map(|seq| gap_event(&session, seq, &["crm"])).collect()).await.unwrap();
    store.close().await;
    drop(store);
    let whole = std::fs::read(folder.0.join("bridge.db")).unwrap();
    // A name of its own each time: the readers of the store that was closed may still be letting go of theirs.
    let names = Cell::new(0);
    let lay = |bytes: &[u8]| {
        names.set(names.get() + 1);
        let path = folder.0.join(format!("{}.db", names.get()));
        std::fs::write(&path, bytes).unwrap();
        path
    };
    for (from, to) in [(0, 100), (4096, 8192), (whole.len() - 8192, whole.len())] {
        let mut damaged = whole.clone();
        damaged[from..to].fill(0xA5);
        let path = lay(&damaged);
        let Err(refused @ StoreError::Damaged(..)) = Store::open(&path, masters("k1")) else { panic!("bytes {from} to {to}") };
        let told = refused.to_string();
        assert!(told.starts_with(path.to_str().unwrap()) && told.contains("keep a copy") && !told.contains('\n'), "{told}");
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "it is left as it was");
    }
    let half = lay(&whole[..whole.len() / 2]);
    assert!(matches!(Store::open(&half, masters("k1")), Err(StoreError::Damaged(..))), "half of it is missing");
    let store = Store::open(&lay(&whole), masters("k1")).unwrap();
    assert_eq!(store.events(&session, 0, 99).await.unwrap().len(), 40);
}

/// A writer that does not wait for another connection's lock, so that a lock is a failing disk.
fn writer_without_patience(folder: &Folder) -> (mpsc::Sender<Request>, watch::Receiver<bool>) {
    let connection = Connection::open(folder.0.join("bridge.db")).unwrap();
    schema::prepare(&connection).unwrap();
    connection.busy_timeout(Duration::ZERO).unwrap();
    let (commits, requests) = mpsc::channel(1);
    let ((places, _), (tell, writable)) = (watch::channel(0), watch::channel(true));
    let (numbers, waiting) = (write::Numbers::behind(0), waiting().unwrap());
    let (keys, fold) = (Arc::new(ring()), Fold::default());
    let writer = Writer { connection, requests, numbers, places, writable: tell, waiting, keys, fold };
    start("store-writer", move || writer.run()).unwrap();
    (commits, writable)
}
