//! Checks from outside what a run of the bridge came to: what the speech service said against what the receivers got.
//!
//! Promises: sees two files only, the emulator's log (`GET /emulate/log`) and the receiver's log of every POST, and uses no code of the
//! bridge, so that no error is on both sides. Prints one JSON object; exit code 0 if there is no damage, 1 if there is, 2 if the files
//! cannot be read.
//!
//! What is **lost** and what is **unexpected** is counted in words. The service may say one stretch of audio many times, on each
//! connection that it is sent on, cut into other finals each time, and its times count from each connection's beginning; so neither finals
//! nor times can be compared. The recordings of these runs therefore say every word at one place of a track only: then call, track and word
//! together *are* the media time, the same in every file. A word that the service said in a final, on whichever connection of the call,
//! has to be told in exactly one `transcript.final` of that call: none is a loss, two are one too many, and one that the service never
//! said in a final of that call and track is unexpected. The recordings hold nothing that the redaction gate takes out.
//!
//! The service says a final 800 ms of audio after its last word, or at the end of a call, before which the phones of these runs are silent
//! for 600 ms; so no final is of audio so new that a kill may still cost it (200 ms).

mod heard;
mod judge;
mod received;
mod signature;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

/// Checks the logs of a run against each other.
#[derive(Parser)]
struct Arguments {
    /// The emulator's log, as `GET /emulate/log` gives it.
    #[arg(long)]
    heard: PathBuf,
    /// The receiver's log: one JSON object for each POST, in the order of the answers.
    #[arg(long)]
    received: PathBuf,
    /// The secret that every POST must be signed with, `whsec_…`.
    #[arg(long)]
    secret: String,
    /// Only calls whose name begins so.
    #[arg(long, default_value = "")]
    calls: String,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(report) => {
            println!("{}", report.to_json());
            if report.has_damage() { ExitCode::from(1) } else { ExitCode::SUCCESS }
        }
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<judge::Report, String> {
    let read = |path: &PathBuf| std::fs::read_to_string(path).map_err(|why| format!("cannot read {}: {why}", path.display()));
    let heard = heard::parse(&read(&arguments.heard)?).map_err(|why| format!("{}: {why}", arguments.heard.display()))?;
    let posts = received::parse(&read(&arguments.received)?).map_err(|why| format!("{}: {why}", arguments.received.display()))?;
    let is_asked = |call: &str| call.starts_with(&arguments.calls);
    Ok(judge::judge(&heard, &posts, &signature::Secret::parse(&arguments.secret)?, is_asked))
}

#[cfg(test)]
mod tests;
