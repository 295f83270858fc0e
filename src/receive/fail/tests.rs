use proptest::prelude::*;

use super::*;

fn plan(specs: &[&str]) -> Plan {
    Plan::new(specs.iter().map(|spec| spec.parse::<Spec>().unwrap()).collect())
}

/// Which of ten deliveries fail.
fn hits(spec: &str) -> Vec<u64> {
    let mut plan = plan(&[spec]);
    (1..=10).filter(|_| plan.decide("transcript.final", None).is_some()).collect()
}

#[test]
fn a_spec_says_which_deliveries_fail() {
    assert_eq!(hits("status=503"), (1..=10).collect::<Vec<_>>());
    assert_eq!(hits("status=503,count=3"), [1, 2, 3]);
    assert_eq!(hits("status=503,every=3"), [3, 6, 9]);
    assert_eq!(hits("status=503,after=7"), [8, 9, 10]);
    assert_eq!(hits("reset,after=2,every=2,count=3"), [4, 6, 8]);
    assert_eq!(hits("status=503,share=0"), [0; 0]);
    assert_eq!(hits("status=503,share=1"), (1..=10).collect::<Vec<_>>());
    assert_eq!(hits("status=503,count=0"), [0; 0]);
    assert_eq!(Plan::new(Fail::default()).decide("ping", None), None);
}

#[test]
fn a_share_is_about_kept_and_the_same_for_the_same_seed() {
    let failing = |spec: &str| {
        let mut plan = plan(&[spec]);
        (0..100_000).map(|_| plan.decide("ping", None).is_some()).collect::<Vec<_>>()
    };
    let one = failing("reset,share=0.3,seed=1");
    let count = one.iter().filter(|hit| **hit).count();
    assert!((29_500..30_500).contains(&count), "{count}");
    assert_eq!(one, failing("reset,share=0.3,seed=1"));
    assert_ne!(one, failing("reset,share=0.3,seed=2"));
}

#[test]
fn a_spec_may_be_for_one_type_or_one_seq_and_counts_those_only() {
    let mut plan = plan(&["status=500,type=call.completed,count=1", "status=502,seq=2,count=1"]);
    let mut status = |kind: &str, seq| plan.decide(kind, Some(seq)).and_then(|planned| planned.way.status());
    assert_eq!(status("call.started", 1), None);
    assert_eq!(status("transcript.final", 2), Some(502));
    assert_eq!(status("transcript.final", 2), None);
    assert_eq!(status("call.completed", 3), Some(500));
    assert_eq!(status("call.completed", 3), None);
}

#[test]
fn the_first_spec_that_hits_decides_and_the_others_keep_their_failures() {
    let mut plan = plan(&["reset,count=1", "status=500,count=1", "huge=1,after=3"]);
    let ways: Vec<Option<&str>> = (0..5).map(|_| plan.decide("ping", None).map(|planned| planned.way.as_str())).collect();
    assert_eq!(ways, [Some("reset"), Some("status"), None, Some("huge"), Some("huge")]);
}

#[test]
fn each_way_is_read_with_its_own_numbers_and_what_it_answers() {
    let ms = Duration::from_millis;
    let rows = [
        ("status=429", Way::Status(429), Some(429), false),
        ("status=202", Way::Status(202), Some(202), true),
        ("delay_ms=5", Way::Usual, Some(204), true),
        ("reset", Way::Reset { midway: false }, None, false),
        ("reset=midway", Way::Reset { midway: true }, Some(200), false),
        ("hang", Way::Hang, None, false),
        ("garbage", Way::Garbage, None, false),
        ("huge", Way::Huge { status: 200, mib: 10 }, Some(200), true),
        ("huge=2,status=500", Way::Huge { status: 500, mib: 2 }, Some(500), false),
        ("redirect=/x", Way::Redirect { status: 302, to: "/x".into() }, Some(302), false),
        ("status=308,redirect=http://h/?a=b", Way::Redirect { status: 308, to: "http://h/?a=b".into() }, Some(308), false),
        ("drip", Way::Drip { status: 200, pause: ms(1000) }, Some(200), false),
        (" drip=20 , status=500 ,", Way::Drip { status: 500, pause: ms(20) }, Some(500), false),
    ];
    for (spec, way, status, accepts) in rows {
        let read: Spec = spec.parse().unwrap_or_else(|why| panic!("{spec}: {why}"));
        assert_eq!((&read.way, read.way.status(), read.way.accepts()), (&way, status, accepts), "{spec}");
    }
    let mut plan = plan(&["status=429,retry_after=2,delay_ms=5"]);
    let expected = Planned { way: Way::Status(429), retry_after: Some(2), delay: Some(ms(5)) };
    assert_eq!(plan.decide("ping", None), Some(expected));
}

#[test]
fn a_spec_that_is_none_is_refused_with_what_to_do() {
    for (spec, expected) in [
        ("503:3", r#""503:3" is no way to fail; give e.g. status=503,count=3"#),
        ("status=503,colour=red", r#""colour=red" has an unknown key; did you mean "count"? Keys are: status, "#),
        ("stauts=503", r#"did you mean "status"?"#),
        ("status=99", r#""status=99" does not fit; give a status from 200 to 599"#),
        ("status", r#""status" does not fit"#),
        ("status=503,count=-1", r#""count=-1" does not fit; give a whole number"#),
        ("status=503,every=0", r#""every=0" does not fit; give a whole number from 1"#),
        ("status=503,share=30", r#""share=30" does not fit; give a share from 0 to 1"#),
        ("status=503,share=NaN", r#""share=NaN" does not fit"#),
        ("status=503,type=", r#""type=" does not fit"#),
        ("status=503,status=500", r#""status" stands twice"#),
        ("reset,huge=1", "reset and huge are two ways"),
        ("hang=5", r#""hang=5" does not fit; give the word alone"#),
        ("garbage,status=503", "garbage gives no answer, so it takes no status"),
        ("reset=often", r#""reset=often" does not fit; give reset or reset=midway"#),
        ("reset,status=503", "reset gives no answer, so it takes no status"),
        ("huge=0", r#""huge=0" does not fit"#),
        ("redirect", r#""redirect" does not fit; give an address"#),
        ("redirect=http://h/a b", "does not fit; give an address"),
        ("redirect=/x,status=200", r#""status=200" does not fit; give a status from 300 to 399"#),
        ("count=3", r#""count=3" does not say how to fail"#),
        ("", "does not say how to fail"),
    ] {
        let why = spec.parse::<Spec>().unwrap_err().to_string();
        assert!(why.contains(expected) && !why.contains('\n'), "{spec}: {why}");
    }
}

#[test]
fn every_key_of_the_grammar_is_in_the_docs() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tools.md")).unwrap();
    for key in parse::KEYS {
        assert!(docs.contains(&format!("| `{key}")), "{key} has no row in docs/tools.md");
    }
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let specs: Vec<&str> = docs.split("--fail ").skip(1).filter_map(|rest| rest.split([' ', '`']).next()).collect();
    assert!(rows.count() > 0 && specs.len() >= 10, "{specs:?}");
    for spec in specs.into_iter().filter(|spec| *spec != "SPEC") {
        assert!(spec.parse::<Spec>().is_ok(), "{spec}");
    }
}

proptest! {
    #[test]
    fn no_text_is_too_odd_to_be_refused(spec in "[a-z_=,0-9.%/ é]{0,60}") {
        let _ = spec.parse::<Spec>();
    }
}
