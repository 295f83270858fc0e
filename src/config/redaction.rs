//! The redaction gate's settings.
//!
//! Promises: pure; what stands here was checked, and a gate can keep it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::redact::{DigitPolicy, GateSettings, Policy};

/// `[redaction]`.
#[derive(Clone)]
pub struct Redaction {
    /// How long a final may be held.
    pub hold: Duration,
    /// Interim text comes out, with digits and number words masked.
    pub partials: bool,
    /// Single keypad digits are shown where no secret was asked for.
    pub menu_digits: bool,
    /// What is taken out, and what stands in its place.
    pub policy: Arc<Policy>,
    /// Folder of the name model; none: the rules alone look for names.
    pub name_model: Option<PathBuf>,
}

impl Redaction {
    /// The same as a gate takes it, without the name model, which somebody else loads.
    #[must_use]
    pub fn gate(&self) -> GateSettings {
        let digits = if self.menu_digits { DigitPolicy::ShowMenu } else { DigitPolicy::MaskAll };
        let policy = Arc::clone(&self.policy);
        GateSettings { hold: self.hold, interims: self.partials, digits, policy, ..GateSettings::default() }
    }
}
