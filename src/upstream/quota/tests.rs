//! The slots in virtual time.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn granted(quota: &mut Quota) -> Vec<Ticket> {
    std::iter::from_fn(|| quota.poll_output()).collect()
}

fn fill(in_use: usize, limit: usize, waiting: usize) -> Fill {
    Fill { in_use, limit, waiting }
}

/// A plan of so many slots, so many of them in use and open.
fn in_use(limit: usize, slots: usize, now: Instant) -> Quota {
    let mut quota = Quota::new(limit);
    for _ in 0..slots {
        quota.handle_request(1, Class::Reconnect, now);
        quota.handle_opened(now);
    }
    assert_eq!(granted(&mut quota).len(), slots);
    quota
}

#[test]
fn both_tracks_of_a_call_get_their_slots_or_neither_does() {
    let now = crate::clock::now();
    let mut quota = in_use(3, 2, now);
    let pair = quota.handle_request(2, Class::New, now);
    assert_eq!(granted(&mut quota), []);
    assert_eq!(quota.fill(), fill(2, 3, 2));
    quota.handle_freed(now);
    assert_eq!(granted(&mut quota), [pair]);
    assert_eq!(quota.fill(), fill(3, 3, 0));
}

#[test]
fn a_small_request_does_not_overtake_a_large_one_of_its_class() {
    let now = crate::clock::now();
    let mut quota = in_use(3, 2, now);
    let pair = quota.handle_request(2, Class::New, now);
    let single = quota.handle_request(1, Class::New, now);
    assert!(!quota.has_room(1, Class::New, now));
    quota.handle_freed(now);
    assert_eq!(granted(&mut quota), [pair]);
    quota.handle_freed(now);
    assert_eq!(granted(&mut quota), [single]);
}

#[test]
fn reconnects_come_first_and_have_a_share_that_new_calls_leave() {
    let now = crate::clock::now();
    let mut quota = in_use(100, 94, now);
    let new = [quota.handle_request(1, Class::New, now), quota.handle_request(1, Class::New, now)];
    assert_eq!(granted(&mut quota), new[..1], "the last five are kept");
    let again: Vec<Ticket> = (0..6).map(|_| quota.handle_request(1, Class::Reconnect, now)).collect();
    assert_eq!(granted(&mut quota), again[..5]);
    quota.handle_freed(now);
    assert_eq!(granted(&mut quota), again[5..]);
    assert_eq!([19, 20, 100, 1_000].map(reserve), [0, 1, 5, 50]);
}

#[test]
fn a_refusal_shrinks_the_view_to_what_is_open_and_it_grows_again_step_by_step() {
    let start = crate::clock::now();
    let mut quota = in_use(100, 40, start);
    let late = quota.handle_request(1, Class::Reconnect, start);
    assert_eq!(granted(&mut quota), [late]);
    quota.handle_refused(None, start);
    quota.handle_freed(start);
    let again = quota.handle_request(1, Class::Reconnect, start);
    assert_eq!((granted(&mut quota), quota.fill()), (vec![], fill(40, 40, 1)));
    assert_eq!(quota.poll_timeout(), Some(start + GROW_EVERY));
    quota.handle_timeout(start + GROW_EVERY);
    assert_eq!((granted(&mut quota), quota.fill()), (vec![again], fill(41, 41, 0)));
    quota.handle_timeout(start + 60 * GROW_EVERY);
    assert_eq!((quota.fill().limit, quota.poll_timeout()), (100, None));
}

#[test]
fn connections_that_open_all_the_same_undo_what_one_refusal_shrank() {
    let start = crate::clock::now();
    let mut quota = Quota::new(100);
    for _ in 0..40 {
        quota.handle_request(1, Class::Reconnect, start);
    }
    assert_eq!(granted(&mut quota).len(), 40);
    quota.handle_refused(None, start);
    quota.handle_freed(start);
    let again = quota.handle_requested_again(Class::Reconnect, start);
    assert_eq!(quota.fill(), fill(39, 1, 1));
    (0..39).for_each(|_| quota.handle_opened(start + SECOND));
    assert_eq!((granted(&mut quota), quota.fill()), (vec![], fill(39, 39, 1)));
    quota.handle_timeout(start + REFUSED_PAUSE + GROW_EVERY);
    assert_eq!((granted(&mut quota), quota.fill()), (vec![again], fill(40, 40, 0)));
}

#[test]
fn the_view_grows_faster_while_all_of_it_is_open_and_step_by_step_while_it_is_not() {
    let start = crate::clock::now();
    let limits = |proven: bool| {
        let mut quota = in_use(100, 1, start);
        quota.handle_refused(None, start);
        let steps = (1..=8).map(|step| {
            quota.handle_timeout(start + step * GROW_EVERY);
            while proven && quota.open < quota.view {
                quota.handle_opened(start + step * GROW_EVERY);
            }
            quota.view
        });
        steps.collect::<Vec<_>>()
    };
    assert_eq!(limits(true), [2, 4, 8, 16, 26, 36, 46, 56]);
    assert_eq!(limits(false), [2, 4, 5, 6, 7, 8, 9, 10], "nothing was open that would have told more");
}

#[test]
fn who_was_refused_comes_first_in_its_class_and_no_other() {
    let now = crate::clock::now();
    let mut quota = in_use(2, 2, now);
    let new = quota.handle_request(1, Class::New, now);
    let live = quota.handle_request(1, Class::Reconnect, now);
    let refused = quota.handle_requested_again(Class::New, now);
    let expected = [live, refused, new];
    for ticket in expected {
        quota.handle_freed(now);
        assert_eq!(granted(&mut quota), [ticket]);
    }
}

#[test]
fn a_service_that_wants_quiet_gets_it() {
    let start = crate::clock::now();
    let mut quota = in_use(10, 2, start);
    quota.handle_refused(Some(30 * SECOND), start);
    quota.handle_freed(start);
    let waits = quota.handle_request(1, Class::Reconnect, start);
    assert!(!quota.take_overlap(start + 29 * SECOND));
    quota.handle_timeout(start + 29 * SECOND);
    assert_eq!(granted(&mut quota), []);
    assert_eq!(quota.poll_timeout(), Some(start + 30 * SECOND));
    quota.handle_timeout(start + 30 * SECOND);
    assert_eq!(granted(&mut quota), [waits]);
}

#[test]
fn where_nothing_is_open_and_still_refused_the_next_try_waits() {
    let start = crate::clock::now();
    let mut quota = Quota::new(10);
    quota.handle_request(1, Class::New, start);
    granted(&mut quota);
    quota.handle_refused(None, start);
    quota.handle_freed(start);
    let again = quota.handle_request(1, Class::Reconnect, start);
    assert_eq!((granted(&mut quota), quota.fill()), (vec![], fill(0, 1, 1)));
    quota.handle_timeout(start + REFUSED_PAUSE);
    assert_eq!(granted(&mut quota), [again]);
}

#[test]
fn a_request_that_lost_its_tracks_is_none() {
    let now = crate::clock::now();
    let mut quota = in_use(2, 2, now);
    let gone = quota.handle_request(2, Class::New, now);
    let next = quota.handle_request(1, Class::New, now);
    quota.handle_withdrawn(gone, now);
    assert!(quota.is_waiting(gone));
    quota.handle_withdrawn(gone, now);
    assert!(!quota.is_waiting(gone));
    quota.handle_freed(now);
    assert_eq!(granted(&mut quota), [next]);
}

#[test]
fn an_overlap_takes_from_the_reserve_and_never_more() {
    let now = crate::clock::now();
    let mut quota = in_use(100, 95, now);
    assert!(!quota.has_room(1, Class::New, now));
    assert_eq!((0..6).filter(|_| quota.take_overlap(now)).count(), 5);
    quota.handle_freed(now);
    assert!(quota.take_overlap(now));
}

/// What may happen, with a number to choose by.
#[derive(Debug, Clone)]
enum Step {
    Ask(usize, bool),
    Withdraw(usize),
    Free,
    Refuse(Option<u64>),
    Pass(u64),
    Overlap,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..4, any::<bool>()).prop_map(|(slots, live)| Step::Ask(slots, live)),
        1 => any::<usize>().prop_map(Step::Withdraw),
        3 => Just(Step::Free),
        1 => prop::option::of(0_u64..20).prop_map(Step::Refuse),
        2 => (0_u64..8_000).prop_map(Step::Pass),
        1 => Just(Step::Overlap),
    ]
}

/// A quota and what its callers hold of it.
struct World {
    quota: Quota,
    now: Instant,
    waiting: Vec<(Ticket, usize)>,
    held: usize,
}

impl World {
    /// Takes what was granted, which keeps to the view of that moment.
    fn settle(&mut self) {
        let before = self.held;
        while let Some(ticket) = self.quota.poll_output() {
            let at = self.waiting.iter().position(|(waits, _)| *waits == ticket).expect("it waited");
            self.held += self.waiting.remove(at).1;
        }
        let fill = self.quota.fill();
        assert!(self.held == before || self.held <= fill.limit, "{} held of {fill:?}", self.held);
        assert_eq!(fill.in_use, self.held);
        assert_eq!(fill.waiting, self.waiting.iter().map(|(_, slots)| slots).sum::<usize>());
        assert!((1..=self.quota.limit()).contains(&fill.limit));
    }

    fn free(&mut self) {
        self.held -= 1;
        self.quota.handle_closed();
        self.quota.handle_freed(self.now);
        self.settle();
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Ask(slots, live) => {
                let class = if live { Class::Reconnect } else { Class::New };
                let ticket = self.quota.handle_request(slots, class, self.now);
                self.waiting.push((ticket, slots.min(self.quota.limit())));
                self.quota.handle_opened(self.now);
            }
            Step::Withdraw(which) if !self.waiting.is_empty() => {
                let at = which % self.waiting.len();
                self.waiting[at].1 -= 1;
                let ticket = self.waiting[at].0;
                self.waiting.retain(|(_, slots)| *slots > 0);
                self.quota.handle_withdrawn(ticket, self.now);
            }
            Step::Free if self.held > 0 => self.free(),
            Step::Refuse(after) if self.held > 0 => {
                self.quota.handle_refused(after.map(Duration::from_secs), self.now);
                self.free();
                let class = if after.is_some() { Class::New } else { Class::Reconnect };
                self.waiting.push((self.quota.handle_requested_again(class, self.now), 1));
                self.quota.handle_opened(self.now);
            }
            Step::Pass(ms) => {
                self.now += Duration::from_millis(ms);
                self.quota.handle_timeout(self.now);
            }
            Step::Overlap => self.held += usize::from(self.quota.take_overlap(self.now)),
            Step::Withdraw(_) | Step::Free | Step::Refuse(_) => {}
        }
        self.settle();
    }
}

proptest! {
    #[test]
    fn slots_never_exceed_are_always_freed_and_nobody_starves(limit in 1_usize..40, steps in prop::collection::vec(step(), 1..200)) {
        let mut world = World { quota: Quota::new(limit), now: crate::clock::now(), waiting: Vec::new(), held: 0 };
        for step in &steps {
            world.take(step);
        }
        // Whoever holds a slot is done with it at some time; then everybody has had one.
        for _ in 0..10_000 {
            if world.waiting.is_empty() && world.held == 0 {
                break;
            }
            world.take(&Step::Pass(1_000));
            world.take(&Step::Free);
        }
        prop_assert_eq!((world.waiting.len(), world.quota.fill().in_use), (0, 0));
    }
}
