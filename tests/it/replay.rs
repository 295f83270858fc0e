//! The `replay` command against a whole bridge: every shape of a log, what is expected and what came.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use pulse_bridge::{
    fixture::Message,
    hex::hex,
    replay::{
        self, Arguments, Expect, Expectations, Pace, Played, Progress, Recording,
        expect::{self, Neutral},
    },
};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    phone::until_completed,
    stage::{AUTH_TOKEN, Plan, Stage, fixtures_dir, load},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_the_same_call_in_every_shape_that_users_record() {
    let mut stage = Stage::new().await;
    let folder = Folder::new("shapes");
    let shapes = shapes(&log_of("mid-word"));
    let recordings: Vec<Recording> =
        shapes.iter().flat_map(|(name, text)| replay::load(&folder.file(name, text)).unwrap()).collect();
    assert_eq!(recordings.len(), shapes.len(), "each is one call");
    let all: Vec<&Recording> = recordings.iter().collect();
    let played = replay::play_all(&all, &stage.phone(), &Progress::default()).await;
    let calls: Vec<&str> = played.iter().map(|call| call.call_sid.as_str()).collect();
    until_completed(&mut stage, &calls).await;
    let expected = tracks_of("mid-word");
    for (call, (name, _)) in played.iter().zip(&shapes) {
        assert_eq!((call.error.as_deref(), sent(call)), (None, expected.clone()), "{name}");
        let mut heard: Vec<String> = stage.heard_of(&call.call_sid).into_iter().map(|heard| heard.sha256).collect();
        heard.sort();
        assert_eq!(heard, expected, "{name}");
    }
    stage.end().await;
}

/// The hash of each track of a fixture, in the order of the hashes.
fn tracks_of(fixture: &str) -> Vec<String> {
    let mut hashes: Vec<String> = load(fixture).tracks.values().map(|audio| hex(&Sha256::digest(audio))).collect();
    hashes.sort();
    hashes
}

/// The hashes of what was sent, in their order.
fn sent(call: &Played) -> Vec<String> {
    let mut hashes: Vec<String> = call.tracks.values().map(|track| track.sha256.clone()).collect();
    hashes.sort();
    hashes
}

/// What the phone said in a fixture, one message a line with its payload; it hangs up properly, so that nobody waits for it to come back.
fn log_of(fixture: &str) -> Vec<String> {
    let mut messages = load(fixture).messages;
    messages.retain(|message| !matches!(message, Message::Stop { .. }));
    messages.push(Message::Stop { sequence: messages.len() as u64 });
    let lines = messages.into_iter().map(|message| match message {
        Message::Connected => json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}),
        Message::Start(start) => json!({"event": "start", "sequenceNumber": "1", "streamSid": "MZ7", "start": {
            "accountSid": start.account_sid, "callSid": "CA7", "streamSid": "MZ7", "tracks": start.tracks,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": start.parameters}}),
        Message::Media(media) => json!({"event": "media", "sequenceNumber": media.sequence.to_string(), "streamSid": "MZ7",
            "media": {"track": media.track, "chunk": media.chunk.to_string(), "timestamp": media.timestamp_ms.to_string(),
                "payload": BASE64_STANDARD.encode(&media.audio)}}),
        Message::Stop { sequence } => json!({"event": "stop", "sequenceNumber": sequence.to_string(), "streamSid": "MZ7",
            "stop": {"accountSid": "AC7", "callSid": "CA7"}}),
        Message::Other(line) => serde_json::from_str(&line).unwrap(),
    });
    lines.map(|line: Value| line.to_string()).collect()
}

fn shapes(lines: &[String]) -> Vec<(&'static str, String)> {
    let each = |wrap: &dyn Fn(&String) -> String| lines.iter().map(wrap).collect::<Vec<_>>().join("\n");
    let array: Value = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
    let quoted = |line: &String| serde_json::to_string(line).unwrap();
    let sent_back = r#"{"event":"media","streamSid":"MZ7","media":{"payload":"AAAA"}}"#;
    let marked = r#"{"event":"mark","streamSid":"MZ7","mark":{"name":"said"}}"#;
    vec![
        ("lines.jsonl", lines.join("\n")),
        ("windows.log", format!("\u{FEFF}{}\r\n", lines.join("\r\n\r\n"))),
        ("array.json", array.to_string()),
        ("printed.json", serde_json::to_string_pretty(&array).unwrap()),
        ("prefixed.log", each(&|line| format!("2026-11-21 10:00:00,123 INFO [ws] Received: {line}"))),
        ("wrapped.jsonl", each(&|line| format!(r#"{{"timestamp":1,"direction":"in","message":{line}}}"#))),
        ("quoted.jsonl", each(&|line| format!(r#"{{"type":"message","data":{}}}"#, quoted(line)))),
        ("answered.log", each(&|line| format!("< {line}\n> {sent_back}\n> {marked}"))),
        ("headless.log", lines[2..].join("\n")),
        ("cut.log", format!("{}\n{}", lines.join("\n"), &lines[5][..80])),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn two_streams_mixed_in_one_log_are_two_calls_of_the_same_audio() {
    let mut stage = Stage::new().await;
    let folder = Folder::new("mixed");
    let lines = log_of("mid-word");
    let mixed = lines.iter().fold(String::new(), |mut text, line| {
        writeln!(text, "{line}\n{}", line.replace("MZ7", "MZ8").replace("CA7", "CA8")).unwrap();
        text
    });
    folder.file("calls.log", &mixed);
    let recordings = replay::load(&folder.0).unwrap();
    let both: Vec<&Recording> = recordings.iter().collect();
    let played = replay::play_all(&both, &stage.phone(), &Progress::default()).await;
    let calls: Vec<&str> = played.iter().map(|call| call.call_sid.as_str()).collect();
    until_completed(&mut stage, &calls).await;
    assert_eq!(played.iter().map(|call| call.recording.as_str()).collect::<Vec<_>>(), ["calls-1", "calls-2"]);
    for call in &played {
        assert_eq!((call.error.as_deref(), sent(call)), (None, tracks_of("mid-word")));
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_expected_passes_and_what_was_changed_is_told() {
    let stage = Stage::new().await;
    let fixture = fixtures_dir().join("pay-by-card");
    let (verdict, told) = run(&stage, &fixture, &fixture, |_| {}).await;
    assert_eq!(verdict, Ok(()), "{told}");
    assert!(told.contains("\nsame     pay-by-card  14 events\npassed   1 of 1 calls"), "{told}");

    let folder = Folder::new("changed");
    let mut expected = kept(&fixture.join("expected.jsonl"));
    expected[4].event["data"]["text"] = "it's my card".into();
    expected[8].event["data"]["start_ms"] = 27_700.into();
    expected.remove(5);
    folder.file("pay-by-card.jsonl", &expect::lines(&expected));
    let (verdict, told) = run(&stage, &fixture, &folder.0, |_| {}).await;
    assert_eq!(verdict.unwrap_err(), "1 of 1 calls gave other events than expected; see above");
    let differences: Vec<&str> = told.lines().skip(1).take_while(|line| !line.starts_with("differs  1 of")).collect();
    insta::assert_snapshot!(differences.join("\n"), @r#"
    differs  pay-by-card  3 of 14 events: seq 5 text, seq 6 not expected, seq 9 start_ms
      changed transcript.final inbound at 0:07, seq 5
        data.text
          expected  "it's my card"
          got       "it's [CREDIT_CARD_1] expiring [EXPIRY_1]"
      extra   transcript.final outbound at 0:19, seq 6: "thank you and the security code on the back"
      changed transcript.final inbound at 0:27, seq 9
        data.start_ms
          expected  27700
          got       27758
    "#);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_is_written_where_asked_and_a_second_run_gives_the_same() {
    let stage = Stage::new().await;
    let folder = Folder::new("written");
    let log = folder.file("call.jsonl", &log_of("mid-word").join("\n"));
    let recordings = replay::load(&log).unwrap();
    let missing = Expectations::find(&folder.0, &recordings, false).unwrap_err().to_string();
    assert!(
        missing.starts_with("nothing says what is expected of call: there is no ") && missing.contains("--write-expected"),
        "{missing}"
    );
    for (write, calls) in [(true, 3), (false, 2)] {
        let (verdict, told) = run(&stage, &log, &folder.0, |arguments| {
            arguments.calls = calls;
            arguments.expect.as_mut().unwrap().write = write;
            arguments.json = true;
        })
        .await;
        assert_eq!(verdict, Ok(()), "{told}");
        let calls: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(calls.iter().all(|call| call["expect"]["differing"] == 0 && call["expect"]["got"] == 6), "{told}");
    }
    assert_eq!(kept(&folder.0.join("call/expected.jsonl")).len(), 6);
    assert_eq!(replay::load(&log).unwrap()[0].messages, recordings[0].messages, "the log beside it is what it was");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_does_not_answer_says_so_before_anything_is_played() {
    let settings = vec![("PULSE_BRIDGE_API_TOKEN", "s3cret".to_owned())];
    let stage = Stage::with(Plan { settings, ..Plan::default() }).await;
    let fixture = fixtures_dir().join("mid-word");
    for (token, expected) in [
        (None, "wants its API token (401); give it as --token or PULSE_BRIDGE_API_TOKEN"),
        (Some("hunter2"), "refused the API token (401); give the bridge's api_token as --token"),
        (Some("a\nb"), "the API token has characters that no header takes"),
    ] {
        let (verdict, told) = run(&stage, &fixture, &fixture, |arguments| {
            arguments.expect.as_mut().unwrap().token = token.map(SecretString::from);
        })
        .await;
        let why = verdict.unwrap_err();
        assert!(why.contains(expected) && !why.contains("hunter2") && told.is_empty(), "{why} {told}");
    }
    let (verdict, told) = run(&stage, &fixture, &fixture, |arguments| {
        arguments.expect.as_mut().unwrap().token = Some("s3cret".into());
    })
    .await;
    assert_eq!(verdict, Ok(()), "{told}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_never_completed_is_told_as_that() {
    let stage = Stage::new().await;
    let fixture = fixtures_dir().join("mid-word");
    // Without a stop, the bridge waits ten seconds for the stream to come back.
    let (verdict, told) = run(&stage, &fixture, &fixture, |arguments| {
        arguments.expect.as_mut().unwrap().within = Duration::from_millis(200);
    })
    .await;
    assert!(verdict.is_err());
    assert!(told.contains("\ndiffers  mid-word  no call.completed within 0 s"), "{told}");
    assert!(told.contains("\n  missing call.completed"), "{told}");
    stage.end().await;
}

/// The command as `replay PATH --speed 4 --expect DIR` and what else is set; what it says, and why it fails if it does.
async fn run(stage: &Stage, path: &Path, expect: &Path, set: impl FnOnce(&mut Arguments)) -> (Result<(), String>, String) {
    let recordings = replay::load(path).unwrap();
    let files = Expectations::find(expect, &recordings, true).unwrap();
    let files = Expectations::find(expect, &recordings, false).unwrap_or(files);
    let mut arguments = Arguments {
        pace: Pace::Times(4.0),
        sign_with: Some(SecretString::from(AUTH_TOKEN)),
        expect: Some(Expect::new(files)),
        ..Arguments::new(recordings, stage.media())
    };
    set(&mut arguments);
    let mut out = Vec::new();
    let verdict = replay::command(arguments, &mut out).await.map_err(|why| format!("{why:#}"));
    (verdict, String::from_utf8(out).unwrap())
}

pub(crate) fn kept(path: &Path) -> Vec<Neutral> {
    expect::read(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A folder of a test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pulse-bridge-replay-{name}-{}", pulse_bridge::clock::ulid()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
