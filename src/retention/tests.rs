//! Sweeps in virtual time over a store of numbers.

use super::*;

const DAY_MS: u64 = 86_400_000;
const NOW_MS: u64 = 1_000 * DAY_MS;

fn retention() -> Retention {
    let days = |days: u64| Duration::from_hours(24 * days);
    Retention { calls: days(30), attempts: days(10), parked: days(90) }
}

/// A sweep, its clock, and how many of each kind are old enough.
struct Stage {
    sweep: Sweep,
    start: Instant,
    now: Instant,
    old: [u64; 4],
    steps: Vec<(Kind, u64)>,
    told: Vec<String>,
    fails: usize,
}

impl Stage {
    fn new(old: [u64; 4]) -> Self {
        let now = crate::clock::now();
        let sweep = Sweep::new(retention(), now);
        Self { sweep, start: now, now, old, steps: Vec::new(), told: Vec::new(), fails: 0 }
    }

    /// Until this time has passed.
    fn run(&mut self, until: Duration) {
        while let Some(at) = self.sweep.poll_timeout().filter(|at| *at <= self.start + until) {
            self.now = self.now.max(at);
            let passed = u64::try_from((self.now - self.start).as_millis()).unwrap();
            self.sweep.handle_timeout(self.now, NOW_MS + passed);
            while let Some(output) = self.sweep.poll_output() {
                match output {
                    Output::Tell(removed) => self.told.push(removed.to_string()),
                    Output::Remove { .. } if self.fails > 0 => {
                        self.fails -= 1;
                        self.sweep.handle_failed(self.now);
                    }
                    Output::Remove { kind, before_wall_ms } => {
                        let old = &mut self.old[kind as usize];
                        let removed = (*old).min(u64::from(STEP_ROWS));
                        *old -= removed;
                        self.steps.push((kind, before_wall_ms));
                        self.sweep.handle_removed(Step { removed, more: removed == u64::from(STEP_ROWS) }, self.now);
                    }
                }
            }
        }
    }
}

#[test]
fn a_sweep_asks_for_each_kind_in_order_by_its_own_age() {
    let mut stage = Stage::new([0; 4]);
    stage.run(Duration::from_mins(1));
    let days = |days: u64| NOW_MS - days * DAY_MS;
    assert_eq!(
        stage.steps,
        [(Kind::Parked, days(90)), (Kind::Calls, days(30)), (Kind::Attempts, days(10)), (Kind::Audio, NOW_MS)]
    );
    assert!(stage.told.is_empty(), "nothing is nothing to tell");
}

#[test]
fn a_lot_goes_in_steps_with_rests_between_and_is_told_in_one_line() {
    let mut stage = Stage::new([3, 1_200, 500, 2]);
    stage.run(Duration::from_millis(50));
    assert_eq!(stage.steps.len(), 3, "the writer rests between two");
    stage.run(Duration::from_mins(1));
    let kinds: Vec<Kind> = stage.steps.iter().map(|(kind, _)| *kind).collect();
    let (calls, attempts) = (Kind::Calls, Kind::Attempts);
    assert_eq!(kinds, [Kind::Parked, calls, calls, calls, attempts, attempts, Kind::Audio]);
    assert!(stage.steps.iter().all(|(kind, before)| *kind != calls || *before == NOW_MS - 30 * DAY_MS), "its end does not move");
    assert_eq!(stage.told, ["1200 calls, 3 parked deliveries, 500 attempts, the audio of 2 sessions"]);
    assert_eq!(stage.old, [0; 4]);
}

#[test]
fn it_comes_again_each_hour_and_counts_anew() {
    let mut stage = Stage::new([0, 1, 0, 0]);
    stage.run(EVERY.saturating_sub(Duration::from_millis(1)));
    assert_eq!(stage.steps.len(), 4);
    stage.old[1] = 2;
    stage.run(EVERY * 2 + Duration::from_mins(1));
    assert_eq!(stage.steps.len(), 12);
    assert_eq!(stage.told.len(), 2);
    assert!(stage.told[1].starts_with("2 calls, "), "{:?}", stage.told);
    assert_eq!(stage.steps[4].1, NOW_MS + 3_600_000 - 90 * DAY_MS);
}

#[test]
fn a_store_that_fails_is_asked_the_same_again_after_a_rest() {
    let mut stage = Stage::new([1, 1, 1, 1]);
    stage.fails = 3;
    stage.run((FAILED_REST * 3).saturating_sub(Duration::from_millis(1)));
    assert!(stage.steps.is_empty());
    stage.run(FAILED_REST * 4);
    assert_eq!(stage.steps.len(), 4);
    assert_eq!(stage.told.len(), 1);
}
