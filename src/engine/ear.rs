//! ★ One stream's way from bytes to words.
//!
//! Promises: pure; all times count this stream's audio. Every job gets its outcome back through [`Ear::handle_recognised`]; finals come in the order of the
//! audio, one for each segment in which words were heard, and an interim only where all before it is final. What an interim has shown is in the
//! final, if only as it was shown.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Heard, Job, Outcome, RecognisedWord, Urgency, Word, guard, numbers,
    segments::{self, At, Segment, Segments},
    sound::Sound,
    times::{self, Grown},
    voice::{FRAME, FRAME_MS, Voice},
};

/// Most speech of one stream that may wait for recognition, in milliseconds; its reader waits then ([`Ear::is_full`]).
pub const MOST_WAITING: u64 = 120_000;
/// Most segments and flushes that may wait; then the same.
const MOST_ENTRIES: usize = 256;
/// Samples behind those in need that are kept before they are let go together: 1 s.
const LET_GO: usize = 16_000;

/// The audio of a stream, and what ends an utterance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How the bytes are coded.
    pub coding: Coding,
    /// Samples a second, 8,000 to 48,000.
    pub sample_rate: u32,
    /// Quiet that ends an utterance, in milliseconds.
    pub eou_timeout_ms: u64,
    /// Whether anybody wants interims.
    pub interims: bool,
    /// Write numbers in figures, in one form, in finals (`itn_normalize`, `numerals`).
    pub numbers: bool,
}

/// Codings that the engine hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// One byte a sample.
    Mulaw,
    /// One byte a sample.
    Alaw,
    /// 16 bits, little endian.
    Linear16,
}

/// The ear of one stream.
pub struct Ear {
    settings: Settings,
    sound: Sound,
    voice: Voice,
    segments: Segments,
    /// Samples from `kept_from` on.
    samples: Vec<f32>,
    /// The frame with which `samples` begins.
    kept_from: At,
    /// Frames judged.
    judged: At,
    /// What has been shown of the segment that is being spoken.
    open: Open,
    /// What has a final, or the answer to a flush, still to come; in the order of the audio.
    waiting: VecDeque<Entry>,
    next_job: u64,
    jobs: VecDeque<Job>,
    heard: VecDeque<Heard>,
}

#[derive(Default)]
struct Open {
    /// The last look that was taken: its job and its segment.
    look: Option<(u64, Segment)>,
    /// The segment as it was when a pause began.
    pause: Option<Paused>,
    shown: Vec<Word>,
    /// What was recognised of it so far, for the words' times.
    grown: Vec<Grown>,
}

struct Paused {
    job: u64,
    segment: Segment,
    samples: Arc<[f32]>,
    words: Option<Vec<RecognisedWord>>,
}

enum Entry {
    Segment(Box<Awaited>),
    Flush,
}

/// A segment that is over.
struct Awaited {
    job: u64,
    segment: Segment,
    samples: Arc<[f32]>,
    /// What interims showed of it.
    shown: Vec<Word>,
    grown: Vec<Grown>,
    words: Option<Vec<Word>>,
    /// A flush ended it, and its words are the answer.
    is_flushed: bool,
    /// The recogniser has failed on it once.
    has_failed: bool,
}

impl Ear {
    /// An ear for a stream that begins now.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            sound: Sound::new(settings.coding, settings.sample_rate),
            voice: Voice::new(),
            segments: Segments::new(settings.eou_timeout_ms),
            settings,
            samples: Vec::new(),
            kept_from: 0,
            judged: 0,
            open: Open::default(),
            waiting: VecDeque::new(),
            next_job: 0,
            jobs: VecDeque::new(),
            heard: VecDeque::new(),
        }
    }

    /// The next audio; samples may be cut anywhere.
    pub fn handle_audio(&mut self, audio: &[u8]) {
        self.sound.handle_audio(audio, &mut self.samples);
        while let Some(frame) = self.samples.get((self.judged - self.kept_from) * FRAME..).and_then(|rest| rest.get(..FRAME)) {
            let frame = self.voice.judge(frame);
            self.judged += 1;
            self.segments.handle_frame(frame);
            self.act(false);
        }
        let unneeded = (self.segments.needed_from() - self.kept_from) * FRAME;
        if unneeded >= LET_GO {
            self.samples.drain(..unneeded);
            self.kept_from = self.segments.needed_from();
        }
    }

    /// Ends what is being spoken here; answered by one [`Heard::Flushed`] behind all finals before it.
    pub fn handle_flush(&mut self) {
        self.segments.handle_flush();
        // A segment that ends here is the answer itself.
        if !self.act(true) {
            self.waiting.push_back(Entry::Flush);
            self.tell();
        }
    }

    /// A job is done.
    pub fn handle_recognised(&mut self, job: u64, outcome: Outcome) {
        let has_failed = outcome == Outcome::Failed;
        let words = match outcome {
            Outcome::Recognised(words) => Some(words),
            Outcome::Shed | Outcome::Failed => None,
        };
        if self.open.look.as_ref().is_some_and(|(look, _)| *look == job) {
            if let (Some((_, segment)), Some(words)) = (self.open.look.take(), words) {
                self.show(&words, &segment);
            }
        } else if self.open.pause.as_ref().is_some_and(|pause| pause.job == job) {
            let Some(words) = words else { return self.open.pause = None };
            if let Some(pause) = &mut self.open.pause {
                let segment = pause.segment.clone();
                pause.words = Some(words.clone());
                self.show(&words, &segment);
            }
        } else {
            self.settle(job, words, has_failed);
        }
    }

    /// The next job to hand in.
    pub fn poll_job(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    /// The next thing that was heard.
    pub fn poll_heard(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    /// Whether so much speech waits that no more audio should be taken for now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let waiting: usize = self.awaited().map(|awaited| awaited.segment.end - awaited.segment.begin).sum();
        waiting as u64 * FRAME_MS >= MOST_WAITING || self.waiting.len() >= MOST_ENTRIES
    }

    /// Whether somebody speaks, or speech waits whose final is still to come.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.segments.is_open() || self.awaited().next().is_some()
    }

    /// Up to where all that was said has its final, in milliseconds of this stream's audio.
    #[must_use]
    pub fn done_ms(&self) -> u64 {
        let first = self.awaited().next().map(|awaited| awaited.segment.begin);
        first.unwrap_or_else(|| self.segments.needed_from()) as u64 * FRAME_MS
    }

    fn awaited(&self) -> impl Iterator<Item = &Awaited> {
        self.waiting.iter().filter_map(|entry| match entry {
            Entry::Segment(awaited) if awaited.words.is_none() => Some(&**awaited),
            _ => None,
        })
    }

    /// Does what the segments want; says whether one is over.
    fn act(&mut self, is_flushed: bool) -> bool {
        let mut is_over = false;
        while let Some(output) = self.segments.poll_output() {
            match output {
                segments::Output::Began(at) => self.heard.push_back(Heard::VoiceStarted { at_ms: at as u64 * FRAME_MS }),
                segments::Output::Look(segment) if self.settings.interims && guard::may_be_a_voice(&segment.frames) => {
                    let samples = self.samples_of(&segment);
                    self.open.look = Some((self.submit(samples, Urgency::Interim), segment));
                }
                segments::Output::Paused(segment) if guard::may_be_a_voice(&segment.frames) => {
                    let samples = self.samples_of(&segment);
                    let job = self.submit(Arc::clone(&samples), Urgency::Pause);
                    self.open.pause = Some(Paused { job, segment, samples, words: None });
                }
                // Nothing is asked of the models about tones and music.
                segments::Output::Look(_) | segments::Output::Paused(_) => {}
                segments::Output::Over(segment) if self.open.shown.is_empty() && !guard::may_be_a_voice(&segment.frames) => {
                    self.open = Open::default();
                }
                segments::Output::Over(segment) => {
                    is_over = true;
                    self.end(segment, is_flushed);
                }
                segments::Output::Click => self.open = Open::default(),
                segments::Output::Ended(at) => self.heard.push_back(Heard::VoiceEnded { at_ms: at as u64 * FRAME_MS }),
            }
        }
        is_over
    }

    /// A segment is over: what was recognised of it in its last pause is its final, if nothing has been said since.
    fn end(&mut self, segment: Segment, is_flushed: bool) {
        let Open { pause, shown, grown, .. } = std::mem::take(&mut self.open);
        let pause = pause.filter(|pause| (pause.segment.begin, pause.segment.end) == (segment.begin, segment.end));
        let (job, samples, recognised) = if let Some(pause) = pause {
            (pause.job, pause.samples, pause.words)
        } else {
            let samples = self.samples_of(&segment);
            (self.submit(Arc::clone(&samples), Urgency::Final), samples, None)
        };
        self.waiting.push_back(Entry::Segment(Box::new(Awaited {
            job,
            segment,
            samples,
            shown,
            grown,
            words: None,
            is_flushed,
            has_failed: false,
        })));
        if recognised.is_some() {
            self.settle(job, recognised, false);
        }
    }

    /// A job of a segment that is over is done; one that was left out is handed in again, and one on which the recogniser failed once more.
    fn settle(&mut self, job: u64, words: Option<Vec<RecognisedWord>>, has_failed: bool) {
        let is_it = |entry: &&mut Entry| matches!(entry, Entry::Segment(awaited) if awaited.job == job);
        let Some(Entry::Segment(awaited)) = self.waiting.iter_mut().find(is_it) else { return };
        // What fails twice would fail for ever, and hold up all that is said behind it.
        let is_given_up = has_failed && std::mem::replace(&mut awaited.has_failed, true);
        let Some(words) = words.or_else(|| is_given_up.then(Vec::new)) else {
            let samples = Arc::clone(&awaited.samples);
            awaited.job = self.next_job;
            self.submit(samples, Urgency::Final);
            return;
        };
        let words = believed(words, &awaited.segment);
        awaited.words = Some(if words.is_empty() {
            std::mem::take(&mut awaited.shown)
        } else {
            times::place(&words, &awaited.segment.frames, awaited.segment.begin, &awaited.grown)
        });
        awaited.samples = Arc::default();
        self.tell();
    }

    /// Tells what is next in the order of the audio.
    fn tell(&mut self) {
        loop {
            match self.waiting.front_mut() {
                Some(Entry::Segment(awaited)) => {
                    let Some(words) = awaited.words.take() else { return };
                    let (words, is_flushed) = (self.in_form(words), awaited_is_flushed(self.waiting.pop_front()));
                    if is_flushed {
                        self.heard.push_back(Heard::Flushed(words));
                    } else if !words.is_empty() {
                        self.heard.push_back(Heard::Final(words));
                    }
                }
                Some(Entry::Flush) => {
                    self.waiting.pop_front();
                    self.heard.push_back(Heard::Flushed(Vec::new()));
                }
                None => return,
            }
        }
    }

    /// Shows what has been said so far, unless something before it is not final yet.
    fn show(&mut self, words: &[RecognisedWord], segment: &Segment) {
        let words = believed(words.to_vec(), segment);
        self.open.grown.push(Grown::new(segment.end, &words));
        if words.is_empty() || !self.settings.interims || !self.waiting.is_empty() {
            return;
        }
        self.open.shown = times::place(&words, &segment.frames, segment.begin, &self.open.grown);
        self.heard.push_back(Heard::Interim(self.open.shown.clone()));
    }

    fn submit(&mut self, samples: Arc<[f32]>, urgency: Urgency) -> u64 {
        let id = self.next_job;
        self.next_job += 1;
        if urgency == Urgency::Interim {
            // Of those that nobody has taken yet the newest is enough.
            self.jobs.retain(|job| job.urgency != Urgency::Interim);
        }
        self.jobs.push_back(Job { id, urgency, samples });
        id
    }

    fn samples_of(&self, segment: &Segment) -> Arc<[f32]> {
        let (from, to) = ((segment.begin - self.kept_from) * FRAME, (segment.end - self.kept_from) * FRAME);
        self.samples[from..to].into()
    }

    fn in_form(&self, words: Vec<Word>) -> Vec<Word> {
        if self.settings.numbers { numbers::in_figures(words) } else { words }
    }
}

fn awaited_is_flushed(entry: Option<Entry>) -> bool {
    matches!(entry, Some(Entry::Segment(awaited)) if awaited.is_flushed)
}

fn believed(words: Vec<RecognisedWord>, segment: &Segment) -> Vec<RecognisedWord> {
    if guard::is_believed(&words, &segment.frames) { words } else { Vec::new() }
}

#[cfg(test)]
mod tests;
