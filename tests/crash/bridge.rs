//! The bridge under test: the real program on a data folder that outlives it.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf};

use serde_json::Value;

use crate::{child::Program, http};

/// The account token that phones sign with.
pub(crate) const AUTH_TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The secret that events are signed with.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// How a bridge is started, as often as it takes.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    settings: Vec<(String, String)>,
}

impl Place {
    /// Its data and its log go below `folder`.
    pub(crate) fn new(folder: PathBuf, speech: &str, receiver: &str, further: &[(&str, &str)]) -> Self {
        let data = folder.join("data").display().to_string();
        let usual = [
            ("PULSE_BRIDGE_DATA_DIR", data.as_str()),
            ("PULSE_BRIDGE_LISTEN", "127.0.0.1:0"),
            ("PULSE_BRIDGE_UPSTREAM_URL", speech),
            ("PULSE_BRIDGE_UPSTREAM_REPLAY_SPEED", "8"),
            ("SMALLEST_API_KEY", "sk_test"),
            ("PULSE_BRIDGE_WEBHOOK_URL", receiver),
            ("PULSE_BRIDGE_WEBHOOK_SECRET", SECRET),
            ("TWILIO_AUTH_TOKEN", AUTH_TOKEN),
        ];
        let settings = usual.iter().chain(further).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { folder, settings }
    }

    /// Starts the program, armed as `FAILPOINT` says, and does not wait for it.
    pub(crate) fn spawn(&self, failpoint: Option<&str>) -> Program {
        let mut settings = self.settings.clone();
        settings.extend(failpoint.map(|failpoint| ("FAILPOINT".to_owned(), failpoint.to_owned())));
        Program::start(&["serve"], &settings, &self.folder.join("bridge.log"))
    }

    /// Starts the program and waits until it is ready.
    pub(crate) async fn start(&self, failpoint: Option<&str>) -> (Program, SocketAddr) {
        let mut program = self.spawn(failpoint);
        let address = ready(&mut program).await.unwrap_or_else(|| panic!("the bridge does not start: {}", self.folder.display()));
        (program, address)
    }

    /// Whether the bridge has ever said that it met a bug of its own.
    pub(crate) fn has_panicked(&self) -> bool {
        std::fs::read_to_string(self.folder.join("bridge.log")).unwrap_or_default().contains("the program panicked")
    }
}

/// The address of its start line; `None` if it ends before.
pub(crate) async fn ready(program: &mut Program) -> Option<SocketAddr> {
    let line = program.first_line().await?;
    line.split_whitespace().find_map(|word| word.strip_prefix("http://")).map(|address| address.parse().unwrap())
}

/// Every call that a bridge knows of.
pub(crate) async fn calls(address: SocketAddr) -> BTreeSet<String> {
    let (mut calls, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = http::get(&address.to_string(), &format!("/v1/calls?limit=100{cursor}")).await.expect("the bridge answers");
        let page: Value = serde_json::from_str(&page).unwrap();
        let items = page["items"].as_array().expect("a page has items");
        calls.extend(items.iter().filter_map(|call| call["call_sid"].as_str()).map(str::to_owned));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return calls,
        }
    }
}
