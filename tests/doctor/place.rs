//! Where the program runs, and what it says there.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
};

use insta::internals::SettingsBindDropGuard;

use crate::SECRETS;

/// A folder in which the program runs; its data folder is `data` in it.
pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("doctor").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn doctor(&self, env: &[(&str, &str)]) -> Answer {
        self.asked(&["doctor"], env)
    }

    /// Runs the program with these variables alone. Whatever it says, no secret is in it, and a report is all that is said.
    pub(crate) fn asked(&self, arguments: &[&str], env: &[(&str, &str)]) -> Answer {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pulse-bridge"));
        let output = command.args(arguments).current_dir(&self.0).env_clear().envs(env.iter().copied()).output().unwrap();
        let Output { status, stdout, stderr } = output;
        let (text, talk) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert_eq!(talk, "");
        for secret in SECRETS {
            assert!(!text.contains(secret), "{text}");
        }
        Answer { code: status.code().unwrap(), text }
    }

    /// Every file below with its bytes.
    pub(crate) fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.0.clone()];
        while let Some(folder) = open.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                let bytes = if path.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
                open.extend(path.is_dir().then(|| path.clone()));
                found.insert(path, bytes);
            }
        }
        found
    }
}

/// What the program said.
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) text: String,
}

impl Answer {
    /// The lines of a check, each with its advice.
    pub(crate) fn lines_of(&self, name: &str) -> String {
        let mut is_its = false;
        let mut lines = String::new();
        for line in self.text.lines().take_while(|line| !line.is_empty()) {
            is_its = line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')) || is_its && line.starts_with(' ');
            if is_its {
                lines.extend([line, "\n"]);
            }
        }
        lines
    }
}

/// Leaves out of snapshots, as long as it is kept, what differs from run to run and from machine to machine.
pub(crate) fn shown() -> SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    for (pattern, shown) in [
        (r"(127\.0\.0\.1|localhost):\d+/", "$1:PORT/"),
        (r"in \d+ ms", "in N ms"),
        (r"in \d\.\d s", "in N s"),
        (r"0\.\d s (behind|ahead of)", "0.N s behind"),
        (r"\d[\d.]* [GT]B free", "N GB free"),
        (r"SQLite 3[\d.]+", "SQLite 3.N"),
        (r"evt_[0-9A-Z]{26}", "evt_ULID"),
        (r"x{64}", "nowhere"),
        (r"(399|400|401) s behind", "400 s behind"),
    ] {
        settings.add_filter(pattern, shown);
    }
    settings.bind_to_scope()
}
