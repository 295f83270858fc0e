use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::*;

fn faults_of(plan: &Faults, connection: u32, attempt: u32, session: &str) -> Vec<Fault> {
    plan.of_connection(connection, attempt, session).into_iter().map(|suffered| suffered.fault).collect()
}

#[test]
fn a_rule_holds_on_the_connections_it_names() {
    let plan = r#"{"faults":[{"attempts":[0],"session":".inbound","kind":"drop","after_bytes":800},{"kind":"duplicate_final"},
        {"connections":[3],"kind":"refuse","status":429,"retry_after":2}]}"#;
    let plan = Faults::of_json(plan).unwrap();
    let dropped = Fault::Drop { after_bytes: 800 };
    assert_eq!(faults_of(&plan, 0, 0, "CA1.inbound"), [dropped, Fault::DuplicateFinal]);
    assert_eq!(faults_of(&plan, 1, 0, "CA1.outbound"), [Fault::DuplicateFinal]);
    assert_eq!(faults_of(&plan, 2, 1, "CA1.inbound"), [Fault::DuplicateFinal]);
    assert_eq!(faults_of(&plan, 3, 2, "")[1], Fault::Refuse { status: 429, retry_after: Some(2) });
}

#[test]
fn streams_and_batch_requests_suffer_apart() {
    let plan = r#"{"faults":[{"kind":"refuse","status":503},{"attempts":[0],"kind":"batch_delay","ms":5},{"kind":"batch_limit","per_minute":2}]}"#;
    let plan = Faults::of_json(plan).unwrap();
    assert_eq!(faults_of(&plan, 0, 0, "CA1.inbound"), [Fault::Refuse { status: 503, retry_after: None }]);
    let batch = |attempt| plan.of_batch(7, attempt).into_iter().map(|suffered| suffered.fault).collect::<Vec<_>>();
    assert_eq!(batch(0), [Fault::BatchDelay { ms: 5 }, Fault::BatchLimit { per_minute: 2 }]);
    assert_eq!(batch(1), [Fault::BatchLimit { per_minute: 2 }]);
}

#[test]
fn a_rule_may_wait_for_finals() {
    let plan = Faults::of_json(r#"{"faults":[{"kind":"drop","after_finals":2},{"kind":"string_speaker"}]}"#).unwrap();
    let suffered = plan.of_connection(0, 0, "");
    assert_eq!(suffered[0], Suffered { fault: Fault::Drop { after_bytes: 0 }, after_finals: 2 });
    assert_eq!(suffered[1], Fault::StringSpeaker.into());
}

#[test]
fn a_plan_that_is_none_is_refused() {
    for bad in [
        "[]",
        r#"{"faults":[{"kind":"explode"}]}"#,
        r#"{"fault":[]}"#,
        r#"{"faults":[{"atempts":[0],"kind":"never_last"}]}"#,
        r#"{"faults":[{"kind":"stall","after_bytes":1,"code":1008}]}"#,
        r#"{"faults":[{"kind":"flap"}]}"#,
        r#"{"faults":[{"kind":"slow","bytes_per_second":-1}]}"#,
    ] {
        assert!(Faults::of_json(bad).is_err(), "{bad}");
    }
    assert_eq!(
        Faults::of_json(r#"{"faults":[{"kind":"late_vad"},{"atempts":[0],"kind":"never_last"}]}"#).unwrap_err(),
        r#"has in rule 2 an unknown key "atempts"; did you mean "attempts"? Keys of this kind are: after_finals, attempts, connections, kind, session"#
    );
    for kind in
        [r#""refuse","status":429"#, r#""late_accept""#, r#""flap","after_ms":5"#, r#""jitter","ms":5"#, r#""ping_silence""#]
    {
        let told = Faults::of_json(&format!(r#"{{"faults":[{{"kind":{kind},"after_finals":1}}]}}"#)).unwrap_err();
        assert!(told.contains("has in rule 1 after_finals, but"), "{told}");
    }
}

#[test]
fn without_a_plan_nothing_goes_wrong() {
    assert_eq!(Faults::default().of_connection(0, 0, ""), []);
    assert_eq!(Manner::of(&[]), Manner::default());
}

#[test]
fn what_a_socket_suffers_is_read_out_of_all_faults() {
    let ms = Duration::from_millis;
    let faults = [
        Fault::LateAccept { ms: None },
        Fault::Flap { after_ms: 5 },
        Fault::Jitter { ms: 7, seed: 9 },
        Fault::PingSilence,
        Fault::NeverLast,
    ];
    let suffered = faults.map(Suffered::from);
    let manner =
        Manner { accepts_after: Some(Wait::ForEver), drops_after: Some(ms(5)), jitter: Some((ms(7), 9)), answers_no_pings: true };
    assert_eq!(Manner::of(&suffered), manner);
}

/// One of each kind; a new kind does not compile here until it is added.
fn all() -> Vec<Fault> {
    let first = Fault::Refuse { status: 503, retry_after: None };
    std::iter::successors(Some(first), |fault| {
        Some(match fault {
            Fault::Refuse { .. } => Fault::Limit { sessions: 1, how: Limit::Close },
            Fault::Limit { .. } => Fault::RefuseFlag { flag: "redact_pii".to_owned() },
            Fault::RefuseFlag { .. } => Fault::RefuseLanguage { language: "ja".to_owned() },
            Fault::RefuseLanguage { .. } => Fault::Drop { after_bytes: 1 },
            Fault::Drop { .. } => Fault::Close { after_bytes: 1, code: 1008 },
            Fault::Close { .. } => Fault::Error { after_bytes: 1, message: "no".to_owned() },
            Fault::Error { .. } => Fault::Stall { after_bytes: 1 },
            Fault::Stall { .. } => Fault::DuplicateFinal,
            Fault::DuplicateFinal => Fault::SplitEntity,
            Fault::SplitEntity => Fault::MidWordFinal,
            Fault::MidWordFinal => Fault::NeverLast,
            Fault::NeverLast => Fault::TextOnLast,
            Fault::TextOnLast => Fault::PongSilence,
            Fault::PongSilence => Fault::StringSpeaker,
            Fault::StringSpeaker => Fault::LateVad,
            Fault::LateVad => Fault::LateAccept { ms: Some(1) },
            Fault::LateAccept { .. } => Fault::Flap { after_ms: 1 },
            Fault::Flap { .. } => Fault::Slow { after_bytes: 1, bytes_per_second: 1 },
            Fault::Slow { .. } => Fault::Jitter { ms: 1, seed: 1 },
            Fault::Jitter { .. } => Fault::Garbage { every_bytes: 1 },
            Fault::Garbage { .. } => Fault::Huge { after_bytes: 1, bytes: 1 },
            Fault::Huge { .. } => Fault::BadFrame { after_bytes: 1 },
            Fault::BadFrame { .. } => Fault::ResetClock { after_bytes: 1 },
            Fault::ResetClock { .. } => Fault::Relabel { speaker: 1 },
            Fault::Relabel { .. } => Fault::StringNumbers,
            Fault::StringNumbers => Fault::PingSilence,
            Fault::PingSilence => Fault::MissingFinal { every: 1 },
            Fault::MissingFinal { .. } => Fault::LateFinal,
            Fault::LateFinal => Fault::NoSubscription,
            Fault::NoSubscription => Fault::NoCredits,
            Fault::NoCredits => Fault::RateLimit,
            Fault::RateLimit => Fault::Region { languages: vec!["en".to_owned()] },
            Fault::Region { .. } => Fault::SocketTimeout { after_ms: 1 },
            Fault::SocketTimeout { .. } => Fault::BareResults,
            Fault::BareResults => Fault::BatchRefuse { status: 503, retry_after: None, form: None },
            Fault::BatchRefuse { .. } => Fault::BatchDelay { ms: 1 },
            Fault::BatchDelay { .. } => Fault::BatchDecodeError { tag: None },
            Fault::BatchDecodeError { .. } => Fault::BatchTooLarge { bytes: 1 },
            Fault::BatchTooLarge { .. } => Fault::BatchLimit { per_minute: 1 },
            Fault::BatchLimit { .. } => return None,
        })
    })
    .collect()
}

#[test]
fn every_kind_and_key_is_in_the_docs_and_every_row_of_the_docs_is_a_rule() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tools.md")).unwrap();
    let mut shown = BTreeSet::new();
    for row in docs.lines().filter_map(|line| line.strip_prefix("| `{")) {
        let rule = format!("{{{}", row.split('`').next().unwrap_or_default());
        let plan = Faults::of_json(&format!(r#"{{"faults":[{rule}]}}"#)).unwrap_or_else(|why| panic!("{rule}: {why}"));
        let given: Value = serde_json::from_str(&rule).unwrap();
        let keys = given.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let known = serde_json::to_value(&plan.faults[0].fault).unwrap();
        for key in known.as_object().unwrap().keys() {
            assert!(keys.contains(key), "the row {rule} does not show {key}");
        }
        shown.insert(given["kind"].as_str().unwrap().to_owned());
    }
    let kinds = all().iter().map(|fault| serde_json::to_value(fault).unwrap()["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(shown, kinds);
    for condition in ["connections", "attempts", "session", "after_finals"] {
        assert!(docs.contains(&format!("| `{condition}`")), "{condition}");
    }
}
