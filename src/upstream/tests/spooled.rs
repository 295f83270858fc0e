//! What memory has not comes from the spool; what is not there either is told; a long backlog has its time at the end.

use super::*;
use crate::{pii::Unredacted, upstream::KnownWord};

#[test]
fn what_memory_forgot_is_sent_from_the_spool_in_order_and_at_the_speed_of_a_replay() {
    let mut rig = Rig::patient();
    rig.talk(3_000);
    rig.lose(Lost::Broken);
    rig.wait(500);
    rig.talk(40_020);
    rig.quietly().connect();
    let begun = rig.now;
    rig.talk(43_200);
    assert_eq!(rig.sent(), samples(0..rig.offset));
    assert!(rig.said("gap").is_empty() && rig.fetched.len() > 5, "{:?}", rig.fetched);
    let caught_up = rig.audio.iter().find(|(_, audio)| audio.last() == Some(&sample(43_020 * 8 - 1))).map(|(at, _)| *at);
    let took = caught_up.unwrap() - u64::try_from(begun.duration_since(rig.start).as_millis()).unwrap();
    assert!(took <= 43_020 / 2 + 60, "no read was waited for: {took} ms");
}

#[test]
fn a_long_sentence_forgotten_on_a_live_connection_is_sent_again_if_that_is_lost() {
    let mut rig = Rig::patient();
    rig.talk(30_000);
    rig.lose(Lost::Broken);
    rig.wait(500);
    rig.quietly().connect();
    rig.wait(16_000);
    assert_eq!(rig.sent(), samples(0..30_000 * 8));
    assert!(rig.said("gap").is_empty());
}

#[test]
fn a_stretch_that_never_reached_the_link_is_fetched() {
    let mut rig = Rig::patient();
    rig.talk(600);
    rig.miss(300);
    rig.talk(600);
    rig.hang_up();
    assert_eq!(rig.sent(), samples(0..12_000));
    rig.last();
    assert!(rig.said("gap").is_empty() && rig.totals.unwrap().complete);
}

#[test]
fn the_last_audio_is_fetched_where_it_never_reached_the_link() {
    let mut rig = Rig::patient();
    rig.talk(600);
    rig.miss(300);
    rig.link.handle_spooled(Offset(rig.offset), rig.now);
    rig.hang_up();
    assert_eq!(rig.sent(), samples(0..7_200));
    rig.last();
    let totals = rig.totals.unwrap();
    assert!(totals.complete && totals.finalized_ms == 900);
    let mut refused = Rig::new();
    refused.talk(600);
    refused.refuse(Refusal::BadKey { reason: Reason::default() });
    refused.miss(300);
    refused.link.handle_spooled(Offset(refused.offset), refused.now);
    refused.hang_up();
    assert_eq!(refused.said("left"), ["left 0..900"]);
}

#[test]
fn a_stretch_that_the_spool_has_not_either_is_a_gap_told_once() {
    let mut rig = Rig::patient();
    rig.talk(600);
    rig.offset += 300 * 8;
    rig.talk(600);
    for _ in 0..2 {
        rig.lose(Lost::Broken);
        rig.wait(1_000);
        rig.connect();
        rig.wait(2_000);
    }
    rig.hang_up();
    rig.last();
    assert_eq!(rig.said("gap"), ["gap 600..900"]);
    assert!(!rig.totals.unwrap().complete);
}

#[test]
fn a_gap_moves_the_mark_only_where_finals_have_come_for_all_before_it() {
    for (spoken, covers) in [(0.6, 900), (0.3, 300)] {
        let mut rig = Rig::patient();
        rig.talk(600);
        rig.final_words("hello", 0.0, spoken);
        rig.offset += 300 * 8;
        rig.talk(600);
        assert_eq!(rig.gaps, [(Offset(covers * 8), "gap 600..900".to_owned())]);
    }
}

#[test]
fn audio_that_is_not_written_yet_is_waited_for() {
    let mut rig = Rig::patient();
    rig.talk(3_000);
    rig.lose(Lost::Broken);
    rig.wait(500);
    rig.talk(20_040);
    rig.hold_back();
    rig.connect();
    rig.wait(2_000);
    assert!(rig.sent().len() <= 24_000, "what is in memory comes behind what is not");
    rig.write();
    rig.quietly().talk(12_000);
    rig.talk(13_200);
    assert!(rig.said("gap").is_empty());
    assert_eq!(rig.sent(), samples(0..rig.offset));
}

#[test]
fn what_is_never_written_is_given_up_in_time_and_the_rest_is_sent() {
    let mut rig = Rig::with(patient());
    rig.talk(30_000);
    rig.spool.clear();
    rig.connect();
    rig.wait(9_000);
    assert!(rig.said("gap").is_empty());
    rig.wait(20_000);
    assert_eq!(rig.said("gap"), ["gap 0..4000", "gap 4000..8000", "gap 8000..12000", "gap 12000..15000"]);
    assert_eq!(rig.sent(), samples(15_000 * 8..30_000 * 8));
}

#[test]
fn past_the_bound_of_the_spool_the_oldest_minute_is_given_up() {
    let mut rig = Rig::with(LinkSettings { spool_bytes: 120_000 * 8, ..patient() });
    rig.talk(120_000);
    assert!(rig.said("full").is_empty());
    rig.talk(60_060);
    assert_eq!(rig.said("full"), ["full 0..60000", "full 60000..120000"]);
    assert_eq!(rig.gaps.iter().map(|(covers, _)| covers.0 / 8).collect::<Vec<_>>(), [60_000, 120_000]);
    rig.spool.retain(|chunk| chunk.offset.0 >= 120_000 * 8);
    rig.quietly().connect();
    rig.wait(31_000);
    assert_eq!(rig.sent(), samples(120_000 * 8..rig.offset));
    rig.hang_up();
    rig.last();
    let totals = rig.totals.unwrap();
    assert_eq!((totals.complete, totals.finalized_ms, totals.sent_ms), (false, 60_060, 60_060));
    assert!(rig.said("gap").is_empty());
}

#[test]
fn a_line_that_is_quiet_for_hours_needs_neither_the_spool_nor_a_replay() {
    let mut rig = Rig::with(LinkSettings { spool_bytes: 120_000 * 8, ..patient() });
    rig.connect();
    for _ in 0..5_000 {
        rig.wait(60);
        rig.push(Bytes::from_static(&[0xFF; 480]));
        rig.link.handle_pong(rig.now);
    }
    assert!(rig.said("full").is_empty());
    assert_eq!(rig.said("covered").len(), 14, "in steps: {:?}", rig.said("covered"));
    rig.quietly().lose(Lost::Broken);
    rig.wait(500);
    rig.connect();
    rig.wait(20_000);
    assert!(rig.sent().len() <= 40_000 * 8, "{}", rig.sent().len());
}

#[test]
fn a_service_that_is_back_before_the_end_of_all_trying_hears_the_whole_backlog() {
    let mut rig = Rig::patient();
    rig.talk(3_000);
    rig.lose(Lost::Broken);
    while rig.now < rig.start + Duration::from_secs(40) {
        rig.talk(960);
        rig.refuse_all();
    }
    rig.hang_up();
    for _ in 0..50 {
        rig.wait(1_000);
        rig.refuse_all();
    }
    assert!(rig.totals.is_none(), "counted from the hang-up");
    rig.quietly().wait(6_000);
    rig.connect();
    rig.wait(25_000);
    assert_eq!(rig.sent(), samples(0..rig.offset));
    assert_eq!(rig.said("{"), [r#"{"type":"close_stream"}"#]);
    rig.last();
    assert!(rig.totals.unwrap().complete && rig.said("left").is_empty());
}

#[test]
fn a_link_that_gets_on_is_never_cut_off_and_one_that_does_not_is_in_time() {
    let mut rig = Rig::with(patient());
    rig.talk(600_000);
    rig.hang_up();
    for part in 1..=4_u32 {
        rig.connect();
        rig.wait(70_000);
        rig.lose(Lost::Broken);
        assert!(rig.totals.is_none(), "part {part}: it was sent two minutes more");
        rig.final_words("late", 0.0, 1.0);
        rig.link.handle_covered(Offset(u64::from(part) * 140_000 * 8), rig.now);
        rig.wait(10_000);
    }
    let stuck = rig.now;
    for _ in 0..20 {
        rig.connect();
        rig.wait(1_000);
        rig.lose(Lost::Broken);
        rig.wait(5_000);
    }
    assert!(rig.totals.is_some(), "a service that only connects and dies");
    assert!(rig.when("done").unwrap() <= u64::try_from((stuck - rig.start).as_millis()).unwrap() + 80_000);
    assert_eq!(rig.said("left").len(), 1);
}

#[test]
fn a_link_of_an_earlier_life_reaches_back_before_the_mark_and_tells_no_word_twice_and_the_one_over_the_mark_whole() {
    let chunk = |n: u64| Chunk {
        offset: Offset(n * 480),
        at_ms: n * 60,
        audio: (n * 480..(n + 1) * 480).map(sample).collect(),
        received: crate::clock::now(),
    };
    let (spool, at): (Vec<Chunk>, _) = ((0..200).map(chunk).collect(), |ms: u64| Offset(ms * 8));
    // Two words were told up to 4.8 s; a third one begins 50 ms before.
    let known = [("one", 4_000, 4_300), ("two", 4_400, 4_800)];
    let known = known.map(|(text, from, to)| KnownWord { text: Unredacted::new(text), start: at(from), end: at(to) });
    let clock = vec![(Offset(0), 0)];
    let remains = Remains { first: at(0), from: at(4_800), end: at(12_000), clock, known: known.into(), untimed: false };
    let mut rig = Rig::resuming(&remains, spool.clone());
    rig.connect();
    rig.wait(4_800);
    let begin = 4_800 - 160 - 2_000;
    assert_eq!(rig.sent(), samples(begin * 8..96_000), "the longest word before the mark, and a word's rounding");
    let place = |ms: u64| std::time::Duration::from_millis(ms - begin).as_secs_f64();
    let said = [("one", 4_010, 4_310), ("two", 4_400, 4_820), ("three", 4_750, 5_200)]
        .map(|(text, from, to)| format!(r#"{{"word":"{text}","start":{},"end":{},"speaker":0}}"#, place(from), place(to)));
    rig.hear(&format!(r#"{{"transcript":" one two three","is_final":true,"words":[{}]}}"#, said.join(",")));
    rig.last();
    assert_eq!(rig.heard.iter().map(|heard| heard.text.expose()).collect::<Vec<_>>(), ["three"]);
    let totals = rig.totals.unwrap();
    assert_eq!((totals.complete, totals.finalized_ms, totals.sent_ms, totals.reconnects), (true, 7_200, 7_200, 0));

    let untimed = Remains {
        first: at(0),
        from: at(4_800),
        end: at(12_000),
        clock: vec![(Offset(0), 0)],
        untimed: true,
        ..Remains::default()
    };
    let mut rig = Rig::resuming(&untimed, spool);
    rig.connect();
    rig.wait(3_800);
    assert_eq!(rig.sent(), samples(38_400..96_000), "nobody could tell its words from new ones");
}

#[test]
fn what_an_earlier_life_left_is_sent_from_the_spool_and_then_the_stream_is_closed() {
    let chunk = |n: u64| Chunk {
        offset: Offset(n * 480),
        at_ms: n * 60,
        audio: (n * 480..(n + 1) * 480).map(sample).collect(),
        received: crate::clock::now(),
    };
    let mut rig = Rig::left((100..1_100).map(chunk).collect());
    assert_eq!(rig.log, ["0 connecting", "0 dial"]);
    rig.connect();
    rig.wait(30_000);
    assert_eq!(rig.sent(), samples(48_000..528_000));
    assert_eq!(rig.said("{"), [r#"{"type":"close_stream"}"#]);
    rig.final_words("Hello there.", 0.1, 1.0);
    rig.last();
    assert!(rig.heard[0].recovered && rig.heard[0].start_ms == 6_100);
    assert_eq!(rig.totals.map(|totals| (totals.complete, totals.finalized_ms)), Some((true, 60_000)));
}
