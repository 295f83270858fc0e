//! The grammar of `--fail`: `key=value` and bare ways, with commas between them.
//!
//! Promises: an unknown key is refused with the nearest known one, a value with what would do; a key counts once.

use std::{ops::RangeInclusive, str::FromStr, time::Duration};

use super::{Fail, Spec, Way};
use crate::config::nearest::nearest;

/// Every key, ways first.
pub(super) const KEYS: [&str; 16] = [
    "status",
    "reset",
    "hang",
    "garbage",
    "huge",
    "redirect",
    "drip",
    "delay_ms",
    "retry_after",
    "count",
    "every",
    "after",
    "share",
    "seed",
    "type",
    "seq",
];
/// Ways of which a spec has at most one.
const WAYS: [&str; 6] = ["reset", "hang", "garbage", "huge", "redirect", "drip"];
/// MiB where `huge` says no number.
const HUGE_MIB: u32 = 10;
/// Most MiB: more than any reader of an answer should take, little enough for a loop-back in a test.
const MAX_HUGE_MIB: u32 = 1024;
/// Milliseconds between two bytes where `drip` says no number.
const DRIP_MS: u32 = 1000;
/// Longest wait before an answer or between two bytes, in milliseconds: an hour.
const MAX_WAIT_MS: u32 = 3_600_000;

/// Why a `--fail` spec was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSpec {
    /// Neither a key with its value nor a way.
    #[error("\"{0}\" is no way to fail; give e.g. status=503,count=3")]
    Part(String),
    /// A key that is none.
    #[error("\"{part}\" has an unknown key; did you mean \"{nearest}\"? Keys are: {}", KEYS.join(", "))]
    Key {
        /// As it was given.
        part: String,
        /// The known key that is most like it.
        nearest: &'static str,
    },
    /// A value that does not fit its key.
    #[error("\"{part}\" does not fit; give {wanted}")]
    Value {
        /// As it was given.
        part: String,
        /// What would do.
        wanted: &'static str,
    },
    /// A key twice.
    #[error("\"{0}\" stands twice in one spec; --fail may come several times")]
    Twice(&'static str),
    /// Two ways at once.
    #[error("{0} and {1} are two ways to fail; give each a --fail of its own")]
    TwoWays(&'static str, &'static str),
    /// Conditions only.
    #[error("\"{0}\" does not say how to fail; add status=503, reset, hang, garbage, huge, redirect=URL, drip or delay_ms=500")]
    NoWay(String),
    /// Something that the way has no room for.
    #[error("{0} gives no answer, so it takes no {1}; leave that out")]
    NoAnswer(&'static str, &'static str),
}

/// The parts as given, each key once.
struct Parts<'a>(Vec<(&'static str, Option<&'a str>)>);

impl FromStr for Spec {
    type Err = BadSpec;

    fn from_str(spec: &str) -> Result<Self, BadSpec> {
        let parts = Parts::split(spec)?;
        let way = parts.way()?;
        let delay = parts.number("delay_ms", 0..=MAX_WAIT_MS, "a number of milliseconds, at most 3600000")?;
        if way.is_none() && delay.is_none() {
            return Err(BadSpec::NoWay(spec.to_owned()));
        }
        let count = "a whole number";
        let positive = "a whole number from 1";
        Ok(Self {
            way: way.unwrap_or(Way::Usual),
            retry_after: parts.number("retry_after", 0..=u32::MAX, "a number of seconds")?,
            delay: delay.map(|ms| Duration::from_millis(ms.into())),
            kind: parts.text("type", "an event type, e.g. type=transcript.final")?.map(str::to_owned),
            seq: parts.number("seq", 0..=u64::MAX, count)?,
            after: parts.number("after", 0..=u64::MAX, count)?.unwrap_or(0),
            every: parts.number("every", 1..=u64::MAX, positive)?.unwrap_or(1),
            share: parts.number("share", 0.0..=1.0, "a share from 0 to 1, e.g. share=0.3")?,
            seed: parts.number("seed", 0..=u64::MAX, count)?.unwrap_or(0),
            count: parts.number("count", 0..=u64::MAX, count)?,
        })
    }
}

impl FromStr for Fail {
    type Err = BadSpec;

    /// One spec alone.
    fn from_str(spec: &str) -> Result<Self, BadSpec> {
        Ok(Self(vec![spec.parse()?]))
    }
}

impl<'a> Parts<'a> {
    fn split(spec: &'a str) -> Result<Self, BadSpec> {
        let mut parts: Vec<(&'static str, Option<&str>)> = Vec::new();
        for part in spec.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').map_or((part, None), |(key, value)| (key, Some(value)));
            let Some(key) = KEYS.into_iter().find(|known| *known == key) else {
                let nearest = nearest(key, KEYS.into_iter()).unwrap_or("status");
                return Err(match value {
                    None => BadSpec::Part(part.to_owned()),
                    Some(_) => BadSpec::Key { part: part.to_owned(), nearest },
                });
            };
            if parts.iter().any(|(known, _)| *known == key) {
                return Err(BadSpec::Twice(key));
            }
            parts.push((key, value));
        }
        Ok(Self(parts))
    }

    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == key)
    }

    /// What stands behind a key's `=`, if it is there and has one.
    fn value(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == key).and_then(|(_, value)| *value)
    }

    fn text(&self, key: &'static str, wanted: &'static str) -> Result<Option<&'a str>, BadSpec> {
        match self.value(key) {
            None if !self.has(key) => Ok(None),
            Some(value) if !value.is_empty() => Ok(Some(value)),
            value => Err(unfit(key, value, wanted)),
        }
    }

    fn number<T: FromStr + PartialOrd>(
        &self,
        key: &'static str,
        fits: RangeInclusive<T>,
        wanted: &'static str,
    ) -> Result<Option<T>, BadSpec> {
        let Some(given) = self.text(key, wanted)? else { return Ok(None) };
        let number = given.parse().ok().filter(|number| fits.contains(number));
        number.map(Some).ok_or_else(|| unfit(key, Some(given), wanted))
    }

    /// The number of a way that needs none.
    fn amount(&self, key: &'static str, default: u32, most: u32, wanted: &'static str) -> Result<u32, BadSpec> {
        if self.value(key).is_none() {
            return Ok(default);
        }
        Ok(self.number(key, 1..=most, wanted)?.unwrap_or(default))
    }

    /// How the answer goes wrong, if it does.
    fn way(&self) -> Result<Option<Way>, BadSpec> {
        let mut given = WAYS.into_iter().filter(|way| self.has(way));
        let (way, other) = (given.next(), given.next());
        if let (Some(way), Some(other)) = (way, other) {
            return Err(BadSpec::TwoWays(way, other));
        }
        let status = self.number("status", 200..=599, "a status from 200 to 599")?;
        Ok(match way {
            None => status.map(Way::Status),
            Some(way @ ("reset" | "hang" | "garbage")) => {
                if let Some(key) = ["status", "retry_after"].into_iter().find(|key| self.has(key)) {
                    return Err(BadSpec::NoAnswer(way, key));
                }
                Some(match way {
                    "reset" => Way::Reset { midway: self.midway()? },
                    "hang" => self.bare("hang", Way::Hang)?,
                    _ => self.bare("garbage", Way::Garbage)?,
                })
            }
            Some("huge") => {
                let mib = self.amount("huge", HUGE_MIB, MAX_HUGE_MIB, "a number of MiB from 1 to 1024")?;
                Some(Way::Huge { status: status.unwrap_or(200), mib })
            }
            Some("redirect") => Some(self.redirect(status)?),
            Some(_) => {
                let pause = self.amount("drip", DRIP_MS, MAX_WAIT_MS, "the milliseconds between two bytes, from 1 to 3600000")?;
                Some(Way::Drip { status: status.unwrap_or(200), pause: Duration::from_millis(pause.into()) })
            }
        })
    }

    /// A way that has no number.
    fn bare(&self, key: &'static str, way: Way) -> Result<Way, BadSpec> {
        match self.value(key) {
            None => Ok(way),
            value => Err(unfit(key, value, "the word alone, without =")),
        }
    }

    fn midway(&self) -> Result<bool, BadSpec> {
        match self.value("reset") {
            None => Ok(false),
            Some("midway") => Ok(true),
            other => Err(unfit("reset", other, "reset or reset=midway")),
        }
    }

    fn redirect(&self, status: Option<u16>) -> Result<Way, BadSpec> {
        let wanted = "an address, e.g. redirect=http://127.0.0.1:9001/elsewhere; write a comma in it as %2C";
        let to = self.text("redirect", wanted)?.filter(|to| to.bytes().all(|byte| byte.is_ascii_graphic()));
        let to = to.ok_or_else(|| unfit("redirect", self.value("redirect"), wanted))?.to_owned();
        match status.unwrap_or(302) {
            status @ 300..=399 => Ok(Way::Redirect { status, to }),
            other => Err(unfit("status", Some(&other.to_string()), "a status from 300 to 399 with redirect")),
        }
    }
}

fn unfit(key: &str, value: Option<&str>, wanted: &'static str) -> BadSpec {
    let part = value.map_or_else(|| key.to_owned(), |value| format!("{key}={value}"));
    BadSpec::Value { part, wanted }
}
