//! Pieces into one text.

/// Languages written without spaces between words.
const UNSPACED: [&str; 3] = ["zh", "yue", "ja"];

/// One text from pieces in order, words or finals, raw as the service sent them (protocols/pulse.md section 7, Joining): one
/// space where a piece starts or the text ends with one, none before `-`, `'` and punctuation, else one space, except in
/// languages written without.
pub(super) fn join<'a>(pieces: impl IntoIterator<Item = &'a str>, language: Option<&str>) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_as_the_service_means_them() {
        for (pieces, language, expected) in [
            (&[" I would", " like"][..], None, "I would like"),
            (&["Uh", "-huh."][..], None, "Uh-huh."),
            (&["my order.", "My name"][..], Some("en"), "my order. My name"),
            (&["ends ", "starts"][..], None, "ends starts"),
            (&["ends ", "", "starts"][..], None, "ends starts"),
            (&["it", "'s", ",", " right"][..], None, "it's, right"),
            (&["你好", "世界"][..], Some("zh-CN"), "你好世界"),
            (&["", " "][..], None, ""),
        ] {
            assert_eq!(join(pieces.iter().copied(), language), expected, "{pieces:?}");
        }
    }
}
