//! Each kind of damage, done to logs of a run that went well, is found by its name and by no other.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{heard, judge, judge::Report, received, received::Post, signature::Secret};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW_S: u64 = 1_700_000_000;

/// What the logs of a run hold.
struct Run {
    heard: Value,
    /// Each event, with the status answered.
    posts: Vec<(Value, u16)>,
}

impl Run {
    /// Two finals on one track, the first of them said on two connections, and delivered twice.
    fn good() -> Self {
        let connection = |finals: &[&str]| json!({"query": [["external_session_id", "CA1.inbound"]], "finals": finals});
        let heard = json!({"connections": [connection(&["one two", ""]), connection(&["one", "two three"]), connection(&[])]});
        let finals =
            [event(2, "transcript.final", &spoken("one two", 1000)), event(3, "transcript.final", &spoken("three", 3000))];
        let lines: Vec<Value> = finals.iter().map(|event| event["data"].clone()).collect();
        let hash = Sha256::digest("one two\nthree\n").iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let end = json!({"last_seq": 4, "transcript": lines, "transcript_sha256": hash});
        let [first, second] = finals;
        let posts = vec![
            (event(1, "call.started", &json!({})), 204),
            (first.clone(), 503),
            (first.clone(), 204),
            (first, 204),
            (second, 204),
            (event(4, "call.completed", &end), 204),
        ];
        Self { heard, posts }
    }

    fn judged(&self) -> Report {
        self.judged_with(|_| {})
    }

    /// As `damage` leaves what was signed.
    fn judged_with(&self, damage: impl Fn(&mut Vec<Post>)) -> Report {
        let secret = Secret::parse(SECRET).unwrap();
        let lines: Vec<String> = self.posts.iter().map(|(event, status)| line(event, *status)).collect();
        let mut posts = received::parse(&lines.join("\n")).unwrap();
        posts.iter_mut().for_each(|post| post.signature = secret.sign(post));
        damage(&mut posts);
        judge::judge(&heard::parse(&self.heard.to_string()).unwrap(), &posts, &secret, |call| call.starts_with("CA"))
    }
}

fn event(seq: u64, kind: &str, data: &Value) -> Value {
    let mut data = data.clone();
    data["call_sid"] = json!("CA1");
    data["session_id"] = json!("ses_1");
    data["event_id"] = json!(format!("evt_{seq}"));
    data["seq"] = json!(seq);
    json!({"type": kind, "data": data})
}

fn spoken(text: &str, start_ms: u64) -> Value {
    let words: Vec<Value> =
        text.split(' ').zip(0..).map(|(word, at)| json!({"text": word, "start_ms": start_ms + at * 200})).collect();
    json!({"track": "inbound", "segment_id": format!("seg_{start_ms}"), "start_ms": start_ms, "text": text, "words": words})
}

fn line(event: &Value, status: u16) -> String {
    let (id, body) = (event["data"]["event_id"].clone(), BASE64_STANDARD.encode(event.to_string()));
    let at = NOW_S.to_string();
    json!({"at_ms": NOW_S * 1000, "id": id, "timestamp": at, "signature": "", "status": status, "body": body}).to_string()
}

/// The kinds of damage that were found.
fn found(report: &Report) -> Vec<&'static str> {
    judge::KINDS.into_iter().filter(|kind| !report.of(kind).is_empty()).collect()
}

#[test]
fn a_run_that_went_well_has_no_damage() {
    let report = Run::good().judged();
    assert_eq!(found(&report), [""; 0], "{}", report.to_json());
    let report = report.to_json();
    for (name, count) in [("calls", 1), ("posts", 6), ("events", 4), ("repeated", 1), ("words_said", 3), ("words_told", 3)] {
        assert_eq!(report[name], count, "{name}: {report}");
    }
}

#[test]
fn a_word_that_was_said_and_never_told_is_lost() {
    let mut run = Run::good();
    run.heard["connections"][2]["finals"] = json!(["four"]);
    let report = run.judged();
    assert_eq!(found(&report), ["lost"]);
    assert_eq!(report.of("lost"), ["CA1 inbound four"]);
}

#[test]
fn a_call_of_which_nothing_came_is_lost_and_not_completed() {
    let mut run = Run::good();
    run.posts.clear();
    assert_eq!(found(&run.judged()), ["lost", "completed"]);
}

#[test]
fn a_word_that_nobody_said_and_one_that_is_told_twice_are_unexpected() {
    let mut run = Run::good();
    for finals in ["one two", "four"] {
        run.heard["connections"][1]["finals"] = json!([finals]);
        run.heard["connections"][0]["finals"] = json!(["one two"]);
        let report = run.judged();
        assert!(found(&report).contains(&"unexpected"), "{}", report.to_json());
    }
    let mut run = Run::good();
    run.posts.insert(5, (event(9, "transcript.final", &spoken("three", 5000)), 204));
    assert!(found(&run.judged()).contains(&"unexpected"));
}

#[test]
fn a_word_on_the_other_track_is_another_word() {
    let mut run = Run::good();
    run.heard["connections"][1]["query"] = json!([["external_session_id", "CA1.outbound"]]);
    assert_eq!(found(&run.judged()), ["lost", "unexpected"]);
}

#[test]
fn a_wrong_signature_time_or_id_is_forged() {
    let damages: [fn(&mut Post); 4] = [
        |post| post.signature = "v1,AAAA".to_owned(),
        |post| post.at_ms += 301_000,
        |post| post.timestamp = "soon".to_owned(),
        |post| post.id.push('x'),
    ];
    for damage in damages {
        assert_eq!(found(&Run::good().judged_with(|posts| damage(&mut posts[0]))), ["forged"]);
    }
}

#[test]
fn other_bytes_under_the_same_id_are_found_even_where_they_were_refused() {
    let secret = Secret::parse(SECRET).unwrap();
    let report = Run::good().judged_with(|posts| {
        posts[1].body.push(b' ');
        posts[1].signature = secret.sign(&posts[1]);
    });
    assert_eq!(found(&report), ["bytes_differ"]);
}

#[test]
fn a_hole_in_the_numbers_is_found() {
    let mut run = Run::good();
    run.posts.retain(|(event, _)| event["type"] != "call.started");
    assert_eq!(found(&run.judged()), ["seq"]);
}

#[test]
fn a_session_that_begins_with_something_else_is_found() {
    let mut run = Run::good();
    run.posts[0].0["type"] = json!("call.dtmf");
    assert_eq!(found(&run.judged()), ["seq"]);
}

#[test]
fn an_order_that_was_not_kept_at_the_first_acceptance_is_found() {
    let mut run = Run::good();
    run.posts.swap(0, 2);
    assert_eq!(found(&run.judged()), ["order"]);
    let mut run = Run::good();
    run.posts.swap(3, 4);
    assert_eq!(found(&run.judged()), [""; 0], "what comes again may come at any time");
}

#[test]
fn no_call_completed_a_second_one_and_one_that_is_not_last_are_found() {
    let mut run = Run::good();
    let (mut completed, _) = run.posts.pop().unwrap();
    assert_eq!(found(&run.judged()), ["completed"]);
    run.posts.push((completed.clone(), 204));
    completed["data"]["event_id"] = json!("evt_5");
    completed["data"]["seq"] = json!(5);
    completed["data"]["last_seq"] = json!(5);
    run.posts.push((completed, 204));
    assert_eq!(found(&run.judged()), ["completed"]);
    let mut run = Run::good();
    run.posts.push((event(5, "call.dtmf", &json!({})), 204));
    assert_eq!(found(&run.judged()), ["completed"]);
    let mut run = Run::good();
    run.posts[5].0["data"]["last_seq"] = json!(5);
    assert_eq!(found(&run.judged()), ["completed"]);
}

#[test]
fn a_transcript_that_is_not_the_finals_and_a_hash_that_is_not_the_transcripts_are_found() {
    let mut run = Run::good();
    run.posts[5].0["data"]["transcript"][1]["start_ms"] = json!(3001);
    assert_eq!(found(&run.judged()), ["transcript"]);
    let mut run = Run::good();
    run.posts[5].0["data"]["transcript_sha256"] = json!("00");
    assert_eq!(found(&run.judged()), ["transcript"]);
}

#[test]
fn words_whose_times_are_not_in_the_order_of_speech_are_found() {
    let mut run = Run::good();
    let (words, earlier) = (&run.posts[4].0["data"]["words"].clone(), json!(1200));
    assert_eq!(words[0]["start_ms"], 3000);
    run.posts[4].0["data"]["words"][0]["start_ms"] = earlier;
    assert_eq!(found(&run.judged()), ["out_of_time"]);
}

#[test]
fn calls_that_are_not_asked_for_are_left_out() {
    let mut run = Run::good();
    run.heard["connections"].as_array_mut().unwrap().push(json!({
        "query": [["external_session_id", "XX1.inbound"]], "finals": ["lost"],
    }));
    assert_eq!(found(&run.judged()), [""; 0]);
}

#[test]
fn logs_that_say_nothing_are_refused() {
    assert!(heard::parse("{}").is_err());
    assert!(heard::parse(r#"{"connections":[{"query":[],"finals":["whose"]}]}"#).is_err());
    assert!(received::parse("{}").unwrap_err().starts_with("line 1: "));
}
