//! The example receivers against signed requests: they take what is signed, once, and refuse everything else.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Stdio},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BODY: &str = r#"{"type":"transcript.final","timestamp":"2026-01-01T00:00:00Z","data":{"seq":2,"text":"hello there"}}"#;

#[test]
fn the_python_receiver_takes_what_is_signed_and_nothing_else() {
    receives("python3", "examples/receiver.py");
}

#[test]
fn the_node_receiver_takes_what_is_signed_and_nothing_else() {
    if Command::new("node").arg("--version").output().is_err() {
        eprintln!("!! SKIPPED: there is no node here");
        return;
    }
    receives("node", "examples/receiver.mjs");
}

fn receives(program: &str, script: &str) {
    let mut receiver = Receiver::start(program, script);
    let now = pulse_bridge::clock::wall_ms() / 1_000;
    let good = signature(SECRET, "evt_1", now, BODY);
    let stranger = signature("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "evt_1", now, BODY);
    assert_eq!(receiver.post("evt_1", now, &good, &BODY.replace("hello", "hullo")), 401, "other bytes");
    assert_eq!(receiver.post("evt_2", now, &good, BODY), 401, "another id");
    assert_eq!(receiver.post("evt_1", now, &stranger, BODY), 401, "another key");
    assert_eq!(receiver.post("evt_1", now, "", BODY), 401, "no signature");
    let old = now - 3_600;
    assert_eq!(receiver.post("evt_1", old, &signature(SECRET, "evt_1", old, BODY), BODY), 401, "an hour old");
    assert_eq!(receiver.post("evt_1", now, &format!("{stranger} {good}"), BODY), 204, "one of two keys");
    assert_eq!(receiver.post("evt_1", now, &good, BODY), 204, "the same again");
    assert_eq!(receiver.post("evt_3", now, &signature(SECRET, "evt_3", now, BODY), BODY), 204);
    // The second line is evt_3: what came twice was printed once, what was refused never.
    for _ in 0..2 {
        assert_eq!(receiver.line(), "2 transcript.final hello there");
    }
    receiver.process.kill().expect("it runs");
    receiver.process.wait().expect("it ends");
    let mut rest = String::new();
    receiver.lines.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "");
}

struct Receiver {
    process: Child,
    lines: BufReader<ChildStdout>,
    address: String,
}

impl Receiver {
    fn start(program: &str, script: &str) -> Self {
        let mut command = Command::new(program);
        command.args([script, SECRET, "0"]).current_dir(env!("CARGO_MANIFEST_DIR")).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the example starts");
        let lines = BufReader::new(process.stdout.take().expect("piped"));
        let mut receiver = Self { process, lines, address: String::new() };
        receiver.address = receiver.line().replace("listening on http://", "");
        receiver
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Posts, and gives the status back.
    fn post(&self, id: &str, timestamp: u64, signature: &str, body: &str) -> u16 {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let (address, length) = (&self.address, body.len());
        let request = format!(
            "POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\nwebhook-id: {id}\r\n\
             webhook-timestamp: {timestamp}\r\nwebhook-signature: {signature}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}

fn signature(secret: &str, id: &str, timestamp: u64, body: &str) -> String {
    let key = BASE64_STANDARD.decode(secret.trim_start_matches("whsec_")).expect("base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}
