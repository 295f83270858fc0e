//! One setting's value: from text or TOML to its kind, with bounds, and back to what may be shown.
//!
//! Promises: a value out of its kind or bounds is an error that names the setting and what would be right; the value of a
//! secret is in no error and in nothing that is shown.

use std::{net::SocketAddr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::table::{Key, Kind, LOCAL};

/// Shortest secret of which the last four characters are shown.
const SHOWN_FROM: usize = 12;

/// Longest part of an address's path that is shown.
const LONGEST_WORD: usize = 20;
/// Most digits in one: `v1`, `stt-24`.
const MOST_DIGITS: usize = 2;

/// A value as it was written, before its kind is known.
#[derive(Clone)]
pub(super) enum Raw {
    /// Text: a TOML string, or anything from the environment.
    Words(String),
    /// A TOML scalar that was not in quotes.
    Bare(String),
    /// A TOML array of scalars.
    List(Vec<String>),
    /// Items of `webhook.endpoints`, each with the line it starts at.
    Tables(Vec<(usize, Vec<(String, Self)>)>),
    /// A TOML table.
    Table(Vec<(String, Self)>),
}

/// A value of its kind, within its bounds.
#[derive(Clone)]
pub(super) enum Value {
    Bool(bool),
    Int(u64),
    Ratio(f64),
    Span(Duration),
    Bytes(u64),
    Text(String),
    Listen(SocketAddr),
    Url(Url),
    List(Vec<String>),
    Secrets(Vec<SecretString>),
    Extra(Vec<(String, String)>),
    Lists(Vec<(String, Vec<String>)>),
    Endpoints(Vec<(usize, Vec<(String, Raw)>)>),
}

/// Reads `raw` as what `key` is.
///
/// # Errors
/// One line about the value that begins with the setting's path; never with a secret in it.
pub(super) fn read(key: &Key, raw: Raw) -> Result<Value, String> {
    let path = key.path;
    match (key.kind, raw) {
        (Kind::Endpoints, Raw::Tables(items)) => Ok(Value::Endpoints(items)),
        (Kind::Endpoints, _) => Err(format!("{path} must be tables; begin each with [[{path}]]")),
        (Kind::Extra, Raw::Table(pairs)) => {
            pairs.into_iter().map(|pair| extra(path, pair)).collect::<Result<_, _>>().map(Value::Extra)
        }
        (Kind::Lists, Raw::Table(pairs)) => {
            let list = |(name, raw)| items(key, raw).map(|list| (name, list));
            pairs.into_iter().map(list).collect::<Result<_, _>>().map(Value::Lists)
        }
        (Kind::Lists, _) => Err(format!("{path} must be a table of names and lists of texts")),
        (Kind::Extra, _) => Err(format!("{path} must be a table of names and values")),
        (Kind::List, raw) => items(key, raw).map(Value::List),
        (Kind::Words(words), raw) => items(key, raw).and_then(|list| known(path, words, &list)).map(Value::Text),
        (Kind::Secret | Kind::Secrets, raw) => secrets(key, raw),
        (_, Raw::List(_) | Raw::Tables(_) | Raw::Table(_)) => Err(format!("{path} must be one value, not a list or table")),
        (Kind::Text | Kind::Private | Kind::Url(_) | Kind::Listen, Raw::Bare(_)) => Err(format!("{path} must be text in quotes")),
        (_, Raw::Words(text) | Raw::Bare(text)) => scalar(key, text.trim()),
    }
}

fn extra(path: &str, (name, raw): (String, Raw)) -> Result<(String, String), String> {
    match raw {
        Raw::Words(text) | Raw::Bare(text) => Ok((name, text)),
        _ => Err(format!("{path}.{name} must be one value, not a list or table")),
    }
}

fn items(key: &Key, raw: Raw) -> Result<Vec<String>, String> {
    match raw {
        Raw::Words(text) => Ok(split(&text)),
        Raw::List(list) if list.iter().any(|item| item.trim().is_empty()) => {
            Err(format!("{} has an empty item; leave it out", key.path))
        }
        Raw::List(list) => Ok(list.iter().map(|item| item.trim().to_owned()).collect()),
        _ => Err(format!("{} must be a list of texts", key.path)),
    }
}

/// The list by commas, if each of it is one of the words.
fn known(path: &str, words: &[&str], list: &[String]) -> Result<String, String> {
    let Some(strange) = list.iter().find(|item| !words.contains(&item.as_str())) else { return Ok(list.join(",")) };
    let nearest = super::nearest::nearest(strange, words.iter().copied()).unwrap_or_default();
    Err(format!("{path} has {strange:?}; it takes {}; did you mean {nearest:?}?", words.join(", ")))
}

fn split(text: &str) -> Vec<String> {
    text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

fn secrets(key: &Key, raw: Raw) -> Result<Value, String> {
    let path = key.path;
    let list = match (key.kind, raw) {
        (Kind::Secrets, raw) => items(key, raw)?,
        (_, Raw::Words(text)) => vec![text.trim().to_owned()],
        _ => return Err(format!("{path} must be text in quotes")),
    };
    if list.iter().any(String::is_empty) {
        return Err(format!("{path} is empty; leave it out or give it a value"));
    }
    if !list.iter().all(|secret| secret.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(format!("{path} has a space or a character outside ASCII; check what was pasted"));
    }
    Ok(Value::Secrets(list.into_iter().map(SecretString::from).collect()))
}

fn scalar(key: &Key, text: &str) -> Result<Value, String> {
    let path = key.path;
    match key.kind {
        Kind::Bool => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(format!("{path} is {text:?}; it must be true or false")),
        },
        Kind::Int(low, high) => match text.parse() {
            Ok(number) if (low..=high).contains(&number) => Ok(Value::Int(number)),
            _ => Err(format!("{path} is {text}; it must be a whole number from {low} to {high}")),
        },
        Kind::Ratio(low, high) => match text.parse() {
            Ok(number) if (low..=high).contains(&number) => Ok(Value::Ratio(number)),
            _ => Err(format!("{path} is {text}; it must be a number from {low} to {high}")),
        },
        Kind::Span(low, high) => match read_span(text) {
            Some(span) if (low..=high).contains(&span) => Ok(Value::Span(span)),
            Some(_) => Err(format!("{path} is {text}; it must be from {} to {}", show_span(low), show_span(high))),
            None => Err(format!("{path} is {text:?}; write a number and a unit (ms, s, min, h, d), e.g. \"{}\"", key.default)),
        },
        Kind::Bytes(low, high) => match read_bytes(text) {
            Some(bytes) if (low..=high).contains(&bytes) => Ok(Value::Bytes(bytes)),
            Some(_) => Err(format!("{path} is {text}; it must be from {} to {}", show_bytes(low), show_bytes(high))),
            None => {
                Err(format!("{path} is {text:?}; write a number and a unit (B, KiB, MiB, GiB, TiB), e.g. \"{}\"", key.default))
            }
        },
        Kind::SwitchOr(low, high) => match text.parse() {
            _ if matches!(text, "true" | "false") => Ok(Value::Text(text.to_owned())),
            Ok(number) if (low..=high).contains(&number) => Ok(Value::Text(text.to_owned())),
            _ => Err(format!("{path} is {text:?}; it must be true, false or a whole number from {low} to {high}")),
        },
        Kind::Listen => match text.parse() {
            Ok(address) => Ok(Value::Listen(address)),
            Err(_) => Err(format!("{path} is {text:?}; it must be an address and a port, e.g. {}", key.default)),
        },
        // No address, but the built-in engine.
        Kind::Url(_) if path == "upstream.url" && text == LOCAL => Ok(Value::Text(text.to_owned())),
        Kind::Url(schemes) => url(path, schemes, text),
        Kind::Choice(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
        Kind::Choice(words) => {
            let nearest = super::nearest::nearest(text, words.iter().copied()).unwrap_or_default();
            Err(format!("{path} is {text:?}; it must be one of {}; did you mean {nearest:?}?", words.join(", ")))
        }
        _ if text.is_empty() => Err(format!("{path} is empty; leave it out or give it a value")),
        _ => Ok(Value::Text(text.to_owned())),
    }
}

/// A URL of one of `schemes` with a host, no fragment and no password; the text is not repeated in errors, since an address may
/// carry a secret.
fn url(path: &str, schemes: &[&str], text: &str) -> Result<Value, String> {
    let wanted = schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(" or ");
    let url = Url::parse(text).map_err(|why| format!("{path} is not a URL ({why}); it must begin with {wanted}"))?;
    if !schemes.contains(&url.scheme()) || !url.has_host() {
        return Err(format!("{path} begins with {}:; it must begin with {wanted}", url.scheme()));
    }
    if url.password().is_some() || !url.username().is_empty() {
        return Err(format!("{path} carries a user name or password; take it out"));
    }
    if url.fragment().is_some() {
        return Err(format!("{path} has a part behind '#', which is never sent; take it out"));
    }
    Ok(Value::Url(url))
}

/// A number and a unit, with or without a space between.
fn read_span(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let ms: u64 = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "min" | "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(ms).map(Duration::from_millis)
}

/// The shortest way to write a span that [`read_span`] reads back to the same.
pub(super) fn show_span(span: Duration) -> String {
    let ms = span.as_millis();
    // A single day reads better in hours.
    let units = [("d", 86_400_000, 2), ("h", 3_600_000, 1), ("s", 1_000, 1)];
    match units.into_iter().find(|(_, size, least)| ms.is_multiple_of(*size) && ms / size >= *least) {
        Some((name, size, _)) => format!("{} {name}", ms / size),
        None => format!("{ms} ms"),
    }
}

/// The units of sizes, the largest first.
const SIZES: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A number and a unit, with or without a space between.
fn read_bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, size) = SIZES.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*size)
}

/// The shortest way to write a size that `read_bytes` reads back to the same.
#[must_use]
pub fn show_bytes(bytes: u64) -> String {
    let fits = SIZES.iter().find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size));
    let (name, size) = fits.copied().unwrap_or(("B", 1));
    format!("{} {name}", bytes / size)
}

/// The last four characters of a long secret, nothing of a short one.
#[must_use]
pub fn mask(secret: &SecretString) -> String {
    let secret = secret.expose_secret();
    let shown = if secret.len() >= SHOWN_FROM && secret.is_ascii() { &secret[secret.len() - 4..] } else { "" };
    format!("…{shown}")
}

/// Each of them masked.
#[must_use]
pub fn masked(secrets: &[SecretString]) -> String {
    secrets.iter().map(mask).collect::<Vec<_>>().join(", ")
}

/// A value as the speech service is told it: its own words, lists by commas.
pub(super) fn send(value: &Value) -> String {
    match value {
        Value::Bool(on) => on.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Ratio(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::List(list) => list.join(","),
        _ => unreachable!("no parameter of the speech service has another kind"),
    }
}

/// What may be shown of a value: safe to paste into an issue.
pub(super) fn show(key: &Key, value: &Value) -> String {
    match value {
        Value::Bool(on) => on.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Ratio(number) => number.to_string(),
        Value::Span(span) => show_span(*span),
        Value::Bytes(bytes) => show_bytes(*bytes),
        Value::Text(text) if key.kind == Kind::Private && text != key.default => format!("set, {} characters", text.len()),
        Value::Text(text) if text.is_empty() => "none".to_owned(),
        Value::Text(text) => text.clone(),
        Value::Listen(address) => address.to_string(),
        Value::Url(url) => show_url(url),
        Value::List(list) if key.path == "redaction.types" => list.join(","),
        Value::List(list) => format!("{} set", list.len()),
        // Of a master key its name is what is looked for.
        Value::Secrets(keys) if key.path == "key" => keys.iter().map(id_of).collect::<Vec<_>>().join(", "),
        Value::Secrets(secrets) => masked(secrets),
        Value::Extra(pairs) if key.path == "redaction.mode" => {
            pairs.iter().map(|(name, mode)| format!("{name} = {mode}")).collect::<Vec<_>>().join(", ")
        }
        Value::Lists(lists) => {
            lists.iter().map(|(name, list)| format!("{name}: {} set", list.len())).collect::<Vec<_>>().join(", ")
        }
        Value::Extra(pairs) => pairs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "),
        Value::Endpoints(items) => format!("{} set", items.len()),
    }
}

/// `id:base64` without what is behind the colon; what has none may all be key.
fn id_of(key: &SecretString) -> String {
    key.expose_secret().split_once(':').map_or_else(|| "…".to_owned(), |(id, _)| format!("{id}:…"))
}

/// An address without what may be secret in it: no query, and of the path only what reads as words.
#[must_use]
pub fn show_url(url: &Url) -> String {
    let path: Vec<&str> = url.path().split('/').map(|part| if reads_as_a_word(part) { part } else { "…" }).collect();
    let cut = if url.query().is_some() { "?…" } else { "" };
    format!("{}{}{cut}", origin(url), path.join("/").trim_end_matches('/'))
}

/// Scheme, host and port.
fn origin(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// Some services give out addresses whose path is the secret; those are long, or have many digits or capitals.
fn reads_as_a_word(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    part.len() <= LONGEST_WORD && part.bytes().all(plain) && part.bytes().filter(u8::is_ascii_digit).count() <= MOST_DIGITS
}
