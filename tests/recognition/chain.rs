//! Telephone audio through the live chain of the built-in engine: frames of 20 ms, voice, segments, interims, finals.
//!
//! Promises: the outcome of each job is waited for before the next frame comes, so that the same audio gives the same words on any machine, however
//! busy; the words are those of a call on a machine that keeps up.

use std::path::{Path, PathBuf};

use pulse_bridge::engine::{
    Heard, Word,
    driver::{Pool, install, moonshine},
    ear::{Coding, Ear, Settings},
    files::Model,
};
use tokio::sync::mpsc;

/// Bytes of a frame: 20 ms.
const FRAME: usize = 160;
/// Quiet that ends an utterance, as the documents advise for calls.
const EOU_TIMEOUT_MS: u64 = 600;

/// The engine with one thread a core.
pub(crate) struct Chain {
    pool: Pool,
    numbers: bool,
}

/// What was heard of one stream.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// The words of the finals, in the order of the audio.
    pub(crate) words: Vec<Word>,
    pub(crate) finals: usize,
    pub(crate) interims: usize,
    /// What was handed to the models.
    pub(crate) jobs: usize,
}

impl Chain {
    /// Loads the engine; `None` where its files are not there.
    pub(crate) fn load(data: &Path, model: Model) -> Option<Self> {
        let files = install::find(data, model).map_err(|missing| eprintln!("{missing}")).ok()?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let pool = moonshine::load(&files, model, threads).expect("an engine that is complete can be loaded");
        Some(Self { pool, numbers: false })
    }

    /// The same engine, with numbers in figures.
    pub(crate) fn with_numbers(&self) -> Self {
        Self { pool: self.pool.clone(), numbers: true }
    }

    /// Hears mu-law audio of 8 kHz to its end, and flushes.
    pub(crate) fn hear(&self, audio: &[u8]) -> Session {
        let settings = Settings {
            coding: Coding::Mulaw,
            sample_rate: 8_000,
            eou_timeout_ms: EOU_TIMEOUT_MS,
            interims: true,
            numbers: self.numbers,
        };
        let (mut ear, mut session) = (Ear::new(settings), Session::default());
        for frame in audio.chunks(FRAME) {
            ear.handle_audio(frame);
            self.work(&mut ear, &mut session);
        }
        ear.handle_flush();
        self.work(&mut ear, &mut session);
        session
    }

    /// Does all jobs there are, and takes what was heard.
    fn work(&self, ear: &mut Ear, session: &mut Session) {
        while let Some(job) = ear.poll_job() {
            let (results, mut outcomes) = mpsc::unbounded_channel();
            self.pool.submit(job, &results);
            let (job, outcome) = outcomes.blocking_recv().expect("each job has an outcome");
            ear.handle_recognised(job, outcome);
            session.jobs += 1;
        }
        while let Some(heard) = ear.poll_heard() {
            match heard {
                Heard::Interim(_) => session.interims += 1,
                Heard::Final(words) | Heard::Flushed(words) => {
                    session.finals += usize::from(!words.is_empty());
                    session.words.extend(words);
                }
                Heard::VoiceStarted { .. } | Heard::VoiceEnded { .. } => {}
            }
        }
    }
}

impl Session {
    /// All words, as one line.
    pub(crate) fn text(&self) -> String {
        self.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// The data folder of the working tree.
pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}
