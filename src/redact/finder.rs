//! Whoever finds names of people where the rules do not: a language model.
//!
//! Promises: what it finds is added to what the rules find, never taken from it; nothing that it says frees a word.

use std::{fmt, sync::Arc};

/// Finds names of people in a text.
pub trait FindNames: Send + Sync {
    /// The names as byte ranges, in order and apart from each other; none where it cannot tell.
    fn names(&self, text: &str) -> Vec<(usize, usize)>;
}

/// One for all calls.
#[derive(Clone)]
pub struct Finder(Arc<dyn FindNames>);

impl Finder {
    /// Shares `finder`.
    #[must_use]
    pub fn new(finder: Arc<dyn FindNames>) -> Self {
        Self(finder)
    }

    /// As [`FindNames::names`].
    pub(super) fn names(&self, text: &str) -> Vec<(usize, usize)> {
        self.0.names(text)
    }
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Finder")
    }
}

impl PartialEq for Finder {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Finder {}
