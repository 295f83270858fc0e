use proptest::{collection::vec, prelude::*};

use super::{super::sequence::Sequence, *};
use crate::media::{MULAW_SILENCE, Offset};

/// A message as it arrives: its number, its media time, its audio.
type Sent = (Option<u64>, Option<u64>, Vec<u8>);

/// One track's order with a clock that moves 20 ms a frame.
struct Bench {
    order: Order,
    sequence: Sequence,
    now: Instant,
    out: Vec<Chunk>,
}

impl Bench {
    /// A stream whose start message had number 1.
    fn new() -> Self {
        let mut sequence = Sequence::default();
        sequence.note(Some(1));
        Self { order: Order::new(60), sequence, now: crate::clock::now(), out: Vec::new() }
    }

    fn send(&mut self, (sequence, timestamp_ms, audio): &Sent) {
        let step = self.sequence.note(*sequence);
        self.order.handle_frame(Arrival { timestamp_ms: *timestamp_ms, step, audio }, self.now);
        self.collect();
    }

    /// Lets time pass, timers firing when they are due.
    fn wait(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(due) = self.order.poll_timeout().filter(|due| *due <= until) {
            self.order.handle_timeout(due);
            self.collect();
        }
        self.now = until;
    }

    fn collect(&mut self) {
        while let Some(chunk) = self.order.poll_chunk() {
            assert!(!chunk.audio.is_empty() && chunk.audio.len() <= 480);
            assert_eq!(chunk.offset, self.out.last().map_or(Offset(0), Chunk::end), "offsets have no holes");
            let clock = self.out.last().map_or(0, |last| last.at_ms + bytes_to_ms(last.audio.len() as u64));
            assert!(chunk.at_ms >= clock, "the clock never goes back");
            self.out.push(chunk);
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.out.iter().flat_map(|chunk| chunk.audio.to_vec()).collect()
    }

    fn finish(mut self) -> (Vec<u8>, OrderCounters) {
        self.order.handle_end();
        self.collect();
        assert_eq!(self.order.poll_timeout(), None);
        let counters = self.order.counters();
        let bytes = self.bytes();
        assert!(
            bytes_to_ms(bytes.len() as u64).abs_diff(counters.received_ms + counters.filled_ms) <= 1,
            "every byte is accounted for"
        );
        (bytes, counters)
    }
}

/// Sends all, 20 ms apart.
fn played(sent: &[Sent]) -> (Vec<u8>, OrderCounters) {
    let mut bench = Bench::new();
    for message in sent {
        bench.send(message);
        bench.wait(20);
    }
    bench.finish()
}

/// 20 ms frames, the first with message number 2 and content 0, then counting up; times as given.
fn frames(times: &[u64]) -> Vec<Sent> {
    let frame = |(at, time): (usize, &u64)| (Some(at as u64 + 2), Some(*time), vec![u8::try_from(at).unwrap(); 160]);
    times.iter().enumerate().map(frame).collect()
}

/// The bytes as runs: content and length in milliseconds.
fn runs(bytes: &[u8]) -> Vec<(u8, usize)> {
    bytes.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() / 8)).collect()
}

const GAP: u8 = MULAW_SILENCE;

#[test]
fn frames_in_order_come_out_untouched_in_whole_chunks() {
    let mut bench = Bench::new();
    for message in &frames(&[340, 360, 380, 400]) {
        bench.send(message);
    }
    assert_eq!((bench.out.len(), bench.order.first_ms(), bench.order.length_ms()), (1, Some(340), 80));
    let (bytes, counters) = bench.finish();
    assert_eq!(runs(&bytes), [(0, 20), (1, 20), (2, 20), (3, 20)]);
    assert_eq!(counters, OrderCounters { received_ms: 80, ..OrderCounters::default() });
}

#[test]
fn a_gap_in_unbroken_sequence_is_filled_at_once_if_no_late_frame_can_fill_it() {
    let mut bench = Bench::new();
    for message in &frames(&[0, 20, 160]) {
        bench.send(message);
    }
    assert_eq!(runs(&bench.bytes()), [(0, 20), (1, 20), (GAP, 120), (2, 20)]);
    let (_, counters) = bench.finish();
    assert_eq!((counters.received_ms, counters.filled_ms), (60, 120));
}

#[test]
fn media_times_out_of_order_are_put_in_order_though_the_numbers_are_unbroken() {
    for times in [&[0, 20, 60, 40, 80][..], &[0, 80, 60, 40, 20, 100]] {
        let (bytes, counters) = played(&frames(times));
        let order: Vec<u8> = runs(&bytes).into_iter().map(|(content, _)| content).collect();
        let mut expected: Vec<u8> = (0..u8::try_from(times.len()).unwrap()).collect();
        expected.sort_by_key(|at| times[usize::from(*at)]);
        assert_eq!((order, counters.filled_ms), (expected, 0), "{times:?}");
    }
}

#[test]
fn a_gap_behind_a_lost_message_waits_for_the_window_and_then_is_filled() {
    let mut bench = Bench::new();
    let mut sent = frames(&[0, 20, 40, 60]);
    sent.remove(1);
    for message in &sent {
        bench.send(message);
    }
    bench.wait(99);
    assert_eq!(runs(&bench.bytes()), [(0, 20)]);
    bench.wait(1);
    assert_eq!(runs(&bench.bytes()), [(0, 20), (GAP, 20), (2, 20), (3, 20)]);
    let (_, counters) = bench.finish();
    assert_eq!((counters.filled_ms, counters.late), (20, 0));
}

#[test]
fn without_message_numbers_a_gap_waits_for_the_window() {
    let sent: Vec<Sent> = frames(&[0, 20, 60, 80]).into_iter().map(|(_, time, audio)| (None, time, audio)).collect();
    let (bytes, counters) = played(&sent);
    assert_eq!(runs(&bytes), [(0, 20), (1, 20), (GAP, 20), (2, 20), (3, 20)]);
    assert_eq!(counters.filled_ms, 20);
}

#[test]
fn more_than_five_waiting_frames_end_the_wait() {
    let mut bench = Bench::new();
    let mut sent = frames(&[0, 20, 40, 60, 80, 100, 120, 140]);
    let missing = sent.remove(1);
    for message in &sent {
        bench.send(message);
    }
    bench.send(&missing);
    let (bytes, counters) = bench.finish();
    assert_eq!(runs(&bytes)[..3], [(0, 20), (GAP, 20), (2, 20)]);
    assert_eq!((counters.late, counters.duplicates, counters.filled_ms), (1, 0, 20));
}

#[test]
fn doubled_frames_are_dropped_with_the_same_number_or_a_new_one() {
    let mut same = frames(&[0, 20, 40]);
    same.insert(2, same[1].clone());
    let (bytes, counters) = played(&same);
    assert_eq!((runs(&bytes), counters.duplicates), (vec![(0, 20), (1, 20), (2, 20)], 1));
    let mut renumbered = frames(&[0, 20, 20, 40, 40, 60]);
    for (_, time, audio) in &mut renumbered {
        audio.fill(u8::try_from(time.unwrap() / 20).unwrap());
    }
    let (bytes, counters) = played(&renumbered);
    assert_eq!((runs(&bytes), counters.duplicates), (vec![(0, 20), (1, 20), (2, 20), (3, 20)], 2));
}

#[test]
fn what_overlaps_is_trimmed() {
    let mut sent = frames(&[0, 40]);
    sent[0].2 = vec![7; 480];
    sent[1].2 = vec![8; 480];
    let (bytes, counters) = played(&sent);
    assert_eq!((runs(&bytes), counters.received_ms), (vec![(7, 60), (8, 40)], 100));
}

#[test]
fn jitter_under_half_a_frame_is_none() {
    let (bytes, counters) = played(&frames(&[0, 29, 31, 69, 80, 91]));
    assert_eq!(bytes.len(), 960);
    assert_eq!(counters, OrderCounters { received_ms: 120, ..OrderCounters::default() });
}

#[test]
fn a_long_gap_is_filled_up_to_the_cap_and_then_the_clock_jumps() {
    let mut bench = Bench::new();
    for message in &frames(&[0, 30_000, 30_020, 30_040]) {
        bench.send(message);
    }
    bench.wait(200);
    assert_eq!(bench.out.last().map(|chunk| (chunk.offset, chunk.at_ms)), Some((Offset(5020 * 8), 30_000)));
    let (bytes, counters) = bench.finish();
    assert_eq!(runs(&bytes), [(0, 20), (GAP, 5000), (1, 20), (2, 20), (3, 20)]);
    assert_eq!((counters.filled_ms, counters.skipped_ms, counters.bad_timestamps), (5000, 24_980, 0));
}

#[test]
fn a_frame_after_a_long_gap_does_not_wait_for_ever_to_be_confirmed() {
    let mut bench = Bench::new();
    for message in &frames(&[0, 30_000]) {
        bench.send(message);
    }
    bench.wait(99);
    assert_eq!(runs(&bench.bytes()), [(0, 20)]);
    bench.wait(1);
    assert_eq!(runs(&bench.bytes()), [(0, 20), (GAP, 5000), (1, 20)]);
}

#[test]
fn one_bad_timestamp_costs_nothing() {
    for bad in [500_000, 30_000, 700_000, 1_767_323_045_678, u64::MAX] {
        let (bytes, counters) = played(&frames(&[2000, 2020, bad, 2060, 2080, 2100]));
        assert_eq!(runs(&bytes), (0..6).map(|at| (at, 20)).collect::<Vec<_>>(), "{bad}");
        assert_eq!((counters.bad_timestamps, counters.filled_ms), (1, 0), "{bad}");
    }
    let (bytes, counters) = played(&frames(&[2000, 2020, 0, 2060, 2080]));
    assert_eq!((bytes.len(), counters.bad_timestamps, counters.filled_ms), (5 * 160, 1, 0));
}

#[test]
fn a_first_frame_with_a_bad_timestamp_costs_nothing() {
    let (bytes, counters) = played(&frames(&[u64::MAX, 20, 40, 60, 80, 100, 160]));
    assert_eq!(runs(&bytes), [(0, 20), (1, 20), (2, 20), (3, 20), (4, 20), (5, 20), (GAP, 40), (6, 20)]);
    assert_eq!(counters.bad_timestamps, 3);
}

#[test]
fn a_sender_that_starts_its_clock_over_is_followed() {
    let times: Vec<u64> = (0..10).map(|at| 60_000 + at * 20).chain((0..10).map(|at| at * 20)).chain([260]).collect();
    let (bytes, counters) = played(&frames(&times));
    let whole: Vec<(u8, usize)> = (0..20).map(|at| (at, 20)).chain([(GAP, 60), (20, 20)]).collect();
    assert_eq!((runs(&bytes), counters.bad_timestamps), (whole, 3));
}

#[test]
fn a_sender_that_steps_back_a_little_loses_four_frames_at_most() {
    let times: Vec<u64> = (0..20).chain(5..30).map(|at| at * 20).collect();
    let (bytes, counters) = played(&frames(&times));
    assert_eq!((bytes.len(), counters.duplicates), ((45 - 4) * 160, 4));
}

#[test]
fn a_clock_that_does_not_run_loses_four_frames_and_no_more() {
    for times in [vec![0; 200], (0..200).map(|at| at * 20 / 1_000 * 1_000).collect::<Vec<u64>>()] {
        let (bytes, counters) = played(&frames(&times));
        assert_eq!((counters.received_ms, counters.duplicates), (200 * 20 - 80, 4), "{:?}", &times[..60]);
        assert!(bytes.len() >= 196 * 160);
    }
}

#[test]
fn a_track_silent_for_a_quarter_of_an_hour_goes_on_where_it_is() {
    let mut bench = Bench::new();
    let sent = frames(&[0, 900_000, 900_020, 900_040]);
    bench.send(&sent[0]);
    bench.wait(900_000);
    for message in &sent[1..] {
        bench.send(message);
    }
    assert_eq!(bench.out.last().unwrap().at_ms, 900_000);
    assert_eq!(bench.finish().1.bad_timestamps, 0);
}

#[test]
fn frames_without_a_timestamp_lie_side_by_side() {
    let mut sent = frames(&[0, 0, 0, 60, 100]);
    sent[1].1 = None;
    sent[2].1 = None;
    let (bytes, _) = played(&sent);
    assert_eq!(runs(&bytes), [(0, 20), (1, 20), (2, 20), (3, 20), (GAP, 20), (4, 20)]);
    for frame in &mut sent {
        frame.1 = None;
    }
    assert_eq!(played(&sent).0.len(), 5 * 160);
}

#[test]
fn a_payload_of_ten_seconds_is_as_good_as_one_of_one_byte() {
    let mut sent = frames(&[0, 10_000, 10_020]);
    sent[0].2 = vec![1; 80_000];
    let twice = [sent[0].clone(), sent[0].clone(), sent[1].clone(), sent[2].clone()];
    let (bytes, counters) = played(&twice);
    assert_eq!((bytes.len(), counters.duplicates), (80_320, 1));
    let odd: Vec<Sent> = (0..100_u64).map(|at| (Some(at + 2), Some(at / 8), vec![at.to_le_bytes()[0]])).collect();
    assert_eq!(played(&odd).0.len(), 100);
    assert_eq!(played(&[(Some(2), Some(0), Vec::new())]).0.len(), 0);
}

#[test]
fn a_partial_chunk_leaves_one_chunk_length_after_the_last_frame() {
    let mut bench = Bench::new();
    bench.send(&frames(&[0])[0]);
    bench.wait(59);
    assert!(bench.out.is_empty());
    bench.wait(1);
    assert_eq!(bench.bytes().len(), 160);
    assert_eq!(bench.order.poll_timeout(), None);
}

/// Frames of whole milliseconds, some behind a gap.
fn talk(longest_gap: u64) -> impl Strategy<Value = Vec<(u64, u64)>> {
    vec((1_u64..60, prop_oneof![5 => Just(0_u64), 1 => 30..longest_gap]), 1..60)
}

fn sent(talk: &[(u64, u64)], first: u64) -> Vec<Sent> {
    let mut time = first;
    let frame = |(at, (length, gap)): (usize, &(u64, u64))| {
        time += if at == 0 { 0 } else { *gap };
        let begins = time;
        time += length;
        let content = u8::try_from(at % 251).unwrap();
        (Some(at as u64 + 2), Some(begins), vec![content; usize::try_from(length * 8).unwrap()])
    };
    talk.iter().enumerate().map(frame).collect()
}

proptest! {
    #[test]
    fn all_media_time_from_first_to_last_is_there(talk in talk(5000), first in 0_u64..1_000_000) {
        let sent = sent(&talk, first);
        let last = sent.last().unwrap();
        let span = (last.1.unwrap() - first) * 8 + last.2.len() as u64;
        let (bytes, counters) = played(&sent);
        prop_assert_eq!(bytes.len() as u64, span);
        prop_assert_eq!(counters.filled_ms, talk.iter().skip(1).map(|(_, gap)| gap).sum::<u64>());
    }

    #[test]
    fn any_order_within_the_window_gives_the_same_bytes(count in 1_usize..50, shifts in vec(0_usize..=3, 50), numbered in any::<bool>()) {
        let mut sent = frames(&(0..count as u64).map(|at| at * 20).collect::<Vec<_>>());
        if !numbered {
            for message in &mut sent {
                message.0 = None;
            }
        }
        let straight = played(&sent).0;
        let mut moved: Vec<(usize, Sent)> = sent.into_iter().enumerate().map(|(at, message)| (at + shifts[at], message)).collect();
        moved.sort_by_key(|(at, _)| *at);
        let moved: Vec<Sent> = moved.into_iter().map(|(_, message)| message).collect();
        let (bytes, counters) = played(&moved);
        prop_assert_eq!(runs(&bytes), runs(&straight));
        prop_assert_eq!(counters.filled_ms, 0);
    }

    #[test]
    fn doubled_frames_never_double_the_audio(talk in talk(150), again in vec((any::<prop::sample::Index>(), 0_usize..4), 0..20)) {
        let sent = sent(&talk, 0);
        let straight = played(&sent).0;
        let mut doubled: Vec<(usize, usize, Sent)> = sent.iter().cloned().enumerate().map(|(at, message)| (at, 0, message)).collect();
        for (which, later) in again {
            let at = which.index(sent.len());
            doubled.push((at + later, 1, sent[at].clone()));
        }
        doubled.sort_by_key(|(at, copy, _)| (*at, *copy));
        let doubled: Vec<Sent> = doubled.into_iter().map(|(_, _, message)| message).collect();
        prop_assert_eq!(runs(&played(&doubled).0), runs(&straight));
    }

    #[test]
    fn whatever_the_timestamps_nothing_panics_and_the_clock_only_moves_on(
        times in vec((proptest::option::of(any::<u64>()), proptest::option::of(prop_oneof![any::<u64>(), 0_u64..2000, 0_u64..900_000]), 0_usize..400, 0_u64..300), 0..60),
    ) {
        let mut bench = Bench::new();
        for (number, time, length, wait) in times {
            bench.send(&(number, time, vec![1; length]));
            bench.wait(wait);
        }
        bench.finish();
    }
}
