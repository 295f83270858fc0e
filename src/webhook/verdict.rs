//! What one attempt's outcome means.
//!
//! Promises: every outcome has exactly one verdict; a redirect is a failure, because following it would send a signed body
//! to an address nobody wrote into the settings. Contract, section Events.

use std::time::{Duration, UNIX_EPOCH};

use super::{Answer, Failure};

/// The least that `Retry-After` may ask for.
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// The most that `Retry-After` may ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// 2xx: done.
    Delivered,
    /// Try again on the schedule.
    Retry,
    /// Try again after what the receiver asked for, [`RETRY_AFTER_MIN`] to [`RETRY_AFTER_MAX`].
    RetryAfter(Duration),
    /// 410: the endpoint wants nothing more; its events wait until somebody resumes it.
    Pause,
}

impl Verdict {
    /// The word used in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retry => "retry",
            Self::RetryAfter(_) => "retry_after",
            Self::Pause => "pause",
        }
    }
}

/// Judges an outcome; `wall_ms` (milliseconds since 1970-01-01 UTC) turns a `Retry-After` date into a delay.
#[must_use]
pub fn judge(outcome: &Result<Answer, Failure>, wall_ms: u64) -> Verdict {
    match outcome {
        Ok(Answer { status: 200..=299, .. }) => Verdict::Delivered,
        Ok(Answer { status: 410, .. }) => Verdict::Pause,
        Ok(Answer { retry_after: Some(asked), .. }) => retry_after(asked, wall_ms).map_or(Verdict::Retry, Verdict::RetryAfter),
        Ok(_) | Err(_) => Verdict::Retry,
    }
}

/// The verdict's word for metrics and logs; where TLS is what failed, which way it did.
#[must_use]
pub const fn word(verdict: Verdict, outcome: &Result<Answer, Failure>) -> &'static str {
    match outcome {
        Err(Failure::Tls(trouble)) => trouble.as_str(),
        _ => verdict.as_str(),
    }
}

/// Whether an outcome says that the endpoint is ill, whatever it is sent: no answer, 5xx, or 429. Other answers are about the event.
#[must_use]
pub const fn is_ill(outcome: &Result<Answer, Failure>) -> bool {
    match outcome {
        Ok(Answer { status, .. }) => matches!(status, 429 | 500..=599),
        Err(_) => true,
    }
}

/// Why it was not delivered, in a word or two for the delivery's record; only our own words.
#[must_use]
pub fn reason(outcome: &Result<Answer, Failure>) -> String {
    match outcome {
        Ok(Answer { status: status @ 300..=399, .. }) => format!("status {status}: a redirect is not followed"),
        Ok(answer) => format!("status {}", answer.status),
        Err(failure) => failure.to_string(),
    }
}

/// RFC 9110 section 10.2.3: a number of seconds or a date.
fn retry_after(asked: &str, wall_ms: u64) -> Option<Duration> {
    let asked = asked.trim();
    let delay = if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
        asked.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs)
    } else {
        let date = httpdate::parse_http_date(asked).ok()?.duration_since(UNIX_EPOCH).ok()?;
        date.saturating_sub(Duration::from_millis(wall_ms))
    };
    Some(delay.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::TlsTrouble;

    fn judged(status: u16, retry_after: Option<&str>) -> Verdict {
        judge(&Ok(Answer { status, retry_after: retry_after.map(str::to_owned), kept: vec![] }), 784_111_777_000)
    }

    #[test]
    fn every_status_has_its_verdict() {
        for status in 0..=1000 {
            let expected = match status {
                200..=299 => Verdict::Delivered,
                410 => Verdict::Pause,
                _ => Verdict::Retry,
            };
            assert_eq!(judged(status, None), expected, "{status}");
        }
        let tls = Failure::Tls(TlsTrouble::Expired);
        for failure in [Failure::Timeout, Failure::Unreachable, tls, Failure::Reset, Failure::NotHttp] {
            assert_eq!(judge(&Err(failure), 0), Verdict::Retry);
            assert!(is_ill(&Err(failure)));
        }
        assert_eq!(word(Verdict::Retry, &Err(tls)), "tls_expired");
        assert_eq!(word(Verdict::Retry, &Err(Failure::Reset)), "retry");
    }

    #[test]
    fn only_answers_that_are_about_the_endpoint_say_that_it_is_ill() {
        for status in 0..=1000 {
            let expected = status == 429 || (500..=599).contains(&status);
            assert_eq!(is_ill(&Ok(Answer { status, retry_after: None, kept: vec![] })), expected, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_within_its_bounds() {
        let after = |asked| judged(503, Some(asked));
        let seconds = |s| Verdict::RetryAfter(Duration::from_secs(s));
        assert_eq!(after("120"), seconds(120));
        assert_eq!(after(" 7 "), seconds(7));
        assert_eq!(after("0"), seconds(1));
        assert_eq!(after("86401"), seconds(86_400));
        assert_eq!(after("99999999999999999999999"), seconds(86_400));
        assert_eq!(after("Sun, 06 Nov 1994 08:50:07 GMT"), seconds(30));
        assert_eq!(after("Sun, 06 Nov 1994 08:40:00 GMT"), seconds(1));
        for nonsense in ["", "soon", "-1", "1.5"] {
            assert_eq!(after(nonsense), Verdict::Retry, "{nonsense:?}");
        }
    }

    #[test]
    fn retry_after_counts_on_any_failure_but_never_turns_one_into_success() {
        assert_eq!(judged(302, Some("5")), Verdict::RetryAfter(Duration::from_secs(5)));
        assert_eq!(judged(200, Some("5")), Verdict::Delivered);
        assert_eq!(judged(410, Some("5")), Verdict::Pause);
    }

    #[test]
    fn reasons_are_our_own_words() {
        assert_eq!(reason(&Ok(Answer { status: 500, retry_after: None, kept: b"secret".to_vec() })), "status 500");
        assert_eq!(reason(&Err(Failure::Timeout)), "timeout");
        assert_eq!(reason(&Err(Failure::Tls(TlsTrouble::WrongName))), "tls_wrong_name");
        let away = Answer { status: 307, retry_after: None, kept: vec![] };
        assert_eq!(reason(&Ok(away)), "status 307: a redirect is not followed");
    }
}
