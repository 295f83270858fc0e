//! Pieces into one text, tracks into one call.

use crate::segment::Segment;

/// Languages written without spaces between words.
const UNSPACED: [&str; 3] = ["zh", "yue", "ja"];

/// One text from the finals of one speaker, in order, raw as the service sent them (protocols/pulse.md section 7, Joining): one
/// space where a piece starts or the text ends with one, none before `-`, `'` and punctuation, else one space, except in
/// languages written without.
#[must_use]
pub fn join<'a>(pieces: impl IntoIterator<Item = &'a str>, language: Option<&str>) -> String {
    let base = language.and_then(|language| language.split(['-', '_']).next()).unwrap_or_default();
    let spaced = !UNSPACED.contains(&base);
    let mut text = String::new();
    let mut ended_with_space = false;
    for piece in pieces {
        let words = piece.trim();
        let Some(first) = words.chars().next() else {
            ended_with_space |= !piece.is_empty();
            continue;
        };
        let asked = ended_with_space || piece.starts_with(char::is_whitespace);
        let glued =
            matches!(first, '-' | '\'' | '’' | '.' | ',' | '!' | '?' | ';' | ':' | '…' | '。' | '、' | '，' | '？' | '！');
        if !text.is_empty() && (asked || (spaced && !glued)) {
            text.push(' ');
        }
        text.push_str(words);
        ended_with_space = piece.ends_with(char::is_whitespace);
    }
    text
}

/// Puts the segments of all tracks in the order in which they were begun; at the same moment the track that is listed first.
pub fn merge<T>(segments: &mut [Segment<T>]) {
    segments.sort_by_key(|segment| (segment.start_ms, segment.key.track, segment.key.stream));
}
