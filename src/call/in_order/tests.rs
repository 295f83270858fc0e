use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{media::GapReason, redact::tests::final_on, segment::Heard, transcript::tests::heard};

const IN: TrackKey = TrackKey { stream: 0, track: Track::Inbound };
const OUT: TrackKey = TrackKey { stream: 0, track: Track::Outbound };

/// The room with both tracks of a call, and what came out of it.
struct Room {
    room: InOrder,
    now: Instant,
    out: Vec<String>,
}

impl Room {
    fn new() -> Self {
        let (mut room, now) = (InOrder::default(), crate::clock::now());
        room.open(IN, 0, now);
        room.open(OUT, 0, now);
        Self { room, now, out: Vec::new() }
    }

    fn live() -> Self {
        let mut room = Self::new();
        room.report(IN, &Report::CaughtUp);
        room.report(OUT, &Report::CaughtUp);
        room
    }

    fn report(&mut self, key: TrackKey, report: &Report) {
        self.room.handle_report(key, report, self.now);
        self.drain();
    }

    fn interim(&mut self, key: TrackKey, sent_ms: u64) {
        self.report(key, &Report::Interim(Heard { sent_ms, ..heard("…", 0, sent_ms) }));
    }

    /// A final that ends here, heard as its link had sent up to there.
    fn says(&mut self, key: TrackKey, end_ms: u64, sent_ms: u64) {
        self.answers(key, "…", end_ms, sent_ms);
    }

    fn answers(&mut self, key: TrackKey, text: &str, end_ms: u64, sent_ms: u64) {
        self.room.handle_report(key, &Report::Final(Heard { sent_ms, ..heard(text, 0, end_ms) }), self.now);
        let segment = final_on(key.track, text, end_ms.saturating_sub(1_000));
        self.room.push_final(Segment { end_ms, ..segment }, self.now);
        self.drain();
    }

    fn presses(&mut self, at_ms: u64) {
        self.room.push_other(Item::Digit { track: Track::Inbound, at_ms, digit: Some('5') }, at_ms, self.now);
        self.drain();
    }

    fn wait(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(at) = self.room.poll_timeout().filter(|at| *at <= until) {
            assert!(at > self.now, "the room spins");
            self.now = at;
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        while let Some((item, unasked)) = self.room.pop(self.now) {
            let mark = if unasked { "?" } else { "" };
            let said = match item {
                Item::Final(segment) => format!("{} {}", segment.key.track, segment.end_ms),
                Item::Digit { at_ms, .. } => format!("key {at_ms}"),
                Item::Gap(_, gap, _) => format!("gap {}", gap.to_ms),
            };
            self.out.push(said + mark);
        }
    }
}

#[test]
fn nobody_waits_for_a_party_that_is_quiet() {
    let mut room = Room::live();
    room.wait(1_900);
    room.says(IN, 1_000, 1_850);
    room.presses(1_900);
    assert_eq!(room.out, ["inbound 1000", "key 1900"]);
    assert_eq!(room.room.poll_timeout(), None);
}

#[test]
fn while_the_other_party_speaks_a_final_waits_as_long_as_an_earlier_one_may_still_come() {
    let mut room = Room::live();
    room.interim(OUT, 900);
    room.says(IN, 1_000, 1_850);
    room.wait(249);
    assert!(room.out.is_empty());
    room.says(OUT, 950, 2_100);
    assert_eq!(room.out, ["outbound 950", "inbound 1000"]);
    room.interim(OUT, 3_000);
    room.says(IN, 3_500, 4_350);
    room.wait(250);
    assert_eq!(room.out[2..], ["inbound 3500"], "whoever still speaks has said nothing that ended before");
}

#[test]
fn a_key_has_its_place_among_the_words() {
    let mut room = Room::live();
    room.interim(OUT, 1_000);
    room.presses(1_200);
    room.wait(900);
    room.says(OUT, 1_100, 1_950);
    assert_eq!(room.out, ["outbound 1100", "key 1200"]);
}

#[test]
fn tracks_that_are_behind_are_waited_for_by_what_they_were_sent() {
    let mut room = Room::new();
    room.says(IN, 5_000, 6_000);
    room.presses(5_500);
    for sent_ms in (1_000..10_000).step_by(1_000) {
        room.wait(1_000);
        room.report(OUT, &Report::Behind { sent_ms });
    }
    assert!(room.out.is_empty(), "{:?}", room.out);
    room.says(OUT, 4_000, 9_500);
    room.report(OUT, &Report::Behind { sent_ms: 10_000 });
    assert_eq!(room.out, ["outbound 4000", "inbound 5000"], "the key waits for both");
    room.report(IN, &Report::Behind { sent_ms: 10_600 });
    room.report(OUT, &Report::CaughtUp);
    assert_eq!(room.out[2..], ["key 5500"]);
}

#[test]
fn a_key_that_came_faster_than_speech_waits_for_links_that_were_not_sent_so_far() {
    let mut room = Room::live();
    room.wait(100);
    room.presses(7_000);
    assert!(room.out.is_empty());
    for key in [IN, OUT] {
        room.report(key, &Report::Behind { sent_ms: 1_100 });
    }
    room.wait(200);
    room.says(IN, 2_000, 2_800);
    room.report(IN, &Report::CaughtUp);
    assert_eq!(room.out, [""; 0]);
    room.report(OUT, &Report::CaughtUp);
    assert_eq!(room.out, ["inbound 2000", "key 7000"]);
}

#[test]
fn a_key_that_came_faster_than_speech_waits_for_a_link_that_is_slow_to_connect() {
    let mut room = Room::new();
    room.presses(7_000);
    room.wait(5_000);
    room.report(IN, &Report::Behind { sent_ms: 1_000 });
    room.report(OUT, &Report::Done(crate::upstream::Totals::default()));
    room.says(IN, 2_000, 2_800);
    assert_eq!(room.out, ["inbound 2000"]);
    room.wait(10_000);
    assert_eq!(room.out, ["inbound 2000", "key 7000?"], "but not for ever");
}

#[test]
fn a_party_that_is_heard_as_it_speaks_waits_two_seconds_at_most() {
    let mut room = Room::new();
    room.report(IN, &Report::CaughtUp);
    room.wait(5_000);
    room.says(IN, 60_000, 60_850);
    for sent_ms in (0..1_999).step_by(100) {
        room.report(OUT, &Report::Behind { sent_ms });
        room.wait(100);
    }
    assert_eq!(room.out, ["inbound 60000?"]);
}

#[test]
fn a_link_that_stands_still_is_not_waited_for() {
    let done = Report::Done(crate::upstream::Totals::default());
    for (gone, said) in [(done, "inbound 1000"), (refused(), "inbound 1000?")] {
        let mut room = Room::new();
        room.says(IN, 1_000, 1_850);
        assert!(room.out.is_empty());
        room.report(OUT, &gone);
        assert_eq!(room.out, [said]);
    }
    let mut room = Room::new();
    room.says(IN, 1_000, 1_850);
    room.wait(2_000);
    assert_eq!(room.out, ["inbound 1000?"]);
}

#[test]
fn an_answer_in_numbers_waits_for_a_question_whose_link_is_lost_for_a_moment_and_other_words_do_not() {
    let mut room = Room::live();
    room.report(OUT, &lost());
    room.says(IN, 1_000, 1_850);
    assert_eq!(room.out, ["inbound 1000?"]);
    room.answers(IN, "nine two seven", 2_000, 2_850);
    room.wait(3_000);
    room.report(OUT, &lost());
    room.report(OUT, &Report::State(LinkState::Live));
    room.report(OUT, &Report::Behind { sent_ms: 900 });
    room.wait(4_000);
    room.says(OUT, 1_500, 2_900);
    room.report(OUT, &Report::Behind { sent_ms: 7_000 });
    assert_eq!(room.out[1..], ["outbound 1500", "inbound 2000"]);
}

#[test]
fn an_answer_in_numbers_waits_twenty_seconds_at_most_and_not_at_all_where_no_link_will_come() {
    let mut room = Room::live();
    room.report(OUT, &lost());
    room.wait(6_000);
    room.answers(IN, "nine two seven", 2_000, 2_850);
    room.wait(13_999);
    assert!(room.out.is_empty());
    room.wait(1);
    assert_eq!(room.out, ["inbound 2000?"]);
    room.report(OUT, &refused());
    room.answers(IN, "nine two seven", 3_000, 3_850);
    assert_eq!(room.out[1..], ["inbound 3000?"]);
}

#[test]
fn when_no_more_audio_comes_a_quiet_party_may_have_last_words() {
    let mut room = Room::live();
    room.room.handle_ending();
    room.says(IN, 1_000, 1_050);
    assert!(room.out.is_empty());
    room.says(OUT, 900, 1_050);
    assert_eq!(room.out, ["outbound 900"]);
    room.report(OUT, &Report::Done(crate::upstream::Totals::default()));
    assert_eq!(room.out, ["outbound 900", "inbound 1000"]);
}

#[test]
fn a_track_s_own_finals_keep_their_order_and_gaps_theirs() {
    let mut room = Room::new();
    room.says(IN, 3_000, 3_800);
    room.says(IN, 2_000, 3_900);
    let gap = Gap { from_ms: 2_500, to_ms: 2_700, reason: GapReason::Disconnected };
    room.room.push_other(Item::Gap(Track::Inbound, gap, None), gap.to_ms, room.now);
    room.room.handle_end();
    room.drain();
    assert_eq!(room.out, ["gap 2700", "inbound 3000", "inbound 2000"]);
}

#[test]
fn a_flood_does_not_fill_the_room() {
    let mut room = Room::new();
    for at_ms in 0..1_000 {
        room.presses(at_ms);
    }
    assert_eq!(room.out.len(), 1_000 - MOST_WAITING);
}

fn lost() -> Report {
    Report::State(LinkState::Reconnecting { tries: 1, cause: crate::upstream::Refusal::Silent })
}

fn refused() -> Report {
    Report::State(LinkState::Refused(crate::upstream::Refusal::Silent))
}

proptest! {
    /// Two links that are sent a call faster than it was spoken, at speeds of their own, come out as it was spoken.
    #[test]
    fn whichever_link_is_faster_the_order_is_that_of_the_call(
        pauses in vec((any::<bool>(), 450_u64..3_000), 1..30),
        speeds in vec(1_u64..9, 200),
    ) {
        let mut room = Room::new();
        let mut ends: Vec<(TrackKey, u64)> = Vec::new();
        for (is_in, pause) in pauses {
            let end_ms = ends.last().map_or(1_000, |(_, end_ms)| end_ms + pause);
            ends.push((if is_in { IN } else { OUT }, end_ms));
        }
        let length = ends.last().unwrap().1 + 3_000;
        let (mut sent, mut said) = ([0_u64; 2], vec![false; ends.len()]);
        let mut speeds = speeds.iter().cycle();
        while sent.iter().any(|sent| *sent < length) {
            for (at, key) in [IN, OUT].into_iter().enumerate() {
                sent[at] = (sent[at] + speeds.next().unwrap() * 50).min(length);
                for (number, (of, end_ms)) in ends.iter().enumerate() {
                    if *of == key && !said[number] && sent[at] >= end_ms + 800 {
                        said[number] = true;
                        room.says(key, *end_ms, sent[at]);
                    }
                }
                room.report(key, &Report::Behind { sent_ms: sent[at] });
            }
            room.wait(10);
        }
        room.room.handle_end();
        room.drain();
        let expected: Vec<String> = ends.iter().map(|(key, end_ms)| format!("{} {end_ms}", key.track)).collect();
        prop_assert_eq!(room.out, expected);
    }
}
