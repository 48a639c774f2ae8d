//! The columns that each export has, whatever the records: `docs/records.md` and `docs/output.md` say
//! what they mean.

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

/// A column: the way to its value in a record, its type, and whether it may be published.
pub(crate) type Column = (&'static [&'static str], Kind, Secrecy);

/// The number of a file, by which `runs` names it.
pub(crate) const SOURCE: &str = "source";
/// The number of a record's line in its file; with `source`, it says which record a connection is of.
pub(crate) const LINE: &str = "line";
/// As `report` has it.
pub(crate) const IP_VERSION: &str = "ip_version";
/// What has no column, as a JSON object.
pub(crate) const MORE: &str = "more";
/// The keys whose values name a folder.
pub(crate) const PARTITION: [&str; 4] = ["measurement", "campaign", "vantage", "date"];

use Secrecy::{Addresses, Condition, Hidden, Kept, Reason};
use Simple::{Bool, Int, Json, Octets, Text, Time};

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
    pub(crate) fn declared(self) -> &'static [Column] {
        match self {
            Table::Targets => TARGETS,
            Table::Flows => FLOWS,
            Table::Runs => RUNS,
        }
    }
}

const TARGETS: &[Column] = &[
    (&["jobId"], one(Text), Kept),
    (&["round"], one(Int), Kept),
    (&["dip"], one(Text), Addresses),
    (&["dp"], one(Int), Kept),
    (&["domain"], one(Text), Hidden),
    (&["domain_ascii"], one(Text), Hidden),
    (&["dip_asn"], one(Int), Hidden),
    (&["dip_prefix"], one(Text), Hidden),
    (&["dip_country"], one(Text), Hidden),
    (&["sip"], one(Text), Addresses),
    (&["path"], list(Text), Kept),
    (&["conditions"], list(Text), Condition),
    (&["time", "from"], one(Time), Kept),
    (&["time", "to"], one(Time), Kept),
    (&["spdr_error"], one(Text), Reason),
    (&["missed_flows"], one(Int), Kept),
    (&["schema"], one(Int), Kept),
];

const FLOWS: &[Column] = &[
    (&["jobId"], one(Text), Kept),
    (&["config"], one(Int), Kept),
    (&["spdr_kind"], one(Text), Kept),
    (&["spdr_state"], one(Int), Kept),
    (&["spdr_carried"], one(Bool), Kept),
    (&["spdr_not_supported"], one(Bool), Kept),
    (&["spdr_start"], one(Time), Kept),
    (&["spdr_stop"], one(Time), Kept),
    (&["spdr_error"], one(Text), Reason),
    (&["spdr_phase"], one(Text), Kept),
    (&["sip"], one(Text), Addresses),
    (&["sp"], one(Int), Kept),
    (&["dip"], one(Text), Addresses),
    (&["dp"], one(Int), Kept),
    (&["proto"], one(Int), Kept),
    (&["observed"], one(Bool), Kept),
    (&["spdr_claimed"], one(Bool), Kept),
    (&["spdr_outcome"], one(Json), Hidden),
    (&["http_response_code"], one(Int), Kept),
    (&["http_response_header"], one(Octets), Hidden),
    (&["http_response_body"], one(Octets), Hidden),
    (&["http_info", "version"], one(Text), Kept),
    (&["http_info", "body_truncated"], one(Bool), Kept),
    (&["http_info", "odd"], list(Text), Kept),
    (&["tls_info", "sni"], one(Text), Hidden),
    (&["tls_info", "version"], one(Text), Kept),
    (&["tls_info", "cipher_suite"], one(Text), Kept),
    (&["tls_info", "alpn"], one(Octets), Hidden),
    (&["tls_info", "alert"], one(Int), Kept),
    (&["tls_info", "certificate", "sha256"], one(Text), Hidden),
    (&["tls_info", "certificate", "subject"], one(Text), Hidden),
    (&["tls_info", "certificate", "issuer"], one(Text), Hidden),
    (&["tls_info", "certificate", "not_before"], one(Time), Hidden),
    (&["tls_info", "certificate", "not_after"], one(Time), Hidden),
    (&["tls_info", "certificate", "names"], list(Text), Hidden),
    (&["tls_info", "certificate", "names_total"], one(Int), Hidden),
    (&["dns_info", "query"], one(Text), Hidden),
    (&["dns_info", "rcode"], one(Int), Kept),
    (&["dns_info", "answers"], one(Int), Kept),
    (&["dns_info", "truncated"], one(Bool), Kept),
    (&["dns_info", "malformed"], one(Bool), Kept),
    (&["dns_info", "ignored"], one(Int), Kept),
];

const RUNS: &[Column] = &[
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
            for (way, ..) in table.declared() {
                let last = way.last().unwrap();
                assert!(
                    pages.iter().any(|page| page.contains(last)),
                    "{last} is in none of the pages"
                );
            }
        }
    }
}
