//! pulse-bridge: phone calls in, live transcripts out.
pub mod backoff;
pub mod clock;
pub mod media;
pub mod pii;
pub mod segment;
