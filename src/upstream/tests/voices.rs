//! Who speaks, over connections whose numbers start over.

use super::*;

/// A final of words as (word, from, to, speaker) in seconds of the connection.
fn words(list: &[(&str, f64, f64, u32)]) -> String {
    let item = |(word, start, end, speaker): &(&str, f64, f64, u32)| {
        format!(r#"{{"word":"{word}","start":{start},"end":{end},"speaker":{speaker}}}"#)
    };
    let text: Vec<&str> = list.iter().map(|(word, ..)| *word).collect();
    let items: Vec<String> = list.iter().map(item).collect();
    format!(r#"{{"transcript":" {}","is_final":true,"words":[{}]}}"#, text.join(" "), items.join(","))
}

fn reconnect(rig: &mut Rig) {
    rig.lose(Lost::Broken);
    rig.wait(500);
    rig.quietly().connect();
}

/// The voices of the last final's words.
fn voices(rig: &Rig) -> Vec<Option<u32>> {
    rig.heard.last().unwrap().words.iter().map(|word| word.speaker).collect()
}

#[test]
fn a_voice_that_has_been_silent_since_keeps_its_number_after_a_reconnect() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.hear(&words(&[("hello", 1.0, 1.4, 0), ("there", 1.4, 2.0, 0)]));
    rig.covered(2_000);
    rig.silence(9_000);
    rig.link.handle_finalize(rig.now);
    rig.drain();
    rig.hear(r#"{"transcript":"","is_final":true,"from_finalize":true}"#);
    rig.covered(12_000);
    reconnect(&mut rig);
    rig.talk(6_000);
    // From 150 ms before its first word to 150 ms behind its last one, and on from a little before the mark.
    assert_eq!(rig.sent()[..1_300 * 8], samples(850 * 8..2_150 * 8));
    assert!(rig.sent()[1_300 * 8..1_460 * 8].iter().all(|byte| *byte == 0xFF));
    rig.hear(&words(&[("Hello", 0.15, 0.55, 3), ("there", 0.55, 1.15, 3), ("again", 2.46, 2.96, 3), ("me", 3.46, 3.66, 1)]));
    assert_eq!(rig.said("final"), ["final 13000..14200 again me"]);
    assert_eq!(voices(&rig), [Some(0), Some(1)], "the number without evidence is somebody new");
}

#[test]
fn two_voices_that_changed_numbers_are_told_apart_as_before() {
    let mut rig = Rig::open();
    rig.talk(6_000);
    rig.hear(&words(&[("one", 1.0, 1.5, 0), ("two", 1.5, 2.0, 0)]));
    rig.hear(&words(&[("three", 3.0, 3.5, 1), ("four", 3.5, 4.0, 1)]));
    rig.covered(4_000);
    reconnect(&mut rig);
    rig.talk(9_000);
    // 850..2150 and 2850..4000 ms, and everything behind that.
    let again = [("one", 0.15, 0.65, 1), ("two", 0.65, 1.15, 1), ("three", 1.45, 1.95, 0), ("four", 1.95, 2.45, 0)];
    rig.hear(&words(&again));
    assert!(rig.said("final").is_empty());
    rig.hear(&words(&[("five", 3.0, 3.5, 0), ("six", 4.0, 4.5, 1)]));
    assert_eq!(rig.said("final"), ["final 4550..6050 five six"]);
    assert_eq!(voices(&rig), [Some(1), Some(0)]);
}

#[test]
fn a_number_that_stands_for_both_is_a_new_voice() {
    let mut rig = Rig::open();
    rig.talk(6_000);
    rig.hear(&words(&[("one", 1.0, 2.0, 0), ("two", 2.0, 3.0, 1)]));
    rig.covered(3_000);
    reconnect(&mut rig);
    rig.talk(6_000);
    rig.hear(&words(&[("one", 0.15, 1.15, 0), ("two", 1.15, 2.15, 0), ("three", 3.0, 3.5, 0)]));
    assert_eq!(voices(&rig), [Some(2)]);
}

#[test]
fn what_is_sent_first_is_counted_as_sent_again_and_goes_at_the_same_pace() {
    let mut rig = Rig::open();
    rig.talk(6_000);
    rig.hear(&words(&[("one", 1.0, 5.9, 0)]));
    rig.covered(5_900);
    reconnect(&mut rig);
    let before = rig.now;
    rig.talk(3_000);
    let sent_ms =
        |until_ms: u64| rig.audio.iter().filter(|(at, _)| *at <= until_ms).map(|(_, audio)| audio.len() as u64 / 8).sum::<u64>();
    let at = u64::try_from(before.duration_since(rig.start).as_millis()).unwrap();
    assert!(sent_ms(at + 600) <= 1_260, "{}", sent_ms(at + 600));
    rig.hang_up();
    rig.last();
    assert_eq!(rig.totals.unwrap().replayed_ms, 3_000 + 100);
}

#[test]
fn without_speakers_it_begins_at_the_silence_before_the_mark() {
    let mut rig = Rig::open();
    rig.talk(1_020);
    rig.silence(480);
    rig.talk(1_500);
    rig.hear(r#"{"transcript":"hello","is_final":true,"words":[{"word":"hello","start":1.5,"end":2.0}]}"#);
    rig.covered(2_000);
    reconnect(&mut rig);
    rig.wait(2_000);
    assert_eq!(rig.sent(), samples(1_500 * 8..3_000 * 8));
    rig.hear(r#"{"transcript":"hello you","is_final":true,"words":[{"word":"hello","start":0.02,"end":0.46},{"word":"you","start":0.48,"end":0.9}]}"#);
    assert_eq!(
        rig.said("final"),
        ["final 1980..2400 you"],
        "what began before the mark is said whole, and what is known is not said again"
    );
}

#[test]
fn without_a_silence_it_begins_two_seconds_before_the_mark_but_not_before_the_track() {
    for (mark_ms, from_ms) in [(4_160_u32, 2_000), (1_500, 0)] {
        let mut rig = Rig::open();
        rig.talk(6_000);
        let end = f64::from(mark_ms) / 1_000.0;
        rig.hear(&format!(
            r#"{{"transcript":"hello","is_final":true,"words":[{{"word":"hello","start":{},"end":{end}}}]}}"#,
            end - 0.5
        ));
        rig.covered(u64::from(mark_ms));
        reconnect(&mut rig);
        rig.wait(4_000);
        assert_eq!(rig.sent(), samples(from_ms * 8..6_000 * 8));
    }
}

#[test]
fn a_word_that_a_final_cut_in_two_comes_out_whole_over_two_connections() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.hear(&words(&[("say", 1.0, 1.4, 0), ("hel", 1.5, 1.7, 0)]));
    rig.covered(1_700);
    reconnect(&mut rig);
    rig.talk(3_000);
    // Its first byte is at 850 ms.
    rig.hear(&words(&[("say", 0.12, 0.58, 0), ("hello", 0.67, 1.05, 0), ("you", 1.1, 1.3, 0)]));
    assert_eq!(rig.said("final"), ["final 1700..2150 lo you"]);
    assert_eq!(voices(&rig), [Some(0), Some(0)]);
}
