use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

const START: &str = r#"{"event":"start","sequenceNumber":"1","streamSid":"MZ1","start":{"callSid":"CA1","streamSid":"MZ1","tracks":["inbound","outbound"]}}"#;
const STOP: &str = r#"{"event":"stop","streamSid":"MZ1","stop":{"callSid":"CA1"}}"#;

pub(super) fn media(track: &str, sequence: u64, timestamp_ms: u64, audio: &[u8]) -> String {
    let payload = STANDARD.encode(audio);
    format!(
        r#"{{"event":"media","sequenceNumber":"{sequence}","streamSid":"MZ1","media":{{"track":"{track}","timestamp":"{timestamp_ms}","payload":"{payload}"}}}}"#
    )
}

/// A stream with a clock of its own and everything it has put out.
pub(super) struct Bench {
    pub(super) stream: Stream,
    pub(super) now: Instant,
    pub(super) out: Vec<Output>,
}

impl Bench {
    fn new() -> Self {
        let now = crate::clock::now();
        Self { stream: Stream::new(Dialect::Twilio, StreamLimits::default(), now), now, out: Vec::new() }
    }

    pub(super) fn started() -> Self {
        let mut bench = Self::new();
        bench.say(START);
        bench
    }

    pub(super) fn say(&mut self, text: &str) {
        self.stream.handle_text(text, self.now);
        self.drain();
    }

    pub(super) fn wait(&mut self, seconds: f64) {
        let until = self.now + Duration::from_secs_f64(seconds);
        while let Some(due) = self.stream.poll_timeout().filter(|due| *due <= until) {
            self.stream.handle_timeout(due);
            self.drain();
        }
        self.now = until;
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.stream.poll_output() {
            assert!(!matches!(self.out.last(), Some(Output::Ended(_))), "nothing comes behind the end");
            self.out.push(output);
        }
    }

    /// The outputs in short; audio as track, time and length.
    pub(super) fn seen(&self) -> Vec<String> {
        let word = |output: &Output| match output {
            Output::Start(start) => format!("start {}", start.call()),
            Output::Audio { track, chunk } => format!("{track} {}+{}", chunk.at_ms, chunk.audio.len() / 8),
            Output::Digit { track, at_ms, digit } => format!("{track} {at_ms} key {}", digit.unwrap_or('-')),
            Output::Paused { track, at_ms } => format!("{track} paused {at_ms}"),
            Output::Resumed { track, at_ms } => format!("{track} resumed {at_ms}"),
            Output::Lost { track, from_ms, to_ms } => format!("{track} lost {from_ms}..{to_ms}"),
            Output::Ping => "ping".to_owned(),
            Output::Close(closing) => format!("close {}", closing.code),
            Output::Ended(reason) => format!("ended {}", reason.as_str()),
        };
        self.out.iter().map(word).collect()
    }

    fn counters(&self) -> StreamCounters {
        self.stream.totals().stream
    }
}

#[test]
fn a_stream_runs_from_start_to_stop() {
    let mut bench = Bench::new();
    bench.say(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#);
    bench.say(START);
    for at in 0..4 {
        bench.say(&media("inbound", at + 2, at * 20, &[1; 160]));
    }
    bench.say(STOP);
    assert_eq!(bench.seen(), ["start CA1", "inbound 0+60", "inbound 60+20", "close 1000", "ended stop"]);
    assert_eq!(bench.stream.totals().tracks, [(Track::Inbound, OrderCounters { received_ms: 80, ..OrderCounters::default() })]);
    assert_eq!((bench.counters().messages, bench.counters().frames, bench.stream.poll_timeout()), (7, [4, 0, 0], None));
}

#[test]
fn two_tracks_share_one_clock_and_a_later_one_says_when_it_begins() {
    let mut bench = Bench::started();
    bench.say(&media("outbound", 2, 1000, &[1; 480]));
    bench.say(&media("inbound", 3, 990, &[2; 480]));
    bench.say(&media("outbound", 4, 1060, &[1; 480]));
    bench.say(&media("inbound", 5, 1050, &[2; 480]));
    assert_eq!(bench.seen()[1..], ["outbound 0+60", "inbound 0+60", "outbound 60+60", "inbound 50+60"]);
    let mut late = Bench::started();
    late.say(&media("inbound", 2, 500, &[1; 480]));
    late.say(&media("outbound", 3, 2000, &[2; 480]));
    assert_eq!(late.seen()[1..], ["inbound 0+60", "outbound 1500+60"], "no silence is put in front");
}

#[test]
fn a_track_with_a_clock_of_its_own_begins_when_it_came() {
    for strange in [1_767_323_045_678, 0] {
        let mut bench = Bench::started();
        bench.say(&media("inbound", 2, 500_000, &[1; 480]));
        bench.wait(3.0);
        bench.say(&media("outbound", 3, strange, &[2; 480]));
        assert_eq!(bench.seen()[1..], ["inbound 0+60", "outbound 3000+60"], "{strange}");
    }
}

#[test]
fn audio_before_the_start_is_kept_for_it_up_to_a_second() {
    let mut bench = Bench::new();
    for at in 0..60 {
        bench.say(&media("inbound", at + 1, at * 20, &[1; 160]));
    }
    bench.say(&media("outbound", 61, 1200, &[2; 160]));
    assert!(bench.out.is_empty());
    bench.say(&START.replace("\"1\"", "\"62\""));
    bench.say(STOP);
    let totals = bench.stream.totals();
    assert_eq!(totals.stream.early_dropped_bytes, 10 * 160);
    assert_eq!(
        totals.tracks.iter().map(|(track, counters)| (*track, counters.received_ms)).collect::<Vec<_>>(),
        [(Track::Inbound, 1000), (Track::Outbound, 20)]
    );
}

#[test]
fn tiny_frames_before_the_start_do_not_grow_into_hours_of_silence() {
    let mut bench = Bench::new();
    for number in 0..8000 {
        bench.say(&media("inbound", number + 1, number * 4900, &[1]));
    }
    bench.say(&START.replace("\"1\"", "\"8001\""));
    bench.say(STOP);
    let totals = bench.stream.totals();
    assert_eq!(totals.stream.early_dropped_bytes, 7900);
    assert!(totals.tracks[0].1.filled_ms <= 100 * 5000, "{totals:?}");
}

#[test]
fn audio_of_another_stream_is_malformed_before_and_behind_the_start() {
    let other = media("inbound", 9, 0, &[9; 480]).replace("MZ1", "MZ2");
    let mut bench = Bench::started();
    bench.say(&other);
    bench.say(&STOP.replace("MZ1", "MZ2"));
    assert_eq!((bench.seen().len(), bench.counters().malformed), (1, 2));
    let mut early = Bench::new();
    early.say(&other);
    early.say(&media("inbound", 10, 0, &[1; 480]));
    early.say(START);
    early.say(STOP);
    assert_eq!(
        (early.seen(), early.counters().malformed),
        (vec!["start CA1".into(), "close 1000".into(), "ended stop".into()], 2)
    );
    let mut bare = Bench::started();
    bare.say(&media("inbound", 2, 0, &[1; 480]).replace(r#""streamSid":"MZ1","#, ""));
    assert_eq!(bare.seen()[1..], ["inbound 0+60"], "clones leave the stream id out");
}

#[test]
fn without_another_start_the_stream_ends_with_what_was_wrong_with_the_first() {
    for (part, word) in [
        (r#""start":{"callSid":"CA with space"}"#, "callSid"),
        (r#""start":{"callSid":"CA1","tracks":["inbound",5]}"#, "wrong type"),
        (r#""start":{"callSid":"CA1","customParameters":["x"]}"#, "wrong type"),
        (r#""start":{"callSid":"CA1","streamSid":"MZ2"}"#, "streamSid"),
    ] {
        let mut bench = Bench::new();
        bench.say(&format!(r#"{{"event":"start","streamSid":"MZ1",{part}}}"#));
        assert!(bench.out.is_empty(), "a better one may follow");
        bench.wait(10.0);
        let Some(Output::Close(closing)) = bench.out.first() else { panic!("{part}") };
        assert!(closing.code == 1008 && closing.reason.contains(word), "{part}: {closing:?}");
        assert_eq!(bench.counters().malformed, 1);
    }
}

#[test]
fn without_a_start_the_socket_is_closed_in_time() {
    let mut bench = Bench::new();
    bench.wait(5.0);
    bench.say(&media("inbound", 1, 0, &[1; 160]));
    bench.wait(4.9);
    assert!(bench.out.is_empty());
    bench.wait(0.2);
    assert_eq!(bench.seen(), ["close 1008", "ended timeout"]);
    bench.say(START);
    assert_eq!((bench.out.len(), bench.counters().after_end), (2, 1));
}

#[test]
fn a_second_start_is_ignored_if_it_says_the_same_and_ends_the_stream_if_not() {
    let mut bench = Bench::started();
    bench.say(START);
    assert_eq!((bench.seen(), bench.counters().repeated_starts), (vec!["start CA1".to_owned()], 1));
    bench.say(&media("inbound", 2, 0, &[1; 160]));
    bench.say(&START.replace("CA1", "CA2"));
    assert_eq!(bench.seen(), ["start CA1", "inbound 0+20", "close 1008", "ended disconnect"]);
    let mut other = Bench::started();
    other.say(&START.replace("MZ1", "MZ2"));
    assert_eq!(other.seen()[1..], ["close 1008", "ended disconnect"]);
}

#[test]
fn a_format_that_is_not_taken_is_refused_by_name() {
    let mut bench = Bench::new();
    bench.say(&START.replace("\"tracks\"", r#""mediaFormat":{"encoding":"audio/x-l16"},"tracks""#));
    assert!(matches!(bench.out[0], Output::Close(Closing { code: 1003, reason, .. }) if reason.contains("mulaw")));
    assert!(matches!(bench.out[1], Output::Ended(EndReason::Disconnect)));
}

#[test]
fn behind_the_stop_everything_is_ignored() {
    let mut bench = Bench::started();
    bench.say(STOP);
    let seen = bench.seen();
    bench.say(&media("inbound", 3, 0, &[1; 480]));
    bench.say(START);
    bench.say(STOP);
    bench.stream.handle_closed(bench.now);
    bench.stream.handle_shutdown(bench.now);
    bench.wait(100_000.0);
    assert_eq!((bench.seen(), bench.counters().after_end), (seen, 3));
}

#[test]
fn each_way_to_end_has_its_reason_and_gives_out_the_last_audio() {
    type Act = fn(&mut Bench);
    let ways: [(Act, &[&str]); 7] = [
        (|bench| bench.stream.handle_closed(bench.now), &["inbound 0+20", "ended disconnect"]),
        (|bench| bench.stream.handle_shutdown(bench.now), &["inbound 0+20", "close 1001", "ended shutdown"]),
        (|bench| bench.stream.handle_broken(Broken::TooLong, bench.now), &["inbound 0+20", "close 1009", "ended disconnect"]),
        (|bench| bench.stream.handle_broken(Broken::NotText, bench.now), &["inbound 0+20", "close 1007", "ended disconnect"]),
        (|bench| bench.stream.handle_broken(Broken::Protocol, bench.now), &["inbound 0+20", "close 1002", "ended disconnect"]),
        (|bench| bench.say(&" ".repeat(65_537)), &["inbound 0+20", "close 1009", "ended disconnect"]),
        (
            |bench| bench.stream.handle_refused(Closing { word: "seen_before", code: 1008, reason: "seen before" }, bench.now),
            &["inbound 0+20", "close 1008", "ended disconnect"],
        ),
    ];
    for (act, expected) in ways {
        let mut bench = Bench::started();
        bench.say(&media("inbound", 2, 0, &[1; 160]));
        act(&mut bench);
        bench.drain();
        assert_eq!(bench.seen()[1..], *expected);
    }
}

#[test]
fn silence_and_a_call_too_long_end_the_stream_as_timeouts() {
    let mut silent = Bench::started();
    silent.wait(40.0);
    silent.say(r#"{"event":"mark"}"#);
    silent.wait(59.0);
    assert!(!silent.stream.is_ended());
    silent.stream.handle_sign_of_life(silent.now);
    silent.wait(1.0);
    assert_eq!(silent.seen().iter().rev().take(2).collect::<Vec<_>>(), ["ended timeout", "close 1008"]);
    let mut long = Bench::started();
    for _ in 0..4 * 3600 / 30 {
        assert!(!long.stream.is_ended());
        long.wait(30.0);
        long.say(r#"{"event":"mark"}"#);
    }
    assert_eq!(long.seen().last().unwrap(), "ended timeout");
}

#[test]
fn a_peer_that_answers_no_ping_and_says_nothing_is_gone() {
    let limits = StreamLimits { silence: Duration::from_hours(1), ..StreamLimits::default() };
    let mut bench = Bench::new();
    bench.stream = Stream::new(Dialect::Twilio, limits, bench.now);
    bench.say(START);
    bench.wait(20.0);
    bench.stream.handle_sign_of_life(bench.now);
    bench.wait(20.0);
    bench.say(r#"{"event":"mark"}"#);
    bench.wait(59.9);
    assert_eq!(bench.seen()[1..], ["ping", "ping", "ping", "ping"]);
    bench.wait(0.1);
    assert_eq!(bench.seen()[5..], ["close 1008", "ended disconnect"]);
}

#[test]
fn malformed_and_binary_messages_are_counted_and_a_hundred_in_a_row_end_it() {
    let mut bench = Bench::started();
    for _ in 0..99 {
        bench.say("{");
    }
    bench.stream.handle_binary(bench.now);
    bench.say(r#"{"event":"weather"}"#);
    for _ in 0..99 {
        bench.say(&media("sideways", 2, 0, &[1]));
    }
    assert_eq!(
        (bench.seen().len(), bench.counters().malformed, bench.counters().binary, bench.counters().ignored),
        (1, 198, 1, 1)
    );
    bench.say("");
    assert_eq!(bench.seen()[1..], ["close 1007", "ended disconnect"]);
}

#[test]
fn pings_and_binaries_with_no_text_between_them_end_it_only_if_they_come_fast() {
    let mut slow = Bench::new();
    for _ in 0..10 * NOTHING_IN_A_ROW {
        slow.now += NOTHING_TIME / NOTHING_IN_A_ROW * 2;
        slow.stream.handle_sign_of_life(slow.now);
    }
    assert!(!slow.stream.is_ended());
    slow.now += NOTHING_TIME;
    for _ in 0..NOTHING_IN_A_ROW - 1 {
        slow.stream.handle_binary(slow.now);
    }
    slow.stream.handle_text("{}", slow.now);
    slow.stream.handle_sign_of_life(slow.now);
    assert!(!slow.stream.is_ended(), "a text begins the count again");
    for _ in 0..NOTHING_IN_A_ROW {
        slow.stream.handle_sign_of_life(slow.now);
    }
    assert!(slow.stream.is_ended());
}

#[test]
fn a_digit_is_placed_at_the_end_of_what_was_heard() {
    let mut bench = Bench::started();
    let key = |track: &str| format!(r#"{{"event":"dtmf","streamSid":"MZ1","dtmf":{{"track":"{track}","digit":"5"}}}}"#);
    bench.say(&key("inbound_track"));
    bench.say(&media("inbound", 2, 100, &[1; 320]));
    bench.say(&media("inbound", 3, 140, &[1; 320]));
    bench.say(&key("inbound_track"));
    bench.say(&key("outbound_track"));
    assert_eq!(bench.seen()[1..], ["inbound 0 key 5", "inbound 0+60", "inbound 80 key 5", "outbound 80 key 5"]);
}

#[test]
fn a_rest_shorter_than_a_chunk_leaves_one_chunk_length_later() {
    let mut bench = Bench::started();
    bench.say(&media("inbound", 2, 0, &[1; 160]));
    bench.wait(0.059);
    assert_eq!(bench.out.len(), 1);
    bench.wait(0.001);
    assert_eq!(bench.seen()[1..], ["inbound 0+20"]);
}

/// Anything that a socket may give, sensible or not.
fn anything() -> impl Strategy<Value = String> {
    let (stops, sides) = (STOP.to_owned(), &["inbound", "outbound", "inbound_track", "up"][..]);
    prop_oneof![
        2 => Just(START.to_owned()),
        1 => Just(START.replace("MZ1", "MZ2")),
        1 => Just(stops),
        20 => (select(sides), any::<u8>(), 0_u64..5000, 0_usize..700).prop_map(|(side, number, time, length)| media(side, number.into(), time, &vec![1; length])),
        2 => (any::<u64>(), any::<u64>()).prop_map(|(number, time)| media("inbound", number, time, &[2; 160])),
        2 => Just(r#"{"event":"dtmf","dtmf":{"digit":"9"}}"#.to_owned()),
        2 => "\\PC{0,30}",
    ]
}

proptest! {
    #[test]
    fn whatever_comes_there_is_one_start_at_most_then_audio_then_one_end(said in vec((anything(), 0_u32..200), 0..60)) {
        let mut bench = Bench::new();
        for (text, wait_ms) in said {
            bench.say(&text);
            bench.wait(f64::from(wait_ms) / 1000.0);
        }
        bench.stream.handle_closed(bench.now);
        bench.drain();
        prop_assert!(matches!(bench.out.last(), Some(Output::Ended(_))));
        let starts: Vec<usize> = (0..bench.out.len()).filter(|at| matches!(bench.out[*at], Output::Start(_))).collect();
        prop_assert!(starts.len() <= 1);
        let first_audio = bench.out.iter().position(|output| matches!(output, Output::Audio { .. } | Output::Digit { .. }));
        prop_assert!(first_audio.is_none_or(|first| starts.first().is_some_and(|start| *start < first)));
        let mut heard: u64 = 0;
        for output in &bench.out {
            if let Output::Audio { chunk, .. } = output {
                heard += chunk.audio.len() as u64;
            }
        }
        let placed: u64 = bench.stream.totals().tracks.iter().map(|(_, counters)| counters.received_ms + counters.filled_ms).sum();
        prop_assert!((heard / 8).abs_diff(placed) <= 4, "{} {}", heard / 8, placed);
    }
}
