//! What the sender's message numbers prove: that nothing between two messages was lost or reordered.
//!
//! Promises: a gap in the numbers or a step back starts a new run; two messages of the same run have
//! everything numbered between them in order; a message without a number proves nothing. Numbers that wrap or start over cost one break and nothing else.

/// Follows the numbers of all messages of one stream.
#[derive(Debug, Default)]
pub struct Sequence {
    last: Option<u64>,
    run: u64,
    /// Messages in unbroken order; starts high once the first two fit, falls to 0 with a break.
    unbroken: u32,
}

/// What one message's number proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The unbroken run it belongs to; `None` if it has no number, so that nothing is proved.
    pub run: Option<u64>,
    /// Whether it is certain enough that no earlier message is still on its way.
    pub settled: bool,
}

impl Step {
    /// What a message proves that has no number.
    pub const UNKNOWN: Self = Self { run: None, settled: false };
}

/// Messages in order after a break before the order counts as settled again; twice the reorder window, for two tracks.
const SETTLED: u32 = 10;

impl Sequence {
    /// Notes the next message's number.
    pub fn note(&mut self, sequence: Option<u64>) -> Step {
        let Some(sequence) = sequence else { return Step::UNKNOWN };
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
        Step { run: Some(self.run), settled: self.unbroken >= SETTLED }
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
    fn after_a_break_it_takes_ten_messages_to_settle() {
        let numbers: Vec<Option<u64>> = [1, 2].into_iter().chain(5..18).map(Some).collect();
        let settled: Vec<bool> = steps(&numbers).iter().map(|step| step.1).collect();
        assert_eq!(settled.iter().skip(2).position(|settled| *settled), Some(10));
    }
}
