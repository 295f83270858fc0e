//! The receiver's log: every POST that came, as it came, with what was answered.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::Value;

/// One POST.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    /// When it came, in milliseconds since 1970-01-01 UTC by the receiver's clock.
    pub(crate) at_ms: u64,
    /// The header `webhook-id`; empty where there was none, as with the next two.
    pub(crate) id: String,
    pub(crate) timestamp: String,
    pub(crate) signature: String,
    /// The status answered.
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// The body as JSON; null if it is none.
    pub(crate) event: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    at_ms: u64,
    id: String,
    timestamp: String,
    signature: String,
    status: u16,
    /// Base64.
    body: String,
}

impl Post {
    pub(crate) const fn is_accepted(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    pub(crate) fn kind(&self) -> &str {
        self.event["type"].as_str().unwrap_or_default()
    }

    /// A text of the event's data; empty where it has none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.event["data"][name].as_str().unwrap_or_default()
    }

    /// The event's number; none for one that is told once and not stored.
    pub(crate) fn seq(&self) -> Option<u64> {
        self.event["data"]["seq"].as_u64()
    }
}

/// Reads the log, one JSON object a line.
pub(crate) fn parse(log: &str) -> Result<Vec<Post>, String> {
    let read = |(at, line): (usize, &str)| post(line).map_err(|why| format!("line {}: {why}", at + 1));
    log.lines().enumerate().map(read).collect()
}

fn post(line: &str) -> Result<Post, String> {
    let Line { at_ms, id, timestamp, signature, status, body } = serde_json::from_str(line).map_err(|why| why.to_string())?;
    let body = BASE64_STANDARD.decode(body).map_err(|why| why.to_string())?;
    let event = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Post { at_ms, id, timestamp, signature, status, body, event })
}
