//! The program from outside: exit codes, what goes to which stream, and errors as one line.

mod program;

use std::{
    io::{BufRead, BufReader, PipeReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use program::{one_line, stderr, stdout};

#[test]
fn help_and_version_are_answers() {
    let help = bridge(&["--help"], &[]);
    assert_eq!(code(&help), 0);
    assert!(stdout(&help).starts_with("Example:  pulse-bridge demo"), "{}", stdout(&help));
    for command in ["serve", "demo", "replay", "engine", "emulate", "receive", "calls", "deliveries", "redact", "doctor", "man"] {
        let help = bridge(&[command, "--help"], &[]);
        assert_eq!(code(&help), 0, "{command}");
        assert!(stdout(&help).starts_with(&format!("Example:  pulse-bridge {command}")), "{}", stdout(&help));
    }
    assert_eq!(stdout(&bridge(&["--version"], &[])), concat!("pulse-bridge ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_wrong_command_line_exits_2_with_one_line() {
    for arguments in [&[][..], &["serv"], &["serve", "--listne", "x"], &["replay"], &["serve", "--listen", "8080"]] {
        let refused = bridge(arguments, &[]);
        assert_eq!(code(&refused), 2, "{arguments:?}");
        let line = one_line(&refused);
        assert!(line.starts_with("error: ") && line.contains("; see: pulse-bridge "), "{line}");
    }
}

#[test]
fn what_a_tool_is_given_and_cannot_use_exits_2_before_anything_starts() {
    for (arguments, expected) in [
        (&["demo", "--fixture", "nope"][..], "there is no fixture nope here"),
        (&["replay", "nope"], "cannot read nope"),
        (&["replay", "nope", "--json"], "cannot read nope"),
        (&["emulate", "--script", "nope"], "cannot read nope"),
        (&["emulate", "--faults", "nope"], "cannot read nope"),
        (&["redact", "nope"], "cannot read nope"),
        (&["receive", "--secret", "hunter2"], "--secret: the webhook secret is not `whsec_` followed by base64"),
        (&["receive", "--fail", "503:3"], "is no way to fail; give e.g. status=503,count=3"),
    ] {
        let refused = bridge(arguments, &[]);
        assert_eq!(code(&refused), 2, "{arguments:?}");
        let line = one_line(&refused);
        assert!(line.contains(expected) && !line.contains("hunter2"), "{line}");
    }
}

#[test]
fn what_this_version_does_not_have_exits_2_and_says_so() {
    let refused = bridge(&["calls"], &[]);
    assert_eq!(code(&refused), 2);
    let line = stderr(&refused);
    assert!(line.contains("is not in this version yet; pulse-bridge --help shows what is"), "{line}");
}

#[test]
fn with_json_errors_are_json_too() {
    for arguments in [&["calls", "--json"][..], &["doctor", "--ready", "--jsn", "--json"]] {
        let refused = bridge(arguments, &[]);
        let error: serde_json::Value = serde_json::from_str(&one_line(&refused)).expect("one object");
        assert_eq!(error["exit_code"], 2);
        assert!(error["error"].is_string());
    }
}

#[test]
fn serve_without_a_key_an_engine_or_a_way_to_get_one_says_so_in_one_line() {
    // Without any PATH the system's own folders are searched, and a pip may be there.
    let env = [("PATH", "/nowhere"), ("PULSE_BRIDGE_LISTEN", "127.0.0.1:0"), ("RUST_LOG", "off")];
    let refused = bridge(&["serve"], &env);
    assert_eq!(code(&refused), 1);
    let line = one_line(&refused);
    assert!(line.contains("pulse-bridge engine install"), "{line}");
}

#[test]
fn a_misspelt_key_or_variable_names_the_nearest_one() {
    let folder = folder("misspelt");
    std::fs::write(folder.join("pulse-bridge.toml"), "[upstream]\nlangauge = \"en\"\n").unwrap();
    let refused = run(Command::new(program()).arg("serve").current_dir(&folder));
    assert_eq!(code(&refused), 2);
    assert_eq!(
        one_line(&refused),
        r#"error: pulse-bridge.toml:2: unknown key "upstream.langauge"; did you mean "upstream.language"?"#
    );
    let refused = bridge(&["serve"], &[("PULSE_BRIDGE_LISTNE", "x")]);
    assert_eq!(code(&refused), 2);
    assert_eq!(one_line(&refused), "error: PULSE_BRIDGE_LISTNE: unknown setting; did you mean PULSE_BRIDGE_LISTEN?");
}

#[test]
fn a_named_file_must_be_there() {
    let refused = bridge(&["serve", "--config", "none.toml"], &[]);
    assert_eq!(code(&refused), 2);
    assert!(one_line(&refused).starts_with("error: cannot read none.toml: "));
}

#[test]
fn the_compose_file_passes_names_that_are_settings_and_leaves_none_of_the_env_file_out() {
    let compose = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docker-compose.yml")).unwrap();
    assert!(compose.contains("    env_file:\n      - path: .env\n        required: false\n"), "the whole of .env is passed");
    let (_, listed) = compose.split_once("    environment:\n").unwrap();
    let listed = listed.lines().take_while(|line| line.starts_with("      ")).filter_map(|line| line.trim().split_once(": "));
    // As Compose reads them where neither the shell nor .env has a name.
    let listed: Vec<(&str, &str)> = listed
        .filter(|(name, _)| !name.starts_with('#'))
        .map(|(name, value)| match value.strip_prefix("${").and_then(|value| value.strip_suffix('}')) {
            Some(variable) => (name, variable.strip_prefix(&format!("{name}:-")).expect("a name takes its own value")),
            None => (name, value),
        })
        .collect();
    assert!(listed.len() > 10, "{listed:?}");
    // Behind the settings it gets as far as the engine, which is not here and cannot be had.
    let env = [
        &listed[..],
        &[
            ("PATH", "/nowhere"),
            ("PULSE_BRIDGE_DATA_DIR", "data-of-compose"),
            ("PULSE_BRIDGE_LISTEN", "127.0.0.1:0"),
            ("RUST_LOG", "off"),
        ],
    ]
    .concat();
    let refused = bridge(&["serve"], &env);
    assert!(one_line(&refused).contains("pulse-bridge engine install"), "{}", stderr(&refused));
}

#[test]
fn a_public_bridge_without_a_token_is_refused() {
    let refused = bridge(&["serve"], &[("SMALLEST_API_KEY", "sk_x"), ("PULSE_BRIDGE_PUBLIC_URL", "https://b.example")]);
    assert_eq!(code(&refused), 2);
    assert!(one_line(&refused).contains("api_token is not"), "{}", stderr(&refused));
}

#[test]
fn a_secret_file_is_read_and_never_shown() {
    let folder = folder("secret");
    let secret = folder.join("secret");
    std::fs::write(&secret, "whsec_hunter2\n").unwrap();
    let env =
        [("PULSE_BRIDGE_WEBHOOK_URL", "http://127.0.0.1:1/"), ("PULSE_BRIDGE_WEBHOOK_SECRET_FILE", secret.to_str().unwrap())];
    let refused = bridge(&["serve"], &env);
    assert_eq!(code(&refused), 2);
    let line = one_line(&refused);
    assert!(line.contains("PULSE_BRIDGE_WEBHOOK_SECRET_FILE: ") && !line.contains("hunter2"), "{line}");
}

#[test]
fn the_health_check_asks_readyz_of_the_listen_address() {
    for (answer, expected) in [("200 OK", 0), ("503 Service Unavailable", 1)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"GET /readyz HTTP/1.0\r\n"));
            stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n{{\"part\":\"word\"}}").as_bytes()).unwrap();
        });
        let asked = bridge(&["doctor", "--ready"], &[("PULSE_BRIDGE_LISTEN", &address)]);
        server.join().unwrap();
        assert_eq!(code(&asked), expected, "{}", stderr(&asked));
        let told = if expected == 0 { stdout(&asked) } else { stderr(&asked) };
        assert!(told.contains("{\"part\":\"word\"}"), "{told}");
    }
    let nobody = TcpListener::bind("127.77.0.1:0").unwrap().local_addr().unwrap().to_string();
    let asked = bridge(&["doctor", "--ready"], &[("PULSE_BRIDGE_LISTEN", &nobody)]);
    assert_eq!(code(&asked), 1);
    assert!(one_line(&asked).ends_with("is the bridge running?: Connection refused (os error 111)"), "{}", stderr(&asked));
}

#[test]
fn the_second_signal_ends_a_tool_whose_client_never_finishes() {
    let tools = [(&["emulate"][..], "/waves/v1/stt?model=pulse"), (&["receive"], "/hook")];
    for (tool, path) in tools {
        let running = Running::start(Command::new(program()).args(tool).args(["--listen", "127.0.0.1:0"]), "ready");
        let mut client = TcpStream::connect(&running.address).unwrap();
        let head = "host: x\r\nauthorization: Bearer sk_x\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n";
        client.write_all(format!("POST {path} HTTP/1.1\r\n{head}").as_bytes()).unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100", "{tool:?} reads the body that never comes");
        signal(&running.child, "TERM");
        while TcpStream::connect(&running.address).is_ok() {}
        signal(&running.child, "TERM");
        let (code, told) = running.ended();
        assert_eq!(code, Some(1), "{tool:?}: {told}");
        assert!(told.ends_with("error: stopped at once; a client still held its connection\n"), "{tool:?}: {told}");
    }
}

#[test]
fn with_json_what_a_tool_says_on_stdout_is_json() {
    let running = Running::start(Command::new(program()).args(["emulate", "--json", "--listen", "127.0.0.1:0"]), "ready");
    let ready: serde_json::Value = serde_json::from_str(&running.lines).expect("one object");
    assert_eq!(ready, serde_json::json!({"ready": format!("ws://{}/waves/v1/stt/live", running.address)}));
}

#[test]
fn a_receiver_ends_with_its_verdict_and_its_exit_code() {
    let forged = "POST /hook HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}";
    for (said, expected, verdict) in [("", 0, "passed  0 deliveries"), (forged, 1, "failed  1 deliveries · 0 accepted")] {
        let running = Running::start(Command::new(program()).args(["receive", "--json", "--listen", "127.0.0.1:0"]), "ready");
        if !said.is_empty() {
            let mut client = TcpStream::connect(&running.address).unwrap();
            client.write_all(said.as_bytes()).unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.contains(" 401 "), "{answer}");
        }
        signal(&running.child, "TERM");
        let (code, told) = running.ended();
        assert_eq!(code, Some(expected), "{told}");
        assert!(told.contains(verdict) && told.contains(r#"{"summary":{""#), "{told}");
    }
}

#[test]
fn a_kept_demo_says_where_and_takes_its_data_away_when_told_to_stop() {
    let (mut command, temporary) = demo("kept", 20);
    let running = Running::start(command.args(["--json", "--keep"]), "kept");
    signal(&running.child, "TERM");
    let (code, told) = running.ended();
    assert_eq!(code, Some(0), "{told}");
    let lines: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let kept = lines.last().and_then(|line| line["kept"].as_str());
    assert!(kept.is_some_and(|address| address.starts_with("http://127.0.0.1:")), "{told}");
    assert!(is_empty(&temporary), "the data folder is gone");
}

#[test]
fn a_demo_that_is_interrupted_takes_its_data_away() {
    let (mut command, temporary) = demo("interrupted", 3_600_000);
    let running = Running::start(&mut command, "call.started");
    assert!(!is_empty(&temporary), "the data folder is there");
    signal(&running.child, "INT");
    let (code, told) = running.ended();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.ends_with("error: stopped before the call was over\n"), "{told}");
    assert!(is_empty(&temporary), "the data folder is gone");
}

#[test]
fn a_reader_that_went_away_does_not_stop_the_bridge() {
    let data = folder("unread").join("data").display().to_string();
    let mut command = unread(&["serve", "--listen", "127.0.0.1:0"]);
    command.envs([("PULSE_BRIDGE_DATA_DIR", data.as_str()), ("SMALLEST_API_KEY", "sk_x")]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(told.by_ref().any(|line| line.unwrap().contains("\"ready\"")), "it is logged behind the line that nobody reads");
    signal(&child, "TERM");
    let rest: Vec<String> = told.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest:?}");
}

#[test]
fn a_reader_that_went_away_does_not_stop_the_speech_service() {
    // An address that no other test uses, since the port is given back before the program takes it.
    let address = TcpListener::bind("127.77.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut child = unread(&["emulate", "--listen", &address]).stderr(Stdio::null()).spawn().unwrap();
    let mut asked = loop {
        assert_eq!(child.try_wait().unwrap(), None, "it runs");
        if let Ok(asked) = TcpStream::connect(&address) {
            break asked;
        }
    };
    // Whoever is answered was served behind the line that nobody reads.
    asked.write_all(b"GET /waves/v1/health HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    asked.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn man_page_and_completions_come_from_the_same_table() {
    assert!(stdout(&bridge(&["man"], &[])).contains(".TH pulse-bridge 1"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&bridge(&["completions", shell], &[])).contains("deliveries"), "{shell}");
    }
}

/// The demo of a call with nothing but two frames so far apart, and the folder of its own in which it leaves temporary files.
fn demo(name: &str, apart_ms: u64) -> (Command, PathBuf) {
    let _ = std::fs::remove_dir_all(folder(name));
    let (place, temporary) = (folder(name), folder(&format!("{name}/temporary")));
    let ids = r#""streamSid":"MZ1","start":{"accountSid":"AC1","callSid":"CA1","streamSid":"MZ1","tracks":["inbound"]}"#;
    let mut log = vec![r#"{"event":"connected"}"#.to_owned(), format!(r#"{{"event":"start","sequenceNumber":1,{ids}}}"#)];
    for (number, at_ms) in [0, apart_ms].into_iter().enumerate() {
        let media = format!(r#"{{"track":"inbound","chunk":{number},"timestamp":{at_ms},"payload":"//7+/w=="}}"#);
        log.push(format!(r#"{{"event":"media","sequenceNumber":{},"media":{media}}}"#, number + 2));
    }
    log.push(r#"{"event":"stop","sequenceNumber":4}"#.to_owned());
    std::fs::create_dir_all(place.join("fixtures/short")).unwrap();
    std::fs::write(place.join("fixtures/short/messages.jsonl"), log.join("\n")).unwrap();
    let mut command = Command::new(program());
    command.args(["demo", "--scripted", "--fixture", "short"]).current_dir(place).env_clear().env("TMPDIR", &temporary);
    (command, temporary)
}

/// The program with a stdout that nobody reads, where no settings are.
fn unread(arguments: &[&str]) -> Command {
    let (_, stdout) = std::io::pipe().unwrap();
    let mut command = Command::new(program());
    command.args(arguments).current_dir(folder("empty")).env_clear().stdout(stdout);
    command
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

/// The program while it runs; killed when it is dropped.
struct Running {
    child: Child,
    address: String,
    told: BufReader<PipeReader>,
    lines: String,
}

impl Running {
    /// Starts it and waits for a line, on whichever stream, with this word; what is said up to there names an address.
    fn start(command: &mut Command, word: &str) -> Self {
        let (told, stream) = std::io::pipe().unwrap();
        let child = command.stdout(stream.try_clone().unwrap()).stderr(stream).spawn().expect("the program starts");
        // The command holds the writing end too.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = Self { child, address: String::new(), told: BufReader::new(told), lines: String::new() };
        running.until_line(word);
        let address = running.lines.split("://").nth(1).expect("the line names the address");
        running.address = address.split(['/', '"', ' ', '\n']).next().unwrap_or_default().to_owned();
        running
    }

    /// Reads up to a line with this word.
    fn until_line(&mut self, word: &str) {
        loop {
            let before = self.lines.len();
            assert!(self.told.read_line(&mut self.lines).unwrap() > 0, "no line with {word}: {}", self.lines);
            if self.lines[before..].contains(word) {
                return;
            }
        }
    }

    /// The exit code, and everything it said.
    fn ended(mut self) -> (Option<i32>, String) {
        self.told.read_to_string(&mut self.lines).unwrap();
        (self.child.wait().unwrap().code(), std::mem::take(&mut self.lines))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_pulse-bridge")
}

/// Runs the program where no settings file lies, with these variables alone.
fn bridge(arguments: &[&str], env: &[(&str, &str)]) -> Output {
    run(Command::new(program()).args(arguments).current_dir(folder("empty")).env_clear().envs(env.iter().copied()))
}

fn run(command: &mut Command) -> Output {
    command.output().expect("the program starts")
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("the program ends by itself")
}
