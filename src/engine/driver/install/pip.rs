//! Fetching a wheel with the machine's pip.
//!
//! Promises: one exact version and one file, without what it depends on and without running anything of it; pip's own settings hold (index, proxy,
//! certificates), and what may be secret in them is in no error; nothing is left in pip's cache.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use super::{Failed, Progress, Say};
use crate::engine::wheels::Wheel;

/// How pip may be called, the likeliest first.
pub(super) const NAMES: &[&[&str]] = &[&["python3", "-m", "pip"], &["pip3"], &["pip"]];
/// How often it is looked how much has come.
const LOOKED_EVERY: Duration = Duration::from_millis(200);
/// Most that is read of a line of pip's.
const LONGEST_LINE: usize = 4_096;
/// Most that is shown of one.
const SHOWN_CHARS: usize = 240;

/// The first of `names` that answers.
pub(super) fn find<'a>(names: &[&'a [&'a str]]) -> Option<&'a [&'a str]> {
    let answers = |name: &&&[&str]| {
        let mut pip = command(name);
        pip.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        pip.status().is_ok_and(|status| status.success())
    };
    names.iter().find(answers).copied()
}

/// Lets `pip` bring a wheel into `folder`, and says how far it is.
pub(super) fn fetch(pip: &[&str], wheel: &Wheel, folder: &Path, say: &Say) -> Result<PathBuf, Failed> {
    let (into, meanwhile) = (folder.join("wheels"), folder.join("pip"));
    for folder in [&into, &meanwhile] {
        fs::create_dir_all(folder).map_err(|why| Failed::of_file("make", folder, why))?;
    }
    let failed = |why: String| Failed::Pip { wheel: Box::new(*wheel), why };
    let mut download = command(pip);
    download.args([
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-cache-dir",
        "--no-input",
        "--disable-pip-version-check",
    ]);
    download.args(["--progress-bar", "off", "--platform", wheel.platform, "--dest"]).arg(&into);
    download.arg(format!("{}=={}", wheel.package, wheel.version));
    // pip writes there first, so that nothing of it is left elsewhere, and what has come can be seen.
    download.env("TMPDIR", &meanwhile).env("PIP_REQUIRE_VIRTUALENV", "0");
    download.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = download.spawn().map_err(|why| failed(why.to_string()))?;
    let errors = child.stderr.take().expect("it is piped");
    let (ended, has_ended) = mpsc::channel::<()>();
    let reading = thread::spawn(move || {
        let lines = lines(errors);
        drop(ended);
        lines
    });
    while has_ended.recv_timeout(LOOKED_EVERY) == Err(RecvTimeoutError::Timeout) {
        let done = size(&meanwhile).max(size(&into)).min(wheel.bytes);
        say(Progress::Fetched { done, total: wheel.bytes });
    }
    let status = child.wait().map_err(|why| failed(why.to_string()))?;
    let lines = reading.join().unwrap_or_default();
    if !status.success() {
        return Err(failed(why(&lines).unwrap_or_else(|| format!("it ended with {status}"))));
    }
    say(Progress::Fetched { done: wheel.bytes, total: wheel.bytes });
    // A mirror may write the platform in another way; the hash says what it is.
    let named = into.join(wheel.file);
    let any =
        || fs::read_dir(&into).ok()?.flatten().map(|entry| entry.path()).find(|path| path.extension() == Some("whl".as_ref()));
    let found = Some(named).filter(|path| path.exists()).or_else(any);
    found.ok_or_else(|| failed("it brought no file".to_owned()))
}

fn command(pip: &[&str]) -> Command {
    let mut command = Command::new(pip[0]);
    // Python looks for its modules where it is started: not where somebody may have put a pip of their own.
    command.args(&pip[1..]).current_dir("/");
    command
}

/// All lines of what a child says, each cut.
fn lines(says: impl Read) -> Vec<String> {
    let mut says = BufReader::new(says);
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    while says.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        line.truncate(LONGEST_LINE);
        lines.push(String::from_utf8_lossy(&line).trim().to_owned());
        line.clear();
    }
    lines
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let one = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.map(one).sum()
}

/// What pip gives as the reason: what broke the connection, else its last error.
fn why(lines: &[String]) -> Option<String> {
    let broken = lines.iter().rev().find_map(|line| {
        let (_, cause) = line.split_once("after connection broken by ")?;
        // 'NewConnectionError('<… object at 0x…>: Failed to establish a new connection: [Errno 111] Connection refused')': /simple/…
        let cause = cause.rsplit_once("': ").map_or(cause, |(cause, _)| cause);
        let cause =
            cause.rsplit_once(" object at ").map_or(cause, |(_, cause)| cause.split_once(": ").map_or(cause, |(_, cause)| cause));
        Some(cause.trim_matches(['\'', '"', '(', ')', ' ']))
    });
    let error = || lines.iter().rev().find_map(|line| line.strip_prefix("ERROR: "));
    let last = || lines.iter().rev().map(String::as_str).find(|line| !line.is_empty());
    let shown: String = without_secrets(broken.or_else(error).or_else(last)?).chars().take(SHOWN_CHARS).collect();
    Some(shown.trim_end_matches(['.', ';']).to_owned())
}

/// A line without what stands before the `@` of a URL, or behind its `?`.
fn without_secrets(line: &str) -> String {
    let word = |word: &str| {
        let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
        let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
        let end = rest.find('/').unwrap_or(rest.len());
        let host = rest[..end].rfind('@').map_or(0, |at| at + 1);
        format!("{scheme}://{}", &rest[host..])
    };
    let shown: String = line.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect();
    shown.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why_of(text: &str) -> Option<String> {
        why(&lines(text.as_bytes()))
    }

    #[test]
    fn the_reason_is_what_broke_the_connection_or_pips_last_error() {
        let refused = "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by \
            'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f1>: Failed to establish a new connection: \
            [Errno 111] Connection refused')': /simple/moonshine-voice/\nERROR: No matching distribution found for moonshine-voice==0.1.0\n";
        assert_eq!(why_of(refused).unwrap(), "Failed to establish a new connection: [Errno 111] Connection refused");
        let timeout = "WARNING: Retrying (Retry(total=4)) after connection broken by 'ReadTimeoutError(\"HTTPSConnectionPool(host='x', port=443): \
            Read timed out. (read timeout=15)\")': /simple/moonshine-voice/";
        assert!(why_of(timeout).unwrap().contains("Read timed out"), "{:?}", why_of(timeout));
        let none =
            "ERROR: Could not find a version that satisfies the requirement\nERROR: No matching distribution found for x==1\n";
        assert_eq!(why_of(none).unwrap(), "No matching distribution found for x==1");
        assert_eq!(why_of("Traceback:\n  OSError: no\n\n").unwrap(), "OSError: no");
        assert_eq!(why_of(""), None);
    }

    #[test]
    fn no_credentials_of_an_index_are_shown() {
        let says = "ERROR: 401 Client Error: Unauthorized for url: https://anna:hunter2@index.example/simple/x/?token=hunter2 (see https://h/p@q)";
        assert_eq!(
            why_of(says).unwrap(),
            "401 Client Error: Unauthorized for url: https://index.example/simple/x/ (see https://h/p@q)"
        );
        let proxy = "ERROR: Cannot connect to proxy http://u:hunter2@proxy:3128";
        assert_eq!(why_of(proxy).unwrap(), "Cannot connect to proxy http://proxy:3128");
    }

    #[test]
    fn a_reason_is_short_and_one_line() {
        let long = why_of(&format!("ERROR: {}\x1b[2J", "x".repeat(9_000))).unwrap();
        assert_eq!(long.chars().count(), SHOWN_CHARS);
        assert_eq!(why_of("ERROR: a\x1b[2Jb\r\n").unwrap(), "a [2Jb");
    }
}
