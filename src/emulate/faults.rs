//! How the emulator misbehaves, and on which connections.
//!
//! Promises: pure; without rules it behaves. A rule names its connections by number, by how often the same
//! `external_session_id` has connected, or by a part of that id; what it does not name it does not hold back.
//! The kinds are those of protocols/pulse.md section 11 item 8.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The plan: `{"faults":[{"attempts":[0],"session":".inbound","kind":"drop","after_bytes":80000}]}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// All rules that fit a connection hold on it.
    pub faults: Vec<Rule>,
}

/// One fault and the connections that suffer it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Which connections, counted by the server from 0 in the order of their handshakes; absent: all.
    #[serde(default)]
    pub connections: Option<Vec<u32>>,
    /// Which attempts with the same `external_session_id`, from 0; absent: all.
    #[serde(default)]
    pub attempts: Option<Vec<u32>>,
    /// A part of the `external_session_id`; absent: any.
    #[serde(default)]
    pub session: Option<String>,
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
}

/// What goes wrong. Bytes are audio bytes of the connection as they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// The handshake is refused: 429 (with `Retry-After`, in seconds, if given), 401, 403, 500, 503.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// Seconds.
        #[serde(default)]
        retry_after: Option<u32>,
    },
    /// The connection is gone without a close frame.
    Drop {
        /// When.
        after_bytes: u64,
    },
    /// A close frame, 1008 where nothing else is said.
    Close {
        /// When.
        after_bytes: u64,
        /// The close code.
        #[serde(default = "policy")]
        code: u16,
    },
    /// An error frame, then a close with 1011.
    Error {
        /// When.
        after_bytes: u64,
        /// The error's words.
        #[serde(default = "decode_failed")]
        message: String,
    },
    /// From here on it says nothing more, yet keeps the connection and takes what comes.
    Stall {
        /// When.
        after_bytes: u64,
    },
    /// Every final comes twice.
    DuplicateFinal,
    /// A final ends in the middle of a run of six or more digits; the next one begins with the others.
    SplitEntity,
    /// A final ends inside its last word; the next one begins, without a space, with the rest.
    MidWordFinal,
    /// `close_stream` brings the last final, but no `is_last` and no close.
    NeverLast,
    /// The last words come with `is_last` itself.
    TextOnLast,
    /// No answer to `keepalive`.
    PongSilence,
    /// `speaker` as a string.
    StringSpeaker,
    /// Voice activity comes after the final it should have come before.
    LateVad,
}

const fn policy() -> u16 {
    1008
}

fn decode_failed() -> String {
    "Invalid audio".to_owned()
}

impl Faults {
    /// Reads a plan.
    ///
    /// # Errors
    /// One line that says what the plan should be like.
    pub fn of_json(json: &str) -> Result<Self, String> {
        let none = |error: serde_json::Error| format!("is no fault plan ({{\"faults\":[{{\"kind\":…}}]}}): {error}");
        let given: Value = serde_json::from_str(json).map_err(none)?;
        let plan: Self = serde_json::from_str(json).map_err(none)?;
        let rules = given["faults"].as_array().into_iter().flatten();
        for (number, (given, rule)) in rules.zip(&plan.faults).enumerate() {
            rule.knows_keys_of(given).map_err(|unknown| format!("has in rule {} {unknown}", number + 1))?;
        }
        Ok(plan)
    }

    /// One fault on every connection; for tests.
    #[must_use]
    pub fn always(fault: Fault) -> Self {
        Self { faults: vec![Rule { connections: None, attempts: None, session: None, fault }] }
    }

    /// This plan and one more rule: a fault on some attempts of each session.
    #[must_use]
    pub fn and_on_attempts(mut self, attempts: &[u32], fault: Fault) -> Self {
        self.faults.push(Rule { connections: None, attempts: Some(attempts.to_vec()), session: None, fault });
        self
    }

    /// What this connection suffers.
    pub(super) fn of_connection(&self, connection: u32, attempt: u32, session: &str) -> Vec<Fault> {
        let named = |list: &Option<Vec<u32>>, number| list.as_ref().is_none_or(|list| list.contains(&number));
        let fits = |rule: &&Rule| {
            named(&rule.connections, connection)
                && named(&rule.attempts, attempt)
                && rule.session.as_ref().is_none_or(|part| session.contains(part.as_str()))
        };
        self.faults.iter().filter(fits).map(|rule| rule.fault.clone()).collect()
    }
}

impl Rule {
    /// Checks the names in the rule as it was given: flattening keeps serde from doing so, and a misspelt condition would
    /// let the rule hold everywhere.
    fn knows_keys_of(&self, given: &Value) -> Result<(), String> {
        let known = serde_json::to_value(self).expect("a rule is plain data");
        let names = |value: &Value| value.as_object().map_or_else(Vec::new, |fields| fields.keys().cloned().collect());
        let known = names(&known);
        names(given)
            .into_iter()
            .find(|name| !known.contains(name))
            .map_or(Ok(()), |unknown| Err(format!("an unknown key \"{unknown}\"; keys of this kind are: {}", known.join(", "))))
    }
}

impl Fault {
    /// After how many bytes of audio it strikes, for those that do.
    pub(super) const fn strikes_at(&self) -> Option<u64> {
        match self {
            Self::Drop { after_bytes }
            | Self::Close { after_bytes, .. }
            | Self::Error { after_bytes, .. }
            | Self::Stall { after_bytes } => Some(*after_bytes),
            Self::Refuse { .. }
            | Self::DuplicateFinal
            | Self::SplitEntity
            | Self::MidWordFinal
            | Self::NeverLast
            | Self::TextOnLast
            | Self::PongSilence
            | Self::StringSpeaker
            | Self::LateVad => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_holds_on_the_connections_it_names() {
        let plan = r#"{"faults":[{"attempts":[0],"session":".inbound","kind":"drop","after_bytes":800},{"kind":"duplicate_final"},
            {"connections":[3],"kind":"refuse","status":429,"retry_after":2}]}"#;
        let faults = Faults::of_json(plan).unwrap();
        let dropped = Fault::Drop { after_bytes: 800 };
        assert_eq!(faults.of_connection(0, 0, "CA1.inbound"), [dropped, Fault::DuplicateFinal]);
        assert_eq!(faults.of_connection(1, 0, "CA1.outbound"), [Fault::DuplicateFinal]);
        assert_eq!(faults.of_connection(2, 1, "CA1.inbound"), [Fault::DuplicateFinal]);
        assert_eq!(faults.of_connection(3, 2, "")[1], Fault::Refuse { status: 429, retry_after: Some(2) });
    }

    #[test]
    fn a_plan_that_is_none_is_refused() {
        for bad in [
            "[]",
            r#"{"faults":[{"kind":"explode"}]}"#,
            r#"{"fault":[]}"#,
            r#"{"faults":[{"atempts":[0],"kind":"never_last"}]}"#,
            r#"{"faults":[{"kind":"stall","after_bytes":1,"code":1008}]}"#,
        ] {
            assert!(Faults::of_json(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Faults::of_json(r#"{"faults":[{"kind":"late_vad"},{"atempts":[0],"kind":"never_last"}]}"#).unwrap_err(),
            r#"has in rule 2 an unknown key "atempts"; keys of this kind are: attempts, connections, kind, session"#
        );
    }

    #[test]
    fn without_a_plan_nothing_goes_wrong() {
        assert_eq!(Faults::default().of_connection(0, 0, ""), []);
    }
}
