//! Why the engine could not be installed.

use std::{io, path::Path, path::PathBuf};

use super::Missing;
use crate::engine::wheels::{LEAST_GLIBC, Wheel, megabytes};

/// Shown of a SHA-256, in digits.
const SHOWN_DIGITS: usize = 12;

/// Why not: one line for people that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// No wheel is made for this machine.
    #[error(
        "the built-in speech engine runs on Linux on x86-64 and aarch64, not on {0}; use a speech service (SMALLEST_API_KEY or upstream.url)"
    )]
    Platform(String),
    /// The C library is too old.
    #[error(
        "the built-in speech engine needs glibc {}.{} or newer, and this machine has {}.{}; use a newer system, or a speech service \
         (SMALLEST_API_KEY or upstream.url)",
        LEAST_GLIBC.0, LEAST_GLIBC.1, .0.0, .0.1
    )]
    Glibc((u32, u32)),
    /// Nothing to fetch with.
    #[error("the speech engine is not here yet, and there is no pip here to fetch it; apt-get install python3-pip, or {}", by_hand(.0))]
    NoPip(Vec<Wheel>),
    /// It was tried.
    #[error("pip did not fetch {} {}: {why}; try again, or {}", .wheel.package, .wheel.version, by_hand(&[**.wheel]))]
    Pip {
        /// What it should have fetched.
        wheel: Box<Wheel>,
        /// What pip says.
        why: String,
    },
    /// What pip brought is something else.
    #[error(
        "{} has SHA-256 {}… and should have {}…; nothing was installed; see which package index pip is set to, or {}",
        .wheel.file, short(.found), short(.wheel.sha256), by_hand(&[**.wheel])
    )]
    Hash {
        /// What it should be.
        wheel: Box<Wheel>,
        /// What it has.
        found: String,
    },
    /// A file given by hand is not one of ours.
    #[error("{} has SHA-256 {}… and is not what is needed here; nothing was installed; give {}", .file.display(), short(.found), wanted(.needed))]
    NotWanted {
        /// The file.
        file: PathBuf,
        /// What it has.
        found: String,
        /// What is needed.
        needed: Vec<Wheel>,
    },
    /// Files were given by hand, but not all.
    #[error("the {model} speech engine also needs {}; give it with one more --wheel", wanted(&[**.wheel]))]
    NotGiven {
        /// For which model.
        model: &'static str,
        /// What is needed.
        wheel: Box<Wheel>,
    },
    /// Looked at beforehand.
    #[error("{} has {} free and the speech engine takes {}; make room, or move data_dir (PULSE_BRIDGE_DATA_DIR)", .folder.display(), megabytes(*.free), megabytes(*.needed))]
    Space {
        /// On which disk.
        folder: PathBuf,
        /// There, in bytes.
        free: u64,
        /// Needed, in bytes.
        needed: u64,
    },
    /// Seen while writing.
    #[error("the disk of {} is full; nothing was installed; make room, or move data_dir (PULSE_BRIDGE_DATA_DIR)", .0.display())]
    Full(PathBuf),
    /// Not ours.
    #[error("this user may not write to {}; run this as the user who owns it, or move data_dir (PULSE_BRIDGE_DATA_DIR)", .0.display())]
    NotWritable(PathBuf),
    /// Anything else with a file.
    #[error("failed to {what} {}: {why}", .path.display())]
    File {
        /// In the infinitive.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// A wheel of the right hash that cannot be unpacked.
    #[error("failed to unpack {}: {why}", .file.display())]
    Wheel {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The weights could not be made ready.
    #[error("failed to convert the accurate model: {0}; the fast one needs no conversion: engine.model = \"fast\"")]
    Convert(String),
    /// It went away again.
    #[error(transparent)]
    Missing(#[from] Missing),
}

impl Failed {
    /// What a file's error means here.
    pub(super) fn of_file(what: &'static str, path: &Path, why: io::Error) -> Self {
        let path = path.to_path_buf();
        match why.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(path),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::NotWritable(path),
            _ => Self::File { what, path, why },
        }
    }
}

/// What else gets it here.
fn by_hand(wheels: &[Wheel]) -> String {
    let options: Vec<String> = wheels.iter().map(|_| "--wheel FILE".to_owned()).collect();
    format!("pulse-bridge engine install {} with {}", options.join(" "), wanted(wheels))
}

fn wanted(wheels: &[Wheel]) -> String {
    wheels.iter().map(|wheel| format!("{} from {}", wheel.file, wheel.page())).collect::<Vec<_>>().join(" and ")
}

fn short(hash: &str) -> &str {
    hash.get(..SHOWN_DIGITS).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::wheels::WHEELS;

    #[test]
    fn every_failure_is_one_line_that_says_what_to_do() {
        let (voice, cpp) = (WHEELS[0], WHEELS[2]);
        let failures = [
            Failed::Platform("macos on aarch64".to_owned()),
            Failed::Glibc((2, 24)),
            Failed::NoPip(vec![voice]),
            Failed::Pip { wheel: Box::new(voice), why: "Network is unreachable".to_owned() },
            Failed::Hash { wheel: Box::new(cpp), found: "00".repeat(32) },
            Failed::NotWanted { file: "x.whl".into(), found: "00".repeat(32), needed: vec![voice, cpp] },
            Failed::NotGiven { model: "accurate", wheel: Box::new(cpp) },
            Failed::Space { folder: "data".into(), free: 1_000_000, needed: 180_000_000 },
            Failed::of_file("write", Path::new("data/x"), io::ErrorKind::StorageFull.into()),
            Failed::of_file("write", Path::new("data/x"), io::ErrorKind::PermissionDenied.into()),
            Failed::of_file("write", Path::new("data/x"), io::ErrorKind::ReadOnlyFilesystem.into()),
            Failed::of_file("write", Path::new("data/x"), io::ErrorKind::NotADirectory.into()),
        ];
        insta::assert_snapshot!(failures.map(|failed| failed.to_string()).join("\n"), @r"
        the built-in speech engine runs on Linux on x86-64 and aarch64, not on macos on aarch64; use a speech service (SMALLEST_API_KEY or upstream.url)
        the built-in speech engine needs glibc 2.27 or newer, and this machine has 2.24; use a newer system, or a speech service (SMALLEST_API_KEY or upstream.url)
        the speech engine is not here yet, and there is no pip here to fetch it; apt-get install python3-pip, or pulse-bridge engine install --wheel FILE with moonshine_voice-0.1.0-py3-none-manylinux_2_34_x86_64.whl from https://pypi.org/project/moonshine-voice/0.1.0/#files
        pip did not fetch moonshine-voice 0.1.0: Network is unreachable; try again, or pulse-bridge engine install --wheel FILE with moonshine_voice-0.1.0-py3-none-manylinux_2_34_x86_64.whl from https://pypi.org/project/moonshine-voice/0.1.0/#files
        moonshine_cpp-0.1.4-py3-none-manylinux2014_x86_64.whl has SHA-256 000000000000… and should have f7afc662bdd3…; nothing was installed; see which package index pip is set to, or pulse-bridge engine install --wheel FILE with moonshine_cpp-0.1.4-py3-none-manylinux2014_x86_64.whl from https://pypi.org/project/moonshine-cpp/0.1.4/#files
        x.whl has SHA-256 000000000000… and is not what is needed here; nothing was installed; give moonshine_voice-0.1.0-py3-none-manylinux_2_34_x86_64.whl from https://pypi.org/project/moonshine-voice/0.1.0/#files and moonshine_cpp-0.1.4-py3-none-manylinux2014_x86_64.whl from https://pypi.org/project/moonshine-cpp/0.1.4/#files
        the accurate speech engine also needs moonshine_cpp-0.1.4-py3-none-manylinux2014_x86_64.whl from https://pypi.org/project/moonshine-cpp/0.1.4/#files; give it with one more --wheel
        data has 1 MB free and the speech engine takes 180 MB; make room, or move data_dir (PULSE_BRIDGE_DATA_DIR)
        the disk of data/x is full; nothing was installed; make room, or move data_dir (PULSE_BRIDGE_DATA_DIR)
        this user may not write to data/x; run this as the user who owns it, or move data_dir (PULSE_BRIDGE_DATA_DIR)
        this user may not write to data/x; run this as the user who owns it, or move data_dir (PULSE_BRIDGE_DATA_DIR)
        failed to write data/x: not a directory
        ");
    }
}
