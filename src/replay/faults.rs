//! What goes wrong on the way from the phone: from a recording, a plan and a call's number to what is sent when.
//!
//! Promises: pure and seeded: the same seed, plan, recording and call number give the same faults, and a rule's choices do not
//! move when another rule changes. Without a rule that holds, the recording goes out as it is. A lost frame leaves its hole in the numbers
//! and times. Counters and times are never changed but by `drift`. `stop` stays last.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    draw::mixed,
    fixture::{Media, Message},
    media::Track,
    plan,
};

/// The longest that `late` may hold a frame back, in milliseconds.
pub const MAX_LATE_MS: u64 = 60_000;
/// The most frames that `out_of_order` may put before one.
pub const MAX_FRAMES_BEFORE: usize = 1000;
/// The largest `drift`, in millionths: a clock that is a tenth too fast or too slow.
pub const MAX_DRIFT_PPM: i64 = 100_000;

/// The plan: `{"seed":1,"faults":[{"kind":"lost","share":0.02},{"kind":"late","track":"inbound","from_ms":4000,"by_ms":80}]}`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// Another seed, other frames.
    #[serde(default)]
    pub seed: u64,
    /// All rules that hold for a frame strike it.
    pub faults: Vec<Rule>,
}

/// One fault and the frames that suffer it. Times count from the call's first audio.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Whose frames; absent: all.
    #[serde(default)]
    pub track: Option<Track>,
    /// First millisecond; absent: from the beginning.
    #[serde(default)]
    pub from_ms: Option<u64>,
    /// First millisecond that is spared again; absent: to the end.
    #[serde(default)]
    pub to_ms: Option<u64>,
    /// Which calls, counted from 1 in the order in which they are listed; absent: all.
    #[serde(default)]
    pub calls: Option<Vec<u32>>,
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
}

/// What goes wrong. A `share` is between 0 and 1; absent: every frame that the rule fits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// The frame is not sent.
    Lost {
        /// How many of them.
        #[serde(default = "every")]
        share: f64,
    },
    /// The frame is sent twice.
    Doubled {
        /// How many of them.
        #[serde(default = "every")]
        share: f64,
    },
    /// The frame is sent later than its time, so behind what is due before that.
    Late {
        /// How many of them.
        #[serde(default = "every")]
        share: f64,
        /// How much later, 1 to [`MAX_LATE_MS`].
        by_ms: u64,
    },
    /// The frame is sent behind the next ones of its track.
    OutOfOrder {
        /// How many of them.
        #[serde(default = "every")]
        share: f64,
        /// How many come before it, 1 to [`MAX_FRAMES_BEFORE`].
        by_frames: usize,
    },
    /// The sender's timestamps run away from its samples.
    Drift {
        /// Millionths; above 0 the timestamps are too fast. At most [`MAX_DRIFT_PPM`] either way.
        ppm: i64,
    },
    /// The connection is gone without `stop` and without a close frame.
    AbruptClose {
        /// When.
        at_ms: u64,
    },
}

const fn every() -> f64 {
    1.0
}

impl Faults {
    /// Reads a plan.
    ///
    /// # Errors
    /// One line that says what the plan should be like.
    pub fn of_json(json: &str) -> Result<Self, String> {
        let read: Self = plan::read::<Self, Rule>(json)?;
        for (number, rule) in read.faults.iter().enumerate() {
            rule.check().map_err(|what| format!("has in rule {} {what}", number + 1))?;
        }
        Ok(read)
    }
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        if let (Some(from_ms), Some(to_ms)) = (self.from_ms, self.to_ms)
            && from_ms >= to_ms
        {
            return Err(format!("\"from_ms\" {from_ms}, which is not before \"to_ms\" {to_ms}"));
        }
        if self.calls.as_ref().is_some_and(|calls| calls.is_empty() || calls.contains(&0)) {
            return Err("\"calls\" without a call; they are counted from 1".to_owned());
        }
        match &self.fault {
            Fault::Lost { share } | Fault::Doubled { share } | Fault::Late { share, .. } | Fault::OutOfOrder { share, .. }
                if !(0.0..=1.0).contains(share) =>
            {
                Err(format!("\"share\" {share}; give a number between 0 and 1"))
            }
            Fault::Late { by_ms, .. } if !(1..=MAX_LATE_MS).contains(by_ms) => {
                Err(format!("\"by_ms\" {by_ms}; give 1 to {MAX_LATE_MS}"))
            }
            Fault::OutOfOrder { by_frames, .. } if !(1..=MAX_FRAMES_BEFORE).contains(by_frames) => {
                Err(format!("\"by_frames\" {by_frames}; give 1 to {MAX_FRAMES_BEFORE}"))
            }
            Fault::Drift { ppm } if ppm.unsigned_abs() > MAX_DRIFT_PPM.unsigned_abs() => {
                Err(format!("\"ppm\" {ppm}; give {} to {MAX_DRIFT_PPM}", -MAX_DRIFT_PPM))
            }
            Fault::AbruptClose { .. } if self.track.is_some() || self.from_ms.is_some() || self.to_ms.is_some() => {
                Err("\"track\", \"from_ms\" or \"to_ms\" for abrupt_close; the whole connection goes, at \"at_ms\"".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn holds_for(&self, call: u32) -> bool {
        self.calls.as_ref().is_none_or(|calls| calls.contains(&call))
    }

    fn fits(&self, media: &Media, at_ms: u64) -> bool {
        self.track.is_none_or(|track| track == media.track)
            && self.from_ms.is_none_or(|from_ms| from_ms <= at_ms)
            && self.to_ms.is_none_or(|to_ms| at_ms < to_ms)
    }
}

/// One message to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When, in milliseconds of media time from the call's first audio.
    pub due_ms: u64,
    /// Which message of the recording.
    pub message: usize,
    /// How far its timestamp is moved, in milliseconds.
    pub drift_ms: i64,
}

/// What is sent when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Absent: the recording as it is, so that a thousand good calls share one.
    changed: Option<Vec<Step>>,
    /// How many frames suffered what, by the fault's word; `abrupt_close` is 1 where it strikes.
    pub done: BTreeMap<&'static str, u64>,
    /// Whether the connection is gone after the last step.
    pub is_cut: bool,
}

impl Schedule {
    /// What a call's number (from 1) makes of a recording.
    #[must_use]
    pub fn new(messages: &[Message], faults: &Faults, call: u32) -> Self {
        let rules = faults.faults.iter().enumerate().filter(|(_, rule)| rule.holds_for(call));
        let rules: Vec<Chosen<'_>> =
            rules.map(|(number, rule)| Chosen { rule, key: [faults.seed, number as u64, u64::from(call)] }).collect();
        if rules.is_empty() {
            return Self::default();
        }
        Planning { messages, rules, done: BTreeMap::new() }.run()
    }

    /// Every step, in the order of sending.
    pub fn steps<'a>(&'a self, messages: &'a [Message]) -> Box<dyn Iterator<Item = Step> + Send + 'a> {
        match &self.changed {
            Some(steps) => Box::new(steps.iter().copied()),
            None => Box::new(as_recorded(messages)),
        }
    }
}

/// Each message in its order, due at its time, or where an earlier one is due later, then.
fn as_recorded(messages: &[Message]) -> impl Iterator<Item = Step> + Send {
    let first_ms = first_ms(messages);
    messages.iter().enumerate().scan(0, move |due_ms, (message, content)| {
        if let Message::Media(media) = content {
            *due_ms = media.timestamp_ms.saturating_sub(first_ms).max(*due_ms);
        }
        Some(Step { due_ms: *due_ms, message, drift_ms: 0 })
    })
}

fn first_ms(messages: &[Message]) -> u64 {
    let media = messages.iter().find_map(|message| match message {
        Message::Media(media) => Some(media.timestamp_ms),
        _ => None,
    });
    media.unwrap_or(0)
}

/// A rule that holds for the call, with what its choices depend on.
struct Chosen<'a> {
    rule: &'a Rule,
    key: [u64; 3],
}

impl Chosen<'_> {
    /// Whether the dice fall on this message.
    fn strikes(&self, message: usize, share: f64) -> bool {
        let state = self.key.iter().chain([&(message as u64)]).fold(0, |state, part| mixed(state ^ part));
        let drawn = u32::try_from(state >> 32).expect("32 bits are left");
        f64::from(drawn) < share * (f64::from(u32::MAX) + 1.0)
    }
}

/// A step's place in the order of sending: when it is due, behind which message, and whether it was moved behind it.
type Place = (u64, usize, bool);

struct Planning<'a> {
    messages: &'a [Message],
    rules: Vec<Chosen<'a>>,
    done: BTreeMap<&'static str, u64>,
}

impl Planning<'_> {
    fn run(mut self) -> Schedule {
        let first_ms = first_ms(self.messages);
        let recorded: Vec<Step> = as_recorded(self.messages).collect();
        let kept: Vec<bool> = recorded.iter().map(|step| !self.is_lost(step, first_ms)).collect();
        let mut placed: Vec<(Place, Step)> = Vec::with_capacity(recorded.len());
        let mut ended = false;
        for step in recorded.iter().filter(|step| kept[step.message]) {
            ended |= matches!(self.messages[step.message], Message::Stop { .. });
            if ended {
                let last = placed.iter().map(|(place, _)| place.0).max().unwrap_or(0);
                placed.push(((last.max(step.due_ms), step.message, false), *step));
            } else {
                self.place(step, first_ms, &recorded, &kept, &mut placed);
            }
        }
        placed.sort_by_key(|(place, _)| *place);
        let mut steps: Vec<Step> = placed.into_iter().map(|(place, step)| Step { due_ms: place.0, ..step }).collect();
        let is_cut = self.cut(&mut steps);
        Schedule { changed: Some(steps), done: self.done, is_cut }
    }

    fn media(&self, step: &Step) -> Option<&Media> {
        match &self.messages[step.message] {
            Message::Media(media) => Some(media),
            _ => None,
        }
    }

    /// What strikes this frame, in the plan's order.
    fn suffered(&self, step: &Step, first_ms: u64) -> Vec<Fault> {
        let Some(media) = self.media(step) else { return Vec::new() };
        let at_ms = media.timestamp_ms.saturating_sub(first_ms);
        let fits = self.rules.iter().filter(|chosen| chosen.rule.fits(media, at_ms));
        let struck = fits.filter(|chosen| match chosen.rule.fault {
            Fault::Lost { share } | Fault::Doubled { share } | Fault::Late { share, .. } | Fault::OutOfOrder { share, .. } => {
                chosen.strikes(step.message, share)
            }
            Fault::Drift { .. } | Fault::AbruptClose { .. } => false,
        });
        struck.map(|chosen| chosen.rule.fault.clone()).collect()
    }

    fn is_lost(&mut self, step: &Step, first_ms: u64) -> bool {
        let is_lost = self.suffered(step, first_ms).iter().any(|fault| matches!(fault, Fault::Lost { .. }));
        if is_lost {
            self.count("lost");
        }
        is_lost
    }

    fn place(&mut self, step: &Step, first_ms: u64, recorded: &[Step], kept: &[bool], placed: &mut Vec<(Place, Step)>) {
        let drift_ms = self.drift_ms(step, first_ms);
        let step = Step { drift_ms, ..*step };
        if drift_ms != 0 {
            self.count("drift");
        }
        let mut place = (step.due_ms, step.message, false);
        let mut copies = 1;
        for fault in self.suffered(&step, first_ms) {
            match fault {
                Fault::Late { by_ms, .. } => place.0 += by_ms,
                Fault::OutOfOrder { by_frames, .. } => {
                    let Some(behind) = self.behind(&step, by_frames, kept) else { continue };
                    place = (place.0.max(recorded[behind].due_ms), behind, true);
                }
                Fault::Doubled { .. } => copies += 1,
                Fault::Lost { .. } | Fault::Drift { .. } | Fault::AbruptClose { .. } => continue,
            }
            self.count(match fault {
                Fault::Late { .. } => "late",
                Fault::OutOfOrder { .. } => "out_of_order",
                _ => "doubled",
            });
        }
        placed.extend(std::iter::repeat_n((place, step), copies));
    }

    /// The `by_frames`-th kept frame of the same track behind this one, or the last one; none if it is itself the last.
    fn behind(&self, step: &Step, by_frames: usize, kept: &[bool]) -> Option<usize> {
        let track = self.media(step)?.track;
        let later = self.messages.iter().enumerate().skip(step.message + 1);
        let same = |content: &Message| matches!(content, Message::Media(media) if media.track == track);
        later.filter(|(message, content)| kept[*message] && same(content)).take(by_frames).last().map(|(message, _)| message)
    }

    /// How far the sender's clock is off at this frame: the sum of what each rule's stretch of time has added until then.
    fn drift_ms(&self, step: &Step, first_ms: u64) -> i64 {
        let Some(media) = self.media(step) else { return 0 };
        let at_ms = media.timestamp_ms.saturating_sub(first_ms);
        let millionths = |chosen: &Chosen<'_>| match chosen.rule.fault {
            Fault::Drift { ppm } if chosen.rule.track.is_none_or(|track| track == media.track) => {
                let until = chosen.rule.to_ms.map_or(at_ms, |to_ms| at_ms.min(to_ms));
                i128::from(until.saturating_sub(chosen.rule.from_ms.unwrap_or(0))) * i128::from(ppm)
            }
            _ => 0,
        };
        let millionths: i128 = self.rules.iter().map(millionths).sum();
        let rounded = (millionths + 500_000 * millionths.signum()) / 1_000_000;
        i64::try_from(rounded).unwrap_or(0)
    }

    /// Takes away what would be sent after the connection is gone.
    fn cut(&mut self, steps: &mut Vec<Step>) -> bool {
        let close_at = |chosen: &Chosen<'_>| match chosen.rule.fault {
            Fault::AbruptClose { at_ms } => Some(at_ms),
            _ => None,
        };
        let Some(at_ms) = self.rules.iter().filter_map(close_at).min() else { return false };
        let length = steps.partition_point(|step| step.due_ms < at_ms);
        let is_cut = length < steps.len();
        if is_cut {
            steps.truncate(length);
            self.count("abrupt_close");
        }
        is_cut
    }

    fn count(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }
}

#[cfg(test)]
#[path = "faults_tests.rs"]
mod tests;
