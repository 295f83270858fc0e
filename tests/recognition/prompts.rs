//! Recorded prompts whose text is known: which words were heard in their place.

use std::path::Path;

use crate::{
    chain::{Chain, Session},
    plain, score, usage,
};

/// Silence before a prompt and behind it, in bytes: half a second, and long enough for the end of the utterance.
const BEFORE: usize = 4_000;
const BEHIND: usize = 8_000;
/// Silence in mu-law.
const SILENCE: u8 = 0xFF;

/// A prompt, and what was heard.
pub(crate) struct Prompt {
    pub(crate) name: String,
    pub(crate) seconds: f64,
    /// Words said and words heard, as they are compared.
    pub(crate) said: Vec<String>,
    pub(crate) heard: Vec<String>,
    /// Words put in, left out or put in another's place.
    pub(crate) errors: usize,
    pub(crate) session: Session,
}

/// Hears every prompt of a folder, in the order of its list: texts.tsv as fixtures/make/prompts.py writes it.
pub(crate) fn hear_all(chain: &Chain, folder: &Path) -> Vec<Prompt> {
    let list = folder.join("texts.tsv");
    let list = std::fs::read_to_string(&list).unwrap_or_else(|why| panic!("{}: {why}", list.display()));
    let lines = list.lines().map(|line| line.split_once('\t').expect("a name, a tab, a text"));
    lines.map(|(name, text)| hear(chain, folder, name, text)).collect()
}

fn hear(chain: &Chain, folder: &Path, name: &str, text: &str) -> Prompt {
    let recorded = std::fs::read(folder.join(format!("{name}.ulaw"))).expect("each prompt has its file");
    let seconds = usage::seconds(recorded.len());
    let audio = [vec![SILENCE; BEFORE], recorded, vec![SILENCE; BEHIND]].concat();
    let session = chain.hear(&audio);
    let (said, heard) = (plain::words(text), plain::words(&session.text()));
    Prompt { name: name.to_owned(), seconds, errors: score::align(&said, &heard).errors, said, heard, session }
}

/// Errors a hundred words said, all prompts together.
pub(crate) fn word_error_rate(prompts: &[Prompt]) -> f64 {
    let errors: usize = prompts.iter().map(|prompt| prompt.errors).sum();
    let words: usize = prompts.iter().map(|prompt| prompt.said.len()).sum();
    usage::share(errors, words) * 100.0
}

/// What differs, prompt by prompt, the worst first; and the sum.
pub(crate) fn table(prompts: &[Prompt]) -> String {
    let mut wrong: Vec<&Prompt> = prompts.iter().filter(|prompt| prompt.errors > 0).collect();
    wrong.sort_by_key(|prompt| std::cmp::Reverse(prompt.errors));
    let line = |prompt: &&Prompt| {
        format!(
            "{:3} of {:3} {} ({:.1} s)\n    said  {}\n    heard {}\n",
            prompt.errors,
            prompt.said.len(),
            prompt.name,
            prompt.seconds,
            prompt.said.join(" "),
            prompt.heard.join(" ")
        )
    };
    let lines: String = wrong.iter().map(line).collect();
    let silent: Vec<&str> =
        prompts.iter().filter(|prompt| prompt.session.words.is_empty()).map(|prompt| prompt.name.as_str()).collect();
    format!(
        "{lines}{} prompts, {:.0} s, {} words: {:.2} % wrong; nothing heard in {}: {}\n",
        prompts.len(),
        prompts.iter().map(|prompt| prompt.seconds).sum::<f64>(),
        prompts.iter().map(|prompt| prompt.said.len()).sum::<usize>(),
        word_error_rate(prompts),
        silent.len(),
        silent.join(" ")
    )
}
