//! The `replay` command from outside: exit codes, what goes to which stream, and errors as one line.

mod program;

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use program::{one_line, stderr, stdout};
use serde_json::Value;

/// Nobody listens there.
const NOBODY: &str = "ws://127.0.0.1:1/media/twilio";
const MEDIA: &str = r#"{"event":"media","sequenceNumber":"2","streamSid":"MZ1","media":{"track":"inbound","chunk":"1","timestamp":"0","payload":"//7+/w=="}}"#;

#[test]
fn what_cannot_be_used_exits_2_with_one_line_before_anything_is_played() {
    let folder = folder("refused");
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let log = file("call.log", MEDIA);
    let (hello, torn) = (file("hello.log", "hello"), file("torn.log", &format!("\n{}\n{MEDIA}", &MEDIA[..70])));
    let plan = file("plan.json", r#"{"faults":[{"kind":"lost"},{"kind":"late","by_ms":80,"shar":0.1}]}"#);
    let expected = file("expected.jsonl", "{\"type\":\"call.started\",\"data\":{}}\n{}\n");
    let dir = folder.display().to_string();
    let settings = file("settings.toml", "api_tokn = \"hunter2\"\n");
    std::fs::create_dir_all(folder.join("none")).unwrap();
    let none = folder.join("none").display().to_string();
    for (arguments, message) in [
        (vec![hello.as_str()], "hello.log holds no Twilio message and is no WAV file; give a fixture's folder, a log"),
        (vec![&torn], "torn.log:2: a message is not JSON: control character"),
        (vec![&none], "none holds neither fixtures nor logs of Twilio messages nor WAV files"),
        (vec![&log, "--to", "bridge"], "--to bridge is not a URL"),
        (vec![&log, "--faults", "nope"], "cannot read nope"),
        (vec![&log, "--faults", &plan], "plan.json has in rule 2 an unknown key \"shar\"; did you mean \"share\"?"),
        (vec![&log, "--expect", &none], "nothing says what is expected of call: there is no "),
        (vec![&log, "--expect", &dir], "expected.jsonl:2: is no event; each line has a \"type\" and a \"data\""),
        (vec![&log, "--expect", &none, "--write-expected", "--config", &settings], "unknown key \"api_tokn\""),
        (vec![&log, &log, "--expect", &none, "--write-expected"], "two recordings are called call"),
        (vec![&log, "--write-expected"], "the following required arguments were not provided: --expect <DIR>; see"),
        (vec![&log, "--dialect", "telnyx"], "replay --dialect with anything but twilio is not in this version yet"),
    ] {
        let refused = replay(&arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        let line = one_line(&refused);
        assert!(line.starts_with("error: ") && line.contains(message) && !line.contains("hunter2"), "{line}");
    }
    assert_eq!(std::fs::read_to_string(expected).unwrap().lines().count(), 2);
}

#[test]
fn a_call_that_does_not_go_through_exits_1_with_its_line_on_stdout_and_the_verdict_on_stderr() {
    let log = folder("unreachable").join("call.log");
    std::fs::write(&log, MEDIA).unwrap();
    let log = log.display().to_string();
    let failed = replay(&[&log, "--to", NOBODY]);
    assert_eq!(failed.status.code(), Some(1));
    let (out, told) = (stdout(&failed), stderr(&failed));
    assert!(
        out.starts_with("failed  CA") && out.contains("cannot reach ws://127.0.0.1:1; is the bridge running there?"),
        "{out}"
    );
    assert!(out.ends_with("\nfailed   1 of 1 calls · 0 messages · 0:00 of audio\n"), "{out}");
    let told: Vec<&str> = told.lines().collect();
    let note = format!("warn:  {log}: there is no start message of stream MZ1; one was made up for the tracks seen: inbound");
    let verdict = "error: 1 of 1 calls did not go through; see above";
    assert_eq!(told, [note.as_str(), "playing  1 call, the longest 0:00, 1 times as fast as it was spoken", verdict]);
}

#[test]
fn with_json_both_streams_are_json_and_a_note_is_with_its_call() {
    let log = folder("json").join("call.log");
    std::fs::write(&log, MEDIA).unwrap();
    let failed = replay(&[&log.display().to_string(), "--to", NOBODY, "--json", "--calls", "2"]);
    assert_eq!(failed.status.code(), Some(1));
    let calls: Vec<Value> = stdout(&failed).lines().map(|line| serde_json::from_str(line).expect("an object a call")).collect();
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call["ended"] == "failed" && call["notes"][0].is_string()), "{calls:?}");
    let error: Value = serde_json::from_str(&stderr(&failed)).expect("one object");
    assert_eq!(error, serde_json::json!({"error": "2 of 2 calls did not go through; see above", "exit_code": 1}));
}

#[test]
fn a_bridge_that_cannot_be_asked_is_told_before_anything_is_played() {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mid-word");
    let failed = replay(&[fixture, "--to", NOBODY, "--expect", fixture, "--token", "hunter2"]);
    assert_eq!(failed.status.code(), Some(1));
    let line = one_line(&failed);
    assert!(line.starts_with("error: cannot ask http://127.0.0.1:1; is the bridge running there?"), "{line}");
    assert!(!line.contains("hunter2"), "{line}");
}

/// Runs the command where no settings file lies, without any variables.
fn replay(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulse-bridge"));
    command.arg("replay").args(arguments).current_dir(folder("empty")).env_clear().output().expect("the program starts")
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("replay-{name}"));
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}
