//! Reads the name model of the settings, where this program was built with one.
//!
//! Promises: a model that is asked for and cannot be had is an error at start, never a silent lack.

use std::path::Path;

use super::finder::Finder;

#[cfg(feature = "name-model")]
mod name_model;

/// The model in `folder`, loaded and tried once.
///
/// # Errors
/// Files that are missing or not the model's, in words for the operator.
#[cfg(feature = "name-model")]
pub fn load(folder: &Path) -> anyhow::Result<Finder> {
    use anyhow::Context;
    let model = name_model::NameModel::load(folder);
    let model = model.with_context(|| format!("redaction.name_model = {:?} cannot be used", folder.display().to_string()))?;
    Ok(Finder::new(std::sync::Arc::new(model)))
}

/// This program has no model.
///
/// # Errors
/// Always.
#[cfg(not(feature = "name-model"))]
pub fn load(_folder: &Path) -> anyhow::Result<Finder> {
    anyhow::bail!(
        "redaction.name_model is set, but this program was built without one; build it with --features name-model, or take the setting out"
    )
}

#[cfg(feature = "name-model")]
impl super::finder::FindNames for name_model::NameModel {
    fn names(&self, text: &str) -> Vec<(usize, usize)> {
        self.names(text).unwrap_or_else(|why| {
            // Nothing of the text is in it.
            tracing::warn!(why = %why, "the name model gave no answer; the rules go on without it");
            Vec::new()
        })
    }
}

#[cfg(all(test, not(feature = "name-model")))]
mod tests {
    use super::*;

    #[test]
    fn without_a_model_a_setting_that_names_one_is_refused() {
        let why = load(Path::new("models")).expect_err("there is none").to_string();
        assert!(why.contains("--features name-model"), "{why}");
    }
}
