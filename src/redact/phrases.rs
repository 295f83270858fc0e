//! A table of phrases, and where a turn says them.
//!
//! Promises: the longest phrase wins where several begin alike, and none lies inside another; a hyphen and a point part no words
//! (`four-digit`, `C.V.V.`), and an `'s` may be left out (`my card's number`).

use std::collections::HashMap;

/// Phrases, each with what it says.
pub(super) struct Phrases<T> {
    /// By their first word.
    by_first: HashMap<&'static str, Vec<(Vec<&'static str>, T)>>,
}

/// A phrase in a turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<T> {
    /// First token.
    pub(super) from: usize,
    /// Token behind the last.
    pub(super) to: usize,
    /// What it says.
    pub(super) what: T,
}

impl<T: Clone> Phrases<T> {
    /// From rows of what phrases say, and the phrases, parted by commas.
    pub(super) fn new(rows: impl IntoIterator<Item = (T, &'static str)>) -> Self {
        let mut by_first: HashMap<_, Vec<_>> = HashMap::new();
        for (what, phrases) in rows {
            for phrase in phrases.split(',') {
                let words: Vec<_> = phrase.split_ascii_whitespace().collect();
                by_first.entry(words[0]).or_default().push((words, what.clone()));
            }
        }
        // Of two phrases that are alike the first stays first.
        by_first.values_mut().for_each(|phrases| phrases.sort_by_key(|(words, _)| std::cmp::Reverse(words.len())));
        Self { by_first }
    }

    /// The phrases among the words of a turn, which are in lower case.
    pub(super) fn said(&self, words: &[&str]) -> Vec<Said<T>> {
        let words: Vec<(usize, &str)> =
            words.iter().copied().enumerate().filter(|(_, word)| !matches!(*word, "-" | ".")).collect();
        let mut said = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let Some((phrase, what)) = self.longest(&words[at..]) else {
                at += 1;
                continue;
            };
            let last = at + phrase.len() - 1;
            said.push(Said { from: words[at].0, to: words[last].0 + 1, what: what.clone() });
            at = last + 1;
        }
        said
    }

    /// The longest phrase with which the words begin.
    fn longest(&self, words: &[(usize, &str)]) -> Option<&(Vec<&'static str>, T)> {
        let first = words.first()?.1;
        let keys = std::iter::once(first).chain(first.strip_suffix("'s"));
        let same = |((_, said), word): (&(usize, &str), &&str)| said == word || said.strip_suffix("'s") == Some(word);
        let fits = |(phrase, _): &&(Vec<&str>, T)| phrase.len() <= words.len() && words.iter().zip(phrase).all(same);
        let found = keys.filter_map(|key| self.by_first.get(key)?.iter().find(fits));
        // Of two that are as long, the one that is said word for word.
        found.reduce(|best, next| if next.0.len() > best.0.len() { next } else { best })
    }
}
