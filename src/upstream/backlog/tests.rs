use bytes::Bytes;
use proptest::prelude::*;

use super::{fetch::AHEAD_BYTES as AHEAD, *};

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
fn holes_are_fetched_one_by_one_when_it_is_their_turn() {
    let mut backlog = Backlog::new(10_000);
    for start in [0, 960, 1_920] {
        backlog.push(chunk(start, 480));
    }
    assert_eq!(send_all(&mut backlog), [(0, 480)]);
    for from in [480, 1_440] {
        assert_eq!(backlog.poll_fetch(), Some(Offset(from)));
        assert_eq!(backlog.poll_fetch(), None, "one at a time");
        assert!(backlog.fetched([chunk(from - 240, 960)]));
        assert_eq!(send_all(&mut backlog), [(from, from + 480), (from + 480, from + 960)], "cut to the hole");
    }
    assert!(backlog.is_all_sent());
    assert_eq!((backlog.poll_fetch(), backlog.take_lost(Offset(0))), (None, None));
}

#[test]
fn what_the_spool_has_not_either_is_lost_at_once_if_it_has_what_follows() {
    let mut backlog = Backlog::new(10_000);
    backlog.push(chunk(0, 480));
    backlog.push(chunk(2_000, 480));
    send_all(&mut backlog);
    assert_eq!(backlog.poll_fetch(), Some(Offset(480)));
    assert!(backlog.fetched([chunk(600, 400), chunk(1_500, 100), chunk(2_000, 480)]));
    let lost: Vec<_> = std::iter::from_fn(|| backlog.take_lost(Offset(0))).map(|(from, to, _)| (from.0, to.0)).collect();
    assert_eq!(lost, [(480, 600), (1_000, 1_500), (1_600, 2_000)], "told one by one");
    assert_eq!(send_all(&mut backlog), [(600, 1_000), (1_500, 1_600), (2_000, 2_480)]);
    backlog.rewind(Offset(0));
    assert_eq!(send_all(&mut backlog), [(0, 480), (600, 1_000), (1_500, 1_600), (2_000, 2_480)]);
    assert_eq!(backlog.take_lost(Offset(0)), None, "told once");
    assert_eq!(backlog.stretches(Offset(100), Offset(2_480)).len(), 4);
}

#[test]
fn what_is_not_written_yet_is_asked_for_again_a_bounded_number_of_times() {
    let mut backlog = Backlog::new(10_000);
    backlog.push(chunk(0, 480));
    backlog.push(chunk(960, 480));
    send_all(&mut backlog);
    let mut asked = 0;
    loop {
        assert_eq!(backlog.poll_fetch(), Some(Offset(480)));
        asked += 1;
        if backlog.fetched([]) {
            break;
        }
        assert_eq!(backlog.take_lost(Offset(0)), None);
    }
    assert!(asked > 5, "a disk may stall for a while");
    assert_eq!(backlog.take_lost(Offset(0)), Some((Offset(480), Offset(960), GapReason::UpstreamLost)));
    assert_eq!(send_all(&mut backlog), [(960, 1_440)]);
}

#[test]
fn a_spool_that_does_not_answer_costs_seconds_at_a_time_and_not_the_whole_hole() {
    let mut backlog = Backlog::new(10_000);
    backlog.push(chunk(0, 480));
    backlog.push(chunk(ms_to_bytes(3_600_000), 480));
    send_all(&mut backlog);
    for (round, reads) in [(0, 20), (1, 3), (2, 3)] {
        let from = 480 + round * FETCH_BYTES;
        for read in 1..=reads {
            assert_eq!(backlog.poll_fetch(), Some(Offset(from)));
            assert_eq!((backlog.fetched([]), read), (read == reads, read));
        }
        let lost = Some((Offset(from), Offset(from + FETCH_BYTES), GapReason::UpstreamLost));
        assert_eq!((backlog.take_lost(Offset(0)), backlog.take_lost(Offset(0))), (lost, None));
    }
    let rest = 480 + 3 * FETCH_BYTES;
    assert_eq!(backlog.poll_fetch(), Some(Offset(rest)));
    assert!(backlog.fetched([chunk(rest, 480)]));
    assert_eq!(send_all(&mut backlog), [(rest, rest + 480)], "what the spool has again is sent");
    assert_eq!(backlog.poll_fetch(), Some(Offset(rest + 480)));
    assert!(!backlog.fetched([]) && backlog.tries == 1, "and it is patient again");
}

#[test]
fn an_answer_that_a_new_connection_has_no_use_for_is_not_taken_for_its_own() {
    let mut backlog = Backlog::new(100);
    (0..10).for_each(|n| backlog.push(chunk(n * 400, 400)));
    backlog.rewind(Offset(800));
    assert_eq!(backlog.poll_fetch(), Some(Offset(800)));
    backlog.rewind(Offset(0));
    assert_eq!(backlog.poll_fetch(), None, "the answer is still to come");
    assert!(backlog.fetched([chunk(800, 400)]));
    assert_eq!(backlog.poll_fetch(), Some(Offset(0)));
    assert!(backlog.fetched((0..10).map(|n| chunk(n * 400, 400))));
    assert_eq!(send_all(&mut backlog).len(), 10);
    assert_eq!(backlog.take_lost(Offset(0)), None);
}

#[test]
fn audio_is_fetched_ahead_of_its_turn_and_no_further_than_that() {
    let (mut backlog, seconds) = (Backlog::new(1_000), |n: u64| Offset(n * 8_000));
    (0..1_000).for_each(|n| backlog.push(chunk(n * 480, 480)));
    backlog.rewind(Offset(0));
    let read = |from: Offset| (from.0 / 480..from.0 / 480 + FETCH_BYTES / 480).map(|n| chunk(n * 480, 480));
    for _ in 0..2 {
        let from = backlog.poll_fetch().unwrap_or_else(|| panic!("nothing is ready"));
        assert!(backlog.fetched(read(from)));
        if backlog.ready_end.since(backlog.cursor) >= AHEAD {
            break;
        }
    }
    assert_eq!(backlog.poll_fetch(), None);
    assert!(backlog.bytes <= backlog.limit + 2 * FETCH_BYTES);
    while backlog.next_unsent().is_some_and(|chunk| chunk.offset < seconds(4)) {
        backlog.sent(crate::clock::now());
    }
    assert!(backlog.poll_fetch().is_some(), "before what is ready is sent");
}

#[test]
fn the_oldest_minute_is_given_up_where_the_spool_is_full() {
    let mut backlog = Backlog::new(1_000);
    let minute = ms_to_bytes(60_000);
    (0..1_200).for_each(|n| backlog.push(chunk(n * 800, 800)));
    backlog.shed(Offset(400), 2 * minute);
    assert_eq!(backlog.take_lost(Offset(0)), None, "as much as is allowed");
    backlog.push(chunk(1_200 * 800, 800));
    backlog.shed(Offset(400), 2 * minute);
    assert_eq!(backlog.take_lost(Offset(0)), Some((Offset(400), Offset(400 + minute), GapReason::SpoolFull)));
    backlog.shed(Offset(400), 2 * minute);
    assert_eq!(backlog.take_lost(Offset(0)), None);
    assert_eq!(backlog.behind_gone(Offset(400)), Offset(400 + minute));
    backlog.rewind(Offset(400));
    assert_eq!(backlog.poll_fetch(), Some(Offset(400 + minute)), "a connection begins behind it");
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
    let behind = Offset(8_480 + ms_to_bytes(KEPT_MS));
    backlog.push(chunk(8_480, behind.0 - 8_480));
    send_all(&mut backlog);
    backlog.covered(behind);
    assert_eq!(backlog.held.len(), 1, "a little of it stays, for a connection that begins earlier");
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
fn what_is_forgotten_is_asked_for_only_if_it_is_needed_again() {
    let mut backlog = Backlog::new(100);
    backlog.push(chunk(0, 400));
    backlog.push(chunk(400, 400));
    send_all(&mut backlog);
    backlog.push(chunk(800, 400));
    assert_eq!(backlog.poll_fetch(), None, "a connection has it");
    let from = backlog.worth_sending(Offset(100));
    assert_eq!(from, Offset(100));
    backlog.rewind(from);
    assert_eq!(backlog.poll_fetch(), Some(Offset(100)));
    assert!(backlog.fetched([chunk(100, 300), chunk(400, 400)]));
    assert_eq!(send_all(&mut backlog), [(100, 400), (400, 800), (800, 1_200)]);
}

#[test]
fn a_line_without_a_voice_is_not_worth_sending_again_and_is_told_as_heard() {
    let mut backlog = Backlog::new(1_000);
    let quiet = |n: u64| Chunk { audio: vec![0xFF; 800].into(), ..chunk(n * 800, 800) };
    for n in 0..300 {
        backlog.push(quiet(n));
        backlog.sent(crate::clock::now());
    }
    assert_eq!(backlog.worth_sending(Offset(0)), Offset(290 * 800), "what is in memory is sent all the same");
    assert_eq!(backlog.quiet_until(Offset(0)), Some(Offset(290 * 800)));
    backlog.push(chunk(300 * 800, 800));
    backlog.sent(crate::clock::now());
    (301..400).for_each(|n| backlog.push(quiet(n)));
    assert_eq!(backlog.worth_sending(Offset(0)), Offset(300 * 800), "a voice, and what was never sent");
    assert_eq!(backlog.quiet_until(Offset(0)), Some(Offset(300 * 800)));
}

#[test]
fn what_a_final_covers_is_not_missed() {
    let mut backlog = Backlog::new(100);
    backlog.push(chunk(0, 400));
    backlog.push(chunk(400, 400));
    send_all(&mut backlog);
    backlog.push(chunk(800, 800));
    backlog.covered(Offset(800));
    backlog.rewind(backlog.worth_sending(backlog.mark()));
    assert_eq!(backlog.poll_fetch(), None);
    assert_eq!(send_all(&mut backlog), [(800, 1_600)]);
}

#[test]
fn what_an_earlier_life_left_is_fetched_from_its_beginning() {
    let clock = vec![(Offset(0), 0), (Offset(8_000), 5_000)];
    let mut backlog = Backlog::of(
        &Remains { first: Offset(4_000), from: Offset(4_000), end: Offset(16_000), clock, ..Remains::default() },
        1_000,
    );
    assert_eq!(backlog.poll_fetch(), Some(Offset(4_000)));
    let late = Chunk { at_ms: 5_000, ..chunk(8_000, 8_000) };
    assert!(backlog.fetched([chunk(4_000, 4_000), late]));
    assert_eq!(send_all(&mut backlog), [(4_000, 8_000), (8_000, 16_000)]);
    assert!(backlog.is_all_sent());
    assert_eq!((backlog.start_ms(Offset(8_000)), backlog.end_ms(Offset(8_000))), (5_000, 1_000));
    assert_eq!(
        backlog.stretches(Offset(4_000), Offset(16_000)),
        [(Offset(4_000), Offset(8_000)), (Offset(8_000), Offset(16_000))]
    );
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
    backlog.rewind(Offset(960));
    backlog.push(Chunk { received: at(180), ..chunk(ms_to_bytes(KEPT_MS) + 960, 480) });
    backlog.covered(Offset(ms_to_bytes(KEPT_MS) + 480));
    assert_eq!(backlog.latency(Offset(480), at(500)), Latency::default(), "forgotten");
    let from = backlog.poll_fetch().expect("a hole behind the cursor");
    backlog.fetched([chunk(from.0, 480)]);
    assert_eq!(backlog.latency(Offset(1_440), at(500)), Latency::default(), "nobody knows when it came");
}

#[derive(Debug, Clone)]
enum Step {
    Push(u64),
    /// It came, but never to the link; whether it is on the spool.
    Skip(u64, bool),
    Send(usize),
    Cover(f64),
    Reconnect,
    /// The spool answers with so many chunks at most.
    Fetch(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..900_u64).prop_map(Step::Push),
        1 => (1..900_u64, any::<bool>()).prop_map(|(length, spooled)| Step::Skip(length, spooled)),
        4 => (1..6_usize).prop_map(Step::Send),
        2 => (0.0..1.0).prop_map(Step::Cover),
        1 => Just(Step::Reconnect),
        3 => (0..6_usize).prop_map(Step::Fetch),
    ];
    prop::collection::vec(step, 1..160)
}

proptest! {
    #[test]
    fn every_byte_is_sent_in_order_or_told_as_lost(steps in steps(), memory_ms in 50_u64..1_000) {
        let mut backlog = Backlog::new(memory_ms);
        let (mut end, mut position) = (0, 0);
        let mut spool: Vec<Chunk> = Vec::new();
        let mut lost: Vec<(u64, u64)> = Vec::new();
        let read = |spool: &[Chunk], from: Offset| spool.iter().filter(|chunk| chunk.end() > from).cloned().collect::<Vec<_>>();
        for step in steps {
            match step {
                Step::Push(length) => {
                    spool.push(chunk(end, length));
                    backlog.push(chunk(end, length));
                    end += length;
                }
                Step::Skip(length, spooled) => {
                    spool.extend(spooled.then(|| chunk(end, length)));
                    end += length;
                }
                Step::Send(count) => for _ in 0..count {
                    let Some(next) = backlog.next_unsent() else { break };
                    prop_assert!(next.offset.0 >= position, "in order, nothing twice");
                    let skipped = next.offset.0 - position;
                    let told: u64 = lost.iter().map(|range| range.1.min(next.offset.0).saturating_sub(range.0.max(position))).sum();
                    prop_assert!(position == 0 || skipped == told, "nothing is left out that was not told");
                    prop_assert!(next.audio.iter().zip(next.offset.0..).all(|(byte, offset)| *byte == sample(offset)), "untouched");
                    position = next.end().0;
                    backlog.sent(crate::clock::now());
                },
                Step::Cover(share) => {
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a few thousand bytes")]
                    backlog.covered(Offset((share * position as f64) as u64));
                }
                Step::Reconnect => {
                    backlog.rewind(backlog.worth_sending(backlog.mark()));
                    position = backlog.cursor.0;
                }
                Step::Fetch(count) => if let Some(from) = backlog.poll_fetch() {
                    backlog.fetched(read(&spool, from).into_iter().take(count));
                }
            }
            lost.extend(std::iter::from_fn(|| backlog.take_lost(Offset(0))).map(|range| (range.0.0, range.1.0)));
            prop_assert!(backlog.bytes <= backlog.limit + 2 * FETCH_BYTES + 900);
        }
        backlog.rewind(backlog.worth_sending(backlog.mark()));
        let mut again = Vec::new();
        while !backlog.is_all_sent() {
            again.extend(send_all(&mut backlog));
            if let Some(from) = backlog.poll_fetch() {
                backlog.fetched(read(&spool, from));
            }
        }
        lost.extend(std::iter::from_fn(|| backlog.take_lost(Offset(0))).map(|range| (range.0.0, range.1.0)));
        for chunk in spool.iter().filter(|chunk| chunk.end() <= backlog.end()) {
            for offset in chunk.offset.0..chunk.end().0 {
                let heard = offset < backlog.mark().0 || again.iter().any(|range| (range.0..range.1).contains(&offset));
                prop_assert!(heard, "byte {} disappeared although the spool had it", offset);
            }
        }
        for range in again {
            prop_assert!(lost.iter().all(|gone| gone.1 <= range.0 || range.1 <= gone.0), "what is lost is not sent: {:?}", range);
        }
    }
}
