//! Names of people in a text, found by a small language model where no rule has a cue.
//!
//! Promises: [`NameModel::names`] is total (every text has an answer or an error, none makes it panic), gives ranges that are in
//! order, apart, on character bounds and around whole words, and keeps nothing of the text. It takes milliseconds of one core, so it
//! belongs on a thread that may block. Its memory does not grow with the text: it is read in windows. [`NameModel::load`] is the only
//! part that touches files, and reads no more of them than the limits named here.
//!
//! The model is Rampart (National Design Studio, CC BY 4.0: the attribution goes where the files go), in the folder and under the names
//! its Python wheel gives it: `config.json`, `vocab.txt`, `onnx/model_q4.onnx`. It also knows addresses and numbers; those answers are
//! not used, because it takes brands, seats and serial numbers for personal data.

mod wordpiece;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rten::{LoadError, Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value};
use serde::Deserialize;

use wordpiece::{LONGEST_WORD, Word, WordPiece};

/// Labels of the model and their list: what each column of its answer means.
const CONFIG: (&str, u64) = ("config.json", 64 * 1024);
/// The vocabulary, and the most bytes it may have.
const VOCABULARY: (&str, u64) = ("vocab.txt", 4 * 1024 * 1024);
/// The network, and the most bytes it may have: four times what Rampart has.
const NETWORK: (&str, u64) = ("onnx/model_q4.onnx", 64 * 1024 * 1024);

/// A word is a name from this probability on that it is a given name or a surname.
pub(super) const THRESHOLD: f32 = 0.5;
/// A word beside a name belongs to it from this probability on: surnames that the model doubts, next to given names that it knows.
const BESIDE: f32 = 0.1;
/// Longest text that is read, in bytes: as much as a call's hold-back keeps. Speech that long takes a thread two
/// seconds at most, the worst text seven.
pub(super) const LONGEST_TEXT: usize = 16 * 1024;
/// Pieces in a window, without the two that frame it. Rampart takes 510, but more text around a name
/// does not help it, and time grows faster than windows do.
const WINDOW: usize = 126;
/// Pieces of the window before that a window begins with, so that a name at a cut is seen with what stands around it.
const OVERLAP: usize = 32;
const _: () = assert!(LONGEST_WORD <= WINDOW && OVERLAP < WINDOW);
/// Threads that work on all texts of a model together: callers wait for each other. One does about a hundred finals a second.
const THREADS: usize = 1;

/// Why there is no model, or no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NameModelError {
    /// A file of the folder is missing or cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is larger than any that belongs here.
    #[error("{} is larger than {most} bytes: is it the file of the name model?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        most: u64,
    },
    /// `config.json` is not the label list of a token classifier.
    #[error("config.json of the name model cannot be used")]
    Config(#[source] serde_json::Error),
    /// `config.json` has no label for given names or surnames, or its labels are not numbered from 0 without a gap.
    #[error("config.json of the name model has no usable labels for names")]
    Labels,
    /// `vocab.txt` is not text, lacks the pieces `[CLS]`, `[SEP]` or `[UNK]`, or has another length than `config.json` says.
    #[error("vocab.txt of the name model does not fit its config.json")]
    Vocabulary,
    /// The network cannot be loaded.
    #[error("onnx/model_q4.onnx of the name model cannot be loaded")]
    Network(#[source] LoadError),
    /// The network failed, or does not take and give what a token classifier does.
    #[error("the name model cannot be run: {0}")]
    Run(String),
    /// The text is longer than [`LONGEST_TEXT`].
    #[error("a text of {0} bytes is too long for the name model")]
    TooLong(usize),
}

/// The model, loaded: about 20 MB, to be shared by all calls.
pub(super) struct NameModel {
    network: Model,
    /// `input_ids`, `attention_mask`, `token_type_ids`, in this order.
    inputs: [NodeId; 3],
    output: NodeId,
    pieces: WordPiece,
    labels: Vec<Label>,
    /// Pieces in a window, without the two that frame it.
    window: usize,
    threads: Arc<ThreadPool>,
}

/// What a column of the answer means to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    GivenName,
    Surname,
    Other,
}

/// The part of `config.json` that is used.
#[derive(Deserialize)]
struct Config {
    id2label: HashMap<usize, String>,
    max_position_embeddings: usize,
    vocab_size: usize,
}

/// How surely a word is part of a name.
#[derive(Debug, Clone, Copy, Default)]
struct Score {
    given: f32,
    surname: f32,
}

impl Score {
    fn name(self) -> f32 {
        self.given + self.surname
    }

    fn is_surname(self) -> bool {
        self.surname > self.given
    }
}

impl NameModel {
    /// Reads the model from its folder and runs it once, so that what loads also works.
    pub(super) fn load(folder: &Path) -> Result<Self, NameModelError> {
        let (config, vocabulary, network) = (read(folder, CONFIG)?, read(folder, VOCABULARY)?, read(folder, NETWORK)?);
        Self::from_files(&config, vocabulary, network)
    }

    /// The model from the contents of its files.
    fn from_files(config: &[u8], vocabulary: Vec<u8>, network: Vec<u8>) -> Result<Self, NameModelError> {
        let config: Config = serde_json::from_slice(config).map_err(NameModelError::Config)?;
        let labels = labels(&config.id2label).ok_or(NameModelError::Labels)?;
        let vocabulary = String::from_utf8(vocabulary).map_err(|_| NameModelError::Vocabulary)?;
        let pieces = WordPiece::new(&vocabulary).filter(|pieces| pieces.len() == config.vocab_size);
        let pieces = pieces.ok_or(NameModelError::Vocabulary)?;
        let network = ModelOptions::with_all_ops().load(network).map_err(NameModelError::Network)?;
        let node = |name| network.node_id(name).map_err(failed);
        let inputs = [node("input_ids")?, node("attention_mask")?, node("token_type_ids")?];
        let output = node("logits")?;
        let window = WINDOW.min(config.max_position_embeddings.saturating_sub(2));
        if window < LONGEST_WORD {
            return Err(NameModelError::Run(format!("it takes only {window} pieces of text at a time")));
        }
        let threads = Arc::new(ThreadPool::with_num_threads(THREADS));
        let model = Self { network, inputs, output, pieces, labels, window, threads };
        model.names("this is a test")?;
        Ok(model)
    }

    /// The names of people in a text, as byte ranges. Words of one name that only white space parts are one range.
    pub(super) fn names(&self, text: &str) -> Result<Vec<(usize, usize)>, NameModelError> {
        self.names_from(text, THRESHOLD)
    }

    /// The names that hold a word of at least this probability, from 0 to 1.
    pub(super) fn names_from(&self, text: &str, threshold: f32) -> Result<Vec<(usize, usize)>, NameModelError> {
        if text.len() > LONGEST_TEXT {
            return Err(NameModelError::TooLong(text.len()));
        }
        if !text.contains(char::is_alphabetic) {
            return Ok(Vec::new());
        }
        let words = self.pieces.words(text);
        let mut scores = vec![Score::default(); words.len()];
        for window in windows(&words, self.window) {
            let found = self.scores(&words[window.clone()])?;
            for (score, found) in scores[window].iter_mut().zip(found) {
                if found.name() > score.name() {
                    *score = found;
                }
            }
        }
        Ok(joined(text, &words, &scores, threshold))
    }

    /// Runs the network over the words of a window: a score for each.
    fn scores(&self, words: &[Word]) -> Result<Vec<Score>, NameModelError> {
        let pieces = words.iter().flat_map(|word| &word.pieces).copied();
        let ids: Vec<i32> = [self.pieces.begin].into_iter().chain(pieces).chain([self.pieces.end]).collect();
        let length = ids.len();
        let row = |values| Value::from_shape([1, length], values).map_err(failed);
        let [of_ids, of_mask, of_types] = self.inputs;
        let inputs =
            vec![(of_ids, row(ids)?.into()), (of_mask, row(vec![1; length])?.into()), (of_types, row(vec![0; length])?.into())];
        let mut options = RunOptions::default();
        options.thread_pool = Some(Arc::clone(&self.threads));
        let [answer] = self.network.run_n(inputs, [self.output], Some(options)).map_err(failed)?;
        let (shape, answer) = answer.into_shape_vec::<f32, 3>().map_err(failed)?;
        if shape != [1, length, self.labels.len()] {
            return Err(NameModelError::Run(format!("it answers in the shape {shape:?}")));
        }
        let mut rows = answer.chunks_exact(self.labels.len()).skip(1).map(|row| self.score(row));
        Ok(words.iter().map(|word| surest(rows.by_ref().take(word.pieces.len()))).collect())
    }

    /// The probabilities of the labels for names in one row of the answer.
    fn score(&self, row: &[f32]) -> Score {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut score = Score::default();
        let mut all = 0.0;
        for (value, label) in row.iter().zip(&self.labels) {
            let weight = (value - most).exp();
            all += weight;
            match label {
                Label::GivenName => score.given += weight,
                Label::Surname => score.surname += weight,
                Label::Other => {}
            }
        }
        Score { given: score.given / all, surname: score.surname / all }
    }
}

/// The score of a word: that of its surest piece.
fn surest(pieces: impl Iterator<Item = Score>) -> Score {
    pieces.fold(Score::default(), |best, piece| if piece.name() > best.name() { piece } else { best })
}

/// A file of the folder, if it is not too large.
fn read(folder: &Path, (name, most): (&str, u64)) -> Result<Vec<u8>, NameModelError> {
    let path = folder.join(name);
    let mut bytes = Vec::new();
    match File::open(&path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)) {
        Ok(_) if u64::try_from(bytes.len()).is_ok_and(|length| length <= most) => Ok(bytes),
        Ok(_) => Err(NameModelError::TooLarge { path, most }),
        Err(source) => Err(NameModelError::Read { path, source }),
    }
}

/// What each column means, or `None` if a number is missing or names are not among them.
fn labels(names: &HashMap<usize, String>) -> Option<Vec<Label>> {
    let label = |number| {
        let name = names.get(&number)?;
        Some(match name.split_once('-').map_or("", |(_, kind)| kind) {
            "GIVEN_NAME" => Label::GivenName,
            "SURNAME" => Label::Surname,
            _ => Label::Other,
        })
    };
    let labels: Vec<Label> = (0..names.len()).map(label).collect::<Option<_>>()?;
    (labels.contains(&Label::GivenName) && labels.contains(&Label::Surname)).then_some(labels)
}

/// Runs of words that have at most so many pieces each, and begin some pieces before the end of the one before.
fn windows(words: &[Word], most: usize) -> Vec<Range<usize>> {
    let (mut windows, mut start) = (Vec::new(), 0);
    while start < words.len() {
        let end = start + fitting(words[start..].iter(), most).max(1);
        windows.push(start..end);
        if end == words.len() {
            break;
        }
        let again = fitting(words[start + 1..end].iter().rev(), OVERLAP);
        start = end - again;
    }
    windows
}

/// How many of the words fit into so many pieces.
fn fitting<'a>(words: impl Iterator<Item = &'a Word>, most: usize) -> usize {
    words
        .scan(0, |sum, word| {
            *sum += word.pieces.len();
            Some(*sum)
        })
        .take_while(|sum| *sum <= most)
        .count()
}

/// The names among the words: those beside each other are one, unless a given name after a surname begins another person's.
fn joined(text: &str, words: &[Word], scores: &[Score], threshold: f32) -> Vec<(usize, usize)> {
    let scored = words.iter().zip(scores.iter().copied());
    let words: Vec<_> = scored.filter(|(word, _)| text[word.at.clone()].contains(char::is_alphanumeric)).collect();
    let is_beside = |left: usize| is_inside_name(&text[words[left].0.at.end..words[left + 1].0.at.start]);
    let mut is_name: Vec<bool> = words.iter().map(|(_, score)| score.name() >= threshold).collect();
    let lefts = 0..words.len().saturating_sub(1);
    for left in lefts.clone() {
        is_name[left + 1] |= is_name[left] && words[left + 1].1.name() >= BESIDE && is_beside(left);
    }
    for left in lefts.rev() {
        is_name[left] |= is_name[left + 1] && words[left].1.name() >= BESIDE && is_beside(left);
    }
    let mut names: Vec<(usize, usize)> = Vec::new();
    for (number, (word, score)) in words.iter().enumerate().filter(|(number, _)| is_name[*number]) {
        let goes_on = number.checked_sub(1).is_some_and(|left| {
            let next_person = words[left].1.is_surname() && !score.is_surname();
            is_name[left] && !next_person && is_beside(left)
        });
        match names.last_mut().filter(|_| goes_on) {
            Some(name) => name.1 = word.at.end,
            None => names.push((word.at.start, word.at.end)),
        }
    }
    names
}

/// Whether what stands between two words of a name leaves it one name: white space, or the mark in "O'Neil", "Smith-Jones", "J. Doe".
fn is_inside_name(between: &str) -> bool {
    matches!(between, "'" | "\u{2019}" | "-" | ".") || between.strip_prefix('.').unwrap_or(between).trim().is_empty()
}

/// What the network reports, as text: its errors name nodes and shapes, never the input.
fn failed(error: impl std::fmt::Display) -> NameModelError {
    NameModelError::Run(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn is_shared<T: Send + Sync>() {}
    const _: () = is_shared::<NameModel>();

    #[test]
    fn columns_are_read_from_the_label_list() {
        let list = |names: &[&str]| (0..).zip(names.iter().map(ToString::to_string)).collect::<HashMap<usize, String>>();
        let read = labels(&list(&["O", "B-GIVEN_NAME", "I-SURNAME", "B-CITY"])).expect("both kinds are there");
        assert_eq!(read, [Label::Other, Label::GivenName, Label::Surname, Label::Other]);
        assert_eq!(labels(&list(&["O", "B-GIVEN_NAME"])), None);
        assert_eq!(labels(&HashMap::from([(1, "B-SURNAME".to_owned()), (7, "B-GIVEN_NAME".to_owned())])), None);
    }

    #[test]
    fn windows_cover_every_word_and_overlap() {
        let words = words(&[40; 9]);
        assert_eq!(windows(&words, 126), [0..3, 3..6, 6..9]);
        let words = self::words(&[10; 30]);
        let windows = windows(&words, 126);
        assert_eq!(windows, [0..12, 9..21, 18..30]);
        assert!(self::windows(&[], 126).is_empty());
    }

    #[test]
    fn a_doubted_word_joins_only_beside_a_sure_one() {
        assert_eq!(found("i am omkaar zhang okay", &[0.0, 0.0, 0.9, 0.2, 0.0]), ["omkaar zhang"]);
        assert_eq!(found("i am omkaar, zhang okay", &[0.0, 0.0, 0.9, 0.0, 0.2, 0.0]), ["omkaar"]);
        assert_eq!(found("i am omkaar zhang okay", &[0.0, 0.0, 0.2, 0.2, 0.0]), [""; 0]);
    }

    #[test]
    fn marks_inside_a_name_are_part_of_it_and_others_end_it() {
        assert_eq!(found("O'Neil-Smith", &[0.9, 0.9, 0.9, 0.9, 0.9]), ["O'Neil-Smith"]);
        assert_eq!(found("J. Doe", &[0.9, 0.9, 0.9]), ["J. Doe"]);
        assert_eq!(found("Ann, Bob!", &[0.9, 0.9, 0.9, 0.9]), ["Ann", "Bob"]);
    }

    #[test]
    fn a_file_that_is_missing_or_too_large_is_named() {
        let folder = std::env::temp_dir().join(format!("name-model-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let missing = NameModel::load(&folder).err().expect("no model").to_string();
        assert!(missing.contains("config.json"), "{missing}");
        std::fs::File::create(folder.join("config.json")).and_then(|file| file.set_len(CONFIG.1 + 1)).expect("a large file");
        assert!(matches!(NameModel::load(&folder), Err(NameModelError::TooLarge { most, .. }) if most == CONFIG.1));
        std::fs::remove_dir_all(&folder).expect("it was ours");
    }

    #[test]
    #[ignore = "needs the model: NAME_MODEL=its folder"]
    fn names_are_found_in_windows_of_a_long_text() {
        let folder = std::env::var("NAME_MODEL").expect("the folder of the model");
        let model = NameModel::load(Path::new(&folder)).expect("a model");
        let text = format!("{}hi this is maria hernandez speaking", "and then the parcel came back again ".repeat(20));
        let names = model.names(&text).expect("an answer");
        assert_eq!(names.iter().map(|name| &text[name.0..name.1]).collect::<Vec<_>>(), ["maria hernandez"]);
        assert!(matches!(model.names(&"a ".repeat(LONGEST_TEXT)), Err(NameModelError::TooLong(_))));
    }

    /// Words of so many pieces each.
    fn words(pieces: &[usize]) -> Vec<Word> {
        pieces.iter().map(|pieces| Word { at: 0..0, pieces: vec![0; *pieces] }).collect()
    }

    /// The names in a text whose words and marks have these scores, as surnames.
    fn found<'a>(text: &'a str, scores: &[f32]) -> Vec<&'a str> {
        let pieces = WordPiece::new("[CLS]\n[SEP]\n[UNK]").expect("the marks are there");
        let scores: Vec<Score> = scores.iter().map(|surname| Score { given: 0.0, surname: *surname }).collect();
        let words = pieces.words(text);
        assert_eq!(words.len(), scores.len());
        joined(text, &words, &scores, THRESHOLD).into_iter().map(|name| &text[name.0..name.1]).collect()
    }
}
