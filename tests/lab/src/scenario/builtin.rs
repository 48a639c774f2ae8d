//! Owns the scenarios that ship with the lab: files beside the source, built into the program.

use super::{Scenario, read};
use crate::error::Result;

macro_rules! scenarios {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../scenarios/", $name, ".toml")))),*]
    };
}

/// In the order of the demonstration: what is well first, then by what is done to a packet.
const FILES: &[(&str, &str)] = scenarios![
    "ecn-clean",
    "ecn-syn-dropped",
    "ecn-syn-dropped-once",
    "ecn-syn-stripped",
    "ecn-syn-stripped-badly",
    "ecn-synack-stripped",
    "ecn-synack-dropped",
    "ecn-reflected",
    "ecn-syn-reset",
    "ecn-icmp-net-unreachable",
    "ecn-icmp-host-unreachable",
    "ecn-icmp-protocol-unreachable",
    "ecn-icmp-port-unreachable",
    "ecn-icmp-admin-prohibited",
    "ecn-icmp-too-big",
    "ecn-icmp-time-exceeded",
    "ecn-icmp-parameter-problem",
    "ecn-icmp-short-quote",
    "ecn-bleached-forward",
    "ecn-bleached-reverse",
    "ecn-bleached-both",
    "ecn-ce-reverse",
    "ecn-ce-both",
    "ecn-ect0-to-ect1",
    "ecn-ect-data-dropped",
    "ecn-server-without",
    "ecn-dead",
    "ecn-host-unreachable",
    "ecn-no-listener",
    "ecn-dead-in-a",
    "ecn-slow",
    "ecn-nat",
    "ecn-delay-and-loss",
    "ecn-reordered",
    "ecn-duplicated",
    "ecn-answers-fragmented",
    "ecn-forged-syn-ack",
    "ecn-syn-reflected",
    "ecn-simultaneous-open",
    "ecn-split-handshake",
    "ecn-syn-only",
    "ecn-https",
    "ecn-dnstcp",
    "ecn-dnstcp-dropped",
    "dscp-clean",
    "dscp-reflected",
    "dscp-marked-dropped",
    "dscp-marked-reset",
    "dscp-data-dropped",
    "dscp-one-of-two",
    "dscp-bleached-forward",
    "dscp-bleached-reverse",
    "dscp-rewritten",
    "dscp-precedence-bleached",
    "dscp-marked-reverse",
    "dscp-admin-prohibited",
    "dscp-icmp-redirect",
    "dscp-icmp-source-quench",
    "dscp-icmp-too-big",
    "dscp-icmp-time-exceeded",
    "dscp-forged-data",
    "dscp-unmarked-dropped",
    "dscp-https",
    "dscp-dnsudp",
    "dscp-answers-fragmented",
    "dscp-dnsudp-dropped",
    "dscp-dead",
    "mss-clean",
    "mss-clean-ipv6",
    "mss-clamped",
    "mss-clamped-forward",
    "mss-inflated",
    "mss-stripped",
    "mss-blanked",
    "mss-mirrored",
    "mss-malformed",
    "mss-syn-dropped",
    "mss-dnstcp",
    "mss-dead",
    "tcpopt-clean",
    "tcpopt-timestamps-dropped",
    "tcpopt-window-scaling-dropped",
    "tcpopt-sack-dropped",
    "tcpopt-timestamps-reset",
    "tcpopt-timestamps-stripped",
    "tcpopt-window-scaling-stripped",
    "tcpopt-sack-stripped",
    "tcpopt-answers-stripped",
    "tcpopt-timestamps-unsolicited",
    "tcpopt-window-scaling-unsolicited",
    "tcpopt-sack-unsolicited",
    "tcpopt-server-without",
    "tcpopt-mirrored",
    "tcpopt-syn-lost",
    "tcpopt-https",
    "tcpopt-dead",
    "tfo-clean",
    "tfo-answers-fragmented",
    "tfo-answers-duplicated",
    "tfo-http",
    "tfo-https",
    "tfo-option-dropped",
    "tfo-option-dropped-once",
    "tfo-option-reset",
    "tfo-option-stripped",
    "tfo-option-34-stripped",
    "tfo-cookie-stripped",
    "tfo-data-dropped",
    "tfo-data-reset",
    "tfo-data-stripped",
    "tfo-data-split",
    "tfo-option-stripped-of-data",
    "tfo-forged-syn-ack",
    "tfo-cookie-forgotten",
    "tfo-server-without",
    "tfo-slow",
    "tfo-dead",
    "h2-alpn",
    "h2-alpn-reset",
    "h2-alpn-dropped",
    "h2-alpn-server-without",
    "h2-alpn-server-silent",
    "h2-alpn-server-only",
    "h2-clean",
    "h2-request-reset",
    "h2-request-dropped",
    "h2-answer-dropped",
    "h2-switch-reordered",
    "h2-switch-lost-once",
    "h2-switch-dripped",
    "h2-switch-fragmented",
    "h2-switch-after-continue",
    "h2-server-without",
    "h2-dead",
    "evilbit-clean",
    "evilbit-dropped",
    "evilbit-cleared",
    "evilbit-reset",
    "evilbit-icmp-admin-prohibited",
    "evilbit-icmp-parameter-problem",
    "evilbit-icmp-foreign",
    "evilbit-icmp-reassembly",
    "evilbit-forged-syn-ack",
    "evilbit-forged-reset",
    "evilbit-reflected",
    "evilbit-marked-reverse",
    "evilbit-required",
    "evilbit-dead",
    "evilbit-no-listener",
    "evilbit-nat",
    "evilbit-slow",
    "evilbit-ipv6",
    "evilbit-dns-clean",
    "evilbit-dns-dropped",
    "evilbit-dns-icmp-port-unreachable",
    "evilbit-dns-forged",
    "evilbit-answers-fragmented",
    "evilbit-dns-answers-fragmented",
    "udpzero-clean",
    "udpzero-ipv6",
    "udpzero-dropped",
    "udpzero-filled",
    "udpzero-icmp-admin-prohibited",
    "udpzero-required",
    "udpzero-zeroed-reverse",
    "udpzero-dead",
    "udpzero-no-listener",
    "udpzero-nat",
    "udpzero-duplicated",
    "udpzero-forged",
    "udpzero-answers-fragmented",
    "udpzero-answers-fragmented-ipv6",
];

/// All scenarios that ship with the lab.
///
/// # Errors
/// Never, if the tests passed: one of them reads every file.
pub fn builtin() -> Result<Vec<Scenario>> {
    FILES.iter().map(|(name, text)| read(name, &format!("{name}.toml"), text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_built_in_and_can_be_read() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let mut files: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut known: Vec<String> = FILES.iter().map(|(name, _)| format!("{name}.toml")).collect();
        files.sort();
        known.sort();
        assert_eq!(files, known);
        for scenario in builtin().unwrap() {
            assert!(!scenario.expect.is_empty(), "{} expects nothing", scenario.name);
        }
    }
}
