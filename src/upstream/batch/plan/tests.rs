use super::*;
use crate::media::GapReason;

/// Silence, and a byte that is loud.
const QUIET: u8 = 0xFF;
const LOUD: u8 = 0x80;

fn at(ms: u64) -> Offset {
    Offset(ms_to_bytes(ms))
}

fn stretch(from_ms: u64, to_ms: u64) -> Stretch {
    Stretch { from: at(from_ms), to: at(to_ms), from_ms, to_ms, reason: GapReason::UpstreamLost }
}

/// Frames of a second, each of one byte, on a clock that is `late_ms` behind the track.
fn seconds(range: std::ops::Range<u64>, late_ms: u64, byte: impl Fn(u64) -> u8) -> Vec<Frame> {
    let second = |second: u64| Frame {
        offset: at(second * 1_000),
        at_ms: second * 1_000 + late_ms,
        audio: vec![byte(second); 8_000].into(),
    };
    range.map(second).collect()
}

fn manner(limit_ms: u64) -> Manner {
    Manner { limit: ms_to_bytes(limit_ms), bare: false }
}

fn piece(wanted: &[Stretch], frames: &[Frame], manner: Manner) -> (Piece, usize) {
    match cut(wanted, frames, manner) {
        Some(Cut::Piece(piece, audio)) => (piece, audio.iter().map(Bytes::len).sum()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stretch_goes_with_a_second_on_either_side() {
    let wanted = [stretch(5_000, 8_000)];
    assert_eq!(to_read(&wanted, manner(60_000)), Some((at(4_000), at(9_000))));
    let (piece, bytes) = piece(&wanted, &seconds(3..20, 700, |_| LOUD), manner(60_000));
    assert_eq!((piece.start, piece.start_ms, piece.length), (at(4_000), 4_700, 40_000));
    assert_eq!((piece.wanted.as_slice(), piece.voice_ms, bytes), (&[(at(5_000), at(8_000))][..], 3_000, 40_000));
    assert_eq!((piece.upto(), piece.wanted_bytes(), piece.ms(at(5_000))), (at(8_000), 24_000, 5_700));
}

#[test]
fn a_track_begins_and_ends_without_anything_around_it() {
    let wanted = [stretch(0, 3_000)];
    assert_eq!(to_read(&wanted, manner(60_000)), Some((at(0), at(4_000))));
    let (piece, bytes) = piece(&wanted, &seconds(0..3, 0, |_| QUIET), manner(60_000));
    assert_eq!((piece.start, piece.length, piece.voice_ms, bytes), (at(0), 24_000, 0, 24_000));
}

#[test]
fn near_stretches_go_together_and_far_ones_do_not() {
    let near = [stretch(1_000, 4_000), stretch(6_000, 8_000), stretch(12_000, 13_000)];
    assert_eq!(to_read(&near, manner(60_000)), Some((at(0), at(9_000))));
    let (joined, _) = piece(&near, &seconds(0..20, 0, |_| QUIET), manner(60_000));
    assert_eq!(joined.wanted, [(at(1_000), at(4_000)), (at(6_000), at(8_000))]);
    let mut jumped = near;
    jumped[1].from_ms += 500;
    let (alone, _) = piece(&jumped, &seconds(0..20, 0, |_| QUIET), manner(60_000));
    assert_eq!(alone.wanted.len(), 1, "a jump of the call's clock parts them");
}

#[test]
fn one_that_is_too_long_is_cut_in_the_middle_of_the_last_quiet_place() {
    let wanted = [stretch(0, 100_000)];
    let byte = |second| if [20, 45, 52].contains(&second) { QUIET } else { LOUD };
    let (piece, _) = piece(&wanted, &seconds(0..100, 0, byte), manner(60_000));
    assert_eq!(piece.upto(), at(52_900), "the latest of equals, half of the quiet that is looked for before its end");
    assert_eq!(piece.length, piece.upto().0 + ms_to_bytes(AROUND_MS));
}

#[test]
fn without_a_quiet_place_it_is_cut_all_the_same() {
    let wanted = [stretch(0, 100_000)];
    let (piece, _) = piece(&wanted, &seconds(0..100, 0, |_| LOUD), manner(60_000));
    assert!((at(30_000)..=at(60_000)).contains(&piece.upto()), "{:?}", piece.upto());
}

#[test]
fn a_hole_or_a_jump_of_the_clock_ends_a_piece() {
    let wanted = [stretch(0, 10_000)];
    let mut holed = seconds(0..4, 0, |_| LOUD);
    holed.extend(seconds(6..10, 0, |_| LOUD));
    assert_eq!(piece(&wanted, &holed, manner(60_000)).0.upto(), at(4_000));
    let mut jumped = seconds(0..4, 0, |_| LOUD);
    jumped.extend(seconds(4..10, 300, |_| LOUD));
    let (before, _) = piece(&wanted, &jumped, manner(60_000));
    assert_eq!((before.upto(), before.length), (at(4_000), 32_000));
    let rest = [Stretch { from: at(4_000), from_ms: 4_300, ..wanted[0] }];
    let (behind, _) = piece(&rest, &jumped, manner(60_000));
    assert_eq!((behind.start, behind.start_ms), (at(4_000), 4_300), "what lies before a jump is no part of it");
}

#[test]
fn what_is_not_there_is_told_up_to_where_something_is() {
    let wanted = [stretch(2_000, 10_000)];
    let cut = |frames: &[Frame]| super::cut(&wanted, frames, manner(60_000));
    assert_eq!(cut(&seconds(5..10, 0, |_| LOUD)), Some(Cut::Missing(at(5_000))));
    assert_eq!(cut(&seconds(12..14, 0, |_| LOUD)), Some(Cut::Missing(at(10_000))));
    assert_eq!(cut(&[]), Some(Cut::Missing(at(10_000))));
    assert_eq!(super::cut(&[], &[], manner(1)), None);
}

#[test]
fn a_bare_piece_is_one_stretch_and_nothing_around_it() {
    let wanted = [stretch(1_000, 4_000), stretch(5_000, 8_000)];
    let bare = Manner { bare: true, ..manner(60_000) };
    assert_eq!(to_read(&wanted, bare), Some((at(1_000), at(4_000))));
    let (piece, bytes) = piece(&wanted, &seconds(0..20, 0, |_| LOUD), bare);
    assert_eq!((piece.start, piece.wanted.len(), bytes), (at(1_000), 1, 24_000));
}

#[test]
fn no_request_is_longer_than_it_may_be() {
    let wanted = [stretch(0, 1_000_000)];
    let (piece, bytes) = piece(&wanted, &seconds(0..400, 0, |_| LOUD), manner(WANTED_MS));
    assert!(bytes as u64 <= ms_to_bytes(REQUEST_MS) && piece.length <= ms_to_bytes(REQUEST_MS));
}
