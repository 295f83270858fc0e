//! Seeded faults: whatever breaks when, every word is told once, in order, where it was said.

use proptest::prelude::*;

use super::*;

/// Word `n` is spoken from here on, for [`WORD_MS`].
const EVERY_MS: u64 = 400;
const WORD_MS: u64 = 300;
/// The service decodes this much behind the audio it has.
const LAG_MS: u64 = 900;

/// A service that really hears: the audio itself says which millisecond it is.
#[derive(Default)]
struct Service {
    /// The call's millisecond of the connection's first byte.
    from_ms: Option<u64>,
    heard_ms: u64,
    /// The next word to tell.
    next: u64,
}

impl Service {
    fn take(&mut self, audio: &[u8]) {
        let (first, rest) = audio.as_chunks::<8>();
        assert!(rest.is_empty(), "cut within a millisecond");
        let from = *self.from_ms.get_or_insert_with(|| u64::from_le_bytes(first[0]));
        if self.heard_ms == 0 {
            self.next = from.div_ceil(EVERY_MS);
        }
        for ms in first {
            assert_eq!(u64::from_le_bytes(*ms), from + self.heard_ms, "a hole in the audio of one connection");
            self.heard_ms += 1;
        }
    }

    /// A final of at least `least` words, or whatever there is at the end.
    fn speak(&mut self, least: u64, lag: u64) -> Option<String> {
        let from = self.from_ms?;
        let until = (from + self.heard_ms).saturating_sub(lag);
        let ready = (until + EVERY_MS - WORD_MS) / EVERY_MS;
        if ready < self.next + least.max(1) {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "minutes")]
        let seconds = |ms: u64| (ms - from) as f64 / 1_000.0;
        let word =
            |n: u64| format!(r#"{{"word":"w{n}","start":{},"end":{}}}"#, seconds(n * EVERY_MS), seconds(n * EVERY_MS + WORD_MS));
        let words: Vec<String> = (self.next..ready).map(word).collect();
        let text: Vec<String> = (self.next..ready).map(|n| format!("w{n}")).collect();
        self.next = ready;
        Some(format!(r#"{{"transcript":"{}","is_final":true,"words":[{}]}}"#, text.join(" "), words.join(",")))
    }
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

fn faults() -> impl Strategy<Value = Vec<(Fault, u64, u64)>> {
    let fault = prop_oneof![
        3 => Just(Fault::Drop),
        1 => Just(Fault::Error),
        1 => Just(Fault::Ended),
        1 => (1..3_u8).prop_map(Fault::Away),
        1 => Just(Fault::SlowStore),
        2 => Just(Fault::None),
    ];
    // What happens, how many chunks of 60 ms later, and how many words a final has then.
    prop::collection::vec((fault, 1..120_u64, 0..8_u64), 1..12)
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
            *service = Service::default();
            rig.connect();
        }
    }
    for (_, audio) in std::mem::take(&mut rig.audio) {
        service.take(&audio);
    }
}

fn ms_chunk(rig: &mut Rig) {
    let from = rig.offset / 8;
    rig.push((from..from + 60).flat_map(u64::to_le_bytes).collect());
}

proptest! {
    #[test]
    fn no_word_is_lost_or_doubled_whatever_breaks(faults in faults()) {
        let mut rig = Rig::new();
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
        }
        if let Some(text) = service.speak(0, 0) {
            rig.hear(&text);
        }
        rig.last();
        let said: Vec<&str> = rig.heard.iter().flat_map(|heard| heard.words.iter().map(|word| word.text.expose())).collect();
        let spoken: Vec<String> = (0..(rig.offset / 8 + EVERY_MS - WORD_MS) / EVERY_MS).map(|n| format!("w{n}")).collect();
        prop_assert_eq!(said, spoken);
        for heard in &rig.heard {
            let texts: Vec<&str> = heard.words.iter().map(|word| word.text.expose()).collect();
            prop_assert_eq!(heard.text.expose(), texts.join(" "));
            for word in &heard.words {
                let number: u64 = word.text.expose()[1..].parse().unwrap();
                prop_assert!(word.start_ms.abs_diff(number * EVERY_MS) <= 1 && word.end_ms.abs_diff(number * EVERY_MS + WORD_MS) <= 1);
            }
        }
        prop_assert!(rig.said("gap").is_empty() && rig.totals.is_some_and(|totals| totals.complete));
    }
}
