//! A JSON document as it is written: keys in order and as often as they stand, strings still escaped.

/// A value. Strings and keys are held as they stand between the quotes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    /// A number, a word, or anything else that is written as it is.
    Bare(String),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

/// Where white space stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Space {
    None,
    Some(&'static str),
}

impl Tree {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn bare(text: impl Into<String>) -> Self {
        Self::Bare(text.into())
    }

    pub(crate) fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(members.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// The document.
    pub(crate) fn write(&self, space: Space, out: &mut String) {
        match self {
            Self::Bare(text) => out.push_str(text),
            Self::Text(text) => quote(text, out),
            Self::List(values) => {
                out.push('[');
                for (number, value) in values.iter().enumerate() {
                    separate(number, space, out);
                    value.write(space, out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (number, (key, value)) in members.iter().enumerate() {
                    separate(number, space, out);
                    quote(key, out);
                    pad(space, out);
                    out.push(':');
                    pad(space, out);
                    value.write(space, out);
                }
                pad(space, out);
                out.push('}');
            }
        }
    }

    /// How many values there are in it, itself included.
    pub(crate) fn values(&self) -> usize {
        1 + match self {
            Self::Bare(_) | Self::Text(_) => 0,
            Self::List(values) => values.iter().map(Self::values).sum(),
            Self::Object(members) => members.iter().map(|(_, value)| value.values()).sum(),
        }
    }

    /// The value of this number, counted in the order of writing.
    pub(crate) fn value_mut(&mut self, number: &mut usize) -> Option<&mut Self> {
        if *number == 0 {
            return Some(self);
        }
        *number -= 1;
        match self {
            Self::Bare(_) | Self::Text(_) => None,
            Self::List(values) => values.iter_mut().find_map(|value| value.value_mut(number)),
            Self::Object(members) => members.iter_mut().find_map(|(_, value)| value.value_mut(number)),
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    out.push_str(text);
    out.push('"');
}

fn separate(number: usize, space: Space, out: &mut String) {
    if number > 0 {
        out.push(',');
    }
    pad(space, out);
}

fn pad(space: Space, out: &mut String) {
    if let Space::Some(space) = space {
        out.push_str(space);
    }
}
