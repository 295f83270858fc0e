//! What the separate checker says of a run.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::bridge::SECRET;

/// Its report, and whether it found no damage.
pub(crate) fn of(heard: &Path, received: &Path, calls: &str) -> (Value, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_checker"))
        .arg("--heard")
        .arg(heard)
        .arg("--received")
        .arg(received)
        .args(["--secret", SECRET, "--calls", calls])
        .output()
        .unwrap();
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "the checker failed: {}", String::from_utf8_lossy(&output.stderr));
    (serde_json::from_slice(&output.stdout).expect("the checker prints JSON"), code == Some(0))
}

#[test]
fn the_checker_ends_with_1_where_there_is_damage_and_with_2_where_there_is_nothing_to_check() {
    let folder = crate::child::folder("verdict");
    std::fs::create_dir_all(&folder).unwrap();
    let (heard, received) = (folder.join("heard.json"), folder.join("received.jsonl"));
    let log = r#"{"connections":[{"query":[["external_session_id","CA1.inbound"]],"finals":["hello"]}]}"#;
    std::fs::write(&heard, log).unwrap();
    std::fs::write(&received, "").unwrap();
    let (report, passed) = of(&heard, &received, "CA");
    assert_eq!((passed, &report["lost"], &report["completed"]), (false, &1.into(), &1.into()), "{report:#}");
    let (report, passed) = of(&heard, &received, "CB");
    assert!(passed, "{report:#}");
    let refused = Command::new(env!("CARGO_BIN_EXE_checker"))
        .args(["--heard", "/nowhere", "--received", "/nowhere", "--secret", SECRET])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    std::fs::remove_dir_all(folder).unwrap();
}
