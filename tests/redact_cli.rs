//! The command `redact` from outside: what comes out and when, and what is told of a line that is no call.

mod program;

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use program::{one_line, stderr, stdout};
use serde_json::{Value, json};

const CARD: &str = r#"{"id":"a","segments":[{"speaker":"caller","text":"my card is 4111 1111 1111 1111 bye"}]}"#;

#[test]
fn a_line_is_answered_before_the_next_one_comes() {
    let mut child = piped(&["redact"]);
    let (mut to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut from = BufReader::new(from);
    for _ in 0..2 {
        writeln!(to, "{CARD}").unwrap();
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        let card = json!({"segment": 0, "type": "CREDIT_CARD", "label": "[CREDIT_CARD_1]", "start": 11, "end": 30});
        let segments = json!([{"speaker": "caller", "text": "my card is [CREDIT_CARD_1] bye"}]);
        assert_eq!(parsed(&line), json!({"id": "a", "segments": segments, "redactions": [card]}));
    }
    drop(to);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_settings_hold_and_the_reason_is_told() {
    let folder = folder("redact_settings");
    let settings = "[redaction]\ntypes = [\"pci\"]\n[redaction.mode]\nCREDIT_CARD = \"last4\"\n[redaction.patterns]\nMEMBER_ID = 'ab-\\d+'\n";
    std::fs::write(folder.join("rules.toml"), settings).unwrap();
    let call = r#"{"segments":[{"speaker":"caller","text":"card 4111 1111 1111 1111, phone 555 123 4567, AB-12 bye"}]}"#;
    std::fs::write(folder.join("calls.jsonl"), call).unwrap();
    let out =
        run(Command::new(program()).args(["redact", "calls.jsonl", "--explain", "--config", "rules.toml"]).current_dir(&folder));
    assert_eq!((out.status.code(), stderr(&out)), (Some(0), String::new()));
    let out = parsed(&stdout(&out));
    assert_eq!(out["segments"][0]["text"], "card [CREDIT_CARD_1:1111], phone 555 123 4567, [MEMBER_ID_1] bye");
    let why: Vec<_> = out["redactions"].as_array().unwrap().iter().map(|redaction| redaction["why"].as_str().unwrap()).collect();
    assert_eq!(why, ["the check digit and the prefix are right", "a pattern of the settings fits it"]);
}

#[test]
fn a_line_that_is_no_call_is_told_by_its_number_alone_and_the_rest_goes_on() {
    let long = "hunter2".repeat(200_000);
    let lines = format!("hunter2\n{CARD}\n\n{{\"segments\":[\"hunter2\"]}}\n{long}\n{CARD}");
    for (json, expected) in [
        (
            None,
            "error: line 1: it is not JSON\nerror: line 4: it is not {\"id\", \"segments\": [{\"speaker\", \"text\"}]} with texts\nerror: line 5: it is longer than 1 MiB\n",
        ),
        (Some("--json"), "{\"error\":\"line 1: it is not JSON\",\"exit_code\":1}\n"),
    ] {
        let mut child = piped(&["redact"].into_iter().chain(json).collect::<Vec<_>>());
        let mut to = child.stdin.take().unwrap();
        let lines = lines.clone();
        let writer = std::thread::spawn(move || to.write_all(lines.as_bytes()));
        let out = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!((out.status.code(), stdout(&out).lines().count()), (Some(1), 2));
        assert!(stderr(&out).starts_with(expected) && !stderr(&out).contains("hunter2"), "{}", stderr(&out));
    }
}

#[test]
fn no_command_shows_a_key_a_list_or_a_pattern_of_the_settings() {
    let folder = folder("redact_secrets");
    let settings = "[redaction]\nallow = [\"hunter2\"]\nhash_key = \"aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnRlcjI=\"\n\
                    [redaction.mode]\nSSN = \"hash\"\n[redaction.deny]\nPERSON = [\"hunter2 co\"]\n[redaction.patterns]\nX = 'hunter2'\n";
    std::fs::write(folder.join("rules.toml"), settings).unwrap();
    std::fs::write(folder.join("call.jsonl"), r#"{"segments":[{"speaker":"a","text":"ssn 123 45 6789 bye"}]}"#).unwrap();
    let commands = [&["doctor"][..], &["doctor", "--json"], &["redact", "call.jsonl"]];
    for arguments in commands {
        let log = ("RUST_LOG", "trace");
        let command = [arguments, &["--config", "rules.toml"]].concat();
        let out = run(Command::new(program()).args(command).current_dir(&folder).env_clear().envs([log]));
        let all = stdout(&out) + &stderr(&out);
        assert!(!all.is_empty() && !all.contains("hunter2") && !all.contains("aHVudGVy"), "{arguments:?}: {all}");
    }
    let broken = settings.replace("'hunter2'", "'hunter2('");
    std::fs::write(folder.join("rules.toml"), broken).unwrap();
    let out = run(Command::new(program()).args(["redact", "--config", "rules.toml"]).current_dir(&folder).env_clear());
    assert_eq!(out.status.code(), Some(2));
    assert_eq!(one_line(&out), "error: rules.toml:8: redaction.patterns X: is no regular expression: unclosed group");
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"))
}

/// The program where no settings file lies, with pipes to all its streams.
fn piped(arguments: &[&str]) -> Child {
    let mut command = Command::new(program());
    command.args(arguments).current_dir(folder("empty")).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("the program starts")
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_pulse-bridge")
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}
