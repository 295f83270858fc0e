//! What the batch endpoint's answer leads to: one decision, with a table of every row of protocols/pulse.md section 8.4 as its test.
//!
//! Promises: total; what is repeated of the service's words names failures only, never what a caller said.

use std::{fmt, time::Duration};

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::upstream::{Parameters, Protocol, Reason, wire};

/// What came of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::upstream) enum Answer {
    /// An HTTP answer, read whole.
    Http {
        status: u16,
        /// What `Retry-After` asks for.
        retry_after: Option<Duration>,
        body: Bytes,
    },
    /// There was none.
    Failed(Trouble),
}

/// Why a piece was not transcribed, as the end of "the speech service's batch endpoint …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::upstream) enum Trouble {
    #[error("did not accept the API key (401: {0}); set SMALLEST_API_KEY to a valid key")]
    BadKey(Reason),
    #[error(
        "says that the plan lacks what was asked for (403: {0}); switch that parameter off under [upstream] or change the plan"
    )]
    Forbidden(Reason),
    #[error("did not accept {} ({status}: {reason}); check [upstream] in the settings", Named(*.parameter))]
    Refused { status: u16, parameter: Option<&'static str>, reason: Reason },
    #[error("does not serve the language in its region ({0}); set upstream.language, or upstream.batch_url to another region")]
    Language(Reason),
    #[error("could not decode the file ({0}); set upstream.batch_format to the other of pcm16 and mulaw")]
    Undecodable(Reason),
    #[error("found no audio where there is a voice")]
    NoAudio,
    #[error("takes no file of this length ({0}), however short")]
    TooLarge(Reason),
    #[error("is not at this address ({status}); set upstream.batch_url")]
    NotThere { status: u16 },
    #[error("has too many requests of this account (429: {0}); lower upstream.batch_per_minute or raise the plan")]
    RateLimited(Reason),
    #[error("answered {status} ({reason})")]
    Unavailable { status: u16, reason: Reason },
    #[error("cannot be reached ({0}); check upstream.batch_url, DNS and the firewall")]
    Unreachable(Reason),
    #[error("broke the connection off before its answer")]
    Broken,
    #[error("did not answer in time")]
    Late,
    #[error("gave an answer that is none")]
    Unreadable,
    #[error("was not asked: the spooled audio cannot be read")]
    Spool,
}

impl Trouble {
    /// The word for metrics.
    pub(in crate::upstream) const fn code(&self) -> &'static str {
        match self {
            Self::BadKey(_) => "bad_key",
            Self::Forbidden(_) => "forbidden",
            Self::Refused { .. } => "refused",
            Self::Language(_) => "language",
            Self::Undecodable(_) => "undecodable",
            Self::NoAudio => "no_audio",
            Self::TooLarge(_) => "too_large",
            Self::NotThere { .. } => "not_there",
            Self::RateLimited(_) => "rate_limited",
            Self::Unavailable { .. } => "unavailable",
            Self::Unreachable(_) => "unreachable",
            Self::Broken => "broken",
            Self::Late => "late",
            Self::Unreadable => "unreadable",
            Self::Spool => "spool",
        }
    }
}

/// A parameter as the settings call it.
struct Named(Option<&'static str>);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "upstream.{name}"),
            None => f.write_str("the request"),
        }
    }
}

/// What an answer leads to.
pub(super) enum Verdict {
    /// This was said.
    Heard(Box<wire::Transcript>),
    /// The service found nothing in the file to hear.
    Nothing,
    /// The same request may fare better later, not before `after` is over.
    Again { after: Option<Duration>, trouble: Trouble },
    /// A shorter file may be taken.
    Halve(Trouble),
    /// The next request would end the same way.
    Never(Trouble),
}

/// The decision.
pub(super) fn verdict(answer: Answer) -> Verdict {
    let (status, after, body) = match answer {
        Answer::Http { status, retry_after, body } => (status, retry_after, body),
        Answer::Failed(trouble) => return Verdict::Again { after: None, trouble },
    };
    let body = String::from_utf8_lossy(&body);
    let reason = || Reason::in_a_call(&told(&body));
    match status {
        200..=299 => match wire::parse(&body) {
            wire::Message::Transcript(transcript) => Verdict::Heard(transcript),
            wire::Message::Error(_) => bad_request(status, &body),
            _ => Verdict::Again { after: None, trouble: Trouble::Unreadable },
        },
        401 => Verdict::Never(Trouble::BadKey(reason())),
        403 => Verdict::Never(Trouble::Forbidden(reason())),
        413 => Verdict::Halve(Trouble::TooLarge(reason())),
        429 => Verdict::Again { after, trouble: Trouble::RateLimited(reason()) },
        300..=399 | 404 | 405 | 410 | 501 => Verdict::Never(Trouble::NotThere { status }),
        408 | 425 | 500.. => Verdict::Again { after, trouble: Trouble::Unavailable { status, reason: reason() } },
        _ => bad_request(status, &body),
    }
}

/// A request that the service understood and will not do, in its forms.
fn bad_request(status: u16, body: &str) -> Verdict {
    let reason = Reason::in_a_call(&told(body));
    let says = |words: &str| body.to_ascii_lowercase().contains(words);
    if says("language_not_enabled") {
        Verdict::Never(Trouble::Language(reason))
    } else if says("audiodecodeerror") || status == 415 {
        Verdict::Never(Trouble::Undecodable(reason))
    } else if says("noaudio") {
        Verdict::Nothing
    } else if says("too large") {
        Verdict::Halve(Trouble::TooLarge(reason))
    } else {
        Verdict::Never(Trouble::Refused { status, parameter: parameter(body), reason })
    }
}

/// The service's own words.
fn told(body: &str) -> String {
    serde_json::from_str::<&RawValue>(body).ok().and_then(|raw| wire::reason(raw, 0)).unwrap_or_default()
}

/// The parameter that it names, if it is one of ours.
fn parameter(body: &str) -> Option<&'static str> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let path = body["errors"].as_array()?.iter().find_map(|error| error["path"].as_str())?;
    Parameters::of(Protocol::Pulse).names().find(|name| *name == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(status: u16, body: &str) -> String {
        let answer = Answer::Http { status, retry_after: Some(Duration::from_secs(7)), body: body.to_owned().into() };
        match verdict(answer) {
            Verdict::Heard(transcript) => format!("heard {} with {} words", transcript.text.expose(), transcript.words.len()),
            Verdict::Nothing => "nothing".to_owned(),
            Verdict::Again { after, trouble } => format!("again after {:?} {}: {trouble}", after, trouble.code()),
            Verdict::Halve(trouble) => format!("halve {}", trouble.code()),
            Verdict::Never(trouble) => format!("never {}: {trouble}", trouble.code()),
        }
    }

    /// Section 8.4 row by row, then what stands between its rows.
    #[test]
    fn every_answer_has_its_verdict() {
        let region =
            r#"{"status":"error","error_code":"LANGUAGE_NOT_ENABLED_IN_REGION","message":"x","language":"ja","region":"in"}"#;
        for (status, body, expected) in [
            (
                400,
                r#"{"status":"error","message":"Invalid query parameters","errors":[{"path":"language","message":"x"}]}"#,
                "never refused: did not accept upstream.language (400: Invalid query parameters)",
            ),
            (
                400,
                r#"{"status":"error","message":"Invalid query parameters","errors":"a bad url field"}"#,
                "never refused: did not accept the request (400",
            ),
            (400, r#"{"status":"error","message":"Bad Request","errors":"Audio data too large"}"#, "halve too_large"),
            (400, r#"{"error":"Audio data too large"}"#, "halve too_large"),
            (400, region, "never language: does not serve the language"),
            (
                400,
                r#"{"status":"error","code":"AudioDecodeError","message":"Could not decode the audio"}"#,
                "never undecodable: could not decode the file (Could not decode the audio); set upstream.batch_format",
            ),
            (400, r#"{"error":{"code":"AudioDecodeError"}}"#, "never undecodable"),
            (400, r#"{"status":"error","code":"NoAudio","message":"No audio"}"#, "nothing"),
            (413, r#"{"error":"x"}"#, "halve too_large"),
            (
                401,
                r#"{"message":"Unauthorized: No tokens provided"}"#,
                "never bad_key: did not accept the API key (401: Unauthorized No tokens provided)",
            ),
            (401, r#"{"error":"unauthorized"}"#, "never bad_key"),
            (403, "", "never forbidden: says that the plan lacks what was asked for (403: no reason given)"),
            (429, r#"{"error":"Rate limit exceeded: too many requests","request_id":"r"}"#, "again after Some(7s) rate_limited"),
            (
                500,
                r#"{"error":"Internal server error"}"#,
                "again after Some(7s) unavailable: answered 500 (Internal server error)",
            ),
            (503, "<html>", "again after Some(7s) unavailable"),
            (408, "", "again after Some(7s) unavailable"),
            (404, "", "never not_there: is not at this address (404); set upstream.batch_url"),
            (405, "", "never not_there"),
            (302, "", "never not_there"),
            (415, "", "never undecodable"),
            (422, "{}", "never refused: did not accept the request (422"),
            (
                200,
                r#"{"status":"success","transcription":"Hello.","words":[{"word":"Hello.","start":0.1,"end":0.5}]}"#,
                "heard Hello. with 1 words",
            ),
            (200, r#"{"status":"success","transcription":"","metadata":{"duration":0}}"#, "heard  with 0 words"),
            (200, r#"{"status":"error","message":"x","code":"AudioDecodeError"}"#, "never undecodable"),
            (200, r#"{"status":"processing","request_id":"r"}"#, "again after None unreadable"),
            (200, r#"{"status":"success","transcrip"#, "again after None unreadable"),
        ] {
            let found = shown(status, body);
            assert!(found.starts_with(expected) || found.contains(expected), "{status} {body}: {found}");
        }
    }

    #[test]
    fn a_request_without_an_answer_is_tried_again() {
        for trouble in [Trouble::Unreachable(Reason::default()), Trouble::Broken, Trouble::Late] {
            let Verdict::Again { after: None, .. } = verdict(Answer::Failed(trouble.clone())) else { panic!("{trouble}") };
        }
    }

    #[test]
    fn nothing_that_a_caller_may_have_said_is_repeated() {
        let body = r#"{"error":"could not process 'my card is four one one one' of Ana Smith"}"#;
        let told = shown(500, body) + &shown(400, body) + &shown(403, body);
        assert!(!["card", "four", "one", "Ana", "Smith"].iter().any(|word| told.contains(word)), "{told}");
    }
}
