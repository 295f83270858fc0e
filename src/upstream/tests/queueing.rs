//! Waiting for a session of the plan.

use super::*;
use crate::upstream::Reason;

impl Rig {
    fn queue(&mut self) {
        self.link.handle_queued(self.now);
        self.drain();
    }

    fn grant(&mut self) {
        self.link.handle_granted(self.now);
        self.drain();
    }
}

fn too_many(retry_after: Option<u64>) -> Refusal {
    Refusal::RateLimited { retry_after: retry_after.map(Duration::from_secs), reason: Reason::default() }
}

#[test]
fn a_wait_for_a_slot_is_told_and_ends_in_a_dial() {
    let mut rig = Rig::new();
    rig.drain();
    rig.queue();
    rig.talk(3_000);
    rig.grant();
    assert_eq!(rig.said(""), ["connecting", "dial", "queued", "dial"]);
    rig.connect();
    rig.wait(2_000);
    assert_eq!(rig.sent(), samples(0..23_520 + 480));
}

#[test]
fn behind_the_end_a_wait_for_a_slot_is_no_outage() {
    let mut rig = Rig::new();
    rig.drain();
    rig.queue();
    rig.talk(3_000);
    rig.hang_up();
    rig.wait(20 * 60_000);
    rig.grant();
    rig.refuse(Refusal::Silent);
    rig.wait(500);
    assert_eq!(rig.said("left"), Vec::<&str>::new());
    rig.connect();
    rig.wait(2_000);
    rig.final_words("all of it", 0.0, 3.0);
    rig.last();
    assert!(rig.totals.is_some_and(|totals| totals.complete), "{:?}", rig.log);
}

#[test]
fn behind_the_end_waits_for_slots_are_bounded_all_together() {
    let mut rig = Rig::with(LinkSettings { slot_wait: Duration::from_secs(100), ..LinkSettings::default() });
    rig.drain();
    rig.queue();
    rig.talk(3_000);
    rig.hang_up();
    rig.wait(60_000);
    rig.grant();
    rig.refuse(too_many(None));
    rig.wait(39_000);
    rig.queue();
    assert_eq!(rig.said("left"), Vec::<&str>::new());
    rig.wait(2_000);
    assert_eq!((rig.said("left"), rig.when("left")), (vec!["left 0..3000quota"], Some(103_000)));
}

#[test]
fn who_was_refused_for_the_quota_waits_as_long_as_was_asked_for_even_behind_the_end() {
    let mut rig = Rig::new();
    rig.drain();
    rig.talk(3_000);
    rig.hang_up();
    rig.quietly().refuse(too_many(Some(200)));
    rig.grant();
    rig.wait(199_000);
    assert_eq!(rig.said(""), ["reconnecting 1 rate_limited"]);
    rig.wait(1_000);
    assert_eq!(rig.said("dial").len(), 1);
}

#[test]
fn a_track_that_is_not_to_be_streamed_is_left_whole() {
    let mut rig = Rig::with(LinkSettings { memory_ms: 0, ..LinkSettings::default() });
    rig.link.handle_unstreamed();
    rig.talk(90_000);
    assert!(rig.link.is_listening());
    rig.hang_up();
    assert_eq!(rig.said(""), ["connecting", "dial", "unstreamed", "closed", "left 0..90000quota", "done"]);
}

#[test]
fn the_older_asr_s_rate_limit_waits_for_a_slot_too() {
    let reason = Reason::before_a_call("Rate limit exceeded");
    let full = Refusal::Objection(crate::upstream::Objection { cause: crate::upstream::Cause::Quota, reason });
    assert!(full.is_quota() && full.to_string().contains("upstream.max_sessions"), "{full}");
    let mut rig = Rig::with(LinkSettings { slot_wait: Duration::from_secs(10), ..LinkSettings::default() });
    rig.drain();
    rig.talk(3_000);
    rig.refuse(full);
    rig.hang_up();
    rig.wait(1_000);
    rig.queue();
    rig.wait(11_000);
    assert_eq!(rig.said("left"), ["left 0..3000quota"]);
}
