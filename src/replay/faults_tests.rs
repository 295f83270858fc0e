use proptest::prelude::*;

use super::*;
use crate::fixture::Start;

/// Two tracks in step, 20 ms a frame, with `connected`, `start` and `stop`.
fn recording(frames: u64) -> Vec<Message> {
    let start = Start {
        sequence: 1,
        account_sid: "AC1".into(),
        call_sid: "CA1".into(),
        stream_sid: "MZ1".into(),
        tracks: vec![Track::Inbound, Track::Outbound],
        parameters: BTreeMap::new(),
    };
    let mut messages = vec![Message::Connected, Message::Start(start)];
    for number in 0..frames {
        for (second, track) in [Track::Inbound, Track::Outbound].into_iter().enumerate() {
            messages.push(Message::Media(Media {
                sequence: 2 + number * 2 + second as u64,
                track,
                chunk: number + 1,
                timestamp_ms: 100 + number * 20,
                audio: vec![7; 160].into(),
            }));
        }
    }
    messages.push(Message::Stop { sequence: 2 + frames * 2 });
    messages
}

fn plan(rules: &str) -> Faults {
    Faults::of_json(&format!(r#"{{"seed":1,"faults":[{rules}]}}"#)).unwrap()
}

/// What is sent under these rules as call 1: the messages' places in the recording, and the schedule.
fn sent(frames: u64, rules: &str) -> (Vec<usize>, Schedule) {
    let messages = recording(frames);
    let schedule = Schedule::new(&messages, &plan(rules), 1);
    (schedule.steps(&messages).map(|step| step.message).collect(), schedule)
}

#[test]
fn what_is_lost_is_not_sent_and_nothing_else_moves() {
    let (order, schedule) = sent(5, r#"{"kind":"lost","track":"inbound","from_ms":20,"to_ms":60}"#);
    assert_eq!(order, [0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 12]);
    assert_eq!(schedule.done, [("lost", 2)].into());
}

#[test]
fn what_is_doubled_is_sent_twice_in_a_row() {
    let (order, schedule) = sent(2, r#"{"kind":"doubled","track":"outbound","from_ms":20}"#);
    assert_eq!(order, [0, 1, 2, 3, 4, 5, 5, 6]);
    assert_eq!(schedule.done, [("doubled", 1)].into());
}

#[test]
fn what_is_late_comes_behind_what_is_due_before_and_stop_waits_for_it() {
    let messages = recording(4);
    let rules = r#"{"kind":"late","track":"inbound","to_ms":20,"by_ms":30},{"kind":"late","from_ms":60,"by_ms":50}"#;
    let schedule = Schedule::new(&messages, &plan(rules), 1);
    let steps: Vec<(usize, u64)> = schedule.steps(&messages).map(|step| (step.message, step.due_ms)).collect();
    let expected = [(0, 0), (1, 0), (3, 0), (4, 20), (5, 20), (2, 30), (6, 40), (7, 40), (8, 110), (9, 110), (10, 110)];
    assert_eq!(steps, expected);
    assert_eq!(schedule.done, [("late", 3)].into());
}

#[test]
fn what_is_out_of_order_comes_behind_the_next_frames_of_its_track() {
    let (order, schedule) = sent(4, r#"{"kind":"out_of_order","track":"inbound","to_ms":20,"by_frames":2}"#);
    assert_eq!(order, [0, 1, 3, 4, 5, 6, 2, 7, 8, 9, 10]);
    assert_eq!(schedule.done, [("out_of_order", 1)].into());
    let (order, _) = sent(2, r#"{"kind":"out_of_order","track":"inbound","by_frames":9}"#);
    assert_eq!(order, [0, 1, 3, 4, 2, 5, 6], "the last frame of a track has nothing behind it");
}

#[test]
fn drift_moves_timestamps_and_not_when_they_are_sent() {
    let messages = recording(101);
    let schedule = Schedule::new(&messages, &plan(r#"{"kind":"drift","track":"inbound","from_ms":1000,"ppm":-1500}"#), 1);
    let steps: Vec<Step> = schedule.steps(&messages).collect();
    let plain: Vec<Step> = as_recorded(&messages).collect();
    assert!(steps.iter().zip(&plain).all(|(one, other)| (one.due_ms, one.message) == (other.due_ms, other.message)));
    assert_eq!((steps[102].drift_ms, steps[202].drift_ms, steps[203].drift_ms), (0, -2, 0), "at 1 s, at 2 s, the other track");
}

#[test]
fn after_an_abrupt_close_nothing_is_sent() {
    let (order, schedule) = sent(4, r#"{"kind":"abrupt_close","at_ms":40},{"kind":"abrupt_close","at_ms":60}"#);
    assert_eq!((order.len(), schedule.is_cut), (6, true));
    let (order, schedule) = sent(4, r#"{"kind":"abrupt_close","at_ms":9000}"#);
    assert_eq!((order.len(), schedule.is_cut, schedule.done.len()), (11, false, 0), "the call was over before");
}

#[test]
fn a_rule_holds_for_the_calls_it_names() {
    let messages = recording(3);
    let faults = plan(r#"{"kind":"lost","calls":[2]}"#);
    let lost = |call| Schedule::new(&messages, &faults, call).done.get("lost").copied();
    assert_eq!((lost(1), lost(2)), (None, Some(6)));
}

#[test]
fn a_plan_that_is_none_is_refused_by_rule_and_name() {
    for (rules, expected) in [
        (r#"{"kind":"lost","shar":0.1}"#, r#"has in rule 1 an unknown key "shar"; did you mean "share"?"#),
        (r#"{"kind":"lost"},{"kind":"late"}"#, "has in rule 2 what cannot be: missing field `by_ms`"),
        (r#"{"kind":"lots"}"#, "has in rule 1 what cannot be: unknown variant `lots`, expected one of `lost`"),
        (r#"{"kind":"lost","share":1.5}"#, r#"has in rule 1 "share" 1.5; give a number between 0 and 1"#),
        (r#"{"kind":"lost","from_ms":5,"to_ms":5}"#, r#"has in rule 1 "from_ms" 5, which is not before "to_ms" 5"#),
        (r#"{"kind":"lost","calls":[0]}"#, r#"has in rule 1 "calls" without a call"#),
        (r#"{"kind":"late","by_ms":0}"#, r#"has in rule 1 "by_ms" 0; give 1 to 60000"#),
        (r#"{"kind":"drift","ppm":200000}"#, r#"has in rule 1 "ppm" 200000; give -100000 to 100000"#),
        (r#"{"kind":"abrupt_close","at_ms":1,"track":"inbound"}"#, "for abrupt_close; the whole connection goes"),
    ] {
        let why = Faults::of_json(&format!(r#"{{"faults":[{rules}]}}"#)).unwrap_err();
        assert!(why.contains(expected), "{why}");
    }
    assert!(Faults::of_json(r#"{"sed":1,"faults":[]}"#).unwrap_err().contains("unknown field `sed`"));
    assert!(Faults::of_json("[").unwrap_err().starts_with("is no fault plan"));
}

fn rule() -> impl Strategy<Value = Rule> {
    let share = 0.0..=1.0;
    let fault = prop_oneof![
        share.clone().prop_map(|share| Fault::Lost { share }),
        share.clone().prop_map(|share| Fault::Doubled { share }),
        (share.clone(), 1..200_u64).prop_map(|(share, by_ms)| Fault::Late { share, by_ms }),
        (share, 1..5_usize).prop_map(|(share, by_frames)| Fault::OutOfOrder { share, by_frames }),
        (-1000..1000_i64).prop_map(|ppm| Fault::Drift { ppm }),
    ];
    let track = prop_oneof![Just(None), Just(Some(Track::Inbound)), Just(Some(Track::Outbound))];
    (track, prop::option::of(0..400_u64), fault).prop_map(|(track, from_ms, fault)| Rule {
        track,
        from_ms,
        to_ms: None,
        calls: None,
        fault,
    })
}

proptest! {
    #[test]
    fn sent_and_lost_are_all_there_was_and_what_is_doubled_comes_once_more(
        seed: u64, rules in prop::collection::vec(rule(), 0..5), frames in 0..40_u64,
    ) {
        let messages = recording(frames);
        let faults = Faults { seed, faults: rules };
        let schedule = Schedule::new(&messages, &faults, 3);
        let steps: Vec<Step> = schedule.steps(&messages).collect();
        let count = |what| schedule.done.get(what).copied().unwrap_or(0);
        prop_assert_eq!(steps.len() as u64 + count("lost"), messages.len() as u64 + count("doubled"));
        prop_assert!(steps.windows(2).all(|pair| pair[0].due_ms <= pair[1].due_ms), "sent in the order of time");
        prop_assert_eq!(steps.last().map(|step| step.message), Some(messages.len() - 1), "stop is last");
        prop_assert_eq!((steps[0].message, steps[1].message), (0, 1));
        prop_assert_eq!(&Schedule::new(&messages, &faults, 3), &schedule, "the same seed, the same faults");
        if faults.faults.is_empty() {
            prop_assert!(steps.iter().map(|step| step.message).eq(0..messages.len()), "as recorded");
        }
    }
}
