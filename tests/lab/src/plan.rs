//! Owns who gets which addresses in the emulated lab: networks of targets, and routers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::{Error, Result};
use crate::scenario::Scenario;

/// The addresses of all scenarios.
#[derive(Debug)]
pub(crate) struct Plan {
    places: Vec<Place>,
}

/// The addresses of one scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The scenario's number.
    pub(crate) number: usize,
    ipv4: (Ipv4Addr, u8),
    ipv6: (Ipv6Addr, u8),
}

/// Networks of IPv4 that the lab gives out, from 10.64.0.0 up to 10.127: many of 4,094 targets, or a few of
/// 65,534.
const IPV4_LENGTHS: [u8; 2] = [20, 16];
const IPV4_BITS: u8 = 10;
const IPV6_LENGTH: u8 = 64;

impl Plan {
    /// Gives every scenario the networks it states, or ones of its own, with room for this many targets.
    pub(crate) fn new(scenarios: &[Scenario], targets: u16) -> Result<Self> {
        let has_room = |length: &&u8| u32::from(targets) < (1 << (32 - **length)) - 1;
        let length = IPV4_LENGTHS.iter().find(has_room).copied().unwrap_or(16);
        let most = 1_usize << (length - IPV4_BITS);
        if scenarios.len() > most {
            let message = format!("{} are too many at once; {most} fit", scenarios.len());
            return Err(Error::invalid("the scenarios", message));
        }
        let places: Vec<Place> = scenarios
            .iter()
            .enumerate()
            .map(|(number, scenario)| Place::new(number, scenario, length))
            .collect::<Result<_>>()?;
        for (index, place) in places.iter().enumerate() {
            for other in &places[..index] {
                let overlap =
                    place.ranges().zip(other.ranges()).any(|(a, b)| a.0 <= b.1 && b.0 <= a.1);
                if overlap {
                    let names = [&scenarios[other.number].name, &scenarios[place.number].name];
                    let message = format!("its targets are also those of {}", names[0]);
                    return Err(Error::invalid(names[1].as_str(), message));
                }
            }
        }
        Ok(Self { places })
    }

    /// One for each scenario, in their order.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }
}

impl Place {
    fn new(number: usize, scenario: &Scenario, length: u8) -> Result<Self> {
        let index = number as u16;
        let targets = &scenario.targets;
        let ipv4 = match &targets.ipv4 {
            Some(text) => network(&scenario.name, text, 16..=30, 32)?,
            None => (Ipv4Addr::from(0x0a40_0000 | (u32::from(index) << (32 - length))), length),
        };
        let ipv6 = match &targets.ipv6 {
            Some(text) => network(&scenario.name, text, 48..=124, 128)?,
            None => (Ipv6Addr::new(0xfd00, 0x64, index, 0, 0, 0, 0, 0), IPV6_LENGTH),
        };
        Ok(Self { number, ipv4, ipv6 })
    }

    /// First and last address, of IPv4 and then of IPv6.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> + use<> {
        let (first4, first6) = (u32::from(self.ipv4.0), u128::from(self.ipv6.0));
        let last4 = first4 | (u32::MAX >> self.ipv4.1);
        let last6 = first6 | (u128::MAX >> self.ipv6.1);
        let range4 = (self.ipv4.0.into(), Ipv4Addr::from(last4).into());
        [range4, (self.ipv6.0.into(), Ipv6Addr::from(last6).into())].into_iter()
    }

    /// The networks as `ip` takes them.
    pub(crate) fn prefixes(&self) -> [String; 2] {
        [format!("{}/{}", self.ipv4.0, self.ipv4.1), format!("{}/{}", self.ipv6.0, self.ipv6.1)]
    }

    /// The addresses of the scenario's router of this number.
    pub(crate) fn router(&self, hop: u8) -> (Ipv4Addr, Ipv6Addr) {
        let index = self.number as u16;
        let [high, low] = index.to_be_bytes();
        let ipv6 = Ipv6Addr::new(0xfd00, 0xff, index, 0, 0, 0, 0, hop.into());
        (Ipv4Addr::new(10, 192 + high, low, hop), ipv6)
    }
}

/// Reads a network whose host part is zero.
fn network<A>(
    name: &str,
    text: &str,
    lengths: std::ops::RangeInclusive<u8>,
    bits: u8,
) -> Result<(A, u8)>
where
    A: std::str::FromStr + Copy + Into<IpAddr>,
{
    let parsed = text.split_once('/').and_then(|(address, length)| {
        let (address, length) = (address.parse::<A>().ok()?, length.parse::<u8>().ok()?);
        let number = match address.into() {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        };
        let host = number & ((1_u128 << (bits - length.min(bits - 1))) - 1);
        (lengths.contains(&length) && host == 0).then_some((address, length))
    });
    parsed.ok_or_else(|| {
        let (low, high) = (lengths.start(), lengths.end());
        Error::invalid(name, format!("{text:?} is not a network of /{low} to /{high}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::read;

    #[test]
    fn scenarios_get_networks_of_their_own() {
        let scenarios = ["a", "b"].map(|name| read(name, name, "summary = 'x'").unwrap());
        let plan = Plan::new(&scenarios, 10).unwrap();
        assert_eq!(plan.places()[1].prefixes(), ["10.64.16.0/20", "fd00:64:1::/64"]);
        assert_eq!(plan.places()[1].router(3).0, Ipv4Addr::new(10, 192, 1, 3));
        for (targets, network) in
            [(4094, "10.64.16.0/20"), (4095, "10.65.0.0/16"), (65_000, "10.65.0.0/16")]
        {
            let plan = Plan::new(&scenarios, targets).unwrap();
            assert_eq!(plan.places()[1].prefixes()[0], network, "{targets}");
        }
        let many = vec![scenarios[0].clone(); 65];
        let message = Plan::new(&many, 65_000).unwrap_err().to_string();
        assert!(message.contains("65 are too many at once; 64 fit"), "{message}");
    }

    #[test]
    fn overlapping_networks_are_refused() {
        let text = "summary = 'x'\n[targets]\nipv4 = '10.64.0.0/16'\n";
        let scenarios = [read("a", "a", text).unwrap(), read("b", "b", "summary = 'x'").unwrap()];
        // The second scenario's own network, 10.64.16.0/20, lies within the first's.
        let message = Plan::new(&scenarios, 10).unwrap_err().to_string();
        assert_eq!(message, "b: its targets are also those of a");
    }

    #[test]
    fn a_network_with_a_host_part_is_refused() {
        let text = "summary = 'x'\n[targets]\nipv4 = '10.1.0.1/24'\n";
        let error = Plan::new(&[read("a", "a", text).unwrap()], 10).unwrap_err();
        assert!(error.to_string().contains("10.1.0.1/24"));
    }
}
