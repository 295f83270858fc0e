//! The settings file: TOML to raw values under their paths, each with its line.
//!
//! Promises: every key of the file is one of the table's, or the answer is an error that names file, line and the nearest known key.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    ConfigError, Origin,
    nearest::nearest,
    table::{self, Key, Kind},
    value::Raw,
};

/// A setting as the file has it.
pub(super) struct Entry {
    pub(super) key: &'static Key,
    pub(super) raw: Raw,
    pub(super) line: usize,
}

/// Reads the whole file.
///
/// # Errors
/// What is not TOML, and the first key that is not in the table.
pub(super) fn read(name: &str, text: &str) -> Result<Vec<Entry>, ConfigError> {
    let reader = Reader { name, text };
    let root = DeTable::parse(text).map_err(|why| {
        let line = why.span().map_or(1, |span| reader.line(span.start));
        // Only the parser's own words: the line itself may hold a secret.
        reader.error(line, format!("not valid TOML: {}", why.message().replace('\n', " ")))
    })?;
    let mut entries = Vec::new();
    reader.walk("", root.get_ref(), &mut entries)?;
    Ok(entries)
}

struct Reader<'a> {
    name: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn line(&self, byte: usize) -> usize {
        1 + self.text.get(..byte).unwrap_or(self.text).matches('\n').count()
    }

    fn error(&self, line: usize, what: impl Into<String>) -> ConfigError {
        ConfigError::new(&Origin::File { name: self.name.into(), line }, what)
    }

    fn walk(&self, prefix: &str, table: &DeTable<'_>, entries: &mut Vec<Entry>) -> Result<(), ConfigError> {
        // In the order of the file, so that the first mistake is the one that is named.
        let mut pairs: Vec<_> = table.iter().collect();
        pairs.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in pairs {
            let line = self.line(name.span().start);
            let path = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
            match (table::find(&path), value.get_ref()) {
                (Some(key), _) => {
                    let raw = self.raw(key.kind, &path, line, value)?;
                    entries.push(Entry { key, raw, line });
                }
                (None, DeValue::Table(inner)) if is_section(&path) => self.walk(&path, inner, entries)?,
                (None, _) if is_section(&path) => {
                    return Err(self.error(line, format!("{path} is a section; write [{path}] and its keys below")));
                }
                (None, _) => return Err(self.error(line, unknown(&path))),
            }
        }
        Ok(())
    }

    fn raw(&self, kind: Kind, path: &str, line: usize, value: &Spanned<DeValue<'_>>) -> Result<Raw, ConfigError> {
        match value.get_ref() {
            DeValue::Table(inner) => self.pairs(kind, path, inner).map(Raw::Table),
            DeValue::Array(array) if kind == Kind::Endpoints => {
                let items = array.iter().map(|item| match item.get_ref() {
                    DeValue::Table(inner) => Ok((self.line(item.span().start), self.fields(path, inner)?)),
                    _ => Err(self.error(line, format!("{path} must be tables; begin each with [[{path}]]"))),
                });
                items.collect::<Result<_, _>>().map(Raw::Tables)
            }
            DeValue::Array(array) => {
                let items = array.iter().map(|item| match item.get_ref() {
                    DeValue::String(text) => Ok(text.to_string()),
                    _ => Err(self.error(self.line(item.span().start), format!("{path} must be a list of texts in quotes"))),
                });
                items.collect::<Result<_, _>>().map(Raw::List)
            }
            scalar => Ok(scalar_of(scalar)),
        }
    }

    fn pairs(&self, kind: Kind, path: &str, table: &DeTable<'_>) -> Result<Vec<(String, Raw)>, ConfigError> {
        let pairs = table.iter().map(|(name, value)| {
            let line = self.line(name.span().start);
            let inner = format!("{path}.{}", name.get_ref());
            Ok((name.get_ref().to_string(), self.raw(kind, &inner, line, value)?))
        });
        pairs.collect()
    }

    fn fields(&self, path: &str, table: &DeTable<'_>) -> Result<Vec<(String, Raw)>, ConfigError> {
        let known = || table::ENDPOINT.iter().map(|field| table::last_word(field.path));
        for name in table.keys() {
            if known().all(|field| field != name.get_ref()) {
                let near = nearest(name.get_ref(), known()).unwrap_or_default();
                let what = format!("unknown key \"{path}.{}\"; did you mean \"{path}.{near}\"?", name.get_ref());
                return Err(self.error(self.line(name.span().start), what));
            }
        }
        self.pairs(Kind::List, path, table)
    }
}

fn scalar_of(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Words(text.to_string()),
        DeValue::Boolean(on) => Raw::Bare(on.to_string()),
        DeValue::Integer(number) => Raw::Bare(
            i64::from_str_radix(number.as_str(), number.radix()).map_or_else(|_| "too large".to_owned(), |n| n.to_string()),
        ),
        DeValue::Float(number) => Raw::Bare(number.as_str().to_owned()),
        DeValue::Datetime(time) => Raw::Bare(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => Raw::Bare("a list or table".to_owned()),
    }
}

fn is_section(path: &str) -> bool {
    table::KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

fn unknown(path: &str) -> String {
    if let Some((_, why)) = table::RESERVED.iter().find(|(reserved, _)| *reserved == path) {
        return format!("\"{path}\" is not a setting: {why}");
    }
    let sections = table::KEYS.iter().filter_map(|key| key.path.split_once('.')).map(|(section, _)| section);
    let near = nearest(path, table::KEYS.iter().map(|key| key.path).chain(sections)).unwrap_or_default();
    format!("unknown key \"{path}\"; did you mean \"{near}\"?")
}
