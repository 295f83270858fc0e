//! A sequence of messages, good ones and others, through the stream behind the decoder, in virtual time.
//!
//! Promises checked after each input: the start comes before what it starts; each track's bytes lie side by side and its times never go
//! back; at most what came in and the fill for each frame comes out; what is kept stays small; and in the end exactly one end, last.

use std::time::{Duration, Instant};

use pulse_bridge::{
    dialect::Dialect,
    media::{Track, ms_to_bytes},
    stream::{Broken, EARLY_BYTES, EARLY_FRAMES, MAX_MESSAGE_BYTES, Output, Stream, StreamLimits, order::REORDER_FRAMES},
};

use crate::{chance::Chance, check::Checked, generate, memory, mutate, tree::Tree};

/// Most silence put in for one gap, in milliseconds (the stream's own bound).
const FILL_CAP_MS: u64 = 5_000;
/// The most that a stream may keep between two messages: for each of two tracks the longest frames that wait for an earlier one, the
/// buffer, what came before the start, and the room of the queues, which grow to what one message brings and stay.
const KEPT_BYTES: usize = 2 * REORDER_FRAMES * MAX_MESSAGE_BYTES + MAX_MESSAGE_BYTES + 3 * EARLY_BYTES + 256 * 1024;

/// What has come out of a stream.
#[derive(Default)]
struct Seen {
    started: bool,
    ended: u32,
    out_bytes: u64,
    /// By track: where the next byte lies, and the last time.
    tracks: [(u64, u64); Track::ALL.len()],
}

/// The sequence of this number.
pub(crate) fn check(number: u64) -> Result<Checked, String> {
    let mut chance = Chance::new(number ^ 0x5EED);
    let begun = memory::held();
    let mut now = pulse_bridge::clock::now();
    let mut stream = Stream::new(Dialect::Twilio, StreamLimits::default(), now);
    let mut seen = Seen::default();
    let mut talk = Talk { stamps: [0; 2], wild: chance.percent(50) };
    let (mut in_bytes, mut frames, mut checked) = (0, 0, Checked::default());
    for _ in 0..chance.of(10..100) {
        now += Duration::from_micros(chance.next() % 40_000);
        if chance.percent(2) {
            now += Duration::from_millis(chance.next() % 30_000);
        }
        while let Some(at) = stream.poll_timeout().filter(|at| *at <= now) {
            stream.handle_timeout(at.max(now));
            seen.drain(&mut stream)?;
        }
        let text = talk.next(&mut chance);
        in_bytes += text.len() as u64;
        frames += 1;
        act(&mut stream, &text, now, &mut chance);
        seen.drain(&mut stream)?;
        checked.messages += 1;
        drop(text);
        let kept = usize::try_from(memory::held() - begun).unwrap_or(0);
        checked.kept_bytes = checked.kept_bytes.max(kept);
        let most = in_bytes + (frames + EARLY_FRAMES as u64) * ms_to_bytes(FILL_CAP_MS);
        if kept > KEPT_BYTES || seen.out_bytes > most {
            return Err(format!("{kept} bytes are kept, {} came out of {in_bytes}", seen.out_bytes));
        }
    }
    finish(&mut stream, &mut seen, now)?;
    Ok(checked)
}

/// Hands a message in, or now and then something else.
fn act(stream: &mut Stream, text: &str, now: Instant, chance: &mut Chance) {
    match chance.of(0..400) {
        0 => stream.handle_closed(now),
        1 => stream.handle_broken([Broken::TooLong, Broken::NotText, Broken::Protocol][chance.of(0..3)], now),
        2 => stream.handle_shutdown(now),
        3..10 => stream.handle_binary(now),
        10..20 => stream.handle_sign_of_life(now),
        _ => stream.handle_text(text, now),
    }
}

/// Ends it if it has not ended, and goes on talking to it.
fn finish(stream: &mut Stream, seen: &mut Seen, now: Instant) -> Result<(), String> {
    stream.handle_closed(now);
    seen.drain(stream)?;
    stream.handle_text(r#"{"event":"media","media":{"payload":"AAAA"}}"#, now);
    stream.handle_shutdown(now);
    stream.handle_timeout(now + Duration::from_hours(24));
    seen.drain(stream)?;
    if seen.ended == 1 && stream.poll_timeout().is_none() { Ok(()) } else { Err(format!("it ended {} times", seen.ended)) }
}

impl Seen {
    /// Takes every output and checks its place.
    fn drain(&mut self, stream: &mut Stream) -> Result<(), String> {
        while let Some(output) = stream.poll_output() {
            if self.ended > 0 {
                return Err(format!("{output:?} behind the end"));
            }
            match output {
                Output::Start(_) if self.started => return Err("a second start".to_owned()),
                Output::Start(_) => self.started = true,
                Output::Audio { .. } | Output::Digit { .. } | Output::Lost { .. } if !self.started => {
                    return Err("something before the start".to_owned());
                }
                Output::Audio { track, chunk } => {
                    let (offset, at_ms) = &mut self.tracks[track as usize];
                    if chunk.offset.0 != *offset || chunk.at_ms < *at_ms || chunk.audio.is_empty() {
                        return Err(format!("{track}: {} at {} ms behind {offset} at {at_ms} ms", chunk.offset.0, chunk.at_ms));
                    }
                    (*offset, *at_ms) = (chunk.end().0, chunk.at_ms);
                    self.out_bytes += chunk.audio.len() as u64;
                }
                Output::Digit { .. }
                | Output::Lost { .. }
                | Output::Paused { .. }
                | Output::Resumed { .. }
                | Output::Ping
                | Output::Close(_) => {}
                Output::Ended(_) => self.ended += 1,
            }
        }
        Ok(())
    }
}

/// A call's own course, which what is wrong with it interrupts.
struct Talk {
    stamps: [u64; 2],
    /// Much is wrong with it.
    wild: bool,
}

impl Talk {
    fn next(&mut self, chance: &mut Chance) -> String {
        let odd = if self.wild { 40 } else { 5 };
        if chance.percent(odd) {
            return generate::message(chance.next());
        }
        let mut tree = self.in_course(chance);
        if chance.percent(odd) {
            mutate::tree(&mut tree, chance);
        }
        generate::written(&tree, chance)
    }

    fn in_course(&mut self, chance: &mut Chance) -> Tree {
        match chance.of(0..60) {
            0 => generate::connected(),
            1..5 => generate::start(chance, Some("MZ01")),
            5 => generate::of_any_kind(chance, Some("MZ01")),
            6 => generate::digit(chance, Some("MZ01")),
            _ => {
                let side = chance.of(0..2);
                let stamp = &mut self.stamps[side];
                let at = *stamp;
                *stamp = match chance.of(0..60) {
                    0 => chance.next() % 4_000_000,
                    1 => at.wrapping_add(chance.next() % 20_000),
                    2 => at.saturating_sub(chance.next() % 2_000),
                    3 => u64::MAX - chance.next() % 100,
                    _ => at.wrapping_add(20),
                };
                let length = if chance.percent(97) { 160 } else { chance.of(0..47_000) };
                generate::media(chance, Some("MZ01"), ["inbound", "outbound"][side], at, length)
            }
        }
    }
}
