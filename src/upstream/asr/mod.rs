//! The older Waves ASR as a client speaks it (protocols/pulse.md section 9).
//!
//! Promises: only parameters that the service knows are ever sent, since it closes on any other; its results, voice activity and
//! errors become the messages that Pulse's become.

mod objection;
mod parameters;
mod wire;

pub use objection::{Cause, Objection};
pub(super) use parameters::{TABLE, expected, list};
pub(super) use wire::parse;
