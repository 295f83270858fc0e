use std::fmt::Write;

use super::{super::scan::MAX_MESSAGE_BYTES, *};

const START: &str = r#"{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1","streamSid":"MZ1","callSid":"CA1","tracks":["inbound","outbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{"tenant":"blue"}},"streamSid":"MZ1"}"#;
const STOP: &str = r#"{"event":"stop","sequenceNumber":"6","streamSid":"MZ1","stop":{"accountSid":"AC1","callSid":"CA1"}}"#;

fn media(stream: &str, sequence: u64, track: &str, number: u64) -> String {
    format!(
        r#"{{"event":"media","sequenceNumber":"{sequence}","media":{{"track":"{track}","chunk":"{}","timestamp":"{}","payload":"//7+{number}w=="}},"streamSid":"{stream}"}}"#,
        number + 1,
        number * 20
    )
}

/// `connected`, `start`, two frames a track, `stop`.
fn lines() -> Vec<String> {
    let mut lines = vec![r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#.to_owned(), START.to_owned()];
    for (sequence, (track, number)) in [("inbound", 0), ("outbound", 0), ("inbound", 1), ("outbound", 1)].into_iter().enumerate()
    {
        lines.push(media("MZ1", sequence as u64 + 2, track, number));
    }
    lines.push(STOP.to_owned());
    lines
}

fn one(text: &str) -> Recording {
    let mut recordings = read("x.log", "x", text.as_bytes()).unwrap();
    assert_eq!(recordings.len(), 1);
    recordings.remove(0)
}

fn refused(text: &str) -> (usize, String) {
    let bad = read("x.log", "x", text.as_bytes()).unwrap_err();
    (bad.line, bad.problem)
}

#[test]
fn a_log_is_the_same_call_whatever_its_messages_are_wrapped_in() {
    let plain = one(&lines().join("\n"));
    assert_eq!((plain.messages.len(), plain.notes.len()), (7, 0));
    let quoted = |line: &String| serde_json::to_string(line).unwrap();
    let each = |wrap: &dyn Fn(&String) -> String| lines().iter().map(wrap).collect::<Vec<_>>().join("\n");
    let value = |line: &String| serde_json::from_str::<Value>(line).unwrap();
    let array = Value::Array(lines().iter().map(value).collect());
    let shapes = [
        ("one a line", lines().join("\n") + "\n"),
        ("windows", format!("\u{FEFF}{}\r\n", lines().join("\r\n\r\n"))),
        ("an array", array.to_string()),
        ("a printed array", serde_json::to_string_pretty(&array).unwrap()),
        ("objects over several lines", each(&|line| serde_json::to_string_pretty(&value(line)).unwrap())),
        ("a log level", each(&|line| format!("2026-11-21T10:00:00.123Z INFO {{worker 1}} [\"ws\"] Received: {line}"))),
        ("wrapped", each(&|line| format!(r#"{{"timestamp":17,"direction":"in","message":{line}}}"#))),
        ("a string in an object", each(&|line| format!(r#"{{"type":"message","data":{}}}"#, quoted(line)))),
        ("a string a line", each(&quoted)),
        ("an array of strings", format!("[{}]", lines().iter().map(quoted).collect::<Vec<_>>().join(",\n"))),
        ("logfmt", each(&|line| format!("level=info msg={} bytes=\"5\"", quoted(line)))),
        ("docker", each(&|line| format!(r#"{{"log":{},"stream":"stdout"}}"#, quoted(&format!("Received: {line}\n"))))),
        ("structlog", each(&|line| format!(r#"{{"event":"got a message","raw":{}}}"#, quoted(line)))),
        ("one document", format!(r#"{{"call":"CA1","messages":{array}}}"#)),
        ("other lines between", each(&|line| format!("server: {{\"event\":\"ping\"}} \"ok\" 5\" {{\n{line}\n{{\"n\":1}}"))),
    ];
    for (shape, text) in shapes {
        let read = one(&text);
        // A message that stands in the log as text keeps its text.
        assert_eq!(read.messages, plain.messages, "{shape}");
        assert_eq!(read.notes, Vec::<String>::new(), "{shape}");
    }
    let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain(lines().join("\r\n").encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert_eq!(read("x.log", "x", &utf16).unwrap()[0].messages, plain.messages);
}

#[test]
fn numbers_may_be_strings_and_strings_numbers_and_what_is_missing_is_counted_on() {
    let numbers = lines().join("\n").replace(r#"":"1""#, r#"":1"#).replace(r#""sequenceNumber":"4""#, r#""sequenceNumber":4"#);
    assert_eq!(one(&numbers).messages, one(&lines().join("\n")).messages);
    let bare = r#"{"event":"media","media":{"track":"inbound","payload":"//7+/w=="},"streamSid":"MZ1"}"#;
    let read = one(&format!("{START}\n{bare}\n{bare}\n"));
    let media: Vec<(u64, u64, u64)> = read
        .messages
        .iter()
        .filter_map(|message| match message {
            Message::Media(media) => Some((media.sequence, media.chunk, media.timestamp_ms)),
            _ => None,
        })
        .collect();
    assert_eq!(media, [(2, 1, 0), (3, 2, 0)], "four bytes are half a millisecond");
    assert_eq!(read.notes, ["x.log: 2 media messages of stream MZ1 have no timestamp; theirs follow from the audio's length"]);
}

#[test]
fn what_a_bridge_sends_back_is_left_out_and_what_the_phone_answers_is_kept() {
    let mut mixed = lines();
    mixed.insert(3, r#"{"event":"media","streamSid":"MZ1","media":{"payload":"AAAA"}}"#.to_owned());
    mixed.insert(4, r#"{"event":"mark","streamSid":"MZ1","mark":{"name":"said"}}"#.to_owned());
    mixed.insert(5, r#"{"event":"clear","streamSid":"MZ1"}"#.to_owned());
    assert_eq!(one(&mixed.join("\n")).messages, one(&lines().join("\n")).messages);
    mixed.insert(6, r#"{"event":"mark","streamSid":"MZ1","sequenceNumber":"4","mark":{"name":"said"}}"#.to_owned());
    mixed.insert(
        7,
        r#"{"event":"dtmf","streamSid":"MZ1","sequenceNumber":"5","dtmf":{"track":"inbound_track","digit":"7"}}"#.to_owned(),
    );
    let others = one(&mixed.join("\n")).messages.into_iter().filter(|message| matches!(message, Message::Other(_)));
    assert_eq!(others.count(), 2);
}

#[test]
fn several_streams_in_one_log_are_several_calls() {
    let other: Vec<String> = lines().iter().map(|line| line.replace("MZ1", "MZ2").replace("CA1", "CA2")).collect();
    let mixed = lines().iter().zip(&other).fold(String::new(), |mut text, (one, other)| {
        writeln!(text, "{one}\n{other}").unwrap();
        text
    });
    let read = read("calls.log", "calls", mixed.as_bytes()).unwrap();
    let names: Vec<&str> = read.iter().map(|recording| recording.name.as_str()).collect();
    assert_eq!(names, ["calls-1", "calls-2"]);
    assert_eq!(read[0].messages, one(&lines().join("\n")).messages);
    assert_eq!(read[1].media_messages(), 4);
    // The same stream's id once more, as when a log is appended to.
    let twice = format!("{0}\n{0}", lines().join("\n"));
    assert_eq!(super::read("calls.log", "calls", twice.as_bytes()).unwrap().len(), 2);
}

#[test]
fn a_missing_start_is_made_up_and_said_and_a_missing_stop_is_a_broken_socket() {
    let headless = one(&lines()[2..].join("\n"));
    let Message::Start(start) = &headless.messages[1] else { panic!("{:?}", headless.messages) };
    assert_eq!((start.tracks.len(), start.account_sid.as_str(), start.stream_sid.as_str()), (2, "AC1", "MZ1"));
    let expected = "x.log: there is no start message of stream MZ1; one was made up for the tracks seen: inbound, outbound";
    assert_eq!(headless.notes, [expected]);
    assert_eq!(headless.messages[2..], one(&lines().join("\n")).messages[2..]);
    let endless = one(&lines()[..6].join("\n"));
    assert!(endless.messages.iter().all(|message| !matches!(message, Message::Stop { .. })) && endless.notes.is_empty());
    let more = one(&format!("{}\n{}", lines().join("\n"), media("MZ1", 9, "inbound", 7)));
    assert_eq!(more.notes, ["x.log: 1 messages of stream MZ1 come after its stop and were left out"]);
}

#[test]
fn a_last_line_that_is_cut_off_is_left_out_with_its_number() {
    let whole = lines().join("\n");
    for (name, text, line) in [
        ("plain", whole[..whole.len() - 30].to_owned(), 7),
        ("with a line's end", format!("{}\n\n", &whole[..whole.len() - 30]), 7),
        ("an array", format!("[{}", &lines()[..6].join(",\n")[..whole.len() - STOP.len() - 9]), 6),
        ("wrapped", format!("{}\n{{\"data\":\"{{\\\"event\\\":\\\"media\\\",\\\"se", lines()[..6].join("\n")), 7),
    ] {
        let read = one(&text);
        assert_eq!(read.notes, [format!("x.log:{line}: the last message is cut off and was left out")], "{name}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let with = |at: usize, line: &str| {
        let mut lines = lines();
        lines[at] = line.to_owned();
        refused(&lines.join("\n"))
    };
    let torn = lines()[3][..90].to_owned();
    assert_eq!(with(3, &torn).0, 4);
    let unfinished = lines()[3].replace(r#","streamSid":"MZ1"}"#, "");
    assert_eq!(with(3, &unfinished).0, 4);
    let shortened = lines()[3].replace("//7+0w==", "//7+... 212 more");
    assert!(with(3, &shortened).1.starts_with("\"media.payload\" is not base64, so perhaps cut"));
    let silent = lines()[3].replace("payload", "pay");
    assert_eq!(with(3, &silent), (4, "\"media.payload\" is missing; log the whole message".to_owned()));
    assert_eq!(with(3, &lines()[3].replace(r#""3""#, r#""three""#)), (4, "\"sequenceNumber\" is not a whole number".to_owned()));
    let inner = r#"{"track":"inbound","chunk":"1","timestamp":"0","payload":"//7+/w=="}"#;
    assert!(with(3, inner).1.starts_with("a media message lacks what stands around"));
    let wide = START.replace("audio/x-mulaw", "audio/x-l16");
    assert_eq!(with(1, &wide), (2, "\"start.mediaFormat.encoding\" is audio/x-l16; only audio/x-mulaw is played".to_owned()));
    let long = lines()[3].replace("//7+", &"/".repeat(MAX_MESSAGE_BYTES));
    assert_eq!(with(3, &long), (4, "a message is longer than 1024 KiB".to_owned()));
    let python = "{'event': 'media', 'media': {'payload': '//7+'}}";
    assert!(refused(python).1.contains("as a program prints its objects"));
}

#[test]
fn a_text_without_messages_is_no_call() {
    for text in ["", "hello\n", "{\"type\":\"call.started\",\"data\":{}}", "[1,2,{\"event\":\"login\"}]", "{{{{\"\"\"\""] {
        assert_eq!(read("x.log", "x", text.as_bytes()).unwrap().len(), 0, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_cut_and_no_flipped_byte_of_a_log_panics(at in 0..900_usize, byte: u8, length in 0..1200_usize) {
        let mut text = lines().join("\n").into_bytes();
        let at = at % text.len();
        text[at] = byte;
        text.truncate(length);
        let _ = read("x.log", "x", &text);
    }
}
