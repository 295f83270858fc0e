//! The only reader of clocks and randomness. Everything else gets time and chance as arguments.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ulid::Ulid;

/// The monotonic clock; follows tokio's paused clock in tests.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this file is the one that may")]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Milliseconds since 1970-01-01 UTC.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this file is the one that may")]
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Sleeps until `deadline`; for ever where there is none.
pub async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Fills an array with randomness fit for keys and tokens.
///
/// # Panics
/// If the system has no randomness to give: nothing here would be safe then.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this file is the one that may")]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives randomness");
    bytes
}

/// A number for the jitter of a wait, any of them as likely as any other.
///
/// # Panics
/// As [`random`].
#[must_use]
pub fn chance() -> u32 {
    u32::from_ne_bytes(random())
}

/// A new sortable id: 48 bits of time, 80 bits of chance.
#[must_use]
pub fn ulid() -> Ulid {
    Ulid::from_parts(wall_ms(), u128::from_be_bytes(random::<16>()))
}
