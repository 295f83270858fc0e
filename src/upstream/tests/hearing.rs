//! What comes back, and where in the call it lies.

use super::*;

#[test]
fn times_of_the_connection_become_times_of_the_call() {
    let mut rig = Rig::open();
    rig.ahead_ms = 700;
    rig.talk(3_000);
    rig.final_words("Hello there.", 1.0, 2.0);
    assert_eq!(rig.said("final"), ["final 1700..2700 Hello there."]);
    let heard = &rig.heard[0];
    assert_eq!(heard.words.iter().map(|word| (word.start_ms, word.end_ms)).collect::<Vec<_>>(), [(1_700, 2_200), (2_200, 2_700)]);
    assert_eq!((heard.covers, heard.connection, heard.flushed), (Offset(16_000), 0, false));
    assert_eq!((heard.words[0].speaker, heard.words[0].confidence), (Some(0), Some(0.9)));
}

#[test]
fn a_jump_of_the_calls_clock_moves_what_comes_behind_it() {
    let mut rig = Rig::open();
    rig.talk(1_200);
    rig.ahead_ms = 60_000;
    rig.talk(1_200);
    rig.final_words("before behind", 0.6, 1.8);
    let words: Vec<_> = rig.heard[0].words.iter().map(|word| (word.start_ms, word.end_ms)).collect();
    assert_eq!(words, [(600, 1_200), (61_200, 61_800)]);
}

#[test]
fn an_interim_lies_between_the_last_final_and_the_audio_sent() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.final_words("Hello.", 1.0, 2.0);
    rig.talk(600);
    rig.interim("how are");
    assert_eq!(rig.said("interim"), ["interim how are"]);
    rig.hang_up();
    rig.wait(70_000);
    assert_eq!(rig.said("provisional"), ["provisional 2000..3600 how are"]);
}

#[test]
fn a_final_without_words_lies_between_the_one_before_and_the_audio_sent() {
    let mut rig = Rig::open();
    rig.talk(1_800);
    rig.hear(r#"{"transcript":"One.","is_final":true}"#);
    rig.talk(1_200);
    rig.hear(r#"{"transcription":"Two.","is_final":true}"#);
    assert_eq!(rig.said("final"), ["final 0..1800 One.", "final 1800..3000 Two."]);
    assert_eq!(rig.heard[1].covers, Offset(8_000), "what came last may not have been decoded");
}

#[test]
fn sentences_stand_in_where_there_are_no_words() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.hear(r#"{"transcript":"One. Two.","is_final":true,"utterances":[{"text":"One.","start":0.5,"end":1.0},{"transcript":"Two.","start":1.1,"end":1.5,"speaker":"speaker_1"}]}"#);
    assert_eq!(rig.said("final"), ["final 500..1500 One. Two."]);
    assert_eq!(rig.heard[0].utterances.iter().map(|it| it.speaker).collect::<Vec<_>>(), [None, Some(0)]);
}

#[test]
fn utterances_that_reach_back_before_the_final_are_left_out() {
    let mut rig = Rig::open();
    rig.talk(6_000);
    rig.final_words("Hello there.", 1.0, 2.0);
    rig.hear(&final_of(
        "Now this.",
        3.0,
        4.0,
        r#","utterances":[{"text":"Hello there.","start":1.0,"end":2.0},{"text":"Now this.","start":3.0,"end":4.0}]"#,
    ));
    assert_eq!(rig.heard[1].utterances.iter().map(|it| it.text.expose()).collect::<Vec<_>>(), ["Now this."]);
}

#[test]
fn absurd_times_are_pulled_into_the_audio_that_was_sent() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.hear(
        r#"{"transcript":"a b c d","is_final":true,"words":[{"word":"a","start":-5,"end":1e30},{"word":"b","start":1e999,"end":"x"},
           {"word":"c","start":2.0,"end":1.0},{"word":"d","end":2.5}]}"#,
    );
    let times: Vec<_> = rig.heard[0].words.iter().map(|word| (word.start_ms, word.end_ms)).collect();
    assert_eq!(times, [(0, 3_000), (3_000, 3_000), (2_000, 2_000), (2_000, 2_500)]);
    assert!(rig.heard[0].covers <= Offset(24_000));
}

#[test]
fn an_empty_final_covers_only_what_the_service_must_have_decoded() {
    let mut rig = Rig::open();
    rig.talk(6_000);
    rig.hear(r#"{"transcript":" ","is_final":true}"#);
    assert_eq!(rig.said("covered"), ["covered 4000"]);
    rig.silence(600);
    rig.link.handle_finalize(rig.now);
    rig.talk(600);
    rig.hear(r#"{"transcript":"","is_final":true,"from_finalize":true}"#);
    assert_eq!(rig.said("covered"), ["covered 4000", "covered 6600"], "the answer to finalize covers what was sent before it");
    rig.hear(r#"{"transcript":"","is_final":true}"#);
    assert_eq!(rig.said("covered").len(), 2, "nothing new");
}

#[test]
fn an_answer_in_the_middle_of_a_word_covers_up_to_the_quiet_before_it() {
    for (voice, covered) in [(600, "covered 3000"), (6_000, "covered 7000")] {
        let mut rig = Rig::open();
        rig.silence(3_000);
        rig.talk(voice);
        rig.link.handle_finalize(rig.now);
        rig.hear(r#"{"transcript":"","is_final":true,"from_finalize":true}"#);
        assert_eq!(rig.said("covered"), [covered]);
    }
}

#[test]
fn silence_that_is_told_while_words_are_open_covers_nothing() {
    let mut rig = Rig::open();
    rig.talk(6_000);
    rig.interim("how are");
    rig.hear(r#"{"transcript":"","is_final":true}"#);
    assert!(rig.said("covered").is_empty(), "it may be late");
}

#[test]
fn a_final_that_answers_finalize_says_that_it_may_be_a_double() {
    let mut rig = Rig::open();
    rig.talk(2_400);
    rig.silence(600);
    rig.link.handle_finalize(rig.now);
    rig.drain();
    rig.final_words("One two.", 1.0, 2.0);
    rig.hear(&final_of("One two.", 1.0, 2.0, r#","from_finalize":true"#));
    assert_eq!(rig.heard.iter().map(|heard| heard.flushed).collect::<Vec<_>>(), [true, true]);
    assert_eq!(rig.heard[1].covers, Offset(24_000));
    rig.talk(3_000);
    rig.final_words("Three.", 4.0, 4.5);
    assert!(!rig.heard[2].flushed, "its answer is history");
}

#[test]
fn voice_activity_is_told_on_the_calls_clock() {
    let mut rig = Rig::open();
    rig.ahead_ms = 100;
    rig.talk(6_000);
    rig.quietly().hear(r#"{"type":"speech_started","timestamp":0.42}"#);
    rig.hear(r#"{"type":"speech_ended","timestamp":"3.1"}"#);
    rig.hear(r#"{"type":"speech_ended"}"#);
    assert_eq!(rig.log, ["6000 speech from 520", "6000 speech to 3200"]);
}

#[test]
fn noise_is_counted_and_changes_nothing() {
    let mut rig = Rig::open();
    rig.talk(600);
    rig.quietly();
    for noise in ["", "hello", "[1]", "{", r#"{"type":"pong"}"#, r#"{"type":"metadata","x":1}"#, "{}", r#"{"transcript":7}"#] {
        rig.hear(noise);
    }
    assert!(rig.log.is_empty());
    rig.hang_up();
    rig.last();
    assert_eq!(rig.totals.unwrap().malformed, 4);
}

#[test]
fn a_blank_interim_closes_the_open_one() {
    let mut rig = Rig::open();
    rig.talk(600);
    rig.interim("hm");
    rig.interim("");
    rig.hang_up();
    rig.wait(6_000);
    assert!(rig.said("provisional").is_empty());
}

#[test]
fn latency_says_where_the_time_went() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.wait(400);
    rig.final_words("Hello.", 1.0, 2.01);
    let latency = rig.heard[0].latency;
    assert_eq!(latency.ingress_ms, Some(0));
    assert_eq!(latency.upstream_ms, Some(3_400 - 2_040), "from the receipt of the chunk that holds the end of the speech");
    assert_eq!(latency.gate_ms, None);
}

#[test]
fn words_without_times_lie_beside_those_that_have_one() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.hear(r#"{"transcript":"bad one","is_final":true,"words":[{"word":"bad"},{"word":"one","start":2.3,"end":2.4}],"utterances":[{"text":"bad one","start":2.1,"end":2.4}]}"#);
    rig.hear(r#"{"transcript":"no times","is_final":true,"words":[{"word":"no"},{"word":"times"}]}"#);
    assert_eq!(rig.said("final"), ["final 2100..2400 bad one", "final 2400..3000 no times"]);
}

#[test]
fn what_was_sent_before_and_is_heard_now_came_by_replay() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.final_words("one", 0.5, 1.0);
    rig.covered(1_000);
    rig.lose(Lost::Broken);
    rig.wait(500);
    rig.connect();
    rig.talk(6_000);
    rig.final_words("two", 0.5, 1.5);
    rig.final_words("three", 3.0, 3.5);
    assert_eq!(rig.heard.iter().map(|heard| heard.recovered).collect::<Vec<_>>(), [false, true, false]);
}
