//! Any interleaving of events, verdicts, retries, pauses and restarts, against a store that is a list.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The most that the ledger holds here, and the most that is read at once: small, so that the rest waits in the store.
const HELD: usize = 6;
const LOAD: usize = 2;
const SESSIONS: u64 = 3;

#[derive(Debug, Clone)]
enum Step {
    /// The next event of a session is stored.
    Event(u64),
    /// One of the attempts under way ends.
    End(usize, End),
    /// A delivery is asked for again by hand, if it is there.
    Retry(usize),
    /// All are, or all that are parked.
    RetryAll(bool),
    Pass(u64),
    Restart,
    Erase(usize),
}

#[derive(Debug, Clone, Copy)]
enum End {
    Delivered,
    Failed,
    Later(u64),
    Parked,
    Paused,
    Unstored,
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        6 => Just(End::Delivered),
        4 => Just(End::Failed),
        1 => (1..90_u64).prop_map(End::Later),
        1 => Just(End::Parked),
        1 => Just(End::Paused),
        1 => Just(End::Unstored),
    ];
    prop_oneof![
        10 => (0..SESSIONS).prop_map(Step::Event),
        12 => (any::<usize>(), end).prop_map(|(at, end)| Step::End(at, end)),
        3 => any::<usize>().prop_map(Step::Retry),
        1 => any::<bool>().prop_map(Step::RetryAll),
        3 => (1..400_u64).prop_map(Step::Pass),
        1 => Just(Step::Restart),
        1 => any::<usize>().prop_map(Step::Erase),
    ]
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Pending,
    Done,
    Parked,
}

struct Stored {
    session: u64,
    seq: u64,
    place: u64,
    state: State,
    leased: bool,
    used: u32,
    at: Instant,
    /// It was done or parked once: the receiver has seen the jump, and it comes when it comes.
    jumped: bool,
}

/// The store, the feed and the drivers' part in one.
struct Bridge {
    rows: BTreeMap<u64, Stored>,
    events: u64,
    place: u64,
    paused: bool,
    fed: u64,
    searched: u64,
    world: World,
    under_way: Vec<Begin>,
    ordered: bool,
}

impl Bridge {
    fn new(ordered: bool) -> Self {
        let world = World::new(&[("crm", ordered)]);
        let mut bridge = Self {
            rows: BTreeMap::new(),
            events: 0,
            place: 0,
            paused: false,
            fed: 0,
            searched: 0,
            world,
            under_way: Vec::new(),
            ordered,
        };
        bridge.restart();
        bridge
    }

    fn restart(&mut self) {
        let now = self.world.now;
        self.world = World::new(&[("crm", self.ordered)]);
        self.world.now = now;
        self.world.ledger.held_max = HELD;
        (self.fed, self.searched) = (0, self.place);
        self.under_way.clear();
        self.rows.values_mut().for_each(|row| row.leased = false);
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Event(session) => {
                // One count for all: what was erased never comes again under the same number.
                self.events += 1;
                self.place += 1;
                let (session, seq, place, at) = (*session, self.events, self.place, self.world.now);
                self.rows.insert(
                    seq,
                    Stored { session, seq, place, state: State::Pending, leased: false, used: 0, at, jumped: false },
                );
            }
            Step::End(_, _) if self.under_way.is_empty() => {}
            Step::End(at, end) => {
                let begin = self.under_way.remove(at % self.under_way.len());
                self.end(&begin, *end);
            }
            Step::Retry(at) => {
                let ids: Vec<u64> = self.rows.keys().copied().collect();
                if !ids.is_empty() {
                    self.retry(&[ids[at % ids.len()]]);
                }
            }
            Step::RetryAll(only_parked) => {
                let fits = |row: &Stored| !only_parked || row.state == State::Parked;
                let ids: Vec<u64> = self.rows.iter().filter(|(_, row)| fits(row)).map(|(id, _)| *id).collect();
                self.retry(&ids);
            }
            Step::Pass(seconds) => self.world.pass(*seconds),
            Step::Restart => self.restart(),
            Step::Erase(at) if !self.rows.is_empty() => {
                let session = self.rows.values().nth(at % self.rows.len()).unwrap().session;
                self.rows.retain(|_, row| row.session != session);
            }
            Step::Erase(_) => {}
        }
        self.feed();
    }

    /// What `store/queue.rs` does with a retry.
    fn retry(&mut self, ids: &[u64]) {
        let mut first = BTreeMap::<u64, u64>::new();
        for id in ids {
            let row = self.rows.get_mut(id).unwrap();
            row.jumped |= row.state != State::Pending;
            (row.state, row.leased, row.used, row.at) = (State::Pending, false, 0, self.world.now);
            let seq = first.entry(row.session).or_insert(row.seq);
            *seq = row.seq.min(*seq);
        }
        for (session, from) in first {
            for row in self.rows.values_mut() {
                if row.session == session && row.seq >= from && row.state == State::Pending {
                    self.place += 1;
                    row.place = self.place;
                }
            }
            self.paused = false;
        }
    }

    fn end(&mut self, begin: &Begin, end: End) {
        let id = number(begin.id);
        let now = self.world.now;
        let ill = |verdict| match begin.probe {
            Some(_) => schedule::after_probe(begin.used, verdict, Duration::ZERO, 7),
            None => schedule::next(begin.used, verdict, 7),
        };
        let next = match end {
            End::Delivered => Next::Delivered,
            End::Failed => ill(Verdict::Retry),
            End::Later(seconds) => ill(Verdict::RetryAfter(Duration::from_secs(seconds))),
            End::Parked => Next::Parked,
            End::Paused => Next::Paused,
            End::Unstored => return self.world.ledger.handle_settled(begin.id, Settled::Unstored, now),
        };
        let Some(row) = self.rows.get_mut(&id) else {
            return self.world.ledger.handle_settled(begin.id, Settled::Gone, now);
        };
        let is_asked_again = !std::mem::replace(&mut row.leased, false);
        match next {
            // A failure does not undo a retry that was asked for meanwhile.
            Next::Again { .. } | Next::Parked | Next::Held { .. } if is_asked_again => {}
            Next::Delivered => row.state = State::Done,
            Next::Parked => row.state = State::Parked,
            Next::Again { delay, used } => (row.state, row.at, row.used) = (State::Pending, now + delay, used),
            Next::Held { .. } => row.state = State::Pending,
            Next::Paused => (row.state, self.paused) = (State::Pending, true),
        }
        match end {
            End::Failed | End::Later(_) => self.world.fail(id, next),
            _ => self.world.settle(id, next),
        }
    }

    /// What the driver does before each wait: reads, and begins.
    fn feed(&mut self) {
        while self.feed_once() {}
    }

    /// Whether something was gone, so that there is room for more.
    fn feed_once(&mut self) -> bool {
        let paused = self.paused;
        self.world.ledger.handle_paused(|_| paused);
        let crm = name("crm");
        self.read_back();
        loop {
            if self.rows.values().any(|row| row.state == State::Pending && row.place > self.fed) {
                self.world.ledger.make_room(&crm, LOAD, self.world.now);
            }
            if self.world.ledger.room(&crm) < LOAD {
                break;
            }
            let Some(last) = self.read(self.fed, |_, _| true) else { break };
            self.fed = last;
        }
        self.searched = self.searched.max(self.fed);
        while let Some(last) = self.read(self.searched, |ledger, due| ledger.knows(&crm, due.id, &due.session)) {
            self.searched = last;
        }
        self.read_back();
        assert!(
            self.world.ledger.poll_back(&crm).is_none() || self.world.ledger.room(&crm) < LOAD,
            "what is asked for comes at once"
        );
        let mut is_any_gone = false;
        while let Some(begin) = self.world.ledger.poll_output() {
            match self.rows.get(&number(begin.id)) {
                Some(row) if row.state == State::Pending => self.check_begin(&begin),
                _ => {
                    self.world.ledger.handle_settled(begin.id, Settled::Gone, self.world.now);
                    is_any_gone = true;
                    continue;
                }
            }
            self.rows.get_mut(&number(begin.id)).unwrap().leased = true;
            self.under_way.push(begin);
        }
        is_any_gone
    }

    /// Lanes that were put away and are due, each whole.
    fn read_back(&mut self) {
        let crm = name("crm");
        while let Some(lane) = self.world.ledger.poll_back(&crm).cloned() {
            self.world.ledger.make_room(&crm, LOAD, self.world.now);
            if self.world.ledger.room(&crm) < LOAD {
                return;
            }
            let dues = self.rows.iter().map(|(n, row)| (row, self.due(*n, row)));
            let is_of = |due: &Due| lane == LaneKey::Session(due.session.clone()) || lane == LaneKey::Single(due.id);
            let of_lane = dues.filter(|(row, due)| row.state == State::Pending && !row.leased && is_of(due));
            let of_lane = of_lane.map(|(_, due)| due).collect();
            self.world.ledger.handle_back(&crm, &lane, of_lane, self.world.now);
        }
    }

    fn due(&self, n: u64, row: &Stored) -> Due {
        Due { used: row.used, at: row.at, place: row.place, ..self.world.due(n, &format!("s{}", row.session), row.seq) }
    }

    /// Reads on behind a place; answers how far.
    fn read(&mut self, after: u64, may_have: impl Fn(&Ledger, &Due) -> bool) -> Option<u64> {
        let is_waiting = |row: &Stored| row.state == State::Pending && !row.leased && row.place > after;
        let mut waiting: Vec<(&u64, &Stored)> = self.rows.iter().filter(|(_, row)| is_waiting(row)).collect();
        waiting.sort_by_key(|(_, row)| row.place);
        waiting.truncate(LOAD);
        let last = waiting.last().map(|(_, row)| row.place);
        for (n, row) in waiting {
            let due = self.due(*n, row);
            if may_have(&self.world.ledger, &due) {
                self.world.ledger.handle_pending(&name("crm"), due, self.world.now);
            }
        }
        last
    }

    fn check_begin(&self, begin: &Begin) {
        assert!(!self.paused, "nothing begins while paused");
        assert!(self.under_way.len() < AT_ONCE);
        let row = &self.rows[&number(begin.id)];
        assert!(self.under_way.iter().all(|other| other.id != begin.id), "the same twice at once");
        if !self.ordered {
            return;
        }
        let of_lane = |other: &&Begin| self.rows.get(&number(other.id)).is_some_and(|other| other.session == row.session);
        assert_eq!(self.under_way.iter().filter(of_lane).count(), 0, "one attempt to a lane");
        let before = |other: &Stored| other.session == row.session && other.seq < row.seq;
        let overtaken = self.rows.values().find(|other| before(other) && other.state == State::Pending && !other.jumped);
        assert!(overtaken.is_none(), "{} overtakes {}", row.seq, overtaken.unwrap().seq);
    }

    /// From here on every attempt succeeds and somebody resumes: all is delivered or parked.
    fn finish(mut self) {
        self.paused = false;
        for _ in 0..10_000 {
            self.feed();
            if let Some(begin) = self.under_way.pop() {
                self.end(&begin, End::Delivered);
            } else if let Some(at) = self.world.ledger.poll_timeout() {
                self.world.now = at.max(self.world.now);
                self.world.ledger.handle_timeout(self.world.now);
            } else {
                break;
            }
        }
        let left: Vec<u64> = self.rows.iter().filter(|(_, row)| row.state == State::Pending).map(|(id, _)| *id).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        assert_eq!(self.world.ledger.room(&name("crm")), HELD, "and the ledger is empty");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_any_interleaving_calls_keep_their_order_and_all_is_delivered_or_parked(
        ordered in any::<bool>(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut bridge = Bridge::new(ordered);
        steps.iter().for_each(|step| bridge.apply(step));
        bridge.finish();
    }
}
