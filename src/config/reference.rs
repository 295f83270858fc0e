//! The settings page of the documentation, written from the table.

use std::fmt::Write;

use super::table::{ENDPOINT, KEYS, Key, Kind};

const HEAD: &str = "# Settings

<!-- Written from the table in src/config/table.rs; a test holds it in step: BLESS=1 cargo test --lib settings_page -->

A TOML file (`--config FILE`, else `./pulse-bridge.toml` if there), every key overridable from the environment. The environment wins over the
file. An empty variable counts as unset. Every secret may also come from a file: its variable's name + `_FILE`. Unknown keys are errors that
name the nearest known one. Times are a number and a unit: `250 ms`, `60 s`, `5 min`, `4 h`, `30 d`; so
are sizes: `0 B`, `512 KiB`, `64 MiB`, `2 GiB`. A key marked *later* is known, but this
version refuses anything but its default.
";

/// The page, as it stands in `docs/settings.md`.
#[must_use]
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    let mut section = None;
    for key in KEYS {
        let own = key.path.split_once('.').map_or("", |(section, _)| section);
        if section != Some(own) {
            let title = if own.is_empty() { "Top level".to_owned() } else { format!("`[{own}]`") };
            push(
                &mut page,
                &format!("\n## {title}\n\n| key | environment | values | default | |\n| --- | --- | --- | --- | --- |"),
            );
            section = Some(own);
        }
        push(&mut page, &row(key));
        if key.kind == Kind::Endpoints {
            for field in ENDPOINT {
                push(&mut page, &row(field));
            }
        }
    }
    page
}

fn push(page: &mut String, line: &str) {
    writeln!(page, "{line}").expect("a string takes every line");
}

fn row(key: &Key) -> String {
    let names = if key.path.starts_with("webhook.endpoints") { Vec::new() } else { key.variables() };
    let files = if key.is_secret() && !names.is_empty() { ", each also `…_FILE`" } else { "" };
    let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let default = if key.default.is_empty() { "none".to_owned() } else { format!("`{}`", key.default) };
    let later = if key.later { " *Later.*" } else { "" };
    format!("| `{}` | {names}{files} | {} | {default} | {}{later} |", key.path, values(key.kind), key.doc)
}

fn values(kind: Kind) -> String {
    match kind {
        Kind::Bool => "`true`, `false`".to_owned(),
        Kind::Int(low, high) => format!("{low} to {high}"),
        Kind::Ratio(low, high) => format!("{low} to {high}"),
        Kind::Span(low, high) => format!("{} to {}", super::value::show_span(low), super::value::show_span(high)),
        Kind::Bytes(low, high) => format!("{} to {}", super::value::show_bytes(low), super::value::show_bytes(high)),
        Kind::Text | Kind::Private => "text".to_owned(),
        Kind::Listen => "address:port".to_owned(),
        Kind::Url(schemes) => schemes.iter().map(|scheme| format!("`{scheme}://`")).collect::<Vec<_>>().join(", "),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Words(words) => format!("list of {}", words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")),
        Kind::SwitchOr(low, high) => format!("`true`, `false`, {low} to {high}"),
        Kind::List => "list".to_owned(),
        Kind::Secret => "secret".to_owned(),
        Kind::Secrets => "secrets".to_owned(),
        Kind::Endpoints => "tables".to_owned(),
        Kind::Extra => "table".to_owned(),
        Kind::Lists => "table of lists".to_owned(),
    }
}
