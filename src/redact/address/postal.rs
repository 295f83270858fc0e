//! The postal code behind an address.

use super::{
    super::{
        placeholder::Kind,
        reason::Reason,
        token::{Unit, among},
        turn::{Joint, Stream},
    },
    Place,
    parts::MAX_BETWEEN,
};

/// A postal code shortly behind an address: five or nine digits, or `SW1A 2AA`.
pub(super) fn code(stream: &Stream, from: usize) -> Option<Place> {
    let mut at = from;
    while at < from + MAX_BETWEEN + 2
        && stream.joint(at) != Joint::Break
        && (stream.unit(at).is_some_and(Unit::is_filler) || among!(" zip code postal postcode zipcode with ", stream.word(at)))
    {
        at += 1;
    }
    if stream.joint(at) == Joint::Break || stream.items.len() <= at {
        return None;
    }
    let mut items = Vec::new();
    let (mut digits, mut next) = (0, at);
    while next < stream.items.len() && (next == at || stream.joint(next) != Joint::Break) && digits < 9 {
        let token = stream.token(next)?;
        let width = match token.unit {
            Unit::Digits => token.end - token.start,
            Unit::One(_) | Unit::Weak(0) => 1,
            Unit::Teen(_) | Unit::Hundred => 2,
            Unit::Ten(_) => {
                if matches!(stream.unit(next + 1), Some(Unit::One(1..))) {
                    1
                } else {
                    2
                }
            }
            Unit::Repeat(times) => usize::from(times) - 1,
            Unit::Joiner | Unit::Filler if !items.is_empty() => 0,
            _ => break,
        };
        if digits >= 5 && stream.joint(next) != Joint::Same {
            break;
        }
        if width > 0 {
            items.push(next);
        }
        digits += width;
        next += 1;
    }
    corrected(stream, &mut items);
    let last = items.last().copied()?;
    let open = !stream.closed && next >= stream.items.len() && digits < 5;
    (digits == 5 || digits == 9 || (open && digits >= 2)).then(|| Place {
        kind: Kind::Zip,
        items,
        open: open && last + 2 > stream.items.len(),
        certain: true,
        reason: Reason::Shape,
    })
}

/// `two seven nine seven six I mean two seven nine seven three`.
fn corrected(stream: &Stream, items: &mut Vec<usize>) {
    let Some(last) = items.last().copied() else { return };
    let mut at = last + 1;
    let mut taken_back = false;
    while at < last + 1 + MAX_BETWEEN
        && stream.joint(at) != Joint::Break
        && stream.unit(at).is_some_and(|unit| matches!(unit, Unit::Filler | Unit::Correction | Unit::Letter))
    {
        taken_back |= stream.unit(at) == Some(&Unit::Correction) || stream.word(at) == "mean";
        at += 1;
    }
    let digit = |at: usize| {
        stream.joint(at) != Joint::Break && stream.unit(at).is_some_and(|unit| unit.is_digit() || *unit == Unit::Weak(0))
    };
    while taken_back && digit(at) && items.len() < 24 {
        items.push(at);
        at += 1;
    }
}
