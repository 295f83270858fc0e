//! Programs in processes of their own, ended when they are dropped.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

/// Longest wait for anything; far above every deadline of the bridge.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// How often a process is looked at; nothing tells of its end by itself.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A folder of a name that is used once.
pub(crate) fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("pulse-bridge-crash-{name}-{}", pulse_bridge::clock::ulid()))
}

/// The real program.
pub(crate) struct Program(Child);

impl Program {
    /// Starts it with nothing else in its environment; its talk goes to a file.
    pub(crate) fn start(arguments: &[&str], environment: &[(String, String)], talk: &Path) -> Self {
        let talk = std::fs::OpenOptions::new().create(true).append(true).open(talk).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_pulse-bridge"))
            .args(arguments)
            .env_clear()
            .envs(environment.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(talk)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Its first line; nothing if it ends before.
    pub(crate) async fn first_line(&mut self) -> Option<String> {
        let stdout = self.0.stdout.take().expect("it is asked once");
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let line = tokio::time::timeout(PATIENCE, line).await.expect("a start line comes in time").unwrap().unwrap();
        (!line.is_empty()).then_some(line)
    }

    /// As `kill -9` does: no chance to write anything.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }

    /// Asks it to end, as `kill` does.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// How it ended, once it has.
    pub(crate) async fn ended(&mut self) -> Option<ExitStatus> {
        let looking = async {
            loop {
                if let Some(status) = self.0.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.ok()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
