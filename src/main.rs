//! The binary: arguments, logs, and the result as an exit code.
#![forbid(unsafe_code)]

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use anyhow::{Context, anyhow};
use clap::Parser;
use pulse_bridge::{
    cli::{self, Cli, Command, Failure},
    config::{self, Config, LogFormat},
    demo,
    dialect::twiml,
    doctor, replay, tools,
};
use tracing_subscriber::EnvFilter;

/// What is logged where `RUST_LOG` says nothing.
const DEFAULT_FILTER: &str = "info";
/// The same for tools.
const TOOL_FILTER: &str = "warn";

/// Tasks that a busy thread runs before it looks at the sockets again. Tokio's own 61 make a phone's frame wait behind as many strangers.
const TASKS_BETWEEN_SOCKETS: u32 = 16;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        // Where, and nothing else: the message may hold a caller's words.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a bug: the program panicked");
        let _ = writeln!(std::io::stderr(), "error: a bug at {place}; please report it with this line");
    }));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return answer(&error),
    };
    let is_json = cli.command.is_json();
    #[cfg(feature = "failpoints")]
    if let Err(error) = pulse_bridge::failpoint::arm() {
        return end(&Failure::usage(anyhow!(error)), is_json);
    }
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => end(&failure, is_json),
    }
}

/// Help and the version as clap writes them, everything else as one line.
fn answer(error: &clap::Error) -> ExitCode {
    if cli::is_answer(error) {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let is_json = std::env::args_os().any(|argument| argument == "--json");
    end(&Failure::usage(anyhow!(cli::usage_line(error))), is_json)
}

fn end(failure: &Failure, is_json: bool) -> ExitCode {
    if !failure.is_told {
        let _ = writeln!(std::io::stderr(), "{}", failure.line(is_json));
    }
    ExitCode::from(failure.code)
}

fn run(command: Command) -> Result<(), Failure> {
    if let Some(what) = command.not_yet() {
        return Err(Failure::usage(anyhow!("{what} is not in this version yet; pulse-bridge --help shows what is")));
    }
    match command {
        Command::Serve(arguments) => {
            let mut config = config::driver::read(arguments.settings.config.as_deref())?;
            if let Some(listen) = arguments.listen {
                config.set_listen(listen);
            }
            config.check_serve()?;
            logs(config.log.format);
            serve(config)
        }
        Command::Demo(arguments) => {
            logs_of_a_tool();
            play(arguments)
        }
        Command::Replay(arguments) => {
            logs_of_a_tool();
            let arguments = tools::replay(arguments)?;
            Ok(runtime()?.block_on(replay::command(arguments, &mut std::io::stdout()))?)
        }
        Command::Emulate(arguments) => {
            logs_of_a_tool();
            runtime()?.block_on(tools::emulate(arguments))
        }
        Command::Receive(arguments) => {
            logs_of_a_tool();
            passed(runtime()?.block_on(tools::receive(arguments))?, "not every event came as it should; see the lines above")
        }
        Command::Doctor(arguments) if arguments.ready => {
            let config = config::driver::read(arguments.settings.config.as_deref())?;
            let body = runtime()?.block_on(doctor::ready(config.listen))?;
            Ok(tools::print(body.as_bytes())?)
        }
        Command::Doctor(arguments) => {
            logs_of_a_tool();
            tools::doctor(&arguments, runtime()?)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            cli::completions(shell, &mut script);
            Ok(tools::print(&script)?)
        }
        Command::Man => {
            let mut page = Vec::new();
            cli::man(&mut page).context("cannot write the man page")?;
            Ok(tools::print(&page)?)
        }
        Command::Deliveries(arguments) => {
            logs_of_a_tool();
            runtime()?.block_on(cli::deliveries::run(arguments))
        }
        Command::Engine(arguments) => {
            logs_of_a_tool();
            cli::engine::run(arguments)
        }
        Command::Redact(arguments) => {
            logs_of_a_tool();
            cli::redact::run(&arguments)
        }
        Command::Calls(_) => {
            unreachable!("refused above by name")
        }
    }
}

fn serve(config: Config) -> Result<(), Failure> {
    twiml::check_after(&config.twilio.after).map_err(|why| config.error("twilio.after", why))?;
    for line in config.warnings() {
        tracing::warn!("{line}");
    }
    let runtime = runtime()?;
    let ended = runtime.block_on(tools::serve(config));
    if ended.is_err() {
        // To leave at once is to leave all as it is: a task that is dropped would tell others of an end that was none.
        std::mem::forget(runtime);
    }
    ended
}

/// `demo`.
fn play(arguments: cli::Demo) -> Result<(), Failure> {
    let cli::Demo { fixture, scripted, keep, json } = arguments;
    let runtime = runtime()?;
    let verdict = runtime.block_on(demo::run(demo::Arguments { fixture, scripted, keep, json }, &mut std::io::stdout()));
    // An engine that is being fetched is not waited for: what is there of it is taken away by the next fetch.
    runtime.shutdown_background();
    passed(verdict?, "the demo did not pass; see its last lines")
}

/// A command that ran to its end, but whose verdict is no.
fn passed(verdict: bool, why: &'static str) -> Result<(), Failure> {
    if verdict { Ok(()) } else { Err(anyhow!(why).into()) }
}

/// A tool's output is its lines; its logs are for whoever asks for them.
fn logs_of_a_tool() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(TOOL_FILTER));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(TASKS_BETWEEN_SOCKETS)
        .build()
        .context("cannot start the runtime")
}

/// stderr is talk: pretty on a terminal, else one JSON object a line; `RUST_LOG` filters.
fn logs(format: Option<LogFormat>) {
    let is_terminal = std::io::stderr().is_terminal();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format.unwrap_or(if is_terminal { LogFormat::Pretty } else { LogFormat::Json }) {
        LogFormat::Pretty => builder.with_ansi(is_terminal && std::env::var_os("NO_COLOR").is_none()).init(),
        LogFormat::Json => builder.json().init(),
    }
}
