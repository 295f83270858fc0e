//! What a session's words come from.

use super::script::Script;
use crate::engine::driver::Pool;

/// What makes words of the audio that comes in. Cheap to clone.
#[derive(Clone)]
pub enum Speech {
    /// What a script says of that audio.
    Scripted(Script),
    /// The built-in engine: what is really said.
    Recognised(Pool),
}

impl Default for Speech {
    fn default() -> Self {
        Self::Scripted(Script::default())
    }
}

impl From<Script> for Speech {
    fn from(script: Script) -> Self {
        Self::Scripted(script)
    }
}

impl Speech {
    /// The script; one that says nothing where speech is recognised.
    pub(super) fn script(&self) -> Script {
        match self {
            Self::Scripted(script) => script.clone(),
            Self::Recognised(_) => Script::silent(),
        }
    }

    /// The engine, where it is one.
    #[must_use]
    pub const fn engine(&self) -> Option<&Pool> {
        match self {
            Self::Scripted(_) => None,
            Self::Recognised(pool) => Some(pool),
        }
    }
}
