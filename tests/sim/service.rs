//! The speech service on one connection (protocols/pulse.md sections 5 to 7): it hears a word only if all of the word's audio
//! came on this connection in one piece, counts time from the connection's first byte, and numbers speakers as they appear.
//!
//! Bounds: what was shown goes out no later than the finals of what was said behind it, as nobody could know of a final that is missing if
//! nothing had shown it by then; only an interim that its own final overtook comes alone and late. A missing final has three words and 0.8 s of voice.

use crate::{
    chance::Chance,
    plan::{MILLI, Sabotage, Service},
    truth::{MS, Truth, Word},
};

/// Interims come this often, in milliseconds of audio.
const INTERIM_MS: u64 = 300;
/// Silence that is worth an empty final, in milliseconds of audio.
const EMPTY_MS: u64 = 4_000;
/// A final of fewer words that never comes is no promise: the service may have thought better of a noise.
const LEAST_MISSED_WORDS: usize = 3;
/// Nor is one of less voice, in milliseconds.
const LEAST_MISSED_MS: u64 = 800;
/// By how much sabotaged times are late, in milliseconds.
const SABOTAGED_MS: u64 = 100;

/// What the service wants to send.
pub(crate) struct Say {
    /// So long from now.
    pub(crate) after: u64,
    pub(crate) what: Speech,
    pub(crate) order: Order,
}

/// What keeps its order with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Finals, and the end.
    Final,
    /// Interims and answers.
    Shown,
    /// It comes when it comes, and keeps nothing back.
    Late,
}

pub(crate) enum Speech {
    Text(String),
    Close(Option<u16>),
}

/// A word as it was understood.
struct Said {
    word: usize,
    start: u64,
    end: u64,
    speaker: u32,
}

/// One connection's session.
pub(crate) struct Session {
    habits: Service,
    sabotage: Option<Sabotage>,
    chance: Chance,
    /// Bytes of audio so far.
    received: u64,
    /// Where the piece of the track that is being heard began, on the connection and on the track.
    base: (u64, u64),
    /// Behind the last byte, on the track.
    upto: Option<u64>,
    next: usize,
    segment: Vec<Said>,
    people: Vec<u32>,
    interim_at: u64,
    quiet_since: u64,
    says: Vec<Say>,
    closed: bool,
    held_back: Option<Said>,
    /// Pieces of the track that came.
    pub(crate) pieces: Vec<(u64, u64)>,
}

impl Session {
    pub(crate) fn new(habits: Service, sabotage: Option<Sabotage>, chance: Chance) -> Self {
        Self {
            habits,
            sabotage,
            chance,
            received: 0,
            base: (0, 0),
            upto: None,
            next: 0,
            segment: Vec::new(),
            people: Vec::new(),
            interim_at: 0,
            quiet_since: 0,
            says: Vec::new(),
            closed: false,
            held_back: None,
            pieces: Vec::new(),
        }
    }

    /// Behind the last byte that came, on the track.
    pub(crate) const fn upto(&self) -> Option<u64> {
        self.upto
    }

    /// What there is to say.
    pub(crate) fn says(&mut self) -> std::vec::Drain<'_, Say> {
        self.says.drain(..)
    }

    /// So many bytes that begin here on the track.
    pub(crate) fn audio(&mut self, truth: &Truth, at: u64, bytes: u64) {
        if self.closed {
            return;
        }
        if self.upto != Some(at) {
            self.base = (self.received, at);
            self.next = truth.words.partition_point(|word| word.start * MS < at);
            self.pieces.push((at, at));
        }
        self.received += bytes;
        let upto = at + bytes;
        self.upto = Some(upto);
        if let Some(piece) = self.pieces.last_mut() {
            piece.1 = upto;
        }
        self.recognise(truth, self.habits.lookahead_ms);
        self.cut(truth);
    }

    /// Everything that came is decoded.
    pub(crate) fn finalize(&mut self, truth: &Truth) {
        if self.closed {
            return;
        }
        self.recognise(truth, 0);
        let words = std::mem::take(&mut self.segment);
        self.tell_final(truth, &words, self.habits.says_asked, false);
    }

    /// The same, and that was all.
    pub(crate) fn close(&mut self, truth: &Truth) {
        if self.closed {
            return;
        }
        self.recognise(truth, 0);
        let words = std::mem::take(&mut self.segment);
        if self.habits.ends_with_text {
            self.tell_final(truth, &words, false, true);
        } else {
            if !words.is_empty() {
                self.tell_final(truth, &words, false, false);
            }
            self.tell_final(truth, &[], false, true);
        }
        self.closed = true;
        self.say(Speech::Close(Some(1000)), self.habits.decoding + 10 * MILLI, Order::Final);
    }

    pub(crate) fn keepalive(&mut self) {
        let text = match self.habits.refuses_keepalive {
            true => r#"{"type":"error","message":"unknown message type"}"#,
            false => r#"{"type":"pong"}"#,
        };
        self.say(Speech::Text(text.to_owned()), MILLI, Order::Shown);
    }

    /// Words whose audio is here, and so much more.
    fn recognise(&mut self, truth: &Truth, lookahead_ms: u64) {
        let upto = self.upto.unwrap_or(0);
        while let Some(word) = truth.words.get(self.next).filter(|word| (word.end + lookahead_ms) * MS <= upto) {
            let place = |ms: u64| (self.base.0 + (ms * MS).saturating_sub(self.base.1)) / MS;
            let (start, end) = (place(word.start), place(word.end));
            let wrong = |chance: &mut Chance, ms: u64| {
                (ms + chance.of(0..2 * self.habits.jitter_ms + 1)).saturating_sub(self.habits.jitter_ms).min(self.received / MS)
            };
            let start = wrong(&mut self.chance, start);
            let end = wrong(&mut self.chance, end).max(start);
            let speaker = self.number(word);
            self.segment.push(Said { word: self.next, start, end, speaker });
            self.next += 1;
        }
    }

    fn number(&mut self, word: &Word) -> u32 {
        if self.sabotage == Some(Sabotage::MixSpeakers) && self.chance.percent(30) {
            return 0;
        }
        let known = self.people.iter().position(|person| *person == word.person).unwrap_or_else(|| {
            self.people.push(word.person);
            self.people.len() - 1
        });
        u32::try_from(known).expect("a few")
    }

    /// Cuts finals and tells interims.
    fn cut(&mut self, truth: &Truth) {
        while self.segment.len() >= self.habits.most_words {
            let rest = self.segment.split_off(self.habits.most_words);
            let words = std::mem::replace(&mut self.segment, rest);
            self.tell_final(truth, &words, false, false);
        }
        let upto = self.upto.unwrap_or(0);
        let speaks = truth.words.get(self.next).is_some_and(|word| word.start * MS < upto);
        if let Some(last) = self.segment.iter().map(|said| truth.words[said.word].end).max() {
            self.quiet_since = self.received;
            if !speaks && last + self.habits.silence_ms <= upto / MS {
                let words = std::mem::take(&mut self.segment);
                return self.tell_final(truth, &words, false, false);
            }
        }
        if speaks {
            self.quiet_since = self.received;
        } else if self.habits.empty_finals && self.received >= self.quiet_since + EMPTY_MS * MS {
            self.quiet_since = self.received;
            self.tell_final(truth, &[], false, false);
        }
        if self.received >= self.interim_at + INTERIM_MS * MS {
            self.interim_at = self.received;
            let half = truth.words.get(self.next).filter(|word| self.habits.half_words && (word.start + 100) * MS < upto);
            let text = self.text(truth, half);
            if !text.is_empty() {
                self.say(Speech::Text(interim(&text)), self.habits.decoding, Order::Shown);
            }
        }
    }

    fn text(&self, truth: &Truth, half: Option<&Word>) -> String {
        let mut text = String::with_capacity(64);
        for said in &self.segment {
            text.push_str(truth.words[said.word].text);
            text.push(' ');
        }
        if let Some(word) = half {
            text.push_str(&word.text[..word.text.len().div_ceil(2)]);
        }
        text.trim_end().to_owned()
    }

    fn tell_final(&mut self, truth: &Truth, words: &[Said], asked: bool, last: bool) {
        let is_blank = words.is_empty();
        if is_worth_missing(truth, words) && self.chance.percent(self.habits.missing) {
            let text = words.iter().map(|said| truth.words[said.word].text).collect::<Vec<_>>().join(" ");
            self.say(Speech::Text(interim(&text)), self.habits.decoding, Order::Shown);
            if !last {
                return;
            }
        }
        let mut message = Message { asked, last, ..Message::default() };
        for (at, said) in words.iter().enumerate() {
            if self.sabotage == Some(Sabotage::DropWord) && at == 1 {
                continue;
            }
            message.add(&truth.words[said.word], said, self.sabotage);
        }
        if self.sabotage == Some(Sabotage::RepeatWord)
            && let Some(said) = self.held_back.take().filter(|_| !is_blank)
        {
            message.add(&truth.words[said.word], &said, None);
        }
        self.held_back = words.last().map(|said| Said { ..*said });
        let text = message.finish();
        let late = if !last && self.chance.percent(self.habits.late) { self.chance.of(300..6_000) * MILLI } else { 0 };
        let after = self.habits.decoding + late;
        if !is_blank && self.chance.percent(self.habits.doubled) {
            let again = after + self.chance.of(0..1_500) * MILLI;
            self.say(Speech::Text(text.clone()), again, Order::Final);
        }
        if !is_blank && self.chance.percent(self.habits.stale) {
            let text = words.iter().map(|said| truth.words[said.word].text).collect::<Vec<_>>().join(" ");
            let behind = after + self.chance.of(1..900) * MILLI;
            self.say(Speech::Text(interim(&text)), behind, Order::Late);
        }
        self.say(Speech::Text(text), after, Order::Final);
    }

    fn say(&mut self, what: Speech, after: u64, order: Order) {
        self.says.push(Say { after, what, order });
    }
}

/// Whether the bridge promises to notice that this final never comes: it was shown, and it is more than a noise.
fn is_worth_missing(truth: &Truth, words: &[Said]) -> bool {
    let spoken = |said: &Said| truth.words[said.word].end - truth.words[said.word].start;
    words.len() >= LEAST_MISSED_WORDS && words.iter().map(spoken).sum::<u64>() >= LEAST_MISSED_MS
}

fn interim(text: &str) -> String {
    format!(
        r#"{{"type":"transcription","status":"success","session_id":"s","transcript":"{text}","transcription":"{text}","is_final":false,"is_last":false}}"#
    )
}

/// A final on its way to be one.
#[derive(Default)]
struct Message {
    text: String,
    words: String,
    asked: bool,
    last: bool,
}

impl Message {
    fn add(&mut self, word: &Word, said: &Said, sabotage: Option<Sabotage>) {
        use std::fmt::Write as _;
        let late = if sabotage == Some(Sabotage::LateTimes) { SABOTAGED_MS } else { 0 };
        let seconds = |ms: u64| format!("{}.{:03}", (ms + late) / 1000, (ms + late) % 1000);
        let (start, end, speaker) = (seconds(said.start), seconds(said.end), said.speaker);
        let comma = if self.words.is_empty() { "" } else { "," };
        self.text.push(' ');
        self.text.push_str(word.text);
        write!(
            self.words,
            r#"{comma}{{"word":"{}","start":{start},"end":{end},"confidence":0.9,"speaker":{speaker},"speaker_confidence":0.8}}"#,
            word.text
        )
        .expect("a string takes it");
    }

    fn finish(&self) -> String {
        let Self { text, words, asked, last } = self;
        format!(
            r#"{{"type":"transcription","status":"success","session_id":"s","transcript":"{text}","transcription":"{text}","is_final":true,"is_last":{last},"from_finalize":{asked},"language":"en","languages":["en"],"words":[{words}]}}"#
        )
    }
}
