//! ★ Disk: whether there is space for new calls, and when the reserve is given up and made anew.
//!
//! The reserve is a file that takes space ahead. Where a write fails because the disk is full it is removed, so that the events of live
//! calls still land; it is made anew once there is space for it beside `disk.min_free`. While it is away its size is asked for as well.
//!
//! Promises: pure; a disk that is nearly full refuses new calls and nothing else, and no row is ever dropped for space; each change is
//! told once; a disk that cannot be measured changes nothing. The caller looks every [`LOOK_EVERY`] and on a failed write, and drains
//! [`Disk::poll_output`] after each `handle_*`.

pub mod driver;

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

pub use driver::Space;

use crate::config;

/// How often the disk is looked at: at 1,000 calls a second's audio is 16 MB, far less than `disk.min_free`.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What must be free beyond the bound before calls are taken again, so that a disk at its edge does not flap; at most a sixteenth of it.
const SLACK_BYTES: u64 = 16 << 20;
/// A write that fails with less than this free failed for lack of space, whatever it says.
const FULL_BYTES: u64 = 16 << 20;
/// How long nothing is taken ahead again after the reserve was given up or could not be made.
const REMAKE_REST: Duration = Duration::from_secs(10);

/// What a look at the disk found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Left for this user, in bytes; `None` where the system does not say.
    pub free: Option<u64>,
    /// How the last writes of the store and the spool went.
    pub writes: Writes,
}

/// How the last writes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Well.
    Fine,
    /// One failed, and did not say that the disk is full.
    Failing,
    /// One failed because the disk, or this user's share of it, is full.
    Full,
}

/// What the driver is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Take the reserve; answered by [`Disk::handle_made`].
    Make,
    /// Let it go.
    GiveUp,
    /// The standing has changed: say so, once.
    Tell(Standing),
}

/// Whether there is space for new calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is.
    Enough {
        /// Left, in bytes, if that is known.
        free: Option<u64>,
    },
    /// No new call is taken.
    NearlyFull {
        /// Left, in bytes, if that is known.
        free: Option<u64>,
        /// Calls are taken again from here on.
        needed: u64,
        /// Whether the reserve had to be given up.
        is_full: bool,
    },
}

impl Standing {
    /// Whether new calls are refused.
    #[must_use]
    pub const fn is_nearly_full(self) -> bool {
        matches!(self, Self::NearlyFull { .. })
    }
}

/// The numbers, and what to do; one line for people.
impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |free: &Option<u64>| free.map_or_else(|| "an unknown amount".to_owned(), |free| format!("{} MiB", free >> 20));
        match self {
            Self::Enough { free } => write!(f, "{} free", size(free)),
            Self::NearlyFull { free, needed, is_full } => {
                let how = if *is_full { "was full and gave up its reserve" } else { "is nearly full" };
                let needed = needed.div_ceil(1 << 20);
                write!(
                    f,
                    "the disk of data_dir {how}: {} free, calls are taken from {needed} MiB on; make room, move data_dir, or lower \
                           disk.min_free or retention.calls",
                    size(free)
                )
            }
        }
    }
}

/// See the module's page.
pub struct Disk {
    settings: config::Disk,
    is_held: bool,
    /// Given up because the disk was full, and not made anew since.
    was_full: bool,
    standing: Standing,
    /// The reserve is not asked for before this.
    rest: Option<Instant>,
    outputs: VecDeque<Output>,
}

impl Disk {
    /// With a reserve that an earlier run has left, or without.
    #[must_use]
    pub fn new(settings: config::Disk, is_held: bool) -> Self {
        let is_held = is_held || settings.reserve == 0;
        let standing = Standing::Enough { free: None };
        Self { settings, is_held, was_full: false, standing, rest: None, outputs: VecDeque::new() }
    }

    /// How it stands, with the numbers of the last look.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// The disk was looked at.
    pub fn handle_look(&mut self, look: Look, now: Instant) {
        let is_full = match look.writes {
            Writes::Full => true,
            Writes::Failing => look.free.is_some_and(|free| free < FULL_BYTES),
            Writes::Fine => false,
        };
        if is_full && self.is_held && self.settings.reserve > 0 {
            (self.is_held, self.was_full, self.rest) = (false, true, Some(now + REMAKE_REST));
            self.outputs.push_back(Output::GiveUp);
        }
        let has_rested = self.rest.is_none_or(|rest| rest <= now);
        if !self.is_held && has_rested && look.writes == Writes::Fine && look.free.is_some_and(|free| free >= self.needed()) {
            // Until it is known whether that went well.
            self.rest = Some(now + REMAKE_REST);
            self.outputs.push_back(Output::Make);
        }
        self.judge(look.free);
    }

    /// Whether the reserve could be taken; what is left was looked at behind that.
    pub fn handle_made(&mut self, is_made: bool, free: Option<u64>) {
        (self.is_held, self.was_full) = (is_made, self.was_full && !is_made);
        self.judge(free);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What must be free for new calls.
    fn needed(&self) -> u64 {
        self.settings.min_free + if self.is_held { 0 } else { self.settings.reserve }
    }

    fn judge(&mut self, free: Option<u64>) {
        let was_nearly_full = self.standing.is_nearly_full();
        let needed = self.needed();
        let slack = if was_nearly_full { SLACK_BYTES.min(needed / 16) } else { 0 };
        let is_short = free.map_or(was_nearly_full, |free| free < needed + slack);
        let is_watched = self.settings.min_free > 0;
        self.standing = if self.was_full || is_watched && is_short {
            Standing::NearlyFull { free, needed, is_full: self.was_full }
        } else {
            Standing::Enough { free }
        };
        if self.standing.is_nearly_full() != was_nearly_full {
            self.outputs.push_back(Output::Tell(self.standing));
        }
    }
}

#[cfg(test)]
mod tests;
