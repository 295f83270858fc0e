//! A whole recording, recognised by the built-in engine.

use tokio::sync::mpsc;

use crate::{
    emulate::{recognition::spoken, script::Spoken, wire::Parameters},
    engine::{
        Heard,
        driver::{Pool, Results},
        ear::{Ear, Settings},
    },
};

/// Bytes handed to the ear between two looks at what has come back: 1 s.
const PIECE: usize = 8_000;

/// All that is said in it. Takes as long as that takes, and no longer than the engine needs: an ear that has much waiting is left to catch up.
pub(super) async fn hear(audio: &[u8], settings: &Settings, asked: &Parameters, pool: &Pool) -> Vec<Spoken> {
    let mut ear = Ear::new(Settings { interims: false, ..settings.clone() });
    let (results, mut outcomes) = mpsc::unbounded_channel();
    let mut words = Vec::new();
    for piece in audio.chunks(PIECE) {
        ear.handle_audio(piece);
        hand_in(&mut ear, pool, &results);
        while ear.is_full() {
            let Some((job, outcome)) = outcomes.recv().await else { break };
            ear.handle_recognised(job, outcome);
            hand_in(&mut ear, pool, &results);
        }
        // Others have their turn: a long recording is much to go through.
        tokio::task::yield_now().await;
    }
    ear.handle_flush();
    loop {
        hand_in(&mut ear, pool, &results);
        while let Some(heard) = ear.poll_heard() {
            match heard {
                Heard::Final(said) => words.extend(said),
                Heard::Flushed(said) => {
                    words.extend(said);
                    return spoken(words, asked);
                }
                Heard::Interim(_) | Heard::VoiceStarted { .. } | Heard::VoiceEnded { .. } => {}
            }
        }
        let Some((job, outcome)) = outcomes.recv().await else { return spoken(words, asked) };
        ear.handle_recognised(job, outcome);
    }
}

fn hand_in(ear: &mut Ear, pool: &Pool, results: &Results) {
    while let Some(job) = ear.poll_job() {
        pool.submit(job, results);
    }
}
