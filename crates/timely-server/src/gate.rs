//! Who is let in: how many connections there may be, and how fast they may come.
//!
//! Every connection holds a [`Pass`] as long as its socket is open, whoever has the socket. When the
//! server has all the viewers it can take, more of them are sent away by the streams, in words that
//! bring a browser back; connections of other kinds and of those who are signed in still find room in
//! a reserve, so that the desk can work while the hall is full. Beyond that, sockets are closed unheard.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::rate::{Bucket, Rate};

/// Connections taken at most, if the system allows so many open files and nothing else was asked for.
pub const CONNECTIONS_MAX: usize = 60_000;
/// Connections beyond the maximum for those who are signed in, and for requests.
pub const RESERVED: usize = 256;
/// Files that the server needs for itself: the database, polls, logs.
const OWN_FILES: usize = 256;
/// Fewest connections that make a server; with less, files are missing elsewhere first.
const CONNECTIONS_MIN: usize = 16;
/// New connections of all addresses. A hall comes back at once after a restart; more than that waits.
const ARRIVALS: Rate = Rate { burst: 10_000, per_s: 2_000 };
/// Connections of one address. A venue's phones often share one.
const OF_ADDRESS_MAX: usize = 5_000;
/// New connections of one address.
const ARRIVALS_OF_ADDRESS: Rate = Rate { burst: 5_000, per_s: 100 };
/// Addresses remembered before those that have nothing open are forgotten.
const ADDRESSES_KEPT: usize = 1_024;
/// Shortest time after which an event stream that found no room is asked for again.
const RETRY_MIN_MS: u64 = 10_000;

/// Why somebody was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There are as many connections as there can be.
    Full,
    /// Too many from one address, or too fast.
    Address,
}

/// See the module.
#[derive(Debug)]
pub struct Gate {
    connections_max: usize,
    /// A load test: nothing counts but what the system can hold.
    is_lifted: bool,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    open: usize,
    arrivals: Bucket,
    addresses: HashMap<IpAddr, Guests>,
    /// How many addresses are remembered before some are forgotten.
    addresses_max: usize,
    /// How many event streams found no room.
    sent_away: u64,
}

/// The connections of one address.
#[derive(Clone, Copy, Debug, Default)]
struct Guests {
    open: usize,
    arrivals: Bucket,
}

/// The place of one connection; dropping it makes room for another.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    /// Where it is counted, if its address is.
    address: Option<IpAddr>,
}

impl Gate {
    /// A gate for at most `connections_max` connections and a few more of those who run the event.
    pub fn new(connections_max: usize, is_lifted: bool) -> Arc<Self> {
        let inside = Inside { addresses_max: ADDRESSES_KEPT, ..Inside::default() };
        Arc::new(Self { connections_max, is_lifted, inside: Mutex::new(inside) })
    }

    /// A gate as wide as was asked for and as the system allows; lets the process open as many files as
    /// it may.
    pub fn of_this_process(asked: Option<u32>, is_lifted: bool) -> Arc<Self> {
        let (connections_max, is_less) = connections_max(asked, is_lifted, files_max());
        if is_less {
            warn!(
                "at most {connections_max} connections: the system lets this process open no more files \
                 (see `ulimit -Hn`)"
            );
        }
        Self::new(connections_max, is_lifted)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub const fn connections_max(&self) -> usize {
        self.connections_max
    }

    /// Whether rates and limits do not count.
    pub const fn is_lifted(&self) -> bool {
        self.is_lifted
    }

    /// Lets a connection in.
    ///
    /// # Errors
    /// Why its socket is to be closed.
    pub fn admit(self: &Arc<Self>, address: IpAddr, now: Duration) -> Result<Pass, Refusal> {
        let mut inside = self.inside();
        if inside.open >= self.connections_max + RESERVED {
            return Err(Refusal::Full);
        }
        let address = Some(counted_as(address)).filter(|address| !self.is_lifted && !is_near(*address));
        if let Some(address) = address {
            if inside.addresses.len() >= inside.addresses_max {
                inside.addresses.retain(|_, guests| guests.open > 0 || !guests.arrivals.is_full(now));
                // Looked through again when there are twice as many: a few steps an arrival, not all.
                inside.addresses_max = ADDRESSES_KEPT.max(2 * inside.addresses.len());
            }
            let guests = inside.addresses.entry(address).or_default();
            if guests.open >= OF_ADDRESS_MAX || guests.arrivals.take(ARRIVALS_OF_ADDRESS, 1, now).is_err() {
                return Err(Refusal::Address);
            }
            guests.open += 1;
        }
        inside.open += 1;
        Ok(Pass { gate: Arc::clone(self), address })
    }

    /// Whether the next connection may be looked at now.
    ///
    /// # Errors
    /// How long it is to wait.
    pub fn turn(&self, now: Duration) -> Result<(), Duration> {
        if self.is_lifted {
            return Ok(());
        }
        self.inside().arrivals.take(ARRIVALS, 1, now)
    }

    /// Whether there are more connections than viewers can be taken, the one that asks among them.
    pub fn is_full(&self) -> bool {
        self.inside().open > self.connections_max
    }

    /// When an event stream that finds no room is to be asked for again, in milliseconds: spread, so
    /// that those who were sent away together do not return together.
    pub fn retry_ms(&self) -> u64 {
        let mut inside = self.inside();
        inside.sent_away = inside.sent_away.wrapping_add(1);
        RETRY_MIN_MS + inside.sent_away.wrapping_mul(2_654_435_761) % (RETRY_MIN_MS + 1)
    }

    fn leave(&self, address: Option<IpAddr>) {
        let mut inside = self.inside();
        inside.open -= 1;
        if let Some(guests) = address.and_then(|address| inside.addresses.get_mut(&address)) {
            guests.open -= 1;
        }
    }
}

impl Pass {
    /// Whether rates and limits do not count for it.
    pub fn is_lifted(&self) -> bool {
        self.gate.is_lifted
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.leave(self.address);
    }
}

/// The one address of somebody who may have many: networks are given out as /64.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Of this computer or of the networks in the hall, where hundreds of phones may share an address and a
/// proxy may stand for all.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        // Of `::1` the network is left.
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// How many connections there may be, and whether that is less than was asked for.
fn connections_max(asked: Option<u32>, is_lifted: bool, files: Option<u64>) -> (usize, bool) {
    let possible = files.map_or(usize::MAX, |files| {
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        files.saturating_sub(RESERVED + OWN_FILES).max(CONNECTIONS_MIN)
    });
    let asked = asked.map(|asked| usize::try_from(asked).unwrap_or(usize::MAX));
    let wanted = asked.unwrap_or(if is_lifted { possible.min(usize::MAX - RESERVED) } else { CONNECTIONS_MAX });
    (wanted.min(possible), asked.is_some_and(|asked| asked > possible))
}

/// Raises the number of files that this process may open to what it may be; `None`: any number.
fn files_max() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            warn!("the number of open files stays at {}: {error}", current.unwrap_or(u64::MAX));
            current
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_full_house_keeps_places_for_those_who_work() {
        let gate = Gate::new(2, false);
        let mut passes: Vec<Pass> = (0..2).map(|_| gate.admit(address("127.0.0.1"), NOW).unwrap()).collect();
        assert!(!gate.is_full(), "two of two");
        passes.extend((0..RESERVED).map(|_| gate.admit(address("127.0.0.1"), NOW).unwrap()));
        assert!(gate.is_full());
        assert_eq!(gate.admit(address("127.0.0.1"), NOW).unwrap_err(), Refusal::Full);
        passes.truncate(2);
        assert!(!gate.is_full(), "who leaves makes room");
        gate.admit(address("127.0.0.1"), NOW).unwrap();
    }

    #[test]
    fn one_address_has_its_share_except_in_the_hall() {
        for (why, of, is_counted) in [
            ("an address", "203.0.113.9", true),
            ("the same in IPv6", "::ffff:203.0.113.9", true),
            ("IPv6", "2001:db8::1", true),
            ("this computer", "127.0.0.1", false),
            ("this computer in IPv6", "::1", false),
            ("the hall", "192.168.1.20", false),
            ("the hall", "10.0.0.7", false),
            ("the hall", "172.16.0.1", false),
            ("not the hall", "172.32.0.1", true),
            ("the hall in IPv6", "fd00::7", false),
            ("a wire", "fe80::7", false),
        ] {
            let gate = Gate::new(20_000, false);
            let passes: Vec<Pass> = (0..OF_ADDRESS_MAX).map(|_| gate.admit(address(of), NOW).unwrap()).collect();
            let later = NOW + Duration::from_hours(1);
            assert_eq!(gate.admit(address(of), later).is_err(), is_counted, "{why}: {of}");
            gate.admit(address("198.51.100.1"), later).expect("others are not concerned");
            drop(passes);
            gate.admit(address(of), later).expect("there is room again");
        }
    }

    #[test]
    fn an_address_that_comes_and_goes_too_fast_is_refused_for_a_while() {
        let gate = Gate::new(20_000, false);
        for _ in 0..ARRIVALS_OF_ADDRESS.burst {
            drop(gate.admit(address("2001:db8::1"), NOW).unwrap());
        }
        assert_eq!(gate.admit(address("2001:db8::1"), NOW).unwrap_err(), Refusal::Address);
        assert_eq!(gate.admit(address("2001:db8::2"), NOW).unwrap_err(), Refusal::Address, "the same network");
        gate.admit(address("2001:db8:0:1::1"), NOW).expect("another network");
        gate.admit(address("2001:db8::1"), NOW + Duration::from_millis(10)).expect("a hundred a second");
    }

    #[test]
    fn all_together_wait_when_they_come_too_fast() {
        let gate = Gate::new(20_000, false);
        for _ in 0..ARRIVALS.burst {
            gate.turn(NOW).unwrap();
        }
        let wait = gate.turn(NOW).unwrap_err();
        assert_eq!(wait, Duration::from_micros(500));
        gate.turn(NOW + wait).unwrap();
    }

    #[test]
    fn a_load_test_meets_no_limit_but_that_of_the_system() {
        let gate = Gate::new(OF_ADDRESS_MAX * 3, true);
        let passes: Vec<_> = (0..OF_ADDRESS_MAX * 2).map(|_| gate.admit(address("203.0.113.9"), NOW)).collect();
        assert!(passes.iter().all(Result::is_ok) && passes[0].as_ref().unwrap().is_lifted());
        for _ in 0..=ARRIVALS.burst {
            gate.turn(NOW).unwrap();
        }
    }

    #[test]
    fn addresses_that_left_are_forgotten() {
        let gate = Gate::new(20_000, false);
        let kept = gate.admit(address("198.51.100.1"), NOW).unwrap();
        for network in 0..3 * ADDRESSES_KEPT {
            let of = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, u16::try_from(network).unwrap(), 0, 0, 0, 1));
            drop(gate.admit(of, NOW + Duration::from_millis(100 * network as u64)).unwrap());
        }
        let inside = gate.inside();
        assert!(inside.addresses.len() <= ADDRESSES_KEPT, "{}", inside.addresses.len());
        assert!(inside.addresses.contains_key(&kept.address.unwrap()), "who is here is not");
        drop(inside);
    }

    #[test]
    fn the_most_is_what_was_asked_for_and_what_the_system_can_hold() {
        for (why, asked, is_lifted, files, expected) in [
            ("the usual", None, false, Some(1_000_000), (60_000, false)),
            ("any number of files", None, false, None, (60_000, false)),
            ("few files", None, false, Some(4_096), (3_584, false)),
            ("hardly any files", None, false, Some(256), (CONNECTIONS_MIN, false)),
            ("asked for more than usual", Some(90_000), false, Some(1_000_000), (90_000, false)),
            ("asked for less", Some(10), false, Some(1_000_000), (10, false)),
            ("asked for what cannot be", Some(90_000), false, Some(4_096), (3_584, true)),
            ("a load test", None, true, Some(1_000_000), (999_488, false)),
            ("a load test with a limit", Some(10), true, Some(1_000_000), (10, false)),
        ] {
            assert_eq!(connections_max(asked, is_lifted, files), expected, "{why}");
        }
        assert!(connections_max(None, true, None).0.checked_add(RESERVED).is_some());
    }

    #[test]
    fn those_who_are_sent_away_return_at_different_times() {
        let gate = Gate::new(1, false);
        let times: std::collections::BTreeSet<u64> = (0..100).map(|_| gate.retry_ms()).collect();
        assert!(times.len() > 90, "{times:?}");
        assert!(times.iter().all(|ms| (10_000..=20_000).contains(ms)), "{times:?}");
    }
}
