//! ★ Cuts a stream into segments of speech.
//!
//! Promises: pure; every voiced frame but a click's is in exactly one segment; a segment has what was just before its voice and just behind it, ends
//! behind the quiet that was asked for, and is at most [`LONGEST`] long: then it is cut where it is quietest, and goes on in the next.

use std::collections::VecDeque;

use super::voice::{FRAME_MS, Frame};

/// Voiced frames in a row that begin a segment: 64 ms.
const BEGINS: usize = 4;
/// Frames before the first voiced one that belong to it: 400 ms.
const BEFORE: usize = 25;
/// Frames behind the last voiced one that belong to it: 240 ms.
const BEHIND: usize = 15;
/// Frames of the longest segment: 15 s, above which the models drop words or loop.
pub(super) const LONGEST: usize = 937;
/// The last frames of a too long segment in which the place to cut is looked for: 5 s.
const CUT_WITHIN: usize = 312;
/// Frames over which quiet is averaged where a segment is cut: 112 ms.
const CUT_WIDTH: usize = 7;
/// Voiced frames that a segment must have had; less is a click: 80 ms.
const LEAST_VOICED: usize = 5;
/// Quiet in which the segment is likely to be over: 304 ms.
const PAUSE: usize = 19;
/// Frames of voice between two looks at a segment that goes on: 1 s, and a quarter of its length.
const LOOK: usize = 62;

/// Frames of a stream, from its first.
pub(super) type At = usize;

/// A segment of speech.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Segment {
    /// Its first frame.
    pub(super) begin: At,
    /// Behind its last frame.
    pub(super) end: At,
    /// Its frames.
    pub(super) frames: Vec<Frame>,
    /// Quiet has followed it; if not, the words may go on in the next.
    pub(super) is_ended: bool,
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Output {
    /// A segment began; its first voice was there.
    Began(At),
    /// Time to see what has been said so far.
    Look(Segment),
    /// Quiet: if nothing more is said, the segment will be this one, exactly.
    Paused(Segment),
    /// A segment is over.
    Over(Segment),
    /// Voice that was too little to be any.
    Click,
    /// Nobody has spoken since there, long enough.
    Ended(At),
}

/// The machine.
pub(super) struct Segments {
    /// Quiet frames that end a segment.
    ends_after: usize,
    /// How many frames came.
    now: At,
    /// The frames of the segment, or those that may lie before one.
    frames: VecDeque<Frame>,
    /// The first of them.
    begin: At,
    open: Option<Open>,
    /// Voiced frames in a row at the end.
    run: usize,
    outputs: VecDeque<Output>,
}

struct Open {
    /// Behind the last voiced frame.
    voiced_end: At,
    voiced: usize,
    looked_at: At,
    is_paused: bool,
}

impl Segments {
    /// For a stream in which so much quiet ends an utterance, in milliseconds.
    pub(super) fn new(eou_timeout_ms: u64) -> Self {
        let ends_after = usize::try_from(eou_timeout_ms.div_ceil(FRAME_MS)).unwrap_or(usize::MAX).max(1);
        Self { ends_after, now: 0, frames: VecDeque::new(), begin: 0, open: None, run: 0, outputs: VecDeque::new() }
    }

    /// Whether a segment is being spoken.
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The next frame.
    pub(super) fn handle_frame(&mut self, frame: Frame) {
        self.frames.push_back(frame);
        self.now += 1;
        self.run = if frame.is_voice { self.run + 1 } else { 0 };
        let (now, ends_after) = (self.now, self.ends_after);
        let Some(open) = &mut self.open else { return self.wait() };
        if frame.is_voice {
            (open.voiced_end, open.is_paused) = (now, false);
            open.voiced += 1;
        }
        let (quiet, length) = (now - open.voiced_end, now - self.begin);
        if quiet >= ends_after {
            let at = open.voiced_end;
            self.close();
            self.outputs.push_back(Output::Ended(at));
        } else if length >= LONGEST {
            self.cut();
        } else if quiet == PAUSE && !open.is_paused && ends_after > PAUSE && open.voiced >= LEAST_VOICED {
            open.is_paused = true;
            let segment = self.so_far(true);
            self.outputs.push_back(Output::Paused(segment));
        } else if quiet == 0 && now - open.looked_at >= LOOK.max(length / 4) {
            open.looked_at = now;
            let segment = self.so_far(false);
            self.outputs.push_back(Output::Look(segment));
        }
    }

    /// Ends what is being spoken here.
    pub(super) fn handle_flush(&mut self) {
        let Some(open) = &self.open else { return };
        let at = open.voiced_end;
        self.close();
        self.outputs.push_back(Output::Ended(at));
    }

    /// The next thing to do.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The first frame that may still be part of a segment.
    pub(super) const fn needed_from(&self) -> At {
        self.begin
    }

    fn wait(&mut self) {
        if self.run >= BEGINS {
            let voiced = self.run;
            self.outputs.push_back(Output::Began(self.now - voiced));
            self.open = Some(Open { voiced_end: self.now, voiced, looked_at: self.begin, is_paused: false });
            return;
        }
        // What was said before the run is kept with it.
        while self.frames.len() > BEFORE + self.run {
            self.frames.pop_front();
            self.begin += 1;
        }
    }

    /// The segment as it would be if it ended here.
    fn so_far(&self, is_ended: bool) -> Segment {
        let voiced_end = self.open.as_ref().map_or(self.now, |open| open.voiced_end);
        let end = (voiced_end + BEHIND).min(self.now);
        Segment { begin: self.begin, end, frames: self.frames.iter().take(end - self.begin).copied().collect(), is_ended }
    }

    fn close(&mut self) {
        let segment = self.so_far(true);
        let is_click = self.open.as_ref().is_none_or(|open| open.voiced < LEAST_VOICED);
        self.outputs.push_back(if is_click { Output::Click } else { Output::Over(segment.clone()) });
        self.go_on_from(segment.end);
        self.open = None;
        self.run = 0;
        while self.frames.len() > BEFORE {
            self.frames.pop_front();
            self.begin += 1;
        }
    }

    /// Ends a segment that is too long, where it is quietest.
    fn cut(&mut self) {
        let levels: Vec<f32> = self.frames.iter().map(|frame| frame.level).collect();
        let from = levels.len() - CUT_WITHIN;
        let quietest = levels[from..]
            .windows(CUT_WIDTH)
            .enumerate()
            .min_by(|(_, one), (_, other)| one.iter().sum::<f32>().total_cmp(&other.iter().sum::<f32>()))
            .map_or(0, |(at, _)| at);
        let at = self.begin + from + quietest + CUT_WIDTH / 2;
        let frames = self.frames.iter().take(at - self.begin).copied().collect();
        self.outputs.push_back(Output::Over(Segment { begin: self.begin, end: at, frames, is_ended: false }));
        self.go_on_from(at);
        let voiced = self.frames.iter().filter(|frame| frame.is_voice).count();
        if let Some(open) = &mut self.open {
            // The voice behind the cut has begun already, however little of it there is.
            open.voiced = voiced.max(LEAST_VOICED);
            open.looked_at = self.now;
            open.voiced_end = open.voiced_end.max(at);
        }
    }

    fn go_on_from(&mut self, at: At) {
        self.frames.drain(..at - self.begin);
        self.begin = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOICE: Frame = Frame { is_voice: true, level: 0.1, stillness: 0.4 };
    const QUIET: Frame = Frame { is_voice: false, level: 0.001, stillness: 0.4 };

    fn outputs(frames: &[(Frame, usize)], eou_timeout_ms: u64) -> Vec<Output> {
        let mut segments = Segments::new(eou_timeout_ms);
        for (frame, times) in frames {
            (0..*times).for_each(|_| segments.handle_frame(*frame));
        }
        segments.handle_flush();
        std::iter::from_fn(|| segments.poll_output()).collect()
    }

    fn spans(outputs: &[Output]) -> Vec<(At, At, bool)> {
        let over = |output: &Output| match output {
            Output::Over(segment) => Some((segment.begin, segment.end, segment.is_ended)),
            _ => None,
        };
        outputs.iter().filter_map(over).collect()
    }

    #[test]
    fn a_segment_has_what_was_just_before_it_and_just_behind_it() {
        let told = outputs(&[(QUIET, 100), (VOICE, 30), (QUIET, 60)], 600);
        assert_eq!(told[0], Output::Began(100));
        assert!(matches!(&told[1], Output::Paused(segment) if (segment.begin, segment.end) == (75, 145)));
        assert!(matches!(&told[2], Output::Over(segment) if (segment.begin, segment.end, segment.is_ended) == (75, 145, true)));
        assert_eq!(told[3..], [Output::Ended(130)]);
    }

    #[test]
    fn a_pause_in_which_nothing_more_is_said_shows_the_very_segment_that_follows() {
        let told = outputs(&[(QUIET, 10), (VOICE, 30), (QUIET, 25), (VOICE, 30), (QUIET, 60)], 600);
        let paused: Vec<&Segment> =
            told.iter().filter_map(|output| if let Output::Paused(segment) = output { Some(segment) } else { None }).collect();
        assert_eq!(paused.len(), 2, "the voice has gone on behind the first");
        assert!(told.iter().any(|output| matches!(output, Output::Over(segment) if segment == paused[1])));
    }

    #[test]
    fn little_voice_is_a_click_and_less_is_nothing() {
        assert!(outputs(&[(QUIET, 50), (VOICE, 3), (QUIET, 50)], 600).is_empty());
        let told = outputs(&[(QUIET, 50), (VOICE, 4), (QUIET, 50)], 600);
        assert_eq!(told, [Output::Began(50), Output::Click, Output::Ended(54)]);
    }

    #[test]
    fn a_long_segment_is_cut_where_it_is_quietest_and_nothing_falls_between() {
        let dip = Frame { is_voice: true, level: 0.01, stillness: 0.4 };
        let told = outputs(&[(QUIET, 30), (VOICE, 700), (dip, 10), (VOICE, 600), (QUIET, 80)], 600);
        let spans = spans(&told);
        assert_eq!(spans.len(), 2);
        assert_eq!((spans[0].0, spans[0].2, spans[1].0, spans[1].2), (5, false, spans[0].1, true));
        assert!((730..740).contains(&spans[0].1), "cut at {}", spans[0].1);
        assert_eq!(spans[1].1, 1340 + BEHIND);
    }

    #[test]
    fn no_segment_is_longer_than_the_models_take_whatever_comes() {
        let told = outputs(&[(VOICE, 10_000)], 600);
        let spans = spans(&told);
        assert!(spans.iter().all(|(begin, end, _)| end - begin <= LONGEST));
        assert_eq!((spans[0].0, spans.last().unwrap().1), (0, 10_000));
        assert!(spans.windows(2).all(|pair| pair[0].1 == pair[1].0));
    }

    #[test]
    fn looks_become_rarer_as_a_segment_grows() {
        let told = outputs(&[(VOICE, 900)], 600);
        let looks: Vec<usize> =
            told.iter().filter_map(|output| if let Output::Look(segment) = output { Some(segment.end) } else { None }).collect();
        assert!((4..=10).contains(&looks.len()), "{looks:?}");
        assert!(looks.windows(2).all(|pair| pair[1] - pair[0] >= LOOK));
    }

    #[test]
    fn a_flush_ends_a_segment_in_the_middle_of_a_word() {
        let mut segments = Segments::new(600);
        (0..40).for_each(|_| segments.handle_frame(VOICE));
        segments.handle_flush();
        let told: Vec<Output> = std::iter::from_fn(|| segments.poll_output()).collect();
        assert_eq!(spans(&told), [(0, 40, true)]);
        assert_eq!(segments.needed_from(), 40);
    }
}
