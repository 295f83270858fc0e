//! What the bridges of this process have logged, at every level.

use std::{
    io,
    sync::{Mutex, Once, PoisonError},
};

use tracing_subscriber::EnvFilter;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Kept;

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps what is logged from here on.
pub(crate) fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let filter = EnvFilter::new("pulse_bridge=trace");
        tracing_subscriber::fmt().with_ansi(false).with_env_filter(filter).with_writer(|| Kept).init();
    });
}

/// The lines that hold all of these words.
pub(crate) fn lines(words: &[&str]) -> Vec<String> {
    let kept = LINES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let text = String::from_utf8(kept).expect("log lines are text");
    text.lines().filter(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned).collect()
}
