//! Making the accurate weights ready, once.
//!
//! As they come they are in ONNX Runtime's own format, which it cannot optimise any more: a second of audio takes 0.27 s of a processor. In ONNX it
//! takes 0.09 s.
//!
//! Promises: the weights themselves stay as they are; what is written has been read back by ONNX Runtime.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use ort::{
    environment::Environment,
    session::{Session, builder::GraphOptimizationLevel},
};

use super::{
    super::{net::Net, runtime},
    place,
};
use crate::engine::graph;

/// Writes the model of a `.ort` file as `.onnx` beside it, and removes the first.
pub(super) fn convert(library: &Path, model: &Path) -> Result<PathBuf> {
    let environment = runtime::environment(library)?;
    let written = model.with_extension("onnx");
    save(&environment, model, &written)?;
    let bytes = fs::read(&written)?;
    let named = graph::with_names(&bytes).context("ONNX Runtime wrote something that is no ONNX model")?;
    place::write(&written, &named).with_context(|| format!("failed to write {}", written.display()))?;
    drop((bytes, named));
    Net::load(&environment, &written)?;
    fs::remove_file(model)?;
    Ok(written)
}

fn save(environment: &Environment, model: &Path, to: &Path) -> Result<()> {
    let build = || -> ort::Result<Session> {
        Session::builder(environment)?
            .with_intra_threads(1)?
            .with_optimization_level(GraphOptimizationLevel::Disable)?
            .with_config_entry("session.save_model_format", "ONNX")?
            .with_optimized_model_path(to)?
            .commit_from_file(model)
    };
    build().map(drop).map_err(|why| anyhow!("{why}")).with_context(|| format!("failed to load {}", model.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use audio_codec_algorithms::decode_ulaw;

    use super::*;
    use crate::{
        engine::{
            Job, Outcome, Urgency,
            driver::moonshine,
            files::{Files, Model},
        },
        store::driver::tests::Folder,
    };

    /// What a model hears in eight seconds of a recorded prompt.
    fn hears(files: &Files) -> Vec<String> {
        let sound = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/prompt/inbound.ulaw")).unwrap();
        // Each sample twice is 16 kHz, well enough to compare.
        let samples = sound.iter().take(64_000).flat_map(|byte| [f32::from(decode_ulaw(*byte)) / 32_768.0; 2]).collect();
        let pool = moonshine::load(files, Model::Fast, 1).unwrap();
        let (results, mut outcomes) = tokio::sync::mpsc::unbounded_channel();
        pool.submit(Job { id: 1, urgency: Urgency::Final, samples }, &results);
        match outcomes.blocking_recv() {
            Some((1, Outcome::Recognised(words))) => words.into_iter().map(|word| word.text).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_converted_model_hears_the_same_words() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
        let Ok(shipped) = super::super::find(&data, Model::Fast) else {
            assert!(std::env::var_os("CI").is_none(), "in CI the speech engine is installed before the tests");
            // Past the harness, which keeps what a passing test prints to itself.
            let _ = std::io::stderr().write_all(b"\n!! SKIPPED: no speech engine in ./data: pulse-bridge engine install\n");
            return;
        };
        let folder = Folder::new();
        let [encoder, decoder] = [&shipped.encoder, &shipped.decoder].map(|model| {
            let copy = folder.0.join(model.file_name().unwrap());
            fs::copy(model, &copy).unwrap();
            let converted = convert(&shipped.runtime, &copy).unwrap();
            assert!(!copy.exists() && converted.extension() == Some("onnx".as_ref()));
            converted
        });
        let words = hears(&shipped);
        assert!(words.len() > 5, "{words:?}");
        assert_eq!(hears(&Files { encoder, decoder, ..shipped }), words);
    }
}
