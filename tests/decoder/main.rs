//! Seeded structured inputs against the decoder of Twilio's messages, and sequences of them against the stream behind it.
//!
//! Promises checked for each input: no panic; the answer of a slow decoder written from the page (`oracle`) where that one has an
//! answer; audio never longer than the message; memory bounded. Each input is made from its number alone:
//!
//!     DECODER_INPUT=123456 cargo test --test decoder -- --nocapture one_input      shows and checks one
//!     DECODER_INPUTS=10000000 cargo test --release --test decoder -- --ignored --nocapture      ten million, and the figures

mod chance;
mod check;
mod generate;
mod memory;
mod mutate;
mod oracle;
mod sequence;
mod tree;

use std::{panic, thread};

use crate::check::{Checked, Checker};

/// Messages in CI.
const INPUTS: u64 = 100_000;
/// Sequences of messages in CI; about 50 messages each.
const SEQUENCES: u64 = 1_500;
/// Messages where the long run is given no number.
const MANY: u64 = 10_000_000;
/// How many sequences the long run does for each thousand messages.
const SEQUENCES_A_THOUSAND: u64 = 2;

#[test]
fn a_hundred_thousand_inputs_neither_panic_nor_differ_nor_grow() {
    let checked = all(INPUTS, Checker::new, Checker::check);
    checked.assert_worth_something(INPUTS);
}

#[test]
fn sequences_of_them_leave_a_stream_within_its_bounds_and_end_it_once() {
    let messages = all(SEQUENCES, || (), |(), number| sequence::check(number));
    assert!(messages.messages > SEQUENCES * 20, "{messages:?}");
}

#[test]
#[ignore = "takes minutes; the command is on top of this file"]
fn many_inputs_neither_panic_nor_differ_nor_grow() {
    let inputs = std::env::var("DECODER_INPUTS").map_or(MANY, |inputs| inputs.parse().expect("DECODER_INPUTS is a number"));
    let began = pulse_bridge::clock::now();
    let checked = all(inputs, Checker::new, Checker::check);
    let took = (pulse_bridge::clock::now() - began).as_millis().max(1);
    checked.assert_worth_something(inputs);
    let sequences = inputs / 1000 * SEQUENCES_A_THOUSAND;
    let streamed = all(sequences, || (), |(), number| sequence::check(number));
    println!(
        "inputs      {inputs} in {took} ms, {} a second on {} threads, made and checked",
        u128::from(inputs) * 1000 / took,
        threads()
    );
    println!("answers     {} understood, {} held against the slow decoder", checked.understood, checked.compared);
    println!("memory      {} bytes at most for one input, {} kept by the buffer", checked.peak_bytes, checked.kept_bytes);
    println!(
        "sequences   {sequences} of {} messages in all, {} bytes at most in one stream",
        streamed.messages, streamed.kept_bytes
    );
}

/// Shows and checks one input.
#[test]
fn one_input() {
    let Ok(number) = std::env::var("DECODER_INPUT") else { return };
    let number: u64 = number.parse().expect("DECODER_INPUT is a number");
    let text = generate::message(number);
    println!("{text:?}\n{:?}", oracle::answer(&text));
    Checker::new().check(number).unwrap_or_else(|why| panic!("{why}"));
    sequence::check(number).unwrap_or_else(|why| panic!("as the number of a sequence: {why}"));
}

/// Checks inputs `0..count` on all cores, each thread with a state of its own; panics with the number of the first that fails.
fn all<S>(count: u64, state: impl Fn() -> S + Sync, check: impl Fn(&mut S, u64) -> Result<Checked, String> + Sync) -> Checked {
    let threads = threads();
    let part = |at: u64| {
        let (mut own, mut checked) = (state(), Checked::default());
        for number in (at..count).step_by(usize::try_from(threads).expect("a few")) {
            let outcome = panic::catch_unwind(panic::AssertUnwindSafe(|| check(&mut own, number)));
            match outcome.unwrap_or_else(|_| Err("it panicked".to_owned())) {
                Ok(one) => checked.add(one),
                Err(why) => panic!("DECODER_INPUT={number}: {why}"),
            }
        }
        checked
    };
    thread::scope(|scope| {
        let parts: Vec<_> = (0..threads).map(|at| scope.spawn(move || part(at))).collect();
        let mut checked = Checked::default();
        for part in parts {
            checked.add(part.join().unwrap_or_else(|why| panic::resume_unwind(why)));
        }
        checked
    })
}

fn threads() -> u64 {
    thread::available_parallelism().map_or(1, |threads| threads.get() as u64)
}
