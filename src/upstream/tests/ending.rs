//! How a link comes to its end.

use super::*;

const CLOSE: &str = r#"{"type":"close_stream"}"#;

#[test]
fn the_end_flushes_asks_and_waits_for_the_last_word() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.quietly().hang_up();
    assert_eq!(rig.log, ["3000 draining".to_owned(), format!("3000 {CLOSE}")]);
    rig.wait(900);
    rig.final_words("Good bye.", 2.0, 2.9);
    assert!(rig.totals.is_none());
    rig.last();
    assert_eq!(rig.said("")[2..], ["final 2000..2900 Good bye.", "covered 3000", "closed", "done"]);
    assert_eq!(
        rig.totals.unwrap(),
        Totals { sent_ms: 3_000, finalized_ms: 3_000, replayed_ms: 0, reconnects: 0, malformed: 0, complete: true }
    );
    assert!(rig.link.is_closed());
    assert_eq!(rig.link.poll_timeout(), None);
}

#[test]
fn the_last_word_may_carry_text() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.hang_up();
    rig.hear(&final_of("Good bye.", 2.0, 2.9, r#","is_last":true"#));
    assert_eq!(rig.said("final"), ["final 2000..2900 Good bye."]);
    assert!(rig.heard[0].flushed && rig.heard[0].covers == Offset(24_000));
    assert!(rig.totals.unwrap().complete);
}

#[test]
fn a_missing_last_word_is_asked_for_again_before_the_open_interim_is_promoted() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.hang_up();
    unanswered(&mut rig, |rig| rig.interim("good by"));
    assert_eq!(rig.said("provisional"), ["provisional 0..3000 good by"]);
    let totals = rig.totals.unwrap();
    assert!(totals.complete && totals.finalized_ms == 3_000);
    assert_eq!(totals.reconnects, 3, "it was asked on other connections before");
    assert!(rig.heard[0].provisional && rig.heard[0].flushed);
}

#[test]
fn a_service_that_is_behind_with_its_work_is_waited_for_as_long_as_it_gets_on() {
    let mut rig = Rig::open();
    rig.talk(90_000);
    rig.quietly().hang_up();
    for from in (0..84).step_by(4) {
        rig.wait(4_000);
        rig.final_words("and so on", f64::from(from) + 1.0, f64::from(from) + 3.0);
    }
    assert!(rig.totals.is_none() && rig.said("reconnecting").is_empty(), "{:?}", rig.log);
    rig.wait(4_000);
    rig.last();
    assert!(rig.totals.is_some_and(|totals| totals.complete && totals.reconnects == 0));
}

#[test]
fn a_service_that_says_that_it_works_on_the_last_words_is_waited_for_and_one_that_does_so_for_ever_is_not() {
    let mut rig = Rig::open();
    rig.talk(9_000);
    rig.quietly().hang_up();
    for _ in 0..45 {
        rig.wait(2_000);
        rig.hear(r#"{"type":"progress","session_id":"s","done":1.5}"#);
    }
    assert!(rig.totals.is_none() && rig.said("reconnecting").is_empty(), "{:?}", rig.log);
    rig.final_words("Good bye.", 6.0, 9.0);
    rig.last();
    assert!(rig.totals.is_some_and(|totals| totals.complete && totals.reconnects == 0));

    let mut rig = Rig::open();
    rig.talk(9_000);
    rig.quietly().hang_up();
    for _ in 0..(31 * 15) {
        rig.wait(4_000);
        rig.hear(r#"{"type":"progress"}"#);
    }
    assert!(!rig.said("reconnecting").is_empty(), "half an hour is enough: {:?}", rig.log);
}

#[test]
fn a_service_that_only_repeats_itself_is_not_waited_for_longer_than_after_a_loss() {
    let mut rig = Rig::open();
    rig.talk(9_000);
    rig.quietly().hang_up();
    for _ in 0..16 {
        rig.interim("and so on");
        rig.wait(4_000);
    }
    assert_eq!(rig.when("reconnecting"), Some(9_000 + 60_000), "{:?}", rig.log);
}

#[test]
fn what_a_service_has_not_got_to_is_left_over_though_it_said_finals_behind_the_end() {
    let mut rig = Rig::open();
    rig.talk(20_040);
    rig.hang_up();
    unanswered(&mut rig, |rig| rig.final_words("one", 0.5, 0.9));
    assert_eq!((rig.said("left"), rig.totals.unwrap().complete), (vec!["left 900..20040"], false), "{:?}", rig.log);
}

#[test]
fn a_farewell_that_got_on_does_not_count() {
    let mut rig = Rig::open();
    rig.talk(30_000);
    rig.hang_up();
    // From the third final on it gets no further.
    let finals = std::cell::RefCell::new([(1.0, 2.0), (5.0, 6.0), (9.0, 10.0)].into_iter());
    unanswered(&mut rig, |rig| {
        if let Some((from, to)) = finals.borrow_mut().next() {
            rig.final_words("and so on", from, to);
        }
    });
    assert_eq!((rig.said("left"), rig.totals.unwrap().reconnects), (vec!["left 10000..30000"], 5), "{:?}", rig.log);
}

#[test]
fn a_missing_last_word_alone_is_no_gap() {
    let mut rig = Rig::open();
    rig.talk(1_020);
    rig.final_words("Hello.", 0.5, 1.0);
    for _ in 0..30 {
        rig.wait(60);
        rig.push(vec![0xFF; 480].into());
    }
    rig.hang_up();
    rig.wait(5_000);
    assert!(rig.said("left").is_empty());
    assert!(rig.totals.unwrap().complete);
}

#[test]
fn a_service_that_never_said_a_word_has_heard_nothing() {
    for (heard, spoken_ms, gap) in
        [(false, 20_040, Some("left 0..20040")), (true, 9_000, Some("left 1000..9000")), (true, 3_000, Some("left 1000..3000"))]
    {
        let mut rig = Rig::open();
        rig.talk(1_200);
        if heard {
            rig.final_words("Hello.", 0.5, 1.0);
        }
        rig.talk(spoken_ms - 1_200);
        rig.hang_up();
        unanswered(&mut rig, |_| {});
        assert_eq!(rig.said("left"), Vec::from_iter(gap), "{heard} {spoken_ms}");
        assert_eq!(rig.totals.unwrap().complete, gap.is_none());
    }
}

#[test]
fn a_silent_line_needs_no_word() {
    let mut rig = Rig::open();
    for _ in 0..200 {
        rig.wait(60);
        rig.push(vec![0xFF; 480].into());
    }
    rig.hang_up();
    rig.wait(5_000);
    assert!(rig.said("gap").is_empty() && rig.totals.unwrap().complete);
}

#[test]
fn a_service_that_falls_silent_in_the_middle_of_an_utterance_has_not_heard_the_rest() {
    for goes_on in [false, true] {
        let mut rig = Rig::open();
        rig.talk(1_200);
        rig.interim("my number is");
        rig.talk(6_000);
        rig.hang_up();
        unanswered(&mut rig, |rig| {
            if goes_on {
                rig.interim("my number is");
            }
        });
        assert_eq!(rig.said("provisional").len(), 1);
        let left = if goes_on { vec![] } else { vec!["left 0..7200"] };
        assert_eq!((rig.said("left"), rig.totals.unwrap().complete), (left, goes_on));
    }
}

#[test]
fn a_close_in_place_of_the_last_word_is_the_end_too_if_it_comes_again() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.hang_up();
    unanswered(&mut rig, |rig| {
        rig.interim("good by");
        rig.lose(closed(1000));
    });
    assert_eq!(rig.said("provisional").len(), 1);
    assert!(rig.totals.unwrap().complete);
}

#[test]
fn a_drop_while_draining_is_opened_again_and_replayed() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.interim("good by");
    rig.hang_up();
    rig.lose(Lost::Broken);
    assert!(rig.totals.is_none());
    rig.quietly().wait(500);
    rig.connect();
    rig.wait(2_000);
    assert_eq!(rig.sent(), samples(0..24_000));
    assert_eq!(rig.said("{"), [CLOSE]);
    rig.final_words("Good bye.", 2.0, 2.9);
    rig.last();
    assert!(rig.said("provisional").is_empty());
    let totals = rig.totals.unwrap();
    assert_eq!((totals.complete, totals.reconnects, totals.replayed_ms, totals.sent_ms), (true, 1, 3_000, 3_000));
}

#[test]
fn a_service_that_stays_away_costs_the_drain_limit_and_no_more() {
    let mut rig = Rig::open();
    rig.talk(1_200);
    rig.final_words("Hello.", 0.2, 0.6);
    rig.talk(1_200);
    rig.interim("good by");
    rig.talk(600);
    rig.hang_up();
    rig.lose(Lost::Broken);
    for _ in 0..60 {
        rig.wait(1_000);
        rig.refuse(Refusal::Unreachable { reason: Reason::default() });
    }
    rig.wait(5_000);
    assert_eq!(rig.said("provisional"), ["provisional 600..2400 good by"]);
    assert_eq!(rig.said("left"), ["left 600..3000"]);
    assert!(!rig.totals.unwrap().complete);
    assert!(rig.when("done").unwrap() <= 3_000 + 60_000, "{:?}", rig.log);
}

#[test]
fn a_dial_that_hangs_is_given_up_at_the_drain_limit() {
    let mut rig = Rig::new();
    rig.talk(3_000);
    rig.hang_up();
    rig.quietly().wait(60_000);
    assert_eq!(rig.log, ["63000 hangup", "63000 closed", "63000 left 0..3000", "63000 done"]);
}

#[test]
fn a_link_that_never_got_audio_ends_at_once_and_complete() {
    for mut rig in [Rig::new(), Rig::open()] {
        rig.hang_up();
        assert_eq!(rig.said("")[rig.log.len() - 2..], ["closed", "done"]);
        assert!(rig.totals.unwrap().complete);
    }
}

#[test]
fn a_drop_with_everything_final_ends_at_once() {
    let mut rig = Rig::open();
    rig.talk(2_400);
    rig.silence(600);
    rig.link.handle_finalize(rig.now);
    rig.drain();
    rig.hear(&final_of("Good bye.", 1.0, 2.0, r#","from_finalize":true"#));
    rig.lose(Lost::Broken);
    rig.hang_up();
    assert!(rig.totals.unwrap().complete);
    assert_eq!(rig.said("dial").len(), 1);
}

#[test]
fn a_fatal_refusal_while_draining_leaves_the_rest_over() {
    let mut rig = Rig::new();
    rig.talk(600);
    rig.hang_up();
    rig.refuse(Refusal::BadKey { reason: Reason::default() });
    assert_eq!(rig.said("")[3..], ["refused", "closed", "left 0..600", "done"]);
}

#[test]
fn a_call_that_was_never_answered_is_an_error_not_an_empty_transcript() {
    let mut rig = Rig::open();
    rig.talk(600);
    rig.hang_up();
    rig.lose(closed(1000));
    assert_eq!(rig.said("reconnecting"), ["reconnecting 1 closed_before_message"]);
    rig.wait(70_000);
    assert_eq!(rig.said("left"), ["left 0..600"]);
}

#[test]
fn the_rest_of_an_outage_is_sent_before_the_stream_is_closed() {
    let mut rig = Rig::new();
    rig.talk(6_000);
    rig.hang_up();
    rig.connect();
    assert!(rig.said("{").is_empty());
    rig.wait(3_000);
    assert_eq!(rig.sent(), samples(0..48_000));
    assert_eq!(rig.said("{"), [CLOSE]);
}

#[test]
fn nothing_wakes_or_moves_a_closed_link() {
    let mut rig = Rig::open();
    rig.talk(600);
    rig.hang_up();
    rig.last();
    rig.quietly().chunk(60);
    rig.hang_up();
    rig.connect();
    rig.lose(Lost::Broken);
    rig.refuse(Refusal::Silent);
    rig.interim("late");
    rig.covered(600);
    rig.wait(100_000);
    assert!(rig.log.is_empty() && rig.audio.is_empty());
    assert_eq!(rig.link.state(), "closed");
}

/// The service never says its last word: not on this connection, and not on any that follows. On each it says so much.
fn unanswered(rig: &mut Rig, says: impl Fn(&mut Rig)) {
    for _ in 0..8 {
        let (dials, closes) = (rig.said("dial").len(), rig.said("{").len());
        says(rig);
        for _ in 0..100 {
            if rig.totals.is_some() || rig.said("dial").len() > dials {
                break;
            }
            rig.wait(100);
        }
        if rig.totals.is_some() {
            return;
        }
        rig.connect();
        for _ in 0..300 {
            if rig.said("{").len() > closes {
                break;
            }
            rig.wait(100);
        }
    }
    panic!("it never gives up: {:?}", rig.log);
}
