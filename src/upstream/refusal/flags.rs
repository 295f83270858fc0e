//! Which of the parameters that were asked for a plan does not have, as far as the service's answer tells.
//!
//! Promises: only what was asked for is named; where the answer names nothing, every add-on that was asked for is.

use std::fmt;

use crate::upstream::Parameters;

/// What a plan may lack (protocols/pulse.md section 4, notes), and other words for it.
const ADD_ONS: [(&str, &[&str]); 5] = [
    ("redact_pii", &["pii"]),
    ("redact_pci", &["pci"]),
    ("diarize", &["diarization", "diarisation", "speakers"]),
    ("emotion_detection", &["emotion", "emotions"]),
    ("gender_detection", &["gender"]),
];

/// Parameters that a plan refuses. `Display` is what to do about them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    names: Vec<&'static str>,
    /// The service itself named them.
    certain: bool,
}

impl Flags {
    /// Those of `asked` that this answer speaks of.
    #[must_use]
    pub fn named_by(body: &str, asked: &Parameters) -> Self {
        let bare = |word: &str| word.replace('_', "").to_ascii_lowercase();
        let words: Vec<String> = body.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(bare).collect();
        let says = |name: &str| words.contains(&bare(name));
        let add_ons = || ADD_ONS.iter().filter(|(name, _)| asked.get(name) == Some("true"));
        let spoken_of = add_ons().filter(|(name, others)| says(name) || others.iter().any(|other| says(other)));
        let mut names: Vec<&str> = spoken_of.map(|(name, _)| *name).collect();
        // A name of one word, such as "language", may mean anything.
        let is_other =
            |name: &&str| name.contains('_') && asked.get(name).is_some_and(|value| value != "false") && !names.contains(name);
        let others: Vec<&str> = asked.names().filter(is_other).filter(|name| says(name)).collect();
        names.extend(others);
        if names.is_empty() {
            Self { names: add_ons().map(|(name, _)| *name).collect(), certain: false }
        } else {
            Self { names, certain: true }
        }
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<String> = self.names.iter().map(|name| format!("upstream.{name}")).collect();
        match paths.as_slice() {
            [] => f.write_str("switch that parameter off under [upstream]"),
            [one] => write!(f, "switch off {one}"),
            several if self.certain => write!(f, "switch off {}", several.join(" and ")),
            several => write!(f, "switch off one of {}", several.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Refusal;

    fn advice(body: &str, off: &[&str], on: &[&str]) -> String {
        let mut asked = Parameters::default();
        off.iter().for_each(|name| asked.set(name, "false").unwrap());
        on.iter().for_each(|name| asked.set(name, "true").unwrap());
        Flags::named_by(body, &asked).to_string()
    }

    #[test]
    fn each_form_of_the_answer_names_the_flag() {
        for body in [
            r#"{"error":"forbidden: the plan does not include redact_pii"}"#,
            r#"{"message":"`redact_pii` needs the redaction add-on"}"#,
            r#"{"error":{"code":"ADD_ON","message":"redactPii is an enterprise feature"}}"#,
            r#"{"errors":["redact-pii: not in your plan"],"request_id":"r"}"#,
            r#"{"error_code":"PII_REDACTION","message":"PII redaction is not enabled for this account"}"#,
            "Plan lacks REDACT_PII",
        ] {
            assert_eq!(advice(body, &[], &[]), "switch off upstream.redact_pii", "{body}");
        }
    }

    #[test]
    fn several_are_all_named_and_only_such_as_were_asked_for() {
        let body = r#"{"error":"emotion_detection, diarize and redact_pci are add-ons"}"#;
        assert_eq!(advice(body, &[], &[]), "switch off upstream.redact_pci and upstream.diarize");
        let on = advice(body, &["redact_pci", "diarize"], &["emotion_detection"]);
        assert_eq!(on, "switch off upstream.emotion_detection");
        let other = advice(r#"{"error":"sentence_timestamps is not in your plan's language"}"#, &[], &[]);
        assert_eq!(other, "switch off upstream.sentence_timestamps");
    }

    #[test]
    fn an_answer_that_names_none_leaves_the_add_ons_that_were_asked_for() {
        for body in ["", r#"{"error":"forbidden"}"#, "<html>nothing of the kind</html>"] {
            let advice = advice(body, &[], &["gender_detection"]);
            let all = "upstream.redact_pii, upstream.redact_pci, upstream.diarize, upstream.gender_detection";
            assert_eq!(advice, format!("switch off one of {all}"), "{body}");
        }
        let none = ["redact_pii", "redact_pci", "diarize"];
        assert_eq!(advice("", &none, &[]), "switch that parameter off under [upstream]");
    }

    #[test]
    fn only_a_403_is_told_by_flags() {
        let asked = Parameters::default();
        let body = br#"{"error":"no redact_pii"}"#;
        let line = |status| Refusal::from_status(status, None, body, "").naming(body, &asked).to_string();
        assert!(line(403).contains("(403: no redact_pii); switch off upstream.redact_pii or change the plan"), "{}", line(403));
        assert!(!line(401).contains("upstream.redact_pii"), "{}", line(401));
    }
}
