//! The known name nearest to a misspelt one.
//!
//! Promises: a known key written into the wrong section, or with none, is found by its last word alone.

/// Similarity of the last words counts a little less than that of the whole names.
const LAST_WORD_WEIGHT: f64 = 0.9;

/// As alike as `SMALLEST_KEY` and `SMALLEST_API_KEY`; `TWILIO_API_SECRET` is less like any name of ours.
const MISSPELT: f64 = 0.75;

/// The nearest of `known`; none only if there are none.
pub(crate) fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known.max_by(|one, other| score(unknown, one).total_cmp(&score(unknown, other)))
}

/// Each name of `given` that is none of `known` and could well be meant for one, with that one.
pub(super) fn near_misses<'a>(given: &'a [String], known: &'a [String]) -> Vec<(&'a str, &'a str)> {
    let similarity = |one: &str, other: &String| strsim::normalized_damerau_levenshtein(one, other);
    let miss = |name: &'a String| {
        let meant = known.iter().max_by(|one, other| similarity(name, one).total_cmp(&similarity(name, other)))?;
        (similarity(name, meant) >= MISSPELT && !known.contains(name)).then_some((name.as_str(), meant.as_str()))
    };
    given.iter().filter_map(miss).collect()
}

fn score(unknown: &str, known: &str) -> f64 {
    let last = |name| super::table::last_word(name).to_lowercase();
    let whole = strsim::normalized_damerau_levenshtein(&unknown.to_lowercase(), &known.to_lowercase());
    whole.max(LAST_WORD_WEIGHT * strsim::normalized_damerau_levenshtein(&last(unknown), &last(known)))
}
