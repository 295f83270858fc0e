use super::*;
use crate::{clock, media::GapReason, upstream::Reason};

const SECOND: Duration = Duration::from_secs(1);
/// As long as it goes on after a failure.
const PATIENCE: Duration = Duration::from_mins(5);
const IN_FORM: (PhoneForm, Duration) = (PhoneForm::Pcm16, PATIENCE);

fn at(ms: u64) -> Offset {
    Offset(ms_to_bytes(ms))
}

fn stretch(from_ms: u64, to_ms: u64) -> Stretch {
    Stretch { from: at(from_ms), to: at(to_ms), from_ms, to_ms, reason: GapReason::UpstreamLost }
}

/// A service in virtual time: it answers each request as the test says, and has a spool with all audio of the track in it.
struct Bench {
    batch: Batch,
    now: Instant,
    /// Seconds of the track that the spool has.
    spooled: std::ops::Range<u64>,
    /// A byte of each second.
    byte: fn(u64) -> u8,
    posted: Vec<u64>,
    forms: Vec<PhoneForm>,
    turns: u32,
    finals: Vec<(String, u64, u64)>,
    covered: Offset,
    lost: Vec<(u64, u64)>,
    counted: Vec<&'static str>,
    failed: Vec<(&'static str, bool)>,
    wordless: Vec<(u64, bool)>,
    told: u32,
}

impl Bench {
    fn new(wanted: Vec<Stretch>) -> Self {
        let now = clock::now();
        Self {
            batch: Batch::new(wanted, None, IN_FORM, now),
            now,
            spooled: 0..2_000,
            byte: |_| 0x80,
            posted: Vec::new(),
            forms: Vec::new(),
            turns: 0,
            finals: Vec::new(),
            covered: Offset(0),
            lost: Vec::new(),
            counted: Vec::new(),
            failed: Vec::new(),
            wordless: Vec::new(),
            told: 0,
        }
    }

    /// Goes on until something is posted, or all is over.
    fn until_posted(&mut self) -> bool {
        loop {
            while let Some(output) = self.batch.poll_output() {
                if self.perform(output) {
                    return true;
                }
            }
            let Some(timeout) = self.batch.poll_timeout() else { return false };
            self.now = self.now.max(timeout);
            self.batch.handle_timeout(self.now);
        }
    }

    fn perform(&mut self, output: Output) -> bool {
        match output {
            Output::Turn => {
                self.turns += 1;
                self.batch.handle_turn(self.now);
            }
            Output::Read { from, to } => {
                let second = |second: u64| Frame {
                    offset: at(second * 1_000),
                    at_ms: second * 1_000,
                    audio: vec![(self.byte)(second); 8_000].into(),
                };
                let frames: Vec<Frame> = self
                    .spooled
                    .clone()
                    .map(second)
                    .filter(|frame| frame.offset.plus(8_000) > from && frame.offset < to)
                    .collect();
                self.batch.handle_audio(&frames, self.now);
            }
            Output::Post(audio, form) => {
                self.posted.push(bytes_to_ms(audio.iter().map(|piece| piece.len() as u64).sum()));
                self.forms.push(form);
                return true;
            }
            Output::Report(report) => match *report {
                Report::Final(heard) => {
                    assert!(heard.covers >= self.covered, "the mark never goes back");
                    self.covered = heard.covers;
                    self.finals.push((heard.text.expose().to_owned(), heard.start_ms, heard.end_ms));
                }
                Report::Covered(to) => self.covered = self.covered.max(to),
                Report::State(LinkState::Backfilling) => self.told += 1,
                _ => panic!("batch says nothing else"),
            },
            Output::GivenUp(stretch) => self.lost.push((stretch.from_ms, stretch.to_ms)),
            Output::Wordless { voice_ms, again } => self.wordless.push((voice_ms, again)),
            Output::Counted { verdict, .. } => self.counted.push(verdict),
            Output::Failed { trouble, again } => self.failed.push((trouble.code(), again.is_some())),
        }
        false
    }

    fn answer(&mut self, status: u16, body: &str) {
        self.answer_after(status, body, None);
    }

    fn answer_after(&mut self, status: u16, body: &str, retry_after: Option<Duration>) {
        let answer = Answer::Http { status, retry_after, body: body.to_owned().into() };
        self.batch.handle_answer(answer, 0, self.now);
    }
}

/// One word in the third second of the file.
const HELLO: &str = r#"{"transcription":"hello","words":[{"word":"hello","start":2.1,"end":2.4,"speaker":0}]}"#;
const SILENCE: &str = r#"{"status":"success","transcription":"","metadata":{"duration":0}}"#;

#[test]
fn a_leftover_stretch_becomes_finals_and_is_covered_to_its_end() {
    let mut bench = Bench::new(vec![stretch(30_000, 40_000)]);
    assert!(bench.until_posted());
    bench.answer(200, HELLO);
    assert!(!bench.until_posted());
    assert!(bench.batch.is_closed());
    assert_eq!(bench.finals, [("hello".to_owned(), 31_100, 31_400)]);
    assert_eq!((bench.covered, bench.lost.as_slice(), bench.batch.transcribed_ms()), (at(40_000), &[][..], 10_000));
    assert_eq!((bench.posted, bench.counted), (vec![12_000], vec!["heard"]));
}

#[test]
fn a_long_stretch_goes_in_pieces_of_at_most_five_minutes_and_every_second_of_it_once() {
    let mut bench = Bench::new(vec![stretch(0, 1_000_000)]);
    while bench.until_posted() {
        bench.answer(200, SILENCE);
    }
    assert!(bench.posted.len() >= 4 && bench.posted.iter().all(|ms| *ms <= plan::REQUEST_MS), "{:?}", bench.posted);
    assert_eq!((bench.covered, bench.batch.transcribed_ms()), (at(1_000_000), 1_000_000));
    assert!(bench.counted.iter().all(|verdict| *verdict == "empty_with_voice"), "{:?}", bench.counted);
}

#[test]
fn silence_is_silence() {
    let mut bench = Bench::new(vec![stretch(0, 10_000)]);
    bench.byte = |_| 0xFF;
    for answer in [(200, SILENCE), (400, r#"{"code":"NoAudio"}"#)] {
        let mut bench = Bench { batch: Batch::new(vec![stretch(0, 10_000)], None, IN_FORM, bench.now), ..Bench::new(vec![]) };
        bench.byte = |_| 0xFF;
        bench.until_posted();
        bench.answer(answer.0, answer.1);
        assert!(!bench.until_posted());
        assert_eq!((bench.covered, bench.counted.as_slice(), bench.lost.len()), (at(10_000), &["empty"][..], 0));
    }
}

#[test]
fn failures_are_tried_again_with_growing_waits_until_the_deadline_and_then_told() {
    let mut bench = Bench::new(vec![stretch(5_000, 10_000), stretch(60_000, 70_000)]);
    let began = bench.now;
    let mut times = Vec::new();
    while bench.until_posted() {
        times.push(bench.now);
        bench.answer(503, r#"{"error":"Internal server error"}"#);
    }
    assert!(bench.batch.is_closed());
    assert_eq!(bench.lost, [(5_000, 10_000), (60_000, 70_000)]);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= SECOND * 3 / 4), "never at once");
    assert!((8..30).contains(&times.len()), "{}", times.len());
    assert!(bench.now - began <= PATIENCE);
    assert_eq!(bench.failed.last(), Some(&("unavailable", false)));
    assert!(bench.told > 10, "it says that it is at it: {}", bench.told);
}

#[test]
fn what_would_fail_the_same_way_is_not_tried_again() {
    for (status, code) in [(401, "bad_key"), (403, "forbidden"), (400, "refused"), (404, "not_there")] {
        let mut bench = Bench::new(vec![stretch(5_000, 10_000), stretch(60_000, 70_000)]);
        bench.until_posted();
        bench.answer(status, "{}");
        assert!(!bench.until_posted());
        assert_eq!((bench.posted.len(), bench.lost.len()), (1, 2), "{status}");
        assert_eq!((bench.failed.as_slice(), bench.counted.as_slice()), (&[(code, false)][..], &[code][..]));
    }
}

#[test]
fn retry_after_is_kept() {
    let mut bench = Bench::new(vec![stretch(5_000, 10_000)]);
    bench.until_posted();
    let limited = bench.now;
    bench.answer_after(429, r#"{"error":"Rate limit exceeded"}"#, Some(SECOND * 40));
    bench.until_posted();
    assert_eq!(bench.now - limited, SECOND * 40);
    bench.answer(200, SILENCE);
    assert!(!bench.until_posted() && bench.lost.is_empty());
}

#[test]
fn a_wait_that_the_service_asks_for_is_kept_beyond_the_deadline_and_one_more_try_follows() {
    let mut bench = Bench::new(vec![stretch(5_000, 10_000)]);
    bench.batch = Batch::new(vec![stretch(5_000, 10_000)], None, (PhoneForm::Pcm16, SECOND * 20), bench.now);
    let mut times = Vec::new();
    while bench.until_posted() {
        times.push(bench.now);
        bench.answer_after(429, "", Some(SECOND * 300));
    }
    assert_eq!((times.len(), times[1] - times[0]), (2, SECOND * 300));
    assert_eq!(bench.lost, [(5_000, 10_000)]);
}

#[test]
fn the_last_pause_ends_with_the_deadline_and_one_more_try_follows() {
    let mut bench = Bench::new(vec![]);
    bench.batch = Batch::new(vec![stretch(5_000, 10_000)], None, (PhoneForm::Pcm16, SECOND * 10), bench.now);
    let (began, mut times) = (bench.now, Vec::new());
    while bench.until_posted() {
        times.push(bench.now - began);
        bench.answer(503, "");
    }
    assert_eq!(times.last(), Some(&(SECOND * 10)), "{times:?}");
}

#[test]
fn a_hole_in_the_spool_takes_no_turn_of_its_own() {
    let mut bench = Bench::new(vec![stretch(10_000, 30_000), stretch(100_000, 110_000), stretch(200_000, 210_000)]);
    bench.spooled = 205..300;
    bench.until_posted();
    bench.answer(200, SILENCE);
    assert!(!bench.until_posted());
    assert_eq!((bench.turns, bench.lost.len(), bench.covered), (1, 3, at(210_000)));
}

#[test]
fn a_file_that_is_too_large_is_halved_until_it_fits_or_is_as_short_as_can_be() {
    let mut bench = Bench::new(vec![stretch(0, 100_000)]);
    while bench.until_posted() {
        match bench.posted.last() {
            Some(ms) if *ms > 30_000 => bench.answer(413, r#"{"error":"Audio data too large"}"#),
            _ => bench.answer(200, SILENCE),
        }
    }
    assert_eq!((bench.covered, bench.lost.len()), (at(100_000), 0));
    assert_eq!(bench.posted[..2], [101_000, 50_900][..], "{:?}", bench.posted);

    let mut bench = Bench::new(vec![stretch(0, 100_000)]);
    while bench.until_posted() {
        bench.answer(413, "");
    }
    assert_eq!(bench.lost, [(0, 100_000)]);
    assert!(bench.posted.len() < 8, "{:?}", bench.posted);
}

#[test]
fn waiting_for_its_turn_does_not_use_up_the_deadline() {
    let mut bench = Bench::new(vec![stretch(0, 10_000)]);
    bench.until_posted();
    bench.answer(503, "");
    // The backoff is over, and its turn does not come for an hour.
    while !matches!(bench.batch.state, State::Queued(_)) {
        while let Some(output) = bench.batch.poll_output() {
            assert!(!matches!(output, Output::Post(..)));
        }
        bench.now = bench.batch.poll_timeout().unwrap();
        bench.batch.handle_timeout(bench.now);
    }
    bench.now += SECOND * 3_600;
    while let Some(output) = bench.batch.poll_output() {
        bench.perform(output);
    }
    bench.answer(503, "");
    assert!(!bench.batch.is_closed(), "the deadline was pushed back by the time in the queue");
}

#[test]
fn audio_that_is_gone_is_told_and_the_rest_still_goes() {
    let mut bench = Bench::new(vec![stretch(10_000, 30_000)]);
    bench.spooled = 20..100;
    bench.until_posted();
    bench.answer(200, SILENCE);
    assert!(!bench.until_posted());
    assert_eq!((bench.lost.as_slice(), bench.covered), (&[(10_000, 20_000)][..], at(30_000)));
}

#[test]
fn a_spool_that_cannot_be_read_is_a_failure_like_another() {
    let mut bench = Bench::new(vec![stretch(10_000, 30_000)]);
    while let Some(output) = bench.batch.poll_output() {
        match output {
            Output::Read { .. } => bench.batch.handle_unreadable(0, bench.now),
            other => drop(bench.perform(other)),
        }
    }
    assert_eq!(bench.failed, [("spool", true)]);
    bench.until_posted();
    bench.answer(200, SILENCE);
    assert!(!bench.until_posted() && bench.lost.is_empty());
}

#[test]
fn a_file_with_a_voice_in_which_the_service_finds_no_audio_is_a_gap_and_the_next_one_goes() {
    let mut bench = Bench::new(vec![stretch(0, 10_000), stretch(60_000, 70_000)]);
    bench.until_posted();
    bench.answer(400, r#"{"code":"NoAudio"}"#);
    assert!(bench.until_posted());
    bench.answer(200, HELLO);
    assert!(!bench.until_posted());
    assert_eq!((bench.lost.as_slice(), bench.finals.len()), (&[(0, 10_000)][..], 1));
}

#[test]
fn an_answer_without_times_is_asked_for_again_without_what_lies_around() {
    let mut bench = Bench::new(vec![stretch(10_000, 20_000), stretch(21_000, 25_000)]);
    bench.until_posted();
    bench.answer(200, r#"{"transcription":"before and in it"}"#);
    for text in ["in it", "and more"] {
        assert!(bench.until_posted());
        bench.answer(200, &format!(r#"{{"transcription":"{text}"}}"#));
    }
    assert!(!bench.until_posted());
    assert_eq!(bench.posted, [17_000, 10_000, 4_000]);
    assert_eq!(bench.finals, [("in it".to_owned(), 10_000, 20_000), ("and more".to_owned(), 21_000, 25_000)]);
}

#[test]
fn a_success_makes_earlier_failures_history() {
    let mut bench = Bench::new(vec![stretch(0, 10_000), stretch(60_000, 70_000)]);
    bench.until_posted();
    bench.answer(503, "");
    bench.until_posted();
    bench.answer(200, SILENCE);
    assert_eq!(bench.batch.deadline, None);
    bench.until_posted();
    bench.batch.handle_answer(Answer::Failed(Trouble::Unreachable(Reason::default())), 0, bench.now);
    bench.until_posted();
    bench.answer(200, SILENCE);
    assert!(!bench.until_posted() && bench.lost.is_empty());
}

#[test]
fn nothing_to_do_is_done_at_once_and_late_words_change_nothing() {
    let mut bench = Bench::new(vec![Stretch { to: at(5_000), ..stretch(5_000, 5_000) }]);
    assert!(!bench.until_posted() && bench.batch.is_closed());
    bench.batch.handle_turn(bench.now);
    bench.batch.handle_audio(&[], bench.now);
    bench.answer(200, HELLO);
    bench.batch.handle_timeout(bench.now + SECOND * 100);
    assert!(!bench.until_posted() && bench.batch.poll_timeout().is_none() && bench.finals.is_empty());
}

mod wordless;
