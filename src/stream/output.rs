//! What a stream asks its driver to do.

use super::Closing;
use crate::{
    dialect::Start,
    media::{Chunk, EndReason, Track},
};

/// What the driver is to do. Times are on the stream's clock, in milliseconds from its first audio.
#[derive(Debug)]
pub enum Output {
    /// Ask whether this stream is let in.
    Start(Box<Start>),
    /// Pass audio on.
    Audio {
        /// Whose.
        track: Track,
        /// What.
        chunk: Chunk,
    },
    /// Pass a pressed key on.
    Digit {
        /// Whose.
        track: Track,
        /// When it came.
        at_ms: u64,
        /// `0`–`9`, `*`, `#`, `A`–`D`; `None` for one that was pressed in a pause.
        digit: Option<char>,
    },
    /// Audio was lost on its way here.
    Lost {
        /// Whose.
        track: Track,
        /// From here.
        from_ms: u64,
        /// To here.
        to_ms: u64,
    },
    /// From here on a track's audio is silence, whatever comes.
    Paused {
        /// Whose.
        track: Track,
        /// From here.
        at_ms: u64,
    },
    /// The track's audio is what comes again.
    Resumed {
        /// Whose.
        track: Track,
        /// From here.
        at_ms: u64,
    },
    /// Send a ping.
    Ping,
    /// Close the socket.
    Close(Closing),
    /// Nothing more will come.
    Ended(EndReason),
}
