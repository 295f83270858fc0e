//! The known name nearest to a misspelt one.
//!
//! Promises: a known key written into the wrong section, or with none, is found by its last word alone.

/// Similarity of the last words counts a little less than that of the whole names.
const LAST_WORD_WEIGHT: f64 = 0.9;

/// The nearest of `known`; none only if there are none.
pub(crate) fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known.max_by(|one, other| score(unknown, one).total_cmp(&score(unknown, other)))
}

fn score(unknown: &str, known: &str) -> f64 {
    let last = |name| super::table::last_word(name).to_lowercase();
    let whole = strsim::normalized_damerau_levenshtein(&unknown.to_lowercase(), &known.to_lowercase());
    whole.max(LAST_WORD_WEIGHT * strsim::normalized_damerau_levenshtein(&last(unknown), &last(known)))
}
