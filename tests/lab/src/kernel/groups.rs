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
    /// Second part of the group's addresses, or the first of several where it has more than fit
    /// into one; no two groups of a network may share any of them.
    pub number: u8,
    /// How many IPv4 targets to measure, from the first.
    pub ipv4: u32,
    /// How many IPv6 targets to measure.
    pub ipv6: u16,
}

impl Group {
    /// The addresses to measure, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let network = u32::from(Ipv4Addr::new(10, self.number, 0, 0));
        let ipv4 = (1..=self.ipv4).map(move |host| Ipv4Addr::from(network + host).into());
        let ipv6 = (1..=self.ipv6).map(|host| {
            IpAddr::from(Ipv6Addr::new(0xfd00, 1, self.number.into(), 0, 0, 0, 0, host))
        });
        ipv4.chain(ipv6)
    }

    /// The group's two prefixes.
    pub fn prefixes(&self) -> [String; 2] {
        let length = 16 - numbers(self.ipv4).ilog2();
        [format!("10.{}.0.0/{length}", self.number), format!("fd00:1:{:x}::/64", self.number)]
    }

    /// The port to measure.
    pub fn port(&self) -> u16 {
        PORT
    }
}

/// What `dscp` finds where nothing harms a code point, of servers that do not reflect them.
const DSCP: &[&str] = &["dscp.48.connectivity.works", "dscp.0.replymark:0", "dscp.48.replymark:0"];

/// What `tcpext --on syn` finds where nothing harms an option that nobody knows, of Linux.
const TCPEXT: &[&str] = &[
    "tcpext.syn.exp253.connectivity.works",
    "tcpext.syn.exp254.connectivity.works",
    "tcpext.syn.long.connectivity.works",
    "tcpext.syn.sled.connectivity.works",
    "tcpext.syn.sled.option.read",
];

/// How many numbers a group with this many IPv4 targets covers, a power of two: each has room for
/// those of a `/16`, and the last address of the whole is left out.
fn numbers(ipv4: u32) -> u32 {
    (ipv4 + 2).div_ceil(1 << 16).next_power_of_two()
}

/// The groups of the demonstration: one for each fault, with `ipv4` and `ipv6` targets each. There
/// is room for two million IPv4 targets in each.
pub fn standard_groups(ipv4: u32, ipv6: u16) -> Vec<Group> {
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
    let numbers = numbers(ipv4) as usize;
    (numbers..)
        .step_by(numbers)
        .zip(kinds)
        .map(|(number, (fault, server, name, summary, expected))| Group {
            truth: match fault {
                Fault::None => Truth::new(name, summary)
                    .expecting("ecn", expected)
                    .expecting("evilbit", &["evilbit.connectivity.works", "evilbit.mark.not_seen"])
                    .expecting("dscp", DSCP)
                    .expecting("tcpext", TCPEXT)
                    .expecting("blocker", &["blocker.connectivity.works"]),
                _ => Truth::new(name, summary).expecting("ecn", expected),
            },
            fault,
            server,
            number: number as u8,
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

    #[test]
    fn a_million_targets_have_a_wider_prefix_that_no_other_group_shares() {
        let groups = standard_groups(1_000_000, 0);
        let last = groups[0].addresses().last().unwrap().to_string();
        assert_eq!((&*groups[0].prefixes()[0], &*last), ("10.16.0.0/12", "10.31.66.64"));
        assert_eq!(groups[1].prefixes()[0], "10.32.0.0/12");
        assert_eq!(standard_groups(65_534, 0)[0].prefixes()[0], "10.1.0.0/16");
    }
}
