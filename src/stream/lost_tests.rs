//! Audio lost on its way: told where message numbers are missing, and nowhere else.

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::{collection::vec, prelude::*};

use super::*;

const START: &str = r#"{"event":"start","sequenceNumber":"1","streamSid":"MZ1","start":{"callSid":"CA1","streamSid":"MZ1","tracks":["inbound","outbound"]}}"#;

/// Frames of 20 ms, one of each track in turn, as a sender numbers them: track, number and time.
fn sent(rounds: u64) -> Vec<(&'static str, u64, u64)> {
    (0..rounds).flat_map(|round| [("inbound", 2 * round + 2, round * 20), ("outbound", 2 * round + 3, round * 20)]).collect()
}

/// What is told of these messages when they come every 10 ms.
fn told(messages: &[(&str, u64, u64)]) -> Vec<String> {
    let mut now = crate::clock::now();
    let mut stream = Stream::new(Dialect::Twilio, StreamLimits::default(), now);
    stream.handle_text(START, now);
    for (track, number, at_ms) in messages {
        let payload = STANDARD.encode([7; 160]);
        let media = format!(
            r#"{{"event":"media","sequenceNumber":"{number}","streamSid":"MZ1","media":{{"track":"{track}","timestamp":"{at_ms}","payload":"{payload}"}}}}"#
        );
        stream.handle_text(&media, now);
        now += Duration::from_millis(10);
        while stream.poll_timeout().is_some_and(|due| due <= now) {
            stream.handle_timeout(now);
        }
    }
    stream.handle_closed(now);
    let lost = std::iter::from_fn(|| stream.poll_output()).filter_map(|output| match output {
        Output::Lost { track, from_ms, to_ms } => Some(format!("{track} {from_ms}..{to_ms}")),
        _ => None,
    });
    lost.collect()
}

#[test]
fn a_stretch_whose_messages_are_missing_is_told_once() {
    let mut messages = sent(500);
    messages.retain(|(track, _, at_ms)| *track == "outbound" || !(1_000..1_400).contains(at_ms));
    assert_eq!(told(&messages), ["inbound 1000..1400"]);
    messages.retain(|(_, _, at_ms)| !(2_500..8_500).contains(at_ms) && *at_ms != 1_800);
    assert_eq!(told(&messages), ["inbound 1000..1820", "outbound 1800..1820", "inbound 2500..8500", "outbound 2500..8500"]);
}

#[test]
fn what_is_missing_at_a_track_s_end_is_lost_and_no_more_than_the_messages_held() {
    let mut messages = sent(200);
    messages.retain(|(track, _, at_ms)| *track == "outbound" || *at_ms < 3_000);
    assert_eq!(told(&messages), ["inbound 3000..4000"]);
    // The outbound party is silent and sends nothing; one message of the other is lost meanwhile.
    let mut messages = sent(200);
    messages.retain(|(track, _, at_ms)| *track == "inbound" || *at_ms < 1_000);
    for (number, message) in (2..).zip(&mut messages) {
        message.1 = number;
    }
    messages.remove(150);
    assert_eq!(told(&messages), ["inbound 2000..2020", "outbound 1000..1020"]);
}

#[test]
fn silence_that_was_not_sent_is_not_lost() {
    let spoken = |(track, _, at_ms): &(&str, u64, u64)| match *track {
        "inbound" => !(1_000..1_400).contains(at_ms),
        _ => !(2_000..20_000).contains(at_ms),
    };
    let mut messages: Vec<_> = sent(1_500).into_iter().filter(spoken).collect();
    for (number, message) in (2..).zip(&mut messages) {
        message.1 = number;
    }
    assert_eq!(told(&messages), [""; 0]);
}

#[test]
fn what_comes_late_twice_or_in_another_order_is_not_lost() {
    let mut messages = sent(200);
    for at in (10..390).step_by(7) {
        messages.swap(at, at + 3);
    }
    for at in (20..390).step_by(11) {
        messages.insert(at, messages[at]);
    }
    assert_eq!(told(&messages), [""; 0]);
}

#[test]
fn numbers_that_start_over_or_leap_prove_nothing() {
    for leap in [0, 1_000_000] {
        let mut messages = sent(200);
        messages[200..].iter_mut().for_each(|message| message.1 = message.1 + leap - 200.min(message.1));
        messages.drain(190..200);
        assert_eq!(told(&messages), [""; 0], "{leap}");
    }
}

proptest! {
    /// Whatever is lost lies in a stretch that is told, and without loss none is.
    #[test]
    fn every_lost_frame_lies_in_a_gap(lost in vec((10_usize..380, 1_usize..30), 0..6)) {
        let mut messages = sent(200);
        let mut missing = Vec::new();
        for (at, count) in lost {
            let at = at.min(messages.len() - 1);
            let end = (at + count).min(messages.len() - 10).max(at);
            missing.extend(messages.drain(at..end));
        }
        let told = told(&messages);
        prop_assert_eq!(told.is_empty(), missing.is_empty());
        for (track, _, at_ms) in missing {
            let covers = |gap: &String| {
                let (from, to) = gap.split_once(' ').unwrap().1.split_once("..").unwrap();
                gap.starts_with(track) && from.parse::<u64>().unwrap() <= at_ms && at_ms + 20 <= to.parse::<u64>().unwrap()
            };
            prop_assert!(told.iter().any(covers), "{} {} is in none of {:?}", track, at_ms, told);
        }
    }
}
