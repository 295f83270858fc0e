//! The speech service in a process of its own.

use std::path::Path;

use serde_json::Value;

use crate::{child::Program, http, script};

/// A running `pulse-bridge emulate`.
pub(crate) struct Service {
    _program: Program,
    /// Where it streams.
    pub(crate) url: String,
    address: String,
}

impl Service {
    /// One that hears the recording.
    pub(crate) async fn start(folder: &Path) -> Self {
        let recording = folder.join("recording");
        script::write(&recording);
        let script = recording.display().to_string();
        let arguments = ["emulate", "--listen", "127.0.0.1:0", "--json", "--script", &script];
        let mut program = Program::start(&arguments, &[], &folder.join("service.log"));
        let line = program.first_line().await.expect("the speech service starts");
        let ready: Value = serde_json::from_str(&line).unwrap();
        let url = ready["ready"].as_str().expect("it says where").to_owned();
        let address = url.split('/').nth(2).expect("an address with a host").to_owned();
        Self { _program: program, url, address }
    }

    /// Its log so far.
    pub(crate) async fn log(&self) -> String {
        http::get(&self.address, "/emulate/log").await.expect("the speech service answers")
    }
}
