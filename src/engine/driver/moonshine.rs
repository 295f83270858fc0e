//! The Moonshine models on ONNX Runtime: samples to words.
//!
//! Promises: the library is loaded at run time from the engine's own folder and from nowhere else; one thread works on one piece at a time; what loops
//! is stopped, and what comes out empty or doubtful is tried once more with other silence round it.

use std::{borrow::Cow, fs, path::Path, sync::Arc};

use anyhow::{Context, Result, ensure};
use ort::{
    environment::Environment,
    session::SessionInputValue,
    value::{DynValue, Outlet, Tensor, TensorRef},
};

use super::{
    Pool,
    net::{Inputs, Net},
    runtime,
};
use crate::engine::{
    Outcome, Recognise, RecognisedWord, SAMPLES_PER_SECOND,
    files::{Files, Model},
    guard,
};

/// The token that begins a text.
const BEGIN: i64 = 1;
/// The token that ends it.
const END: i64 = 2;
/// Most tokens of a second of audio: what the model's makers allow.
const TOKENS_PER_SECOND: f32 = 6.5;
/// Tokens allowed on top of that.
const MORE_TOKENS: usize = 8;
/// The mark of a word's beginning in the vocabulary.
const WORD: char = '\u{2581}';
/// Silence put before and behind a piece, in samples: it costs little and saves one error in six with the fast model.
const PADDING: usize = SAMPLES_PER_SECOND / 2;
/// Less than this the models do not take, in samples: 100 ms.
const SHORTEST: usize = SAMPLES_PER_SECOND / 10;

/// Loads a model, and starts `threads` threads that recognise with it.
///
/// # Errors
/// What could not be loaded, in one line that says what to do.
pub fn load(files: &Files, model: Model, threads: usize) -> Result<Pool> {
    let environment = runtime::environment(&files.runtime)?;
    let vocabulary: Arc<[Vec<u8>]> = vocabulary(&read(&files.tokenizer)?)
        .context("the engine's vocabulary is broken; pulse-bridge engine install fetches it anew")?
        .into();
    let recognisers = (0..threads.max(1)).map(|_| {
        let moonshine = Moonshine::new(&environment, files, model, Arc::clone(&vocabulary))?;
        Ok(Box::new(moonshine) as Box<dyn Recognise>)
    });
    Ok(Pool::start(recognisers.collect::<Result<_>>()?))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("failed to read {}", path.display()))
}

/// One thread's models.
struct Moonshine {
    encoder: Net,
    decoder: Net,
    vocabulary: Arc<[Vec<u8>]>,
    padding: usize,
    encoder_has_mask: bool,
    decoder_has_mask: bool,
    /// The decoder's memory: the inputs' names, and the outputs' that replace them.
    memory: Vec<(String, String)>,
    heads: i64,
    width: i64,
}

/// What came of one try.
struct Try {
    words: Vec<RecognisedWord>,
    looped: bool,
}

impl Moonshine {
    fn new(environment: &Environment, files: &Files, model: Model, vocabulary: Arc<[Vec<u8>]>) -> Result<Self> {
        let (encoder, decoder) = (Net::load(environment, &files.encoder)?, Net::load(environment, &files.decoder)?);
        let names: Vec<&str> = decoder.inputs().iter().map(Outlet::name).collect();
        let memory: Vec<(String, String)> = names
            .iter()
            .filter(|name| name.starts_with("past_key_values."))
            .map(|name| ((*name).to_owned(), name.replacen("past_key_values", "present", 1)))
            .collect();
        let shape = decoder.inputs().iter().find(|input| input.name().starts_with("past_key_values."));
        let shape = shape.and_then(|input| input.dtype().tensor_shape()).context("the decoder has no memory")?;
        ensure!(shape.len() == 4, "the decoder's memory has an unknown form");
        let (heads, width) = (shape[1], shape[3]);
        Ok(Self {
            vocabulary,
            padding: if model == Model::Fast { PADDING } else { 0 },
            encoder_has_mask: encoder.inputs().iter().any(|input| input.name() == "attention_mask"),
            decoder_has_mask: names.contains(&"encoder_attention_mask"),
            encoder,
            decoder,
            memory,
            heads,
            width,
        })
    }

    /// One pass over the samples with this much silence round them; `None` where it was given up.
    fn attempt(&mut self, samples: &[f32], padding: usize, is_given_up: &dyn Fn() -> bool) -> Result<Option<Try>> {
        let mut padded = vec![0.0; padding];
        padded.extend_from_slice(samples);
        padded.resize((padded.len() + padding).max(SHORTEST), 0.0);
        #[expect(clippy::cast_precision_loss, reason = "at most sixteen seconds")]
        let seconds = samples.len() as f32 / SAMPLES_PER_SECOND as f32;
        // The decoder takes the samples' mask and thins it out itself.
        let mask = vec![1_i64; padded.len()];
        let hidden = self.encode(padded, &mask)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most sixteen seconds")]
        let most = (seconds * TOKENS_PER_SECOND) as usize + MORE_TOKENS;
        let mut memory = self.empty_memory()?;
        let (mut tokens, mut odds, mut looped) = (Vec::new(), Vec::new(), false);
        let mut token = BEGIN;
        while tokens.len() < most {
            if is_given_up() {
                return Ok(None);
            }
            let is_first = tokens.is_empty();
            let ((next, odd), present) = self.step(token, &hidden, &mask, &memory, is_first)?;
            // What the decoder keeps of the encoder's features comes out of its first step alone.
            for ((name, old), new) in memory.iter_mut().zip(present) {
                if is_first || name.contains(".decoder.") {
                    *old = new;
                }
            }
            if next == END {
                break;
            }
            token = next;
            tokens.push(next);
            odds.push(odd);
            if let Some(kept) = guard::loops(&tokens, seconds) {
                tokens.truncate(kept);
                looped = true;
                break;
            }
        }
        Ok(Some(Try { words: self.words(&tokens, &odds), looped }))
    }

    fn encode(&mut self, samples: Vec<f32>, mask: &[i64]) -> Result<DynValue> {
        let count = samples.len();
        let mut inputs: Inputs<'_> = vec![("input_values".into(), Tensor::from_array(([1, count], samples))?.into())];
        if self.encoder_has_mask {
            inputs.push(("attention_mask".into(), TensorRef::from_array_view(([1, count], mask))?.into()));
        }
        let mut outputs = self.encoder.run(inputs)?;
        outputs.remove("last_hidden_state").context("the encoder gave no features")
    }

    fn empty_memory(&self) -> Result<Vec<(String, DynValue)>> {
        let empty = |(name, _): &(String, String)| {
            let tensor = Tensor::<f32>::new(self.decoder.allocator(), [1_i64, self.heads, 0, self.width])?;
            Ok((name.clone(), tensor.into_dyn()))
        };
        self.memory.iter().map(empty).collect()
    }

    /// One token more: the likeliest with its probability, and the memory behind it.
    fn step(
        &mut self,
        token: i64,
        hidden: &DynValue,
        mask: &[i64],
        memory: &[(String, DynValue)],
        is_first: bool,
    ) -> Result<((i64, f32), Vec<DynValue>)> {
        let (token, uses_memory) = ([token], [!is_first]);
        let mut inputs: Inputs<'_> = vec![
            ("input_ids".into(), TensorRef::from_array_view(([1, 1], token.as_slice()))?.into()),
            ("encoder_hidden_states".into(), hidden.into()),
            ("use_cache_branch".into(), TensorRef::from_array_view(([1], uses_memory.as_slice()))?.into()),
        ];
        if self.decoder_has_mask {
            inputs.push(("encoder_attention_mask".into(), TensorRef::from_array_view(([1, mask.len()], mask))?.into()));
        }
        inputs.extend(memory.iter().map(|(name, value)| (Cow::from(name.as_str()), SessionInputValue::from(value))));
        let mut outputs = self.decoder.run(inputs)?;
        let logits = outputs.remove("logits").context("the decoder gave no token")?;
        let best = likeliest(logits.try_extract_tensor::<f32>()?.1);
        let present = self.memory.iter().map(|(_, output)| outputs.remove(output).context("the decoder forgot"));
        Ok((best, present.collect::<Result<_>>()?))
    }

    /// The tokens as words, each as likely as its tokens on average.
    fn words(&self, tokens: &[i64], odds: &[f32]) -> Vec<RecognisedWord> {
        let mut words: Vec<(Vec<u8>, f32, f32)> = Vec::new();
        let mark = WORD.to_string();
        for (token, odd) in tokens.iter().zip(odds) {
            let Some(piece) = usize::try_from(*token).ok().and_then(|at| self.vocabulary.get(at)) else { continue };
            let (begins, letters) = match piece.strip_prefix(mark.as_bytes()) {
                Some(letters) => (true, letters),
                None => (words.is_empty(), piece.as_slice()),
            };
            if begins {
                words.push((Vec::new(), 0.0, 0.0));
            }
            if let Some((text, sum, count)) = words.last_mut() {
                text.extend_from_slice(letters);
                (*sum, *count) = (*sum + odd.max(f32::MIN_POSITIVE).ln(), *count + 1.0);
            }
        }
        let word = |(text, sum, count): (Vec<u8>, f32, f32)| {
            let text = String::from_utf8_lossy(&text).trim().to_owned();
            text.contains(char::is_alphanumeric)
                .then_some(RecognisedWord { text, confidence: (sum / count).exp().clamp(0.0, 1.0) })
        };
        words.into_iter().filter_map(word).collect()
    }
}

impl Recognise for Moonshine {
    fn recognise(&mut self, samples: &[f32], is_given_up: &dyn Fn() -> bool) -> Outcome {
        let (mut best, mut has_failed): (Option<Try>, _) = (None, false);
        for padding in [self.padding, PADDING - self.padding] {
            match self.attempt(samples, padding, is_given_up) {
                Ok(None) => return Outcome::Shed,
                Ok(Some(tried)) if !tried.looped && !tried.words.is_empty() => return Outcome::Recognised(tried.words),
                Ok(Some(tried)) => {
                    if best.as_ref().is_none_or(|best| best.words.len() < tried.words.len()) {
                        best = Some(tried);
                    }
                }
                Err(why) => {
                    // Nothing of what was said is in it: shapes, names and sizes.
                    tracing::error!(%why, "the speech engine failed on a piece");
                    has_failed = true;
                }
            }
        }
        match best {
            None if has_failed => Outcome::Failed,
            best => Outcome::Recognised(best.map(|best| best.words).unwrap_or_default()),
        }
    }
}

/// The likeliest token, and how likely it is.
fn likeliest(logits: &[f32]) -> (i64, f32) {
    let best = logits
        .iter()
        .copied()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (at, logit)| if logit > best.1 { (at, logit) } else { best });
    let sum: f32 = logits.iter().map(|logit| (logit - best.1).exp()).sum();
    (i64::try_from(best.0).unwrap_or(END), 1.0 / sum.max(1.0))
}

/// Moonshine's list of tokens: each with its length before it, of one byte, or two where the first is 128 or more.
fn vocabulary(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut tokens = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        let (length, rest) = match usize::from(*first) {
            short @ 0..128 => (short, rest),
            long => {
                let (second, rest) = rest.split_first()?;
                (usize::from(*second) * 128 + long - 128, rest)
            }
        };
        let (token, rest) = rest.split_at_checked(length)?;
        tokens.push(token.to_vec());
        bytes = rest;
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vocabulary_is_read_with_short_and_long_tokens_and_refused_where_it_is_cut_off() {
        let long = vec![b'x'; 300];
        // 300 is 2 times 128 and 44.
        let bytes = [&[1, b'a'][..], &[0], &[128 + 44, 2], &long, &[2, b'b', b'c']].concat();
        assert_eq!(vocabulary(&bytes), Some(vec![b"a".to_vec(), Vec::new(), long, b"bc".to_vec()]));
        assert_eq!(vocabulary(&bytes[..bytes.len() - 1]), None);
        assert_eq!(vocabulary(&[]), Some(Vec::new()));
    }

    #[test]
    fn the_likeliest_token_has_its_share_of_all() {
        let (token, odd) = likeliest(&[0.0, 3.0_f32.ln(), 0.0]);
        assert_eq!(token, 1);
        assert!((odd - 0.6).abs() < 1e-6, "{odd}");
        assert_eq!(likeliest(&[]).0, 0, "nothing is no panic");
    }

    #[test]
    fn files_that_are_not_there_are_one_line_with_their_name() {
        let nowhere = Files::in_folder(std::path::Path::new("/nowhere"), Model::Fast);
        let Err(why) = load(&nowhere, Model::Fast, 1) else { panic!("nothing can be loaded from nowhere") };
        let line = format!("{why:#}");
        assert!(line.contains("/nowhere/engine") && !line.contains('\n'), "{line}");
    }
}
