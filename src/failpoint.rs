//! Places at which a test can end the program as a crash would.
//!
//! Promises: without the feature `failpoints`, which no build for users has, a place costs nothing and cannot be reached from outside;
//! with it, one that nobody armed costs one look at a flag. A place that is armed ends the process at once: no destructor runs, no
//! buffer is written.

/// Names a place; the whole list is [`NAMES`].
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        $crate::failpoint::pass($name);
    };
}

/// Every place there is, so that the tests can say which they have been at.
pub const NAMES: &[&str] = &[
    "store.before_commit",
    "store.after_commit",
    "outbox.before_send",
    "outbox.after_send",
    "outbox.before_verdict",
    "outbox.after_verdict",
    "spool.before_write",
    "spool.after_write",
    "spool.after_sync",
    "mark.before",
    "mark.after",
    "link.rotate",
    "drain.begin",
    "drain.closed",
    "recover.begin",
    "recover.each",
    "recover.end",
    "keys.made",
    "retention.before",
    "retention.after",
    "erase.before",
    "erase.after",
];

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    /// Whether any place is armed.
    static ARMED: AtomicBool = AtomicBool::new(false);

    /// Passes a place.
    pub fn pass(name: &'static str) {
        if ARMED.load(Ordering::Relaxed) {
            fail::fail_point!(name);
        }
    }

    /// Arms what the variable `FAILPOINT` names, as `name:n`: the n-th pass (from 1) of that place ends the process.
    ///
    /// # Errors
    /// Says what is wrong with the variable.
    pub fn arm() -> Result<(), String> {
        let Ok(wanted) = std::env::var("FAILPOINT") else { return Ok(()) };
        let (name, pass) = wanted.split_once(':').ok_or("FAILPOINT must be `name:n`")?;
        if !super::NAMES.contains(&name) {
            return Err(format!("there is no failpoint {name}"));
        }
        let left = AtomicU64::new(pass.parse().map_err(|_| "FAILPOINT must be `name:n`")?);
        fail::cfg_callback(name, move || {
            if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                std::process::abort();
            }
        })?;
        ARMED.store(true, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(feature = "failpoints")]
pub use armed::{arm, pass};
