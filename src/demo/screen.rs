//! What the demo shows, line by line: two lanes on one clock, and under each event its delivery.
//!
//! Promises: pure; shows nothing but what a receiver was sent. Placeholders such as `[CREDIT_CARD_1]` are shown in words.

use std::time::Duration;

use serde_json::Value;

/// Where the right lane begins, in columns.
const RIGHT_LANE: usize = 48;
/// Where the left lane begins.
const LEFT_LANE: usize = 8;
/// Below this many columns there is one lane, with the role in front.
const TWO_LANES_FROM: usize = 80;

/// The form of the screen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    columns: usize,
}

/// One event as the receiver had it.
pub(super) struct Delivered<'a> {
    /// The whole body.
    pub(super) body: &'a Value,
    /// What the receiver answered.
    pub(super) status: u16,
    /// From the event's own time to its arrival.
    pub(super) took: Duration,
    /// Whether the signature fits.
    pub(super) verified: bool,
}

impl Screen {
    /// A screen so many columns wide.
    pub(super) const fn new(columns: usize) -> Self {
        Self { columns }
    }

    /// The heads of the lanes; nothing where there is only one.
    pub(super) fn heads(self, left: &str, right: &str) -> Option<String> {
        self.has_lanes().then(|| format!("{:LEFT_LANE$}{left:<width$}{right}", "", width = RIGHT_LANE - LEFT_LANE))
    }

    /// All lines for one event: what was said, then how it was delivered.
    pub(super) fn event(self, delivered: &Delivered<'_>, left_role: &str) -> Vec<String> {
        let data = &delivered.body["data"];
        let mut lines = match delivered.body["type"].as_str() {
            Some("transcript.final") => {
                let text = in_words(data["text"].as_str().unwrap_or_default());
                self.said(ms(&data["start_ms"]), data["role"].as_str().unwrap_or_default(), left_role, &text)
            }
            Some("call.completed") => {
                let reason = data["end_reason"].as_str().unwrap_or_default();
                vec![format!("{}call ended ({reason})", stamp(ms(&data["duration_ms"])))]
            }
            _ => Vec::new(),
        };
        lines.push(delivery(delivered));
        lines
    }

    fn has_lanes(self) -> bool {
        self.columns >= TWO_LANES_FROM
    }

    fn said(self, at_ms: u64, role: &str, left_role: &str, text: &str) -> Vec<String> {
        let is_left = role == left_role;
        let (indent, width) = match (self.has_lanes(), is_left) {
            (true, true) => (LEFT_LANE, RIGHT_LANE - LEFT_LANE - 2),
            (true, false) => (RIGHT_LANE, self.columns.saturating_sub(RIGHT_LANE).clamp(20, 60)),
            (false, _) => (LEFT_LANE, self.columns.saturating_sub(LEFT_LANE).max(20)),
        };
        let text = if self.has_lanes() { text.to_owned() } else { format!("{role}: {text}") };
        let mut lines = Vec::new();
        for (at, piece) in wrapped(&text, width).into_iter().enumerate() {
            let front = if at == 0 { stamp(at_ms) } else { String::new() };
            lines.push(format!("{front:<indent$}{piece}"));
        }
        lines
    }
}

fn delivery(delivered: &Delivered<'_>) -> String {
    let data = &delivered.body["data"];
    let kind = delivered.body["type"].as_str().unwrap_or("(not an event)");
    let numbered = format!("{} {kind}", data["seq"].as_u64().map_or_else(String::new, |seq| seq.to_string()));
    let verdict = if delivered.verified { "signature verified" } else { "SIGNATURE WRONG" };
    let took = delivered.took.as_millis();
    let more = match kind {
        "transcript.final" => count(data["redactions"].as_array().map_or(0, Vec::len), "redaction"),
        "call.completed" => format!("   complete: {}", if data["complete"] == true { "yes" } else { "no" }),
        _ => String::new(),
    };
    format!("          → {numbered:<23} {} {took:>4} ms  {verdict}{more}", delivered.status)
}

fn count(many: usize, what: &str) -> String {
    match many {
        0 => String::new(),
        1 => format!("   1 {what}"),
        many => format!("   {many} {what}s"),
    }
}

fn ms(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// Minutes and seconds, as wide as the left lane's margin.
pub(super) fn stamp(at_ms: u64) -> String {
    let seconds = at_ms / 1000;
    format!("{:>2}:{:02}   ", seconds / 60, seconds % 60)
}

/// Placeholders in words: `[CREDIT_CARD_1]` as `[card number]`.
pub(super) fn in_words(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let Some((inside, behind)) = after.split_once(']') else { break };
        shown.push_str(before);
        shown.push('[');
        shown.push_str(&words(inside));
        shown.push(']');
        rest = behind;
    }
    shown + rest
}

fn words(label: &str) -> String {
    let kind = label.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
    match kind {
        "CREDIT_CARD" => "card number".to_owned(),
        "EXPIRY" => "date".to_owned(),
        "CVV" => "security code".to_owned(),
        "SSN" => "social security number".to_owned(),
        "PERSON" => "name".to_owned(),
        other => other.to_lowercase().replace('_', " "),
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        match line.chars().count() {
            0 => line.push_str(word),
            used if used + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(screen: Screen, body: &Value) -> Vec<String> {
        screen.event(&Delivered { body, status: 200, took: Duration::from_millis(4), verified: true }, "caller")
    }

    #[test]
    fn what_each_party_says_stands_in_its_own_lane() {
        let said = |role: &str| {
            json!({"type": "transcript.final", "data": {
                "seq": 2, "role": role, "start_ms": 2000, "text": "hi I'd like to pay", "redactions": [],
            }})
        };
        let screen = Screen::new(100);
        assert_eq!(
            shown(screen, &said("caller")),
            [" 0:02   hi I'd like to pay", "          → 2 transcript.final      200    4 ms  signature verified",]
        );
        assert_eq!(shown(screen, &said("agent"))[0], format!(" 0:02{:43}hi I'd like to pay", ""));
        assert_eq!(shown(Screen::new(60), &said("agent"))[0], " 0:02   agent: hi I'd like to pay");
    }

    #[test]
    fn placeholders_are_shown_in_words_and_counted() {
        let body = json!({"type": "transcript.final", "data": {
            "seq": 4, "role": "caller", "start_ms": 15_000, "text": "it's [CREDIT_CARD_1] expiring [EXPIRY_2]",
            "redactions": [{"type": "CREDIT_CARD"}, {"type": "EXPIRY"}],
        }});
        let lines = shown(Screen::new(100), &body);
        assert_eq!(lines[0], " 0:15   it's [card number] expiring [date]");
        assert!(lines[1].ends_with("signature verified   2 redactions"), "{}", lines[1]);
    }

    #[test]
    fn long_text_is_wrapped_within_its_lane() {
        let body = json!({"type": "transcript.final", "data": {
            "seq": 2, "role": "caller", "start_ms": 0, "text": "one two three four five six seven eight nine", "redactions": [],
        }});
        let lines = shown(Screen::new(100), &body);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[1], "        eight nine");
    }

    #[test]
    fn the_end_says_why_and_whether_everything_is_there() {
        let body =
            json!({"type": "call.completed", "data": {"seq": 14, "end_reason": "stop", "duration_ms": 38_400, "complete": true}});
        let lines = shown(Screen::new(100), &body);
        assert_eq!(lines[0], " 0:38   call ended (stop)");
        assert!(lines[1].ends_with("complete: yes"));
    }

    #[test]
    fn text_with_a_lone_bracket_is_left_alone() {
        assert_eq!(in_words("a [ b"), "a [ b");
        assert_eq!(in_words("[PHONE_12] and [X"), "[phone] and [X");
    }
}
