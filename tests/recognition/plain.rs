//! Text as word error rates are counted on: Whisper's English normaliser, so that "It's $5." and "it is five dollars" are the same words.
//!
//! Promises: gives what the Python package `whisper-normalizer` 0.1.15 gives for every line of `plain.json`, which `plain.py` made with it. Two of its tables are
//! left out, as nobody here speaks them: British spellings, and letters beyond Latin.

use crate::numerals;

/// Sounds of thinking, which are no words.
const IGNORED: [&str; 6] = ["hmm", "mm", "mhm", "mmm", "uh", "um"];
/// What is written out, in this order; with a bar in front only where a word begins.
const WRITTEN_OUT: [(&str, &str); 53] = [
    ("|won't", "will not"),
    ("|can't", "can not"),
    ("|let's", "let us"),
    ("|ain't", "aint"),
    ("|y'all", "you all"),
    ("|wanna", "want to"),
    ("|kinda", "kind of"),
    ("|sorta", "sort of"),
    ("|dunno", "do not know"),
    ("|gotta", "got to"),
    ("|gonna", "going to"),
    ("|i'ma", "i am going to"),
    ("|imma", "i am going to"),
    ("|woulda", "would have"),
    ("|coulda", "could have"),
    ("|shoulda", "should have"),
    ("|cause", "because"),
    ("|ma'am", "madam"),
    ("|mr", "mister "),
    ("|mrs", "missus "),
    ("|st", "saint "),
    ("|dr", "doctor "),
    ("|prof", "professor "),
    ("|capt", "captain "),
    ("|gov", "governor "),
    ("|ald", "alderman "),
    ("|gen", "general "),
    ("|sen", "senator "),
    ("|rep", "representative "),
    ("|pres", "president "),
    ("|rev", "reverend "),
    ("|hon", "honorable "),
    ("|asst", "assistant "),
    ("|assoc", "associate "),
    ("|lt", "lieutenant "),
    ("|col", "colonel "),
    ("|jr", "junior "),
    ("|sr", "senior "),
    ("|esq", "esquire "),
    ("'d been", " had been"),
    ("'s been", " has been"),
    ("'d gone", " had gone"),
    ("'s gone", " has gone"),
    ("'d done", " had done"),
    ("'s got", " has got"),
    ("n't", " not"),
    ("'re", " are"),
    ("'s", " is"),
    ("'d", " would"),
    ("'ll", " will"),
    ("'t", " not"),
    ("'ve", " have"),
    ("'m", " am"),
];
/// Symbols that numbers may have.
const KEPT: [char; 6] = ['.', '%', '$', '¢', '€', '£'];

/// The words of a text.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut text = without_asides(&text.to_lowercase());
    for word in IGNORED {
        text = replace(&text, word, true, "");
    }
    while let Some(at) = text.find(" '") {
        text.remove(at);
    }
    for (what, with) in WRITTEN_OUT {
        let (needle, begins) = what.strip_prefix('|').map_or((what, false), |needle| (needle, true));
        text = replace(&text, needle, begins, with);
    }
    let text = without_symbols(&without_stops(&without_commas(&text)));
    let text = ones(&cents(&numerals::standard(&spaced(&text))));
    text_of_numbers(&text).split_whitespace().map(str::to_owned).collect()
}

/// Leaves out what stands in brackets.
fn without_asides(text: &str) -> String {
    let mut text = text.to_owned();
    for (opening, closing) in [(['<', '['].as_slice(), ['>', ']'].as_slice()), (&['('], &[')'])] {
        let mut from = 0;
        while let Some(begin) = text[from..].find(opening).map(|at| from + at) {
            let Some(end) = text[begin + 1..].find(closing).map(|at| begin + 1 + at) else { break };
            if opening == ['('] && end == begin + 1 {
                from = end;
            } else {
                text.replace_range(begin..=end, "");
                from = begin;
            }
        }
    }
    text
}

/// Puts `with` for each `needle` behind which no word goes on, and, if it must begin one, before which none is.
fn replace(text: &str, needle: &str, begins: bool, with: &str) -> String {
    let is_part = |sign: Option<char>| sign.is_some_and(|sign| sign.is_alphanumeric() || sign == '_');
    let (mut made, mut from) = (String::new(), 0);
    while let Some(at) = text[from..].find(needle).map(|at| from + at) {
        let end = at + needle.len();
        made.push_str(&text[from..at]);
        let goes_on = is_part(text[end..].chars().next()) || begins && is_part(text[..at].chars().next_back());
        if goes_on {
            let first = text[at..].chars().next().map_or(1, char::len_utf8);
            made.push_str(&text[at..at + first]);
            from = at + first;
        } else {
            made.push_str(with);
            from = end;
        }
    }
    made + &text[from..]
}

/// Takes commas between digits away; of three digits with two commas the second stays, as there.
fn without_commas(text: &str) -> String {
    let signs: Vec<char> = text.chars().collect();
    let (mut made, mut at) = (String::new(), 0);
    while at < signs.len() {
        match signs[at..] {
            [one, ',', two, ..] if one.is_ascii_digit() && two.is_ascii_digit() => {
                made.extend([one, two]);
                at += 3;
            }
            [sign, ..] => {
                made.push(sign);
                at += 1;
            }
            [] => break,
        }
    }
    made
}

/// Takes full stops away behind which no digit stands.
fn without_stops(text: &str) -> String {
    let signs: Vec<char> = text.chars().collect();
    let (mut made, mut at) = (String::new(), 0);
    while at < signs.len() {
        match (signs[at], signs.get(at + 1)) {
            ('.', Some(next)) if !next.is_ascii_digit() => {
                made.extend([' ', *next]);
                at += 2;
            }
            ('.', None) => {
                made.push(' ');
                at += 1;
            }
            (sign, _) => {
                made.push(sign);
                at += 1;
            }
        }
    }
    made
}

/// Puts a space for each symbol that no number has, and takes the marks off letters.
fn without_symbols(text: &str) -> String {
    let plain = |sign: char| match sign {
        'à'..='å' => 'a',
        'ç' => 'c',
        'è'..='ë' => 'e',
        'ì'..='ï' => 'i',
        'ñ' => 'n',
        'ò'..='ö' => 'o',
        'ù'..='ü' => 'u',
        _ if sign.is_alphanumeric() || KEPT.contains(&sign) => sign,
        _ => ' ',
    };
    text.chars().map(plain).collect()
}

/// Sets figures apart from letters, but for endings such as that of "2nd".
fn spaced(text: &str) -> String {
    let mut made = String::new();
    for sign in text.chars() {
        let before = made.chars().next_back().unwrap_or(' ');
        if before.is_ascii_lowercase() && sign.is_ascii_digit() || before.is_ascii_digit() && sign.is_ascii_lowercase() {
            made.push(' ');
        }
        made.push(sign);
    }
    let mut joined: Vec<String> = Vec::new();
    for word in made.split_whitespace() {
        match joined.last_mut() {
            Some(last) if ["st", "nd", "rd", "th", "s"].contains(&word) && last.ends_with(|sign: char| sign.is_ascii_digit()) => {
                last.push_str(word);
            }
            _ => joined.push(word.to_owned()),
        }
    }
    joined.join(" ")
}

/// "$2 and ¢7" is $2.07.
fn cents(text: &str) -> String {
    let amount = |word: &str, signs: &[char]| -> Option<(char, String)> {
        let sign = word.chars().next().filter(|sign| signs.contains(sign))?;
        let figures = &word[sign.len_utf8()..];
        figures.bytes().all(|sign| sign.is_ascii_digit()).then(|| (sign, figures.to_owned())).filter(|_| !figures.is_empty())
    };
    let words: Vec<&str> = text.split(' ').collect();
    let (mut made, mut at) = (Vec::new(), 0);
    while at < words.len() {
        let and = usize::from(words.get(at + 1) == Some(&"and"));
        let pair = amount(words[at], &['€', '£', '$']).zip(words.get(at + 1 + and).and_then(|word| amount(word, &['¢'])));
        match pair {
            Some(((sign, whole), (_, cents))) if cents.len() <= 2 => {
                made.push(format!("{sign}{whole}.{cents:0>2}"));
                at += 2 + and;
            }
            _ => {
                made.push(words[at].to_owned());
                at += 1;
            }
        }
    }
    // Its point may be any sign: "$010" is ten cents there too.
    let below_one = |word: String| {
        let rest = word.strip_prefix(['€', '£', '$']).and_then(|rest| rest.strip_prefix('0'));
        let cents = rest.and_then(|rest| rest.get(1..)).filter(|cents| (1..=2).contains(&cents.len()));
        cents.and_then(|cents| cents.parse::<u32>().ok()).map_or(word.clone(), |cents| format!("¢{cents}"))
    };
    made.into_iter().map(below_one).collect::<Vec<_>>().join(" ")
}

/// "one" and "ones" stay words.
fn ones(text: &str) -> String {
    let signs: Vec<char> = text.chars().collect();
    let is_part = |at: Option<usize>| at.and_then(|at| signs.get(at)).is_some_and(|sign| sign.is_alphanumeric());
    let mut made = String::new();
    for (at, sign) in signs.iter().enumerate() {
        let begins = *sign == '1' && !is_part(at.checked_sub(1));
        let ends = !is_part(Some(at + 1)) || signs.get(at + 1) == Some(&'s') && !is_part(Some(at + 2));
        if begins && ends {
            made.push_str("one");
        } else {
            made.push(*sign);
        }
    }
    made
}

/// Takes away what is left of symbols that belong to no number.
fn text_of_numbers(text: &str) -> String {
    let signs: Vec<char> = text.chars().collect();
    let (mut made, mut at) = (String::new(), 0);
    while at < signs.len() {
        match (signs[at], signs.get(at + 1)) {
            ('.' | '$' | '¢' | '€' | '£', Some(next)) if !next.is_ascii_digit() => {
                made.extend([' ', *next]);
                at += 2;
            }
            (sign, _) => {
                made.push(sign);
                at += 1;
            }
        }
    }
    let mut before = None;
    let percent = |sign: char| {
        let is_of_number = before.is_some_and(|before: char| before.is_ascii_digit());
        let is_first = before.is_none();
        before = Some(sign);
        if sign == '%' && !is_of_number && !is_first { ' ' } else { sign }
    };
    made.chars().map(percent).collect()
}

#[test]
fn the_words_are_those_that_the_usual_normaliser_gives() {
    let vectors: Vec<(String, String)> = serde_json::from_str(include_str!("plain.json")).unwrap();
    assert!(vectors.len() > 300);
    let wrong = vectors.iter().filter(|(text, expected)| words(text).join(" ") != *expected);
    let wrong: Vec<String> =
        wrong.map(|(text, expected)| format!("{text:?}: {:?}, not {expected:?}", words(text).join(" "))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
