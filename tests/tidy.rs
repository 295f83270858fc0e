//! The shape of the code as a test: what the layout promises a reader is held here, not remembered.
//!
//! Promises: each rule is a pure function from a file's path and text to complaints, so that it is itself tested on a small bad
//! file at the end; the tests in the middle run every rule over the tree.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file longer than this hides something that wants a file of its own.
const MAX_LINES: usize = 400;
/// Share of comment lines over the whole of `src`, in percent: less explains nothing, more repeats the code.
const COMMENT_SHARE: std::ops::RangeInclusive<usize> = 10..=25;
/// What only a shell may say. A word that ends in `::` is a path's beginning, however it was imported.
const IMPURE: [&str; 10] =
    ["tokio", "async", "await", "axum", "hyper", "std::fs", "fs::", "Instant::now", "SystemTime", "getrandom"];
/// Files and folders under `src/` that may, with all below them; beside them every `driver.rs` and what lies in a `driver/` folder.
const SHELLS: [&str; 15] = [
    "main",
    "lib",
    "cli",
    "tools",
    "serve",
    "accept",
    "admission",
    "clock",
    "keys",
    "registry",
    "api",
    "net",
    "demo",
    "doctor/ready",
    "fixture",
];
/// Who may print: commands whose data goes to stdout.
const PRINTERS: [&str; 7] = ["main.rs", "tools.rs", "demo", "replay", "receive", "emulate", "cli"];
/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 10] = ["util", "utils", "helper", "helpers", "common", "type", "types", "manager", "managers", "misc"];
/// Marks of unfinished work; split so that this file does not complain about itself.
const UNFINISHED: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("todo", "!("),
    concat!("dbg", "!("),
    concat!("unimplemented", "!("),
];
/// What may lie at the top, beside what git ignores.
const TOP: [&str; 20] = [
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "tests",
    "fixtures",
    "benches",
    "docs",
    ".ci",
    "docker-compose.yml",
    "Dockerfile",
    "README.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "examples",
    ".gitignore",
    ".dockerignore",
    ".github",
    ".cargo",
    "rustfmt.toml",
    ".gitattributes",
];
/// Headings of Keep a Changelog 1.1.0.
const CHANGES: [&str; 6] = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];

#[test]
fn every_file_keeps_the_rules() {
    let mut complaints = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for (path, text) in files(&root().join(folder), "rs") {
            complaints.extend(check(&format!("{folder}/{path}"), &text));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_stage_has_one_driver() {
    let mut drivers: Vec<String> = files(&root().join("src"), "rs").into_iter().map(|(path, _)| path).collect();
    drivers.retain(|path| path.ends_with("driver.rs"));
    let stage = |path: &String| path.split('/').next().unwrap_or_default().to_owned();
    let stages: std::collections::BTreeSet<String> = drivers.iter().map(stage).collect();
    assert_eq!(stages.len(), drivers.len(), "two drivers in one stage: {drivers:?}");
}

#[test]
fn comments_are_neither_missing_nor_everywhere() {
    let (mut comments, mut all) = (0, 0);
    for (path, text) in files(&root().join("src"), "rs") {
        if !is_test(&path) {
            let code = before_tests(&text);
            comments += code.lines().filter(|line| line.trim_start().starts_with("//")).count();
            all += code.lines().filter(|line| !line.trim().is_empty()).count();
        }
    }
    let share = comments * 100 / all.max(1);
    assert!(COMMENT_SHARE.contains(&share), "{share} % of the lines are comments");
}

#[test]
fn nothing_else_lies_at_the_top() {
    let ignored = fs::read_to_string(root().join(".gitignore")).expect("there is one");
    let ignored: Vec<&str> = ignored.lines().map(|line| line.trim_matches('/')).chain([".git"]).collect();
    for entry in fs::read_dir(root()).expect("the root can be listed") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let is_ignored =
            ignored.iter().any(|rule| *rule == name || rule.strip_prefix('*').is_some_and(|end| name.ends_with(end)));
        assert!(is_ignored || TOP.contains(&name.as_str()), "{name} does not belong at the top");
    }
}

#[test]
fn the_changelog_has_its_headings() {
    let text = fs::read_to_string(root().join("docs/changelog.md")).expect("docs/changelog.md is there");
    assert_eq!(changelog(&text), Vec::<String>::new());
}

#[test]
fn clippy_holds_the_length_of_functions_and_the_clocks() {
    let settings = fs::read_to_string(root().join(".ci/clippy.toml")).expect(".ci/clippy.toml is there");
    assert!(settings.contains("too-many-lines-threshold = 70"));
    for method in [
        "std::time::Instant::now",
        "std::time::SystemTime::now",
        "tokio::time::Instant::now",
        "getrandom::fill",
        "std::thread::sleep",
    ] {
        assert!(settings.contains(&format!("\"{method}\"")), "{method}");
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest is there");
    for lint in ["too_many_lines = ", "allow_attributes = ", "unsafe_code = \"deny\"", "missing_docs = "] {
        assert!(manifest.contains(lint), "{lint}");
    }
    // The manifest's level lets a test count allocations; the program itself has no way around it.
    for shipped in ["src/lib.rs", "src/main.rs"] {
        let text = fs::read_to_string(root().join(shipped)).expect("it is there");
        assert!(text.contains("#![forbid(unsafe_code)]"), "{shipped}");
    }
}

/// Every complaint about one file.
fn check(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut complain = |line: usize, what: &str| complaints.push(format!("{path}:{line}: {what}"));
    let length = text.lines().count();
    if length > MAX_LINES {
        complain(length, &format!("{length} lines; at most {MAX_LINES}"));
    }
    let is_inner_test = is_test(path) && path.starts_with("src/");
    if !is_inner_test && !text.starts_with("//!") {
        complain(1, "no module docs on top");
    }
    if path.split('/').any(|part| EMPTY_NAMES.contains(&part.trim_end_matches(".rs"))) {
        complain(1, "a name that says nothing");
    }
    for (at, line) in text.lines().enumerate() {
        for mark in UNFINISHED.iter().filter(|mark| line.contains(**mark)) {
            complain(at + 1, &format!("unfinished: {mark}"));
        }
    }
    let code = code_of(text);
    let tests_from = code_of(before_tests(text)).lines().count();
    let is_shell = is_shell(path);
    let is_printer = path.strip_prefix("src/").is_none_or(|path| PRINTERS.iter().any(|printer| path.starts_with(printer)));
    for (at, line) in code.lines().enumerate() {
        let is_product = !is_test(path) && at < tests_from;
        for word in IMPURE.iter().filter(|word| is_product && !is_shell && has_word(line, word)) {
            complain(at + 1, &format!("{word} in a pure file; it belongs into driver.rs"));
        }
        if ["[allow(", ", allow("].iter().any(|lint| line.contains(lint)) {
            complain(at + 1, "allow; write #[expect(lint, reason = \"…\")]");
        }
        if is_product && line.contains(".unwrap()") {
            complain(at + 1, "unwrap outside tests; expect names the invariant");
        }
        if is_product && !is_printer && ["print!(", "println!(", "eprint!(", "eprintln!("].iter().any(|call| line.contains(call))
        {
            complain(at + 1, "prints outside a command");
        }
        if let Some(name) =
            declared(line).filter(|name| ["Manager", "Helper", "Helpers", "Util", "Utils"].iter().any(|end| name.ends_with(end)))
        {
            complain(at + 1, &format!("{name} says nothing"));
        }
        if ["Debug", "Display", "Serialize"].iter().any(|shown| has_word(line, shown)) && line.contains("for Unredacted") {
            complain(at + 1, "Unredacted must not be shown");
        }
    }
    let shown = derives(&code, "Unredacted").filter(|name| ["Debug", "Serialize"].contains(name));
    complaints.extend(shown.map(|name| format!("{path}: Unredacted derives {name}")));
    complaints
}

fn changelog(text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("# Changelog\n") || !text.contains("\n## [Unreleased]\n") {
        complaints.push("no \"# Changelog\" or no \"## [Unreleased]\"".to_owned());
    }
    let headings = text.lines().filter_map(|line| line.strip_prefix("### "));
    complaints.extend(headings.filter(|heading| !CHANGES.contains(heading)).map(|heading| format!("unknown heading {heading}")));
    complaints
}

/// Whether a file may do input and output, time and chance by itself.
fn is_shell(path: &str) -> bool {
    let inner = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    let by_name =
        SHELLS.iter().any(|shell| inner.strip_prefix(shell).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    by_name || path.ends_with("/driver.rs") || path.contains("/driver/")
}

fn is_test(path: &str) -> bool {
    !path.starts_with("src/") && path.contains('/') && (path.starts_with("tests/") || path.starts_with("benches/"))
        || path.contains("/tests/")
        || path.ends_with("tests.rs")
}

/// Tests come last in a file; what stands before them.
fn before_tests(text: &str) -> &str {
    let end = ["#[cfg(test)]\nmod ", "#[cfg(test)]\npub(crate) mod ", "#[cfg(test)]\npub(super) mod "]
        .iter()
        .filter_map(|mark| text.find(mark))
        .min();
    end.map_or(text, |end| &text[..end])
}

/// The name that a line declares, if it does.
fn declared(line: &str) -> Option<&str> {
    let words = ["struct ", "enum ", "trait ", "mod "];
    let rest = words
        .iter()
        .find_map(|word| line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(crate) ").strip_prefix(word))?;
    rest.split(|sign: char| !sign.is_alphanumeric() && sign != '_').next()
}

/// What `struct name` or `enum name` derives.
fn derives<'a>(code: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let lines: Vec<&str> = code.lines().collect();
    let at = lines.iter().position(|line| declared(line) == Some(name) && !line.contains("mod "));
    let above = at.map_or(Vec::new(), |at| {
        lines[..at].iter().rev().take_while(|line| line.trim_start().starts_with("#[")).copied().collect()
    });
    let lists = above.into_iter().filter_map(|line| line.trim().strip_prefix("#[derive(")?.strip_suffix(")]"));
    lists.flat_map(|list| list.split(',').map(str::trim))
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |sign: Option<char>| sign.is_some_and(|sign| sign.is_alphanumeric() || sign == '_');
    let ends = |at: usize| word.ends_with("::") || !is_part(line[at + word.len()..].chars().next());
    line.match_indices(word).any(|(at, _)| !is_part(line[..at].chars().next_back()) && ends(at))
}

/// The text with comments and the insides of strings blanked, lines kept.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(sign) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) =
            raw_string(rest).filter(|_| !code.ends_with(|before: char| before.is_alphanumeric() || before == '_'))
        {
            let end = format!("\"{hashes}");
            let inside = hashes.len() + 2;
            rest[inside..].find(&end).map_or(rest.len(), |at| inside + at + end.len())
        } else if sign == '"' {
            string_end(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest[1..].find('\'').map_or(1, |at| if at < 2 { 3 } else { at + 2 })
        } else {
            code.push(sign);
            rest = &rest[sign.len_utf8()..];
            continue;
        };
        code.extend(rest[..length].chars().filter(|sign| *sign == '\n'));
        rest = &rest[length..];
    }
    code
}

/// The hashes of a raw string that begins here.
fn raw_string(rest: &str) -> Option<&str> {
    let after = rest.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then(|| &after[..hashes])
}

/// Where the string that begins here ends, its closing quote included.
fn string_end(rest: &str) -> usize {
    let mut is_escaped = false;
    for (at, sign) in rest.char_indices().skip(1) {
        match sign {
            '"' if !is_escaped => return at + 1,
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    rest.len()
}

#[test]
fn each_rule_can_fail() {
    let cases = [
        ("src/call/mod.rs", "use tokio::sync::mpsc;", "tokio in a pure file"),
        ("src/call/mod.rs", "async fn run() {}", "async in a pure file"),
        ("src/call/mod.rs", "let now = Instant::now();", "Instant::now in a pure file"),
        ("src/call/mod.rs", "use std::fs;", "std::fs in a pure file"),
        ("src/call/mod.rs", "use std::{fs, io};\nfn a() { fs::read(x); }", "fs:: in a pure file"),
        ("src/call/mod.rs", "use std::{\n    fs::File,\n    io,\n};", "fs:: in a pure file"),
        ("src/call/mod.rs", "let mut key = [0; 8]; getrandom::fill(&mut key);", "getrandom in a pure file"),
        ("src/call/mod.rs", concat!("#![", "allow(dead_code)]"), "allow;"),
        ("src/call/mod.rs", "#[cfg_attr(test, allow(dead_code))]", "allow;"),
        ("src/call/mod.rs", "let x = y.unwrap();", "unwrap outside tests"),
        ("src/call/mod.rs", "println!(\"x\");", "prints outside a command"),
        ("src/call/driver.rs", "eprintln!(\"x\");", "prints outside a command"),
        ("src/call/mod.rs", "pub struct CallManager;", "CallManager says nothing"),
        ("src/call/utils.rs", "", "a name that says nothing"),
        ("src/call/mod.rs", concat!("// TO", "DO: later"), "unfinished"),
        ("src/pii.rs", "#[derive(Clone, Debug)]\npub struct Unredacted(String);", "Unredacted derives Debug"),
        ("src/pii.rs", "impl fmt::Display for Unredacted {", "Unredacted must not be shown"),
    ];
    for (path, line, expected) in cases {
        let complaints = check(path, &format!("//! Docs.\n{line}\n"));
        assert!(complaints.iter().any(|complaint| complaint.contains(expected)), "{line}: {complaints:?}");
    }
    assert!(check("src/a.rs", "fn a() {}\n")[0].contains("no module docs"));
    assert!(check("src/a.rs", &"//! Docs.\n".repeat(MAX_LINES + 1))[0].contains("at most 400"));
    assert_eq!(changelog("# Changelog\n\n## [Unreleased]\n\n### New\n"), ["unknown heading New"]);
    assert_eq!(changelog("# Changes\n").len(), 1);
}

#[test]
fn what_is_allowed_passes() {
    let fine = [
        ("src/call/driver.rs", "pub async fn run() { tokio::spawn(x).await; }"),
        ("src/upstream/driver/dial.rs", "use tokio::net::TcpStream;"),
        ("src/net.rs", "use tokio::net::TcpStream;"),
        ("src/call/mod.rs", "let offs = offs::next();"),
        ("src/call/mod.rs", "// tokio is spoken of here\nlet word = \"async\"; let asynchronous = r#\"tokio \" x\"#;"),
        (
            "src/call/mod.rs",
            "fn a(now: Instant) {}\n#[cfg(test)]\nmod tests {\n    fn b() { x.unwrap(); std::fs::read(\"x\"); }\n}",
        ),
        ("src/call/tests.rs", "fn b() { x.unwrap(); println!(\"{}\", 1); }"),
        ("src/main.rs", "println!(\"x\");"),
        ("src/pii.rs", "#[derive(Clone)]\npub struct Unredacted(String);\n#[derive(Debug)]\npub struct Redacted;"),
    ];
    for (path, text) in fine {
        assert_eq!(check(path, &format!("//! Docs.\n{text}\n")), Vec::<String>::new());
    }
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// Every file below with that ending, its path from `folder`, and its text.
fn files(folder: &Path, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if entry.is_dir() {
                open.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == ending) {
                let path = entry.strip_prefix(folder).expect("it lies below").to_string_lossy().into_owned();
                found.push((path, fs::read_to_string(&entry).expect("a source file is text")));
            }
        }
    }
    found
}
