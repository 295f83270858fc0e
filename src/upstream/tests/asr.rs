//! The older ASR: finals without times, a stream that ends for want of audio, an end without `is_last`.

use super::*;

const TIMEOUT: &str = r#"{"message":"socket timeout"}"#;

fn open() -> Rig {
    let settings = LinkSettings { protocol: Protocol::Asr, keepalive: None, ..LinkSettings::default() };
    let mut rig = Rig::with(settings);
    rig.connect();
    rig
}

fn said(rig: &mut Rig, text: &str, is_final: bool) {
    rig.hear(&format!(r#"{{"type":"transcription","text":"{text}","isEndOfTurn":{is_final},"isFinal":{is_final}}}"#));
}

#[test]
fn a_final_lies_between_the_one_before_it_and_what_was_sent() {
    let mut rig = open();
    rig.talk(3_000);
    said(&mut rig, "hi th", false);
    said(&mut rig, "hi there", true);
    rig.talk(1_200);
    said(&mut rig, "", true);
    rig.talk(1_800);
    said(&mut rig, "good bye", true);
    let finals = rig.said("final");
    assert!(finals[0].starts_with("final 0..3000 hi there") && finals[1].ends_with("..6000 good bye"), "{finals:?}");
    assert!(rig.heard.iter().all(|heard| heard.words.is_empty() && heard.utterances.is_empty()));
}

#[test]
fn words_that_come_again_without_times_are_known_by_their_text() {
    let mut rig = open();
    rig.talk(3_000);
    said(&mut rig, "one two three", true);
    assert!(rig.heard[0].covers <= Offset(1_000 * 8), "the decoder may not have got further");
    rig.covered(1_000);
    rig.quietly().lose(Lost::Broken);
    rig.wait(500);
    rig.connect();
    rig.talk(3_000);
    said(&mut rig, "two three", false);
    said(&mut rig, "two three four", false);
    said(&mut rig, "Two three, four five.", true);
    said(&mut rig, "five", true);
    assert_eq!(rig.said("interim"), ["interim four"]);
    let finals: Vec<&str> = rig.heard.iter().map(|heard| heard.text.expose()).collect();
    assert_eq!(finals, ["one two three", "four five.", "five"], "what is said once more behind that is new");
}

#[test]
fn a_stream_ended_for_want_of_audio_rests_until_audio_comes_and_sends_nothing_twice() {
    let mut rig = open();
    rig.talk(3_000);
    said(&mut rig, "hi there", true);
    rig.wait(30_000);
    rig.quietly().hear(TIMEOUT);
    rig.wait(60_000);
    let silent: Vec<&str> = rig.log.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(silent.iter().filter(|word| !word.starts_with("covered")).collect::<Vec<_>>(), [&"hangup", &"idle"]);
    rig.covered(3_000);
    rig.quietly().talk(60);
    assert_eq!(rig.said("dial"), ["dial"], "at once, with no backoff");
    rig.connect();
    rig.talk(2_940);
    assert_eq!(rig.sent(), samples(24_000..48_000));
    said(&mut rig, "hello again", true);
    assert_eq!(rig.said("final"), ["final 3000..6000 hello again"]);
    assert!(rig.said("reconnecting").is_empty() && rig.said("gap").is_empty());
}

#[test]
fn a_call_that_ends_in_the_silence_is_whole() {
    let mut rig = open();
    rig.talk(3_000);
    said(&mut rig, "hi there", true);
    rig.wait(30_000);
    rig.hear(TIMEOUT);
    rig.quietly().hang_up();
    assert_eq!(rig.said("dial"), Vec::<&str>::new());
    assert!(rig.totals.is_some_and(|totals| totals.complete), "{:?}", rig.log);
}

#[test]
fn a_timeout_while_audio_flows_is_a_failure_like_any_other() {
    let mut rig = open();
    rig.talk(3_000);
    rig.quietly();
    for _ in 0..3 {
        rig.hear(TIMEOUT);
        rig.wait(20_000);
        rig.connect();
        rig.talk(60);
    }
    let tries: Vec<&str> = rig.said("reconnecting");
    assert_eq!(tries[..2], ["reconnecting 1 idle", "reconnecting 2 idle"]);
}

#[test]
fn words_still_open_when_the_silence_is_over_are_heard_again() {
    let mut rig = open();
    rig.talk(3_000);
    said(&mut rig, "hi the", false);
    rig.wait(30_000);
    assert_eq!(rig.said(r#"{"type":"finalize"}"#).len(), 1, "they were asked for");
    rig.quietly().hear(TIMEOUT);
    rig.wait(500);
    rig.connect();
    rig.wait(3_000);
    assert_eq!(rig.sent(), samples(0..24_000));
}

#[test]
fn a_proper_close_is_the_end_even_if_nothing_was_ever_said() {
    for code in [1000, 1011] {
        let mut rig = open();
        rig.talk(3_000);
        rig.hang_up();
        assert_eq!(rig.said(r#"{"type":"close_stream"}"#).len(), 1);
        rig.quietly().lose(closed(code));
        assert_eq!(rig.totals.is_some_and(|totals| totals.complete), code == 1000, "{code}: {:?}", rig.log);
    }
}

#[test]
fn the_rest_said_after_the_end_belongs_to_the_call() {
    let mut rig = open();
    rig.talk(3_000);
    rig.hang_up();
    said(&mut rig, "hi there", true);
    rig.lose(closed(1000));
    assert_eq!(rig.said("final"), ["final 0..3000 hi there"]);
    assert!(rig.totals.is_some_and(|totals| totals.complete));
}

#[test]
fn voice_activity_by_the_time_of_day_lies_at_the_end_of_what_was_sent() {
    let mut rig = open();
    rig.talk(3_000);
    rig.hear(r#"{"event":"voice_activity","speaking":true,"timestamp":1.5}"#);
    rig.hear(r#"{"event":"voice_activity","speaking":false,"timestamp":1790000000000}"#);
    rig.hear(r#"{"event":"voice_activity","speaking":true}"#);
    assert_eq!(rig.said("speech"), ["speech from 1500", "speech to 3000", "speech from 3000"]);
}

#[test]
fn what_the_service_has_against_us_is_tried_again_only_where_that_may_help() {
    let rows = [
        (r#"{"message":"Unauthorized","error":"Invalid or missing API key"}"#, "refused"),
        (r#"{"message":"No subscription","error":"ASR requires Enterprise plan"}"#, "refused"),
        (r#"{"message":"Insufficient credits","error":"Account balance too low"}"#, "refused"),
        (r#"{"message":"Invalid input data","error":"audioEncoding is required"}"#, "refused"),
        (r#"{"message":"Rate limit exceeded","error":"Too many concurrent connections"}"#, "reconnecting 1 rate_limited"),
    ];
    for (text, state) in rows {
        let mut rig = open();
        rig.talk(300);
        rig.quietly().hear(text);
        rig.wait(60_000);
        assert!(rig.said(state).len() == 1, "{text}: {:?}", rig.log);
        assert_eq!(rig.said("dial").is_empty(), state == "refused", "{text}");
    }
}
