//! A session that an operator pauses.

use super::*;

#[test]
fn a_pause_is_one_gap_of_each_track_and_leaves_the_call_complete() {
    let mut desk = Desk::new();
    desk.settle();
    for key in [IN, OUT] {
        desk.call.handle_paused(key, 500, desk.now);
        desk.call.handle_paused(key, 700, desk.now);
    }
    desk.later(Duration::from_secs(3));
    assert_eq!(gaps(&desk), [], "nobody knows yet how long it lasts");
    desk.call.handle_resumed(IN, 1_500, desk.now);
    desk.call.handle_resumed(IN, 1_600, desk.now);
    desk.later(Duration::from_secs(3));
    assert_eq!(gaps(&desk), [(Track::Inbound, paused(500, 1_500))]);
    desk.hang_up(EndReason::Stop);
    assert_eq!(gaps(&desk)[1..], [(Track::Outbound, paused(500, 2_000))], "it ends with the stream");
    assert_eq!(ending(&desk), Some((EndReason::Stop, true)));
    let Some((_, Data::CallCompleted(completed))) = desk.units.last().and_then(|unit| unit.event.as_ref()) else {
        panic!("the last event ends the call")
    };
    assert!(completed.tracks.iter().all(|track| track.gaps.len() == 1), "{completed:?}");
}

#[test]
fn a_pause_is_in_the_session_s_row_from_its_begin_until_its_gap_is_stored() {
    let mut desk = Desk::new();
    desk.call.handle_paused(IN, 500, desk.now);
    desk.call.handle_paused(OUT, 520, desk.now);
    desk.settle();
    desk.call.handle_resumed(IN, 1_500, desk.now);
    desk.later(Duration::from_secs(3));
    let of_out = || vec![(OUT, 520)];
    assert_eq!(rows(&desk), [vec![(IN, 500)], vec![(IN, 500), (OUT, 520)], of_out()]);
    let told = desk.units.last().unwrap();
    assert!(matches!(told.event, Some((_, Data::TranscriptGap(_)))) && told.context.is_some(), "in one transaction");
    desk.hang_up(EndReason::Stop);
    assert_eq!(rows(&desk).last(), Some(&Vec::new()));
}

#[test]
fn a_pause_in_which_nothing_came_is_no_gap_and_leaves_the_row() {
    let mut desk = Desk::new();
    desk.call.handle_paused(IN, 500, desk.now);
    desk.call.handle_resumed(IN, 500, desk.now);
    desk.later(Duration::from_secs(3));
    assert_eq!((gaps(&desk), rows(&desk).last()), (Vec::new(), Some(&Vec::new())));
}

#[test]
fn what_was_lost_on_the_way_in_a_pause_is_part_of_it_and_what_was_lost_before_is_not() {
    let mut desk = Desk::new();
    desk.settle();
    let lost = |from_ms| Gap { from_ms, to_ms: from_ms + 100, reason: GapReason::Disconnected };
    desk.call.handle_paused(IN, 500, desk.now);
    desk.call.handle_lost(Track::Inbound, lost(600), desk.now);
    desk.call.handle_lost(Track::Inbound, lost(300), desk.now);
    desk.call.handle_lost(Track::Outbound, lost(600), desk.now);
    desk.hang_up(EndReason::Stop);
    let expected = [(Track::Inbound, lost(300)), (Track::Outbound, lost(600)), (Track::Inbound, paused(500, 2_000))];
    assert_eq!(gaps(&desk), expected);
    assert_eq!(ending(&desk), Some((EndReason::Stop, false)));
}

#[test]
fn a_key_of_a_pause_is_masked_though_menu_keys_show_and_masks_the_one_just_before_it() {
    let mut desk = Desk::new();
    desk.call.gate = Gate::new(GateSettings { digits: DigitPolicy::ShowMenu, ..GateSettings::default() }, [7; 32]);
    for (at_ms, digit) in [(1_000, Some('1')), (20_000, Some('2')), (21_000, None), (40_000, Some('3'))] {
        desk.call.handle_digit(Track::Inbound, at_ms, digit, desk.now);
        desk.later(Duration::from_secs(2));
    }
    desk.hang_up(EndReason::Stop);
    let keys = desk.units.iter().filter_map(|unit| unit.event.as_ref()).filter_map(|(_, data)| match data {
        Data::CallDtmf(dtmf) => Some((dtmf.digit, dtmf.masked)),
        _ => None,
    });
    assert_eq!(keys.collect::<Vec<_>>(), [(Some('1'), false), (None, true), (None, true), (Some('3'), false)]);
}

#[test]
fn words_on_both_sides_of_a_pause_are_told_at_their_times() {
    let mut desk = Desk::new();
    desk.settle();
    desk.call.handle_report(IN, Report::Final(heard("before the pause", 0, 900)), desk.now);
    desk.call.handle_paused(IN, 1_000, desk.now);
    desk.later(Duration::from_mins(1));
    desk.call.handle_resumed(IN, 61_000, desk.now);
    desk.call.handle_report(IN, Report::Final(heard("behind the pause", 61_200, 62_000)), desk.now);
    desk.later(Duration::from_secs(3));
    let kinds: Vec<_> = desk.stored().iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, ["call.started", "transcript.final", "transcript.gap", "transcript.final"]);
    let starts = desk.units.iter().filter_map(|unit| unit.segment.as_ref()).map(|release| release.segment.start_ms);
    assert_eq!(starts.collect::<Vec<_>>(), [0, 61_200]);
}

fn paused(from_ms: u64, to_ms: u64) -> Gap {
    Gap { from_ms, to_ms, reason: GapReason::Paused }
}

/// What the session's row was said to be, each time that it was.
fn rows(desk: &Desk) -> Vec<Vec<(TrackKey, u64)>> {
    let contexts = desk.units.iter().filter_map(|unit| unit.context.as_ref()).map(Pause::of_context);
    let of = |pause: &Pause| (TrackKey { stream: pause.stream, track: pause.track }, pause.from_ms);
    contexts.map(|pauses| pauses.iter().map(of).collect()).collect()
}
