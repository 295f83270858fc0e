//! The finals that are held and the last ones that were released: what the search sees.
//!
//! Promises: order is kept over all tracks; at most [`MAX_HELD`] finals and [`MAX_HELD_BYTES`] of text are held; a search that
//! breaks, or would see more than [`MAX_TOKENS`], lets nothing through.

mod aside;

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Finder, Forced, GateSettings, Note, Out, apply,
    context::Hint,
    detect::{self, Finding, NEVER_SEEN, State},
    mask::{apart, by_pattern, by_service, mask},
    number,
    placeholder::{Kind, Label, Numbering},
    policy::Policy,
    reason::Reason,
    token::{Token, Unit},
    turn::{Mask, Party, Stream, Turn},
};
use crate::{
    media::Track,
    pii::Unredacted,
    segment::{Release, Segment},
};

/// Most finals that are held at once.
const MAX_HELD: usize = 64;
/// Most bytes of text that are held at once.
const MAX_HELD_BYTES: usize = 16 * 1024;
/// Most tokens (words, numbers, signs) that one search sees, finals that were released before with the held ones: so much time it may take.
/// A call's window has about a thousand.
pub(super) const MAX_TOKENS: usize = 8 * 1024;
/// Most of them in finals that were released: the older go, so that held ones are always searched.
const MAX_PAST_TOKENS: usize = MAX_TOKENS / 4;
/// Released finals that are still seen, for cues, questions and numbers that go on.
const MAX_PAST: usize = 12;
/// Digits left in a text that cannot be told to be harmless.
const SHORTEST_ALONE: usize = 3;
/// How long a question waits for keys.
const ASKED_MS: u64 = 30_000;

/// A final that has not come out.
struct Held {
    segment: Segment<Unredacted>,
    since: Instant,
    behind: usize,
    /// What another party said before it is not known.
    unasked: bool,
    /// It could not even be read.
    unread: bool,
    /// Where the newest final of any track had ended when it came.
    heard_ms: u64,
}

/// What the search sees of a call.
pub(super) struct Window {
    policy: Arc<Policy>,
    names: Option<Finder>,
    numbering: Numbering,
    turns: Vec<Turn>,
    held: VecDeque<Held>,
    /// Where the newest final ends on the call's clock, which may run faster than the one on the wall.
    heard_ms: u64,
    ended: bool,
    /// A text beside a final's could not be searched, and that is not told yet.
    untold: bool,
    /// What is to panic.
    #[cfg(test)]
    pub(super) breaks: Option<Part>,
}

/// A part of the work on a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Into tokens and cues.
    Reading,
    /// For what is personal.
    Searching,
    /// From findings to masks.
    Masking,
    /// To everything that carries the text.
    Applying,
}

impl Window {
    pub(super) fn new(key: [u8; 32], policy: Arc<Policy>, names: Option<Finder>) -> Self {
        Self {
            names,
            numbering: Numbering::new(key, Arc::clone(&policy)),
            policy,
            turns: Vec::new(),
            held: VecDeque::new(),
            heard_ms: 0,
            ended: false,
            untold: false,
            #[cfg(test)]
            breaks: None,
        }
    }

    /// This placeholder is taken.
    pub(super) fn behind(&mut self, placeholder: &str) {
        self.numbering.behind(placeholder);
    }

    /// A final that ends here is about to come; says whether something is held.
    pub(super) fn hear_until(&mut self, end_ms: u64) -> bool {
        self.heard_ms = self.heard_ms.max(end_ms);
        !self.held.is_empty()
    }

    /// Takes a final in.
    pub(super) fn push(&mut self, segment: Segment<Unredacted>, unasked: bool, now: Instant) {
        self.held.iter_mut().for_each(|held| held.behind += 1);
        let turn = self.guarded(Part::Reading, || {
            let named = self.names.as_ref().map_or_else(Vec::new, |finder| finder.names(segment.text.expose()));
            let mut turn = read(&segment);
            turn.named = named;
            turn
        });
        let unread = turn.is_none();
        self.turns.push(turn.unwrap_or_else(|| Turn::new(Party(segment.key.track, None), segment.start_ms, segment.end_ms, "")));
        self.held.push_back(Held { segment, since: now, behind: 0, unasked, unread, heard_ms: self.heard_ms });
    }

    /// Nothing more will come.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Since when the oldest held final waits.
    pub(super) fn held_since(&self) -> Option<Instant> {
        self.held.front().map(|held| held.since)
    }

    /// Lets out what can go.
    pub(super) fn settle(&mut self, settings: &GateSettings, now: Instant, output: &mut VecDeque<Out>) {
        let mut findings = None;
        while !self.held.is_empty() {
            if findings.is_none() {
                findings = self.search();
            }
            let Some(found) = &findings else {
                self.fail(now, output);
                return;
            };
            let first = self.turns.len() - self.held.len();
            let forced = if found.iter().any(|finding| holds(finding, first)) {
                let Some(forced) = self.forced(settings, now) else { break };
                output.push_back(Out::Note(Note::Forced(forced)));
                true
            } else {
                false
            };
            let Some(masks) = catch_unwind(AssertUnwindSafe(|| self.masks(found, first, forced))).ok() else {
                self.fail(now, output);
                return;
            };
            let changed = !masks.is_empty();
            self.turns[first].released = true;
            self.turns[first].masks.clone_from(&masks);
            let Some(held) = self.held.pop_front() else { break };
            self.release(held, first, &masks, now, output);
            if changed {
                findings = None;
            }
        }
        self.forget();
    }

    /// Lets go of the oldest finals that were released.
    fn forget(&mut self) {
        let past = self.turns.len() - self.held.len();
        let mut tokens = 0;
        let seen = self.turns[..past].iter().rev().take(MAX_PAST).take_while(|turn| {
            tokens += turn.tokens.len();
            tokens <= MAX_PAST_TOKENS
        });
        let seen = seen.count();
        self.turns.drain(..past - seen);
    }

    /// Knows keypad digits when they are read back.
    pub(super) fn remember_typed(&mut self, digits: &str) {
        if digits.len() >= NEVER_SEEN && self.numbering.heard_before(digits).is_none() {
            self.numbering.label_part(&Kind::Number, digits);
        }
    }

    /// Whether one of the last finals asked for something that is typed.
    pub(super) fn is_number_asked(&self, at_ms: u64) -> bool {
        let recent = self.turns.iter().filter(|turn| at_ms.saturating_sub(turn.end_ms) <= ASKED_MS);
        recent.flat_map(|turn| &turn.cues).any(|cue| matches!(cue.what, Hint::Is(_) | Hint::MayBe(_)))
    }

    /// Everything personal in what is seen; `None` if the search broke.
    fn search(&self) -> Option<Vec<Finding>> {
        let read = self.held.iter().all(|held| !held.unread);
        read.then(|| self.findings(&self.turns, self.ended))?
    }

    /// Everything personal in these turns; `None` if the search broke or would have taken too long.
    fn findings(&self, turns: &[Turn], ended: bool) -> Option<Vec<Finding>> {
        let tokens: usize = turns.iter().map(|turn| turn.tokens.len()).sum();
        let find = || self.policy.judge(turns, detect::findings(turns, &self.numbering, ended), &self.numbering, ended);
        if tokens > MAX_TOKENS { None } else { self.guarded(Part::Searching, find) }
    }

    /// A panic is caught here: it is our bug, and no reason to let words through or to end other calls.
    fn guarded<T>(&self, part: Part, work: impl FnOnce() -> T) -> Option<T> {
        let work = || {
            self.may_break(part);
            work()
        };
        catch_unwind(AssertUnwindSafe(work)).ok()
    }

    /// Where a test wants a part to break.
    #[cfg(test)]
    fn may_break(&self, part: Part) {
        assert_ne!(self.breaks, Some(part), "it breaks");
    }

    /// Nothing is made to break where nothing is tested.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "called as the one above")]
    fn may_break(&self, _part: Part) {}

    /// Why the oldest held final may not wait any longer.
    fn forced(&self, settings: &GateSettings, now: Instant) -> Option<Forced> {
        let oldest = self.held.front()?;
        let bytes: usize = self.held.iter().map(|held| held.segment.text.expose().len()).sum();
        let spoken = Duration::from_millis(self.heard_ms.saturating_sub(oldest.segment.end_ms.max(oldest.heard_ms)));
        if oldest.since + settings.hold <= now || spoken > settings.hold {
            Some(Forced::Time)
        } else if oldest.behind >= settings.hold_finals {
            Some(Forced::Finals)
        } else {
            (self.held.len() > MAX_HELD || bytes > MAX_HELD_BYTES).then_some(Forced::Memory)
        }
    }

    /// What has to be taken out of a turn.
    fn masks(&mut self, found: &[Finding], turn: usize, forced: bool) -> Vec<Mask> {
        self.may_break(Part::Masking);
        let mut masks = Vec::new();
        for finding in found {
            let taken = match finding.state {
                State::Closed | State::Growing => true,
                State::Doubtful(masked) => masked && forced,
            };
            for (_, start, end) in finding.spans.iter().filter(|(in_turn, ..)| taken && *in_turn == turn) {
                let label = self.shown(finding);
                let reason = if let State::Doubtful(_) = finding.state { Reason::Forced } else { finding.reason };
                masks.push(mask(*start, *end, label, reason));
            }
        }
        masks.extend(by_service(&self.turns[turn], &mut self.numbering));
        let first = self.turns.len() - self.held.len();
        let Some(held) = self.held.get(turn.wrapping_sub(first)) else { return apart(masks) };
        masks.extend(by_pattern(&self.policy, &self.turns[turn], held.segment.text.expose(), &mut self.numbering));
        if held.unasked {
            self.mask_numbers(turn, &mut masks);
        }
        apart(masks)
    }

    /// With less to go by, every number goes.
    fn mask_numbers(&mut self, turn: usize, masks: &mut Vec<Mask>) {
        let party = self.turns[turn].party.clone();
        let stream = Stream::new(&self.turns[turn..=turn], &party);
        let long = number::runs(&stream).into_iter().filter(|run| run.len() >= SHORTEST_ALONE);
        let digits = |run: &number::Run| run.values().iter().map(|value| char::from(b'0' + value)).collect::<String>();
        let span = |run: number::Run| Some((stream.token(run.first())?.start, stream.token(run.last())?.end, digits(&run)));
        let runs: Vec<_> = long.filter_map(span).collect();
        for (start, end, digits) in runs {
            if !masks.iter().any(|mask| mask.start <= start && end <= mask.end) {
                let label = self.numbering.label_part(&Kind::Number, &digits);
                masks.push(mask(start, end, label, Reason::Unasked));
            }
        }
    }

    /// The label of a finding: of what it repeats, of its part that is already out, or of its value.
    fn label(&mut self, finding: &Finding) -> Label {
        let out = |&(turn, start, end): &(usize, usize, usize)| {
            let masks = &self.turns.get(turn)?.masks;
            masks
                .iter()
                .find(|mask| mask.start < end && start < mask.end && mask.reason != Reason::Service)
                .map(|mask| mask.label.without_last())
        };
        if let Some(label) = finding.repeats.clone().or_else(|| finding.spans.iter().find_map(out)) {
            self.numbering.remember(&finding.value, &label);
            return label;
        }
        let label = if finding.state == State::Closed { Numbering::label } else { Numbering::label_part };
        let label = label(&mut self.numbering, &finding.kind, &finding.value);
        finding.also.iter().for_each(|value| self.numbering.remember(value, &label));
        label
    }

    /// What is shown in a finding's place.
    fn shown(&mut self, finding: &Finding) -> Label {
        let label = self.label(finding);
        match self.policy.last_of(finding) {
            Some(digits) if label.kind == Kind::CreditCard => label.with_last(&digits),
            _ => label,
        }
    }

    fn release(&mut self, held: Held, turn: usize, masks: &[Mask], now: Instant, output: &mut VecDeque<Out>) {
        let (segment, withheld) = waited(held, now);
        let apply = || {
            self.may_break(Part::Applying);
            apply::apply(segment, masks, |text| self.alone(turn, text))
        };
        let release = catch_unwind(AssertUnwindSafe(apply)).ok();
        if release.is_none() || std::mem::take(&mut self.untold) {
            output.push_back(Out::Note(Note::Failed));
        }
        output.push_back(Out::Release(release.unwrap_or(withheld)));
    }

    /// The search broke: nothing that is held can be trusted.
    fn fail(&mut self, now: Instant, output: &mut VecDeque<Out>) {
        for held in self.held.drain(..) {
            let (_, withheld) = waited(held, now);
            output.extend([Out::Note(Note::Failed), Out::Release(withheld)]);
        }
        self.turns.clear();
    }
}

/// A final that has waited so long, and what goes out in its place if it cannot be released.
fn waited(held: Held, now: Instant) -> (Segment<Unredacted>, Release) {
    let mut segment = held.segment;
    let waited = now.saturating_duration_since(segment.heard_at).as_millis();
    segment.latency.gate_ms = Some(u64::try_from(waited).unwrap_or(u64::MAX));
    let withheld = apply::withheld(&segment);
    (segment, withheld)
}

/// A final as the search reads it. Voices are told apart only where both parties are in one signal.
fn read(segment: &Segment<Unredacted>) -> Turn {
    let track = segment.key.track;
    let party = Party(track, (track == Track::Mixed).then(|| segment.speaker.clone()));
    Turn::new(party, segment.start_ms, segment.end_ms, segment.text.expose())
}

/// Whether a finding keeps a turn from being released.
fn holds(finding: &Finding, turn: usize) -> bool {
    finding.state != State::Closed && finding.spans.iter().any(|(in_turn, ..)| *in_turn == turn)
}

/// Whether a digit or a number word is said in a text.
pub(super) fn bears_number(text: &str) -> bool {
    Turn::new(Party(Track::Mixed, None), 0, 0, text).tokens.iter().any(says_number)
}

/// Whether a token may be a part of a number.
fn says_number(token: &Token) -> bool {
    token.unit.is_digit()
        || matches!(
            token.unit,
            Unit::Weak(0 | 1 | 3 | 6 | 8)
                | Unit::Hundred
                | Unit::Thousand
                | Unit::Repeat(_)
                | Unit::Ordinal(_)
                | Unit::Placeholder(_)
        )
}
