//! Values of keys by which records are grouped: those that records have, and those that follow from
//! them (`ip_version`, `prefix`, `date`, `dip_asn`).

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::{IpAddr, Ipv6Addr};
use std::time::SystemTime;

use hashbrown::HashMap;
use ipnet::IpNet;
use pathspider_asn::{Databases, Network};
use pathspider_records::{About, Record};

use super::State;
use super::context::Key;
use super::intern::{Interner, Pairs};

/// The values of a key, and how many records with each of them have each outcome.
#[derive(Debug)]
pub(crate) struct Groups {
    pub(crate) values: Interner,
    pub(crate) counts: Pairs,
    /// The last record's pair, and how many in a row had it that are not in the counts.
    last: ((u32, u32), u64),
}

impl Groups {
    /// The number of no value.
    pub(crate) const NONE: u32 = u32::MAX;

    pub(super) fn new(state: &State) -> Groups {
        let counts = HashMap::with_hasher(state.clone());
        Groups { values: Interner::new(state), counts, last: ((Groups::NONE, 0), 0) }
    }

    pub(super) fn number(&mut self, value: &str) -> u32 {
        self.values.number(value)
    }

    /// Counts a record in each of its groups.
    pub(super) fn count(&mut self, values: &[u32], outcome: u32) {
        let none = [Groups::NONE];
        for &value in if values.is_empty() { &none[..] } else { values } {
            let (pair, count) = &mut self.last;
            if *pair == (value, outcome) {
                *count += 1;
                continue;
            }
            self.end();
            self.last = ((value, outcome), 1);
        }
    }

    /// Adds to the counts what is not in them. They are read where groups were merged, so not before.
    fn end(&mut self) {
        let (pair, count) = std::mem::take(&mut self.last);
        if count > 0 {
            *self.counts.entry(pair).or_default() += count;
        }
    }

    /// Adds another's; returns the numbers that its values have here.
    pub(super) fn merge(&mut self, mut other: Groups, outcomes: &[u32]) -> Vec<u32> {
        other.end();
        let values = self.values.merge(other.values.names());
        let at = |map: &[u32], id: u32| map.get(id as usize).copied().unwrap_or(id);
        for ((value, outcome), count) in other.counts {
            *self.counts.entry((at(&values, value), at(outcomes, outcome))).or_default() += count;
        }
        values
    }
}

/// What follows from a record's keys and from what stands beside its file.
pub(super) struct Computed<'r> {
    address: Option<IpAddr>,
    vantage: Option<Cow<'r, str>>,
    campaign: Option<Cow<'r, str>>,
    times: Option<(SystemTime, SystemTime)>,
    from: Option<&'r str>,
    databases: &'r Databases,
    network: OnceCell<Network>,
}

impl<'r> Computed<'r> {
    pub(super) fn new(
        record: &'r Record<'_>,
        about: &'r About,
        databases: &'r Databases,
    ) -> Computed<'r> {
        let or = |own: Option<Cow<'r, str>>, beside: &'r Option<String>| {
            own.or_else(|| beside.as_deref().map(Cow::Borrowed))
        };
        Computed {
            address: record.dip.as_str().and_then(|text| text.parse().ok()),
            vantage: or(record.vantage.shown(), &about.vantage),
            campaign: or(record.campaign.shown(), &about.campaign),
            times: record.time.as_ref().and_then(|time| Some((time.begin()?, time.end()?))),
            from: record.time.as_ref().and_then(|time| time.from.as_str()),
            databases,
            network: OnceCell::new(),
        }
    }

    pub(super) fn vantage(&self) -> Option<&str> {
        self.vantage.as_deref()
    }

    pub(super) fn times(&self) -> Option<(SystemTime, SystemTime)> {
        self.times
    }

    /// The value of a key that no record needs to have.
    fn value(&self, key: &str) -> Option<Cow<'_, str>> {
        match key {
            "vantage" => self.vantage.as_deref().map(Cow::Borrowed),
            "campaign" => self.campaign.as_deref().map(Cow::Borrowed),
            "ip_version" => self.address.map(|address| ip_version(address).into()),
            "dip_asn" | "dip_prefix" | "dip_country" if !self.databases.is_empty() => {
                let address = self.address?;
                let network = self.network.get_or_init(|| self.databases.find(address));
                let found = match key {
                    "dip_asn" => network.asn.map(|asn| asn.to_string()),
                    "dip_prefix" => network.prefix.map(|prefix| prefix.to_string()),
                    _ => network.country.map(|country| country.as_str().to_owned()),
                };
                found.map(Cow::Owned)
            }
            "prefix" => self.address.map(|address| prefix(address).into()),
            // The first ten characters of a time, as in `2026-11-22T02:00:17Z`.
            "date" => self.from.and_then(|from| from.get(..10)).map(Cow::Borrowed),
            _ => None,
        }
    }
}

/// Calls `each` with a record's values of a key.
pub(super) fn values_of(
    key: &Key,
    record: &Record<'_>,
    computed: &Computed<'_>,
    mut each: impl FnMut(&str),
) {
    let mut own = record.wanted.of(key.wanted).peekable();
    if own.peek().is_none()
        && let Some(value) = computed.value(&key.name)
    {
        each(&value);
    }
    own.for_each(each);
}

/// The well-known prefix of NAT64 (RFC 6052).
const NAT64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);

/// Behind a NAT64, packets are translated on the way, and reach the target as IPv4.
pub(crate) fn ip_version(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "4",
        IpAddr::V6(address) if address.octets()[..12] == NAT64.octets()[..12] => "6 (NAT64)",
        IpAddr::V6(_) => "6",
    }
}

/// The /24 of an IPv4 address, the /48 of an IPv6 address.
fn prefix(address: IpAddr) -> String {
    let length = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, length).map_or_else(|_| address.to_string(), |net| net.trunc().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_an_address() {
        for (address, expected, net) in [
            ("192.0.2.7", "4", "192.0.2.0/24"),
            ("2001:db8:1:2::3", "6", "2001:db8:1::/48"),
            ("64:ff9b::c000:207", "6 (NAT64)", "64:ff9b::/48"),
            ("64:ff9c::1", "6", "64:ff9c::/48"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!((ip_version(address), &*prefix(address)), (expected, net));
        }
    }
}
