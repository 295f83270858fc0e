//! The command: plays, asks what came out, says how it went.

use std::{io::Write, sync::Arc, time::Duration};

use anyhow::{bail, ensure};
use futures_util::{StreamExt, stream::FuturesUnordered};
use secrecy::SecretString;
use url::Url;

use super::{
    super::{
        Pace, Played, Progress, Recording, Settings,
        expect::{Comparison, Neutral, neutral},
        faults::Faults,
        report::{Tally, clock_time},
    },
    expected::Expectations,
    play_as,
    questions::{COMPLETED_WITHIN, Questions},
    screen::{PAINTED_EVERY, Screen},
};
use crate::clock;

/// What the `replay` command was given.
#[derive(Clone)]
pub struct Arguments {
    /// What is played, at least one; see [`super::load()`].
    pub recordings: Vec<Recording>,
    /// The bridge's media route; the command line's default is [`super::super::DEFAULT_TO`].
    pub to: Url,
    /// How fast.
    pub pace: Pace,
    /// How many calls at once, taking the recordings in turn; at least one for each recording.
    pub calls: usize,
    /// Signs the handshake with this account token.
    pub sign_with: Option<SecretString>,
    /// What goes wrong on the way.
    pub faults: Faults,
    /// What is to come out.
    pub expect: Option<Expect>,
    /// One JSON object a call in place of a line.
    pub json: bool,
}

impl Arguments {
    /// Plays to `to` at real time, each recording once, unsigned.
    #[must_use]
    pub fn new(recordings: Vec<Recording>, to: Url) -> Self {
        let pace = Pace::Times(1.0);
        Self { recordings, to, pace, calls: 1, sign_with: None, faults: Faults::default(), expect: None, json: false }
    }
}

/// What `--expect` was given.
#[derive(Clone)]
pub struct Expect {
    /// What is expected of each recording, or where that will be written.
    pub files: Expectations,
    /// Writes what comes, in place of comparing it.
    pub write: bool,
    /// How far each `…_ms` may be off.
    pub tolerance_ms: u64,
    /// The bridge's API token.
    pub token: Option<SecretString>,
    /// How long after a call's end its last event may take.
    pub within: Duration,
}

impl Expect {
    /// Compares to the millisecond, within the longest time that a bridge may take.
    #[must_use]
    pub fn new(files: Expectations) -> Self {
        Self { files, write: false, tolerance_ms: 0, token: None, within: COMPLETED_WITHIN }
    }
}

/// What came of a call: its result, and its events or why there are none.
struct Over {
    played: Played,
    events: Option<(Vec<Neutral>, Option<String>)>,
}

/// Plays everything and prints a line for each call to `out`, the verdict last.
///
/// # Errors
/// If a call did not go through or its events are not what is expected; if nothing could be played. One line.
pub async fn command(mut arguments: Arguments, out: &mut (impl Write + Send)) -> anyhow::Result<()> {
    let recordings = std::mem::take(&mut arguments.recordings);
    ensure!(!recordings.is_empty(), "nothing to play; name a fixture's folder, a log of Twilio messages or a WAV file");
    let settings = Settings {
        pace: arguments.pace,
        sign_with: arguments.sign_with.take(),
        faults: Arc::new(std::mem::take(&mut arguments.faults)),
        ..Settings::new(arguments.to.clone())
    };
    let mut expect = arguments.expect.take();
    let questions = expect.as_ref().map(|expect| Questions::new(&settings.to, expect.token.clone(), settings.dialler.clone()));
    if let Some(questions) = &questions {
        questions.check().await?;
    }
    let calls: Vec<&Recording> = recordings.iter().cycle().take(arguments.calls.max(recordings.len())).collect();
    let length_ms = calls.iter().map(|recording| recording.length_ms()).max().unwrap_or(0);
    let frames = calls.iter().map(|recording| recording.media_messages()).sum();
    let mut screen = Screen::new(out, arguments.json, calls.len(), frames, length_ms);
    announce(&screen, &recordings, calls.len(), length_ms, arguments.pace);
    let (progress, within) = (Progress::default(), expect.as_ref().map_or(COMPLETED_WITHIN, |expect| expect.within));
    let one = |number: u32, recording| call(number, recording, &settings, &progress, questions.as_ref(), within);
    let mut playing: FuturesUnordered<_> = calls.iter().zip(1..).map(|(recording, number)| one(number, recording)).collect();
    let mut tally = Tally::default();
    loop {
        tokio::select! {
            over = playing.next() => {
                let Some(over) = over else { break };
                let played = judged(over, expect.as_mut(), &screen);
                screen.show(&played)?;
                tally.add(&played);
            }
            () = clock::sleep_until(Some(clock::now() + PAINTED_EVERY)) => screen.paint(&progress),
        }
    }
    let is_watched = screen.close();
    if !arguments.json {
        screen.print(&tally.to_string())?;
    }
    if is_watched {
        screen.say(tally.next());
    }
    tally.verdict().map_or(Ok(()), |why| bail!(why))
}

/// What is about to happen, and what of it is not as it was recorded.
fn announce<W: Write>(screen: &Screen<'_, W>, recordings: &[Recording], calls: usize, length_ms: u64, pace: Pace) {
    for note in recordings.iter().flat_map(|recording| &recording.notes) {
        screen.say(&format!("warn:  {note}"));
    }
    let pace = match pace {
        Pace::Max => "as fast as the bridge takes it".to_owned(),
        Pace::Times(times) => format!("{times} times as fast as it was spoken"),
    };
    let noun = if calls == 1 { "call" } else { "calls" };
    screen.say(&format!("playing  {calls} {noun}, the longest {}, {pace}", clock_time(length_ms)));
}

/// One call to its end, and then its events.
async fn call(
    number: u32,
    recording: &Recording,
    settings: &Settings,
    progress: &Progress,
    questions: Option<&Questions>,
    within: Duration,
) -> Over {
    let mut played = play_as(number, recording, settings, progress).await;
    let Some(questions) = questions.filter(|_| played.error.is_none()) else { return Over { played, events: None } };
    let ended = clock::now();
    match questions.events_of(&played.call_sid, within).await {
        Ok((events, problem)) => {
            let after = clock::now().saturating_duration_since(ended);
            let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            played.completed_after_ms = problem.is_none().then_some(after_ms);
            Over { played, events: Some((neutral(events), problem)) }
        }
        Err(why) => {
            played.error = Some(format!("{why:#}"));
            Over { played, events: None }
        }
    }
}

/// Compares a call's events with what is expected, or keeps them as that.
fn judged<W: Write>(over: Over, expect: Option<&mut Expect>, screen: &Screen<'_, W>) -> Played {
    let Over { mut played, events } = over;
    let (Some(expect), Some((got, problem))) = (expect, events) else { return played };
    if expect.write && problem.is_none() && expect.files.of(&played.recording).is_none() {
        match expect.files.write(&played.recording, &got) {
            Ok(path) => screen.say(&format!("wrote   {}: {} events", path.display(), got.len())),
            Err(why) => played.error = Some(format!("{why:#}")),
        }
    }
    // What was just written is compared too: a second call of the recording must give the same.
    let expected = expect.files.of(&played.recording).unwrap_or_default();
    let compared = Comparison::new(expected, &got, expect.tolerance_ms);
    played.expect = Some(Comparison { problem: problem.or(compared.problem), ..compared });
    played
}
