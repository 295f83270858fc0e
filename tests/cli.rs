//! The program from outside: exit codes, what goes to which stream, and errors as one line.

use std::{
    io::{BufRead, BufReader, PipeReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

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
    for arguments in [&["serv"][..], &["serve", "--listne", "x"], &["replay"], &["serve", "--listen", "8080"]] {
        let refused = bridge(arguments, &[]);
        assert_eq!(code(&refused), 2, "{arguments:?}");
        let line = one_line(&refused);
        assert!(line.starts_with("error: ") && line.contains("; see: pulse-bridge "), "{line}");
    }
}

#[test]
fn what_this_version_does_not_have_exits_2_and_says_so() {
    for arguments in
        [&["engine", "install"][..], &["calls"], &["deliveries"], &["redact"], &["doctor"], &["emulate", "--engine", "local"]]
    {
        let refused = bridge(arguments, &[]);
        assert_eq!(code(&refused), 2, "{arguments:?}");
        let line = stderr(&refused);
        assert!(line.contains("is not in this version yet; pulse-bridge --help shows what is"), "{line}");
    }
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
fn serve_without_anything_says_what_to_set() {
    let refused = bridge(&["serve"], &[]);
    assert_eq!(code(&refused), 2);
    let expected = "error: the built-in speech engine is not in this build yet; set SMALLEST_API_KEY or upstream.url (PULSE_BRIDGE_UPSTREAM_URL)";
    assert_eq!(one_line(&refused), expected);
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
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let asked = bridge(&["doctor", "--ready"], &[("PULSE_BRIDGE_LISTEN", &nobody)]);
    assert_eq!(code(&asked), 1);
    assert!(one_line(&asked).ends_with("is the bridge running?: Connection refused (os error 111)"), "{}", stderr(&asked));
}

#[test]
fn the_second_signal_ends_a_tool_whose_client_never_finishes() {
    let tools = [(&["emulate"][..], "/waves/v1/stt?model=pulse"), (&["receive"], "/hook")];
    for (tool, path) in tools {
        let running = Running::start(Command::new(program()).args(tool).args(["--listen", "127.0.0.1:0"]));
        let mut client = TcpStream::connect(&running.address).unwrap();
        let head = "host: x\r\nauthorization: Bearer sk_x\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n";
        client.write_all(format!("POST {path} HTTP/1.1\r\n{head}").as_bytes()).unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100", "{tool:?} reads the body that never comes");
        running.signal("TERM");
        while TcpStream::connect(&running.address).is_ok() {}
        running.signal("TERM");
        let (code, told) = running.ended();
        assert_eq!(code, Some(1), "{tool:?}: {told}");
        assert!(told.ends_with("error: stopped at once; a client still held its connection\n"), "{tool:?}: {told}");
    }
}

#[test]
fn man_page_and_completions_come_from_the_same_table() {
    assert!(stdout(&bridge(&["man"], &[])).contains(".TH pulse-bridge 1"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&bridge(&["completions", shell], &[])).contains("deliveries"), "{shell}");
    }
}

/// The program while it runs; killed when it is dropped.
struct Running {
    child: Child,
    address: String,
    told: BufReader<PipeReader>,
    lines: String,
}

impl Running {
    /// Starts it and waits for the line, on whichever stream, that says where it listens.
    fn start(command: &mut Command) -> Self {
        let (told, stream) = std::io::pipe().unwrap();
        let child = command.stdout(stream.try_clone().unwrap()).stderr(stream).spawn().expect("the program starts");
        // The command holds the writing end too.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = Self { child, address: String::new(), told: BufReader::new(told), lines: String::new() };
        running.until_line("ready");
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

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(sent.success());
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

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The only line on stderr; stdout is for data and stays empty.
fn one_line(output: &Output) -> String {
    assert_eq!(stdout(output), "");
    let text = stderr(output);
    assert_eq!(text.lines().count(), 1, "{text}");
    text.trim_end().to_owned()
}
