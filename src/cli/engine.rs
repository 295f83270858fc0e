//! `engine`: what of the built-in speech engine is here, and getting it.
//!
//! Promises: stdout is data alone (`status`, or one document with `--json`); exit code 1 where the wanted model is not whole; an installation is over
//! only when the engine has been loaded once.

use std::{
    fs::File,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use clap::{ValueEnum, builder::PossibleValue};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{Engine, EngineAction, Failure, table::table};
use crate::{
    clock, config,
    engine::{
        driver::{
            install::{self, Progress, Say},
            moonshine,
        },
        files::{FOLDER, Model, Part, SHARED},
        wheels::{self, WHEELS, megabytes},
    },
    tools::print,
};

/// The setting's words.
impl ValueEnum for Model {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Fast => "56 MB to fetch; a tenth of a core for a call",
            Self::Accurate => "111 MB to fetch; fewer words wrong, more than twice the work",
        };
        Some(PossibleValue::new(self.as_str()).help(help))
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 2 for settings and files that cannot be read, 1 for everything else.
pub fn run(arguments: Engine) -> Result<(), Failure> {
    let config = config::driver::read(arguments.settings.config.as_deref())?;
    let data_dir = std::path::absolute(&config.data_dir).unwrap_or(config.data_dir);
    match arguments.action {
        Some(EngineAction::Install { wheels, model }) => {
            let wanted = model.unwrap_or(config.engine.model);
            let say = say(arguments.json);
            install(&data_dir, wanted, &wheels, &say)?;
            if arguments.json {
                return Ok(print(Report::of(&data_dir, wanted).to_json().to_string().as_bytes())?);
            }
            if std::io::stderr().is_terminal() {
                let set = format!("engine.model = {:?} in the settings", wanted.as_str());
                let next = if wanted == config.engine.model { "pulse-bridge demo" } else { &set };
                say(Progress::Says(format!("next     {next}")));
            }
            Ok(())
        }
        Some(EngineAction::Status) | None => {
            let report = Report::of(&data_dir, config.engine.model);
            print(if arguments.json { report.to_json().to_string() } else { report.to_text() }.as_bytes())?;
            if report.wants.is_none() { Ok(()) } else { Err(Failure::told(1)) }
        }
    }
}

fn install(data_dir: &Path, model: Model, wheels: &[PathBuf], say: &Say) -> Result<(), Failure> {
    for file in wheels {
        File::open(file).with_context(|| format!("cannot read {}", file.display())).map_err(Failure::usage)?;
    }
    let files = install::install(data_dir, model, wheels, say).map_err(anyhow::Error::from)?;
    let started = clock::now();
    drop(moonshine::load(&files, model, 1).context("the speech engine is in its place, and does not start")?);
    let took = clock::now().saturating_duration_since(started).as_secs_f32();
    let place = files.runtime.ancestors().nth(2).unwrap_or(data_dir).display();
    say(Progress::Says(format!("ready    {} speech engine in {place}, starts in {took:.1} s", model.as_str())));
    Ok(())
}

/// Shows an installation on stderr, unless it is to be quiet.
pub(crate) fn say(is_quiet: bool) -> Say {
    let show = Show { is_quiet, bar: Mutex::default() };
    Arc::new(move |progress| show.progress(progress))
}

impl Drop for Show {
    fn drop(&mut self) {
        self.close();
    }
}

/// Where an installation is shown: a bar on a terminal, lines everywhere, nothing beside JSON.
struct Show {
    is_quiet: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl Show {
    fn progress(&self, progress: Progress) {
        match progress {
            _ if self.is_quiet => {}
            Progress::Says(line) => {
                self.close();
                // Nobody may be reading; that is no reason to stop.
                let _ = writeln!(std::io::stderr(), "{line}");
            }
            Progress::Fetched { done, total } if std::io::stderr().is_terminal() => {
                let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
                let bar = bar.get_or_insert_with(|| {
                    let style = ProgressStyle::with_template("fetched  {bar:24} {msg}").expect("the template is well-formed");
                    ProgressBar::new(total).with_style(style)
                });
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(format!("{} of {}", done / 1_000_000, megabytes(total)));
            }
            Progress::Fetched { .. } => {}
        }
    }

    fn close(&self) {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take();
        bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

/// What is here.
struct Report {
    /// The model that is wanted.
    model: Model,
    /// Why it is not whole.
    wants: Option<String>,
    folder: PathBuf,
    parts: Vec<Row>,
}

struct Row {
    part: Part,
    state: &'static str,
    /// And its version.
    package: String,
    version: String,
    bytes: Option<u64>,
    folder: Option<PathBuf>,
}

impl Report {
    fn of(data_dir: &Path, model: Model) -> Self {
        let own = data_dir.join(FOLDER);
        let is_shared = install::find(data_dir, model).is_ok_and(|files| files.runtime.starts_with(SHARED));
        let folder = if is_shared { Path::new(SHARED).join(FOLDER) } else { own };
        let parts: Vec<Row> = Part::ALL.into_iter().map(|part| Row::of(&folder, part)).collect();
        let is_whole = |part: Part| parts.iter().any(|row| row.part == part && row.state == "installed");
        let lacking = model.parts().into_iter().find(|part| !is_whole(*part));
        let wants = lacking.map(|part| {
            let row = parts.iter().find(|row| row.part == part).map_or("missing", |row| row.state);
            format!("{} is {row}", part.as_str())
        });
        Self { model, wants, folder, parts }
    }

    fn to_json(&self) -> Value {
        let part = |row: &Row| {
            json!({
                "part": row.part.as_str(), "state": row.state, "package": row.package, "version": row.version, "bytes": row.bytes,
                "folder": row.folder
            })
        };
        let state = if self.wants.is_none() { "ready" } else { "incomplete" };
        let parts: Vec<Value> = self.parts.iter().map(part).collect();
        json!({ "model": self.model.as_str(), "state": state, "reason": self.wants, "folder": self.folder, "parts": parts })
    }

    fn to_text(&self) -> String {
        let model = self.model.as_str();
        let verdict = match &self.wants {
            None => format!("{model} speech engine: ready"),
            Some(why) => {
                format!("{model} speech engine: not ready, {why}; get it with: pulse-bridge engine install --model {model}")
            }
        };
        let row = |row: &Row| {
            vec![
                row.part.as_str().to_owned(),
                row.state.to_owned(),
                format!("{} {}", row.package, row.version),
                row.bytes.map(megabytes).unwrap_or_default(),
                row.folder.as_ref().map(|folder| folder.display().to_string()).unwrap_or_default(),
            ]
        };
        let rows: Vec<Vec<String>> = self.parts.iter().map(row).collect();
        format!("{verdict}\n\n{}", table(&["part", "state", "package", "size", "folder"], &rows))
    }
}

impl Row {
    fn of(engine: &Path, part: Part) -> Self {
        if let Ok(manifest) = install::is_there(engine, part) {
            let state = if install::damage(engine, part, &manifest).is_none() { "installed" } else { "damaged" };
            let bytes = Some(manifest.files.iter().map(|file| file.bytes).sum());
            let folder = Some(engine.join(part.as_str()));
            return Self { part, state, package: manifest.package, version: manifest.version, bytes, folder };
        }
        let folder = Some(engine.join(part.as_str())).filter(|folder| folder.exists());
        let state = if folder.is_some() { "damaged" } else { "missing" };
        let wheel = wheels::wheel_of(WHEELS, part, std::env::consts::OS, std::env::consts::ARCH);
        let (package, version) = wheel.map_or(("none for this machine", ""), |wheel| (wheel.package, wheel.version));
        Self { part, state, package: package.to_owned(), version: version.to_owned(), bytes: None, folder }
    }
}
