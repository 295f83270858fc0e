//! A session's second and third life, after the bridge was killed.

use super::*;

const LATER: TrackKey = TrackKey { stream: 1, track: Track::Inbound };

#[test]
fn the_end_of_a_killed_call_is_told_as_lost_and_the_call_ends_as_crash() {
    let mut desk = resume(&[(IN, 2000), (OUT, 1900)], Vec::new());
    assert_eq!(gaps(&desk), [(Track::Inbound, crash(2000)), (Track::Outbound, crash(1900))]);
    assert_eq!(ending(&desk), Some((EndReason::Crash, false)));
    desk.settle();
    assert!(desk.call.is_over());
}

#[test]
fn a_call_whose_last_stream_had_ended_before_the_kill_ends_as_that_did_and_is_complete() {
    for reason in [EndReason::Stop, EndReason::Disconnect, EndReason::Timeout, EndReason::Shutdown] {
        let tracks = vec![track(IN, heard(2_000)), track(OUT, heard(1_900))];
        let desk = begin(Resumed { ended: Some(reason), ..resumed(tracks, Vec::new()) });
        assert_eq!(gaps(&desk), []);
        assert_eq!(ending(&desk), Some((reason, true)));
    }
}

#[test]
fn a_call_of_which_something_stored_cannot_be_read_is_not_complete() {
    let now = crate::clock::now();
    let resumed = Resumed { ended: Some(EndReason::Stop), ..resumed(vec![track(IN, heard(2_000))], Vec::new()) };
    let mut call = Call::resumed(facts(), gate(), resumed, now);
    let mut ends = None;
    while let Some(output) = call.poll_output() {
        match output {
            Output::Conclude => call.handle_transcript((Vec::new(), false), 0, String::new()),
            Output::Store(unit) => {
                ends = unit.ends;
                call.handle_stored(now);
            }
            _ => {}
        }
    }
    assert_eq!(ends.map(|end| (end.reason, end.complete)), Some((EndReason::Stop, false)));
}

#[test]
fn what_is_known_to_be_lost_of_a_stream_that_had_ended_makes_the_call_incomplete() {
    let track = ResumedTrack { lost_ms: vec![(2_000, 2_600)], ..track(IN, heard(2_600)) };
    let desk = begin(Resumed { ended: Some(EndReason::Stop), ..resumed(vec![track], Vec::new()) });
    assert_eq!(gaps(&desk), [(Track::Inbound, Gap { from_ms: 2_000, to_ms: 2_600, reason: GapReason::Crash })]);
    assert_eq!(ending(&desk), Some((EndReason::Stop, false)));
}

#[test]
fn streams_that_had_ended_before_the_kill_lost_nothing_by_it() {
    let desk = resume(&[(IN, 2000), (OUT, 2000), (LATER, 9000)], Vec::new());
    assert_eq!(gaps(&desk), [(Track::Inbound, crash(9000))]);
}

#[test]
fn a_gap_that_an_earlier_recovery_told_is_not_told_again() {
    let desk = resume(&[(IN, 2000), (OUT, 1900)], vec![(Track::Inbound, crash(2000))]);
    assert_eq!(gaps(&desk), [(Track::Outbound, crash(1900))]);
    let Some((_, Data::CallCompleted(completed))) = desk.units.last().and_then(|unit| unit.event.as_ref()) else {
        panic!("the last event ends the call")
    };
    assert!(completed.tracks.iter().all(|track| track.gaps.len() == 1), "each party's gap is counted once");
}

#[test]
fn a_call_killed_before_any_audio_was_spooled_is_not_complete() {
    let desk = resume(&[(IN, 0)], Vec::new());
    assert_eq!(gaps(&desk), [(Track::Inbound, crash(0))]);
}

#[test]
fn a_call_that_was_paused_when_it_was_killed_has_one_pause_up_to_its_end_which_leaves_the_row() {
    let context = serde_json::json!({"language": null, "paused": [{"stream": 0, "track": "inbound", "from_ms": 1_200}]});
    let torn = ResumedTrack { lost_ms: vec![(800, 900), (1_700, 2_600)], ..track(IN, heard(2_600)) };
    let pauses = Pause::of_context(&context);
    let desk = begin(Resumed { pauses, ..resumed(vec![torn, track(OUT, heard(2_500))], Vec::new()) });
    let gap = |from_ms, to_ms, reason| (Track::Inbound, Gap { from_ms, to_ms, reason });
    let expected = [
        gap(1_200, 2_600, GapReason::Paused),
        gap(800, 900, GapReason::Crash),
        (Track::Inbound, crash(2_600)),
        (Track::Outbound, crash(2_500)),
    ];
    assert_eq!(gaps(&desk), expected, "silence that cannot be read is no loss");
    let row = desk.units.iter().find_map(|unit| unit.context.as_ref());
    assert_eq!(row, Some(&serde_json::json!({"paused": []})));
}

#[test]
fn what_an_earlier_life_sent_is_counted_once_where_the_link_of_the_rest_is_given_up() {
    let track = ResumedTrack { mark: Offset(3_000 * 8), has_link: true, ..track(IN, heard(5_000)) };
    let mut desk = begin(resumed(vec![track], Vec::new()));
    desk.later(DRAIN_LIMIT);
    let Some((_, Data::CallCompleted(completed))) = desk.units.last().and_then(|unit| unit.event.as_ref()) else {
        panic!("the last event ends the call")
    };
    assert_eq!((completed.tracks[0].sent_ms, completed.tracks[0].finalized_ms), (3_000, 3_000));
}

/// A session of which nothing is left to be transcribed; each track with where its audio ended.
fn resume(tracks: &[(TrackKey, u64)], told: Vec<(Track, Gap)>) -> Desk {
    begin(resumed(tracks.iter().map(|(key, end_ms)| track(*key, heard(*end_ms))).collect(), told))
}

/// What a track received that ended here.
fn heard(end_ms: u64) -> Received {
    Received { received_ms: end_ms, filled_ms: 0, end_ms }
}

/// A track without a link, of which nothing was transcribed.
fn track(key: TrackKey, received: Received) -> ResumedTrack {
    ResumedTrack { key, mark: Offset(0), received, segments: 0, has_link: false, lost_ms: Vec::new() }
}

fn resumed(tracks: Vec<ResumedTrack>, gaps: Vec<(Track, Gap)>) -> Resumed {
    Resumed {
        ended: None,
        next_seq: 2,
        tracks,
        gaps,
        pauses: Vec::new(),
        redactions: Vec::new(),
        placeholders: Vec::new(),
        last_segment: 0,
        speakers: Vec::new(),
    }
}

fn begin(resumed: Resumed) -> Desk {
    let now = crate::clock::now();
    let mut desk = Desk::around(Call::resumed(facts(), gate(), resumed, now), now);
    desk.settle();
    desk
}

fn crash(from_ms: u64) -> Gap {
    Gap { from_ms, to_ms: from_ms + 200, reason: GapReason::Crash }
}
