//! The redaction gate: the only way for a caller's words out of the house.
//!
//! Promises: only this folder makes [`Redacted`] text of [`Unredacted`]; a final comes out once, in the order in which finals came
//! in, at once if its tail is closed and else when what follows closes it, after [`GateSettings::hold`], three more finals,
//! or the end, and then with its open tail masked; of a value that is taken out no four digits in a row are in any final,
//! however it was cut, save the last four of a card where the operator wants them; what was taken out once is taken out when
//! anybody says it again. There is no way to switch it off: the operator's choices ([`Policy`]) never free card data.
//!
//! ★ The machine [`Gate`] takes finals, interims, keypad digits, ticks and the end, and gives releases, digits and notes. After
//! each `handle_*`, drain [`Gate::poll_output`] to `None`.

mod address;
mod apply;
mod beep;
mod card;
mod codes;
mod context;
mod cues;
mod date;
mod detect;
mod digits;
pub mod driver;
mod email;
mod finder;
mod harmless;
mod homophone;
mod ip;
mod judge;
mod leads;
mod lexicon;
pub mod lines;
mod listed;
mod mask;
mod names;
mod number;
mod password;
mod pattern;
mod phone;
mod phrases;
mod placeholder;
mod policy;
mod reason;
mod routing;
mod secret;
mod spelled;
mod ssn;
mod token;
mod turn;
mod url;
mod window;

#[cfg(test)]
mod beep_tests;
#[cfg(test)]
mod phrase_tests;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod set_tests;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

pub use beep::{APART_MS, Beep, MARGIN_MS, beeps};
use digits::Keypad;
pub use finder::{FindNames, Finder};
pub use placeholder::Kind;
pub use policy::{Choices, Policy, Refused};
pub use reason::{Reason, Why};
use window::Window;

use crate::{
    media::Track,
    pii::{Redacted, Unredacted},
    segment::{Release, Role, Segment},
};

/// What stands for a text that could not be searched.
pub const REDACTION_FAILED: &str = "[REDACTION_FAILED]";

/// How a gate behaves where its operator has a choice.
#[derive(Debug, Clone)]
pub struct GateSettings {
    /// Whether interims come out, with all digits and number words masked. Off: they are withheld.
    pub interims: bool,
    /// What becomes of keypad digits.
    pub digits: DigitPolicy,
    /// How long a final with an open tail waits for what follows, by the clock on the wall and by the call's.
    pub hold: Duration,
    /// How many more finals, of any track, it waits for.
    pub hold_finals: usize,
    /// What is taken out, and what stands in its place.
    pub policy: Arc<Policy>,
    /// Who finds names beside the rules.
    pub names: Option<Finder>,
}

impl Default for GateSettings {
    fn default() -> Self {
        Self {
            interims: false,
            digits: DigitPolicy::MaskAll,
            hold: Duration::from_secs(6),
            hold_finals: 3,
            policy: Arc::default(),
            names: None,
        }
    }
}

/// What becomes of keypad digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DigitPolicy {
    /// None is shown.
    #[default]
    MaskAll,
    /// A single key is shown if nothing was asked for and no other key came within five seconds.
    ShowMenu,
}

/// What comes out of the gate.
#[derive(Debug)]
pub enum Out {
    /// A clean final.
    Release(Release),
    /// A clean interim.
    Interim(Segment<Redacted>),
    /// A key that was pressed.
    Digit {
        /// On which track.
        track: Track,
        /// When, on the call's clock.
        at_ms: u64,
        /// Whether the key is withheld.
        masked: bool,
        /// The key, unless withheld.
        digit: Option<char>,
    },
    /// Something for counters and logs; never holds a caller's words.
    Note(Note),
}

/// What a gate has to say beside text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A final went out before its tail was closed.
    Forced(Forced),
    /// The search broke on a final or a parameter, or would have taken too long: [`REDACTION_FAILED`] went out in its place.
    Failed,
}

/// Why a final went out before its tail was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forced {
    /// It had waited for [`GateSettings::hold`].
    Time,
    /// [`GateSettings::hold_finals`] more finals came.
    Finals,
    /// More was held than a call may hold.
    Memory,
}

/// Reads the word lists, which takes some 20 ms, so that no call's first final waits for it.
pub fn prepare() {
    lexicon::prepare();
}

/// Whether a digit or a number word is said in a text.
#[must_use]
pub fn bears_number(text: &Unredacted) -> bool {
    window::bears_number(text.expose())
}

/// ★ The redaction gate of one call.
pub struct Gate {
    settings: GateSettings,
    window: Window,
    keypad: Keypad,
    output: VecDeque<Out>,
}

impl Gate {
    /// A gate for one call. `key` is random, the call's own, and forgotten with it: values are remembered as keyed hashes only.
    #[must_use]
    pub fn new(settings: GateSettings, key: [u8; 32]) -> Self {
        let keypad = Keypad::new(settings.digits);
        Self {
            window: Window::new(key, Arc::clone(&settings.policy), settings.names.clone()),
            keypad,
            settings,
            output: VecDeque::new(),
        }
    }

    /// The same, going on behind placeholders that an earlier life of the call gave out: whose they were is forgotten with its values,
    /// so nobody gets them again.
    #[must_use]
    pub fn behind<'a>(mut self, placeholders: impl IntoIterator<Item = &'a str>) -> Self {
        placeholders.into_iter().for_each(|placeholder| self.window.behind(placeholder));
        self
    }

    /// A final. It, or what it was holding back, may come out.
    pub fn handle_final(&mut self, segment: Segment<Unredacted>, now: Instant) {
        self.take_final(segment, false, now);
    }

    /// The same for a final before which another party may have said what is not known yet: a question that makes a few digits a secret.
    /// Every number in it of three digits or more is taken out.
    pub fn handle_final_unasked(&mut self, segment: Segment<Unredacted>, now: Instant) {
        self.take_final(segment, true, now);
    }

    fn take_final(&mut self, segment: Segment<Unredacted>, unasked: bool, now: Instant) {
        self.window.remember_typed(self.keypad.entry());
        if self.window.hear_until(segment.end_ms) {
            self.settle(now);
        }
        self.window.push(segment, unasked, now);
        self.settle(now);
    }

    /// An interim: withheld, or masked more widely than a final, since nothing is known of what follows.
    pub fn handle_interim(&mut self, segment: Segment<Unredacted>, _now: Instant) {
        if self.settings.interims
            && let Some(interim) = self.window.interim(segment)
        {
            self.output.push_back(Out::Interim(interim));
        }
    }

    /// A key that was pressed. `_role` is whose; the keys of all tracks are one entry. `None`: it was pressed where nobody was to hear it.
    pub fn handle_digit(&mut self, track: Track, _role: &Role, at_ms: u64, digit: Option<char>, now: Instant) {
        let Some(digit) = digit else {
            self.output.extend(self.keypad.press_unheard(track, at_ms));
            return;
        };
        let asked = self.window.is_number_asked(at_ms);
        let (out, entry) = self.keypad.press(track, at_ms, digit, asked, now);
        self.output.extend(out);
        if let Some(entry) = entry {
            self.window.remember_typed(&entry);
        }
    }

    /// The deadline of [`Gate::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.output.extend(self.keypad.tick(now, false));
        self.settle(now);
    }

    /// The call is over: everything that is held comes out. Nothing can follow, so no tail is open any more.
    pub fn handle_end(&mut self, now: Instant) {
        self.output.extend(self.keypad.tick(now, true));
        self.window.end();
        self.settle(now);
    }

    /// What came of it, oldest first.
    pub fn poll_output(&mut self) -> Option<Out> {
        self.output.pop_front()
    }

    /// When [`Gate::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let held = self.window.held_since().map(|since| since + self.settings.hold);
        held.into_iter().chain(self.keypad.deadline()).min()
    }

    /// A parameter of the call, searched by the same rules with its name as a cue; shares the call's numbering.
    pub fn parameter(&mut self, name: &str, value: &str) -> Redacted {
        self.window.parameter(name, value).unwrap_or_else(|| {
            self.output.push_back(Out::Note(Note::Failed));
            Redacted::certified(REDACTION_FAILED)
        })
    }

    fn settle(&mut self, now: Instant) {
        self.window.settle(&self.settings, now, &mut self.output);
    }
}
