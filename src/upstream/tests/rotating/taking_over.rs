//! What the next connection takes over when the one in use is lost or leaves something unsaid.

use super::*;

#[test]
fn a_next_connection_that_opens_while_the_other_is_being_given_up_takes_its_place() {
    let mut rig = Rig::rotating();
    rig.talk(9_000);
    rig.hear(r#"{"type":"error","message":"internal error"}"#);
    rig.next_ready();
    rig.wait(6_000);
    assert_eq!(rig.said("")[rig.log.len() - 3..], ["reconnecting 1 error_frame", "swap", "live"], "{:?}", rig.log);
    assert_eq!(rig.end().reconnects, 1);
}

#[test]
fn whoever_wished_for_a_language_is_told_of_it_where_its_connection_takes_over_before_it_is_open() {
    let mut rig = Rig::rotating();
    rig.talk(3_000);
    rig.retune("es");
    rig.quietly().lose(Lost::Broken);
    rig.connect();
    assert_eq!(rig.log, ["3000 reconnecting 1 dropped", "3000 swap", "3000 tuned later", "3000 live"]);
}

#[test]
fn a_connection_that_was_only_sent_what_is_final_is_parted_with_at_what_is_final() {
    let mut rig = Rig::rotating();
    rig.talk(3_000);
    rig.final_words("one two three", 0.5, 2.9);
    rig.covered(2_900);
    rig.hush(600);
    rig.link.handle_finalize(rig.now);
    rig.drain();
    rig.hear(NOTHING);
    rig.covered(3_600);
    rig.lose(Lost::Broken);
    rig.wait(500);
    rig.connect();
    rig.wait(4_000);
    assert!(!rig.sent().is_empty(), "the words of before are sent again, for the voices");
    rig.retune("es");
    rig.next_ready();
    rig.quietly().wait(600);
    assert_eq!(rig.said("swap"), ["swap"]);
    rig.wait(4_000);
    assert!(!rig.sent().is_empty() && !rig.sent().contains(&0xFF), "but not the silence behind them");
}

#[test]
fn an_empty_final_that_does_not_say_what_it_answers_is_no_answer_for_a_voice() {
    for (voice_ms, again) in [(240, false), (900, true)] {
        let mut rig = Rig::rotating();
        rig.talk(9_000 - voice_ms);
        rig.final_words("one two three", 0.5, f64::from(u32::try_from(9_000 - voice_ms).unwrap()) / 1_000.0);
        rig.covered(9_000 - voice_ms);
        rig.talk(voice_ms);
        rig.next_ready();
        rig.hush(600);
        rig.quietly().hear(r#"{"transcript":"","is_final":true}"#);
        assert_eq!(rig.log.last().unwrap(), "9600 swap");
        assert_eq!(rig.said("covered").is_empty(), again, "{:?}", rig.log);
        rig.talk(6_000);
        let sent = rig.sent();
        let before_silence = sent.iter().position(|byte| *byte == 0xFF);
        assert_eq!(before_silence.is_some(), again);
        let voice = samples((9_000 - voice_ms) * 8..9_000 * 8);
        assert!(before_silence.is_none_or(|at| sent[..at].ends_with(&voice)), "the voice is sent again");
    }
}

#[test]
fn other_parameters_are_proven_by_the_first_word_under_them_and_only_once() {
    let mut rig = Rig::rotating();
    rig.talk(3_000);
    rig.interim("one");
    rig.lose(Lost::Broken);
    rig.retune("es");
    rig.wait(500);
    rig.connect();
    assert!(rig.said("proven").is_empty());
    rig.wait(1_500);
    rig.interim("uno");
    rig.interim("uno dos");
    assert_eq!(rig.said("proven"), ["proven"]);
}

#[test]
fn a_connection_whose_forerunner_was_never_replaced_is_given_as_many_tries() {
    let mut rig = Rig::rotating();
    rig.talk(9_000);
    for _ in 0..15 {
        rig.next_refused(busy());
        rig.wait(30_000);
    }
    assert_eq!(rig.said("open next").len(), 11);
    rig.lose(Lost::Broken);
    rig.wait(500);
    rig.connect();
    rig.quietly().wait(9_000);
    rig.next_refused(busy());
    rig.wait(1_000);
    assert_eq!(rig.said("open next").len(), 2, "{:?}", rig.log);
}

#[test]
fn what_becomes_of_a_connection_while_it_is_being_parted_with_is_not_the_next_ones() {
    let mut rig = Rig::ready();
    rig.hush(600);
    rig.link.handle_message(NOTHING, rig.now);
    // The takeover waits for its turn behind what was written last, which fails, and brings up what was said before.
    rig.link.handle_message(&final_of("four", 0.1, 0.4, ""), rig.now);
    rig.link.handle_lost(Lost::Broken, MIDDLE, rig.now);
    rig.quietly().drain();
    assert!(rig.said("swap") == ["swap"] && rig.said("final").is_empty() && rig.link.is_connected(), "{:?}", rig.log);
    assert_eq!(rig.end().reconnects, 0);
}
