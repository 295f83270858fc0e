//! The built-in engine on telephone sound: how many words it gets wrong, when it says they were said, and what it hears where nobody speaks.
//!
//! Needs the engine in ./data (`pulse-bridge engine install`); without it the tests pass with a loud line here, and fail in CI. What is measured
//! in long tables is `cargo bench --bench recognition`.

use std::{io::Write, sync::LazyLock};

use pulse_bridge::engine::files::Model;

use crate::{calls::TimeErrors, chain::Chain};

mod calls;
mod chain;
mod numerals;
mod plain;
mod score;

/// The engine, once for all tests.
fn engine() -> Option<&'static Chain> {
    static ENGINE: LazyLock<Option<Chain>> = LazyLock::new(|| Chain::load(&chain::data(), Model::Fast));
    let engine = ENGINE.as_ref();
    if engine.is_none() {
        assert!(std::env::var_os("CI").is_none(), "in CI the speech engine is installed before the tests");
        // Past the harness, which keeps what a passing test prints to itself.
        let _ = std::io::stderr().write_all(b"\n!! SKIPPED: no speech engine in ./data: pulse-bridge engine install\n");
    }
    engine
}

#[test]
fn words_are_given_the_times_at_which_they_were_said() {
    let Some(engine) = engine() else { return };
    let errors = TimeErrors::of_all(&calls::hear_all(engine));
    assert!(errors.starts.len() >= 400, "{} words were heard right", errors.starts.len());
    for (what, errors) in [("starts", &errors.starts), ("ends", &errors.ends)] {
        let [median, _, most] = TimeErrors::spread(errors);
        assert!(median <= 150 && most <= 400, "{what}: median {median} ms, 95th percentile {most} ms");
    }
}
