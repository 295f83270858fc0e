//! A bridge in a process of its own.

use std::{
    io::{BufRead, BufReader},
    process::Child,
};

use crate::stage::PATIENCE;

/// The address that its start line names, once it has come.
pub(crate) async fn address_of(child: &mut Child) -> String {
    let stdout = child.stdout.take().unwrap();
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map(|_| line)
    });
    let line = tokio::time::timeout(PATIENCE, line).await.expect("a start line comes in time").unwrap().unwrap();
    line.split_whitespace().find_map(|word| word.strip_prefix("http://")).expect("the line names the address").to_owned()
}
