//! Refusals, drops, backoff, replay.

use super::*;

fn why(text: &str) -> Reason {
    Reason::before_a_call(text)
}

/// Lets the link lose its connection and dial again.
fn reconnect(rig: &mut Rig) {
    rig.lose(Lost::Broken);
    rig.wait(500);
    rig.connect();
}

#[test]
fn reconnect_resends_audio_without_a_final() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.final_words("Hello there.", 0.5, 1.5);
    rig.covered(1_500);
    rig.quietly();
    reconnect(&mut rig);
    rig.wait(2_000);
    assert_eq!(rig.sent(), samples(2_800..24_000), "the words that were told, and on from the mark in the middle of a chunk");
    assert_eq!(rig.log, ["3000 reconnecting 1 dropped", "3500 dial", "3500 live"]);
}

#[test]
fn audio_of_the_outage_follows_the_replay_in_order() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.quietly().lose(Lost::Broken);
    rig.talk(3_000);
    rig.connect();
    rig.talk(9_000);
    assert_eq!(rig.sent(), samples(0..15_000 * 8));
    assert!(rig.said("gap").is_empty());
}

#[test]
fn replayed_words_that_a_final_had_are_dropped_and_the_text_is_made_of_the_rest() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.final_words("one two three", 0.5, 2.0);
    reconnect(&mut rig);
    rig.wait(3_000);
    // The same audio again, cut differently: "three" ended at 2.0 s.
    rig.final_words("two three four five", 1.0, 3.0);
    assert_eq!(rig.said("final"), ["final 500..2000 one two three", "final 2000..3000 four five"]);
    assert_eq!(rig.heard[1].connection, 1);
    assert_eq!(rig.heard[1].words.len(), 2);
}

#[test]
fn a_replayed_final_with_nothing_new_makes_no_second_one() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.final_words("one two three", 0.5, 2.0);
    reconnect(&mut rig);
    rig.wait(3_000);
    rig.final_words("one two three", 0.52, 2.02);
    assert_eq!(rig.said("final").len(), 1);
    assert_eq!(rig.said("covered"), ["covered 2020"]);
}

#[test]
fn within_one_connection_no_word_is_dropped_by_its_time() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.final_words("one two", 1.0, 2.0);
    rig.final_words("three", 0.1, 0.3);
    assert_eq!(rig.said("final").len(), 2, "a service that restarts its clock for each segment loses nothing");
}

#[test]
fn without_words_only_what_may_not_have_been_decoded_is_sent_again() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.hear(r#"{"transcript":"Hello there.","is_final":true}"#);
    rig.talk(1_200);
    rig.quietly();
    reconnect(&mut rig);
    rig.wait(2_000);
    assert_eq!(rig.sent(), samples(8_000..33_600));
}

#[test]
fn times_of_a_later_connection_count_from_its_first_byte() {
    let mut rig = Rig::open();
    rig.talk(6_000);
    rig.final_words("one", 1.0, 2.0);
    rig.covered(2_000);
    reconnect(&mut rig);
    rig.wait(4_000);
    // Its first byte is 150 ms before the first word that was told.
    rig.hear(&final_of("two", 2.15, 2.65, ""));
    assert_eq!(rig.said("final"), ["final 1000..2000 one", "final 3000..3500 two"]);
}

#[test]
fn silence_forgotten_after_it_was_sent_is_no_gap() {
    let mut rig = Rig::open();
    for _ in 0..600 {
        rig.wait(60);
        rig.push(Bytes::from_static(&[0xFF; 480]));
    }
    reconnect(&mut rig);
    assert!(rig.said("gap").is_empty());
}

#[test]
fn failures_wait_longer_each_time_up_to_the_cap() {
    let mut rig = Rig::new();
    for _ in 0..9 {
        rig.refuse(Refusal::Unreachable { reason: why("refused") });
        rig.wait(31_000);
    }
    let tries: Vec<_> = rig.log.iter().filter(|line| line.contains("reconnecting")).collect();
    assert_eq!(tries.len(), 9);
    assert!(tries[8].ends_with("reconnecting 9 unreachable"));
    rig.refuse(Refusal::Unreachable { reason: why("refused") });
    let before = rig.now;
    assert_eq!(rig.link.state(), "reconnecting");
    let due = rig.link.poll_timeout().unwrap().duration_since(before);
    assert!(due <= Duration::from_secs(5) && due > Duration::from_secs(4), "{due:?}");
}

#[test]
fn a_connection_that_dies_young_and_dumb_is_one_more_failure() {
    let mut rig = Rig::open();
    rig.wait(4_900);
    rig.lose(closed(1006));
    rig.wait(500);
    rig.connect();
    rig.wait(1_000);
    rig.lose(closed(1006));
    assert_eq!(rig.said("reconnecting"), ["reconnecting 1 closed_before_message", "reconnecting 2 closed_before_message"]);
}

#[test]
fn a_word_of_the_service_or_a_few_seconds_start_the_backoff_over() {
    let mut rig = Rig::open();
    rig.lose(closed(1006));
    rig.wait(500);
    rig.connect();
    rig.interim("hello");
    rig.lose(closed(1011));
    assert_eq!(rig.said("reconnecting").last(), Some(&"reconnecting 1 dropped"));
    rig.wait(500);
    rig.connect();
    rig.wait(5_000);
    rig.lose(closed(1011));
    assert_eq!(rig.said("reconnecting").last(), Some(&"reconnecting 1 closed_before_message"));
}

#[test]
fn retry_after_is_honoured() {
    let mut rig = Rig::new();
    rig.refuse(Refusal::RateLimited { retry_after: Some(Duration::from_secs(7)), reason: why("") });
    rig.wait(6_999);
    assert_eq!(rig.said("dial").len(), 1);
    rig.wait(1);
    assert_eq!(rig.said("dial").len(), 2);
}

#[test]
fn policy_closes_are_named_and_tried_again() {
    let mut rig = Rig::open();
    rig.lose(closed(1008));
    assert_eq!(rig.said("reconnecting"), ["reconnecting 1 policy"]);
    rig.wait(500);
    assert_eq!(rig.said("dial").len(), 2);
}

#[test]
fn a_fatal_refusal_takes_audio_to_its_end_and_gives_all_of_it_up() {
    for fatal in [
        Refusal::BadKey { reason: why("unauthorized") },
        Refusal::BadRequest { reason: why("model") },
        Refusal::Forbidden { reason: why("plan"), flags: Flags::default() },
        Refusal::Language { reason: why("ja") },
    ] {
        let mut rig = Rig::new();
        rig.talk(600);
        rig.refuse(fatal);
        rig.talk(60_000);
        assert_eq!(rig.said("dial").len(), 1, "never tried again");
        rig.hang_up();
        assert_eq!(rig.said(""), ["connecting", "dial", "refused", "closed", "left 0..60600", "done"]);
        assert!(!rig.totals.unwrap().complete);
    }
}

#[test]
fn an_error_message_drops_the_connection_and_the_next_one_replays() {
    let mut rig = Rig::open();
    rig.talk(600);
    rig.hear(r#"{"type":"error","status":"error","message":"Invalid audio"}"#);
    rig.wait(500);
    assert_eq!(rig.log[3..], ["600 hangup", "600 reconnecting 1 error_frame", "1100 dial"]);
    rig.quietly().connect();
    rig.wait(600);
    assert_eq!(rig.sent(), samples(0..4_800));
}

#[test]
fn a_language_that_the_region_lacks_is_fatal() {
    let mut rig = Rig::open();
    rig.hear(r#"{"type":"error","error_code":"LANGUAGE_NOT_ENABLED_IN_REGION","message":"ja is not served here"}"#);
    assert_eq!(rig.said(""), ["connecting", "dial", "live", "hangup", "refused"]);
    rig.wait(100_000);
    assert_eq!(rig.said("dial").len(), 1);
}

#[test]
fn a_service_that_ends_the_stream_by_itself_gets_another_one() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.hear(r#"{"transcript":"","is_final":true,"is_last":true}"#);
    rig.wait(500);
    assert_eq!(rig.said("reconnecting"), ["reconnecting 1 ended"]);
    assert_eq!(rig.said("dial").len(), 2);
}

#[test]
fn interims_of_replayed_words_are_not_told_again() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.final_words("one two three", 0.5, 3.0);
    reconnect(&mut rig);
    rig.wait(600);
    rig.quietly().interim("one two");
    assert!(rig.log.is_empty());
    rig.wait(2_000);
    rig.talk(600);
    rig.interim("three four");
    assert_eq!(rig.said("interim"), ["interim four"]);
}

#[test]
fn an_interim_that_begins_with_words_of_an_unstored_final_says_only_what_is_new() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.final_words("one two three", 0.5, 2.0);
    reconnect(&mut rig);
    rig.covered(2_000);
    rig.talk(1_200);
    rig.hang_up();
    rig.wait(1_000);
    rig.interim("one two");
    rig.interim("Two, three fo");
    rig.wait(70_000);
    assert_eq!(rig.said("final"), ["final 500..2000 one two three"]);
    assert_eq!(rig.said("provisional"), ["provisional 2000..4200 fo"]);
}

#[test]
fn words_that_were_open_when_the_connection_went_outlive_an_interim_that_says_nothing_new() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.final_words("one two three", 0.5, 2.0);
    rig.interim("four five");
    reconnect(&mut rig);
    rig.talk(3_000);
    rig.interim("two three");
    rig.hang_up();
    rig.wait(70_000);
    assert_eq!(rig.said("provisional").len(), 1);
    assert!(rig.said("provisional")[0].ends_with("four five"), "{:?}", rig.log);
}

#[test]
fn without_word_times_what_comes_again_is_known_by_its_text() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.hear(r#"{"transcript":"I said yes","is_final":true}"#);
    reconnect(&mut rig);
    rig.talk(2_400);
    rig.interim("yes I do");
    rig.hear(r#"{"transcript":"Yes, I do.","is_final":true}"#);
    assert_eq!(rig.said("interim"), ["interim I do"]);
    assert_eq!(rig.said("final")[1], "final 3000..5400 I do.");
    rig.talk(1_200);
    rig.hear(r#"{"transcript":"Yes.","is_final":true}"#);
    assert_eq!(rig.said("final")[2], "final 5400..6600 Yes.", "what was said since is said again");
}
