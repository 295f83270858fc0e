//! Every failpoint, at the first pass of it, the second and a later one, while calls are live and while earlier ones are recovered.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::{StreamExt, stream};
use pulse_bridge::failpoint::NAMES;

use crate::{
    cell::{
        Cell,
        When::{self, Draining, Erasing, Live, Recovering, Starting, Sweeping},
    },
    child::folder,
    service::Service,
};

/// Cells side by side; each of them mostly waits for its phone.
const SIDE_BY_SIDE: usize = 12;

/// Where, when, and at which passes. A place that a bridge is at once in its life has one.
const ROWS: &[(&str, When, &[u32])] = &[
    ("store.before_commit", Live, &[1, 2, 9]),
    ("store.after_commit", Live, &[1, 2, 9]),
    ("outbox.before_send", Live, &[1, 2, 5]),
    ("outbox.after_send", Live, &[1, 2, 5]),
    ("outbox.before_verdict", Live, &[1, 2, 5]),
    ("outbox.after_verdict", Live, &[1, 2, 5]),
    ("spool.before_write", Live, &[1, 2, 111]),
    ("spool.after_write", Live, &[1, 2, 111]),
    ("spool.after_sync", Live, &[1, 2, 31]),
    ("mark.before", Live, &[1, 2, 5]),
    ("mark.after", Live, &[1, 2, 5]),
    ("link.rotate", Live, &[1, 2, 3]),
    ("drain.begin", Draining, &[1]),
    ("drain.closed", Draining, &[1]),
    ("keys.made", Starting, &[1]),
    ("recover.begin", Recovering, &[1]),
    ("recover.each", Recovering, &[1, 2, 3]),
    ("recover.end", Recovering, &[1]),
    ("store.before_commit", Recovering, &[1, 2, 5]),
    ("store.after_commit", Recovering, &[1, 2, 5]),
    ("outbox.before_send", Recovering, &[1, 2, 4]),
    ("outbox.after_send", Recovering, &[1, 2, 4]),
    ("outbox.before_verdict", Recovering, &[1]),
    ("outbox.after_verdict", Recovering, &[1]),
    ("mark.before", Recovering, &[1, 3]),
    ("mark.after", Recovering, &[1, 3]),
    ("erase.before", Erasing, &[1]),
    ("erase.after", Erasing, &[1]),
    // With nothing else left to be stored, the commit of the erasing is the first one.
    ("store.before_commit", Erasing, &[1]),
    ("store.after_commit", Erasing, &[1]),
    ("store.before_commit", Sweeping, &[1]),
    ("store.after_commit", Sweeping, &[1]),
    // Each pass is at another kind: parked deliveries, calls, attempts, audio.
    ("retention.before", Sweeping, &[1, 2, 3, 4]),
    ("retention.after", Sweeping, &[1, 2, 3, 4]),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_ends_at_every_place_and_loses_nothing() {
    let wanted = std::env::var("CRASH_CELL").unwrap_or_default();
    let cells: Vec<Cell> = ROWS
        .iter()
        .flat_map(|(place, when, passes)| passes.iter().map(|pass| Cell { place, pass: *pass, when: *when }))
        .filter(|cell| cell.place.starts_with(&wanted))
        .collect();
    let folder = folder("service");
    std::fs::create_dir_all(&folder).unwrap();
    let service = Arc::new(Service::start(&folder).await);
    let runs = cells.iter().map(|cell| {
        let service = Arc::clone(&service);
        let cell = *cell;
        async move {
            tokio::spawn(async move { cell.run(&service).await }).await.unwrap_or_else(|why| Err(format!("{cell:?}: {why}")))
        }
    });
    let outcomes: Vec<Result<(), String>> = stream::iter(runs).buffer_unordered(SIDE_BY_SIDE).collect().await;
    let failed: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    let _ = std::fs::remove_dir_all(folder);
    assert!(failed.is_empty(), "{} of {} cells failed:\n{}", failed.len(), cells.len(), failed.join("\n"));
    println!("{} cells, none with damage", cells.len());
}

#[test]
fn the_matrix_is_at_every_place_there_is() {
    let rows: BTreeSet<&str> = ROWS.iter().map(|(place, ..)| *place).collect();
    assert_eq!(rows, NAMES.iter().copied().collect());
}

#[test]
fn every_place_of_the_matrix_is_in_the_code() {
    let mut texts = String::new();
    let mut open = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts += &std::fs::read_to_string(path).unwrap();
        }
    }
    for name in NAMES {
        assert!(texts.contains(&format!("failpoint!(\"{name}\")")), "{name}");
    }
}
