//! One party's finals in a row, and what the other said between them: the text in which numbers are looked for.
//!
//! Promises: a [`Turn`] is read once; a [`Stream`] lays the turns of one party end to end, so that a number that is cut over
//! several finals is read as one, over short turns of the other party (`okay`, `go ahead`, a read-back) too.

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::{
    context,
    cues::{self, Cue, Hint},
    homophone,
    leads::{self, Lead, LeadAt},
    placeholder::Label,
    reason::Reason,
    token::{self, Token, Unit, Words, digit},
};
use crate::media::Track;

/// Words beyond fillers and digits up to which a turn of the other party is only a nod.
const NOD_WORDS: usize = 4;
/// A pause of one party after which what it says is no longer the same number.
const LONG_PAUSE_MS: u64 = 20_000;

const ONES: [Unit; 10] = [
    Unit::One(0),
    Unit::One(1),
    Unit::One(2),
    Unit::One(3),
    Unit::One(4),
    Unit::One(5),
    Unit::One(6),
    Unit::One(7),
    Unit::One(8),
    Unit::One(9),
];

/// Whose words. In a signal that mixes the parties the label tells them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Party(pub(super) Track, pub(super) Option<String>);

/// A stretch of a turn's text that is taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mask {
    /// Byte offset of its beginning.
    pub(super) start: usize,
    /// Byte offset behind its end.
    pub(super) end: usize,
    /// What stands in its place.
    pub(super) label: Label,
    /// By which rule.
    pub(super) reason: Reason,
}

/// One final, read.
pub(super) struct Turn {
    /// Who said it.
    pub(super) party: Party,
    /// Its beginning on the call's clock.
    pub(super) start_ms: u64,
    /// Its end.
    pub(super) end_ms: u64,
    /// Its words and what they may mean.
    pub(super) tokens: Vec<Token>,
    /// What the words say about numbers near them.
    pub(super) cues: Vec<Cue>,
    /// Whether it asks whether something is right.
    pub(super) question: bool,
    /// What it asks the other party for.
    pub(super) asked: Vec<Hint>,
    /// What they say about names, addresses and passwords near them.
    pub(super) leads: Vec<LeadAt>,
    /// Names that somebody else than the rules found: byte ranges, in order.
    pub(super) named: Vec<(usize, usize)>,
    /// What was taken out, once it is released.
    pub(super) masks: Vec<Mask>,
    /// Whether it is released, so that nothing more can be taken out.
    pub(super) released: bool,
    folded: Zeroizing<String>,
}

impl Turn {
    /// Reads a final.
    pub(super) fn new(party: Party, start_ms: u64, end_ms: u64, text: &str) -> Self {
        let folded = Zeroizing::new(text.to_ascii_lowercase());
        let mut tokens = token::tokens(&folded);
        for token in &mut tokens {
            let said = &text[token.start..token.end];
            token.capital = said.starts_with(char::is_uppercase) && (said.len() == 1 || said.contains(char::is_lowercase));
        }
        let straight: Vec<Cow<str>> = tokens.iter().map(|token| straight(&folded[token.start..token.end])).collect();
        let words: Vec<&str> = straight.iter().map(AsRef::as_ref).collect();
        let (cues, leads) = (cues::cues(&words), leads::leads(&words));
        let question = text.trim_end().ends_with('?') || words.iter().any(|word| matches!(*word, "correct" | "still" | "right"));
        let asked = context::asked_by(&tokens, &cues, &leads, question);
        Self {
            party,
            start_ms,
            end_ms,
            tokens,
            cues,
            question,
            asked,
            leads,
            named: Vec::new(),
            masks: Vec::new(),
            released: false,
            folded,
        }
    }

    /// A token's text in ASCII lower case.
    pub(super) fn word(&self, token: usize) -> &str {
        self.tokens.get(token).map_or("", |token| &self.folded[token.start..token.end])
    }

    /// Whether it neither asks for anything nor says much: the other party's number goes on behind it.
    fn is_nod(&self, before: &str) -> bool {
        let asking = || {
            (0..self.tokens.len())
                .any(|token| matches!(self.word(token), "where" | "what" | "what's" | "which" | "who" | "when" | "why"))
        };
        if !self.cues.is_empty() || self.asks() || asking() {
            return false;
        }
        let said =
            self.tokens.iter().filter(|token| !token.unit.is_filler() && !token.unit.is_digit() && token.unit != Unit::Dot);
        let digits = self.digits();
        said.count() <= NOD_WORDS && (digits.len() < 2 || before.contains(&digits))
    }

    /// Whether it asks for something.
    fn asks(&self) -> bool {
        let asks = |lead: &LeadAt| matches!(lead.what, Lead::AskName | Lead::AskSpelling | Lead::AskAddress | Lead::AskPassword);
        self.cues.iter().any(|cue| matches!(cue.what, Hint::Is(_) | Hint::MayBe(_))) || self.leads.iter().any(asks)
    }

    fn begins_with_digits(&self) -> bool {
        self.tokens.iter().find(|token| !token.unit.is_filler()).is_some_and(|token| token.unit.is_in_number())
    }

    fn ends_with_digits(&self) -> bool {
        self.tokens.iter().rev().find(|token| !token.unit.is_filler()).is_some_and(|token| token.unit.is_in_number())
    }

    /// Whether what comes next may belong to what it ends with.
    fn is_unfinished(&self) -> bool {
        const SHORT: usize = 7;
        let Some(last) = self.tokens.last() else { return true };
        let masked = self.masks.iter().any(|mask| mask.start < last.end && last.start < mask.end);
        let open = matches!(last.unit, Unit::Letter | Unit::Dot | Unit::At | Unit::Joiner | Unit::Month(_) | Unit::Mixed);
        masked || open || self.tokens.len() <= SHORT || self.ends_with_digits()
    }

    /// Its digits in a row, roughly read: good enough to know a read-back by.
    fn digits(&self) -> String {
        let mut out = String::new();
        for (index, token) in self.tokens.iter().enumerate() {
            match token.unit {
                Unit::Digits | Unit::Mixed => {
                    out.extend(self.word(index).chars().filter_map(digit).map(|d| char::from(b'0' + d)));
                }
                Unit::One(n) | Unit::Weak(n) if n != 2 && n != 4 || matches!(token.unit, Unit::One(_)) => {
                    out.push(char::from(b'0' + n));
                }
                Unit::Teen(n) => out.push_str(&n.to_string()),
                Unit::Ten(n) => out.push(char::from(b'0' + n)),
                _ => {}
            }
        }
        out
    }
}

/// A word with a plain apostrophe in place of a curly one.
fn straight(word: &str) -> Cow<'_, str> {
    if word.contains('’') { word.replace('’', "'").into() } else { word.into() }
}

/// Whose turns these are, in the order in which they first spoke.
pub(super) fn parties(turns: &[Turn]) -> Vec<&Party> {
    let mut parties: Vec<&Party> = Vec::new();
    for turn in turns {
        if !parties.contains(&&turn.party) {
            parties.push(&turn.party);
        }
    }
    parties
}

/// How an item follows the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    /// In the same turn.
    Same,
    /// At the beginning of a turn that goes on from the one before.
    Turn,
    /// At the beginning of a turn that does not.
    Break,
}

/// A token in its turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// Which turn.
    pub(super) turn: usize,
    /// Which token of it.
    pub(super) token: usize,
    /// How it follows the item before.
    pub(super) joint: Joint,
}

/// The turns of one party end to end.
pub(super) struct Stream<'a> {
    /// All turns of the call that are still known, of both parties.
    pub(super) turns: &'a [Turn],
    /// The tokens of this party.
    pub(super) items: Vec<Item>,
    /// Whether nothing can follow on the last item any more: the other party went on to say something else.
    pub(super) closed: bool,
    /// The other party said something else meanwhile, but asked for nothing, and the last turn ended with a number.
    pub(super) talked_over: bool,
    /// Where the search begins: what lies before is out, and nothing that is not can be a part of it.
    pub(super) from: usize,
    /// Items that sound like a digit and are one.
    homophones: Vec<bool>,
}

impl<'a> Stream<'a> {
    /// Lays the turns of `party` end to end.
    pub(super) fn new(turns: &'a [Turn], party: &Party) -> Self {
        let mut stream = Self { turns, items: Vec::new(), closed: false, talked_over: false, from: 0, homophones: Vec::new() };
        let mut before = String::new();
        let (mut last, mut interrupted): (Option<&Turn>, bool) = (None, false);
        for (index, turn) in turns.iter().enumerate() {
            if turn.party != *party {
                let nod = turn.is_nod(&before);
                stream.closed |= !nod;
                interrupted |= !nod && turn.asks();
                continue;
            }
            let paused = last.is_some_and(|last| turn.start_ms.saturating_sub(last.end_ms) > LONG_PAUSE_MS);
            // "4111", "hold on, the system is slow today", "1111": whatever is said between, one number.
            let goes_on = !interrupted && turn.begins_with_digits() && last.is_some_and(Turn::ends_with_digits);
            let broken = (stream.closed && !goes_on) || paused || stream.items.is_empty();
            let joint = if broken { Joint::Break } else { Joint::Turn };
            if joint == Joint::Break {
                before.clear();
            }
            before.push_str(&turn.digits());
            last = Some(turn);
            (stream.closed, interrupted) = (false, false);
            let joints = std::iter::once(joint).chain(std::iter::repeat(Joint::Same));
            stream.items.extend((0..turn.tokens.len()).zip(joints).map(|(token, joint)| Item { turn: index, token, joint }));
        }
        // A number may go on, whatever the other party says meanwhile.
        stream.talked_over = stream.closed && !interrupted && last.is_some_and(Turn::ends_with_digits);
        zeroize::Zeroize::zeroize(&mut before);
        stream.from = stream.unsettled();
        homophone::resolve(&mut stream);
        stream
    }

    /// The same, to be searched from its first item.
    pub(super) fn whole(turns: &'a [Turn], party: &Party) -> Self {
        let mut stream = Self::new(turns, party);
        stream.from = 0;
        stream
    }

    /// The first item of the first turn that is not out, or of those before it in a row that end in the middle of something.
    fn unsettled(&self) -> usize {
        let mut from = self.items.len();
        while from > 0 {
            let turn = self.items[from - 1].turn;
            if self.turns[turn].released && (from == self.items.len() || !self.turns[turn].is_unfinished()) {
                break;
            }
            from = self.items[..from].iter().rposition(|item| item.turn != turn).map_or(0, |at| at + 1);
        }
        from
    }

    /// The same; nothing more can follow if `ended`.
    pub(super) fn closed_if(mut self, ended: bool) -> Self {
        self.closed |= ended;
        self.talked_over &= !ended;
        self
    }

    /// An item that sounds like a digit is one.
    pub(super) fn take_for_digit(&mut self, item: usize) {
        self.homophones.resize(self.items.len(), false);
        self.homophones[item] = true;
    }

    /// What an item may mean; `None` behind the last.
    pub(super) fn unit(&self, item: usize) -> Option<&'a Unit> {
        match &self.token(item)?.unit {
            Unit::Weak(value) if self.homophones.get(item) == Some(&true) => ONES.get(usize::from(*value)),
            unit => Some(unit),
        }
    }

    /// An item's token.
    pub(super) fn token(&self, item: usize) -> Option<&'a Token> {
        self.items.get(item).map(|item| &self.turns[item.turn].tokens[item.token])
    }

    /// An item's text in ASCII lower case; empty behind the last.
    pub(super) fn word(&self, item: usize) -> &'a str {
        self.items.get(item).map_or("", |item| self.turns[item.turn].word(item.token))
    }

    /// Whether nothing but fillers and these words stand before an item in its turn.
    pub(super) fn is_led(&self, item: usize, leading: &Words) -> bool {
        let before = (1..=item).rev().take_while(|at| self.joint(*at) == Joint::Same).map(|at| at - 1);
        before.into_iter().all(|at| self.unit(at).is_some_and(Unit::is_filler) || leading.has(self.word(at)))
    }

    /// How an item follows the one before; a break behind the last.
    pub(super) fn joint(&self, item: usize) -> Joint {
        self.items.get(item).map_or(Joint::Break, |item| item.joint)
    }
}
