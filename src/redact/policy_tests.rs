use secrecy::SecretString;

use super::{tests::*, *};

/// Base64 of 32 bytes.
pub(super) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[test]
fn a_type_that_is_off_stays_and_is_remembered_as_nothing() {
    let mut call = Call::with(types(&["-phone", "-PERSON"]));
    assert_eq!(call.says(IN, "call 555 321 9800 bye."), ["call 555 321 9800 bye."]);
    assert_eq!(call.says(IN, "my social is 123 45 6789 there."), ["my social is [SSN_1] there."]);
    assert_eq!(call.says(OUT, "so 9800 soon and 6789 bye."), ["so 9800 soon and [SSN_1] bye."]);
}

#[test]
fn a_list_names_what_is_taken_out_and_card_data_always_is() {
    let said = "social 123 45 6789, cvv 927, phone 555 123 4567, card 4111 1111 1111 1111, pin 4816 bye";
    let after = |words: &[&str]| Call::with(types(words)).says(IN, said).concat();
    let pci = "social 123 45 6789, cvv [CVV_1], phone 555 123 4567, card [CREDIT_CARD_1], pin [PIN_1] bye";
    assert_eq!(after(&["pci"]), pci);
    assert_eq!(after(&["expiry"]), pci);
    assert_eq!(after(&["ssn"]), pci.replace("123 45 6789", "[SSN_1]"));
    assert_eq!(after(&["numbers", "-phone"]), pci.replace("123 45 6789", "[SSN_1]"));
    let all = pci.replace("123 45 6789", "[SSN_1]").replace("555 123 4567", "[PHONE_1]");
    assert!([vec!["pii"], vec!["numbers"], vec![]].iter().all(|words| after(words) == all));
}

#[test]
fn a_number_as_long_as_a_card_that_was_misheard_goes_where_numbers_stay() {
    let after = |said: &str| Call::with(types(&["pci"])).says(IN, said).concat();
    assert_eq!(after("it is 4111 1111 1111 1112 bye"), "it is [NUMBER_1] bye");
    assert_eq!(after("it is 4111 1111 bye"), "it is 4111 1111 bye");
}

#[test]
fn an_end_that_may_become_a_card_is_held_whatever_is_off() {
    let mut call = Call::with(types(&["pci"]));
    assert_eq!(call.says(IN, "my phone is 411 111 1111"), NOTHING);
    assert_eq!(call.says(IN, "11 11 11 okay"), ["my phone is [CREDIT_CARD_1]", "[CREDIT_CARD_1] okay"]);

    let mut call = Call::with(types(&["pci"]));
    assert_eq!(call.says(IN, "my phone is 411 111 1111"), NOTHING);
    assert_eq!(call.waits(Duration::from_secs(6)), ["my phone is [NUMBER_1]"]);
    assert_eq!(call.says(IN, "11 11 11 okay"), ["[NUMBER_1] okay"]);
    assert_eq!(call.says(OUT, "so 4111, right?"), ["so [NUMBER_1], right?"], "what was taken out stays out");

    let mut call = Call::with(types(&["pci"]));
    assert_eq!(call.says(IN, "my phone is 555 123 4567"), NOTHING);
    assert_eq!(call.ends(), ["my phone is 555 123 4567"], "nothing follows");
}

#[test]
fn a_card_inside_something_that_stays_goes_all_the_same() {
    let mut call = Call::with(types(&["-email", "-date_of_birth"]));
    assert_eq!(call.says(IN, "mail 4111111111111111@example.com bye"), ["mail [CREDIT_CARD_1]@example.com bye"]);
    assert_eq!(call.says(IN, "born may 4 4111 1111 1111 1111 bye"), ["born may [CREDIT_CARD_2] bye"]);
    let mut call = Call::with(allowing(&["4111111111111111@example.com"]));
    assert_eq!(call.says(IN, "mail 4111111111111111@example.com bye"), ["mail [CREDIT_CARD_1]@example.com bye"]);
}

#[test]
fn a_removed_value_leaves_no_hole_and_a_record() {
    let release =
        released_under(modes(&[("PHONE", "remove")]), worded("call 555 1234567 now", &["call", "555", "1234567", "now"]));
    assert_eq!(release.segment.text.as_str(), "call now");
    let words: Vec<_> = release.segment.words.iter().map(|word| (word.text.as_str(), word.redacted)).collect();
    assert_eq!(words, [("call", false), ("", true), ("now", false)]);
    assert_eq!((release.redactions[0].kind.as_str(), release.redactions[0].label.as_str()), ("PHONE", ""));
}

#[test]
fn a_hash_is_the_same_in_every_call_and_for_a_part_of_its_value() {
    let hashed = || Call::with(hashing(&[("numbers", "hash")], KEY));
    let text = hashed().says(IN, "my phone 555 123 4567, and cvv 927 and pin 4816 bye").concat();
    let label = text.split(' ').nth(2).expect("a third word").trim_end_matches(',').to_owned();
    assert_eq!(text, format!("my phone {label}, and cvv [CVV_1] and pin [PIN_1] bye"));
    assert!(label.len() == "[PHONE:9f3a12bc]".len() && label.starts_with("[PHONE:"), "{label}");

    let mut other = Call { gate: Gate::new(settings(hashing(&[("PHONE", "hash")], KEY)), [9; 32]), ..hashed() };
    assert_eq!(other.says(OUT, "one five five five one two three four five six seven bye"), [format!("{label} bye")]);
    assert_eq!(other.says(IN, "yes 4567, thanks"), [format!("yes {label}, thanks")]);
    let another = KEY.replace('A', "B");
    let keyed = Call::with(hashing(&[("PHONE", "hash")], &another)).says(IN, "call 555 123 4567, bye").concat();
    assert!(!keyed.contains(&label), "{keyed}");
}

#[test]
fn what_is_not_known_whole_is_numbered_and_not_hashed() {
    let mut call = Call::with(hashing(&[("pii", "hash")], KEY));
    assert_eq!(call.says(IN, "my social is 123"), NOTHING);
    assert_eq!(call.waits(Duration::from_secs(6)), ["my social is [SSN_1]"]);
    assert_eq!(call.says(IN, "45 6789 okay"), ["[SSN_1] okay"]);
}

#[test]
fn the_last_digits_show_of_a_whole_right_card_alone() {
    let last4 = || Call::with(modes(&[("CREDIT_CARD", "last4")]));
    assert_eq!(last4().says(IN, "card 4242 4242 4242 4242, bye"), ["card [CREDIT_CARD_1:4242], bye"]);
    assert_eq!(last4().says(IN, "card 4242 4242 4242 4243, bye"), ["card [CREDIT_CARD_1], bye"], "its check fails");
    assert_eq!(last4().says(IN, "card 4242 4242 4242 4242 99, bye"), ["card [CREDIT_CARD_1], bye"], "more than a number");
    let mut cut = last4();
    assert_eq!(cut.says(IN, "card 4242 4242"), NOTHING);
    assert_eq!(cut.says(IN, "4242 4242, bye"), ["card [CREDIT_CARD_1]", "[CREDIT_CARD_1], bye"]);
    assert_eq!(cut.says(OUT, "4242 4242 4242 4242, yes?"), ["[CREDIT_CARD_1:4242], yes?"]);
    assert_eq!(cut.says(OUT, "ending in 4242, yes?"), ["ending in [CREDIT_CARD_1], yes?"]);
    let release = released_under(modes(&[("CREDIT_CARD", "last4")]), worded("4242424242424242 ok", &["4242424242424242", "ok"]));
    assert_eq!(release.segment.words[0].text.as_str(), release.redactions[0].label);
}

#[test]
fn a_later_life_of_a_call_goes_on_behind_labels_of_every_mode() {
    let gate = Gate::new(settings(modes(&[("CREDIT_CARD", "last4")])), [7; 32]);
    let mut call = Call { gate: gate.behind(["[CREDIT_CARD_2:4242]", "[PHONE:12345678]", ""]), ..Call::new() };
    let said = "card 4242 4242 4242 4242, phone 555 123 4567, bye";
    assert_eq!(call.says(IN, said), ["card [CREDIT_CARD_3:4242], phone [PHONE_1], bye"]);
}

#[test]
fn what_is_listed_to_stay_stays_however_it_is_said() {
    let mut call = Call::with(allowing(&["eight hundred five five five, one two three four", "Ann@Example.com"]));
    assert_eq!(call.says(OUT, "call 800 555 1235, bye"), ["call [PHONE_1], bye"]);
    for said in ["call 800-555-1234, bye", "call eight hundred triple five one two three four, bye", "mail ann@example.com, bye"]
    {
        assert_eq!(call.says(OUT, said), [said]);
    }
    assert_eq!(call.says(OUT, "mail ann at example dot com, bye"), ["mail ann at example dot com, bye"]);
    let mut call = Call::with(allowing(&["series 4200 9911"]));
    assert_eq!(call.says(OUT, "the Series 4200-9911, or 4200 9911, bye"), ["the Series 4200-9911, or [NUMBER_1], bye"]);
}

#[test]
fn no_list_frees_a_card_a_code_or_what_repeats_a_value() {
    let mut call = Call::with(allowing(&["927", "4242", "pin 4816"]));
    assert_eq!(
        call.says(IN, "cvv 927, pin 4816, card 4242 4242 4242 4242, bye"),
        ["cvv [CVV_1], pin [PIN_1], card [CREDIT_CARD_1], bye"]
    );
    assert_eq!(call.says(OUT, "so it ends in 4242, bye"), ["so it ends in [CREDIT_CARD_1], bye"]);
}

#[test]
fn what_is_listed_to_go_goes_as_its_type_also_cut_over_finals() {
    let deny = [("PERSON".to_owned(), list(&["Blue Harbor", "Widget"])), ("number".to_owned(), list(&["one two three"]))];
    let policy = || Policy::new(&Choices { deny: &deny, ..Choices::default() }).expect("a policy");
    let mut call = Call::with(policy());
    assert_eq!(call.says(IN, "I work at BLUE uh Harbor, widget's firm."), ["I work at [PERSON_1], [PERSON_2] firm."]);
    assert_eq!(call.says(IN, "line 1-2-3 there"), ["line [NUMBER_1] there"]);
    assert_eq!(call.says(IN, "it is blue"), NOTHING);
    assert_eq!(call.says(IN, "harbor again"), ["it is [PERSON_1]", "[PERSON_1] again"]);
    assert_eq!(call.says(IN, "they have a blue"), NOTHING);
    assert_eq!(call.says(IN, "no longer"), ["they have a blue", "no longer"]);
    let release = released_under(policy(), worded("for Widget", &["for", "Widget"]));
    assert_eq!(release.redactions[0].why.reason, Reason::Denied);
}

#[test]
fn a_pattern_takes_out_what_it_fits_under_its_own_name() {
    let policy =
        |pairs: &[(&str, &str)]| Policy::new(&Choices { patterns: &pairs_of(pairs), ..Choices::default() }).expect("a policy");
    let member = || policy(&[("MEMBER_ID", r"\bab-\d{4}\b"), ("PHONE", r"desk \d+")]);
    let mut call = Call::with(member());
    assert_eq!(call.says(IN, "I am AB-1234, desk 12, ab-9999 bye."), ["I am [MEMBER_ID_1], [PHONE_1], [MEMBER_ID_2] bye."]);
    assert_eq!(call.says(OUT, "Yes, ab-1234 bye."), ["Yes, [MEMBER_ID_1] bye."]);
    let release = released_under(member(), worded("AB-1234", &["AB-1234"]));
    assert_eq!(release.segment.words[0].text.as_str(), "[MEMBER_ID_1]");
    assert_eq!((release.redactions[0].kind.as_str(), release.redactions[0].why.reason), ("MEMBER_ID", Reason::Pattern));
    assert_eq!(call.gate.parameter("note", "is ab-1234").as_str(), "is [MEMBER_ID_1]");
    let mut wide = Call::with(policy(&[("FIRM", "phone .* thanks")]));
    assert_eq!(wide.says(IN, "my phone 555 123 4567 thanks"), ["my [FIRM_1]"], "the wider one wins");
    let mut blind = Call::with(policy(&[("ANYTHING", "name|phone|[0-9]")]));
    assert_eq!(blind.says(IN, "I am [FIRSTNAME_4]."), ["I am [PERSON_1]."], "no look into a placeholder");
    let mut code = Call::with(policy(&[("FIRM", "cvv 927 thanks")]));
    assert_eq!(code.says(IN, "so cvv 927 thanks"), ["so [CVV_1]"], "a code is a code");
}

#[test]
fn an_interim_shows_nothing_that_is_listed_or_fits_a_pattern() {
    let deny = [("PERSON".to_owned(), list(&["Acme"]))];
    let choices = Choices { deny: &deny, patterns: &pairs_of(&[("FRUIT", "apple")]), ..Choices::default() };
    let policy = Arc::new(Policy::new(&choices).expect("a policy"));
    let mut gate = Gate::new(GateSettings { interims: true, policy, ..GateSettings::default() }, [7; 32]);
    gate.handle_interim(final_on(IN, "acme apple pie", 0), crate::clock::now());
    let Some(Out::Interim(interim)) = gate.poll_output() else { panic!("an interim") };
    assert_eq!(interim.text.as_str(), "[PERSON] [FRUIT] pie");
}

#[test]
fn a_choice_that_cannot_be_kept_is_refused_with_its_key_and_nothing_secret() {
    let long = "x".repeat(1001);
    let hash = || vec![("PHONE", "hash")];
    let cases: Vec<(Chosen, &str)> = vec![
        (Chosen { types: &["-cvv"], ..CHOSEN }, r#"redaction.types has "-cvv": CVV cannot be left in a text; take it out"#),
        (Chosen { types: &["-pci"], ..CHOSEN }, r#"redaction.types has "-pci": CREDIT_CARD cannot be left"#),
        (
            Chosen { types: &["persn"], ..CHOSEN },
            r#"redaction.types has "persn", which is no type or group; did you mean "person"?"#,
        ),
        (
            Chosen { mode: vec![("PHONE", "hahs")], ..CHOSEN },
            r#"redaction.mode has PHONE = "hahs"; it must be one of mask, remove, hash, last4; did you mean "hash"?"#,
        ),
        (Chosen { mode: vec![("pin", "remove")], ..CHOSEN }, r#"redaction.mode has pin = "remove": PIN is always masked"#),
        (Chosen { mode: vec![("CVV", "hash")], ..CHOSEN }, "redaction.mode has CVV"),
        (
            Chosen { mode: vec![("PASSWORD", "hash")], key: KEY, ..CHOSEN },
            r#"redaction.mode has PASSWORD = "hash": PASSWORD cannot be hashed"#,
        ),
        (Chosen { mode: vec![("pci", "last4")], ..CHOSEN }, r#"redaction.mode has pci = "last4": CVV is always masked"#),
        (Chosen { mode: vec![("SSN", "last4")], ..CHOSEN }, r#"redaction.mode has SSN = "last4": SSN cannot show last digits"#),
        (Chosen { mode: hash(), ..CHOSEN }, r#"redaction.mode has "hash", but no key to hash with: set redaction.hash_key"#),
        (Chosen { mode: hash(), key: "aHVudGVyMg==", ..CHOSEN }, "redaction.hash_key must be base64 of at least 32 bytes"),
        (Chosen { mode: hash(), key: "hunter2 is not base64", ..CHOSEN }, "redaction.hash_key must be base64"),
        (Chosen { allow: &["ok", "hunter2 4111 1111 1111 1111"], ..CHOSEN }, ""),
        (Chosen { allow: &["ok", "4111 1111 one one one one 1111"], ..CHOSEN }, "redaction.allow item 2 is a card number"),
        (Chosen { allow: &["!"], ..CHOSEN }, "redaction.allow item 1 has neither a letter nor a digit"),
        (Chosen { deny: &["PERSN"], ..CHOSEN }, r#"redaction.deny has "PERSN", which is no type; did you mean "PERSON"?"#),
        (
            Chosen { patterns: vec![("MINE", "hunter2(")], ..CHOSEN },
            "redaction.patterns MINE: is no regular expression: unclosed group",
        ),
        (Chosen { patterns: vec![("MINE", "(hunter2?)*")], ..CHOSEN }, "redaction.patterns MINE: fits the empty text"),
        (Chosen { patterns: vec![("MINE", r"(\pL{900}){900}")], ..CHOSEN }, "redaction.patterns MINE: is too large"),
        (Chosen { patterns: vec![("MINE", &long)], ..CHOSEN }, "redaction.patterns MINE: has more than 1000 bytes"),
        (Chosen { patterns: vec![("Mine", "x")], ..CHOSEN }, r#"redaction.patterns has "Mine"; a name is"#),
    ];
    for (chosen, expected) in cases {
        match chosen.policy() {
            Ok(_) => assert!(expected.is_empty(), "{expected}"),
            Err(refused) => {
                assert!(refused.what.starts_with(expected) && !expected.is_empty(), "{}", refused.what);
                assert!(refused.what.starts_with(refused.key), "{refused:?}");
                assert!(!refused.what.contains('\n') && !refused.what.contains("hunter2"), "{}", refused.what);
            }
        }
    }
}

#[test]
fn a_group_passes_over_what_cannot_take_its_mode_and_a_narrow_word_wins() {
    let policy = hashing(&[("pii", "hash"), ("numbers", "remove"), ("PHONE", "mask"), ("ssn", "hash")], KEY);
    let mut call = Call::with(policy.clone());
    let said = "ann@example.com, routing 123 456 780, cvv 927, and my phone 555 123 4567 bye";
    let text = call.says(IN, said).concat();
    assert!(text.starts_with("[EMAIL:") && text.ends_with(", routing, cvv [CVV_1], and my phone [PHONE_1] bye"), "{text}");
    assert_eq!(policy.warnings().len(), 1, "SSN is hashed");
    assert!(Policy::default().warnings().is_empty());
}

#[test]
fn settings_in_debug_output_show_neither_key_nor_list_nor_pattern() {
    let deny = [("PERSON".to_owned(), list(&["hunter2"]))];
    let choices = Choices {
        mode: &pairs_of(&[("PHONE", "hash")]),
        allow: &list(&["hunter2"]),
        deny: &deny,
        patterns: &pairs_of(&[("MINE", "hunter2")]),
        hash_key: Some(&SecretString::from(KEY)),
        ..Choices::default()
    };
    let shown = format!("{:?}", settings(Policy::new(&choices).expect("a policy")));
    assert!(shown.contains("Phone, Hash"), "{shown}");
    assert!(!shown.contains("hunter2") && !shown.contains("AAEC") && !shown.contains("0, 1, 2, 3"), "{shown}");
}

#[test]
fn a_final_that_would_take_too_long_to_search_is_withheld_and_the_next_is_not() {
    let mut call = Call::new();
    let longest = "la ".repeat(window::MAX_TOKENS);
    assert_eq!(call.says(IN, &longest), [longest.as_str()]);
    assert_eq!(call.says(IN, "hello"), ["hello"], "what is out does not count for ever");
    assert_eq!(call.says(IN, &format!("{longest} la")), [REDACTION_FAILED]);
    assert_eq!(call.notes, [Note::Failed]);
    assert_eq!(call.says(IN, "hello"), ["hello"]);
    assert_eq!(call.gate.parameter("note", &"la ".repeat(window::MAX_TOKENS)).as_str(), REDACTION_FAILED);
}

/// Choices as a test writes them.
#[derive(Clone)]
struct Chosen<'a> {
    types: &'a [&'a str],
    mode: Vec<(&'a str, &'a str)>,
    allow: &'a [&'a str],
    deny: &'a [&'a str],
    patterns: Vec<(&'a str, &'a str)>,
    key: &'a str,
}

const CHOSEN: Chosen<'static> = Chosen { types: &[], mode: Vec::new(), allow: &[], deny: &[], patterns: Vec::new(), key: "" };

impl Chosen<'_> {
    fn policy(&self) -> Result<Policy, Refused> {
        let key = SecretString::from(self.key);
        Policy::new(&Choices {
            types: &list(self.types),
            mode: &pairs_of(&self.mode),
            allow: &list(self.allow),
            deny: &self.deny.iter().map(|word| ((*word).to_owned(), list(&["x"]))).collect::<Vec<_>>(),
            patterns: &pairs_of(&self.patterns),
            hash_key: (!self.key.is_empty()).then_some(&key),
        })
    }
}

fn list(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn pairs_of(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn types(words: &[&str]) -> Policy {
    Chosen { types: words, ..CHOSEN }.policy().expect("a policy")
}

fn modes(pairs: &[(&str, &str)]) -> Policy {
    Chosen { mode: pairs.to_vec(), ..CHOSEN }.policy().expect("a policy")
}

fn hashing(pairs: &[(&str, &str)], key: &str) -> Policy {
    Chosen { mode: pairs.to_vec(), key, ..CHOSEN }.policy().expect("a policy")
}

fn allowing(entries: &[&str]) -> Policy {
    Chosen { allow: entries, ..CHOSEN }.policy().expect("a policy")
}

fn settings(policy: Policy) -> GateSettings {
    GateSettings { policy: Arc::new(policy), ..GateSettings::default() }
}

fn released_under(policy: Policy, segment: Segment<Unredacted>) -> Release {
    let mut gate = Gate::new(settings(policy), [7; 32]);
    gate.handle_final(segment, crate::clock::now());
    gate.handle_end(crate::clock::now());
    let mut outputs = std::iter::from_fn(|| gate.poll_output());
    outputs.find_map(|out| if let Out::Release(release) = out { Some(release) } else { None }).expect("a release")
}
