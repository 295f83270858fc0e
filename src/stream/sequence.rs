//! What the sender's message numbers prove: that nothing between two messages was lost or reordered.
//!
//! Promises: a gap in the numbers or a step back starts a new run; two messages of the same run have
//! everything numbered between them in order; a message without a number proves nothing. A number that is skipped counts as missing until
//! its message comes. Numbers that wrap, start over or leap cost one break and nothing else.

/// Follows the numbers of all messages of one stream.
#[derive(Debug, Default)]
pub struct Sequence {
    last: Option<u64>,
    run: u64,
    /// Messages in unbroken order; starts high once the first two fit, falls to 0 with a break.
    unbroken: u32,
    highest: u64,
    /// A number far behind; if the next one follows it the sender has started over.
    behind: Option<u64>,
    /// Which of the highest number and the 63 before it came, the highest in the lowest bit.
    came: u64,
    missing: u64,
}

/// What one message's number proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The unbroken run it belongs to; `None` if it has no number, so that nothing is proved.
    pub run: Option<u64>,
    /// Whether it is certain enough that no earlier message is still on its way.
    pub settled: bool,
    /// How many messages were skipped so far and have not come since.
    pub missing: u64,
}

impl Step {
    /// What a message proves that has no number.
    pub const UNKNOWN: Self = Self { run: None, settled: false, missing: 0 };
}

/// Messages in order after a break before the order counts as settled again; twice the reorder window, for two tracks.
const SETTLED: u32 = 10;
/// More numbers skipped at once are a leap, and prove no loss: a minute of two tracks.
const LEAP: u64 = 6_000;

impl Sequence {
    /// Notes the next message's number.
    pub fn note(&mut self, sequence: Option<u64>) -> Step {
        let Some(sequence) = sequence else { return Step::UNKNOWN };
        self.count(sequence);
        match self.last.replace(sequence) {
            Some(last) if last.checked_add(1) == Some(sequence) => {
                self.unbroken = if self.run == 0 { SETTLED } else { self.unbroken.saturating_add(1) };
            }
            None => {}
            Some(_) => {
                self.run += 1;
                self.unbroken = 0;
            }
        }
        Step { run: Some(self.run), settled: self.unbroken >= SETTLED, missing: self.missing }
    }

    /// How many messages were skipped so far and have not come since.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Keeps count of what is missing.
    fn count(&mut self, sequence: u64) {
        let (ahead, back) = (sequence.saturating_sub(self.highest), self.highest.saturating_sub(sequence));
        let is_behind = back >= u64::from(u64::BITS);
        let follows = self.behind.is_some_and(|behind| behind.checked_add(1) == Some(sequence));
        self.behind = is_behind.then_some(sequence);
        if self.last.is_none() || ahead > LEAP || is_behind && follows {
            (self.highest, self.came, self.behind) = (sequence, u64::MAX, None);
        } else if is_behind {
            // One message that is very late, or comes twice, moves nothing.
        } else if ahead > 0 {
            self.missing += ahead - 1;
            self.came = u32::try_from(ahead).ok().and_then(|ahead| self.came.checked_shl(ahead)).unwrap_or(0) | 1;
            self.highest = sequence;
        } else if self.came >> back & 1 == 0 {
            self.came |= 1 << back;
            self.missing -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(numbers: &[Option<u64>]) -> Vec<(Option<u64>, bool)> {
        let mut sequence = Sequence::default();
        numbers.iter().map(|number| sequence.note(*number)).map(|step| (step.run, step.settled)).collect()
    }

    #[test]
    fn numbers_in_order_are_one_settled_run_from_the_second_on() {
        assert_eq!(steps(&[Some(1), Some(2), Some(3)]), [(Some(0), false), (Some(0), true), (Some(0), true)]);
    }

    #[test]
    fn a_hole_and_a_step_back_each_start_a_run_and_a_missing_number_does_not() {
        let runs = |numbers: &[Option<u64>]| steps(numbers).iter().map(|step| step.0).collect::<Vec<_>>();
        assert_eq!(runs(&[Some(1), Some(3), Some(2), Some(4)]), [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(runs(&[Some(u64::MAX), Some(0), Some(1)]), [Some(0), Some(1), Some(1)]);
        assert_eq!(runs(&[Some(1), None, Some(2)]), [Some(0), None, Some(0)]);
    }

    #[test]
    fn what_is_skipped_is_missing_until_it_comes_and_what_comes_twice_or_leaps_counts_for_nothing() {
        let missing = |numbers: &[u64]| {
            let mut sequence = Sequence::default();
            numbers.iter().map(|number| sequence.note(Some(*number)).missing).collect::<Vec<_>>()
        };
        assert_eq!(missing(&[5, 6, 9, 9, 7, 7, 10, 8, 11]), [0, 0, 2, 2, 1, 1, 1, 0, 0]);
        assert_eq!(missing(&[1, 200, 199, 1, 2, 4, 3]), [0, 198, 197, 197, 197, 198, 197]);
        assert_eq!(missing(&[500, 501, 400, 502, 503]), [0; 5]);
        assert_eq!(missing(&[1, 7_000, 7_001, 0, 1, u64::MAX, u64::MAX]), [0; 7]);
    }

    #[test]
    fn after_a_break_it_takes_ten_messages_to_settle() {
        let numbers: Vec<Option<u64>> = [1, 2].into_iter().chain(5..18).map(Some).collect();
        let settled: Vec<bool> = steps(&numbers).iter().map(|step| step.1).collect();
        assert_eq!(settled.iter().skip(2).position(|settled| *settled), Some(10));
    }
}
