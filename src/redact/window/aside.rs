//! Texts that are searched beside the finals: interims, parameters of the call, words and sentences that do not spell their final.
//!
//! Promises: none waits; with less to go by than a final has, more is taken out.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Mask, Part, Turn, Window, apart, apply, by_pattern, by_service, mask, read, says_number};
use crate::{
    media::Track,
    pii::{Redacted, Unredacted},
    redact::{
        REDACTION_FAILED,
        placeholder::{Kind, Label},
        reason::Reason,
        turn::Party,
    },
    segment::Segment,
};

impl Window {
    /// A masked interim; `None` if the search broke.
    pub(in crate::redact) fn interim(&mut self, segment: Segment<Unredacted>) -> Option<Segment<Redacted>> {
        let turn = self.guarded(Part::Reading, || read(&segment))?;
        let label = |kind: &Kind| Label { kind: kind.clone(), text: format!("[{}]", kind.as_str()) };
        let fitting = self.guarded(Part::Masking, || self.policy.fitting(&turn, segment.text.expose()))?.into_iter();
        let fitting: Vec<_> = fitting.map(|(start, end, kind)| mask(start, end, label(&kind), Reason::Pattern)).collect();
        let numeric = turn.tokens.iter().filter(|token| says_number(token));
        let mut masks: Vec<_> = numeric.map(|token| mask(token.start, token.end, label(&Kind::Number), Reason::Length)).collect();
        masks.extend(fitting);
        self.turns.push(turn);
        let found = self.search();
        let last = self.turns.len() - 1;
        self.turns.pop();
        for finding in found? {
            let spans = finding.spans.iter().filter(|(turn, ..)| *turn == last);
            masks.extend(spans.map(|(_, start, end)| mask(*start, *end, label(&finding.kind), finding.reason)));
        }
        let text = self.guarded(Part::Applying, || apply::masked(segment.text.expose(), &apart(masks)))?;
        let text = Redacted::certified(text);
        Some(apply::with(segment, text, Vec::new(), Vec::new()))
    }

    /// A clean parameter; `None` if the search broke.
    pub(in crate::redact) fn parameter(&mut self, name: &str, value: &str) -> Option<Redacted> {
        catch_unwind(AssertUnwindSafe(|| self.searched(name, value))).ok()?
    }

    fn searched(&mut self, name: &str, value: &str) -> Option<Redacted> {
        self.may_break(Part::Reading);
        let party = |name: &str| Party(Track::Mixed, Some(name.to_owned()));
        let turns = [Turn::new(party("name"), 0, 0, &spaced(name)), Turn::new(party("value"), 0, 0, value)];
        let found = self.findings(&turns, true)?;
        let mut masks = Vec::new();
        for finding in &found {
            for (_, start, end) in finding.spans.iter().filter(|(turn, ..)| *turn == 1) {
                masks.push(mask(*start, *end, self.label(finding), finding.reason));
            }
        }
        masks.extend(by_service(&turns[1], &mut self.numbering));
        masks.extend(by_pattern(&self.policy, &turns[1], value, &mut self.numbering));
        Some(Redacted::certified(apply::masked(value, &apart(masks))))
    }

    /// What has to be taken out of a text that stands beside a turn's and does not spell it. With less to go by, every number
    /// goes.
    pub(super) fn alone(&mut self, turn: usize, text: &str) -> Vec<Mask> {
        let own = &self.turns[turn];
        let other = Turn::new(own.party.clone(), own.start_ms, own.end_ms, text);
        let own = std::mem::replace(&mut self.turns[turn], other);
        let found = self.findings(&self.turns[..=turn], true);
        let mut masks = Vec::new();
        let Some(found) = found else {
            self.turns[turn] = own;
            self.untold = true;
            return vec![mask(0, text.len(), Label { kind: Kind::Number, text: REDACTION_FAILED.to_owned() }, Reason::Forced)];
        };
        for finding in &found {
            for (_, start, end) in finding.spans.iter().filter(|(in_turn, ..)| *in_turn == turn) {
                let label = self.numbering.label(&finding.kind, &finding.value);
                masks.push(mask(*start, *end, label, finding.reason));
            }
        }
        masks.extend(by_service(&self.turns[turn], &mut self.numbering));
        masks.extend(by_pattern(&self.policy, &self.turns[turn], text, &mut self.numbering));
        self.mask_numbers(turn, &mut masks);
        self.turns[turn] = own;
        apart(masks)
    }
}

/// `card_number`, `cardNumber` as words.
fn spaced(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() && out.ends_with(|c: char| c.is_ascii_lowercase()) {
            out.push(' ');
        }
        out.push(if c.is_ascii_alphanumeric() { c } else { ' ' });
    }
    out
}
