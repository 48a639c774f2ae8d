//! Owns the groups of the kernel lab: addresses that share a path, and what is to be measured there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Fault;
use crate::truth::Truth;

/// The port every target listens on.
pub(super) const PORT: u16 = 80;

/// Which server a group's addresses belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Server {
    /// Accepts ECN when asked, as Linux does.
    Ecn,
    /// Never negotiates ECN.
    WithoutEcn,
}

impl Server {
    pub(super) const ALL: [Server; 2] = [Server::Ecn, Server::WithoutEcn];

    pub(super) fn label(self) -> &'static str {
        match self {
            Server::Ecn => "targets",
            Server::WithoutEcn => "targets without ECN",
        }
    }

    pub(super) fn sysctls(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Server::Ecn => &[("net.ipv4.tcp_ecn", "1")],
            Server::WithoutEcn => &[("net.ipv4.tcp_ecn", "0")],
        }
    }
}

/// Addresses, IPv4 or IPv6, behind one kind of path.
#[derive(Clone, Debug)]
pub struct Group {
    /// Names, describes and says what is to be expected.
    pub truth: Truth,
    /// What the router does.
    pub fault: Fault,
    /// Who answers.
    pub server: Server,
    /// Third part of the group's addresses; no two groups of a network may share it.
    pub number: u8,
    /// How many IPv4 targets to measure, from the first; at most 65,000.
    pub ipv4: u16,
    /// How many IPv6 targets to measure.
    pub ipv6: u16,
}

impl Group {
    /// The addresses to measure, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let ipv4 = (1..=self.ipv4).map(|host| {
            let [high, low] = host.to_be_bytes();
            IpAddr::from(Ipv4Addr::new(10, self.number, high, low))
        });
        let ipv6 = (1..=self.ipv6).map(|host| {
            IpAddr::from(Ipv6Addr::new(0xfd00, 1, self.number.into(), 0, 0, 0, 0, host))
        });
        ipv4.chain(ipv6)
    }

    /// The group's two prefixes.
    pub fn prefixes(&self) -> [String; 2] {
        [format!("10.{}.0.0/16", self.number), format!("fd00:1:{:x}::/64", self.number)]
    }

    /// The port to measure.
    pub fn port(&self) -> u16 {
        PORT
    }
}

/// The groups of the demonstration: one for each fault, with `ipv4` and `ipv6` targets each.
pub fn standard_groups(ipv4: u16, ipv6: u16) -> Vec<Group> {
    let kinds: [(Fault, Server, &str, &str, &[&str]); 6] = [
        (
            Fault::None,
            Server::Ecn,
            "clean",
            "harms nothing",
            &["ecn.connectivity.works", "ecn.negotiation.succeeded"],
        ),
        (
            Fault::DropEcnSyn,
            Server::Ecn,
            "ecn-syn-dropped",
            "drops SYNs that ask for ECN",
            &["ecn.connectivity.broken"],
        ),
        (
            Fault::ResetEcnSyn,
            Server::Ecn,
            "ecn-syn-reset",
            "resets SYNs that ask for ECN",
            &["ecn.connectivity.broken"],
        ),
        (
            Fault::StripEcnSyn,
            Server::Ecn,
            "ecn-syn-stripped",
            "clears ECE and CWR on SYNs",
            &["ecn.connectivity.works", "ecn.negotiation.failed"],
        ),
        (
            Fault::None,
            Server::WithoutEcn,
            "server-without-ecn",
            "ends at a server without ECN",
            &["ecn.connectivity.works", "ecn.negotiation.failed"],
        ),
        (
            Fault::Dead,
            Server::Ecn,
            "dead",
            "ends nowhere: nobody is there",
            &["ecn.connectivity.offline"],
        ),
    ];
    (1..)
        .zip(kinds)
        .map(|(number, (fault, server, name, summary, expected))| Group {
            truth: match fault {
                Fault::None => Truth::new(name, summary)
                    .expecting("ecn", expected)
                    .expecting("evilbit", &["evilbit.connectivity.works", "evilbit.mark.not_seen"]),
                _ => Truth::new(name, summary).expecting("ecn", expected),
            },
            fault,
            server,
            number,
            ipv4,
            ipv6,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lie_within_their_prefixes_and_differ() {
        let group = &standard_groups(300, 300)[1];
        let addresses: Vec<_> = group.addresses().map(|a| a.to_string()).collect();
        assert_eq!(addresses[0], "10.2.0.1");
        assert_eq!(addresses[299], "10.2.1.44");
        assert_eq!(addresses[300], "fd00:1:2::1");
        assert_eq!(addresses.len(), 600);
    }
}
