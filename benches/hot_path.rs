//! What a frame costs from socket bytes to upstream bytes, what a final costs from JSON to a signed request, and their parts.
//! How to run it and what it said: docs/performance.md.

use std::{env, hint::black_box, rc::Rc, time::Duration};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use pulse_bridge::{
    clock,
    dialect::{Buffer, Dialect},
    media::{Chunk, Offset},
};

#[path = "hot_path/call.rs"]
mod call;
#[path = "hot_path/phone.rs"]
mod phone;
#[path = "hot_path/words.rs"]
mod words;

use call::{Call, Minute, Phone, Service};
use words::{CARD, PLAIN, Session, Station};

/// Set: replay so many minutes and do nothing else, for a profiler that counts.
const MINUTES: &str = "HOT_PATH_MINUTES";
/// Finals in a call of ten minutes.
const FINALS_A_CALL: u64 = 200;

fn main() {
    if let Ok(minutes) = env::var(MINUTES) {
        return replay(minutes.parse().expect("a count of minutes"));
    }
    let mut criterion = Criterion::default().configure_from_args();
    frame(&mut criterion.benchmark_group("frame"));
    chunk(&mut criterion.benchmark_group("chunk"));
    finals(&mut criterion, "final", &PLAIN);
    finals(&mut criterion, "final_with_card", &CARD);
    criterion.final_summary();
}

/// Replays a minute so many times, each as a new call.
fn replay(minutes: u64) {
    let minute = Minute::new();
    for _ in 0..minutes {
        let mut call = Call::new(&minute);
        (0..phone::FRAMES).for_each(|_| call.frame());
        assert!(call.written() > (phone::FRAMES * phone::FRAME_BYTES) as u64, "all audio has come out");
    }
}

/// Says so many finals in calls of ten minutes; gives the time spent at each station.
fn speak(mut finals: u64, texts: &[&str]) -> [Duration; Station::ALL.len()] {
    let mut spent = [Duration::ZERO; Station::ALL.len()];
    while finals > 0 {
        let in_call = finals.min(FINALS_A_CALL);
        let mut session = Session::new();
        for text in texts.iter().cycle().take(usize::try_from(in_call).unwrap_or(usize::MAX)) {
            session.final_of(text);
        }
        finals -= in_call;
        spent.iter_mut().zip(session.spent).for_each(|(sum, more)| *sum += more);
    }
    spent
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Times `work` on each frame of as many minutes as it takes, each on a new `subject`.
fn each_frame<S>(group: &mut Group<'_>, name: &str, subject: impl Fn() -> S, mut work: impl FnMut(&mut S, usize)) {
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|frames| {
            let (mut left, mut took) = (frames, Duration::ZERO);
            while left > 0 {
                let count = usize::try_from(left).map_or(phone::FRAMES, |left| left.min(phone::FRAMES));
                let mut subject = subject();
                let began = clock::now();
                (0..count).for_each(|frame| work(&mut subject, frame));
                took += clock::now().saturating_duration_since(began);
                left -= count as u64;
            }
            took
        });
    });
}

/// One 20 ms frame, and its parts.
fn frame(group: &mut Group<'_>) {
    const BASE64: GeneralPurpose =
        GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));
    let minute = Minute::new();
    let texts = |extra: &str| -> Vec<String> { (0..phone::FRAMES).map(|frame| phone::media(frame, extra)).collect() };
    let (ordinary, unusual) = (texts(""), texts(r#""v":1,"#));
    each_frame(group, "socket_to_socket", || Call::new(&minute), |call, _| call.frame());
    each_frame(group, "read", || Phone::new(&minute), |phone, _| drop(black_box(phone.read())));
    for (name, texts) in [("decode_scan", &ordinary), ("decode_parse", &unusual)] {
        each_frame(group, name, Buffer::new, |buffer, frame| {
            black_box(Dialect::Twilio.decode(&texts[frame], buffer)).expect("a good message");
        });
    }
    let payload = ordinary[0].split('"').find(|text| text.len() > 200).expect("a payload");
    each_frame(
        group,
        "base64",
        || [0_u8; 1_024],
        |room, _| {
            black_box(BASE64.decode_slice(black_box(payload), room)).expect("good base64");
        },
    );
    let start = clock::now();
    each_frame(
        group,
        "stream",
        || call::started(start),
        |stream, frame| {
            let now = start + Duration::from_millis(20 * frame as u64);
            stream.handle_text(&ordinary[frame], now);
            while let Some(output) = stream.poll_output() {
                black_box(output);
            }
            black_box(stream.poll_timeout());
        },
    );
    each_frame(
        group,
        "clock",
        || (),
        |(), _| {
            black_box(clock::now());
        },
    );
}

/// What is done once for three frames.
fn chunk(group: &mut Group<'_>) {
    let start = clock::now();
    let chunk = |number: usize| {
        let (at_ms, received) = (60 * number as u64, start + Duration::from_millis(60 * number as u64));
        Chunk { offset: Offset(at_ms * 8), at_ms, audio: Bytes::from(phone::speech(3 * number, 480).to_vec()), received }
    };
    let chunks: Rc<[Chunk]> = (0..phone::FRAMES).map(chunk).collect();
    each_frame(
        group,
        "link",
        || call::connected(start),
        |link, number| {
            let chunk = chunks[number].clone();
            let now = chunk.received;
            call::pass_on(link, chunk, now, |audio| drop(black_box(audio)));
        },
    );
    each_frame(group, "write", Service::new, |service, number| service.write(chunks[number].audio.clone()));
}

/// One final, and its stations.
fn finals(criterion: &mut Criterion, name: &str, texts: &[&str]) {
    let mut group = criterion.benchmark_group(name);
    group.bench_function("json_to_signed_request", |bencher| {
        bencher.iter_custom(|finals| speak(finals, texts).iter().sum());
    });
    for (name, station) in Station::ALL {
        group.bench_function(name, |bencher| bencher.iter_custom(|finals| speak(finals, texts)[station as usize]));
    }
}
