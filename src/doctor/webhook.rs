//! What a receiver made of a signed `ping`.
//!
//! Promises: pure; every status and every failure has a line; of a redirect's address no more is shown than of any other.

use std::time::Duration;

use url::Url;

use super::{Check, State, no_answer::NoAnswer};
use crate::config::show_url;

/// A receiver that takes longer holds up a call's next event noticeably.
const SLOW: Duration = Duration::from_secs(1);

/// An endpoint and what came of its ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// The endpoint's name.
    pub(super) name: String,
    /// Its address as it may be shown.
    pub(super) address: String,
    /// A call's events go there one behind the other.
    pub(super) ordered: bool,
    /// Its secrets as they may be shown.
    pub(super) secrets: String,
    /// The ping's `webhook-id`.
    pub(super) id: String,
    /// What came of it.
    pub(super) outcome: Result<Answer, NoAnswer>,
}

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) took: Duration,
    /// Where a redirect leads.
    pub(super) location: Option<Url>,
}

/// `limit` is how long the receiver had.
pub(super) fn judge(facts: &Facts, limit: Duration) -> Check {
    let name = format!("webhook {}", facts.name);
    let setting = format!("the url of webhook endpoint {}", facts.name);
    match &facts.outcome {
        Ok(answer) => {
            let (state, more, advice) = verdict(facts, answer);
            let text = format!("{} answered {} in {}{more}", facts.address, answer.status, time(answer.took));
            Check { advice, ..Check::new(&name, state, text) }
        }
        Err(why) => {
            let text = why.text(&facts.address, limit.as_secs());
            Check::new(&name, State::Fail, text).advise(why.advice(&setting, "receiver"))
        }
    }
}

fn verdict(facts: &Facts, answer: &Answer) -> (State, &'static str, Option<String>) {
    let Facts { name, secrets, id, .. } = facts;
    let url = format!("the url of webhook endpoint {name}");
    let fail = |more, advice: String| (State::Fail, more, Some(advice));
    match answer.status {
        200..=299 if answer.took <= SLOW => (State::Ok, ", signed ping accepted", None),
        200..=299 if facts.ordered => (State::Warn, "; slow receivers delay ordered events", None),
        200..=299 => (State::Warn, "; slow receivers delay events", None),
        300..=399 => {
            let to = answer.location.as_ref().map_or_else(|| "the address it leads to".to_owned(), show_url);
            fail("; redirects are not followed", format!("set {url} to {to}"))
        }
        401 | 403 => fail(" to the signed ping", format!("does the receiver know this secret? {name}'s: {secrets}")),
        404 | 405 => fail("; no event would be taken there", format!("check the path of {url}; it must take POST")),
        410 => fail(
            "; its events would wait until somebody resumes it",
            format!("let the receiver take events again, or take endpoint {name} out"),
        ),
        400 | 415 | 422 => {
            let advice = "let the receiver answer 2xx to every type that it does not know, once the signature fits".to_owned();
            (State::Warn, " to the ping", Some(advice))
        }
        429 => (
            State::Warn,
            "; it takes no more for now",
            Some("raise the receiver's rate limit: each event is a request".to_owned()),
        ),
        500..=599 => {
            fail("; events would be tried again for days, then parked", format!("look for webhook-id {id} in the receiver's log"))
        }
        _ => fail("; only 2xx counts as taken", format!("look for webhook-id {id} in the receiver's log")),
    }
}

/// Milliseconds below a second.
pub(super) fn time(took: Duration) -> String {
    if took < Duration::from_secs(1) { format!("{} ms", took.as_millis()) } else { format!("{:.1} s", took.as_secs_f64()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn facts(outcome: Result<Answer, NoAnswer>) -> Facts {
        let (name, address, secrets) = ("crm".to_owned(), "https://crm.example/hooks".to_owned(), "…k3Qz".to_owned());
        Facts { name, address, ordered: true, secrets, id: "evt_01".to_owned(), outcome }
    }

    fn answered(status: u16, ms: u64) -> Facts {
        let location = (300..400).contains(&status).then(|| "https://new.example/hooks/T0XZ9PQ8?t=hunter2".parse().unwrap());
        facts(Ok(Answer { status, took: Duration::from_millis(ms), location }))
    }

    fn line(facts: &Facts) -> String {
        let check = judge(facts, LIMIT);
        let advice = check.advice.map(|advice| format!("\n  → {advice}")).unwrap_or_default();
        format!("{} {:?} {}{advice}\n", check.name, check.state, check.text)
    }

    #[test]
    fn every_answer_has_its_line() {
        let statuses = [(204, 88), (200, 1_900), (302, 5), (400, 5), (401, 5), (404, 5), (410, 5), (429, 5), (500, 5), (418, 5)];
        let lines: String = statuses.into_iter().map(|(status, ms)| line(&answered(status, ms))).collect();
        assert!(!lines.contains("hunter2") && !lines.contains("T0XZ9PQ8"), "{lines}");
        insta::assert_snapshot!(lines, @r"
        webhook crm Ok https://crm.example/hooks answered 204 in 88 ms, signed ping accepted
        webhook crm Warn https://crm.example/hooks answered 200 in 1.9 s; slow receivers delay ordered events
        webhook crm Fail https://crm.example/hooks answered 302 in 5 ms; redirects are not followed
          → set the url of webhook endpoint crm to https://new.example/hooks/…?…
        webhook crm Warn https://crm.example/hooks answered 400 in 5 ms to the ping
          → let the receiver answer 2xx to every type that it does not know, once the signature fits
        webhook crm Fail https://crm.example/hooks answered 401 in 5 ms to the signed ping
          → does the receiver know this secret? crm's: …k3Qz
        webhook crm Fail https://crm.example/hooks answered 404 in 5 ms; no event would be taken there
          → check the path of the url of webhook endpoint crm; it must take POST
        webhook crm Fail https://crm.example/hooks answered 410 in 5 ms; its events would wait until somebody resumes it
          → let the receiver take events again, or take endpoint crm out
        webhook crm Warn https://crm.example/hooks answered 429 in 5 ms; it takes no more for now
          → raise the receiver's rate limit: each event is a request
        webhook crm Fail https://crm.example/hooks answered 500 in 5 ms; events would be tried again for days, then parked
          → look for webhook-id evt_01 in the receiver's log
        webhook crm Fail https://crm.example/hooks answered 418 in 5 ms; only 2xx counts as taken
          → look for webhook-id evt_01 in the receiver's log
        ");
    }

    #[test]
    fn who_does_not_answer_is_told_by_the_cause() {
        let lines = [NoAnswer::Refused, NoAnswer::Timeout].map(|why| line(&facts(Err(why)))).concat();
        insta::assert_snapshot!(lines, @r"
        webhook crm Fail nobody listens at https://crm.example/hooks (connection refused)
          → start the receiver, or check host and port of the url of webhook endpoint crm
        webhook crm Fail https://crm.example/hooks did not answer within 5 s
          → check the url of webhook endpoint crm, the firewall, and whether the receiver is well
        ");
    }

    #[test]
    fn an_unordered_endpoint_delays_nothing_but_itself() {
        let unordered = Facts { ordered: false, ..answered(200, 1_001) };
        assert_eq!(judge(&unordered, LIMIT).text, "https://crm.example/hooks answered 200 in 1.0 s; slow receivers delay events");
        assert_eq!(judge(&answered(200, 1_000), LIMIT).state, State::Ok);
    }

    #[test]
    fn only_2xx_is_ever_well() {
        for status in 100..600 {
            let state = judge(&answered(status, 5), LIMIT).state;
            assert_eq!(state == State::Ok, (200..300).contains(&status), "{status}");
        }
    }
}
