//! What leads to a name: words before and behind it, and what the other party asked for.

use super::super::{
    context,
    leads::{Lead, LeadAt},
    token::{Unit, Words, among},
    turn::{Joint, Stream, Turn},
};

/// Fillers between a lead and its name.
const MAX_BETWEEN: usize = 4;
/// Turns of the other party that may have asked for a name.
const ASKED_TURNS: usize = 2;
/// Words of a turn that is nothing but the answer to a question.
const SHORT_ANSWER: usize = 3;

/// Whether somebody is greeted or thanked by name: `thanks grace`, `hi chase my name is`.
pub(super) fn is_greeted(stream: &Stream, at: usize) -> bool {
    let greets = at > 0 && among!(" hi hello hey thanks you morning afternoon evening ", stream.word(at - 1));
    greets
        && (stands_alone(stream, at)
            || among!(" and how i my what can this it's yes for could would is i'm ", stream.word(at + 1)))
}

/// Whether it ends its turn, or its sentence: somebody is called by name.
pub(super) fn stands_alone(stream: &Stream, at: usize) -> bool {
    stream.token(at).is_some_and(|token| token.ends) || stream.joint(at + 1) != Joint::Same
}

/// Whether the word is a part of a firm's name.
pub(super) fn is_brand(stream: &Stream, at: usize) -> bool {
    let item = stream.items[at];
    stream.turns[item.turn].leads.iter().any(|lead| lead.what == Lead::Brand && (lead.from..lead.to).contains(&item.token))
}

/// Whether everybody calls somebody so.
pub(super) fn is_nickname(stream: &Stream, at: usize) -> bool {
    at > 1 && stream.word(at - 1) == "me" && among!(" call calls called ", stream.word(at - 2))
}

/// The lead that ends right before an item, over fillers.
pub(super) fn lead_before(stream: &Stream, at: usize) -> Option<Lead> {
    let mut best = None;
    for back in 1..=MAX_BETWEEN.min(at) {
        if stream.joint(at + 1 - back) == Joint::Break {
            break;
        }
        let item = stream.items[at - back];
        let turn = &stream.turns[item.turn];
        let leads = turn.leads.iter().filter(|lead| lead.to == item.token + 1);
        if let Some(lead) = leads.map(|lead| lead.what).find(|lead| is_name_lead(*lead)) {
            // "Is" alone says little: what stands before it may say more.
            best = best.filter(|best: &Lead| rank(*best) >= rank(lead)).or(Some(lead));
        }
        if !stream.unit(at - back).is_some_and(|unit| matches!(unit, Unit::Filler | Unit::Correction)) {
            break;
        }
    }
    best
}

/// How much a lead says.
fn rank(lead: Lead) -> u8 {
    match lead {
        Lead::Name | Lead::AskName => 3,
        Lead::MayBeName => 2,
        Lead::HardlyName => 1,
        _ => 0,
    }
}

fn is_name_lead(lead: Lead) -> bool {
    matches!(lead, Lead::Name | Lead::MayBeName | Lead::HardlyName | Lead::Near | Lead::AskName)
}

pub(super) fn lead_begins(stream: &Stream, at: usize, lead: Lead) -> bool {
    let Some(item) = stream.items.get(at).filter(|_| stream.joint(at) == Joint::Same) else { return false };
    stream.turns[item.turn].leads.iter().any(|one| one.from == item.token && one.what == lead)
}

/// What the other party's last question asked for, if that is a name or its spelling.
pub(super) fn asked(stream: &Stream, at: usize) -> Option<Lead> {
    let asks = |turn: &Turn| {
        let lead = |lead: Lead| turn.leads.iter().any(|one| one.what == lead);
        if lead(Lead::AskSpelling) {
            return Some(Lead::AskSpelling);
        }
        let open = |one: &LeadAt| {
            one.what == Lead::Name
                && !turn
                    .tokens
                    .get(one.to)
                    .is_some_and(|token| token.known.is_only_name() || token.known.is_strange() && token.unit == Unit::Word)
        };
        (lead(Lead::AskName) || turn.leads.iter().any(open)).then_some(Lead::AskName)
    };
    context::questioners(stream, at).take(ASKED_TURNS).find_map(asks)
}

/// Whether nothing but what leads to an answer stands before an item in its turn.
pub(super) fn begins_answer(stream: &Stream, at: usize) -> bool {
    static LEADING: Words = Words::new(
        " hi hello hey my name is the this it's it i'm i am yes yeah sure of course okay um uh and so well that's that would be under for you can put it's should account in first last full thank thanks good morning afternoon evening \
                           absolutely certainly no problem one second sec moment for her his she's he's their actually just ",
    );
    stream.is_led(at, &LEADING)
}

/// Whether little more than the word is said in its turn.
pub(super) fn is_short_answer(stream: &Stream, at: usize) -> bool {
    let rest = (at..stream.items.len()).take_while(|next| *next == at || stream.joint(*next) == Joint::Same);
    rest.filter(|at| !stream.unit(*at).is_some_and(Unit::is_filler)).count() <= SHORT_ANSWER
}
