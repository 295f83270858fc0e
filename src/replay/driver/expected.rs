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

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(name: &str) -> Recording {
        Recording { name: name.to_owned(), messages: Vec::new(), notes: Vec::new() }
    }

    #[test]
    fn a_recording_s_file_is_found_in_each_of_its_places_and_its_own_log_is_none() {
        let folder = std::env::temp_dir().join(format!("pulse-bridge-expected-{}", crate::clock::ulid()));
        fs::create_dir_all(folder.join("a")).unwrap();
        let event = |kind: &str| format!("{{\"type\":\"{kind}\",\"data\":{{}}}}\n");
        let found = |recordings: &[Recording], name: &str| {
            let all = Expectations::find(&folder, recordings, false).map_err(|why| why.to_string())?;
            Ok::<_, String>(all.of(name).unwrap()[0].event["type"].as_str().unwrap().to_owned())
        };
        let (one, two) = ([recording("a")], [recording("a"), recording("b")]);
        let missing = found(&one, "a").unwrap_err();
        assert!(missing.contains("a/expected.jsonl, ") && missing.ends_with("read what that writes, and keep it"), "{missing}");
        fs::write(folder.join("expected.jsonl"), event("last")).unwrap();
        assert_eq!(found(&one, "a").as_deref(), Ok("last"));
        assert!(found(&two, "a").unwrap_err().starts_with("nothing says what is expected of a: "), "it could be of either");
        fs::write(folder.join("a.jsonl"), "{\"event\":\"connected\"}\n").unwrap();
        assert_eq!(found(&one, "a").as_deref(), Ok("last"), "that is a log");
        fs::write(folder.join("a.jsonl"), event("second")).unwrap();
        assert_eq!(found(&one, "a").as_deref(), Ok("second"));
        fs::write(folder.join("a/expected.jsonl"), event("first")).unwrap();
        assert_eq!(found(&one, "a").as_deref(), Ok("first"));
        fs::write(folder.join("a/expected.jsonl"), event("first") + "{}").unwrap();
        assert!(
            found(&one, "a").unwrap_err().ends_with("a/expected.jsonl:2: is no event; each line has a \"type\" and a \"data\"")
        );
        let twice = Expectations::find(&folder, &[recording("a"), recording("a")], true).unwrap_err().to_string();
        assert!(twice.starts_with("two recordings are called a"), "{twice}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn it_is_written_where_it_lies_else_beside_the_fixture_else_into_a_folder_of_its_own() {
        let folder = Path::new("nowhere");
        assert_eq!(to_write(folder, "a", true), Path::new("nowhere/a/expected.jsonl"));
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pay-by-card");
        assert_eq!(to_write(&fixture, "pay-by-card", true), fixture.join("expected.jsonl"));
        assert_eq!(to_write(&fixture, "a", false), fixture.join("a/expected.jsonl"));
    }
}
