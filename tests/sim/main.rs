//! The real machines (two links, a call with its transcript and its gate) in virtual time over a service that misbehaves by seed.
//!
//! Promises checked for each seed: no word lost, none doubled, labels stable, times within 20 ms of the truth and growing, every
//! byte covered or told, one end, no dial before its time, memory bounded. Each run is made from its number alone:
//!
//!     SIM_SEED=123 cargo test --test sim -- --nocapture                  one run with its trace
//!     SIM_SEEDS=1000000 SIM_FROM=0 cargo test --release --test sim       many runs

mod chance;
mod check;
mod clock;
mod network;
mod plan;
mod record;
mod service;
mod spool;
mod truth;
mod wire;
mod world;

use std::{
    collections::BTreeMap,
    io::Write as _,
    panic,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use crate::{
    check::{Failure, Tally, check},
    plan::{Plan, Sabotage},
    record::{Line, TRACKS},
    world::World,
};

/// Runs in CI.
const SEEDS: u64 = 10_000;
/// Failing seeds that are shown.
const SHOWN: usize = 5;
/// Lines of a trace that are shown around a failure.
const LINES: usize = 60;

#[test]
fn no_schedule_of_faults_loses_or_doubles_a_word() {
    if let Some(seed) = number("SIM_SEED") {
        return replay(seed);
    }
    let (from, count) = (number("SIM_FROM").unwrap_or(0), number("SIM_SEEDS").unwrap_or(SEEDS));
    let began = pulse_bridge::clock::now();
    let (failed, tally) = all(from, count);
    let took = (pulse_bridge::clock::now() - began).as_secs();
    // Not captured: whoever reads the log of a green run sees what it did.
    let _ = writeln!(
        std::io::stderr(),
        "{count} seeds from {from} in {took} s: {} words, {} reconnects, {} s of calls; {tally:?}",
        tally.words,
        tally.reconnects,
        tally.seconds
    );
    let mut rules: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (seed, failures) in &failed {
        rules.entry(failures[0].rule).or_insert((0, *seed)).0 += 1;
    }
    if !failed.is_empty() {
        println!("failing seeds: {:?}", failed.iter().map(|(seed, _)| *seed).collect::<Vec<_>>());
    }
    for (rule, (count, seed)) in rules {
        println!("{count} failed: {rule} (first {seed})");
    }
    for (seed, failures) in failed.iter().take(SHOWN) {
        println!("{}", told(*seed, failures));
    }
    assert!(failed.is_empty(), "{} of {count} runs failed; the first: {}", failed.len(), told(failed[0].0, &failed[0].1));
}

#[test]
fn a_calm_service_is_heard_to_the_word_on_one_connection() {
    for seed in 0..60 {
        let plan = Plan::calm(seed);
        let (failures, tally) = check(&plan, &World::run(&plan, false));
        assert!(
            failures.is_empty() && tally.reconnects + tally.relabelled + tally.provisional == 0,
            "{seed}: {failures:?} {tally:?}"
        );
    }
}

#[test]
fn the_checks_find_what_is_broken() {
    for (sabotage, rule) in [
        (Sabotage::DropWord, "no word is lost"),
        (Sabotage::DropFinal, "no word is lost"),
        (Sabotage::RepeatWord, "no word is doubled"),
        (Sabotage::LateTimes, "times are within 20 ms of the truth"),
        (Sabotage::MixSpeakers, "a label stands for one person"),
    ] {
        let found = (0..40).any(|seed| {
            let mut plan = Plan::new(seed);
            plan.sabotage = Some(sabotage);
            check(&plan, &World::run(&plan, false)).0.iter().any(|failure| failure.rule == rule)
        });
        assert!(found, "{sabotage:?} was not found by {rule:?}");
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// One seed with everything that is known of it.
fn replay(seed: u64) {
    let plan = Plan::new(seed);
    let record = World::run(&plan, true);
    let (failures, tally) = check(&plan, &record);
    plan.describe().iter().for_each(|line| println!("{line}"));
    show(record.trace(), failures.first());
    println!("{tally:?}");
    assert!(failures.is_empty(), "{}", told(seed, &failures));
}

/// The lines around the first failure, of its track; with `SIM_ALL` all of them.
fn show(trace: &[Line], failure: Option<&Failure>) {
    let all = number("SIM_ALL").is_some();
    let is_of_it =
        |line: &&Line| all || failure.is_none_or(|failure| failure.track == line.track) && !line.text.contains("interim");
    let lines: Vec<&Line> = trace.iter().filter(is_of_it).collect();
    let passed = |ms: u64| lines.iter().position(|line| line.upto_ms.is_some_and(|upto| upto >= ms));
    let middle = failure.and_then(|failure| failure.at_ms).and_then(passed).unwrap_or(lines.len());
    let from = if all { 0 } else { middle.saturating_sub(LINES * 2 / 3) };
    for line in lines.iter().skip(from).take(if all { usize::MAX } else { LINES }) {
        println!("{:>9.3} {:<8} {}", Duration::from_micros(line.at).as_secs_f64(), TRACKS[line.track].as_str(), line.text);
    }
}

/// Why a seed failed, and how to see it again.
fn told(seed: u64, failures: &[Failure]) -> String {
    use std::fmt::Write as _;
    let mut text = format!("SIM_SEED={seed} cargo test --test sim -- --nocapture\n");
    for Failure { rule, what, track, at_ms } in failures.iter().take(4) {
        let at = at_ms.map_or(String::new(), |ms| format!(" at {ms} ms"));
        writeln!(text, "    {rule}: {what} ({}{at})", TRACKS[*track]).expect("a string takes it");
    }
    text + &format!("    {} failures in all", failures.len())
}

/// Runs all seeds on all cores; gives those that failed, lowest first.
fn all(from: u64, count: u64) -> (Vec<(u64, Vec<Failure>)>, Tally) {
    let next = AtomicU64::new(from);
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let work = || {
        let (mut failed, mut sum) = (Vec::new(), Tally::default());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + count {
                return (failed, sum);
            }
            let run = panic::catch_unwind(|| {
                let plan = Plan::new(seed);
                check(&plan, &World::run(&plan, false))
            });
            let panicked = |_| {
                let what = "it panicked".to_owned();
                (vec![Failure { rule: "nothing panics", what, track: 0, at_ms: None }], Tally::default())
            };
            let (failures, tally) = run.unwrap_or_else(panicked);
            sum.add(tally);
            if !failures.is_empty() {
                failed.push((seed, failures));
            }
        }
    };
    thread::scope(|scope| {
        let parts: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let (mut failed, mut sum) = (Vec::new(), Tally::default());
        for part in parts {
            let (some, tally) = part.join().unwrap_or_else(|why| panic::resume_unwind(why));
            failed.extend(some);
            sum.add(tally);
        }
        failed.sort_by_key(|(seed, _)| *seed);
        (failed, sum)
    })
}
