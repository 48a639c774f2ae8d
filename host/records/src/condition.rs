//! Conditions taken apart: aspect, word and value, what the word says, and the host's own remarks.

use serde::{Deserialize, Serialize};

/// What a condition says of the path, in one of four ways, as files have it.
///
/// The plugin contract has such a type too, for authors. This one is apart: the contract's may grow with
/// a version, and what reads files takes those of all versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The path carried it, and the target took it.
    Good,
    /// The target has not got it; the path is not to blame.
    Absent,
    /// The path harmed it.
    Impaired,
    /// Nothing can be said.
    Unknown,
}

impl Class {
    /// The class of a word where the metadata declare none.
    pub fn of_word(aspect: &str, word: &str) -> Class {
        // An option that nobody offered is no sign of health.
        if aspect.ends_with(".unsolicited") {
            return if word == "seen" { Class::Impaired } else { Class::Good };
        }
        // How something failed that works without it.
        if aspect.ends_with(".failure") {
            return Class::Impaired;
        }
        match word {
            "works" | "online" | "succeeded" | "success" | "seen" | "received" | "acked"
            | "accurate" | "echoed" | "intact" | "counted" | "counters" | "ace" | "read"
            | "options" | "spoken" | "answered" | "offered" | "passed" | "mirrors" | "uses_ecn" => {
                Class::Good
            }
            // A SYN with data that nobody answers is what the path does, not what the target lacks.
            "failed" if aspect.ends_with(".syndata") => Class::Impaired,
            // That a resolver gives no address has several reasons.
            "failed" if aspect.ends_with(".resolution") => Class::Unknown,
            "failed" | "not_received" | "absent" | "classic" | "target" | "version"
            | "unspoken" | "untaken" | "unoffered" => Class::Absent,
            "broken" | "reflected" | "changed" | "dropped" | "rejected" | "mirrored"
            | "keyless" | "stripped" | "zeroed" | "bleached" | "became" | "remarked"
            | "blackhole" | "of_packet" | "router" | "all_ce" => Class::Impaired,
            _ => Class::Unknown,
        }
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Class::Good => "good",
            Class::Absent => "absent",
            Class::Impaired => "impaired",
            Class::Unknown => "unknown",
        }
    }

    /// The class of this name.
    pub fn from_name(name: &str) -> Option<Class> {
        let all = [Class::Good, Class::Absent, Class::Impaired, Class::Unknown];
        all.into_iter().find(|class| class.name() == name)
    }
}

/// A condition taken apart: `ecn.connectivity.works` has the aspect `ecn.connectivity` and the word
/// `works`. Of one with a value, `dscp.46.replymark:0`, the whole name is the aspect, and the value
/// is what was found of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// What it is about.
    pub aspect: &'a str,
    /// What was found.
    pub word: &'a str,
    /// Whether what was found is a value.
    pub has_value: bool,
}

impl<'a> Parts<'a> {
    /// Takes a condition apart.
    pub fn of(condition: &'a str) -> Parts<'a> {
        if let Some((aspect, word)) = condition.split_once(':') {
            return Parts { aspect, word, has_value: true };
        }
        match condition.rsplit_once('.') {
            Some((aspect, word)) => Parts { aspect, word, has_value: false },
            None => Parts { aspect: "", word: condition, has_value: false },
        }
    }

    /// The class of its word where the metadata declare none; a value says nothing by itself, but
    /// its name may.
    pub fn class(&self) -> Class {
        match self.aspect.rsplit_once('.') {
            Some((aspect, word)) if self.has_value => Class::of_word(aspect, word),
            _ => Class::of_word(self.aspect, self.word),
        }
    }
}

/// The name of a condition: all before its value.
pub fn name(condition: &str) -> &str {
    condition.split(':').next().unwrap_or(condition)
}

/// Whether a condition is what several rounds of a target come to, `ecn.stable.connectivity.works` or
/// `ecn.unstable.connectivity`, and not what one of them found.
pub fn is_of_rounds(condition: &str) -> bool {
    let word = condition.split(['.', ':']).nth(1);
    matches!(word, Some("stable" | "unstable"))
}

/// Whether a condition says where on the path, `ecn.location.dropped:4`: what a search found, and not the
/// connections.
pub fn is_of_location(condition: &str) -> bool {
    name(condition).contains(".location.")
}

/// Whether a condition says how packets came to a target that says so itself, `ecn.forward.intact`.
pub fn is_of_forward(condition: &str) -> bool {
    name(condition).contains(".forward.")
}

/// The measurement that gives a condition: its first word, but for those that name what they measure.
pub fn measurement(condition: &str) -> &str {
    let end = condition.find(['.', ':']).unwrap_or(condition.len());
    match &condition[..end] {
        "tsopt" | "wsopt" | "sack" => "tcpopt",
        word => word,
    }
}

/// What the host says of a target's connections, beside what the measurement concludes. The later in
/// this order says more about why there is no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remark {
    /// So many connections have no flow.
    MissedFlows,
    /// Another condition of the host's.
    Other,
    /// Packets of a connection were not captured.
    NotObserved,
    /// The wire shows that a configuration was not applied.
    NotApplied,
    /// Nothing of a configuration left this machine.
    NotSent,
    /// This machine cannot make the connection.
    NotSupported,
    /// The connection would have gone to an address that is not to be measured.
    Refused,
}

impl Remark {
    /// The remark that a condition is; `None` where it is the measurement's.
    pub fn of(condition: &str) -> Option<Remark> {
        let word = name(condition).strip_prefix("pathspider.")?;
        Some(match word {
            "not_sent" => Remark::NotSent,
            "not_supported" => Remark::NotSupported,
            "not_observed" => Remark::NotObserved,
            "not_applied" => Remark::NotApplied,
            "refused" => Remark::Refused,
            "missed_flows" => Remark::MissedFlows,
            _ => Remark::Other,
        })
    }

    /// Whether a target with it has no verdict on the connection in question.
    pub fn takes_verdict(self) -> bool {
        self >= Remark::NotObserved
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Remark::MissedFlows => "flows missed",
            Remark::Other => "remarked on",
            Remark::NotObserved => "not observed",
            Remark::NotApplied => "not applied",
            Remark::NotSent => "not sent",
            Remark::NotSupported => "not supported",
            Remark::Refused => "refused",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_aspect_and_word_or_name_and_value() {
        let parts = |aspect, word, has_value| Parts { aspect, word, has_value };
        assert_eq!(Parts::of("ecn.connectivity.works"), parts("ecn.connectivity", "works", false));
        assert_eq!(Parts::of("dscp.46.replymark:0"), parts("dscp.46.replymark", "0", true));
        assert_eq!(
            Parts::of("x.location.changed:ecn:4"),
            parts("x.location.changed", "ecn:4", true)
        );
        assert_eq!(Parts::of("odd"), parts("", "odd", false));
        assert_eq!(Parts::of(""), parts("", "", false));
        assert_eq!(Parts::of("x.location.changed:ecn:4").class(), Class::Impaired);
        assert_eq!(Parts::of("mss.option.remote.value:1460").class(), Class::Unknown);
        for (condition, expected) in
            [("ecn.x.y", "ecn"), ("dscp:1", "dscp"), ("odd", "odd"), ("sack.x.y", "tcpopt")]
        {
            assert_eq!(measurement(condition), expected);
        }
    }

    #[test]
    fn remarks_are_the_hosts_conditions() {
        assert_eq!(Remark::of("pathspider.not_sent:1"), Some(Remark::NotSent));
        assert_eq!(Remark::of("pathspider.missed_flows:2"), Some(Remark::MissedFlows));
        assert_eq!(Remark::of("pathspider.of_a_newer_version"), Some(Remark::Other));
        assert_eq!(Remark::of("ecn.connectivity.works"), None);
        assert!(!Remark::MissedFlows.takes_verdict() && Remark::NotObserved.takes_verdict());
    }

    /// Each condition in the tables of the measurements' pages has a class that is meant.
    #[test]
    fn words_of_our_measurements_have_a_class() {
        let unknown = [
            "offline",
            "transient",
            "inflated",
            "deflated",
            "unchanged",
            "not_seen",
            "not_acked",
            "none",
            "not_counted",
            "ignored",
            "unacknowledged",
            "congested",
            "unread",
            "octets",
            "differ",
            "same_label",
            "unanswered",
            "demanded",
            "no_counts",
            "undercount",
            "overcount",
            "discarded",
        ];
        let pages = concat!(
            include_str!("../../../docs/measurements/accecn.md"),
            include_str!("../../../docs/measurements/dnsresolv.md"),
            include_str!("../../../docs/measurements/dscp.md"),
            include_str!("../../../docs/measurements/ech.md"),
            include_str!("../../../docs/measurements/ecn.md"),
            include_str!("../../../docs/measurements/evilbit.md"),
            include_str!("../../../docs/measurements/flowlabel.md"),
            include_str!("../../../docs/measurements/h2.md"),
            include_str!("../../../docs/measurements/h3.md"),
            include_str!("../../../docs/measurements/l4s.md"),
            include_str!("../../../docs/measurements/mptcp.md"),
            include_str!("../../../docs/measurements/mss.md"),
            include_str!("../../../docs/measurements/tcpopt.md"),
            include_str!("../../../docs/measurements/ip6eh.md"),
            include_str!("../../../docs/measurements/pmtud.md"),
            include_str!("../../../docs/measurements/quic.md"),
            include_str!("../../../docs/measurements/quicecn.md"),
            include_str!("../../../docs/measurements/tcpext.md"),
            include_str!("../../../docs/measurements/tfo.md"),
            include_str!("../../../docs/measurements/udpopt.md"),
            include_str!("../../../docs/measurements/udpzero.md"),
        );
        let mut seen = 0;
        for row in pages.lines().filter(|line| line.starts_with("| `")) {
            let cell = row.split('|').nth(1).unwrap_or_default();
            let condition = cell.split('`').nth(1).unwrap_or_default();
            let parts = Parts::of(condition);
            let is_ours = condition.matches('.').count() >= 2 && !condition.starts_with("net.");
            if !is_ours || parts.has_value || Remark::of(condition).is_some() {
                continue;
            }
            seen += 1;
            let class = parts.class();
            let is_odd = parts.aspect.ends_with(".unsolicited") || condition.starts_with("dns");
            if !is_odd {
                assert_eq!(class == Class::Unknown, unknown.contains(&parts.word), "{condition}");
            }
        }
        assert!(seen > 30, "{seen}");
    }
}
