//! However a number is said and cut, no four of its digits in a row come out.

use std::time::Duration;

use proptest::prelude::*;
use secrecy::SecretString;

use super::{policy_tests::KEY, tests::*, *};
use crate::segment::{Utterance, Word};

const WORDS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const TEENS: [&str; 10] =
    ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"];
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const FILLERS: [&str; 6] = ["uh", "um", "okay", "and then", "so", "next is"];
/// What the other party says between two finals: nods, and whole sentences.
const NODS: [&str; 9] = [
    "Sorry, my screen is slow today, bear with me.",
    "The system takes a moment and the heating is off in here.",
    "I can hear a dog, is everything fine over there?",
    "Thank you for your patience.",
    "Okay.",
    "mhm",
    "Go ahead.",
    "Got it, and then?",
    "yes",
];
const LEADS: [&str; 6] = ["", "my card number is", "it's", "sure, my social is", "so the number is", "they ran my visa"];
const PLAIN: &[&str] = &[
    "I", "my card", "number", "is", "not", "working,", "at", "the", "house", "Hello.", "to", "for", "oh", "well", "may", "order",
    "pin", "a", "hundred", "no", "social", "phone?", "café", "it's", "okay", "charge", "and", "routing", "march",
];
const TAILS: [&str; 4] = ["", ".", "thanks", "is what it says"];

/// One way in which a caller may say a number.
#[derive(Debug, Clone)]
struct Way {
    digits: Vec<u8>,
    styles: Vec<u8>,
    cuts: Vec<bool>,
    fillers: Vec<Option<usize>>,
    nods: Vec<Option<usize>>,
    pauses: Vec<u64>,
    lead: usize,
    tail: usize,
    upper: bool,
}

prop_compose! {
    fn ways(digits: BoxedStrategy<Vec<u8>>)(
        digits in digits,
        styles in prop::collection::vec(0_u8..6, 20),
        cuts in prop::collection::vec(prop::bool::weighted(0.3), 20),
        fillers in prop::collection::vec(prop::option::weighted(0.15, 0_usize..6), 20),
        nods in prop::collection::vec(prop::option::weighted(0.3, 0_usize..NODS.len()), 20),
        pauses in prop::collection::vec(200_u64..8000, 40),
        lead in 0_usize..6, tail in 0_usize..4, upper in any::<bool>(),
    ) -> Way {
        Way { digits, styles, cuts, fillers, nods, pauses, lead, tail, upper }
    }
}

fn cards() -> BoxedStrategy<Vec<u8>> {
    let prefix = prop_oneof![Just(vec![4]), Just(vec![5, 5]), Just(vec![3, 7]), Just(vec![6, 0, 1, 1]), Just(vec![2, 2, 2, 3])];
    let card = (prefix, prop::collection::vec(0_u8..10, 16)).prop_map(|(prefix, rest)| {
        let length = if prefix == [3, 7] { 15 } else { 16 };
        let mut digits: Vec<u8> = prefix.into_iter().chain(rest).take(length - 1).collect();
        digits.push(0);
        let check = (0..10).find(|check| {
            digits[length - 1] = *check;
            card::luhn(&digits)
        });
        digits[length - 1] = check.expect("one of ten digits is right");
        digits
    });
    card.boxed()
}

fn socials() -> BoxedStrategy<Vec<u8>> {
    prop::collection::vec(0_u8..10, 9).boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400.max(ProptestConfig::default().cases), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn four_digits_of_a_card_never_come_out(way in ways(cards())) {
        check(&way, Policy::default())?;
    }

    #[test]
    fn four_digits_of_a_card_never_come_out_whatever_the_operator_chose(
        way in ways(cards()),
        types in prop::sample::select(&["pii", "pci", "ssn", "-number", "-phone", "-ssn"][..]),
        mode in prop::sample::select(&["mask", "remove", "hash"][..]),
        last4 in any::<bool>(),
        allow in prop::option::of("[0-9]{3,5}"),
    ) {
        let mode = [("pii", mode), ("credit_card", "last4")].map(|(name, mode)| (name.to_owned(), mode.to_owned()));
        let (types, key) = ([types.to_owned()], SecretString::from(KEY));
        let choices = Choices {
            types: &types,
            mode: &mode[..=usize::from(last4)],
            allow: allow.as_slice(),
            hash_key: Some(&key),
            ..Choices::default()
        };
        check(&way, Policy::new(&choices).expect("a policy"))?;
    }

    #[test]
    fn four_digits_of_a_social_security_number_never_come_out(way in ways(socials())) {
        check(&way, Policy::default())?;
    }

    #[test]
    fn a_card_in_one_final_never_survives_whatever_stands_around_it(
        digits in cards(),
        lead in "(order number|serial|flight|extension|price|tracking|version|my|the code|[$]|at|call me on)",
        tail in "(dollars|please|percent|is the order|pm|)",
        separator in "[ ./,_-]?",
    ) {
        let card: Vec<String> = digits.chunks(4).map(|group| group.iter().map(ToString::to_string).collect()).collect();
        let text = format!("{lead} {} {tail}", card.join(&separator));
        let out = said(&[(Track::Inbound, text, 0)]);
        prop_assert!(!out.contains(&digits[..4].iter().map(ToString::to_string).collect::<String>()), "{out}");
    }

    #[test]
    fn a_text_without_digits_is_released_unchanged_at_once(words in prop::collection::vec(prop::sample::select(PLAIN), 0..12)) {
        let text = words.join(" ");
        let mut gate = Gate::new(GateSettings::default(), [7; 32]);
        gate.handle_final(final_on(Track::Inbound, &text, 0), crate::clock::now());
        let Some(Out::Release(release)) = gate.poll_output() else { return Err(TestCaseError::fail("held")) };
        prop_assert_eq!(release.segment.text.as_str(), text);
        prop_assert_eq!(gate.poll_timeout(), None);
    }

    #[test]
    fn no_text_breaks_the_search(texts in prop::collection::vec("\\PC{0,60}", 1..5)) {
        let finals: Vec<_> = texts.into_iter().map(|text| (Track::Inbound, text, 300)).collect();
        prop_assert!(!said(&finals).contains(REDACTION_FAILED));
    }
}

fn check(way: &Way, policy: Policy) -> Result<(), TestCaseError> {
    let finals = finals(way);
    let digits: String = way.digits.iter().map(ToString::to_string).collect();
    // What the operator wants shown: the last four or a hash, in the placeholder.
    let out = said_under(policy, &finals).replace(&format!(":{}]", &digits[digits.len() - 4..]), "]");
    let hashed =
        |rest: &str| rest.len() > 8 && rest[8..].starts_with(']') && rest[..8].bytes().all(|byte| byte.is_ascii_hexdigit());
    let (first, rest) = out.split_once(':').unwrap_or((&out, ""));
    let shown = rest.split(':').map(|rest| if hashed(rest) { &rest[8..] } else { rest });
    let out: String = std::iter::once(first).chain(shown).collect();
    let heard = heard(&out);
    for at in 0..=digits.len() - 4 {
        prop_assert!(!heard.contains(&digits[at..at + 4]), "{} in {out:?}\nof {finals:?}", &digits[at..at + 4]);
    }
    Ok(())
}

/// The finals of both parties: whose, what, how long after the one before.
fn finals(way: &Way) -> Vec<(Track, String, u64)> {
    let mut finals = Vec::new();
    let mut text = LEADS[way.lead].to_owned();
    let mut pauses = way.pauses.iter().copied();
    let mut pause = || pauses.next().unwrap_or(500);
    for (index, word) in spoken(&way.digits, &way.styles).into_iter().enumerate() {
        if let Some(filler) = way.fillers[index % 20] {
            text.extend([" ", FILLERS[filler]]);
        }
        text.extend([" ", word.as_str()]);
        if way.cuts[index % 20] {
            finals.push((Track::Inbound, std::mem::take(&mut text).trim().to_owned(), pause()));
            if let Some(nod) = way.nods[index % 20] {
                finals.push((Track::Outbound, NODS[nod].to_owned(), pause()));
            }
        }
    }
    text.extend([" ", TAILS[way.tail]]);
    finals.push((Track::Inbound, text.trim().to_owned(), pause()));
    if way.upper {
        for (_, text, _) in &mut finals {
            *text = text.to_uppercase();
        }
    }
    finals
}

/// The words for digits, each chosen by a style: a word, a written digit, a group, a pair, a double.
fn spoken(digits: &[u8], styles: &[u8]) -> Vec<String> {
    let mut words = Vec::new();
    let (mut at, mut style) = (0, styles.iter().cycle());
    while at < digits.len() {
        let next = digits.get(at + 1).copied();
        let one = usize::from(digits[at]);
        let (word, taken) = match (style.next(), next) {
            (Some(1), _) => (digits[at].to_string(), 1),
            (Some(2), _) => {
                let group = &digits[at..(at + 4).min(digits.len())];
                (group.iter().map(ToString::to_string).collect(), group.len())
            }
            (Some(3), Some(0)) if one >= 2 => (TENS[one].to_owned(), 2),
            (Some(3), Some(two)) if one >= 2 => (format!("{} {}", TENS[one], WORDS[usize::from(two)]), 2),
            (Some(3), Some(two)) if one == 1 => (TEENS[usize::from(two)].to_owned(), 2),
            (Some(4), Some(two)) if two == digits[at] => (format!("double {}", WORDS[one]), 2),
            (Some(5), _) if one == 0 && at > 1 => ("oh".to_owned(), 1),
            _ => (WORDS[one].to_owned(), 1),
        };
        words.push(word);
        at += taken;
    }
    words
}

/// Everything that the gate lets out of a call, each final with its words and sentences, in order.
fn said(finals: &[(Track, String, u64)]) -> String {
    said_under(Policy::default(), finals)
}

fn said_under(policy: Policy, finals: &[(Track, String, u64)]) -> String {
    let settings = GateSettings { policy: Arc::new(policy), ..GateSettings::default() };
    let mut gate = Gate::new(settings, [7; 32]);
    let mut now = crate::clock::now();
    let mut out = [String::new(), String::new(), String::new()];
    let (mut at_ms, begin) = (0, now);
    for (track, text, pause) in finals {
        now += Duration::from_millis(*pause);
        while let Some(deadline) = gate.poll_timeout().filter(|deadline| *deadline <= now) {
            gate.handle_timeout(deadline);
            drain(&mut gate, &mut out);
        }
        at_ms += pause;
        gate.handle_final(in_words(*track, text, at_ms), begin + Duration::from_millis(at_ms));
        drain(&mut gate, &mut out);
    }
    gate.handle_end(now);
    drain(&mut gate, &mut out);
    out.join(" | ")
}

fn drain(gate: &mut Gate, out: &mut [String; 3]) {
    while let Some(next) = gate.poll_output() {
        let Out::Release(release) = next else { continue };
        if release.segment.key.track == Track::Outbound {
            continue;
        }
        out[0].extend([" ", release.segment.text.as_str()]);
        for word in &release.segment.words {
            out[1].extend([" ", word.text.as_str()]);
        }
        for utterance in &release.segment.utterances {
            out[2].extend([" ", utterance.text.as_str()]);
        }
    }
}

fn in_words(track: Track, text: &str, start_ms: u64) -> Segment<Unredacted> {
    let word = |word: &str| Word {
        text: Unredacted::new(word),
        start_ms,
        end_ms: start_ms,
        confidence: Some(0.9),
        speaker: String::new(),
        speaker_confidence: None,
        redacted: false,
    };
    // A service may give several words as one.
    let tokens: Vec<&str> = text.split_whitespace().collect();
    let words = tokens.chunks(1 + text.len() % 3).map(|chunk| word(&chunk.join(" "))).collect();
    let utterance = Utterance { text: Unredacted::new(text), start_ms, end_ms: start_ms, speaker: String::new() };
    Segment { words, utterances: vec![utterance], ..final_on(track, text, start_ms) }
}

/// The digits that a listener would write down; anything taken out parts them.
fn heard(out: &str) -> String {
    let mut digits = String::new();
    let lower = out.to_lowercase();
    let mut double = false;
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric() && !"[_]|".contains(c)).filter(|word| !word.is_empty()).collect();
    for (index, word) in words.iter().enumerate() {
        let before = digits.len();
        if word.starts_with('[') || *word == "|" {
            digits.push('#');
        } else if let Some(value) = WORDS.iter().position(|known| known == word) {
            digits.push_str(&value.to_string());
        } else if let Some(value) = TEENS.iter().position(|known| known == word) {
            digits.push_str(&(value + 10).to_string());
        } else if let Some(value) = TENS.iter().position(|known| known == word) {
            let pair = words.get(index + 1).is_some_and(|next| WORDS[1..].contains(next));
            digits.push_str(&value.to_string());
            digits.push_str(if pair { "" } else { "0" });
        } else if *word == "oh" {
            digits.push('0');
        } else {
            digits.extend(word.chars().filter(char::is_ascii_digit));
        }
        if double && digits.len() > before {
            let last = digits[before..=before].to_owned();
            digits.insert_str(before, &last);
        }
        double = *word == "double";
    }
    digits
}
