//! Owns the faults the router's nftables can make, and the rule that makes each.

use super::Group;

/// What the router does to the packets of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    None,
    /// Drops SYNs that ask for ECN.
    DropEcnSyn,
    /// Clears ECE and CWR on SYNs, so that they no longer ask for ECN.
    StripEcnSyn,
    /// Answers SYNs that ask for ECN with a reset, as if it came from the target.
    ResetEcnSyn,
    /// Drops everything: nobody is there.
    Dead,
}

/// A SYN, not a SYN/ACK, that asks for ECN: ECE and CWR both set (RFC 3168, section 6.1.1).
const ECN_SYN: &str = "tcp flags & (syn | ack | ecn | cwr) == syn | ecn | cwr";

impl Fault {
    fn statement(self) -> Option<String> {
        match self {
            Fault::None => None,
            Fault::DropEcnSyn => Some(format!("{ECN_SYN} drop")),
            Fault::StripEcnSyn => Some(format!("{ECN_SYN} tcp flags set syn")),
            Fault::ResetEcnSyn => Some(format!("{ECN_SYN} reject with tcp reset")),
            Fault::Dead => Some("drop".into()),
        }
    }
}

/// The router's whole rule set. No rule looks at a connection's state, so none is tracked.
pub(super) fn ruleset(groups: &[Group]) -> String {
    let mut rules = String::from(
        "table inet lab {\n  chain faults {\n    type filter hook forward priority 0;\n",
    );
    for group in groups {
        let Some(statement) = group.fault.statement() else {
            continue;
        };
        for prefix in group.prefixes() {
            let family = if prefix.contains(':') { "ip6" } else { "ip" };
            rules += &format!("    {family} daddr {prefix} {statement}\n");
        }
    }
    rules + "  }\n}\n"
}
