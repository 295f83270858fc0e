//! What the models make of sound that is no speech, and of speech when they lose their way.
//!
//! Promises: pure; what is clearly said is never dropped: only few words, of little sound, of which the model itself is unsure.

use super::{RecognisedWord, voice::Frame};

/// Less voice than this is hardly a word, in frames of 16 ms: 240 ms.
const SHORT: usize = 15;
/// Mean confidence below which nothing is believed that has so little voice.
const SURE_OF_SHORT: f32 = 0.45;
/// Mean confidence below which up to two words are not believed.
const SURE_OF_FEW: f32 = 0.35;
/// Mean confidence below which nothing is believed at all.
const SURE_OF_ANY: f32 = 0.25;
/// Mean stillness from which on a sound is none of a voice: tones and music. Speech was never above 0.65.
const STILL: f32 = 0.80;
/// Mean stillness from which on a sound is hardly a voice: noise. Words are believed only if there are some, and the model is sure.
const NOISY: f32 = 0.70;
/// As many words with as much confidence are believed in noise.
const SURE_IN_NOISE: (usize, f32) = (3, 0.80);
/// Sound whose level varies by less than this is none of a voice, as a standard deviation in decibels; speech varies by 4 and more.
const STEADY: f32 = 2.0;
/// Shorter sound may be steady, in frames: 400 ms.
const LEAST_STEADY: usize = 25;
/// A frame counts as sound from this share of the loud ones' level on.
const SOUND: f32 = 0.1;
/// A sound takes at least so long to say, in seconds; what repeats faster is the model's own loop.
const FASTEST: f32 = 0.12;
/// Tokens that may stand in a row of equals before they count as a loop, however fast they were said.
const FEW_REPEATS: usize = 4;
/// Longest pattern looked for, in tokens.
const LONGEST_PATTERN: usize = 12;
/// What the models write where there is nothing to write; not believed unless the model is surer than that.
const STOCK: [(&str, f32); 4] =
    [("thank you", 0.60), ("thank you for watching", 0.90), ("thanks for watching", 0.90), ("transcript emily beynon", 2.0)];

/// The word that the models write most often for a sound that is none, up to a confidence of 0.96.
const FILLER: &str = "you";
/// It is believed with so much confidence, of one syllable of a voice: of so much stillness. Knocks are below that, drums above.
const SURE_OF_FILLER: f32 = 0.60;
const SYLLABLE: std::ops::Range<f32> = 0.20..0.55;
/// And of a level that varies at least so much, in decibels.
const SWELLS: f32 = 4.0;

/// Whether words are believed, of a segment of these frames.
pub(super) fn is_believed(words: &[RecognisedWord], frames: &[Frame]) -> bool {
    let Some(mean) = mean(words.iter().map(|word| word.confidence)) else { return true };
    let voiced = frames.iter().filter(|frame| frame.is_voice).count();
    let surest = match words.len() {
        _ if voiced < SHORT => SURE_OF_SHORT,
        1 | 2 => SURE_OF_FEW,
        _ => SURE_OF_ANY,
    };
    let is_lost_in_noise = stillness(&sound(frames)) >= NOISY && (words.len() < SURE_IN_NOISE.0 || mean < SURE_IN_NOISE.1);
    let text = plain(words);
    let is_stock = STOCK.iter().any(|(stock, surest)| text == *stock && mean < *surest);
    let is_filler = text == FILLER && !(mean >= SURE_OF_FILLER && is_syllable(frames, voiced));
    mean >= surest && may_be_a_voice(frames) && !is_lost_in_noise && !is_stock && !is_filler && is_english(words)
}

fn is_syllable(frames: &[Frame], voiced: usize) -> bool {
    let sound = sound(frames);
    voiced >= SHORT && SYLLABLE.contains(&stillness(&sound)) && spread(&sound) >= SWELLS
}

/// Whether these frames may be somebody who speaks: not a tone, music or a siren.
pub(super) fn may_be_a_voice(frames: &[Frame]) -> bool {
    let sound = sound(frames);
    let is_steady = sound.len() >= LEAST_STEADY && spread(&sound) < STEADY;
    stillness(&sound) < STILL && !is_steady
}

fn stillness(sound: &[&Frame]) -> f32 {
    mean(sound.iter().map(|frame| frame.stillness)).unwrap_or(0.0)
}

/// The frames that are not silence.
fn sound(frames: &[Frame]) -> Vec<&Frame> {
    let mut levels: Vec<f32> = frames.iter().map(|frame| frame.level).collect();
    levels.sort_unstable_by(f32::total_cmp);
    let loud = levels.get(levels.len() * 19 / 20).copied().unwrap_or(0.0);
    frames.iter().filter(|frame| frame.level > loud * SOUND).collect()
}

fn mean(values: impl ExactSizeIterator<Item = f32>) -> Option<f32> {
    let count = values.len();
    #[expect(clippy::cast_precision_loss, reason = "a segment has less than a thousand of anything")]
    (count > 0).then(|| values.sum::<f32>() / count as f32)
}

/// How much the level varies, in decibels.
fn spread(sound: &[&Frame]) -> f32 {
    let levels: Vec<f32> = sound.iter().map(|frame| 20.0 * frame.level.max(1e-6).log10()).collect();
    let middle = mean(levels.iter().copied()).unwrap_or(0.0);
    mean(levels.iter().map(|level| (level - middle).powi(2))).unwrap_or(0.0).sqrt()
}

/// Words in small letters, without punctuation.
fn plain(words: &[RecognisedWord]) -> String {
    let plain = |word: &RecognisedWord| word.text.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>();
    words.iter().map(plain).collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Whether the letters are those in which English is written.
fn is_english(words: &[RecognisedWord]) -> bool {
    let letters = words.iter().flat_map(|word| word.text.chars()).filter(|letter| letter.is_alphabetic());
    letters.into_iter().all(|letter| u32::from(letter) < 0x250)
}

/// How many tokens to keep where the last ones repeat more often than anybody could say them in so many seconds; `None` where they do not.
pub(super) fn loops(tokens: &[i64], seconds: f32) -> Option<usize> {
    (1..=LONGEST_PATTERN.min(tokens.len() / 2)).find_map(|length| {
        let repeats = repeats(tokens, length);
        #[expect(clippy::cast_precision_loss, reason = "a segment has few tokens")]
        let fastest = (repeats * length) as f32 * FASTEST / 1.5;
        (repeats > FEW_REPEATS && fastest > seconds).then_some(tokens.len() - (repeats - 1) * length)
    })
}

/// How often the last `length` tokens stand in a row at the end.
fn repeats(tokens: &[i64], length: usize) -> usize {
    let pattern = &tokens[tokens.len() - length..];
    tokens.rchunks_exact(length).take_while(|chunk| *chunk == pattern).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, confidence: f32) -> Vec<RecognisedWord> {
        text.split(' ').map(|word| RecognisedWord { text: word.to_owned(), confidence }).collect()
    }

    /// Sound as of speech, but for its stillness.
    fn frames(voiced: usize, stillness: f32) -> Vec<Frame> {
        (0..voiced).map(|at| Frame { is_voice: true, level: if at % 2 == 0 { 0.1 } else { 0.03 }, stillness }).collect()
    }

    #[test]
    fn the_less_there_is_the_surer_the_model_must_be() {
        assert!(!is_believed(&words("yes", 0.4), &frames(8, 0.4)));
        assert!(is_believed(&words("yes", 0.5), &frames(8, 0.4)));
        assert!(!is_believed(&words("yes", 0.3), &frames(60, 0.4)));
        assert!(is_believed(&words("yes", 0.4), &frames(60, 0.4)));
        assert!(is_believed(&words("it is on its way", 0.3), &frames(60, 0.4)));
        assert!(!is_believed(&words("it is on its way", 0.2), &frames(60, 0.4)));
        assert!(is_believed(&[], &[]), "nothing is always believed");
    }

    #[test]
    fn what_stands_still_is_no_voice_and_noise_needs_sure_words() {
        assert!(!is_believed(&words("thank you so much", 0.99), &frames(60, 0.85)));
        assert!(!is_believed(&words("thank you so much", 0.7), &frames(60, 0.75)));
        assert!(is_believed(&words("thank you so much", 0.9), &frames(60, 0.75)));
        let steady = vec![Frame { is_voice: true, level: 0.1, stillness: 0.1 }; 60];
        assert!(!is_believed(&words("oh boy", 0.9), &steady), "a siren");
    }

    #[test]
    fn stock_phrases_and_other_scripts_are_not_believed() {
        assert!(!is_believed(&words("Thank you", 0.5), &frames(60, 0.4)));
        assert!(is_believed(&words("Thank you", 0.7), &frames(60, 0.4)));
        assert!(!is_believed(&words("transcript Emily Beynon", 1.0), &frames(60, 0.4)));
        assert!(!is_believed(&words("2-3ตวบนลาง", 1.0), &frames(60, 0.4)));
        assert!(is_believed(&words("café", 0.9), &frames(60, 0.4)));
    }

    #[test]
    fn a_lone_you_is_believed_of_a_syllable_and_of_no_knock_beep_or_drum() {
        assert!(is_believed(&words("You.", 0.65), &frames(35, 0.36)), "the letter");
        assert!(!is_believed(&words("You.", 0.55), &frames(35, 0.36)));
        assert!(!is_believed(&words("You", 0.96), &frames(8, 0.26)), "a knock");
        assert!(!is_believed(&words("You", 0.90), &frames(24, 0.05)), "knocks");
        assert!(!is_believed(&words("You", 0.84), &frames(39, 0.61)), "drums");
        let beep = vec![Frame { is_voice: true, level: 0.1, stillness: 0.5 }; 19];
        assert!(!is_believed(&words("You", 0.87), &beep));
        assert!(is_believed(&words("You know", 0.65), &frames(60, 0.62)));
    }

    #[test]
    fn a_loop_is_what_repeats_faster_than_speech() {
        let once = [7, 8, 9];
        assert_eq!(loops(&[once.as_slice(), &[1, 2].repeat(12)].concat(), 1.5), Some(5));
        assert_eq!(loops(&[1, 2].repeat(12), 6.0), None, "twelve times one is said in six seconds");
        assert_eq!(loops(&[5; 4], 0.1), None, "no no no no");
        assert_eq!(loops(&[5; 40], 2.0), Some(1));
        assert_eq!(loops(&[], 1.0), None);
    }
}
