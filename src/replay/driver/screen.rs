//! Progress for people: a bar where stderr is a terminal, a line now and then elsewhere, nothing beside JSON.

use std::{
    io::{IsTerminal, Write},
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use super::super::{Played, Progress, report::clock_time};
use crate::clock;

/// How often the bar is painted.
pub(super) const PAINTED_EVERY: Duration = Duration::from_millis(200);
/// How often a line says how far it is, without a terminal.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Where a command shows what happens.
pub(super) struct Screen<'a, W> {
    out: &'a mut W,
    json: bool,
    bar: Option<ProgressBar>,
    calls: usize,
    length_ms: u64,
    say_at: Instant,
}

impl<'a, W: Write> Screen<'a, W> {
    /// For so many calls, so many media messages, of which the longest call is so long.
    pub(super) fn new(out: &'a mut W, json: bool, calls: usize, frames: u64, length_ms: u64) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = (is_terminal && !json).then(|| {
            let style = ProgressStyle::with_template("playing  {bar:24} {msg}").expect("the template is well-formed");
            ProgressBar::new(frames).with_style(style)
        });
        Self { out, json, bar, calls, length_ms, say_at: clock::now() + SAID_EVERY }
    }

    /// A line on stderr, unless all is JSON.
    pub(super) fn say(&self, line: &str) {
        // Nobody may be reading; that is no reason to stop.
        let write = || drop(writeln!(std::io::stderr(), "{line}"));
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None if self.json => {}
            None => write(),
        }
    }

    /// A call that is over.
    pub(super) fn show(&mut self, played: &Played) -> anyhow::Result<()> {
        let mut text = if self.json { serde_json::to_string(played)? } else { played.to_string() };
        if let Some(expect) = played.expect.as_ref().filter(|_| !self.json) {
            text += "\n";
            text += &expect.shown(&played.recording);
        }
        self.print(&text)
    }

    /// Data on stdout, whole lines.
    pub(super) fn print(&mut self, text: &str) -> anyhow::Result<()> {
        let out = &mut *self.out;
        let written = match &self.bar {
            Some(bar) => bar.suspend(|| writeln!(out, "{text}")),
            None => writeln!(out, "{text}"),
        };
        match written.and_then(|()| self.out.flush()) {
            Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => Err(why).context("failed to print"),
            _ => Ok(()),
        }
    }

    /// How far everything is, if it is time to say so.
    pub(super) fn paint(&mut self, progress: &Progress) {
        let (done, at_ms) = (progress.done.load(Relaxed), progress.at_ms.load(Relaxed));
        let words = if done < self.calls as u64 {
            format!("{done} of {} calls done, {} of {}", self.calls, clock_time(at_ms), clock_time(self.length_ms.max(at_ms)))
        } else {
            "all calls done, waiting for their last events".to_owned()
        };
        if let Some(bar) = &self.bar {
            bar.set_position(progress.sent.load(Relaxed));
            bar.set_message(words);
        } else if clock::now() >= self.say_at {
            self.say_at = clock::now() + SAID_EVERY;
            self.say(&format!("playing  {words}"));
        }
    }

    /// Takes the bar away; whether there was one, so that a person reads this.
    pub(super) fn close(&mut self) -> bool {
        self.bar.take().inspect(ProgressBar::finish_and_clear).is_some()
    }
}
