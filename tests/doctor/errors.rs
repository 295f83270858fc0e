//! The three errors that everybody meets first, word for word.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{TOKEN, place::Place};

#[test]
fn a_misspelt_key_is_told_with_file_line_and_the_nearest_one() {
    let place = Place::new("misspelt");
    place.write("pulse-bridge.toml", &format!("{}[upstream]\nlangauge = \"en\"\n", "\n".repeat(12)), 0o600);
    let refused = Command::new(program()).arg("serve").current_dir(&place.0).env_clear().output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    insta::assert_snapshot!(String::from_utf8(refused.stderr).unwrap(), @r#"error: pulse-bridge.toml:14: unknown key "upstream.langauge"; did you mean "upstream.language"?"#);
}

#[test]
fn a_taken_address_is_told_with_the_way_around_it() {
    let place = Place::new("taken");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let env = [("SMALLEST_API_KEY", "sk_x"), ("PULSE_BRIDGE_LISTEN", &address), ("RUST_LOG", "off")];
    let refused = Command::new(program()).arg("serve").current_dir(&place.0).env_clear().envs(env).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let line = String::from_utf8(refused.stderr).unwrap().replace(&address, "127.0.0.1:8080");
    insta::assert_snapshot!(line, @"error: cannot listen on 127.0.0.1:8080: the address is in use; stop the other program or pass --listen 127.0.0.1:0 for any free port");
}

#[test]
fn a_refused_stream_is_told_with_what_was_tried_and_what_to_run() {
    let place = Place::new("refused");
    let mut child = Command::new(program())
        .args(["serve", "--listen", "127.0.0.1:0"])
        .current_dir(&place.0)
        .env_clear()
        .envs([
            ("SMALLEST_API_KEY", "sk_x"),
            ("TWILIO_AUTH_TOKEN", &format!("{TOKEN},{}", TOKEN.replace('0', "f"))),
            ("PULSE_BRIDGE_PUBLIC_URL", "https://bridge.example.com"),
            ("PULSE_BRIDGE_API_TOKEN", "hunter2hunter2"),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let address = ready.split("http://").nth(1).and_then(|rest| rest.split(' ').next()).expect("it says where it is");
    let mut phone = TcpStream::connect(address).unwrap();
    let head = "Host: bridge.example.com\r\nX-Twilio-Signature: Zm9yZ2Vk\r\nConnection: close\r\n";
    phone.write_all(format!("GET /media/twilio HTTP/1.1\r\n{head}\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    phone.read_to_string(&mut answer).unwrap();
    child.kill().unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let log = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    child.wait().unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
    let refusal = lines.into_iter().find(|line| line["level"] == "WARN").expect("it is logged");
    insta::assert_snapshot!(refusal["fields"]["message"].as_str().unwrap(), @r#"refused a media stream: X-Twilio-Signature fits neither of 2 tokens for wss://bridge.example.com/media/twilio; if Twilio dials another address set public_url, then run "pulse-bridge doctor""#);
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pulse-bridge"))
}
