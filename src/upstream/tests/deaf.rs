//! A service that takes everything and says nothing, and what silence is no sign of.

use super::*;

const FINALIZE: &str = r#"{"type":"finalize"}"#;
const EMPTY: &str = r#"{"transcript":"","is_final":true,"from_finalize":true}"#;

/// A rig whose first connection is open, with the usual settings.
fn open() -> Rig {
    let mut rig = Rig::with(LinkSettings::default());
    rig.connect();
    rig
}

#[test]
fn a_voice_that_is_left_without_a_word_is_a_lost_connection_and_is_sent_again() {
    let mut rig = open();
    rig.silence(3_000);
    rig.quietly().talk(9_000);
    assert_eq!(rig.said(""), [FINALIZE], "asked once whether it hears");
    rig.talk(3_000);
    assert_eq!(rig.said("")[1..], ["hangup", "reconnecting 1 deaf", "dial"]);
    assert!((12_900..14_100).contains(&rig.when("reconnecting").unwrap()), "{:?}", rig.log);
    rig.quietly().connect();
    rig.wait(20);
    assert_eq!(rig.audio[0].1[..], [0xFF; 480], "from its beginning");
}

#[test]
fn a_pong_is_no_proof_of_hearing_but_words_empty_finals_and_voice_activity_are() {
    for (message, is_deaf) in [
        (r#"{"type":"pong"}"#, true),
        (r#"{"type":"metadata"}"#, true),
        (r#"{"transcript":"hm","is_final":false}"#, false),
        (r#"{"transcript":"","is_final":true}"#, false),
        (r#"{"type":"speech_started","timestamp":0.1}"#, false),
    ] {
        let mut rig = open();
        for _ in 0..6 {
            rig.talk(3_000);
            rig.hear(message);
        }
        assert_eq!(!rig.said("reconnecting").is_empty(), is_deaf, "{message}: {:?}", rig.log);
    }
}

#[test]
fn a_service_that_says_that_it_works_on_what_it_was_sent_is_not_deaf() {
    let mut rig = open();
    for _ in 0..20 {
        rig.talk(3_000);
        rig.hear(r#"{"type":"progress","session_id":"s","done":0}"#);
    }
    assert!(rig.said("reconnecting").is_empty(), "{:?}", rig.log);
}

#[test]
fn a_quiet_line_or_a_click_on_it_proves_nothing() {
    let mut rig = open();
    for _ in 0..10 {
        rig.silence(60_000);
        rig.talk(240);
    }
    assert!(rig.said("reconnecting").is_empty(), "{:?}", rig.log);
}

#[test]
fn music_that_no_service_transcribes_costs_fewer_and_fewer_connections_and_words_behind_it_are_heard() {
    let mut rig = open();
    let go_on = |rig: &mut Rig| {
        rig.talk(960);
        if rig.link.state() == "reconnecting" && rig.log.last().is_some_and(|line| line.ends_with("dial")) {
            rig.connect();
        }
    };
    while rig.offset < 3_600_000 * 8 {
        go_on(&mut rig);
    }
    let lost = rig.said("reconnecting").len();
    assert!((6..10).contains(&lost), "{lost}: 10, 20, 40, 80, 160 s, and then each time as much as there was and five minutes");
    // The words; what comes behind them is music again.
    rig.push(vec![0x46; 8_000].into());
    let mut turns = 0;
    while !rig.audio.iter().any(|(_, audio)| audio.len() == 8_000) {
        rig.audio.clear();
        go_on(&mut rig);
        turns += 1;
        assert!(turns < 1_800, "the words are never sent: {:?}", rig.log);
    }
    rig.interim("hello");
    assert_eq!(rig.said("interim"), ["interim hello"]);
    rig.quietly().talk(13_020);
    assert_eq!(rig.said("reconnecting"), ["reconnecting 1 deaf"], "once something was heard the time is short again");
}

#[test]
fn music_costs_no_connection_where_the_service_answers_finalize() {
    let mut rig = open();
    for _ in 0..600 {
        rig.talk(960);
        if rig.log.last().is_some_and(|line| line.ends_with(FINALIZE)) {
            rig.hear(EMPTY);
        }
    }
    assert!(rig.said("reconnecting").is_empty());
    assert!(rig.said("covered").len() > 60, "and what was sent is covered");
}

#[test]
fn a_long_silence_is_covered_so_that_little_is_sent_again() {
    let mut rig = open();
    rig.talk(3_000);
    rig.final_words("hello", 1.0, 2.9);
    rig.quietly().silence(9_000);
    assert_eq!(rig.said("{"), [""; 0]);
    rig.silence(3_000);
    assert_eq!(rig.said("{"), [FINALIZE]);
    rig.hear(EMPTY);
    let covered: u64 = rig.said("covered")[0][8..].parse().unwrap();
    assert!((12_900..=15_000).contains(&covered), "{covered}");
    rig.covered(covered);
    rig.lose(Lost::Broken);
    rig.wait(500);
    rig.quietly().connect();
    rig.silence(9_000);
    let last = rig.audio.iter().map(|(_, audio)| audio.len() as u64 / 8).sum::<u64>();
    assert!(last <= 9_000 + 2_200 + 2_000 + 200, "{last}: the word, and what is behind the mark");
}

#[test]
fn nobody_is_cut_off_by_the_question() {
    let mut rig = open();
    for n in 0..5 {
        rig.silence(6_000);
        rig.talk(3_000);
        rig.interim("so I said to her");
        rig.silence(600);
        let begin = f64::from(n) * 9.6 + 6.0;
        rig.final_words("so I said to her", begin, begin + 3.0);
    }
    assert_eq!(rig.said(FINALIZE), [""; 0], "pauses of the call");
    rig.silence(8_000);
    rig.talk(7_200);
    assert_eq!(rig.said(FINALIZE).len(), 1, "{:?}", rig.log);
    assert!(rig.when(FINALIZE).unwrap() > 48_000 + 8_000 + 5_000, "not while somebody speaks, unless nothing is heard of it");
}

#[test]
fn a_server_that_answers_no_finalize_is_asked_no_more_and_works() {
    for refuses in [false, true] {
        let mut rig = open();
        let mut asked = 0;
        for _ in 0..20 {
            for _ in 0..30 {
                rig.silence(960);
                if refuses && rig.said(FINALIZE).len() > asked {
                    asked += 1;
                    rig.hear(r#"{"error":"unknown message type"}"#);
                }
            }
            rig.talk(1_200);
            rig.interim("yes");
        }
        assert!(rig.said("reconnecting").is_empty(), "{:?}", rig.log);
        assert!((1..=2).contains(&rig.said(FINALIZE).len()), "{:?}", rig.log);
    }
}

#[test]
fn a_service_that_has_answered_before_and_does_not_now_is_deaf_at_little_voice() {
    let mut rig = open();
    rig.talk(600);
    rig.silence(12_000);
    rig.hear(EMPTY);
    rig.silence(10_500);
    rig.talk(600);
    rig.quietly().silence(6_000);
    assert_eq!(rig.said("reconnecting"), ["reconnecting 1 deaf"]);
}
