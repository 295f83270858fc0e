//! The files that say what is expected of each recording.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail, ensure};

use super::super::{
    Recording,
    expect::{self, Neutral},
};
use crate::fixture;

/// The file's name where a recording has a folder.
const EXPECTED: &str = "expected.jsonl";

/// What is expected of each recording, by its name.
#[derive(Debug, Clone, Default)]
pub struct Expectations(BTreeMap<String, Expectation>);

#[derive(Debug, Clone)]
struct Expectation {
    path: PathBuf,
    /// Absent until it is written.
    events: Option<Vec<Neutral>>,
}

impl Expectations {
    /// Finds what a folder says of these recordings; with `writing`, only where it will be written.
    ///
    /// # Errors
    /// One line that names what is missing, and how to make it.
    pub fn find(folder: &Path, recordings: &[Recording], writing: bool) -> anyhow::Result<Self> {
        let mut all = BTreeMap::new();
        for Recording { name, .. } in recordings {
            let places = places(folder, name, recordings.len() == 1);
            let found = places.iter().find(|path| path.is_file() && !is_log(path));
            let expectation = match found {
                Some(path) if writing => Expectation { path: path.clone(), events: None },
                Some(path) => Expectation { path: path.clone(), events: Some(read(path)?) },
                None if writing => Expectation { path: to_write(folder, name, recordings.len() == 1), events: None },
                None => bail!("nothing says what is expected of {name}: there is no {}; {MAKE}", listed(&places)),
            };
            let other = all.insert(name.clone(), expectation);
            ensure!(other.is_none(), "two recordings are called {name}, so what is expected is not clear; play them one by one");
        }
        Ok(Self(all))
    }

    /// What is expected of a recording, if that is written by now.
    pub(super) fn of(&self, name: &str) -> Option<&[Neutral]> {
        self.0.get(name)?.events.as_deref()
    }

    /// Keeps these events as the expected ones; gives the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&mut self, name: &str, events: &[Neutral]) -> anyhow::Result<PathBuf> {
        let expectation = self.0.get_mut(name).context("every recording has its place")?;
        let path = &expectation.path;
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = folder.and_then(|()| fs::write(path, expect::lines(events)));
        written.with_context(|| format!("cannot write {}", path.display()))?;
        expectation.events = Some(events.to_vec());
        Ok(path.clone())
    }
}

const MAKE: &str = "play it once with --write-expected, read what that writes, and keep it";

/// Where it may lie, the first that is there counts.
fn places(folder: &Path, name: &str, is_only: bool) -> Vec<PathBuf> {
    let mut places = vec![folder.join(name).join(EXPECTED), folder.join(format!("{name}.jsonl"))];
    places.extend(is_only.then(|| folder.join(EXPECTED)));
    places
}

fn to_write(folder: &Path, name: &str, is_only: bool) -> PathBuf {
    let is_own = is_only && folder.join(fixture::MESSAGES).exists();
    if is_own { folder.join(EXPECTED) } else { folder.join(name).join(EXPECTED) }
}

fn listed(places: &[PathBuf]) -> String {
    places.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// A recording's own log may lie in the same folder under the same name; messages have an `event` where events have a `type`.
fn is_log(path: &Path) -> bool {
    let head = || -> io::Result<String> {
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(fs::File::open(path)?), &mut line)?;
        Ok(line)
    };
    head().is_ok_and(|line| line.contains("\"event\"") || line.contains("\\\"event\\\""))
}

fn read(path: &Path) -> anyhow::Result<Vec<Neutral>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    expect::read(&text).map_err(|(line, problem)| anyhow!("{}:{line}: {problem}", path.display()))
}
