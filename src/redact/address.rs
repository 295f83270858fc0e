//! Places where people live and work: a house number and a street, a box, a unit, the town and the state behind them, and the
//! postal code behind those.
//!
//! Promises: a number, words and a kind of street in a row are an address whatever stands around them; behind a lead, or asked
//! for, a number and words are enough. A town, a state or a country alone is none.

mod parts;
mod postal;

use self::parts::{
    DIRECTIONS, MAX_BETWEEN, MAX_STREET, STOP, behind_street, house_number, house_number_behind, is_proper, post_box, skip,
    state, street, town, unit_behind,
};
use super::{
    context,
    leads::Lead,
    placeholder::Kind,
    reason::Reason,
    token::{Unit, among},
    turn::{Joint, Stream, Turn},
};

/// Turns of the other party that may have asked for it.
const ASKED_TURNS: usize = 2;

/// A place that is taken out.
pub(super) struct Place {
    /// [`Kind::Address`], or [`Kind::Zip`] for the postal code behind one.
    pub(super) kind: Kind,
    /// The items that belong to it.
    pub(super) items: Vec<usize>,
    /// Whether more of it may follow.
    pub(super) open: bool,
    /// Whether it is one for certain; else only a beginning that may become one.
    pub(super) certain: bool,
    /// By which rule.
    pub(super) reason: Reason,
}

/// All places of a stream among the items that are not taken yet.
pub(super) fn places(stream: &Stream, taken: &[bool]) -> Vec<Place> {
    let mut found: Vec<Place> = Vec::new();
    let mut at = stream.from;
    while at < stream.items.len() {
        let place = if taken[at] { None } else { place_at(stream, at) };
        let Some(mut place) = place.filter(|place| place.items.iter().all(|item| !taken[*item])) else {
            at += 1;
            continue;
        };
        let last = place.items.last().copied().unwrap_or(at);
        at = last + 1;
        let zip = if place.certain { postal::code(stream, at) } else { None };
        place.open &= zip.is_none();
        found.push(place);
        if let Some(zip) = zip {
            at = zip.items.last().map_or(at, |last| last + 1);
            found.push(zip);
        }
    }
    found
}

fn place_at(stream: &Stream, at: usize) -> Option<Place> {
    if let Some(end) = post_box(stream, at) {
        return Some(whole(stream, at, town(stream, end).unwrap_or(end), Reason::Shape));
    }
    let numbered = house_number(stream, at);
    if let Some(behind) = numbered {
        if let Some(end) = street(stream, behind) {
            return Some(whole(stream, at, end, Reason::Shape));
        }
        // "Eleven Delancey, apartment four C".
        if let Some(unit) = (behind + 1..=behind + 3).find(|at| among!(" apartment apt suite unit flat ", stream.word(*at)))
            && (behind..unit).all(|at| is_proper(stream, at))
            && let Some(end) = unit_behind(stream, unit)
        {
            return Some(whole(stream, at, town(stream, end).unwrap_or(end), Reason::Shape));
        }
        return led(stream, at, behind);
    }
    // "Flat 9, 22 Kensal Rise".
    if let Some(end) = unit_behind(stream, at)
        && among!(" apartment apt flat unit suite ", stream.word(at))
        && let from = skip(stream, end + 1)
        && let Some(behind) = house_number_behind(stream, from)
        && let Some(last) = street(stream, behind)
    {
        return Some(whole(stream, at, last, Reason::Shape));
    }
    let unit = among!(" apartment apt flat unit suite ", stream.word(at))
        && lead_before(stream, at, false).is_some()
        && unit_behind(stream, at).is_some();
    if unit {
        return Some(whole(stream, at, unit_behind(stream, at)?, Reason::CueBefore));
    }
    answered(stream, at)
}

/// A number behind a lead or a question, with words behind it but no kind of street.
fn led(stream: &Stream, number: usize, behind: usize) -> Option<Place> {
    let asked = is_asked(stream, number) && is_near_beginning(stream, number);
    let (reason, sure) = match lead_before(stream, number, false) {
        Some(Lead::Address) => (Reason::CueBefore, true),
        _ if asked => (Reason::Asked, true),
        Some(_) => (Reason::CueBefore, false),
        None => (Reason::Shape, false),
    };
    if let Some(end) = unit_behind(stream, skip(stream, behind)).filter(|_| sure) {
        return Some(whole(stream, number, town(stream, end).unwrap_or(end), reason));
    }
    let mut at = behind;
    let mut words = 0;
    while words < MAX_STREET && at < stream.items.len() && stream.joint(at) != Joint::Break {
        let token = stream.token(at)?;
        let named = matches!(token.unit, Unit::Word | Unit::Ordinal(_) | Unit::Letter)
            && !STOP.has(stream.word(at))
            && !among!(" zip extension ext ", stream.word(at));
        let direction = DIRECTIONS.has(stream.word(at));
        if !(named && (direction || words == 0 || token.capital || !token.known.is_english() || token.known.is_place())) {
            break;
        }
        words += 1;
        at += 1;
        if token.ends {
            break;
        }
    }
    let ended = at >= stream.items.len() && !stream.closed;
    if words == 0 || (ended && words <= 2) {
        // "At 78 south" may go on with "Larkspur Road" in the next final.
        let open = ended && (sure || (words > 0 && (behind..at).all(|at| is_proper(stream, at))));
        return open.then(|| Place {
            kind: Kind::Address,
            items: (number..at).collect(),
            open: true,
            certain: sure && words > 0,
            reason,
        });
    }
    let strong = (behind..at)
        .filter_map(|at| stream.token(at))
        .any(|token| token.capital || token.known.is_place() || !token.known.is_english());
    (sure && (strong || asked)).then(|| whole(stream, number, behind_street(stream, at - 1), reason))
}

/// The answer to a question for an address that has no number: a town and a state.
fn answered(stream: &Stream, at: usize) -> Option<Place> {
    let known = stream.token(at)?.known;
    let begins = stream.joint(at) != Joint::Same || stream.unit(at - 1).is_some_and(Unit::is_filler);
    if !(begins && stream.unit(at) == Some(&Unit::Word) && is_asked(stream, at) && is_near_beginning(stream, at)) {
        return None;
    }
    let named = known.is_place() || known.is_strange() || known.is_name();
    let end = (named && at > 0)
        .then(|| town(stream, at - 1))
        .flatten()
        .filter(|end| state(stream, *end).is_some() || stream.token(*end).is_some_and(|token| token.known.is_place()))?;
    (end > at).then(|| whole(stream, at, end, Reason::Asked))
}

fn whole(stream: &Stream, first: usize, last: usize, reason: Reason) -> Place {
    let last = last.min(stream.items.len() - 1);
    let open = !stream.closed && last + 2 > stream.items.len();
    Place { kind: Kind::Address, items: (first..=last).collect(), open, certain: true, reason }
}

/// The lead shortly before an item, over fillers; a weak one only where asked for.
fn lead_before(stream: &Stream, at: usize, weak: bool) -> Option<Lead> {
    for back in 1..=MAX_BETWEEN.min(at) {
        if stream.joint(at + 1 - back) == Joint::Break {
            return None;
        }
        let item = stream.items[at - back];
        let leads = &stream.turns[item.turn].leads;
        let found = leads.iter().filter(|lead| lead.to == item.token + 1).map(|lead| lead.what);
        for lead in found {
            match lead {
                Lead::Address | Lead::AskAddress => return Some(Lead::Address),
                Lead::MayBeAddress | Lead::Near | Lead::MayBeName if weak || among!(" at on ", stream.word(at - back)) => {
                    return Some(Lead::MayBeAddress);
                }
                _ => {}
            }
        }
        if !(stream.unit(at - back).is_some_and(Unit::is_filler)
            || among!(" at is it's to be will be on ", stream.word(at - back)))
        {
            return None;
        }
    }
    None
}

/// Whether the other party's last question asked for an address.
fn is_asked(stream: &Stream, at: usize) -> bool {
    let asks = |turn: &Turn| {
        turn.leads.iter().any(|one| matches!(one.what, Lead::AskAddress | Lead::Address) && turn.tokens.len() <= one.to + 12)
    };
    context::questioners(stream, at).take(ASKED_TURNS).any(asks)
}

/// Whether few words stand before an item in its turn.
fn is_near_beginning(stream: &Stream, at: usize) -> bool {
    const FEW: usize = 8;
    (0..FEW).any(|back| at.checked_sub(back).is_none_or(|at| stream.joint(at) != Joint::Same))
}
