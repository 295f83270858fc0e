//! The command line: one enum of commands, each with an example on top of its help; how a command ends.
//!
//! Promises: exit code 0 is done, 1 failed, 2 bad usage or settings; an error is one line; what this version does not have yet is
//! known by name, so that it is refused rather than taken for a mistake.

mod arguments;
mod asking;
pub mod deliveries;
pub mod engine;
pub mod redact;
mod table;

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use clap_complete::Shell;

pub use self::arguments::*;
use crate::config::ConfigError;

/// Phone calls in, live transcripts out: media streams, speech-to-text, signed webhooks.
#[derive(Parser)]
#[command(name = "pulse-bridge", version, before_help = "Example:  pulse-bridge demo", max_term_width = 110)]
#[command(propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Every command there is.
#[derive(Subcommand)]
pub enum Command {
    /// Run the bridge
    #[command(before_help = "Example:  pulse-bridge serve --config pulse-bridge.toml --listen 127.0.0.1:8080")]
    Serve(Serve),
    /// Show the whole job on this machine: a call, its live transcript, verified webhooks
    #[command(before_help = "Example:  pulse-bridge demo --keep")]
    Demo(Demo),
    /// Be the phone: play recorded calls into any bridge
    #[command(before_help = "Example:  pulse-bridge replay fixtures/pay-by-card --speed max --sign-with TOKEN")]
    Replay(Replay),
    /// The built-in speech engine: fetch it, see what is there
    ///
    /// Without a command, what is there. Where: `data_dir` of the settings; which model: `engine.model`.
    #[command(before_help = "Example:  pulse-bridge engine install")]
    Engine(Engine),
    /// Be the speech service: Pulse's wire format and the older ASR's, misbehaving on demand
    ///
    /// Pulse's stream is at /waves/v1/stt/live, its batch at /waves/v1/stt/, the older ASR at /api/v1/asr and /waves/v1/asr.
    #[command(before_help = "Example:  pulse-bridge emulate --listen 127.0.0.1:9090 --script fixtures/pay-by-card")]
    Emulate(Emulate),
    /// Be the webhook receiver: verify and print what arrives
    #[command(before_help = "Example:  pulse-bridge receive --listen 127.0.0.1:9000 --fail status=503,count=3")]
    Receive(Receive),
    /// Ask a running bridge about its calls (not in this version yet)
    #[command(before_help = "Example:  pulse-bridge calls export CA4f2a --format srt")]
    Calls(Calls),
    /// Ask a running bridge about its deliveries, and send some again
    ///
    /// Which bridge: `listen` and `api_token` of the settings (also `PULSE_BRIDGE_API_TOKEN`, `PULSE_BRIDGE_API_TOKEN_FILE`), unless --url and --token say otherwise.
    #[command(before_help = "Example:  pulse-bridge deliveries retry --parked")]
    Deliveries(Deliveries),
    /// Redact transcripts: JSON lines in, the same redacted out
    ///
    /// A line is one call, `{"id", "segments": [{"speaker", "text"}]}`; a speaker is `caller`, `agent`, `dtmf` (keys) or another name. The rules are
    /// those of `[redaction]` in the settings. More in docs/tools.md.
    #[command(before_help = "Example:  pulse-bridge redact calls.jsonl --explain")]
    Redact(Redact),
    /// Say what is wrong with the settings and everything they name, and what to do
    #[command(before_help = "Example:  pulse-bridge doctor")]
    Doctor(Doctor),
    /// Write completions for a shell
    #[command(hide = true, before_help = "Example:  pulse-bridge completions bash > pulse-bridge.bash")]
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Write the man page
    #[command(hide = true, before_help = "Example:  pulse-bridge man > pulse-bridge.1")]
    Man,
}

impl Command {
    /// Whether errors are to be JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        match self {
            Self::Demo(demo) => demo.json,
            Self::Replay(replay) => replay.json,
            Self::Emulate(emulate) => emulate.json,
            Self::Receive(receive) => receive.json,
            Self::Calls(calls) => calls.bridge.json,
            Self::Deliveries(deliveries) => deliveries.bridge.json,
            Self::Doctor(doctor) => doctor.json,
            Self::Engine(engine) => engine.json,
            Self::Redact(redact) => redact.json,
            Self::Serve(_) | Self::Completions { .. } | Self::Man => false,
        }
    }

    /// What of this command line is known, but not in this version.
    #[must_use]
    pub fn not_yet(&self) -> Option<&'static str> {
        match self {
            Self::Calls(_) => Some("the calls command"),
            Self::Replay(replay) if replay.dialect != "twilio" => Some("replay --dialect with anything but twilio"),
            _ => None,
        }
    }
}

/// How a command ends that is not done.
#[derive(Debug)]
pub struct Failure {
    /// 1 or 2.
    pub code: u8,
    /// Why; shown as one line.
    pub why: anyhow::Error,
    /// Whether what the command printed has said it already.
    pub is_told: bool,
}

impl Failure {
    /// Bad usage or settings: exit code 2.
    #[must_use]
    pub fn usage(why: impl Into<anyhow::Error>) -> Self {
        Self { code: 2, why: why.into(), is_told: false }
    }

    /// For a command whose data is its verdict: nothing more is to be said.
    #[must_use]
    pub fn told(code: u8) -> Self {
        Self { code, why: anyhow::anyhow!("see what was printed"), is_told: true }
    }

    /// The line, as it goes to stderr.
    #[must_use]
    pub fn line(&self, is_json: bool) -> String {
        let why = format!("{:#}", self.why).replace(['\n', '\r'], " ");
        if is_json { serde_json::json!({ "error": why, "exit_code": self.code }).to_string() } else { format!("error: {why}") }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(why: anyhow::Error) -> Self {
        Self { code: 1, why, is_told: false }
    }
}

impl From<ConfigError> for Failure {
    fn from(why: ConfigError) -> Self {
        Self::usage(why)
    }
}

/// A wrong command line as one line: what is wrong, the nearest right thing, where to read on.
#[must_use]
pub fn usage_line(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let facts = rendered.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let facts = facts.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let line = facts
        .map(|line| line.trim_start_matches("error: ").trim_start_matches("tip: "))
        .collect::<Vec<_>>()
        .join("; ")
        .replace(":; ", ": ");
    let line =
        if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand { "no command given".to_owned() } else { line };
    let command = rendered.lines().find_map(|line| line.trim().strip_prefix("Usage: pulse-bridge "));
    let known = |word: &&str| Cli::command().find_subcommand(word).is_some();
    let command =
        command.and_then(|usage| usage.split(' ').next()).filter(known).map(|word| format!(" {word}")).unwrap_or_default();
    format!("{}; see: pulse-bridge{command} --help", line.trim_end_matches('.'))
}

/// Whether clap only wants to print something: help or the version.
#[must_use]
pub fn is_answer(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// The man page, as roff.
///
/// # Errors
/// Those of the writer.
pub fn man(out: &mut dyn std::io::Write) -> std::io::Result<()> {
    clap_mangen::Man::new(Cli::command()).render(out)
}

/// Completions for a shell.
pub fn completions(shell: Shell, out: &mut dyn std::io::Write) {
    clap_complete::generate(shell, &mut Cli::command(), "pulse-bridge", out);
}

#[cfg(test)]
mod tests;
