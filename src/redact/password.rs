//! Passwords, behind words that say so or where one was asked for.
//!
//! Promises: what is said behind `the password is` is taken out up to where the sentence goes on with something else; talk about
//! passwords (`is case sensitive`, `does not work`) stays.

use super::{
    context,
    leads::Lead,
    reason::Reason,
    token::{Unit, Words, among},
    turn::{Joint, Stream, Turn},
};

/// Words of a password.
const LONGEST: usize = 24;
/// Fillers between a lead and a password.
const MAX_BETWEEN: usize = 8;

/// Words of a turn that asks by naming what it wants: `and the passphrase`.
const SHORT_QUESTION: usize = 8;

/// Words that go on with the sentence.
static STOP: Words = Words::new(
    " and but or because so which please thanks thank when if is isn't was wasn't are aren't were it it's its i i'm we you he she they them that that's this these those does doesn't did didn't do don't not no never \
                     can can't could couldn't will won't would wouldn't should has hasn't had have haven't must may might for to from on at into onto of by with about until before after while what where why how who again still \
                     now then just only already always wrong expired reset case sensitive required incorrect invalid stopped works worked changed locked sent needs need keeps says said be been being there here any my your our his her their \
                     too short long weak strong simple hard easy written older protected field screen page prompt box manager rules policy requirements length strength hint email link letter change update recovery through in yet today yesterday tomorrow ",
);
/// Words that may stand between the words of a password.
static WITHIN: Words = Words::new(
    " capital uppercase lowercase upper lower case all cap caps small big exclamation point mark dollar sign hash hashtag pound star asterisk ampersand percent dash hyphen underscore dot period at symbol number numbers \
                      numeral digit digits letter letters word one then with followed by no spaces space question plus equals the a and an in it's like as caret bang ",
);
/// Words between a lead and the password.
static BETWEEN: Words = Words::new(
    " will be would should was to in our your my for the on of room house guest account network lobby office says reads goes set currently now just there here you gave me i use used have him her today ",
);
/// How words tell that a password is spelled.
static SPELLING: Words = Words::new(" capital uppercase lowercase exclamation underscore hashtag ampersand asterisk symbol ");

/// A password that is taken out.
pub(super) struct Password {
    /// The items that belong to it.
    pub(super) items: Vec<usize>,
    /// Whether more of it may follow.
    pub(super) open: bool,
    /// By which rule.
    pub(super) reason: Reason,
}

/// All passwords of a stream among the items that are not taken yet.
pub(super) fn passwords(stream: &Stream, taken: &[bool]) -> Vec<Password> {
    let mut found: Vec<Password> = Vec::new();
    let named = |turn: &Turn| turn.leads.iter().any(|lead| matches!(lead.what, Lead::Password | Lead::AskPassword));
    if !stream.turns.iter().any(named) {
        return found;
    }
    let mut at = stream.from;
    while at < stream.items.len() {
        let open =
            found.last().is_some_and(|last| last.items.last() == Some(&at.wrapping_sub(1)) && stream.joint(at) == Joint::Turn);
        let lead = if taken[at] { None } else { lead(stream, at, open) };
        let Some((reason, sure)) = lead else {
            at += 1;
            continue;
        };
        let items = read(stream, at, taken, sure);
        let Some(last) = items.last().copied() else {
            at += 1;
            continue;
        };
        let open = !stream.closed && last + 2 > stream.items.len();
        found.push(Password { items, open, reason });
        at = last + 1;
    }
    found
}

/// What says that a password begins at an item, and whether that leaves no doubt.
fn lead(stream: &Stream, at: usize, goes_on: bool) -> Option<(Reason, bool)> {
    if goes_on {
        return Some((Reason::Continued, false));
    }
    for back in 1..=MAX_BETWEEN.min(at) {
        if stream.joint(at + 1 - back) == Joint::Break {
            break;
        }
        let item = stream.items[at - back];
        let leads = &stream.turns[item.turn].leads;
        let ends = leads.iter().find(|lead| lead.to == item.token + 1 && matches!(lead.what, Lead::Password | Lead::AskPassword));
        if let Some(lead) = ends {
            let said: Vec<&str> = (lead.from..lead.to).map(|token| stream.turns[item.turn].word(token)).collect();
            let tells = said.last().is_some_and(|word| {
                among!(" is password's passphrase's was to as it's colon of equals reads be like key secret ", word)
            });
            let is_between = (1..back).any(|near| among!(" is it's its was be to says reads goes like ", stream.word(at - near)));
            let sure = tells || is_between;
            return (sure || is_like_a_password(stream, at)).then_some((Reason::CueBefore, sure));
        }
        let leads_on = BETWEEN.has(stream.word(at - back))
            || stream.unit(at - back).is_some_and(|unit| matches!(unit, Unit::Filler | Unit::Correction));
        if !leads_on {
            break;
        }
    }
    if is_told(stream, at) {
        return Some((Reason::CueBefore, true));
    }
    if begins_answer(stream, at) && is_asked(stream, at) {
        return Some((Reason::Asked, true));
    }
    (is_named_behind(stream, at) && is_like_a_password(stream, at)).then_some((Reason::CueBehind, false))
}

/// Whether `is`, `was`, `says` stands right before an item and a password was named shortly before that.
fn is_told(stream: &Stream, at: usize) -> bool {
    const FAR: usize = 12;
    let tells = |at: usize| among!(" is was be to says reads equals it's goes ", stream.word(at));
    let mut told = false;
    for back in 1..=FAR.min(at) {
        if stream.joint(at + 1 - back) == Joint::Break || stream.token(at - back).is_some_and(|token| token.ends) {
            return false;
        }
        told |= tells(at - back);
        let item = stream.items[at - back];
        let named = stream.turns[item.turn]
            .leads
            .iter()
            .any(|lead| lead.to == item.token + 1 && matches!(lead.what, Lead::Password | Lead::AskPassword));
        if named {
            return told;
        }
        let filler = stream.unit(at - back).is_some_and(|unit| matches!(unit, Unit::Filler | Unit::Correction));
        let talk = STOP.has(stream.word(at - back))
            && !among!(
                " the for on at to i we you our my this that of in be it it's is was now just into from ",
                stream.word(at - back),
            );
        if !told && !filler
            || talk
            || among!(
                " isn't wasn't doesn't don't not won't can't forgot reset change changed lost need and but because so ",
                stream.word(at - back),
            )
        {
            return false;
        }
    }
    false
}

/// Whether a word is called a password behind it: `H3lloKitty$, that's the password`, `Mustang.68 as my password`.
fn is_named_behind(stream: &Stream, at: usize) -> bool {
    let turn = &stream.turns[stream.items[at].turn];
    let named = turn.leads.iter().any(|lead| matches!(lead.what, Lead::Password | Lead::AskPassword));
    if !named || !matches!(stream.unit(at), Some(Unit::Mixed | Unit::Word)) {
        return false;
    }
    let near = (at + 1..at + 16)
        .take_while(|next| stream.joint(*next) != Joint::Break)
        .map(|next| stream.word(next))
        .collect::<Vec<_>>();
    [
        "that's the password",
        "is the password",
        "that's my password",
        "is my password",
        "as my password",
        "as the password",
        "for my password",
        "for the password",
        "as a password",
    ]
    .iter()
    .any(|phrase| near.join(" ").contains(phrase))
}

/// Whether the words at an item are spelled as passwords are, or hold digits.
fn is_like_a_password(stream: &Stream, at: usize) -> bool {
    let near = (at..at + 4).take_while(|next| *next == at || stream.joint(*next) != Joint::Break);
    let said =
        |at: usize| stream.unit(at).is_some_and(|unit| unit.is_digit() || *unit == Unit::Mixed) || SPELLING.has(stream.word(at));
    !STOP.has(stream.word(at)) && near.into_iter().take_while(|at| !STOP.has(stream.word(*at))).any(said)
}

/// The items of a password from its first on.
fn read(stream: &Stream, first: usize, taken: &[bool], sure: bool) -> Vec<usize> {
    let mut items = Vec::new();
    let mut last = None;
    for (at, taken) in taken.iter().enumerate().skip(first).take(LONGEST) {
        if *taken || (at > first && stream.joint(at) == Joint::Break) {
            break;
        }
        let word = stream.word(at);
        let ended = at > first && stream.token(at - 1).is_some_and(|token| token.ends) && !goes_on(stream, at);
        if ended || (at > first && stream.joint(at) == Joint::Turn && !goes_on(stream, at)) {
            break;
        }
        let within = at > first && WITHIN.has(word) && goes_on(stream, at + 1);
        let filler = stream.unit(at).is_some_and(|unit| matches!(unit, Unit::Filler | Unit::Correction));
        if filler || within && STOP.has(word) {
            items.push(at);
            continue;
        }
        let cased = word == "case" && at > first && among!(" lower upper ", stream.word(at - 1));
        if STOP.has(word) && !cased {
            break;
        }
        items.push(at);
        last = Some(items.len());
    }
    items.truncate(last.unwrap_or(0));
    let content = items
        .iter()
        .filter(|at| {
            !WITHIN.has(stream.word(**at)) && !stream.unit(**at).is_some_and(Unit::is_filler)
                || stream.unit(**at).is_some_and(Unit::is_digit)
        })
        .count();
    if content == 0 || (!sure && !items.iter().any(|at| is_like_a_password(stream, *at))) {
        items.clear();
    }
    items
}

/// Whether an item may be a further part of a password.
fn goes_on(stream: &Stream, at: usize) -> bool {
    let Some(unit) = stream.unit(at).filter(|_| stream.joint(at) != Joint::Break) else { return false };
    unit.is_digit()
        || matches!(unit, Unit::Letter | Unit::Mixed | Unit::Weak(0) | Unit::Repeat(_) | Unit::Joiner | Unit::Dot | Unit::At)
        || SPELLING.has(stream.word(at))
        || among!(" dollar hash pound star point number numbers dash percent ", stream.word(at))
}

fn is_asked(stream: &Stream, at: usize) -> bool {
    let question = |turn: &Turn| {
        turn.question
            || (0..turn.tokens.len()).any(|token| {
                among!(
                    " what what's which tell give read say confirm verify provide your please can could need you ",
                    turn.word(token),
                )
            })
    };
    let asks = |turn: &Turn| {
        turn.leads.iter().any(|one| matches!(one.what, Lead::AskPassword | Lead::Password))
            && (question(turn) || turn.tokens.len() <= SHORT_QUESTION)
    };
    context::questioners(stream, at).next().is_some_and(asks)
}

/// Whether nothing but what leads to an answer stands before an item in its turn.
fn begins_answer(stream: &Stream, at: usize) -> bool {
    static LEADING: Words = Words::new(
        " it's it is yes yeah sure okay um uh oh the password that's that would be should i think my was gonna going believe passphrase word ",
    );
    if LEADING.has(stream.word(at))
        || STOP.has(stream.word(at))
        || among!(" hold one hang sure sorry what why hmm let old same usual none nothing new first ", stream.word(at))
    {
        return false;
    }
    stream.is_led(at, &LEADING)
}
