//! How many requests may begin in a minute.
//!
//! Promises: pure; in no span of [`SPAN`] do more begin than the plan allows (protocols/pulse.md section 7, Idle and length).

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// A minute, and a little for requests that arrive closer together than they left.
const SPAN: Duration = Duration::from_secs(61);

/// The beginnings of the last minute.
#[derive(Debug)]
pub(in crate::upstream) struct Rate {
    per_minute: usize,
    begun: VecDeque<Instant>,
}

impl Rate {
    /// At most `per_minute` of them; at least one.
    pub(in crate::upstream) fn new(per_minute: usize) -> Self {
        Self { per_minute: per_minute.max(1), begun: VecDeque::new() }
    }

    /// The one that was begun at this time was no request in the end.
    pub(in crate::upstream) fn undo(&mut self, at: Instant) {
        if let Some(place) = self.begun.iter().rposition(|begun| *begun == at) {
            self.begun.remove(place);
        }
    }

    /// Begins one now, or says when there will be room.
    pub(in crate::upstream) fn begin(&mut self, now: Instant) -> Result<(), Instant> {
        while self.begun.pop_front_if(|begun| *begun + SPAN <= now).is_some() {}
        match self.begun.front() {
            Some(oldest) if self.begun.len() >= self.per_minute => Err(*oldest + SPAN),
            _ => {
                self.begun.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn no_minute_sees_more_than_the_plan_allows() {
        let (start, mut rate) = (clock::now(), Rate::new(3));
        let second = Duration::from_secs(1);
        for at in [0, 10, 20] {
            assert_eq!(rate.begin(start + second * at), Ok(()));
        }
        assert_eq!(rate.begin(start + second * 30), Err(start + SPAN));
        assert_eq!(rate.begin(start + second * 61), Ok(()), "the first one is a minute old");
        assert_eq!(rate.begin(start + second * 62), Err(start + second * 10 + SPAN));
        rate.undo(start + second * 61);
        rate.undo(start + second * 5);
        assert_eq!(rate.begin(start + second * 62), Ok(()), "what was no request leaves its room");
        assert_eq!(rate.begin(start + second * 63), Err(start + second * 10 + SPAN));
    }
}
