//! Installations of small wheels made here, under terms that pin these.

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    sync::{Mutex, mpsc},
};

use zip::{ZipWriter, write::SimpleFileOptions};

use super::*;
use crate::{
    engine::wheels::{Contents, LICENCE, WHEELS, Wheel},
    hex::hex,
    store::driver::tests::Folder,
};

const CONTENTS: &[Contents] = &[
    Contents { part: Part::Runtime, files: &[("x.libs/libonnxruntime-1.so.1", "libonnxruntime.so")], bytes: 7 },
    Contents {
        part: Part::Fast,
        files: &[
            ("x/e.ort", "encoder_model.ort"),
            ("x/d.ort", "decoder_model_merged.ort"),
            ("x/t", "tokenizer.bin"),
            ("x/L", LICENCE),
        ],
        bytes: 20,
    },
];

/// A wheel with the right names in it, and the terms under which it is the one.
struct Bench {
    folder: Folder,
    wheel: PathBuf,
    wheels: [Wheel; 1],
    said: Arc<Mutex<Vec<Progress>>>,
}

impl Bench {
    fn new() -> Self {
        let folder = Folder::new();
        let wheel = folder.0.join("x-1-py3-none-any.whl");
        let mut zip = ZipWriter::new(fs::File::create(&wheel).unwrap());
        for (name, _) in CONTENTS.iter().flat_map(|contents| contents.files).chain([&("../../evil", "")]) {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(format!("what {name} says").as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        let pinned = Wheel {
            package: "x",
            version: "1",
            file: "x-1-py3-none-any.whl",
            platform: "any",
            bytes: fs::metadata(&wheel).unwrap().len(),
            sha256: unpack::hash(&wheel).unwrap().leak(),
            machine: Some("m"),
            contents: CONTENTS,
        };
        Self { folder, wheel, wheels: [pinned], said: Arc::default() }
    }

    fn terms<'a>(&'a self, pips: &'a [&'a [&'a str]]) -> Terms<'a> {
        Terms { wheels: &self.wheels, pips, shared: Path::new("/nowhere"), os: "linux", machine: "m", glibc: || None }
    }

    fn data(&self) -> PathBuf {
        self.folder.0.join("data")
    }

    fn install(&self, terms: &Terms<'_>, given: &[PathBuf]) -> Result<Files, Failed> {
        let said = Arc::clone(&self.said);
        let say: Say = Arc::new(move |progress| said.lock().unwrap().push(progress));
        installation::install(terms, &self.data(), Model::Fast, given, true, &say)
    }

    /// A program in pip's place; it finds the wheel as `$WHEEL` and its folder as `$DEST`.
    fn pip(&self, script: &str) -> &'static str {
        let path = self.folder.0.join("pip");
        let find = "for word; do [ \"$last\" = --dest ] && DEST=$word; last=$word; done";
        let head = format!("#!/bin/sh\n[ \"$1\" = --version ] && exit 0\n{find}\nWHEEL='{}'\n", self.wheel.display());
        fs::write(&path, head + script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string().leak()
    }
}

#[test]
fn a_given_wheel_becomes_two_parts_with_their_licences_and_nothing_else() {
    let bench = Bench::new();
    let terms = bench.terms(&[]);
    let files = bench.install(&terms, std::slice::from_ref(&bench.wheel)).unwrap();
    assert_eq!(fs::read_to_string(&files.encoder).unwrap(), "what x/e.ort says");
    assert_eq!(fs::read_to_string(&files.runtime).unwrap(), "what x.libs/libonnxruntime-1.so.1 says");
    let engine = bench.data().join("engine");
    assert!(fs::read_to_string(engine.join("runtime/LICENSE")).unwrap().contains("Copyright (c) Microsoft Corporation"));
    assert_eq!(fs::read_to_string(engine.join("fast/LICENSE")).unwrap(), "what x/L says");
    let mut names: Vec<_> = fs::read_dir(&engine).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["fast", "lock", "runtime"]);
    assert_eq!(find_by(&terms, &bench.data(), Model::Fast).unwrap(), files);
    assert!(bench.wheel.exists(), "it is not ours to remove");
}

#[test]
fn what_is_there_is_not_fetched_again() {
    let bench = Bench::new();
    let terms = bench.terms(&[]);
    bench.install(&terms, std::slice::from_ref(&bench.wheel)).unwrap();
    bench.said.lock().unwrap().clear();
    bench.install(&terms, &[]).unwrap();
    assert!(bench.said.lock().unwrap().is_empty());
}

#[test]
fn a_file_whose_bytes_have_changed_is_put_in_place_anew() {
    let bench = Bench::new();
    let terms = bench.terms(&[]);
    let files = bench.install(&terms, std::slice::from_ref(&bench.wheel)).unwrap();
    fs::write(&files.tokenizer, "what x/T says").unwrap();
    let engine = bench.data().join("engine");
    let manifest = is_there_by(&terms, &engine, Part::Fast).unwrap();
    assert_eq!(damage(&engine, Part::Fast, &manifest).as_deref(), Some("tokenizer.bin"));
    fs::remove_file(&files.runtime).unwrap();
    let why = find_by(&terms, &bench.data(), Model::Fast).unwrap_err();
    assert_eq!(why.what, "runtime/libonnxruntime.so is not as it was installed");
    bench.install(&terms, std::slice::from_ref(&bench.wheel)).unwrap();
    assert_eq!(fs::read_to_string(&files.tokenizer).unwrap(), "what x/t says");
    assert!(files.runtime.exists());
}

#[test]
fn pip_brings_the_wheel_and_leaves_nothing_behind() {
    let bench = Bench::new();
    let pip = bench.pip("cp \"$WHEEL\" \"$DEST\"\necho \"$@\" > \"$WHEEL.asked\"\necho \"$TMPDIR\" >> \"$WHEEL.asked\"\n");
    bench.install(&bench.terms(&[&["/nowhere/pip"], &[pip]]), &[]).unwrap();
    let asked = fs::read_to_string(bench.wheel.with_extension("whl.asked")).unwrap();
    let unfinished = bench.data().join("engine/unfinished").display().to_string();
    let expected = format!(
        "download --no-deps --only-binary=:all: --no-cache-dir --no-input --disable-pip-version-check --progress-bar off --platform any \
         --dest {unfinished}/wheels x==1\n{unfinished}/pip\n"
    );
    assert_eq!(asked, expected);
    assert!(!Path::new(&unfinished).exists());
    let said = bench.said.lock().unwrap();
    let Some(Progress::Says(first)) = said.first() else { panic!("{said:?}") };
    assert_eq!(first, "fetching the speech engine, 0 MB, from the Python package index with this machine's pip, once");
    let total = bench.wheels[0].bytes;
    assert!(said.contains(&Progress::Fetched { done: total, total }));
}

#[test]
fn what_has_come_is_told_while_it_comes() {
    let bench = Bench::new();
    // It goes on when it has been seen.
    let pip = bench.pip("printf 12345 > \"$TMPDIR/part\"\nread seen < \"$WHEEL.seen\"\ncp \"$WHEEL\" \"$DEST\"\n");
    let seen = bench.wheel.with_extension("whl.seen");
    assert!(std::process::Command::new("mkfifo").arg(&seen).status().unwrap().success());
    let (tell, told) = mpsc::channel();
    let say: Say = Arc::new(move |progress| drop(tell.send(progress)));
    let (pips, names) = ([pip], bench.data());
    std::thread::scope(|scope| {
        let installing = scope.spawn(|| {
            let pips: &[&[&str]] = &[&pips];
            installation::install(&bench.terms(pips), &names, Model::Fast, &[], true, &say)
        });
        let is_part = |progress: &Progress| matches!(progress, Progress::Fetched { done: 5, .. });
        assert!(told.iter().any(|progress| is_part(&progress)));
        fs::write(&seen, "seen\n").unwrap();
        installing.join().unwrap().unwrap();
    });
}

#[test]
fn another_file_than_the_pinned_one_installs_nothing() {
    let bench = Bench::new();
    let pip = bench.pip("echo other > \"$DEST/x-1-py3-none-any.whl\"\n");
    let failed = bench.install(&bench.terms(&[&[pip]]), &[]).unwrap_err().to_string();
    let found = hex(&<sha2::Sha256 as sha2::Digest>::digest(b"other\n"));
    let expected =
        format!("has SHA-256 {}… and should have {}…; nothing was installed", &found[..12], &bench.wheels[0].sha256[..12]);
    assert!(failed.starts_with("x-1-py3-none-any.whl ") && failed.contains(&expected), "{failed}");
    assert!(find_by(&bench.terms(&[]), &bench.data(), Model::Fast).is_err());
    assert!(!bench.data().join("engine/unfinished").exists());
    let other = bench.folder.0.join("other.whl");
    fs::write(&other, "other\n").unwrap();
    let failed = bench.install(&bench.terms(&[]), &[other]).unwrap_err();
    assert!(matches!(failed, Failed::NotWanted { .. }), "{failed}");
}

#[test]
fn a_pip_that_fails_gives_its_reason() {
    let bench = Bench::new();
    let pip = bench.pip("echo 'ERROR: no route to https://anna:hunter2@index.example/simple' >&2\nexit 1\n");
    let failed = bench.install(&bench.terms(&[&[pip]]), &[]).unwrap_err().to_string();
    assert!(failed.starts_with("pip did not fetch x 1: no route to https://index.example/simple; try again, or "), "{failed}");
    let silent = bench.pip("exit 7\n");
    let failed = bench.install(&bench.terms(&[&[silent]]), &[]).unwrap_err().to_string();
    assert!(failed.starts_with("pip did not fetch x 1: it ended with exit status: 7; "), "{failed}");
    let idle = bench.pip("exit 0\n");
    let failed = bench.install(&bench.terms(&[&[idle]]), &[]).unwrap_err().to_string();
    assert!(failed.starts_with("pip did not fetch x 1: it brought no file; "), "{failed}");
}

#[test]
fn without_pip_an_old_system_or_a_machine_without_a_wheel_it_says_so_and_touches_nothing() {
    let bench = Bench::new();
    let none = bench.terms(&[&["/nowhere/python3", "-m", "pip"]]);
    assert!(matches!(bench.install(&none, &[]), Err(Failed::NoPip(wheels)) if wheels == bench.wheels));
    let old = Terms { glibc: || Some((2, 24)), ..bench.terms(&[]) };
    assert!(matches!(bench.install(&old, std::slice::from_ref(&bench.wheel)), Err(Failed::Glibc((2, 24)))));
    let other = Terms { machine: "riscv64", ..bench.terms(&[]) };
    assert!(
        matches!(bench.install(&other, std::slice::from_ref(&bench.wheel)), Err(Failed::Platform(name)) if name == "linux on riscv64")
    );
}

#[test]
fn too_little_space_is_told_before_anything_is_fetched() {
    let mut bench = Bench::new();
    bench.wheels[0].bytes = 1 << 60;
    let terms = bench.terms(&[]);
    assert!(matches!(bench.install(&terms, &[]), Err(Failed::Space { .. })));
    assert!(bench.said.lock().unwrap().is_empty());
}

#[test]
fn of_another_version_counts_as_not_there() {
    let bench = Bench::new();
    bench.install(&bench.terms(&[]), std::slice::from_ref(&bench.wheel)).unwrap();
    let ours = Terms { shared: Path::new("/nowhere"), ..Terms::ours() };
    let why = find_by(&ours, &bench.data(), Model::Fast).unwrap_err();
    assert_eq!(why.what, "runtime is x 1 and not of this version");
    assert!(WHEELS.iter().all(|wheel| wheel.sha256 != bench.wheels[0].sha256));
}

#[test]
fn an_image_may_have_it_for_everybody() {
    let bench = Bench::new();
    bench.install(&bench.terms(&[]), std::slice::from_ref(&bench.wheel)).unwrap();
    let shared = bench.data();
    let terms = Terms { shared: &shared, ..bench.terms(&[]) };
    let found = find_by(&terms, &bench.folder.0.join("own"), Model::Fast).unwrap();
    assert!(found.runtime.starts_with(&shared));
    assert_eq!(
        find_by(&terms, &bench.folder.0.join("own"), Model::Accurate).unwrap_err().folder,
        bench.folder.0.join("own/engine")
    );
}
