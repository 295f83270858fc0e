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
    media::Track,
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
    if let Some(folder) = fixture_around(path) {
        return load(folder);
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

/// The fixture whose message log this is; the audio lies beside it.
fn fixture_around(path: &Path) -> Option<&Path> {
    let folder = path.parent().filter(|_| path.file_name().is_some_and(|name| name == fixture::MESSAGES))?;
    let has_audio = Track::ALL.iter().any(|track| folder.join(format!("{track}.ulaw")).exists());
    has_audio.then_some(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::test_file;

    const MEDIA: &str = r#"{"event":"media","sequenceNumber":"2","streamSid":"MZ1","media":{"track":"inbound","chunk":"1","timestamp":"0","payload":"//7+/w=="}}"#;

    /// A folder of a test's own with these files.
    fn folder(name: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("pulse-bridge-load-{name}-{}", crate::clock::ulid()));
        for (name, bytes) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    }

    fn refused(path: &Path) -> String {
        format!("{:#}", load(path).unwrap_err())
    }

    #[test]
    fn a_folder_is_any_mix_of_fixtures_logs_and_wavs_and_passes_over_the_rest() {
        let wav = test_file(7, 8, 8000, 1, &[9; 320]);
        let (start, stop) = (
            r#"{"event":"start","sequenceNumber":"1","streamSid":"M","start":{"callSid":"C","streamSid":"M","tracks":["inbound"]}}"#,
            "",
        );
        let folder = folder(
            "mix",
            &[
                ("fixture/messages.jsonl", format!("{start}\n{MEDIA}\n{stop}").as_bytes()),
                ("fixture/expected.jsonl", b"{}"),
                ("sound.WAV", &wav),
                ("call.log", MEDIA.as_bytes()),
                ("expected.jsonl", br#"{"type":"call.started","data":{}}"#),
                ("truth.json", b"{\"tracks\":{}}"),
                ("README.md", MEDIA.as_bytes()),
                ("deeper/call.log", MEDIA.as_bytes()),
            ],
        );
        let recordings = load(&folder).unwrap();
        let frames: Vec<(&str, u64)> =
            recordings.iter().map(|recording| (recording.name.as_str(), recording.media_messages())).collect();
        assert_eq!(frames, [("call", 1), ("fixture", 1), ("sound", 2)]);
        let expected = format!("{}/call.log: there is no start message of stream MZ1", folder.display());
        assert!(recordings[0].notes[0].starts_with(&expected), "{:?}", recordings[0].notes);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_fixture_s_message_log_stands_for_its_folder() {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mid-word");
        let loaded = load(&fixture.join(fixture::MESSAGES)).unwrap();
        assert_eq!((loaded[0].name.as_str(), &loaded[0].messages), ("mid-word", &load(&fixture).unwrap()[0].messages));
    }

    #[test]
    fn what_cannot_be_played_is_refused_by_file_and_line() {
        let folder = folder(
            "bad",
            &[
                ("empty/x.txt", b"hello"),
                ("none.log", b"hello"),
                ("torn.log", format!("{MEDIA}\n{}\n{MEDIA}", &MEDIA[..80]).as_bytes()),
                ("silent.wav", &test_file(7, 8, 8000, 1, &[])),
                ("float.wav", &test_file(3, 32, 8000, 1, &[0; 8])),
                ("sound", &test_file(7, 8, 8000, 1, &[9; 8])),
            ],
        );
        let at = |name: &str| folder.join(name).display().to_string();
        assert!(refused(&folder.join("empty")).ends_with("holds neither fixtures nor logs of Twilio messages nor WAV files"));
        assert!(refused(&folder.join("none.log")).starts_with(&format!("{} holds no Twilio message", at("none.log"))));
        assert!(refused(&folder.join("torn.log")).starts_with(&format!("{}:2: a message is not JSON", at("torn.log"))));
        assert_eq!(refused(&folder.join("silent.wav")), format!("{} holds no sound", at("silent.wav")));
        assert!(refused(&folder.join("float.wav")).starts_with(&format!("{} is floating point", at("float.wav"))));
        assert!(refused(&folder.join("nope")).starts_with(&format!("cannot read {}", at("nope"))));
        assert_eq!(load(&folder.join("sound")).unwrap()[0].media_messages(), 1, "a WAV file under any name");
        fs::remove_dir_all(folder).unwrap();
    }
}
