//! `pulse-bridge engine` from outside: what is there, and each way in which it cannot be had. Nothing here asks the network.

mod program;

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use program::{one_line, stderr, stdout};

#[test]
fn status_says_what_is_missing_and_exits_1() {
    let place = Place::new("status");
    for arguments in [&["engine"][..], &["engine", "status"]] {
        let status = place.run(arguments, "/nowhere");
        assert_eq!((code(&status), stderr(&status)), (1, String::new()));
        let text = stdout(&status);
        let first = "fast speech engine: not ready, runtime is missing; get it with: pulse-bridge engine install --model fast\n";
        assert!(text.starts_with(first), "{text}");
        assert_eq!(text.matches(" missing ").count(), 3, "{text}");
    }
    let status = place.run(&["engine", "status", "--json"], "/nowhere");
    assert_eq!(code(&status), 1);
    let status: serde_json::Value = serde_json::from_str(&stdout(&status)).expect("one document");
    assert_eq!((&status["model"], &status["state"]), (&"fast".into(), &"incomplete".into()));
    assert_eq!(status["parts"].as_array().map(Vec::len), Some(3));
}

#[test]
fn the_model_and_the_folder_are_those_of_the_settings() {
    let place = Place::new("settings");
    let file = place.0.join("other.toml");
    std::fs::write(&file, "data_dir = \"elsewhere\"\n[engine]\nmodel = \"accurate\"\n").unwrap();
    let status = place.run(&["engine", "--config", "other.toml", "--json"], "/nowhere");
    let status: serde_json::Value = serde_json::from_str(&stdout(&status)).expect("one document");
    assert_eq!(status["model"], "accurate");
    assert_eq!(status["folder"], place.0.join("elsewhere/engine").to_str().unwrap());
}

#[test]
fn without_pip_it_says_how_to_get_one_or_the_file_by_hand() {
    let place = Place::new("no-pip");
    let failed = place.run(&["engine", "install"], "/nowhere");
    assert_eq!(code(&failed), 1);
    let line = one_line(&failed);
    assert!(
        line.contains(
            "there is no pip here to fetch it; apt-get install python3-pip, or pulse-bridge engine install --wheel FILE"
        )
    );
    assert!(line.contains("https://pypi.org/project/moonshine-voice/0.1.0/#files"), "{line}");
    let failed = place.run(&["engine", "install", "--json"], "/nowhere");
    let error: serde_json::Value = serde_json::from_str(&one_line(&failed)).expect("one object");
    assert_eq!(error["exit_code"], 1);
}

#[test]
fn a_pip_that_fails_is_quoted_without_its_secrets() {
    let place = Place::new("pip-fails");
    let path = place.pip("echo 'ERROR: 401 for url: https://anna:hunter2@index.example/simple' >&2; exit 1");
    let failed = place.run(&["engine", "install"], &path);
    assert_eq!(code(&failed), 1);
    let text = stderr(&failed);
    let (first, last) = text.trim_end().split_once('\n').expect("two lines");
    assert_eq!(first, "fetching the speech engine, 56 MB, from the Python package index with this machine's pip, once");
    assert!(
        last.starts_with(
            "error: pip did not fetch moonshine-voice 0.1.0: 401 for url: https://index.example/simple; try again, or"
        )
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_file_that_is_another_is_never_unpacked() {
    let place = Place::new("other-file");
    let path = place.pip("for word; do [ \"$last\" = --dest ] && echo other > \"$word/x.whl\"; last=$word; done");
    let failed = place.run(&["engine", "install"], &path);
    assert_eq!(code(&failed), 1);
    assert!(stderr(&failed).contains("and should have 0f833deb43ba…; nothing was installed"), "{}", stderr(&failed));
    let file = place.0.join("given.whl");
    std::fs::write(&file, "other").unwrap();
    let failed = place.run(&["engine", "install", "--wheel", "given.whl"], "/nowhere");
    assert_eq!(code(&failed), 1);
    assert!(
        one_line(&failed).contains("given.whl has SHA-256 d9298a10d1b0… and is not what is needed here"),
        "{}",
        stderr(&failed)
    );
    let left: Vec<_> = std::fs::read_dir(place.0.join("data/engine")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[test]
fn what_cannot_be_used_exits_2() {
    let place = Place::new("usage");
    let failed = place.run(&["engine", "install", "--wheel", "none.whl"], "/nowhere");
    assert_eq!((code(&failed), one_line(&failed).contains("cannot read none.whl")), (2, true));
    assert_eq!(code(&place.run(&["engine", "install", "--model", "large"], "/nowhere")), 2);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let place = Place::new("no-folder");
    std::fs::write(place.0.join("data"), "").unwrap();
    let failed = place.run(&["engine", "install"], "/nowhere");
    assert_eq!(code(&failed), 1);
    assert!(one_line(&failed).contains("data/engine: Not a directory"), "{}", stderr(&failed));
}

/// An empty folder to run in.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("engine-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("the target folder can be written");
        Self(folder)
    }

    /// A PATH on which `pip3` is this script; shells and tools are there as ever, Python is not.
    fn pip(&self, script: &str) -> String {
        let folder = self.0.join("bin");
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).unwrap();
            std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        write("python3", "#!/bin/sh\nexit 1\n");
        write("pip3", &format!("#!/bin/sh\n[ \"$1\" = --version ] && exit 0\n{script}\n"));
        folder.to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str], path: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pulse-bridge"));
        command.args(arguments).current_dir(&self.0).env_clear().env("PATH", path).output().expect("the program starts")
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("the program ends by itself")
}
