//! What may be wrong or odd about a message: in its members, in its values, in its text.

use crate::{chance::Chance, tree::Tree};

/// Keys that mean something somewhere.
const KEYS: [&str; 16] = [
    "event",
    "sequenceNumber",
    "streamSid",
    "start",
    "media",
    "dtmf",
    "track",
    "chunk",
    "timestamp",
    "payload",
    "digit",
    "callSid",
    "accountSid",
    "tracks",
    "mediaFormat",
    "customParameters",
];

/// Values as they are written, from the ordinary to the absurd.
const VALUES: [&str; 60] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "7",
    "41",
    "8000",
    "1.0",
    "1.5",
    "-1.5",
    "1e2",
    "1E400",
    "-1e-400",
    "1e-7",
    "007",
    "+1",
    ".5",
    "5.",
    "NaN",
    "Infinity",
    "0x1F",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999",
    "9223372036854775808",
    "-9223372036854775809",
    "0.1e1",
    "[]",
    "{}",
    "[[]]",
    "[1]",
    "[null]",
    "[\"inbound\",\"inbound\"]",
    "[\"both\",7]",
    "{\"payload\":\"AAAA\"}",
    "{\"a\":{\"b\":[1,{\"c\":null}]}}",
    "\"\"",
    "\" \"",
    "\"0\"",
    "\"-5\"",
    "\"007\"",
    "\"1e3\"",
    "\" 340 \"",
    "\"340.7\"",
    "\"inf\"",
    "\"NaN\"",
    "\"99999999999999999999\"",
    "\"inbound\"",
    "\"outbound_track\"",
    "\"media\"",
    "\"start\"",
    "\"MZ01\"",
    "\"CA 01\"",
    "\"12\"",
    "\"undefined\"",
    "undefined",
    "",
];

/// What may stand inside a string.
const INSIDES: [&str; 26] = [
    r"\u0000",
    r"\u0041",
    r"\u00e9",
    r"\ud83d\ude00",
    r"\ud800",
    r"\udc00",
    r"\ud800\ud800",
    r"\uD83D",
    r"\u12",
    r"\uzzzz",
    r"\/",
    r"\n",
    r"\b\f\r\t",
    r"\\",
    "\\\"",
    r"\x",
    r"\",
    "\u{0}",
    "\u{1}",
    "\n",
    "\u{7f}",
    "é",
    "\u{1F600}",
    "\u{2028}",
    "\u{feff}",
    " ",
];

/// What may become of a payload.
const PAYLOADS: [&str; 22] = [
    "",
    "=",
    "==",
    "A",
    "AA",
    "AAA",
    "AA=",
    "AA==",
    "AAA=",
    "AAAA=",
    "AAAA==",
    "A===",
    "AA===",
    "//7+/w==",
    r"\/\/7+\/w==",
    "__-_",
    "AA==AA==",
    "A A A A",
    r"AA\nAA",
    r"\u0041AAA",
    "AA*A",
    "é",
];

/// Does one thing to the members or values of a message.
pub(crate) fn tree(tree: &mut Tree, chance: &mut Chance) {
    let mut at = chance.of(0..tree.values());
    let Some(value) = tree.value_mut(&mut at) else { return };
    match value {
        Tree::Object(members) if !members.is_empty() && chance.percent(90) => members_of(members, chance),
        Tree::Text(text) if chance.percent(50) => inside(text, chance),
        other => *other = odd_value(chance),
    }
}

fn members_of(members: &mut Vec<(String, Tree)>, chance: &mut Chance) {
    let at = chance.of(0..members.len());
    match chance.of(0..10) {
        0 => drop(members.remove(at)),
        1 => {
            let again = members[at].clone();
            let to = chance.of(0..members.len() + 1);
            members.insert(to, again);
        }
        2 => {
            let (key, to) = (members[at].0.clone(), chance.of(0..members.len() + 1));
            members.insert(to, (key, odd_value(chance)));
        }
        3 => members[at].0 = renamed(&members[at].0, chance),
        4 => {
            let with = chance.of(0..members.len());
            members.swap(at, with);
        }
        5 => {
            // What is looked for stands in an object before the one where it should be looked for.
            let nested = Tree::Object(members.clone());
            members.insert(0, (chance.pick(&["x", "more", "Media", ""]).to_owned(), nested));
        }
        6 => {
            let key = if chance.percent(70) { chance.pick(&KEYS) } else { chance.pick(&["x", "", "__proto__", "Event"]) };
            members.insert(at, (key.to_owned(), odd_value(chance)));
        }
        7 => members[at].1 = unquoted_or_quoted(&members[at].1),
        8 => match members.iter_mut().find(|(key, _)| key == "payload") {
            Some((_, payload)) => *payload = odd_payload(payload, chance),
            None => members[at].1 = odd_value(chance),
        },
        _ => members[at].1 = odd_value(chance),
    }
}

fn renamed(key: &str, chance: &mut Chance) -> String {
    let first = key.chars().next().unwrap_or('e');
    let rest = key.get(first.len_utf8()..).unwrap_or_default();
    match chance.of(0..7) {
        0 => key.to_uppercase(),
        1 => format!("\\u{:04x}{rest}", u32::from(first)),
        2 => format!("{key} "),
        3 => format!("{key}\\u0000"),
        4 => rest.to_owned(),
        5 => chance.pick(&KEYS).to_owned(),
        _ => format!("{}{rest}", first.to_uppercase()),
    }
}

/// Numbers as text, text as numbers.
fn unquoted_or_quoted(value: &Tree) -> Tree {
    match value {
        Tree::Text(text) => Tree::bare(text.clone()),
        Tree::Bare(text) => Tree::text(text.clone()),
        other => Tree::List(vec![other.clone()]),
    }
}

fn odd_value(chance: &mut Chance) -> Tree {
    match chance.of(0..40) {
        0 => Tree::bare(format!("{}1{}", "[".repeat(chance.of(1..400)), "]".repeat(chance.of(1..400)))),
        1 => {
            let depth = chance.of(1..300);
            Tree::bare(format!("{}1{}", "{\"media\":".repeat(depth), "}".repeat(depth)))
        }
        2 => Tree::text("9".repeat(chance.of(1..400))),
        3 => Tree::bare("9".repeat(chance.of(1..400))),
        4 => Tree::text("x".repeat(chance.of(1..4000))),
        5 => Tree::Object((0..chance.of(1..40)).map(|number| (format!("k{number}"), Tree::bare("1"))).collect()),
        _ => Tree::bare(chance.pick(&VALUES)),
    }
}

fn odd_payload(payload: &Tree, chance: &mut Chance) -> Tree {
    let Tree::Text(text) = payload else { return odd_value(chance) };
    match chance.of(0..8) {
        0 => Tree::text(text.trim_end_matches('=')),
        1 => Tree::text(format!("{text}=")),
        2 => Tree::text(text.replace('/', r"\/")),
        3 => Tree::text(text.chars().enumerate().fold(String::new(), |mut with, (at, sign)| {
            if at % 76 == 75 {
                with.push_str(r"\r\n");
            }
            with.push(sign);
            with
        })),
        4 => Tree::text(text.replace('+', "-").replace('/', "_")),
        5 => Tree::text(&text[..text.floor_char_boundary(chance.of(0..text.len() + 1))]),
        _ => Tree::text(chance.pick(&PAYLOADS)),
    }
}

fn inside(text: &mut String, chance: &mut Chance) {
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).take(200).chain([text.len()]).collect();
    let at = places[chance.of(0..places.len())];
    text.insert_str(at, chance.pick(&INSIDES));
}

/// Does one thing to a message's text. What would not be UTF-8 any more is patched up, as it never gets to the decoder.
pub(crate) fn text(text: &mut String, chance: &mut Chance) {
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let Some(at) = (!places.is_empty()).then(|| places[chance.of(0..places.len())]) else { return };
    match chance.of(0..10) {
        0 | 1 => text.truncate(at),
        2 => text.insert(0, '\u{feff}'),
        3 => text.push_str(chance.pick(&["x", "}", "null", ",", "\0", " {}", "\n\n", "]"])),
        4 => *text = text.repeat(2),
        5 => drop(text.remove(at)),
        6 => text.insert_str(at, chance.pick(&["\"", "{", "}", "[", "]", ":", ",", "\\", "\u{0}", "é", " "])),
        7 => *text = format!("[{text}]"),
        8 => *text = format!("{}{text}{}", " ".repeat(chance.of(0..2000)), "\n".repeat(chance.of(0..10))),
        _ => {
            let mut bytes = text.clone().into_bytes();
            for _ in 0..chance.of(1..4) {
                let at = chance.of(0..bytes.len());
                bytes[at] ^= 1 << chance.of(0..8);
            }
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
    }
}
