//! From findings to masks: what stands for what in one text.
//!
//! Promises: masks lie in the order of the text and apart from each other; of those that overlap one stands for all of their
//! stretch, a security code's or PIN's first, else the widest.

use super::{
    placeholder::{Kind, Label, Numbering},
    policy::Policy,
    reason::Reason,
    token::Unit,
    turn::{Mask, Turn},
};

/// One mask.
pub(super) fn mask(start: usize, end: usize, label: Label, reason: Reason) -> Mask {
    Mask { start, end, label, reason }
}

/// The speech service's own placeholders, numbered anew: equal ones of one text alike, for only there its numbers mean something.
pub(super) fn by_service(turn: &Turn, numbering: &mut Numbering) -> Vec<Mask> {
    let mut seen: Vec<(&str, Label)> = Vec::new();
    let mut masks = Vec::new();
    for (index, token) in turn.tokens.iter().enumerate() {
        let Unit::Placeholder(kind) = &token.unit else { continue };
        let word = turn.word(index);
        let label = match seen.iter().find(|(other, _)| *other == word) {
            Some((_, label)) => label.clone(),
            None => numbering.fresh(kind),
        };
        seen.push((word, label.clone()));
        masks.push(mask(token.start, token.end, label, Reason::Service));
    }
    masks
}

/// What the operator's patterns take out of a text that was read as `turn`.
pub(super) fn by_pattern(policy: &Policy, turn: &Turn, text: &str, numbering: &mut Numbering) -> Vec<Mask> {
    let fitting = policy.fitting(turn, text).into_iter();
    fitting
        .map(|(start, end, kind)| {
            let value: zeroize::Zeroizing<String> = text[start..end].to_lowercase().into();
            mask(start, end, numbering.label(&kind, &value), Reason::Pattern)
        })
        .collect()
}

/// Masks in the order of the text; of those that overlap, one for all of their stretch.
pub(super) fn apart(mut masks: Vec<Mask>) -> Vec<Mask> {
    masks.sort_by_key(|mask| (mask.start, std::cmp::Reverse(mask.end)));
    let mut out: Vec<(Mask, usize)> = Vec::with_capacity(masks.len());
    for mask in masks {
        let width = mask.end - mask.start;
        match out.last_mut() {
            Some((last, widest)) if mask.start < last.end => {
                let end = last.end.max(mask.end);
                let secret = |mask: &Mask| matches!(mask.label.kind, Kind::Cvv | Kind::Pin);
                if (secret(&mask), width) > (secret(last), *widest) {
                    (*last, *widest) = (Mask { start: last.start, ..mask }, width);
                }
                last.end = end;
            }
            _ => out.push((mask, width)),
        }
    }
    out.into_iter().map(|(mask, _)| mask).collect()
}
