//! What was found, taken out of everything that carries the segment's text.
//!
//! Promises: the text loses only the masked stretches; the words of a stretch become one element with the placeholder, the
//! first one's beginning and the last one's end; sentences are cut from the same masks. Where words or sentences do not spell
//! the text (the service redacts one and not the other, protocols/pulse.md section 7.1), they are searched on their own.

use crate::{
    pii::{Redacted, Unredacted},
    segment::{Redaction, Release, Segment, Utterance, Word},
};

use super::{
    REDACTION_FAILED,
    reason::{Reason, Why},
    token,
    turn::Mask,
};

/// Longest language code that is passed on.
const MAX_LANGUAGE: usize = 16;
/// Longest name in `emotion` and `gender` that is passed on.
const MAX_NAME: usize = 32;

/// A letter, digit or placeholder of a text: what it is, and its byte range.
type Mark = (char, usize, usize);

/// Takes `masks` (sorted, apart from each other) out of a segment. `alone` searches a text that does not spell the segment's.
pub(super) fn apply(segment: Segment<Unredacted>, masks: &[Mask], mut alone: impl FnMut(&str) -> Vec<Mask>) -> Release {
    let text = segment.text.expose();
    let letters = marks(text);
    let (clean, times) = if segment.words.is_empty() {
        (Vec::new(), vec![None; masks.len()])
    } else if let Some(same) = spelled(&segment.words, &letters) {
        (words(&segment.words, &same, masks), times(&segment.words, &same, masks))
    } else {
        let own = alone(&joined(&segment.words));
        (words(&segment.words, &ranges(&segment.words), &own), vec![None; masks.len()])
    };
    let mut cursor = 0;
    let utterances = segment.utterances.iter().map(|utterance| {
        let said = utterance.text.expose();
        let own = inside(said, &letters, &mut cursor, masks).unwrap_or_else(|| alone(said));
        let Utterance { start_ms, end_ms, ref speaker, .. } = *utterance;
        Utterance { text: Redacted::certified(masked(said, &own)), start_ms, end_ms, speaker: speaker.clone() }
    });
    let utterances = utterances.collect();
    let redactions = masks.iter().zip(times).map(|(mask, time)| {
        let (start_ms, end_ms) = time.unwrap_or((segment.start_ms, segment.end_ms));
        let source = if mask.reason == Reason::Service { "service" } else { "bridge" };
        let why = Why { reason: mask.reason, start: mask.start, end: mask.end };
        Redaction { kind: mask.label.kind.as_str().to_owned(), label: mask.label.text.clone(), start_ms, end_ms, source, why }
    });
    let redactions = redactions.collect();
    let text = Redacted::certified(masked(text, masks));
    Release { segment: with(segment, text, clean, utterances), redactions }
}

/// What goes out in place of a segment that cannot be released: when and whose it was, and not a word.
pub(super) fn withheld(segment: &Segment<Unredacted>) -> Release {
    let bare = Segment {
        id: segment.id.clone(),
        role: segment.role.clone(),
        speaker: segment.speaker.clone(),
        text: Unredacted::default(),
        words: Vec::new(),
        utterances: Vec::new(),
        language: None,
        languages: Vec::new(),
        emotion: None,
        gender: None,
        ..*segment
    };
    let segment = with(bare, Redacted::certified(REDACTION_FAILED), Vec::new(), Vec::new());
    Release { segment, redactions: Vec::new() }
}

/// A segment with clean text, words and sentences in place of its own.
pub(super) fn with(
    segment: Segment<Unredacted>,
    text: Redacted,
    words: Vec<Word<Redacted>>,
    utterances: Vec<Utterance<Redacted>>,
) -> Segment<Redacted> {
    Segment {
        id: segment.id,
        key: segment.key,
        role: segment.role,
        speaker: segment.speaker,
        start_ms: segment.start_ms,
        end_ms: segment.end_ms,
        text,
        words,
        utterances,
        language: segment.language.filter(|code| is_language(code)),
        languages: segment.languages.into_iter().filter(|code| is_language(code)).collect(),
        emotion: segment.emotion.and_then(plain),
        gender: segment.gender.and_then(plain),
        provisional: segment.provisional,
        recovered: segment.recovered,
        covers: segment.covers,
        heard_at: segment.heard_at,
        latency: segment.latency,
    }
}

/// A text with its masked stretches replaced; where nothing stands in their place, the two spaces beside it are one.
pub(super) fn masked(text: &str, masks: &[Mask]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for mask in masks {
        out.push_str(text.get(at..mask.start).unwrap_or_default());
        out.push_str(&mask.label.text);
        at = mask.end.max(at);
        if mask.label.text.is_empty() {
            at = joined_up(&mut out, text, at);
        }
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

/// Closes the gap that nothing stands in: of the spaces on both sides one stays, and none before a comma. Says where the text goes on.
fn joined_up(out: &mut String, text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    if out.ends_with(' ') && rest.starts_with([',', '.', ';', ':', '!', '?']) {
        out.pop();
    }
    let doubled = (out.is_empty() || out.ends_with(' ')) && rest.starts_with(' ');
    at + usize::from(doubled)
}

fn is_language(code: &str) -> bool {
    code.len() <= MAX_LANGUAGE && code.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_'))
}

/// A flat object of names and numbers, with nothing else in it; `None` for anything that is not an object.
fn plain(value: serde_json::Value) -> Option<serde_json::Value> {
    let name =
        |text: &str| text.len() <= MAX_NAME && text.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_'));
    let serde_json::Value::Object(mut object) = value else { return None };
    object.retain(|key, value| {
        let plain = value.as_str().map_or(value.is_number() || value.is_boolean(), name);
        plain && name(key)
    });
    Some(object.into())
}

/// The letters, digits and placeholders of a text, in lower case.
fn marks(text: &str) -> Vec<Mark> {
    /// Stands for any placeholder: the service numbers them differently in text and words.
    const PLACEHOLDER: char = '\u{FFFC}';
    let mut marks = Vec::new();
    let mut skip = 0;
    for (at, c) in text.char_indices() {
        if at < skip {
            continue;
        }
        if let Some((len, _)) = token::placeholder(&text[at..]) {
            marks.push((PLACEHOLDER, at, at + len));
            skip = at + len;
        } else if c.is_alphanumeric() {
            marks.extend(c.to_lowercase().map(|lower| (lower, at, at + c.len_utf8())));
        }
    }
    marks
}

/// The words' texts with a space between; [`ranges`] says where each one is.
fn joined(words: &[Word<Unredacted>]) -> zeroize::Zeroizing<String> {
    words.iter().map(|word| word.text.expose()).collect::<Vec<_>>().join(" ").into()
}

/// Where each word lies in [`joined`].
fn ranges(words: &[Word<Unredacted>]) -> Vec<(usize, usize)> {
    let mut at = 0;
    let range = |word: &Word<Unredacted>| {
        let start = at;
        at += word.text.expose().len() + 1;
        (start, at - 1)
    };
    words.iter().map(range).collect()
}

/// Where each word lies in the text whose marks are given; `None` if together they do not spell it.
fn spelled(words: &[Word<Unredacted>], text: &[Mark]) -> Option<Vec<(usize, usize)>> {
    let mut at = 0;
    let mut spans = Vec::new();
    for word in words {
        let word = marks(word.text.expose());
        let same = text.get(at..at + word.len())?;
        if !same.iter().zip(&word).all(|(text, word)| text.0 == word.0) {
            return None;
        }
        let before = at.checked_sub(1).and_then(|at| text.get(at)).map_or(0, |mark| mark.2);
        at += word.len();
        spans.push((same.first().map_or(before, |mark| mark.1), same.last().map_or(before, |mark| mark.2)));
    }
    (at == text.len()).then_some(spans)
}

/// The words with each mask's words made one.
fn words(words: &[Word<Unredacted>], spans: &[(usize, usize)], masks: &[Mask]) -> Vec<Word<Redacted>> {
    let mut out: Vec<Word<Redacted>> = Vec::with_capacity(words.len());
    let mut last = None;
    for (word, span) in words.iter().zip(spans) {
        let mask = masks.iter().position(|mask| touches(*span, mask));
        match (mask, out.last_mut()) {
            (Some(_), Some(one)) if mask == last => one.end_ms = word.end_ms,
            (Some(mask), _) => out.push(Word {
                text: Redacted::certified(&*masks[mask].label.text),
                start_ms: word.start_ms,
                end_ms: word.end_ms,
                confidence: None,
                speaker: word.speaker.clone(),
                speaker_confidence: None,
                redacted: true,
            }),
            (None, _) => out.push(Word {
                text: Redacted::certified(word.text.expose()),
                start_ms: word.start_ms,
                end_ms: word.end_ms,
                confidence: word.confidence,
                speaker: word.speaker.clone(),
                speaker_confidence: word.speaker_confidence,
                redacted: false,
            }),
        }
        last = mask;
    }
    out
}

/// Whether a word lies in a mask, or a sign without letters between two of its words does.
fn touches((start, end): (usize, usize), mask: &Mask) -> bool {
    start < mask.end && mask.start < end.max(start + 1) && !(start == end && start <= mask.start)
}

/// From when to when each mask was said.
fn times(words: &[Word<Unredacted>], spans: &[(usize, usize)], masks: &[Mask]) -> Vec<Option<(u64, u64)>> {
    let time = |mask: &Mask| {
        let mut said =
            words.iter().zip(spans).filter(|(_, span)| touches(**span, mask)).map(|(word, _)| (word.start_ms, word.end_ms));
        let (start, end) = said.next()?;
        Some((start, said.next_back().map_or(end, |(_, end)| end)))
    };
    masks.iter().map(time).collect()
}

/// The masks of the text as they lie in a piece of it; `None` if the piece does not follow in the text.
fn inside(piece: &str, text: &[Mark], cursor: &mut usize, masks: &[Mask]) -> Option<Vec<Mask>> {
    let own = marks(piece);
    let follows =
        |at: usize| text.get(at..at + own.len()).is_some_and(|text| text.iter().zip(&own).all(|(text, own)| text.0 == own.0));
    let at = (*cursor..text.len()).find(|at| follows(*at))?;
    *cursor = at + own.len();
    let within = |mask: &Mask| {
        let mut lying =
            own.iter().zip(&text[at..]).filter(|(_, text)| text.1 < mask.end && mask.start < text.2).map(|(own, _)| own);
        let first = lying.next()?;
        let end = lying.next_back().unwrap_or(first).2;
        Some(Mask { start: first.1, end, ..mask.clone() })
    };
    Some(masks.iter().filter_map(within).collect())
}
