//! What the command line names, as recordings: fixtures, logs of Twilio messages, WAV files, folders of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, ensure};

use super::super::{Recording, log};
use crate::{
    audio::{MAX_WAV_BYTES, Wav},
    fixture::{self, Fixture},
};

/// What a log in a folder may be called; others are no logs, whatever is in them.
const LOG_ENDINGS: [&str; 5] = ["jsonl", "ndjson", "json", "log", "txt"];

/// Reads what a path names: a fixture, a log, a WAV file, or a folder of them.
///
/// # Errors
/// One line that names the file and what is wrong with it.
pub fn load(path: &Path) -> anyhow::Result<Vec<Recording>> {
    if path.join(fixture::MESSAGES).exists() {
        return Ok(vec![Recording::of_fixture(Fixture::load(path)?)]);
    }
    if path.is_dir() {
        return load_folder(path);
    }
    if is_called(path, &["wav"]) || begins_as_wav(path) {
        return load_wav(path).map(|recording| vec![recording]);
    }
    let recordings = load_log(path)?;
    ensure!(
        !recordings.is_empty(),
        "{} holds no Twilio message and is no WAV file; give a fixture's folder, a log of the messages, or a .wav file",
        path.display()
    );
    Ok(recordings)
}

fn load_folder(path: &Path) -> anyhow::Result<Vec<Recording>> {
    let inside = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut inside: Vec<PathBuf> = inside.filter_map(|entry| Some(entry.ok()?.path())).collect();
    inside.sort();
    let mut recordings = Vec::new();
    for path in &inside {
        if path.join(fixture::MESSAGES).exists() || path.is_file() && is_called(path, &["wav"]) {
            recordings.extend(load(path)?);
        } else if path.is_file() && is_called(path, &LOG_ENDINGS) {
            recordings.extend(load_log(path)?);
        }
    }
    ensure!(!recordings.is_empty(), "{} holds neither fixtures nor logs of Twilio messages nor WAV files", path.display());
    Ok(recordings)
}

fn load_log(path: &Path) -> anyhow::Result<Vec<Recording>> {
    let file = read(path, log::MAX_LOG_BYTES)?;
    log::read(&path.display().to_string(), &name_of(path), &file)
        .map_err(|bad| anyhow!("{}:{}: {}", path.display(), bad.line, bad.problem))
}

fn load_wav(path: &Path) -> anyhow::Result<Recording> {
    let wav = Wav::parse(&read(path, MAX_WAV_BYTES)?.into()).map_err(|bad| anyhow!("{} {bad}", path.display()))?;
    ensure!(wav.length() > 0, "{} holds no sound", path.display());
    Ok(Recording::of_wav(name_of(path), &wav))
}

fn read(path: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    let length = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    ensure!(length <= most, "{} has {length} bytes; at most {most} are read, so split it", path.display());
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn begins_as_wav(path: &Path) -> bool {
    let mut head = [0; 4];
    let read = fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut head));
    read.is_ok() && &head == b"RIFF"
}

fn is_called(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|ending| endings.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

fn name_of(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
