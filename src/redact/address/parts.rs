//! The parts of an address: a house number, a street, a unit, a town, a state.

use super::{
    super::{
        lexicon::Known,
        token::{Unit, Words, among},
        turn::{Joint, Stream},
    },
    is_asked, lead_before, postal,
};

/// Words between a house number and the kind of street.
pub(super) const MAX_STREET: usize = 5;
/// Digit words of a house number.
const MAX_NUMBER: usize = 7;
/// Words of a town.
const MAX_TOWN: usize = 3;
/// Words between a lead and the number.
pub(super) const MAX_BETWEEN: usize = 4;
static KINDS: Words = Words::new(
    " street streets st road rd avenue avenues ave av boulevard blvd drive dr lane ln court ct place pl terrace terr parkway pkwy highway hwy circle cir trail trl square sq loop alley crescent cres close \
                     grove mews path pike turnpike plaza heights crossing ridge expressway freeway causeway esplanade promenade gardens way row run walk hill park bend cove glen point landing view vista pass creek quay rise gate green manor ",
);
/// Kinds that mean more often something else.
static WEAK_KINDS: Words = Words::new(
    " way row run walk hill park point view pass gate green close place drive court square path landing rise bend cove square circle loop plaza ",
);
pub(super) static DIRECTIONS: Words =
    Words::new(" north south east west northeast northwest southeast southwest n s e w ne nw se sw upper lower old new ");
static UNITS: Words = Words::new(
    " apartment apartments apt unit suite ste flat floor building bldg lot room box trailer space number no penthouse level tower block door ",
);
/// Words that no name of a street has.
pub(super) static STOP: Words = Words::new(
    " the a an and or but to in on at my your our their his her is are was were be it its it's i you we he she they this that these those for with from by as if so of not no yes there here what when where which who \
                     how minutes minute hours hour days day weeks week months month years year dollars dollar cents percent people times miles mile feet foot inches pounds more less than then per each every about around down up out \
                     have has had do does did can could will would should may might must please thanks thank because just only still almost over under before after until till since during two-way one-way bucks euros items pieces \
                     am pm o'clock degrees between into off again back away long ago later kids guests rooms nights tickets boxes orders calls bedroom bedrooms bathroom square ",
);
static STATES: Words = Words::new(
    " alabama alaska arizona arkansas california colorado connecticut delaware florida georgia hawaii idaho illinois indiana iowa kansas kentucky louisiana maine maryland massachusetts michigan minnesota \
                      mississippi missouri montana nebraska nevada ohio oklahoma oregon pennsylvania tennessee texas utah vermont virginia washington wisconsin wyoming york jersey hampshire mexico carolina dakota island ontario quebec alberta manitoba \
                      saskatchewan england scotland wales ireland al ak az ar ca co ct de fl ga ia id il in ks ky la ma md me mi mn mo ms mt nc nd ne nh nj nm nv ny oh ok or pa ri sc sd tn tx ut va vt wa wi wv wy dc uk usa ",
);
/// States whose short names are English words: only in capitals or before a postal code.
static WORDY_STATES: Words = Words::new(" in or me ok hi oh la id de al ma pa co mo ");
static TWO_WORD_STATES: Words = Words::new(" new west north south rhode british ");

/// `P O box 112`, `rural route 2 box 40`, `highway 61`, `county road 9` behind a lead or an address.
pub(super) fn post_box(stream: &Stream, at: usize) -> Option<usize> {
    let words = [stream.word(at), stream.word(at + 1), stream.word(at + 2), stream.word(at + 3), stream.word(at + 4)];
    let number = |from: usize| house_number(stream, from).map(|behind| behind - 1);
    let same = |to: usize| (at + 1..=to).all(|next| stream.joint(next) != Joint::Break);
    let last = match words {
        ["p", "o", "box", ..] | ["post", "office", "box", ..] if same(at + 3) => number(at + 3),
        ["p", ".", "o", ".", "box"] if same(at + 5) => number(at + 5),
        ["p", ".", "o", "box", _] if same(at + 4) => number(at + 4),
        ["po" | "pobox", "box", ..] if same(at + 2) => number(at + 2),
        ["rural" | "state" | "county", "route" | "road" | "highway", ..]
            if same(at + 2) && lead_before(stream, at, true).is_some() =>
        {
            number(at + 2)
        }
        ["rr" | "route", ..] if same(at + 2) => number(at + 1).filter(|last| stream.word(last + 1) == "box"),
        ["rural", "route", ..] if same(at + 2) => number(at + 2).filter(|last| stream.word(last + 1) == "box"),
        _ => None,
    }?;
    let boxed = if stream.word(last + 1) == "box" { number(last + 2) } else { None };
    Some(boxed.unwrap_or(last))
}

/// The same where digits may stand before it: a flat's.
pub(super) fn house_number_behind(stream: &Stream, at: usize) -> Option<usize> {
    house_number(stream, at).or_else(|| matches!(stream.unit(at), Some(Unit::Digits)).then_some(at + 1))
}

/// The item behind a house number that begins at an item: digits, digit words, `12b`, `forty two a`.
pub(super) fn house_number(stream: &Stream, first: usize) -> Option<usize> {
    let digit = |at: usize| at == first || stream.joint(at) != Joint::Break;
    let says = |at: usize| stream.unit(at).is_some_and(|unit| unit.is_digit() || matches!(unit, Unit::Hundred | Unit::Thousand));
    if !says(first) || stream.unit(first).is_some_and(|unit| matches!(unit, Unit::Hundred | Unit::Thousand)) {
        return None;
    }
    // Not in the middle of a number.
    let written = |at: usize| matches!(stream.unit(at), Some(Unit::Digits));
    if first > 0 && stream.joint(first) == Joint::Same && says(first - 1) && !(written(first) && written(first - 1)) {
        return None;
    }
    let mut at = first;
    let mut digits = 0;
    while at < stream.items.len() && digit(at) {
        let zero = matches!(stream.unit(at), Some(Unit::Weak(0) | Unit::Repeat(_))) && says(at + 1);
        let dash = at > first && stream.unit(at) == Some(&Unit::Joiner) && says(at + 1);
        if at > first && matches!(stream.unit(at), Some(Unit::Digits)) && stream.unit(at - 1) != Some(&Unit::Joiner) {
            break;
        }
        if !(says(at) || zero || dash) {
            break;
        }
        digits += 1;
        at += 1;
    }
    if stream.unit(at) == Some(&Unit::Letter) && stream.joint(at) == Joint::Same && !among!(" i a n s e w ", stream.word(at)) {
        at += 1;
    }
    let written = stream.token(first).is_some_and(|token| token.unit == Unit::Digits && token.end - token.start > 6);
    (digits <= MAX_NUMBER && !written).then_some(at)
}

/// The last item of an address whose street begins at an item, if a kind of street says that it is one.
pub(super) fn street(stream: &Stream, from: usize) -> Option<usize> {
    let (mut at, mut words, mut strong) = (from, 0, false);
    while words <= MAX_STREET {
        if at >= stream.items.len() || stream.joint(at) == Joint::Break {
            return None;
        }
        let word = stream.word(at);
        let ends_before = at > from && stream.token(at - 1).is_some_and(|token| token.ends) && stream.word(at - 1).len() > 2;
        if ends_before {
            return None;
        }
        if words > 0 && KINDS.has(word) {
            // "Park" may go on as "Park Avenue".
            let further = stream.joint(at + 1) != Joint::Break && KINDS.has(stream.word(at + 1));
            let weak = WEAK_KINDS.has(word) && !strong;
            if !further && (!weak || is_named_street(stream, from, at)) {
                return Some(behind_street(stream, at));
            }
            if !further {
                return None;
            }
        }
        if words == 0 && among!(" avenue highway route road county interstate ", word) {
            // "Avenue of the Americas", "Highway 61".
            if among!(" avenue ", word) && stream.word(at + 1) == "of" {
                return Some(behind_street(stream, at + 3));
            }
            if among!(" highway route road ", word)
                && let Some(behind) = house_number(stream, at + 1)
            {
                return Some(behind_street(stream, behind - 1));
            }
        }
        match stream.unit(at)? {
            Unit::Filler | Unit::Correction => {}
            Unit::Ordinal(_) => {
                words += 1;
                strong = true;
            }
            Unit::Word | Unit::Month(_) | Unit::Letter | Unit::Dot | Unit::Weak(3) => {
                if STOP.has(word) && !(words > 0 && among!(" the of a ", word)) && word != "st" {
                    return None;
                }
                words += usize::from(stream.unit(at) != Some(&Unit::Dot));
                strong |= DIRECTIONS.has(word);
            }
            unit if unit.is_digit() && words > 0 => words += 1,
            Unit::Joiner => {}
            _ => return None,
        }
        at += 1;
    }
    None
}

/// Whether the words before a weak kind of street look like a street's name.
fn is_named_street(stream: &Stream, from: usize, kind: usize) -> bool {
    (from..kind)
        .filter_map(|at| stream.token(at))
        .filter(|token| token.unit == Unit::Word)
        .any(|token| token.capital || token.known.is_name() || token.known.is_strange() || token.known.is_place())
        || lead_before(stream, from, true).is_some()
        || is_asked(stream, from)
        || lead_before(stream, from.saturating_sub(1), true).is_some()
        || unit_behind(stream, kind + 1).is_some()
}

/// The last item of what stands behind a street: a direction, a unit, the town, the state.
pub(super) fn behind_street(stream: &Stream, street: usize) -> usize {
    let near = |at: usize| at < stream.items.len() && stream.joint(at) != Joint::Break;
    let mut last = street;
    if near(last + 1)
        && stream.joint(last + 1) == Joint::Same
        && among!(" north south east west northeast northwest southeast southwest ", stream.word(last + 1))
    {
        last += 1;
    }
    for _ in 0..3 {
        let next = skip(stream, last + 1);
        match near(next).then(|| unit_behind(stream, next)).flatten() {
            Some(end) => last = end,
            None => break,
        }
    }
    town(stream, last).unwrap_or(last)
}

/// Over fillers and small words between the parts of an address.
pub(super) fn skip(stream: &Stream, mut at: usize) -> usize {
    let from = at;
    while at < from + MAX_BETWEEN
        && stream.joint(at) != Joint::Break
        && stream.unit(at).is_some_and(|unit| matches!(unit, Unit::Filler | Unit::Joiner | Unit::Dot))
    {
        at += 1;
    }
    at
}

/// `apartment 3 b`, `second floor`, `# 12`, `unit c`: the last item.
pub(super) fn unit_behind(stream: &Stream, at: usize) -> Option<usize> {
    let same = |at: usize| stream.joint(at) != Joint::Break;
    if matches!(stream.unit(at), Some(Unit::Ordinal(_))) && among!(" floor ", stream.word(at + 1)) {
        return Some(at + 1);
    }
    if !UNITS.has(stream.word(at)) {
        return None;
    }
    let mut next = at + 1;
    while next < at + 4 && same(next) && (stream.unit(next).is_some_and(Unit::is_filler) || UNITS.has(stream.word(next))) {
        next += 1;
    }
    if !same(next) {
        return None;
    }
    if let Some(behind) = house_number(stream, next) {
        return Some(behind - 1);
    }
    let letter = stream.unit(next) == Some(&Unit::Letter);
    let behind = if letter && same(next + 1) { house_number(stream, next + 1) } else { None };
    behind.map(|behind| behind - 1).or(letter.then_some(next))
}

/// The last item of the town and state behind a street's last item.
pub(super) fn town(stream: &Stream, street: usize) -> Option<usize> {
    let mut at = skip(stream, street + 1);
    if among!(" in ", stream.word(at)) && stream.joint(at) != Joint::Break {
        at += 1;
    } else if stream.token(street).is_some_and(|token| token.ends) && stream.word(street).len() > 4 {
        return None;
    }
    let from = at;
    let mut words = 0;
    while words <= MAX_TOWN && at < stream.items.len() && stream.joint(at) != Joint::Break {
        if let Some(end) = state(stream, at) {
            return Some(end);
        }
        let Some(token) = stream.token(at) else { break };
        if !matches!(token.unit, Unit::Word | Unit::Filler) || STOP.has(stream.word(at)) {
            break;
        }
        words += usize::from(token.unit == Unit::Word);
        at += 1;
    }
    // No state: what is a town, or looks like one.
    let mut last = None;
    let looks = |at: usize| {
        let token = stream.token(at)?;
        let known = token.known;
        let proper = token.unit == Unit::Word
            && !STOP.has(stream.word(at))
            && (known.is_place()
                || token.capital
                || known.is_strange()
                || (known.is_name() && !known.is_english())
                || among!(" new san saint st fort port mount lake santa los las el west east north south ", stream.word(at),));
        (proper && stream.joint(at) != Joint::Break).then_some(())
    };
    let mut at = from;
    while at < from + MAX_TOWN && looks(at).is_some() {
        last = Some(at);
        if stream.token(at).is_some_and(|token| token.ends) {
            break;
        }
        at += 1;
    }
    last
}

/// The last item of a state's name.
pub(super) fn state(stream: &Stream, at: usize) -> Option<usize> {
    let word = stream.word(at);
    if TWO_WORD_STATES.has(word)
        && stream.joint(at + 1) != Joint::Break
        && among!(" york jersey hampshire mexico carolina dakota virginia island columbia ", stream.word(at + 1))
    {
        return Some(at + 1);
    }
    let short = word.len() == 2;
    let wordy = WORDY_STATES.has(word);
    let sure = !wordy || (postal::code(stream, at + 1).is_some());
    if STATES.has(word) && (!short || sure) {
        return Some(at);
    }
    // "D C", spelled states.
    (stream.unit(at) == Some(&Unit::Letter) && stream.unit(at + 1) == Some(&Unit::Letter) && stream.joint(at + 1) == Joint::Same)
        .then_some(at + 1)
}

/// Whether a word looks like one of a name.
pub(super) fn is_proper(stream: &Stream, at: usize) -> bool {
    let named = |known: Known| known.is_place() || known.is_strange() || known.is_only_name();
    stream.joint(at) != Joint::Break
        && stream.unit(at) == Some(&Unit::Word)
        && !STOP.has(stream.word(at))
        && stream.token(at).is_some_and(|token| token.capital || named(token.known) || DIRECTIONS.has(stream.word(at)))
}
