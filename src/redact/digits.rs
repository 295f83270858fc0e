//! Keys pressed during the call.
//!
//! Promises: every digit is masked unless the settings let single menu digits pass; then a key shows only if no other came
//! within [`APART`] on either side and nothing was asked for. What was typed is known, so that it can be told when it is read back.

use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::{DigitPolicy, Out};
use crate::media::Track;

/// Keys closer together than this are one entry.
pub(super) const APART: Duration = Duration::from_secs(5);
/// Most keys that are remembered of one entry.
const LONGEST_ENTRY: usize = 64;

/// The keys of one call.
pub(super) struct Keypad {
    policy: DigitPolicy,
    waiting: Option<(Track, u64, char, Instant)>,
    last_ms: Option<u64>,
    entry: Zeroizing<String>,
}

impl Keypad {
    pub(super) fn new(policy: DigitPolicy) -> Self {
        Self { policy, waiting: None, last_ms: None, entry: Zeroizing::default() }
    }

    /// A key. `asked` says that a number was asked for. Gives what can go out, and an entry that ended before this key or with it.
    pub(super) fn press(
        &mut self,
        track: Track,
        at_ms: u64,
        key: char,
        asked: bool,
        now: Instant,
    ) -> (Vec<Out>, Option<Zeroizing<String>>) {
        let near = self.is_near(at_ms);
        self.last_ms = Some(at_ms);
        let mut ended = if near { None } else { self.take_entry() };
        if key.is_ascii_digit() {
            if self.entry.len() < LONGEST_ENTRY {
                self.entry.push(key);
            }
        } else if ended.is_none() {
            ended = self.take_entry();
        }
        let mut out: Vec<Out> =
            self.waiting.take().map(|(track, at_ms, key, _)| shown(track, at_ms, key, near)).into_iter().collect();
        match self.policy {
            DigitPolicy::ShowMenu if !near && !asked => self.waiting = Some((track, at_ms, key, now + APART)),
            DigitPolicy::ShowMenu | DigitPolicy::MaskAll => out.push(shown(track, at_ms, key, true)),
        }
        (out, ended)
    }

    /// A key of which nothing is known: masked, and one shortly before it as well, since both may be one entry.
    pub(super) fn press_unheard(&mut self, track: Track, at_ms: u64) -> Vec<Out> {
        let near = self.is_near(at_ms);
        self.last_ms = Some(at_ms);
        let before = self.waiting.take().map(|(track, at_ms, key, _)| shown(track, at_ms, key, near));
        before.into_iter().chain([Out::Digit { track, at_ms, masked: true, digit: None }]).collect()
    }

    fn is_near(&self, at_ms: u64) -> bool {
        self.last_ms.is_some_and(|last| u128::from(at_ms.abs_diff(last)) < APART.as_millis())
    }

    /// Time has passed, or (`ended`) no more keys will come.
    pub(super) fn tick(&mut self, now: Instant, ended: bool) -> Option<Out> {
        let (track, at_ms, key, _) = self.waiting.take_if(|(_, _, _, deadline)| ended || *deadline <= now)?;
        Some(shown(track, at_ms, key, false))
    }

    /// When a waiting key may be shown.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.as_ref().map(|(_, _, _, deadline)| *deadline)
    }

    /// What was typed so far of the entry that may still grow.
    pub(super) fn entry(&self) -> &str {
        &self.entry
    }

    fn take_entry(&mut self) -> Option<Zeroizing<String>> {
        Some(std::mem::take(&mut self.entry)).filter(|entry| !entry.is_empty())
    }
}

fn shown(track: Track, at_ms: u64, key: char, masked: bool) -> Out {
    Out::Digit { track, at_ms, masked, digit: (!masked).then_some(key) }
}
