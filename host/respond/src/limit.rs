//! How many answers go out in a second, to all and to each network that asks.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use foldhash::fast::RandomState;

use crate::Time;

/// Networks that are known at a time.
const NETWORKS: usize = 4_096;

/// Answers that may still go out, and those that may come with time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    since: Time,
}

impl Bucket {
    fn full(rate: f64, now: Time) -> Bucket {
        Bucket { left: rate.max(1.0), since: now }
    }

    /// What is left now, a second's worth at the most.
    fn left(&self, rate: f64, now: Time) -> f64 {
        let more = now.saturating_sub(self.since).as_secs_f64() * rate;
        (self.left + more).min(rate.max(1.0))
    }

    fn take(&mut self, rate: f64, now: Time) -> bool {
        let left = self.left(rate, now);
        let is_enough = left >= 1.0;
        *self = Bucket { left: if is_enough { left - 1.0 } else { left }, since: now };
        is_enough
    }
}

/// The limits, and how far they are used.
#[derive(Debug)]
pub(crate) struct Limit {
    all: Bucket,
    rate: f64,
    rate_of_each: f64,
    of_each: HashMap<IpAddr, Bucket, RandomState>,
}

impl Limit {
    /// So many answers a second to all, and to each.
    pub(crate) fn new(rate: f64, rate_of_each: f64, now: Time) -> Limit {
        let all = Bucket::full(rate, now);
        Limit { all, rate, rate_of_each, of_each: HashMap::default() }
    }

    /// Whether an answer may go there now; it counts then.
    pub(crate) fn takes(&mut self, to: IpAddr, now: Time) -> bool {
        let (network, rate) = (network(to), self.rate_of_each);
        if self.of_each.len() >= NETWORKS && !self.of_each.contains_key(&network) {
            // Who has used nothing of late is as one who is not known.
            self.of_each.retain(|_, bucket| bucket.left(rate, now) < rate.max(1.0));
            if self.of_each.len() >= NETWORKS {
                return false;
            }
        }
        let bucket = self.of_each.entry(network).or_insert_with(|| Bucket::full(rate, now));
        bucket.take(rate, now) && self.all.take(self.rate, now)
    }
}

/// The network that one household has: an address of IPv4, 64 bits of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(limit: &mut Limit, from: &str, now: Time) -> usize {
        let from = from.parse().unwrap();
        (0..1_000).filter(|_| limit.takes(from, now)).count()
    }

    #[test]
    fn each_network_gets_its_share_and_all_together_theirs() {
        let second = Time::from_secs(1);
        let mut limit = Limit::new(25.0, 10.0, Time::ZERO);
        assert_eq!(taken(&mut limit, "192.0.2.1", Time::ZERO), 10);
        assert_eq!(taken(&mut limit, "2001:db8::1", Time::ZERO), 10);
        assert_eq!(taken(&mut limit, "2001:db8::2:1", Time::ZERO), 0, "of the same network");
        assert_eq!(taken(&mut limit, "192.0.2.2", Time::ZERO), 5, "the rest of all");
        assert_eq!(taken(&mut limit, "192.0.2.1", second / 2), 5);
        assert_eq!(taken(&mut limit, "192.0.2.1", second * 60), 10, "no more than a second's");
    }

    #[test]
    fn ever_new_networks_take_no_memory() {
        let mut limit = Limit::new(1e9, 2.0, Time::ZERO);
        let from = |number: u32| IpAddr::from(number.to_be_bytes());
        let many = NETWORKS as u32;
        assert!((0..many).all(|number| limit.takes(from(number), Time::ZERO)));
        assert!(!limit.takes(from(many), Time::ZERO));
        assert!(limit.takes(from(0), Time::ZERO), "who is known may go on");
        assert!(limit.takes(from(many), Time::from_secs(1)));
        assert_eq!(limit.of_each.len(), 1);
    }
}
