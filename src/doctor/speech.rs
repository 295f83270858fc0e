//! Whether the speech service opens a stream with this key and these parameters.
//!
//! Promises: pure; each cause has its own line and its own advice, and none that this version could not follow.

use std::time::Duration;

use super::{Check, State, no_answer::NoAnswer, webhook::time};
use crate::{
    config::table::{ASR_URL, PULSE_URL},
    engine::files::Model,
    upstream::{Cause, Objection, Probe, Protocol, Refusal, Unopened},
};

/// What was asked, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// Which wire was spoken.
    pub(super) protocol: Protocol,
    /// The address as it may be shown.
    pub(super) address: String,
    /// Where the key comes from, and its end as it may be shown; none: there is no key.
    pub(super) key: Option<(String, String)>,
    /// Parameters that are not the bridge's own choice, each with where it is set.
    pub(super) chosen: Vec<String>,
    /// What came of it.
    pub(super) outcome: Outcome,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A stream was open after this time.
    Opened(Duration),
    /// Nobody answered.
    NoAnswer(NoAnswer),
    /// The service would not.
    Refused(Refusal),
    /// The settings do not make a question, for this reason.
    Unasked(String),
}

impl From<&Probe> for Outcome {
    fn from(probe: &Probe) -> Self {
        match &probe.outcome {
            Ok(took) => Self::Opened(*took),
            Err(Unopened::Dial(error)) => Self::NoAnswer(error.into()),
            Err(Unopened::Timeout) => Self::NoAnswer(NoAnswer::Timeout),
            Err(Unopened::Refused(refusal)) => Self::Refused(refusal.clone()),
        }
    }
}

/// The line where the built-in engine recognises: whether what it needs is there, or why it cannot do what the settings ask.
pub(super) fn built_in(model: Model, found: Result<(), String>) -> Check {
    let engine = format!("built-in engine, model {}", model.as_str());
    match found {
        Ok(()) => Check::new("speech", State::Ok, format!("{engine}: calls stay on this machine")),
        Err(missing) => {
            let text = format!("{engine}, is not here ({missing}): serve fetches it when it starts");
            Check::new("speech", State::Warn, text).advise("get it now: pulse-bridge engine install")
        }
    }
}

/// The line where the built-in engine is asked for what it cannot do.
pub(super) fn not_built_in(why: &str) -> Check {
    Check::new("speech", State::Fail, why).advise("check [upstream] in the settings")
}

/// `limit` is how long the service had.
pub(super) fn judge(facts: &Facts, limit: Duration) -> Check {
    let address = &facts.address;
    match &facts.outcome {
        Outcome::Opened(took) => {
            let key = facts.key.as_ref().map_or("no key asked for", |_| "key accepted");
            Check::new("speech", State::Ok, format!("{address} opened a stream in {}, {key}", time(*took)))
        }
        Outcome::NoAnswer(why) => {
            let text = why.text(address, limit.as_secs());
            Check::new("speech", State::Fail, text).advise(why.advice("upstream.url", "speech service"))
        }
        Outcome::Refused(refusal) => {
            let (state, text, advice) = refused(facts, refusal);
            Check::new("speech", state, format!("{address} {text}")).advise(advice)
        }
        Outcome::Unasked(why) => Check::new("speech", State::Fail, why.clone()).advise("check [upstream] in the settings"),
    }
}

/// What to do where the plan is full.
const FULL: &str = "each call takes a stream a track; set upstream.max_sessions to what the plan has, or raise the plan";

fn refused(facts: &Facts, refusal: &Refusal) -> (State, String, String) {
    let fail = |text: String, advice: &str| (State::Fail, text, advice.to_owned());
    match refusal {
        Refusal::BadKey { .. } => refused_key(facts, "401"),
        Refusal::Objection(objection) => objected(facts, objection),
        Refusal::Forbidden { reason, flags } => {
            let name = facts.key.as_ref().map_or("the key", |(name, _)| name);
            let advice = format!("use a key of a plan that has it ({name}), or {flags}");
            fail(format!("refused what the key's plan does not have (403: {reason})"), &advice)
        }
        Refusal::BadRequest { reason } => {
            fail(format!("refused the parameters (400: {reason})"), &format!("check{}", chosen(facts)))
        }
        Refusal::Language { reason } => fail(
            format!("does not have the language in this region ({reason})"),
            "set upstream.language to one that it has, or upstream.url to another region",
        ),
        Refusal::RateLimited { reason, .. } => {
            (State::Warn, format!("has no stream left for this account now (429: {reason})"), FULL.to_owned())
        }
        Refusal::Policy { reason } => {
            (State::Warn, format!("closed the stream at once: the plan is full (1008: {reason})"), FULL.to_owned())
        }
        Refusal::Unavailable { status: 404, .. } => {
            let own = match facts.protocol {
                Protocol::Pulse => format!("Pulse's own is {PULSE_URL}"),
                Protocol::Asr => format!("the older ASR's own is {ASR_URL}"),
            };
            fail("has no such route (404)".to_owned(), &format!("check the path of upstream.url; {own}"))
        }
        Refusal::Unavailable { status: status @ 500..=599, reason } => fail(
            format!("is not well ({status}: {reason})"),
            "try again; if it stays, ask the service, or set upstream.url to another region",
        ),
        Refusal::Unavailable { status, reason } => {
            fail(format!("answered {status} instead of opening a stream ({reason})"), "check upstream.url: scheme, host and path")
        }
        Refusal::ErrorFrame { reason } => {
            fail(format!("opened a stream and reported an error ({reason})"), &format!("check{}", chosen(facts)))
        }
        Refusal::Unreachable { reason } => {
            fail(format!("opened no stream ({reason})"), "check upstream.url: scheme, host and path")
        }
        other => fail(
            format!("opened a stream and did not keep it ({})", other.code()),
            &format!("try again; if it stays, check{}", chosen(facts)),
        ),
    }
}

fn refused_key(facts: &Facts, why: &str) -> (State, String, String) {
    let (text, advice) = match &facts.key {
        Some((name, end)) => (
            format!("refused the key ({why})"),
            format!("{name} ends in {end}; make a new key, or unset it to use the built-in engine"),
        ),
        None => (format!("wants a key ({why})"), "set SMALLEST_API_KEY".to_owned()),
    };
    (State::Fail, text, advice)
}

/// What the older ASR says on a stream that it has opened.
fn objected(facts: &Facts, Objection { cause, reason }: &Objection) -> (State, String, String) {
    let fail = |text: String, advice: String| (State::Fail, text, advice);
    match cause {
        Cause::Key => refused_key(facts, &reason.to_string()),
        Cause::Plan => fail(
            format!("has no plan or no credits for the key ({reason})"),
            "use a key of a plan that has it, add credits, or set upstream.protocol to pulse".to_owned(),
        ),
        Cause::Parameters => fail(format!("refused the parameters ({reason})"), format!("check{}", chosen(facts))),
        Cause::Quota => (State::Warn, format!("has no stream left for this account now ({reason})"), FULL.to_owned()),
        Cause::Idle => fail(format!("ended a stream at once ({reason})"), "try again".to_owned()),
    }
}

/// The parameters that somebody chose, which are the ones to look at.
fn chosen(facts: &Facts) -> String {
    match facts.chosen.as_slice() {
        [] => " [upstream]: none of its parameters is set, so the service may have changed".to_owned(),
        chosen => format!(" {}", chosen.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{Flags, Parameters, Reason};

    fn line(outcome: Outcome) -> String {
        let key = Some(("SMALLEST_API_KEY".to_owned(), "…9f2c".to_owned()));
        let chosen = vec!["upstream.language (pulse-bridge.toml:9)".to_owned()];
        let protocol = if matches!(outcome, Outcome::Refused(Refusal::Objection(_))) { Protocol::Asr } else { Protocol::Pulse };
        shown(&Facts { protocol, address: "wss://api.example/…/live".to_owned(), key, chosen, outcome })
    }

    fn shown(facts: &Facts) -> String {
        told(&judge(facts, Duration::from_secs(5)))
    }

    fn told(check: &Check) -> String {
        let advice = check.advice.as_ref().map(|advice| format!("\n  → {advice}")).unwrap_or_default();
        format!("{:?} {}{advice}\n", check.state, check.text)
    }

    #[test]
    fn every_refusal_has_its_line_and_what_to_do() {
        let reason = || Reason::before_a_call("in its words");
        let status = |status| Refusal::Unavailable { status, reason: reason() };
        let refusals = [
            Refusal::BadKey { reason: reason() },
            Refusal::Forbidden { reason: reason(), flags: Flags::named_by("redact_pii", &Parameters::default()) },
            Refusal::BadRequest { reason: reason() },
            Refusal::Language { reason: reason() },
            Refusal::RateLimited { retry_after: None, reason: reason() },
            Refusal::Policy { reason: reason() },
            status(404),
            status(302),
            status(503),
            Refusal::ErrorFrame { reason: reason() },
            Refusal::ClosedBeforeMessage { code: Some(1011) },
            Refusal::Unreachable { reason: Reason::before_a_call("the answer to the upgrade was no WebSocket handshake") },
        ];
        let lines: String = refusals.into_iter().map(|refusal| line(Outcome::Refused(refusal))).collect();
        insta::assert_snapshot!(lines, @r"
        Fail wss://api.example/…/live refused the key (401)
          → SMALLEST_API_KEY ends in …9f2c; make a new key, or unset it to use the built-in engine
        Fail wss://api.example/…/live refused what the key's plan does not have (403: in its words)
          → use a key of a plan that has it (SMALLEST_API_KEY), or switch off upstream.redact_pii
        Fail wss://api.example/…/live refused the parameters (400: in its words)
          → check upstream.language (pulse-bridge.toml:9)
        Fail wss://api.example/…/live does not have the language in this region (in its words)
          → set upstream.language to one that it has, or upstream.url to another region
        Warn wss://api.example/…/live has no stream left for this account now (429: in its words)
          → each call takes a stream a track; set upstream.max_sessions to what the plan has, or raise the plan
        Warn wss://api.example/…/live closed the stream at once: the plan is full (1008: in its words)
          → each call takes a stream a track; set upstream.max_sessions to what the plan has, or raise the plan
        Fail wss://api.example/…/live has no such route (404)
          → check the path of upstream.url; Pulse's own is wss://api.smallest.ai/waves/v1/stt/live
        Fail wss://api.example/…/live answered 302 instead of opening a stream (in its words)
          → check upstream.url: scheme, host and path
        Fail wss://api.example/…/live is not well (503: in its words)
          → try again; if it stays, ask the service, or set upstream.url to another region
        Fail wss://api.example/…/live opened a stream and reported an error (in its words)
          → check upstream.language (pulse-bridge.toml:9)
        Fail wss://api.example/…/live opened a stream and did not keep it (closed_before_message)
          → try again; if it stays, check upstream.language (pulse-bridge.toml:9)
        Fail wss://api.example/…/live opened no stream (the answer to the upgrade was no WebSocket handshake)
          → check upstream.url: scheme, host and path
        ");
    }

    #[test]
    fn what_the_older_asr_says_on_an_open_stream_has_its_lines_too() {
        let reason = || Reason::before_a_call("in its words");
        let causes = [Cause::Key, Cause::Plan, Cause::Parameters, Cause::Quota, Cause::Idle];
        let refusals = causes.map(|cause| Refusal::Objection(Objection { cause, reason: reason() }));
        let lines: String = refusals.into_iter().map(|refusal| line(Outcome::Refused(refusal))).collect();
        insta::assert_snapshot!(lines, @r"
        Fail wss://api.example/…/live refused the key (in its words)
          → SMALLEST_API_KEY ends in …9f2c; make a new key, or unset it to use the built-in engine
        Fail wss://api.example/…/live has no plan or no credits for the key (in its words)
          → use a key of a plan that has it, add credits, or set upstream.protocol to pulse
        Fail wss://api.example/…/live refused the parameters (in its words)
          → check upstream.language (pulse-bridge.toml:9)
        Warn wss://api.example/…/live has no stream left for this account now (in its words)
          → each call takes a stream a track; set upstream.max_sessions to what the plan has, or raise the plan
        Fail wss://api.example/…/live ended a stream at once (in its words)
          → try again
        ");
    }

    #[test]
    fn what_opens_is_one_line_and_who_is_silent_is_told_by_the_cause() {
        let outcomes = [
            Outcome::Opened(Duration::from_millis(180)),
            Outcome::NoAnswer(NoAnswer::UnknownHost("api.example".to_owned())),
            Outcome::NoAnswer(NoAnswer::Timeout),
            Outcome::Unasked("upstream.language: language must be a language code such as en".to_owned()),
        ];
        insta::assert_snapshot!(outcomes.map(line).concat(), @r"
        Ok wss://api.example/…/live opened a stream in 180 ms, key accepted
        Fail wss://api.example/…/live: the name api.example does not resolve
          → check upstream.url and this machine's DNS
        Fail wss://api.example/…/live did not answer within 5 s
          → check upstream.url, the firewall, and whether the speech service is well
        Fail upstream.language: language must be a language code such as en
          → check [upstream] in the settings
        ");
    }

    #[test]
    fn without_a_key_or_a_choice_there_is_nothing_to_blame_but_the_service() {
        let facts = |outcome| Facts {
            protocol: Protocol::Pulse,
            address: "ws://h".to_owned(),
            key: None,
            chosen: Vec::new(),
            outcome: Outcome::Refused(outcome),
        };
        let reason = Reason::default();
        let engine = [Ok(()), Err("no runtime".to_owned())].map(|found| told(&built_in(Model::Fast, found))).concat();
        let lines =
            [Refusal::BadKey { reason: reason.clone() }, Refusal::BadRequest { reason }].map(|refusal| shown(&facts(refusal)));
        insta::assert_snapshot!(lines.concat() + &engine, @r#"
        Fail ws://h wants a key (401)
          → set SMALLEST_API_KEY
        Fail ws://h refused the parameters (400: no reason given)
          → check [upstream]: none of its parameters is set, so the service may have changed
        Ok built-in engine, model fast: calls stay on this machine
        Warn built-in engine, model fast, is not here (no runtime): serve fetches it when it starts
          → get it now: pulse-bridge engine install
        "#);
    }
}
