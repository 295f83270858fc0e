use std::sync::mpsc as steps;

use super::*;
use crate::engine::RecognisedWord;

/// Tells which piece it begins (by its length), and goes on when it is let.
struct Gated {
    begun: steps::Sender<usize>,
    go_on: steps::Receiver<()>,
}

impl Recognise for Gated {
    fn recognise(&mut self, samples: &[f32], is_given_up: &dyn Fn() -> bool) -> Outcome {
        self.begun.send(samples.len()).unwrap();
        self.go_on.recv().unwrap();
        assert_ne!(samples.len(), 13, "a bug");
        if is_given_up() {
            return Outcome::Shed;
        }
        Outcome::Recognised(vec![RecognisedWord { text: samples.len().to_string(), confidence: 1.0 }])
    }
}

struct Rig {
    pool: Pool,
    begun: steps::Receiver<usize>,
    go_on: steps::Sender<()>,
}

impl Rig {
    fn new() -> Self {
        let ((begin, begun), (go_on, wait)) = (steps::channel(), steps::channel());
        Self { pool: Pool::start(vec![Box::new(Gated { begun: begin, go_on: wait })]), begun, go_on }
    }

    /// Hands in a piece of that length, which is also its id.
    fn submit(&self, length: usize, urgency: Urgency, results: &Results) {
        self.pool.submit(Job { id: length as u64, urgency, samples: vec![0.0; length].into() }, results);
    }

    /// Lets it work until it has begun that piece.
    fn until_begun(&self, length: usize) {
        assert_eq!(self.begun.recv().unwrap(), length);
    }

    fn go_on(&self) {
        self.go_on.send(()).unwrap();
    }
}

/// The words of the next result, or that it was left out.
fn next(results: &mut mpsc::UnboundedReceiver<(u64, Outcome)>) -> (u64, Option<String>) {
    match results.blocking_recv().unwrap() {
        (id, Outcome::Recognised(words)) => (id, Some(words.into_iter().map(|word| word.text).collect())),
        (id, Outcome::Shed) => (id, None),
        (id, Outcome::Failed) => panic!("{id} failed"),
    }
}

#[test]
fn finals_come_first_and_in_their_order_and_an_interim_under_way_gives_way() {
    let rig = Rig::new();
    let (results, mut told) = mpsc::unbounded_channel();
    rig.submit(1, Urgency::Interim, &results);
    rig.until_begun(1);
    rig.submit(2, Urgency::Final, &results);
    rig.submit(3, Urgency::Pause, &results);
    rig.submit(4, Urgency::Final, &results);
    rig.go_on();
    assert_eq!(next(&mut told), (3, None), "a pause is left out where a final waits");
    assert_eq!(next(&mut told), (1, None), "and so is an interim under way");
    for final_ in [2, 4] {
        rig.until_begun(final_);
        assert!(rig.pool.lag() > Duration::ZERO);
        rig.go_on();
        assert_eq!(next(&mut told), (final_ as u64, Some(final_.to_string())));
    }
    assert_eq!((rig.pool.shed(), rig.pool.failed(), rig.pool.lag()), (2, 0, Duration::ZERO));
    assert!(rig.pool.steps() >= 3);
}

#[test]
fn of_one_stream_the_newest_interim_waits_and_of_another_its_own() {
    let rig = Rig::new();
    let ((one, mut told), (other, mut told_other)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    rig.submit(1, Urgency::Final, &one);
    rig.until_begun(1);
    rig.submit(2, Urgency::Interim, &one);
    rig.submit(3, Urgency::Interim, &other);
    rig.submit(4, Urgency::Interim, &one);
    assert_eq!(next(&mut told), (2, None));
    for length in [1, 3, 4] {
        rig.go_on();
        if length < 4 {
            rig.until_begun(if length == 1 { 3 } else { 4 });
        }
    }
    assert_eq!([next(&mut told).0, next(&mut told).0, next(&mut told_other).0], [1, 4, 3]);
}

#[test]
fn a_bug_on_one_piece_is_told_and_counted_and_the_next_is_recognised() {
    let rig = Rig::new();
    let (results, mut told) = mpsc::unbounded_channel();
    rig.submit(13, Urgency::Final, &results);
    rig.submit(2, Urgency::Final, &results);
    for length in [13, 2] {
        rig.until_begun(length);
        rig.go_on();
    }
    assert_eq!(told.blocking_recv().unwrap(), (13, Outcome::Failed));
    assert_eq!((next(&mut told), rig.pool.failed()), ((2, Some("2".to_owned())), 1));
}

#[test]
fn what_a_stream_waits_for_that_is_gone_is_not_worked_on() {
    let rig = Rig::new();
    let ((results, mut told), (gone, leaving)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    rig.submit(1, Urgency::Final, &results);
    rig.until_begun(1);
    rig.submit(2, Urgency::Final, &gone);
    rig.submit(3, Urgency::Final, &results);
    drop(leaving);
    rig.go_on();
    rig.until_begun(3);
    rig.go_on();
    assert_eq!([next(&mut told).0, next(&mut told).0], [1, 3]);
}

#[test]
fn closing_gives_up_what_is_under_way_and_waits_until_nobody_works_any_more() {
    let rig = Rig::new();
    let (results, mut told) = mpsc::unbounded_channel();
    rig.submit(1, Urgency::Final, &results);
    rig.until_begun(1);
    rig.submit(2, Urgency::Final, &results);
    assert!(!rig.pool.close(Duration::ZERO), "somebody works");
    rig.go_on();
    assert!(rig.pool.close(Duration::from_mins(1)));
    assert_eq!(next(&mut told), (1, None));
    assert!(rig.begun.try_recv().is_err(), "nothing more is begun");
}
