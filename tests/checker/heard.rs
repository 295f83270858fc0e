//! The emulator's log: what the speech service said on each connection, by call and track.

use serde_json::Value;

/// One connection of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) call: String,
    pub(crate) track: String,
    /// The words of its finals, in the order in which they were said.
    pub(crate) words: Vec<String>,
}

/// Reads the log. A request that names no call (the batch endpoint's do not) makes the log useless, because nobody could say whose
/// words it says.
pub(crate) fn parse(log: &str) -> Result<Vec<Connection>, String> {
    let log: Value = serde_json::from_str(log).map_err(|why| why.to_string())?;
    let connections = log["connections"].as_array().ok_or("has no `connections`")?;
    connections.iter().filter(|connection| !said(connection).is_empty()).map(of_json).collect()
}

fn of_json(connection: &Value) -> Result<Connection, String> {
    let query = connection["query"].as_array().ok_or("a connection has no `query`")?;
    let name = query.iter().find(|pair| pair[0] == "external_session_id").and_then(|pair| pair[1].as_str());
    let (call, track) = name.and_then(|name| name.rsplit_once('.')).ok_or("a connection said words and names no call")?;
    Ok(Connection { call: call.to_owned(), track: track.to_owned(), words: said(connection) })
}

fn said(connection: &Value) -> Vec<String> {
    let finals = connection["finals"].as_array().map_or(&[][..], Vec::as_slice);
    finals.iter().filter_map(Value::as_str).flat_map(str::split_whitespace).map(str::to_owned).collect()
}
