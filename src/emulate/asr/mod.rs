//! The older Waves ASR as the emulator speaks it (protocols/pulse.md section 9): what may be asked, what is said, what is masked.
//!
//! Promises: pure; names and values are taken exactly as they are spelt; whatever else is asked for is an error frame and the end. Where the
//! service's own page is silent the choice is written at its place.

mod mask;
mod parameters;
mod says;

pub(super) use parameters::Asked;
pub(super) use says::{Final, error, final_of, interim, objection, timeout, voice};
