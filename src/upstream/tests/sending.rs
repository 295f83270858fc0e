//! What goes out, and when.

use super::*;

#[test]
fn the_first_connection_is_asked_for_at_once() {
    assert_eq!(Rig::new().log, ["0 connecting", "0 dial"]);
}

#[test]
fn audio_goes_out_as_it_came_one_frame_a_chunk() {
    let mut rig = Rig::open();
    rig.talk(600);
    assert_eq!(rig.audio.len(), 10);
    assert_eq!(rig.sent(), samples(0..4_800));
    assert_eq!(rig.audio[9].0, 600, "live audio waits for nothing");
}

#[test]
fn audio_that_came_during_the_dial_is_not_lost() {
    let mut rig = Rig::new();
    rig.talk(1_200);
    assert!(rig.audio.is_empty());
    rig.connect();
    rig.talk(1_800);
    assert_eq!(rig.sent(), samples(0..3_000 * 8));
}

#[test]
fn what_waited_goes_at_twice_real_time_and_then_live() {
    let mut rig = Rig::new();
    rig.talk(6_000);
    rig.connect();
    rig.talk(3_000);
    let after = |ms: u64| rig.audio.iter().filter(|(at, _)| *at <= 6_000 + ms).count() as u64 * 60;
    for ms in (60..=3_000).step_by(60) {
        assert!(after(ms) <= 2 * ms + 60, "{} ms of audio after {ms} ms", after(ms));
    }
    assert!(after(3_000) >= 5_880);
    rig.talk(6_000);
    assert_eq!(rig.sent(), samples(0..15_000 * 8));
    assert_eq!(rig.audio.last().map(|(at, _)| *at), Some(15_000), "caught up: nothing waits any more");
}

#[test]
fn a_session_hears_where_a_link_is_that_is_behind_and_when_it_has_caught_up() {
    let mut rig = Rig::new();
    rig.talk(300);
    rig.connect();
    assert_eq!(rig.behind, []);
    rig.talk(600);
    assert_eq!(rig.behind, [Some(120), Some(240), Some(360), None]);
    rig.talk(6_000);
    assert_eq!(rig.behind.len(), 4, "live audio is not told of");
    for _ in 0..20 {
        rig.chunk(60);
    }
    rig.wait(1_000);
    assert_eq!(rig.behind[4..].last(), Some(&None));
    assert!(rig.behind[4..].len() > 1, "a sender ahead of real time is held back");
}

#[test]
fn keepalive_holds_the_socket_only_while_there_is_no_audio() {
    let mut rig = Rig::open();
    rig.talk(12_000);
    assert!(rig.said(r#"{"type":"keepalive"}"#).is_empty());
    rig.quietly().wait(16_000);
    assert_eq!(
        rig.log.iter().filter(|line| line.contains("keepalive")).map(|line| line.split_once(' ').unwrap().0).collect::<Vec<_>>(),
        ["17000", "22000", "27000"]
    );
}

#[test]
fn a_server_that_refuses_keepalive_gets_none_any_more_and_is_not_given_up() {
    let mut rig = Rig::open();
    rig.talk(600);
    rig.wait(5_000);
    rig.hear(r#"{"error":"unknown message type"}"#);
    rig.quietly().wait(14_000);
    assert!(rig.said("reconnecting").is_empty() && rig.said("{").is_empty());
    rig.talk(600);
    assert_eq!(rig.sent(), samples(4_800..9_600));
}

#[test]
fn a_service_that_answers_pings_stays() {
    let mut rig = Rig::open();
    rig.wait(50_000);
    assert_eq!(rig.pings, 10);
    assert!(rig.said("reconnecting").is_empty());
}

#[test]
fn three_missed_pongs_are_a_lost_connection_but_any_word_counts_as_an_answer() {
    let mut rig = Rig::open();
    rig.pongs = false;
    rig.wait(16_000);
    rig.hear(r#"{"type":"pong"}"#);
    rig.wait(18_000);
    assert!(rig.said("reconnecting").is_empty());
    rig.quietly().wait(1_600);
    assert_eq!(rig.log, ["35000 hangup", "35000 reconnecting 1 silent", "35500 dial"]);
}

#[test]
fn audio_that_stops_under_an_open_interim_is_flushed_once() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.interim("my number is");
    rig.talk(1_200);
    rig.quietly().wait(4_000);
    assert_eq!(rig.log, [r#"5700 {"type":"finalize"}"#]);
    rig.interim("my number is five");
    rig.quietly().wait(4_000);
    assert!(rig.said(r#"{"type":"finalize"}"#).is_empty(), "once for each silence");
    rig.talk(600);
    rig.interim("my number is five two");
    rig.quietly().wait(2_000);
    assert_eq!(rig.said(r#"{"type":"finalize"}"#).len(), 1, "audio has come since: a new silence");
}

#[test]
fn silence_without_an_interim_asks_for_nothing() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.interim("hello");
    rig.final_words("Hello.", 1.0, 1.5);
    rig.quietly().wait(4_000);
    assert!(rig.log.is_empty());
}

#[test]
fn finalize_goes_behind_the_audio_that_waits() {
    let mut rig = Rig::new();
    rig.talk(1_200);
    rig.connect();
    rig.link.handle_finalize(rig.now);
    rig.drain();
    assert!(rig.said("{").is_empty());
    rig.wait(2_000);
    assert_eq!(rig.said("{"), [r#"{"type":"finalize"}"#]);
    assert_eq!(rig.sent(), samples(0..9_600));
}

#[test]
fn audio_that_came_at_once_waits_for_a_connection_but_not_for_ever() {
    let (mut unreachable, mut refused) = (Rig::new(), Rig::new());
    for _ in 0..125 {
        unreachable.chunk(60);
        refused.chunk(60);
    }
    assert!(!unreachable.link.is_listening() && !refused.link.is_listening());
    unreachable.wait(9_900);
    assert!(!unreachable.link.is_listening());
    unreachable.wait(200);
    assert!(unreachable.link.is_listening(), "or the end of the audio would never be heard of");
    let refusal = Refusal::BadKey { reason: Reason::default() };
    refused.link.handle_refused(refusal, MIDDLE, refused.now);
    assert!(refused.link.is_listening(), "nothing is worth waiting for");
}

#[test]
fn a_service_that_lets_in_and_dies_keeps_no_sender_waiting_for_ever() {
    let mut rig = Rig::new();
    for _ in 0..125 {
        rig.chunk(60);
    }
    for _ in 0..6 {
        rig.connect();
        rig.lose(closed(1008));
        rig.wait(5_000);
    }
    assert!(rig.link.is_listening());
}

#[test]
fn a_finalize_waits_until_the_one_before_is_answered_or_has_had_its_time() {
    let mut rig = Rig::patient();
    for _ in 0..2 {
        rig.talk(3_000);
        rig.link.handle_finalize(rig.now);
        rig.drain();
    }
    let asked = |rig: &Rig| rig.said(r#"{"type":"finalize"}"#).len();
    assert_eq!(asked(&rig), 1);
    rig.hear(r#"{"transcript":"","is_final":true,"from_finalize":true}"#);
    assert_eq!((rig.said("covered"), asked(&rig)), (vec!["covered 1000"], 2), "no more than was sent before the first");
    rig.talk(600);
    rig.link.handle_finalize(rig.now);
    rig.wait(4_300);
    assert_eq!(asked(&rig), 2);
    rig.wait(200);
    assert_eq!(asked(&rig), 3, "a service that never answers does not hold it up for ever");
}

#[test]
fn the_silence_of_a_service_that_is_not_read_is_no_word_against_it() {
    let mut rig = Rig::open();
    rig.pongs = false;
    for _ in 0..30 {
        rig.talk(960);
        rig.link.handle_unread(rig.now);
    }
    rig.hang_up();
    for _ in 0..10 {
        rig.wait(1_000);
        rig.link.handle_unread(rig.now);
    }
    assert!(rig.said("hangup").is_empty() && rig.totals.is_none());
    rig.wait(6_000);
    assert_eq!(rig.said("hangup"), ["hangup"], "once it is read again, as ever");
}

#[test]
fn a_few_chunks_of_a_phone_do_not_make_a_fast_sender() {
    let start = crate::clock::now();
    let rushed = |chunks: u64, every_ms: u64| {
        let mut backlog = crate::upstream::Backlog::new(10_000);
        for n in 0..chunks {
            let received = start + Duration::from_millis(n * every_ms);
            let audio = Bytes::from_static(&[0xFF; 480]);
            backlog.push(Chunk { offset: Offset(n * 480), at_ms: n * 60, audio, received });
        }
        backlog.is_rushed()
    };
    assert_eq!([1, 2, 4, 17, 100].map(|chunks| rushed(chunks, 60)), [false; 5], "at the speed of speech");
    assert_eq!([2, 16, 18, 100].map(|chunks| rushed(chunks, 40)), [false, false, true, true], "half as fast again");
}
