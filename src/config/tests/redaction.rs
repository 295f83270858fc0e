//! What the operator chooses about redaction.

use super::*;

const CHOSEN: &str = r#"
[redaction]
types = ["pci", "phone", "-expiry"]
allow = ["800 555 1234"]
hash_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

[redaction.mode]
PHONE = "hash"
credit_card = "last4"

[redaction.deny]
PERSON = ["hunter2", "Acme Holdings"]

[redaction.patterns]
MEMBER_ID = 'hunter2-\d{6}'
"#;

#[test]
fn what_is_chosen_is_shown_without_key_lists_and_patterns() {
    let config = from_file(CHOSEN).unwrap();
    let lines = config.effective();
    let shown = |path: &str| lines.iter().find(|line| line.key == path).map(|line| line.value.as_str()).unwrap_or_default();
    assert_eq!(shown("redaction.types"), "pci,phone,-expiry");
    assert_eq!(shown("redaction.mode"), "PHONE = hash, credit_card = last4");
    assert_eq!(shown("redaction.hash_key"), "…Hh8=");
    assert_eq!(shown("redaction.allow"), "1 set");
    assert_eq!(shown("redaction.deny"), "PERSON: 2 set");
    assert_eq!(shown("redaction.patterns"), "MEMBER_ID");
    let debug = format!("{config:?} {:?}", config.redaction.gate());
    let all = lines.iter().map(|line| format!("{} {}", line.key, line.value)).collect::<Vec<_>>().join(" ") + &debug;
    assert!(!all.contains("hunter2") && !all.contains("AAEC") && !all.contains("800 555"), "{all}");
}

#[test]
fn what_cannot_be_kept_is_one_line_with_its_place() {
    let cases = [
        ("[redaction]\ntypes = [\"-cvv\"]", r#"2: redaction.types has "-cvv": CVV cannot be left in a text; take it out"#),
        (
            "[redaction]\n\nmode = { SSN = \"hash\" }",
            r#"3: redaction.mode has "hash", but no key to hash with: set redaction.hash_key (PULSE_BRIDGE_REDACTION_HASH_KEY)"#,
        ),
        ("[redaction]\nmode = \"hash\"", "2: redaction.mode must be a table of names and values"),
        ("[redaction.mode]\nSSN = [\"hash\"]", "1: redaction.mode.SSN must be one value, not a list or table"),
        ("[redaction.patterns]\nX = \"(hunter2\"", "1: redaction.patterns X: is no regular expression: unclosed group"),
        ("[redaction]\ndeny = [\"x\"]", "2: redaction.deny must be a table of names and lists of texts"),
        (
            "[redaction.deny]\nPERSON = \"x, y\"\nTEAM = [\"x\"]",
            r#"1: redaction.deny has "TEAM", which is no type; did you mean "#,
        ),
        ("[redaction]\nallow = [\"4111 1111 1111 1111\"]", "2: redaction.allow item 1 is a card number"),
    ];
    for (text, expected) in cases {
        let error = from_file(text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("pulse-bridge.toml:{expected}")) && !error.contains("hunter2"), "{error}");
    }
    let error = from_env(&[("PULSE_BRIDGE_REDACTION_TYPES", "pci,-pin")]).unwrap_err().to_string();
    assert!(error.starts_with(r#"PULSE_BRIDGE_REDACTION_TYPES: redaction.types has "-pin": PIN cannot"#), "{error}");
}

#[test]
fn hashed_social_security_numbers_are_warned_of() {
    let text = "[redaction]\nmode = { SSN = \"hash\" }\nhash_key = \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"";
    let warns = |text: &str| from_file(text).unwrap().warnings().iter().any(|line| line.starts_with("redaction.mode hashes SSN"));
    assert!(warns(text));
    assert!(!warns(&text.replace("SSN", "PHONE")));
}
