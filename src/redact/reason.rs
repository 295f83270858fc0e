//! Why something was taken out, for whoever tries the rules out: `redact --explain`.
//!
//! Promises: a reason names a rule, never a caller's word.

/// Why a stretch of a text was taken out, and which. Not for events: they tell what, not how it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Why {
    /// The rule.
    pub reason: Reason,
    /// Byte offset of the stretch in the text before redaction.
    pub start: usize,
    /// Byte offset behind its end.
    pub end: usize,
}

/// The rule that took something out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its check digit and its prefix are right.
    CheckDigit,
    /// A cue stands before it in its own party's words.
    CueBefore,
    /// A cue stands behind it.
    CueBehind,
    /// The other party asked for it.
    Asked,
    /// It is written or said in groups as only such a value is.
    Shape,
    /// So many digits in a row, and nothing explains them.
    Length,
    /// It goes on with a value whose first part was taken out.
    Continued,
    /// It was taken out, or typed, before, and is said again.
    ReadBack,
    /// The name model found it.
    Model,
    /// It is spelled letter by letter behind a cue.
    Spelled,
    /// It was not all there when it had to go out.
    Forced,
    /// What the other party had asked before was not known.
    Unasked,
    /// The speech service had taken it out.
    Service,
    /// A pattern of the settings fits it.
    Pattern,
    /// The settings say that it is always taken out.
    Denied,
}

impl Reason {
    /// What `--explain` says.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CheckDigit => "the check digit and the prefix are right",
            Self::CueBefore => "a cue stands before it",
            Self::CueBehind => "a cue stands behind it",
            Self::Asked => "the other speaker asked for it",
            Self::Shape => "it has the shape of one",
            Self::Length => "a long number that nothing explains",
            Self::Continued => "it goes on with a value that was taken out",
            Self::ReadBack => "it repeats a value that was taken out",
            Self::Model => "the name model found it",
            Self::Spelled => "it is spelled out behind a cue",
            Self::Forced => "it may have been half of a value, and could not wait",
            Self::Unasked => "what was asked before it was not known",
            Self::Service => "the speech service had taken it out",
            Self::Pattern => "a pattern of the settings fits it",
            Self::Denied => "the settings say that it is always taken out",
        }
    }
}
