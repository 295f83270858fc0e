//! A speech service with Pulse's wire format and the older ASR's that hears scripted speech, or with the built-in engine what is really said, and misbehaves on demand
//! (protocols/pulse.md sections 9 and 11).
//!
//! Promises: nothing is typed in. A word of a fixture is heard only when at least four fifths of its bytes have really come in on
//! this connection, and its times count bytes of this connection: lost audio is lost words, audio sent again is words again.
//! What a client did (query, headers, audio by hash, controls) and what it was told is kept in the [`HeardLog`].
//!
//! The pieces, in the data's order: `admit` decides about the upgrade, `align` finds where in which recording the bytes are,
//! `hearing` makes words of that (in its place, where speech is recognised, `engine`, asked by `recognition`), `session` ★ makes segments and messages of words (`wire` Pulse's, `asr` the older ASR's), `driver` holds the sockets.

mod admit;
mod align;
mod asr;
mod batch;
mod driver;
mod faults;
mod garbage;
mod hearing;
mod log;
mod recognition;
mod script;
mod session;
mod speech;
mod wire;

pub use admit::Auth;
pub use driver::{Arguments, Emulator, load_faults, load_script, serve};
pub use faults::{Fault, Faults, Rule};
pub use log::{ConnectionLog, HeardLog};
pub use script::{BadScript, Script, Spoken};
pub use speech::Speech;
