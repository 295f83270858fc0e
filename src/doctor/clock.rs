//! This machine's clock beside those of the peers, by the `Date` of their answers.
//!
//! Promises: pure; a peer on this machine is asked only where there is no other, since its clock is ours.

use std::time::{Duration, UNIX_EPOCH};

use super::{Check, State};
use crate::webhook::sign::TOLERANCE_S;

/// Further off than this, somebody should look: receivers may be as far off the other way.
const CLOSE_ENOUGH_MS: i64 = 5_000;
/// A `Date` has whole seconds, rounded down: on average it is this late.
const HALF_A_SECOND_MS: i64 = 500;
const TOLERANCE_MS: i64 = TOLERANCE_S.cast_signed() * 1_000;
const FOLLOW: &str = "let this machine's clock follow a time server, e.g. timedatectl set-ntp true";

/// A peer's answer to the question what time it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    /// Who answered: `the speech service`.
    pub(super) peer: String,
    /// Whether it is this machine itself.
    pub(super) is_here: bool,
    /// How far our clock is ahead of its.
    pub(super) ahead_ms: i64,
}

impl Reading {
    /// Of a `Date` that was written between two times of our clock, in milliseconds since 1970-01-01 UTC; `None` if it is none.
    pub(super) fn of_date(peer: String, is_here: bool, date: &str, between_ms: (u64, u64)) -> Option<Self> {
        let theirs = httpdate::parse_http_date(date.trim()).ok()?.duration_since(UNIX_EPOCH).ok()?;
        let theirs = i64::try_from(theirs.as_millis()).ok()? + HALF_A_SECOND_MS;
        let ours = i64::try_from(u64::midpoint(between_ms.0, between_ms.1)).ok()?;
        Some(Self { peer, is_here, ahead_ms: ours - theirs })
    }
}

/// `readings` in the order in which they are believed; `asked` is whether there was anybody to ask.
pub(super) fn judge(readings: &[Reading], asked: bool) -> Check {
    let Some(reading) = readings.iter().find(|reading| !reading.is_here).or_else(|| readings.first()) else {
        let why = if asked { "nobody told the time" } else { "nobody to ask: neither a speech service nor a webhook endpoint" };
        return Check::new("clock", State::Skip, why);
    };
    let way = if reading.ahead_ms > 0 { "ahead of" } else { "behind" };
    let off = seconds(Duration::from_millis(reading.ahead_ms.unsigned_abs()));
    let text = format!("{off} {way} {} (webhook receivers tolerate {TOLERANCE_S} s)", reading.peer);
    match reading.ahead_ms.abs() {
        off if off > TOLERANCE_MS => {
            Check::new("clock", State::Fail, text).advise(format!("{FOLLOW}; receivers refuse every event until then"))
        }
        off if off > CLOSE_ENOUGH_MS => Check::new("clock", State::Warn, text).advise(FOLLOW),
        _ => Check::new("clock", State::Ok, text),
    }
}

/// With one decimal, as far as that says anything.
fn seconds(off: Duration) -> String {
    if off < Duration::from_mins(1) { format!("{:.1} s", off.as_secs_f64()) } else { format!("{} s", off.as_secs()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AT_MS: u64 = 784_111_777_000;

    fn line(local_ms: u64) -> String {
        let reading = Reading::of_date("the speech service".to_owned(), false, DATE, (local_ms - 10, local_ms + 10));
        let check = judge(reading.as_slice(), true);
        let advice = check.advice.map(|advice| format!(" → {advice}")).unwrap_or_default();
        format!("{:?} {}{advice}", check.state, check.text)
    }

    #[test]
    fn the_line_says_how_far_and_which_way() {
        insta::assert_snapshot!(
            [AT_MS + 300, AT_MS + 700, AT_MS - 5_000, AT_MS + 400_500, AT_MS - 400_000, AT_MS + 59_000].map(line).join("\n"),
            @r"
            Ok 0.2 s behind the speech service (webhook receivers tolerate 300 s)
            Ok 0.2 s ahead of the speech service (webhook receivers tolerate 300 s)
            Warn 5.5 s behind the speech service (webhook receivers tolerate 300 s) → let this machine's clock follow a time server, e.g. timedatectl set-ntp true
            Fail 400 s ahead of the speech service (webhook receivers tolerate 300 s) → let this machine's clock follow a time server, e.g. timedatectl set-ntp true; receivers refuse every event until then
            Fail 400 s behind the speech service (webhook receivers tolerate 300 s) → let this machine's clock follow a time server, e.g. timedatectl set-ntp true; receivers refuse every event until then
            Warn 58.5 s ahead of the speech service (webhook receivers tolerate 300 s) → let this machine's clock follow a time server, e.g. timedatectl set-ntp true
            "
        );
    }

    #[test]
    fn a_clock_is_as_good_as_receivers_tolerate_and_no_worse() {
        assert!(line(AT_MS + 300_500).starts_with("Warn") && line(AT_MS + 300_501).starts_with("Fail"));
        assert!(line(AT_MS + 5_500).starts_with("Ok") && line(AT_MS + 5_501).starts_with("Warn"));
    }

    #[test]
    fn another_machine_is_believed_before_this_one() {
        let reading = |peer: &str, is_here| Reading { peer: peer.to_owned(), is_here, ahead_ms: 0 };
        let readings = [reading("the speech service", true), reading("the receiver crm", false)];
        assert!(judge(&readings, true).text.contains("behind the receiver crm"));
        assert!(judge(&readings[..1], true).text.contains("the speech service"));
    }

    #[test]
    fn who_has_nobody_to_ask_skips_it_and_says_why() {
        assert_eq!(judge(&[], true), Check::new("clock", State::Skip, "nobody told the time"));
        assert_eq!(judge(&[], false).text, "nobody to ask: neither a speech service nor a webhook endpoint");
        for no_date in ["", "yesterday", "Sun, 06 Nov 1994"] {
            assert_eq!(Reading::of_date("x".to_owned(), false, no_date, (0, 0)), None, "{no_date}");
        }
    }
}
