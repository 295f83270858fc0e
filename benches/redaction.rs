//! What the redaction gate costs: finals of other people's phrasing (`fixtures/pii`), forty to a call, through one core.
//!
//! Beside criterion's mean for a final, the slowest of a hundred and the share that is held back are printed: `cargo bench --bench redaction`.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads clocks")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pulse_bridge::{
    media::Track,
    pii::Unredacted,
    redact::{Gate, GateSettings},
    segment::{Role, Segment, TrackKey},
};
use serde_json::Value;

const SETS: [&str; 4] = [
    include_str!("../fixtures/pii/phrases.jsonl"),
    include_str!("../fixtures/pii/unseen.jsonl"),
    include_str!("../fixtures/pii/trades.jsonl"),
    include_str!("../fixtures/pii/blind.jsonl"),
];
/// Finals of one call.
const CALL: usize = 40;
/// Between two finals of a call, in milliseconds.
const APART_MS: u64 = 3_000;

/// A final: of which track, and its text.
type Final = (Track, String);

fn finals() -> Vec<Final> {
    let items = SETS.iter().flat_map(|set| set.lines()).map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"));
    let said = |item: Value| item["segments"].as_array().cloned().unwrap_or_default();
    let spoken = items.flat_map(said).filter(|segment| segment["speaker"] != "dtmf");
    let track = |segment: &Value| if segment["speaker"] == "agent" { Track::Outbound } else { Track::Inbound };
    spoken.map(|segment| (track(&segment), segment["text"].as_str().unwrap_or_default().to_owned())).collect()
}

fn segment((track, text): &Final, at_ms: u64, now: Instant) -> Segment<Unredacted> {
    let key = TrackKey { stream: 0, track: *track };
    Segment::bare(key, Role::caller(), Unredacted::new(text.as_str()), (at_ms, at_ms + 1_000), now)
}

/// Sends all calls through; `each` gets the time of every final.
fn run(finals: &[Final], mut each: impl FnMut(Duration)) {
    for call in finals.chunks(CALL) {
        let mut gate = Gate::new(GateSettings::default(), [7; 32]);
        let begin = Instant::now();
        for (said, index) in call.iter().zip(0_u64..) {
            let at_ms = index * APART_MS;
            let now = begin + Duration::from_millis(at_ms);
            let segment = segment(said, at_ms, now);
            let since = Instant::now();
            gate.handle_final(segment, now);
            while let Some(out) = gate.poll_output() {
                black_box(out);
            }
            each(since.elapsed());
        }
        gate.handle_end(begin + Duration::from_hours(1));
    }
}

fn gate(criterion: &mut Criterion) {
    let finals = finals();
    run(&finals, |_| {});
    let mut times = Vec::new();
    run(&finals, |time| times.push(time));
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 1_000];
    let all: Duration = times.iter().sum();
    let second = usize::try_from(times.len() as u128 * 1_000_000_000 / all.as_nanos().max(1)).unwrap_or(usize::MAX);
    println!("{} finals: median {:?}, p99 {:?}, p99.9 {:?}, {second} in a second", times.len(), at(500), at(990), at(999));
    let mut group = criterion.benchmark_group("redaction");
    group.throughput(Throughput::Elements(finals.len() as u64)).sample_size(20);
    group.bench_function("finals", |bencher| bencher.iter(|| run(&finals, |_| {})));
    group.finish();
}

criterion_group!(benches, gate);
criterion_main!(benches);
