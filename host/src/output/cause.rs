//! Why a run found nothing: nothing answered, or nearly all connections failed for one reason of this
//! machine.

use std::fmt;

use super::Counted;

/// Fewer targets than these may be dead by chance.
const FEW: u64 = 3;

/// What is known of this end.
#[derive(Debug, Clone, Default)]
pub struct Here {
    /// The interface that connections left by, where it was known.
    pub interface: Option<String>,
    /// Whether it is the loopback interface, and the targets are not this machine.
    pub is_loopback: bool,
    /// The interface of the default route.
    pub default: Option<String>,
    /// Connections that the system keeps track of, and how many it can: from the kernel's table.
    pub tracked: Option<(u64, u64)>,
}

/// Why a run found nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    what: String,
    why: String,
    /// Whether it is for certain this machine's.
    pub is_local: bool,
}

/// Reasons of this machine, and what may be behind each.
const LOCAL: [(&str, &str); 5] = [
    (
        "no_local_port",
        "there is no free local port, or no local address of the targets' IP version",
    ),
    ("no_address_family", "this machine does not have the targets' IP version"),
    ("no_descriptor", "this process may open no more sockets: raise `ulimit -n` or lower -w"),
    ("no_memory", "this machine has no memory for more sockets: lower -w"),
    ("not_supported", "this kernel does not support what the connections ask for"),
];

/// Reasons of this machine or of the path.
const NEAR: [(&str, &str); 3] = [
    (
        "prohibited",
        "a firewall forbids it, this machine's or on the path, or this machine's table of tracked \
         connections is full",
    ),
    (
        "admin_prohibited",
        "a firewall on the path forbids it: ICMP errors say so, and `failures` who sent them",
    ),
    ("too_large", "the packets are larger than the interface or the path lets through"),
];

/// Reasons that mean that no target answered.
const SILENT: [&str; 5] =
    ["timeout", "unreachable", "net_unreachable", "host_unreachable", "ttl_exceeded"];

impl Cause {
    /// The cause, where a run found nothing that its targets could have said otherwise.
    pub fn of(counted: &Counted, here: &Here) -> Option<Cause> {
        let summary = &counted.summary;
        let (all, targets) = (summary.meant(), summary.targets);
        let failed: u64 = summary.failures.values().sum();
        if all == 0 || failed == 0 {
            return None;
        }
        // Nine of ten: some may have another fate.
        let nearly_all = |count: u64| count * 10 >= all * 9;
        let number = |reason: &str| summary.failures.get(reason).copied().unwrap_or(0);
        let said = |count: u64, why: String, is_local| {
            Some(Cause { what: format!("{count} of {all} connections failed"), why, is_local })
        };
        let is_run = targets >= FEW;
        let near = NEAR.iter().map(|known| (known, false));
        for ((reason, why), is_local) in LOCAL.iter().map(|known| (known, true)).chain(near) {
            let count = number(reason);
            if is_run && nearly_all(count) {
                return said(count, (*why).to_owned(), is_local);
            }
        }
        let not_sent = summary.conditions.get("pathspider.not_sent").copied().unwrap_or(0);
        let unreachable = number("unreachable");
        if is_run && not_sent * 10 >= targets * 9 && nearly_all(unreachable) {
            return said(unreachable, here.no_route(), true);
        }
        // A connection may be carried and time out all the same: a body need not end.
        if summary.carried > 0 || SILENT.iter().map(|reason| number(reason)).sum::<u64>() < all {
            return None;
        }
        let (why, is_local) = here.silence(counted);
        if !is_run && !is_local {
            return None;
        }
        Some(Cause { what: "nothing answered".to_owned(), why, is_local })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl Here {
    /// How full the table of tracked connections is, where it has hardly any room.
    pub(crate) fn full_table(&self) -> Option<(u64, u64)> {
        self.tracked.filter(|(tracked, most)| tracked * 20 >= most * 19)
    }

    fn interface(&self) -> &str {
        self.interface.as_deref().unwrap_or("the interface")
    }

    fn no_route(&self) -> String {
        let interface = self.interface();
        let other =
            self.default.as_deref().filter(|default| Some(*default) != self.interface.as_deref());
        match other {
            Some(other) => format!(
                "no route leads to the targets by {interface}; the default route is by {other} (-i \
                 {other})"
            ),
            None => format!("no route leads to the targets by {interface}"),
        }
    }

    /// What silence of all targets may come from, and whether this machine is it.
    fn silence(&self, counted: &Counted) -> (String, bool) {
        let interface = self.interface();
        if self.is_loopback {
            let by =
                self.default.as_deref().map_or(String::new(), |other| format!(" (-i {other})"));
            let why = format!(
                "{interface} is the loopback interface, which leads to this machine alone; name \
                 another one{by}"
            );
            return (why, true);
        }
        if let Some((tracked, most)) = self.full_table() {
            let why = format!(
                "this machine's table of tracked connections is full ({tracked} of {most}); raise \
                 net.netfilter.nf_conntrack_max or lower -w"
            );
            return (why, true);
        }
        if counted.summary.heard * 2 >= counted.summary.targets {
            let why = format!(
                "answers came in by {interface}, and no connection got one; does a firewall of this \
                 machine drop them, or do they come too late?"
            );
            return (why, false);
        }
        let observed = counted.capture.packets > 0;
        if counted.summary.missed_flows >= counted.summary.meant() {
            let why = format!(
                "not one packet of these connections was seen on {interface}; do they leave by \
                 another one (-i)?"
            );
            return (why, true);
        }
        (
            if observed {
                format!(
                    "the packets left by {interface}, and none came back; is that the way to the \
                     targets, and does a firewall let answers in?"
                )
            } else {
                format!("is {interface} the way to the targets, and are they up?")
            },
            false,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(targets: u64, failures: &[(&str, u64)]) -> Counted {
        let mut counted = Counted::default();
        counted.summary.targets = targets;
        counted.summary.connections = 2 * targets;
        counted.capture.packets = 100;
        let failures = failures.iter().map(|(reason, count)| ((*reason).to_owned(), *count));
        counted.summary.failures = failures.collect();
        counted
    }

    fn here(interface: &str) -> Here {
        Here {
            interface: Some(interface.to_owned()),
            is_loopback: interface == "lo",
            default: Some("eth0".to_owned()),
            tracked: None,
        }
    }

    fn cause(counted: &Counted, here: &Here) -> Option<(String, bool)> {
        Cause::of(counted, here).map(|cause| (cause.to_string(), cause.is_local))
    }

    #[track_caller]
    fn expect(counted: &Counted, here: &Here, word: &str, is_local: bool) {
        let (text, local) = cause(counted, here).unwrap();
        assert!(text.contains(word) && local == is_local, "{text} {local}");
    }

    #[test]
    fn what_answered_has_no_cause_here() {
        for failures in [
            &[][..],
            &[("timeout", 199)],
            &[("timeout", 150), ("refused", 50)],
            &[("blocklisted", 200)],
        ] {
            assert_eq!(cause(&counted(100, failures), &here("eth0")), None, "{failures:?}");
        }
        assert_eq!(cause(&counted(0, &[]), &here("lo")), None);
        let mut endless = counted(100, &[("timeout", 200)]);
        endless.summary.carried = 100;
        assert_eq!(cause(&endless, &here("lo")), None, "bodies that do not end");
        assert_eq!(cause(&counted(1, &[("timeout", 2)]), &here("eth0")), None, "it may be dead");
    }

    #[test]
    fn silence_has_likely_causes() {
        let silent = counted(100, &[("timeout", 198), ("unreachable", 2)]);
        expect(&silent, &here("eth0"), "nothing answered: the packets left by eth0", false);
        expect(&silent, &here("lo"), "loopback interface, which leads to this machine alone", true);
        expect(&counted(1, &[("timeout", 2)]), &here("lo"), "(-i eth0)", true);
        let full = Here { tracked: Some((65_500, 65_536)), ..here("eth0") };
        expect(&silent, &full, "nf_conntrack_max", true);
        let mut dropped = silent.clone();
        dropped.summary.heard = 60;
        expect(
            &dropped,
            &here("eth0"),
            "answers came in by eth0, and no connection got one",
            false,
        );
        let mut unseen = silent.clone();
        unseen.summary.missed_flows = 200;
        expect(&unseen, &here("eth1"), "was seen on eth1", true);
    }

    #[test]
    fn one_reason_of_this_machine_is_named() {
        for (reason, word, is_local) in [
            ("prohibited", "firewall", false),
            ("no_local_port", "local port", true),
            ("no_descriptor", "ulimit", true),
        ] {
            expect(&counted(100, &[(reason, 185)]), &here("eth0"), word, is_local);
            assert_eq!(cause(&counted(1, &[(reason, 2)]), &here("eth0")), None, "but one target");
            assert_eq!(cause(&counted(100, &[(reason, 100)]), &here("eth0")), None);
        }
        let mut unsent = counted(100, &[("unreachable", 200)]);
        unsent.summary.conditions.insert("pathspider.not_sent".to_owned(), 100);
        expect(&unsent, &here("eth1"), "no route leads to the targets by eth1; the default", true);
    }
}
