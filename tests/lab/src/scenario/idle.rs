//! Owns the question whether a rule could ever act. One that cannot is a mistake, and the path would look
//! as if it did no harm.

use super::{Action, Direction, Match, Protocol, RuleText, Scenario, Version};
use crate::packet::flag;

/// Why one of a scenario's rules never acts, if so.
pub(super) fn reason(scenario: &Scenario) -> Option<String> {
    let rules = scenario.rules.iter().enumerate();
    rules.clone().find_map(|(place, rule)| {
        let before = &scenario.rules[..place];
        let why = of_numbers(rule)
            .or_else(|| of_flags(rule))
            .or_else(|| of_protocols(rule, scenario))
            .or_else(|| before.iter().any(|other| takes_all(other, rule)).then_some(TAKEN))?;
        Some(format!("rule {} never acts: {why}", place + 1))
    })
}

const TAKEN: &str = "one before it at its hop drops every packet";

/// A condition that no number meets.
fn of_numbers(rule: &RuleText) -> Option<&'static str> {
    let Match { dscp, size, port, ecn, option, .. } = &rule.matching;
    let spans = [(dscp, 63), (size, u32::MAX), (port, 65_535)];
    let is_empty = spans.into_iter().any(|(span, most)| {
        span.as_ref().is_some_and(|span| span.0.is_empty() || *span.0.start() > most)
    });
    let is_padding = |kind: u8| kind < 2;
    match &rule.action {
        _ if is_empty => Some("no number is in a range of its `match`"),
        _ if ecn.as_ref().is_some_and(Vec::is_empty) => Some("the list `ecn` is empty"),
        _ if option.is_some_and(is_padding) => Some("TCP's options 0 and 1 are padding"),
        Action::BlankOption(kind) | Action::RemoveOption(kind) | Action::MirrorOption(kind)
            if is_padding(*kind) =>
        {
            Some("TCP's options 0 and 1 are padding")
        }
        _ if rule.first == Some(0) => Some("`first` is 0"),
        _ if rule.probability == Some(0.0) => Some("`probability` is 0"),
        Action::TcpFlags(edit) if edit.0.set | edit.0.clear == 0 => Some("it names no flag"),
        Action::ReflectFlags(which) if which.set == 0 => Some("it names no flag"),
        _ => None,
    }
}

/// Flags that no packet has which it acts on.
fn of_flags(rule: &RuleText) -> Option<&'static str> {
    let flags = rule.matching.flags?;
    if flags.set & flags.clear != 0 {
        return Some("its `match` wants a flag both set and clear");
    }
    let is_syn = flags.matches(flag::SYN | flags.set) && flags.set & flag::ACK == 0;
    let acts_on_syns =
        matches!(rule.action, Action::StripSynData | Action::SplitSynData | Action::Table(_));
    if rule.action.answers_syns() && (!is_syn || flags.clear & flag::ACK != 0) {
        return Some(
            "it changes a SYN/ACK by what the SYN had, and its `match` leaves out one of the two; \
             leave ACK out of `flags`",
        );
    }
    (acts_on_syns && !is_syn).then_some("it acts on SYNs, and its `match` leaves them out")
}

/// A protocol, or a version of IP, that has not got what it looks for or changes.
fn of_protocols(rule: &RuleText, scenario: &Scenario) -> Option<&'static str> {
    let Match { protocol, flags, option, tls_extension, evil, zero_checksum, .. } = &rule.matching;
    let Match { quic_version, quic_long, quic_fixed_bit, .. } = &rule.matching;
    let of_quic = quic_version.is_some() || quic_long.is_some() || quic_fixed_bit.is_some();
    let matched = [
        (flags.is_some() || option.is_some() || tls_extension.is_some(), Protocol::Tcp),
        (zero_checksum.is_some() || of_quic, Protocol::Udp),
    ];
    let acts_on = rule.action.protocol();
    let needed: Vec<Protocol> = matched
        .into_iter()
        .filter_map(|(is_needed, protocol)| is_needed.then_some(protocol))
        .chain(*protocol)
        .chain(acts_on)
        .collect();
    let is_of_ipv4 =
        *evil == Some(true) || matches!(rule.action, Action::SetEvil | Action::ClearEvil);
    if needed.windows(2).any(|pair| pair[0] != pair[1]) {
        return Some("what it looks for and what it changes are of different protocols");
    }
    let has_ipv4 = scenario.targets.versions.contains(&Version::Ipv4);
    (is_of_ipv4 && !has_ipv4).then_some("only IPv4 has a reserved flag, and no target is of IPv4")
}

/// Whether no packet comes from one rule to another at the same hop.
fn takes_all(first: &RuleText, second: &RuleText) -> bool {
    let covers = first.direction == Direction::Both || first.direction == second.direction;
    first.hop == second.hop
        && covers
        && !second.action.remembers()
        && first.matching == Match::default()
        && first.first.is_none()
        && first.probability.is_none()
        && matches!(first.action, Action::Drop | Action::Reset)
}

#[cfg(test)]
mod tests {
    use super::super::read;

    /// What is said of a rule with these words.
    fn said(rule: &str) -> String {
        let text = format!("summary = 'x'\n[[rule]]\nhop = 1\n{rule}\n");
        match read("a", "a.toml", &text) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_rule_that_never_acts_is_refused() {
        for (rule, why) in [
            ("match = { flags = 'SYN ACK' }\naction = { reflect-flags = 'ECE' }", "leave ACK out"),
            ("match = { flags = '!ACK' }\naction = 'mirror-options'", "leave ACK out"),
            (
                "direction = 'reverse'\nmatch = { flags = 'SYN ACK' }\naction = 'mirror-options'",
                "leave",
            ),
            ("match = { flags = 'ACK !SYN' }\naction = { mirror-option = 30 }", "leave ACK out"),
            ("match = { flags = 'SYN !SYN' }\naction = 'drop'", "both set and clear"),
            ("match = { flags = 'ACK' }\naction = 'strip-syn-data'", "acts on SYNs"),
            ("match = { protocol = 'udp', flags = 'SYN' }\naction = 'drop'", "different protocols"),
            ("match = { protocol = 'udp' }\naction = { clamp-mss = 9 }", "different protocols"),
            ("match = { option = 30 }\naction = 'zero-udp-checksum'", "different protocols"),
            ("match = { option = 30, quic-long = true }\naction = 'drop'", "different protocols"),
            ("match = { option = 1 }\naction = 'drop'", "padding"),
            ("action = { remove-option = 0 }", "padding"),
            ("match = { size = '9..3' }\naction = 'drop'", "no number"),
            ("match = { dscp = 64 }\naction = 'drop'", "no number"),
            ("match = { port = '70000..' }\naction = 'drop'", "no number"),
            ("match = { ecn = [] }\naction = 'drop'", "is empty"),
            ("first = 0\naction = 'drop'", "`first`"),
            ("probability = 0.0\naction = 'drop'", "`probability`"),
            ("action = { tcp-flags = '' }", "no flag"),
            (
                "action = 'drop'\n[[rule]]\nhop = 1\naction = { dscp = 3 }",
                "rule 2 never acts: one before",
            ),
        ] {
            let said = said(rule);
            assert!(said.contains("never acts") && said.contains(why), "{rule}: {said}");
        }
        let ipv6 = "action = 'set-evil'\n[targets]\nversions = ['ipv6']";
        assert!(said(ipv6).contains("only IPv4"), "{}", said(ipv6));
    }

    #[test]
    fn a_rule_that_may_act_is_none() {
        for rule in [
            "match = { flags = 'SYN' }\naction = { reflect-flags = 'ECE CWR AE' }",
            "direction = 'reverse'\naction = 'mirror-options'",
            "match = { protocol = 'tcp', option = 30 }\naction = { remove-option = 30 }",
            "match = { flags = 'SYN !ACK' }\naction = 'split-syn-data'",
            "action = 'drop'\n[[rule]]\nhop = 1\ndirection = 'reverse'\naction = { dscp = 3 }",
            "first = 1\naction = 'drop'\n[[rule]]\nhop = 1\naction = { dscp = 3 }",
        ] {
            assert_eq!(said(rule), "", "{rule}");
        }
    }
}
