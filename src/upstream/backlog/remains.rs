//! What a link is given to go on with where an earlier life of its track was killed.

use crate::{media::Offset, pii::Unredacted};

/// What an earlier life left of a track: audio on the spool, and what is stored of the words just before it.
#[derive(Default)]
pub struct Remains {
    /// Where it can be read from in one piece with what is left; at most [`Remains::from`].
    pub first: Offset,
    /// Where what no stored final covers begins.
    pub from: Offset,
    /// Behind its last byte.
    pub end: Offset,
    /// Offsets and where they lie on the call's clock, in milliseconds, in order: the beginning of each run without a jump.
    pub clock: Vec<(Offset, u64)>,
    /// Words between `first` and `from` that finals told.
    pub known: Vec<KnownWord>,
    /// Finals do not say when their words were: nothing that they cover may be sent again.
    pub untimed: bool,
}

/// A word that was told, as it is stored: past the redaction gate.
pub struct KnownWord {
    /// The word.
    pub text: Unredacted,
    /// Where it begins on the track.
    pub start: Offset,
    /// Where it ends.
    pub end: Offset,
}
