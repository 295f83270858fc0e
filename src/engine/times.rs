//! When each word of a segment was said: the models do not tell.
//!
//! Promises: pure; words come in their order, do not overlap, and lie within the segment's sound. The times are derived, not measured: where the sound
//! rests, a word is taken to end, such that the words between two rests take about as long as their letters let expect. What that is worth
//! is measured in `tests/recognition` and stands in docs/engine.md.

use super::{
    RecognisedWord, Word,
    segments::At,
    voice::{FRAME_MS, Frame},
};

/// Rests shorter than this are within words, in frames: 64 ms.
const LEAST_REST: usize = 4;
/// Sound shorter than this is no word's, in frames: 32 ms.
const LEAST_SOUND: usize = 2;
/// How much a frame of a rest in the middle of a word costs.
const REST_COST: f64 = 0.35;
/// How much less a rest costs behind a word with punctuation.
const PUNCTUATION_GAIN: f64 = 1.5;
/// How much less it costs where a look saw the same.
const LOOK_GAIN: f64 = 3.0;
/// How long before a look the last word that it saw may have ended, in frames of sound.
const EARLY: [f64; 4] = [0.0, 4.0, 9.0, 15.0];
/// Frames of sound that a word took at most which a look saw and which did not stay: 480 ms.
const TAIL: f64 = 30.0;
/// Most rests looked at, the longest first; bounds the work for a segment.
const MOST_RESTS: usize = 24;

/// What was recognised of a segment's beginning.
#[derive(Debug, Clone)]
pub(super) struct Grown {
    /// Up to which frame of the stream.
    upto: At,
    words: Vec<String>,
}

/// A place in the segment's sound at which a word may end.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Frames of sound before it.
    sound: f64,
    /// How long the sound rests there, in frames; nothing where only a look was taken.
    length: usize,
    /// How many words a look saw end there.
    behind: Option<usize>,
}

/// Gives each word its times; `begin` is the segment's first frame, `grown` what was recognised of the segment while it grew.
pub(super) fn place(words: &[RecognisedWord], frames: &[Frame], begin: At, grown: &[Grown]) -> Vec<Word> {
    let sounds = sounds(frames);
    let total: f64 = sounds.iter().map(|(from, to)| float(to - from)).sum();
    let ends = expected_ends(words, total);
    let mut marks = rests(&sounds);
    grown.iter().for_each(|grown| grown.mark(words, &ends, &sounds, begin, &mut marks));
    marks.sort_by(|one, other| one.sound.total_cmp(&other.sound));
    let fixed = fit(words, &ends, &marks, total);
    let (mut from, mut expected) = (0.0, 0.0);
    let mut places = Vec::with_capacity(words.len());
    let mut next = 0;
    for (word, mark) in fixed.into_iter().chain([(words.len(), None)]) {
        let to = mark.unwrap_or(total);
        let until = if word == 0 { 0.0 } else { ends[word - 1] };
        let scale = (to - from) / (until - expected).max(f64::EPSILON);
        for end in &ends[next..word] {
            let start = places.last().map_or(from, |(_, end): &(f64, f64)| end.max(from));
            places.push((start, from + (end - expected) * scale));
        }
        (from, expected, next) = (to, until, word);
    }
    let word = |(word, (start, end)): (&RecognisedWord, (f64, f64))| Word {
        text: word.text.clone(),
        start_ms: ms(begin, at(&sounds, start, true)),
        end_ms: ms(begin, at(&sounds, end, false)),
        confidence: word.confidence,
    };
    words.iter().zip(places).map(word).collect()
}

impl Grown {
    pub(super) fn new(upto: At, words: &[RecognisedWord]) -> Self {
        Self { upto, words: words.iter().map(|word| plain(&word.text)).collect() }
    }

    /// Marks where the last word that stayed had ended.
    fn mark(&self, words: &[RecognisedWord], ends: &[f64], sounds: &[(usize, usize)], begin: At, marks: &mut Vec<Mark>) {
        let (stayed, new) = self.stayed(words);
        let Some(upto) = self.upto.checked_sub(begin).filter(|_| (1..words.len()).contains(&stayed)) else { return };
        let before = |(from, to): &(usize, usize)| upto.min(*to).saturating_sub(*from);
        let sound = float(sounds.iter().map(before).sum());
        if new == 0
            && let Some(rest) = marks.iter_mut().find(|mark| mark.length > 0 && (mark.sound - sound).abs() < 0.5)
            && !sounds.iter().any(|(from, to)| (*from..*to).contains(&upto))
        {
            rest.behind = Some(stayed);
            return;
        }
        // What did not stay took its time too.
        let tail = (ends[(stayed + new).min(words.len()) - 1] - ends[stayed - 1]).min(float(new) * TAIL);
        for early in EARLY {
            let sound = sound - early - tail;
            if sound > 0.0 {
                marks.push(Mark { sound, length: 0, behind: Some(stayed) });
            }
        }
    }

    /// How many of the words were there already, up to the last of them, and how many others stood behind that one.
    fn stayed(&self, words: &[RecognisedWord]) -> (usize, usize) {
        let words: Vec<String> = words.iter().map(|word| plain(&word.text)).collect();
        let width = words.len() + 1;
        // cost[row * width + column]: how far the first of these are from the first of those.
        let mut cost = vec![0_usize; (self.words.len() + 1) * width];
        for row in 0..=self.words.len() {
            for column in 0..width {
                cost[row * width + column] = match (row, column) {
                    (0, count) | (count, 0) => count,
                    _ => {
                        let differ = usize::from(self.words[row - 1] != words[column - 1]);
                        let other = cost[(row - 1) * width + column - 1] + differ;
                        other.min(cost[(row - 1) * width + column] + 1).min(cost[row * width + column - 1] + 1)
                    }
                };
            }
        }
        let last = self.words.len() * width;
        let mut column = (0..width).min_by_key(|column| cost[last + column]).unwrap_or(0);
        let mut row = self.words.len();
        while row > 0 && column > 0 && self.words[row - 1] != words[column - 1] {
            let here = cost[row * width + column];
            if here == cost[(row - 1) * width + column - 1] + 1 {
                (row, column) = (row - 1, column - 1);
            } else if here == cost[(row - 1) * width + column] + 1 {
                row -= 1;
            } else {
                column -= 1;
            }
        }
        if row == 0 || column == 0 { (0, 0) } else { (column, self.words.len() - row) }
    }
}

/// A word without what may change about it.
fn plain(word: &str) -> String {
    word.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>().to_lowercase()
}

/// The stretches of sound, as frames from and to.
fn sounds(frames: &[Frame]) -> Vec<(usize, usize)> {
    let mut levels: Vec<f32> = frames.iter().map(|frame| frame.level).collect();
    levels.sort_unstable_by(f32::total_cmp);
    let share = |tenths: usize| levels.get(levels.len() * tenths / 20).copied().unwrap_or(0.0).max(1e-5);
    // Between the line's own noise and the loud parts of speech, nearer to the noise.
    let threshold = share(1).powf(0.6) * share(18).powf(0.4);
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (number, _) in frames.iter().enumerate().filter(|(_, frame)| frame.level > threshold) {
        match found.last_mut() {
            Some((_, to)) if number - *to < LEAST_REST => *to = number + 1,
            _ => found.push((number, number + 1)),
        }
    }
    found.retain(|(from, to)| to - from >= LEAST_SOUND);
    if found.is_empty() { vec![(0, frames.len().max(1))] } else { found }
}

fn rests(sounds: &[(usize, usize)]) -> Vec<Mark> {
    let mut before = 0;
    let mut rests = Vec::new();
    for pair in sounds.windows(2) {
        before += pair[0].1 - pair[0].0;
        rests.push(Mark { sound: float(before), length: pair[1].0 - pair[0].1, behind: None });
    }
    let mut lengths: Vec<usize> = rests.iter().map(|rest| rest.length).collect();
    lengths.sort_unstable_by(|one, other| other.cmp(one));
    let shortest = lengths.get(MOST_RESTS - 1).copied().unwrap_or(0);
    rests.retain(|rest| rest.length >= shortest);
    rests.truncate(MOST_RESTS);
    rests
}

/// Up to where in the sound each word is expected to last, in frames of it.
fn expected_ends(words: &[RecognisedWord], total: f64) -> Vec<f64> {
    let lengths: Vec<f64> = words.iter().map(|word| expected_ms(&word.text)).collect();
    let sum: f64 = lengths.iter().sum::<f64>().max(1.0);
    let mut upto = 0.0;
    let scaled = lengths.into_iter().map(|length| {
        upto += length;
        upto / sum * total
    });
    scaled.collect()
}

/// About how long a word takes to say, by its letters: only the proportions count.
fn expected_ms(word: &str) -> f64 {
    let (mut ms, mut in_vowel) = (50.0, false);
    for letter in word.chars().map(|letter| letter.to_ascii_lowercase()) {
        let is_vowel = "aeiouy".contains(letter);
        ms += match letter {
            '0'..='9' => 300.0,
            _ if is_vowel && !in_vowel => 105.0,
            _ if is_vowel => 25.0,
            's' | 'f' | 'z' | 'x' | 'm' | 'n' => 65.0,
            _ if letter.is_alphabetic() => 45.0,
            '$' | '%' | '@' => 350.0,
            _ => 0.0,
        };
        in_vowel = is_vowel;
    }
    // A silent e at the end.
    let plain = word.trim_end_matches(|letter: char| !letter.is_alphanumeric());
    if plain.len() > 3 && plain.ends_with('e') { ms - 80.0 } else { ms }
}

/// What the cheapest way to a rest behind so many words costs, and the pair before it on that way.
type Step = (f64, Option<(usize, usize)>);

/// Which marks lie behind which words (by how many words come before them), as frames of sound: the cheapest way through.
fn fit(words: &[RecognisedWord], ends: &[f64], marks: &[Mark], total: f64) -> Vec<(usize, Option<f64>)> {
    let count = words.len();
    // A stretch of words that is expected to take so many frames and takes so many others.
    let strain = |expected: f64, found: f64| (found - expected).powi(2) / (2.0 * (found + expected) + 4.0);
    let skipped = |from: usize, to: usize| marks[from..to].iter().map(|mark| float(mark.length) * REST_COST).sum::<f64>();
    // best[mark][word]: the cheapest way in which this mark lies behind that many words, and the pair before it.
    let mut best: Vec<Vec<Step>> = Vec::with_capacity(marks.len());
    for (number, mark) in marks.iter().enumerate() {
        let mut row = vec![(f64::INFINITY, None); count];
        for (behind, cell) in row.iter_mut().enumerate().skip(1) {
            let is_seen = mark.behind == Some(behind);
            if mark.length == 0 && !is_seen {
                continue;
            }
            let is_stop = mark.length > 0 && words[behind - 1].text.ends_with(['.', ',', '?', '!', ';', ':']);
            let gain = if is_stop { PUNCTUATION_GAIN } else { 0.0 } + if is_seen { LOOK_GAIN } else { 0.0 };
            let here = ends[behind - 1];
            *cell = (strain(here, mark.sound) + skipped(0, number) - gain, None);
            for (before, earlier) in best.iter().enumerate() {
                let between = skipped(before + 1, number) - gain;
                let reached = earlier.iter().enumerate().take(behind).skip(1).filter(|(_, (cost, _))| cost.is_finite());
                for (fewer, (cost, _)) in reached {
                    let cost = cost + between + strain(here - ends[fewer - 1], mark.sound - marks[before].sound);
                    if cost < cell.0 {
                        *cell = (cost, Some((before, fewer)));
                    }
                }
            }
        }
        best.push(row);
    }
    let mut cheapest = (strain(total, total) + skipped(0, marks.len()), None);
    for (number, row) in best.iter().enumerate() {
        for (behind, (cost, _)) in row.iter().enumerate().skip(1) {
            let cost = cost + skipped(number + 1, marks.len()) + strain(total - ends[behind - 1], total - marks[number].sound);
            if cost < cheapest.0 {
                cheapest = (cost, Some((number, behind)));
            }
        }
    }
    let mut way = Vec::new();
    let mut step = cheapest.1;
    while let Some((number, behind)) = step {
        way.push((behind, Some(marks[number].sound)));
        step = best[number][behind].1;
    }
    way.reverse();
    way
}

/// The frame at which so much sound has been; of a place at a rest, the frame behind it where a word starts.
fn at(sounds: &[(usize, usize)], mut sound: f64, is_start: bool) -> f64 {
    for (number, (from, to)) in sounds.iter().enumerate() {
        let length = float(to - from);
        let is_last = number + 1 == sounds.len();
        if is_last || sound < length - 1e-6 || (!is_start && sound <= length + 1e-6) {
            return float(*from) + sound.min(length);
        }
        sound -= length;
    }
    0.0
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a segment has less than a thousand frames")]
fn ms(begin: At, frame: f64) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "16 is exact")]
    let within = frame.max(0.0) * FRAME_MS as f64;
    begin as u64 * FRAME_MS + within.round() as u64
}

#[expect(clippy::cast_precision_loss, reason = "a segment has less than a thousand frames")]
const fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<RecognisedWord> {
        text.split(' ').map(|word| RecognisedWord { text: word.to_owned(), confidence: 0.9 }).collect()
    }

    fn frames(parts: &[(bool, usize)]) -> Vec<Frame> {
        let frame = |is_voice: bool| Frame { is_voice, level: if is_voice { 0.1 } else { 0.001 }, stillness: 0.4 };
        parts.iter().flat_map(|(is_voice, times)| vec![frame(*is_voice); *times]).collect()
    }

    fn times(text: &str, parts: &[(bool, usize)]) -> Vec<(u64, u64)> {
        place(&words(text), &frames(parts), 100, &[]).iter().map(|word| (word.start_ms, word.end_ms)).collect()
    }

    #[test]
    fn words_begin_and_end_where_the_sound_rests() {
        let told = times("thank you goodbye", &[(false, 25), (true, 30), (false, 20), (true, 25), (false, 15)]);
        assert_eq!((told[0].0, told[1].1), (1600 + 25 * 16, 1600 + 55 * 16));
        assert_eq!((told[2].0, told[2].1), (1600 + 75 * 16, 1600 + 100 * 16));
        assert!(told[0].1 > told[0].0 && told[0].1 <= told[1].0);
    }

    #[test]
    fn groups_of_digits_stay_in_their_stretches_though_each_is_as_long_as_the_other() {
        let group = [(true, 60), (false, 22)];
        let parts: Vec<(bool, usize)> = [(false, 10)].into_iter().chain(group.into_iter().cycle().take(6)).collect();
        let told = times("four five three nine one four eight eight zero three four three", &parts);
        for (number, first) in [0, 4, 8].into_iter().enumerate() {
            assert_eq!(told[first].0, 1600 + (10 + 82 * number as u64) * 16, "word {first}");
        }
    }

    #[test]
    fn a_word_that_a_look_did_not_see_yet_begins_behind_it() {
        // Four words without a rest, the first said slowly.
        let frames = frames(&[(true, 120)]);
        let said = words("yes please go on");
        let seen = [Grown::new(100 + 52, &words("yes"))];
        let (without, with) = (place(&said, &frames, 100, &[]), place(&said, &frames, 100, &seen));
        assert!(without[1].start_ms < 1_600 + 32 * 16, "{without:?}");
        assert!((1_600 + 36 * 16..=1_600 + 52 * 16).contains(&with[1].start_ms), "{with:?}");
        let other = [Grown::new(100 + 64, &words("nothing of it stayed"))];
        assert_eq!(place(&said, &frames, 100, &other), without);
    }

    #[test]
    fn one_word_has_the_whole_sound_and_none_has_none() {
        assert_eq!(times("yes", &[(false, 25), (true, 20), (false, 15)]), [(2000, 2320)]);
        assert!(place(&[], &frames(&[(true, 20)]), 0, &[]).is_empty());
    }

    #[test]
    fn words_never_overlap_and_stay_within_the_segment_whatever_the_sound() {
        for seed in 0..200_u64 {
            let frames: Vec<Frame> = (0..200)
                .map(|at| Frame {
                    is_voice: true,
                    level: f32::from(u8::try_from(crate::draw::mixed(seed * 1_000 + at) % 256).unwrap()) / 2_560.0,
                    stillness: 0.4,
                })
                .collect();
            let told = place(&words("a b, cc three 12345 six. seven eight nine ten"), &frames, 0, &[]);
            assert_eq!(told.len(), 10);
            assert!(told.iter().all(|word| word.start_ms <= word.end_ms && word.end_ms <= 200 * 16), "seed {seed}");
            assert!(told.windows(2).all(|pair| pair[0].end_ms <= pair[1].start_ms), "seed {seed}: {told:?}");
        }
    }
}
