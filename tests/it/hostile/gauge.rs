//! Figures out of what was measured: shares of a histogram and of a list, and a line for people.

use std::{ops::Sub, time::Duration};

/// A histogram as `/metrics` gives it: upper bounds in seconds, each with how many were at or below it.
pub(crate) struct Spread(Vec<(f64, f64)>);

impl Spread {
    pub(crate) fn of_metrics(text: &str, name: &str) -> Self {
        let begin = format!("{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix(&begin)?.split_once("\"} ")?;
            Some((bound.parse().unwrap_or(f64::INFINITY), count.split(' ').next()?.parse().ok()?))
        };
        Self(text.lines().filter_map(bucket).collect())
    }

    fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// The time that this share of all did not pass, in milliseconds, within its bucket by its place among those of the bucket.
    fn share_ms(&self, share: f64) -> f64 {
        let wanted = self.count() * share;
        let mut below = (0.0, 0.0);
        for (bound, count) in &self.0 {
            if *count >= wanted {
                let within = (wanted - below.1) / (count - below.1).max(1.0);
                return (below.0 + (bound - below.0) * within) * 1_000.0;
            }
            below = (*bound, *count);
        }
        f64::INFINITY
    }
}

impl Sub for Spread {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self(self.0.into_iter().zip(before.0).map(|((bound, now), (_, then))| (bound, now - then)).collect())
    }
}

fn share_ms(sorted: &[Duration], share: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
    let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
}

/// One phase as a line.
pub(crate) fn figures(phase: &str, inside: &Spread, outside: &[Duration], cpu: f64, resident_mb: u64) -> String {
    format!(
        "{phase:<10} {:>9.3} ms {:>7.3} ms {:>9.3} ms {:>7.3} ms {:>7.1} ms {cpu:>8.1} s {resident_mb:>5} MB   {} chunks",
        inside.share_ms(0.5),
        inside.share_ms(0.99),
        share_ms(outside, 0.5),
        share_ms(outside, 0.99),
        share_ms(outside, 1.0),
        outside.len()
    )
}
