//! `kill -9` at random moments over a running load, on one data folder: calls come and go, the receiver fails at times, the next start
//! finds what the last one left, and is killed over that.

use std::{path::Path, time::Duration};

use crate::{
    bridge::{self, Place},
    chance::Chance,
    child::{PATIENCE, folder},
    coverage,
    load::Load,
    receiver::{Mood, Receiver},
    service::Service,
    verdict,
};

/// Kills where the environment does not say how many.
const KILLS: u64 = 20;
/// The seed where the environment does not say which.
const SEED: u64 = 4;
/// Longest life of a bridge, of one in five, and of one that is killed while it starts, in milliseconds.
const LONGEST_LIFE_MS: u64 = 2500;
const LONGEST_LONG_LIFE_MS: u64 = 6000;
const LONGEST_START_MS: u64 = 300;
/// How many of a hundred bridges live long, and how many are killed while they start.
const LONG_LIVES: u64 = 20;
const KILLED_AT_START: u64 = 15;

#[tokio::test(flavor = "multi_thread")]
async fn random_kills_over_a_running_load_lose_nothing() {
    let of_environment = |name: &str, usual: u64| std::env::var(name).map_or(usual, |value| value.parse().expect(name));
    let (kills, seed) = (of_environment("KILLS", KILLS), of_environment("KILL_SEED", SEED));
    println!("{kills} kills; to repeat: KILLS={kills} KILL_SEED={seed} cargo test --test crash random_kills -- --nocapture");
    let folder = folder(&format!("kills-{seed}"));
    std::fs::create_dir_all(&folder).unwrap();
    let service = Service::start(&folder).await;
    let receiver = Receiver::start(&folder, Mood { refuses: 8, dawdles: 25 }, seed).await;
    let further = [
        ("PULSE_BRIDGE_UPSTREAM_SESSION_LIMIT", "4 s"),
        ("PULSE_BRIDGE_UPSTREAM_MAX_SESSIONS", "1000"),
        ("PULSE_BRIDGE_UPSTREAM_CONNECTS_PER_SECOND", "1000"),
    ];
    let place = Place::new(folder.clone(), &service.url, &receiver.url, &further);
    let load = Load::start("CAk", seed);
    let mut chance = Chance::new(seed);
    let mut at_start = 0;
    for _ in 0..kills {
        let mut bridge = place.spawn(None);
        if chance.percent(KILLED_AT_START) {
            at_start += 1;
            tokio::time::sleep(Duration::from_millis(chance.below(LONGEST_START_MS))).await;
        } else {
            load.tell(bridge::ready(&mut bridge).await);
            let longest = if chance.percent(LONG_LIVES) { LONGEST_LONG_LIFE_MS } else { LONGEST_LIFE_MS };
            tokio::time::sleep(Duration::from_millis(chance.below(longest))).await;
        }
        load.tell(None);
        bridge.kill();
    }
    println!("{kills} kills done, {at_start} of them while the bridge started");
    let (_bridge, address) = place.start(None).await;
    load.tell(Some(address));
    let spoken = load.stop().await;
    let mut known = bridge::calls(address).await;
    known.extend(receiver.started());
    let missing = receiver.until_completed(&known, 2 * PATIENCE).await;
    assert!(missing.is_empty(), "seed {seed}: no call.completed for {missing:?}; see {}", folder.display());
    let log = service.log().await;
    let cut = spoken.iter().filter(|spoken| !spoken.is_whole).count();
    println!("{} calls known to the bridge, {} spoken to, {cut} of them cut off", known.len(), spoken.len());
    let unheard = coverage::unheard(&log, &spoken, &known);
    judge(&folder, &log, &receiver.log, seed);
    assert!(unheard.is_empty(), "seed {seed}: the service never heard {unheard:#?}; see {}", folder.display());
    assert!(!place.has_panicked(), "seed {seed}: the bridge panicked; see {}", folder.display());
    std::fs::remove_dir_all(folder).unwrap();
}

fn judge(folder: &Path, log: &str, received: &Path, seed: u64) {
    let heard = folder.join("heard.json");
    std::fs::write(&heard, log).unwrap();
    let (report, passed) = verdict::of(&heard, received, "CAk");
    println!("{report}");
    assert!(passed, "seed {seed}: {report:#}; see {}", folder.display());
    assert!(report["words_told"].as_u64() > Some(0), "seed {seed}: nothing was said; see {}", folder.display());
}
