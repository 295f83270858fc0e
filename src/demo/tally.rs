//! Whether the demo passed: what was promised against what arrived, and how long it took.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde_json::{Value, json};

use crate::receive::{Order, Received, Signature};

/// What has arrived so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    arrived: BTreeSet<String>,
    verified: u64,
    deliveries: u64,
    duplicates: u64,
    out_of_order: u64,
    gaps: u64,
    redactions: u64,
    final_ms: Vec<u64>,
    delivered_ms: Vec<u64>,
    over: bool,
    promised: usize,
    missing: Vec<String>,
    error: Option<String>,
}

impl Tally {
    /// Takes one delivery; gives the time from the event's making to its arrival. `wall_ms` is now, in milliseconds since 1970.
    pub(super) fn add(&mut self, received: &Received, body: &Value, wall_ms: u64) -> Duration {
        let data = &body["data"];
        let kind = body["type"].as_str().unwrap_or_default();
        self.deliveries += 1;
        self.verified += u64::from(received.signature == Signature::Verified);
        match received.order {
            Some(Order::Duplicate) => self.duplicates += 1,
            Some(Order::Gap { .. }) => self.out_of_order += 1,
            Some(Order::Next | Order::Unnumbered) | None => {}
        }
        self.arrived.insert(format!("{} ({kind})", data["seq"]));
        self.gaps += u64::from(kind == "transcript.gap");
        if kind == "transcript.final" {
            self.redactions += data["redactions"].as_array().map_or(0, Vec::len) as u64;
            self.final_ms.extend(data["latency"]["upstream_ms"].as_u64());
        }
        self.over |= kind == "call.completed";
        let made = body["timestamp"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let made_ms = made.and_then(|made| u64::try_from(made.as_millisecond()).ok());
        let took = Duration::from_millis(made_ms.map_or(0, |made_ms| wall_ms.saturating_sub(made_ms)));
        self.delivered_ms.push(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        took
    }

    /// Whether the call's terminal event has come.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// Compares with what was promised; `error` is why the phone failed, if it did.
    pub(super) fn finish(&mut self, promised: &[String], error: Option<&str>) {
        self.promised = promised.len();
        self.missing = promised.iter().filter(|event| !self.arrived.contains(*event)).cloned().collect();
        self.error = error.map(str::to_owned);
    }

    /// Every promised event arrived once, in order, and verified.
    pub(super) fn passed(&self) -> bool {
        self.over
            && self.promised > 0
            && self.missing.is_empty()
            && self.error.is_none()
            && self.verified == self.deliveries
            && self.out_of_order == 0
            && self.duplicates == 0
    }

    fn came(&self) -> usize {
        self.promised - self.missing.len()
    }

    /// The same as one JSON object.
    pub(super) fn json(&self) -> Value {
        json!({
            "passed": self.passed(), "promised": self.promised, "arrived": self.came(), "missing": self.missing,
            "verified": self.verified, "duplicates": self.duplicates, "out_of_order": self.out_of_order, "gaps": self.gaps,
            "redactions": self.redactions, "error": self.error,
            "speech_end_to_final_ms": spread(&self.final_ms).map(|(median, worst)| json!({"median": median, "worst": worst})),
            "made_to_delivered_ms": spread(&self.delivered_ms).map(|(median, worst)| json!({"median": median, "worst": worst})),
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (came, promised) = (self.came(), self.promised);
        if !self.passed() {
            write!(f, "failed  {came} of {promised} events")?;
            if let Some(missing) = self.missing.first() {
                write!(f, "; missing seq {missing}")?;
            }
            if self.verified < self.deliveries {
                write!(f, "; {} signatures wrong", self.deliveries - self.verified)?;
            }
            for (count, what) in [(self.out_of_order, "out of order"), (self.duplicates, "came again")] {
                if count > 0 {
                    write!(f, "; {count} {what}")?;
                }
            }
            return self.error.as_ref().map_or(Ok(()), |error| write!(f, "; last error: {error}"));
        }
        write!(f, "passed  {came} of {promised} events, in order, all signatures verified")?;
        write!(f, " · {} gaps · {} duplicates · {} redactions", self.gaps, self.duplicates, self.redactions)?;
        if let (Some((median, worst)), Some((delivered, _))) = (spread(&self.final_ms), spread(&self.delivered_ms)) {
            write!(
                f,
                "\n        speech end → final text {median} ms median, {worst} ms worst · final → delivered {delivered} ms median"
            )?;
        }
        Ok(())
    }
}

/// Median and worst.
fn spread(times: &[u64]) -> Option<(u64, u64)> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    Some((*sorted.get(sorted.len() / 2)?, *sorted.last()?))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn arrived(tally: &mut Tally, seq: u64, kind: &str, signature: Signature) {
        arrived_as(tally, seq, kind, signature, Order::Next);
    }

    fn arrived_as(tally: &mut Tally, seq: u64, kind: &str, signature: Signature, order: Order) {
        let body =
            json!({"type": kind, "timestamp": "2026-11-21T12:00:00.000Z", "data": {"seq": seq, "latency": {"upstream_ms": 400}}});
        let received = Received {
            number: seq,
            webhook_id: None,
            kind: kind.to_owned(),
            session_id: None,
            seq: Some(seq),
            signature,
            order: Some(order),
            status: 200,
            failed: None,
            body: Bytes::new(),
            headers: Vec::new(),
        };
        tally.add(&received, &body, 1_795_262_400_004);
    }

    fn promised() -> Vec<String> {
        ["1 (call.started)", "2 (transcript.final)", "3 (call.completed)"].map(str::to_owned).to_vec()
    }

    #[test]
    fn it_passes_when_everything_promised_came_and_verified() {
        let mut tally = Tally::default();
        for (seq, kind) in [(1, "call.started"), (2, "transcript.final"), (3, "call.completed")] {
            arrived(&mut tally, seq, kind, Signature::Verified);
        }
        tally.finish(&promised(), None);
        assert!(tally.passed());
        let text = tally.to_string();
        assert!(text.starts_with("passed  3 of 3 events, in order, all signatures verified · 0 gaps"), "{text}");
        assert!(text.contains("speech end → final text 400 ms median, 400 ms worst"), "{text}");
    }

    #[test]
    fn it_fails_and_names_the_event_that_is_missing() {
        let mut tally = Tally::default();
        arrived(&mut tally, 1, "call.started", Signature::Verified);
        arrived(&mut tally, 3, "call.completed", Signature::Verified);
        tally.finish(&promised(), None);
        assert!(!tally.passed());
        assert_eq!(tally.to_string(), "failed  2 of 3 events; missing seq 2 (transcript.final)");
    }

    #[test]
    fn it_fails_for_an_event_that_comes_again_and_for_one_out_of_order() {
        for (order, told) in [
            (Order::Duplicate, "failed  3 of 3 events; 1 came again"),
            (Order::Gap { expected: 2 }, "failed  3 of 3 events; 1 out of order"),
        ] {
            let mut tally = Tally::default();
            arrived(&mut tally, 1, "call.started", Signature::Verified);
            arrived(&mut tally, 2, "transcript.final", Signature::Verified);
            arrived_as(&mut tally, 2, "transcript.final", Signature::Verified, order);
            arrived(&mut tally, 3, "call.completed", Signature::Verified);
            tally.finish(&promised(), None);
            assert!(!tally.passed());
            assert_eq!(tally.to_string(), told);
        }
    }

    #[test]
    fn it_fails_for_one_wrong_signature_and_for_a_bridge_that_promised_nothing() {
        let mut tally = Tally::default();
        arrived(&mut tally, 1, "call.started", Signature::Unchecked);
        arrived(&mut tally, 3, "call.completed", Signature::Verified);
        tally.finish(&["1 (call.started)".to_owned(), "3 (call.completed)".to_owned()], None);
        assert!(tally.to_string().contains("1 signatures wrong"), "{tally}");
        let mut silent = Tally::default();
        silent.finish(&[], Some("refused"));
        assert!(!silent.passed());
    }
}
