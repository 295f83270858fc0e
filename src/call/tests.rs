use std::time::Instant;

use super::*;
use crate::{
    dialect::{Format, Start},
    event::Speech,
    media::{CallSid, SessionId},
    pii::Unredacted,
    redact::{DigitPolicy, Forced, GateSettings},
    segment::{Heard, HeardWord},
    upstream::Totals,
};

const IN: TrackKey = TrackKey { stream: 0, track: Track::Inbound };
const OUT: TrackKey = TrackKey { stream: 0, track: Track::Outbound };

#[test]
fn a_call_is_numbered_from_started_to_completed_without_a_gap() {
    let mut desk = Desk::new();
    desk.call.handle_report(IN, Report::Final(heard("good morning", 0, 900)), desk.now);
    desk.call.handle_report(OUT, Report::Final(heard("hello there", 1000, 1900)), desk.now);
    desk.hang_up(EndReason::Stop);
    let told: Vec<_> = desk.stored().iter().map(|(seq, kind)| (*seq, *kind)).collect();
    assert_eq!(told, [(1, "call.started"), (2, "transcript.final"), (3, "transcript.final"), (4, "call.completed")]);
    assert!(desk.call.is_over());
}

#[test]
fn audio_is_given_up_only_once_the_final_that_covers_it_is_stored() {
    let mut desk = Desk::new();
    desk.settle();
    desk.call.handle_report(IN, Report::Final(heard("good morning", 0, 900)), desk.now);
    let Some(Output::Store(unit)) = desk.call.poll_output() else { panic!("the final is to be stored first") };
    assert_eq!(unit.marks, [(IN, Offset(7200))], "the mark is part of the same transaction");
    assert!(unit.segment.is_some() && unit.event.is_some());
    assert!(desk.call.poll_output().is_none(), "nothing is said before it is stored");
    desk.call.handle_stored(desk.now);
    assert!(matches!(desk.call.poll_output(), Some(Output::Covered(IN, Offset(7200)))));
}

#[test]
fn a_gap_moves_the_mark_once_it_is_stored_and_not_past_a_final_that_is_held() {
    let mut desk = Desk::new();
    desk.settle();
    let full = |covers| Report::Gap { gap: Gap { from_ms: 0, to_ms: 900, reason: GapReason::SpoolFull }, covers };
    desk.call.handle_report(OUT, full(Offset(480_000)), desk.now);
    desk.later(Duration::from_secs(3));
    assert_eq!(desk.covered(OUT), Some(Offset(480_000)));
    let unit = desk.units.last().unwrap();
    assert!(
        matches!(unit.event, Some((_, Data::TranscriptGap(_)))) && unit.marks == [(OUT, Offset(480_000))],
        "in one transaction"
    );
    desk.call.handle_report(IN, Report::Final(heard("my card number is four five three nine", 0, 900)), desk.now);
    desk.call.handle_report(IN, full(Offset(480_000)), desk.now);
    desk.later(Duration::from_secs(3));
    assert_eq!(desk.covered(IN), None, "the final before it is held by the gate");
    desk.later(Duration::from_secs(15));
    assert_eq!(desk.covered(IN), Some(Offset(480_000)));
}

#[test]
fn links_that_say_something_are_given_their_time() {
    let mut desk = Desk::new();
    desk.call.handle_stream_ended(0, EndReason::Stop, &received(2000), desk.now, desk.now);
    for _ in 0..10 {
        desk.later(DRAIN_LIMIT.mul_f32(0.9));
        desk.call.handle_report(IN, Report::Behind { sent_ms: 0 }, desk.now);
    }
    assert!(!desk.call.is_over());
    desk.later(DRAIN_LIMIT);
    assert!(desk.call.is_over());
}

#[test]
fn a_held_final_keeps_its_audio_even_if_silence_behind_it_is_covered() {
    let mut desk = Desk::new();
    desk.settle();
    desk.call.handle_report(IN, Report::Final(heard("my card number is four five three nine", 0, 900)), desk.now);
    desk.call.handle_report(IN, Report::Covered(Offset(16_000)), desk.now);
    desk.settle();
    assert_eq!(desk.covered(IN), None, "the final is held by the gate");
    desk.call.handle_report(
        IN,
        Report::Final(heard("one four eight eight oh three four three six four six seven thank you", 2000, 6000)),
        desk.now,
    );
    desk.later(Duration::from_secs(7));
    assert_eq!(desk.covered(IN), Some(Offset(48_000)));
    let texts = desk.texts();
    assert!(texts.iter().all(|text| !text.contains("four five three nine")), "{texts:?}");
}

#[test]
fn a_stream_that_went_away_without_a_stop_may_be_joined_for_ten_seconds() {
    let mut desk = Desk::new();
    desk.settle();
    // Three seconds of nothing, two of audio, one until the loss was noticed.
    desk.later(Duration::from_secs(5));
    let last_audio = desk.now;
    desk.later(Duration::from_secs(1));
    desk.call.handle_stream_ended(0, EndReason::Disconnect, &received(2000), last_audio, desk.now);
    desk.done_all();
    desk.later(Duration::from_secs(4));
    let joined = desk.call.handle_join(StreamSid::new("MZ2").unwrap(), &[Track::Inbound], desk.now);
    assert_eq!(joined, Some((1, 7000)), "its audio begins as far behind the last as time has passed since");
    desk.settle();
    let gaps = desk.stored().iter().filter(|(_, kind)| *kind == "transcript.gap").count();
    assert_eq!(gaps, 2, "both parties miss the time between");
    assert!(!desk.call.is_over());
}

#[test]
fn a_call_is_drained_for_longer_than_its_links_can_take() {
    use crate::config::table::{LONGEST_CATCH_UP, LONGEST_CLOSE, SPOOL};
    let link = crate::upstream::LinkSettings::default();
    assert!(LONGEST_CATCH_UP + link.connect_timeout + link.backoff_cap + LONGEST_CLOSE < DRAIN_LIMIT, "without a word");
    assert!(SPOOL.1 + LONGEST_CATCH_UP + LONGEST_CLOSE < LONGEST_DRAIN, "at the speed of speech");
}

#[test]
fn nobody_joins_a_call_that_was_stopped_or_one_that_is_live() {
    let mut desk = Desk::new();
    desk.settle();
    assert_eq!(desk.call.handle_join(StreamSid::new("MZ2").unwrap(), &[Track::Inbound], desk.now), None);
    desk.call.handle_stream_ended(0, EndReason::Stop, &received(2000), desk.now, desk.now);
    assert_eq!(desk.call.handle_join(StreamSid::new("MZ2").unwrap(), &[Track::Inbound], desk.now), None);
}

#[test]
fn ten_seconds_without_a_new_stream_end_the_call() {
    let mut desk = Desk::new();
    desk.call.handle_stream_ended(0, EndReason::Disconnect, &received(2000), desk.now, desk.now);
    desk.done_all();
    assert!(!desk.call.is_over());
    desk.later(JOIN_WINDOW);
    assert_eq!(desk.stored().last().map(|(_, kind)| *kind), Some("call.completed"));
    assert!(desk.call.is_over());
}

#[test]
fn a_link_that_never_says_it_is_done_is_given_up_and_its_audio_told_as_lost() {
    let mut desk = Desk::new();
    desk.call.handle_stream_ended(0, EndReason::Stop, &received(2000), desk.now, desk.now);
    desk.call.handle_report(OUT, Report::Done(totals(2000)), desk.now);
    desk.settle();
    assert!(!desk.call.is_over());
    desk.later(DRAIN_LIMIT);
    let kinds: Vec<_> = desk.stored().iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, ["call.started", "transcript.gap", "call.completed"]);
}

#[test]
fn the_terminal_event_comes_once_whatever_happens_afterwards() {
    let mut desk = Desk::new();
    desk.hang_up(EndReason::Stop);
    desk.call.handle_stream_ended(0, EndReason::Disconnect, &received(2000), desk.now, desk.now);
    desk.call.handle_no_more_streams(EndReason::Timeout, desk.now);
    desk.call.handle_report(IN, Report::Final(heard("too late", 0, 900)), desk.now);
    desk.call.handle_digit(Track::Inbound, 10, Some('5'), desk.now);
    desk.later(DRAIN_LIMIT);
    assert_eq!(desk.stored().iter().filter(|(_, kind)| *kind == "call.completed").count(), 1);
    assert_eq!(desk.stored().last().map(|(_, kind)| *kind), Some("call.completed"));
}

#[test]
fn a_track_that_speaks_before_it_is_opened_is_stored_with_its_row_all_the_same() {
    let mut desk = Desk::new();
    desk.settle();
    let late = TrackKey { stream: 0, track: Track::Mixed };
    desk.call.handle_report(late, Report::Final(heard("good morning", 0, 900)), desk.now);
    desk.call.handle_track_opened(late, desk.now);
    desk.call.handle_report(late, Report::Done(totals(900)), desk.now);
    desk.hang_up(EndReason::Stop);
    let opened = desk.units.iter().position(|unit| unit.opens.as_ref().is_some_and(|opens| opens.tracks == [Track::Mixed]));
    let marked = desk.units.iter().position(|unit| unit.marks.iter().any(|(key, _)| *key == late));
    assert!(opened.is_some() && opened < marked, "{opened:?} {marked:?}");
}

#[test]
fn a_second_life_gives_no_placeholder_and_no_label_of_the_first_to_anybody_else() {
    let resumed = Resumed {
        ended: None,
        next_seq: 7,
        tracks: vec![ResumedTrack {
            key: IN,
            mark: Offset(0),
            received: Received::default(),
            segments: 1,
            has_link: true,
            lost_ms: Vec::new(),
        }],
        gaps: Vec::new(),
        pauses: Vec::new(),
        redactions: vec!["CREDIT_CARD".to_owned()],
        placeholders: vec!["[CREDIT_CARD_1]".to_owned()],
        last_segment: 1,
        speakers: vec!["inbound:0".to_owned(), "inbound:1".to_owned()],
    };
    let mut desk = Desk::new();
    desk.call = Call::resumed(facts(), Gate::new(GateSettings::default(), [8; 32]), resumed, desk.now);
    desk.units.clear();
    desk.call.handle_report(IN, Report::Final(heard("my card is 4539 1488 0343 6467 thanks", 0, 4_000)), desk.now);
    desk.later(Duration::from_secs(7));
    assert_eq!(desk.texts(), ["my card is [CREDIT_CARD_2] thanks"]);
    let segment = desk.units.iter().find_map(|unit| unit.segment.as_ref()).map(|release| &release.segment);
    assert_eq!(segment.map(|segment| segment.speaker.as_str()), Some("inbound:2"));
}

#[test]
fn what_the_gate_notes_is_given_out() {
    let mut desk = Desk::new();
    desk.call.handle_report(IN, Report::Final(heard("my card number is four five three nine", 0, 900)), desk.now);
    desk.later(Duration::from_secs(7));
    assert_eq!(desk.notes, [Note::Forced(Forced::Time)]);
}

#[test]
fn keys_are_masked_before_they_are_stored() {
    let mut desk = Desk::new();
    for digit in ['4', '5', '3', '9'] {
        desk.call.handle_digit(Track::Inbound, 100, Some(digit), desk.now);
    }
    desk.hang_up(EndReason::Stop);
    let digits = desk.units.iter().filter_map(|unit| unit.event.as_ref()).filter_map(|(_, data)| match data {
        Data::CallDtmf(dtmf) => Some((dtmf.digit, dtmf.masked)),
        _ => None,
    });
    assert_eq!(digits.collect::<Vec<_>>(), [(None, true); 4]);
}

#[test]
fn a_mark_moved_by_silence_alone_is_stored_within_seconds() {
    let mut desk = Desk::new();
    desk.settle();
    desk.call.handle_report(IN, Report::Covered(Offset(8000)), desk.now);
    desk.settle();
    assert_eq!(desk.covered(IN), None);
    desk.later(SILENT_MARK_EVERY);
    assert_eq!(desk.covered(IN), Some(Offset(8000)));
}

mod pausing;
mod resuming;

/// A store and a clock around the machine.
struct Desk {
    call: Call,
    now: Instant,
    units: Vec<Unit>,
    marks: Vec<(TrackKey, Offset)>,
    notes: Vec<Note>,
}

impl Desk {
    fn new() -> Self {
        let now = crate::clock::now();
        let mut call = Call::started(facts(), gate(), now);
        for key in [IN, OUT] {
            call.handle_report(key, Report::CaughtUp, now);
        }
        Self::around(call, now)
    }

    fn around(call: Call, now: Instant) -> Self {
        Self { call, now, units: Vec::new(), marks: Vec::new(), notes: Vec::new() }
    }

    fn settle(&mut self) {
        while let Some(output) = self.call.poll_output() {
            match output {
                Output::Store(unit) => {
                    self.units.push(*unit);
                    self.call.handle_stored(self.now);
                }
                Output::Covered(key, mark) => self.marks.push((key, mark)),
                Output::Show(_) => {}
                Output::Note(note) => self.notes.push(note),
                Output::Conclude => self.call.handle_transcript((Vec::new(), true), 0, String::new()),
            }
        }
    }

    fn later(&mut self, by: Duration) {
        let until = self.now + by;
        self.settle();
        while let Some(at) = self.call.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.call.handle_timeout(self.now);
            self.settle();
        }
        self.now = until;
    }

    fn done_all(&mut self) {
        for key in [IN, OUT] {
            self.call.handle_report(key, Report::Done(totals(2000)), self.now);
        }
        self.settle();
    }

    fn hang_up(&mut self, reason: EndReason) {
        self.call.handle_stream_ended(0, reason, &received(2000), self.now, self.now);
        self.done_all();
    }

    fn stored(&self) -> Vec<(u64, &'static str)> {
        self.units.iter().filter_map(|unit| unit.event.as_ref()).map(|(seq, data)| (*seq, data.kind())).collect()
    }

    fn texts(&self) -> Vec<String> {
        self.units
            .iter()
            .filter_map(|unit| unit.segment.as_ref())
            .map(|release| release.segment.text.as_str().to_owned())
            .collect()
    }

    fn covered(&self, key: TrackKey) -> Option<Offset> {
        self.marks.iter().rev().find(|(of, _)| *of == key).map(|(_, mark)| *mark)
    }
}

fn gate() -> Gate {
    Gate::new(GateSettings::default(), [7; 32])
}

fn facts() -> Facts {
    let start = Start {
        call_sid: CallSid::new("CA1").ok(),
        stream_sid: StreamSid::new("MZ1").unwrap(),
        account_sid: None,
        tracks: vec![Track::Inbound, Track::Outbound],
        params: Vec::new(),
        format: Format::Mulaw8k,
    };
    Facts::new(SessionId::new("ses_01").unwrap(), start, &Remembered::default(), "twilio", Speech::Pulse, 0)
}

pub(super) fn heard(text: &str, start_ms: u64, end_ms: u64) -> Heard {
    let spoken: Vec<&str> = text.split(' ').collect();
    let step = (end_ms - start_ms) / spoken.len() as u64;
    let word = |(at, word): (usize, &&str)| HeardWord {
        text: Unredacted::new(*word),
        start_ms: start_ms + at as u64 * step,
        end_ms: start_ms + (at as u64 + 1) * step,
        confidence: None,
        speaker: Some(0),
        speaker_confidence: None,
    };
    Heard {
        words: spoken.iter().enumerate().map(word).collect(),
        covers: Offset(end_ms * 8),
        ..crate::transcript::tests::heard(text, start_ms, end_ms)
    }
}

fn received(ms: u64) -> Vec<(Track, Received)> {
    [Track::Inbound, Track::Outbound].map(|track| (track, Received { received_ms: ms, filled_ms: 0, end_ms: ms })).to_vec()
}

fn totals(ms: u64) -> Totals {
    Totals { sent_ms: ms, finalized_ms: ms, complete: true, ..Totals::default() }
}

/// How the call ended, and whether it was complete.
fn ending(desk: &Desk) -> Option<(EndReason, bool)> {
    desk.units.last().and_then(|unit| unit.ends).map(|end| (end.reason, end.complete))
}

fn gaps(desk: &Desk) -> Vec<(Track, Gap)> {
    let data = desk.units.iter().filter_map(|unit| unit.event.as_ref());
    let told = data.filter_map(|(_, data)| if let Data::TranscriptGap(told) = data { Some(told) } else { None });
    told.map(|told| (told.track, Gap { from_ms: told.from_ms, to_ms: told.to_ms, reason: told.reason })).collect()
}
