//! What this process has taken of the machine so far, as Linux tells it; and counts as fractions.

/// Ticks a second in /proc: the same on every Linux.
const TICKS: f64 = 100.0;

/// Seconds of processor time, of all threads.
pub(crate) fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has /proc");
    // The name may have spaces; the numbers stand behind its bracket, `utime` and `stime` the twelfth and thirteenth.
    let numbers = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    numbers.skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / TICKS
}

/// Memory in MB: now and at most.
pub(crate) fn memory_mb() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux tells it");
        line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).expect("a number") / 1024.0
    };
    (of("VmRSS:"), of("VmHWM:"))
}

/// How long so many bytes of mu-law last.
pub(crate) fn seconds(bytes: usize) -> f64 {
    share(bytes, 8_000)
}

/// The part of the whole.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(crate) const fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}
