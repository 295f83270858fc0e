//! A stream whose call is paused, in virtual time.

use proptest::{collection::vec, prelude::*};

use super::{
    Output,
    tests::{Bench, media},
};
use crate::media::{MULAW_SILENCE, Track};

/// What is said while the call is heard, and what is said while it is paused.
const HEARD: u8 = 1;
const SECRET: u8 = 2;

fn pause(bench: &mut Bench, paused: bool) {
    bench.stream.handle_paused(paused, bench.now);
    bench.drain();
}

/// Frames of 20 ms with these numbers, 20 ms apart.
fn say(bench: &mut Bench, frames: std::ops::Range<u64>, byte: u8) {
    for frame in frames {
        bench.say(&media("inbound", frame + 2, frame * 20, &[byte; 160]));
        bench.wait(0.02);
    }
}

/// All audio of a track, in the order of its offsets.
fn audio(bench: &Bench, of: Track) -> Vec<u8> {
    let chunks = bench.out.iter().filter_map(|output| match output {
        Output::Audio { track, chunk } if *track == of => Some(chunk),
        _ => None,
    });
    chunks.fold(Vec::new(), |mut audio, chunk| {
        assert_eq!(chunk.offset.0, audio.len() as u64);
        audio.extend_from_slice(&chunk.audio);
        audio
    })
}

#[test]
fn nothing_that_came_in_a_pause_gets_through_and_the_clock_goes_on() {
    let mut bench = Bench::started();
    say(&mut bench, 0..4, HEARD);
    pause(&mut bench, true);
    pause(&mut bench, true);
    say(&mut bench, 4..8, SECRET);
    pause(&mut bench, false);
    pause(&mut bench, false);
    say(&mut bench, 8..11, HEARD);
    let told = ["inbound 0+60", "inbound 60+20", "inbound paused 80", "inbound 80+60", "inbound 140+20", "inbound resumed 160"];
    assert_eq!(bench.seen()[1..7], told);
    assert_eq!(bench.seen()[7..], ["inbound 160+60"]);
    let expected = [vec![HEARD; 640], vec![MULAW_SILENCE; 640], vec![HEARD; 480]].concat();
    assert_eq!(audio(&bench, Track::Inbound), expected);
}

#[test]
fn what_was_said_before_a_pause_goes_out_though_a_frame_before_it_is_awaited() {
    let mut bench = Bench::started();
    say(&mut bench, 0..3, HEARD);
    bench.say(&media("inbound", 6, 80, &[HEARD; 160]));
    pause(&mut bench, true);
    bench.say(&media("inbound", 5, 60, &[SECRET; 160]));
    say(&mut bench, 5..8, SECRET);
    let expected = [vec![HEARD; 480], vec![MULAW_SILENCE; 160], vec![HEARD; 160], vec![MULAW_SILENCE; 480]].concat();
    assert_eq!(audio(&bench, Track::Inbound), expected);
    assert!(bench.seen().contains(&"inbound paused 100".to_owned()), "{:?}", bench.seen());
}

#[test]
fn a_frame_of_the_pause_that_comes_late_behind_it_is_dropped() {
    let mut bench = Bench::started();
    pause(&mut bench, true);
    say(&mut bench, 0..3, SECRET);
    bench.say(&media("inbound", 6, 80, &[SECRET; 160]));
    pause(&mut bench, false);
    bench.say(&media("inbound", 5, 60, &[SECRET; 160]));
    say(&mut bench, 5..8, HEARD);
    let expected = [vec![MULAW_SILENCE; 800], vec![HEARD; 480]].concat();
    assert_eq!(audio(&bench, Track::Inbound), expected);
}

#[test]
fn a_track_that_begins_in_a_pause_is_paused_from_its_first_frame() {
    let mut bench = Bench::started();
    say(&mut bench, 0..3, HEARD);
    pause(&mut bench, true);
    bench.say(&media("outbound", 5, 60, &[SECRET; 480]));
    pause(&mut bench, false);
    bench.say(&media("outbound", 6, 120, &[HEARD; 480]));
    assert_eq!(bench.seen()[2..], ["outbound 60+60", "outbound paused 60", "outbound resumed 120", "outbound 120+60"]);
    assert_eq!(audio(&bench, Track::Outbound), [[MULAW_SILENCE; 480], [HEARD; 480]].concat());
}

#[test]
fn a_track_on_which_nothing_came_in_a_pause_has_none() {
    let mut bench = Bench::started();
    say(&mut bench, 0..3, HEARD);
    pause(&mut bench, true);
    bench.wait(5.0);
    pause(&mut bench, false);
    say(&mut bench, 3..6, HEARD);
    assert_eq!(bench.seen()[1..], ["inbound 0+60", "inbound 60+60"]);
}

#[test]
fn what_came_before_a_stream_was_let_in_into_a_pause_is_part_of_it() {
    let mut bench = Bench::started();
    say(&mut bench, 0..4, SECRET);
    bench.stream.handle_let_in(true, bench.now);
    bench.drain();
    pause(&mut bench, false);
    say(&mut bench, 4..7, HEARD);
    let expected = ["inbound 0+60", "inbound 60+20", "inbound paused 0", "inbound resumed 80", "inbound 80+60"];
    assert_eq!(bench.seen()[1..], expected, "its driver has the audio before the mark still");
    let mut bench = Bench::started();
    say(&mut bench, 0..4, HEARD);
    bench.stream.handle_let_in(false, bench.now);
    say(&mut bench, 4..6, HEARD);
    assert_eq!(bench.seen()[1..], ["inbound 0+60", "inbound 60+60"]);
}

#[test]
fn which_key_was_pressed_in_a_pause_is_known_to_nobody() {
    let mut bench = Bench::started();
    say(&mut bench, 0..3, HEARD);
    let key = r#"{"event":"dtmf","streamSid":"MZ1","dtmf":{"track":"inbound_track","digit":"5"}}"#;
    for paused in [true, false] {
        pause(&mut bench, paused);
        bench.say(key);
    }
    assert_eq!(bench.seen()[2..], ["inbound 60 key -", "inbound 60 key 5"]);
}

#[test]
fn what_was_lost_before_a_pause_is_told_before_it_and_what_was_lost_in_it_before_its_end() {
    let mut bench = Bench::started();
    say(&mut bench, 0..3, HEARD);
    say(&mut bench, 13..16, HEARD);
    pause(&mut bench, true);
    say(&mut bench, 16..19, SECRET);
    say(&mut bench, 29..32, SECRET);
    pause(&mut bench, false);
    let told = bench.seen().into_iter().filter(|word| !word.contains('+')).collect::<Vec<_>>();
    let expected = ["start CA1", "inbound lost 60..260", "inbound paused 320", "inbound lost 380..580", "inbound resumed 640"];
    assert_eq!(told, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Frames of odd lengths in disorder and with losses, with pauses anywhere.
    #[test]
    fn no_byte_of_a_pause_gets_through_however_frames_come(
        steps in vec((0_u8..12, 0_u64..4, 1_usize..400), 1..150)
    ) {
        let mut bench = Bench::started();
        let (mut paused, mut at_ms, mut heard, mut turns) = (false, 0, 0, 0);
        for (number, (kind, jump, bytes)) in (2..).zip(&steps) {
            match kind {
                0 => {
                    paused = !paused;
                    turns += 1;
                    pause(&mut bench, paused);
                }
                1 => bench.wait(0.15),
                _ => {
                    let byte = if paused { SECRET } else { HEARD };
                    heard += if paused { 0 } else { *bytes };
                    let back = if *kind == 2 { 40 } else { 0 };
                    bench.say(&media("inbound", number, (at_ms + jump * 10_u64).saturating_sub(back), &vec![byte; *bytes]));
                    at_ms += *bytes as u64 / 8 + jump * 10;
                }
            }
        }
        bench.stream.handle_closed(bench.now);
        bench.drain();
        let audio = audio(&bench, Track::Inbound);
        prop_assert!(!audio.contains(&SECRET));
        prop_assert!(audio.split(|byte| *byte == HEARD).count() - 1 <= heard, "nothing is there twice");
        let told = bench.seen().iter().filter(|word| word.contains("paused") || word.contains("resumed")).count();
        prop_assert!(told <= turns);
    }
}
