//! A model on ONNX Runtime.
//!
//! Promises: sessions of one model in the library's own form (`.ort`) share its weights, read once and kept for the rest of the process, as the library itself
//! is: 60 MB less for the second thread. A session works with one thread and gives memory back when it is done with a piece.

use std::{
    borrow::Cow,
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, anyhow};
use ort::{
    environment::Environment,
    ep,
    session::{
        InMemorySession, Session, SessionInputValue, SessionOutputs,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
};

/// The extension of the library's own form; what has another is ONNX, which it copies as it reads it.
const OWN_FORM: &str = "ort";

/// The weights that sessions share, by their file.
static SHARED: Mutex<Vec<(PathBuf, &'static [u8])>> = Mutex::new(Vec::new());

/// One session.
pub(super) enum Net {
    /// Over weights that others use too.
    Shared(InMemorySession<'static>),
    Own(Session),
}

/// What a session is given, by name.
pub(super) type Inputs<'a> = Vec<(Cow<'a, str>, SessionInputValue<'a>)>;

impl Net {
    /// Loads one.
    ///
    /// # Errors
    /// Names the file.
    pub(super) fn load(environment: &Environment, path: &Path) -> Result<Self> {
        let named = || format!("failed to load {}", path.display());
        let failed = |why: &dyn std::fmt::Display| anyhow!("{why}");
        let mut builder = builder(environment).map_err(|why| failed(&why)).with_context(named)?;
        let loaded = if path.extension().is_some_and(|form| form == OWN_FORM) {
            builder.commit_from_memory_directly(weights(path)?).map(Self::Shared)
        } else {
            builder.commit_from_file(path).map(Self::Own)
        };
        loaded.map_err(|why| failed(&why)).with_context(named)
    }

    pub(super) fn run(&mut self, inputs: Inputs<'_>) -> ort::Result<SessionOutputs<'_>> {
        match self {
            Self::Shared(session) => session.run(inputs),
            Self::Own(session) => session.run(inputs),
        }
    }
}

impl Deref for Net {
    type Target = Session;

    fn deref(&self) -> &Session {
        match self {
            Self::Shared(session) => session,
            Self::Own(session) => session,
        }
    }
}

fn builder(environment: &Environment) -> ort::Result<SessionBuilder> {
    // Without its arena: what a long piece took would be kept for good.
    let cpu = ep::CPU::default().with_arena_allocator(false).build();
    Ok(Session::builder(environment)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_memory_pattern(false)?
        .with_execution_providers([cpu])?)
}

fn weights(path: &Path) -> Result<&'static [u8]> {
    // Nothing is left half done under this lock.
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, weights)) = shared.iter().find(|(known, _)| known == path) {
        return Ok(weights);
    }
    let weights = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    let weights: &'static [u8] = Box::leak(weights.into_boxed_slice());
    shared.push((path.to_owned(), weights));
    Ok(weights)
}
