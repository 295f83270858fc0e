//! One call's finals as a line of JSON in, the same redacted out: what `pulse-bridge redact` does with a line.
//!
//! Promises: pure; the same gate as a call's on the line, its finals 1.5 s apart; nothing comes out but the call's id as it
//! came, speakers' names that name nobody, clean texts and what was taken out of them; an error holds no word.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use serde::{Deserialize, Deserializer, Serialize};

use super::{Gate, GateSettings, Note, Out};
use crate::{
    media::Track,
    pii::Unredacted,
    segment::{Release, Role, Segment, TrackKey},
};

/// How far the finals of a call are apart, which have no times of their own.
const APART_MS: u64 = 1_500;
/// How long each of them is.
const LONG_MS: u64 = 1_000;
/// Who speaks keys.
const KEYS: &str = "dtmf";
/// Names of speakers that say what they do and not who they are; also with a number behind them.
const PARTS: [&str; 16] = [
    "caller",
    "agent",
    KEYS,
    "speaker",
    "spk",
    "party",
    "channel",
    "inbound",
    "outbound",
    "customer",
    "client",
    "user",
    "assistant",
    "bot",
    "ivr",
    "supervisor",
];
/// Digits of such a number, at most.
const MAX_NUMBER: usize = 2;
/// Stands for a key, as many as were pressed.
const MASKED_KEY: char = '*';

/// A line that is no call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It is cut off, or something else.
    #[error("it is not JSON")]
    NotJson,
    /// It lacks something, or has it in another form.
    #[error(r#"it is not {{"id", "segments": [{{"speaker", "text"}}]}} with texts"#)]
    OtherShape,
}

/// A redacted call.
#[derive(Debug, PartialEq, Eq)]
pub struct Clean {
    /// The line, without its end.
    pub line: String,
    /// How many of its texts could not be searched and are withheld.
    pub withheld: usize,
}

#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    id: Option<Id>,
    segments: Vec<Said>,
}

/// Passed on as it came.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(serde_json::Number),
}

#[derive(Deserialize)]
struct Said {
    speaker: String,
    #[serde(deserialize_with = "unredacted")]
    text: Unredacted,
}

fn unredacted<'de, D: Deserializer<'de>>(text: D) -> Result<Unredacted, D::Error> {
    String::deserialize(text).map(Unredacted::new)
}

#[derive(Serialize)]
struct CleanCall {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Id>,
    segments: Vec<CleanSegment>,
    redactions: Vec<TakenOut>,
}

#[derive(Serialize)]
struct CleanSegment {
    speaker: String,
    text: String,
}

/// Something that was taken out; offsets count the characters (code points) of the text that came in.
#[derive(Serialize)]
struct TakenOut {
    segment: usize,
    r#type: String,
    label: String,
    start: usize,
    end: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
}

/// Redacts one call. `key` guards what the gate remembers meanwhile; `explain` says why each thing was taken out.
///
/// # Errors
/// A line that is no call.
pub fn redacted(line: &str, settings: &GateSettings, key: [u8; 32], now: Instant, explain: bool) -> Result<Clean, Wrong> {
    let Call { id, segments } = serde_json::from_str(line).map_err(|why| match why.classify() {
        serde_json::error::Category::Data => Wrong::OtherShape,
        _ => Wrong::NotJson,
    })?;
    let mut gate = Gate::new(settings.clone(), key);
    let mut sheet = Sheet::new(&segments, explain);
    let mut at_ms = 0;
    for (index, said) in segments.iter().enumerate() {
        let now = now + Duration::from_millis(at_ms);
        if said.speaker == KEYS {
            for (at, key) in said.text.expose().chars().enumerate().filter(|(_, key)| !key.is_whitespace()) {
                sheet.pressed.push_back((index, at));
                gate.handle_digit(Track::Inbound, &Role::caller(), at_ms, Some(key), now);
            }
        } else {
            gate.handle_final(segment(said, index, at_ms, now), now);
        }
        sheet.take(&mut gate);
        at_ms += APART_MS;
    }
    gate.handle_end(now + Duration::from_millis(at_ms));
    sheet.take(&mut gate);
    Ok(sheet.into_clean(id))
}

/// A final of this party's.
fn segment(said: &Said, index: usize, at_ms: u64, now: Instant) -> Segment<Unredacted> {
    let (track, role) = match said.speaker.as_str() {
        "caller" => (Track::Inbound, Role::caller()),
        "agent" => (Track::Outbound, Role::agent()),
        _ => (Track::Mixed, Role::caller()),
    };
    let key = TrackKey { stream: 0, track };
    let bare = Segment::bare(key, role, said.text.clone(), (at_ms, at_ms + LONG_MS), now);
    Segment { id: index.to_string(), speaker: said.speaker.clone(), ..bare }
}

/// What has come out so far.
struct Sheet<'a> {
    said: &'a [Said],
    explain: bool,
    texts: Vec<String>,
    taken_out: Vec<TakenOut>,
    /// Keys that the gate has not given back: whose segment, which character.
    pressed: VecDeque<(usize, usize)>,
    withheld: usize,
}

impl<'a> Sheet<'a> {
    fn new(said: &'a [Said], explain: bool) -> Self {
        let masked = |c: char| if c.is_whitespace() { c } else { MASKED_KEY };
        let keys = |said: &Said| match said.speaker.as_str() {
            KEYS => said.text.expose().chars().map(masked).collect(),
            _ => String::new(),
        };
        let texts = said.iter().map(keys).collect();
        Self { said, explain, texts, taken_out: Vec::new(), pressed: VecDeque::new(), withheld: 0 }
    }

    fn take(&mut self, gate: &mut Gate) {
        while let Some(out) = gate.poll_output() {
            match out {
                Out::Release(release) => self.released(&release),
                Out::Digit { masked, digit, .. } => self.key(masked, digit),
                Out::Note(Note::Failed) => self.withheld += 1,
                Out::Interim(_) | Out::Note(Note::Forced(_)) => {}
            }
        }
    }

    fn released(&mut self, release: &Release) {
        let Ok(segment) = release.segment.id.parse::<usize>() else { return };
        release.segment.text.as_str().clone_into(&mut self.texts[segment]);
        let said = self.said[segment].text.expose();
        let characters = |byte: usize| said.get(..byte).unwrap_or(said).chars().count();
        for redaction in &release.redactions {
            let why = self.explain.then(|| redaction.why.reason.as_str());
            let (start, end) = (characters(redaction.why.start), characters(redaction.why.end));
            let (r#type, label) = (redaction.kind.clone(), redaction.label.clone());
            self.taken_out.push(TakenOut { segment, r#type, label, start, end, why });
        }
    }

    /// A key came out; masked ones side by side are one thing.
    fn key(&mut self, masked: bool, digit: Option<char>) {
        let Some((segment, at)) = self.pressed.pop_front() else { return };
        if let Some(digit) = digit.filter(|_| !masked) {
            let shown = |(place, c): (usize, char)| if place == at { digit } else { c };
            self.texts[segment] = self.texts[segment].chars().enumerate().map(shown).collect();
            return;
        }
        match self.taken_out.last_mut() {
            Some(last) if last.segment == segment && last.end == at => {
                last.label.push(MASKED_KEY);
                last.end += 1;
            }
            _ => {
                let why = self.explain.then_some("a key that was pressed");
                let label = MASKED_KEY.to_string();
                self.taken_out.push(TakenOut { segment, r#type: "NUMBER".to_owned(), label, start: at, end: at + 1, why });
            }
        }
    }

    fn into_clean(mut self, id: Option<Id>) -> Clean {
        self.taken_out.sort_by_key(|taken| (taken.segment, taken.start));
        let segments = names(self.said).into_iter().zip(self.texts).map(|(speaker, text)| CleanSegment { speaker, text });
        let clean = CleanCall { id, segments: segments.collect(), redactions: self.taken_out };
        let line = serde_json::to_string(&clean).expect("texts and numbers can be written");
        Clean { line, withheld: self.withheld }
    }
}

/// Speakers as they may be shown: a name that could be a person's becomes `other_N`.
fn names(said: &[Said]) -> Vec<String> {
    let mut strange: Vec<&str> = Vec::new();
    let mut names = Vec::with_capacity(said.len());
    for one in said {
        if is_part(&one.speaker) {
            names.push(one.speaker.clone());
            continue;
        }
        let known = strange.iter().position(|other| *other == one.speaker);
        let number = known.unwrap_or(strange.len());
        if known.is_none() {
            strange.push(&one.speaker);
        }
        names.push(format!("other_{}", number + 1));
    }
    names
}

/// `caller`, `Speaker 1`, `SPEAKER_01`, `inbound:0`.
fn is_part(name: &str) -> bool {
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_short = name.len() - word.len() <= MAX_NUMBER;
    let word = word.strip_suffix(['_', '-', ':', ' ']).filter(|_| word.len() < name.len()).unwrap_or(word);
    is_short && PARTS.iter().any(|part| part.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::redact::{Choices, DigitPolicy, Policy, REDACTION_FAILED};

    #[test]
    fn a_call_comes_out_with_what_was_taken_out_and_why() {
        let call = json!({"id": "c1", "agent_name": "Ann", "segments": [
            {"speaker": "agent", "text": "Your card number?", "notes": "4111"},
            {"speaker": "caller", "text": "Sûr, 4111 1111"},
            {"speaker": "caller", "text": "1111 1111 bye"},
        ]});
        let card = |segment: u64, start: u64, end: u64| {
            json!({"segment": segment, "type": "CREDIT_CARD", "label": "[CREDIT_CARD_1]",
            "start": start, "end": end, "why": "the check digit and the prefix are right"})
        };
        let expected = json!({"id": "c1", "segments": [
            {"speaker": "agent", "text": "Your card number?"},
            {"speaker": "caller", "text": "Sûr, [CREDIT_CARD_1]"},
            {"speaker": "caller", "text": "[CREDIT_CARD_1] bye"},
        ], "redactions": [card(1, 5, 14), card(2, 0, 9)]});
        assert_eq!(clean(&call, &GateSettings::default()), expected);
    }

    #[test]
    fn keys_are_as_many_asterisks_and_their_digits_are_known() {
        let call = json!({"id": 7, "segments": [
            {"speaker": "dtmf", "text": "48 16#"}, {"speaker": "agent", "text": "I have 4816 here"},
        ]});
        let out = clean(&call, &GateSettings::default());
        assert_eq!((&out["id"], &out["segments"][0]["text"]), (&json!(7), &json!("** ***")));
        assert_eq!(out["segments"][1]["text"], "I have [NUMBER_1] here");
        let keys = |start: u64, label: &str| {
            json!({"segment": 0, "type": "NUMBER", "label": label, "start": start,
            "end": start + label.len() as u64, "why": "a key that was pressed"})
        };
        assert_eq!(out["redactions"][0], keys(0, "**"));
        assert_eq!(out["redactions"][1], keys(3, "***"));
        let menu = GateSettings { digits: DigitPolicy::ShowMenu, ..GateSettings::default() };
        let out = clean(&json!({"segments": [{"speaker": "dtmf", "text": "2"}]}), &menu);
        assert_eq!(out, json!({"segments": [{"speaker": "dtmf", "text": "2"}], "redactions": []}));
    }

    #[test]
    fn other_speakers_are_parties_of_their_own_and_a_name_that_may_be_a_persons_does_not_come_out() {
        let said = |speaker: &str, text: &str| json!({"speaker": speaker, "text": text});
        let known = ["caller", "Agent", "Speaker 1", "SPEAKER_01", "inbound:0", "spk2"];
        assert!(known.into_iter().all(is_part));
        assert!(!["ann", "speaker_5551", "speaker_", "caller 5551234", "", "1", "agent smith"].into_iter().any(is_part));
        let call = json!({"segments": [
            said("Ann Lee", "my card is 4111 1111"), said("bot", "wait"), said("555 123 4567", "so"), said("Ann Lee", "1111 1111 bye"),
        ]});
        let out = clean(&call, &GateSettings::default());
        let expected = json!([
            said("other_1", "my card is [CREDIT_CARD_1]"),
            said("bot", "wait"),
            said("other_2", "so"),
            said("other_1", "[CREDIT_CARD_1] bye"),
        ]);
        assert_eq!(out["segments"], expected);
    }

    #[test]
    fn the_settings_hold_and_what_cannot_be_searched_is_withheld() {
        let types = ["-phone".to_owned()];
        let policy = Policy::new(&Choices { types: &types, ..Choices::default() }).expect("a policy");
        let settings = GateSettings { policy: policy.into(), ..GateSettings::default() };
        let call = json!({"segments": [{"speaker": "caller", "text": "call 555 123 4567 bye"}]});
        assert_eq!(clean(&call, &settings)["segments"], call["segments"]);
        let long = json!({"segments": [{"speaker": "caller", "text": "hunter2 ".repeat(10_000)}]}).to_string();
        let out = redacted(&long, &settings, [7; 32], crate::clock::now(), true).expect("a call");
        assert!(out.withheld == 1 && out.line.contains(REDACTION_FAILED) && !out.line.contains("hunter2"));
    }

    #[test]
    fn a_line_that_is_no_call_is_refused_without_its_words() {
        let wrong = |line: &str| redacted(line, &GateSettings::default(), [7; 32], crate::clock::now(), false).unwrap_err();
        for line in ["hunter2", "", "{\"id\": 1", "{} {}"] {
            assert_eq!(wrong(line), if line == "{} {}" { Wrong::OtherShape } else { Wrong::NotJson }, "{line}");
        }
        for line in [
            r#"{"segments": "hunter2"}"#,
            r#"{"segments": [{"speaker": "a"}]}"#,
            r#"{"segments": [{"text": "a"}]}"#,
            r#"{"segments": [{"speaker": "a", "text": 1}]}"#,
            r#"{"id": {"a": 1}, "segments": []}"#,
            "[]",
            "1",
        ] {
            assert_eq!(wrong(line), Wrong::OtherShape, "{line}");
        }
        assert!([Wrong::NotJson, Wrong::OtherShape].iter().all(|wrong| !wrong.to_string().contains("hunter2")));
    }

    fn clean(call: &Value, settings: &GateSettings) -> Value {
        let clean = redacted(&call.to_string(), settings, [7; 32], crate::clock::now(), true).expect("a call");
        assert_eq!(clean.withheld, 0);
        serde_json::from_str(&clean.line).expect("JSON")
    }
}
