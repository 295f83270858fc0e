//! Addresses in the web, written and said.
//!
//! Promises: what ends in a known ending behind a dot is an address with all of its labels, the words in front of the first
//! dot that belong to it, and its path; a full stop without a space between two sentences is none.

use super::{
    token::{Unit, Words, among},
    turn::{Joint, Stream},
};

/// Words in front of the first dot that may be one label: `ten minute quotes dot net`.
const LABEL_WORDS: usize = 4;
/// Items of an address.
const LONGEST: usize = 60;

static ENDINGS: Words = Words::new(
    " com net org edu gov mil io co uk us ca de fr es it nl eu info biz me tv app dev ai in au nz ie shop online health bank store site xyz club live law care tech cloud link page news ly gg cc fm ",
);
/// Endings that are words: the dot must be said, or other labels stand before.
static WORDS: Words =
    Words::new(" us it me in info app shop online health bank store site club live law care tech cloud link page news de es co ");
/// Words that are no part of an address in front of the dot.
static STOP: Words = Words::new(
    " is it it's its the a an my your our their his her to at on in of and or but so i i'm you we they he she that that's this there here go goes going visit visiting visited open opened opening type typed typing enter entered \
                    check checked look looked site website web webpage page pages url link address called name named from for with by be was were are am can could will would should please just then under through via use used using try tried see saw \
                    find found me us him them up out into says said tell told email mail browser online ok okay yes no yeah sure uh um like into our own portal's saying reads read over as when what where which who how not log logged login sign signed \
                    portal's domain domain's server's address's again right down upload download click clicked pull pulled bring brought send sent got get getting one two registered put know have has had haven't don't says it'll you'll i'll we'll host hosted points ",
);

/// An address in the web, or the beginning of one.
pub(super) struct Url {
    /// The items that belong to it.
    pub(super) items: Vec<usize>,
    /// Whether its end has not been heard.
    pub(super) open: bool,
    /// Whether it is one for certain; else only a beginning that may become one.
    pub(super) certain: bool,
}

/// All addresses in the web of a stream.
pub(super) fn urls(stream: &Stream, taken: &[bool]) -> Vec<Url> {
    let mut found: Vec<Url> = Vec::new();
    for at in stream.from..stream.items.len() {
        let floor = found.last().and_then(|url| url.items.last()).map_or(0, |last| last + 1);
        if at < floor || taken[at] || stream.unit(at) != Some(&Unit::Dot) {
            continue;
        }
        found.extend(url(stream, at, floor, taken));
    }
    found
}

fn url(stream: &Stream, dot: usize, floor: usize, taken: &[bool]) -> Option<Url> {
    let free = |at: usize| at >= floor && !taken[at];
    dot.checked_sub(1).filter(|at| free(*at) && stream.joint(dot) != Joint::Break)?;
    let (last, complete, labels) = labels(stream, dot);
    let said = stream.word(dot) == "dot" || stream.word(dot) == "point";
    let first = front(stream, dot, said, &free);
    let starts = ["www", "http", "https", "ftp"].contains(&stream.word(first)) || said_www(stream, first);
    let ending = stream.word(last);
    let sure = complete && (said || labels > 1 || !WORDS.has(ending)) && stream.word(dot) != "point";
    let open = !complete && !stream.closed && last + 1 >= stream.items.len();
    let begun = open && said && labels <= 1 && !stream.unit(dot - 1).is_some_and(Unit::is_digit);
    if first < dot && begun && !starts {
        return Some(Url { items: (first..=last.max(dot)).collect(), open, certain: false });
    }
    if !(starts || sure) || first >= dot || stream.unit(dot - 1).is_some_and(Unit::is_digit) && !complete {
        return None;
    }
    let last = if complete { path(stream, last) } else { last };
    Some(Url { items: (first..=last.min(stream.items.len() - 1)).collect(), open, certain: true })
}

/// The last item of the labels from a dot on, whether the last is an ending, and how many there are.
fn labels(stream: &Stream, dot: usize) -> (usize, bool, usize) {
    let (mut at, mut last, mut complete, mut count) = (dot, dot, false, 0);
    while at < dot + LONGEST
        && matches!(stream.unit(at), Some(Unit::Dot))
        && stream.joint(at + 1) != Joint::Break
        && stream.items.len() > at + 1
    {
        let mut label = at + 1;
        if let Some(end) = spelled_ending(stream, label) {
            (last, complete) = (end, true);
            count += 1;
            at = end + 1;
            continue;
        }
        // A label may have several words, or be joined: "my town dash water", "lakeside clinic".
        let mut words = 1;
        while words < LABEL_WORDS && !ENDINGS.has(stream.word(label)) && goes_on_to_dot(stream, label, LABEL_WORDS - words) {
            label += 1;
            words += 1;
        }
        complete = ENDINGS.has(stream.word(label));
        last = label;
        count += 1;
        at = label + 1;
    }
    (last, complete, count)
}

/// `e d u`, `u k`, `c o m`: an ending spelled.
fn spelled_ending(stream: &Stream, at: usize) -> Option<usize> {
    let letter = |at: usize| stream.unit(at) == Some(&Unit::Letter) || stream.word(at) == "o";
    let joined: String =
        (at..at + 3).take_while(|at| letter(*at) && stream.joint(*at) != Joint::Break).map(|at| stream.word(at)).collect();
    [3, 2]
        .into_iter()
        .find(|length| joined.get(..*length).is_some_and(|ending| ENDINGS.has(ending)))
        .map(|length| at + length - 1)
}

/// Whether a further dot follows within a few words of a label.
fn goes_on_to_dot(stream: &Stream, at: usize, within: usize) -> bool {
    let plain = |at: usize| {
        stream.joint(at) == Joint::Same && !STOP.has(stream.word(at)) && !stream.token(at - 1).is_some_and(|token| token.ends)
    };
    let said = |at: usize| stream.unit(at) == Some(&Unit::Dot) && stream.joint(at) != Joint::Break;
    for next in at + 1..=at + within + 1 {
        if said(next) {
            return next > at + 1;
        }
        if !(plain(next) || stream.unit(next) == Some(&Unit::Joiner)) {
            return false;
        }
    }
    false
}

/// The first item of what stands in front of the first dot.
fn front(stream: &Stream, dot: usize, said: bool, free: &impl Fn(usize) -> bool) -> usize {
    let (mut first, mut at, mut words) = (dot, dot, 0);
    while at > 0 && dot - at < LONGEST && free(at - 1) {
        let linked = first < dot && matches!(stream.unit(first), Some(Unit::Joiner | Unit::Dot))
            || stream.token(at).is_some_and(|token| token.glued);
        let crossed = stream.joint(at) == Joint::Turn;
        if stream.joint(at) == Joint::Break || (crossed && !linked && stream.unit(at - 1) != Some(&Unit::Joiner)) {
            break;
        }
        at -= 1;
        let word = stream.word(at);
        match stream.unit(at) {
            Some(Unit::Joiner | Unit::Dot) => {}
            Some(Unit::Filler) if first < dot && !linked => break,
            Some(Unit::Word | Unit::Letter | Unit::Mixed | Unit::Month(_) | Unit::Ordinal(_) | Unit::Filler) => {
                let begins = at + 1 == dot || linked;
                words += usize::from(!linked);
                let label = at + 1 == dot && said && among!(" my our get go find see one the ", word);
                if !linked
                    && !label
                    && (STOP.has(word)
                        || words > LABEL_WORDS
                        || (!said && !begins)
                        || stream.token(at).is_some_and(|token| token.ends))
                {
                    break;
                }
            }
            Some(unit) if unit.is_digit() || matches!(unit, Unit::Weak(_)) => {
                if !linked && (STOP.has(word) || !said) {
                    break;
                }
            }
            _ => break,
        }
        first = at;
    }
    // A joiner says nothing at the front.
    while first < dot && matches!(stream.unit(first), Some(Unit::Joiner | Unit::Dot)) {
        first += 1;
    }
    protocol(stream, first, free)
}

/// `http colon slash slash` in front.
fn protocol(stream: &Stream, first: usize, free: &impl Fn(usize) -> bool) -> usize {
    let mut at = first;
    while at > 0
        && free(at - 1)
        && stream.joint(at) != Joint::Break
        && first - at < 6
        && among!(" http https colon slash forward / ", stream.word(at - 1))
    {
        at -= 1;
    }
    if among!(" http https ", stream.word(at)) { at } else { first }
}

fn said_www(stream: &Stream, first: usize) -> bool {
    (first..first + 3).all(|at| stream.word(at) == "w") || among!(" www ", stream.word(first))
}

/// The last item of the path behind an ending: `slash pay`, `forward slash refund`, `/setup/vpn`.
fn path(stream: &Stream, ending: usize) -> usize {
    let mut last = ending;
    if stream.token(last + 1).is_some_and(|token| token.tight == Some(':') && token.unit == Unit::Digits)
        && stream.joint(last + 1) == Joint::Same
    {
        last += 1;
    }
    while last < ending + LONGEST {
        let mut at = last + 1;
        if stream.joint(at) == Joint::Break || at >= stream.items.len() {
            break;
        }
        if among!(" forward back ", stream.word(at)) {
            at += 1;
        }
        let slash = among!(" slash dash hyphen underscore / - _ . dot ", stream.word(at))
            && (last > ending || among!(" slash / ", stream.word(at)));
        if !slash || stream.joint(at + 1) == Joint::Break || at + 1 >= stream.items.len() {
            break;
        }
        last = at + 1;
    }
    last
}
