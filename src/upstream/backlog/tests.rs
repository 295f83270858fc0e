use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn chunk(offset: u64, length: u64) -> Chunk {
    let audio: Bytes = (offset..offset + length).map(sample).collect();
    Chunk { offset: Offset(offset), at_ms: bytes_to_ms(offset), audio, received: crate::clock::now() }
}

/// Never quiet, and different from its neighbours.
fn sample(offset: u64) -> u8 {
    u8::try_from(offset % 61).expect("under 61")
}

fn send_all(backlog: &mut Backlog) -> Vec<(u64, u64)> {
    let mut sent = Vec::new();
    while let Some(chunk) = backlog.next_unsent() {
        sent.push((chunk.offset.0, chunk.end().0));
        backlog.sent(crate::clock::now());
    }
    sent
}

#[test]
fn chunks_leave_without_being_copied() {
    let mut backlog = Backlog::new(1_000);
    let first = chunk(0, 480);
    let address = first.audio.as_ptr();
    backlog.push(first);
    assert_eq!(backlog.next_unsent().map(|chunk| chunk.audio.as_ptr()), Some(address));
    backlog.sent(crate::clock::now());
    backlog.rewind(Offset(160));
    assert_eq!(backlog.next_unsent().map(|chunk| chunk.audio.as_ptr()), Some(address.wrapping_add(160)), "also in its middle");
}

#[test]
fn holes_with_audio_between_them_are_told_one_by_one() {
    let mut backlog = Backlog::new(10_000);
    for start in [0, 960, 1_920] {
        backlog.push(chunk(start, 480));
    }
    let lost: Vec<_> = std::iter::from_fn(|| backlog.take_lost(Offset(0))).map(|(from, to)| (from.0, to.0)).collect();
    assert_eq!(lost, [(480, 960), (1_440, 1_920)]);
}

#[test]
fn a_rewind_goes_back_to_the_mark_and_no_further() {
    let mut backlog = Backlog::new(10_000);
    for start in [0, 480, 960] {
        backlog.push(chunk(start, 480));
    }
    assert_eq!(send_all(&mut backlog), [(0, 480), (480, 960), (960, 1_440)]);
    backlog.covered(Offset(700));
    backlog.rewind(backlog.mark());
    assert_eq!(send_all(&mut backlog), [(700, 960), (960, 1_440)]);
    assert_eq!((backlog.sent_ms(), backlog.replayed_ms()), (180, 92));
    assert_eq!(backlog.take_lost(Offset(0)), None);
}

#[test]
fn a_mark_never_moves_back_nor_beyond_what_came() {
    let mut backlog = Backlog::new(10_000);
    backlog.push(chunk(8_000, 480));
    send_all(&mut backlog);
    assert_eq!(backlog.mark(), Offset(8_000), "what came before the first chunk is nobody's business");
    backlog.covered(Offset(8_400));
    backlog.covered(Offset(100));
    assert_eq!(backlog.mark(), Offset(8_400));
    backlog.covered(Offset(1_000_000));
    assert_eq!(backlog.mark(), Offset(8_480));
    assert!(backlog.held.is_empty());
}

#[test]
fn what_is_covered_in_the_middle_of_a_replay_is_still_sent_once() {
    let mut backlog = Backlog::new(10_000);
    for start in [0, 480, 960] {
        backlog.push(chunk(start, 480));
    }
    send_all(&mut backlog);
    backlog.rewind(backlog.mark());
    backlog.sent(crate::clock::now());
    backlog.covered(Offset(1_200));
    assert_eq!(send_all(&mut backlog), [(480, 960), (960, 1_440)], "the service hears no splice");
    backlog.rewind(backlog.mark());
    assert_eq!(send_all(&mut backlog), [(1_200, 1_440)]);
}

#[test]
fn what_is_forgotten_unsent_is_lost_and_what_is_forgotten_after_sending_only_if_it_is_needed_again() {
    let mut backlog = Backlog::new(100);
    backlog.push(chunk(0, 400));
    backlog.push(chunk(400, 400));
    send_all(&mut backlog);
    backlog.push(chunk(800, 400));
    assert_eq!(backlog.take_lost(Offset(0)), None, "a connection has it");
    backlog.rewind(Offset(0));
    assert_eq!(backlog.take_lost(Offset(100)), Some((Offset(100), Offset(400))));
    assert_eq!(backlog.take_lost(Offset(0)), None, "told once");
    backlog.push(chunk(1_200, 400));
    assert_eq!(backlog.take_lost(Offset(0)), Some((Offset(400), Offset(800))));
    assert_eq!(send_all(&mut backlog), [(800, 1_200), (1_200, 1_600)]);
}

#[test]
fn what_a_final_covers_is_not_missed() {
    let mut backlog = Backlog::new(100);
    backlog.push(chunk(0, 400));
    backlog.push(chunk(400, 400));
    send_all(&mut backlog);
    backlog.push(chunk(800, 800));
    backlog.covered(Offset(800));
    backlog.rewind(backlog.mark());
    assert_eq!(backlog.take_lost(Offset(0)), None);
}

#[test]
fn bytes_that_came_before_are_cut_off() {
    let mut backlog = Backlog::new(10_000);
    backlog.push(chunk(0, 480));
    backlog.push(chunk(0, 480));
    backlog.push(chunk(320, 480));
    assert_eq!(send_all(&mut backlog), [(0, 480), (480, 800)]);
    assert_eq!(backlog.start_ms(Offset(480)), 60);
}

#[test]
fn latency_is_of_the_chunk_that_holds_the_end() {
    let start = crate::clock::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut backlog = Backlog::new(10_000);
    for (index, received) in [(0, 60), (1, 120)] {
        backlog.push(Chunk { received: at(received), ..chunk(index * 480, 480) });
    }
    backlog.sent(at(61));
    assert_eq!(backlog.latency(Offset(480), at(500)), Latency { ingress_ms: Some(1), upstream_ms: Some(440), gate_ms: None });
    assert_eq!(backlog.latency(Offset(481), at(500)).ingress_ms, None, "not sent yet");
    assert_eq!(backlog.latency(Offset(5_000), at(500)), Latency::default());
    backlog.covered(Offset(480));
    assert_eq!(backlog.latency(Offset(480), at(500)), Latency::default());
}

#[derive(Debug, Clone)]
enum Step {
    Push(u64),
    Skip(u64),
    Send(usize),
    Cover(f64),
    Reconnect,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..900_u64).prop_map(Step::Push),
        1 => (1..900_u64).prop_map(Step::Skip),
        4 => (1..6_usize).prop_map(Step::Send),
        2 => (0.0..1.0).prop_map(Step::Cover),
        1 => Just(Step::Reconnect),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn every_byte_is_sent_in_order_or_told_as_lost(steps in steps(), memory_ms in 50_u64..1_000) {
        let mut backlog = Backlog::new(memory_ms);
        let mut end = 0;
        // Which bytes came, and which of them are accounted for: covered, had by the connection, or lost.
        let mut came: Vec<bool> = Vec::new();
        let mut lost: Vec<(u64, u64)> = Vec::new();
        let mut position = 0;
        for step in steps {
            match step {
                Step::Push(length) => {
                    backlog.push(chunk(end, length));
                    end += length;
                    came.resize(usize::try_from(end).unwrap(), true);
                }
                Step::Skip(length) => {
                    end += length;
                    came.resize(usize::try_from(end).unwrap(), false);
                }
                Step::Send(count) => for _ in 0..count {
                    let Some(next) = backlog.next_unsent() else { break };
                    prop_assert!(next.offset.0 >= position, "in order, nothing twice");
                    prop_assert!(next.audio.iter().zip(next.offset.0..).all(|(byte, offset)| *byte == sample(offset)), "untouched");
                    position = next.end().0;
                    backlog.sent(crate::clock::now());
                },
                Step::Cover(share) => {
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a few thousand bytes")]
                    backlog.covered(Offset((share * position as f64) as u64));
                }
                Step::Reconnect => {
                    backlog.rewind(backlog.mark());
                    position = 0;
                }
            }
            lost.extend(std::iter::from_fn(|| backlog.take_lost(Offset(0))).map(|range| (range.0.0, range.1.0)));
            prop_assert!(backlog.bytes <= backlog.limit.max(900));
        }
        backlog.rewind(backlog.mark());
        lost.extend(std::iter::from_fn(|| backlog.take_lost(Offset(0))).map(|range| (range.0.0, range.1.0)));
        let again = send_all(&mut backlog);
        for (offset, came) in (0_u64..).zip(&came) {
            let within = |ranges: &[(u64, u64)]| ranges.iter().any(|range| (range.0..range.1).contains(&offset));
            let covered = offset < backlog.mark().0;
            prop_assert!(!came || covered || within(&again) || within(&lost), "byte {} disappeared", offset);
            prop_assert!(!within(&again) || (*came && !covered), "byte {} came from nowhere", offset);
        }
    }
}
