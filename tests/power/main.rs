//! Power cuts: the real store and spool under a load, on a disk that forgets any part of what was not synced.
//!
//! One seed is one cut: `POWER_SEED=123 cargo test --test power cut` makes it again; `POWER_SEEDS=100000` makes more than CI does. A load
//! is cut in `CUTS` places; after each cut the bridge starts on what is left, its findings are compared with what was answered, it goes on
//! for a while and is cut again, also while it starts. What the writer threads batch together differs a little from run to run.

#[path = "../sim/chance.rs"]
mod chance;
mod check;
mod disk;
mod life;
mod load;
mod model;
mod vfs;

use std::{
    env,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use chance::Chance;
use disk::{Image, Lie};
use life::Life;
use load::Load;

/// Seeds that CI makes.
const SEEDS: u64 = 1_000;
/// Cuts of one load.
const CUTS: u64 = 8;

#[test]
fn a_power_cut_takes_nothing_that_was_answered_and_leaves_nothing_half() {
    let only: Option<u64> = env::var("POWER_SEED").ok().map(|seed| seed.parse().expect("POWER_SEED is a number"));
    let seeds = env::var("POWER_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("POWER_SEEDS is a number"));
    let seeds = only.map_or(0..seeds, |seed| seed..seed + 1);
    let failures = all(seeds.clone(), Lie::None);
    let told: Vec<String> =
        failures.iter().map(|(seed, why)| format!("POWER_SEED={seed} cargo test --test power cut: {why}")).collect();
    assert!(failures.is_empty(), "{} of {} cuts:\n{}", failures.len(), seeds.end - seeds.start, told.join("\n"));
}

#[test]
fn a_disk_that_says_it_synced_and_did_not_is_found_out() {
    for lie in [Lie::Files, Lie::Names] {
        let failures = all(0..CUTS * 4, lie);
        println!("{lie:?}: {} of {}, first {:?}", failures.len(), CUTS * 4, failures.first());
        assert!(failures.iter().any(|(_, why)| why.contains("lost")), "{lie:?}: {failures:?}");
    }
}

/// Makes these seeds side by side; gives those that fail, and why.
fn all(seeds: std::ops::Range<u64>, lie: Lie) -> Vec<(u64, String)> {
    let (next, failures) = (AtomicU64::new(seeds.start / CUTS), Mutex::new(Vec::new()));
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        loop {
            let load = next.fetch_add(1, Ordering::Relaxed);
            if load * CUTS >= seeds.end {
                return;
            }
            let own = seeds.start.max(load * CUTS)..seeds.end.min((load + 1) * CUTS);
            let failed = runtime.block_on(cut_a_load(load, own, lie));
            failures.lock().unwrap().extend(failed);
        }
    };
    let workers = thread::available_parallelism().map_or(2, std::num::NonZero::get);
    thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    failures.into_inner().unwrap()
}

/// One load, cut in each seed's place.
async fn cut_a_load(load: u64, seeds: std::ops::Range<u64>, lie: Lie) -> Vec<(u64, String)> {
    let mut chance = Chance::new(load, 1);
    // Now and then one that is long enough for the log to be folded while it is written.
    let rounds = if chance.percent(10) { 150 } else { chance.of(1..30) };
    let (life, mut sessions) = (Life::begin(&Image::new(), lie).expect("a new folder opens"), Vec::new());
    Load::new(&life, &mut sessions, Chance::new(load, 2)).run(rounds).await;
    let mut failures = Vec::new();
    for seed in seeds {
        let (mut chance, mut sessions) = (Chance::new(seed, 3), sessions.clone());
        if let Err(why) = cut(&life, &mut sessions, &mut chance, lie, 1).await {
            failures.push((seed, why));
        }
    }
    failures
}

/// Cuts a life somewhere, looks what is left, and begins the next one, so many times more.
async fn cut(
    life: &Life,
    sessions: &mut Vec<model::SessionModel>,
    chance: &mut Chance,
    lie: Lie,
    more: u32,
) -> Result<(), String> {
    let changes = life.disk.changes();
    let at = if chance.percent(30) { changes - changes.min(30) } else { 0 };
    let at = usize::try_from(chance.of(at as u64..changes as u64 + 1)).unwrap();
    let (image, notes) = (life.disk.survivors(at, chance), life.disk.notes(at));
    let next = Life::begin(&image, lie)?;
    check::check(&next, sessions, &notes).await?;
    if more == 0 {
        return Ok(());
    }
    // Half of them are cut again while they look for what is left.
    if chance.percent(50) {
        Load::new(&next, sessions, Chance::new(chance.next(), 4)).run(4).await;
    }
    Box::pin(cut(&next, sessions, chance, lie, more - 1)).await
}
