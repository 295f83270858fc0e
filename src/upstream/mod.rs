//! One track's way to the speech service and its words' way back (protocols/pulse.md sections 3 to 7).
//!
//! [`Link`] promises:
//! - Audio goes out exactly as it came, in order, one frame a chunk; after a reconnect again from the acknowledged mark.
//! - Every byte that came ends covered by a final ([`Report::Final`], [`Report::Covered`]), in a [`Report::Gap`] or in [`Output::Leftover`],
//!   except for audio that a connection which stayed open to the end has had and said nothing about.
//! - A word is told once, whichever connections heard it, and a voice keeps its number over all of them; what interims showed and no
//!   final says is sent again, and at last told as it was shown.
//! - [`Report::Done`] comes exactly once, last, within a bounded time of [`Link::handle_audio_ended`].
//! - A failed connection is never tried again at once, and a fatal refusal is never tried again at all.
//!
//! The caller drains [`Link::poll_output`] to `None` after every `handle_*`, performs what it asks in order, tells failures by
//! `handle_refused` and `handle_lost`, and calls `handle_timeout` at `poll_timeout`.

mod asr;
mod backlog;
mod batch;
pub mod budget;
mod connection;
mod driver;
mod hear;
mod join;
mod link;
mod open;
mod pace;
mod parameters;
mod protocol;
pub mod quota;
mod reach;
mod recall;
mod refusal;
mod report;
mod ruler;
mod settings;
mod timers;
mod voices;
mod watch;
mod wire;

pub use asr::{Cause, Objection};
pub use backlog::{Backlog, FETCH_BYTES, KnownWord, Remains};
pub use batch::batch_address;
pub use driver::{
    BatchEndpoint, Command, Leaving, LinkTrack, Overlap, Probe, QUEUE_MS, Turn, Turns, Unopened, Upstream, probe, run,
};
pub use link::{Link, rotate::Tuned};
pub use parameters::{BadParameter, MAX_SESSION_ID, Parameters, external_session_id};
pub use protocol::{Control, Protocol};
pub use quota::{Class, Fill};
pub use refusal::{Flags, Lost, Reason, Refusal};
pub use report::{LinkState, Output, Report, Stretch, Totals};
pub use settings::LinkSettings;

#[cfg(test)]
mod tests;
