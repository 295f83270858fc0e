//! Failing on demand: which deliveries fail, and how. The grammar of `--fail` is in docs/tools.md.
//!
//! Promises: pure; without a spec nothing fails; the first spec that a delivery meets decides; the same specs, seeds and deliveries
//! give the same failures. What fails on purpose is not accepted, so it must come again.

mod parse;

use std::time::Duration;

pub use parse::BadSpec;

use crate::draw;

/// What a `--fail` spec may give beside conditions: how a delivery is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// As if nothing were wrong; only the delay counts.
    Usual,
    /// This status without a body.
    Status(u16),
    /// The connection is reset: without an answer, or in the middle of one.
    Reset {
        /// Behind the header and half of the body.
        midway: bool,
    },
    /// No answer at all, and the connection stays.
    Hang,
    /// Bytes that are no HTTP in place of an answer.
    Garbage,
    /// A body of this many MiB without a content-length.
    Huge {
        status: u16,
        mib: u32,
    },
    Redirect {
        status: u16,
        to: String,
    },
    /// A body of a byte at a time, so long apart.
    Drip {
        status: u16,
        pause: Duration,
    },
}

impl Way {
    /// The word that reports use.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Usual => "delay",
            Self::Status(_) => "status",
            Self::Reset { .. } => "reset",
            Self::Hang => "hang",
            Self::Garbage => "garbage",
            Self::Huge { .. } => "huge",
            Self::Redirect { .. } => "redirect",
            Self::Drip { .. } => "drip",
        }
    }

    /// The status answered; `None` if there is none that anybody could read.
    pub(super) const fn status(&self) -> Option<u16> {
        match self {
            Self::Usual => Some(204),
            Self::Reset { midway: true } => Some(200),
            Self::Reset { midway: false } | Self::Hang | Self::Garbage => None,
            Self::Status(status) | Self::Huge { status, .. } | Self::Redirect { status, .. } | Self::Drip { status, .. } => {
                Some(*status)
            }
        }
    }

    /// Whether the sender gets a whole answer that says yes.
    pub(super) const fn accepts(&self) -> bool {
        match self {
            Self::Usual | Self::Status(200..=299) | Self::Huge { status: 200..=299, .. } => true,
            Self::Status(_)
            | Self::Huge { .. }
            | Self::Reset { .. }
            | Self::Hang
            | Self::Garbage
            | Self::Redirect { .. }
            | Self::Drip { .. } => false,
        }
    }
}

/// One `--fail`: which deliveries fail, and how; `status=503,count=3`.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    way: Way,
    retry_after: Option<u32>,
    delay: Option<Duration>,
    /// Only deliveries of this event type.
    kind: Option<String>,
    /// Only deliveries with this `seq`.
    seq: Option<u64>,
    /// The first so many that fit pass.
    after: u64,
    /// Every so-manieth that fits fails; 1: each.
    every: u64,
    /// This share of those fails, 0 to 1.
    share: Option<f64>,
    /// What the share is drawn with.
    seed: u64,
    /// At most so many fail; absent: no end.
    count: Option<u64>,
}

/// How deliveries fail: each spec by itself, the first that hits decides.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fail(Vec<Spec>);

impl FromIterator<Spec> for Fail {
    fn from_iter<I: IntoIterator<Item = Spec>>(specs: I) -> Self {
        Self(specs.into_iter().collect())
    }
}

/// What to do with a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) way: Way,
    pub(super) retry_after: Option<u32>,
    pub(super) delay: Option<Duration>,
}

/// The specs and how far each has got.
#[derive(Debug, Default)]
pub(super) struct Plan(Vec<(Spec, Progress)>);

#[derive(Debug, Default)]
struct Progress {
    fitting: u64,
    hits: u64,
}

impl Plan {
    pub(super) fn new(fail: Fail) -> Self {
        Self(fail.0.into_iter().map(|spec| (spec, Progress::default())).collect())
    }

    /// What happens to the next delivery; `None`: nothing out of the ordinary. Every spec counts it that it fits.
    pub(super) fn decide(&mut self, kind: &str, seq: Option<u64>) -> Option<Planned> {
        let mut planned = None;
        for (spec, progress) in &mut self.0 {
            if !spec.fits(kind, seq) {
                continue;
            }
            let hit = spec.hits(progress);
            progress.fitting += 1;
            if hit && planned.is_none() {
                progress.hits += 1;
                planned = Some(Planned { way: spec.way.clone(), retry_after: spec.retry_after, delay: spec.delay });
            }
        }
        planned
    }
}

impl Spec {
    fn fits(&self, kind: &str, seq: Option<u64>) -> bool {
        self.kind.as_deref().is_none_or(|only| only == kind) && self.seq.is_none_or(|only| seq == Some(only))
    }

    fn hits(&self, progress: &Progress) -> bool {
        let Some(number) = progress.fitting.checked_sub(self.after) else { return false };
        self.count.is_none_or(|count| progress.hits < count)
            && (number + 1).is_multiple_of(self.every)
            && self.share.is_none_or(|share| draw::share(self.seed, number) < share)
    }
}

#[cfg(test)]
mod tests;
