//! The machine in virtual time, with a disk of numbers.

use super::*;

const MIB: u64 = 1 << 20;
const SETTINGS: config::Disk = config::Disk { reserve: 64 * MIB, min_free: 256 * MIB };

/// A disk whose free space a test sets; the reserve takes its part of it.
struct Stage {
    disk: Disk,
    free: u64,
    now: Instant,
    told: Vec<bool>,
    gave_up: usize,
    made: usize,
    can_make: bool,
}

impl Stage {
    fn new(settings: config::Disk, free: u64) -> Self {
        let now = crate::clock::now();
        let mut stage =
            Self { disk: Disk::new(settings, false), free, now, told: Vec::new(), gave_up: 0, made: 0, can_make: true };
        stage.look(Writes::Fine);
        stage
    }

    fn look(&mut self, writes: Writes) {
        self.now += LOOK_EVERY;
        self.disk.handle_look(Look { free: Some(self.free), writes }, self.now);
        while let Some(output) = self.disk.poll_output() {
            match output {
                Output::Make => {
                    let reserve = if self.can_make { self.disk.settings.reserve } else { 0 };
                    self.free = self.free.checked_sub(reserve).expect("it is made where there is space");
                    self.made += usize::from(self.can_make);
                    self.disk.handle_made(self.can_make, Some(self.free));
                }
                Output::GiveUp => (self.free, self.gave_up) = (self.free + self.disk.settings.reserve, self.gave_up + 1),
                Output::Tell(standing) => self.told.push(standing.is_nearly_full()),
            }
        }
    }

    fn seconds(&mut self, seconds: usize) {
        (0..seconds).for_each(|_| self.look(Writes::Fine));
    }

    fn refuses(&self) -> bool {
        self.disk.standing().is_nearly_full()
    }
}

#[test]
fn below_the_bound_calls_are_refused_and_told_once_and_taken_again_above_it_with_some_slack() {
    let mut stage = Stage::new(SETTINGS, 1000 * MIB);
    assert_eq!((stage.made, stage.free, stage.refuses()), (1, 936 * MIB, false));
    for (free, refuses) in [(256 * MIB, false), (256 * MIB - 1, true), (256 * MIB, true), (271 * MIB, true), (272 * MIB, false)] {
        stage.free = free;
        stage.seconds(3);
        assert_eq!(stage.refuses(), refuses, "{free}");
    }
    assert_eq!(stage.told, [true, false]);
    assert_eq!((stage.made, stage.gave_up), (1, 0), "nothing failed, so nothing is given up");
}

#[test]
fn a_full_disk_gets_the_reserve_and_it_is_made_anew_when_there_is_space() {
    let mut stage = Stage::new(SETTINGS, 1000 * MIB);
    stage.free = 0;
    stage.look(Writes::Full);
    assert_eq!((stage.gave_up, stage.free), (1, 64 * MIB));
    stage.look(Writes::Full);
    assert_eq!(stage.gave_up, 1, "there is one");
    stage.seconds(60);
    assert!(stage.refuses() && stage.made == 1, "there is no space for it yet");
    stage.free = 319 * MIB;
    stage.seconds(20);
    assert!(stage.refuses() && stage.made == 1, "not beside what must be free");
    stage.free = 340 * MIB;
    stage.seconds(1);
    assert_eq!((stage.made, stage.refuses(), stage.free), (2, false, 276 * MIB));
    assert_eq!(stage.told, [true, false]);
}

#[test]
fn a_share_that_is_full_on_a_disk_that_is_not_is_a_full_disk() {
    let mut stage = Stage::new(SETTINGS, 100_000 * MIB);
    stage.look(Writes::Full);
    assert!(stage.gave_up == 1 && stage.refuses());
    stage.seconds(9);
    assert!(stage.refuses() && stage.made == 1, "it rests before it takes space again");
    stage.seconds(1);
    assert!(!stage.refuses() && stage.made == 2);
}

#[test]
fn a_write_that_fails_for_another_reason_gives_nothing_up_unless_nothing_is_left() {
    let mut stage = Stage::new(SETTINGS, 1000 * MIB);
    stage.look(Writes::Failing);
    assert!(stage.gave_up == 0 && !stage.refuses());
    stage.free = MIB - 1;
    stage.look(Writes::Failing);
    assert!(stage.gave_up == 1 && stage.refuses());
}

#[test]
fn a_disk_that_is_nearly_full_at_the_start_refuses_and_is_not_filled_with_a_reserve() {
    let mut stage = Stage::new(SETTINGS, 300 * MIB);
    stage.seconds(30);
    assert!(stage.refuses() && stage.made == 0);
    assert_eq!(stage.told, [true]);
    let said = stage.disk.standing().to_string();
    assert!(
        said.starts_with("the disk of data_dir is nearly full: 300 MiB free, calls are taken from 320 MiB on; make room"),
        "{said}"
    );
}

#[test]
fn a_reserve_that_cannot_be_made_is_tried_again_and_keeps_no_call_out() {
    let mut stage = Stage::new(SETTINGS, 1000 * MIB);
    let mut refused = Stage { disk: Disk::new(SETTINGS, false), can_make: false, made: 0, ..Stage::new(SETTINGS, 1000 * MIB) };
    refused.seconds(5);
    assert!(!refused.refuses() && refused.made == 0);
    refused.can_make = true;
    refused.seconds(10);
    assert_eq!(refused.made, 1);
    stage.disk = Disk::new(SETTINGS, true);
    stage.seconds(5);
    assert_eq!(stage.made, 1, "an earlier run's is as good");
}

#[test]
fn what_is_switched_off_or_cannot_be_measured_refuses_nothing() {
    let mut off = Stage::new(config::Disk { reserve: 0, min_free: 0 }, 10);
    off.seconds(3);
    off.look(Writes::Full);
    assert!(!off.refuses() && off.made == 0 && off.gave_up == 0 && off.told.is_empty());
    let mut unmeasured = Disk::new(SETTINGS, false);
    unmeasured.handle_look(Look { free: None, writes: Writes::Fine }, crate::clock::now());
    assert_eq!((unmeasured.poll_output(), unmeasured.standing()), (None, Standing::Enough { free: None }));
    let mut stage = Stage::new(SETTINGS, 10 * MIB);
    stage.disk.handle_look(Look { free: None, writes: Writes::Fine }, stage.now);
    assert!(stage.refuses(), "not knowing is no space");
}
