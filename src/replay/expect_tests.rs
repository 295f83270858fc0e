use proptest::prelude::*;
use serde_json::json;

use super::*;

fn fixture(name: &str) -> Vec<Neutral> {
    let path = format!("{}/fixtures/{name}/expected.jsonl", env!("CARGO_MANIFEST_DIR"));
    read(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The same events as a call's own, numbered.
fn came(expected: &[Neutral]) -> Vec<Neutral> {
    expected.iter().zip(1..).map(|(neutral, seq)| Neutral { seq: Some(seq), ..neutral.clone() }).collect()
}

#[test]
fn what_differs_from_run_to_run_is_no_difference() {
    let event = |id: &str, seq: u64, time: &str| {
        json!({"type": "transcript.final", "timestamp": time, "data": {
            "call_sid": format!("CA{id}"), "session_id": format!("ses_{id}"), "event_id": format!("evt_{id}"), "seq": seq,
            "segment_id": format!("seg_{id}"), "track": "inbound", "start_ms": 5, "text": "hi", "latency": {"gate_ms": seq}}})
    };
    let one = neutral(vec![event("1", 1, "2026-11-21T10:00:00.000Z")]);
    let other = neutral(vec![event("2", 1, "2027-01-01T00:00:00.000Z")]);
    assert!(Comparison::new(&one, &other, 0).is_same());
    assert_eq!(lines(&one), "{\"data\":{\"start_ms\":5,\"text\":\"hi\",\"track\":\"inbound\"},\"type\":\"transcript.final\"}\n");
    assert_eq!(read(&lines(&one)).unwrap()[0].event, one[0].event);
}

#[test]
fn another_order_is_told_unless_times_may_differ() {
    let said = |track: &str, start_ms: u64, seq: u64| json!({"type": "transcript.final", "data": {"seq": seq, "track": track, "start_ms": start_ms}});
    let one = neutral(vec![said("inbound", 100, 1), said("outbound", 50, 2)]);
    let other = neutral(vec![said("outbound", 50, 1), said("inbound", 100, 2)]);
    let told = Comparison::new(&one, &other, 0);
    assert_eq!(
        told.problem.as_deref(),
        Some(
            "the events come in another order: seq 1 is transcript.final outbound at 50 ms, expected transcript.final inbound at 100 ms"
        )
    );
    assert!(!told.is_same() && Comparison::new(&one, &other, 1).is_same());
}

#[test]
fn a_changed_expectation_is_told_field_by_field() {
    let expected = fixture("pay-by-card");
    let mut got = came(&expected);
    assert!(Comparison::new(&expected, &got, 0).is_same());
    let text = "it's [CREDIT_CARD_1] and it is going to be expiring in the month of [EXPIRY_1]";
    got[4].event["data"]["text"] = text.into();
    got[4].event["data"]["words"][2]["end_ms"] = 14_000.into();
    got[6].event["data"]["redactions"] = json!([]);
    got[13].event["data"]["tracks"][0]["filled_ms"] = 400.into();
    let words = got[5].event["data"]["words"].as_array_mut().unwrap();
    words.remove(1);
    got.remove(8);
    let got = came(&got);
    let compared = Comparison::new(&expected, &got, 0);
    insta::assert_snapshot!(compared.shown("pay-by-card"), @r#"
    differs  pay-by-card  5 of 14 events: seq 5 text, seq 6 words[1], seq 7 redactions[0], transcript.final at 0:27 missing, …
      changed transcript.final inbound at 0:07, seq 5
        data.text
          expected  "it's [CREDIT_CARD_1] expiring [EXPIRY_1]"
          got       …[CREDIT_CARD_1] and it is going to be expiring in the month of [EXPIRY_1…
        data.words[2].end_ms
          expected  14085
          got       14000
      changed transcript.final outbound at 0:19, seq 6
        data.words[1]
          expected  {"confidence":0.98,"end_ms":19870,"speaker":"outbound:0","speaker_confid…
          got       (nothing)
      changed transcript.final inbound at 0:22, seq 7
        data.redactions[0]
          expected  {"end_ms":23785,"label":"[CVV_1]","source":"bridge","start_ms":22958,"ty…
          got       (nothing)
      missing transcript.final inbound at 0:27: "okay"
      changed call.completed, seq 13
        data.tracks[0].filled_ms
          expected  0
          got       400
    "#);
    assert_eq!(serde_json::to_value(&compared).unwrap()["differences"][0]["fields"][0]["path"], "data.text");
}

#[test]
fn what_is_missing_too_many_or_not_numbered_is_told_and_the_rest_is_counted() {
    let expected = fixture("mid-word");
    let mut got = came(&expected);
    let mut again = got[1].clone();
    again.event["data"]["start_ms"] = 60_000.into();
    again.event["data"]["end_ms"] = 61_000.into();
    again.seq = Some(99);
    got.push(again);
    let shown = Comparison::new(&expected, &got, 0).shown("mid-word");
    assert!(shown.starts_with("differs  mid-word  the call's events are not numbered without a hole: seq 7"), "{shown}");
    assert!(shown.contains("\n  extra   transcript.final"), "{shown}");
    let none = Comparison::new(&expected, &[], 0);
    assert_eq!((none.differing, none.differences.len()), (6, 6));
    assert!(none.shown("x").contains("\n  missing call.completed"), "{}", none.shown("x"));
    let many: Vec<Neutral> = (0..30).flat_map(|_| expected.clone()).collect();
    let compared = Comparison::new(&many, &[], 0);
    assert!(compared.shown("x").ends_with("\n  and 160 more"), "{}", compared.shown("x"));
}

#[test]
fn a_tolerance_holds_for_times_and_for_nothing_else() {
    let expected = fixture("mid-word");
    let mut got = came(&expected);
    for neutral in &mut got {
        shift(&mut neutral.event, 20);
    }
    assert!(Comparison::new(&expected, &got, 20).is_same());
    let at_19 = Comparison::new(&expected, &got, 19);
    assert!(at_19.differing > 3 && at_19.differences.iter().all(|difference| difference.what == What::Changed));
    got[1].event["data"]["words"][0]["confidence"] = json!(0.5);
    assert_eq!(Comparison::new(&expected, &got, 1000).differing, 1);
}

fn shift(value: &mut Value, by_ms: u64) {
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| match value.as_u64() {
            Some(ms) if name.ends_with("_ms") => *value = (ms + by_ms).into(),
            _ => shift(value, by_ms),
        }),
        Value::Array(items) => items.iter_mut().for_each(|item| shift(item, by_ms)),
        _ => {}
    }
}

#[test]
fn a_file_that_holds_no_events_is_refused_by_its_line() {
    assert_eq!(read("\n{\"type\":\"a\"}\n").unwrap_err().0, 2);
    assert!(read("{\"type\":\"a\",\"data\":{}}\n{").unwrap_err().1.starts_with("is not JSON"));
}

proptest! {
    #[test]
    fn taking_events_away_tells_of_exactly_those(kept in prop::collection::vec(any::<bool>(), 14)) {
        let expected = fixture("pay-by-card");
        let left: Vec<Neutral> = expected.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(neutral, _)| neutral.clone()).collect();
        let compared = Comparison::new(&expected, &left, 0);
        prop_assert_eq!(compared.differing, 14 - left.len());
        prop_assert!(compared.differences.iter().all(|difference| difference.what == What::Missing));
        prop_assert!(Comparison::new(&left, &expected, 0).differences.iter().all(|difference| difference.what == What::Extra));
    }
}
