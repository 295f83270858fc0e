//! The report's look.

use super::*;

fn effective(key: &str, value: &str, origin: &str) -> Effective {
    Effective { key: key.to_owned(), value: value.to_owned(), origin: origin.to_owned() }
}

#[test]
fn a_report_reads_as_promised() {
    let checks = vec![
        Check::new("settings", State::Ok, "pulse-bridge.toml, 2 values from the environment, 1 from a file"),
        Check::new("speech", State::Fail, "wss://api.example/…/live refused the key (401)")
            .advise("SMALLEST_API_KEY ends in …9f2c; make a new key"),
        Check::new(
            "webhook crm",
            State::Warn,
            "https://crm.example/hooks answered 200 in 1.9 s; slow receivers delay ordered events",
        ),
        Check::new("database", State::Skip, "not configured (one node)"),
    ];
    let settings = vec![
        effective("listen", "127.0.0.1:8080", "default"),
        effective("upstream.chunk_ms", "60", "pulse-bridge.toml:9"),
        effective("upstream.api_key", "…9f2c", "environment SMALLEST_API_KEY"),
        effective("upstream.url", &"long".repeat(12), "default"),
    ];
    let report = Report::new(checks, settings);
    assert!(!report.is_well());
    insta::assert_snapshot!(report.to_text(), @r"
    settings    ok     pulse-bridge.toml, 2 values from the environment, 1 from a file
    speech      FAIL   wss://api.example/…/live refused the key (401)
                       → SMALLEST_API_KEY ends in …9f2c; make a new key
    webhook crm warn   https://crm.example/hooks answered 200 in 1.9 s; slow receivers delay ordered events
    database    skip   not configured (one node)

    1 problem, 1 warning. Settings in effect, secrets masked:
      listen             127.0.0.1:8080                            default
      upstream.chunk_ms  60                                        pulse-bridge.toml:9
      upstream.api_key   …9f2c                                     environment SMALLEST_API_KEY
      upstream.url       longlonglonglonglonglonglonglonglonglonglonglong  default
    ");
}

#[test]
fn a_long_name_moves_every_line_and_a_line_stays_one() {
    let checks =
        vec![Check::new("webhook a-long-name", State::Ok, "a\nb\u{1b}[2Jc").advise("d"), Check::new("twilio", State::Warn, "e")];
    insta::assert_snapshot!(Report::new(checks, vec![effective("listen", "a", "b")]).to_text(), @r"
    webhook a-long-name ok     a b [2Jc
                               → d
    twilio              warn   e

    0 problems, 1 warning. Settings in effect, secrets masked:
      listen  a  b
    ");
}

#[test]
fn as_json_it_is_one_document() {
    let checks = vec![Check::new("database", State::Fail, "x").advise("y"), Check::new("data", State::Skip, "z")];
    insta::assert_snapshot!(Report::new(checks, vec![effective("listen", "a", "b")]).to_json(), @r#"
    {
      "checks": [
        {
          "name": "database",
          "state": "fail",
          "text": "x",
          "advice": "y"
        },
        {
          "name": "data",
          "state": "skip",
          "text": "z",
          "advice": null
        }
      ],
      "problems": 1,
      "warnings": 0,
      "settings": [
        {
          "key": "listen",
          "value": "a",
          "origin": "b"
        }
      ]
    }
    "#);
}

#[test]
fn findings_stand_under_how_things_are_unless_they_are_not() {
    let finding = |state| Check::new("data", state, "found");
    let states = |findings| under("data", "so".to_owned(), findings).into_iter().map(|check| check.state).collect::<Vec<_>>();
    assert_eq!(states(vec![]), [State::Ok]);
    assert_eq!(states(vec![finding(State::Warn)]), [State::Ok, State::Warn]);
    assert_eq!(states(vec![finding(State::Warn), finding(State::Fail)]), [State::Warn, State::Fail]);
}
