//! What happened in a run: what the checks need, and where asked for a trace to read.

use std::time::Duration;

use pulse_bridge::{
    call::Unit,
    event::{CallCompleted, Data},
    media::{Gap, Track},
    upstream::{LinkState, Report, Totals},
};

use crate::clock::Clock;

/// The tracks of a call, by their number here.
pub(crate) const TRACKS: [Track; 2] = [Track::Inbound, Track::Outbound];

/// What a link did about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tried {
    Dial,
    Connected,
    /// The dial or the connection.
    Failed {
        retry_after: Option<Duration>,
    },
}

/// A final as it was stored.
#[derive(Debug)]
pub(crate) struct Final {
    pub(crate) track: usize,
    pub(crate) text: String,
    pub(crate) start_ms: u64,
    pub(crate) end_ms: u64,
    pub(crate) provisional: bool,
    pub(crate) words: Vec<Heard>,
}

/// A word of it.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) text: String,
    pub(crate) start_ms: u64,
    pub(crate) end_ms: u64,
    pub(crate) speaker: String,
}

/// A line of the trace.
pub(crate) struct Line {
    /// Microseconds since the call began.
    pub(crate) at: u64,
    pub(crate) track: usize,
    pub(crate) text: String,
    /// The call's audio up to here is spoken of, in milliseconds.
    pub(crate) upto_ms: Option<u64>,
}

/// The record of one run.
#[derive(Default)]
pub(crate) struct Record {
    trace: Option<Vec<Line>>,
    pub(crate) tries: [Vec<(u64, Tried)>; 2],
    pub(crate) finals: Vec<Final>,
    pub(crate) gaps: Vec<(usize, Gap)>,
    pub(crate) seqs: Vec<u64>,
    pub(crate) completed: Vec<CallCompleted>,
    pub(crate) done: [Vec<Totals>; 2],
    /// Reports that came behind `Done`.
    pub(crate) after_done: usize,
    /// Links that another try was no use for.
    pub(crate) refused: usize,
    /// Most audio held for a track beyond what waits outside of its link, in bytes.
    pub(crate) most_held: u64,
    /// Milliseconds of audio that came, by track.
    pub(crate) received_ms: [u64; 2],
    /// When all was over.
    pub(crate) ended: u64,
    pub(crate) connections: usize,
    /// What went wrong so that the run could not go on.
    pub(crate) broken: Option<String>,
}

impl Record {
    pub(crate) fn new(tracing: bool) -> Self {
        Self { trace: tracing.then(Vec::new), ..Self::default() }
    }

    /// A line of the trace.
    pub(crate) fn note(&mut self, clock: &Clock, track: usize, what: impl FnOnce() -> String) {
        self.note_about(clock, track, None, what);
    }

    fn note_about(&mut self, clock: &Clock, track: usize, upto_ms: Option<u64>, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(Line { at: clock.now, track, text: what(), upto_ms });
        }
    }

    pub(crate) fn trace(&self) -> &[Line] {
        self.trace.as_deref().unwrap_or_default()
    }

    pub(crate) fn tried(&mut self, clock: &Clock, track: usize, what: Tried) {
        self.tries[track].push((clock.now, what));
    }

    /// A message of the service, shown if it is a final.
    pub(crate) fn message(&mut self, clock: &Clock, track: usize, text: &str) {
        if self.trace.is_some() {
            let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
            let times = |word: &serde_json::Value| format!("{}-{}", word["start"], word["end"]);
            let words = value["words"].as_array().cloned().unwrap_or_default();
            let span = words.first().into_iter().chain(words.last()).map(times).collect::<Vec<_>>().join(" .. ");
            let kind = match (value["is_final"].as_bool(), value["is_last"].as_bool()) {
                (_, Some(true)) => "last",
                (Some(true), _) => "final",
                (Some(false), _) => "interim",
                _ => return self.note(clock, track, || format!("hears {text}")),
            };
            self.note(clock, track, || format!("hears {kind} {} {span}", value["transcript"]));
        }
    }

    /// What a link tells its session.
    pub(crate) fn report(&mut self, clock: &Clock, track: usize, report: &Report) {
        self.after_done += usize::from(!self.done[track].is_empty());
        match report {
            Report::Final(heard) => self.note_about(clock, track, Some(heard.end_ms), || {
                let text = heard.text.expose();
                format!("tells final {text:?} {}-{} covers {}", heard.start_ms, heard.end_ms, heard.covers.0 / 8)
            }),
            Report::Covered(to) => self.note(clock, track, || format!("tells silence to {}", to.0 / 8)),
            Report::State(state) => {
                self.refused += usize::from(matches!(state, LinkState::Refused(_)));
                self.note(clock, track, || format!("is {}", state.as_str()));
            }
            Report::Gap { gap, .. } => {
                self.note_about(clock, track, Some(gap.to_ms), || format!("tells gap {}-{}", gap.from_ms, gap.to_ms));
            }
            Report::Done(totals) => {
                self.note(clock, track, || format!("{totals:?}"));
                self.done[track].push(*totals);
            }
            Report::Left
            | Report::Interim(_)
            | Report::Behind { .. }
            | Report::CaughtUp
            | Report::SpeechStarted { .. }
            | Report::SpeechEnded { .. } => {}
        }
    }

    /// A unit is stored.
    pub(crate) fn stored(&mut self, clock: &Clock, unit: &Unit) {
        let Some((seq, data)) = &unit.event else { return };
        self.seqs.push(*seq);
        match data {
            Data::TranscriptFinal(text) => {
                let words = text.words.iter().map(|word| Heard {
                    text: word.text.as_str().to_owned(),
                    start_ms: word.start_ms,
                    end_ms: word.end_ms,
                    speaker: word.speaker.clone(),
                });
                self.finals.push(Final {
                    track: number_of(text.track),
                    text: text.text.as_str().to_owned(),
                    start_ms: text.start_ms,
                    end_ms: text.end_ms,
                    provisional: text.provisional,
                    words: words.collect(),
                });
            }
            Data::TranscriptGap(gap) => {
                let (from_ms, to_ms, reason) = (gap.from_ms, gap.to_ms, gap.reason);
                self.gaps.push((number_of(gap.track), Gap { from_ms, to_ms, reason }));
            }
            Data::CallCompleted(completed) => {
                self.note(clock, 0, || format!("completed, complete: {}", completed.complete));
                self.completed.push((**completed).clone());
            }
            _ => {}
        }
    }
}

fn number_of(track: Track) -> usize {
    TRACKS.iter().position(|known| *known == track).expect("one of the two")
}
