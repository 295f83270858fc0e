//! The fixture calls: what was heard of them, and how well the words' times fit the truth.

use std::path::Path;

use pulse_bridge::{
    engine::Word,
    fixture::{Fixture, MESSAGES},
    media::{BYTES_PER_MS, Track},
};

use crate::{
    chain::{Chain, Session},
    score, usage,
};

/// What was heard of one track.
pub(crate) struct Heard {
    /// Of which call and track.
    pub(crate) name: String,
    pub(crate) audio_s: f64,
    /// What was said, as spoken.
    pub(crate) said: String,
    pub(crate) session: Session,
    /// Errors of the words that were heard right.
    pub(crate) errors: TimeErrors,
}

/// How far words' times are from the truth, in milliseconds.
#[derive(Default)]
pub(crate) struct TimeErrors {
    /// Of each start: how much too late.
    pub(crate) starts: Vec<i64>,
    pub(crate) ends: Vec<i64>,
    /// The words, for who looks.
    pub(crate) lines: Vec<String>,
}

/// Hears every track of every fixture.
pub(crate) fn hear_all(chain: &Chain) -> Vec<Heard> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut folders: Vec<_> = std::fs::read_dir(folder).expect("fixtures").map(|entry| entry.expect("an entry").path()).collect();
    folders.retain(|path| path.join(MESSAGES).exists());
    folders.sort();
    let fixtures = folders.iter().map(|path| Fixture::load(path).expect("a fixture is whole"));
    fixtures
        .flat_map(|fixture| fixture.tracks.keys().copied().map(|track| hear(chain, &fixture, track)).collect::<Vec<_>>())
        .collect()
}

/// What was said and heard, call by call, and how far off the times are.
pub(crate) fn table(all: &[Heard], with_words: bool) -> String {
    let call = |heard: &Heard| {
        let session = &heard.session;
        let words = if with_words { heard.errors.lines.join("\n") } else { String::new() };
        format!(
            "\n{}: {:.0} s, {} finals, {} interims, {} jobs\n  said   {}\n  heard  {}\n{words}",
            heard.name,
            heard.audio_s,
            session.finals,
            session.interims,
            session.jobs,
            heard.said,
            session.text()
        )
    };
    let errors = TimeErrors::of_all(all);
    let row = |(what, errors): (&str, &Vec<i64>)| {
        let [median, most, nearly_all] = TimeErrors::spread(errors);
        format!("{what:8} {:>6} {median:>4} ms {most:>3} ms {nearly_all:>3} ms\n", errors.len())
    };
    let calls: String = all.iter().map(call).collect();
    let rows: String = [("starts", &errors.starts), ("ends", &errors.ends)].map(row).concat();
    format!("{calls}\n{:8} {:>6} {:>7} {:>6} {:>6}\n{rows}", "times", "words", "median", "p90", "p95")
}

fn hear(chain: &Chain, fixture: &Fixture, track: Track) -> Heard {
    let audio = &fixture.tracks[&track];
    let session = chain.hear(audio);
    let said = fixture.sent_words(track);
    let truth: Vec<(String, u64, u64)> =
        said.iter().map(|word| (word.text.to_lowercase(), word.from / BYTES_PER_MS, word.to / BYTES_PER_MS)).collect();
    Heard {
        name: format!("{} {track}", fixture.name),
        audio_s: usage::seconds(audio.len()),
        said: said.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" "),
        errors: errors(&truth, &session.words),
        session,
    }
}

/// Lays the words along the truth, each digit as a word of its own; the times of a group are those of its first and its last digit.
fn errors(truth: &[(String, u64, u64)], words: &[Word]) -> TimeErrors {
    let said: Vec<String> = truth.iter().map(|(text, ..)| text.clone()).collect();
    // Each with its word, and whether it begins and ends it.
    let heard: Vec<(String, usize, bool, bool)> = words
        .iter()
        .enumerate()
        .flat_map(|(number, word)| {
            let parts = spoken(&word.text);
            let last = parts.len();
            parts.into_iter().enumerate().map(move |(at, part)| (part, number, at == 0, at + 1 == last))
        })
        .collect();
    let parts: Vec<String> = heard.iter().map(|(part, ..)| part.clone()).collect();
    let mut errors = TimeErrors::default();
    for (place, part) in score::align(&said, &parts).pairs {
        let (Some(place), Some(part)) = (place, part) else { continue };
        let ((text, from, to), (found, number, begins, ends)) = (&truth[place], &heard[part]);
        if text != found {
            continue;
        }
        let word = &words[*number];
        let late =
            |found: u64, expected: u64| i64::try_from(found).unwrap_or(i64::MAX) - i64::try_from(expected).unwrap_or(i64::MAX);
        let mut line = format!("{text} {from}-{to}");
        if *begins {
            errors.starts.push(late(word.start_ms, *from));
            line = format!("{line} start {:+}", late(word.start_ms, *from));
        }
        if *ends {
            errors.ends.push(late(word.end_ms, *to));
            line = format!("{line} end {:+}", late(word.end_ms, *to));
        }
        errors.lines.push(line);
    }
    errors
}

/// A written word as it is said: digits one by one, the rest in small letters without punctuation.
fn spoken(word: &str) -> Vec<String> {
    const DIGITS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let mut parts: Vec<String> = Vec::new();
    let mut letters = String::new();
    for sign in word.to_lowercase().chars().chain([' ']) {
        if sign.is_alphabetic() || sign == '\'' {
            letters.push(sign);
            continue;
        }
        let done = std::mem::take(&mut letters);
        let done = done.trim_matches('\'');
        if !done.is_empty() {
            parts.push(done.to_owned());
        }
        if let Some(digit) = sign.to_digit(10) {
            parts.push(DIGITS[digit as usize].to_owned());
        }
    }
    parts
}

impl TimeErrors {
    /// Those of all together.
    pub(crate) fn of_all(all: &[Heard]) -> Self {
        let mut sum = Self::default();
        for heard in all {
            sum.starts.extend(&heard.errors.starts);
            sum.ends.extend(&heard.errors.ends);
        }
        sum
    }

    /// Median, 90th and 95th percentile of what is too early or too late, in milliseconds.
    pub(crate) fn spread(errors: &[i64]) -> [u64; 3] {
        let sizes: Vec<u64> = errors.iter().map(|error| error.unsigned_abs()).collect();
        [50, 90, 95].map(|hundredths| score::percentile(&sizes, hundredths))
    }
}
