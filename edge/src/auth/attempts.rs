//! How often passwords and codes may be tried: by each address, and by all together.
//!
//! ```text
//! attempt --> bucket of the address: 8, one more in 30 s --> bucket of all: 40, one more in 2 s --> hash
//!                       empty: 429                                empty: 429         good: both are given back
//! ```

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Addresses that are remembered; beyond that the one that has tried least goes.
const ADDRESSES: usize = 256;
/// Attempts at once, and the time after which there is one more.
const EACH: (u32, Duration) = (8, Duration::from_secs(30));
const ALL: (u32, Duration) = (40, Duration::from_secs(2));

/// Who has tried how often.
pub struct Attempts {
    addresses: Vec<(IpAddr, Bucket)>,
    all: Bucket,
}

/// What was used up, as time that has to pass until it is all there again.
#[derive(Clone, Copy, Default)]
struct Bucket {
    owed: Duration,
    at: Duration,
}

impl Bucket {
    fn settle(&mut self, now: Duration) {
        self.owed = self.owed.saturating_sub(now.saturating_sub(self.at));
        self.at = now;
    }

    /// How long to wait for the next attempt: not at all, if one is left.
    fn wait(&self, (burst, each): (u32, Duration)) -> Duration {
        (self.owed + each).saturating_sub(each * burst)
    }
}

impl Default for Attempts {
    fn default() -> Self {
        Self { addresses: Vec::with_capacity(ADDRESSES), all: Bucket::default() }
    }
}

impl Attempts {
    /// Takes one attempt of `address` at `now`.
    ///
    /// # Errors
    /// None is left: how long to wait.
    pub fn take(&mut self, address: IpAddr, now: Duration) -> Result<(), Duration> {
        self.all.settle(now);
        let place = self.place(network(address), now);
        let Some((_, own)) = self.addresses.get_mut(place) else { return Err(EACH.1) };
        let wait = own.wait(EACH).max(self.all.wait(ALL));
        if !wait.is_zero() {
            return Err(wait);
        }
        own.owed += EACH.1;
        self.all.owed += ALL.1;
        Ok(())
    }

    /// It was a good one: gives it back.
    pub fn give_back(&mut self, address: IpAddr) {
        let network = network(address);
        if let Some((_, own)) = self.addresses.iter_mut().find(|(other, _)| *other == network) {
            own.owed = own.owed.saturating_sub(EACH.1);
        }
        self.all.owed = self.all.owed.saturating_sub(ALL.1);
    }

    fn place(&mut self, network: IpAddr, now: Duration) -> usize {
        self.addresses.iter_mut().for_each(|(_, bucket)| bucket.settle(now));
        if let Some(place) = self.addresses.iter().position(|(other, _)| *other == network) {
            return place;
        }
        if self.addresses.len() >= ADDRESSES {
            let least = self.addresses.iter().enumerate().min_by_key(|(_, (_, bucket))| bucket.owed);
            if let Some((place, _)) = least {
                self.addresses.swap_remove(place);
            }
        }
        self.addresses.push((network, Bucket { owed: Duration::ZERO, at: now }));
        self.addresses.len() - 1
    }
}

/// Who has one address of IPv6 has all of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    fn v4(last: u32) -> IpAddr {
        IpAddr::from(last.to_be_bytes())
    }

    #[test]
    fn an_address_has_eight_and_then_one_in_thirty_seconds() {
        let mut attempts = Attempts::default();
        let mut take = |seconds| attempts.take(v4(1), START + Duration::from_secs(seconds));
        assert!((0..8).all(|_| take(0).is_ok()));
        assert_eq!(take(0), Err(Duration::from_secs(30)));
        assert_eq!(take(29), Err(Duration::from_secs(1)));
        assert_eq!(take(30), Ok(()));
        assert!(take(30).is_err());
        assert_eq!(attempts.take(v4(2), START), Ok(()), "another address");
    }

    #[test]
    fn many_addresses_together_have_forty_and_the_table_is_bounded() {
        let mut attempts = Attempts::default();
        let taken = (0..1000).filter(|&n| attempts.take(v4(n), START).is_ok()).count();
        assert_eq!((taken, attempts.addresses.len()), (40, ADDRESSES));
        assert_eq!(attempts.take(v4(5000), START + Duration::from_secs(2)), Ok(()));
    }

    #[test]
    fn a_good_one_costs_nothing() {
        let mut attempts = Attempts::default();
        for _ in 0..1000 {
            assert_eq!(attempts.take(v4(1), START), Ok(()));
            attempts.give_back(v4(1));
        }
    }

    #[test]
    fn all_addresses_of_a_network_of_ipv6_are_one() {
        let mut attempts = Attempts::default();
        let address = |last| IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, last]);
        let taken = (0..100).filter(|&last| attempts.take(address(last), START).is_ok()).count();
        assert_eq!(taken, 8);
    }
}
