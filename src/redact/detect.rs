//! What is personal in the turns of a call: all readers together, one decision for each thing they find.
//!
//! Promises: a card that passes its check is found whatever stands around it; a cue decides before a shape, a shape before
//! mere length; what is cut over finals is one finding with a span in each.

use super::{
    address, card, codes, date, email, ip, judge, names,
    number::{self, Run},
    password,
    placeholder::{Kind, Label, Numbering},
    reason::Reason,
    token::Unit,
    turn::{self, Joint, Stream, Turn},
    url,
};

/// Digits of a value that may never be seen in a row.
pub(super) const NEVER_SEEN: usize = 4;

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It is personal and all there.
    Closed,
    /// It is personal; its party's next words may bring more of it.
    Growing,
    /// It stays in the text unless more of it comes; `true` if it may not stay when there is no time to wait for that.
    Doubtful(bool),
}

/// Something personal, or what may become it.
pub(super) struct Finding {
    /// What it is.
    pub(super) kind: Kind,
    /// Turn and byte range in its text, one for each turn that it touches.
    pub(super) spans: Vec<(usize, usize, usize)>,
    /// What its value is when it is said in another way: a date's.
    pub(super) also: Vec<String>,
    /// What makes it the same value as another: digits, or words.
    pub(super) value: zeroize::Zeroizing<String>,
    /// How sure it is.
    pub(super) state: State,
    /// The label of the value that it repeats.
    pub(super) repeats: Option<Label>,
    /// By which rule.
    pub(super) reason: Reason,
}

/// Everything personal in `turns`, each party's in the order of its words. `ended` says that nothing more will come.
pub(super) fn findings(turns: &[Turn], numbering: &Numbering, ended: bool) -> Vec<Finding> {
    let of = |party| of_party(&Stream::new(turns, party).closed_if(ended), numbering);
    turn::parties(turns).into_iter().flat_map(of).collect()
}

/// What is found in one party's words so far.
struct Search<'a, 's> {
    stream: &'a Stream<'s>,
    found: Vec<Finding>,
    /// Items that belong to something certain.
    taken: Vec<bool>,
}

impl Search<'_, '_> {
    /// Something was found: its items are taken, unless it is only a beginning that may become it.
    fn add(&mut self, items: &[usize], state: State, finding: Finding) {
        if !matches!(state, State::Doubtful(_)) {
            items.iter().for_each(|item| self.taken[*item] = true);
        }
        self.found.push(Finding { state, ..finding });
    }

    fn finding(&self, kind: Kind, items: &[usize], reason: Reason) -> Finding {
        Finding { reason, ..finding(self.stream, kind, items, None, State::Closed) }
    }
}

/// Certain or only begun, and whether more may follow.
fn state(certain: bool, open: bool, masked: bool) -> State {
    match (certain, open) {
        (true, true) => State::Growing,
        (true, false) => State::Closed,
        (false, _) => State::Doubtful(masked),
    }
}

fn of_party(stream: &Stream, numbering: &Numbering) -> Vec<Finding> {
    let mut search = Search { stream, found: Vec::new(), taken: vec![false; stream.items.len()] };
    written(&mut search);
    spoken(&mut search, numbering);
    names(&mut search, numbering);
    numbers(&mut search, numbering);
    search.found
}

/// What its own form tells: addresses of the net, of mail and of the web, codes.
fn written(search: &mut Search) {
    for items in ip::addresses(search.stream) {
        let finding = search.finding(Kind::Ip, &items, Reason::Shape);
        search.add(&items, State::Closed, finding);
    }
    for address in email::addresses(search.stream) {
        let finding = search.finding(Kind::Email, &address.items, Reason::Shape);
        search.add(&address.items, state(address.certain, address.open, false), finding);
    }
    for url in url::urls(search.stream, &search.taken) {
        let finding = search.finding(Kind::Url, &url.items, Reason::Shape);
        search.add(&url.items, state(url.certain, url.open, true), finding);
    }
    for code in codes::codes(search.stream, &search.taken) {
        let finding = search.finding(code.kind, &code.items, code.reason);
        let state = state(code.certain, code.open, true);
        search.add(&code.items, state, Finding { value: code.value.into(), ..finding });
    }
}

/// What the words around it tell: dates, passwords, places.
fn spoken(search: &mut Search, numbering: &Numbering) {
    for date in date::dates(search.stream, numbering) {
        if date.items.iter().any(|item| search.taken[*item]) {
            continue;
        }
        let mut finding = search.finding(date.kind, &date.items, date.reason);
        if let Some(value) = date::value(search.stream, &date.items, &finding.kind) {
            finding.value = value.into();
        }
        search.add(&date.items, state(true, date.open, true), Finding { repeats: date.repeats, ..finding });
    }
    for password in password::passwords(search.stream, &search.taken) {
        let finding = search.finding(Kind::Password, &password.items, password.reason);
        search.add(&password.items, state(true, password.open, true), finding);
    }
    for place in address::places(search.stream, &search.taken) {
        let finding = search.finding(place.kind, &place.items, place.reason);
        search.add(&place.items, state(place.certain, place.open, true), finding);
    }
}

fn names(search: &mut Search, numbering: &Numbering) {
    // A street that is not certain yet is no person.
    let mut placed = search.taken.clone();
    search
        .found
        .iter()
        .filter(|finding| finding.kind == Kind::Address)
        .for_each(|finding| mark(search.stream, finding, &mut placed));
    for name in names::names(search.stream, numbering, &placed) {
        let finding = search.finding(Kind::Person, &name.items, name.reason);
        search.add(&name.items, State::Closed, Finding { repeats: name.repeats, ..finding });
    }
}

fn numbers(search: &mut Search, numbering: &Numbering) {
    let stream = search.stream;
    let mut before: Option<(usize, Kind)> = None;
    for mut run in number::runs(stream) {
        let holds_card = run.len() >= 13 && card::holds_card(&run.values(), &run.corrections);
        if !holds_card && run.items.iter().any(|item| search.taken[*item]) {
            run.leave(&search.taken);
            if run.len() == 0 {
                continue;
            }
        }
        let Some(verdict) = judge::judge(stream, &run, numbering, before.as_ref()) else { continue };
        if verdict.kind.has_letters() {
            with_letters(stream, &mut run);
        }
        before = (verdict.state != State::Closed || run.len() < 9).then(|| (run.last(), verdict.kind.clone()));
        let found = finding(stream, verdict.kind, &run.items, Some(&run), verdict.state);
        search.found.push(Finding { repeats: verdict.repeats, reason: verdict.reason, ..found });
    }
}

/// Marks the items that a finding's stretches cover.
fn mark(stream: &Stream, finding: &Finding, taken: &mut [bool]) {
    for (at, item) in stream.items.iter().enumerate() {
        let Some(token) = stream.token(at) else { continue };
        taken[at] |=
            finding.spans.iter().any(|(turn, start, end)| *turn == item.turn && *start <= token.start && token.end <= *end);
    }
}

/// Takes the letters around a run's digits into it: `e s 59 8772`, `m55`.
fn with_letters(stream: &Stream, run: &mut Run) {
    let lettered = |at: usize| matches!(stream.unit(at), Some(Unit::Letter | Unit::Mixed | Unit::Weak(0)));
    while run.first() > 0 && stream.joint(run.first()) != Joint::Break && lettered(run.first() - 1) {
        run.items.insert(0, run.first() - 1);
    }
    while lettered(run.last() + 1) && stream.joint(run.last() + 1) != Joint::Break {
        run.items.push(run.last() + 1);
    }
}

/// A finding with its span in each turn, from its first item there to its last.
fn finding(stream: &Stream, kind: Kind, items: &[usize], run: Option<&Run>, state: State) -> Finding {
    let mut spans: Vec<(usize, usize, usize)> = Vec::new();
    for item in items {
        let (turn, Some(token)) = (stream.items[*item].turn, stream.token(*item)) else { continue };
        match spans.last_mut() {
            Some((last, _, end)) if *last == turn => *end = token.end,
            _ => spans.push((turn, token.start, token.end)),
        }
    }
    let mut value = zeroize::Zeroizing::new(String::new());
    match run {
        Some(run) if !kind.has_letters() => value.extend(run.digits.iter().map(|digit| char::from(b'0' + digit.value))),
        _ => items.iter().for_each(|item| match stream.unit(*item) {
            Some(Unit::Dot) => value.push('.'),
            Some(Unit::At) => value.push('@'),
            Some(Unit::Filler) => {}
            _ if kind == Kind::Person => {
                if !value.is_empty() {
                    value.push(' ');
                }
                value.push_str(names::bare(stream.word(*item)));
            }
            _ => value.push_str(stream.word(*item)),
        }),
    }
    let also = if value.bytes().all(|byte| byte.is_ascii_digit()) { date::values(&kind, &value) } else { Vec::new() };
    Finding { kind, spans, also, value, state, repeats: None, reason: Reason::Shape }
}
