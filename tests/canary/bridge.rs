//! The real program, everything switched on, with all that it says kept.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::receiver::PATIENCE;

/// The account token that phones sign with.
pub(crate) const AUTH_TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The secret that events are signed with.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// What opens the API.
pub(crate) const API_TOKEN: &str = "token-of-the-canary";

/// Where a bridge lives, as often as it is started.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    format: &'static str,
}

/// A running bridge.
pub(crate) struct Bridge {
    child: Child,
    pub(crate) address: SocketAddr,
    stdout: Option<std::thread::JoinHandle<Vec<u8>>>,
}

impl Place {
    /// A new folder with a settings file.
    pub(crate) fn new(format: &'static str, speech: &str, receiver: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("pulse-bridge-canary-{}", pulse_bridge::clock::ulid()));
        std::fs::create_dir_all(&folder).unwrap();
        let kinds = pulse_bridge::event::KINDS;
        let endpoint = |name: &str| {
            format!(
                "[[webhook.endpoints]]\nname = \"{name}\"\nurl = \"http://{receiver}/{name}\"\nsecrets = [\"{SECRET}\"]\nevents = {kinds:?}\n"
            )
        };
        let settings = format!(
            "listen = \"127.0.0.1:0\"\ndata_dir = \"{data}\"\napi_token = \"{API_TOKEN}\"\n\
             [twilio]\nauth_tokens = [\"{AUTH_TOKEN}\"]\n\
             [upstream]\nurl = \"{speech}\"\napi_key = \"sk_test\"\nreplay_speed = 16\nvad_events = true\nemotion_detection = true\n\
             gender_detection = true\nfull_transcript = true\ncatch_up = \"5 s\"\nbatch_deadline = \"5 s\"\n\
             [redaction]\npartials = true\nmenu_digits = true\n\
             [redaction.patterns]\nMEMBER_ID = '\\bMB-\\d{{6}}\\b'\n[redaction.deny]\nPERSON = [\"Krellivane Holdings\"]\n\
             [disk]\nreserve = \"256 KiB\"\n[capture]\ndir = \"{capture}\"\n[log]\nformat = \"{format}\"\n{}{}",
            endpoint("all"),
            endpoint("ill"),
            data = folder.join("data").display(),
            capture = folder.join("capture").display(),
        );
        std::fs::write(folder.join("settings.toml"), settings).unwrap();
        Self { folder, format }
    }

    /// What the bridge writes below, by name.
    pub(crate) fn written(&self) -> [PathBuf; 2] {
        ["data", "capture"].map(|name| self.folder.join(name))
    }

    /// Its talk so far, of all its lives.
    pub(crate) fn talk(&self) -> Vec<u8> {
        std::fs::read(self.folder.join("talk.log")).unwrap()
    }

    /// A name of this place for a hit's line.
    pub(crate) const fn format(&self) -> &'static str {
        self.format
    }

    /// Starts the program, and waits until it says where it listens.
    pub(crate) async fn start(&self) -> Bridge {
        let talk = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join("talk.log")).unwrap();
        let mut child = program(&self.folder)
            .args(["serve", "--config", "settings.toml"])
            .env("RUST_LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(talk)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let (first, found) = tokio::sync::oneshot::channel();
        let stdout = std::thread::spawn(move || {
            let mut kept = Vec::new();
            let _ = lines.read_until(b'\n', &mut kept);
            let _ = first.send(String::from_utf8_lossy(&kept).into_owned());
            let _ = std::io::Read::read_to_end(&mut lines, &mut kept);
            kept
        });
        let line = tokio::time::timeout(PATIENCE, found).await.expect("a start line comes in time").unwrap();
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://"));
        let address = address.unwrap_or_else(|| panic!("{line:?}: {}", String::from_utf8_lossy(&self.talk()))).parse().unwrap();
        Bridge { child, address, stdout: Some(stdout) }
    }

    /// What another command says about a running bridge, both ways.
    pub(crate) async fn asked(&self, bridge: &Bridge, arguments: &[&str]) -> (Vec<u8>, Vec<u8>) {
        let url = format!("http://{}", bridge.address);
        let mut command = program(&self.folder);
        command.args(arguments).args(["--url", &url, "--token", API_TOKEN]).env("RUST_LOG", "trace");
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        (output.stdout, output.stderr)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulse-bridge"));
    command.current_dir(folder).env_clear();
    command
}

impl Bridge {
    /// As `kill -9` does; what it had said on stdout.
    pub(crate) fn killed(mut self) -> Vec<u8> {
        self.child.kill().unwrap();
        self.said()
    }

    /// As `kill` does, once no call is on the line; what it had said on stdout.
    pub(crate) async fn ended(mut self) -> Vec<u8> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        tokio::task::spawn_blocking(move || self.said()).await.unwrap()
    }

    fn said(&mut self) -> Vec<u8> {
        self.child.wait().unwrap();
        self.stdout.take().map(|reading| reading.join().unwrap()).unwrap_or_default()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
