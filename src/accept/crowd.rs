//! Who waits to show who they are: bounded for each address and together; when there are too many, the oldest gives way.
//!
//! Promises: entering always succeeds, since refusing the newest would lock good calls out behind whoever came in masses: a good phone
//! shows who it is within milliseconds, so the one that has waited longest is the least likely to be one. Where all places together
//! are taken, it is the oldest of the address that holds most, or the oldest of all where nobody holds many. A place is given back when it is left or dropped, whichever comes first.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

/// An address as it is counted: of IPv6 the network of 64 bits, since one host may use all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Address {
    V4(u32),
    V6(u64),
}

impl Address {
    fn of(peer: IpAddr) -> Self {
        match peer.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6(u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX)),
        }
    }
}

/// Who holds more than one in so many places is taken for the one that fills them.
const SHARE: usize = 64;

/// See the module. Clones are the same crowd.
#[derive(Debug, Clone)]
pub struct Crowd {
    each: usize,
    together: usize,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Debug, Default)]
struct Inside {
    tickets: u64,
    /// By ticket, so the first is the oldest.
    of: HashMap<Address, BTreeMap<u64, CancellationToken>>,
    /// The same addresses by how many places they hold.
    by_count: BTreeSet<(usize, Address)>,
    /// Whose each ticket is.
    by_age: BTreeMap<u64, Address>,
}

/// A place in a [`Crowd`].
#[derive(Debug)]
pub struct Place {
    crowd: Crowd,
    address: Address,
    /// `None` while its holder is outside.
    ticket: Mutex<Option<u64>>,
    gives_way: CancellationToken,
    left: AtomicBool,
}

impl Crowd {
    /// Places for `each` address and for all `together`; at least one.
    #[must_use]
    pub fn new(each: usize, together: usize) -> Self {
        Self { each: each.max(1), together: together.max(1), inside: Arc::default() }
    }

    /// Takes a place; who has to give way for it is told.
    #[must_use]
    pub fn enter(&self, peer: IpAddr) -> Place {
        let (address, gives_way) = (Address::of(peer), CancellationToken::new());
        let ticket = Mutex::new(Some(self.take(address, gives_way.clone())));
        Place { crowd: self.clone(), address, ticket, gives_way, left: AtomicBool::new(false) }
    }

    fn take(&self, address: Address, gives_way: CancellationToken) -> u64 {
        let mut inside = self.inside();
        if inside.count(address) >= self.each {
            inside.turn_out_oldest(address);
        } else if inside.by_age.len() >= self.together {
            inside.turn_out_of_most(self.together);
        }
        inside.tickets += 1;
        let ticket = inside.tickets;
        inside.add(address, ticket, gives_way);
        ticket
    }

    /// Lets the oldest of whoever holds most give way; whether there was anybody.
    pub fn make_room(&self) -> bool {
        self.inside().turn_out_of_most(self.together)
    }

    /// How many hold a place.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inside().by_age.len()
    }

    /// Whether nobody holds one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A poisoned lock guards lists that are whole between any two statements that can panic.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Gives the place back for good: who held it has shown who they are.
    pub fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
        self.step_out();
    }

    /// Gives the place back until [`Place::come_back`]: one request of the holder's is good, which says nothing of the next.
    pub fn step_out(&self) {
        if let Some(ticket) = self.ticket().take() {
            self.crowd.inside().remove(self.address, ticket);
        }
    }

    /// Takes a place again, the newest, unless the holder has left for good or had to give way.
    pub fn come_back(&self) {
        let mut ticket = self.ticket();
        if ticket.is_none() && !self.has_left() && !self.gives_way.is_cancelled() {
            *ticket = Some(self.crowd.take(self.address, self.gives_way.clone()));
        }
    }

    /// Whether the place was left for good; one that had to give way was not.
    pub fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// Cancelled when the holder has to give way.
    pub fn gives_way(&self) -> &CancellationToken {
        &self.gives_way
    }

    fn ticket(&self) -> MutexGuard<'_, Option<u64>> {
        self.ticket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Inside {
    fn count(&self, address: Address) -> usize {
        self.of.get(&address).map_or(0, BTreeMap::len)
    }

    fn add(&mut self, address: Address, ticket: u64, gives_way: CancellationToken) {
        let held = self.of.entry(address).or_default();
        self.by_count.remove(&(held.len(), address));
        held.insert(ticket, gives_way);
        self.by_count.insert((held.len(), address));
        self.by_age.insert(ticket, address);
    }

    fn remove(&mut self, address: Address, ticket: u64) -> Option<CancellationToken> {
        let held = self.of.get_mut(&address)?;
        let before = held.len();
        let gone = held.remove(&ticket)?;
        self.by_count.remove(&(before, address));
        if held.is_empty() {
            self.of.remove(&address);
        } else {
            self.by_count.insert((before - 1, address));
        }
        self.by_age.remove(&ticket);
        Some(gone)
    }

    fn turn_out_oldest(&mut self, address: Address) -> bool {
        let oldest = self.of.get(&address).and_then(|held| held.keys().next().copied());
        let gone = oldest.and_then(|ticket| self.remove(address, ticket));
        gone.is_some_and(|gives_way| {
            gives_way.cancel();
            true
        })
    }

    /// Many are more than [`SHARE`] of all places `together`.
    fn turn_out_of_most(&mut self, together: usize) -> bool {
        let most = self.by_count.last().filter(|(count, _)| count * SHARE > together).map(|(_, address)| *address);
        let whose = most.or_else(|| self.by_age.first_key_value().map(|(_, address)| *address));
        whose.is_some_and(|address| self.turn_out_oldest(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn out(places: &[Place]) -> Vec<bool> {
        places.iter().map(|place| place.gives_way().is_cancelled()).collect()
    }

    #[test]
    fn the_oldest_of_an_address_gives_way_to_its_next() {
        let crowd = Crowd::new(2, 10);
        let places: Vec<Place> = ["192.0.2.1", "192.0.2.9", "192.0.2.1", "::ffff:192.0.2.1"].map(|a| crowd.enter(ip(a))).into();
        assert_eq!(out(&places), [true, false, false, false], "a mapped address is the same address");
        assert_eq!(crowd.len(), 3);
        places[2].leave();
        places[2].leave();
        assert!(places[2].has_left() && !places[3].has_left());
        let another = crowd.enter(ip("192.0.2.1"));
        assert_eq!(out(&places), [true, false, false, false], "who has left makes room");
        places[2].come_back();
        assert_eq!(crowd.len(), 3, "who has left for good does not come back");
        drop((places, another));
        assert!(crowd.is_empty() && !crowd.make_room());
        let inside = crowd.inside();
        assert!(inside.of.is_empty() && inside.by_count.is_empty());
    }

    #[test]
    fn together_it_is_the_oldest_of_the_address_that_holds_most() {
        let crowd = Crowd::new(9, 4);
        let few = crowd.enter(ip("192.0.2.1"));
        let many: Vec<Place> = (0..3).map(|_| crowd.enter(ip("192.0.2.2"))).collect();
        let newest = crowd.enter(ip("192.0.2.3"));
        assert_eq!((out(&many), crowd.len()), (vec![true, false, false], 4));
        assert!(crowd.make_room());
        assert_eq!(out(&many), [true, true, false]);
        assert!(!few.gives_way().is_cancelled() && !newest.gives_way().is_cancelled());
    }

    #[test]
    fn where_nobody_holds_many_the_oldest_of_all_gives_way() {
        let crowd = Crowd::new(9, 200);
        let places: Vec<Place> = (0..200_u32).map(|host| crowd.enter(IpAddr::from(host.reverse_bits().to_be_bytes()))).collect();
        let fellow = crowd.enter(IpAddr::from(1_u32.reverse_bits().to_be_bytes()));
        let _newest = crowd.enter(ip("255.255.255.255"));
        assert_eq!(out(&places).iter().filter(|out| **out).count(), 2);
        assert!(out(&places)[..2].iter().all(|out| *out) && !fellow.gives_way().is_cancelled());
        drop((places, fellow));
        assert!(crowd.inside().by_age.len() == 1);
    }

    #[test]
    fn who_steps_out_comes_back_as_the_newest() {
        let crowd = Crowd::new(2, 10);
        let places: Vec<Place> = (0..2).map(|_| crowd.enter(ip("192.0.2.1"))).collect();
        places[0].step_out();
        assert_eq!(crowd.len(), 1);
        places[0].come_back();
        places[0].come_back();
        assert_eq!(crowd.len(), 2);
        let _third = crowd.enter(ip("192.0.2.1"));
        assert_eq!(out(&places), [false, true]);
        places[1].come_back();
        assert_eq!((out(&places), crowd.len()), (vec![false, true], 2), "who gave way has no way back");
    }

    #[test]
    fn a_host_with_a_whole_ipv6_network_is_one_address() {
        let crowd = Crowd::new(1, 10);
        let places = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"].map(|address| crowd.enter(ip(address)));
        assert_eq!(out(&places), [true, false, false]);
    }

    #[test]
    fn places_come_and_go_in_any_order_and_the_counts_stay_right() {
        let crowd = Crowd::new(5, 12);
        let mut held: Vec<Place> = Vec::new();
        for step in 0_u32..2_000 {
            let chance = step.wrapping_mul(2_654_435_761) >> 8;
            if chance % 3 == 0 && !held.is_empty() {
                held.swap_remove(chance as usize % held.len());
            } else {
                held.push(crowd.enter(IpAddr::from([192, 0, 2, (chance % 7) as u8])));
            }
            let inside = crowd.inside();
            assert_eq!(inside.of.values().map(BTreeMap::len).sum::<usize>(), inside.by_age.len());
            assert_eq!(inside.by_count.len(), inside.of.len());
            assert!(inside.by_age.len() <= 12 && inside.of.values().all(|held| held.len() <= 5));
            assert!(inside.by_count.iter().all(|(count, address)| inside.of[address].len() == *count));
        }
        let inside_still = held.iter().filter(|place| !place.gives_way().is_cancelled()).count();
        assert_eq!(inside_still, crowd.len());
    }
}
