//! One track's way to the speech service and its words' way back (protocols/pulse.md sections 3 to 7).
//!
//! [`Link`] promises:
//! - Audio goes out exactly as it came, in order, one frame a chunk; after a reconnect again from the acknowledged mark.
//! - Every byte that came ends covered by a final ([`Report::Final`], [`Report::Covered`]) or in a [`Report::Gap`], except for
//!   audio that a connection which stayed open to the end has had and said nothing about.
//! - A word is told once, whichever connections heard it, and a voice keeps its number over all of them; what interims showed and no
//!   final says is sent again, and at last told as it was shown.
//! - [`Report::Done`] comes exactly once, last, within a bounded time of [`Link::handle_audio_ended`].
//! - A failed connection is never tried again at once, and a fatal refusal is never tried again at all.
//!
//! The caller drains [`Link::poll_output`] to `None` after every `handle_*`, performs what it asks in order, tells failures by
//! `handle_refused` and `handle_lost`, and calls `handle_timeout` at `poll_timeout`.

mod backlog;
mod connection;
mod driver;
mod hear;
mod join;
mod link;
mod open;
mod pace;
mod parameters;
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

pub use backlog::{Backlog, FETCH_BYTES, Remains};
pub use driver::{Command, Leaving, LinkTrack, Probe, QUEUE_MS, Unopened, Upstream, probe, run};
pub use link::Link;
pub use parameters::{BadParameter, MAX_SESSION_ID, Parameters, external_session_id};
pub use refusal::{Lost, Reason, Refusal};
pub use report::{LinkState, Output, Report, Stretch, Totals};
pub use settings::LinkSettings;

#[cfg(test)]
mod tests;
