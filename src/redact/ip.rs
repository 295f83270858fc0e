//! Internet addresses of the sixth version, as they are written; those of the fourth are numbers with dots.

use super::{
    token::Unit,
    turn::{Joint, Stream},
};

/// Groups that an address of the sixth version has at least when it is written out.
const LEAST_GROUPS: usize = 3;

/// All addresses like `2001:db8:4f2a::17`.
pub(super) fn addresses(stream: &Stream) -> Vec<Vec<usize>> {
    let mut found = Vec::new();
    let mut at = stream.from;
    while at < stream.items.len() {
        let mut items = vec![at];
        while is_group(stream, items[items.len() - 1]) && is_joined(stream, items[items.len() - 1] + 1) {
            items.push(items[items.len() - 1] + 1);
        }
        let lettered = items.iter().any(|item| !matches!(stream.unit(*item), Some(Unit::Digits)) || stream.word(*item).len() > 2);
        at += items.len();
        if items.len() >= LEAST_GROUPS && lettered {
            found.push(items);
        }
    }
    found
}

fn is_group(stream: &Stream, at: usize) -> bool {
    let word = stream.word(at);
    (1..=4).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a group stands behind one colon, or two.
fn is_joined(stream: &Stream, at: usize) -> bool {
    let behind = stream.token(at).is_some_and(|token| token.tight == Some(':'));
    behind && stream.joint(at) == Joint::Same && is_group(stream, at)
}
