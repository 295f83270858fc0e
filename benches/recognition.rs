//! What the built-in engine makes of telephone sound, in tables: words wrong, times of words, cost, memory.
//!
//!     cargo bench --bench recognition -- fixtures               # the calls of fixtures/: texts, times of words, cost
//!     cargo bench --bench recognition -- fixtures words         # and each word's error in time
//!     cargo bench --bench recognition -- prompts FOLDER         # words wrong; fixtures/make/prompts.py makes the folder
//!     cargo bench --bench recognition -- noise                  # what is heard where nobody speaks
//!     cargo bench --bench recognition -- FILE.ulaw ...          # the words of these files, with their times
//!
//! `--model accurate` takes the other model, `--data DIR` an engine elsewhere than in ./data, `--numbers` writes numbers in figures.

use std::path::Path;

use pulse_bridge::engine::{Word, files::Model};

use crate::chain::Chain;

#[path = "../tests/recognition/calls.rs"]
mod calls;
#[path = "../tests/recognition/chain.rs"]
mod chain;
#[path = "../tests/recognition/noise.rs"]
mod noise;
#[path = "../tests/recognition/numerals.rs"]
mod numerals;
#[path = "../tests/recognition/plain.rs"]
mod plain;
#[path = "../tests/recognition/prompts.rs"]
mod prompts;
#[path = "../tests/recognition/score.rs"]
mod score;
#[path = "../tests/recognition/usage.rs"]
mod usage;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (mut model, mut data, mut numbers, mut words) = (Model::Fast, chain::data(), false, Vec::new());
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value"));
        match argument.as_str() {
            "--model" => model = Model::named(&value()).expect("fast or accurate"),
            "--data" => data = value().into(),
            "--numbers" => numbers = true,
            _ => words.push(argument),
        }
    }
    let before = usage::memory_mb().0;
    let Some(mut chain) = Chain::load(&data, model) else { std::process::exit(1) };
    println!(
        "model {}: loaded in {:.1} s of processor time, {:.0} MB",
        model.as_str(),
        usage::cpu_s(),
        usage::memory_mb().0 - before
    );
    if numbers {
        chain = chain.with_numbers();
    }
    match words.first().map(String::as_str) {
        Some("fixtures") => fixtures(&chain, words.iter().any(|word| word == "words")),
        Some("noise") => noise(&chain),
        Some("prompts") => prompts(&chain, words.get(1).expect("prompts FOLDER, as fixtures/make/prompts.py makes it")),
        Some(_) => words.iter().for_each(|file| listen(&chain, file.as_ref())),
        None => println!("say what: fixtures, noise, prompts FOLDER, or files of mu-law"),
    }
    let (now, most) = usage::memory_mb();
    println!("memory: {now:.0} MB, at most {most:.0} MB");
}

fn fixtures(chain: &Chain, with_words: bool) {
    let before = usage::cpu_s();
    let all = calls::hear_all(chain);
    let spent = usage::cpu_s() - before;
    print!("{}", calls::table(&all, with_words));
    let audio: f64 = all.iter().map(|heard| heard.audio_s).sum();
    println!("cost: {spent:.2} s of processor time for {audio:.0} s of one track: {:.4} s a second", spent / audio);
}

fn noise(chain: &Chain) {
    let word = |word: &Word| format!("{} ({:.2}, {} to {} ms)", word.text, word.confidence, word.start_ms, word.end_ms);
    for (name, audio) in noise::all() {
        let session = chain.hear(&audio);
        let words: Vec<String> = session.words.iter().map(word).collect();
        let (seconds, jobs) = (usage::seconds(audio.len()), session.jobs);
        println!("{name:24} {seconds:>3.0} s {:>3} words {jobs:>3} jobs  {}", words.len(), words.join(" "));
    }
}

fn prompts(chain: &Chain, folder: &str) {
    let before = usage::cpu_s();
    let all = prompts::hear_all(chain, folder.as_ref());
    print!("{}", prompts::table(&all));
    println!("cost: {:.2} s of processor time", usage::cpu_s() - before);
}

fn listen(chain: &Chain, file: &Path) {
    let audio = std::fs::read(file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    println!("\n{}", file.display());
    for word in chain.hear(&audio).words {
        println!("  {:>7} {:>7} {:.2} {}", word.start_ms, word.end_ms, word.confidence, word.text);
    }
}
