//! Seeded faults: whatever breaks when, every word is told once, in order, where it was said.

use proptest::prelude::*;

use super::*;

/// Word `n` is spoken from here on, for [`WORD_MS`].
const EVERY_MS: u64 = 400;
const WORD_MS: u64 = 300;
const WORD: usize = 300;
/// A connection is replaced before it is so old.
const LIMIT: Duration = Duration::from_secs(8);
/// The service decodes this much behind the audio it has.
const LAG_MS: usize = 900;

/// Two people take turns of so many words.
const TURN: u64 = 5;

/// A service that really hears: the audio itself says which millisecond it is.
#[derive(Default)]
struct Service {
    /// The call's milliseconds in the order in which they came.
    heard: Vec<u64>,
    /// How many of them it has told of.
    told: usize,
    /// The number of the first person; the second one has the other of 0 and 1.
    first_speaker: u64,
}

impl Service {
    fn take(&mut self, audio: &[u8]) {
        let (millis, rest) = audio.as_chunks::<8>();
        assert!(rest.is_empty(), "cut within a millisecond");
        for ms in millis {
            let ms = u64::from_le_bytes(*ms);
            assert!(self.heard.last().is_none_or(|last| *last < ms), "audio goes forward only");
            self.heard.push(ms);
        }
    }

    /// Whole words that were not told, as (number, first millisecond on this connection), up to this much before the end.
    fn words(&self, lag: usize) -> Vec<(u64, usize)> {
        let until = self.heard.len().saturating_sub(lag);
        let is_whole = |at: &usize| {
            let (from, to) = (self.heard[*at], self.heard.get(at + WORD - 1));
            from.is_multiple_of(EVERY_MS) && to == Some(&(from + WORD_MS - 1))
        };
        (self.told..until).filter(is_whole).map(|at| (self.heard[at] / EVERY_MS, at)).collect()
    }

    /// A final of at least `least` words, or whatever there is at the end.
    fn speak(&mut self, least: usize, lag: usize) -> Option<String> {
        let words = self.words(lag);
        if words.len() < least.max(1) {
            return None;
        }
        let (_, last) = words[words.len() - 1];
        self.told = last + 1;
        #[expect(clippy::cast_precision_loss, reason = "minutes")]
        let seconds = |at: usize| at as f64 / 1_000.0;
        let item = |(n, at): &(u64, usize)| {
            let (start, end, speaker) = (seconds(*at), seconds(at + WORD), (person(*n) + self.first_speaker) % 2);
            format!(r#"{{"word":"w{n}","start":{start},"end":{end},"speaker":{speaker}}}"#)
        };
        let list: Vec<String> = words.iter().map(item).collect();
        let text: Vec<String> = words.iter().map(|(n, _)| format!("w{n}")).collect();
        Some(format!(r#"{{"transcript":"{}","is_final":true,"words":[{}]}}"#, text.join(" "), list.join(",")))
    }
}

const fn person(word: u64) -> u64 {
    word / TURN % 2
}

#[derive(Debug, Clone)]
enum Fault {
    Drop,
    Error,
    Ended,
    /// The next dials fail so many times.
    Away(u8),
    /// Stored finals are acknowledged only now and then.
    SlowStore,
    None,
}

fn faults() -> impl Strategy<Value = Vec<(Fault, u64, usize)>> {
    let fault = prop_oneof![
        3 => Just(Fault::Drop),
        1 => Just(Fault::Error),
        1 => Just(Fault::Ended),
        1 => (1..3_u8).prop_map(Fault::Away),
        1 => Just(Fault::SlowStore),
        2 => Just(Fault::None),
    ];
    // What happens, how many chunks of 60 ms later, and how many words a final has then.
    prop::collection::vec((fault, 1..120_u64, 0..8_usize), 1..12)
}

/// One 60 ms step of the world.
fn step(rig: &mut Rig, service: &mut Service, away: &mut u8, dials: &mut usize) {
    rig.wait(60);
    let dialled = rig.said("dial").len();
    if dialled > *dials {
        *dials = dialled;
        if *away > 0 {
            *away -= 1;
            rig.refuse(Refusal::Unreachable { reason: Reason::default() });
        } else {
            *service = Service { first_speaker: *dials as u64 % 2, ..Service::default() };
            rig.connect();
        }
    }
    rotate(rig);
    for (_, audio) in std::mem::take(&mut rig.audio) {
        if audio.is_empty() {
            *service = Service { first_speaker: 1 - service.first_speaker, ..Service::default() };
        } else {
            service.take(&audio);
        }
    }
}

/// The next connection opens within a step of being asked for, where it was asked for.
fn rotate(rig: &mut Rig) {
    let is_of_it = |word: &&str| ["open next", "swap", "dial", "drop next"].contains(word);
    match rig.said("").into_iter().rfind(is_of_it) {
        Some("open next") => rig.link.handle_next_ready(rig.now),
        // It was still being opened when the other one was lost.
        Some("swap") if !rig.link.is_connected() => rig.link.handle_connected(rig.now),
        _ => return,
    }
    rig.drain();
}

fn ms_chunk(rig: &mut Rig) {
    let from = rig.offset / 8;
    rig.push((from..from + 60).flat_map(u64::to_le_bytes).collect());
}

proptest! {
    #[test]
    fn no_word_is_lost_or_doubled_whatever_breaks(faults in faults()) {
        let mut rig = Rig::with(LinkSettings { session_limit: LIMIT, ..LinkSettings::default() });
        let (mut service, mut away, mut dials, mut slow_store) = (Service::default(), 0, 0, false);
        for (fault, chunks, least) in faults {
            for _ in 0..chunks {
                step(&mut rig, &mut service, &mut away, &mut dials);
                ms_chunk(&mut rig);
                if let Some(text) = (rig.link.state() == "live").then(|| service.speak(least, LAG_MS)).flatten() {
                    rig.hear(&text);
                    if let Some(heard) = rig.heard.last().filter(|_| !slow_store) {
                        rig.link.handle_covered(heard.covers, rig.now);
                    }
                }
            }
            match fault {
                Fault::Drop => rig.lose(Lost::Broken),
                Fault::Error => rig.hear(r#"{"type":"error","message":"decode failed"}"#),
                Fault::Ended => rig.hear(r#"{"transcript":"","is_final":true,"is_last":true}"#),
                Fault::Away(times) => {
                    away = times;
                    rig.lose(closed(1011));
                }
                Fault::SlowStore => slow_store = !slow_store,
                Fault::None => {}
            }
        }
        away = 0;
        for _ in 0..1_000 {
            if rig.link.state() == "live" && rig.link.poll_timeout().is_some() {
                break;
            }
            step(&mut rig, &mut service, &mut away, &mut dials);
        }
        rig.hang_up();
        for _ in 0..2_000 {
            step(&mut rig, &mut service, &mut away, &mut dials);
            if rig.log.iter().any(|line| line.contains("close_stream")) {
                break;
            }
            if let Some(text) = (rig.link.is_connected()).then(|| service.speak(1, LAG_MS)).flatten() {
                rig.hear(&text);
            }
        }
        if let Some(text) = service.speak(0, 0) {
            rig.hear(&text);
        }
        rig.last();
        let said: Vec<&str> = rig.heard.iter().flat_map(|heard| heard.words.iter().map(|word| word.text.expose())).collect();
        let spoken: Vec<String> = (0..(rig.offset / 8 + EVERY_MS - WORD_MS) / EVERY_MS).map(|n| format!("w{n}")).collect();
        prop_assert_eq!(&said, &spoken, "{:#?}", rig.log);
        let mut voices = [None; 2];
        for heard in &rig.heard {
            for word in &heard.words {
                let number: u64 = word.text.expose()[1..].parse().unwrap();
                let voice = &mut voices[usize::try_from(person(number)).unwrap()];
                prop_assert_eq!(*voice.get_or_insert(word.speaker), word.speaker, "w{}", number);
            }
            let texts: Vec<&str> = heard.words.iter().map(|word| word.text.expose()).collect();
            prop_assert_eq!(heard.text.expose(), texts.join(" "));
            for word in &heard.words {
                let number: u64 = word.text.expose()[1..].parse().unwrap();
                prop_assert!(word.start_ms.abs_diff(number * EVERY_MS) <= 1 && word.end_ms.abs_diff(number * EVERY_MS + WORD_MS) <= 1);
            }
        }
        prop_assert!(voices == [None; 2] || voices[0] != voices[1]);
        prop_assert!(rig.said("gap").is_empty() && rig.totals.is_some_and(|totals| totals.complete));
    }
}
