//! The columns that each export has, whatever the records: `docs/records.md` and `docs/output.md` say
//! what they mean.

use std::sync::LazyLock;

use pathspider_records::names;
use pathspider_records::shape::{DNS_INFO, FLOW, HTTP, Key, QUIC_INFO, RECORD, Shape, TLS_INFO};

use super::kind::{Kind, Simple, list, one};

/// What becomes of a column's values where addresses are made unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// They stay, but for addresses in them, which are encrypted.
    Kept,
    /// Numbers stay, addresses are encrypted, and other texts are left out.
    Addresses,
    /// Of a reason the first word stays: plugins may append anything.
    Reason,
    /// Of a condition the name stays, and its value where it names nobody.
    Condition,
    /// Of a path addresses are encrypted, words stay, and names are left out.
    Path,
    /// They are left out.
    Hidden,
}

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Table {
    /// A record each.
    Targets,
    /// A connection each.
    Flows,
    /// A run each, and a row for a file without metadata.
    Runs,
}

pub(crate) const TABLES: [Table; 3] = [Table::Targets, Table::Flows, Table::Runs];

/// A column that a key gives: the way to its value in a record, its type, and whether it may be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) way: Vec<&'static str>,
    pub(crate) kind: Kind,
    pub(crate) secrecy: Secrecy,
}

/// The number of a file, by which `runs` names it.
pub(crate) const SOURCE: &str = "source";
/// The number of a record's line in its file; with `source`, it says which record a connection is of.
pub(crate) const LINE: &str = "line";
/// As `report` has it.
pub(crate) const IP_VERSION: &str = "ip_version";
/// What has no column, as a JSON object.
pub(crate) const MORE: &str = "more";
/// The campaign of a record, where it names one.
pub(crate) const CAMPAIGN: &str = "campaign";
/// What names the folders of rows.
pub(crate) const PARTITION: [&str; 4] = ["measurement", CAMPAIGN, names::VANTAGE, "date"];

use Secrecy::{Addresses, Condition, Hidden, Kept, Path, Reason};
use Simple::{Bool, Float, Int, Json, Octets, Text, Time};

impl Table {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Table::Targets => "targets",
            Table::Flows => "flows",
            Table::Runs => "runs",
        }
    }

    /// The columns that it has before all others, which no key gives.
    pub(crate) fn computed(self) -> &'static [(&'static str, Kind)] {
        const OF_RECORD: &[(&str, Kind)] =
            &[(SOURCE, one(Int)), (LINE, one(Int)), (IP_VERSION, one(Text))];
        match self {
            Table::Targets => OF_RECORD,
            Table::Flows => &OF_RECORD[..2],
            Table::Runs => &OF_RECORD[..1],
        }
    }

    /// The columns of keys.
    pub(crate) fn declared(self) -> &'static [Declared] {
        static TARGETS: LazyLock<Vec<Declared>> = LazyLock::new(targets);
        static FLOWS: LazyLock<Vec<Declared>> = LazyLock::new(flows);
        static RUNS: LazyLock<Vec<Declared>> = LazyLock::new(runs);
        match self {
            Table::Targets => &TARGETS,
            Table::Flows => &FLOWS,
            Table::Runs => &RUNS,
        }
    }

    /// The keys that have no column: their values name folders, or are the rows of another table.
    pub(crate) fn apart(self) -> &'static [&'static str] {
        match self {
            Table::Targets => &[names::PLUGIN, CAMPAIGN, names::VANTAGE, names::FLOW_RESULTS],
            Table::Flows | Table::Runs => &[],
        }
    }

    /// Whether a key has a place of its own, beside the columns of keys.
    pub(crate) fn has_elsewhere(self, name: &str) -> bool {
        let is_one_of = |names: &[&str]| names.iter().any(|other| is_same(other, name));
        is_one_of(&PARTITION)
            || is_one_of(&[SOURCE, LINE, MORE])
            || (self == Table::Targets
                && is_one_of(&[names::PLUGIN, names::FLOW_RESULTS, IP_VERSION]))
    }
}

/// Whether two names are one for SQL, which makes no difference between `date` and `Date`.
pub(crate) fn is_same(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}

fn targets() -> Vec<Declared> {
    let mut columns = Vec::new();
    add(&mut columns, &[], RECORD, secrecy_of_target);
    columns.retain(|column| !Table::Targets.has_elsewhere(column.way[0]));
    columns
}

fn flows() -> Vec<Declared> {
    let mut columns = Vec::new();
    for (way, keys) in [
        (None, FLOW),
        (None, HTTP),
        (Some("tls_info"), TLS_INFO),
        (Some("dns_info"), DNS_INFO),
        (Some("quic_info"), QUIC_INFO),
    ] {
        add(&mut columns, way.as_slice(), keys, secrecy_of_flow);
    }
    columns
}

fn runs() -> Vec<Declared> {
    RUNS.iter()
        .map(|(way, kind, secrecy)| Declared { way: way.to_vec(), kind: *kind, secrecy: *secrecy })
        .collect()
}

/// Adds the columns of these keys, which stand in the object at `way`.
fn add(
    columns: &mut Vec<Declared>,
    way: &[&'static str],
    keys: &'static [Key],
    secrecy: fn(&[&str]) -> Secrecy,
) {
    for key in keys {
        let way = [way, &[key.name]].concat();
        match column(key.shape) {
            Shaped::Column(kind) => {
                let secrecy = secrecy(&way);
                columns.push(Declared { way, kind, secrecy });
            }
            Shaped::Below(keys) => add(columns, &way, keys, secrecy),
            Shaped::AsSeen => {}
        }
    }
}

/// What a shape is in a table.
enum Shaped {
    /// A column.
    Column(Kind),
    /// A column for each of these keys.
    Below(&'static [Key]),
    /// The columns that its values call for.
    AsSeen,
}

fn column(shape: Shape) -> Shaped {
    Shaped::Column(match shape {
        Shape::Text | Shape::Word | Shape::Address => one(Text),
        Shape::Whole => one(Int),
        Shape::Number => one(Float),
        Shape::Flag => one(Bool),
        Shape::Time => one(Time),
        Shape::Octets => one(Octets),
        Shape::Numbers => list(Int),
        Shape::Texts => list(Text),
        Shape::Objects(_) => list(Json),
        // What is in it has no type of its own.
        Shape::Object(keys) if keys.iter().any(|key| matches!(key.shape, Shape::Anything)) => {
            one(Json)
        }
        Shape::Object(keys) => return Shaped::Below(keys),
        Shape::OrNull(shape) => return column(*shape),
        Shape::List | Shape::TextsByName | Shape::Anything => return Shaped::AsSeen,
    })
}

/// What may be published of a target's keys. A new key is left out until it is decided here.
fn secrecy_of_target(way: &[&str]) -> Secrecy {
    match *way {
        [names::SIP | "dip"] => Addresses,
        [names::CONDITIONS] => Condition,
        [names::ERROR] => Reason,
        [names::PATH] => Path,
        [
            "dp"
            | names::ROUND
            | names::RTT
            | names::MISSED_FLOWS
            | names::JOB_ID
            | names::SCHEMA
            | names::RUN
            | names::VERSION,
        ]
        | [names::TIME | names::ANSWERED_FROM, _] => Kept,
        _ => Hidden,
    }
}

/// The same of a connection's keys.
fn secrecy_of_flow(way: &[&str]) -> Secrecy {
    match *way {
        [names::SIP | "dip"] | [names::ICMP, "from"] => Addresses,
        [names::ERROR] => Reason,
        [
            "config"
            | "spdr_kind"
            | "spdr_state"
            | "spdr_carried"
            | "spdr_not_supported"
            | "spdr_start"
            | "spdr_stop"
            | names::PHASE
            | "sp"
            | "dp"
            | "proto"
            | "observed"
            | "spdr_claimed"
            | names::JOB_ID
            | "http_response_code",
        ]
        | [names::ICMP | "http_info", _]
        | ["tls_info", "version" | "cipher_suite" | "alert" | "ech"]
        | ["dns_info", "rcode" | "answers" | "truncated" | "malformed" | "ignored"] => Kept,
        _ => Hidden,
    }
}

/// The keys of metadata that have columns.
const RUNS: &[(&[&str], Kind, Secrecy)] = &[
    (&["file"], one(Text), Hidden),
    (&["plugin_version"], one(Text), Kept),
    (&["started"], one(Time), Kept),
    (&["ended"], one(Time), Kept),
    (&["end"], one(Text), Kept),
    (&["command"], list(Text), Hidden),
    (&["interface"], one(Text), Hidden),
    (&["workers"], one(Int), Kept),
    (&["input"], one(Text), Hidden),
    (&["seed"], one(Int), Hidden),
    (&["kernel"], one(Text), Hidden),
    (&["counts", "targets"], one(Int), Kept),
    (&["counts", "lost"], one(Int), Kept),
    (&["counts", "discarded"], one(Int), Kept),
    (&["counts", "unfinished"], one(Int), Kept),
    (&["counts", "unstarted"], one(Int), Kept),
    (&["counts", "missed_flows"], one(Int), Kept),
    (&["counts", "connections"], one(Int), Kept),
    (&["counts", "conditions"], one(Json), Hidden),
    (&["counts", "failures"], one(Json), Hidden),
    (&["counts", "classes"], one(Json), Kept),
    (&["counts", "input", "lines"], one(Int), Kept),
    (&["counts", "input", "bad_lines"], one(Int), Kept),
    (&["counts", "input", "duplicates"], one(Int), Kept),
    (&["counts", "input", "blocklisted"], one(Int), Kept),
    (&["counts", "input", "special"], one(Int), Kept),
    (&["counts", "input", "elsewhere"], one(Int), Kept),
    (&["counts", "capture", "packets"], one(Int), Kept),
    (&["counts", "capture", "dropped_by_kernel"], one(Int), Kept),
    (&["counts", "capture", "dropped_by_interface"], one(Int), Kept),
    (&["counts", "capture", "evicted"], one(Int), Kept),
    (&["counts", "capture", "clock_jumps"], one(Int), Kept),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_columns_are_those_of_the_documentation() {
        let pages = [
            include_str!("../../../../docs/records.md"),
            include_str!("../../../../docs/output.md"),
            include_str!("../../../../docs/analysing.md"),
        ];
        for table in TABLES {
            for column in table.declared() {
                let last = column.way.last().unwrap();
                assert!(
                    pages.iter().any(|page| page.contains(last)),
                    "{last} is in none of the pages"
                );
            }
        }
    }
}
