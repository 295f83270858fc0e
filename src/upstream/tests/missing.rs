//! Finals that never come, come late, or come twice.

use super::*;

fn reconnect(rig: &mut Rig) {
    rig.wait(500);
    rig.quietly().connect();
}

/// Two segments; interims of both, but only the second one's final.
fn miss(rig: &mut Rig) {
    rig.talk(1_800);
    rig.interim("my number is");
    rig.talk(1_200);
    rig.interim("my number is five two");
    rig.talk(1_800);
    rig.interim("what is");
    rig.talk(1_200);
    rig.hear(&final_of("What is yours?", 4.0, 5.4, ""));
    rig.wait(0);
}

#[test]
fn words_that_were_shown_and_are_in_no_final_are_sent_again() {
    let mut rig = Rig::open();
    miss(&mut rig);
    assert!(rig.said("final").is_empty());
    assert_eq!(rig.said("reconnecting"), ["reconnecting 1 missing_final"]);
    reconnect(&mut rig);
    rig.talk(6_000);
    assert_eq!(rig.sent()[..6_000 * 8], samples(0..6_000 * 8));
    rig.hear(&final_of("My number is five two.", 0.4, 2.8, ""));
    rig.hear(&final_of("What is yours?", 4.0, 5.4, ""));
    assert_eq!(rig.said("final"), ["final 400..2800 My number is five two.", "final 4000..5400 What is yours?"]);
    assert!(rig.said("reconnecting").is_empty());
}

#[test]
fn a_final_that_stays_away_is_replaced_by_what_was_shown_in_its_place() {
    let mut rig = Rig::open();
    rig.talk(8_000);
    rig.lose(Lost::Broken);
    for tries in 0..3 {
        reconnect(&mut rig);
        rig.wait(1_000);
        rig.interim("my number is five two");
        rig.wait(3_000);
        assert!(rig.heard.is_empty(), "try {tries}");
        rig.hear(&final_of("What is yours?", 4.0, 5.4, ""));
    }
    let told: Vec<&str> = rig.said("").into_iter().filter(|word| word.starts_with("final") || word.starts_with("prov")).collect();
    assert_eq!(told, ["provisional 0..2040 my number is five two", "final 4000..5400 What is yours?"]);
    assert!(rig.heard[0].covers <= Offset(4_000 * 8));
}

#[test]
fn without_a_voice_in_the_stretch_nothing_is_missing() {
    let mut rig = Rig::open();
    rig.silence(1_800);
    rig.interim("thank you very much");
    rig.silence(1_200);
    rig.talk(3_000);
    rig.hear(&final_of("What is yours?", 3.0, 5.4, ""));
    assert_eq!(rig.said("final"), ["final 3000..5400 What is yours?"]);
}

#[test]
fn a_last_final_that_is_missing_is_asked_for_over_another_connection() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.interim("good bye then");
    rig.hang_up();
    rig.last();
    rig.wait(0);
    assert_eq!(rig.said("reconnecting"), ["reconnecting 1 missing_final"]);
    reconnect(&mut rig);
    rig.wait(2_000);
    rig.hear(&final_of("Good bye then.", 1.0, 2.0, ""));
    rig.last();
    assert_eq!(rig.said("final"), ["final 1000..2000 Good bye then."]);
    assert!(rig.totals.unwrap().complete);
}

#[test]
fn a_late_final_leaves_what_is_being_said_open() {
    let mut rig = Rig::open();
    rig.talk(1_800);
    rig.interim("my number is");
    rig.talk(4_200);
    rig.interim("what is yours");
    rig.hear(&final_of("My number is five two.", 0.4, 2.8, ""));
    rig.hang_up();
    rig.wait(70_000);
    assert_eq!(rig.said("final"), ["final 400..2800 My number is five two."]);
    assert_eq!(rig.said("provisional"), ["provisional 2800..6000 what is yours"]);
}

#[test]
fn a_final_that_comes_twice_closes_only_its_own_segment() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.final_words("one two", 1.0, 2.0);
    rig.talk(1_200);
    rig.interim("three four");
    rig.final_words("one two", 1.0, 2.0);
    rig.hang_up();
    rig.wait(70_000);
    assert_eq!(rig.said("provisional").len(), 1);
}
