//! Failing on demand: which deliveries are refused, and how.
//!
//! Promises: pure; without a spec nothing fails. A delivery that fails on purpose is not accepted, so it must come again.

use std::{str::FromStr, time::Duration};

/// Why a `--fail` spec was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no way to fail; give e.g. status=503,count=3 (keys: status, count, every, type, retry_after, delay_ms)")]
pub struct BadSpec(String);

/// Which deliveries fail, and how: `status=503,count=3`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fail {
    /// The status answered; absent: only the delay is done.
    status: Option<u16>,
    /// The first so many deliveries that fit fail; absent: all.
    count: Option<u64>,
    /// Every so-manieth delivery that fits fails; 1: each.
    every: Option<u64>,
    /// Only deliveries of this event type.
    kind: Option<String>,
    retry_after: Option<u32>,
    delay: Option<Duration>,
}

/// What to do with a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Planned {
    pub(super) status: Option<u16>,
    pub(super) retry_after: Option<u32>,
    pub(super) delay: Option<Duration>,
}

impl FromStr for Fail {
    type Err = BadSpec;

    fn from_str(spec: &str) -> Result<Self, BadSpec> {
        let mut fail = Self::default();
        for part in spec.split(',').filter(|part| !part.is_empty()) {
            let bad = || BadSpec(part.to_owned());
            let (key, value) = part.split_once('=').ok_or_else(bad)?;
            let number = || value.parse::<u64>().map_err(|_| bad());
            match key {
                "status" => fail.status = Some(value.parse().ok().filter(|status| (100..600).contains(status)).ok_or_else(bad)?),
                "count" => fail.count = Some(number()?),
                "every" => fail.every = Some(number()?.max(1)),
                "type" => fail.kind = Some(value.to_owned()),
                "retry_after" => fail.retry_after = Some(value.parse().map_err(|_| bad())?),
                "delay_ms" => fail.delay = Some(Duration::from_millis(number()?)),
                _ => return Err(bad()),
            }
        }
        Ok(fail)
    }
}

impl Fail {
    /// What happens to the delivery; `fitting` counts those of its kind before it, from 0.
    pub(super) fn plan(&self, fitting: u64) -> Planned {
        let within = self.count.is_none_or(|count| fitting < count);
        let hit = (fitting + 1).is_multiple_of(self.every.unwrap_or(1));
        if within && hit {
            Planned { status: self.status, retry_after: self.retry_after, delay: self.delay }
        } else {
            Planned::default()
        }
    }

    /// Whether a delivery of this event type is counted.
    pub(super) fn fits(&self, kind: &str) -> bool {
        self.kind.as_ref().is_none_or(|only| only == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(spec: &str) -> Vec<Option<u16>> {
        let fail: Fail = spec.parse().unwrap();
        (0..5).map(|number| fail.plan(number).status).collect()
    }

    #[test]
    fn a_spec_says_which_deliveries_fail() {
        let down = Some(503);
        assert_eq!(statuses("status=503,count=3"), [down, down, down, None, None]);
        assert_eq!(statuses("status=503,every=2"), [None, down, None, down, None]);
        assert_eq!(statuses("status=503"), [down; 5]);
        assert_eq!(statuses(""), [None; 5]);
    }

    #[test]
    fn a_spec_may_be_for_one_type_and_carry_a_delay_or_a_wish() {
        let fail: Fail = "status=429,retry_after=2,delay_ms=5,type=transcript.final".parse().unwrap();
        assert!(fail.fits("transcript.final") && !fail.fits("call.started"));
        let delay = Some(Duration::from_millis(5));
        assert_eq!(fail.plan(0), Planned { status: Some(429), retry_after: Some(2), delay });
    }

    #[test]
    fn a_spec_that_is_none_is_refused_with_its_part() {
        for bad in ["503", "status=9", "status=x", "count=-1", "colour=red"] {
            assert!(
                format!("status=503,{bad}").parse::<Fail>().unwrap_err().to_string().starts_with(&format!("\"{bad}\"")),
                "{bad}"
            );
        }
    }
}
